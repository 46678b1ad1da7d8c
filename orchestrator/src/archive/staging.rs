//! Making outputs beside their places before anything is moved: what fails half way has changed nothing.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use platform::files::{self, FileType};

use crate::bytes::{self, Bytes};
use crate::cache::unique;

const PREFIX: &str = ".tracerun-";
const SUFFIX: &str = ".tmp";

/// Whether a file of this name is one of tracerun's, on its way to its place: nobody's input.
pub(crate) fn is_temporary(name: &[u8]) -> bool {
    name.starts_with(PREFIX.as_bytes()) && name.ends_with(SUFFIX.as_bytes())
}

/// What is made under temporary names. What has not been moved to its place when this is dropped is removed.
pub(super) struct Staging {
    /// In the order in which they are to be moved.
    moves: Vec<Move>,
    /// The place of each path in `moves`.
    by_path: HashMap<Bytes, usize>,
    /// How many have been moved.
    moved: usize,
    /// Lists the temporary names, for whoever comes after this process was killed; locked as long as it lives.
    journal: Option<(PathBuf, File)>,
}

struct Move {
    path: Bytes,
    temporary: Vec<u8>,
}

impl Staging {
    /// Plans for what is to stand at `paths`, of which the `folders` are new folders, parents first. All that comes into a new
    /// folder is made in it, and the folder moved as a whole. `journals` is where such lists are kept.
    pub(super) fn plan<'p>(
        folders: impl Iterator<Item = &'p Bytes>,
        others: impl Iterator<Item = &'p Bytes>,
        journals: &Path,
    ) -> Self {
        let mut staging = Self { moves: Vec::new(), by_path: HashMap::new(), moved: 0, journal: None };
        for path in folders.chain(others) {
            if staging.new_folder_above(path).is_none() {
                staging.by_path.insert(path.clone(), staging.moves.len());
                staging.moves.push(Move { path: path.clone(), temporary: beside(path) });
            }
        }
        if !staging.moves.is_empty() {
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
        for one in &self.moves {
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

    /// Moves everything to its place. On an error some of it has been moved.
    ///
    /// # Errors
    /// With the path that could not be replaced.
    pub(super) fn commit(mut self) -> Result<(), (PathBuf, io::Error)> {
        while let Some(Move { path, temporary }) = self.moves.get(self.moved) {
            let path = path.to_path();
            replace(&files::path_of(temporary), &path).map_err(|error| (path, error))?;
            self.moved += 1;
        }
        Ok(())
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        for one in &self.moves[self.moved..] {
            discard(&files::path_of(&one.temporary));
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
        // One that is locked is of a living process.
        let mut list = Vec::new();
        if file.try_lock().is_err() || file.read_to_end(&mut list).is_err() {
            continue;
        }
        for temporary in list.split(|&byte| byte == 0).filter(|name| is_temporary(bytes::name(name))) {
            discard(&files::path_of(temporary));
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
fn beside(path: &Bytes) -> Vec<u8> {
    let folder = bytes::parent(path).unwrap_or(b"/");
    bytes::join(folder, format!("{PREFIX}{}{SUFFIX}", unique()).as_bytes())
}

/// Moves `temporary` to `path`, in the place of a file or an empty folder.
fn replace(temporary: &Path, path: &Path) -> io::Result<()> {
    let Err(error) = fs::rename(temporary, path) else { return Ok(()) };
    // A folder and what is none can't replace each other.
    match files::identity(path, false) {
        Ok(now) if now.file_type == FileType::Directory => fs::remove_dir(path),
        Ok(_) => fs::remove_file(path),
        Err(_) => return Err(error),
    }
    .map_err(|_| error)?;
    fs::rename(temporary, path)
}
