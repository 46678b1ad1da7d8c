//! Facts about this process that only Linux tells in this way, for `unix/`.

use std::path::PathBuf;
use std::sync::OnceLock;

/// Where the open descriptors of this process are listed.
pub(crate) const DESCRIPTORS: &str = "/proc/self/fd";

pub(crate) fn umask() -> u32 {
    // There is no call that only asks; changing it for a moment would race with other threads.
    told("Umask", 8).unwrap_or(0o022) as u32
}

/// The signals that this process ignores, the lowest bit for the first.
pub(super) fn ignored_signals() -> u64 {
    told("SigIgn", 16).unwrap_or_default()
}

/// The signals that it has blocked.
pub(super) fn blocked_signals() -> u64 {
    told("SigBlk", 16).unwrap_or_default()
}

/// The number that the system tells of this process under this name.
fn told(name: &str, base: u32) -> Option<u64> {
    static STATUS: OnceLock<String> = OnceLock::new();
    let read = || std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line =
        STATUS.get_or_init(read).lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(":\t"))?;
    u64::from_str_radix(line, base).ok()
}

/// Whether a signal comes from the kernel, as those that a terminal sends.
pub(super) fn is_from_kernel(info: &libc::siginfo_t) -> bool {
    info.si_code == libc::SI_KERNEL
}

/// Where the errno of this thread is.
pub(super) fn errno_location() -> *mut libc::c_int {
    // SAFETY: takes nothing.
    unsafe { libc::__errno_location() }
}

/// Whether two descriptors share a position in their file; taken for granted where the system does not tell.
pub(super) fn same_opening(one: i32, other: i32) -> bool {
    /// KCMP_FILE of `linux/kcmp.h`.
    const FILE: libc::c_int = 0;
    let own = std::process::id();
    // SAFETY: takes integers only.
    let order = unsafe { libc::syscall(libc::SYS_kcmp, own, own, FILE, one, other) };
    order <= 0
}

/// The path of what is open.
pub(super) fn path_of_descriptor(number: i32) -> Option<PathBuf> {
    std::fs::read_link(format!("/proc/self/fd/{number}")).ok()
}

/// Whether flags of an open file say that it can't be read or written (`O_PATH`).
pub(super) fn is_path_only(flags: i32) -> bool {
    flags & libc::O_PATH != 0
}

/// Whether a character device is `/dev/null`.
pub(super) fn is_null_device(device: libc::dev_t) -> bool {
    device == libc::makedev(1, 3)
}

/// Whether a character device is a terminal (Documentation/admin-guide/devices.txt of Linux): a virtual console, serial
/// line or pseudo terminal, or a name for this process's own.
pub(crate) fn is_terminal_device(device: libc::dev_t) -> bool {
    match libc::major(device) {
        4 | 136..=143 | 188 | 204 => true,
        // `/dev/ptmx` makes a new one.
        5 => libc::minor(device) != 2,
        _ => false,
    }
}

/// Names a process that goes on behind tracerun's back. Async-signal-safe.
pub(super) fn name_process(name: &std::ffi::CStr) {
    // SAFETY: the name is a C string, of which the kernel takes fifteen bytes.
    unsafe { libc::prctl(libc::PR_SET_NAME, name.as_ptr()) };
}

/// Closes the descriptors from `first` to `last`. Async-signal-safe.
///
/// # Safety
/// Nothing of this process may use them any more.
pub(super) unsafe fn close_range(first: i32, last: i32) {
    // SAFETY: takes integers only; the caller's otherwise.
    unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
}
