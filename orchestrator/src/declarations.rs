//! What is declared not to count: the ignored inputs and outputs of the user and of the tools, and known noise.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use globset::{Candidate, Glob, GlobBuilder, GlobMatcher};
use platform::files;

use crate::bytes::{self, Bytes};
use crate::runner::Statement;
use crate::selection::Selection;
use crate::task::{Jobserver, Task};

/// Files that tools write for themselves and that change no result: ignored as inputs and as outputs, before
/// the user's own globs, which may take them back.
pub const KNOWN_NOISE: &[(&str, &str)] = &[
    // As `private_folder_in_memory` calls it.
    ("/dev/shm/tracerun-[0-9]*", "where tools find the runs of tracerun that are under way"),
    ("~/.npm/_logs", "npm's log of each call"),
    ("~/.npm/_update-notifier-last-checked", "when npm last asked for a newer npm"),
    ("~/.npm/_cacache/tmp", "npm's downloads in the making"),
    ("~/.config/configstore/update-notifier-*.json", "when a Node tool last asked for a newer version"),
    ("~/.cache/node/corepack/lastKnownGood.json", "which versions corepack saw last"),
    ("~/.cargo/.global-cache", "when cargo last used what it downloaded"),
    ("~/.cargo/.package-cache", "cargo's lock"),
    ("~/.cargo/.package-cache-mutate", "cargo's lock"),
];

/// The glob that covers every path.
const EVERYTHING: &str = "/";

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
    inputs: Arc<Globs>,
    outputs: Arc<Globs>,
    /// Outputs that are kept wherever they lie.
    outside: Arc<Globs>,
    trusted: Arc<Globs>,
    /// What is known by the identity of a toolchain, but for what lies in the root.
    toolchains: Vec<Arc<Globs>>,
    root: Vec<u8>,
    /// Files that what the run prints is written to.
    terminal: Vec<Vec<u8>>,
    /// Folders of tracerun's own, by which tools talk to it, and the jobserver's FIFO.
    own: Vec<Vec<u8>>,
    /// What tools ignore: paths, as named and as resolved.
    told_inputs: HashSet<Bytes>,
    told_outputs: HashSet<Bytes>,
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
        let jobserver = Jobserver::of(&task.environment);
        let globs =
            |first: Vec<&str>, then: Vec<&str>| Globs::new(first, then, &task.root, home).map(Arc::new);
        let policy = &task.policy;
        // What a list leaves to be observed, before what tools say; what it and the user's own globs leave out, after.
        let ignores = |selection: &Selection<'_>, kept: &[String], own: &[String]| {
            let mut first: Vec<String> = KNOWN_NOISE.iter().map(|&(glob, _)| glob.to_owned()).collect();
            first.extend((!selection.automatic).then(|| EVERYTHING.to_owned()));
            first.extend(kept.iter().cloned());
            let own = own.iter().map(String::as_str);
            let then = selection.not.iter().copied().chain(own).collect();
            globs(first.iter().map(String::as_str).collect(), then)
        };
        let (input, output) =
            (Selection::of(policy.input.as_deref()), Selection::of(policy.output.as_deref()));
        // First, so that a glob that is none is told as it was given.
        let outside = globs(output.named.clone(), Vec::new())?;
        let kept: Vec<String> = output.named.iter().map(|glob| format!("!{glob}")).collect();
        Ok(Self {
            inputs: ignores(&input, &[], &policy.ignore_input)?,
            outputs: ignores(&output, &kept, &policy.ignore_output)?,
            outside,
            toolchains: policy
                .toolchains
                .iter()
                .map(|one| globs(one.paths.iter().map(String::as_str).collect(), Vec::new()))
                .collect::<Result<_, _>>()?,
            root: files::bytes_of_path(&task.root).to_vec(),
            trusted: globs(policy.trust.iter().map(String::as_str).collect(), Vec::new())?,
            terminal: task.terminal.files.iter().map(|file| files::bytes_of_path(file).to_vec()).collect(),
            own: jobserver.fifo.iter().map(|fifo| files::bytes_of_path(fifo).to_vec()).collect(),
            told_inputs: HashSet::new(),
            told_outputs: HashSet::new(),
        })
    }

    /// Whether a file with this path is known by its identity, whatever is in it.
    #[must_use]
    pub fn trusts(&self, path: &[u8]) -> bool {
        self.trusted.match_any(path)
    }

    /// These, and what tools of a run declared. The user's globs, which come last, may take back what those ignore.
    #[must_use]
    pub fn with<'s>(&self, statements: impl IntoIterator<Item = &'s Statement>) -> Self {
        let mut both = self.clone();
        for statement in statements {
            match statement {
                Statement::IgnoreInput(path) => drop(both.told_inputs.insert(path.clone())),
                Statement::IgnoreOutput(path) => drop(both.told_outputs.insert(path.clone())),
                Statement::DisableCache | Statement::Track(_) => {}
            }
        }
        both
    }

    /// These, and that what is done in `folders` is between tracerun and the tools.
    #[must_use]
    pub fn with_own(mut self, folders: impl IntoIterator<Item = PathBuf>) -> Self {
        for folder in folders {
            let place = folder.canonicalize().unwrap_or_else(|_| folder.clone());
            let both = [folder, place];
            self.own.extend(both.iter().map(|folder| files::bytes_of_path(folder).to_vec()));
        }
        self
    }

    /// Whether what is observed of the path with these bytes does not count.
    #[must_use]
    pub fn ignore_input(&self, path: &[u8]) -> bool {
        self.is_ours(path) || self.inputs.cover(path, &self.told_inputs) || self.is_of_toolchain(path)
    }

    /// Whether a tool has said so.
    #[must_use]
    pub fn is_told_to_ignore_input(&self, path: &[u8]) -> bool {
        self.ignore_input(path) && is_under(path, &self.told_inputs)
    }

    /// Whether what is left at the path with these bytes is no output.
    #[must_use]
    pub fn ignore_output(&self, path: &[u8]) -> bool {
        self.is_ours(path) || self.outputs.cover(path, &self.told_outputs)
    }

    /// Whether what is left at the path with these bytes is an output wherever it lies.
    #[must_use]
    pub fn output(&self, path: &[u8]) -> bool {
        self.outside.match_any(path)
    }

    /// Whether what the run prints goes to this file, which is not told to be ignored besides.
    #[must_use]
    pub fn is_printed_to(&self, path: &[u8]) -> bool {
        self.terminal.iter().any(|file| file == path) && !self.inputs.cover(path, &self.told_inputs)
    }

    /// Folders of tracerun's own, by which tools talk to it.
    pub(crate) fn own_folders(&self) -> &[Vec<u8>] {
        &self.own
    }

    fn is_of_toolchain(&self, path: &[u8]) -> bool {
        self.toolchains.iter().any(|globs| globs.match_any(path)) && !bytes::is_within(path, &self.root)
    }

    fn is_ours(&self, path: &[u8]) -> bool {
        self.terminal.iter().any(|file| file == path)
            || self.own.iter().any(|folder| bytes::is_within(path, folder))
    }
}

/// Whether a path is one of these or lies under one.
fn is_under(path: &[u8], told: &HashSet<Bytes>) -> bool {
    !told.is_empty() && bytes::ancestors(path).any(|path| told.contains(path))
}

/// Globs in order.
#[derive(Clone, Debug)]
pub(crate) struct Globs {
    rules: Vec<Rule>,
    /// How many of them come before what tools declare; the others come after.
    first: usize,
}

/// What one glob says.
#[derive(Clone, Debug)]
struct Rule {
    /// Where what it matches begins: as much of it as has no wildcard.
    beginning: Vec<u8>,
    /// The whole of it, if it has wildcards.
    pattern: Option<Pattern>,
    /// Whether it ignores rather than takes back.
    ignores: bool,
}

/// A glob that is made ready when it is first needed: that takes longer than all else about it, and most never are.
#[derive(Clone, Debug)]
struct Pattern {
    glob: Glob,
    matcher: OnceLock<GlobMatcher>,
}

impl Rule {
    /// Whether it matches the path or a folder that the path lies under.
    fn covers(&self, path: &[u8]) -> bool {
        bytes::is_within(path, &self.beginning)
            && self.pattern.as_ref().is_none_or(|Pattern { glob, matcher }| {
                let matcher = matcher.get_or_init(|| glob.compile_matcher());
                bytes::ancestors(path)
                    .any(|path| matcher.is_match_candidate(&Candidate::new(&files::name_of(path))))
            })
    }
}

impl Globs {
    /// Those that come before what tools declare, and those that come after.
    pub(crate) fn new<'g>(
        first: impl IntoIterator<Item = &'g str>,
        then: impl IntoIterator<Item = &'g str>,
        root: &Path,
        home: Option<&Path>,
    ) -> Result<Self, BadGlob> {
        let (mut rules, mut users) = (Vec::new(), 0);
        let first = first.into_iter().map(|glob| (glob, false));
        for (glob, is_users) in first.chain(then.into_iter().map(|glob| (glob, true))) {
            let bad = |why: String| BadGlob { glob: glob.to_owned(), why };
            let (pattern, ignores) = glob.strip_prefix('!').map_or((glob, true), |rest| (rest, false));
            let on_drive = (cfg!(windows) && pattern.get(1..3) == Some(":/")).then(|| format!("/{pattern}"));
            let pattern = on_drive.as_deref().unwrap_or(pattern);
            let (base, pattern) = match (pattern.strip_prefix("~/"), home) {
                (Some(rest), Some(home)) => (Some(home), rest),
                (Some(_), None) => continue,
                (None, _) => (if pattern.starts_with('/') { None } else { Some(root) }, pattern),
            };
            let mut pattern = pattern.strip_prefix("./").unwrap_or(pattern);
            let mut base = base;
            while let (Some(folder), Some(rest)) = (base, pattern.strip_prefix("../")) {
                (base, pattern) = (Some(folder.parent().unwrap_or(folder)), rest);
            }
            if pattern.is_empty() || pattern.split('/').any(|component| component == "..") {
                return Err(bad("it must name something, with .. at its beginning only".to_owned()));
            }
            let trimmed = match pattern.trim_end_matches('/') {
                "" => "/",
                trimmed => trimmed,
            };
            let text = |base: &Path| String::from_utf8(files::bytes_of_path(base).into_owned());
            let absolute = match base.map(text) {
                None => trimmed.to_owned(),
                Some(Ok(base)) => format!("{}/{trimmed}", globset::escape(base.trim_end_matches('/'))),
                Some(Err(_)) => return Err(bad("the folder it is relative to is not UTF-8".to_owned())),
            };
            let built = GlobBuilder::new(&absolute).literal_separator(true).backslash_escape(true).build();
            let glob = built.map_err(|error| bad(error.kind().to_string()))?;
            users += usize::from(is_users);
            let plain = |component: &&str| !component.contains(['*', '?', '[', '{', '\\']);
            let start = base.map_or(b"/".into(), files::bytes_of_path);
            let components = trimmed.split('/').filter(|component| !component.is_empty());
            let beginning = components
                .clone()
                .take_while(plain)
                .fold(start.to_vec(), |path, name| bytes::join(&path, name.as_bytes()));
            let pattern = (!components.clone().all(|name| plain(&name)))
                .then(|| Pattern { glob, matcher: OnceLock::new() });
            rules.push(Rule { beginning, pattern, ignores });
        }
        let first = rules.len() - users;
        Ok(Self { rules, first })
    }

    /// Where what each of them matches begins.
    pub(crate) fn beginnings(&self) -> impl Iterator<Item = &Vec<u8>> {
        self.rules.iter().map(|rule| &rule.beginning)
    }

    /// Whether a path is covered by these globs alone.
    pub(crate) fn match_any(&self, path: &[u8]) -> bool {
        self.cover(path, &HashSet::new())
    }

    /// Whether a path is ignored, by these globs and by what tools said.
    fn cover(&self, path: &[u8], told: &HashSet<Bytes>) -> bool {
        let last = self.rules.iter().rposition(|rule| rule.covers(path));
        let ignores = last.map(|index| self.rules[index].ignores);
        match (last, ignores) {
            (Some(index), Some(ignores)) if index >= self.first => ignores,
            _ => ignores == Some(true) || is_under(path, told),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn globs(globs: &[&str]) -> Globs {
        let (root, home) = (Path::new("/p/[x]"), Path::new("/home/u"));
        Globs::new([], globs.iter().copied(), root, Some(home)).expect("good globs")
    }

    #[test]
    fn a_glob_covers_what_lies_under_it_and_is_relative_to_the_root() {
        let globs = globs(&["dist", "../beside", "*.log", "~/.npm/_logs", "/tmp/**/*.o"]);
        for path in [
            "/p/[x]/dist",
            "/p/[x]/dist/a/b",
            "/p/[x]/a.log",
            "/p/beside/a",
            "/home/u/.npm/_logs/1",
            "/tmp/a/b.o",
            "/tmp/b.o",
        ] {
            assert!(globs.cover(path.as_bytes(), &HashSet::new()), "{path}");
        }
        for path in ["/p/[x]/src", "/p/x/dist", "/p/[x]/a/b.log", "/home/u/.npm", "/p/[x]/distant", "/p/[x]"]
        {
            assert!(!globs.cover(path.as_bytes(), &HashSet::new()), "{path}");
        }
    }

    #[test]
    fn the_last_glob_that_covers_a_path_decides() {
        let globs = globs(&["dist", "!dist/keep", "dist/keep/*.tmp"]);
        assert!(globs.cover(b"/p/[x]/dist/a", &HashSet::new()));
        assert!(!globs.cover(b"/p/[x]/dist/keep", &HashSet::new()));
        assert!(!globs.cover(b"/p/[x]/dist/keep/a", &HashSet::new()));
        assert!(globs.cover(b"/p/[x]/dist/keep/a.tmp", &HashSet::new()));
    }

    #[test]
    fn a_users_glob_takes_back_what_a_tool_ignores() {
        let globs = globs(&["!dist/keep"]);
        let told = HashSet::from([b"/p/[x]/dist"[..].into()]);
        assert!(globs.cover(b"/p/[x]/dist", &told));
        assert!(globs.cover(b"/p/[x]/dist/a", &told));
        assert!(!globs.cover(b"/p/[x]/dist/keep/a", &told));
        assert!(!globs.cover(b"/p/[x]/distant", &told));
    }

    #[test]
    fn a_glob_that_is_none_is_refused_by_name() {
        for glob in ["a[", "a/../b", "/../a", "..", "", "!"] {
            let error = Globs::new([], [glob], Path::new("/p"), None).expect_err("refused");
            assert_eq!(error.glob, glob);
        }
    }

    #[test]
    fn known_noise_is_well_formed() {
        let noise = KNOWN_NOISE.iter().map(|&(glob, _)| glob);
        Globs::new(noise, [], Path::new("/p"), Some(Path::new("/h"))).expect("good globs");
    }
}
