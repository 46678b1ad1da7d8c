//! What this process has reported already, so that a repetition costs a look-up and no record.

use core::sync::atomic::{AtomicU64, Ordering};

/// Buckets of keys; half a page of these serves a small program, a large one touches them all.
const BUCKETS: usize = 2048;

/// Keys of one bucket, which share half a cache line.
const WAYS: usize = 4;

/// The keys of accesses that were reported, each in the bucket that its low bits name: where that is full, a newer key replaces an
/// older one, which is then reported once more. Zeros are a valid empty table.
///
/// An access is taken for a reported one, and so missed, if its key is that of another path: all 64 bits equal, where the
/// 11 bits of the bucket agree anyway, with one of four. That is one in 2^51 for each new path, one in 2 billion for a run
/// with a million. The keys depend on the random cookie where there is one, so no choice of names makes it likelier.
pub(crate) struct Seen([[AtomicU64; WAYS]; BUCKETS]);

impl Seen {
    /// A table without keys.
    #[cfg(any(windows, target_os = "macos"))]
    pub(crate) const fn new() -> Self {
        Self([const { [const { AtomicU64::new(0) }; WAYS] }; BUCKETS])
    }

    #[inline]
    pub(crate) fn contains(&self, key: u64) -> bool {
        let Some(bucket) = self.0.get(key as usize % BUCKETS) else { return false };
        key != 0 && bucket.iter().any(|entry| entry.load(Ordering::Relaxed) == key)
    }

    /// To be called once the access has been written, never before: a lost record must be tried again.
    pub(crate) fn insert(&self, key: u64) {
        let Some(bucket) = self.0.get(key as usize % BUCKETS) else { return };
        let free = bucket.iter().find(|entry| entry.load(Ordering::Relaxed) == 0);
        if let Some(entry) = free.or_else(|| bucket.get((key >> 32) as usize % WAYS)) {
            entry.store(key, Ordering::Relaxed);
        }
    }
}

/// A 64-bit hash of `bytes` under a secret `seed`: multiplications to 128 bits whose halves are folded together, 16 bytes at
/// a time, as wyhash does.
pub(crate) fn hash(seed: u64, bytes: &[u8]) -> u64 {
    const ODD: [u64; 3] = [0xa076_1d64_78bd_642f, 0xe703_7ed1_a0b4_28db, 0x8ebc_6af0_9c88_c6e3];
    let mut state = fold(seed ^ ODD[0], ODD[1]);
    let (blocks, _) = bytes.as_chunks::<16>();
    for block in blocks {
        let (low, high) = halves(u128::from_le_bytes(*block));
        state = fold(low ^ ODD[1], high ^ state);
    }
    let (low, high) = ends(bytes);
    fold(fold(low ^ ODD[2], high ^ state), ODD[0] ^ bytes.len() as u64)
}

/// The last 16 bytes, or all of fewer, without a loop: together with the length they tell all such endings apart.
fn ends(bytes: &[u8]) -> (u64, u64) {
    if let Some(last) = bytes.last_chunk() {
        halves(u128::from_le_bytes(*last))
    } else if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
        (u64::from_le_bytes(*first), u64::from_le_bytes(*last))
    } else if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
        (u64::from(u32::from_le_bytes(*first)), u64::from(u32::from_le_bytes(*last)))
    } else {
        match *bytes {
            [a] => (u64::from(a), 0),
            [a, b] => (u64::from(a), u64::from(b)),
            [a, b, c] => (u64::from(a) | u64::from(b) << 8, u64::from(c)),
            _ => (0, 0),
        }
    }
}

fn fold(a: u64, b: u64) -> u64 {
    let (low, high) = halves(u128::from(a).wrapping_mul(u128::from(b)));
    low ^ high
}

const fn halves(both: u128) -> (u64, u64) {
    (both as u64, (both >> 64) as u64)
}
