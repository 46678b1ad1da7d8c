//! What this process was given before Rust's runtime changed it: which standard streams were closed, and whether SIGPIPE
//! was ignored. A command must find them so, too.

use std::io;
use std::mem::MaybeUninit;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

static CLOSED: [AtomicBool; 3] = [const { AtomicBool::new(false) }; 3];
static IGNORES_SIGPIPE: AtomicBool = AtomicBool::new(false);

/// The runtime opens `/dev/null` for closed streams and ignores SIGPIPE before `main`; what is listed here is called
/// before the runtime starts (System V ABI, "Initialization and Termination Functions").
#[used]
#[cfg_attr(target_os = "linux", unsafe(link_section = ".init_array"))]
#[cfg_attr(target_os = "macos", unsafe(link_section = "__DATA,__mod_init_func,mod_init_funcs"))]
static RECORD: extern "C" fn() = record;

extern "C" fn record() {
    for (number, closed) in (0..).zip(&CLOSED) {
        // SAFETY: takes integers only; that a descriptor is closed is an error, not a fault.
        closed.store(unsafe { libc::fcntl(number, libc::F_GETFD) } < 0, Ordering::Relaxed);
    }
    IGNORES_SIGPIPE.store(is_ignored(libc::SIGPIPE), Ordering::Relaxed);
    if !is_ignored(libc::SIGXFSZ) {
        // A limit on file sizes is met by an error, such as in the store, not by death. What is handled, other than what
        // is ignored, has its default effect again for what is executed.
        // SAFETY: the handler does nothing, which is async-signal-safe.
        unsafe { libc::signal(libc::SIGXFSZ, nothing as *const () as usize) };
    }
}

extern "C" fn nothing(_: i32) {}

/// Whether this process ignores a signal now.
fn is_ignored(signal: i32) -> bool {
    // SAFETY: an all-zero value is valid for this structure: no flags, an empty mask.
    let mut action: libc::sigaction = unsafe { MaybeUninit::zeroed().assume_init() };
    // SAFETY: asks only; the structure is writable.
    let asked = unsafe { libc::sigaction(signal, std::ptr::null(), &raw mut action) };
    asked == 0 && action.sa_sigaction == libc::SIG_IGN
}

/// Whether a standard stream, 0 to 2, was closed.
pub(crate) fn was_closed(number: i32) -> bool {
    usize::try_from(number)
        .ok()
        .and_then(|number| CLOSED.get(number))
        .is_some_and(|closed| closed.load(Ordering::Relaxed))
}

/// Whether writing to a pipe that nobody reads was to be an error instead of a death.
pub(crate) fn ignores_sigpipe() -> bool {
    IGNORES_SIGPIPE.load(Ordering::Relaxed)
}

pub(crate) fn keep_as_given(command: &mut Command) {
    let closed = [0, 1, 2].map(was_closed);
    let ignores = ignores_sigpipe();
    if closed == [false; 3] && !ignores {
        return;
    }
    let restore = move || -> io::Result<()> {
        if ignores {
            // SAFETY: SIG_IGN is a valid disposition; the call is async-signal-safe.
            unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
        }
        for (number, closed) in (0..).zip(closed) {
            if closed {
                // SAFETY: in the child, before the exec, nothing else uses its standard streams.
                unsafe { libc::close(number) };
            }
        }
        Ok(())
    };
    // SAFETY: `restore` makes two async-signal-safe calls and neither allocates nor locks.
    unsafe { command.pre_exec(restore) };
}
