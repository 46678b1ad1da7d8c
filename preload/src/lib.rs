//! The guest: a library that is loaded into every traced process and reports, from inside, the files it looks at.
//!
//! It must not be felt: no panic, no allocation, no lock, no output, no descriptor, `errno` as found. It may be incomplete:
//! what it does not understand it leaves to the net (see ARCHITECTURE.md), by making the plain system call.

#![cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
#![no_std]

// Profiles that unwind (dev, test) only compile this crate and never load what comes of it: there the standard library
// supplies the panic handler and the unwinder's personality that stable Rust insists on.
#[cfg(panic = "unwind")]
extern crate std;

#[cfg(target_arch = "x86_64")]
mod call_sites;
mod children;
mod dedup;
mod directories;
mod environment;
mod guest;
mod interpose;
mod loaded;
// Where the library is loaded; elsewhere libc is linked.
#[cfg(panic = "abort")]
mod memory;
mod names;
mod next;
mod numbers;
mod observe;
mod own_filter;
mod raw_call;
mod syscall;
mod threads;
mod wrapped;

/// Proves at link time that nothing here panics: the symbol is defined nowhere, and `tests/library.rs` fails if it is
/// still asked for after optimisation.
#[cfg(panic = "abort")]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    unsafe extern "C" {
        fn tracerun_preload_may_panic() -> !;
    }
    // SAFETY: never reached: a library that refers to this symbol does not load.
    unsafe { tracerun_preload_may_panic() }
}
