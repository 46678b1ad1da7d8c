//! Joining a directory and a name without a buffer, and the lexical normal form of a path.

/// An absolute path as an observer has it: the directory it was relative to, and the name the program gave.
/// Together they are the path, so that a writer inside a traced process needs no buffer to join them.
#[derive(Clone, Copy, Debug)]
pub struct Joined<'a> {
    /// Absolute directory; empty when `name` is absolute by itself.
    pub directory: &'a [u8],
    /// The name as the program gave it.
    pub name: &'a [u8],
}

impl<'a> Joined<'a> {
    /// A name that is absolute already.
    #[must_use]
    pub const fn absolute(name: &'a [u8]) -> Self {
        Self { directory: &[], name }
    }

    /// `name` seen from `directory`, which must be absolute.
    #[must_use]
    pub fn new(directory: &'a [u8], name: &'a [u8]) -> Self {
        if name.first() == Some(&b'/') { Self::absolute(name) } else { Self { directory, name } }
    }

    /// The pieces whose concatenation is the path.
    #[must_use]
    pub fn pieces(self) -> [&'a [u8]; 3] {
        let separator: &[u8] =
            if self.directory.is_empty() || self.name.is_empty() || self.directory.ends_with(b"/") {
                b""
            } else {
                b"/"
            };
        [self.directory, separator, self.name]
    }

    /// Length of the path in bytes.
    #[must_use]
    pub fn len(self) -> usize {
        self.pieces().iter().map(|piece| piece.len()).sum()
    }

    /// Whether there is no path at all.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.directory.is_empty() && self.name.is_empty()
    }
}

impl PartialEq for Joined<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.pieces().into_iter().flatten().eq(other.pieces().into_iter().flatten())
    }
}

impl Eq for Joined<'_> {}

/// The steps of the lexical normal form of the absolute `path`, in order: into each component, and up for each `..`.
/// `..` at the root stays at the root.
pub fn normalize(path: &[u8], mut step: impl FnMut(Step<'_>)) {
    for component in path.split(|&byte| byte == b'/') {
        match component {
            b"" | b"." => {}
            b".." => step(Step::Up),
            name => step(Step::Into(name)),
        }
    }
}

/// One step of a path walk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step<'a> {
    /// Into the entry of this name.
    Into(&'a [u8]),
    /// To the parent directory; at the root, nowhere.
    Up,
}

/// Whether `path` is absolute and has no `.`, `..` or empty component, so that it is its own normal form.
#[must_use]
pub fn is_normal(path: &[u8]) -> bool {
    path == b"/"
        || path.first() == Some(&b'/')
            && path[1..].split(|&byte| byte == b'/').all(|component| !matches!(component, b"" | b"." | b".."))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joined(directory: &str, name: &str) -> String {
        let path = Joined::new(directory.as_bytes(), name.as_bytes());
        let text: Vec<u8> = path.pieces().concat();
        assert_eq!(text.len(), path.len());
        String::from_utf8(text).expect("text in, text out")
    }

    #[test]
    fn a_name_joins_the_directory_it_is_relative_to() {
        assert_eq!(joined("/a", "b"), "/a/b");
        assert_eq!(joined("/", "b"), "/b");
        assert_eq!(joined("/a", "/b"), "/b");
        assert_eq!(joined("/a", ""), "/a");
    }

    #[test]
    fn two_paths_are_equal_however_they_are_cut() {
        assert_eq!(Joined::new(b"/a", b"b/c"), Joined::absolute(b"/a/b/c"));
        assert_ne!(Joined::new(b"/a", b"b"), Joined::absolute(b"/a/c"));
    }

    #[test]
    fn only_paths_without_dots_and_doubled_slashes_are_normal() {
        for path in ["/", "/a", "/a/b.c", "/...", "/a/.b"] {
            assert!(is_normal(path.as_bytes()), "{path}");
        }
        for path in ["", "a", "//", "/a/", "/a//b", "/./a", "/a/.."] {
            assert!(!is_normal(path.as_bytes()), "{path}");
        }
    }
}
