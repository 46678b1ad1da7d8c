//! The net where no filter can have a listener: every system call of the tree is stopped by ptrace(2), before any filter of
//! an ancestor sees it, and those that the filter would have held are judged in the same way.
//!
//! One thread does it all, as the kernel lets only that give orders which has attached. When the thread ends, or tracerun is
//! killed, the kernel detaches it from the tree, which then goes on as if nothing had been.

use std::collections::HashSet;
use std::io::{self, PipeReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, OnceLock};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use libc::{SECCOMP_RET_ALLOW, c_long, c_void, pid_t, seccomp_data, sock_filter};
use linux_raw_sys::ptrace::{
    PTRACE_DETACH, PTRACE_GET_SYSCALL_INFO, PTRACE_INTERRUPT, PTRACE_LISTEN, PTRACE_SEIZE, PTRACE_SYSCALL,
    PTRACE_SYSCALL_INFO_ENTRY, ptrace_syscall_info,
};
use shm_protocol::access::Gap;
use shm_protocol::record::Exit;

use super::abi;
use super::filter;
use super::net::{DYING, LOOK_AGAIN, NetError, wake_until_finished};
use super::server::judge_safely;
use super::supervisor::{Answer, Held, Orders, Supervisor};
use crate::tracing::{Background, CaptureReport, GapReport, Killer};

/// A tree that is traced.
pub(super) struct Stops {
    pid: u32,
    shared: Arc<Shared>,
    thread: JoinHandle<io::Result<()>>,
    /// Tells how the command ends; closed when no process of the tree is left.
    end: Receiver<Exit>,
}

/// What the thread that traces shares with the others.
#[derive(Default)]
struct Shared {
    supervisor: OnceLock<Supervisor>,
    stopped: AtomicBool,
}

impl Stops {
    /// Starts `command` with every call of its tree stopped; those that `filter` would not allow are judged.
    pub(super) fn spawn(
        command: Command,
        filter: Vec<sock_filter>,
        orders: Orders,
    ) -> Result<Self, NetError> {
        let shared = Arc::new(Shared::default());
        let (started, wait_for_start) = mpsc::channel();
        let (tell_end, end) = mpsc::channel();
        let theirs = Arc::clone(&shared);
        let thread = Builder::new().name("tracer".into()).spawn(move || {
            let (pid, failure) = match start(command) {
                Ok(child) => child,
                Err(error) => {
                    let _ = started.send(Err(error));
                    return Ok(());
                }
            };
            let supervisor = Supervisor::new(pid as u32, orders)?;
            let supervisor = theirs.supervisor.get_or_init(|| supervisor);
            // That nobody waits for it would mean that nobody wants to know.
            let _ = started.send(Ok((pid as u32, failure)));
            Tracer { supervisor, filter, root: pid, tell_end, met: HashSet::new(), failure: None }
                .run(&theirs.stopped)
        });
        let thread = thread.map_err(NetError::Refused)?;
        let failed = || NetError::Refused(io::Error::other("the tracer could not start"));
        let (pid, mut failure) = wait_for_start.recv().unwrap_or_else(|_| Err(failed()))?;
        let mut errno = [0; 4];
        // Closed without a word by the exec.
        if failure.read_exact(&mut errno).is_ok() {
            // It is about to end, and the thread with it.
            let _ = thread.join();
            return Err(NetError::Command(io::Error::from_raw_os_error(i32::from_ne_bytes(errno))));
        }
        Ok(Self { pid, shared, thread, end })
    }

    pub(super) fn pid(&self) -> u32 {
        self.pid
    }

    /// Waits until the command itself has ended.
    ///
    /// # Errors
    /// The tracer could not go on.
    pub(super) fn wait(&self) -> io::Result<Exit> {
        self.end.recv().map_err(|_| io::Error::other("the tracer has lost the command"))
    }

    /// Waits up to `grace` for the whole tree to be gone. What is still there then is killed, or goes on untraced.
    pub(super) fn finish(self, grace: Duration, background: Background, report: &mut CaptureReport) {
        let ended = self.ends_within(grace) || background == Background::Kill && self.kill();
        if !ended {
            report.survivors = self.shared.supervisor.get().map(Supervisor::survivors).unwrap_or_default();
            if report.survivors.is_empty() {
                // It has ended just now, or nothing is known of it.
                report.gaps.push(GapReport { gap: Gap::Survivor, detail: String::new() });
            }
        }
        self.shared.stopped.store(true, Ordering::Release);
        wake_until_finished(std::slice::from_ref(&self.thread));
        match self.thread.join() {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                report.gaps.push(GapReport { gap: Gap::SupervisorFailed, detail: error.to_string() });
            }
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }

    fn ends_within(&self, at_most: Duration) -> bool {
        self.end.recv_timeout(at_most) == Err(RecvTimeoutError::Disconnected)
    }

    /// What kills all of the tree that was seen.
    pub(super) fn killer(&self) -> Killer {
        let shared = Arc::downgrade(&self.shared);
        Box::new(move || {
            shared
                .upgrade()
                .inspect(|shared| shared.supervisor.get().iter().for_each(|known| known.kill_all()));
        })
    }

    /// Kills the tree; `false` if some of it can't be killed.
    fn kill(&self) -> bool {
        let deadline = Instant::now() + DYING;
        while Instant::now() < deadline {
            self.shared.supervisor.get().inspect(|supervisor| supervisor.kill_all());
            if self.ends_within(LOOK_AGAIN) {
                return true;
            }
        }
        false
    }
}

/// Whether a child can be traced here: tries it.
///
/// # Errors
/// What the kernel says to it.
pub(super) fn may_trace() -> io::Result<()> {
    let (wait_to_end, end) = io::pipe()?;
    // SAFETY: the child closes and reads pipes and ends, allocating nothing.
    let pid = unsafe { libc::fork() };
    match pid {
        -1 => return Err(io::Error::last_os_error()),
        0 => {
            drop(end);
            // Its end is its only answer.
            let _ = (&wait_to_end).read(&mut [0]);
            // SAFETY: ends the process without running anything of its parent's.
            unsafe { libc::_exit(0) }
        }
        _ => {}
    }
    let traced = order(PTRACE_SEIZE, pid, 0);
    drop(end);
    let mut status = 0;
    // SAFETY: the pid is that of our own child, and `status` is writable.
    while unsafe { libc::waitpid(pid, &raw mut status, 0) } == pid && libc::WIFSTOPPED(status) {
        // A signal to tracerun's whole group, which it gets in its own time.
        let _ = order(PTRACE_DETACH, pid, libc::WSTOPSIG(status) as usize);
    }
    traced
}

/// Starts the command, traced by this thread; its error, should it not be executed, comes through the pipe.
fn start(mut command: Command) -> Result<(pid_t, PipeReader), NetError> {
    let (mut report, child_report) = io::pipe().map_err(NetError::Refused)?;
    let (child_go, go) = io::pipe().map_err(NetError::Refused)?;
    let ready = child_report.try_clone().map_err(NetError::Refused)?;
    let wait = move || {
        (&ready).write_all(&READY.to_ne_bytes())?;
        (&child_go).read_exact(&mut [0])
    };
    // What comes before, as going to the working directory, is not the command's doing.
    // SAFETY: writing and reading pipes is what a child may do between fork and exec.
    unsafe { command.pre_exec(wait) };
    // SAFETY: the child only writes and reads pipes and executes, which may allocate: the C library's fork leaves its
    // allocator usable, and no other thread of tracerun holds the lock of the environment, which none changes.
    let pid = unsafe { libc::fork() };
    match pid {
        -1 => return Err(NetError::Refused(io::Error::last_os_error())),
        0 => {
            drop((report, go));
            let errno = command.exec().raw_os_error().unwrap_or(libc::EINVAL);
            // Whoever would read it is gone otherwise.
            let _ = (&child_report).write_all(&errno.to_ne_bytes());
            // SAFETY: ends the process without running anything of its parent's.
            unsafe { libc::_exit(127) }
        }
        _ => {}
    }
    drop(child_report);
    drop(command);
    let options = libc::PTRACE_O_TRACESYSGOOD
        | libc::PTRACE_O_TRACEFORK
        | libc::PTRACE_O_TRACEVFORK
        | libc::PTRACE_O_TRACECLONE
        | libc::PTRACE_O_TRACEEXEC;
    let mut number = [0; 4];
    let traced = match report.read_exact(&mut number).map(|()| i32::from_ne_bytes(number)) {
        Err(error) => Err(NetError::Refused(error)),
        // It waits for our word, and stops before it goes on from there.
        Ok(READY) => order(PTRACE_SEIZE, pid, options as usize)
            .and_then(|()| order(PTRACE_INTERRUPT, pid, 0))
            .and_then(|()| (&go).write_all(&[1]))
            .map_err(NetError::Refused),
        Ok(errno) => Err(NetError::Command(io::Error::from_raw_os_error(errno))),
    };
    if traced.is_err() {
        // Without the word the child ends by itself.
        drop(go);
        // SAFETY: the pid is that of our own child; its status is of no interest.
        unsafe { libc::waitpid(pid, ptr::null_mut(), 0) };
    }
    traced.map(|()| (pid, report))
}

/// What a child reports when it waits for the word to go on, in place of the number of an error.
const READY: i32 = 0;

/// One order to a traced thread, with no address.
fn order(request: u32, thread: pid_t, data: usize) -> io::Result<()> {
    // SAFETY: requests used with this function take `data` as a number and touch no memory of ours.
    let result =
        unsafe { libc::ptrace(request as _, thread, ptr::null_mut::<c_void>(), data as *mut c_void) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// The thread that traces.
struct Tracer<'a> {
    supervisor: &'a Supervisor,
    filter: Vec<sock_filter>,
    root: pid_t,
    tell_end: Sender<Exit>,
    /// The threads that have stopped once.
    met: HashSet<pid_t>,
    failure: Option<io::Error>,
}

impl Tracer<'_> {
    /// Attends to stops until no traced process is left, or until `stopped` at a signal.
    fn run(mut self, stopped: &AtomicBool) -> io::Result<()> {
        let mut buffer = Vec::new();
        while !stopped.load(Ordering::Acquire) {
            let mut status = 0;
            // Only what this thread traces: other children are others' to wait for.
            let which = libc::__WALL | libc::__WNOTHREAD;
            // SAFETY: `status` is writable for the length of the call.
            let thread = unsafe { libc::waitpid(-1, &raw mut status, which) };
            if thread < 0 {
                match io::Error::last_os_error() {
                    error if error.raw_os_error() == Some(libc::EINTR) => continue,
                    error if error.raw_os_error() == Some(libc::ECHILD) => break,
                    error => return Err(error),
                }
            }
            if libc::WIFSTOPPED(status) {
                self.attend_stop(thread, status, &mut buffer);
            } else if libc::WIFEXITED(status) {
                self.attend_end(thread, Exit::Code(libc::WEXITSTATUS(status) as u32));
            } else if libc::WIFSIGNALED(status) {
                self.attend_end(thread, Exit::Signal(libc::WTERMSIG(status) as u8));
            }
        }
        self.failure.map_or(Ok(()), Err)
    }

    fn attend_end(&mut self, thread: pid_t, exit: Exit) {
        self.met.remove(&thread);
        self.supervisor.thread_has_ended(thread as u32);
        self.supervisor.has_ended(thread as u32, exit);
        if thread == self.root {
            // Nobody waits for it when the command could not be executed.
            let _ = self.tell_end.send(exit);
        }
    }

    fn attend_stop(&mut self, thread: pid_t, status: i32, buffer: &mut Vec<u8>) {
        const SYSTEM_CALL: i32 = libc::SIGTRAP | 0x80;
        if self.met.insert(thread) && thread != self.root {
            self.supervisor.meet(thread as u32);
        }
        let (signal, event) = (libc::WSTOPSIG(status), status >> 16);
        let deliver = match (event, signal) {
            (libc::PTRACE_EVENT_STOP, libc::SIGSTOP | libc::SIGTSTP | libc::SIGTTIN | libc::SIGTTOU) => {
                // Job control has stopped it: so it stays until it is continued.
                let _ = order(PTRACE_LISTEN, thread, 0);
                return;
            }
            (libc::PTRACE_EVENT_EXEC, _) => {
                // A thread that did not lead its process has become the one that does.
                if let Some(former) = message(thread).filter(|&former| former != thread) {
                    self.met.remove(&former);
                    self.supervisor.thread_has_ended(former as u32);
                }
                0
            }
            (0, SYSTEM_CALL) => {
                self.attend_call(thread, buffer);
                0
            }
            (0, signal) => signal,
            _ => 0,
        };
        // It may have been killed meanwhile.
        let _ = order(PTRACE_SYSCALL, thread, deliver as usize);
    }

    fn attend_call(&mut self, thread: pid_t, buffer: &mut Vec<u8>) {
        let data = match entered(thread) {
            Ok(Some(data)) => data,
            Ok(None) => return,
            // It has been killed.
            Err(error) if error.raw_os_error() == Some(libc::ESRCH) => return,
            Err(error) => {
                self.failure.get_or_insert(error);
                return;
            }
        };
        if abi::makes_untraced(&data, thread as u32) {
            let error =
                io::Error::other("a program has made a process that can't be traced (CLONE_UNTRACED)");
            self.failure.get_or_insert(error);
        }
        if filter::evaluate(&self.filter, &data) == SECCOMP_RET_ALLOW {
            return;
        }
        // Unless it has been killed meanwhile, it can't have gone on.
        let is_held = || message(thread).is_some();
        let held = Held { thread: thread as u32, data, is_held: &is_held, takes_long: &|| {} };
        match judge_safely(self.supervisor, &held, buffer) {
            Ok(Answer::Continue) => {}
            Ok(Answer::Fail(errno)) => {
                if let Err(error) = registers::fail_call(thread, errno) {
                    self.failure.get_or_insert(error);
                }
            }
            Err(error) => {
                self.failure.get_or_insert(error);
            }
        }
    }
}

/// The call that a thread in a system call stop is about to make; `None` if it has made it.
fn entered(thread: pid_t) -> io::Result<Option<seccomp_data>> {
    // SAFETY: an all-zero value is valid for this structure of integers.
    let mut info: ptrace_syscall_info = unsafe { std::mem::zeroed() };
    let size = size_of::<ptrace_syscall_info>() as *mut c_void;
    // SAFETY: the request writes at most as many bytes to `info` as it has.
    let result = unsafe { libc::ptrace(PTRACE_GET_SYSCALL_INFO as _, thread, size, &raw mut info) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    if u32::from(info.op) != PTRACE_SYSCALL_INFO_ENTRY {
        return Ok(None);
    }
    // SAFETY: `op` says that the kernel has filled in this member, and any bits are valid for its integers.
    let entry = unsafe { info.__bindgen_anon_1.entry };
    let (nr, arch, instruction_pointer) = (entry.nr as i32, info.arch, info.instruction_pointer);
    Ok(Some(seccomp_data { nr, arch, instruction_pointer, args: entry.args }))
}

/// What the kernel has to say to the last event of a thread; `None` if that does not stand still.
fn message(thread: pid_t) -> Option<pid_t> {
    let mut message: c_long = 0;
    let none = ptr::null_mut::<c_void>();
    // SAFETY: the request writes one `unsigned long` to `message`.
    let result = unsafe { libc::ptrace(libc::PTRACE_GETEVENTMSG, thread, none, &raw mut message) };
    (result == 0).then_some(message as pid_t)
}

/// Making a call fail: no call has the number -1, and the result that stands there already is kept.
#[cfg(target_arch = "x86_64")]
mod registers {
    use std::io;
    use std::mem::offset_of;

    use libc::{c_void, pid_t, user_regs_struct};

    pub(super) fn fail_call(thread: pid_t, errno: i32) -> io::Result<()> {
        for (at, value) in [
            (offset_of!(user_regs_struct, orig_rax), -1_i64),
            (offset_of!(user_regs_struct, rax), -i64::from(errno)),
        ] {
            // SAFETY: the request takes numbers: an offset into the registers, with which `struct user` begins, and
            // what is to stand there.
            let result = unsafe {
                libc::ptrace(libc::PTRACE_POKEUSER, thread, at as *mut c_void, value as *mut c_void)
            };
            if result < 0 {
                return Err(io::Error::last_os_error());
            }
        }
        Ok(())
    }
}

/// Making a call fail: no call has the number -1, and the result that stands there already is kept.
#[cfg(target_arch = "aarch64")]
mod registers {
    use std::io;

    use libc::{c_int, c_void, iovec, pid_t};

    /// `NT_PRSTATUS` and `NT_ARM_SYSTEM_CALL` of linux/elf.h.
    const GENERAL: usize = 1;
    const SYSTEM_CALL: usize = 0x404;

    pub(super) fn fail_call(thread: pid_t, errno: i32) -> io::Result<()> {
        let mut number: c_int = -1;
        set(thread, SYSTEM_CALL, (&raw mut number).cast(), size_of_val(&number))?;
        // The kernel takes a part of the registers from the first on, which holds the result.
        let mut result = -i64::from(errno);
        set(thread, GENERAL, (&raw mut result).cast(), size_of_val(&result))
    }

    fn set(thread: pid_t, registers: usize, from: *mut c_void, length: usize) -> io::Result<()> {
        let mut from = iovec { iov_base: from, iov_len: length };
        let which = registers as *mut c_void;
        // SAFETY: the request reads `from` and what that points to, which the caller has for the length of the call.
        let result = unsafe { libc::ptrace(libc::PTRACE_SETREGSET, thread, which, &raw mut from) };
        if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }
}
