//! A trace for people as lists: what was touched, in which way, by whom.

use std::io::{self, Write};

use shm_protocol::access::AccessKind;

pub use crate::bytes::printable;

use super::command_line;
use crate::explain;
use crate::trace::{ProcessId, Trace};

/// Writes each path with the ways it was touched in and the processes that did, under the processes' numbers and
/// command lines.
///
/// # Errors
/// As writing to `out`.
pub fn write(trace: &Trace, out: &mut impl Write) -> io::Result<()> {
    for process in &trace.processes {
        writeln!(out, "[{}] {}", process.id, command_line(process))?;
    }
    writeln!(out)?;
    let mut touched: Vec<(AccessKind, &[u8], ProcessId)> =
        trace.accesses.iter().map(|access| (access.kind, trace.path(access.path), access.process)).collect();
    // Stable, since that is quick where they come nearly in order.
    touched.sort();
    for same in touched.chunk_by(|one, next| (one.0, one.1) == (next.0, next.1)) {
        let (kind, path, first) = same[0];
        write!(out, "{:<8}{} [{first}", kind.name(), printable(path))?;
        for (_, _, process) in &same[1..] {
            write!(out, ",{process}")?;
        }
        writeln!(out, "]")?;
    }
    for (process, address) in &trace.network {
        writeln!(out, "{:<8}{address} [{process}]", "network")?;
    }
    writeln!(out, "\n{}", headline(trace))?;
    for reason in explain::gaps(trace) {
        writeln!(out, "incomplete: {reason}")?;
    }
    for program in trace.io_uring_refused() {
        writeln!(out, "{}", explain::io_uring_refused(&program))?;
    }
    Ok(())
}

/// One line of figures.
#[must_use]
pub fn headline(trace: &Trace) -> String {
    // One bit for each kind in which a path was touched.
    let mut kinds_of = vec![0_u8; trace.paths.len()];
    for access in &trace.accesses {
        kinds_of[access.path as usize] |= 1 << access.kind as u8;
    }
    let kinds: Vec<String> = AccessKind::ALL
        .into_iter()
        .map(|kind| (kind, kinds_of.iter().filter(|kinds| *kinds & 1 << kind as u8 != 0).count()))
        .filter(|(_, count)| *count > 0)
        .map(|(kind, count)| format!("{count} {}", kind.name()))
        .collect();
    let processes = trace.processes.len();
    let plural = if processes == 1 { "process" } else { "processes" };
    let complete = if trace.is_complete() { "complete" } else { "incomplete" };
    let paths = if kinds.is_empty() { "no paths".to_owned() } else { format!("paths: {}", kinds.join(", ")) };
    format!("{processes} {plural}; {paths}; {complete}")
}

/// How wide the terminal is that a text is for; `None` where it is for none, so that it is the same everywhere.
pub type Columns = Option<u16>;

/// How many characters of a command line are shown in a list that is for no terminal.
const LONGEST: usize = 100;
/// How many are shown in any case.
const SHORTEST: usize = 20;

/// A command line, which may be long, shortened to what is left of a line in which so much else stands.
#[must_use]
pub fn clipped(line: &str, beside: usize, columns: Columns) -> String {
    let longest =
        columns.map_or(LONGEST, |columns| usize::from(columns).saturating_sub(beside).max(SHORTEST));
    if line.chars().nth(longest).is_none() {
        return line.to_owned();
    }
    // Where there is a width, the sign that something is missing is within it.
    let kept = if columns.is_some() { longest - 1 } else { longest };
    let end = line.char_indices().nth(kept).map_or(line.len(), |(end, _)| end);
    format!("{}…", &line[..end])
}

/// How many characters the number of a process takes in a list: `[12] `.
#[must_use]
pub fn label_width(id: ProcessId) -> usize {
    id.checked_ilog10().unwrap_or_default() as usize + "[1] ".len()
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
