//! The NDJSON trace, section 4 of the contract: one object a line; fields may be added, never renamed.

use std::io::{self, Write};

use serde_json::{Map, Value, json};

use super::exit;
use crate::trace::{PathAccess, Process, ProcessCapture, Trace};

/// Writes the whole trace.
///
/// # Errors
/// As writing to `out`.
pub fn write(trace: &Trace, out: &mut impl Write) -> io::Result<()> {
    let processes = trace.processes.iter().map(process);
    let accesses = trace.accesses.iter().map(|entry| access(trace, entry));
    for line in processes.chain(accesses).chain([summary(trace)]) {
        serde_json::to_writer(&mut *out, &line)?;
        out.write_all(b"\n")?;
    }
    out.flush()
}

/// The object of a process.
#[must_use]
pub fn process(process: &Process) -> Value {
    let mut object = Map::new();
    object.insert("type".into(), "process".into());
    object.insert("id".into(), process.id.into());
    object.insert("parent".into(), process.parent.into());
    object.insert("pid".into(), process.pid.into());
    let argv = process.argv.iter().map(|argument| String::from_utf8_lossy(argument).into_owned());
    object.insert("argv".into(), argv.collect());
    put_path(&mut object, "exe", &process.exe);
    put_path(&mut object, "cwd", &process.cwd);
    object.insert("start_ns".into(), process.start_ns.into());
    object.insert("end_ns".into(), process.end_ns.into());
    object.insert("exit".into(), process.exit.map_or(Value::Null, exit));
    let capture = match process.capture {
        ProcessCapture::Preload => "preload",
        ProcessCapture::Seccomp => "seccomp",
    };
    object.insert("capture".into(), capture.into());
    Value::Object(object)
}

/// The object of an access.
#[must_use]
pub fn access(trace: &Trace, access: &PathAccess) -> Value {
    let mut object = Map::new();
    object.insert("type".into(), "access".into());
    object.insert("process".into(), access.process.into());
    put_path(&mut object, "path", trace.path(access.path));
    object.insert("kind".into(), access.kind.name().into());
    object.insert("count".into(), access.count.into());
    object.insert("first_ns".into(), access.first_ns.into());
    Value::Object(object)
}

/// The object of the summary.
#[must_use]
pub fn summary(trace: &Trace) -> Value {
    json!({
        "type": "summary",
        "complete": trace.is_complete(),
        "reasons": super::incompleteness(trace),
        "processes": trace.processes.len(),
        "accesses": trace.accesses.len(),
        "dropped": trace.dropped,
    })
}

/// A path under `name`; one that is not UTF-8 is written lossily there and exactly under `name_base64`.
fn put_path(object: &mut Map<String, Value>, name: &str, path: &[u8]) {
    object.insert(name.into(), String::from_utf8_lossy(path).into());
    if std::str::from_utf8(path).is_err() {
        object.insert(format!("{name}_base64"), base64(path).into());
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
    use crate::trace::ProcessExit;
    use shm_protocol::access::AccessKind;
    use shm_protocol::record::Exit;

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
            count: 1,
            first_ns,
            changes: None,
        };
        Trace {
            processes: vec![process],
            paths: vec![b"/p/a.c".to_vec(), b"/p/\xff".to_vec()],
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
    fn base64_is_that_of_rfc_4648() {
        let vectors = ["", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"];
        for (length, encoded) in vectors.into_iter().enumerate() {
            assert_eq!(base64(&b"foobar"[..length]), encoded);
        }
    }
}
