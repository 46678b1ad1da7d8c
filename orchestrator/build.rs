//! Builds the preload library, for embedding into `tracerun`.

use std::env;
use std::path::PathBuf;
use std::process::Command;

fn main() {
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let library = out.join("preload.bin");
    println!("cargo::rerun-if-env-changed=TRACERUN_WITHOUT_LIBRARY");
    println!("cargo::rerun-if-env-changed=TRACERUN_LIBRARY");
    // One that was built before: for macOS, with the code for both processors in one file.
    if let Some(built) = env::var_os("TRACERUN_LIBRARY") {
        println!("cargo::rerun-if-changed={}", built.display());
        std::fs::copy(&built, &library).expect("TRACERUN_LIBRARY names a file");
        return;
    }
    let (package, file) = match env::var("CARGO_CFG_TARGET_OS").as_deref() {
        // What is only checked needs no linker for its target.
        _ if env::var_os("TRACERUN_WITHOUT_LIBRARY").is_some() => ("", ""),
        Ok("linux") => ("tracerun-preload", "libtracerun_preload.so"),
        // It serves programs for this processor only; dyld lets no others start with it.
        Ok("macos") => ("tracerun-preload", "libtracerun_preload.dylib"),
        Ok("windows") => ("tracerun-guest", "tracerun_guest.dll"),
        _ => ("", ""),
    };
    if package.is_empty() {
        std::fs::write(&library, []).expect("OUT_DIR can be written");
        return;
    }
    for folder in [
        "../preload/src",
        "../preload/build.rs",
        "../preload/Cargo.toml",
        "../preload/windows",
        "../shm-protocol/src",
    ] {
        println!("cargo::rerun-if-changed={folder}");
    }
    let (host, target) = (env::var("HOST").expect("set by cargo"), env::var("TARGET").expect("set by cargo"));
    let built = out.join("preload");
    let mut cargo = Command::new(env::var_os("CARGO").expect("set by cargo"));
    cargo.args(["build", "--quiet", "--profile", "preload", "--package", package, "--manifest-path"]);
    cargo.arg("../Cargo.toml").arg("--target-dir").arg(&built);
    let mut folder = built;
    if host != target {
        cargo.args(["--target", &target]);
        folder.push(&target);
    }
    // The library is built as its profile says, however tracerun is: without sanitizers or coverage.
    for name in ["CARGO_ENCODED_RUSTFLAGS", "RUSTFLAGS", "CARGO_BUILD_RUSTFLAGS", "RUSTC_WORKSPACE_WRAPPER"] {
        cargo.env_remove(name);
    }
    let status = cargo.status().expect("cargo runs, as it runs this");
    assert!(status.success(), "the preload library could not be built; its errors are above");
    std::fs::copy(folder.join("preload").join(file), &library).expect("the library was built");
}
