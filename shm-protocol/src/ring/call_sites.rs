//! Where libc makes system calls of its own: a list in the ring's header, written before the command starts and read by each
//! process that the library arrives in.

use super::{CALL_SITES_AT, Ring};
use crate::sync::Ordering;

/// Most call sites that are told. Loom pays for each word of the header.
pub const MAX_CALL_SITES: usize = if cfg!(loom) { 0 } else { 24 };

/// A system call instruction in libc that comes right behind one that loads the number of the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallSite {
    /// From the function `__errno_location` to the load of the number, in bytes.
    pub offset: i32,
    /// The number of the call.
    pub number: u32,
}

impl Ring<'_> {
    /// Tells call sites, [`MAX_CALL_SITES`] at most; further ones are left out.
    pub fn tell_call_sites(&self, sites: &[CallSite]) {
        let words = self.header.get(CALL_SITES_AT..).unwrap_or_default();
        let [count, words @ ..] = words else { return };
        for (word, site) in words.iter().zip(sites) {
            word.store(
                u64::from(site.offset.cast_unsigned()) << 32 | u64::from(site.number),
                Ordering::Relaxed,
            );
        }
        count.store(sites.len().min(words.len()) as u64, Ordering::Release);
    }

    /// The call sites that were told.
    pub fn call_sites(&self) -> impl Iterator<Item = CallSite> {
        let words = self.header.get(CALL_SITES_AT..).unwrap_or_default();
        let (count, words) =
            words.split_first().map_or((0, words), |(count, words)| (count.load(Ordering::Acquire), words));
        words.iter().take(count as usize).map(|word| {
            let word = word.load(Ordering::Relaxed);
            CallSite { offset: ((word >> 32) as u32).cast_signed(), number: word as u32 }
        })
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::super::{HEADER_WORDS, Ring, Word};
    use super::*;

    #[test]
    fn call_sites_come_back_and_too_many_are_cut() {
        let words: Vec<Word> = (0..HEADER_WORDS + 64).map(|_| Word::new(0)).collect();
        let ring = Ring::format_with_chunks(&words, 1, 64).expect("a geometry that fits");
        assert_eq!(ring.call_sites().count(), 0);
        let sites: Vec<CallSite> =
            (0..100).map(|at| CallSite { offset: at * 7 - 300, number: 257 }).collect();
        ring.tell_call_sites(&sites);
        assert_eq!(ring.call_sites().collect::<Vec<_>>(), sites[..MAX_CALL_SITES]);
    }
}
