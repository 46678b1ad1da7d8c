//! The ring: the bounded shared memory through which every process of a run reports to the one reader.
//!
//! # Layout
//!
//! One page of header, then chunks of 32 KiB. The header holds a bitmap of the free chunks. A writer takes a free
//! chunk and appends to it; which chunk, and where in it, it keeps in its thread's [`Seat`].
//!
//! A record is a *head*, one word, and *payload* words. The head where the next record may begin is *empty*. A writer
//! **claims** it by one compare-and-exchange that also publishes the length and the writer's pid, fills the
//! payload, and **commits** by another. So whoever is killed at whatever instant leaves a record that is whole,
//! or one that can be stepped over; nobody waits for anybody.
//!
//! The reader **seals** a chunk by exchanging the empty head for a sealed one, as does a writer whose record no
//! longer fits. A sealed chunk grows no more; when all its records are read, the reader fills it with empty heads
//! of the next *generation*, then marks it free.
//!
//! # Invariants
//!
//! - **A chunk belongs to nobody.** Taking one only keeps writers out of each other's way. What is safe rests on the
//!   compare-and-exchange of heads alone, so seats may be stale or shared: by a signal handler, a vfork child, a clone.
//! - **A head is claimed only in the generation of the seat**, and only at a place reached from a head of that
//!   generation. Heads carry their generation, and payload is marked so that it can look like none of them.
//! - **The reader writes only heads that are empty, and chunks that are sealed and read.**
//! - **The reader trusts nothing it reads**: not the bitmap, not a head, not a length, not a record.
//! - **Full means wait, bounded.** Writers wait for the reader in sleeps of bounded length and number; if it is gone, or
//!   makes no room, the ring is closed: from then on every write is [`Lost`], and counted.
//!
//! Chunks that are partly filled stay with their writers until fewer than half are free; then the reader seals those
//! that have not grown since its last look, and, when a writer waits for room, all.

mod call_sites;
mod pack;
mod read;
mod seat;
mod word;
mod write;

#[cfg(all(test, not(loom)))]
mod tests;

use core::fmt;

pub use crate::sync::FutexWord;
pub use call_sites::{CallSite, MAX_CALL_SITES};
pub use read::{Drained, Finished, Reader};
pub use seat::Seat;

use crate::sync::{AtomicU64, Ordering, fence, futex_word};
/// The type of the ring's words.
pub type Word = AtomicU64;

/// Default size of a ring's mapping in bytes.
pub const BYTES: usize = 16 << 20;

/// Most words of a chunk: 32 KiB.
pub const MAX_CHUNK_WORDS: usize = 4096;

/// Most chunks of a ring. Loom's stacks are small, and the reader holds what it knows of each chunk.
pub const MAX_CHUNKS: usize = if cfg!(loom) { 64 } else { 512 };

/// "tracerun" as a little-endian word.
const MAGIC: u64 = u64::from_le_bytes(*b"tracerun");

/// Changes with every change of the layout or of a record's encoding.
const VERSION: u64 = 4;

/// Words before the first chunk: one page. Loom pays for each word, and is given no more than are used.
const HEADER_WORDS: usize = if cfg!(loom) { USED_WORDS } else { 512 };

// Places in the header. What is written often has a cache line of its own.
const MAGIC_AT: usize = 0;
const VERSION_AT: usize = 1;
/// Words of a chunk in the upper half, number of chunks in the lower.
const GEOMETRY_AT: usize = 2;
const READER_AT: usize = 3;
const CLOSED_AT: usize = 4;
const DIRECTORY_GENERATION_AT: usize = 5;
const LOST_AT: usize = 8;
/// Not 0 when the library shall leave all to the net.
const LEFT_TO_NET_AT: usize = 9;
const CHANGES_BEGUN_AT: usize = 6;
const LAST_CHANGE_NS_AT: usize = 7;
/// Counts the calls for the reader's attention; the reader sleeps on it.
const BELL_AT: usize = 16;
const READER_SLEEPS_AT: usize = 17;
/// Not 0 when a writer waits for room; writers sleep on it.
const WRITER_WAITS_AT: usize = 24;
/// One bit per chunk, set when it is free.
const FREE_AT: usize = 32;
const FREE_WORDS: usize = MAX_CHUNKS / 64;
/// How many call sites there are, then one word each.
const CALL_SITES_AT: usize = FREE_AT + FREE_WORDS;
const USED_WORDS: usize = CALL_SITES_AT + 1 + MAX_CALL_SITES;

/// Why memory holds no ring that can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadRing {
    /// Too small, or of an unsupported geometry.
    Size,
    /// No ring is there.
    Magic,
    /// A ring of another version of tracerun.
    Version,
}

impl fmt::Display for BadRing {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Size => "shared memory of an unfit size",
            Self::Magic => "shared memory that holds no ring",
            Self::Version => "a ring of another version of tracerun",
        })
    }
}

impl core::error::Error for BadRing {}

/// A record that will never reach the reader; it was counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lost;

impl fmt::Display for Lost {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a record that nobody reads")
    }
}

impl core::error::Error for Lost {}

/// What the ring needs of the operating system. The words are shared between processes: futexes must not be private.
///
/// A word is only to be handed to the operating system, not to be loaded or stored.
pub trait System {
    /// Sleeps while `word` is `expected`, for about 100 ms at most; it may return for no reason.
    fn wait(&self, word: &FutexWord, expected: u32);

    /// Wakes all who sleep on `word`.
    fn wake(&self, word: &FutexWord);

    /// Whether the process `reader` is known to exist no more.
    fn reader_is_gone(&self, reader: u32) -> bool;
}

/// How far the changes of the run had come when a look began: see [`Ring::time_of_look`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    changes_begun: u64,
    last_change_ns: u64,
}

/// A view of the shared memory that holds a ring, for writers and, by [`Reader`], for the reader.
#[derive(Clone, Copy, Debug)]
pub struct Ring<'m> {
    header: &'m [AtomicU64; USED_WORDS],
    body: &'m [AtomicU64],
    chunks: usize,
    chunk_words: usize,
}

/// Views a mapping as the words of a ring. What is left of the last word is not used.
///
/// # Safety
/// `start` must be aligned to 8 bytes (mappings are, to a page), and `bytes` bytes from there must stay mapped, readable
/// and writable, for all of `'m`. They may change at any time, by other processes too.
#[cfg(not(loom))]
#[must_use]
pub unsafe fn words_from_mapping<'m>(start: *mut u8, bytes: usize) -> &'m [AtomicU64] {
    // SAFETY: the caller vouches for the alignment and that the memory lives as long as 'm. Any bytes are a valid
    // `AtomicU64`, which has the size and alignment of 8 here, and atomics may be changed by others.
    unsafe { core::slice::from_raw_parts(start.cast(), bytes / size_of::<AtomicU64>()) }
}

impl<'m> Ring<'m> {
    /// Lays out an empty ring in zeroed `words`, to be read by the process `reader`.
    ///
    /// # Errors
    /// [`BadRing::Size`] if there is no room for a single chunk.
    pub fn format(words: &'m [AtomicU64], reader: u32) -> Result<Self, BadRing> {
        Self::format_with_chunks(words, reader, MAX_CHUNK_WORDS)
    }

    /// The same with chunks of `chunk_words` words, 2 to [`MAX_CHUNK_WORDS`]. A record that does not fit a chunk is
    /// [`Lost`].
    ///
    /// # Errors
    /// [`BadRing::Size`] if there is no room for a single chunk, or a chunk has an unfit size.
    pub fn format_with_chunks(
        words: &'m [AtomicU64],
        reader: u32,
        chunk_words: usize,
    ) -> Result<Self, BadRing> {
        let body = words.len().checked_sub(HEADER_WORDS).ok_or(BadRing::Size)?;
        let chunks = body.checked_div(chunk_words).ok_or(BadRing::Size)?.min(MAX_CHUNKS);
        let ring = Self::with_geometry(words, chunks, chunk_words)?;
        ring.at(GEOMETRY_AT).store((chunk_words as u64) << 32 | chunks as u64, Ordering::Relaxed);
        ring.at(READER_AT).store(u64::from(reader), Ordering::Relaxed);
        ring.at(VERSION_AT).store(VERSION, Ordering::Relaxed);
        for (index, free) in ring.free().iter().enumerate() {
            let here = chunks.saturating_sub(index * 64).min(64);
            free.store(u64::MAX.checked_shr(64 - here as u32).unwrap_or(0), Ordering::Relaxed);
        }
        ring.at(MAGIC_AT).store(MAGIC, Ordering::Release);
        Ok(ring)
    }

    /// The ring that someone laid out in `words`.
    ///
    /// # Errors
    /// The words hold no ring, or one that this code cannot use.
    pub fn open(words: &'m [AtomicU64]) -> Result<Self, BadRing> {
        let header = words.first_chunk::<USED_WORDS>().ok_or(BadRing::Size)?;
        if header[MAGIC_AT].load(Ordering::Acquire) != MAGIC {
            return Err(BadRing::Magic);
        }
        if header[VERSION_AT].load(Ordering::Relaxed) != VERSION {
            return Err(BadRing::Version);
        }
        let geometry = header[GEOMETRY_AT].load(Ordering::Relaxed);
        Self::with_geometry(words, geometry as u32 as usize, (geometry >> 32) as usize)
    }

    fn with_geometry(words: &'m [AtomicU64], chunks: usize, chunk_words: usize) -> Result<Self, BadRing> {
        let header = words.first_chunk().ok_or(BadRing::Size)?;
        if !(1..=MAX_CHUNKS).contains(&chunks) || !(2..=MAX_CHUNK_WORDS).contains(&chunk_words) {
            return Err(BadRing::Size);
        }
        let end = HEADER_WORDS.wrapping_add(chunks.wrapping_mul(chunk_words));
        let body = words.get(HEADER_WORDS..end).ok_or(BadRing::Size)?;
        Ok(Self { header, body, chunks, chunk_words })
    }

    /// Process id of the reader.
    #[must_use]
    pub fn reader(&self) -> u32 {
        self.at(READER_AT).load(Ordering::Relaxed) as u32
    }

    /// Moves whenever a working directory may have changed, or a directory been renamed.
    #[must_use]
    pub fn directory_generation(&self) -> u64 {
        self.at(DIRECTORY_GENERATION_AT).load(Ordering::Acquire)
    }

    /// Tells every process to look again where its working directory is.
    pub fn advance_directory_generation(&self) {
        self.at(DIRECTORY_GENERATION_AT).fetch_add(1, Ordering::AcqRel);
    }

    /// Whether names may mean something else to some thread than the library can know: it then leaves all to the net.
    #[inline]
    #[must_use]
    pub fn is_left_to_net(&self) -> bool {
        self.at(LEFT_TO_NET_AT).load(Ordering::Acquire) != 0
    }

    /// Tells every process so, for good.
    pub fn leave_to_net(&self) {
        self.at(LEFT_TO_NET_AT).store(1, Ordering::Release);
    }

    /// The moment before a call that only looks.
    #[inline]
    #[must_use]
    pub fn moment(&self) -> Moment {
        Moment {
            last_change_ns: self.at(LAST_CHANGE_NS_AT).load(Ordering::Acquire),
            changes_begun: self.at(CHANGES_BEGUN_AT).load(Ordering::Acquire),
        }
    }

    /// The time of something that is about to change and is still held, by the clock `now_ns`.
    pub fn time_of_change(&self, now_ns: impl FnOnce() -> u64) -> u64 {
        // First the announcement, then the clock: whoever has not seen the announcement has read an earlier time.
        self.at(CHANGES_BEGUN_AT).fetch_add(1, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        let time_ns = now_ns();
        self.at(LAST_CHANGE_NS_AT).fetch_max(time_ns, Ordering::AcqRel);
        time_ns
    }

    /// The time of a look that began at `moment` and is over: not later than any change that it may not have seen yet.
    ///
    /// The clock is read after the call, and only for looks that are recorded. If a change was announced meanwhile, the
    /// time of the last one before stands in for it.
    #[must_use]
    pub fn time_of_look(&self, moment: Moment, now_ns: impl FnOnce() -> u64) -> u64 {
        let time_ns = now_ns();
        fence(Ordering::SeqCst);
        if self.at(CHANGES_BEGUN_AT).load(Ordering::SeqCst) == moment.changes_begun {
            time_ns
        } else {
            moment.last_change_ns
        }
    }

    /// Ends the ring: from now on every write is [`Lost`] at once. A writer that sleeps for want of room notices when its
    /// sleep ends; [`Ring::wake_writers`] ends it now.
    pub fn close(&self) {
        self.at(CLOSED_AT).store(1, Ordering::Release);
    }

    /// Whether the ring was closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.at(CLOSED_AT).load(Ordering::Relaxed) != 0
    }

    /// Records lost so far, by what the writers say.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.at(LOST_AT).load(Ordering::Relaxed)
    }

    /// Wakes the writers that wait for room, if any do, to look again.
    pub fn wake_writers(&self, system: &impl System) {
        // The counterpart is in `wait_for_room`: either the writer sees what was done before this fence, or its
        // announcement is seen here.
        fence(Ordering::SeqCst);
        let word = self.at(WRITER_WAITS_AT);
        if word.load(Ordering::Relaxed) != 0 && word.swap(0, Ordering::Relaxed) != 0 {
            system.wake(futex_word(word));
        }
    }

    /// The word of the header at one of the places above.
    #[inline(always)]
    fn at(&self, index: usize) -> &'m AtomicU64 {
        // Inlined with a constant, the check of the bounds is gone, and its panic with it.
        &self.header[index]
    }

    fn free(&self) -> &'m [AtomicU64] {
        self.header.get(FREE_AT..CALL_SITES_AT).unwrap_or_default()
    }

    fn free_chunks(&self) -> usize {
        let mut count: usize = 0;
        for free in self.free() {
            count = count.wrapping_add(free.load(Ordering::Relaxed).count_ones() as usize);
        }
        count
    }

    /// Whether `free` chunks are so few that the reader should collect those that lie idle.
    fn is_crowded(&self, free: usize) -> bool {
        free < self.chunks.div_ceil(2)
    }

    fn chunk(&self, index: usize) -> Option<&'m [AtomicU64]> {
        if index >= self.chunks {
            return None;
        }
        self.body.get(index.wrapping_mul(self.chunk_words)..)?.get(..self.chunk_words)
    }
}
