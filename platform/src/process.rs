//! Facts about this process and the ends it can come to.

use shm_protocol::record::Exit;

use crate::os;

/// The file mode creation mask of this process.
#[must_use]
pub fn umask() -> u32 {
    os::process::umask()
}

/// From now on SIGINT, SIGQUIT, SIGTERM and SIGHUP do not end this process: those that were sent to it alone
/// are passed on to `pid`; those from the terminal have reached `pid` already. SIGTSTP and the like stop both.
pub fn forward_signals_to(pid: u32) {
    os::process::forward_signals_to(pid);
}

/// Ends this process as `exit` says: with that status, or by that signal, leaving no core file of its own.
pub fn end_like(exit: Exit) -> ! {
    os::process::end_like(exit)
}

/// What standard input is, as far as caching is concerned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StandardInput {
    /// Closed, or a device that holds nothing, such as `/dev/null`.
    Empty,
    /// A regular file.
    File,
    /// A terminal, a pipe or a socket: what is read from it cannot be read again.
    Stream,
}

/// What standard input of this process is.
#[must_use]
pub fn standard_input() -> StandardInput {
    os::process::standard_input()
}

/// Whether standard output and standard error are the same open file, terminal or pipe.
#[must_use]
pub fn output_streams_are_one() -> bool {
    os::process::output_streams_are_one()
}

/// The regular files that standard output and standard error of this process are, by their paths.
#[must_use]
pub fn output_files() -> Vec<std::path::PathBuf> {
    os::process::output_files()
}

/// What is left to be read of a standard input that is a file, without reading it: the command will.
///
/// # Errors
/// Standard input has no position: it is no file.
pub fn standard_input_rest() -> std::io::Result<impl std::io::Read> {
    os::process::standard_input_rest()
}

/// How a child process ended.
#[must_use]
pub fn exit_of(status: std::process::ExitStatus) -> Exit {
    os::process::exit_of(status)
}
