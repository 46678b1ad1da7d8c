//! Where a named path physically is: every symbolic link on the way to it resolved, and remembered.

use std::collections::HashMap;
use std::fs;
use std::rc::Rc;

use platform::files::{self, FileType, Identity};
use shm_protocol::path::{Step, is_normal, normalize};

use crate::bytes;

/// As many links as Linux follows in one look-up.
const MOST_LINKS: u32 = 40;

/// The physical place of a path.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// Its path without any link; where nothing is there, what is missing is appended as it was named.
    pub(super) path: Vec<u8>,
    /// What stands there, itself and not what it points to.
    pub(super) identity: Option<Identity>,
    /// The places of the links that were walked, in order.
    pub(super) links: Vec<Vec<u8>>,
}

impl Place {
    pub(super) fn is(&self, file_type: FileType) -> bool {
        self.identity.is_some_and(|identity| identity.file_type == file_type)
    }
}

/// Resolves paths; a directory is resolved once.
#[derive(Default)]
pub(super) struct Places {
    directories: HashMap<Vec<u8>, Rc<Place>>,
}

impl Places {
    /// The place of the entry that `path`, absolute and normal, names: a link at its end is not followed.
    pub(super) fn entry(&mut self, path: &[u8]) -> Place {
        match bytes::parent(path) {
            Some(parent) => {
                let directory = self.directory(parent);
                child(&directory, bytes::name(path))
            }
            None => root(),
        }
    }

    /// The place of what an entry leads to.
    pub(super) fn end(&mut self, entry: &Place) -> Place {
        follow(entry.clone(), &mut MOST_LINKS.clone())
    }

    /// Takes a way with `..`, absolute, as the system does, up to where it ends or something is no directory. Gives
    /// the place that was reached and the entries that were looked up on the way.
    pub(super) fn climb(&mut self, path: &[u8]) -> (Place, Vec<Vec<u8>>) {
        let (mut here, mut entries) = (root(), Vec::new());
        // Up to the first `..` it is the way to a directory, and perhaps a long one that was taken before.
        let up = path.windows(3).position(|window| window == b"/..").unwrap_or(0);
        let (way, mut rest) = path.split_at(up);
        if is_normal(way) && self.directory(way).is(FileType::Directory) {
            here = (*self.directory(way)).clone();
            for end in bytes::ancestors(way).take_while(|end| end.len() > 1) {
                let above = self.directory(bytes::parent(end).unwrap_or(b"/"));
                entries.push(bytes::join(&above.path, bytes::name(end)));
            }
            entries.reverse();
        } else {
            rest = path;
        }
        normalize(rest, |step| {
            if !here.is(FileType::Directory) {
                return;
            }
            if let Step::Into(name) = step {
                entries.push(bytes::join(&here.path, name));
            }
            here = walk(&here, step, &mut MOST_LINKS.clone());
        });
        (here, entries)
    }

    fn directory(&mut self, path: &[u8]) -> Rc<Place> {
        if let Some(known) = self.directories.get(path) {
            return Rc::clone(known);
        }
        let entry = self.entry(path);
        let place = Rc::new(self.end(&entry));
        self.directories.insert(path.to_vec(), Rc::clone(&place));
        place
    }
}

fn root() -> Place {
    let identity = files::identity(&files::path_of(b"/"), false).ok();
    Place { path: b"/".to_vec(), identity, links: Vec::new() }
}

fn child(directory: &Place, name: &[u8]) -> Place {
    let path = bytes::join(&directory.path, &files::entry_name(&directory.path, name));
    let identity =
        directory.is(FileType::Directory).then(|| files::identity(&files::path_of(&path), false).ok());
    Place { path, identity: identity.flatten(), links: directory.links.clone() }
}

fn follow(place: Place, budget: &mut u32) -> Place {
    if !place.is(FileType::Symlink) {
        return place;
    }
    let target = fs::read_link(files::path_of(&place.path));
    let (Ok(target), Some(left)) = (target, budget.checked_sub(1)) else {
        return Place { identity: None, ..place };
    };
    *budget = left;
    let target = &*files::bytes_of_path(&target);
    let base = if target.starts_with(b"/") { b"/" } else { bytes::parent(&place.path).unwrap_or(b"/") };
    let mut links = place.links;
    links.push(place.path.clone());
    let mut here = Place { path: base.to_vec(), identity: root().identity, links };
    normalize(target, |step| here = walk(&here, step, budget));
    here
}

fn walk(here: &Place, step: Step<'_>, budget: &mut u32) -> Place {
    match step {
        Step::Into(name) => follow(child(here, name), budget),
        // Where links are resolved, `..` is what it looks like.
        Step::Up => {
            let path = bytes::parent(&here.path).unwrap_or(b"/").to_vec();
            let identity = files::identity(&files::path_of(&path), false).ok();
            Place { path, identity, links: here.links.clone() }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn links_are_resolved_wherever_they_stand_and_told() {
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path().canonicalize().unwrap();
        let at = |name: &str| files::bytes_of_path(&base.join(name)).to_vec();
        fs::create_dir_all(base.join("real/deep")).unwrap();
        fs::write(base.join("real/file"), "x").unwrap();
        let link = |target: &str, name: &str| files::symlink(Path::new(target), &base.join(name)).unwrap();
        link("real/deep", "dir");
        link("../file", "real/deep/up");
        link("nowhere/else", "dangling");
        link("loop", "loop");

        let mut places = Places::default();
        let entry = places.entry(&at("dir/up"));
        assert_eq!((&entry.path, &entry.links), (&at("real/deep/up"), &vec![at("dir")]));
        let end = places.end(&entry);
        assert_eq!((end.path, end.links), (at("real/file"), vec![at("dir"), at("real/deep/up")]));
        assert!(end.identity.is_some());

        let entry = places.entry(&at("dangling"));
        let end = places.end(&entry);
        assert_eq!((end.path, end.identity), (at("nowhere/else"), None));
        let entry = places.entry(&at("loop/x"));
        assert_eq!(entry.identity, None);
        assert_eq!(places.entry(&at("real/file/below")).identity, None);
        assert_eq!(places.entry(b"/").path, b"/");
    }
}
