//! strace as the ground truth: what a command touched, found out without anything of tracerun.

mod meaning;
mod parse;

use std::path::Path;
use std::process::{Command, Output};

use crate::observed::Observed;
use crate::tracer;

/// The calls that are asked for. `%file` is every call that takes a path; the others take a descriptor, or make
/// a process, which inherits its working directory.
const CALLS: &str = concat!(
    "trace=%file,getdents,getdents64,fchdir,fchmod,fchown,fsetxattr,fremovexattr,fgetxattr,flistxattr,",
    "bind,connect,sendto,sendmsg,sendmmsg,clone,clone3,fork,vfork",
);

/// Runs `command` (its program, arguments, environment and working directory) under strace, keeping the log at `log`.
///
/// # Panics
/// strace can't be run, or printed what can't be understood.
#[must_use]
pub fn trace(command: &Command, log: &Path) -> (Output, Observed) {
    let mut traced = Command::new("strace");
    traced.args(["-f", "-y", "-qq", "-s", "8192", "--seccomp-bpf", "-e", "signal=none", "-e", CALLS, "-o"]);
    traced.arg(log).arg("--").arg(command.get_program()).args(command.get_args());
    tracer::like(command, &mut traced);
    let mut output = traced.output().expect("strace runs");
    output.stderr = without_its_own(&output.stderr);
    let log = std::fs::read(log).expect("strace wrote its log");
    let directory = command.get_current_dir().expect("the command has a working directory");
    let directory = directory.canonicalize().expect("it is there");
    (output, meaning::observed(&parse::calls(&log), &directory))
}

/// What the command said: strace complains on the same stream, for instance of names that end with their page.
fn without_its_own(stderr: &[u8]) -> Vec<u8> {
    let lines = stderr.split_inclusive(|byte| *byte == b'\n');
    lines.filter(|line| !line.starts_with(b"strace: ")).collect::<Vec<_>>().concat()
}
