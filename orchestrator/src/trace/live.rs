//! What a run does, told while it runs: the beginnings and ends of its processes, and each access when it is first seen.

use std::sync::mpsc::Sender;

use shm_protocol::access::AccessKind;

use crate::bytes::Bytes;

use super::{ProcessExit, ProcessId};

/// One thing that a run did. Observers tell of it in no particular order, and what a look shows at the time may turn out
/// otherwise: what was opened as if to be read may be a directory. The [`Trace`](super::Trace) has the last word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LiveEvent {
    /// A process has begun, or executes another program. One that was told of before it was known what it executes is told
    /// again.
    Began(LiveProcess),
    /// A process touched a path in a way in which it had not touched it before.
    Accessed {
        /// The process.
        process: ProcessId,
        /// The path, absolute and lexically normal.
        path: Bytes,
        /// The way.
        kind: AccessKind,
        /// Nanoseconds since the start of the run.
        first_ns: u64,
    },
    /// A process has ended, or has executed another program, which is a process of its own.
    Ended {
        /// The process.
        process: ProcessId,
        /// How.
        exit: ProcessExit,
        /// Nanoseconds since the start of the run.
        end_ns: u64,
    },
    /// A program that a process was about to execute could not be: all that was told of `process` is what `goes_on` did.
    ExecFailed {
        /// What would have been the process.
        process: ProcessId,
        /// The one that goes on.
        goes_on: ProcessId,
    },
}

/// A process, as far as it is known while it runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveProcess {
    /// Its number among those that are told of: another one than in the trace at the end.
    pub id: ProcessId,
    /// The process it was forked from, or whose exec it is; 0 where that is not known.
    pub parent: ProcessId,
    /// Process id of the system.
    pub pid: u32,
    /// Program and arguments; empty until it executes something.
    pub argv: Vec<Bytes>,
    /// The executed file as it was named; empty until it executes something.
    pub exe: Bytes,
    /// The working directory at the start.
    pub cwd: Bytes,
    /// When it began, nanoseconds since the start of the run.
    pub start_ns: u64,
}

/// Tells somebody of what a run does.
pub(super) struct Teller {
    to: Sender<LiveEvent>,
    /// Which images have been told of.
    told: Vec<bool>,
    start_ns: u64,
}

impl Teller {
    /// Tells `to`, with times since `start_ns`.
    pub(super) fn new(to: Sender<LiveEvent>, start_ns: u64) -> Self {
        Self { to, told: Vec::new(), start_ns }
    }

    /// The number under which an image is told of.
    pub(super) fn id(image: usize) -> ProcessId {
        image as ProcessId + 1
    }

    pub(super) fn since_start(&self, time_ns: u64) -> u64 {
        time_ns.saturating_sub(self.start_ns)
    }

    /// Whether the image has not been told of yet; it is from now on.
    pub(super) fn is_new(&mut self, image: usize) -> bool {
        if self.told.len() <= image {
            self.told.resize(image + 1, false);
        }
        !std::mem::replace(&mut self.told[image], true)
    }

    pub(super) fn tell(&self, event: LiveEvent) {
        // Nobody has to listen to the end.
        let _ = self.to.send(event);
    }
}
