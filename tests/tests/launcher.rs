//! tracerun in front of every command of a build: CMake with Ninja, make, cargo, npm.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use tracerun_tests::have;
use tracerun_tests::sandbox::Sandbox;

/// How many sources the C project has.
const SOURCES: usize = 24;

/// A library of C sources that take a while to compile, and a program.
fn c_project(sandbox: &Sandbox) {
    let mut names = String::new();
    for number in 0..SOURCES {
        let mut source = String::from(
            "#include \"common.h\"\n#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n",
        );
        for function in 0..30 {
            let _ = writeln!(
                source,
                "int f{number}_{function}(int *v, int n) {{ int s = {function}; for (int i = 0; i < n; i++) \
                 for (int k = 0; k < 9; k++) s = mix(s, v[i] * k + {number}); return s; }}"
            );
        }
        sandbox.write(&format!("src/part{number}.c"), source);
        let _ = write!(names, " part{number}.c");
    }
    sandbox.write("src/common.h", "static inline int mix(int a, int b) { return a * 31 + b; }\n");
    sandbox.write(
        "src/main.c",
        "int f0_0(int *v, int n); int main(void) { int v = 1; return f0_0(&v, 1) < 0; }\n",
    );
    let lists = format!(
        "cmake_minimum_required(VERSION 3.20)\nproject(many C)\nset(CMAKE_BUILD_TYPE Release)\n\
         add_library(parts STATIC{names})\nadd_executable(main main.c)\ntarget_link_libraries(main parts)\n"
    );
    sandbox.write("src/CMakeLists.txt", lists);
}

fn run(sandbox: &Sandbox, argv: &[&str]) -> (String, Duration) {
    let began = Instant::now();
    let output = sandbox.command(argv[0]).args(&argv[1..]).output().expect("it runs");
    let text =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{argv:?}: {text}");
    (text, began.elapsed())
}

/// The content of the object files below a folder.
fn objects(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("there") {
            let path = entry.expect("readable").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "o") {
                found.insert(path.display().to_string(), fs::read(&path).expect("readable"));
            }
        }
    }
    found
}

/// What came of the runs since the last time, newest first.
fn outcomes(sandbox: &Sandbox, count: usize) -> Vec<String> {
    let list = sandbox.tracerun(["list", "--format", "json"]).stdout;
    let runs: Vec<serde_json::Value> = serde_json::from_str(&list).expect("JSON");
    runs.iter().take(count).map(|run| run["outcome"].as_str().expect("text").to_owned()).collect()
}

#[test]
fn a_cmake_project_built_again_from_clean_is_all_hits() {
    if !(have("cmake") && have("ninja") && have("cc")) {
        return;
    }
    let sandbox = Sandbox::new();
    c_project(&sandbox);
    let launcher = format!("-DCMAKE_C_COMPILER_LAUNCHER={};--quiet;--", tracerun_tests::tracerun().display());
    run(&sandbox, &["cmake", "-G", "Ninja", "-S", "src", "-B", "out", &launcher]);
    let (_, first) = run(&sandbox, &["ninja", "-C", "out", "-j", "4"]);
    let built = objects(&sandbox.path("out/CMakeFiles"));
    assert_eq!(built.len(), SOURCES + 1);
    assert!(outcomes(&sandbox, SOURCES + 1).iter().all(|outcome| outcome == "miss"));

    run(&sandbox, &["ninja", "-C", "out", "clean"]);
    assert!(objects(&sandbox.path("out/CMakeFiles")).is_empty());
    let (_, second) = run(&sandbox, &["ninja", "-C", "out", "-j", "4"]);
    assert!(outcomes(&sandbox, SOURCES + 1).iter().all(|outcome| outcome == "hit"));
    assert_eq!(objects(&sandbox.path("out/CMakeFiles")), built);
    eprintln!("CMake: built in {first:?}, from the cache in {second:?}");
    assert!(first > second * 5, "{first:?}, then {second:?}");
}

#[test]
fn make_with_a_traced_compiler_hits_after_a_clean() {
    if !(have("make") && have("cc")) {
        return;
    }
    let sandbox = Sandbox::new();
    sandbox.write("Makefile", "all: a.o b.o\nclean:\n\trm -f *.o\n");
    sandbox.write("a.c", "int a(void) { return 1; }\n");
    sandbox.write("b.c", "int b(void) { return 2; }\n");
    let cc = format!("CC={} -- cc", tracerun_tests::tracerun().display());
    run(&sandbox, &["make", "-j4", &cc]);
    let built = objects(&sandbox.path(""));
    run(&sandbox, &["make", "clean"]);
    let (text, _) = run(&sandbox, &["make", "-j4", &cc]);
    assert_eq!(text.matches("tracerun: hit").count(), 2, "{text}");
    assert_eq!((objects(&sandbox.path("")), built.len()), (built, 2));
}

#[test]
fn a_rust_compiler_wrapper_hits_after_a_clean() {
    if !(have("cargo") && have("rustc")) {
        return;
    }
    let mut sandbox = Sandbox::new();
    for name in ["RUSTUP_HOME", "CARGO_HOME"] {
        let default = std::env::home_dir()
            .map(|home| home.join(if name == "CARGO_HOME" { ".cargo" } else { ".rustup" }));
        let folder = std::env::var(name).ok().or_else(|| default.map(|path| path.display().to_string()));
        sandbox.set(name, &folder.expect("a home"));
    }
    sandbox.write("Cargo.toml", "[package]\nname = \"small\"\nversion = \"0.1.0\"\nedition = \"2021\"\n");
    sandbox.write("src/lib.rs", "pub fn one() -> u32 {\n    1\n}\n");
    sandbox.write("wrapper", format!("#!/bin/sh\nexec {} -- \"$@\"\n", tracerun_tests::tracerun().display()));
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(sandbox.path("wrapper"), fs::Permissions::from_mode(0o755)).expect("changed");
    sandbox.set("RUSTC_WRAPPER", &sandbox.path("wrapper").display().to_string());
    run(&sandbox, &["cargo", "build", "--offline"]);
    let library = fs::read(sandbox.path("target/debug/libsmall.rlib")).expect("built");
    fs::remove_dir_all(sandbox.path("target")).expect("there");
    run(&sandbox, &["cargo", "build", "--offline"]);
    assert!(outcomes(&sandbox, 1) == ["hit"], "{}", sandbox.tracerun(["explain"]).stdout);
    assert_eq!(fs::read(sandbox.path("target/debug/libsmall.rlib")).expect("restored"), library);
}

#[test]
fn npm_runs_its_scripts_by_a_shell_of_ours() {
    if !have("npm") {
        return;
    }
    use std::os::unix::fs::PermissionsExt;
    let sandbox = Sandbox::new();
    let script = "{\"name\": \"small\", \"scripts\": {\"build\": \"cat in > out && echo built\"}}\n";
    sandbox.write("package.json", script);
    sandbox.write("in", "1\n");
    let shell = format!("#!/bin/sh\nexec {} -- sh \"$@\"\n", tracerun_tests::tracerun().display());
    sandbox.write("shell", shell);
    fs::set_permissions(sandbox.path("shell"), fs::Permissions::from_mode(0o755)).expect("changed");
    let npm = ["npm", "run", "build", &format!("--script-shell={}", sandbox.path("shell").display())];
    let (text, _) = run(&sandbox, &npm);
    assert!(text.contains("built\n") && text.contains("tracerun: miss"), "{text}");
    fs::remove_file(sandbox.path("out")).expect("made");
    let (text, _) = run(&sandbox, &npm);
    assert!(text.contains("built\n") && text.contains("tracerun: hit"), "{text}");
    assert_eq!(sandbox.read("out"), "1\n");
}
