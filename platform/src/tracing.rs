//! Running one command with everything its process tree does to files reported to a sink.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use shm_protocol::access::Gap;
use shm_protocol::record::{Exit, Record};

use crate::os;

/// Receives the records of a traced command, from several threads at once and in no particular order: records
/// carry times. The paths are only valid during the call.
pub trait Sink: Send + Sync {
    /// One record.
    fn record(&self, record: &Record<'_>);

    /// A call is held that will change or remove the regular file at the absolute `path`, or what a symbolic link
    /// there leads to if `follow`: this is the time to take its content. The process waits.
    fn before_change(&self, path: &[u8], follow: bool) {
        let _ = (path, follow);
    }
}

/// How the process tree is to be watched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CaptureChoice {
    /// The best that works here.
    #[default]
    Auto,
    /// The seccomp filter and its supervisor, with the preload library as the fast path.
    Seccomp,
    /// The seccomp filter and its supervisor, without the library.
    SeccompOnly,
    /// Every system call stopped by ptrace, without the library.
    Ptrace,
    /// The preload library alone: never complete.
    Preload,
}

impl CaptureChoice {
    /// Whether `capture` may be what watches.
    #[must_use]
    pub fn tries(self, capture: Capture) -> bool {
        match self {
            Self::Auto => true,
            Self::Seccomp | Self::SeccompOnly => capture == Capture::Seccomp,
            Self::Ptrace => capture == Capture::Ptrace,
            Self::Preload => capture == Capture::Preload,
        }
    }

    /// Whether the preload library may be used.
    #[must_use]
    pub fn has_library(self) -> bool {
        !matches!(self, Self::SeccompOnly | Self::Ptrace)
    }
}

/// What becomes of `io_uring`, which opens files without system calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IoUring {
    /// Programs are told that it is not permitted, as under Docker, and do without.
    #[default]
    Refuse,
    /// Programs may use it; the trace of such a run is not complete.
    Allow,
}

/// What becomes of processes that outlive the command and the time of grace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Background {
    /// They go on.
    #[default]
    Leave,
    /// They are killed.
    Kill,
}

/// The mechanism that watched the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Capture {
    /// The seccomp filter saw what the library did not.
    Seccomp,
    /// Every system call was stopped.
    Ptrace,
    /// Only the library.
    Preload,
    /// The guest in each process of a Windows job, of which it is known whether any was without.
    Detours,
}

/// How many streams can be watched.
pub const MOST_STREAMS: usize = 16;

/// A command to run traced.
#[derive(Debug)]
pub struct Command {
    /// Program and arguments; the program is looked up in `PATH` of `environment` as `execvp` does.
    pub argv: Vec<OsString>,
    /// The whole environment.
    pub environment: Vec<(OsString, OsString)>,
    /// Variables in addition, which take the place of others of the same name. Where they make the command line too long for
    /// the kernel, the command goes without: see [`Tracee::is_bare`].
    pub additions: Vec<(OsString, OsString)>,
    /// The working directory.
    pub cwd: PathBuf,
    /// Standard input.
    pub stdin: Stdio,
    /// Standard output.
    pub stdout: Stdio,
    /// Standard error.
    pub stderr: Stdio,
    /// Folder under which the preload library is unpacked; `None` runs without it.
    pub library_folder: Option<PathBuf>,
    /// How to watch.
    pub capture: CaptureChoice,
    /// What becomes of `io_uring`.
    pub io_uring: IoUring,
    /// What becomes of processes that outlive the command.
    pub background: Background,
    /// Descriptors of this process that stand for streams which the command is given, and of which it is to be reported
    /// that they are used: see [`crate::process::InheritedStream`]. At most [`MOST_STREAMS`].
    pub streams: Vec<i32>,
}

/// Why a command could not be started.
#[derive(Debug, thiserror::Error)]
pub enum SpawnError {
    /// No such program: exit status 127.
    #[error("{program}: command not found")]
    NotFound {
        /// The program as it was named.
        program: String,
    },
    /// The program is there and can't be executed: exit status 126.
    #[error("{program}: {source}")]
    NotExecutable {
        /// The program as it was named.
        program: String,
        /// What the system said.
        source: io::Error,
    },
    /// Tracing was asked for in a way that does not work here.
    #[error("{what}: {source}")]
    Tracing {
        /// What was tried.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

/// A gap in the trace that belongs to no single record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GapReport {
    /// What kind of gap.
    pub gap: Gap,
    /// The program it concerns, or what the system said; may be empty.
    pub detail: String,
}

/// What is known of the capture once the run is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaptureReport {
    /// The mechanism used.
    pub capture: Capture,
    /// Gaps other than those reported by records; empty when nothing can have gone unseen.
    pub gaps: Vec<GapReport>,
    /// Processes of the tree that were still there when the grace time was over: pid and name.
    pub survivors: Vec<(u32, String)>,
    /// Records lost.
    pub dropped: u64,
}

/// Kills a traced command and all that it has started, as far as that is known; from any thread, as often as one likes. What
/// comes into being at the same time is seen to by [`Tracee::finish`] after [`Tracee::kill_rest`].
pub type Killer = Box<dyn Fn() + Send + Sync>;

/// A command running traced.
pub struct Tracee(os::tracing::Tracee);

impl Tracee {
    /// Starts `command`; its records go to `sink` from now until [`Tracee::finish`] returns.
    ///
    /// # Errors
    /// The command could not be found or executed, or the capture that was asked for does not work here.
    pub fn spawn(command: Command, sink: Arc<dyn Sink>) -> Result<Self, SpawnError> {
        os::tracing::Tracee::spawn(command, sink).map(Self)
    }

    /// Process id of the command.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.0.pid()
    }

    /// Whether the command had to go without [`Command::additions`].
    #[must_use]
    pub fn is_bare(&self) -> bool {
        self.0.is_bare()
    }

    /// Waits until the command itself has ended; processes it left behind may go on.
    ///
    /// # Errors
    /// The system refuses to say how the command ended.
    pub fn wait(&mut self) -> io::Result<Exit> {
        self.0.wait()
    }

    /// What kills it from another thread.
    #[must_use]
    pub fn killer(&self) -> Killer {
        self.0.killer()
    }

    /// Has [`Tracee::finish`] kill what is left of the process tree, whatever [`Command::background`] says.
    pub fn kill_rest(&mut self) {
        self.0.kill_rest();
    }

    /// Waits up to `grace` for the rest of the process tree, delivers the last records, and says what the
    /// capture amounted to. Processes that are still there go on, unwatched and unharmed, unless they are to be killed.
    #[must_use]
    pub fn finish(self, grace: Duration) -> CaptureReport {
        self.0.finish(grace)
    }
}

/// `CLOCK_MONOTONIC` in nanoseconds, the clock of the records.
#[must_use]
pub fn now_ns() -> u64 {
    os::tracing::now_ns()
}

/// Writes the preload library into `folder`, which must be named after the library's content, unless it is there
/// already. Any number of processes may do so at once.
///
/// # Errors
/// The folder can't be written.
pub fn unpack_library(library: &[u8], folder: &std::path::Path) -> io::Result<()> {
    os::inject::unpack(library, folder)
}
