//! A trace written for people and for programs: the formats of `trace` and `show`.

pub mod check;
pub mod depfile;
pub mod exports;
pub mod filter;
pub mod html;
pub mod ndjson;
pub mod summary;
pub mod text;
pub mod tree;

use std::time::Duration;

use serde_json::{Value, json};

use crate::trace::{Process, ProcessExit, Trace};

/// A whole trace as one JSON object: `processes`, `accesses` and `summary`, with the objects of the NDJSON trace.
#[must_use]
pub fn json(trace: &Trace) -> Value {
    json!({
        "processes": trace.processes.iter().map(ndjson::process).collect::<Vec<_>>(),
        "accesses": trace.accesses.iter().map(|access| ndjson::access(trace, access)).collect::<Vec<_>>(),
        "summary": ndjson::summary(trace),
    })
}

/// The command line of a process as people read it: arguments joined by spaces, quoted as a shell wants them, with
/// what is not UTF-8 shown as U+FFFD.
#[must_use]
pub fn command_line(process: &Process) -> String {
    process
        .argv
        .iter()
        .map(|argument| quoted(&String::from_utf8_lossy(argument)))
        .collect::<Vec<_>>()
        .join(" ")
}

/// Whether it is a program of its own, and not a fork of one on its way to becoming another.
fn is_program(trace: &Trace, process: &Process) -> bool {
    let forked = trace.process(process.parent).is_some_and(|parent| parent.pid != process.pid);
    !(forked && matches!(process.exit, Some(ProcessExit::Exec(_))))
}

/// A time as people read it in a list: `120 ms`, `1.2 s`.
fn milliseconds(time: Duration) -> String {
    match time.as_millis() {
        short @ 0..1000 => format!("{short} ms"),
        _ => format!("{:.1} s", time.as_secs_f64()),
    }
}

fn quoted(argument: &str) -> String {
    let plain =
        |byte: u8| byte.is_ascii_alphanumeric() || b"-_./=:,+@%^~".contains(&byte) || !byte.is_ascii();
    if !argument.is_empty() && argument.bytes().all(plain) {
        return argument.to_owned();
    }
    format!("'{}'", argument.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_quoted_only_where_a_shell_needs_it() {
        assert_eq!(quoted("-I/usr/include"), "-I/usr/include");
        assert_eq!(quoted("a b"), "'a b'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
        assert_eq!(quoted(""), "''");
    }
}
