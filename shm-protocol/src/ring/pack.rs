//! Seven bytes of a record in each payload word, and back.

use super::word::{PAYLOAD_BYTES, PAYLOAD_MARK};
use crate::sync::{AtomicU64, Ordering};

const PAYLOAD_MASK: u64 = (1 << (8 * PAYLOAD_BYTES)) - 1;

/// Writes bytes into payload words. It never writes beyond them, and cannot panic.
pub(super) struct Packer<'m> {
    words: core::slice::Iter<'m, AtomicU64>,
    /// Bytes that do not fill a word yet, and their number, 0 to 6.
    held: u64,
    count: u32,
}

impl<'m> Packer<'m> {
    pub(super) fn new(words: &'m [AtomicU64]) -> Self {
        Self { words: words.iter(), held: 0, count: 0 }
    }

    pub(super) fn put(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while let Some(eight) = rest.first_chunk() {
            self.push(u64::from_le_bytes(*eight) & PAYLOAD_MASK, PAYLOAD_BYTES as u32);
            rest = rest.get(PAYLOAD_BYTES..).unwrap_or_default();
        }
        self.push(up_to_seven(rest), rest.len() as u32);
    }

    /// Writes what is held back. Words that were not reached become payload without content, so that nothing in a
    /// record can be taken for a head.
    pub(super) fn finish(mut self) {
        if self.count > 0 {
            self.store(self.held);
        }
        while self.words.len() > 0 {
            self.store(0);
        }
    }

    /// Takes the low `count` bytes of `value`, at most seven.
    fn push(&mut self, value: u64, count: u32) {
        let shift = self.count.wrapping_mul(8);
        let joined = self.held | value.wrapping_shl(shift);
        self.count = self.count.wrapping_add(count);
        if self.count >= PAYLOAD_BYTES as u32 {
            self.count = self.count.wrapping_sub(PAYLOAD_BYTES as u32);
            self.store(joined & PAYLOAD_MASK);
            self.held = value.wrapping_shr(56_u32.wrapping_sub(shift));
        } else {
            self.held = joined;
        }
    }

    fn store(&mut self, value: u64) {
        if let Some(word) = self.words.next() {
            word.store(value | PAYLOAD_MARK, Ordering::Relaxed);
        }
    }
}

/// Up to seven bytes as the low bytes of a word, without a loop: paths end in such a rest twice per record.
fn up_to_seven(bytes: &[u8]) -> u64 {
    if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
        // The two halves overlap by 8 - length bytes, which agree.
        let shift = (bytes.len() as u32).wrapping_sub(4).wrapping_mul(8);
        return u64::from(u32::from_le_bytes(*first))
            | u64::from(u32::from_le_bytes(*last)).wrapping_shl(shift);
    }
    match *bytes {
        [] | [_, _, _, _, ..] => 0,
        [a] => u64::from(a),
        [a, b] => u64::from_le_bytes([a, b, 0, 0, 0, 0, 0, 0]),
        [a, b, c] => u64::from_le_bytes([a, b, c, 0, 0, 0, 0, 0]),
    }
}

/// Copies payload words out of shared memory. `false` if one is no payload word, or there are more than fit.
pub(super) fn unpack(words: &[AtomicU64], into: &mut [[u8; PAYLOAD_BYTES]]) -> bool {
    let mut marks = PAYLOAD_MARK;
    for (word, place) in words.iter().zip(&mut *into) {
        let value = word.load(Ordering::Relaxed);
        marks &= value;
        let [a, b, c, d, e, f, g, _] = value.to_le_bytes();
        *place = [a, b, c, d, e, f, g];
    }
    marks != 0 && words.len() <= into.len()
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::super::word::payload_words;
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn bytes_come_back_however_they_are_cut(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..6)) {
            let whole = pieces.concat();
            let words: Vec<AtomicU64> = (0..payload_words(whole.len())).map(|_| AtomicU64::new(0)).collect();
            let mut packer = Packer::new(&words);
            for piece in &pieces {
                packer.put(piece);
            }
            packer.finish();
            let mut back = vec![[0; PAYLOAD_BYTES]; words.len()];
            prop_assert!(unpack(&words, &mut back));
            prop_assert_eq!(&back.as_flattened()[..whole.len()], &whole[..]);
        }
    }

    #[test]
    fn too_many_bytes_stay_within_the_words_and_too_few_leave_payload() {
        let words: Vec<AtomicU64> = (0..3).map(|_| AtomicU64::new(0)).collect();
        let mut packer = Packer::new(&words[..2]);
        packer.put(&[1; 100]);
        packer.finish();
        assert_eq!(words[2].load(Ordering::Relaxed), 0);

        let packer = Packer::new(&words);
        packer.finish();
        assert!(unpack(&words, &mut [[0; PAYLOAD_BYTES]; 3]));
    }

    #[test]
    fn what_is_no_payload_is_not_unpacked() {
        let words = [AtomicU64::new(PAYLOAD_MARK), AtomicU64::new(5)];
        assert!(unpack(&words[..1], &mut [[0; PAYLOAD_BYTES]; 1]));
        assert!(!unpack(&words, &mut [[0; PAYLOAD_BYTES]; 2]));
        assert!(!unpack(&words[..1], &mut []));
    }
}
