//! The NDJSON trace, section 4 of the contract: one object a line; fields may be added, never renamed.

use std::borrow::Cow;
use std::io::{self, Write};

use serde::Serialize;
use shm_protocol::record::Exit;

use crate::explain;
use crate::trace::{LiveEvent, PathAccess, Process, ProcessCapture, ProcessExit, Trace};

/// One line.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub(super) enum Line<'t> {
    /// A process.
    Process {
        id: u32,
        parent: u32,
        pid: u32,
        argv: Vec<Cow<'t, str>>,
        exe: Cow<'t, str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        exe_base64: Option<String>,
        cwd: Cow<'t, str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        cwd_base64: Option<String>,
        start_ns: u64,
        end_ns: u64,
        exit: Option<Ended>,
        capture: &'static str,
    },
    /// An access.
    Access {
        process: u32,
        path: Cow<'t, str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        path_base64: Option<String>,
        kind: &'static str,
        count: u32,
        first_ns: u64,
    },
    /// The last line.
    Summary {
        complete: bool,
        reasons: Vec<String>,
        processes: usize,
        accesses: usize,
        dropped: u64,
        /// Addresses that were reached for.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        network: Vec<Reached<'t>>,
    },
}

/// An address of the network, with a process that reached for it.
#[derive(Debug, Serialize)]
pub(super) struct Reached<'t> {
    process: u32,
    address: &'t str,
}

/// How a process ended.
#[derive(Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Ended {
    Code(u32),
    Signal(u8),
    Exec(u32),
}

/// One line of what is told while the command runs.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
enum LiveLine<'e> {
    /// A process has begun; told again when more is known of it.
    Process {
        id: u32,
        parent: u32,
        pid: u32,
        argv: Vec<Cow<'e, str>>,
        exe: Cow<'e, str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        exe_base64: Option<String>,
        cwd: Cow<'e, str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        cwd_base64: Option<String>,
        start_ns: u64,
    },
    /// The first access of a process to a path in one way.
    Access {
        process: u32,
        path: Cow<'e, str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        path_base64: Option<String>,
        kind: &'static str,
        count: u32,
        first_ns: u64,
    },
    /// A process has ended.
    Exit { process: u32, exit: Ended, end_ns: u64 },
    /// What was told of a process was what another did, which goes on.
    ExecFailed { process: u32, goes_on: u32 },
}

/// Writes one thing that a run does as a line, while it runs.
///
/// # Errors
/// As writing to `out`.
pub fn write_live(event: &LiveEvent, out: &mut impl Write) -> io::Result<()> {
    serde_json::to_writer(&mut *out, &live(event))?;
    out.write_all(b"\n")
}

fn live(event: &LiveEvent) -> LiveLine<'_> {
    match event {
        LiveEvent::Began(process) => {
            let (exe, exe_base64) = text(&process.exe);
            let (cwd, cwd_base64) = text(&process.cwd);
            LiveLine::Process {
                id: process.id,
                parent: process.parent,
                pid: process.pid,
                argv: process.argv.iter().map(|argument| String::from_utf8_lossy(argument)).collect(),
                exe,
                exe_base64,
                cwd,
                cwd_base64,
                start_ns: process.start_ns,
            }
        }
        LiveEvent::Accessed { process, path, kind, first_ns } => {
            let (path, path_base64) = text(path);
            let (process, kind, first_ns) = (*process, kind.name(), *first_ns);
            LiveLine::Access { process, path, path_base64, kind, count: 1, first_ns }
        }
        LiveEvent::Ended { process, exit, end_ns } => {
            LiveLine::Exit { process: *process, exit: ended(*exit), end_ns: *end_ns }
        }
        LiveEvent::ExecFailed { process, goes_on } => {
            LiveLine::ExecFailed { process: *process, goes_on: *goes_on }
        }
    }
}

/// Writes the last line of a trace.
///
/// # Errors
/// As writing to `out`.
pub fn write_summary(trace: &Trace, out: &mut impl Write) -> io::Result<()> {
    serde_json::to_writer(&mut *out, &summary(trace))?;
    out.write_all(b"\n")?;
    out.flush()
}

fn ended(exit: ProcessExit) -> Ended {
    match exit {
        ProcessExit::Exit(Exit::Code(code)) => Ended::Code(code),
        ProcessExit::Exit(Exit::Signal(signal)) => Ended::Signal(signal),
        ProcessExit::Exec(id) => Ended::Exec(id),
    }
}

/// Writes the whole trace.
///
/// # Errors
/// As writing to `out`.
pub fn write(trace: &Trace, out: &mut impl Write) -> io::Result<()> {
    for line in lines(trace) {
        serde_json::to_writer(&mut *out, &line)?;
        out.write_all(b"\n")?;
    }
    out.flush()
}

fn lines(trace: &Trace) -> impl Iterator<Item = Line<'_>> {
    let processes = trace.processes.iter().map(process);
    processes.chain(trace.accesses.iter().map(|entry| access(trace, entry))).chain([summary(trace)])
}

pub(super) fn process(process: &Process) -> Line<'_> {
    let (exe, exe_base64) = text(&process.exe);
    let (cwd, cwd_base64) = text(&process.cwd);
    Line::Process {
        id: process.id,
        parent: process.parent,
        pid: process.pid,
        argv: process.argv.iter().map(|argument| String::from_utf8_lossy(argument)).collect(),
        exe,
        exe_base64,
        cwd,
        cwd_base64,
        start_ns: process.start_ns,
        end_ns: process.end_ns,
        exit: process.exit.map(ended),
        capture: match process.capture {
            ProcessCapture::Preload => "preload",
            ProcessCapture::Seccomp => "seccomp",
            ProcessCapture::Ptrace => "ptrace",
            ProcessCapture::Detours => "detours",
            ProcessCapture::None => "none",
        },
    }
}

pub(super) fn access<'t>(trace: &'t Trace, access: &PathAccess) -> Line<'t> {
    let (path, path_base64) = text(trace.path(access.path));
    Line::Access {
        process: access.process,
        path,
        path_base64,
        kind: access.kind.name(),
        count: access.count,
        first_ns: access.first_ns,
    }
}

pub(super) fn summary(trace: &Trace) -> Line<'_> {
    Line::Summary {
        complete: trace.is_complete(),
        reasons: explain::gaps(trace),
        processes: trace.processes.len(),
        accesses: trace.accesses.len(),
        dropped: trace.dropped,
        network: trace
            .network
            .iter()
            .map(|(process, address)| Reached { process: *process, address })
            .collect(),
    }
}

/// A name as text, lossily, and, if that loses something, exactly in base64.
fn text(bytes: &[u8]) -> (Cow<'_, str>, Option<String>) {
    match str::from_utf8(bytes) {
        Ok(text) => (Cow::Borrowed(text), None),
        Err(_) => (String::from_utf8_lossy(bytes), Some(base64(bytes))),
    }
}

/// Base64 with padding, RFC 4648 section 4.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let mut word = [0; 3];
        word[..group.len()].copy_from_slice(group);
        let word = u32::from_be_bytes([0, word[0], word[1], word[2]]);
        for place in 0..4 {
            let digit = ALPHABET[(word >> (18 - 6 * place) & 63) as usize];
            text.push(if place <= group.len() { digit as char } else { '=' });
        }
    }
    text
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use serde_json::{Value, json};
    use shm_protocol::access::AccessKind;

    pub(in crate::report) fn example() -> Trace {
        let process = Process {
            id: 1,
            parent: 0,
            pid: 4711,
            argv: vec![b"cc".to_vec(), b"-c".to_vec(), b"a.c".to_vec()],
            exe: b"/usr/bin/cc".to_vec(),
            cwd: b"/p".to_vec(),
            start_ns: 0,
            end_ns: 81_000_000,
            exit: Some(ProcessExit::Exit(Exit::Code(0))),
            capture: ProcessCapture::Preload,
        };
        let access = |path, kind, first_ns| PathAccess {
            process: 1,
            path,
            kind,
            follow: true,
            no_follow: false,
            attributes: false,
            count: 1,
            first_ns,
            changes: None,
        };
        Trace {
            processes: vec![process],
            paths: [&b"/p/a.c"[..], b"/p/\xff"].into_iter().collect(),
            accesses: vec![access(0, AccessKind::Read, 120_000), access(1, AccessKind::Missing, 130_000)],
            ..Trace::default()
        }
    }

    #[test]
    fn the_lines_are_those_of_the_contract() {
        let mut out = Vec::new();
        write(&example(), &mut out).expect("written");
        let lines: Vec<Value> = out
            .split(|&byte| byte == b'\n')
            .filter(|line| !line.is_empty())
            .map(|line| serde_json::from_slice(line).expect("JSON"))
            .collect();
        assert_eq!(
            lines,
            [
                json!({"type":"process","id":1,"parent":0,"pid":4711,"argv":["cc","-c","a.c"],"exe":"/usr/bin/cc","cwd":"/p","start_ns":0,"end_ns":81000000,"exit":{"code":0},"capture":"preload"}),
                json!({"type":"access","process":1,"path":"/p/a.c","kind":"read","count":1,"first_ns":120000}),
                json!({"type":"access","process":1,"path":"/p/\u{fffd}","path_base64":"L3Av/w==","kind":"missing","count":1,"first_ns":130000}),
                json!({"type":"summary","complete":true,"reasons":[],"processes":1,"accesses":2,"dropped":0}),
            ]
        );
    }

    #[test]
    fn an_address_that_was_reached_for_is_named() {
        let trace = Trace { network: vec![(1, "192.0.2.1:9".into())], ..example() };
        let summary = serde_json::to_value(summary(&trace)).expect("JSON");
        assert_eq!(summary["network"], json!([{"process":1,"address":"192.0.2.1:9"}]));
    }

    #[test]
    fn base64_is_that_of_rfc_4648() {
        let vectors = ["", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"];
        for (length, encoded) in vectors.into_iter().enumerate() {
            assert_eq!(base64(&b"foobar"[..length]), encoded);
        }
    }
}
