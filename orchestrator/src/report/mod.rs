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

/// The command line of a process as people read it: see [`arguments_line`].
#[must_use]
pub fn command_line(process: &Process) -> String {
    arguments_line(&process.argv)
}

/// Arguments joined by spaces, quoted as a shell wants them, in one line: what a terminal would obey, and what is not UTF-8, is
/// written as in `$'\n\377'`.
#[must_use]
pub fn arguments_line(arguments: &[impl AsRef<[u8]>]) -> String {
    arguments.iter().map(|argument| quoted(argument.as_ref())).collect::<Vec<_>>().join(" ")
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

fn quoted(argument: &[u8]) -> String {
    let plain =
        |byte: u8| byte.is_ascii_alphanumeric() || b"-_./=:,+@%^~".contains(&byte) || !byte.is_ascii();
    match str::from_utf8(argument) {
        Ok(text) if text.chars().any(char::is_control) => escaped(argument),
        Ok(text) if !text.is_empty() && text.bytes().all(plain) => text.to_owned(),
        Ok(text) => format!("'{}'", text.replace('\'', r"'\''")),
        Err(_) => escaped(argument),
    }
}

/// An argument as bash and zsh take it from between `$'` and `'`.
fn escaped(argument: &[u8]) -> String {
    let mut text = "$'".to_owned();
    for chunk in argument.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                '\n' => text += r"\n",
                '\t' => text += r"\t",
                '\r' => text += r"\r",
                '\x1b' => text += r"\e",
                '\'' | '\\' => text.extend(['\\', character]),
                other if other.is_control() => {
                    other.encode_utf8(&mut [0; 4]).bytes().for_each(|byte| text += &format!("\\{byte:03o}"));
                }
                other => text.push(other),
            }
        }
        chunk.invalid().iter().for_each(|byte| text += &format!("\\{byte:03o}"));
    }
    text + "'"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_quoted_only_where_a_shell_needs_it() {
        assert_eq!(quoted(b"-I/usr/include"), "-I/usr/include");
        assert_eq!(quoted(b"a b"), "'a b'");
        assert_eq!(quoted(b"it's"), r"'it'\''s'");
        assert_eq!(quoted(b""), "''");
    }

    #[test]
    fn what_a_terminal_would_obey_is_escaped_as_a_shell_takes_it() {
        assert_eq!(quoted(b"one\n\ttwo's\\"), r"$'one\n\ttwo\'s\\'");
        assert_eq!(quoted("\x1b[31m\u{9b}\u{e9}".as_bytes()), "$'\\e[31m\\302\\233\u{e9}'");
        assert_eq!(quoted(b"a\xff\0\x7f"), r"$'a\377\000\177'");
    }
}
