//! What may be longer than a screen, shown on a terminal by a pager, as git does.

use std::env;
use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};
use std::process::{Command, Stdio};

use platform::process::{CommandState, follow};

use super::{Failure, print};

/// Prints an answer: on a terminal by `TRACERUN_PAGER`, `PAGER` or `less`.
pub(super) fn page(text: &[u8]) -> Result<(), Failure> {
    let shown = io::stdout().is_terminal() && shows(text, Stdio::inherit());
    if shown { Ok(()) } else { print(text) }
}

/// The same for standard error, which a report goes to; that nobody hears it is no failure.
pub(super) fn page_on_stderr(text: &[u8]) {
    let mut err = io::stderr();
    let is_seen = err.is_terminal() && io::stdin().is_terminal();
    if !(is_seen && shows(text, Stdio::from(io::stderr()))) {
        let _ = err.write_all(text).and_then(|()| err.flush());
    }
}

/// Has a pager show it; `false` if there is none.
fn shows(text: &[u8], to: Stdio) -> bool {
    let named = ["TRACERUN_PAGER", "PAGER"].into_iter().find_map(env::var_os);
    let pager = named.unwrap_or_else(|| "less".into());
    let is_dumb = env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
    if pager.is_empty() || pager == "cat" || is_dumb {
        return false;
    }
    let mut command = Command::new("sh");
    command.arg("-c").arg(pager).stdin(Stdio::piped()).stdout(to);
    // Leave at once what fits the screen, pass colours on, leave the screen as it is.
    let unless_set = |name: &str, value: &str| env::var_os(name).unwrap_or_else(|| OsString::from(value));
    command.env("LESS", unless_set("LESS", "FRX")).env("LV", unless_set("LV", "-c"));
    // An interrupt is the pager's: it stops what less is doing. Without us, less would be left with a shell on one terminal.
    follow(CommandState::Starts);
    let Ok(mut pager) = command.spawn() else {
        follow(CommandState::Ended);
        return false;
    };
    follow(CommandState::Runs(pager.id()));
    // One that is left before the end has shown enough.
    let _ = pager.stdin.take().map(|mut input| input.write_all(text));
    let ended = pager.wait();
    follow(CommandState::Ended);
    // What a shell says of a command that is not there.
    !matches!(ended, Ok(status) if status.code() == Some(127))
}
