//! A trace for people: what was touched, in which way, by whom.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, Write};

use shm_protocol::access::AccessKind;

use super::command_line;
use crate::explain;
use crate::trace::{PathId, ProcessId, Trace};

/// Writes each path with the ways it was touched in and the processes that did, under the processes' numbers and
/// command lines.
///
/// # Errors
/// As writing to `out`.
pub fn write(trace: &Trace, out: &mut impl Write) -> io::Result<()> {
    let mut text = String::new();
    for process in &trace.processes {
        let _ = writeln!(text, "[{}] {}", process.id, command_line(process));
    }
    text.push('\n');
    let mut touched: BTreeMap<(&[u8], AccessKind), Vec<ProcessId>> = BTreeMap::new();
    for access in &trace.accesses {
        touched.entry((trace.path(access.path), access.kind)).or_default().push(access.process);
    }
    for ((path, kind), processes) in &touched {
        let numbers: Vec<String> = processes.iter().map(ToString::to_string).collect();
        let _ = writeln!(text, "{:<8}{} [{}]", kind.name(), printable(path), numbers.join(","));
    }
    text.push('\n');
    let _ = writeln!(text, "{}", headline(trace));
    for reason in explain::gaps(trace) {
        let _ = writeln!(text, "incomplete: {reason}");
    }
    out.write_all(text.as_bytes())
}

/// One line of figures.
#[must_use]
pub fn headline(trace: &Trace) -> String {
    let count = |kind| {
        let paths: std::collections::HashSet<PathId> =
            trace.accesses.iter().filter(|access| access.kind == kind).map(|access| access.path).collect();
        paths.len()
    };
    let kinds: Vec<String> = AccessKind::ALL
        .into_iter()
        .map(|kind| (kind, count(kind)))
        .filter(|(_, count)| *count > 0)
        .map(|(kind, count)| format!("{count} {}", kind.name()))
        .collect();
    let processes = trace.processes.len();
    let plural = if processes == 1 { "process" } else { "processes" };
    let complete = if trace.is_complete() { "complete" } else { "incomplete" };
    format!("{processes} {plural}; paths: {}; {complete}", kinds.join(", "))
}

/// A path on one line of a terminal: control characters and what is not UTF-8 are escaped.
#[must_use]
pub fn printable(path: &[u8]) -> String {
    let mut text = String::new();
    for chunk in path.utf8_chunks() {
        for character in chunk.valid().chars() {
            if character.is_control() || character == '\\' {
                text.extend(character.escape_default());
            } else {
                text.push(character);
            }
        }
        for byte in chunk.invalid() {
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::ndjson::tests::example;

    #[test]
    fn the_report_names_processes_and_paths() {
        let mut out = Vec::new();
        write(&example(), &mut out).expect("written");
        let expected = "[1] cc -c a.c\n\nread    /p/a.c [1]\nmissing /p/\\xff [1]\n\n1 process; paths: 1 read, 1 missing; complete\n";
        assert_eq!(String::from_utf8(out).expect("text"), expected);
    }

    #[test]
    fn a_path_cannot_forge_a_line() {
        assert_eq!(printable(b"a\nread /b\x1b[31m"), "a\\nread /b\\u{1b}[31m");
    }
}
