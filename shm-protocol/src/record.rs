//! The records that observers send: one enum, encoded into bytes and decoded without trust.

mod wire;

pub use wire::BadRecord;

use crate::access::{Access, Gap};

/// Bytes of an encoded record that the ring carries at most: a path of two pieces of `PATH_MAX` each always fits, and
/// an [`Image`] with [`ARGV_MAX`] bytes of arguments.
pub const MAX_RECORD: usize = 5 * 4096 + 497;

/// Bytes of arguments that an observer should keep at most.
pub const ARGV_MAX: usize = 2 * 4096;

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Exit {
    /// It exited with this status: 0 to 255, on Windows any.
    Code(u32),
    /// This signal killed it.
    Signal(u8),
}

/// A new program image in a process: what `execve` left behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Image<'a> {
    /// The absolute path of the executed file as it was named; not empty.
    pub exe: &'a [u8],
    /// The working directory; empty when unknown.
    pub cwd: &'a [u8],
    /// The arguments, each followed by a NUL; cut to [`ARGV_MAX`] bytes by the observer.
    pub argv: &'a [u8],
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// A path was touched.
    Access(Access<'a>),
    /// The process executes a new image. Sent before the kernel has agreed: see [`Event::ExecFailed`].
    Exec(Image<'a>),
    /// The last [`Event::Exec`] of this process failed after all.
    ExecFailed,
    /// The process came from a fork of `parent` and runs the parent's image.
    Fork {
        /// Process id of the parent.
        parent: u32,
    },
    /// The preload library is in place in the present image of the process.
    Instrumented,
    /// The process ended.
    Exit(Exit),
    /// This signal killed a child of the process, as it learned when it waited for it.
    Killed {
        /// Process id of the child.
        child: u32,
        /// The signal.
        signal: u8,
    },
    /// Something may have gone unseen in this process.
    Gap(Gap),
    /// The process used a stream that tracerun was given as this descriptor and has passed on: it read from it or, if
    /// that is no standard stream, wrote to it.
    StreamUsed(i32),
    /// The process reached for the network: the address as text, `host:port`.
    Network(&'a [u8]),
    /// `io_uring_setup` was answered with "not permitted" to keep the trace complete.
    IoUringRefused,
}

/// One event of one process at one time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// Process id (thread group id) as the orchestrator's pid namespace numbers it.
    pub pid: u32,
    /// `CLOCK_MONOTONIC` in nanoseconds: before the call for what observes, and for what changes as late as the observer
    /// could tell, which is while the call is held where there is a net.
    pub time_ns: u64,
    /// What happened.
    pub event: Event<'a>,
}
