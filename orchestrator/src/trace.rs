//! Everything a run's process tree did, merged from the records of all observers.

mod accesses;
mod collector;
mod images;
mod live;
mod names;
mod numbered;
mod paths;

use serde::{Deserialize, Serialize};
use shm_protocol::access::{AccessKind, Before, Gap};
use shm_protocol::record::Exit;

use crate::fingerprint::Digest;
use crate::report;
use crate::wire;

pub use collector::Collector;
pub use live::{LiveEvent, LiveProcess};
pub use paths::Paths;

/// All processes and accesses of a run.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Trace {
    /// The processes, in order of their start; the id of a process is its index plus one.
    pub processes: Vec<Process>,
    /// The paths, each once: absolute and lexically normal, as the program named them.
    pub paths: Paths,
    /// The accesses: one for each (process, path, kind), in order of `first_ns`.
    pub accesses: Vec<PathAccess>,
    /// The content before the run of regular files that it changed or removed, where it could be had.
    pub old_contents: Vec<(PathId, Digest)>,
    /// The extended attributes that those of them had, as [`attributes`](crate::fingerprint::attributes) digests them.
    pub old_attributes: Vec<(PathId, Digest)>,
    /// The ways up that names with `..` took, each once, by its bytes.
    pub climbs: Vec<Climbed>,
    /// What may have gone unseen, each with the process it happened in (0 when none) and a detail, such as what
    /// the system said; empty when the trace is complete.
    pub gaps: Vec<TraceGap>,
    /// Processes that reached for the network, with the address.
    pub network: Vec<(ProcessId, String)>,
    /// Processes that used streams which tracerun was given, with the descriptor.
    pub stream_users: Vec<(ProcessId, i32)>,
    /// Processes to which `io_uring_setup` was refused.
    pub io_uring_refused: Vec<ProcessId>,
    /// Processes that outlived the command and the time of grace: pid and name.
    pub survivors: Vec<(u32, String)>,
    /// Records lost.
    pub dropped: u64,
}

/// The number of a process in its run, from 1; 0 is no process.
pub type ProcessId = u32;

/// Index of a path in [`Trace::paths`].
pub type PathId = u32;

/// One program image in one process: an `exec` ends it and begins another with the same pid.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// Its id.
    pub id: ProcessId,
    /// The process it was forked from, or whose exec it is; 0 for the first.
    pub parent: ProcessId,
    /// Process id of the system.
    pub pid: u32,
    /// Program and arguments; a forked process has those of its parent.
    pub argv: Vec<Vec<u8>>,
    /// The executed file as it was named.
    pub exe: Vec<u8>,
    /// The working directory at the start.
    pub cwd: Vec<u8>,
    /// When it began, nanoseconds since the start of the run.
    pub start_ns: u64,
    /// When it ended; the end of the run where that was not seen.
    pub end_ns: u64,
    /// How it ended; `None` where that was not seen.
    pub exit: Option<ProcessExit>,
    /// Who saw it: the library, or the net alone.
    pub capture: ProcessCapture,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ProcessExit {
    /// It exited or was killed.
    Exit(#[serde(with = "wire::exit")] Exit),
    /// It executed another image, which is this process.
    Exec(ProcessId),
}

/// How a process was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ProcessCapture {
    /// By the preload library, and by the net where the library did not look.
    Preload,
    /// By the seccomp filter's supervisor alone.
    Seccomp,
    /// By ptrace.
    Ptrace,
    /// By the guest in it, on Windows.
    Detours,
    /// Not at all: it was left to the preload library, which it did not load.
    None,
}

/// All accesses of one kind by one process to one path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PathAccess {
    /// The process.
    pub process: ProcessId,
    /// The path.
    pub path: PathId,
    /// The kind, settled: what was absent is `missing`, what was refused is `stat`.
    #[serde(with = "wire::kind")]
    pub kind: AccessKind,
    /// Whether any of them followed a symbolic link at the end of the path.
    pub follow: bool,
    /// Whether any of them did not. See [`PathAccess::is_name_only`] for neither.
    pub no_follow: bool,
    /// Whether any of them asked for extended attributes.
    pub attributes: bool,
    /// How often, at least; saturates.
    pub count: u32,
    /// The first, nanoseconds since the start of the run.
    pub first_ns: u64,
    /// For `write` and `delete`: what was changed.
    pub changes: Option<Changes>,
}

impl PathAccess {
    /// Whether the path is only what a name with `..` says: there, the name climbs out of a symbolic link, and what
    /// was touched is elsewhere, which is an access of its own.
    #[must_use]
    pub fn is_name_only(&self) -> bool {
        !self.follow && !self.no_follow
    }
}

/// A name with `..` up to the last of them: where the links on this way lead decides what the name means.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Climbed {
    /// The way, absolute, as the program named it.
    pub path: Vec<u8>,
    /// The first process that took it.
    pub process: ProcessId,
    /// When it did, nanoseconds since the start of the run.
    pub first_ns: u64,
}

/// When a path was changed, by effect, in nanoseconds since the start of the run, and what stood there before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changes {
    /// What stood there before the first of these changes.
    #[serde(with = "wire::before")]
    pub before: Before,
    /// First replacement of the whole content, creation or deletion.
    pub replaced_ns: Option<u64>,
    /// First change of the content in place.
    pub modified_ns: Option<u64>,
    /// First change of metadata.
    pub metadata_ns: Option<u64>,
}

impl Changes {
    /// Both changes, made to one path.
    #[must_use]
    pub fn merged(self, other: Self) -> Self {
        let first = |mine: Option<u64>, theirs: Option<u64>| match (mine, theirs) {
            (Some(mine), Some(theirs)) => Some(mine.min(theirs)),
            (mine, theirs) => mine.or(theirs),
        };
        Self {
            before: if other.first_ns() < self.first_ns() { other.before } else { self.before },
            replaced_ns: first(self.replaced_ns, other.replaced_ns),
            modified_ns: first(self.modified_ns, other.modified_ns),
            metadata_ns: first(self.metadata_ns, other.metadata_ns),
        }
    }

    /// The time of the first change of any kind.
    #[must_use]
    pub fn first_ns(&self) -> u64 {
        [self.replaced_ns, self.modified_ns, self.metadata_ns].into_iter().flatten().min().unwrap_or(u64::MAX)
    }
}

/// Something that may have gone unseen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TraceGap {
    /// What.
    #[serde(with = "wire::gap")]
    pub gap: Gap,
    /// In which process; 0 when that is not known.
    pub process: ProcessId,
    /// More about it, such as what the system said; may be empty.
    pub detail: String,
}

impl Trace {
    /// Whether it is known that nothing the process tree did to files went unseen.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.gaps.is_empty() && self.survivors.is_empty() && self.dropped == 0
    }

    /// The process with this id.
    #[must_use]
    pub fn process(&self, id: ProcessId) -> Option<&Process> {
        self.processes.get((id as usize).checked_sub(1)?)
    }

    /// The command lines of the processes to which `io_uring_setup` was refused.
    pub fn io_uring_refused(&self) -> impl Iterator<Item = String> {
        self.io_uring_refused.iter().filter_map(|&id| self.process(id)).map(report::command_line)
    }

    /// The bytes of a path; empty if there is none with this number.
    #[must_use]
    pub fn path(&self, id: PathId) -> &[u8] {
        self.paths.get(id)
    }
}
