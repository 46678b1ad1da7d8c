//! Making outputs beside their places before anything is moved: what fails half way has changed nothing.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use platform::files;

use super::changes::{Changes, Place};
use crate::bytes::{self, Bytes};
use crate::cache::unique;

const PREFIX: &str = ".tracerun-";
const SUFFIX: &str = ".tmp";

/// Whether a file of this name is one of tracerun's, on its way to its place.
fn is_temporary(name: &[u8]) -> bool {
    name.starts_with(PREFIX.as_bytes()) && name.ends_with(SUFFIX.as_bytes())
}

/// What is made under temporary names. Dropped without [`Staging::done`], it removes what is there under them.
pub(super) struct Staging {
    /// In the order in which they are to be moved.
    moves: Vec<Move>,
    /// The place of each path in `moves`.
    by_path: HashMap<Bytes, usize>,
    /// What is to be removed, in that order; it keeps a temporary name until all is done.
    removals: Vec<Move>,
    /// Whether all that was made is where it is to stay.
    is_done: bool,
    /// Lists the temporary names, for whoever comes after this process was killed; locked as long as it lives.
    journal: Option<(PathBuf, File)>,
}

struct Move {
    path: Bytes,
    temporary: Vec<u8>,
}

impl Staging {
    /// Plans for what is to stand at `paths`, of which the `folders` are new folders, parents first. All that comes into a new
    /// folder is made in it, and the folder moved as a whole. What stands at the paths of `gone` is to be removed, children first. `journals`
    /// is where lists of temporary names are kept.
    pub(super) fn plan<'p>(
        folders: impl Iterator<Item = &'p Bytes>,
        others: impl Iterator<Item = &'p Bytes>,
        gone: &[&'p Bytes],
        journals: &Path,
    ) -> Self {
        let mut staging = Self {
            moves: Vec::new(),
            removals: Vec::new(),
            by_path: HashMap::new(),
            is_done: false,
            journal: None,
        };
        for path in folders.chain(others) {
            if staging.new_folder_above(path).is_none() {
                staging.by_path.insert(path.clone(), staging.moves.len());
                staging.moves.push(Move { path: path.clone(), temporary: beside(path) });
            }
        }
        let leaving: HashSet<&[u8]> = gone.iter().map(|path| &***path).collect();
        for &path in gone {
            let mut beneath: &[u8] = path;
            // A folder that is to be empty, or another thing, can keep nothing.
            while let Some(folder) = bytes::parent(beneath)
                && (leaving.contains(folder) || staging.by_path.contains_key(folder))
            {
                beneath = folder;
            }
            staging.removals.push(Move { path: path.clone(), temporary: beside(beneath) });
        }
        if !(staging.moves.is_empty() && staging.removals.is_empty()) {
            // A cache that can only be read gives what it has all the same.
            staging.journal = staging.write_journal(journals).ok();
        }
        staging
    }

    fn write_journal(&self, journals: &Path) -> io::Result<(PathBuf, File)> {
        let path = journals.join(unique());
        let file = match files::create_private(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                files::create_private_folder(journals)?;
                files::create_private(&path)?
            }
            file => file?,
        };
        file.lock()?;
        let mut list = Vec::new();
        for one in self.moves.iter().chain(&self.removals) {
            list.extend_from_slice(&one.temporary);
            list.push(0);
        }
        (&file).write_all(&list)?;
        Ok((path, file))
    }

    /// The new folder in which `path` is to be made, and what of the path leads there from it.
    fn new_folder_above<'p>(&self, path: &'p [u8]) -> Option<(usize, &'p [u8])> {
        let mut folder = bytes::parent(path);
        while let Some(above) = folder {
            if let Some(&place) = self.by_path.get(above) {
                return Some((place, &path[above.len() + 1..]));
            }
            folder = bytes::parent(above);
        }
        None
    }

    /// Where to make what is to stand at `path`; the path itself if nothing is to be made there.
    pub(super) fn place(&self, path: &Bytes) -> PathBuf {
        if let Some(&place) = self.by_path.get(path) {
            return files::path_of(&self.moves[place].temporary);
        }
        match self.new_folder_above(path) {
            Some((place, rest)) => files::path_of(&bytes::join(&self.moves[place].temporary, rest)),
            None => path.to_path(),
        }
    }

    /// Removes what is to be removed, and moves everything to its place.
    ///
    /// # Errors
    /// With the path that could not be replaced.
    pub(super) fn commit(&self, changes: &mut Changes) -> Result<(), (PathBuf, io::Error)> {
        for removal in &self.removals {
            let place = removal.place();
            changes.remove(&place).map_err(|error| (place.path, error))?;
        }
        for one in &self.moves {
            let place = one.place();
            changes.put(&place).map_err(|error| (place.path, error))?;
        }
        Ok(())
    }

    /// Nothing of it is left.
    pub(super) fn done(mut self) {
        self.is_done = true;
    }
}

impl Move {
    fn place(&self) -> Place {
        Place {
            path: self.path.to_path(),
            prepared: files::path_of(&self.temporary),
            kept: files::path_of(&kept(&self.temporary)),
        }
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        if !self.is_done {
            for one in &self.moves {
                discard(&files::path_of(&one.temporary));
            }
        }
        if let Some((path, _)) = &self.journal {
            // It is only a list; whoever finds it finds nothing that is in it.
            let _ = fs::remove_file(path);
        }
    }
}

/// Removes what processes left that were killed while they put something back.
pub(crate) fn sweep(journals: &Path) {
    for entry in fs::read_dir(journals).into_iter().flatten().flatten() {
        let path = entry.path();
        let Ok(mut file) = File::open(&path) else { continue };
        // One that is locked is of a living process; so is one that is empty, which is about to be.
        let mut list = Vec::new();
        if file.try_lock().is_err() || file.read_to_end(&mut list).is_err() || list.is_empty() {
            continue;
        }
        for temporary in list.split(|&byte| byte == 0).filter(|name| is_temporary(bytes::name(name))) {
            discard(&files::path_of(temporary));
            discard(&files::path_of(&kept(temporary)));
        }
        let _ = fs::remove_file(&path);
    }
}

/// Removes what was made and is not wanted, if it was made at all.
fn discard(temporary: &Path) {
    if fs::remove_file(temporary).is_err() {
        let _ = fs::remove_dir_all(temporary);
    }
}

/// A new name in the folder that `path` is in.
fn beside(path: &[u8]) -> Vec<u8> {
    let folder = bytes::parent(path).unwrap_or(b"/");
    bytes::join(folder, format!("{PREFIX}{}{SUFFIX}", unique()).as_bytes())
}

/// Where what stood in the place of `temporary` is kept.
fn kept(temporary: &[u8]) -> Vec<u8> {
    let name = temporary.strip_suffix(SUFFIX.as_bytes()).unwrap_or(temporary);
    [name, b".old", SUFFIX.as_bytes()].concat()
}
