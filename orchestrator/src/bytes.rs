//! Names, arguments and variables as the bytes that the system uses for them.

use std::borrow::{Borrow, Cow};
use std::ffi::OsStr;
use std::fmt;
use std::ops::Deref;
use std::path::{Path, PathBuf};

use platform::files;
use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A byte string of the system, such as a path, kept in records as it is.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bytes(Vec<u8>);

impl Bytes {
    /// The path with these bytes.
    #[must_use]
    pub fn to_path(&self) -> PathBuf {
        files::path_of(&self.0)
    }

    /// The text, for programs: what is not UTF-8 is replaced.
    #[must_use]
    pub fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.0)
    }
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl AsRef<[u8]> for Bytes {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Borrow<[u8]> for Bytes {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

impl From<Vec<u8>> for Bytes {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl From<&[u8]> for Bytes {
    fn from(bytes: &[u8]) -> Self {
        Self(bytes.to_vec())
    }
}

impl From<&OsStr> for Bytes {
    fn from(name: &OsStr) -> Self {
        Self(files::bytes_of(name).to_vec())
    }
}

impl From<&Path> for Bytes {
    fn from(path: &Path) -> Self {
        Self(files::bytes_of_path(path).into_owned())
    }
}

/// On one line of a terminal, as by [`printable`].
impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&printable(&self.0))
    }
}

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.text())
    }
}

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AsBytes;

        impl<'de> Visitor<'de> for AsBytes {
            type Value = Bytes;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("bytes")
            }

            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Bytes, E> {
                Ok(bytes.into())
            }

            // What a format without byte strings, such as JSON, makes of them.
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Bytes, A::Error> {
                let mut bytes = Vec::new();
                while let Some(byte) = seq.next_element()? {
                    bytes.push(byte);
                }
                Ok(Bytes(bytes))
            }
        }

        deserializer.deserialize_bytes(AsBytes)
    }
}

/// The directory that holds the entry with this absolute, normal path; `None` for the root.
#[must_use]
pub fn parent(path: &[u8]) -> Option<&[u8]> {
    let slash = path.iter().rposition(|&byte| byte == b'/')?;
    (path.len() > 1).then(|| if slash == 0 { &path[..1] } else { &path[..slash] })
}

/// The last component of an absolute, normal path; empty for the root.
#[must_use]
pub fn name(path: &[u8]) -> &[u8] {
    let start = path.iter().rposition(|&byte| byte == b'/').map_or(0, |slash| slash + 1);
    &path[start..]
}

/// The entry `name` of `directory`.
#[must_use]
pub fn join(directory: &[u8], name: &[u8]) -> Vec<u8> {
    let mut path = Vec::with_capacity(directory.len() + 1 + name.len());
    path.extend_from_slice(directory);
    if directory != b"/" {
        path.push(b'/');
    }
    path.extend_from_slice(name);
    path
}

/// Whether `path` is `folder` or lies under it; both absolute and normal.
#[must_use]
pub fn is_within(path: &[u8], folder: &[u8]) -> bool {
    folder == b"/" || path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
}

/// `path` and the directories above it, up to and with the root.
pub fn ancestors(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::successors(Some(path), |path| parent(path))
}

/// A path on one line of a terminal: control characters and what is not UTF-8 are escaped.
#[must_use]
pub fn printable(path: &[u8]) -> Cow<'_, str> {
    let must_be_escaped = |character: char| character.is_control() || character == '\\';
    if let Ok(path) = str::from_utf8(path)
        && !path.contains(must_be_escaped)
    {
        return Cow::Borrowed(path);
    }
    let mut text = String::new();
    for chunk in path.utf8_chunks() {
        for character in chunk.valid().chars() {
            if must_be_escaped(character) {
                text.extend(character.escape_default());
            } else {
                text.push(character);
            }
        }
        for byte in chunk.invalid() {
            text.extend(byte.escape_ascii().map(char::from));
        }
    }
    Cow::Owned(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_taken_apart_and_joined_again() {
        for (path, above, last) in [("/a/b", "/a", "b"), ("/a", "/", "a")] {
            assert_eq!(parent(path.as_bytes()), Some(above.as_bytes()));
            assert_eq!(name(path.as_bytes()), last.as_bytes());
            assert_eq!(join(above.as_bytes(), last.as_bytes()), path.as_bytes());
        }
        assert_eq!(parent(b"/"), None);
        assert_eq!(name(b"/"), b"");
        assert_eq!(ancestors(b"/a/b").collect::<Vec<_>>(), [b"/a/b" as &[u8], b"/a", b"/"]);
    }

    #[test]
    fn a_neighbour_with_the_same_beginning_is_not_within() {
        assert!(is_within(b"/a/b", b"/a") && is_within(b"/a", b"/a") && is_within(b"/a", b"/"));
        assert!(!is_within(b"/ab", b"/a") && !is_within(b"/", b"/a"));
    }

    #[test]
    fn bytes_that_are_not_text_come_back_from_a_record() {
        let bytes = Bytes::from(&b"a\xff\n"[..]);
        let kept = postcard::to_stdvec(&bytes).unwrap();
        assert_eq!(kept, b"\x03a\xff\n");
        assert_eq!(postcard::from_bytes::<Bytes>(&kept).unwrap(), bytes);
        let json = serde_json::to_string(&bytes).unwrap();
        assert_eq!(serde_json::from_str::<Bytes>(&json).unwrap(), bytes);
    }
}
