//! Each line of the table of interposed functions → a function that takes the place of libc's.
//!
//! Every argument is taken as one register and the result given as one, which is how both ABIs pass what these functions
//! take. The `mode` of `open` is variadic in C; on x86-64 and aarch64 Linux (not on Apple's) a variadic integer travels in
//! the same register as a named one, and where the caller passes none the kernel ignores what the register holds.
//!
//! libc's own `open` and `openat` are points at which a thread can be cancelled; these are so as they begin. A thread blocked in
//! opening a FIFO is cancelled at the next such point.

use linux_raw_sys::general::__NR_fstat;
use shm_protocol::calls::Call;

use crate::next::{is_single_threaded, weak};
use crate::numbers;
use crate::observe::make;
use crate::syscall::{Arguments, CWD, syscall, to_c};

macro_rules! interpose {
    ($($function:ident($($argument:ident),*) = $call:ident($($register:expr),*);)*) => {
        $(
            #[unsafe(no_mangle)]
            extern "C" fn $function($($argument: u64),*) -> isize {
                if Call::$call as u16 == Call::openat as u16 {
                    cancellation_point();
                }
                to_c(make(Call::$call, numbers::$call, arguments([$($register),*])))
            }
        )*
    };
}

shm_protocol::interposed_functions!(interpose);

/// Ends the thread here if another has cancelled it, as `pthread_testcancel(3)` does.
#[inline]
fn cancellation_point() {
    if !is_single_threaded() {
        let test: *const () = core::ptr::with_exposed_provenance(weak!("pthread_testcancel"));
        if !test.is_null() {
            // SAFETY: the address of a function that takes and gives nothing.
            let test = unsafe { core::mem::transmute::<*const (), unsafe extern "C" fn()>(test) };
            // SAFETY: as above. If it unwinds the stack, it finds frames without anything to be dropped or to stop at, as
            // those of C are.
            unsafe { test() };
        }
    }
}

fn arguments<const N: usize>(given: [u64; N]) -> Arguments {
    core::array::from_fn(|place| given.get(place).copied().unwrap_or(0))
}

/// `fstat` is not watched: the file was reported when it was opened. But glibc 2.33 and later make it from
/// `newfstatat(fd, "", …)`, which the filter cannot tell from a look at a path; so it is made here.
macro_rules! unwatched_fstat {
    ($($function:ident($($argument:ident),*) = fstat($fd:ident, $buffer:ident);)*) => {
        $(
            #[unsafe(no_mangle)]
            extern "C" fn $function($($argument: u64),*) -> isize {
                // SAFETY: the program asked for this call.
                to_c(unsafe { syscall(__NR_fstat, [$fd, $buffer, 0, 0, 0], 0) })
            }
        )*
    };
}

unwatched_fstat! {
    fstat(fd, buffer) = fstat(fd, buffer);
    fstat64(fd, buffer) = fstat(fd, buffer);
    __fxstat(_version, fd, buffer) = fstat(fd, buffer);
    __fxstat64(_version, fd, buffer) = fstat(fd, buffer);
}
