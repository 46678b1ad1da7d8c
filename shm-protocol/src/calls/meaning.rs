//! What a call is about to do, told from its arguments alone: plain functions for the right side of the table.

use crate::access::{AccessKind, Effect};

/// The `dirfd` that stands for the working directory (`AT_FDCWD`).
pub(super) const CWD: u64 = -100_i64 as u64;

/// Where the name of a touched path is to be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Name {
    /// A NUL-terminated string at this address of the calling process.
    At(u64),
    /// The same, but an empty string means the descriptor itself (`AT_EMPTY_PATH`).
    AtOrDescriptor(u64),
    /// The descriptor itself.
    Descriptor,
}

/// What a call needs to find at a path in order to succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// Something must be there.
    Present,
    /// Nothing may be there.
    Absent,
    /// Either will do.
    Either,
}

/// One path that a call touches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Touch {
    /// The descriptor that the name is relative to; `AT_FDCWD` (-100) for the working directory.
    pub dir: i32,
    /// The name.
    pub name: Name,
    /// The way in which it is touched, if the call succeeds.
    pub kind: AccessKind,
    /// What a `write` does to content that is there; `Replace` for a `delete`, `None` for what only looks.
    pub effect: Option<Effect>,
    /// Whether a `write` or `delete` also gives away what was there: `O_RDWR`, or a rename, which makes the old
    /// content appear elsewhere.
    pub reads: bool,
    /// Whether a terminal is only asked for: shells open theirs for reading and writing without blocking (`O_RDWR` and
    /// `O_NONBLOCK`) to see whether they have one.
    pub probes_terminal: bool,
    /// What must be there.
    pub needs: Needs,
    /// Whether a symbolic link at the end of the name is followed.
    pub follow: bool,
}

impl Touch {
    const fn look(dir: u64, name: Name, kind: AccessKind, follow: bool) -> Self {
        Self {
            dir: dir as i32,
            name,
            kind,
            effect: None,
            reads: false,
            probes_terminal: false,
            needs: Needs::Present,
            follow,
        }
    }

    const fn write(dir: u64, name: Name, effect: Effect, needs: Needs, follow: bool) -> Self {
        Self {
            dir: dir as i32,
            name,
            kind: AccessKind::Write,
            effect: Some(effect),
            reads: false,
            probes_terminal: false,
            needs,
            follow,
        }
    }

    const fn delete(dir: u64, name: Name) -> Self {
        Self {
            dir: dir as i32,
            name,
            kind: AccessKind::Delete,
            effect: Some(Effect::Replace),
            reads: false,
            probes_terminal: false,
            needs: Needs::Present,
            follow: false,
        }
    }
}

/// What a call means for the trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// Nothing that a trace records.
    Nothing,
    /// One path is touched.
    Touch(Touch),
    /// Two paths are touched, or one in two ways, in this order.
    Two(Touch, Touch),
    /// The working directory changes to the touched directory.
    ChangeDirectory(Touch),
    /// The touched file is executed.
    Execute {
        /// The file.
        file: Touch,
        /// Address of the argument vector.
        argv: u64,
    },
    /// The process exits with this status.
    Exit(u8),
    /// A descriptor is read, which matters when it is a stream that the command was given.
    ReadDescriptor(i32),
    /// A descriptor is written to or given another number, which matters when it is such a stream, and none of the
    /// standard ones: shells put those aside and back without using them.
    UseDescriptor(i32),
    /// A socket is connected, or a datagram sent, to the address at `address` of `length` bytes.
    Connect {
        /// Address of a `struct sockaddr`; 0 for none.
        address: u64,
        /// Its length in bytes.
        length: u64,
    },
    /// A socket is bound to such an address: if it is a path, a socket is made there.
    Bind {
        /// Address of a `struct sockaddr`.
        address: u64,
        /// Its length in bytes.
        length: u64,
    },
    /// Datagrams are sent, each perhaps to an address of its own.
    SendMessages {
        /// Address of an array of `struct mmsghdr`, each of which begins with a `struct msghdr`; of one of the latter
        /// if `count` is 1.
        messages: u64,
        /// How many there are.
        count: u64,
    },
    /// `io_uring_setup`.
    IoUring,
    /// A file is opened by handle.
    OpenByHandle,
    /// The root changes to the touched directory.
    ChangeRoot(Touch),
    /// The thread gets a root and a working directory of its own.
    UnshareDirectories,
    /// Mounts change, or the namespace of mounts, so that paths may mean something else.
    ChangeMounts,
    /// The call opens a file as an `open_how` at this address says (`openat2`).
    OpenHow {
        /// The descriptor that the name is relative to.
        dir: u64,
        /// Address of the name.
        path: u64,
        /// Address of the `struct open_how`, whose first word holds the flags of `openat`.
        how: u64,
    },
}

impl Meaning {
    /// Whether the call only looks at paths: such a call may be recorded after the fact by the library inside
    /// the process. Everything else is held by the net, so that the state before it can be taken.
    #[must_use]
    pub const fn observes(&self) -> bool {
        match self {
            Self::Touch(touch) | Self::ChangeDirectory(touch) => touch.kind.observes(),
            _ => false,
        }
    }
}

const O_ACCMODE: u64 = 0o3;
const O_RDONLY: u64 = 0;
const O_RDWR: u64 = 0o2;
pub(super) const O_CREAT: u64 = 0o100;
pub(super) const O_EXCL: u64 = 0o200;
pub(super) const O_TRUNC: u64 = 0o1000;
pub(super) const O_NONBLOCK: u64 = 0o4000;
pub(super) const O_PATH: u64 = 0o10_000_000;
#[cfg(target_arch = "aarch64")]
pub(super) const O_DIRECTORY: u64 = 0o40_000;
#[cfg(not(target_arch = "aarch64"))]
pub(super) const O_DIRECTORY: u64 = 0o200_000;
#[cfg(target_arch = "aarch64")]
pub(super) const O_NOFOLLOW: u64 = 0o100_000;
#[cfg(not(target_arch = "aarch64"))]
pub(super) const O_NOFOLLOW: u64 = 0o400_000;
const O_TMPFILE: u64 = 0o20_000_000;

pub(super) const AT_SYMLINK_NOFOLLOW: u64 = 0x100;
pub(super) const AT_SYMLINK_FOLLOW: u64 = 0x400;
const AT_EMPTY_PATH: u64 = 0x1000;
pub(super) const RENAME_NOREPLACE: u64 = 1;
pub(super) const RENAME_EXCHANGE: u64 = 2;
const CLONE_FS: u64 = 0x200;
const CLONE_NEWNS: u64 = 0x2_0000;
const CLONE_NEWUSER: u64 = 0x1000_0000;
const MS_REMOUNT: u64 = 1 << 5;
const MS_BIND: u64 = 1 << 12;
/// `MS_UNBINDABLE`, `MS_PRIVATE`, `MS_SLAVE`, `MS_SHARED`.
const MS_PROPAGATION: u64 = 0b1111 << 17;

const fn name(path: u64, flags: u64) -> Name {
    if flags & AT_EMPTY_PATH == 0 { Name::At(path) } else { Name::AtOrDescriptor(path) }
}

const fn follows(flags: u64) -> bool {
    flags & AT_SYMLINK_NOFOLLOW == 0
}

/// open(2) and its kin.
pub(super) const fn opened(dir: u64, path: u64, flags: u64) -> Meaning {
    let at = Name::At(path);
    let creates = flags & O_CREAT != 0;
    let exclusive = creates && flags & O_EXCL != 0;
    let follow = flags & O_NOFOLLOW == 0 && !exclusive;
    let needs = if exclusive {
        Needs::Absent
    } else if creates {
        Needs::Either
    } else {
        Needs::Present
    };
    if flags & O_PATH != 0 || flags & O_TMPFILE == O_TMPFILE {
        return Meaning::Touch(Touch::look(dir, at, AccessKind::Stat, follow));
    }
    let reads = matches!(flags & O_ACCMODE, O_RDONLY | O_RDWR) && flags & O_TRUNC == 0;
    let effect = if flags & O_TRUNC != 0 {
        Effect::Replace
    } else if flags & O_ACCMODE != O_RDONLY {
        Effect::Modify
    } else if creates {
        Effect::Create
    } else {
        let kind = if flags & O_DIRECTORY != 0 { AccessKind::Stat } else { AccessKind::Read };
        return Meaning::Touch(Touch::look(dir, at, kind, follow));
    };
    let mut touch = Touch::write(dir, at, effect, needs, follow);
    touch.reads = reads;
    touch.probes_terminal = flags & (O_ACCMODE | O_NONBLOCK) == O_RDWR | O_NONBLOCK;
    Meaning::Touch(touch)
}

/// Metadata of a path asked for: stat, access, statfs, getxattr, an inotify watch.
pub(super) const fn looked_up(dir: u64, path: u64, flags: u64) -> Meaning {
    Meaning::Touch(Touch::look(dir, name(path, flags), AccessKind::Stat, follows(flags)))
}

/// fgetxattr, flistxattr.
pub(super) const fn descriptor_looked_up(fd: u64) -> Meaning {
    Meaning::Touch(Touch::look(fd, Name::Descriptor, AccessKind::Stat, true))
}

/// readlink(2): an empty name means the descriptor itself, without a flag.
pub(super) const fn link_read(dir: u64, path: u64) -> Meaning {
    Meaning::Touch(Touch::look(dir, Name::AtOrDescriptor(path), AccessKind::Stat, false))
}

/// getdents(2).
pub(super) const fn listed(fd: u64) -> Meaning {
    Meaning::Touch(Touch::look(fd, Name::Descriptor, AccessKind::List, true))
}

/// opendir(3): the directory is opened to be read.
pub(super) const fn listed_by_name(path: u64) -> Meaning {
    Meaning::Touch(Touch::look(CWD, Name::At(path), AccessKind::List, true))
}

/// chmod, chown, utime, setxattr.
pub(super) const fn metadata_changed(dir: u64, path: u64, flags: u64) -> Meaning {
    // utimensat(fd, NULL, …) names the descriptor.
    let name = if path == 0 { Name::Descriptor } else { name(path, flags) };
    Meaning::Touch(Touch::write(dir, name, Effect::Metadata, Needs::Present, follows(flags)))
}

/// fchmod, fchown, fsetxattr.
pub(super) const fn descriptor_metadata_changed(fd: u64) -> Meaning {
    Meaning::Touch(Touch::write(fd, Name::Descriptor, Effect::Metadata, Needs::Present, true))
}

/// fcntl(2), which can give a descriptor another number.
pub(super) const fn descriptor_controlled(fd: u64, command: u64) -> Meaning {
    /// `F_DUPFD` and `F_DUPFD_CLOEXEC` of linux/fcntl.h.
    const COPIES: [u32; 2] = [0, 1030];
    if command as u32 == COPIES[0] || command as u32 == COPIES[1] {
        Meaning::UseDescriptor(fd as i32)
    } else {
        Meaning::Nothing
    }
}

/// truncate(2): what is kept of the old content shows through.
pub(super) const fn truncated(path: u64) -> Meaning {
    Meaning::Touch(Touch::write(CWD, Name::At(path), Effect::Modify, Needs::Present, true))
}

/// mkdir, mknod, symlink.
pub(super) const fn made(dir: u64, path: u64) -> Meaning {
    Meaning::Touch(Touch::write(dir, Name::At(path), Effect::Replace, Needs::Absent, false))
}

/// unlink, rmdir.
pub(super) const fn removed(dir: u64, path: u64) -> Meaning {
    Meaning::Touch(Touch::delete(dir, Name::At(path)))
}

/// rename(2) in its variants.
pub(super) const fn renamed(from_dir: u64, from: u64, to_dir: u64, to: u64, flags: u64) -> Meaning {
    if flags & RENAME_EXCHANGE != 0 {
        let both = Needs::Present;
        return Meaning::Two(
            Touch::write(from_dir, Name::At(from), Effect::Modify, both, false),
            Touch::write(to_dir, Name::At(to), Effect::Modify, both, false),
        );
    }
    let needs = if flags & RENAME_NOREPLACE != 0 { Needs::Absent } else { Needs::Either };
    Meaning::Two(
        Touch { reads: true, ..Touch::delete(from_dir, Name::At(from)) },
        Touch::write(to_dir, Name::At(to), Effect::Replace, needs, false),
    )
}

/// link(2): the new name gives the old file's content to whoever reads it.
pub(super) const fn linked(from_dir: u64, from: u64, to_dir: u64, to: u64, flags: u64) -> Meaning {
    let follow = flags & AT_SYMLINK_FOLLOW != 0;
    Meaning::Two(
        Touch::look(from_dir, name(from, flags), AccessKind::Read, follow),
        Touch::write(to_dir, Name::At(to), Effect::Replace, Needs::Absent, false),
    )
}

/// copyfile(3) of macOS: what is copied takes the place of what is there.
pub(super) const fn copied(from: u64, to: u64, follow_from: bool, follow_to: bool) -> Meaning {
    Meaning::Two(
        Touch::look(CWD, Name::At(from), AccessKind::Read, follow_from),
        Touch::write(CWD, Name::At(to), Effect::Replace, Needs::Either, follow_to),
    )
}

/// chdir(2).
pub(super) const fn directory_changed(path: u64) -> Meaning {
    Meaning::ChangeDirectory(Touch::look(CWD, Name::At(path), AccessKind::Stat, true))
}

/// fchdir(2).
pub(super) const fn directory_changed_to(fd: u64) -> Meaning {
    Meaning::ChangeDirectory(Touch::look(fd, Name::Descriptor, AccessKind::Stat, true))
}

/// chroot(2).
pub(super) const fn root_changed(path: u64) -> Meaning {
    Meaning::ChangeRoot(Touch::look(CWD, Name::At(path), AccessKind::Stat, true))
}

/// unshare(2): a namespace of mounts or of users comes with directories of its own.
pub(super) const fn unshared(flags: u64) -> Meaning {
    let separates = flags & (CLONE_FS | CLONE_NEWNS | CLONE_NEWUSER) != 0;
    if separates { Meaning::UnshareDirectories } else { Meaning::Nothing }
}

/// execve(2) and execveat(2).
pub(super) const fn executed(dir: u64, path: u64, argv: u64, flags: u64) -> Meaning {
    let file = Touch::look(dir, name(path, flags), AccessKind::Exec, follows(flags));
    Meaning::Execute { file, argv }
}

/// mount(2): how mounts are passed on to other namespaces does not change what paths mean, nor does a namespace of
/// one's own, as long as nothing is mounted there.
pub(super) const fn mounted(flags: u64) -> Meaning {
    let only_passed_on = flags & (MS_REMOUNT | MS_BIND) == 0 && flags & MS_PROPAGATION != 0;
    if only_passed_on { Meaning::Nothing } else { Meaning::ChangeMounts }
}

/// name_to_handle_at(2), which follows a link only when told to.
pub(super) const fn handle_asked(dir: u64, path: u64, flags: u64) -> Meaning {
    let follow = flags & AT_SYMLINK_FOLLOW != 0;
    Meaning::Touch(Touch::look(dir, name(path, flags), AccessKind::Stat, follow))
}
