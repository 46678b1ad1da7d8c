//! The reader's side: collect what was committed, seal what lies idle, free what is read. It trusts nothing it
//! reads, and a hostile writer costs it no more than one walk over the ring.

use super::word::{Generation, Head, PAYLOAD_BYTES, payload_words};
use super::{
    AtomicU64, BELL_AT, MAX_CHUNKS, Ordering, READER_SLEEPS_AT, Ring, System, WRITER_WAITS_AT, fence,
    futex_word, pack,
};
use crate::record::{MAX_RECORD, Record};

/// Payload words of the longest record; in a model, whose stacks are small, of the records used there.
const BUFFER_WORDS: usize = if cfg!(loom) { 8 } else { payload_words(MAX_RECORD) };

/// What one [`Reader::drain`] came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drained {
    /// Records delivered.
    pub records: u64,
    /// Records that were claimed by a process that is gone, and never committed.
    pub unfinished: u64,
    /// Records, or whole rests of chunks, that made no sense.
    pub bad: u64,
}

/// What became of all records of a ring, since its [`Reader`] was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Finished {
    /// Records delivered.
    pub records: u64,
    /// Records that were claimed and never committed: each is an event of which nothing is known.
    pub unfinished: u64,
    /// Records, or whole rests of chunks, that made no sense.
    pub bad: u64,
    /// Records that writers could not write.
    pub lost: u64,
}

/// The one reader of a ring. It keeps about 30 KiB by itself and allocates nothing.
#[derive(Debug)]
pub struct Reader<'m> {
    ring: Ring<'m>,
    progress: [Progress; MAX_CHUNKS],
    /// The payload of one record, out of reach of the writers.
    buffer: [[u8; PAYLOAD_BYTES]; BUFFER_WORDS],
    total: Drained,
    /// The bell's count when the last drain began.
    heard: u64,
}

/// How far one chunk was read, in words. The reader's own knowledge, so that nobody can lie to it.
#[derive(Clone, Copy, Debug)]
struct Progress {
    generation: Generation,
    position: usize,
    /// The position after the last drain; `None` if nobody held the chunk then.
    before: Option<usize>,
}

/// Where reading a chunk stopped.
enum Stop {
    /// At an empty head.
    Empty,
    /// At a record that a living process has claimed.
    Claimed,
    /// At the end: nothing will ever follow.
    End,
}

impl<'m> Reader<'m> {
    /// The reader of a ring that was just formatted. There must be only one.
    #[must_use]
    pub fn new(ring: Ring<'m>) -> Self {
        Self {
            ring,
            progress: [Progress { generation: Generation::FIRST, position: 0, before: None }; MAX_CHUNKS],
            buffer: [[0; PAYLOAD_BYTES]; BUFFER_WORDS],
            total: Drained::default(),
            heard: 0,
        }
    }

    /// Delivers what was committed since the last time, in order for each thread that stays within a chunk but in no order
    /// among chunks, and frees what it can. `owner_is_gone` says of a pid whether no thread of that process can run any
    /// more; it is only asked about records that are claimed and not committed, and must not say so too early.
    pub fn drain(
        &mut self,
        owner_is_gone: &mut dyn FnMut(u32) -> bool,
        deliver: &mut dyn FnMut(&Record<'_>),
    ) -> Drained {
        self.heard = self.ring.at(BELL_AT).load(Ordering::Acquire);
        let free = self.ring.free_chunks();
        let crowded = self.ring.is_crowded(free);
        let starved = free == 0 && self.ring.at(WRITER_WAITS_AT).load(Ordering::Relaxed) != 0;
        let mut drained = Drained::default();
        for index in 0..self.ring.chunks {
            let Some((chunk, taken)) = self.touched(index) else {
                continue;
            };
            let stop = self.read(index, chunk, &mut drained, owner_is_gone, deliver);
            let Some(progress) = self.progress.get_mut(index) else {
                continue;
            };
            let used = progress.position > 0;
            let idle = progress.before == Some(progress.position);
            let seal = idle && crowded || (idle || used) && starved;
            progress.before = (used || taken).then_some(progress.position);
            let ended = match stop {
                Stop::End => true,
                Stop::Empty => seal && progress.seal(chunk),
                Stop::Claimed => false,
            };
            if ended {
                progress.empty(chunk);
                self.ring.set_free(index);
            }
        }
        self.add(drained);
        drained
    }

    /// Sleeps until a writer calls for attention since the last drain began, or for a while. Before that, it wakes the
    /// writers that waited for the room that the drain may have made.
    pub fn wait(&self, system: &impl System) {
        if self.ring.free_chunks() > 0 {
            self.ring.wake_writers(system);
        }
        let sleeps = self.ring.at(READER_SLEEPS_AT);
        sleeps.store(1, Ordering::Relaxed);
        // The counterpart is in `ring_bell`.
        fence(Ordering::SeqCst);
        let bell = self.ring.at(BELL_AT);
        if bell.load(Ordering::Relaxed) == self.heard {
            system.wait(futex_word(bell), self.heard as u32);
        }
        sleeps.store(0, Ordering::Relaxed);
    }

    /// Delivers the rest when all writers are gone: a claim that is not committed now never will be.
    pub fn finish(mut self, deliver: &mut dyn FnMut(&Record<'_>)) -> Finished {
        let mut drained = Drained::default();
        for index in 0..self.ring.chunks {
            if let Some((chunk, _)) = self.touched(index) {
                self.read(index, chunk, &mut drained, &mut |_| true, deliver);
            }
        }
        self.add(drained);
        let Drained { records, unfinished, bad } = self.total;
        Finished { records, unfinished, bad, lost: self.ring.lost() }
    }

    /// The chunk at `index`, and whether it is taken, if it may hold something: if it is taken, or was freed once, so that
    /// a writer that took it before may have come late. A chunk never used is not looked at: that would make the system
    /// provide its memory.
    fn touched(&self, index: usize) -> Option<(&'m [AtomicU64], bool)> {
        let reused = self.progress.get(index)?.generation != Generation::FIRST;
        let taken = !self.ring.is_free(index);
        if reused || taken { Some((self.ring.chunk(index)?, taken)) } else { None }
    }

    /// Reads a chunk as far as it is committed.
    fn read(
        &mut self,
        index: usize,
        chunk: &[AtomicU64],
        drained: &mut Drained,
        owner_is_gone: &mut dyn FnMut(u32) -> bool,
        deliver: &mut dyn FnMut(&Record<'_>),
    ) -> Stop {
        let Some(progress) = self.progress.get_mut(index) else {
            return Stop::Empty;
        };
        loop {
            let Some((word, behind)) = chunk.get(progress.position..).and_then(<[_]>::split_first) else {
                return Stop::End;
            };
            let mut head = head_of(progress.generation, word);
            if let Some(Head::Claimed { pid, .. }) = head {
                if !owner_is_gone(pid) {
                    return Stop::Claimed;
                }
                // It may have committed just before it went.
                head = head_of(progress.generation, word);
            }
            let (length, committed) = match head {
                Some(Head::Empty) => return Stop::Empty,
                Some(Head::Sealed) => return Stop::End,
                Some(Head::Claimed { length, .. }) => (length, false),
                Some(Head::Committed { length, .. }) => (length, true),
                None => (usize::MAX, true),
            };
            let Some(payload) = behind.get(..payload_words(length)) else {
                // Without a length that makes sense, no record behind this one can be found.
                drained.bad += 1;
                return Stop::End;
            };
            progress.position += 1 + payload.len();
            if !committed {
                drained.unfinished += 1;
                continue;
            }
            let whole = pack::unpack(payload, &mut self.buffer);
            let bytes = self.buffer.as_flattened().get(..length).unwrap_or_default();
            match Record::decode(bytes) {
                Ok(record) if whole => {
                    drained.records += 1;
                    deliver(&record);
                }
                _ => drained.bad += 1,
            }
        }
    }

    fn add(&mut self, drained: Drained) {
        self.total.records += drained.records;
        self.total.unfinished += drained.unfinished;
        self.total.bad += drained.bad;
    }
}

impl Progress {
    /// Ends the chunk where it was read to, unless a writer has just claimed that place.
    fn seal(&self, chunk: &[AtomicU64]) -> bool {
        let empty = Head::Empty.to_word(self.generation);
        let sealed = Head::Sealed.to_word(self.generation);
        chunk.get(self.position).is_some_and(|head| {
            head.compare_exchange(empty, sealed, Ordering::Relaxed, Ordering::Relaxed).is_ok()
        })
    }

    /// Makes an ended chunk empty in its next generation.
    fn empty(&mut self, chunk: &[AtomicU64]) {
        *self = Self { generation: self.generation.next(), position: 0, before: None };
        let empty = Head::Empty.to_word(self.generation);
        if let Some((first, rest)) = chunk.split_first() {
            for word in rest {
                word.store(empty, Ordering::Relaxed);
            }
            // Last: who finds the first head empty may write to all of the chunk.
            first.store(empty, Ordering::Release);
        }
    }
}

fn head_of(generation: Generation, word: &AtomicU64) -> Option<Head> {
    // Acquire: with a committed head, its payload.
    Head::from_word(word.load(Ordering::Acquire)).and_then(|(head, its)| (its == generation).then_some(head))
}

impl Ring<'_> {
    fn is_free(&self, chunk: usize) -> bool {
        self.free_bit(chunk).is_some_and(|(free, bit)| free.load(Ordering::Relaxed) & bit != 0)
    }

    fn set_free(&self, chunk: usize) {
        if let Some((free, bit)) = self.free_bit(chunk) {
            free.fetch_or(bit, Ordering::Release);
        }
    }

    fn free_bit(&self, chunk: usize) -> Option<(&AtomicU64, u64)> {
        Some((self.free().get(chunk / 64)?, 1 << (chunk % 64)))
    }
}
