//! A trace at a glance: figures, what was expensive, what lies outside the root, what would keep it from being cached.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::time::Duration;

use shm_protocol::access::AccessKind;
use shm_protocol::record::Exit;

use super::text::{Columns, clipped, headline, label_width};
use super::{command_line, is_program, milliseconds};
use crate::bytes;
use crate::explain;
use crate::trace::{Process, ProcessExit, Trace};

/// How many lines each part has at most, so that all of it fits a screen of 24 lines.
const MOST: usize = 5;

/// Writes the summary of a run of the project at `root`, for a terminal of so many columns.
///
/// # Errors
/// As writing to `out`.
pub fn write(trace: &Trace, root: &[u8], columns: Columns, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "{}", headline(trace))?;
    let mut longest: Vec<&Process> =
        trace.processes.iter().filter(|process| is_program(trace, process)).collect();
    longest.sort_by_key(|process| (std::cmp::Reverse(lasted(process)), process.id));
    if longest.len() > 1 {
        writeln!(out, "longest processes")?;
        for process in longest.iter().take(MOST) {
            let line = clipped(&command_line(process), 12 + label_width(process.id), columns);
            writeln!(out, "  {:>8}  [{}] {line}", milliseconds(lasted(process)), process.id)?;
        }
    }
    let outside = outside(trace, root);
    if !outside.is_empty() {
        writeln!(out, "inputs outside {}", super::text::printable(root))?;
        let mut most: Vec<(&Vec<u8>, &usize)> = outside.iter().collect();
        most.sort_by_key(|(folder, count)| (std::cmp::Reverse(**count), folder.to_vec()));
        for (folder, count) in most.iter().take(MOST) {
            writeln!(out, "  {count:>8}  {}", super::text::printable(folder))?;
        }
        if let Some(more) = most.len().checked_sub(MOST).filter(|more| *more > 0) {
            writeln!(out, "            and {more} more")?;
        }
    }
    let against = against(trace);
    if !against.is_empty() {
        writeln!(out, "would not be cached")?;
        for reason in against.iter().take(MOST) {
            writeln!(out, "  {reason}")?;
        }
    }
    for program in trace.io_uring_refused() {
        writeln!(out, "{}", explain::io_uring_refused(&program))?;
    }
    Ok(())
}

/// How long it was there, what it waited for included.
fn lasted(process: &Process) -> Duration {
    Duration::from_nanos(process.end_ns.saturating_sub(process.start_ns))
}

/// The files outside the root that were read and not made, by the first two folders of their paths.
fn outside(trace: &Trace, root: &[u8]) -> BTreeMap<Vec<u8>, usize> {
    let reads = |kind| matches!(kind, AccessKind::Read | AccessKind::Exec);
    let of = |wanted: &dyn Fn(AccessKind) -> bool| -> BTreeSet<u32> {
        trace.accesses.iter().filter(|access| wanted(access.kind)).map(|access| access.path).collect()
    };
    let paths = &of(&reads) - &of(&|kind| !kind.observes());
    let mut folders = BTreeMap::new();
    for path in paths.into_iter().map(|path| trace.path(path)) {
        if bytes::is_within(path, root)
            || [&b"/proc"[..], b"/sys", b"/dev"].iter().any(|own| bytes::is_within(path, own))
        {
            continue;
        }
        let above = bytes::parent(path).unwrap_or(b"/");
        let end = above.iter().enumerate().filter(|(_, byte)| **byte == b'/').nth(2).map(|(end, _)| end);
        *folders.entry(above[..end.unwrap_or(above.len())].to_vec()).or_default() += 1;
    }
    folders
}

/// What would keep the run from being cached, as far as its trace tells.
fn against(trace: &Trace) -> Vec<String> {
    let mut reasons = explain::gaps(trace);
    let first = trace.processes.first().map(|first| first.pid);
    let ended = trace.processes.iter().rev().find(|process| Some(process.pid) == first);
    match ended.and_then(|process| process.exit) {
        Some(ProcessExit::Exit(Exit::Code(code))) if code != 0 => {
            reasons.push(format!("it exited with {code}"));
        }
        Some(ProcessExit::Exit(Exit::Signal(signal))) => reasons.push(format!("signal {signal} killed it")),
        _ => {}
    }
    let who = |process| {
        trace.process(process).map(|process| clipped(&command_line(process), 0, None)).unwrap_or_default()
    };
    reasons.extend(
        trace
            .network
            .iter()
            .take(MOST)
            .map(|(process, address)| format!("the network: {address}, by [{process}] {}", who(*process))),
    );
    reasons
}
