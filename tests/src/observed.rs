//! What a tracer saw of a process tree: who touched what is merged, so that two tracers can be compared.

use std::collections::BTreeSet;
use std::fmt;

use serde_json::Value;
use shm_protocol::access::AccessKind;

/// One path touched in one way, by whichever process. The order sorts reports by path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Touched {
    /// Absolute and lexically normal.
    pub path: Vec<u8>,
    /// How.
    pub kind: AccessKind,
}

impl fmt::Display for Touched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:7} {}", self.kind.name(), self.path.escape_ascii())
    }
}

/// All that a tracer saw.
#[derive(Debug, Default)]
pub struct Observed {
    /// What was touched for certain.
    pub touched: BTreeSet<Touched>,
    /// What may have been touched: the tracer can't tell. Always empty for tracerun.
    pub perhaps: BTreeSet<Touched>,
    /// Reasons for which something may have gone unseen; `None` if the trace is complete.
    pub incomplete: Option<String>,
}

impl Observed {
    /// What an NDJSON trace of tracerun says (section 4 of the contract).
    ///
    /// # Panics
    /// The trace breaks the contract.
    #[must_use]
    pub fn from_ndjson(text: &str) -> Self {
        let mut observed = Self::default();
        let mut summaries = 0;
        for line in text.lines() {
            let object: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
            match object["type"].as_str() {
                Some("access") => {
                    observed.touched.insert(access(&object));
                }
                Some("summary") => {
                    summaries += 1;
                    let complete = object["complete"].as_bool().expect("complete is a boolean");
                    observed.incomplete = (!complete).then(|| object["reasons"].to_string());
                }
                Some("process") => assert!(object["id"].is_u64(), "{line}"),
                _ => panic!("unknown type: {line}"),
            }
        }
        assert_eq!(summaries, 1, "a trace ends with one summary");
        observed
    }
}

fn access(object: &Value) -> Touched {
    let text = |name: &str| object[name].as_str();
    let kind = text("kind").expect("an access has a kind");
    let kind = AccessKind::ALL.into_iter().find(|known| known.name() == kind);
    assert!(object["count"].as_u64() >= Some(1), "{object}");
    let path = match text("path_base64") {
        Some(exact) => unbase64(exact),
        None => text("path").expect("an access has a path").as_bytes().to_vec(),
    };
    assert!(shm_protocol::path::is_normal(&path), "not lexically normal: {object}");
    Touched { path, kind: kind.expect("a kind of the contract") }
}

/// Decodes base64 with padding, RFC 4648 section 4.
fn unbase64(text: &str) -> Vec<u8> {
    let value = |digit: u8| match digit {
        b'A'..=b'Z' => digit - b'A',
        b'a'..=b'z' => digit - b'a' + 26,
        b'0'..=b'9' => digit - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => panic!("not base64: {text}"),
    };
    let mut bytes = Vec::new();
    for group in text.as_bytes().chunks(4) {
        let digits: Vec<u8> =
            group.iter().filter(|digit| **digit != b'=').map(|digit| value(*digit)).collect();
        let word = digits.iter().fold(0_u32, |word, digit| word << 6 | u32::from(*digit))
            << (6 * (4 - digits.len()));
        bytes.extend_from_slice(&word.to_be_bytes()[1..digits.len()]);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_not_utf8_is_taken_exactly() {
        let trace = concat!(
            r#"{"type":"process","id":1,"parent":0,"pid":2,"argv":["a"]}"#,
            "\n",
            r#"{"type":"access","process":1,"path":"/a\ufffd","path_base64":"L2H/","kind":"read","count":1,"first_ns":0}"#,
            "\n",
            r#"{"type":"summary","complete":false,"reasons":["why"],"processes":1,"accesses":1,"dropped":0}"#,
        );
        let observed = Observed::from_ndjson(trace);
        let expected = Touched { path: b"/a\xff".to_vec(), kind: AccessKind::Read };
        assert_eq!(observed.touched, BTreeSet::from([expected]));
        assert_eq!(observed.incomplete.as_deref(), Some(r#"["why"]"#));
    }

    #[test]
    fn base64_comes_back_in_every_length() {
        assert_eq!(unbase64(""), b"");
        assert_eq!(unbase64("Zg=="), b"f");
        assert_eq!(unbase64("Zm8="), b"fo");
        assert_eq!(unbase64("Zm9vYg=="), b"foob");
    }
}
