//! The writers' side: claim a place, fill it, commit. Inside traced processes, so it neither allocates nor
//! panics, and may be interrupted or killed between any two instructions.

use super::pack::Packer;
use super::seat::Place;
use super::word::{Head, payload_words};
use super::{
    AtomicU64, BELL_AT, LOST_AT, Lost, Ordering, READER_SLEEPS_AT, Ring, Seat, System, WRITER_WAITS_AT,
    fence, futex_word,
};
use crate::record::{MAX_RECORD, Record};

/// How often a writer looks for room for one record, sleeping up to about 100 ms between looks: 100 s.
const ATTEMPTS: usize = if cfg!(loom) { 8 } else { 1000 };

/// A place in a chunk that is this writer's alone until it commits.
struct Claim<'m> {
    head: &'m AtomicU64,
    claimed: u64,
    committed: u64,
    payload: &'m [AtomicU64],
}

impl<'m> Ring<'m> {
    /// Appends `record`. It arrives at the reader if and only if this returns `Ok`, whatever happens to the process
    /// afterwards; only a process killed inside this call may or may not have delivered it.
    ///
    /// Async-signal-safe, also against itself on the same `seat`. Waits while the ring is full, with `system`.
    ///
    /// # Errors
    /// [`Lost`] if nobody reads the ring any more, or the record is longer than [`MAX_RECORD`]. It was counted.
    pub fn write(&self, seat: &Seat, record: &Record<'_>, system: &impl System) -> Result<(), Lost> {
        let length = record.encoded_len();
        let written = self.claim(seat, record.pid, length, system).is_some_and(|claim| {
            let mut packer = Packer::new(claim.payload);
            record.encode(|bytes| packer.put(bytes));
            packer.finish();
            claim.commit()
        });
        if written {
            return Ok(());
        }
        self.at(LOST_AT).fetch_add(1, Ordering::Relaxed);
        Err(Lost)
    }

    /// Claims a place as a writer does that is killed before it commits.
    #[cfg(loom)]
    pub fn claim_and_die(&self, seat: &Seat, record: &Record<'_>, system: &impl System) -> bool {
        self.claim(seat, record.pid, record.encoded_len(), system).is_some()
    }

    fn claim(&self, seat: &Seat, pid: u32, length: usize, system: &impl System) -> Option<Claim<'m>> {
        if self.is_closed() || length > MAX_RECORD || payload_words(length) >= self.chunk_words {
            return None;
        }
        let mut place = seat.place();
        for _ in 0..ATTEMPTS {
            if let Some(claim) = place.and_then(|place| self.claim_behind(seat, place, pid, length)) {
                return Some(claim);
            }
            let filled = place.is_some();
            place = self.take_chunk();
            if place.is_none() {
                self.wait_for_room(system)?;
            } else if filled || self.is_crowded(self.free_chunks()) {
                // A chunk's worth to read: better now, while the program runs, than at its end.
                self.ring_bell(system);
            }
        }
        // Starved by a reader that lives but does not read: better untraced than stuck.
        self.close();
        None
    }

    /// Claims the first empty head at or behind `place`. `None` if that chunk has no room or is of another generation by
    /// now.
    fn claim_behind(&self, seat: &Seat, place: Place, pid: u32, length: usize) -> Option<Claim<'m>> {
        let generation = place.generation;
        let empty = Head::Empty.to_word(generation);
        let claimed = Head::Claimed { pid, length }.to_word(generation);
        let words = payload_words(length);
        let mut rest = self.chunk(place.chunk)?.get(place.position..)?;
        loop {
            let (head, behind) = rest.split_first()?;
            let payload = behind.get(..words);
            let wanted = if payload.is_some() { claimed } else { Head::Sealed.to_word(generation) };
            // Relaxed: that the chunk was emptied before is known from the seat or from taking it.
            match head.compare_exchange(empty, wanted, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => {
                    let payload = payload?;
                    let left = behind.len().wrapping_sub(words);
                    seat.set(Place { position: self.chunk_words.wrapping_sub(left), ..place });
                    let committed = Head::Committed { pid, length }.to_word(generation);
                    return Some(Claim { head, claimed, committed, payload });
                }
                Err(found) => match Head::from_word(found)? {
                    (Head::Claimed { length, .. } | Head::Committed { length, .. }, its)
                        if its == generation =>
                    {
                        rest = behind.get(payload_words(length)..)?;
                    }
                    _ => return None,
                },
            }
        }
    }

    /// Takes the first free chunk: the lowest are warm in the caches, and mapped already.
    fn take_chunk(&self) -> Option<Place> {
        for (word_index, free) in self.free().iter().enumerate() {
            let mut bits = free.load(Ordering::Relaxed);
            // Each turn either takes a bit or loses it to someone else; the reader may set some again meanwhile.
            for _ in 0..u64::BITS {
                if bits == 0 {
                    break;
                }
                let bit = bits & bits.wrapping_neg();
                // Acquire: with the bit, that the chunk was emptied.
                bits = free.fetch_and(!bit, Ordering::Acquire);
                if bits & bit != 0 {
                    let chunk = word_index.wrapping_mul(64).wrapping_add(bit.trailing_zeros() as usize);
                    if let Some(place) = self.beginning_of(chunk) {
                        return Some(place);
                    }
                }
                bits &= !bit;
            }
        }
        None
    }

    /// The beginning of a chunk in its present generation, if nobody writes there yet. If the reader sealed and freed the
    /// chunk since it was taken, and another took it, both may begin here: heads keep them apart.
    fn beginning_of(&self, chunk: usize) -> Option<Place> {
        // Acquire: if the chunk was freed once more since it was taken, its first head, which the reader stores last,
        // tells that all the words behind it are empty.
        match Head::from_word(self.chunk(chunk)?.first()?.load(Ordering::Acquire)) {
            Some((Head::Empty, generation)) => Some(Place { chunk, generation, position: 0 }),
            _ => None,
        }
    }

    /// Sleeps until the reader has made room, or for a while. `None` if there is no reader any more.
    fn wait_for_room(&self, system: &impl System) -> Option<()> {
        let waits = self.at(WRITER_WAITS_AT);
        waits.store(1, Ordering::Relaxed);
        // The counterpart is in `wake_writers`.
        fence(Ordering::SeqCst);
        if self.free_chunks() > 0 {
            return Some(());
        }
        if system.reader_is_gone(self.reader()) {
            self.close();
        }
        if self.is_closed() {
            return None;
        }
        self.ring_bell(system);
        system.wait(futex_word(waits), 1);
        Some(())
    }

    /// Calls for the reader's attention: ends its sleep, now or when it next begins one.
    pub fn ring_bell(&self, system: &impl System) {
        let bell = self.at(BELL_AT);
        // Release: who heard the bell sees the records written before.
        bell.fetch_add(1, Ordering::Release);
        // The counterpart is in `Reader::wait`: either it hears the bell, or its announcement is seen here.
        fence(Ordering::SeqCst);
        // Only the reader takes its announcement back: a writer that did might take back one made after it looked.
        if self.at(READER_SLEEPS_AT).load(Ordering::Relaxed) != 0 {
            system.wake(futex_word(bell));
        }
    }
}

impl Claim<'_> {
    /// Publishes the record. `false` if the reader gave it up, having taken this process for dead.
    fn commit(self) -> bool {
        self.head.compare_exchange(self.claimed, self.committed, Ordering::Release, Ordering::Relaxed).is_ok()
    }
}
