//! What one word of a chunk can be, so that no word of one kind or generation is ever taken for another.

/// Bytes of a record that one payload word carries; the eighth marks it as payload.
pub(super) const PAYLOAD_BYTES: usize = 7;

/// Set in every payload word and in no head: a record's bytes can never look like a word that may be claimed.
pub(super) const PAYLOAD_MARK: u64 = 1 << 63;

const GENERATION_BITS: u32 = 24;
const PID_BITS: u32 = 22;
const LENGTH_BITS: u32 = 15;

const GENERATION_MASK: u64 = (1 << GENERATION_BITS) - 1;
const PID_MASK: u64 = (1 << PID_BITS) - 1;
const LENGTH_MASK: u64 = (1 << LENGTH_BITS) - 1;
const KIND_SHIFT: u32 = GENERATION_BITS + PID_BITS + LENGTH_BITS;

const EMPTY: u64 = 0;
const CLAIMED: u64 = 1;
const COMMITTED: u64 = 2;
const SEALED: u64 = 3;

/// How often a chunk has been freed, modulo 2^24. Every head carries it: a writer that slept since an earlier
/// generation finds no word it may claim. (To fool it, all 2^24 generations of 32 KiB would have to pass meanwhile.)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Generation(u32);

impl Generation {
    /// That of zeroed memory.
    pub(super) const FIRST: Self = Self(0);

    pub(super) const fn next(self) -> Self {
        Self::from_bits(self.0 as u64 + 1)
    }

    pub(super) const fn bits(self) -> u64 {
        self.0 as u64
    }

    pub(super) const fn from_bits(bits: u64) -> Self {
        Self((bits & GENERATION_MASK) as u32)
    }
}

/// A word at the beginning of a record, or where the next one may begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Head {
    /// Nobody has claimed it.
    Empty,
    /// The process `pid` is writing a record of `length` bytes here.
    Claimed { pid: u32, length: usize },
    /// A whole record of `length` bytes.
    Committed { pid: u32, length: usize },
    /// No record begins here or behind.
    Sealed,
}

impl Head {
    pub(super) const fn to_word(self, generation: Generation) -> u64 {
        let (kind, pid, length) = match self {
            Self::Empty => (EMPTY, 0, 0),
            Self::Claimed { pid, length } => (CLAIMED, pid, length),
            Self::Committed { pid, length } => (COMMITTED, pid, length),
            Self::Sealed => (SEALED, 0, 0),
        };
        kind << KIND_SHIFT
            | (length as u64 & LENGTH_MASK) << (GENERATION_BITS + PID_BITS)
            | (pid as u64 & PID_MASK) << GENERATION_BITS
            | generation.bits()
    }

    /// The head that `word` is, and its generation; `None` for a payload word.
    pub(super) const fn from_word(word: u64) -> Option<(Self, Generation)> {
        if word & PAYLOAD_MARK != 0 {
            return None;
        }
        let pid = (word >> GENERATION_BITS & PID_MASK) as u32;
        let length = (word >> (GENERATION_BITS + PID_BITS) & LENGTH_MASK) as usize;
        let head = match word >> KIND_SHIFT {
            EMPTY => Self::Empty,
            CLAIMED => Self::Claimed { pid, length },
            COMMITTED => Self::Committed { pid, length },
            _ => Self::Sealed,
        };
        Some((head, Generation::from_bits(word)))
    }
}

/// Payload words that `length` bytes take.
pub(super) const fn payload_words(length: usize) -> usize {
    length.div_ceil(PAYLOAD_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeroed_memory_is_empty_in_the_first_generation() {
        assert_eq!(Head::Empty.to_word(Generation::FIRST), 0);
    }

    #[test]
    fn heads_come_back_and_never_look_like_payload() {
        let heads = [
            Head::Empty,
            Head::Sealed,
            Head::Claimed { pid: 1 << 22, length: 0 },
            Head::Claimed { pid: (1 << 22) - 1, length: (1 << 15) - 1 },
            Head::Committed { pid: 1, length: 21 },
        ];
        for head in heads {
            for generation in [Generation::FIRST, Generation::FIRST.next(), Generation::from_bits(u64::MAX)] {
                let word = head.to_word(generation);
                assert_eq!(word & PAYLOAD_MARK, 0);
                let wrapped = match head {
                    Head::Claimed { pid, length } => Head::Claimed { pid: pid & PID_MASK as u32, length },
                    other => other,
                };
                assert_eq!(Head::from_word(word), Some((wrapped, generation)));
            }
        }
        assert_eq!(Head::from_word(PAYLOAD_MARK), None);
    }

    #[test]
    fn generations_wrap_around() {
        assert_eq!(Generation::from_bits(GENERATION_MASK).next(), Generation::FIRST);
    }
}
