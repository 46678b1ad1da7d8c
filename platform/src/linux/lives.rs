//! The lives of traced processes: who their parents are, and how those end that do not say so, killed by a signal for one.

use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::eventfd::{EfdFlags, EventFd};
use shm_protocol::record::Exit;

/// A process, by a descriptor that never comes to mean another.
pub(super) struct Life(OwnedFd);

/// What the kernel tells of a process or thread.
struct Info {
    process: u32,
    parent: u32,
    /// As wait(2) gives it; once the process is waited for.
    status: Option<i32>,
}

impl Life {
    /// The process with this id; `None` if there is none, as where `pid` is a thread that does not lead its process.
    pub(super) fn of(pid: u32) -> Option<Self> {
        open(pid, 0).map(Self)
    }

    /// Whether it has ended, or does within `at_most`.
    pub(super) fn has_ended(&self, at_most: Duration) -> bool {
        let mut fds = [PollFd::new(self.0.as_fd(), PollFlags::POLLIN)];
        let timeout = PollTimeout::try_from(at_most).unwrap_or(PollTimeout::MAX);
        poll(&mut fds, timeout) == Ok(1)
    }

    /// How the process, which has ended, did so; `None` if that can't be told any more.
    pub(super) fn exit(&self, pid: u32) -> Option<Exit> {
        let told = || info(&self.0)?.status;
        // Whoever waits for it may do so between the two.
        let status = told().or_else(|| status_of_zombie(pid)).or_else(told)?;
        Some(match status & 0x7f {
            0 => Exit::Code((status >> 8) as u32 & 0xff),
            signal => Exit::Signal(signal as u8),
        })
    }

    /// Kills it.
    pub(super) fn kill(&self) {
        let nothing = std::ptr::null::<libc::siginfo_t>();
        // SAFETY: the descriptor is that of a process; without a `siginfo_t` the kernel makes one.
        // That it is gone already is no failure.
        unsafe { libc::syscall(libc::SYS_pidfd_send_signal, self.0.as_raw_fd(), libc::SIGKILL, nothing, 0) };
    }
}

/// Where a thread stands in the tree of processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Kin {
    /// The process it belongs to.
    pub(super) process: u32,
    /// The process that one was forked from; 0 if it is out of sight.
    pub(super) parent: u32,
}

impl Kin {
    /// The kin of `thread`, with the life of its process where the thread leads it; `None` if it is gone.
    pub(super) fn of(thread: u32) -> Option<(Self, Option<Life>)> {
        const PIDFD_THREAD: u32 = libc::O_EXCL as u32;
        let life = Life::of(thread);
        let other = if life.is_none() { open(thread, PIDFD_THREAD) } else { None };
        let known = life.as_ref().map(|life| &life.0).or(other.as_ref()).and_then(info);
        let kin = known.map(|info| Self { process: info.process, parent: info.parent });
        Some((kin.or_else(|| Self::from_proc(thread))?, life))
    }

    fn from_proc(thread: u32) -> Option<Self> {
        let status = std::fs::read_to_string(format!("/proc/{thread}/status")).ok()?;
        let field = |name| status.lines().find_map(|line| line.strip_prefix(name)?.parse().ok());
        Some(Self { process: field("Tgid:\t")?, parent: field("PPid:\t")? })
    }
}

/// Whether a thread that was one of `process` still is: the ids of threads that end are used again, and that is all that
/// is heard of it.
pub(super) fn is_thread_of(thread: u32, process: u32) -> bool {
    // SAFETY: takes integers only; no signal is sent.
    let sent = || unsafe { libc::syscall(libc::SYS_tgkill, process, thread, 0) } == 0;
    thread == process || sent() || io::Error::last_os_error().raw_os_error() != Some(libc::ESRCH)
}

fn open(pid: u32, flags: u32) -> Option<OwnedFd> {
    // SAFETY: takes integers only.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, flags) };
    // SAFETY: if it is no error, pidfd_open has just made `fd`, and nobody else owns it.
    (fd >= 0).then(|| unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

/// By `PIDFD_GET_INFO` of linux/pidfd.h (Linux 6.13), ten times as fast as `/proc`.
fn info(fd: &OwnedFd) -> Option<Info> {
    const PIDFD_GET_INFO: libc::Ioctl = 0xc040_ff0b_u32 as libc::Ioctl;
    const PIDFD_INFO_PID: u64 = 1;
    /// Linux 6.15.
    const PIDFD_INFO_EXIT: u64 = 1 << 3;
    // `struct pidfd_info` in its first version: mask, cgroup, then pid, tgid, ppid and more in 32 bits each, of which
    // the last is the status.
    let mut info = [0_u64; 8];
    info[0] = PIDFD_INFO_PID | PIDFD_INFO_EXIT;
    // SAFETY: the request writes the 64 bytes that its number tells, as many as `info` has.
    if unsafe { libc::ioctl(fd.as_raw_fd(), PIDFD_GET_INFO, info.as_mut_ptr()) } != 0 {
        return None;
    }
    let status = (info[0] & PIDFD_INFO_EXIT != 0).then_some((info[7] >> 32) as i32);
    Some(Info { process: (info[2] >> 32) as u32, parent: info[3] as u32, status })
}

/// The status of a process that nobody has waited for yet: the last field of `/proc/<pid>/stat`.
fn status_of_zombie(pid: u32) -> Option<i32> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in parentheses, may hold anything.
    let (_, fields) = stat.rsplit_once(") ")?;
    if !fields.starts_with('Z') {
        return None;
    }
    fields.split_whitespace().next_back()?.parse().ok()
}

/// Tells of the ends of processes as they come.
pub(super) struct Ends {
    epoll: Epoll,
    stop: EventFd,
}

/// Stands for the wish to stop; no process has this id.
const STOP: u64 = 0;

impl Ends {
    /// # Errors
    /// There are no descriptors left.
    pub(super) fn new() -> io::Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let stop = EventFd::from_flags(EfdFlags::EFD_CLOEXEC)?;
        epoll.add(&stop, EpollEvent::new(EpollFlags::EPOLLIN, STOP))?;
        Ok(Self { epoll, stop })
    }

    /// Makes [`Ends::next`] tell of the end of `pid` unless `life` is dropped before.
    pub(super) fn watch(&self, pid: u32, life: &Life) {
        let event = EpollEvent::new(EpollFlags::EPOLLIN, pid.into());
        // What can't be watched is asked at the end of the run.
        let _ = self.epoll.add(&life.0, event);
    }

    /// The next process that has ended; `None` once stopped.
    pub(super) fn next(&self) -> Option<u32> {
        let mut events = [EpollEvent::empty()];
        loop {
            match self.epoll.wait(&mut events, EpollTimeout::NONE) {
                Ok(1) => return u32::try_from(events[0].data()).ok().filter(|&pid| u64::from(pid) != STOP),
                Ok(_) | Err(nix::Error::EINTR) => {}
                Err(_) => return None,
            }
        }
    }

    /// Makes [`Ends::next`] return `None` from now on.
    pub(super) fn stop(&self) {
        // It fails only if it has been told 2^64 times.
        let _ = self.stop.write(1);
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn both_ways_to_find_the_kin_of_a_thread_agree() {
        let expected = Kin { process: std::process::id(), parent: std::os::unix::process::parent_id() };
        let thread = nix::unistd::gettid().as_raw() as u32;
        assert_eq!(Kin::from_proc(thread), Some(expected));
        assert_eq!(Kin::of(thread).map(|(kin, _)| kin), Some(expected));
        assert!(Kin::of(u32::MAX >> 1).is_none());
    }

    #[test]
    fn the_end_of_a_process_is_told_whether_it_is_waited_for_or_not() {
        let ends = Ends::new().expect("descriptors");
        let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().expect("it runs");
        let pid = child.id();
        let life = Life::of(pid).expect("it is there");
        assert!(!life.has_ended(Duration::ZERO));
        ends.watch(pid, &life);
        life.kill();
        assert_eq!(ends.next(), Some(pid));
        assert!(life.has_ended(Duration::ZERO));
        assert_eq!(life.exit(pid), Some(Exit::Signal(9)));
        child.wait().expect("it has ended");
        // Only newer kernels remember.
        assert!(matches!(life.exit(pid), None | Some(Exit::Signal(9))));
        drop(life);
        ends.stop();
        assert_eq!((ends.next(), ends.next()), (None, None));
    }
}
