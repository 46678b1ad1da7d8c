//! The kernel's interface for seccomp user notification, as `seccomp_unotify(2)` describes it.

use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::time::{Duration, Instant};

use libc::{Ioctl, c_ulong, seccomp_notif, seccomp_notif_resp, sock_filter, sock_fprog};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::supervisor::Answer;

/// `SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV`, Linux 5.19: a held call is interrupted by fatal signals only, so
/// that a program that is preempted by signals (Go) gets on.
const WAIT_KILLABLE_RECV: c_ulong = 1 << 5;

/// `SECCOMP_IOCTL_NOTIF_SET_FLAGS` and its one flag, Linux 6.6: wake the other side on the same CPU, as each of
/// the two waits for the other.
const SET_FLAGS: Ioctl = 0x4008_2104;
const SYNC_WAKE_UP: u64 = 1;

/// Installs `filter` for the calling thread and its future children and returns the listener's descriptor.
/// Without the privilege to do so freely it sets `no_new_privs` first.
///
/// Async-signal-safe: it is called between fork and exec.
///
/// # Errors
/// `EBUSY` when an ancestor has a listener already; whatever else the kernel says.
pub(super) fn install(filter: &[sock_filter]) -> io::Result<RawFd> {
    let program = sock_fprog { len: filter.len() as u16, filter: filter.as_ptr().cast_mut() };
    let listen = libc::SECCOMP_FILTER_FLAG_NEW_LISTENER;
    for (privileged, flags) in
        [(true, listen | WAIT_KILLABLE_RECV), (false, listen | WAIT_KILLABLE_RECV), (false, listen)]
    {
        if !privileged {
            // SAFETY: this option of prctl reads its integer arguments only.
            unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
        }
        let mode = libc::SECCOMP_SET_MODE_FILTER;
        // SAFETY: `program` describes `filter`, which lives and which the kernel only reads.
        let fd = unsafe { libc::syscall(libc::SYS_seccomp, mode, flags, &raw const program) };
        if fd >= 0 {
            return Ok(fd as RawFd);
        }
        let error = io::Error::last_os_error();
        if !matches!(error.raw_os_error(), Some(libc::EACCES | libc::EINVAL)) {
            return Err(error);
        }
    }
    Err(io::Error::from_raw_os_error(libc::EINVAL))
}

/// Fetches descriptor `fd` of process `pid`, a child that waits for it.
///
/// # Errors
/// As `pidfd_open` and `pidfd_getfd`.
pub(super) fn fetch(pid: u32, fd: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: takes integers only.
    let process = owned(unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) })?;
    // SAFETY: takes integers only; `process` is open.
    owned(unsafe { libc::syscall(libc::SYS_pidfd_getfd, process.as_raw_fd(), fd, 0) })
}

fn owned(result: libc::c_long) -> io::Result<OwnedFd> {
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the system call that gave `result` made it a descriptor that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(result as RawFd) })
}

/// The supervising end of a filter.
pub(super) struct Listener {
    fd: OwnedFd,
    /// Whether a receive returns by itself when the last filtered process is gone (Linux 6.6).
    wakes_at_end: bool,
}

impl Listener {
    pub(super) fn new(fd: OwnedFd) -> Self {
        // SAFETY: this request takes its argument by value.
        let wakes_at_end = unsafe { libc::ioctl(fd.as_raw_fd(), SET_FLAGS, SYNC_WAKE_UP) } == 0;
        Self { fd, wakes_at_end }
    }

    /// Waits for the next held call; `None` when no filtered process is left, or when a signal interrupts the
    /// wait and `stopped` says so.
    ///
    /// # Errors
    /// The listener can't be used any more.
    pub(super) fn receive(&self, stopped: impl Fn() -> bool) -> io::Result<Option<seccomp_notif>> {
        loop {
            if !self.wakes_at_end {
                let events = self.poll(PollFlags::POLLIN, PollTimeout::NONE);
                if events.contains(PollFlags::POLLHUP) || stopped() {
                    return Ok(None);
                }
                if !events.contains(PollFlags::POLLIN) {
                    continue;
                }
            }
            // SAFETY: an all-zero value is valid for this structure of integers, and the kernel requires it.
            let mut held: seccomp_notif = unsafe { std::mem::zeroed() };
            // SAFETY: the request writes one `seccomp_notif` to `held`.
            let result =
                unsafe { libc::ioctl(self.fd.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_RECV as _, &mut held) };
            if result == 0 {
                return Ok(Some(held));
            }
            let error = io::Error::last_os_error();
            match error.raw_os_error() {
                // ENOENT: the caller was killed before its call could be received, or all are gone.
                Some(libc::ENOENT) if self.is_at_end() => return Ok(None),
                Some(libc::ENOENT | libc::EINTR) if stopped() => return Ok(None),
                Some(libc::ENOENT | libc::EINTR) => {}
                _ => return Err(error),
            }
        }
    }

    /// The number of its descriptor.
    pub(super) fn number(&self) -> RawFd {
        self.fd.as_raw_fd()
    }

    /// Answers the held call `id`. That the caller is gone meanwhile is no error.
    pub(super) fn answer(&self, id: u64, answer: Answer) {
        let mut response = seccomp_notif_resp { id, val: 0, error: 0, flags: 0 };
        match answer {
            Answer::Continue => response.flags = libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE as u32,
            Answer::Fail(errno) => response.error = -errno,
        }
        // SAFETY: the request reads one `seccomp_notif_resp`.
        unsafe { libc::ioctl(self.fd.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_SEND as _, &mut response) };
    }

    /// Whether the call is still held, so that what was read from its process was read from the right one.
    pub(super) fn is_held(&self, held: &seccomp_notif) -> bool {
        // SAFETY: the request reads one 64-bit id.
        unsafe {
            libc::ioctl(self.fd.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_ID_VALID as _, &raw const held.id) == 0
        }
    }

    /// Waits until no filtered process is left (`true`) or the time is over.
    pub(super) fn wait_for_end(&self, at_most: Duration) -> bool {
        let deadline = Instant::now() + at_most;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            // Rounded up, so that the last wait is not a busy one.
            let milliseconds = u16::try_from(left.as_micros().div_ceil(1000)).unwrap_or(u16::MAX);
            let events = self.poll(PollFlags::empty(), PollTimeout::from(milliseconds));
            if events.contains(PollFlags::POLLHUP) || left.is_zero() {
                return events.contains(PollFlags::POLLHUP);
            }
        }
    }

    /// Whether no filtered process is left.
    fn is_at_end(&self) -> bool {
        self.poll(PollFlags::empty(), PollTimeout::ZERO).contains(PollFlags::POLLHUP)
    }

    fn poll(&self, events: PollFlags, timeout: PollTimeout) -> PollFlags {
        let mut fds = [PollFd::new(self.fd.as_fd(), events)];
        // An interrupted wait tells nothing, like one that is over.
        let _ = poll(&mut fds, timeout);
        fds[0].revents().unwrap_or(PollFlags::empty())
    }

    /// Lets every held call continue, without looking, until no filtered process is left.
    ///
    /// Async-signal-safe: it runs in a forked child of a process with threads.
    pub(super) fn let_everything_continue(&self) {
        while let Ok(Some(held)) = self.receive(|| false) {
            self.answer(held.id, Answer::Continue);
        }
    }
}
