//! Facts about this process and the ends it can come to.

use std::io;
use std::process::{Command, Stdio};

use shm_protocol::record::Exit;

use crate::os;

/// The file mode creation mask of this process.
#[must_use]
pub fn umask() -> u32 {
    os::process::umask()
}

/// The shell of this system, and its option before a command line.
#[must_use]
pub fn shell() -> (&'static str, &'static str) {
    if cfg!(windows) { ("cmd", "/C") } else { ("sh", "-c") }
}

/// What the command inherits of this process that a program can come upon without being told by anyone, by the names that
/// people know it by: limits that make its calls fail, signals that do nothing to it.
///
/// Not those that differ from one shell or service to the next and are hardly ever met: how many files may be open, how
/// many processes may run, how much may be locked in memory, how large a core file may be; nor how nice it is.
#[must_use]
pub fn limits() -> Vec<(&'static str, u64)> {
    os::process::limits()
}

/// What this process has to know of its command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommandState {
    /// It is about to be started; told once more as one of the others.
    Starts,
    /// It runs, as the process with this id.
    Runs(u32),
    /// It has ended.
    Ended,
}

/// From when the command starts until it has ended SIGINT, SIGQUIT, SIGTERM, SIGHUP, SIGUSR1 and SIGUSR2 do not end
/// this process: those that were sent to it alone are passed on to the command, once it runs; those from the terminal
/// have reached it already, as SIGTSTP has. When it has ended they do again what they did before. Terminals made by [`crate::terminal::like`] follow the
/// size of the real one.
pub fn follow(command: CommandState) {
    os::process::follow(command);
}

/// As long as this lives, signals that would end this process wait, in this thread and those that it starts.
#[derive(Debug)]
pub struct HeldSignals(os::process::HeldSignals);

impl HeldSignals {
    /// Holds SIGINT, SIGQUIT, SIGTERM and SIGHUP back.
    #[must_use]
    pub fn hold() -> Self {
        Self(os::process::HeldSignals::hold())
    }

    /// Whether one of them waits.
    #[must_use]
    pub fn are_pending(&self) -> bool {
        self.0.are_pending()
    }
}

/// Has a command find its standard streams closed and SIGPIPE ignored where this process was started so.
pub fn keep_as_given(command: &mut Command) {
    os::origin::keep_as_given(command);
}

/// Starts a program that goes on behind the back of this process, without its streams and its terminal's signals.
///
/// # Errors
/// It can't be started.
pub fn spawn_behind(command: &mut Command) -> io::Result<()> {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    os::process::detach(command);
    command.spawn().map(drop)
}

/// Ends this process as `exit` says: with that status, or by that signal, leaving no core file of its own.
pub fn end_like(exit: Exit) -> ! {
    os::process::end_like(exit)
}

/// What standard input is, as far as caching is concerned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StandardInput {
    /// Closed.
    Closed,
    /// What nothing comes from: `/dev/null`, a pipe that nobody writes to.
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

/// Whether standard output and standard error are the same terminal or pipe, or the same opening of a file, so that
/// they share a position in it.
#[must_use]
pub fn output_streams_are_one() -> bool {
    os::process::output_streams_are_one()
}

/// The regular files that standard output and standard error of this process are, by their paths.
#[must_use]
pub fn output_files() -> Vec<std::path::PathBuf> {
    os::process::output_files()
}

/// A regular file that this process was given open and passes on to its command, besides the standard streams.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InheritedFile {
    /// Its descriptor.
    pub number: i32,
    /// It can be read from.
    pub readable: bool,
    /// It can be written to.
    pub writable: bool,
    /// What is another after it was written to.
    pub version: FileVersion,
}

/// Length in bytes, and times of the last change of content and status, nanoseconds since 1970.
pub type FileVersion = (u64, i128, i128);

/// The regular files that this process was given open, by descriptor.
#[must_use]
pub fn inherited_files() -> Vec<InheritedFile> {
    os::process::inherited_files()
}

/// A stream that this process was given and passes on to its command: a pipe, socket or terminal. What is read from it
/// can't be read again, and what is written to it goes where nobody sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InheritedStream {
    /// Its descriptor.
    pub number: i32,
    /// Bytes that wait to be read.
    pub(crate) waiting: u64,
    /// Nothing waits, and nobody can write to it any more.
    pub(crate) is_at_end: bool,
}

/// Whether a standard stream of this process, 0 to 2, was closed. (What stands for it is `/dev/null`.) The command finds
/// it closed, too.
#[must_use]
pub fn was_closed(number: i32) -> bool {
    os::origin::was_closed(number)
}

/// Whether this process was told to ignore SIGPIPE: the command is told so, too.
#[must_use]
pub fn ignores_sigpipe() -> bool {
    os::origin::ignores_sigpipe()
}

/// The streams that this process was given, by descriptor: standard input if it is one, and those that are no standard
/// streams.
#[must_use]
pub fn inherited_streams() -> Vec<InheritedStream> {
    os::process::inherited_streams()
}

impl InheritedStream {
    /// Whether somebody has read from it since, as far as it shows: that its end has come counts as well.
    #[must_use]
    pub fn was_read(&self) -> bool {
        let now = os::process::stream(self.number);
        now.is_some_and(|now| now.waiting < self.waiting || now.is_at_end != self.is_at_end)
    }
}

/// What is left to be read of the file that descriptor `number` stands for, without reading it: the command will.
///
/// # Errors
/// It has no position: it is no file.
pub fn rest_of(number: i32) -> std::io::Result<impl std::io::Read> {
    os::process::rest_of(number)
}

/// How a child process ended.
#[must_use]
pub fn exit_of(status: std::process::ExitStatus) -> Exit {
    os::process::exit_of(status)
}
