//! The net of one command: the filter goes into its process before the exec, the supervisor's threads serve it.

use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::os::unix::thread::JoinHandleExt;
use std::process::{self, Child, Command};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use libc::sock_filter;
use nix::sched::{CpuSet, sched_getaffinity};
use nix::unistd::Pid;
use shm_protocol::access::Gap;
use shm_protocol::record::Exit;

use super::guard::{Guard, InHand};
use super::seccomp::{self, Listener};
use super::server::Server;
use super::supervisor::{Orders, Supervisor};
use crate::tracing::{Background, CaptureReport, GapReport, Killer};

/// How many threads serve held calls at the same time: each keeps up with what several CPUs do.
fn threads_at_once() -> usize {
    let cpus = sched_getaffinity(Pid::from_raw(0))
        .map_or(1, |set| (0..CpuSet::count()).filter(|&cpu| set.is_set(cpu).unwrap_or_default()).count());
    (cpus / 4).clamp(1, 16)
}

/// The server with its threads.
pub(super) struct Net {
    server: Arc<Server>,
    threads: Vec<JoinHandle<io::Result<()>>>,
    /// Attends to the ends of processes; where it can't be had, those are looked for when all is over.
    undertaker: Option<JoinHandle<()>>,
    guard: Guard,
}

/// How long processes that are killed may take to be gone, and how often to look.
pub(super) const DYING: Duration = Duration::from_secs(2);
pub(super) const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// Why a command could not be started under the net.
pub(super) enum NetError {
    /// The filter can't be had here.
    Refused(io::Error),
    /// The command itself can't be executed.
    Command(io::Error),
}

impl Net {
    /// Starts `command` with `filter` installed before it is executed.
    ///
    /// The child tells its pid and the number of the listener's descriptor, waits until this process has fetched
    /// it, and closes its own. If the filter is refused nothing has run, and `command` can be used again.
    pub(super) fn spawn(
        command: &mut Command,
        filter: Vec<sock_filter>,
        orders: Orders,
    ) -> Result<(Child, Self), NetError> {
        let (report, child_report) = io::pipe().map_err(NetError::Refused)?;
        let (child_go, go) = io::pipe().map_err(NetError::Refused)?;
        let enabled = Arc::new(AtomicBool::new(true));
        let ends = Arc::new(ChildEnds { report: child_report, go: child_go, go_of_parent: go.as_raw_fd() });
        let (still_enabled, weak) = (Arc::clone(&enabled), Arc::downgrade(&ends));
        let enter = move || match weak.upgrade() {
            Some(ends) if still_enabled.load(Ordering::Relaxed) => ends.enter(&filter),
            _ => Ok(()),
        };
        // SAFETY: `enter` runs between fork and exec; it makes system calls on memory and descriptors prepared
        // before, and neither allocates nor locks: upgrading and dropping a count that others hold frees nothing.
        unsafe { command.pre_exec(enter) };

        let in_hand = InHand::new().map_err(NetError::Refused)?;
        let (sender, receiver) = mpsc::channel();
        let first = Builder::new().name("supervisor".into()).spawn(move || {
            // While the child comes into being.
            if let Some(ring) = &orders.ring {
                ring.tell_call_sites();
            }
            let server = match greet(report, |listener, pid| {
                let supervisor = Supervisor::new(pid, orders)?;
                Ok(Server::new(supervisor, Listener::new(listener), threads_at_once(), in_hand))
            }) {
                Ok(Some(server)) => Arc::new(server),
                Ok(None) => return Ok(()),
                Err(error) => {
                    // That the receiver is gone would mean that nobody wants to know.
                    let _ = sender.send(Err(error));
                    return Ok(());
                }
            };
            { go }.write_all(&[1])?;
            // The child is held at its exec until it is guarded; without a guard that fails.
            let guard = server.guard();
            let served = guard.is_ok();
            let _ = sender.send(guard.map(|guard| (Arc::clone(&server), guard)));
            if served { server.serve() } else { Ok(()) }
        });
        let first = first.map_err(NetError::Refused)?;
        let spawned = command.spawn();
        enabled.store(false, Ordering::Relaxed);
        // With the child's ends gone, the greeting thread ends if no child ever came to greet.
        drop(ends);
        let greeted = receiver.recv();
        match (spawned, greeted) {
            (Ok(child), Ok(Ok((server, guard)))) => {
                let mut threads = vec![first];
                // One more, for when one has work that takes long.
                for _ in 0..threads_at_once() {
                    let server = Arc::clone(&server);
                    // One thread is enough to go on.
                    threads.extend(Builder::new().name("supervisor".into()).spawn(move || server.serve()));
                }
                let attending = Arc::clone(&server);
                let undertaker = Builder::new()
                    .name("undertaker".into())
                    .spawn(move || attending.supervisor.attend_ends())
                    .ok();
                Ok((child, Self { server, threads, undertaker, guard }))
            }
            (Err(_), Ok(Err(error))) => Err(NetError::Refused(error)),
            (Err(error), _) => Err(NetError::Command(error)),
            (Ok(mut child), greeted) => {
                // The child got on although nobody greeted it: not possible, but it must not run unseen.
                let _ = child.kill();
                let _ = child.wait();
                let error = greeted.err().map_or_else(|| io::Error::other("no listener"), io::Error::other);
                Err(NetError::Refused(error))
            }
        }
    }

    /// The command itself has ended.
    pub(super) fn command_has_ended(&self, pid: u32, exit: Exit) {
        self.server.supervisor.has_ended(pid, exit);
    }

    /// Waits up to `grace` for the whole tree to be gone. What is still there then is killed, or goes on without being
    /// looked at, its calls let through by the guard.
    pub(super) fn finish(mut self, grace: Duration, background: Background, report: &mut CaptureReport) {
        let Server { supervisor, listener, .. } = &*self.server;
        let ended = listener.wait_for_end(grace) || background == Background::Kill && self.kill();
        if ended {
            // It ends while the rest is seen to.
            self.guard.take_over();
        }
        // The last of its calls is over before a process has ended.
        supervisor.attend_last_ends(if ended { DYING } else { Duration::ZERO });
        if let Some(undertaker) = self.undertaker {
            undertaker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        }
        if !ended {
            report.survivors = supervisor.survivors();
            if report.survivors.is_empty() {
                // It has done nothing yet that would have told of it.
                report.gaps.push(GapReport { gap: Gap::Survivor, detail: String::new() });
            }
            self.server.stop();
            wake_until_finished(&self.threads);
            self.guard.take_over();
        }
        for thread in self.threads {
            match thread.join() {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    report.gaps.push(GapReport { gap: Gap::SupervisorFailed, detail: error.to_string() });
                }
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        if ended {
            self.guard.wait();
        }
    }
}

impl Net {
    /// What kills all of the tree that was seen.
    pub(super) fn killer(&self) -> Killer {
        let server = Arc::downgrade(&self.server);
        Box::new(move || {
            server.upgrade().inspect(|server| server.supervisor.kill_all());
        })
    }

    /// Kills the tree, those of it too that were not seen before; `false` if some can't be killed.
    fn kill(&self) -> bool {
        let deadline = Instant::now() + DYING;
        while Instant::now() < deadline {
            self.server.supervisor.kill_all();
            if self.server.listener.wait_for_end(LOOK_AGAIN) {
                return true;
            }
        }
        false
    }
}

/// The child's ends of the two pipes.
struct ChildEnds {
    report: PipeWriter,
    go: PipeReader,
    /// The number of the other end of `go`, which the child has a copy of: with that open, it would wait for itself.
    go_of_parent: RawFd,
}

impl ChildEnds {
    /// In the child, before the exec: installs the filter and waits until its listener has been fetched.
    fn enter(&self, filter: &[sock_filter]) -> io::Result<()> {
        let installed = seccomp::install(filter);
        let number = match &installed {
            Ok(fd) => *fd,
            Err(error) => -error.raw_os_error().unwrap_or(libc::EINVAL),
        };
        let mut message = [0; 8];
        message[..4].copy_from_slice(&process::id().to_ne_bytes());
        message[4..].copy_from_slice(&number.to_ne_bytes());
        (&self.report).write_all(&message)?;
        let fd = installed?;
        // SAFETY: the child's copy, which nothing in it refers to: it will execute something, or exit.
        unsafe { libc::close(self.go_of_parent) };
        let mut go = [0];
        let told = (&self.go).read_exact(&mut go);
        // Also where nobody has fetched it: then the next watched call, by which this process ends, must not wait for an
        // answer.
        // SAFETY: the descriptor is this process's own and nothing refers to it any more.
        unsafe { libc::close(fd) };
        told
    }
}

/// Waits for a child to tell of its listener and fetches it; `None` if no child comes.
fn greet<S>(
    mut report: PipeReader,
    supervise: impl FnOnce(OwnedFd, u32) -> io::Result<S>,
) -> io::Result<Option<S>> {
    let mut message = [0; 8];
    if report.read_exact(&mut message).is_err() {
        return Ok(None);
    }
    let [a, b, c, d, e, f, g, h] = message;
    let (pid, number) = (u32::from_ne_bytes([a, b, c, d]), i32::from_ne_bytes([e, f, g, h]));
    if number < 0 {
        return Err(io::Error::from_raw_os_error(-number));
    }
    supervise(seccomp::fetch(pid, number)?, pid).map(Some)
}

/// Interrupts what `threads`, which have been told to stop, wait for until they have returned.
pub(super) fn wake_until_finished(threads: &[JoinHandle<io::Result<()>>]) {
    extern "C" fn nothing(_: i32) {}
    // SIGURG is ignored unless somebody handles it, and interrupts a thread that waits only if handled.
    // SAFETY: an all-zero value is valid for this structure: no flags, an empty mask.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = nothing as *const () as usize;
    // SAFETY: `action` is complete; its handler does nothing.
    unsafe { libc::sigaction(libc::SIGURG, &raw const action, std::ptr::null_mut()) };
    for thread in threads {
        while !thread.is_finished() {
            // SAFETY: the handle is not joined yet, so its thread id is valid.
            unsafe { libc::pthread_kill(thread.as_pthread_t() as libc::pthread_t, libc::SIGURG) };
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}
