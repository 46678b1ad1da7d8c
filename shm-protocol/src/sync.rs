//! The atomics that the ring is made of: the machine's, or loom's when a model is checked.

#[cfg(not(loom))]
pub(crate) use core::sync::atomic::{AtomicU64, Ordering, fence};

#[cfg(loom)]
pub(crate) use loom::sync::atomic::{AtomicU64, Ordering, fence};

/// A word that the operating system waits on.
#[cfg(not(loom))]
pub type FutexWord = core::sync::atomic::AtomicU32;

/// A word that the operating system waits on: loom cannot look at half an atomic, so all of it.
#[cfg(loom)]
pub type FutexWord = AtomicU64;

/// The half of `word` that holds its low 32 bits, as the address the operating system waits on.
#[cfg(not(loom))]
pub(crate) fn futex_word(word: &AtomicU64) -> &FutexWord {
    let low = word.as_ptr().cast::<FutexWord>().wrapping_add(usize::from(cfg!(target_endian = "big")));
    // SAFETY: `low` points to one of the two aligned 32-bit halves of a live `AtomicU64`, which is borrowed for as
    // long as the result; both types allow shared mutation, and the ring itself only uses the whole word.
    unsafe { &*low }
}

#[cfg(loom)]
pub(crate) fn futex_word(word: &AtomicU64) -> &FutexWord {
    word
}
