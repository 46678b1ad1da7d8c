//! Runs of one command that are under way at the same time: what one leaves may be the other's work, half done.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use platform::files;

use super::{Store, unique};
use crate::task::ActionKey;

/// Tells others that a run is under way, until it is dropped.
///
/// Two runs that overlap both learn of it: whoever begins while another holds the lock leaves a mark, which that one finds at its end. Two
/// that begin at the same instant are told by the identity that each writes while it has the lock alone.
#[derive(Debug)]
pub(crate) struct Running {
    file: File,
    path: PathBuf,
    /// Whether another was under way when this one began.
    has_overlapped: bool,
    is_last: bool,
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
            let mut file = match open(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    files::create_private_folder(&folder)?;
                    open(&path)?
                }
                file => file?,
            };
            let own = unique();
            let mut has_overlapped = file.try_lock().is_err();
            if !has_overlapped {
                write(&mut file, &own)?;
                // Left by runs that were killed.
                let _ = fs::remove_file(mark(&path));
                file.unlock()?;
            }
            file.lock_shared()?;
            // Whoever was alone may have removed it meanwhile.
            if !is_at(&file, &path) {
                continue;
            }
            has_overlapped |= read(&mut file)? != own.as_bytes();
            if has_overlapped {
                open(&mark(&path))?;
            }
            return Ok(Running { file, path, has_overlapped, is_last: false });
        }
    }
}

impl Running {
    /// Whether no other run with the key has been under way since this one began. If none is now, none begins until this one is dropped.
    pub(crate) fn was_alone(&mut self) -> bool {
        // What one has already is not everywhere to be had in another way. Wine says that it fails, having done it; where it does
        // fail the other is not had.
        let _ = self.file.unlock();
        self.is_last = self.file.try_lock().is_ok();
        self.is_last && !self.has_overlapped && !mark(&self.path).exists()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.is_last {
            // Those that wait for it find that it has gone, and meet at another.
            let _ = fs::remove_file(mark(&self.path));
            let _ = fs::remove_file(&self.path);
        }
        // A forked process may not have closed its copy yet.
        let _ = self.file.unlock();
    }
}

/// Stands for runs that have overlapped.
fn mark(path: &Path) -> PathBuf {
    path.with_extension("overlapped")
}

fn write(file: &mut File, text: &str) -> io::Result<()> {
    file.set_len(0)?;
    file.seek(SeekFrom::Start(0))?;
    file.write_all(text.as_bytes())
}

fn read(file: &mut File) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    file.seek(SeekFrom::Start(0))?;
    file.read_to_end(&mut text)?;
    Ok(text)
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
