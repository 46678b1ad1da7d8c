//! What the library asks of libSystem, without allocating, locking or keeping a descriptor.
//!
//! dyld does not apply the interposing of a library to its own calls, so these reach the functions themselves.

use core::ffi::{CStr, c_char, c_int, c_void};
use core::sync::atomic::AtomicU32;

use shm_protocol::access::Before;
use shm_protocol::ring;

/// The longest path the kernel takes, with its NUL (sys/param.h: `MAXPATHLEN`).
pub(crate) const PATH_MAX: usize = 1024;

const AT_FDCWD: c_int = -2;
const ESRCH: i32 = 3;

#[allow(clashing_extern_declarations, reason = "replacements take every argument as a register")]
unsafe extern "C" {
    safe fn __error() -> *mut i32;
    safe fn getpid() -> i32;
    safe fn getppid() -> i32;
    safe fn geteuid() -> u32;
    safe fn pthread_self() -> usize;
    safe fn clock_gettime_nsec_np(clock: c_int) -> u64;
    safe fn _NSGetEnviron() -> *const *const *const c_char;
    safe fn _NSGetArgv() -> *const *const *const c_char;
    safe fn kill(pid: i32, signal: c_int) -> c_int;
    safe fn usleep(microseconds: u32) -> c_int;
    safe fn close(fd: c_int) -> c_int;
    fn access(path: *const c_char, mode: c_int) -> c_int;
    fn fcntl(fd: c_int, command: c_int, ...) -> c_int;
    fn open(path: *const c_char, flags: c_int, ...) -> c_int;
    fn lseek(fd: c_int, offset: i64, whence: c_int) -> i64;
    fn mmap(
        start: *mut c_void,
        bytes: usize,
        protection: c_int,
        flags: c_int,
        fd: c_int,
        offset: i64,
    ) -> *mut c_void;
    fn proc_pidinfo(pid: c_int, flavor: c_int, argument: u64, buffer: *mut c_void, size: c_int) -> c_int;
    fn _NSGetExecutablePath(buffer: *mut c_char, size: *mut u32) -> c_int;
    #[cfg_attr(target_arch = "x86_64", link_name = "fstatat$INODE64")]
    fn fstatat(dir: c_int, path: *const c_char, status: *mut Status, flags: c_int) -> c_int;
    #[cfg_attr(target_arch = "x86_64", link_name = "fstat$INODE64")]
    fn fstat(fd: c_int, status: *mut Status) -> c_int;
}

/// `struct stat` with inodes of 64 bits (sys/stat.h); of it only the mode is looked at.
#[repr(C)]
struct Status {
    _device: i32,
    mode: u16,
    _rest: [u64; 17],
}

const _: () = assert!(size_of::<Status>() == 144);

/// The error number of this thread.
pub(crate) fn errno() -> i32 {
    // SAFETY: libSystem's own place for it, readable while the thread lives.
    unsafe { __error().read() }
}

pub(crate) fn set_errno(number: i32) {
    // SAFETY: as above, and writable.
    unsafe { __error().write(number) };
}

pub(crate) fn pid() -> u32 {
    getpid().cast_unsigned()
}

pub(crate) fn parent() -> u32 {
    getppid().cast_unsigned()
}

/// What environment.rs calls the user.
pub(crate) fn effective_user() -> u64 {
    u64::from(geteuid())
}

/// What is unique to each living thread of a process.
pub(crate) fn thread() -> usize {
    pthread_self()
}

/// The clock of the records, which is that of `tracing::now_ns` in platform: `CLOCK_UPTIME_RAW`, read without a system call.
pub(crate) fn now_ns() -> u64 {
    clock_gettime_nsec_np(8)
}

/// The environment of this process as it is now.
pub(crate) fn environment() -> *const *const c_char {
    // SAFETY: libSystem's variable, which holds a pointer at any time. A library can't name it directly.
    unsafe { _NSGetEnviron().read() }
}

/// The arguments of this process.
pub(crate) fn arguments() -> *const *const c_char {
    // SAFETY: as above.
    unsafe { _NSGetArgv().read() }
}

/// Whether something is at a path; `_pass` is for systems with a net.
pub(crate) fn exists(path: &CStr, _pass: u64) -> bool {
    // SAFETY: `path` ends in NUL.
    unsafe { access(path.as_ptr(), 0) == 0 }
}

/// Whether what is at a path can be executed, as far as `access` says.
pub(crate) fn is_executable(path: *const c_char) -> bool {
    // SAFETY: the kernel answers a bad `path` with EFAULT.
    unsafe { access(path, 1) == 0 }
}

/// Whether what is at a path, or what a link there leads to, is a regular file.
pub(crate) fn is_file(path: *const c_char) -> bool {
    matches!(before_at(super::observe::CWD, path as u64, true), Before::File(_))
}

/// Maps the ring and keeps no descriptor: the program could close it, or trip over it.
pub(crate) fn map_ring(path: &CStr) -> Option<(*mut u8, usize)> {
    const O_RDWR: c_int = 2;
    const O_CLOEXEC: c_int = 0x100_0000;
    const SEEK_END: c_int = 2;
    const READ_WRITE: c_int = 1 | 2;
    const MAP_SHARED: c_int = 1;
    // SAFETY: `path` ends in NUL.
    let fd = unsafe { open(path.as_ptr(), O_RDWR | O_CLOEXEC) };
    if fd < 0 {
        return None;
    }
    // SAFETY: takes integers only.
    let bytes = usize::try_from(unsafe { lseek(fd, 0, SEEK_END) }).unwrap_or(0);
    // SAFETY: a new mapping where nothing is.
    let start = unsafe { mmap(core::ptr::null_mut(), bytes, READ_WRITE, MAP_SHARED, fd, 0) };
    close(fd);
    (bytes > 0 && start.addr() != usize::MAX).then_some((start.cast(), bytes))
}

/// A path that the system writes.
pub(crate) struct PathBuffer([u8; PATH_MAX]);

impl PathBuffer {
    pub(crate) const fn new() -> Self {
        Self([0; PATH_MAX])
    }

    /// What is before the first NUL, if it is an absolute path.
    fn absolute(&self) -> Option<&[u8]> {
        let path = CStr::from_bytes_until_nul(&self.0).ok()?.to_bytes();
        (path.first() == Some(&b'/')).then_some(path)
    }

    /// The path of what is open as `fd`.
    pub(crate) fn of_descriptor(&mut self, fd: i32) -> Option<&[u8]> {
        const F_GETPATH: c_int = 50;
        // SAFETY: the kernel writes at most `MAXPATHLEN` bytes, which the buffer has (fcntl(2)).
        let told = unsafe { fcntl(fd, F_GETPATH, self.0.as_mut_ptr()) };
        if told == 0 { self.absolute() } else { None }
    }

    /// The working directory of the process, asked for without opening it.
    pub(crate) fn of_working_directory(&mut self) -> Option<&[u8]> {
        /// `PROC_PIDVNODEPATHINFO` of sys/proc_info.h.
        const FLAVOR: c_int = 9;
        /// Of a `vnode_info`, which comes before the path.
        const INFO: usize = 152;
        #[repr(C, align(8))]
        struct Vnodes([[u8; INFO + PATH_MAX]; 2]);
        let mut vnodes = core::mem::MaybeUninit::<Vnodes>::uninit();
        let size = size_of::<Vnodes>() as c_int;
        // SAFETY: the buffer is writable and as long as said.
        let told = unsafe { proc_pidinfo(getpid(), FLAVOR, 0, vnodes.as_mut_ptr().cast(), size) };
        if told != size {
            return None;
        }
        // SAFETY: the kernel has filled all of it.
        let Vnodes([working, _]) = unsafe { vnodes.assume_init_ref() };
        self.0 = *working.last_chunk::<PATH_MAX>()?;
        self.absolute()
    }

    /// The same for the calling thread, which may have one of its own.
    pub(crate) fn of_threads_directory(&mut self) -> Option<&[u8]> {
        /// `O_EVTONLY | O_CLOEXEC`: may be opened without permission to read it.
        const FLAGS: c_int = 0x8000 | 0x100_0000;
        // SAFETY: the name ends in NUL.
        let fd = unsafe { open(c".".as_ptr(), FLAGS) };
        if fd < 0 {
            return None;
        }
        let is_told = self.of_descriptor(fd).is_some();
        close(fd);
        if is_told { self.absolute() } else { None }
    }

    /// The program that this process runs, as it was named.
    pub(crate) fn of_program(&mut self) -> Option<&[u8]> {
        let mut size = PATH_MAX as u32;
        // SAFETY: the buffer is writable and as long as said.
        let told = unsafe { _NSGetExecutablePath(self.0.as_mut_ptr().cast(), &raw mut size) };
        let path = CStr::from_bytes_until_nul(&self.0).ok().filter(|path| told == 0 && !path.is_empty())?;
        Some(path.to_bytes())
    }
}

/// What stands at the path at an address of this process, seen from `dir`; of a link there itself, unless `follow`.
pub(crate) fn before_at(dir: i32, path: u64, follow: bool) -> Before {
    const AT_SYMLINK_NOFOLLOW: c_int = 0x20;
    let dir = if dir == super::observe::CWD { AT_FDCWD } else { dir };
    let flags = if follow { 0 } else { AT_SYMLINK_NOFOLLOW };
    let path = core::ptr::with_exposed_provenance(path as usize);
    // SAFETY: the kernel answers a bad `path` with EFAULT, and fills what it is given when it succeeds.
    before(|status| unsafe { fstatat(dir, path, status, flags) })
}

/// What is open as a descriptor.
pub(crate) fn before_of(fd: i32) -> Before {
    // SAFETY: as above.
    before(|status| unsafe { fstat(fd, status) })
}

fn before(ask: impl FnOnce(*mut Status) -> c_int) -> Before {
    let mut status = Status { _device: 0, mode: 0, _rest: [0; 17] };
    if ask(&raw mut status) != 0 {
        return match errno() {
            super::observe::ENOENT | super::observe::ENOTDIR => Before::Absent,
            _ => Before::Unknown,
        };
    }
    match status.mode & 0o170_000 {
        0o100_000 => Before::File(status.mode & 0o7777),
        0o040_000 => Before::Directory(status.mode & 0o7777),
        0o120_000 => Before::Symlink,
        _ => Before::Other,
    }
}

/// The ring's way to the kernel. Nobody is woken in another process, which macOS has no public call for before version 14.4: who
/// waits looks again and again.
pub(crate) struct Sleep;

impl ring::System for Sleep {
    fn wait(&self, word: &AtomicU32, expected: u32) {
        for _ in 0..100 {
            if word.load(core::sync::atomic::Ordering::Relaxed) != expected {
                return;
            }
            usleep(1000);
        }
    }

    fn wake(&self, _: &AtomicU32) {}

    fn reader_is_gone(&self, reader: u32) -> bool {
        kill(reader.cast_signed(), 0) != 0 && errno() == ESRCH
    }
}
