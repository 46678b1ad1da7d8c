//! A thread's place in the ring.

use super::word::Generation;
use crate::sync::{AtomicU64, Ordering};

/// One thread's place in the ring: the chunk it appends to and where in it. Only a hint: whoever shares it, in
/// a signal handler, a vfork child or another thread, at worst walks over records or takes a chunk too many.
///
/// Memory of zeros is a valid seat, one that has no chunk yet.
#[derive(Debug, Default)]
#[repr(transparent)]
pub struct Seat(AtomicU64);

impl Seat {
    /// A seat without a chunk.
    #[cfg(not(loom))]
    #[must_use]
    pub const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// A seat without a chunk.
    #[cfg(loom)]
    #[must_use]
    pub fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    pub(super) fn place(&self) -> Option<Place> {
        Place::from_bits(self.0.load(Ordering::Acquire))
    }

    /// Release, so that whoever shares the seat also sees that the chunk was emptied for this generation.
    pub(super) fn set(&self, place: Place) {
        self.0.store(place.to_bits(), Ordering::Release);
    }
}

/// A position in a chunk in one of its generations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) chunk: usize,
    pub(super) generation: Generation,
    /// In words, from the beginning of the chunk; it may be the chunk's end.
    pub(super) position: usize,
}

const FIELD_BITS: u32 = 16;
const FIELD_MASK: u64 = (1 << FIELD_BITS) - 1;

impl Place {
    /// Never 0, which is the empty seat: chunks count from 1 here.
    const fn to_bits(self) -> u64 {
        (self.generation.bits() << FIELD_BITS | self.position as u64 & FIELD_MASK) << FIELD_BITS
            | (self.chunk as u64).wrapping_add(1) & FIELD_MASK
    }

    const fn from_bits(bits: u64) -> Option<Self> {
        let Some(chunk) = (bits & FIELD_MASK).checked_sub(1) else {
            return None;
        };
        Some(Self {
            chunk: chunk as usize,
            generation: Generation::from_bits(bits >> (2 * FIELD_BITS)),
            position: (bits >> FIELD_BITS & FIELD_MASK) as usize,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::{MAX_CHUNK_WORDS, MAX_CHUNKS};
    use super::*;

    #[test]
    fn places_come_back() {
        for generation in [Generation::FIRST, Generation::from_bits(u64::MAX)] {
            for chunk in [0, 1, MAX_CHUNKS - 1] {
                for position in [0, 1, MAX_CHUNK_WORDS] {
                    let place = Place { chunk, generation, position };
                    assert_eq!(Place::from_bits(place.to_bits()), Some(place));
                }
            }
        }
        assert_eq!(Place::from_bits(0), None);
    }
}
