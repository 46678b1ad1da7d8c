//! Changes that are made together: if one of them can't be made, those that have been are taken back.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use platform::files::{self, FileType};

/// A path that becomes another, and the names beside it that this takes.
#[derive(Debug)]
pub(super) struct Place {
    /// The path.
    pub(super) path: PathBuf,
    /// Where what comes there is prepared.
    pub(super) prepared: PathBuf,
    /// Where what stood there is kept until all is done.
    pub(super) kept: PathBuf,
}

/// How one change is taken back.
#[derive(Debug)]
enum Undo {
    /// Nothing stood there: it goes back, to the second, where it was prepared.
    Withdraw(PathBuf, PathBuf),
    /// What stood there is kept under another name, the first.
    Return(PathBuf, PathBuf),
    /// There was an empty folder, with these permission bits.
    MakeFolder(PathBuf, u32),
    /// It had these permission bits.
    Mode(PathBuf, u32),
}

/// What was changed, in order. Dropped without [`Changes::keep`] it is changed back, as far as that can be done.
#[derive(Debug, Default)]
pub(super) struct Changes {
    done: Vec<Undo>,
}

impl Changes {
    /// Puts what is prepared into its place.
    pub(super) fn put(&mut self, place: &Place) -> io::Result<()> {
        let is_new = match files::identity(&place.path, false) {
            Ok(now) if now.file_type == FileType::Directory => {
                self.remove_folder(&place.path, now.mode)?;
                true
            }
            // A folder can't be moved over what is none.
            Ok(_) if fs::symlink_metadata(&place.prepared)?.is_dir() => {
                self.remove(place)?;
                true
            }
            Ok(_) => {
                // Where there are no links it can't be taken back.
                if fs::hard_link(&place.path, &place.kept).is_ok() {
                    self.done.push(Undo::Return(place.kept.clone(), place.path.clone()));
                }
                false
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => true,
            Err(error) => return Err(error),
        };
        fs::rename(&place.prepared, &place.path)?;
        if is_new {
            self.done.push(Undo::Withdraw(place.path.clone(), place.prepared.clone()));
        }
        Ok(())
    }

    /// Removes a file, link or empty folder.
    pub(super) fn remove(&mut self, place: &Place) -> io::Result<()> {
        let now = files::identity(&place.path, false)?;
        if now.file_type == FileType::Directory {
            return self.remove_folder(&place.path, now.mode);
        }
        fs::rename(&place.path, &place.kept)?;
        self.done.push(Undo::Return(place.kept.clone(), place.path.clone()));
        Ok(())
    }

    fn remove_folder(&mut self, path: &Path, mode: u32) -> io::Result<()> {
        fs::remove_dir(path)?;
        self.done.push(Undo::MakeFolder(path.to_owned(), mode));
        Ok(())
    }

    /// Sets permission bits.
    pub(super) fn set_mode(&mut self, path: &Path, mode: u32) -> io::Result<()> {
        let before = files::identity(path, false)?.mode;
        files::set_mode(path, mode)?;
        self.done.push(Undo::Mode(path.to_owned(), before));
        Ok(())
    }

    /// They stay.
    pub(super) fn keep(mut self) {
        for undo in std::mem::take(&mut self.done) {
            if let Undo::Return(kept, _) = undo {
                // It is swept later if it can't be removed now.
                let _ = fs::remove_file(kept);
            }
        }
    }
}

impl Drop for Changes {
    fn drop(&mut self) {
        for undo in std::mem::take(&mut self.done).into_iter().rev() {
            // What can't be taken back stays: the command runs on it.
            let _ = match &undo {
                Undo::Withdraw(path, prepared) => fs::rename(path, prepared),
                Undo::Return(kept, path) => fs::rename(kept, path),
                Undo::MakeFolder(path, mode) => {
                    fs::create_dir(path).and_then(|()| files::set_mode(path, *mode))
                }
                Undo::Mode(path, mode) => files::set_mode(path, *mode),
            };
            if let Undo::Return(kept, _) = undo {
                // To rename a file to another name of its own does nothing.
                let _ = fs::remove_file(kept);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(folder: &Path, name: &str) -> Place {
        let at = |end: &str| folder.join(format!("{name}{end}"));
        fs::write(at(".new"), "new").unwrap();
        Place { path: at(""), prepared: at(".new"), kept: at(".kept") }
    }

    fn state(folder: &Path) -> Vec<(String, String, u32)> {
        let mut found: Vec<_> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| {
                let path = entry.unwrap().path();
                let content = fs::read_to_string(&path).unwrap_or_else(|_| "a folder".into());
                let name = path.file_name().unwrap().to_string_lossy().into_owned();
                (name, content, files::identity(&path, false).unwrap().mode)
            })
            .filter(|(name, ..)| !name.ends_with(".new"))
            .collect();
        found.sort();
        found
    }

    /// A file that is there, one that is not, a folder in the place of a file, a file and a folder to be removed.
    fn change(folder: &Path, changes: &mut Changes) {
        for name in ["there", "absent", "folder"] {
            changes.put(&place(folder, name)).unwrap();
        }
        for name in ["gone", "gone too"] {
            changes.remove(&place(folder, name)).unwrap();
        }
        let place = Place {
            path: folder.join("turned"),
            prepared: folder.join("turned.new"),
            kept: folder.join("turned.kept"),
        };
        fs::create_dir(&place.prepared).unwrap();
        changes.put(&place).unwrap();
        changes.set_mode(&folder.join("mode"), 0o640).unwrap();
    }

    fn prepared() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for name in ["there", "gone", "mode", "turned"] {
            fs::write(folder.path().join(name), name).unwrap();
        }
        for name in ["folder", "gone too"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        folder
    }

    #[test]
    fn what_is_not_kept_is_as_it_was() {
        let folder = prepared();
        let before = state(folder.path());
        let mut changes = Changes::default();
        change(folder.path(), &mut changes);
        assert_ne!(state(folder.path()), before);
        drop(changes);
        assert_eq!(state(folder.path()), before);
    }

    #[test]
    fn what_is_kept_leaves_nothing_else_behind() {
        let folder = prepared();
        let mut changes = Changes::default();
        change(folder.path(), &mut changes);
        changes.keep();
        let names: Vec<_> = state(folder.path()).into_iter().map(|(name, ..)| name).collect();
        assert_eq!(names, ["absent", "folder", "mode", "there", "turned"]);
        assert_eq!(fs::read_to_string(folder.path().join("there")).unwrap(), "new");
    }
}
