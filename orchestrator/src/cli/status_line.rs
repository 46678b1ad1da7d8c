//! A line on the terminal that tells how far something is, and leaves no trace.

use std::env;
use std::io::{self, IsTerminal, Write};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What takes less is not told.
const WORTH_TELLING: Duration = Duration::from_secs(1);
/// How often the line changes at most.
const BETWEEN: Duration = Duration::from_millis(100);

/// The last line of standard error, as long as nobody else writes there.
#[derive(Debug, Default)]
pub(super) struct StatusLine(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    began: Option<Instant>,
    shown: Option<Instant>,
    is_closed: bool,
}

impl StatusLine {
    /// The line, where standard error is a terminal that can go back to its beginning.
    pub(super) fn on_terminal() -> Option<Self> {
        let is_dumb = env::var_os("TERM").is_none_or(|term| term == "dumb");
        (io::stderr().is_terminal() && !is_dumb).then(Self::default)
    }

    /// Shows this, which is to be shorter than a narrow terminal is wide, once it has been going on for a second.
    pub(super) fn show(&self, text: impl FnOnce() -> String) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let since = state.began.get_or_insert_with(Instant::now).elapsed();
        let is_due = state.shown.is_none_or(|shown| shown.elapsed() >= BETWEEN);
        if !state.is_closed && since >= WORTH_TELLING && is_due {
            write(&format!("\r{}\x1b[K", text()));
            state.shown = Some(Instant::now());
        }
    }

    /// Takes it away: others may write now.
    pub(super) fn clear(&self) {
        Self::take_away(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Takes it away for good.
    pub(super) fn close(&self) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Self::take_away(&mut state);
        state.is_closed = true;
    }

    fn take_away(state: &mut State) {
        state.began = None;
        if state.shown.take().is_some() {
            write("\r\x1b[K");
        }
    }
}

fn write(text: &str) {
    // A terminal that is gone is no reason to fail.
    let _ = io::stderr().write_all(text.as_bytes());
}
