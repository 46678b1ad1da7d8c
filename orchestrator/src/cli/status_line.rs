//! A line on the terminal that tells how far something is, and leaves no trace.

use std::env;
use std::io::{self, IsTerminal, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use platform::terminal::{OutputStream, columns, is_foreground};

/// What takes less is not told.
const WORTH_TELLING: Duration = Duration::from_secs(1);
/// How often the line changes at most.
const BETWEEN: Duration = Duration::from_millis(100);
/// How wide a terminal is that does not say.
const USUAL_WIDTH: u16 = 80;

/// The last line of standard error, as long as nobody else writes there.
#[derive(Debug)]
pub(super) struct StatusLine(Mutex<State>);

#[derive(Debug)]
struct State {
    began: Option<Instant>,
    shown: Option<Instant>,
    is_closed: bool,
    screen: Screen,
}

impl StatusLine {
    /// The line, where standard error is a terminal that can go back to its beginning.
    pub(super) fn on_terminal() -> Option<Self> {
        let is_dumb = env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
        let state = State { began: None, shown: None, is_closed: false, screen: Screen::default() };
        (io::stderr().is_terminal() && !is_dumb).then(|| Self(Mutex::new(state)))
    }

    /// Shows this, as much of it as the line holds, once it has been going on for a second.
    pub(super) fn show(&self, text: impl FnOnce() -> String) {
        let mut state = self.state();
        let since = state.began.get_or_insert_with(Instant::now).elapsed();
        let is_due = state.shown.is_none_or(|shown| shown.elapsed() >= BETWEEN);
        let is_free = !state.is_closed && state.screen.is_free() && is_foreground(OutputStream::Stderr);
        if is_free && since >= WORTH_TELLING && is_due {
            let width = columns(OutputStream::Stderr).unwrap_or(USUAL_WIDTH);
            write(&format!("\r{}\x1b[K", beginning(&text(), width.saturating_sub(1))));
            state.shown = Some(Instant::now());
        }
    }

    /// Takes it away, until it is shown again.
    pub(super) fn hide(&self) {
        self.state().take_away();
    }

    /// Takes it away, and has `write` write these bytes of somebody else to the terminal. It is shown again only where they
    /// leave room for it.
    pub(super) fn make_way<T>(&self, bytes: &[u8], write: impl FnOnce() -> T) -> T {
        let mut state = self.state();
        state.take_away();
        state.screen.written(bytes);
        write()
    }

    /// Takes it away: others may write now.
    pub(super) fn clear(&self) {
        let mut state = self.state();
        state.began = None;
        state.take_away();
    }

    /// Takes it away for good.
    pub(super) fn close(&self) {
        let mut state = self.state();
        state.take_away();
        state.is_closed = true;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn take_away(&mut self) {
        if self.shown.take().is_some() {
            write("\r\x1b[K");
        }
    }
}

/// What others have left the terminal as.
#[derive(Debug, Default)]
struct Screen {
    /// They are within a line.
    within_line: bool,
    /// They move about by themselves: the whole screen is theirs.
    is_theirs: bool,
    /// They are within an escape sequence: after ESC, or after ESC and `[`.
    escape: Option<u8>,
}

impl Screen {
    /// Whether a line of ours stands in nobody's way.
    fn is_free(&self) -> bool {
        !self.within_line && !self.is_theirs
    }

    fn written(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            match (self.escape, byte) {
                (None, 0x1b) => self.escape = Some(byte),
                (None, b'\n') => self.within_line = false,
                (None, _) => self.within_line = true,
                (Some(0x1b), b'[') => self.escape = Some(byte),
                // Colours are no movement.
                (Some(b'['), b'0'..=b'9' | b';' | b':') => {}
                (Some(b'['), b'm') => self.escape = None,
                (Some(_), _) => (self.escape, self.is_theirs) = (None, true),
            }
        }
    }
}

/// As much of `text` as stands in so many columns; characters from U+1100 on, of which some are wide, are taken for two.
fn beginning(text: &str, columns: u16) -> &str {
    let mut left = columns;
    let mut fits = |character: char| {
        left = match left.checked_sub(if character < '\u{1100}' { 1 } else { 2 }) {
            Some(left) => left,
            None => return false,
        };
        true
    };
    let end = text.find(|character| !fits(character)).unwrap_or(text.len());
    &text[..end]
}

fn write(text: &str) {
    // A terminal that is gone is no reason to fail.
    let _ = io::stderr().write_all(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_cut_to_the_width_of_the_terminal() {
        for (text, columns, cut) in
            [("abc", 3, "abc"), ("abc", 2, "ab"), ("a漢字", 3, "a漢"), ("a漢字", 4, "a漢")]
        {
            assert_eq!(beginning(text, columns), cut);
        }
    }

    #[test]
    fn there_is_room_after_whole_lines_of_programs_that_do_not_move_about() {
        for (written, is_free) in [
            ("", true),
            ("one\n", true),
            ("\x1b[1;31mred\x1b[0m\r\n", true),
            ("Name: ", false),
            ("50 %\r", false),
            ("\x1b[2Jscreen\n", false),
            ("\x1b7\n", false),
        ] {
            let mut screen = Screen::default();
            for byte in written.as_bytes().chunks(1) {
                screen.written(byte);
            }
            assert_eq!(screen.is_free(), is_free, "{written:?}");
        }
    }
}
