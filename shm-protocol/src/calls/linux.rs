//! THE TABLE for Linux: one line per watched system call, and one per libc function that makes it.
//!
//! A line of [`crate::watched_calls!`] reads: the name of the call, the name of its number in the kernel's headers, its argument
//! registers, and what the call means for a trace. The filter, the supervisor's decoding and the library's observation all expand from it. A line
//! of [`crate::interposed_functions!`] reads: a libc function, its arguments, and the watched call that it makes.

use super::meaning::{
    CWD, Meaning, descriptor_controlled, descriptor_looked_up, descriptor_metadata_changed,
    directory_changed, directory_changed_to, executed, handle_asked, link_read, linked, listed, looked_up,
    made, metadata_changed, mounted, opened, removed, renamed, root_changed, truncated, unshared,
};

/// Expands `$with!` with the table of watched system calls.
///
/// The attribute on a line says on which architectures the call exists; in the enum it exists everywhere, so
/// that records mean the same everywhere.
#[macro_export]
macro_rules! watched_calls {
    ($with:ident) => {
        $with! {
            openat __NR_openat (dir, path, flags, _mode) = opened(dir, path, flags);
            #[cfg(target_arch = "x86_64")]
            open __NR_open (path, flags, _mode) = opened(CWD, path, flags);
            #[cfg(target_arch = "x86_64")]
            creat __NR_creat (path, _mode) = opened(CWD, path, 0o1101);
            openat2 __NR_openat2 (dir, path, how, _size) = Meaning::OpenHow { dir, path, how };
            name_to_handle_at __NR_name_to_handle_at (dir, path, _handle, _mount, flags) = handle_asked(dir, path, flags);
            open_by_handle_at __NR_open_by_handle_at (_mount, _handle, _flags) = Meaning::OpenByHandle;

            newfstatat __NR_newfstatat (dir, path, _buffer, flags) = looked_up(dir, path, flags);
            statx __NR_statx (dir, path, flags, _mask, _buffer) = looked_up(dir, path, flags);
            #[cfg(target_arch = "x86_64")]
            stat __NR_stat (path, _buffer) = looked_up(CWD, path, 0);
            #[cfg(target_arch = "x86_64")]
            lstat __NR_lstat (path, _buffer) = looked_up(CWD, path, 0x100);
            statfs __NR_statfs (path, _buffer) = looked_up(CWD, path, 0);
            faccessat __NR_faccessat (dir, path, _mode) = looked_up(dir, path, 0);
            faccessat2 __NR_faccessat2 (dir, path, _mode, flags) = looked_up(dir, path, flags);
            #[cfg(target_arch = "x86_64")]
            access __NR_access (path, _mode) = looked_up(CWD, path, 0);
            readlinkat __NR_readlinkat (dir, path, _buffer, _size) = link_read(dir, path);
            #[cfg(target_arch = "x86_64")]
            readlink __NR_readlink (path, _buffer, _size) = link_read(CWD, path);
            getxattr __NR_getxattr (path, _name, _value, _size) = looked_up(CWD, path, 0);
            lgetxattr __NR_lgetxattr (path, _name, _value, _size) = looked_up(CWD, path, 0x100);
            listxattr __NR_listxattr (path, _list, _size) = looked_up(CWD, path, 0);
            llistxattr __NR_llistxattr (path, _list, _size) = looked_up(CWD, path, 0x100);
            getxattrat __NR_getxattrat (dir, path, flags, _name, _value, _size) = looked_up(dir, path, flags);
            fgetxattr __NR_fgetxattr (fd, _name, _value, _size) = descriptor_looked_up(fd);
            flistxattr __NR_flistxattr (fd, _list, _size) = descriptor_looked_up(fd);
            listxattrat __NR_listxattrat (dir, path, flags, _list, _size) = looked_up(dir, path, flags);
            inotify_add_watch __NR_inotify_add_watch (_fd, path, _mask) = looked_up(CWD, path, 0);

            getdents64 __NR_getdents64 (fd, _entries, _size) = listed(fd);
            #[cfg(target_arch = "x86_64")]
            getdents __NR_getdents (fd, _entries, _size) = listed(fd);

            chdir __NR_chdir (path) = directory_changed(path);
            fchdir __NR_fchdir (fd) = directory_changed_to(fd);
            chroot __NR_chroot (path) = root_changed(path);
            unshare __NR_unshare (flags) = unshared(flags);
            pivot_root __NR_pivot_root (_new, _old) = Meaning::ChangeMounts;
            mount __NR_mount (_source, _target, _type, flags, _data) = mounted(flags);
            umount2 __NR_umount2 (_target, _flags) = Meaning::ChangeMounts;
            move_mount __NR_move_mount (_from_dir, _from, _to_dir, _to, _flags) = Meaning::ChangeMounts;
            open_tree __NR_open_tree (_dir, _path, _flags) = Meaning::ChangeMounts;
            open_tree_attr __NR_open_tree_attr (_dir, _path, _flags) = Meaning::ChangeMounts;
            fsmount __NR_fsmount (_fd, _flags, _attributes) = Meaning::ChangeMounts;
            setns __NR_setns (_fd, _type) = Meaning::ChangeMounts;

            renameat2 __NR_renameat2 (from_dir, from, to_dir, to, flags) = renamed(from_dir, from, to_dir, to, flags);
            renameat __NR_renameat (from_dir, from, to_dir, to) = renamed(from_dir, from, to_dir, to, 0);
            #[cfg(target_arch = "x86_64")]
            rename __NR_rename (from, to) = renamed(CWD, from, CWD, to, 0);
            linkat __NR_linkat (from_dir, from, to_dir, to, flags) = linked(from_dir, from, to_dir, to, flags);
            #[cfg(target_arch = "x86_64")]
            link __NR_link (from, to) = linked(CWD, from, CWD, to, 0);
            symlinkat __NR_symlinkat (_target, dir, path) = made(dir, path);
            #[cfg(target_arch = "x86_64")]
            symlink __NR_symlink (_target, path) = made(CWD, path);
            mkdirat __NR_mkdirat (dir, path, _mode) = made(dir, path);
            #[cfg(target_arch = "x86_64")]
            mkdir __NR_mkdir (path, _mode) = made(CWD, path);
            mknodat __NR_mknodat (dir, path, _mode, _device) = made(dir, path);
            #[cfg(target_arch = "x86_64")]
            mknod __NR_mknod (path, _mode, _device) = made(CWD, path);
            unlinkat __NR_unlinkat (dir, path, _flags) = removed(dir, path);
            #[cfg(target_arch = "x86_64")]
            unlink __NR_unlink (path) = removed(CWD, path);
            #[cfg(target_arch = "x86_64")]
            rmdir __NR_rmdir (path) = removed(CWD, path);

            truncate __NR_truncate (path, _length) = truncated(path);
            fchmodat __NR_fchmodat (dir, path, _mode) = metadata_changed(dir, path, 0);
            fchmodat2 __NR_fchmodat2 (dir, path, _mode, flags) = metadata_changed(dir, path, flags);
            #[cfg(target_arch = "x86_64")]
            chmod __NR_chmod (path, _mode) = metadata_changed(CWD, path, 0);
            fchmod __NR_fchmod (fd, _mode) = descriptor_metadata_changed(fd);
            fchownat __NR_fchownat (dir, path, _user, _group, flags) = metadata_changed(dir, path, flags);
            #[cfg(target_arch = "x86_64")]
            chown __NR_chown (path, _user, _group) = metadata_changed(CWD, path, 0);
            #[cfg(target_arch = "x86_64")]
            lchown __NR_lchown (path, _user, _group) = metadata_changed(CWD, path, 0x100);
            fchown __NR_fchown (fd, _user, _group) = descriptor_metadata_changed(fd);
            utimensat __NR_utimensat (dir, path, _times, flags) = metadata_changed(dir, path, flags);
            #[cfg(target_arch = "x86_64")]
            utime __NR_utime (path, _times) = metadata_changed(CWD, path, 0);
            #[cfg(target_arch = "x86_64")]
            utimes __NR_utimes (path, _times) = metadata_changed(CWD, path, 0);
            #[cfg(target_arch = "x86_64")]
            futimesat __NR_futimesat (dir, path, _times) = metadata_changed(dir, path, 0);
            setxattr __NR_setxattr (path, _name, _value, _size, _flags) = metadata_changed(CWD, path, 0);
            lsetxattr __NR_lsetxattr (path, _name, _value, _size, _flags) = metadata_changed(CWD, path, 0x100);
            fsetxattr __NR_fsetxattr (fd, _name, _value, _size, _flags) = descriptor_metadata_changed(fd);
            removexattr __NR_removexattr (path, _name) = metadata_changed(CWD, path, 0);
            lremovexattr __NR_lremovexattr (path, _name) = metadata_changed(CWD, path, 0x100);
            fremovexattr __NR_fremovexattr (fd, _name) = descriptor_metadata_changed(fd);
            setxattrat __NR_setxattrat (dir, path, flags, _name, _value, _size) = metadata_changed(dir, path, flags);
            removexattrat __NR_removexattrat (dir, path, flags, _name) = metadata_changed(dir, path, flags);

            execve __NR_execve (path, argv, _environment) = executed(CWD, path, argv, 0);
            execveat __NR_execveat (dir, path, argv, _environment, flags) = executed(dir, path, argv, flags);
            exit_group __NR_exit_group (status) = Meaning::Exit(status as u8);

            connect __NR_connect (_fd, address, length) = Meaning::Connect { address, length };
            bind __NR_bind (_fd, address, length) = Meaning::Bind { address, length };
            sendto __NR_sendto (_fd, _data, _size, _flags, address, length) = Meaning::Connect { address, length };
            sendmsg __NR_sendmsg (_fd, messages, _flags) = Meaning::SendMessages { messages, count: 1 };
            sendmmsg __NR_sendmmsg (_fd, messages, count, _flags) = Meaning::SendMessages { messages, count };
            io_uring_setup __NR_io_uring_setup (_entries, _parameters) = Meaning::IoUring;

            read __NR_read (fd, _buffer, _size) = Meaning::ReadDescriptor(fd as i32);
            readv __NR_readv (fd, _vector, _count) = Meaning::ReadDescriptor(fd as i32);
            preadv2 __NR_preadv2 (fd, _vector, _count, _low, _high, _flags) = Meaning::ReadDescriptor(fd as i32);
            recvfrom __NR_recvfrom (fd, _buffer, _size, _flags, _address, _length) = Meaning::ReadDescriptor(fd as i32);
            recvmsg __NR_recvmsg (fd, _message, _flags) = Meaning::ReadDescriptor(fd as i32);
            splice __NR_splice (fd, _offset, _to, _to_offset, _size, _flags) = Meaning::ReadDescriptor(fd as i32);
            tee __NR_tee (fd, _to, _size, _flags) = Meaning::ReadDescriptor(fd as i32);
            write __NR_write (fd, _buffer, _size) = Meaning::UseDescriptor(fd as i32);
            writev __NR_writev (fd, _vector, _count) = Meaning::UseDescriptor(fd as i32);
            dup __NR_dup (fd) = Meaning::UseDescriptor(fd as i32);
            #[cfg(target_arch = "x86_64")]
            dup2 __NR_dup2 (fd, _to) = Meaning::UseDescriptor(fd as i32);
            dup3 __NR_dup3 (fd, _to, _flags) = Meaning::UseDescriptor(fd as i32);
            fcntl __NR_fcntl (fd, command, _argument) = descriptor_controlled(fd, command);
        }
    };
}

/// Expands `$with!` with the libc functions that make one watched call each.
///
/// Functions that do more than that (fopen, glob, nftw, realpath …) are not here: the calls they make inside
/// libc reach the net.
#[macro_export]
macro_rules! interposed_functions {
    ($with:ident) => {
        $with! {
            open(path, flags, mode) = openat(CWD, path, flags, mode);
            open64(path, flags, mode) = openat(CWD, path, flags, mode);
            __open(path, flags, mode) = openat(CWD, path, flags, mode);
            __open64(path, flags, mode) = openat(CWD, path, flags, mode);
            __open_2(path, flags) = openat(CWD, path, flags, 0);
            __open64_2(path, flags) = openat(CWD, path, flags, 0);
            openat(dir, path, flags, mode) = openat(dir, path, flags, mode);
            openat64(dir, path, flags, mode) = openat(dir, path, flags, mode);
            __openat_2(dir, path, flags) = openat(dir, path, flags, 0);
            __openat64_2(dir, path, flags) = openat(dir, path, flags, 0);
            creat(path, mode) = openat(CWD, path, 0o1101, mode);
            creat64(path, mode) = openat(CWD, path, 0o1101, mode);

            stat(path, buffer) = newfstatat(CWD, path, buffer, 0);
            stat64(path, buffer) = newfstatat(CWD, path, buffer, 0);
            lstat(path, buffer) = newfstatat(CWD, path, buffer, 0x100);
            lstat64(path, buffer) = newfstatat(CWD, path, buffer, 0x100);
            fstatat(dir, path, buffer, flags) = newfstatat(dir, path, buffer, flags);
            fstatat64(dir, path, buffer, flags) = newfstatat(dir, path, buffer, flags);
            __xstat(_version, path, buffer) = newfstatat(CWD, path, buffer, 0);
            __xstat64(_version, path, buffer) = newfstatat(CWD, path, buffer, 0);
            __lxstat(_version, path, buffer) = newfstatat(CWD, path, buffer, 0x100);
            __lxstat64(_version, path, buffer) = newfstatat(CWD, path, buffer, 0x100);
            __fxstatat(_version, dir, path, buffer, flags) = newfstatat(dir, path, buffer, flags);
            __fxstatat64(_version, dir, path, buffer, flags) = newfstatat(dir, path, buffer, flags);
            statx(dir, path, flags, mask, buffer) = statx(dir, path, flags, mask, buffer);
            access(path, mode) = faccessat(CWD, path, mode);
            readlink(path, buffer, size) = readlinkat(CWD, path, buffer, size);
            readlinkat(dir, path, buffer, size) = readlinkat(dir, path, buffer, size);
            statfs(path, buffer) = statfs(path, buffer);
            statfs64(path, buffer) = statfs(path, buffer);
            getxattr(path, name, value, size) = getxattr(path, name, value, size);
            lgetxattr(path, name, value, size) = lgetxattr(path, name, value, size);
            listxattr(path, list, size) = listxattr(path, list, size);
            llistxattr(path, list, size) = llistxattr(path, list, size);
            getdents64(fd, entries, size) = getdents64(fd, entries, size);

            chdir(path) = chdir(path);
            fchdir(fd) = fchdir(fd);

            rename(from, to) = renameat2(CWD, from, CWD, to, 0);
            renameat(from_dir, from, to_dir, to) = renameat2(from_dir, from, to_dir, to, 0);
            renameat2(from_dir, from, to_dir, to, flags) = renameat2(from_dir, from, to_dir, to, flags);
            link(from, to) = linkat(CWD, from, CWD, to, 0);
            linkat(from_dir, from, to_dir, to, flags) = linkat(from_dir, from, to_dir, to, flags);
            symlink(target, path) = symlinkat(target, CWD, path);
            symlinkat(target, dir, path) = symlinkat(target, dir, path);
            mkdir(path, mode) = mkdirat(CWD, path, mode);
            mkdirat(dir, path, mode) = mkdirat(dir, path, mode);
            unlink(path) = unlinkat(CWD, path, 0);
            unlinkat(dir, path, flags) = unlinkat(dir, path, flags);
            rmdir(path) = unlinkat(CWD, path, 0x200);
            truncate(path, length) = truncate(path, length);
            truncate64(path, length) = truncate(path, length);
            chmod(path, mode) = fchmodat(CWD, path, mode);
            fchmod(fd, mode) = fchmod(fd, mode);
            chown(path, user, group) = fchownat(CWD, path, user, group, 0);
            lchown(path, user, group) = fchownat(CWD, path, user, group, 0x100);
            fchown(fd, user, group) = fchown(fd, user, group);
            fchownat(dir, path, user, group, flags) = fchownat(dir, path, user, group, flags);
            setxattr(path, name, value, size, flags) = setxattr(path, name, value, size, flags);
            lsetxattr(path, name, value, size, flags) = lsetxattr(path, name, value, size, flags);
            fsetxattr(fd, name, value, size, flags) = fsetxattr(fd, name, value, size, flags);
            removexattr(path, name) = removexattr(path, name);
            lremovexattr(path, name) = lremovexattr(path, name);
            fremovexattr(fd, name) = fremovexattr(fd, name);
        }
    };
}

macro_rules! define_calls {
    ($($(#[$where:meta])* $name:ident $number:ident ($($argument:ident),*) = $meaning:expr;)*) => {
        /// A watched system call.
        #[allow(non_camel_case_types, missing_docs)]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u16)]
        pub enum Call {
            $($name,)*
        }

        impl Call {
            /// Every watched call, in the order of the table.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The name of the call as people know it.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)*
                }
            }

            /// The call with this wire value, its place in the table.
            #[must_use]
            pub const fn from_wire(value: u16) -> Option<Self> {
                if (value as usize) < Self::ALL.len() { Some(Self::ALL[value as usize]) } else { None }
            }

            /// What the call means with these argument registers.
            #[must_use]
            pub const fn meaning(self, registers: [u64; 6]) -> Meaning {
                match self {
                    $(Self::$name => {
                        let mut _next = 0;
                        $(
                            let $argument = registers[_next];
                            _next += 1;
                        )*
                        $meaning
                    })*
                }
            }
        }
    };
}

watched_calls!(define_calls);

impl Call {
    /// Whether the call tells of extended attributes.
    #[must_use]
    pub const fn asks_for_attributes(self) -> bool {
        matches!(
            self,
            Self::getxattr
                | Self::lgetxattr
                | Self::fgetxattr
                | Self::getxattrat
                | Self::listxattr
                | Self::llistxattr
                | Self::flistxattr
                | Self::listxattrat
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::{AccessKind, Effect};
    use crate::calls::{Name, Needs};

    #[test]
    fn wire_values_come_back() {
        for &call in Call::ALL {
            assert_eq!(Call::from_wire(call as u16), Some(call));
        }
        assert_eq!(Call::from_wire(Call::ALL.len() as u16), None);
    }

    #[test]
    fn opening_to_truncate_replaces_and_needs_nothing_there() {
        let Meaning::Touch(touch) = Call::openat.meaning([CWD, 8, 0o1101, 0o644, 0, 0]) else {
            panic!("one touch")
        };
        assert_eq!(
            (touch.kind, touch.effect, touch.needs),
            (AccessKind::Write, Some(Effect::Replace), Needs::Either)
        );
        assert_eq!((touch.dir, touch.name), (-100, Name::At(8)));
        assert!(!Call::openat.meaning([CWD, 8, 0o1101, 0, 0, 0]).observes());
        assert!(Call::openat.meaning([CWD, 8, 0, 0, 0, 0]).observes());
    }

    #[test]
    fn a_rename_reads_what_it_moves() {
        let Meaning::Two(from, to) = Call::renameat2.meaning([CWD, 8, CWD, 9, 0, 0]) else {
            panic!("two touches")
        };
        assert_eq!((from.kind, from.reads), (AccessKind::Delete, true));
        assert_eq!((to.kind, to.reads), (AccessKind::Write, false));
    }

    #[test]
    fn a_call_older_than_at_means_the_same_as_its_at_form() {
        assert_eq!(
            Call::lstat.meaning([8, 0, 0, 0, 0, 0]),
            Call::newfstatat.meaning([CWD, 8, 0, 0x100, 0, 0])
        );
        assert_eq!(Call::rename.meaning([8, 9, 0, 0, 0, 0]), Call::renameat2.meaning([CWD, 8, CWD, 9, 0, 0]));
        assert_eq!(
            Call::creat.meaning([8, 0o644, 0, 0, 0, 0]),
            Call::open.meaning([8, 0o1101, 0o644, 0, 0, 0])
        );
    }
}
