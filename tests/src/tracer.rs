//! The two tracers behind one function: tracerun, and strace to prove the tests by.

use std::path::Path;
use std::process::{Command, Output};

use crate::observed::Observed;
use crate::strace;

/// The way to capture that is tested, as `--capture` names it: what the variable `CAPTURE` says; `None` for the best that
/// works here.
#[must_use]
pub fn capture() -> Option<String> {
    std::env::var("CAPTURE").ok()
}

/// Who traces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tracer {
    /// The program under test.
    Tracerun,
    /// The ground truth.
    Strace,
}

impl Tracer {
    /// The tracer to test with: tracerun, unless `TRACER=strace` asks whether the tests themselves are right.
    #[must_use]
    pub fn from_environment() -> Self {
        match std::env::var_os("TRACER") {
            Some(name) if name == "strace" => Self::Strace,
            _ => Self::Tracerun,
        }
    }

    /// Runs `command` and says what it touched. The trace is kept at `log`, outside of where the command runs.
    ///
    /// # Panics
    /// The tracer can't be run, or its trace can't be understood.
    #[must_use]
    pub fn trace(self, command: &Command, log: &Path) -> (Output, Observed) {
        match self {
            Self::Strace => strace::trace(command, log),
            Self::Tracerun => tracerun(command, log),
        }
    }
}

fn tracerun(command: &Command, log: &Path) -> (Output, Observed) {
    let mut traced = Command::new(crate::tracerun());
    traced.args(["trace", "--quiet", "--format", "ndjson", "-o"]).arg(log);
    if let Some(capture) = capture() {
        traced.args(["--capture", &capture]);
    }
    traced.arg("--").arg(command.get_program()).args(command.get_args());
    like(command, &mut traced);
    let output = traced.output().expect("tracerun runs");
    let trace = std::fs::read_to_string(log).unwrap_or_else(|error| panic!("no trace: {error}: {output:?}"));
    (output, Observed::from_ndjson(&trace))
}

/// Gives `traced` the environment and working directory of `command`, which has been given all it gets.
pub(crate) fn like(command: &Command, traced: &mut Command) {
    traced.env_clear();
    for (name, value) in command.get_envs() {
        if let Some(value) = value {
            traced.env(name, value);
        }
    }
    if let Some(directory) = command.get_current_dir() {
        traced.current_dir(directory);
    }
}
