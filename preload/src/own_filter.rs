//! Programs that give themselves a seccomp filter: from then on only the calls that they expect are safe, and the library makes others.

use linux_raw_sys::general::__NR_prctl;

use crate::guest;
use crate::syscall::{Arguments, syscall, to_c};

/// `PR_SET_SECCOMP` of linux/prctl.h.
const PR_SET_SECCOMP: u64 = 22;

/// Before the program shuts itself in, the library leaves it to the net.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn prctl(option: u64, a: u64, b: u64, c: u64, d: u64) -> isize {
    let arguments: Arguments = [option, a, b, c, d];
    if option == PR_SET_SECCOMP {
        guest::retire();
    }
    // SAFETY: the program asked for this call.
    to_c(unsafe { syscall(__NR_prctl, arguments, 0) })
}
