//! The messages of Bazel's Remote Execution API, version 2, that a cache holds: as much of them as is used.

use prost::Message;
use sha2::{Digest as _, Sha256};

use std::fmt;

/// A SHA-256 digest: what cache servers name contents by.
#[derive(Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct Sha(pub [u8; 32]);

impl Sha {
    /// The digest of these bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    fn from_hex(text: &str) -> Option<Self> {
        let mut bytes = [0; 32];
        let digit = |byte: u8| (byte as char).to_digit(16).map(|digit| digit as u8);
        if text.len() != 64 {
            return None;
        }
        for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            *byte = digit(pair[0])? << 4 | digit(pair[1])?;
        }
        Some(Self(bytes))
    }
}

impl fmt::Display for Sha {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Sha {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A content that a cache server holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Blob {
    /// Its digest.
    pub digest: Sha,
    /// Its length in bytes.
    pub size: u64,
}

impl Blob {
    /// The content that these bytes are.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self { digest: Sha::of(bytes), size: bytes.len() as u64 }
    }
}

#[derive(Clone, PartialEq, Message)]
struct Digest {
    #[prost(string, tag = "1")]
    hash: String,
    #[prost(int64, tag = "2")]
    size_bytes: i64,
}

impl From<Blob> for Digest {
    fn from(blob: Blob) -> Self {
        Self { hash: blob.digest.to_string(), size_bytes: i64::try_from(blob.size).unwrap_or(i64::MAX) }
    }
}

impl Digest {
    fn blob(&self) -> Option<Blob> {
        Some(Blob { digest: Sha::from_hex(&self.hash)?, size: u64::try_from(self.size_bytes).ok()? })
    }
}

#[derive(Clone, PartialEq, Message)]
struct Command {
    #[prost(string, repeated, tag = "1")]
    arguments: Vec<String>,
}

#[derive(Clone, PartialEq, Message)]
struct Action {
    #[prost(message, optional, tag = "1")]
    command_digest: Option<Digest>,
    #[prost(message, optional, tag = "2")]
    input_root_digest: Option<Digest>,
    #[prost(bytes = "vec", tag = "9")]
    salt: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
struct OutputFile {
    #[prost(string, tag = "1")]
    path: String,
    #[prost(message, optional, tag = "2")]
    digest: Option<Digest>,
}

#[derive(Clone, PartialEq, Message)]
struct ActionResult {
    #[prost(message, repeated, tag = "2")]
    output_files: Vec<OutputFile>,
}

/// What a result is found by: an action that no other client of the server makes, with the contents that it consists of.
#[derive(Clone, Debug)]
pub(super) struct Key {
    /// The action.
    pub(super) blob: Blob,
    /// The action, its command, and its input root, which is empty: servers want them to be there.
    pub(super) parts: [Vec<u8>; 3],
}

impl Key {
    /// The action with this salt, which says all.
    #[must_use]
    pub(super) fn of(salt: &[u8]) -> Self {
        let command = Command { arguments: vec!["tracerun".to_owned()] }.encode_to_vec();
        let root = Vec::new();
        let action = Action {
            command_digest: Some(Blob::of(&command).into()),
            input_root_digest: Some(Blob::of(&root).into()),
            salt: salt.to_vec(),
        }
        .encode_to_vec();
        Self { blob: Blob::of(&action), parts: [action, command, root] }
    }
}

/// A result: the contents that it names, in order.
pub(super) fn result(blobs: impl IntoIterator<Item = Blob>) -> Vec<u8> {
    let file = |(index, blob): (usize, Blob)| OutputFile {
        path: format!("tracerun/{index}"),
        digest: Some(blob.into()),
    };
    ActionResult { output_files: blobs.into_iter().enumerate().map(file).collect() }.encode_to_vec()
}

/// The contents that a result names; `None` if it is none of ours.
pub(super) fn blobs(result: &[u8]) -> Option<Vec<Blob>> {
    let result = ActionResult::decode(result).ok()?;
    let blob = |(index, file): (usize, &OutputFile)| {
        let digest = file.digest.as_ref().filter(|_| file.path == format!("tracerun/{index}"))?;
        digest.blob()
    };
    result.output_files.iter().enumerate().map(blob).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_comes_back_and_garbage_is_none() {
        let all = [Blob::of(b"a"), Blob::of(b"")];
        assert_eq!(blobs(&result(all)), Some(all.to_vec()));
        assert_eq!(blobs(b"garbage, and more of it"), None);
        for end in 1..result(all).len() {
            assert_ne!(blobs(&result(all)[..end]), Some(all.to_vec()));
        }
    }

    #[test]
    fn digests_are_those_that_servers_know() {
        // FIPS 180-2, of "abc".
        let known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(Sha::of(b"abc").to_string(), known);
        assert_eq!(Sha::from_hex(known), Some(Sha::of(b"abc")));
        assert_eq!(Sha::from_hex(&known[1..]), None);
    }
}
