//! A trace in the words of other programs: Perfetto, Graphviz, clangd, and those that read a bill of materials.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::{self, Write};

use platform::files;
use serde_json::{Value, json};
use shm_protocol::access::AccessKind;

use super::command_line;
use crate::bytes;
use crate::fingerprint::Digest;
use crate::trace::{Process, Trace};

/// The processes on a line of time, in the trace event format that Chrome and Perfetto read.
#[must_use]
pub fn perfetto(trace: &Trace) -> Value {
    let mut accesses = vec![0_usize; trace.processes.len() + 1];
    for access in &trace.accesses {
        accesses[access.process as usize] += 1;
    }
    let mut events: Vec<Value> = Vec::new();
    let mut named = BTreeSet::new();
    for process in &trace.processes {
        let line = command_line(process);
        if named.insert(process.pid) {
            events.push(json!({ "ph": "M", "name": "process_name", "pid": process.pid, "args": { "name": name(process) } }));
        }
        events.push(json!({
            "ph": "X", "name": name(process), "cat": "process", "pid": process.pid, "tid": process.pid,
            "ts": process.start_ns as f64 / 1000.0,
            "dur": process.end_ns.saturating_sub(process.start_ns) as f64 / 1000.0,
            "args": { "command": line, "id": process.id, "parent": process.parent, "accesses": accesses[process.id as usize] },
        }));
    }
    json!({ "traceEvents": events, "displayTimeUnit": "ms" })
}

fn name(process: &Process) -> String {
    let called = process.argv.first().filter(|name| !name.is_empty()).unwrap_or(&process.exe);
    String::from_utf8_lossy(bytes::name(called)).into_owned()
}

/// The processes and what they made and read under `root`, as a graph.
///
/// # Errors
/// As writing to `out`.
pub fn dot(trace: &Trace, root: &[u8], out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "digraph tracerun {{\n  rankdir=LR\n  node [fontname=\"sans-serif\", fontsize=10]")?;
    for process in &trace.processes {
        writeln!(out, "  p{} [shape=box, label=\"{}\"]", process.id, label(name(process).as_bytes()))?;
        if process.parent != 0 {
            writeln!(out, "  p{} -> p{} [style=dotted]", process.parent, process.id)?;
        }
    }
    let (mut files, mut edges) = (BTreeSet::new(), BTreeSet::new());
    for access in &trace.accesses {
        let path = trace.path(access.path);
        let reads = matches!(access.kind, AccessKind::Read | AccessKind::Exec);
        if bytes::is_within(path, root) && (reads || access.kind == AccessKind::Write) {
            files.insert(access.path);
            edges.insert((access.path, access.process, reads));
        }
    }
    for file in files {
        let path = trace.path(file);
        let below = path.strip_prefix(root).and_then(|below| below.strip_prefix(b"/")).unwrap_or(path);
        writeln!(out, "  f{file} [shape=note, label=\"{}\"]", label(below))?;
    }
    for (file, process, reads) in edges {
        if reads {
            writeln!(out, "  f{file} -> p{process}")?;
        } else {
            writeln!(out, "  p{process} -> f{file}")?;
        }
    }
    writeln!(out, "}}")
}

/// A text between double quotes of DOT, in which backslashes, quotes and HTML's entities mean something.
fn label(text: &[u8]) -> String {
    super::text::printable(text).replace('\\', "\\\\").replace('"', "\\\"").replace('&', "&amp;")
}

/// The calls of compilers of C and C++, as clangd and its like want to know them.
#[must_use]
pub fn compile_commands(trace: &Trace) -> Value {
    let mut commands: Vec<Value> = Vec::new();
    for process in &trace.processes {
        if !is_compiler(bytes::name(&process.exe))
            && !process.argv.first().is_some_and(|name| is_compiler(bytes::name(name)))
        {
            continue;
        }
        let arguments: Vec<String> =
            process.argv.iter().map(|argument| String::from_utf8_lossy(argument).into_owned()).collect();
        // One that only preprocesses, or is called by a driver, is no call that a person made.
        if arguments.iter().any(|argument| matches!(argument.as_str(), "-E" | "-M" | "-MM" | "-cc1")) {
            continue;
        }
        let named = arguments.iter().position(|argument| argument == "-o").map_or(usize::MAX, |at| at + 1);
        let sources =
            arguments.iter().enumerate().skip(1).filter(|(at, argument)| *at != named && is_source(argument));
        for (_, file) in sources {
            let mut command = json!({
                "directory": String::from_utf8_lossy(&process.cwd), "file": file, "arguments": arguments,
            });
            if let Some(output) = arguments.get(named) {
                command["output"] = output.as_str().into();
            }
            // A fork on its way to becoming another program has the command line of the one it is from.
            if !commands.contains(&command) {
                commands.push(command);
            }
        }
    }
    commands.into()
}

/// Whether a program of this name compiles: `cc`, `gcc-12`, `x86_64-linux-gnu-g++`, `clang++-19` …
fn is_compiler(name: &[u8]) -> bool {
    let Ok(name) = str::from_utf8(name) else { return false };
    let is_version = |end: &str| end.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let name = name.rsplit_once('-').filter(|(_, end)| is_version(end)).map_or(name, |(name, _)| name);
    let known = ["cc", "c++", "gcc", "g++", "clang", "clang++"];
    known.contains(&name)
        || known.iter().any(|known| name.strip_suffix(known).is_some_and(|before| before.ends_with('-')))
}

fn is_source(argument: &str) -> bool {
    let endings = ["c", "cc", "cpp", "cxx", "c++", "C", "m", "mm", "S", "s", "cu"];
    !argument.starts_with('-')
        && argument.rsplit_once('.').is_some_and(|(_, ending)| endings.contains(&ending))
}

/// The files that were read and not made, each with its digest if it can be read now, as a bill of materials.
#[must_use]
pub fn cyclonedx(trace: &Trace) -> Value {
    let of = |wanted: fn(AccessKind) -> bool| -> BTreeSet<&[u8]> {
        trace
            .accesses
            .iter()
            .filter(|access| wanted(access.kind))
            .map(|access| trace.path(access.path))
            .collect()
    };
    let made = of(|kind| kind == AccessKind::Write);
    let read = of(|kind| matches!(kind, AccessKind::Read | AccessKind::Exec));
    let components: Vec<Value> = read
        .difference(&made)
        .filter_map(|path| {
            let file = files::path_of(path);
            let found = files::identity(&file, true).ok()?;
            if found.file_type != files::FileType::File
                || bytes::is_within(path, b"/proc")
                || bytes::is_within(path, b"/sys")
            {
                return None;
            }
            let mut component = json!({ "type": "file", "name": String::from_utf8_lossy(path) });
            if let Ok(digest) = std::fs::File::open(&file).and_then(Digest::of_reader) {
                component["hashes"] = json!([{ "alg": "BLAKE3", "content": digest.to_string() }]);
            }
            Some(component)
        })
        .collect();
    let mut command = String::new();
    if let Some(first) = trace.processes.first() {
        let _ = write!(command, "{}", command_line(first));
    }
    json!({
        "bomFormat": "CycloneDX", "specVersion": "1.5", "version": 1,
        "metadata": { "component": { "type": "application", "name": command } },
        "components": components,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compilers_are_known_by_name() {
        for name in ["cc", "gcc-12", "x86_64-linux-gnu-g++", "clang++-19", "c++"] {
            assert!(is_compiler(name.as_bytes()), "{name}");
        }
        for name in ["cc1", "ccache", "rustc", "c", "as", "clang-format"] {
            assert!(!is_compiler(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn a_name_can_not_end_a_label() {
        assert_eq!(label(b"a\"] b\\ &lt;"), "a\\\"] b\\\\\\\\ &amp;lt;");
    }
}
