//! The HTML report: one file that needs nothing else, with the trace as data and a script that shows it.
//!
//! The data is JSON in a `script` element, which ends at the first `</script`: no `<` is written as such. The script puts names
//! on the page as text only.

use std::borrow::Cow;
use std::io::{self, Write};

use serde::Serialize;
use shm_protocol::access::AccessKind;
use shm_protocol::record::Exit;

use super::command_line;
use crate::explain;
use crate::trace::{Process, ProcessExit, Trace};

const PAGE: &str = include_str!("html/page.html");
const STYLE: &str = include_str!("html/style.css");
const SCRIPT: &str = include_str!("html/script.js");

/// As much of a command line as is shown, in bytes: some hold a whole script.
const LONGEST: usize = 4096;

/// What the script reads; short, because there may be a million accesses.
#[derive(Serialize)]
struct Data<'t> {
    title: String,
    complete: bool,
    why: &'t [String],
    gaps: Vec<String>,
    processes: Vec<Row>,
    /// Each path as how many UTF-16 units it shares with the one before it, and the rest.
    paths: Vec<Part<'t>>,
    /// Four numbers for each access: process, path, seven times the count and the kind, microseconds since the one before.
    accesses: Vec<u64>,
}

/// Index of the parent or -1, pid, start and end in microseconds, exit, command line.
type Row = (i64, u32, u64, u64, Option<End>, String);

#[derive(Serialize)]
#[serde(untagged)]
enum End {
    Code(u32),
    Other(String),
}

#[derive(Serialize)]
#[serde(untagged)]
enum Part<'t> {
    Shared(usize),
    Rest(Cow<'t, str>),
}

/// Writes the report; `why` it ran, in sentences.
///
/// # Errors
/// As writing to `out`.
pub fn write(trace: &Trace, why: &[String], out: &mut impl Write) -> io::Result<()> {
    let (paths, places) = paths(trace);
    let first = trace.processes.first();
    let data = Data {
        title: first.map(|process| shortened(command_line(process))).unwrap_or_default(),
        complete: trace.is_complete(),
        why,
        gaps: explain::gaps(trace),
        processes: trace.processes.iter().map(row).collect(),
        paths,
        accesses: accesses(trace, &places),
    };
    let data = serde_json::to_string(&data)?.replace('<', "\\u003c");
    let mut rest = PAGE;
    for (mark, content) in [("@STYLE@", STYLE), ("@DATA@", &data), ("@SCRIPT@", SCRIPT)] {
        let (before, after) = rest.split_once(mark).unwrap_or((rest, ""));
        out.write_all(before.as_bytes())?;
        out.write_all(content.as_bytes())?;
        rest = after;
    }
    out.write_all(rest.as_bytes())?;
    out.flush()
}

fn row(process: &Process) -> Row {
    let exit = process.exit.map(|exit| match exit {
        ProcessExit::Exit(Exit::Code(code)) => End::Code(code),
        ProcessExit::Exit(Exit::Signal(signal)) => End::Other(format!("signal {signal}")),
        ProcessExit::Exec(_) => End::Other("exec".to_owned()),
    });
    let (start, end) = (process.start_ns / 1000, process.end_ns / 1000);
    (i64::from(process.parent) - 1, process.pid, start, end, exit, shortened(command_line(process)))
}

fn shortened(mut text: String) -> String {
    if text.len() > LONGEST {
        text.truncate(text.floor_char_boundary(LONGEST));
        text.push('…');
    }
    text
}

/// The paths that something touched, in the order in which the script compares them, and the place of each there.
fn paths(trace: &Trace) -> (Vec<Part<'_>>, Vec<usize>) {
    let mut touched = vec![false; trace.paths.len()];
    for access in &trace.accesses {
        touched[access.path as usize] = true;
    }
    let text = |index: usize| String::from_utf8_lossy(trace.paths.get(index as u32));
    let mut sorted: Vec<(Cow<'_, str>, usize)> =
        (0..touched.len()).filter(|&index| touched[index]).map(|index| (text(index), index)).collect();
    sorted.sort_by(|(one, _), (other, _)| match (one.is_ascii(), other.is_ascii()) {
        (true, true) => one.cmp(other),
        _ => one.encode_utf16().cmp(other.encode_utf16()),
    });
    let mut places = vec![0; touched.len()];
    let (mut parts, mut before) = (Vec::with_capacity(2 * sorted.len()), String::new());
    for (place, (path, index)) in sorted.into_iter().enumerate() {
        places[index] = place;
        let shared = before.chars().zip(path.chars()).take_while(|(one, other)| one == other);
        let (units, bytes) =
            shared.fold((0, 0), |(units, bytes), (one, _)| (units + one.len_utf16(), bytes + one.len_utf8()));
        parts.push(Part::Shared(units));
        parts.push(Part::Rest(path[bytes..].to_owned().into()));
        before.clear();
        before.push_str(&path);
    }
    (parts, places)
}

fn accesses(trace: &Trace, places: &[usize]) -> Vec<u64> {
    const KINDS: [AccessKind; 7] = [
        AccessKind::Read,
        AccessKind::Exec,
        AccessKind::Stat,
        AccessKind::Missing,
        AccessKind::List,
        AccessKind::Write,
        AccessKind::Delete,
    ];
    let (mut numbers, mut before) = (Vec::with_capacity(4 * trace.accesses.len()), 0);
    for access in &trace.accesses {
        let kind = KINDS.iter().position(|&kind| kind == access.kind).unwrap_or_default() as u64;
        // In order of their time; one that is not would be told as of the same.
        let now = (access.first_ns / 1000).max(before);
        numbers.extend([
            u64::from(access.process.saturating_sub(1)),
            places[access.path as usize] as u64,
            7 * u64::from(access.count.max(1)) + kind,
            now - before,
        ]);
        before = now;
    }
    numbers
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::ndjson::tests::example;

    fn page(trace: &Trace, why: &[String]) -> String {
        let mut out = Vec::new();
        write(trace, why, &mut out).expect("written");
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn no_name_ends_the_data_or_leaves_the_file() {
        let mut trace = example();
        trace.processes[0].argv = vec![b"</script><script>alert(1)</script>".to_vec()];
        let page = page(&trace, &["<b>why</b>".to_owned()]);
        assert_eq!(page.matches("</script").count(), 2);
        assert!(!page.contains("<b>") && page.contains("\\u003cb>why"), "{page}");
        assert!(!page.contains("http://") && !page.contains("https://"));
    }

    #[test]
    fn paths_share_what_they_begin_with_and_are_in_the_order_of_the_script() {
        let names = ["/p/b", "/p/a", "/p/\u{ffff}", "/p/\u{10000}x", "/p/\u{10000}y"];
        let trace = Trace {
            paths: names.iter().map(|name| name.as_bytes()).collect(),
            accesses: (0..5).map(|path| crate::trace::PathAccess { path, ..example().accesses[0] }).collect(),
            ..Trace::default()
        };
        let (parts, places) = paths(&trace);
        // What takes two units of UTF-16 begins with one that is less than U+FFFF.
        assert_eq!(places, [1, 0, 4, 2, 3]);
        let parts = serde_json::to_value(&parts).expect("JSON");
        assert_eq!(parts, serde_json::json!([0, "/p/a", 3, "b", 3, "\u{10000}x", 5, "y", 3, "\u{ffff}"]));
    }
}
