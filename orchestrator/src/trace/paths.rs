//! Paths by the hundred thousand, in one piece of memory.

use serde::{Deserialize, Serialize};

use super::PathId;

/// A list of paths, which are their bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Paths {
    bytes: Vec<u8>,
    /// Where each path ends, and the next one begins.
    ends: Vec<usize>,
}

impl Paths {
    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The path with this number; empty if there is none.
    #[must_use]
    pub fn get(&self, id: PathId) -> &[u8] {
        let id = id as usize;
        let start =
            id.checked_sub(1).map_or(0, |before| self.ends.get(before).copied().unwrap_or(usize::MAX));
        self.ends.get(id).and_then(|&end| self.bytes.get(start..end)).unwrap_or_default()
    }

    /// Adds a path and gives its number.
    pub fn push(&mut self, path: &[u8]) -> PathId {
        self.bytes.extend_from_slice(path);
        self.ends.push(self.bytes.len());
        (self.ends.len() - 1) as PathId
    }

    /// All of them, in the order of their numbers.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.len()).map(|id| self.get(id as PathId))
    }
}

impl<P: AsRef<[u8]>> FromIterator<P> for Paths {
    fn from_iter<I: IntoIterator<Item = P>>(paths: I) -> Self {
        let mut list = Self::default();
        for path in paths {
            list.push(path.as_ref());
        }
        list
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_numbered_in_order() {
        let mut paths: Paths = ["/a", "", "/b/c"].into_iter().collect();
        assert_eq!(paths.push(b"/d"), 3);
        assert_eq!(paths.iter().collect::<Vec<_>>(), [&b"/a"[..], b"", b"/b/c", b"/d"]);
        assert_eq!((paths.get(2), paths.get(4)), (&b"/b/c"[..], &b""[..]));
    }
}
