//! libc functions that make several calls inside libc, where no interposed function is asked: reported here, one line each,
//! when there is no net to see those calls. A line says how the function fails, and what it touches, in the words of the call
//! that does so.

use core::ffi::CStr;
use core::ptr;

use shm_protocol::access::AccessKind;
use shm_protocol::calls::{Call, Meaning, Touch};

use crate::next::Next;
use crate::observe::around;
use crate::syscall::{CWD, set_errno};

macro_rules! wrap {
    ($($function:ident $name:literal ($($argument:ident),*), $failed:ident = $call:ident $touch:expr;)*) => {
        $(
            #[unsafe(no_mangle)]
            extern "C" fn $function($($argument: u64),*) -> u64 {
                static NEXT: Next = Next::new($name);
                // SAFETY: the program asked for this call.
                let next = || unsafe { NEXT.call([$($argument),*]) }.unwrap_or_else(|| missing($failed));
                around(Call::$call, &|| $touch, $failed, &next)
            }
        )*
    };
}

wrap! {
    fopen c"fopen" (path, mode), null = openat streamed(path, mode);
    fopen64 c"fopen64" (path, mode), null = openat streamed(path, mode);
    freopen c"freopen" (path, mode, stream), null = openat streamed(path, mode);
    freopen64 c"freopen64" (path, mode, stream), null = openat streamed(path, mode);
    opendir c"opendir" (path), null = getdents64 listed(path);
    scandir c"scandir" (path, names, filter, compare), negative = getdents64 listed(path);
    scandir64 c"scandir64" (path, names, filter, compare), negative = getdents64 listed(path);
    realpath c"realpath" (path, resolved), null = newfstatat touched(Call::newfstatat, [CWD, path, 0, 0]);
    mkstemp c"mkstemp" (path), negative = openat touched(Call::openat, [CWD, path, O_CREAT_EXCL, 0]);
    mkstemp64 c"mkstemp64" (path), negative = openat touched(Call::openat, [CWD, path, O_CREAT_EXCL, 0]);
    mkostemp c"mkostemp" (path, flags), negative = openat touched(Call::openat, [CWD, path, O_CREAT_EXCL, 0]);
    mkdtemp c"mkdtemp" (path), null = mkdirat touched(Call::mkdirat, [CWD, path, 0, 0]);
    mkfifo c"mkfifo" (path, mode), negative = mknodat touched(Call::mknodat, [CWD, path, 0, 0]);
    remove c"remove" (path), negative = unlinkat touched(Call::unlinkat, [CWD, path, 0, 0]);
    utimes c"utimes" (path, times), negative = utimensat touched(Call::utimensat, [CWD, path, times, 0]);
    utimensat c"utimensat" (dir, path, times, flags), negative = utimensat touched(Call::utimensat, [dir, path, times, flags]);
}

/// `O_RDWR | O_CREAT | O_EXCL`
const O_CREAT_EXCL: u64 = 0o302;

fn null(result: u64) -> bool {
    result == 0
}

fn negative(result: u64) -> bool {
    (result as i32) < 0
}

/// The answer of a function that this libc does not have.
fn missing(failed: fn(u64) -> bool) -> u64 {
    set_errno(linux_raw_sys::errno::ENOSYS);
    if failed(0) { 0 } else { u64::MAX }
}

/// The path that `call` would touch with these arguments; the second is its name, which may be a null pointer.
fn touched(call: Call, [a, b, c, d]: [u64; 4]) -> Option<Touch> {
    match call.meaning([a, b, c, d, 0, 0]) {
        Meaning::Touch(touch) if b != 0 => Some(touch),
        _ => None,
    }
}

/// A directory read from its beginning.
fn listed(path: u64) -> Option<Touch> {
    touched(Call::openat, [CWD, path, 0, 0]).map(|touch| Touch { kind: AccessKind::List, ..touch })
}

/// A stream opened with a mode such as `"r+"`.
fn streamed(path: u64, mode: u64) -> Option<Touch> {
    const O_WRONLY: u64 = 0o1;
    const O_RDWR: u64 = 0o2;
    const O_CREAT: u64 = 0o100;
    const O_TRUNC: u64 = 0o1000;
    // SAFETY: the mode of fopen(3) is a string.
    let mode = unsafe { CStr::from_ptr(ptr::with_exposed_provenance(mode as usize)) }.to_bytes();
    let access = if mode.contains(&b'+') { O_RDWR } else { O_WRONLY };
    let flags = match mode.first() {
        Some(b'w') => access | O_CREAT | O_TRUNC,
        Some(b'a') => access | O_CREAT,
        _ => access & O_RDWR,
    };
    touched(Call::openat, [CWD, path, flags, 0])
}
