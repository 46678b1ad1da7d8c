//! Runs of one command that are under way at the same time: what one leaves may be the other's work, half done.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use platform::files;

use super::Store;
use crate::task::ActionKey;

/// Tells others that a run is under way, until it is dropped.
#[derive(Debug)]
pub(crate) struct Running {
    file: File,
    path: PathBuf,
    is_alone: bool,
}

impl Store {
    /// Tells others that a run with this key begins. Waits while another is just being stored.
    ///
    /// # Errors
    /// The store can't be written, or its file system has no locks.
    pub(crate) fn begin_run(&self, key: ActionKey) -> io::Result<Running> {
        let folder = self.path().join("running");
        let path = folder.join(key.0.to_string());
        loop {
            let file = match open(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    files::create_private_folder(&folder)?;
                    open(&path)?
                }
                file => file?,
            };
            file.lock_shared()?;
            // Whoever was alone may have removed it meanwhile.
            if is_at(&file, &path) {
                return Ok(Running { file, path, is_alone: false });
            }
        }
    }
}

impl Running {
    /// Whether no other run with the key is under way. If so none begins until this one is dropped; if not, whoever else
    /// asks may be alone.
    pub(crate) fn is_alone(&mut self) -> bool {
        // What one has already is not everywhere to be had in another way. Wine says that it fails, having done it; where it does
        // fail the other is not had.
        let _ = self.file.unlock();
        self.is_alone = self.file.try_lock().is_ok();
        self.is_alone
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.is_alone {
            // Those that wait for it find that it has gone, and meet at another.
            let _ = fs::remove_file(&self.path);
        }
        // A forked process may not have closed its copy yet.
        let _ = self.file.unlock();
    }
}

fn open(path: &Path) -> io::Result<File> {
    File::options().read(true).write(true).create(true).truncate(false).open(path)
}

fn is_at(file: &File, path: &Path) -> bool {
    let key = |identity: files::Identity| (identity.device, identity.inode);
    match (files::identity_of_open(file), files::identity(path, false)) {
        (Ok(open), Ok(named)) => key(open) == key(named),
        _ => false,
    }
}
