//! The guard: a process that lets the calls of the tree continue once tracerun is gone, however it went.
//!
//! Without it every call that the filter holds would fail with `ENOSYS` as soon as nobody listens any more.

use std::io::{self, PipeReader, PipeWriter};
use std::os::fd::{AsRawFd, RawFd};
use std::sync::atomic::{AtomicU64, Ordering};

use super::seccomp::Listener;
use super::supervisor::Answer;

/// Which calls the threads of the supervisor have in hand, in memory that the guard shares.
///
/// A call that was received and never answered would be held for ever. The kernel numbers calls one by one, so those
/// that were received just now, and are not noted yet, follow the newest that is.
pub(super) struct InHand {
    notes: &'static [AtomicU64; NOTES],
}

/// Threads of the supervisor at most.
const NOTES: usize = 64;

impl InHand {
    /// # Errors
    /// There is no memory.
    pub(super) fn new() -> io::Result<Self> {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_SHARED | libc::MAP_ANONYMOUS;
        let size = size_of::<[AtomicU64; NOTES]>();
        // SAFETY: a new mapping, where the kernel likes.
        let start = unsafe { libc::mmap(std::ptr::null_mut(), size, protection, flags, -1, 0) };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: page-aligned and as long as the array, of zeros, which are valid; unmapped by `drop` only.
        Ok(Self { notes: unsafe { &*start.cast() } })
    }

    /// Notes that the thread of this number has received the call `id`. It need not be told of the answer: no number of a
    /// call is used twice.
    pub(super) fn note(&self, thread: usize, id: u64) {
        self.notes[thread % NOTES].store(id, Ordering::Relaxed);
    }

    /// Lets every call continue that may be in hand.
    fn let_go(&self, listener: &Listener) {
        let noted = || self.notes.iter().map(|note| note.load(Ordering::Relaxed)).filter(|&id| id != 0);
        let Some(newest) = noted().max() else { return };
        let unnoted = (1..=NOTES as u64).map(|after| newest.wrapping_add(after));
        // What is not held is not found; what is not received yet stays held.
        noted().chain(unnoted).for_each(|id| listener.answer(id, Answer::Continue));
    }
}

impl Drop for InHand {
    fn drop(&mut self) {
        // SAFETY: the mapping made by `new`, whose only reference ends here.
        unsafe { libc::munmap(self.notes.as_ptr().cast_mut().cast(), size_of_val(self.notes)) };
    }
}

/// The guard, as tracerun knows it.
pub(super) struct Guard {
    pid: libc::pid_t,
    /// Held open as long as tracerun is there to answer.
    here: Option<PipeWriter>,
}

impl Guard {
    /// Starts the guard of what `listener` hears.
    ///
    /// # Errors
    /// No process can be made.
    pub(super) fn start(listener: &Listener, in_hand: &InHand) -> io::Result<Self> {
        let (watch, here) = io::pipe()?;
        // SAFETY: the child makes system calls only, on memory that it has, and never returns.
        match unsafe { libc::fork() } {
            -1 => Err(io::Error::last_os_error()),
            0 => {
                stand_guard(&watch, listener, in_hand);
                // SAFETY: ends the process without running anything of its parent's.
                unsafe { libc::_exit(0) }
            }
            pid => Ok(Self { pid, here: Some(here) }),
        }
    }

    /// Has it let go on what is left of the tree, and end once nothing is. No call may be in hand.
    pub(super) fn take_over(&mut self) {
        self.here = None;
    }

    /// Waits for it to end.
    pub(super) fn wait(self) {
        // SAFETY: the pid is that of our own child, which has not been waited for, and wants no status.
        unsafe { libc::waitpid(self.pid, std::ptr::null_mut(), 0) };
    }
}

/// Waits until the other end of `watch` is closed, then lets everything continue until no filtered process is left.
///
/// Async-signal-safe: it runs in a forked child of a process with threads.
fn stand_guard(watch: &PipeReader, listener: &Listener, in_hand: &InHand) {
    // No terminal and no group of tracerun's: what ends those need not end the tree.
    // SAFETY: takes nothing.
    unsafe { libc::setsid() };
    for signal in [libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGTERM, libc::SIGPIPE] {
        // SAFETY: SIG_IGN is a valid disposition for these signals.
        unsafe { libc::signal(signal, libc::SIG_IGN) };
    }
    // SAFETY: the name is a C string, of which the kernel takes fifteen bytes.
    unsafe { libc::prctl(libc::PR_SET_NAME, c"tracerun-guard".as_ptr()) };
    close_all_but(watch.as_raw_fd(), listener.number());
    let mut byte = 0_u8;
    loop {
        // SAFETY: `byte` is writable and one byte long.
        let count = unsafe { libc::read(watch.as_raw_fd(), (&raw mut byte).cast(), 1) };
        let interrupted = count < 0 && io::Error::last_os_error().raw_os_error() == Some(libc::EINTR);
        if !interrupted {
            break;
        }
    }
    in_hand.let_go(listener);
    listener.let_everything_continue();
}

/// Closes every descriptor but two: who waits for the end of tracerun's output must not wait for the guard.
fn close_all_but(one: RawFd, other: RawFd) {
    let (low, high) = (one.min(other), one.max(other));
    for (first, last) in [(0, low - 1), (low + 1, high - 1), (high + 1, RawFd::MAX)] {
        if first <= last {
            // SAFETY: takes integers only; nothing of this process uses the descriptors any more.
            unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
        }
    }
}
