//! Each line of the table → a function that takes the place of libSystem's, and the pair in the section `__interpose` by which dyld
//! knows it: in all images but this one, calls of the second reach the first.
//!
//! Every argument is taken as one register and the result given as one, which is how both ABIs pass what these functions take.
//! Arguments that C leaves open lie on the stack on Apple's arm64, eight bytes each, behind none of the registers; where the
//! caller passes none, what lies there is somebody else's and the kernel does not look at it.

use shm_protocol::calls::Call;

use super::by_hand;
use super::observe::{Failure, make};

/// A pair of the section.
#[repr(C)]
struct Interposed {
    replacement: *const (),
    replaced: *const (),
}

// SAFETY: addresses of code, which are never written to but by dyld as it loads the library.
unsafe impl Sync for Interposed {}

macro_rules! pair {
    ($replacement:path, $replaced:path) => {
        #[used]
        #[unsafe(link_section = "__DATA,__interpose")]
        static PAIR: Interposed =
            Interposed { replacement: $replacement as *const (), replaced: $replaced as *const () };
    };
}

macro_rules! replacement {
    (int $name:ident $symbol:literal ($($argument:ident),*)) => {
        replacement!(@fixed Int $name $symbol ($($argument),*));
    };
    (pointer $name:ident $symbol:literal ($($argument:ident),*)) => {
        replacement!(@fixed Pointer $name $symbol ($($argument),*));
    };
    (@fixed $failure:ident $name:ident $symbol:literal ($($argument:ident),*)) => {
        unsafe extern "C" {
            #[link_name = $symbol]
            fn original($($argument: u64),*) -> u64;
        }
        extern "C" fn replacement($($argument: u64),*) -> u64 {
            // SAFETY: the program's own call, as it made it.
            let mut call = || unsafe { original($($argument),*) };
            make(Call::$name, arguments([$($argument),*]), Failure::$failure, &mut call)
        }
        pair!(replacement, original);
    };
    (variadic $name:ident $symbol:literal ($one:ident, $two:ident, $open:ident)) => {
        replacement!(@open $name $symbol ($one, $two) $open (_a, _b, _c, _d, _e, _f));
    };
    (variadic $name:ident $symbol:literal ($one:ident, $two:ident, $three:ident, $open:ident)) => {
        replacement!(@open $name $symbol ($one, $two, $three) $open (_a, _b, _c, _d, _e));
    };
    (@open $name:ident $symbol:literal ($($argument:ident),*) $open:ident ($($unused:ident),*)) => {
        unsafe extern "C" {
            #[link_name = $symbol]
            fn original($($argument: u64,)* ...) -> u64;
        }
        fn make_call($($argument: u64,)* $open: u64) -> u64 {
            // SAFETY: the program's own call, as it made it.
            let mut call = || unsafe { original($($argument,)* $open as u32) };
            make(Call::$name, arguments([$($argument),*]), Failure::Int, &mut call)
        }
        #[cfg(target_arch = "x86_64")]
        extern "C" fn replacement($($argument: u64,)* $open: u64) -> u64 {
            make_call($($argument,)* $open)
        }
        /// With the registers that no argument is in, the next one is the first on the stack.
        #[cfg(target_arch = "aarch64")]
        #[allow(clippy::too_many_arguments, reason = "registers")]
        extern "C" fn replacement($($argument: u64,)* $($unused: u64,)* $open: u64) -> u64 {
            make_call($($argument,)* $open)
        }
        pair!(replacement, original);
    };
    (by_hand $name:ident $symbol:literal ()) => {
        pair!(by_hand::$name, by_hand::original::$name);
    };
}

macro_rules! interpose {
    ($($(#[$where:meta])* $kind:ident $name:ident $symbol:literal ($($argument:ident),*) = $meaning:expr;)*) => {
        $(
            $(#[$where])*
            const _: () = {
                replacement!($kind $name $symbol ($($argument),*));
            };
        )*
    };
}

shm_protocol::interposed_symbols!(interpose);

fn arguments<const N: usize>(given: [u64; N]) -> [u64; 6] {
    core::array::from_fn(|place| given.get(place).copied().unwrap_or(0))
}
