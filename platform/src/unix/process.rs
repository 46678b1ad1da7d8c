//! Signals, exit and standard streams of this process.

use std::io;
use std::mem::MaybeUninit;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Command, ExitStatus};
use std::sync::atomic::{AtomicI32, AtomicU32, AtomicU64, AtomicUsize, Ordering};

use nix::sys::signal::{SigSet, SigmaskHow, Signal, raise};
use shm_protocol::record::Exit;

use super::system;
use crate::process::{CommandState, InheritedFile, InheritedStream, StandardInput};

pub(crate) use super::system::{is_terminal_device, umask};

pub(crate) fn limits() -> Vec<(&'static str, u64)> {
    use nix::sys::resource::{Resource, getrlimit};
    let limit = |resource: Resource| getrlimit(resource).map_or(0, |(soft, _)| soft);
    // This program itself ignores SIGPIPE; whether it was told to is known otherwise.
    let sigpipe = 1 << (libc::SIGPIPE - 1);
    vec![
        ("which signals are ignored", system::ignored_signals() & !sigpipe),
        ("which signals are blocked", system::blocked_signals()),
        ("the limit on file sizes (ulimit -f)", limit(Resource::RLIMIT_FSIZE)),
        ("the limit on processor time (ulimit -t)", limit(Resource::RLIMIT_CPU)),
        ("the limit on memory (ulimit -v)", limit(Resource::RLIMIT_AS)),
        ("the limit on data (ulimit -d)", limit(Resource::RLIMIT_DATA)),
        ("the limit on the stack (ulimit -s)", limit(Resource::RLIMIT_STACK)),
    ]
}

/// The process that signals are passed on to; 0 for none.
static COMMAND: AtomicI32 = AtomicI32::new(0);

/// The process that passes them on.
static OWN: AtomicU32 = AtomicU32::new(0);

/// The signals that came before there was a process to pass them on to, one bit for each.
static EARLY: AtomicU64 = AtomicU64::new(0);

extern "C" fn pass_on(signal: i32, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
    if std::process::id() != OWN.load(Ordering::Relaxed) {
        // The command's process, which executes nothing yet: it ends as it would then.
        // SAFETY: async-signal-safe; SIG_DFL is a valid disposition.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
        // SAFETY: async-signal-safe; takes an integer.
        unsafe { libc::raise(signal) };
        return;
    }
    // SAFETY: the kernel gives a handler installed with SA_SIGINFO a valid `info`.
    let is_from_terminal = unsafe { system::is_from_kernel(&*info) };
    // What the terminal sends reaches the whole foreground group, the command with it; but that it is
    // gone is told to the leader of the session only.
    let leads = || nix::unistd::getsid(None) == Ok(nix::unistd::getpid());
    if is_from_terminal && !(signal == libc::SIGHUP && leads()) {
        return;
    }
    EARLY.fetch_or(1 << signal, Ordering::Relaxed);
    pass_on_early();
}

/// Passes on what came before, if there is a process to pass it on to.
fn pass_on_early() {
    let command = COMMAND.load(Ordering::Relaxed);
    if command > 0 {
        let early = EARLY.swap(0, Ordering::Relaxed);
        for signal in PASSED_ON.into_iter().filter(|signal| early & 1 << signal != 0) {
            // SAFETY: kill is async-signal-safe and takes integers.
            unsafe { libc::kill(command, signal) };
        }
    }
}

extern "C" fn resized(_: i32) {
    let errno = system::errno_location();
    // SAFETY: the address is that of this thread's own errno; what this handler interrupts must find its errno as it was.
    let before = unsafe { *errno };
    super::terminal::follow_size();
    // SAFETY: as above.
    unsafe { *errno = before };
}

/// The signals that are passed on to a command while it runs.
const PASSED_ON: [i32; 6] =
    [libc::SIGINT, libc::SIGQUIT, libc::SIGTERM, libc::SIGHUP, libc::SIGUSR1, libc::SIGUSR2];

/// What was done about each of them before, as an address.
static BEFORE: [AtomicUsize; 6] = [const { AtomicUsize::new(libc::SIG_DFL) }; 6];

pub(crate) fn follow(command: CommandState) {
    match command {
        CommandState::Starts => {
            OWN.store(std::process::id(), Ordering::Relaxed);
            for (&signal, before) in PASSED_ON.iter().zip(&BEFORE) {
                let found = handle(signal, pass_on as *const () as usize);
                before.store(found, Ordering::Relaxed);
                if found == libc::SIG_IGN {
                    // The command is to find it ignored, too.
                    handle(signal, libc::SIG_IGN);
                }
            }
        }
        CommandState::Runs(pid) => {
            COMMAND.store(pid as i32, Ordering::Relaxed);
            for signal in PASSED_ON {
                handle(signal, pass_on as *const () as usize);
            }
            pass_on_early();
            handle(libc::SIGWINCH, resized as *const () as usize);
            // It may have become another since the terminal was made.
            super::terminal::follow_size();
        }
        CommandState::Ended => {
            // Its number may soon be another's.
            COMMAND.store(0, Ordering::Relaxed);
            for (&signal, before) in PASSED_ON.iter().zip(&BEFORE) {
                handle(signal, before.load(Ordering::Relaxed));
                if EARLY.fetch_and(!(1 << signal), Ordering::Relaxed) & 1 << signal != 0 {
                    // There was no command to take it.
                    // SAFETY: takes an integer.
                    unsafe { libc::raise(signal) };
                }
            }
        }
    }
}

/// Has `signal` handled by what is at `address`, or what `SIG_DFL` and `SIG_IGN` stand for; says by what it was before.
fn handle(signal: i32, address: usize) -> usize {
    // SAFETY: an all-zero value is valid for this structure: no flags, an empty mask.
    let mut action: libc::sigaction = unsafe { MaybeUninit::zeroed().assume_init() };
    // SAFETY: as above.
    let mut before: libc::sigaction = unsafe { MaybeUninit::zeroed().assume_init() };
    action.sa_sigaction = address;
    action.sa_flags = libc::SA_SIGINFO | libc::SA_RESTART;
    // SAFETY: both structures are complete, and the handlers above call async-signal-safe functions only.
    unsafe { libc::sigaction(signal, &raw const action, &raw mut before) };
    before.sa_sigaction
}

pub(crate) fn detach(command: &mut Command) {
    command.process_group(0);
}

pub(crate) fn end_like(exit: Exit) -> ! {
    match exit {
        Exit::Code(code) => std::process::exit(code as i32),
        Exit::Signal(signal) => {
            let signal = i32::from(signal);
            let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
            // SAFETY: the kernel reads `none`; a core file would be tracerun's, not the command's.
            unsafe { libc::setrlimit(libc::RLIMIT_CORE, &raw const none) };
            // SAFETY: SIG_DFL is a valid disposition.
            unsafe { libc::signal(signal, libc::SIG_DFL) };
            let raised = Signal::try_from(signal).and_then(|signal| {
                // This thread may have it blocked: let it through first.
                SigSet::from(signal).thread_unblock()?;
                raise(signal)
            });
            // What is left is a signal that does not kill by default, or none that nix knows, as real-time ones.
            let _ = raised;
            std::process::exit(128 + signal)
        }
    }
}

pub(crate) fn stat_of(fd: i32) -> Option<libc::stat> {
    // SAFETY: an all-zero value is valid for this structure of integers.
    let mut stat: libc::stat = unsafe { std::mem::zeroed() };
    // SAFETY: `stat` is writable for the length of the call; a closed descriptor is an error, not a fault.
    (unsafe { libc::fstat(fd, &raw mut stat) } == 0).then_some(stat)
}

pub(crate) fn standard_input() -> StandardInput {
    if super::origin::was_closed(0) {
        return StandardInput::Closed;
    }
    let Some(stat) = stat_of(0) else {
        return StandardInput::Empty;
    };
    match stat.st_mode & libc::S_IFMT {
        libc::S_IFREG => StandardInput::File,
        libc::S_IFCHR if system::is_null_device(stat.st_rdev) => StandardInput::Empty,
        libc::S_IFIFO if is_at_end(0) => StandardInput::Empty,
        _ => StandardInput::Stream,
    }
}

/// Whether a pipe is empty and nobody can write to it any more, as make gives to all but one of the commands it runs at
/// once.
fn is_at_end(number: i32) -> bool {
    let mut pipe = libc::pollfd { fd: number, events: libc::POLLIN, revents: 0 };
    // SAFETY: one writable entry, as said.
    let ready = unsafe { libc::poll(&raw mut pipe, 1, 0) };
    ready == 1 && pipe.revents == libc::POLLHUP
}

pub(crate) fn output_streams_are_one() -> bool {
    let key = |stat: libc::stat| (stat.st_dev, stat.st_ino);
    match (stat_of(1), stat_of(2)) {
        (Some(out), Some(err)) if key(out) == key(err) => {
            out.st_mode & libc::S_IFMT != libc::S_IFREG || system::same_opening(1, 2)
        }
        _ => false,
    }
}

pub(crate) fn output_files() -> Vec<PathBuf> {
    let is_file = |fd| stat_of(fd).is_some_and(|stat| stat.st_mode & libc::S_IFMT == libc::S_IFREG);
    [1, 2].into_iter().filter(|&fd| is_file(fd)).filter_map(system::path_of_descriptor).collect()
}

pub(crate) fn inherited_files() -> Vec<InheritedFile> {
    descriptors().into_iter().filter(|&number| number > 2).filter_map(inherited).collect()
}

/// The open descriptors that are passed on to a command, in order.
fn descriptors() -> Vec<i32> {
    let Ok(entries) = std::fs::read_dir(system::DESCRIPTORS) else { return Vec::new() };
    let numbers = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let passed_on = |&number: &i32| {
        // SAFETY: takes integers only; a closed descriptor is an error, not a fault.
        let flags = unsafe { libc::fcntl(number, libc::F_GETFD) };
        flags >= 0 && flags & libc::FD_CLOEXEC == 0
    };
    let mut numbers: Vec<i32> = numbers.filter(passed_on).collect();
    numbers.sort_unstable();
    numbers
}

pub(crate) fn inherited_streams() -> Vec<InheritedStream> {
    let is_given = |&number: &i32| match number {
        0 => standard_input() == StandardInput::Stream,
        _ => number > 2,
    };
    descriptors().into_iter().filter(is_given).filter_map(stream).collect()
}

pub(crate) fn stream(number: i32) -> Option<InheritedStream> {
    let stat = stat_of(number)?;
    let is_stream = match stat.st_mode & libc::S_IFMT {
        libc::S_IFIFO | libc::S_IFSOCK => true,
        libc::S_IFCHR => is_terminal_device(stat.st_rdev),
        _ => false,
    };
    let mut waiting: libc::c_int = 0;
    // SAFETY: FIONREAD writes an integer to where the argument points; what has no such count leaves it.
    unsafe { libc::ioctl(number, libc::FIONREAD, &raw mut waiting) };
    let waiting = u64::try_from(waiting).unwrap_or_default();
    is_stream.then(|| InheritedStream { number, waiting, is_at_end: is_at_end(number) })
}

fn inherited(number: i32) -> Option<InheritedFile> {
    let stat = stat_of(number).filter(|stat| stat.st_mode & libc::S_IFMT == libc::S_IFREG)?;
    // SAFETY: takes integers only; a closed descriptor is an error, not a fault.
    let flags = unsafe { libc::fcntl(number, libc::F_GETFL) };
    let access = flags & libc::O_ACCMODE;
    let nanoseconds = |seconds: i64, rest: i64| i128::from(seconds) * 1_000_000_000 + i128::from(rest);
    (flags >= 0 && !system::is_path_only(flags)).then_some(InheritedFile {
        number,
        readable: access != libc::O_WRONLY,
        writable: access != libc::O_RDONLY,
        version: (
            stat.st_size as u64,
            nanoseconds(stat.st_mtime, stat.st_mtime_nsec),
            nanoseconds(stat.st_ctime, stat.st_ctime_nsec),
        ),
    })
}

/// Reads a descriptor from where it stands without moving it.
struct Rest {
    number: i32,
    offset: i64,
}

impl io::Read for Rest {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        // SAFETY: the buffer is writable and as long as said.
        let count =
            unsafe { libc::pread(self.number, buffer.as_mut_ptr().cast(), buffer.len(), self.offset) };
        if count < 0 {
            return Err(io::Error::last_os_error());
        }
        self.offset += count as i64;
        Ok(count as usize)
    }
}

pub(crate) fn rest_of(number: i32) -> io::Result<impl io::Read> {
    // SAFETY: takes integers only.
    let offset = unsafe { libc::lseek(number, 0, libc::SEEK_CUR) };
    if offset < 0 { Err(io::Error::last_os_error()) } else { Ok(Rest { number, offset }) }
}

pub(crate) fn exit_of(status: ExitStatus) -> Exit {
    match (status.code(), status.signal()) {
        (Some(code), _) => Exit::Code(code as u32),
        (None, signal) => Exit::Signal(signal.unwrap_or_default() as u8),
    }
}

/// The signals that were blocked before.
#[derive(Debug)]
pub(crate) struct HeldSignals(SigSet);

/// Those by which people and systems end a process.
const ENDING: [Signal; 4] = [Signal::SIGINT, Signal::SIGQUIT, Signal::SIGTERM, Signal::SIGHUP];

impl HeldSignals {
    pub(crate) fn hold() -> Self {
        // One that is ignored would wait as well, and mean nothing.
        let ignored = system::ignored_signals();
        let ending: SigSet =
            ENDING.into_iter().filter(|&signal| ignored & 1 << (signal as i32 - 1) == 0).collect();
        // The kernel refuses only what is no set of signals.
        Self(ending.thread_swap_mask(SigmaskHow::SIG_BLOCK).unwrap_or_else(|_| SigSet::empty()))
    }

    pub(crate) fn are_pending(&self) -> bool {
        // SAFETY: an all-zero value is valid for this structure of integers.
        let mut pending: libc::sigset_t = unsafe { std::mem::zeroed() };
        // SAFETY: `pending` is writable for the length of the call.
        let told = unsafe { libc::sigpending(&raw mut pending) };
        // SAFETY: `pending` is a set of signals, and each of these is one.
        told == 0
            && ENDING
                .iter()
                .any(|&signal| unsafe { libc::sigismember(&raw const pending, signal as i32) } == 1)
    }
}

impl Drop for HeldSignals {
    fn drop(&mut self) {
        let _ = self.0.thread_set_mask();
    }
}
