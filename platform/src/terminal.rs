//! A terminal for a command, where its output is read on the way to the terminal of this process.

use std::fs::File;
use std::io::{self, Read};

use crate::os;

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
/// this process too, and once [`crate::process::follow`] follows the command, the size follows that one's.
///
/// # Errors
/// `stream` is no terminal, or the system gives no more.
pub fn like(stream: OutputStream) -> io::Result<(impl Read + Send + 'static, File)> {
    os::terminal::like(stream)
}
