//! What belongs to one thread, found by its thread pointer: the library has no thread-local storage of its own.

use core::sync::atomic::{AtomicU64, Ordering};

use shm_protocol::ring::Seat;

/// One thread's entry.
pub(crate) struct Thread {
    /// The thread pointer; 0 while the entry is free. An entry is never given back: libc reuses the memory of threads that
    /// have ended, and with it their thread pointers.
    owner: AtomicU64,
    /// The working directory as this thread last asked for it: see `directories.rs`.
    pub(crate) working_directory: AtomicU64,
    pub(crate) seat: Seat,
}

/// More would be held by no program at a time but a very unusual one, whose further threads are left to the net.
const ENTRIES: usize = 1024;

/// How many entries are tried for one thread.
const PROBES: usize = 16;

/// The threads of one process. Zeros are a valid empty table.
pub(crate) struct Threads([Thread; ENTRIES]);

impl Threads {
    /// The entry of the calling thread. `None` if the entries it could have are taken.
    #[inline]
    pub(crate) fn current(&self) -> Option<&Thread> {
        let pointer = thread_pointer();
        if pointer == 0 {
            return None;
        }
        // Thread pointers are at least 64 bytes apart, mostly by a power of two: the high bits of a product spread them.
        let start = (pointer.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 54) as usize;
        (0..PROBES).find_map(|probe| {
            let thread = self.0.get(start.wrapping_add(probe) % ENTRIES)?;
            let owner = match thread.owner.load(Ordering::Relaxed) {
                0 => thread
                    .owner
                    .compare_exchange(0, pointer, Ordering::Relaxed, Ordering::Relaxed)
                    .err()
                    .unwrap_or(pointer),
                owner => owner,
            };
            (owner == pointer).then_some(thread)
        })
    }
}

/// What is unique to each living thread of a process.
#[inline(always)]
fn thread_pointer() -> u64 {
    let pointer;
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the psABI keeps the thread pointer itself at offset 0 of the thread control block; libc had set it up before
    // it ran any constructor.
    unsafe {
        core::arch::asm!("mov {}, qword ptr fs:[0]", out(reg) pointer, options(nostack, readonly, pure, preserves_flags));
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: a register that user space may always read.
    unsafe {
        core::arch::asm!("mrs {}, tpidr_el0", out(reg) pointer, options(nostack, nomem, pure, preserves_flags));
    }
    pointer
}
