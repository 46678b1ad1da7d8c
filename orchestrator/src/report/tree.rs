//! A trace as a tree: by process, with the files of each; by folder; or as lists, by kind.

use std::collections::BTreeMap;
use std::io::{self, Write};

use shm_protocol::access::AccessKind;

use super::text::{Columns, clipped, label_width, printable};
use super::{command_line, is_program, milliseconds};
use crate::bytes;
use crate::trace::{Process, ProcessId, Trace};

/// Writes each process under its parent, each with what it touched: those that touched something, and those above them.
///
/// # Errors
/// As writing to `out`.
pub fn by_process(trace: &Trace, columns: Columns, out: &mut impl Write) -> io::Result<()> {
    let mut children: BTreeMap<ProcessId, Vec<&Process>> = BTreeMap::new();
    for process in &trace.processes {
        children.entry(process.parent).or_default().push(process);
    }
    let mut touched: BTreeMap<ProcessId, Vec<(AccessKind, &[u8])>> = BTreeMap::new();
    for access in &trace.accesses {
        touched.entry(access.process).or_default().push((access.kind, trace.path(access.path)));
    }
    let mut shown = vec![false; trace.processes.len() + 1];
    for id in touched.keys() {
        let mut here = Some(*id);
        while let Some(id) = here.filter(|id| !std::mem::replace(&mut shown[*id as usize], true)) {
            here = trace.process(id).map(|process| process.parent).filter(|parent| *parent != 0);
        }
    }
    // Not by recursion: a chain of processes may be of any length.
    let roots = children.get(&0).into_iter().flatten();
    let mut open: Vec<(usize, &Process)> = roots.rev().map(|process| (0, *process)).collect();
    while let Some((depth, process)) = open.pop() {
        if !shown[process.id as usize] {
            continue;
        }
        // A fork that becomes another program is that program.
        let is_line = is_program(trace, process) || touched.contains_key(&process.id);
        let below = depth + usize::from(is_line);
        open.extend(children.get(&process.id).into_iter().flatten().rev().map(|child| (below, *child)));
        if !is_line {
            continue;
        }
        let indent = "  ".repeat(depth.min(20));
        let time =
            milliseconds(std::time::Duration::from_nanos(process.end_ns.saturating_sub(process.start_ns)));
        let beside = indent.len() + label_width(process.id) + time.len() + "  ()".len();
        let line = clipped(&command_line(process), beside, columns);
        writeln!(out, "{indent}[{}] {line}  ({time})", process.id)?;
        let mut own = touched.remove(&process.id).unwrap_or_default();
        own.sort_unstable();
        for (kind, path) in own {
            writeln!(out, "{indent}    {:<8}{}", kind.name(), printable(path))?;
        }
    }
    Ok(())
}

/// Writes each folder with what was touched in it; folders with nothing but one folder are one line with that.
///
/// # Errors
/// As writing to `out`.
pub fn by_folder(trace: &Trace, out: &mut impl Write) -> io::Result<()> {
    let mut top = Folder::default();
    for access in &trace.accesses {
        let mut here = &mut top;
        for name in trace.path(access.path).split(|&byte| byte == b'/').filter(|name| !name.is_empty()) {
            here = here.below.entry(name).or_default();
        }
        here.kinds |= 1 << access.kind as u8;
    }
    let mut open: Vec<(usize, Vec<u8>, &Folder<'_>)> = vec![(0, b"/".to_vec(), &top)];
    while let Some((depth, mut name, mut folder)) = open.pop() {
        while folder.kinds == 0
            && folder.below.len() == 1
            && let Some((only, below)) = folder.below.iter().next()
        {
            (name, folder) = (bytes::join(&name, only), below);
        }
        let kinds: Vec<&str> = AccessKind::ALL
            .into_iter()
            .filter(|kind| folder.kinds & 1 << *kind as u8 != 0)
            .map(AccessKind::name)
            .collect();
        let slash = if folder.below.is_empty() || name == b"/" { "" } else { "/" };
        let line = format!("{}{}{slash}  {}", "  ".repeat(depth), printable(&name), kinds.join(", "));
        writeln!(out, "{}", line.trim_end())?;
        open.extend(folder.below.iter().rev().map(|(name, folder)| (depth + 1, name.to_vec(), folder)));
    }
    Ok(())
}

#[derive(Default)]
struct Folder<'t> {
    /// One bit for each kind in which it was touched itself.
    kinds: u8,
    below: BTreeMap<&'t [u8], Folder<'t>>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::ndjson::tests::example;

    #[test]
    fn folders_with_one_folder_in_them_are_one_line() {
        let mut out = Vec::new();
        by_folder(&example(), &mut out).expect("written");
        assert_eq!(String::from_utf8(out).expect("text"), "/p/\n  a.c  read\n  \\xff  missing\n");
    }

    #[test]
    fn each_process_has_its_files() {
        let mut out = Vec::new();
        by_process(&example(), None, &mut out).expect("written");
        let expected = "[1] cc -c a.c  (81 ms)\n    read    /p/a.c\n    missing /p/\\xff\n";
        assert_eq!(String::from_utf8(out).expect("text"), expected);
    }
}
