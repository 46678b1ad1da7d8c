//! System calls made without libc, the same names on every architecture.

use core::sync::atomic::AtomicU32;

use linux_raw_sys::errno::ESRCH;
use linux_raw_sys::general::{
    __NR_close, __NR_fstat, __NR_futex, __NR_getcwd, __NR_geteuid, __NR_getpid, __NR_kill, __NR_newfstatat,
    __NR_openat, __NR_read, __NR_readlinkat, AT_SYMLINK_NOFOLLOW, FUTEX_WAIT, FUTEX_WAKE, O_CLOEXEC, stat,
    timespec,
};
use shm_protocol::ring;

/// `AT_FDCWD` as a register holds it.
pub(crate) const CWD: u64 = -100_i64 as u64;

/// The first five arguments of a system call.
pub(crate) type Arguments = [u64; 5];

/// Makes a system call; the result is the kernel's, an error being its negated number.
///
/// `pass` goes into the sixth argument register, which none of the watched calls uses: there the cookie makes the filter
/// let the call through.
///
/// # Safety
/// The call with these arguments must not break what Rust assumes of memory.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub(crate) unsafe fn syscall(number: u32, [a, b, c, d, e]: Arguments, pass: u64) -> isize {
    let result;
    // SAFETY: the caller vouches for the call; the kernel changes no register but these.
    unsafe {
        core::arch::asm!(
            "syscall",
            inlateout("rax") u64::from(number) => result,
            in("rdi") a, in("rsi") b, in("rdx") c, in("r10") d, in("r8") e, in("r9") pass,
            lateout("rcx") _, lateout("r11") _,
            options(nostack),
        );
    }
    result
}

/// Makes a system call; the result is the kernel's, an error being its negated number.
///
/// `pass` goes into the sixth argument register, which none of the watched calls uses: there the cookie makes the filter
/// let the call through.
///
/// # Safety
/// The call with these arguments must not break what Rust assumes of memory.
#[cfg(target_arch = "aarch64")]
#[inline(always)]
pub(crate) unsafe fn syscall(number: u32, [a, b, c, d, e]: Arguments, pass: u64) -> isize {
    let result;
    // SAFETY: the caller vouches for the call; the kernel changes no register but the first.
    unsafe {
        core::arch::asm!(
            "svc 0",
            in("x8") u64::from(number),
            inlateout("x0") a => result,
            in("x1") b, in("x2") c, in("x3") d, in("x4") e, in("x5") pass,
            options(nostack),
        );
    }
    result
}

/// The error in a result of the kernel.
#[inline]
pub(crate) fn error(result: isize) -> Option<u32> {
    if (-4095..0).contains(&result) { Some(result.unsigned_abs() as u32) } else { None }
}

/// Turns the kernel's result into what a C function returns, and sets `errno` on failure only.
#[inline]
pub(crate) fn to_c(result: isize) -> isize {
    match error(result) {
        None => result,
        Some(number) => {
            set_errno(number);
            -1
        }
    }
}

unsafe extern "C" {
    safe fn __errno_location() -> *mut i32;
    fn clock_gettime(clock: i32, time: *mut timespec) -> i32;
}

/// Where libc's function of this name lies.
#[cfg(target_arch = "x86_64")]
pub(crate) fn errno_location() -> u64 {
    __errno_location as *const () as u64
}

pub(crate) fn effective_user() -> u64 {
    // SAFETY: touches no memory.
    unsafe { syscall(__NR_geteuid, [0; 5], 0) as u64 }
}

pub(crate) fn own_pid() -> u64 {
    // SAFETY: touches no memory.
    unsafe { syscall(__NR_getpid, [0; 5], 0) as u64 }
}

pub(crate) fn set_errno(number: u32) {
    // SAFETY: libc's own place for the errno of this thread, writable while the thread lives.
    unsafe { __errno_location().write(number as i32) };
}

pub(crate) fn errno() -> u32 {
    // SAFETY: as above.
    unsafe { __errno_location().read() as u32 }
}

/// `CLOCK_MONOTONIC` in nanoseconds, by way of libc, which reads it without a system call.
pub(crate) fn now_ns() -> u64 {
    const CLOCK_MONOTONIC: i32 = 1;
    let mut time = timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the kernel's and libc's `struct timespec` are the same on 64-bit Linux; it does not fail for this clock.
    unsafe { clock_gettime(CLOCK_MONOTONIC, &mut time) };
    (time.tv_sec as u64).wrapping_mul(1_000_000_000).wrapping_add(time.tv_nsec as u64)
}

/// Makes a call that fills a `struct stat` at the address it is given.
fn filled(call: impl FnOnce(u64) -> isize) -> Option<stat> {
    let mut found = core::mem::MaybeUninit::<stat>::uninit();
    let result = call(found.as_mut_ptr() as u64);
    // SAFETY: the kernel fills the whole structure when it succeeds.
    (result == 0).then(|| unsafe { found.assume_init() })
}

/// The status of a descriptor. This call is not watched.
pub(crate) fn status_of(fd: i32) -> Option<stat> {
    // SAFETY: writes one `struct stat`, to the address of one.
    filled(|found| unsafe { syscall(__NR_fstat, [fd as u64, found, 0, 0, 0], 0) })
}

/// The status of what is at the path at an address of this process; of a symbolic link there itself, unless `follow`.
pub(crate) fn status_at(dir: u64, path: u64, follow: bool, pass: u64) -> Option<stat> {
    let flags = if follow { 0 } else { u64::from(AT_SYMLINK_NOFOLLOW) };
    // SAFETY: writes one `struct stat`, to the address of one; a bad `path` is answered with EFAULT.
    filled(|found| unsafe { syscall(__NR_newfstatat, [dir, path, found, flags, 0], pass) })
}

/// Whether something is at a path, looked at with this pass.
pub(crate) fn exists(path: &core::ffi::CStr, pass: u64) -> bool {
    status_at(CWD, path.as_ptr() as u64, true, pass).is_some()
}

/// `getcwd` into `room` bytes at `start`: the length, which counts the closing NUL, or an error.
///
/// # Safety
/// `start` must be valid for writes of `room` bytes.
pub(crate) unsafe fn working_directory(start: *mut u8, room: usize) -> isize {
    // SAFETY: the caller's.
    unsafe { syscall(__NR_getcwd, [start as u64, room as u64, 0, 0, 0], 0) }
}

/// The target of the link at `path` into `room` bytes at `start`: its length or an error.
///
/// # Safety
/// `start` must be valid for writes of `room` bytes.
pub(crate) unsafe fn link_target(path: &core::ffi::CStr, start: *mut u8, room: usize, pass: u64) -> isize {
    let arguments = [CWD, path.as_ptr() as u64, start as u64, room as u64, 0];
    // SAFETY: the caller's; `path` ends in NUL.
    unsafe { syscall(__NR_readlinkat, arguments, pass) }
}

/// The target of the link that stands for descriptor `fd`, as [`link_target`] gives it.
///
/// # Safety
/// As there.
pub(crate) unsafe fn descriptor_target(fd: i32, start: *mut u8, room: usize, pass: u64) -> isize {
    let mut link = *b"/proc/self/fd/\0\0\0\0\0\0\0\0\0\0\0";
    let digits = fd.max(0).checked_ilog10().unwrap_or(0);
    let mut rest = fd.max(0);
    for place in link.iter_mut().skip(14).take(digits as usize + 1).rev() {
        *place = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    match core::ffi::CStr::from_bytes_until_nul(&link) {
        // SAFETY: the caller's.
        Ok(link) => unsafe { link_target(link, start, room, pass) },
        Err(_) => -1,
    }
}

/// Whether descriptor `fd` is a pipe that no path leads to.
pub(crate) fn is_nameless_pipe(fd: i32, pass: u64) -> bool {
    let mut target = [0_u8; 8];
    // SAFETY: `target` is as long as said.
    unsafe { descriptor_target(fd, target.as_mut_ptr(), target.len(), pass) };
    target.starts_with(b"pipe:[")
}

/// The number of this process as tracerun knows it: the ring was found by tracerun's `/proc`, which says so even if in a pid
/// namespace of its own the process goes by another number.
pub(crate) fn outer_pid(pass: u64) -> u32 {
    let mut digits = [0_u8; 16];
    // SAFETY: `digits` is as long as said.
    let length = unsafe { link_target(c"/proc/self", digits.as_mut_ptr(), digits.len(), pass) };
    let digits = digits.get(..length.max(0) as usize).unwrap_or_default();
    let number = digits.iter().try_fold(0_u32, |number, digit| {
        let digit = digit.wrapping_sub(b'0');
        (digit < 10).then(|| number.wrapping_mul(10).wrapping_add(u32::from(digit)))
    });
    // There may be no such link: `/proc` need not be mounted.
    number.filter(|&number| number != 0).unwrap_or_else(|| own_pid() as u32)
}

/// The beginning of a file, as much as fits: the number of bytes or an error.
pub(crate) fn read_file(path: &core::ffi::CStr, into: &mut [u8]) -> isize {
    // SAFETY: `path` ends in NUL.
    let fd = unsafe { syscall(__NR_openat, [CWD, path.as_ptr() as u64, u64::from(O_CLOEXEC), 0, 0], 0) };
    if fd < 0 {
        return fd;
    }
    // SAFETY: `into` is as long as said.
    let length =
        unsafe { syscall(__NR_read, [fd as u64, into.as_mut_ptr() as u64, into.len() as u64, 0, 0], 0) };
    // SAFETY: the descriptor is the one opened above.
    unsafe { close(fd) };
    length
}

/// Closes a descriptor.
///
/// # Safety
/// It must be one that the caller has opened and nobody else has come to know.
pub(crate) unsafe fn close(fd: isize) {
    // SAFETY: as above.
    unsafe { syscall(__NR_close, [fd as u64, 0, 0, 0, 0], 0) };
}

/// The ring's way to the kernel.
pub(crate) struct Kernel;

impl ring::System for Kernel {
    fn wait(&self, word: &AtomicU32, expected: u32) {
        // Bounded, so that a reader that died without a last wake is noticed.
        let bound = timespec { tv_sec: 0, tv_nsec: 100_000_000 };
        let arguments = [
            word.as_ptr() as u64,
            u64::from(FUTEX_WAIT),
            u64::from(expected),
            core::ptr::from_ref(&bound) as u64,
            0,
        ];
        // SAFETY: reads the word and the bound, both of which outlive the call.
        unsafe { syscall(__NR_futex, arguments, 0) };
    }

    fn wake(&self, word: &AtomicU32) {
        // SAFETY: names the word by its address and touches no memory.
        unsafe {
            syscall(__NR_futex, [word.as_ptr() as u64, u64::from(FUTEX_WAKE), i32::MAX as u64, 0, 0], 0);
        }
    }

    fn reader_is_gone(&self, reader: u32) -> bool {
        // SAFETY: signal 0 only asks.
        let result = unsafe { syscall(__NR_kill, [u64::from(reader), 0, 0, 0, 0], 0) };
        error(result) == Some(ESRCH)
    }
}
