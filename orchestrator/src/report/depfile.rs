//! The files a run read as a rule of make, which Ninja understands as well (`deps = gcc`).

use std::collections::BTreeSet;
use std::io::{self, ErrorKind, Write};

use platform::files;
use shm_protocol::access::AccessKind;

use crate::bytes;
use crate::trace::Trace;

/// Writes the rule: `target`, or else what the run left under `root`, depends on every file that it read and did not make.
/// A file that was looked for and not there can't be named: the nearest folder in which it would have to appear is,
/// unless it is the working directory, or the run or Ninja itself writes there.
///
/// # Errors
/// As writing to `out`; a name holds a line break, which a rule can't.
pub fn write(trace: &Trace, root: &[u8], target: Option<&str>, out: &mut impl Write) -> io::Result<()> {
    let cwd = trace.processes.first().map_or(&b"/"[..], |process| &process.cwd);
    let changed: BTreeSet<&[u8]> = paths(trace, |kind| !kind.observes());
    let folders_changed: BTreeSet<&[u8]> = changed.iter().filter_map(|path| bytes::parent(path)).collect();
    let is_there = |path: &[u8], file: bool| {
        let found = files::identity(&files::path_of(path), true);
        found.is_ok_and(|found| (found.file_type == files::FileType::File) == file)
    };
    let targets: Vec<Vec<u8>> = match target {
        Some(target) => vec![target.as_bytes().to_vec()],
        None => {
            let left = changed.iter().filter(|path| bytes::is_within(path, root) && is_there(path, true));
            left.map(|path| relative(path, cwd).to_vec()).collect()
        }
    };
    let read = paths(trace, |kind| matches!(kind, AccessKind::Read | AccessKind::Exec));
    let unobserved =
        |path: &[u8]| [&b"/proc"[..], b"/sys", b"/dev"].iter().any(|own| bytes::is_within(path, own));
    let mut needed: BTreeSet<&[u8]> = read
        .into_iter()
        .filter(|path| !changed.contains(path) && !unobserved(path) && is_there(path, true))
        .collect();
    for missing in paths(trace, |kind| kind == AccessKind::Missing) {
        let above = bytes::ancestors(missing).skip(1).find(|above| is_there(above, false));
        needed.extend(above.filter(|above| {
            bytes::is_within(above, root)
                && *above != cwd
                && *above != root
                && !folders_changed.contains(above)
        }));
    }
    // All of it or nothing: half a rule would be believed.
    let mut rule = Vec::new();
    for (index, target) in targets.iter().enumerate() {
        rule.extend_from_slice(if index == 0 { b"" } else { b" " });
        rule.extend(escaped(target)?);
    }
    rule.push(b':');
    for path in needed {
        rule.extend_from_slice(b" \\\n  ");
        rule.extend(escaped(relative(path, cwd))?);
    }
    rule.push(b'\n');
    out.write_all(&rule)
}

fn paths(trace: &Trace, wanted: impl Fn(AccessKind) -> bool) -> BTreeSet<&[u8]> {
    trace.accesses.iter().filter(|access| wanted(access.kind)).map(|access| trace.path(access.path)).collect()
}

/// As it is named from the working directory, if it lies there: that is how rules name it.
fn relative<'p>(path: &'p [u8], cwd: &[u8]) -> &'p [u8] {
    let below = path.strip_prefix(cwd).filter(|_| bytes::is_within(path, cwd) && path != cwd);
    below.map_or(path, |below| below.strip_prefix(b"/").unwrap_or(below))
}

/// A name as gcc writes it: what make and Ninja both understand.
fn escaped(name: &[u8]) -> io::Result<Vec<u8>> {
    let mut escaped = Vec::with_capacity(name.len());
    let mut backslashes = 0;
    for &byte in name {
        match byte {
            b'\n' | b'\r' => {
                let text = super::text::printable(name);
                return Err(io::Error::new(
                    ErrorKind::InvalidData,
                    format!("{text}: no rule can hold a line break"),
                ));
            }
            b' ' | b'\t' => {
                // Backslashes before a space stand for half as many.
                escaped.extend(std::iter::repeat_n(b'\\', backslashes + 1));
            }
            b'$' => escaped.push(b'$'),
            b'#' | b':' => escaped.push(b'\\'),
            _ => {}
        }
        backslashes = if byte == b'\\' { backslashes + 1 } else { 0 };
        escaped.push(byte);
    }
    Ok(escaped)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_escaped_as_gcc_does() {
        for (name, expected) in
            [("a.h", "a.h"), ("a b", "a\\ b"), ("a\\ b", "a\\\\\\ b"), ("$#:", "$$\\#\\:"), ("a\\b", "a\\b")]
        {
            assert_eq!(escaped(name.as_bytes()).expect("no line break"), expected.as_bytes(), "{name}");
        }
        assert!(escaped(b"a\nb").is_err());
    }
}
