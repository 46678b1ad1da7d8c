//! Why a run is not cached, as data.

use serde::{Deserialize, Serialize};
use shm_protocol::access::Gap;
use shm_protocol::record::Exit;

use crate::bytes::Bytes;
use crate::trace::{ProcessId, Trace};
use crate::wire;

/// A way in which a trace may have missed something, and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unseen {
    /// What kind of thing.
    #[serde(with = "wire::gap")]
    pub gap: Gap,
    /// What more is known, such as what the system said; may be empty.
    pub detail: String,
    /// The process in which it happened.
    pub process: Actor,
}

/// Why a run is not cached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Uncacheable {
    /// The command failed.
    Failed(#[serde(with = "wire::exit")] Exit),
    /// Something may have gone unseen.
    Incomplete(Vec<Unseen>),
    /// This many records were lost.
    Lost(u64),
    /// Processes outlived the command: pid and name.
    Survivor(Vec<(u32, String)>),
    /// A tool asked not to keep the run.
    Disabled {
        /// Which.
        process: Actor,
    },
    /// A process reached for the network.
    Network {
        /// The address.
        address: String,
        /// Who.
        process: Actor,
    },
    /// A process used a stream that tracerun was given: it read from it, or wrote to one that is no standard stream.
    StreamUsed {
        /// The descriptor; 0 for standard input.
        number: i32,
        /// Who.
        process: Actor,
    },
    /// The run changed what it had read or looked at, so that what it saw cannot be known any more.
    ReadThenChanged {
        /// What.
        path: Bytes,
        /// Who read it.
        process: Actor,
    },
    /// Someone outside the run changed what the run had to do with.
    ChangedMeanwhile {
        /// What.
        path: Bytes,
        /// Who in the run had to do with it.
        process: Actor,
    },
    /// The run gave a file that it had not made another name, or changed one that has others: a hard link.
    Linked {
        /// What.
        path: Bytes,
        /// Who in the run had to do with it.
        process: Actor,
    },
    /// The run left something outside the root.
    OutputOutsideRoot {
        /// What.
        path: Bytes,
        /// Who left it.
        process: Actor,
    },
    /// The run read from, or left behind, a device, FIFO or socket.
    SpecialFile {
        /// What.
        path: Bytes,
        /// Who.
        process: Actor,
    },
    /// The run read or left a file that tracerun may not read.
    Unreadable {
        /// What.
        path: Bytes,
        /// Who.
        process: Actor,
    },
    /// The run moved a folder that it had not made: what is in it, and was before, is not known.
    FolderMoved {
        /// What it is called now.
        path: Bytes,
        /// Who moved it.
        process: Actor,
    },
    /// The file system that the run wrote to has no room left: what it wrote may be cut short.
    NoRoom {
        /// What it wrote.
        path: Bytes,
        /// Who.
        process: Actor,
    },
    /// The run changed something of which it was not seen what it was before.
    UnknownBefore {
        /// What.
        path: Bytes,
        /// Who changed it.
        process: Actor,
    },
    /// Something was done to what the run was given open, and it is not known by whom.
    Inherited {
        /// The descriptor.
        number: i32,
    },
    /// What the command printed is not known to the end.
    Terminal(TerminalLoss),
    /// The same command was running at the same time.
    Concurrent,
    /// A toolchain became another while the run was under way.
    Toolchain {
        /// Its name.
        name: String,
    },
}

impl Uncacheable {
    /// The kind of reason, to be counted by.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Failed(_) => "failed",
            Self::Incomplete(_) | Self::Lost(_) => "something went unseen",
            Self::Survivor(_) => "a process outlived it",
            Self::Disabled { .. } => "disabled by a tool",
            Self::Network { .. } => "network",
            Self::StreamUsed { number: 0, .. } => "standard input",
            Self::StreamUsed { .. } => "inherited",
            Self::FolderMoved { .. } => "moved a folder",
            Self::ReadThenChanged { .. } | Self::UnknownBefore { .. } => "changed what it had read",
            Self::ChangedMeanwhile { .. } => "changed meanwhile by others",
            Self::Linked { .. } => "hard link to an input",
            Self::OutputOutsideRoot { .. } => "output outside the root",
            Self::SpecialFile { .. } => "special file",
            Self::Unreadable { .. } => "unreadable file",
            Self::NoRoom { .. } => "no room left",
            Self::Inherited { .. } => "inherited",
            Self::Terminal(_) => "terminal output",
            Self::Concurrent => "the same command at the same time",
            Self::Toolchain { .. } => "changed meanwhile by others",
        }
    }
}

/// Why the terminal output of a run is not known to the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TerminalLoss {
    /// It was longer than what is kept.
    TooLong,
    /// Somebody downstream stopped reading, so that the command may have been cut short.
    Cut,
    /// A process still had it open when waiting was over.
    StillOpen,
    /// The command used the file that it goes to.
    Used,
    /// The command read what was typed there.
    Typed,
}

/// A process, as people know it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Actor {
    /// Its process id; 0 when it is not known.
    pub pid: u32,
    /// Program and arguments.
    pub argv: Vec<Bytes>,
}

/// The process with this number; one without a name when it is not known.
pub(super) fn actor(trace: &Trace, process: ProcessId) -> Actor {
    let known = trace.process(process);
    known.map_or_else(Actor::default, |process| Actor {
        pid: process.pid,
        argv: process.argv.iter().map(|argument| argument[..].into()).collect(),
    })
}
