//! Whose turn it is to receive held calls.
//!
//! The kernel gives a call to whichever thread has waited longest. But the one that has answered the last call is the fastest to take
//! the next: it runs on the CPU of the traced process, with all it needs in its cache. So only as many threads wait as
//! are needed to keep up, the others behind them for the case that one has work that takes long.

use std::cell::Cell;
use std::sync::{Condvar, Mutex, PoisonError};

/// The turns of one supervisor.
pub(super) struct Turns {
    free: Mutex<usize>,
    freed: Condvar,
}

impl Turns {
    /// As many at once as `at_once`.
    pub(super) fn new(at_once: usize) -> Self {
        Self { free: Mutex::new(at_once), freed: Condvar::new() }
    }

    /// Waits for a turn.
    pub(super) fn take(&self) -> Turn<'_> {
        let free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let mut free = self.freed.wait_while(free, |free| *free == 0).unwrap_or_else(PoisonError::into_inner);
        *free -= 1;
        Turn { turns: self, lasts: Cell::new(true) }
    }
}

/// The right to receive held calls, until it is dropped or passed on.
pub(super) struct Turn<'t> {
    turns: &'t Turns,
    lasts: Cell<bool>,
}

impl Turn<'_> {
    /// Whether it has not been passed on.
    pub(super) fn lasts(&self) -> bool {
        self.lasts.get()
    }

    /// Lets another thread have it, before work that takes long.
    pub(super) fn pass_on(&self) {
        if self.lasts.replace(false) {
            *self.turns.free.lock().unwrap_or_else(PoisonError::into_inner) += 1;
            self.turns.freed.notify_one();
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.pass_on();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn no_more_threads_have_a_turn_than_there_are() {
        let (turns, at_once, most) = (Turns::new(2), AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for round in 0..200 {
                        let turn = turns.take();
                        most.fetch_max(at_once.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                        std::thread::yield_now();
                        at_once.fetch_sub(1, Ordering::SeqCst);
                        if round % 2 == 0 {
                            turn.pass_on();
                            assert!(!turn.lasts());
                        }
                    }
                });
            }
        });
        assert_eq!(most.into_inner(), 2);
        assert_eq!(*turns.free.lock().expect("no panic"), 2);
    }
}
