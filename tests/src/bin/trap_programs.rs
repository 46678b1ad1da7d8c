//! Compiles the trap programs for another machine: `scripts/test-arm64` runs them there.

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [architecture, folder] = &arguments[..] else {
        eprintln!("usage: CC=COMPILER trap_programs ARCHITECTURE FOLDER");
        return ExitCode::from(2);
    };
    tracerun_tests::program::compile_all(architecture, folder.as_ref());
    ExitCode::SUCCESS
}
