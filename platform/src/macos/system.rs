//! Facts about this process that only macOS tells in this way, for `unix/`.

use std::ffi::{CStr, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::OnceLock;

/// Where the open descriptors of this process are listed.
pub(crate) const DESCRIPTORS: &str = "/dev/fd";

/// Asked once, as early as anyone asks: there is no call that only asks, and changing it for a moment races with other threads.
pub(crate) fn umask() -> u32 {
    static UMASK: OnceLock<u32> = OnceLock::new();
    *UMASK.get_or_init(|| {
        // SAFETY: takes an integer.
        let mask = unsafe { libc::umask(0o022) };
        // SAFETY: as above.
        unsafe { libc::umask(mask) };
        u32::from(mask)
    })
}

/// The signals for which `is` holds, the lowest bit for the first. There are 31 (sys/signal.h).
fn signals(is: impl Fn(i32) -> bool) -> u64 {
    (1..=31).filter(|&signal| is(signal)).map(|signal| 1 << (signal - 1)).sum()
}

/// The signals that this process ignores.
pub(super) fn ignored_signals() -> u64 {
    signals(|signal| {
        // SAFETY: an all-zero value is valid for this structure: no flags, an empty mask.
        let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
        // SAFETY: asks only; the structure is writable.
        let asked = unsafe { libc::sigaction(signal, std::ptr::null(), &raw mut action) };
        asked == 0 && action.sa_sigaction == libc::SIG_IGN
    })
}

/// The signals that it has blocked.
pub(super) fn blocked_signals() -> u64 {
    // SAFETY: an all-zero value is valid for this set.
    let mut blocked: libc::sigset_t = unsafe { std::mem::zeroed() };
    // SAFETY: asks only; the set is writable.
    unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, std::ptr::null(), &raw mut blocked) };
    // SAFETY: a set, and the number of a signal.
    signals(|signal| unsafe { libc::sigismember(&raw const blocked, signal) } == 1)
}

/// Whether a signal comes from the kernel, as those that a terminal sends: they name no process.
pub(super) fn is_from_kernel(info: &libc::siginfo_t) -> bool {
    info.si_pid == 0
}

/// Where the errno of this thread is.
pub(super) fn errno_location() -> *mut libc::c_int {
    // SAFETY: takes nothing.
    unsafe { libc::__error() }
}

/// Whether two descriptors share a position in their file: taken for granted, as the system does not tell.
pub(super) fn same_opening(_one: i32, _other: i32) -> bool {
    true
}

/// The path of what is open.
pub(super) fn path_of_descriptor(number: i32) -> Option<PathBuf> {
    let mut path = [0_u8; libc::PATH_MAX as usize];
    // SAFETY: the kernel writes at most `MAXPATHLEN` bytes, which the buffer has (fcntl(2)).
    let told = unsafe { libc::fcntl(number, libc::F_GETPATH, path.as_mut_ptr()) };
    let path = CStr::from_bytes_until_nul(&path).ok().filter(|_| told == 0)?;
    Some(OsStr::from_bytes(path.to_bytes()).into())
}

/// Whether flags of an open file say that it can't be read or written; there is no such flag.
pub(super) fn is_path_only(_flags: i32) -> bool {
    false
}

/// Whether a character device is `/dev/null`.
pub(super) fn is_null_device(device: libc::dev_t) -> bool {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata("/dev/null").is_ok_and(|null| null.rdev() == device as u64)
}

/// Whether a character device is a terminal: all but those are that are known to be none.
pub(crate) fn is_terminal_device(device: libc::dev_t) -> bool {
    /// Of `/dev/null`, `/dev/zero`, and of `/dev/random` (`cdevsw` of XNU's bsd/dev).
    const NONE: [i32; 2] = [3, 17];
    !NONE.contains(&libc::major(device))
}

/// Names a process that goes on behind tracerun's back: not done here.
pub(super) fn name_process(_name: &CStr) {}

/// Closes the descriptors from `first` to `last`. Async-signal-safe.
///
/// # Safety
/// Nothing of this process may use them any more.
pub(super) unsafe fn close_range(first: i32, last: i32) {
    // SAFETY: takes nothing.
    let end = unsafe { libc::getdtablesize() };
    for number in first..last.saturating_add(1).min(end) {
        // SAFETY: the caller's.
        unsafe { libc::close(number) };
    }
}
