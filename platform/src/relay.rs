//! What is printed by processes that outlive a run, passed on when this process is gone.

use std::io::{self, PipeReader};

use crate::os;
use crate::terminal::OutputStream;

/// What the output of a command is read from; means something only as long as that is open.
#[derive(Clone, Copy, Debug)]
pub struct Source(pub(crate) os::relay::Source);

impl Source {
    /// The reading end of a pipe.
    #[must_use]
    pub fn of(pipe: &PipeReader) -> Self {
        Self(os::relay::Source::of(pipe))
    }
}

/// Leaves a process behind that passes on what comes from `sources`, which must be open, to the streams of this process, until
/// nobody writes to them any more. Two sources at most.
///
/// # Errors
/// No process can be made.
pub fn leave_behind(sources: &[(Source, OutputStream)]) -> io::Result<()> {
    os::relay::leave_behind(sources)
}
