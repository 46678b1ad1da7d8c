//! The ways in which a program of this machine makes system calls: which call of the table a number means, and how to
//! read what its arguments point to.
//!
//! A 32-bit call is another number for a call of the table, with the same arguments in the same places; so the
//! table stays the one place that says what calls mean.

use libc::seccomp_data;
use shm_protocol::calls::{Call, Meaning};

use super::memory::Memory;

/// `AUDIT_ARCH_*` of the system calls that the table describes (linux/audit.h).
#[cfg(target_arch = "x86_64")]
pub(super) const NATIVE_ARCH: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
pub(super) const NATIVE_ARCH: u32 = 0xc000_00b7;

/// `AUDIT_ARCH_I386`: 32-bit programs, and `int $0x80` in any other.
pub(super) const I386_ARCH: u32 = 0x4000_0003;

/// From here on x86-64 numbers are of the x32 ABI (`__X32_SYSCALL_BIT`); no other ABI numbers calls so high.
pub(super) const X32_BIT: u32 = 0x4000_0000;

/// How wide a pointer, a `long` or a `size_t` is in the memory that an argument points to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Width {
    Four,
    Eight,
}

impl Width {
    pub(super) const fn bytes(self) -> usize {
        match self {
            Self::Four => 4,
            Self::Eight => 8,
        }
    }

    /// The words of this width that `bytes` hold.
    pub(super) fn words(self, bytes: &[u8]) -> impl Iterator<Item = u64> {
        bytes.chunks_exact(self.bytes()).map(|word| {
            let mut wide = [0; 8];
            wide[..word.len()].copy_from_slice(word);
            u64::from_le_bytes(wide)
        })
    }
}

/// A system call as a process made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Made {
    pub(super) call: Call,
    pub(super) arguments: [u64; 6],
    pub(super) width: Width,
}

/// What a held call is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Decoded {
    /// A call of the table.
    Watched(Made),
    /// `socketcall(2)`, which holds all calls on sockets: this one, with `count` arguments of four bytes in an array.
    Socket { call: Call, array: u64, count: usize },
    /// No call that matters.
    Unwatched,
    /// Of an ABI that is not known here.
    Foreign,
}

macro_rules! numbers {
    ($($(#[$where:meta])* $name:ident $number:ident ($($argument:ident),*) = $meaning:expr;)*) => {
        &[$($(#[$where])* (linux_raw_sys::general::$number, Call::$name),)*]
    };
}

/// Every watched call of this architecture, with its number.
const WATCHED: &[(u32, Call)] = shm_protocol::watched_calls!(numbers);

/// The calls that x32 numbers anew, since they take structures of its own (arch/x86/entry/syscalls/syscall_64.tbl).
/// Older kernels take these numbers without the bit, too.
#[cfg(target_arch = "x86_64")]
const X32_MOVED: &[(u32, Call)] = &[
    (515, Call::readv),
    (516, Call::writev),
    (517, Call::recvfrom),
    (518, Call::sendmsg),
    (519, Call::recvmsg),
    (520, Call::execve),
    (538, Call::sendmmsg),
    (545, Call::execveat),
    (546, Call::preadv2),
];

/// `socketcall(2)` of i386.
const SOCKETCALL: u32 = 102;

/// The calls within `socketcall(2)` that are watched, with how many arguments each takes (linux/net.h).
const SOCKET_CALLS: &[(u64, Call, usize)] = &[
    (2, Call::bind, 3),
    (3, Call::connect, 3),
    (11, Call::sendto, 6),
    (12, Call::recvfrom, 6),
    (16, Call::sendmsg, 3),
    (17, Call::recvmsg, 3),
    (20, Call::sendmmsg, 4),
];

/// The watched calls of i386: name and number there, and the call of the table (arch/x86/entry/syscalls/syscall_32.tbl).
#[cfg(target_arch = "x86_64")]
#[rustfmt::skip]
const I386: &[(&str, u32, Call)] = &[
    ("read", 3, Call::read),
    ("write", 4, Call::write),
    ("open", 5, Call::open),
    ("creat", 8, Call::creat),
    ("link", 9, Call::link),
    ("unlink", 10, Call::unlink),
    ("execve", 11, Call::execve),
    ("chdir", 12, Call::chdir),
    ("mknod", 14, Call::mknod),
    ("chmod", 15, Call::chmod),
    ("lchown", 16, Call::lchown),
    ("oldstat", 18, Call::stat),
    ("mount", 21, Call::mount),
    ("umount", 22, Call::umount2),
    ("utime", 30, Call::utime),
    ("access", 33, Call::access),
    ("rename", 38, Call::rename),
    ("mkdir", 39, Call::mkdir),
    ("rmdir", 40, Call::rmdir),
    ("dup", 41, Call::dup),
    ("umount2", 52, Call::umount2),
    ("fcntl", 55, Call::fcntl),
    ("chroot", 61, Call::chroot),
    ("dup2", 63, Call::dup2),
    ("symlink", 83, Call::symlink),
    ("oldlstat", 84, Call::lstat),
    ("readlink", 85, Call::readlink),
    ("readdir", 89, Call::getdents),
    ("truncate", 92, Call::truncate),
    ("fchmod", 94, Call::fchmod),
    ("fchown", 95, Call::fchown),
    ("statfs", 99, Call::statfs),
    ("stat", 106, Call::stat),
    ("lstat", 107, Call::lstat),
    ("fchdir", 133, Call::fchdir),
    ("getdents", 141, Call::getdents),
    ("readv", 145, Call::readv),
    ("writev", 146, Call::writev),
    ("chown", 182, Call::chown),
    ("truncate64", 193, Call::truncate),
    ("stat64", 195, Call::stat),
    ("lstat64", 196, Call::lstat),
    ("lchown32", 198, Call::lchown),
    ("fchown32", 207, Call::fchown),
    ("chown32", 212, Call::chown),
    ("pivot_root", 217, Call::pivot_root),
    ("getdents64", 220, Call::getdents64),
    ("fcntl64", 221, Call::fcntl),
    ("setxattr", 226, Call::setxattr),
    ("lsetxattr", 227, Call::lsetxattr),
    ("fsetxattr", 228, Call::fsetxattr),
    ("getxattr", 229, Call::getxattr),
    ("lgetxattr", 230, Call::lgetxattr),
    ("fgetxattr", 231, Call::fgetxattr),
    ("listxattr", 232, Call::listxattr),
    ("llistxattr", 233, Call::llistxattr),
    ("flistxattr", 234, Call::flistxattr),
    ("removexattr", 235, Call::removexattr),
    ("lremovexattr", 236, Call::lremovexattr),
    ("fremovexattr", 237, Call::fremovexattr),
    ("exit_group", 252, Call::exit_group),
    ("statfs64", 268, Call::statfs),
    ("utimes", 271, Call::utimes),
    ("inotify_add_watch", 292, Call::inotify_add_watch),
    ("openat", 295, Call::openat),
    ("mkdirat", 296, Call::mkdirat),
    ("mknodat", 297, Call::mknodat),
    ("fchownat", 298, Call::fchownat),
    ("futimesat", 299, Call::futimesat),
    ("fstatat64", 300, Call::newfstatat),
    ("unlinkat", 301, Call::unlinkat),
    ("renameat", 302, Call::renameat),
    ("linkat", 303, Call::linkat),
    ("symlinkat", 304, Call::symlinkat),
    ("readlinkat", 305, Call::readlinkat),
    ("fchmodat", 306, Call::fchmodat),
    ("faccessat", 307, Call::faccessat),
    ("unshare", 310, Call::unshare),
    ("splice", 313, Call::splice),
    ("tee", 315, Call::tee),
    ("utimensat", 320, Call::utimensat),
    ("dup3", 330, Call::dup3),
    ("name_to_handle_at", 341, Call::name_to_handle_at),
    ("open_by_handle_at", 342, Call::open_by_handle_at),
    ("sendmmsg", 345, Call::sendmmsg),
    ("setns", 346, Call::setns),
    ("renameat2", 353, Call::renameat2),
    ("execveat", 358, Call::execveat),
    ("bind", 361, Call::bind),
    ("connect", 362, Call::connect),
    ("sendto", 369, Call::sendto),
    ("sendmsg", 370, Call::sendmsg),
    ("recvfrom", 371, Call::recvfrom),
    ("recvmsg", 372, Call::recvmsg),
    ("preadv2", 378, Call::preadv2),
    ("statx", 383, Call::statx),
    ("utimensat_time64", 412, Call::utimensat),
    ("io_uring_setup", 425, Call::io_uring_setup),
    ("open_tree", 428, Call::open_tree),
    ("move_mount", 429, Call::move_mount),
    ("fsmount", 432, Call::fsmount),
    ("openat2", 437, Call::openat2),
    ("faccessat2", 439, Call::faccessat2),
    ("fchmodat2", 452, Call::fchmodat2),
    ("setxattrat", 463, Call::setxattrat),
    ("getxattrat", 464, Call::getxattrat),
    ("listxattrat", 465, Call::listxattrat),
    ("removexattrat", 466, Call::removexattrat),
    ("open_tree_attr", 467, Call::open_tree_attr),
];

/// No other machine runs i386 programs by itself.
#[cfg(not(target_arch = "x86_64"))]
const I386: &[(&str, u32, Call)] = &[];
#[cfg(not(target_arch = "x86_64"))]
const X32_MOVED: &[(u32, Call)] = &[];

fn find(calls: impl IntoIterator<Item = (u32, Call)>, number: u32) -> Option<Call> {
    calls.into_iter().find_map(|(known, call)| (known == number).then_some(call))
}

/// The watched call that a native program makes by this number.
pub(super) fn watched(number: u32) -> Option<Call> {
    find(WATCHED.iter().copied(), number)
}

/// The watched calls of the native ABI.
pub(super) fn native() -> impl Iterator<Item = (u32, Call)> {
    WATCHED.iter().chain(X32_MOVED).copied()
}

/// The watched calls of x32, by whole numbers.
pub(super) fn x32() -> impl Iterator<Item = (u32, Call)> {
    let kept = |&&(_, call): &&(u32, Call)| X32_MOVED.iter().all(|&(_, moved)| moved != call);
    let calls = WATCHED.iter().filter(kept).chain(X32_MOVED);
    calls.map(|&(number, call)| (X32_BIT | number, call)).filter(|_| !X32_MOVED.is_empty())
}

/// The watched calls of i386; `None` stands for `socketcall`.
pub(super) fn i386() -> impl Iterator<Item = (u32, Option<Call>)> {
    let socketcall = (!I386.is_empty()).then_some((SOCKETCALL, None));
    I386.iter().map(|&(_, number, call)| (number, Some(call))).chain(socketcall)
}

/// Says what a held call is.
pub(super) fn decode(data: &seccomp_data) -> Decoded {
    let number = data.nr as u32;
    let made = |call: Option<Call>, arguments, width| {
        call.map_or(Decoded::Unwatched, |call| Decoded::Watched(Made { call, arguments, width }))
    };
    match data.arch {
        NATIVE_ARCH if number >= X32_BIT => made(find(x32(), number), data.args, Width::Four),
        NATIVE_ARCH => match watched(number) {
            Some(call) => made(Some(call), data.args, Width::Eight),
            None => made(find(X32_MOVED.iter().copied(), number), data.args, Width::Four),
        },
        I386_ARCH if !I386.is_empty() => {
            // The kernel looks at the lower halves only.
            let arguments = data.args.map(|argument| u64::from(argument as u32));
            if number != SOCKETCALL {
                let calls = I386.iter().map(|&(_, number, call)| (number, call));
                return made(find(calls, number), arguments, Width::Four);
            }
            let asked = SOCKET_CALLS.iter().find(|(kind, ..)| *kind == arguments[0]);
            asked.map_or(Decoded::Unwatched, |&(_, call, count)| Decoded::Socket {
                call,
                array: arguments[1],
                count,
            })
        }
        _ => Decoded::Foreign,
    }
}

/// Whether a call makes a process that ptrace does not follow.
pub(super) fn makes_untraced(data: &seccomp_data, thread: u32) -> bool {
    /// `clone` of i386; `clone3` has the same number everywhere.
    const I386_CLONE: i64 = 120;
    let number = i64::from(data.nr as u32 & !X32_BIT);
    let flags = match data.arch {
        NATIVE_ARCH | I386_ARCH if number == libc::SYS_clone3 => {
            // Where they can't be read, the call fails.
            Memory::of(thread).word(data.args[0]).unwrap_or(0)
        }
        NATIVE_ARCH if number == libc::SYS_clone => data.args[0],
        I386_ARCH if number == I386_CLONE => data.args[0],
        _ => 0,
    };
    flags & libc::CLONE_UNTRACED as u64 != 0
}

/// Whether a call reads a descriptor, or uses it in another way; both are watched on some descriptors only.
pub(super) fn uses_descriptor(call: Call) -> Option<Use> {
    match call.meaning([0; 6]) {
        Meaning::ReadDescriptor(_) => Some(Use::Read),
        Meaning::UseDescriptor(_) => Some(Use::Other),
        _ => None,
    }
}

/// What a call does with a descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    Read,
    Other,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(arch: u32, nr: u32, args: [u64; 6]) -> seccomp_data {
        seccomp_data { nr: nr as i32, arch, instruction_pointer: 0, args }
    }

    #[test]
    fn a_32_bit_call_is_a_call_of_the_table_with_the_lower_halves_of_its_arguments() {
        let decoded = decode(&data(I386_ARCH, 195, [0xffff_ffff_0000_1000, 2, 0, 0, 0, 0]));
        let arguments = [0x1000, 2, 0, 0, 0, 0];
        assert_eq!(decoded, Decoded::Watched(Made { call: Call::stat, arguments, width: Width::Four }));
        assert_eq!(decode(&data(I386_ARCH, 20, [0; 6])), Decoded::Unwatched);
        assert_eq!(decode(&data(0x4000_0028, 5, [0; 6])), Decoded::Foreign);
    }

    #[test]
    fn a_call_on_a_socket_is_told_by_the_first_argument_of_socketcall() {
        let decoded = decode(&data(I386_ARCH, 102, [3, 0x1000, 0, 0, 0, 0]));
        assert_eq!(decoded, Decoded::Socket { call: Call::connect, array: 0x1000, count: 3 });
        assert_eq!(decode(&data(I386_ARCH, 102, [1, 0x1000, 0, 0, 0, 0])), Decoded::Unwatched);
    }

    #[test]
    fn x32_has_the_numbers_of_x86_64_but_for_some() {
        let call = |number| match decode(&data(NATIVE_ARCH, number, [0; 6])) {
            Decoded::Watched(made) => Some((made.call, made.width)),
            _ => None,
        };
        assert_eq!(call(X32_BIT | 2), Some((Call::open, Width::Four)));
        assert_eq!(call(X32_BIT | 520), Some((Call::execve, Width::Four)));
        assert_eq!(call(520), Some((Call::execve, Width::Four)));
        assert_eq!(call(X32_BIT | 59), None);
        assert_eq!(call(59), Some((Call::execve, Width::Eight)));
    }

    /// The numbers of calls in a header of the kernel; `None` where it is not installed.
    fn header(name: &str) -> Option<Vec<(String, u32)>> {
        let text = std::fs::read_to_string(format!("/usr/include/x86_64-linux-gnu/asm/{name}")).ok()?;
        let line = |line: &str| {
            let (name, number) = line.strip_prefix("#define __NR_")?.split_once(' ')?;
            let number = number.trim_matches(['(', ')']).trim_start_matches("__X32_SYSCALL_BIT + ");
            Some((name.to_owned(), number.parse().ok()?))
        };
        Some(text.lines().filter_map(line).collect())
    }

    #[test]
    fn the_numbers_of_i386_are_those_of_the_kernels_headers() {
        let Some(known) = header("unistd_32.h") else { return };
        for (name, number, _) in I386 {
            // What is newer than the headers can't be compared.
            let expected = known.iter().find(|(known, _)| known == name);
            assert!(expected.is_none_or(|(_, known)| known == number), "{name}");
            assert!(known.iter().all(|(known, at)| at != number || known == name), "{name}");
        }
    }

    #[test]
    fn every_watched_call_that_i386_has_is_watched_there() {
        let Some(known) = header("unistd_32.h") else { return };
        for &(_, call) in WATCHED {
            let names = [call.name().to_owned(), format!("{}32", call.name()), format!("{}64", call.name())];
            for (name, number) in known.iter().filter(|(known, _)| names.contains(known)) {
                // On open descriptors.
                assert!(I386.iter().any(|(known, at, _)| known == name && at == number), "{name} {number}");
            }
        }
        assert_eq!(header("unistd_32.h").and_then(|all| find_name(&all, "socketcall")), Some(SOCKETCALL));
    }

    fn find_name(all: &[(String, u32)], name: &str) -> Option<u32> {
        all.iter().find(|(known, _)| known == name).map(|(_, number)| *number)
    }

    #[test]
    fn the_numbers_of_x32_are_those_of_the_kernels_headers() {
        let Some(known) = header("unistd_x32.h") else { return };
        for (number, call) in x32() {
            if let Some(expected) = find_name(&known, call.name()) {
                assert_eq!(number, X32_BIT | expected, "{call:?}");
            }
        }
    }
}
