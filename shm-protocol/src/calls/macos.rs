//! THE TABLE for macOS: one line per interposed function of libSystem.
//!
//! A line of [`crate::interposed_symbols!`] reads: what the function returns, its name here, the symbol that it takes the place of, its
//! arguments, and what the call means for a trace. `int` is -1 for an error; a `pointer` is null for one; `variadic` is an `int`,
//! and the last argument is one that C leaves open; what is done `by_hand` takes more than its arguments to tell, or work before the
//! call, and has a replacement of its own in `preload/src/macos/by_hand.rs`. On Intel many functions have a symbol for each size of inode that the
//! system ever had, and most that can block have one without cancellation.
//!
//! Flags are numbered otherwise than on Linux; here they are given the numbers of Linux, so that the meanings serve both.

use super::meaning::{
    self, CWD, Meaning, copied, descriptor_looked_up, descriptor_metadata_changed, directory_changed,
    directory_changed_to, link_read, linked, listed, listed_by_name, looked_up, made, metadata_changed,
    opened, removed, renamed, root_changed, truncated,
};

/// Expands `$with!` with the functions that are interposed.
///
/// The attribute on a line says on which architectures the symbol exists; in the enum it exists everywhere, so that records mean the
/// same everywhere.
#[macro_export]
macro_rules! interposed_symbols {
    ($with:ident) => {
        $with! {
            variadic open "open" (path, flags, mode) = opened(CWD, path, opening(flags));
            variadic open_nocancel "open$NOCANCEL" (path, flags, mode) = opened(CWD, path, opening(flags));
            variadic openat "openat" (dir, path, flags, mode) = opened(at(dir), path, opening(flags));
            variadic openat_nocancel "openat$NOCANCEL" (dir, path, flags, mode) = opened(at(dir), path, opening(flags));
            int openx_np "openx_np" (path, flags, _security) = opened(CWD, path, opening(flags));
            int creat "creat" (path, _mode) = opened(CWD, path, opening(0x601));
            int spawn_opens "posix_spawn_file_actions_addopen" (_actions, _fd, path, flags, _mode) = opened(CWD, path, opening(flags));
            int openbyid_np "openbyid_np" (_system, _object, _flags) = Meaning::OpenByHandle;
            int fhopen "fhopen" (_handle, _flags) = Meaning::OpenByHandle;

            int stat "stat" (path, _buffer) = looked_up(CWD, path, 0);
            int lstat "lstat" (path, _buffer) = looked_up(CWD, path, NO_FOLLOW);
            int fstatat "fstatat" (dir, path, _buffer, flags) = looked_up(at(dir), path, looking(flags));
            int statx_np "statx_np" (path, _buffer, _security) = looked_up(CWD, path, 0);
            int lstatx_np "lstatx_np" (path, _buffer, _security) = looked_up(CWD, path, NO_FOLLOW);
            int statfs "statfs" (path, _buffer) = looked_up(CWD, path, 0);
            #[cfg(target_arch = "x86_64")]
            int stat_inode64 "stat$INODE64" (path, _buffer) = looked_up(CWD, path, 0);
            #[cfg(target_arch = "x86_64")]
            int lstat_inode64 "lstat$INODE64" (path, _buffer) = looked_up(CWD, path, NO_FOLLOW);
            #[cfg(target_arch = "x86_64")]
            int fstatat_inode64 "fstatat$INODE64" (dir, path, _buffer, flags) = looked_up(at(dir), path, looking(flags));
            #[cfg(target_arch = "x86_64")]
            int stat64 "stat64" (path, _buffer) = looked_up(CWD, path, 0);
            #[cfg(target_arch = "x86_64")]
            int lstat64 "lstat64" (path, _buffer) = looked_up(CWD, path, NO_FOLLOW);
            #[cfg(target_arch = "x86_64")]
            int statfs_inode64 "statfs$INODE64" (path, _buffer) = looked_up(CWD, path, 0);
            int access "access" (path, _mode) = looked_up(CWD, path, 0);
            int faccessat "faccessat" (dir, path, _mode, flags) = looked_up(at(dir), path, looking(flags));
            int readlink "readlink" (path, _buffer, _size) = link_read(CWD, path);
            int readlinkat "readlinkat" (dir, path, _buffer, _size) = link_read(at(dir), path);
            int pathconf "pathconf" (path, _name) = looked_up(CWD, path, 0);
            int getattrlist "getattrlist" (path, _list, _buffer, _size, options) = looked_up(CWD, path, unfollowed(options));
            int getattrlistat "getattrlistat" (dir, path, _list, _buffer, _size, options) = looked_up(at(dir), path, unfollowed(options));
            int getxattr "getxattr" (path, _name, _value, _size, _position, options) = looked_up(CWD, path, unfollowed(options));
            int listxattr "listxattr" (path, _list, _size, options) = looked_up(CWD, path, unfollowed(options));
            int fgetxattr "fgetxattr" (fd, _name, _value, _size, _position, _options) = descriptor_looked_up(fd);
            int flistxattr "flistxattr" (fd, _list, _size, _options) = descriptor_looked_up(fd);
            pointer realpath "realpath" (path, _buffer) = looked_up(CWD, path, 0);
            pointer realpath_extsn "realpath$DARWIN_EXTSN" (path, _buffer) = looked_up(CWD, path, 0);

            pointer opendir "opendir" (path) = listed_by_name(path);
            pointer opendir2 "__opendir2" (path, _flags) = listed_by_name(path);
            pointer fdopendir "fdopendir" (fd) = listed(fd);
            int scandir "scandir" (path, _entries, _filter, _compare) = listed_by_name(path);
            #[cfg(target_arch = "x86_64")]
            pointer opendir_inode64 "opendir$INODE64" (path) = listed_by_name(path);
            #[cfg(target_arch = "x86_64")]
            pointer opendir2_inode64 "__opendir2$INODE64" (path, _flags) = listed_by_name(path);
            #[cfg(target_arch = "x86_64")]
            pointer fdopendir_inode64 "fdopendir$INODE64" (fd) = listed(fd);
            #[cfg(target_arch = "x86_64")]
            int scandir_inode64 "scandir$INODE64" (path, _entries, _filter, _compare) = listed_by_name(path);
            #[cfg(target_arch = "x86_64")]
            int getdirentries "getdirentries" (fd, _buffer, _size, _base) = listed(fd);
            int getdirentries64 "__getdirentries64" (fd, _buffer, _size, _base) = listed(fd);
            int getattrlistbulk "getattrlistbulk" (fd, _list, _buffer, _size, _options) = listed(fd);
            int getdirentriesattr "getdirentriesattr" (fd, _list, _buffer, _size, _count, _base) = listed(fd);

            int chdir "chdir" (path) = directory_changed(path);
            int fchdir "fchdir" (fd) = directory_changed_to(fd);
            int pthread_chdir_np "pthread_chdir_np" (path) = directory_changed(path);
            int pthread_fchdir_np "pthread_fchdir_np" (fd) = directory_changed_to(fd);
            int chroot "chroot" (path) = root_changed(path);
            int mount "mount" (_type, _path, _flags, _data) = Meaning::ChangeMounts;
            int unmount "unmount" (_path, _flags) = Meaning::ChangeMounts;

            int rename "rename" (from, to) = renamed(CWD, from, CWD, to, 0);
            int renameat "renameat" (from_dir, from, to_dir, to) = renamed(at(from_dir), from, at(to_dir), to, 0);
            int renamex_np "renamex_np" (from, to, flags) = renamed(CWD, from, CWD, to, renaming(flags));
            int renameatx_np "renameatx_np" (from_dir, from, to_dir, to, flags) = renamed(at(from_dir), from, at(to_dir), to, renaming(flags));
            int exchangedata "exchangedata" (one, other, _options) = renamed(CWD, one, CWD, other, renaming(2));
            int link "link" (from, to) = linked(CWD, from, CWD, to, meaning::AT_SYMLINK_FOLLOW);
            int linkat "linkat" (from_dir, from, to_dir, to, flags) = linked(at(from_dir), from, at(to_dir), to, looking(flags));
            int clonefile "clonefile" (from, to, flags) = linked(CWD, from, CWD, to, cloning(flags));
            int clonefileat "clonefileat" (from_dir, from, to_dir, to, flags) = linked(at(from_dir), from, at(to_dir), to, cloning(flags));
            int fclonefileat "fclonefileat" (_fd, dir, path, _flags) = made(at(dir), path);
            int copyfile "copyfile" (from, to, _state, flags) = copied(from, to, flags & 1 << 18 == 0, flags & 1 << 19 == 0);
            int symlink "symlink" (_target, path) = made(CWD, path);
            int symlinkat "symlinkat" (_target, dir, path) = made(at(dir), path);
            int mkdir "mkdir" (path, _mode) = made(CWD, path);
            int mkdirat "mkdirat" (dir, path, _mode) = made(at(dir), path);
            int mkdirx_np "mkdirx_np" (path, _security) = made(CWD, path);
            int mkfifo "mkfifo" (path, _mode) = made(CWD, path);
            int mkfifoat "mkfifoat" (dir, path, _mode) = made(at(dir), path);
            int mknod "mknod" (path, _mode, _device) = made(CWD, path);
            int mknodat "mknodat" (dir, path, _mode, _device) = made(at(dir), path);
            int unlink "unlink" (path) = removed(CWD, path);
            int unlinkat "unlinkat" (dir, path, _flags) = removed(at(dir), path);
            int rmdir "rmdir" (path) = removed(CWD, path);
            int remove "remove" (path) = removed(CWD, path);
            int removefile "removefile" (path, _state, _flags) = removed(CWD, path);

            int truncate "truncate" (path, _length) = truncated(path);
            int chmod "chmod" (path, _mode) = metadata_changed(CWD, path, 0);
            int lchmod "lchmod" (path, _mode) = metadata_changed(CWD, path, NO_FOLLOW);
            int fchmodat "fchmodat" (dir, path, _mode, flags) = metadata_changed(at(dir), path, looking(flags));
            int fchmod "fchmod" (fd, _mode) = descriptor_metadata_changed(fd);
            int chmodx_np "chmodx_np" (path, _security) = metadata_changed(CWD, path, 0);
            int chflags "chflags" (path, _flags) = metadata_changed(CWD, path, 0);
            int lchflags "lchflags" (path, _flags) = metadata_changed(CWD, path, NO_FOLLOW);
            int fchflags "fchflags" (fd, _flags) = descriptor_metadata_changed(fd);
            int chown "chown" (path, _user, _group) = metadata_changed(CWD, path, 0);
            int lchown "lchown" (path, _user, _group) = metadata_changed(CWD, path, NO_FOLLOW);
            int fchownat "fchownat" (dir, path, _user, _group, flags) = metadata_changed(at(dir), path, looking(flags));
            int fchown "fchown" (fd, _user, _group) = descriptor_metadata_changed(fd);
            int utime "utime" (path, _times) = metadata_changed(CWD, path, 0);
            int utimes "utimes" (path, _times) = metadata_changed(CWD, path, 0);
            int lutimes "lutimes" (path, _times) = metadata_changed(CWD, path, NO_FOLLOW);
            int futimes "futimes" (fd, _times) = descriptor_metadata_changed(fd);
            int utimensat "utimensat" (dir, path, _times, flags) = metadata_changed(at(dir), path, looking(flags));
            int futimens "futimens" (fd, _times) = descriptor_metadata_changed(fd);
            int setattrlist "setattrlist" (path, _list, _buffer, _size, options) = metadata_changed(CWD, path, unfollowed(options));
            int setattrlistat "setattrlistat" (dir, path, _list, _buffer, _size, options) = metadata_changed(at(dir), path, unfollowed(options));
            int fsetattrlist "fsetattrlist" (fd, _list, _buffer, _size, _options) = descriptor_metadata_changed(fd);
            int setxattr "setxattr" (path, _name, _value, _size, _position, options) = metadata_changed(CWD, path, unfollowed(options));
            int removexattr "removexattr" (path, _name, options) = metadata_changed(CWD, path, unfollowed(options));
            int fsetxattr "fsetxattr" (fd, _name, _value, _size, _position, _options) = descriptor_metadata_changed(fd);
            int fremovexattr "fremovexattr" (fd, _name, _options) = descriptor_metadata_changed(fd);
            int acl_set_file "acl_set_file" (path, _type, _list) = metadata_changed(CWD, path, 0);
            int acl_set_link_np "acl_set_link_np" (path, _type, _list) = metadata_changed(CWD, path, NO_FOLLOW);

            int connect "connect" (_fd, address, length) = Meaning::Connect { address, length };
            int connect_nocancel "connect$NOCANCEL" (_fd, address, length) = Meaning::Connect { address, length };
            int bind "bind" (_fd, address, length) = Meaning::Bind { address, length };
            int sendto "sendto" (_fd, _data, _size, _flags, address, length) = Meaning::Connect { address, length };
            int sendto_nocancel "sendto$NOCANCEL" (_fd, _data, _size, _flags, address, length) = Meaning::Connect { address, length };
            int sendmsg "sendmsg" (_fd, messages, _flags) = Meaning::SendMessages { messages, count: 1 };
            int sendmsg_nocancel "sendmsg$NOCANCEL" (_fd, messages, _flags) = Meaning::SendMessages { messages, count: 1 };

            by_hand fopen "fopen" () = Meaning::Nothing;
            by_hand fopen_extsn "fopen$DARWIN_EXTSN" () = Meaning::Nothing;
            by_hand freopen "freopen" () = Meaning::Nothing;
            by_hand mkstemp "mkstemp" () = Meaning::Nothing;
            by_hand mkstemps "mkstemps" () = Meaning::Nothing;
            by_hand mkostemp "mkostemp" () = Meaning::Nothing;
            by_hand mkostemps "mkostemps" () = Meaning::Nothing;
            by_hand mkdtemp "mkdtemp" () = Meaning::Nothing;
            by_hand execve "execve" () = Meaning::Nothing;
            by_hand execv "execv" () = Meaning::Nothing;
            by_hand execvp "execvp" () = Meaning::Nothing;
            by_hand execvP "execvP" () = Meaning::Nothing;
            by_hand execl "execl" () = Meaning::Nothing;
            by_hand execle "execle" () = Meaning::Nothing;
            by_hand execlp "execlp" () = Meaning::Nothing;
            by_hand posix_spawn "posix_spawn" () = Meaning::Nothing;
            by_hand posix_spawnp "posix_spawnp" () = Meaning::Nothing;
            by_hand system "system" () = Meaning::Nothing;
            by_hand popen "popen" () = Meaning::Nothing;
            by_hand connectx "connectx" () = Meaning::Nothing;
            by_hand syscall "syscall" () = Meaning::Nothing;
            by_hand __syscall "__syscall" () = Meaning::Nothing;
        }
    };
}

/// `AT_SYMLINK_NOFOLLOW` as the meanings have it.
const NO_FOLLOW: u64 = meaning::AT_SYMLINK_NOFOLLOW;

/// A flag that stands for one of Linux where it is set.
const fn translated(flags: u64, from: u64, to: u64) -> u64 {
    if flags as u32 as u64 & from != 0 { to } else { 0 }
}

/// The descriptor that a name is relative to (sys/fcntl.h: `AT_FDCWD` is -2).
const fn at(dir: u64) -> u64 {
    if dir as i32 == -2 { CWD } else { dir }
}

/// The flags of open(2), from sys/fcntl.h.
const fn opening(flags: u64) -> u64 {
    const O_SYMLINK: u64 = 0x20_0000;
    const O_NOFOLLOW: u64 = 0x100;
    const O_NOFOLLOW_ANY: u64 = 0x2000_0000;
    /// Opened to be told of events only.
    const O_EVTONLY: u64 = 0x8000;
    flags & 3
        | translated(flags, 4, meaning::O_NONBLOCK)
        | translated(flags, 0x200, meaning::O_CREAT)
        | translated(flags, 0x400, meaning::O_TRUNC)
        | translated(flags, 0x800, meaning::O_EXCL)
        | translated(flags, 0x10_0000, meaning::O_DIRECTORY)
        | translated(flags, O_EVTONLY, meaning::O_PATH)
        // A link that is opened itself is looked at, not what it leads to.
        | translated(flags, O_SYMLINK | O_NOFOLLOW | O_NOFOLLOW_ANY, meaning::O_NOFOLLOW)
}

/// The flags of the calls that take `AT_…`, from sys/fcntl.h.
const fn looking(flags: u64) -> u64 {
    translated(flags, 0x20 | 0x800, meaning::AT_SYMLINK_NOFOLLOW)
        | translated(flags, 0x40, meaning::AT_SYMLINK_FOLLOW)
}

/// `FSOPT_NOFOLLOW` and `XATTR_NOFOLLOW`, and of the latter `FSOPT_NOFOLLOW_ANY`.
const fn unfollowed(options: u64) -> u64 {
    translated(options, 1 | 0x800, meaning::AT_SYMLINK_NOFOLLOW)
}

/// The flags of renamex_np(2), from sys/stdio.h.
const fn renaming(flags: u64) -> u64 {
    translated(flags, 2, meaning::RENAME_EXCHANGE) | translated(flags, 4, meaning::RENAME_NOREPLACE)
}

/// The flags of clonefile(2): it follows a link unless told not to.
const fn cloning(flags: u64) -> u64 {
    if flags as u32 & 1 == 0 { meaning::AT_SYMLINK_FOLLOW } else { 0 }
}

macro_rules! define_calls {
    ($($(#[$where:meta])* $kind:ident $name:ident $symbol:literal ($($argument:ident),*) = $meaning:expr;)*) => {
        /// An interposed function.
        #[allow(non_camel_case_types, missing_docs, reason = "each is known by its name")]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u16)]
        pub enum Call {
            $($name,)*
        }

        impl Call {
            /// All of them, in the order of the table.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The symbol by which libSystem exports it.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => $symbol,)*
                }
            }

            /// The one with this wire value, its place in the table.
            #[must_use]
            pub const fn from_wire(value: u16) -> Option<Self> {
                if (value as usize) < Self::ALL.len() { Some(Self::ALL[value as usize]) } else { None }
            }

            /// What the call means with these arguments.
            #[must_use]
            pub const fn meaning(self, arguments: [u64; 6]) -> Meaning {
                match self {
                    $(Self::$name => {
                        let mut _next = 0;
                        $(
                            let $argument = arguments[_next];
                            _next += 1;
                        )*
                        define_calls!(@unread $($argument)*);
                        $meaning
                    })*
                }
            }
        }
    };
    // Not every meaning reads every argument.
    (@unread $($argument:ident)*) => { let _ = ($($argument,)*); };
}

interposed_symbols!(define_calls);

impl Call {
    /// Whether the call tells of extended attributes.
    #[must_use]
    pub const fn asks_for_attributes(self) -> bool {
        matches!(self, Self::getxattr | Self::fgetxattr | Self::listxattr | Self::flistxattr)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Name, Needs};
    use super::*;
    use crate::access::{AccessKind, Effect};

    fn touch(meaning: Meaning) -> super::super::Touch {
        match meaning {
            Meaning::Touch(touch) => touch,
            other => panic!("one touch, not {other:?}"),
        }
    }

    #[test]
    fn flags_of_macos_mean_what_they_say() {
        let made = touch(Call::open.meaning([8, 0x601, 0o644, 0, 0, 0]));
        assert_eq!(
            (made.kind, made.effect, made.needs),
            (AccessKind::Write, Some(Effect::Replace), Needs::Either)
        );
        assert_eq!((made.dir, made.name), (-100, Name::At(8)));
        let replaced = touch(Call::open.meaning([8, 0x401, 0, 0, 0, 0]));
        assert_eq!((replaced.effect, replaced.needs), (Some(Effect::Replace), Needs::Present));
        let appended = touch(Call::open.meaning([8, 0x209, 0o644, 0, 0, 0]));
        assert_eq!((appended.effect, appended.needs), (Some(Effect::Modify), Needs::Either));
        let exclusive = touch(Call::openat.meaning([7, 8, 0xa01, 0o644, 0, 0]));
        assert_eq!((exclusive.dir, exclusive.needs, exclusive.follow), (7, Needs::Absent, false));
        let at_cwd = touch(Call::openat.meaning([u64::from(-2_i32 as u32), 8, 0x10_0000, 0, 0, 0]));
        assert_eq!((at_cwd.dir, at_cwd.kind, at_cwd.follow), (-100, AccessKind::Stat, true));
        assert_eq!(touch(Call::open.meaning([8, 0x8000, 0, 0, 0, 0])).kind, AccessKind::Stat);
        assert!(!touch(Call::open.meaning([8, 0x20_0000, 0, 0, 0, 0])).follow);
        assert!(!touch(Call::fstatat.meaning([7, 8, 0, 0x20, 0, 0])).follow);
        assert!(!touch(Call::getxattr.meaning([8, 0, 0, 0, 0, 1])).follow);
    }

    #[test]
    fn renames_swap_or_replace() {
        let Meaning::Two(from, to) = Call::renamex_np.meaning([8, 9, 2, 0, 0, 0]) else {
            panic!("two touches")
        };
        assert_eq!((from.effect, to.effect), (Some(Effect::Modify), Some(Effect::Modify)));
        let Meaning::Two(from, to) = Call::renameatx_np.meaning([3, 8, 4, 9, 4, 0]) else {
            panic!("two touches")
        };
        assert_eq!((from.kind, from.dir, to.dir, to.needs), (AccessKind::Delete, 3, 4, Needs::Absent));
    }

    #[test]
    fn a_copy_reads_one_and_replaces_the_other() {
        let Meaning::Two(from, to) = Call::copyfile.meaning([8, 9, 0, 1 << 18, 0, 0]) else {
            panic!("two touches")
        };
        assert_eq!((from.kind, from.follow), (AccessKind::Read, false));
        assert_eq!((to.effect, to.needs, to.follow), (Some(Effect::Replace), Needs::Either, true));
        let Meaning::Two(from, to) = Call::clonefile.meaning([8, 9, 0, 0, 0, 0]) else {
            panic!("two touches")
        };
        assert_eq!((from.kind, from.follow, to.needs), (AccessKind::Read, true, Needs::Absent));
    }
}
