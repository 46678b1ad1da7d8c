//! The lines that strace prints, as calls with their arguments.

use std::collections::HashMap;

/// One finished system call.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Call {
    /// The thread that made it.
    pub(super) thread: u32,
    /// Its name.
    pub(super) name: String,
    /// Its arguments as strace prints them.
    pub(super) arguments: Vec<Argument>,
    /// How it ended.
    pub(super) ended: Ended,
}

/// One argument.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Argument {
    /// A string.
    Text(Vec<u8>),
    /// A descriptor, or `AT_FDCWD`, with the path it stands for; `None` if it is no file that has a path.
    Descriptor(String, Option<Vec<u8>>),
    /// Anything else: flags, numbers, structures, NULL, pointers that lead nowhere.
    Other(String),
}

/// How a call ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// With this value; and, where that is a descriptor, the path it stands for.
    Done(i64, Option<Vec<u8>>),
    /// With the error of this name.
    Failed(String),
    /// Never: the thread was killed in it.
    Never,
}

/// The calls that `log` tells of, in the order in which they began.
///
/// # Panics
/// A line can't be understood.
#[must_use]
pub(super) fn calls(log: &[u8]) -> Vec<Call> {
    let mut lines: Vec<(u32, Vec<u8>)> = Vec::new();
    let mut unfinished: HashMap<u32, usize> = HashMap::new();
    for line in log.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let space = line.iter().position(|byte| *byte == b' ').unwrap_or(line.len());
        let (thread, text) = (number(&line[..space]), line[space..].trim_ascii());
        let thread = thread.unwrap_or_else(|| panic!("no pid: {}", line.escape_ascii()));
        if text.starts_with(b"+++") || text.starts_with(b"---") || text.starts_with(b"[ Process") {
            continue;
        }
        if let Some(rest) = text.strip_prefix(b"<... ") {
            let end = find(rest, b" resumed>").expect("a call that resumes") + b" resumed>".len();
            if let Some(place) = unfinished.remove(&thread) {
                lines[place].1.extend_from_slice(&rest[end..]);
            }
            continue;
        }
        let begun = text.strip_suffix(b"<unfinished ...>");
        if begun.is_some() {
            unfinished.insert(thread, lines.len());
        }
        lines.push((thread, begun.unwrap_or(text).to_vec()));
    }
    lines.iter().map(|(thread, text)| call(*thread, text)).collect()
}

fn call(thread: u32, text: &[u8]) -> Call {
    let open = text
        .iter()
        .position(|byte| *byte == b'(')
        .unwrap_or_else(|| panic!("no call: {}", text.escape_ascii()));
    let (pieces, rest) = split(&text[open + 1..]);
    Call {
        thread,
        name: String::from_utf8_lossy(&text[..open]).into_owned(),
        arguments: pieces.into_iter().map(argument).collect(),
        ended: rest.map_or(Ended::Never, ended),
    }
}

/// Cuts the text after the opening parenthesis of a call at the commas between its arguments; then what follows
/// the closing one, `None` if the call never ended.
fn split(text: &[u8]) -> (Vec<&[u8]>, Option<&[u8]>) {
    let mut pieces = Vec::new();
    let (mut start, mut at, mut depth) = (0, 0, 0);
    while at < text.len() {
        match text[at] {
            b'"' => at += quoted(&text[at..], b'"'),
            b'<' if is_decoration(&text[start..at]) => at += quoted(&text[at..], b'>'),
            b'(' | b'[' | b'{' => depth += 1,
            b')' if depth == 0 => {
                pieces.push(text[start..at].trim_ascii());
                return (pieces, Some(&text[at + 1..]));
            }
            b')' | b']' | b'}' => depth -= 1,
            b',' if depth == 0 => {
                pieces.push(text[start..at].trim_ascii());
                start = at + 1;
            }
            _ => {}
        }
        at += 1;
    }
    pieces.push(text[start..].trim_ascii());
    (pieces, None)
}

/// Whether what stands before a `<` is a descriptor, so that the `<` begins its path.
fn is_decoration(before: &[u8]) -> bool {
    let before = before.trim_ascii();
    before == b"AT_FDCWD" || !before.is_empty() && before.iter().all(u8::is_ascii_digit)
}

/// How far the closing `end` is from the start of `text`, which is at the opening one.
fn quoted(text: &[u8], end: u8) -> usize {
    let mut at = 1;
    while at < text.len() && text[at] != end {
        at += if text[at] == b'\\' { 2 } else { 1 };
    }
    at
}

fn argument(text: &[u8]) -> Argument {
    if text.first() == Some(&b'"') {
        return Argument::Text(unescape(&text[1..quoted(text, b'"')]));
    }
    if let Some((name, path)) = decorated(text) {
        return Argument::Descriptor(name, path);
    }
    Argument::Other(String::from_utf8_lossy(text).into_owned())
}

/// A descriptor as `-y` shows it: `3</a>`, `AT_FDCWD</a>`, `3</a>(deleted)`, `3<pipe:[1]>`.
fn decorated(text: &[u8]) -> Option<(String, Option<Vec<u8>>)> {
    let open = text.iter().position(|byte| *byte == b'<').filter(|open| is_decoration(&text[..*open]))?;
    let close = open + quoted(&text[open..], b'>');
    let path = unescape(text.get(open + 1..close)?);
    let is_there = path.starts_with(b"/") && !text[close..].starts_with(b">(deleted)");
    Some((String::from_utf8_lossy(&text[..open]).into_owned(), is_there.then_some(path)))
}

fn ended(text: &[u8]) -> Ended {
    let text = text.trim_ascii().strip_prefix(b"=").expect("a result").trim_ascii();
    if let Some(error) = text.strip_prefix(b"-1 ") {
        let name = error.split(|byte| *byte == b' ').next().unwrap_or_default();
        return Ended::Failed(String::from_utf8_lossy(name).into_owned());
    }
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    match number(&text[..digits]) {
        Some(value) => Ended::Done(value.into(), decorated(text).and_then(|(_, path)| path)),
        None => Ended::Never,
    }
}

/// Undoes strace's escapes, which are those of C.
fn unescape(text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut at = 0;
    while at < text.len() {
        if text[at] != b'\\' || at + 1 == text.len() {
            bytes.push(text[at]);
            at += 1;
            continue;
        }
        let digits = text[at + 1..].iter().take(3).take_while(|byte| matches!(byte, b'0'..=b'7')).count();
        if digits > 0 {
            let octal = &text[at + 1..][..digits];
            bytes.push(octal.iter().fold(0, |value: u8, digit| value.wrapping_mul(8) + (digit - b'0')));
            at += 1 + digits;
            continue;
        }
        bytes.push(match text[at + 1] {
            b'n' => b'\n',
            b't' => b'\t',
            b'r' => b'\r',
            b'v' => 0x0b,
            b'f' => 0x0c,
            other => other,
        });
        at += 2;
    }
    bytes
}

pub(super) fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|window| window == what)
}

fn number(digits: &[u8]) -> Option<u32> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(line: &str) -> Call {
        let mut calls = calls(line.as_bytes());
        assert_eq!(calls.len(), 1);
        calls.remove(0)
    }

    #[test]
    fn names_and_descriptors_are_unescaped() {
        let call = one(
            r#"7 openat(AT_FDCWD</p>, "a\n\377\"<b>, (", O_RDWR|O_CREAT, 0644) = 3</p/a\n\377\"\74b\76>"#,
        );
        assert_eq!(call.arguments[0], Argument::Descriptor("AT_FDCWD".into(), Some(b"/p".to_vec())));
        assert_eq!(call.arguments[1], Argument::Text(b"a\n\xff\"<b>, (".to_vec()));
        assert_eq!(call.arguments[2], Argument::Other("O_RDWR|O_CREAT".into()));
        assert_eq!(call.arguments.len(), 4);
    }

    #[test]
    fn a_call_that_was_interrupted_by_others_is_put_together() {
        let log = "1 chdir(\"/\" <unfinished ...>\n2 access(\"b\", F_OK) = 0\n1 <... chdir resumed>)    = -1 ENOENT (No such file)\n";
        let calls = calls(log.as_bytes());
        assert_eq!((calls[0].name.as_str(), calls[0].thread), ("chdir", 1));
        assert_eq!(calls[0].ended, Ended::Failed("ENOENT".into()));
        assert_eq!(calls[1].ended, Ended::Done(0, None));
    }

    #[test]
    fn results_pointers_and_structures_are_told_apart() {
        let call = one(
            r#"9 newfstatat(4<pipe:[12]>, "", {st_mode=S_IFDIR|0755, st_size=4096, ...}, AT_EMPTY_PATH) = 0"#,
        );
        assert_eq!(call.arguments[0], Argument::Descriptor("4".into(), None));
        assert_eq!(call.arguments[3], Argument::Other("AT_EMPTY_PATH".into()));
        assert_eq!(
            one("9 open(0x7, O_RDONLY) = -1 EFAULT (Bad address)").arguments[0],
            Argument::Other("0x7".into())
        );
        assert_eq!(one("9 exit_group(0) = ?").ended, Ended::Never);
        assert_eq!(one("9 open(\"a\", O_RDONLY <unfinished ...>").ended, Ended::Never);
        assert_eq!(one("9 open(\"a\", O_RDONLY) = 5</a>(deleted)").ended, Ended::Done(5, None));
    }
}
