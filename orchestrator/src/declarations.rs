//! What is declared not to count: the ignored inputs and outputs of the user, and known noise.

use std::path::Path;

use globset::{Candidate, GlobBuilder, GlobSet, GlobSetBuilder};
use platform::files;

use crate::bytes;
use crate::task::Task;

/// Files that tools write for themselves and that change no result: ignored as inputs and as outputs, before
/// the user's own globs, which may take them back.
pub const KNOWN_NOISE: &[(&str, &str)] = &[
    ("~/.npm/_logs", "npm's log of each call"),
    ("~/.npm/_update-notifier-last-checked", "when npm last asked for a newer npm"),
    ("~/.npm/_cacache/tmp", "npm's downloads in the making"),
    ("~/.config/configstore/update-notifier-*.json", "when a Node tool last asked for a newer version"),
    ("~/.cache/node/corepack/lastKnownGood.json", "which versions corepack saw last"),
    ("~/.cargo/.global-cache", "when cargo last used what it downloaded"),
    ("~/.cargo/.package-cache", "cargo's lock"),
    ("~/.cargo/.package-cache-mutate", "cargo's lock"),
];

/// A glob that can't be used.
#[derive(Debug, thiserror::Error)]
#[error("bad glob {glob:?}: {why}")]
pub struct BadGlob {
    /// The glob as it was given.
    pub glob: String,
    /// What is wrong with it.
    pub why: String,
}

/// The ignored inputs and outputs of one task.
#[derive(Clone, Debug)]
pub struct Declarations {
    inputs: Globs,
    outputs: Globs,
    /// Outputs that lie outside the root and are kept all the same.
    outside: Globs,
    trusted: Globs,
    /// Files that what the run prints is written to.
    terminal: Vec<Vec<u8>>,
}

impl Declarations {
    /// The declarations of a task: known noise, then what its policy says.
    ///
    /// A glob is absolute, begins with `~/` for the home folder that the command sees, or is relative to the
    /// root. `*` and `?` stay within a component, `**` does not. A glob covers what lies under what it matches.
    /// The last one that covers a path decides; with `!` in front it takes the path back.
    ///
    /// # Errors
    /// A glob of the policy is not one.
    pub fn of(task: &Task) -> Result<Self, BadGlob> {
        let home = task.variable("HOME").map(Path::new);
        let compile = |own: &[String]| {
            let noise = KNOWN_NOISE.iter().map(|&(glob, _)| glob);
            Globs::new(noise.chain(own.iter().map(String::as_str)), &task.root, home)
        };
        Ok(Self {
            inputs: compile(&task.policy.ignore_input)?,
            outputs: compile(&task.policy.ignore_output)?,
            outside: Globs::new(task.policy.output.iter().map(String::as_str), &task.root, home)?,
            trusted: Globs::new(task.policy.trust.iter().map(String::as_str), &task.root, home)?,
            terminal: task
                .terminal
                .files
                .iter()
                .map(|file| files::bytes_of(file.as_os_str()).to_vec())
                .collect(),
        })
    }

    /// Whether a file with this path is known by its identity, whatever is in it.
    #[must_use]
    pub fn trusts(&self, path: &[u8]) -> bool {
        self.trusted.cover(path)
    }

    /// Whether what is observed of the path with these bytes does not count.
    #[must_use]
    pub fn ignore_input(&self, path: &[u8]) -> bool {
        self.is_terminal(path) || self.inputs.cover(path)
    }

    /// Whether what is left at the path with these bytes is no output.
    #[must_use]
    pub fn ignore_output(&self, path: &[u8]) -> bool {
        self.is_terminal(path) || self.outputs.cover(path)
    }

    /// Whether what is left at the path with these bytes is an output wherever it lies.
    #[must_use]
    pub fn output(&self, path: &[u8]) -> bool {
        self.outside.cover(path)
    }

    fn is_terminal(&self, path: &[u8]) -> bool {
        self.terminal.iter().any(|file| file == path)
    }
}

/// Globs in order.
#[derive(Clone, Debug)]
struct Globs {
    set: GlobSet,
    /// For each glob of the set, whether it ignores rather than takes back.
    ignores: Vec<bool>,
}

impl Globs {
    fn new<'g>(
        globs: impl Iterator<Item = &'g str>,
        root: &Path,
        home: Option<&Path>,
    ) -> Result<Self, BadGlob> {
        let mut set = GlobSetBuilder::new();
        let mut ignores = Vec::new();
        for glob in globs {
            let bad = |why: String| BadGlob { glob: glob.to_owned(), why };
            let (pattern, ignore) = glob.strip_prefix('!').map_or((glob, true), |rest| (rest, false));
            let (base, pattern) = match (pattern.strip_prefix("~/"), home) {
                (Some(rest), Some(home)) => (Some(home), rest),
                (Some(_), None) => continue,
                (None, _) => (if pattern.starts_with('/') { None } else { Some(root) }, pattern),
            };
            let pattern = pattern.strip_prefix("./").unwrap_or(pattern);
            if pattern.is_empty() || pattern.split('/').any(|component| component == "..") {
                return Err(bad("it must name something, without ..".to_owned()));
            }
            let trimmed = match pattern.trim_end_matches('/') {
                "" => "/",
                trimmed => trimmed,
            };
            let absolute = match base.map(Path::to_str) {
                None => trimmed.to_owned(),
                Some(Some(base)) => format!("{}/{trimmed}", globset::escape(base.trim_end_matches('/'))),
                Some(None) => return Err(bad("the folder it is relative to is not UTF-8".to_owned())),
            };
            let built = GlobBuilder::new(&absolute).literal_separator(true).backslash_escape(true).build();
            set.add(built.map_err(|error| bad(error.kind().to_string()))?);
            ignores.push(ignore);
        }
        let set = set.build().map_err(|error| BadGlob { glob: String::new(), why: error.to_string() })?;
        Ok(Self { set, ignores })
    }

    fn cover(&self, path: &[u8]) -> bool {
        let mut last = None;
        let mut matching = Vec::new();
        for path in bytes::ancestors(path) {
            self.set.matches_candidate_into(&Candidate::new(&files::path_of(path)), &mut matching);
            last = last.max(matching.last().copied());
        }
        last.is_some_and(|index| self.ignores[index])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn globs(globs: &[&str]) -> Globs {
        let (root, home) = (Path::new("/p/[x]"), Path::new("/home/u"));
        Globs::new(globs.iter().copied(), root, Some(home)).expect("good globs")
    }

    #[test]
    fn a_glob_covers_what_lies_under_it_and_is_relative_to_the_root() {
        let globs = globs(&["dist", "*.log", "~/.npm/_logs", "/tmp/**/*.o"]);
        for path in [
            "/p/[x]/dist",
            "/p/[x]/dist/a/b",
            "/p/[x]/a.log",
            "/home/u/.npm/_logs/1",
            "/tmp/a/b.o",
            "/tmp/b.o",
        ] {
            assert!(globs.cover(path.as_bytes()), "{path}");
        }
        for path in ["/p/[x]/src", "/p/x/dist", "/p/[x]/a/b.log", "/home/u/.npm", "/p/[x]/distant", "/p/[x]"]
        {
            assert!(!globs.cover(path.as_bytes()), "{path}");
        }
    }

    #[test]
    fn the_last_glob_that_covers_a_path_decides() {
        let globs = globs(&["dist", "!dist/keep", "dist/keep/*.tmp"]);
        assert!(globs.cover(b"/p/[x]/dist/a"));
        assert!(!globs.cover(b"/p/[x]/dist/keep"));
        assert!(!globs.cover(b"/p/[x]/dist/keep/a"));
        assert!(globs.cover(b"/p/[x]/dist/keep/a.tmp"));
    }

    #[test]
    fn a_glob_that_is_none_is_refused_by_name() {
        for glob in ["a[", "../a", "", "!"] {
            let error = Globs::new([glob].into_iter(), Path::new("/p"), None).expect_err("refused");
            assert_eq!(error.glob, glob);
        }
    }

    #[test]
    fn known_noise_is_well_formed() {
        Globs::new(KNOWN_NOISE.iter().map(|&(glob, _)| glob), Path::new("/p"), Some(Path::new("/h")))
            .expect("good globs");
    }
}
