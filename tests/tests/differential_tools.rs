//! Compilers, build systems and bundlers under strace and under tracerun: dynamic, static, with a runtime that makes its
//! own system calls, in many processes.

use std::path::Path;
use std::process::Command;

use tracerun_tests::differential::{compare, compare_but};
use tracerun_tests::sandbox::Sandbox;
use tracerun_tests::{fixture, have};

fn copy(from: &Path, to: &Path) {
    let status = Command::new("cp").arg("-r").arg(from).arg(to).status();
    assert!(status.expect("cp runs").success());
}

#[test]
fn make_builds_lua() {
    let Some(lua) = fixture("lua/src") else { return };
    compare(&["/usr/bin/make", "-s", "linux"], |sandbox| {
        for file in std::fs::read_dir(&lua).expect("sources") {
            let file = file.expect("a file");
            copy(&file.path(), &sandbox.path(&file.file_name().to_string_lossy()));
        }
    });
}

#[test]
fn cmake_and_ninja_build_a_project() {
    if !have("cmake") || !have("ninja") {
        return;
    }
    // When ninja looks at what it has made depends on when that was done.
    compare(
        &["/bin/sh", "-c", "cmake -G Ninja -S . -B build >/dev/null && ninja -C build -j1 >/dev/null"],
        |sandbox| {
            sandbox.write("CMakeLists.txt", "cmake_minimum_required(VERSION 3.20)\nproject(p C)\nadd_library(part part.c)\nadd_executable(main main.c)\ntarget_link_libraries(main part)\n");
            sandbox.write("part.c", "int part(int n) { return n + 1; }\n");
            sandbox.write("main.c", "int part(int);\nint main(void) { return part(-1); }\n");
        },
    );
}

#[test]
fn cargo_builds_a_crate_with_a_build_script() {
    let Some(cargo) = std::env::var_os("CARGO") else { return };
    let cargo = cargo.to_string_lossy().into_owned();
    compare(&[&cargo, "build", "--quiet", "--offline", "-j1"], |sandbox| {
        sandbox.write("Cargo.toml", "[package]\nname = \"p\"\nversion = \"0.1.0\"\nedition = \"2021\"\n[profile.dev]\nincremental = false\n");
        sandbox.write("build.rs", "fn main() { let out = std::env::var(\"OUT_DIR\").unwrap(); std::fs::write(format!(\"{out}/n.rs\"), \"1\").unwrap(); println!(\"cargo::rerun-if-changed=build.rs\"); }\n");
        sandbox.write("src/main.rs", "fn main() { let n: i32 = include!(concat!(env!(\"OUT_DIR\"), \"/n.rs\")); println!(\"{n}\"); }\n");
    });
}

#[test]
fn go_builds_a_program() {
    if !have("go") {
        return;
    }
    compare(&["/usr/bin/go", "build", "-p", "1", "-o", "out", "main.go"], |sandbox| {
        sandbox.write("main.go", "package main\n\nfunc main() { println(1) }\n");
        sandbox.write("go.mod", "module p\n\ngo 1.19\n");
    });
}

#[test]
fn javac_compiles() {
    if !have("javac") {
        return;
    }
    compare(&["/usr/bin/javac", "-d", "out", "Main.java"], |sandbox| {
        sandbox.write(
            "Main.java",
            "public class Main { public static void main(String[] a) { System.out.println(1); } }\n",
        );
    });
}

#[test]
fn rsync_copies_a_tree() {
    compare(&["/usr/bin/rsync", "-a", "tree/", "copy"], |sandbox| {
        for name in ["tree/a", "tree/b/c"] {
            sandbox.write(name, name);
        }
    });
}

#[test]
fn perl_reads_and_writes() {
    let script = "use File::Find; use File::Temp; find(sub { print -s $_ }, 'tree'); open my $f, '>', 'out' or die; print $f 1; close $f; rename 'out', 'done'; my $t = File::Temp->new; mkdir 'd'; rmdir 'd'; print join ' ', glob 'tree/*';";
    compare(&["/usr/bin/perl", "-e", script], |sandbox| {
        for name in ["tree/a", "tree/b/c"] {
            sandbox.write(name, name);
        }
    });
}

fn web_project(sandbox: &Sandbox) {
    sandbox.write("tsconfig.json", "{\"compilerOptions\":{\"outDir\":\"out\",\"rootDir\":\"src\",\"module\":\"esnext\",\"moduleResolution\":\"bundler\",\"types\":[]},\"files\":[\"src/main.ts\"]}\n");
    sandbox.write("package.json", "{\"name\":\"p\",\"type\":\"module\"}\n");
    sandbox.write("src/main.ts", "import { part } from './part';\nconsole.log(part(1));\n");
    sandbox.write("src/part.ts", "export const part = (n: number) => n + 1;\n");
}

#[test]
fn esbuild_bundles() {
    let Some(modules) = fixture("web/node_modules") else { return };
    let esbuild = modules.join("@esbuild/linux-x64/bin/esbuild");
    compare(
        &[
            esbuild.to_str().expect("UTF-8"),
            "--bundle",
            "src/main.ts",
            "--outfile=out.js",
            "--log-level=error",
        ],
        web_project,
    );
}

#[test]
fn tsgo_compiles() {
    let Some(modules) = fixture("web/node_modules") else { return };
    let tsgo = modules.join("@typescript/native-preview-linux-x64/lib/tsgo");
    compare(&[tsgo.to_str().expect("UTF-8"), "-p", "."], |sandbox| {
        web_project(sandbox);
        // Of two files that are written at once, either finds out first that there is no folder for them.
        sandbox.write("out/made", "");
    });
}

#[test]
fn tsc_compiles() {
    let Some(modules) = fixture("web/node_modules") else { return };
    let tsc = modules.join("typescript-js/lib/tsc.js");
    compare_but(&["/usr/bin/node"], &["/usr/bin/node", tsc.to_str().expect("UTF-8"), "-p", "."], web_project);
}

#[test]
fn bun_bundles_and_runs() {
    let Some(modules) = fixture("web/node_modules") else { return };
    let bun = modules.join("@oven/bun-linux-x64/bin/bun");
    let bun = bun.to_str().expect("UTF-8");
    compare(
        &["/bin/sh", "-c", &format!("{bun} build src/main.ts --outdir out >/dev/null && {bun} src/main.ts")],
        web_project,
    );
}

#[test]
fn vite_builds() {
    let Some(modules) = fixture("web/node_modules") else { return };
    let vite = modules.join("vite/bin/vite.js");
    compare(&["/usr/bin/node", vite.to_str().expect("UTF-8"), "build", "--logLevel=error"], |sandbox| {
        web_project(sandbox);
        sandbox.write("index.html", "<script type=\"module\" src=\"/src/main.ts\"></script>\n");
    });
}

#[test]
fn npm_tells_its_version() {
    if !have("npm") {
        return;
    }
    compare(&["/usr/bin/npm", "--version"], |_| {});
}
