//! What the user lists as inputs or as outputs: whether that stands beside what is observed or instead of it, and the
//! inputs that are named by glob, which count whether the command reads them or not.

use std::path::Path;

use platform::files::{self, FileType};
use shm_protocol::access::AccessKind;

use crate::bytes::{self, Bytes};
use crate::cache::KnownDigests;
use crate::declarations::{BadGlob, Declarations, Globs};
use crate::fingerprint::{Digest, Framed, InputState, Observation, Observer, entries};
use crate::task::Task;

/// The item of a list that stands for what is observed.
const AUTOMATIC: &str = "auto";

/// The files that the user names as inputs, sorted by path, each with a digest of its state.
pub type NamedInputs = Vec<(Bytes, Digest)>;

/// A list of inputs or outputs, understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection<'l> {
    /// Whether what is observed counts.
    pub automatic: bool,
    /// Globs of what counts besides, or instead.
    pub named: Vec<&'l str>,
    /// Globs of what does not count, whoever says otherwise.
    pub not: Vec<&'l str>,
}

impl<'l> Selection<'l> {
    /// What a list says: no list, that what is observed counts; otherwise what its items say, so that an empty one
    /// stands for nothing. `auto` is what is observed, `!GLOB` what does not count, anything else a glob. One that says
    /// only what does not count takes that from what is observed.
    #[must_use]
    pub fn of(list: Option<&'l [String]>) -> Self {
        let Some(list) = list else {
            return Self { automatic: true, named: Vec::new(), not: Vec::new() };
        };
        let (mut automatic, mut named, mut not) = (false, Vec::new(), Vec::new());
        for item in list.iter().map(String::as_str) {
            match item.strip_prefix('!') {
                Some(glob) => not.push(glob),
                None if item == AUTOMATIC => automatic = true,
                // So says an option that a list is empty.
                None if item.is_empty() => {}
                None => named.push(item),
            }
        }
        automatic |= named.is_empty() && !not.is_empty();
        Self { automatic, named, not }
    }
}

/// The files that the task's list of inputs names, as they are now; `None` if it names none. Folders called `.git`, and
/// `own`, are looked into only if a glob begins with them.
///
/// # Errors
/// A glob of the task is not one.
pub fn named_inputs(task: &Task, known: &KnownDigests, own: &Path) -> Result<Option<NamedInputs>, BadGlob> {
    let Selection { named, not, .. } = Selection::of(task.policy.input.as_deref());
    if named.is_empty() {
        return Ok(None);
    }
    let home = task.variable("HOME").map(Path::new);
    let (named, not) = (Globs::new(named, [], &task.root, home)?, Globs::new(not, [], &task.root, home)?);
    let declarations = Declarations::of(task)?;
    let own = &*files::bytes_of_path(own);
    let counts = |path: &[u8]| named.match_any(path) && !not.match_any(path);
    let mut observer = Observer::new(&declarations, known);
    let mut found = NamedInputs::new();
    let beginnings: Vec<_> = named.beginnings().cloned().collect();
    let mut paths = beginnings.clone();
    paths.sort();
    paths.dedup();
    while let Some(path) = paths.pop() {
        let is_beginning = beginnings.contains(&path);
        if not.match_any(&path) || !is_beginning && (path == own || bytes::name(&path) == b".git") {
            continue;
        }
        // A link to a folder is what it says: what is in the folder has names of its own, and there may be circles.
        let Ok(identity) = files::identity(&files::path_of(&path), is_beginning) else { continue };
        if identity.file_type == FileType::Directory {
            // A folder that can't be read holds nothing that the command could have read.
            let entries = entries(&files::path_of(&path)).unwrap_or_default();
            paths.extend(entries.into_iter().map(|(name, _)| bytes::join(&path, &name)));
        } else if counts(&path) {
            let state = state(&mut observer, &path);
            let mut digest = Framed::new("tracerun named input");
            state.add_to(&mut digest);
            found.push((path.into(), digest.finish()));
        }
    }
    found.sort();
    // Two globs may begin at the same place, or one below the other.
    found.dedup();
    Ok(Some(found))
}

fn state(observer: &mut Observer<'_>, path: &[u8]) -> InputState {
    let mut look = |follow| observer.state(&Observation::new(path.into(), AccessKind::Read, follow));
    match look(true) {
        file @ (InputState::File { .. } | InputState::Trusted { .. } | InputState::Unreadable { .. }) => file,
        _ => look(false),
    }
}

/// The paths that stand otherwise in two lists.
#[must_use]
pub fn differences<'n>(before: &'n NamedInputs, now: &'n NamedInputs) -> Vec<&'n Bytes> {
    let without = |these: &'n NamedInputs, those: &'n NamedInputs| {
        these.iter().filter(|one| those.binary_search(one).is_err()).map(|(path, _)| path)
    };
    let mut paths: Vec<&Bytes> = without(before, now).chain(without(now, before)).collect();
    paths.sort();
    paths.dedup();
    paths
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selection(items: &[&str]) -> (bool, usize, usize) {
        let items: Vec<String> = items.iter().map(|&item| item.to_owned()).collect();
        let Selection { automatic, named, not } = Selection::of(Some(&items));
        (automatic, named.len(), not.len())
    }

    #[test]
    fn a_list_says_what_counts_beside_or_instead_of_what_is_observed() {
        assert_eq!(Selection::of(None), Selection { automatic: true, named: vec![], not: vec![] });
        assert_eq!(selection(&[]), (false, 0, 0));
        assert_eq!(selection(&[""]), (false, 0, 0));
        assert_eq!(selection(&["src", "!src/*.md"]), (false, 1, 1));
        assert_eq!(selection(&["auto", "src", "!*.md"]), (true, 1, 1));
        assert_eq!(selection(&["!*.md"]), (true, 0, 1));
        assert_eq!(selection(&["./auto"]), (false, 1, 0));
    }
}
