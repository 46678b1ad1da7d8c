//! The guest of Windows processes: code that is written into every traced process before its first instruction, and
//! takes the place of the functions of ntdll that name files.
//!
//! It is no DLL to the process: it imports nothing, the loader does not know of it, and so it sees what the loader itself looks
//! for. It must not be felt: no panic, no allocation, no lock, no output; what it calls are system calls.

#![cfg(all(windows, target_arch = "x86_64"))]
#![no_std]

// Profiles that unwind only compile this crate and never run what comes of it: there the standard library supplies the
// panic handler and the personality that stable Rust insists on.
#[cfg(panic = "unwind")]
extern crate std;

#[path = "../../src/dedup.rs"]
mod dedup;
mod hooks;
mod inject;
#[cfg(panic = "abort")]
mod memory;
mod names;
mod nt;
mod report;

use core::sync::atomic::Ordering;

use shm_protocol::calls::windows::{Call, Needed};
use shm_protocol::guest::{Session, TRAMPOLINE_BYTES};

/// What this process was told by who installed the guest.
#[unsafe(no_mangle)]
pub static SESSION: Session = Session::new();

/// The code of the trampolines, which tracerun writes; where there is code, so that it can be executed.
#[unsafe(no_mangle)]
#[unsafe(link_section = ".text$trampolines")]
pub static TRAMPOLINES: [[u8; TRAMPOLINE_BYTES]; Call::ALL.len()] =
    [[0xcc; TRAMPOLINE_BYTES]; Call::ALL.len()];

/// Nobody calls it: a library has an entry.
#[unsafe(no_mangle)]
pub extern "system" fn tracerun_guest_entry() -> i32 {
    1
}

/// The address of a function of ntdll that is not watched.
fn needed(function: Needed) -> usize {
    SESSION.functions.get(function as usize).map_or(0, |address| address.load(Ordering::Relaxed) as usize)
}

/// The address of what calls a watched function itself.
fn original(call: Call) -> usize {
    SESSION.stubs.get(call as usize).map_or(0, |stub| stub.trampoline.load(Ordering::Relaxed) as usize)
}

/// Proves at link time that nothing here panics: the symbol is defined nowhere.
#[cfg(panic = "abort")]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    unsafe extern "C" {
        fn tracerun_guest_may_panic() -> !;
    }
    // SAFETY: never reached: a library that refers to this symbol can't be linked.
    unsafe { tracerun_guest_may_panic() }
}
