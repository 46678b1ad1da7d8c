//! Ends runs from another thread than the one that waits for them.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use platform::tracing::Killer;

/// Cancels the runs that it was given to, now or later; clones are the same.
#[derive(Clone, Default)]
pub struct Cancellation(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    is_cancelled: bool,
    /// What kills each of the commands that run, by a number of its own.
    running: Vec<(u64, Killer)>,
    next: u64,
}

impl Cancellation {
    /// Kills the commands of all runs that it was given to, and all that they have started. Those runs end with
    /// [`RunError::Cancelled`](crate::run::RunError::Cancelled), and so does every later one. What a command has changed
    /// already stays so, as where it is killed otherwise; a hit that is being restored is restored to its end.
    pub fn cancel(&self) {
        let mut state = self.state();
        state.is_cancelled = true;
        state.running.iter().for_each(|(_, kill)| kill());
    }

    /// Whether it was cancelled.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.state().is_cancelled
    }

    /// Has `kill` called when this is cancelled, at once if it has been, until the result is dropped.
    pub(crate) fn watch(&self, kill: Killer) -> Watched<'_> {
        let mut state = self.state();
        if state.is_cancelled {
            kill();
        }
        let number = state.next;
        state.next += 1;
        state.running.push((number, kill));
        Watched { cancellation: self, number }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Cancellation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Cancellation").field("is_cancelled", &self.is_cancelled()).finish()
    }
}

/// A command that is killed when its run is cancelled.
pub(crate) struct Watched<'c> {
    cancellation: &'c Cancellation,
    number: u64,
}

impl Drop for Watched<'_> {
    fn drop(&mut self) {
        self.cancellation.state().running.retain(|(number, _)| *number != self.number);
    }
}
