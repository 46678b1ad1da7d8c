//! One request of a tool and its answer: a line of JSON each.

use globset::{GlobBuilder, GlobMatcher};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::told::{EnvQuery, Listener, Statement};
use crate::bytes::Bytes;

/// The longest request, in bytes, its line end not counted.
pub const MOST_BYTES: usize = 1 << 20;

/// A request, well-formed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// A tool states something.
    State(Statement),
    /// A tool asks for variables.
    Variables {
        /// Which.
        query: EnvQuery,
        /// Whether they count.
        tracked: bool,
    },
}

/// A request as it is written; `call` decides which of the fields it needs. What is not known is let through: a later
/// version may say more.
#[derive(Debug, Deserialize)]
struct Written {
    call: String,
    #[serde(default)]
    pid: u32,
    path: Option<String>,
    path_hex: Option<String>,
    name: Option<String>,
    glob: Option<String>,
    prefix: Option<String>,
    tracked: Option<bool>,
}

impl Request {
    /// Understands a request; also gives the process that says it is its author, 0 if none.
    ///
    /// # Errors
    /// What is wrong with it, for a person.
    pub fn parse(line: &[u8]) -> Result<(Self, u32), String> {
        let written: Written =
            serde_json::from_slice(line).map_err(|error| format!("not a request: {error}"))?;
        let pid = written.pid;
        let tracked = written.tracked.unwrap_or(true);
        let variables = |query| Ok(Self::Variables { query, tracked });
        let request = match written.call.as_str() {
            "ignoreInput" => Ok(Self::State(Statement::IgnoreInput(path(&written)?))),
            "ignoreOutput" => Ok(Self::State(Statement::IgnoreOutput(path(&written)?))),
            "disableCache" => Ok(Self::State(Statement::DisableCache)),
            "getEnv" => match written.name {
                Some(name) if !name.is_empty() => variables(EnvQuery::Name(name)),
                _ => Err("getEnv needs a name".to_owned()),
            },
            "getEnvs" => match (written.glob, written.prefix) {
                (Some(glob), None) => {
                    glob_of(&glob)?;
                    variables(EnvQuery::Glob(glob))
                }
                (None, Some(prefix)) => variables(EnvQuery::Prefix(prefix)),
                _ => Err("getEnvs needs a glob or a prefix".to_owned()),
            },
            other => Err(format!("unknown call {other:?}")),
        };
        request.map(|request| (request, pid))
    }
}

fn path(written: &Written) -> Result<Bytes, String> {
    let path = match (&written.path, &written.path_hex) {
        (Some(path), None) => path.clone().into_bytes(),
        (None, Some(hex)) => unhex(hex).ok_or("path_hex: not pairs of hexadecimal digits")?,
        _ => return Err(format!("{} needs a path", written.call)),
    };
    if path.first() != Some(&b'/') || path.contains(&0) {
        return Err("the path must be absolute, without NUL".to_owned());
    }
    Ok(path.into())
}

fn unhex(digits: &str) -> Option<Vec<u8>> {
    let value = |digit: u8| char::from(digit).to_digit(16);
    let (pairs, rest) = digits.as_bytes().as_chunks::<2>();
    let byte = |pair: &[u8; 2]| Some((value(pair[0])? << 4 | value(pair[1])?) as u8);
    if rest.is_empty() { pairs.iter().map(byte).collect() } else { None }
}

/// The matcher of a glob over names of variables.
pub(super) fn glob_of(glob: &str) -> Result<GlobMatcher, String> {
    let built = GlobBuilder::new(glob).backslash_escape(true).build();
    built.map(|glob| glob.compile_matcher()).map_err(|error| format!("bad glob {glob:?}: {}", error.kind()))
}

/// What has come of one client, taken apart into requests.
#[derive(Debug, Default)]
pub struct Requests {
    /// The beginning of a request.
    pending: Vec<u8>,
    /// Whether what comes belongs to a request that was too long.
    skipping: bool,
}

/// A request of more than [`MOST_BYTES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLong;

impl Requests {
    /// Takes what has come, in pieces of any size; `each` gets the requests that are whole with it, without their line
    /// ends, and one that is too long as soon as that shows.
    pub fn take(&mut self, piece: &[u8], mut each: impl FnMut(Result<&[u8], TooLong>)) {
        let mut rest = piece;
        while let Some(end) = rest.iter().position(|&byte| byte == b'\n') {
            self.add(&rest[..end], &mut each);
            rest = &rest[end + 1..];
            if !std::mem::take(&mut self.skipping) {
                each(Ok(&self.pending));
            }
            self.pending.clear();
        }
        self.add(rest, &mut each);
    }

    fn add(&mut self, bytes: &[u8], each: &mut impl FnMut(Result<&[u8], TooLong>)) {
        if self.skipping {
            return;
        }
        if self.pending.len() + bytes.len() > MOST_BYTES {
            each(Err(TooLong));
            self.skipping = true;
            self.pending = Vec::new();
            return;
        }
        self.pending.extend_from_slice(bytes);
    }
}

/// Answers a request, without the line end; `listener` takes note of it.
#[must_use]
pub fn answer(request: Result<&[u8], TooLong>, listener: &mut Listener<'_>) -> String {
    let line = request.map_err(|TooLong| format!("a request has at most {MOST_BYTES} bytes"));
    let answered = line.and_then(Request::parse).and_then(|(request, pid)| match request {
        Request::State(statement) => listener.state(statement, pid).map(|()| json!({ "ok": true })),
        Request::Variables { query, tracked } => {
            let values = listener.variables(&query, tracked, pid)?;
            Ok(match query {
                // What is not set is left out: JSON has no `undefined`.
                EnvQuery::Name(_) => match values.into_iter().next() {
                    Some((_, value)) => json!({ "ok": true, "value": value }),
                    None => json!({ "ok": true }),
                },
                EnvQuery::Glob(_) | EnvQuery::Prefix(_) => {
                    let values: Map<String, Value> =
                        values.into_iter().map(|(name, value)| (name, value.into())).collect();
                    json!({ "ok": true, "values": values })
                }
            })
        }
    });
    answered.unwrap_or_else(refusal).to_string()
}

/// The answer that refuses.
fn refusal(error: String) -> Value {
    json!({ "ok": false, "error": error })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(lines: &[&str]) -> (Vec<String>, crate::runner::Told) {
        let environment = [("A", "1"), ("VITE_A", "x"), ("VITE_B", "y"), ("B", "")];
        let environment: Vec<_> =
            environment.iter().map(|&(name, value)| (name.into(), value.into())).collect();
        let mut listener = Listener::new(&environment);
        let answers = lines.iter().map(|line| answer(Ok(line.as_bytes()), &mut listener)).collect();
        (answers, listener.told)
    }

    #[test]
    fn each_call_is_answered_and_taken_note_of() {
        let (answers, told) = answered(&[
            r#"{"call":"ignoreInput","path":"/p/a/../b","pid":7}"#,
            r#"{"call":"ignoreOutput","path_hex":"2f70ff"}"#,
            r#"{"call":"disableCache"}"#,
            r#"{"call":"getEnv","name":"A"}"#,
            r#"{"call":"getEnv","name":"B","tracked":false}"#,
            r#"{"call":"getEnv","name":"NONE"}"#,
            r#"{"call":"getEnvs","glob":"*_A"}"#,
            r#"{"call":"getEnvs","prefix":"VITE_","more":[]}"#,
        ]);
        let ok = r#"{"ok":true}"#;
        let one = r#"{"ok":true,"value":"1"}"#;
        let empty = r#"{"ok":true,"value":""}"#;
        let glob = r#"{"ok":true,"values":{"VITE_A":"x"}}"#;
        let prefix = r#"{"ok":true,"values":{"VITE_A":"x","VITE_B":"y"}}"#;
        assert_eq!(answers, [ok, ok, ok, one, empty, ok, glob, prefix]);
        let said: Vec<_> = told.statements().cloned().collect();
        assert_eq!(
            said,
            [
                Statement::IgnoreInput(b"/p/b"[..].into()),
                Statement::IgnoreOutput(b"/p\xff"[..].into()),
                Statement::DisableCache,
                Statement::Track(EnvQuery::Name("A".into())),
                Statement::Track(EnvQuery::Name("NONE".into())),
                Statement::Track(EnvQuery::Glob("*_A".into())),
                Statement::Track(EnvQuery::Prefix("VITE_".into())),
            ]
        );
        assert_eq!(told.declarations[0].pid, 7);
    }

    #[test]
    fn requests_are_told_apart_however_they_come() {
        let long = "x".repeat(MOST_BYTES);
        let sent = format!("a\n\n{long}\n{long}y\nlast\nhalf");
        for size in [1, 2, 1000, MOST_BYTES, sent.len()] {
            let (mut requests, mut came) = (Requests::default(), Vec::new());
            for piece in sent.as_bytes().chunks(size) {
                requests.take(piece, |request| came.push(request.map(<[u8]>::len)));
            }
            assert_eq!(came, [Ok(1), Ok(0), Ok(MOST_BYTES), Err(TooLong), Ok(4)], "in pieces of {size}");
        }
    }

    #[test]
    fn what_is_no_request_is_refused_and_changes_nothing() {
        let bad = [
            "",
            "{",
            "null",
            "[]",
            "\u{0}",
            r#"{"call":"unknown"}"#,
            r#"{"call":"ignoreInput"}"#,
            r#"{"call":"ignoreInput","path":"relative"}"#,
            r#"{"call":"ignoreInput","path":"/a\u0000"}"#,
            r#"{"call":"ignoreInput","path":"/a","path_hex":"2f"}"#,
            r#"{"call":"ignoreOutput","path_hex":"2"}"#,
            r#"{"call":"ignoreOutput","path_hex":"zz"}"#,
            r#"{"call":"getEnv"}"#,
            r#"{"call":"getEnv","name":""}"#,
            r#"{"call":"getEnv","name":1}"#,
            r#"{"call":"getEnvs"}"#,
            r#"{"call":"getEnvs","glob":"a","prefix":"b"}"#,
            r#"{"call":"getEnvs","glob":"a["}"#,
            r#"{"call":"disableCache","pid":-1}"#,
        ];
        let (answers, told) = answered(&bad);
        for (answer, request) in answers.iter().zip(bad) {
            assert!(answer.starts_with(r#"{"error":""#) && answer.ends_with(r#""ok":false}"#), "{request}");
        }
        assert_eq!(told.statements().count(), 0);
    }
}
