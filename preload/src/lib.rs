//! The guest: a library that is loaded into every traced process and reports, from inside, the files it looks at.
//!
//! It must not be felt: no panic, no allocation, no lock, no output, no descriptor, `errno` as found. On Linux
//! it may be incomplete: what it does not understand it leaves to the net (see ARCHITECTURE.md), by making the plain system
//! call. On macOS there is no net: what is not understood is a gap in the trace.

#![cfg(all(
    any(target_os = "linux", target_os = "macos"),
    any(target_arch = "x86_64", target_arch = "aarch64")
))]
#![no_std]

// Profiles that unwind (dev, test) only compile this crate and never load what comes of it: there the standard library
// supplies the panic handler and the unwinder's personality that stable Rust insists on.
#[cfg(panic = "unwind")]
extern crate std;

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod call_sites;
#[cfg(target_os = "linux")]
mod children;
mod dedup;
#[cfg(target_os = "linux")]
mod directories;
mod environment;
#[cfg(target_os = "linux")]
mod guest;
#[cfg(target_os = "linux")]
mod interpose;
#[cfg(target_os = "linux")]
mod loaded;
#[cfg(target_os = "macos")]
mod macos;
// Where the library is loaded; elsewhere libc is linked.
#[cfg(all(target_os = "linux", panic = "abort"))]
mod memory;
mod names;
#[cfg(target_os = "linux")]
mod next;
#[cfg(target_os = "linux")]
mod numbers;
#[cfg(target_os = "linux")]
mod observe;
#[cfg(target_os = "linux")]
mod own_filter;
#[cfg(target_os = "linux")]
mod raw_call;
#[cfg(target_os = "linux")]
mod syscall;
#[cfg(target_os = "linux")]
mod threads;
#[cfg(target_os = "linux")]
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
