//! What a process did to one path: the words every part of tracerun shares.

use crate::path::Joined;

/// The way in which a path was touched (section 2 of the contract).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum AccessKind {
    /// Opened for reading, mapped or loaded.
    Read = 1,
    /// Executed: a binary, a script, or a script's interpreter.
    Exec = 2,
    /// Metadata of an existing path asked for.
    Stat = 3,
    /// Looked up and not there.
    Missing = 4,
    /// A directory enumerated.
    List = 5,
    /// Created, opened for writing, or its metadata changed.
    Write = 6,
    /// Unlinked, removed or renamed away.
    Delete = 7,
}

impl AccessKind {
    /// Every kind, in the order of the contract's table.
    pub const ALL: [Self; 7] =
        [Self::Read, Self::Exec, Self::Stat, Self::Missing, Self::List, Self::Write, Self::Delete];

    /// The name used in every output.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Exec => "exec",
            Self::Stat => "stat",
            Self::Missing => "missing",
            Self::List => "list",
            Self::Write => "write",
            Self::Delete => "delete",
        }
    }

    /// The kind with this wire value.
    #[must_use]
    pub const fn from_wire(value: u8) -> Option<Self> {
        match value {
            1..=7 => Some(Self::ALL[value as usize - 1]),
            _ => None,
        }
    }

    /// Whether the access only looks, so that nothing has to be known of the path before it happens.
    #[must_use]
    pub const fn observes(self) -> bool {
        !matches!(self, Self::Write | Self::Delete)
    }
}

/// How a call ended, without an errno: Windows has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Outcome {
    /// The call did what it was asked.
    Done = 1,
    /// The path was not there.
    Absent = 2,
    /// The path was there and the call failed for another reason.
    Refused = 3,
}

impl Outcome {
    /// The outcome with this wire value.
    #[must_use]
    pub const fn from_wire(value: u8) -> Option<Self> {
        match value {
            1 => Some(Self::Done),
            2 => Some(Self::Absent),
            3 => Some(Self::Refused),
            _ => None,
        }
    }

    /// The kind of access that a call meant as `kind` amounted to: what was absent was looked up in vain, what
    /// was refused gave away that the path exists.
    #[must_use]
    pub const fn settle(self, kind: AccessKind) -> AccessKind {
        match self {
            Self::Done => kind,
            Self::Absent => AccessKind::Missing,
            Self::Refused => AccessKind::Stat,
        }
    }
}

/// What a `write` does to the content that was there before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Effect {
    /// The old content is gone unread: created, truncated, renamed over, unlinked.
    Replace = 1,
    /// The old content may show through: opened for writing in place, appended to.
    Modify = 2,
    /// Content is untouched: mode, owner, times, extended attributes.
    Metadata = 3,
    /// What is there is left alone; where nothing is, an empty file appears (`O_RDONLY | O_CREAT`).
    Create = 4,
}

impl Effect {
    /// The effect with this wire value.
    #[must_use]
    pub const fn from_wire(value: u8) -> Option<Self> {
        match value {
            1 => Some(Self::Replace),
            2 => Some(Self::Modify),
            3 => Some(Self::Metadata),
            4 => Some(Self::Create),
            _ => None,
        }
    }
}

/// What stood at a path just before a `write` or `delete`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Before {
    /// It could not be told.
    Unknown,
    /// Nothing.
    Absent,
    /// A regular file with these permission bits.
    File(u16),
    /// A directory with these permission bits.
    Directory(u16),
    /// A symbolic link.
    Symlink,
    /// A device, socket or FIFO.
    Other,
}

impl Before {
    /// The wire form: a tag and permission bits.
    #[must_use]
    pub const fn to_wire(self) -> (u8, u16) {
        match self {
            Self::Unknown => (0, 0),
            Self::Absent => (1, 0),
            Self::File(mode) => (2, mode),
            Self::Directory(mode) => (3, mode),
            Self::Symlink => (4, 0),
            Self::Other => (5, 0),
        }
    }

    /// The state with this wire form.
    #[must_use]
    pub const fn from_wire(tag: u8, mode: u16) -> Option<Self> {
        match tag {
            0 => Some(Self::Unknown),
            1 => Some(Self::Absent),
            2 => Some(Self::File(mode)),
            3 => Some(Self::Directory(mode)),
            4 => Some(Self::Symlink),
            5 => Some(Self::Other),
            _ => None,
        }
    }
}

/// What a `write` or `delete` found and did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Change {
    /// What it does to the content.
    pub effect: Effect,
    /// What stood there before.
    pub before: Before,
}

/// One path touched in one way by one process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access<'a> {
    /// The call that touched it.
    pub call: crate::calls::Call,
    /// What the call was meant to do; [`Outcome::settle`] says what it came to.
    pub kind: AccessKind,
    /// How it ended.
    pub outcome: Outcome,
    /// Whether the call follows a symbolic link at the end of the path.
    pub follow: bool,
    /// For `write` and `delete`: what was there and what became of it.
    pub change: Option<Change>,
    /// The absolute path as the program named it, with the directory it was relative to. It may hold `.`,
    /// `..` and `//`; never empty.
    pub path: Joined<'a>,
}

/// A reason for which a trace may have missed something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Gap {
    /// A process made system calls of an ABI that is not decoded.
    ForeignAbi = 1,
    /// A path could not be read from the memory of the process.
    UnreadablePath = 2,
    /// The directory that a path was relative to could not be resolved.
    UnresolvedDirectory = 3,
    /// `io_uring` was in use: it opens files without system calls.
    IoUring = 4,
    /// A file was opened by handle, without a path.
    OpenByHandle = 5,
    /// The mounts changed, so that paths may mean something else.
    ChangedMounts = 6,
    /// Records could not be understood.
    BadRecord = 7,
    /// The kernel refused the filter: only what the preload library sees is known.
    NoFilter = 8,
    /// A process outlived the run and was not watched further.
    Survivor = 9,
    /// The supervisor could not go on.
    SupervisorFailed = 10,
    /// A program was executed that gives privileges, which the capture has kept it from doing (`no_new_privs`, or ptrace).
    LostPrivileges = 11,
    /// A program ran without the library where nothing else watches.
    NotInstrumented = 12,
}

impl Gap {
    /// Every gap.
    pub const ALL: [Self; 12] = [
        Self::ForeignAbi,
        Self::UnreadablePath,
        Self::UnresolvedDirectory,
        Self::IoUring,
        Self::OpenByHandle,
        Self::ChangedMounts,
        Self::BadRecord,
        Self::NoFilter,
        Self::Survivor,
        Self::SupervisorFailed,
        Self::LostPrivileges,
        Self::NotInstrumented,
    ];

    /// The gap with this wire value.
    #[must_use]
    pub const fn from_wire(value: u8) -> Option<Self> {
        match value {
            1..=12 => Some(Self::ALL[value as usize - 1]),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wire_values_come_back() {
        for kind in AccessKind::ALL {
            assert_eq!(AccessKind::from_wire(kind as u8), Some(kind));
        }
        for gap in Gap::ALL {
            assert_eq!(Gap::from_wire(gap as u8), Some(gap));
        }
        for before in [
            Before::Unknown,
            Before::Absent,
            Before::File(0o644),
            Before::Directory(0o1777),
            Before::Symlink,
            Before::Other,
        ] {
            let (tag, mode) = before.to_wire();
            assert_eq!(Before::from_wire(tag, mode), Some(before));
        }
        assert_eq!(AccessKind::from_wire(0), None);
        assert_eq!(AccessKind::from_wire(8), None);
    }

    #[test]
    fn what_was_absent_or_refused_settles_to_what_it_gave_away() {
        assert_eq!(Outcome::Absent.settle(AccessKind::Read), AccessKind::Missing);
        assert_eq!(Outcome::Refused.settle(AccessKind::Write), AccessKind::Stat);
        assert_eq!(Outcome::Done.settle(AccessKind::List), AccessKind::List);
    }
}
