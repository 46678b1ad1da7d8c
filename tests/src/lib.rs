//! What the tests of tracerun as a program share: the program itself, and a place to use it in.

pub mod cache_server;
pub mod differential;
pub mod hunt;
pub mod observed;
pub mod program;
pub mod proxy;
pub mod sandbox;
pub mod server;
pub mod strace;
pub mod terminal;
pub mod tracer;
pub mod vite_project;

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

/// The `tracerun` under test: the one that `TRACERUN` names, else a release build of this checkout.
///
/// # Panics
/// It can't be built.
#[must_use]
pub fn tracerun() -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    if let Some(path) = std::env::var_os("TRACERUN") {
        return path.into();
    }
    BUILT
        .get_or_init(|| {
            let checkout = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..");
            let cargo = std::env::var_os("CARGO").unwrap_or("cargo".into());
            let status = Command::new(cargo)
                .args(["build", "--quiet", "--release", "--package", "tracerun"])
                .current_dir(&checkout)
                .status();
            assert!(status.expect("cargo runs").success(), "tracerun can't be built");
            checkout.join("target/release/tracerun").canonicalize().expect("it was built")
        })
        .clone()
}

/// A folder that `scripts/setup` has filled, below `target/fixtures`; `None` if it has not. A missing one is a failure if it is [`required`].
///
/// # Panics
/// It is missing and required.
#[must_use]
pub fn fixture(name: &str) -> Option<PathBuf> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target/fixtures").join(name);
    let found = folder.canonicalize().ok();
    assert!(found.is_some() || !required(), "target/fixtures/{name} is missing: run scripts/setup");
    if found.is_none() {
        eprintln!("not tested: target/fixtures/{name} is missing");
    }
    found
}

/// Whether all that can be tested must be, as in CI: `TRACERUN_REQUIRE_ALL` is set.
#[must_use]
pub fn required() -> bool {
    std::env::var_os("TRACERUN_REQUIRE_ALL").is_some()
}

/// Whether `program` can be run here. A missing program is a failure if it is [`required`].
///
/// # Panics
/// The program is missing and required.
#[must_use]
pub fn have(program: &str) -> bool {
    let found = std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join(program).is_file()));
    assert!(found || !required(), "{program} is required and missing: run scripts/setup");
    if !found {
        eprintln!("not tested: {program} is missing");
    }
    found
}
