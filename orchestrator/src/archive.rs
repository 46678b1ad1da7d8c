//! What a run left behind, and when a later run may stand in its place.

mod attributes;
mod changes;
mod restore;
mod staging;
mod times;

use std::fs;

use platform::files::{FileType, Identity};
use serde::{Deserialize, Serialize};
use shm_protocol::access::{AccessKind, Before};

pub use self::attributes::Attributes;
pub(crate) use self::restore::restore;
pub use self::restore::{Mtime, RestoreError, Restored};
pub(crate) use self::staging::sweep;
pub(crate) use self::times::Past;
use crate::bytes::Bytes;
use crate::fingerprint::{Digest, InputState, Observer};
use crate::wire;

/// One path that a run changed, and that is not as it was before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    /// The path, absolute and without symbolic links on the way.
    pub path: Bytes,
    /// What stood there before the run.
    #[serde(with = "wire::before")]
    pub before: Before,
    /// What the run left there.
    pub left: Left,
    /// How the run looked at it before it changed it.
    pub look: Look,
    /// What else the run left there.
    pub attributes: Attributes,
    /// For a file: the first output that is the same file under another name.
    pub link_to: Option<Bytes>,
    /// Its modification time, nanoseconds since 1970.
    pub mtime_ns: u64,
}

/// How a run looked at a path before it changed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Look {
    /// Not at all, or only at its name in a directory.
    None,
    /// Whether it was there, and at its metadata.
    Metadata,
    /// At its content, which was known before the run: it is an input as well, and that decides.
    Content,
}

/// What a run left at a path.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Left {
    /// A regular file.
    File {
        /// Of its content.
        digest: Digest,
        /// Its length in bytes.
        size: u64,
        /// Its permission bits.
        mode: u16,
    },
    /// A directory with these permission bits; its entries are outputs of their own.
    Directory {
        /// Its permission bits.
        mode: u16,
    },
    /// A symbolic link.
    Symlink {
        /// What it says.
        target: Bytes,
    },
    /// What was there, with these permission bits.
    Mode(u16),
    /// Nothing: it was deleted.
    Absent,
}

/// What an output that is in place stands as: nothing for a deletion.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct InPlace {
    /// Its modification time, nanoseconds since 1970.
    pub(crate) mtime_ns: i128,
    /// Device and inode.
    pub(crate) file: (u64, u64),
}

/// What stands at the path of an output at the time of a look-up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Nothing.
    Absent,
    /// A regular file; its digest is taken only where one of its size was left there.
    File { digest: Option<Digest>, mode: u16 },
    /// A directory.
    Directory { mode: u16 },
    /// A symbolic link.
    Symlink { target: Bytes },
    /// Anything else, or what can't be looked at.
    Other,
}

impl Standing {
    /// What stands at `path`; a file is read if it has one of the `sizes`.
    pub(crate) fn at(path: &Bytes, observer: &mut Observer<'_>, sizes: &[u64]) -> Self {
        let identity = match observer.identity(path, false) {
            Ok(identity) => identity,
            Err(InputState::Absent | InputState::NoFolder) => return Self::Absent,
            Err(_) => return Self::Other,
        };
        let mode = identity.mode as u16;
        match identity.file_type {
            FileType::Directory => Self::Directory { mode },
            FileType::Symlink => fs::read_link(path.to_path())
                .map_or(Self::Other, |target| Self::Symlink { target: target.as_path().into() }),
            FileType::Other => Self::Other,
            FileType::File if sizes.contains(&identity.size) => {
                let digest = observer.digest_of(&path.to_path(), &identity);
                digest.map_or(Self::Other, |digest| Self::File { digest: Some(digest), mode })
            }
            FileType::File => Self::File { digest: None, mode },
        }
    }
}

impl Output {
    /// How it was touched: `write`, or `delete` for what is no longer there.
    #[must_use]
    pub fn access_kind(&self) -> AccessKind {
        if self.left == Left::Absent { AccessKind::Delete } else { AccessKind::Write }
    }
}

impl Left {
    /// Whether something was put there as a whole, so that it is known what stands there wherever it does.
    pub(crate) fn is_whole(&self) -> bool {
        !matches!(self, Self::Mode(_) | Self::Absent)
    }

    /// Digest and length of the file that was left.
    pub(crate) fn content(&self) -> Option<(Digest, u64)> {
        match self {
            Self::File { digest, size, .. } => Some((*digest, *size)),
            _ => None,
        }
    }

    /// Whether what stands there, but for its attributes, is exactly what was left.
    pub(crate) fn is(&self, now: &Standing) -> bool {
        match (self, now) {
            (Self::File { digest, mode, .. }, Standing::File { digest: found, mode: bits }) => {
                Some(*digest) == *found && mode == bits
            }
            (Self::Directory { mode }, Standing::Directory { mode: bits }) => mode == bits,
            (Self::Symlink { target }, Standing::Symlink { target: found }) => target == found,
            // What was there is judged as an input.
            (Self::Mode(mode), Standing::File { mode: bits, .. } | Standing::Directory { mode: bits }) => {
                mode == bits
            }
            (Self::Absent, Standing::Absent) => true,
            _ => false,
        }
    }
}

impl Output {
    /// What stands there, if it is exactly what was left.
    pub(crate) fn in_place(&self, now: &Standing, observer: &mut Observer<'_>) -> Option<InPlace> {
        let is_right = self.left.is(now) && self.has_attributes(observer) && self.is_linked(observer);
        let identity = observer.identity(&self.path, false);
        let place = |now: Identity| InPlace { mtime_ns: now.mtime_ns, file: (now.device, now.inode) };
        is_right.then(|| identity.map_or_else(|_| InPlace::default(), place))
    }

    /// Whether what stands there, if it is to stay, has the attributes that were left. What others it had before is not
    /// known.
    pub(crate) fn has_attributes(&self, observer: &mut Observer<'_>) -> bool {
        match observer.identity(&self.path, false) {
            Ok(now) if self.left != Left::Absent => {
                self.attributes == Attributes::at(&self.path.to_path(), &now)
            }
            _ => true,
        }
    }

    fn is_linked(&self, observer: &mut Observer<'_>) -> bool {
        let Some(first) = &self.link_to else { return true };
        match (observer.identity(&self.path, false), observer.identity(first, false)) {
            (Ok(own), Ok(first)) => (own.device, own.inode) == (first.device, first.inode),
            _ => false,
        }
    }

    /// Whether a run that finds `now` here would have come to the same: it finds what this run found, or what this
    /// run left, or something that this run replaced without a look.
    ///
    /// | before | left | accepted, besides exactly what was left |
    /// |---|---|---|
    /// | nothing | anything | nothing (not another file: its absence may have been asked for, by `O_EXCL`) |
    /// | a file | a file, unlooked | a file of the same mode, whatever is in it |
    /// | a directory | a directory | a directory with the mode it had |
    /// | a file or directory | another mode | the same type with the mode it had |
    /// | a file, symlink | nothing | the same type (and mode); *not* nothing: that there was something was seen |
    /// | a directory | nothing | a directory with the mode it had; that it was empty is an observation |
    ///
    /// What else was there before is not known well enough to be told again. That attributes are those that were left is
    /// for [`Output::has_attributes`] to say.
    pub(crate) fn accepts(&self, now: &Standing) -> bool {
        if self.look == Look::Content {
            return true;
        }
        match (self.before, &self.left, now) {
            (Before::File(mode), Left::Absent, Standing::File { mode: bits, .. }) => mode == *bits,
            (Before::Directory(mode), Left::Absent, Standing::Directory { mode: bits }) => mode == *bits,
            (Before::Symlink, Left::Absent, Standing::Symlink { .. }) => true,
            (_, Left::Absent, _) => false,
            (Before::File(mode), Left::Mode(_), Standing::File { mode: bits, .. })
            | (
                Before::Directory(mode),
                Left::Mode(_) | Left::Directory { .. },
                Standing::Directory { mode: bits },
            ) => mode == *bits || self.left.is(now),
            (Before::File(_) | Before::Directory(_), Left::Mode(_), _) => false,
            (Before::Absent, _, Standing::Absent) => true,
            (Before::File(_), Left::File { mode, .. }, Standing::File { mode: bits, .. })
                if self.look == Look::None =>
            {
                mode == bits
            }
            _ => self.left.is(now),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: Digest = Digest([1; 32]);
    const FOREIGN: Digest = Digest([2; 32]);

    fn output(before: Before, left: Left, look: Look) -> Output {
        let attributes = Attributes::default();
        Output { path: Bytes::default(), before, left, look, attributes, link_to: None, mtime_ns: 0 }
    }

    fn file(digest: Digest, mode: u16) -> Standing {
        Standing::File { digest: Some(digest), mode }
    }

    fn standings() -> [(&'static str, Standing); 9] {
        [
            ("nothing", Standing::Absent),
            ("own", file(OWN, 0o644)),
            ("own, mode", file(OWN, 0o600)),
            ("other", file(FOREIGN, 0o644)),
            ("unread", Standing::File { digest: None, mode: 0o644 }),
            ("folder", Standing::Directory { mode: 0o755 }),
            ("folder, mode", Standing::Directory { mode: 0o700 }),
            ("link", Standing::Symlink { target: b"t"[..].into() }),
            ("link elsewhere", Standing::Symlink { target: b"u"[..].into() }),
        ]
    }

    #[test]
    fn an_output_in_place_is_accepted_only_as_it_was_before_or_as_it_was_left() {
        let left_file = || Left::File { digest: OWN, size: 1, mode: 0o644 };
        let left_folder = || Left::Directory { mode: 0o755 };
        let left_link = || Left::Symlink { target: b"t"[..].into() };
        let table: [(Before, Left, bool, &[&str]); 17] = [
            (Before::Absent, left_file(), false, &["nothing", "own"]),
            (Before::Absent, left_file(), true, &["nothing", "own"]),
            (Before::Absent, left_folder(), false, &["nothing", "folder"]),
            (Before::Absent, left_link(), true, &["nothing", "link"]),
            (Before::File(0o644), left_file(), false, &["own", "other", "unread"]),
            (Before::File(0o644), left_file(), true, &["own"]),
            (Before::File(0o600), left_file(), false, &["own", "other", "unread"]),
            (Before::File(0o644), left_folder(), false, &["folder"]),
            (Before::File(0o644), left_link(), false, &["link"]),
            (Before::File(0o644), Left::Absent, false, &["own", "other", "unread"]),
            (Before::File(0o600), Left::Mode(0o644), true, &["own", "own, mode", "other", "unread"]),
            (Before::Directory(0o700), Left::Mode(0o755), true, &["folder", "folder, mode"]),
            (Before::Directory(0o700), left_file(), false, &["own"]),
            (Before::Directory(0o755), Left::Absent, false, &["folder"]),
            (Before::Symlink, left_link(), false, &["link"]),
            (Before::Symlink, Left::Absent, false, &["link", "link elsewhere"]),
            (Before::Unknown, left_file(), false, &["own"]),
        ];
        for (before, left, looked, accepted) in table {
            let look = if looked { Look::Metadata } else { Look::None };
            let output = output(before, left, look);
            for (name, standing) in standings() {
                assert_eq!(output.accepts(&standing), accepted.contains(&name), "{output:?}: {name}");
            }
        }
    }

    #[test]
    fn nothing_and_special_files_are_never_what_was_left() {
        for left in [Left::File { digest: OWN, size: 1, mode: 0 }, Left::Directory { mode: 0 }, Left::Mode(0)]
        {
            let output = output(Before::File(0), left, Look::None);
            assert!(!output.accepts(&Standing::Absent) && !output.accepts(&Standing::Other), "{output:?}");
        }
    }
}
