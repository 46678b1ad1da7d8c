//! A terminal for a command, where its output is read on the way to the terminal of this process.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::os;
use crate::relay::Source;

/// A standard stream that output goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutputStream {
    /// Descriptor 1.
    Stdout,
    /// Descriptor 2.
    Stderr,
}

/// A new terminal of the size and with the settings of the one that `stream` of this process is: what is written to
/// it comes out of the reader as it was written, until nobody has the file open any more.
///
/// It is nobody's controlling terminal: the command stays in the session of this process, so that keys, job
/// control and background processes work as without it. What the command sets on it is set on the terminal of
/// this process too, and once [`crate::process::follow`] follows the command, the size follows that one's. What is typed is
/// passed on when somebody waits to read it there, and `typed` is set.
///
/// # Errors
/// `stream` is no terminal, or the system gives no more.
pub fn like(
    stream: OutputStream,
    typed: Arc<AtomicBool>,
) -> io::Result<(impl Read + Send + 'static, File, Source)> {
    os::terminal::like(stream, typed)
}

/// How many columns the terminal has that `stream` of this process is; `None` if it is none, or does not say.
#[must_use]
pub fn columns(stream: OutputStream) -> Option<u16> {
    os::terminal::columns(stream)
}

/// Whether what this process writes to the terminal that `stream` is comes to nobody unasked: it is not in the background.
#[must_use]
pub fn is_foreground(stream: OutputStream) -> bool {
    os::terminal::is_foreground(stream)
}

/// Whether another process waits for what is typed at the terminal that `stream` of this process is. Looks at all processes.
#[must_use]
pub fn is_awaited(stream: OutputStream) -> bool {
    os::terminal::is_awaited(stream)
}

/// The terminals that the standard streams of this process are, marked so that it shows whether somebody reads from them.
#[derive(Debug, Default)]
pub struct ReadMarks(os::read_marks::ReadMarks);

impl ReadMarks {
    /// Sets the marks: access times a few seconds back.
    #[must_use]
    pub fn set() -> Self {
        Self(os::read_marks::ReadMarks::set())
    }

    /// Whether a program that opened the device at `path` to read from it may have got what nobody else saw: from a
    /// disk, or from a terminal that was there before `since`, nanoseconds since 1970. A terminal with a mark must have
    /// been read from by somebody.
    #[must_use]
    pub fn is_read(&self, path: &Path, since: i128) -> bool {
        self.0.is_read(path, since)
    }

    /// Whether what a program writes to the device at `path` goes where nobody else sees it, as with
    /// [`ReadMarks::is_read`], but whatever has a mark counts.
    #[must_use]
    pub fn is_reached(&self, path: &Path, since: i128) -> bool {
        self.0.is_reached(path, since)
    }
}
