//! Putting back what a run left behind: what is right already is left alone, what is not is replaced whole.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use platform::files::{self, FileType};

use super::{Left, Output};
use crate::bytes::{self, Bytes};
use crate::cache::{Contents, StoreError, in_parallel, unique};
use crate::fingerprint::Digest;

/// So many files to write are worth a thread.
const WORTH_A_THREAD: usize = 64;

/// Why the outputs of a run could not be put back; the command is to be run instead.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The store does not hold what it should.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A path could not be changed.
    #[error("{path}: can't restore it: {source}")]
    Path {
        /// The path.
        path: String,
        /// What the system said.
        source: io::Error,
    },
}

/// The modification time that restored files get.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mtime {
    /// That of their restoration, as if the command had run: what `make` expects.
    #[default]
    Now,
    /// That which the run left.
    Recorded,
}

/// What was done to put the outputs of a run back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Restored {
    /// Outputs that were written.
    pub written: u64,
    /// Outputs that were removed.
    pub removed: u64,
    /// Outputs that were right already.
    pub already: u64,
    /// Bytes of file content written.
    pub bytes: u64,
}

/// A file that was written, and with what modification time.
struct Written {
    digest: Digest,
    size: u64,
    mtime_ns: i128,
}

/// Puts outputs back; those of which `right` says so are left alone.
pub(crate) fn restore(
    contents: &Contents<'_>,
    outputs: &[Output],
    right: &[bool],
    mtime: Mtime,
) -> Result<Restored, RestoreError> {
    let wrong: Vec<&Output> =
        outputs.iter().zip(right).filter(|(_, right)| !**right).map(|(output, _)| output).collect();
    let mut restored = Restored { already: (outputs.len() - wrong.len()) as u64, ..Restored::default() };
    for (digest, size) in wrong.iter().filter_map(|output| output.left.content()) {
        contents.has(digest, size)?;
    }
    // The permission bits of folders come last: they may forbid to put something into them.
    let mut late: BTreeMap<&Bytes, (&Output, u16)> = BTreeMap::new();
    let (mut plain, mut linked) = (Vec::new(), Vec::new());
    for output in &wrong {
        let path = output.path.to_path();
        match &output.left {
            Left::Absent => continue,
            Left::Mode(mode) => {
                late.insert(&output.path, (output, *mode));
            }
            Left::Directory { mode } => {
                late.insert(&output.path, (output, *mode));
                make_folder(&path).map_err(failed(&path))?;
            }
            Left::Symlink { target } => replace(&path, |temporary| {
                let made = files::symlink(&target.to_path(), temporary);
                made.and_then(|()| output.attributes.give(temporary)).map_err(failed(&path))
            })?,
            Left::File { size, .. } => {
                if output.link_to.is_some() { &mut linked } else { &mut plain }.push(*output);
                restored.bytes += size;
            }
        }
        restored.written += 1;
    }
    put_files(contents, &plain, mtime)?;
    for output in linked {
        let (path, first) =
            (output.path.to_path(), output.link_to.as_ref().unwrap_or(&output.path).to_path());
        replace(&path, |temporary| fs::hard_link(first, temporary).map_err(failed(&path)))?;
    }
    for output in wrong.iter().rev().filter(|output| output.left == Left::Absent) {
        let path = output.path.to_path();
        remove(&path).map_err(failed(&path))?;
        restored.removed += 1;
    }
    for (path, (output, mode)) in late.into_iter().rev() {
        let path = path.to_path();
        let given = output.attributes.give(&path);
        given.and_then(|()| files::set_mode(&path, u32::from(mode))).map_err(failed(&path))?;
    }
    Ok(restored)
}

fn put_files(contents: &Contents<'_>, outputs: &[&Output], mtime: Mtime) -> Result<(), RestoreError> {
    let written = in_parallel(outputs, WORTH_A_THREAD, |part| {
        part.iter().map(|output| put_file(contents, output, mtime)).collect::<Result<Vec<_>, RestoreError>>()
    });
    let written = written.into_iter().collect::<Result<Vec<_>, _>>()?;
    let known = contents.store.known();
    if outputs.is_empty() || mtime != Mtime::Now {
        return Ok(());
    }
    // Nobody else gives a file just this time: what has it still holds what was written. What is changed from now on is
    // known by its status change time.
    known.take_barrier();
    for (output, written) in outputs.iter().zip(written.into_iter().flatten()) {
        let path = output.path.to_path();
        let Written { digest, size, mtime_ns } = written;
        match files::identity(&path, false) {
            Ok(now) if now.mtime_ns == mtime_ns && now.size == size && known.is_settled(&path, &now) => {
                known.put(&now, digest);
            }
            _ => {}
        }
    }
    Ok(())
}

fn put_file(contents: &Contents<'_>, output: &Output, mtime: Mtime) -> Result<Written, RestoreError> {
    let path = output.path.to_path();
    let Left::File { digest, size, mode } = output.left else {
        return Ok(Written { digest: Digest([0; 32]), size: 0, mtime_ns: 0 });
    };
    let mut time = SystemTime::now();
    replace(&path, |temporary| {
        let file = files::create_private(temporary).map_err(failed(&path))?;
        contents.write(digest, size, &file, &path)?;
        output.attributes.give_new(&file, temporary).map_err(failed(&path))?;
        files::set_mode_of_open(&file, u32::from(mode)).map_err(failed(&path))?;
        time = match mtime {
            Mtime::Now => SystemTime::now(),
            Mtime::Recorded => UNIX_EPOCH + Duration::from_nanos(output.mtime_ns),
        };
        file.set_modified(time).map_err(failed(&path))
    })?;
    let mtime_ns = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos() as i128;
    Ok(Written { digest, size, mtime_ns })
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> RestoreError {
    |source| RestoreError::Path { path: path.display().to_string(), source }
}

/// Lets `make` make something under a temporary name beside `path`, and moves it there.
fn replace(path: &Path, make: impl FnOnce(&Path) -> Result<(), RestoreError>) -> Result<(), RestoreError> {
    let own = files::bytes_of(path.as_os_str());
    let folder = bytes::parent(own).unwrap_or(b"/");
    let temporary = files::path_of(&bytes::join(folder, format!(".tracerun-{}.tmp", unique()).as_bytes()));
    let moved = || match fs::rename(&temporary, path) {
        Err(error) if files::identity(path, false).is_ok_and(|now| now.file_type == FileType::Directory) => {
            fs::remove_dir(path).map_err(|_| error)?;
            fs::rename(&temporary, path)
        }
        moved => moved,
    };
    let made = make(&temporary).and_then(|()| moved().map_err(failed(path)));
    if made.is_err() {
        // It may not have been made at all.
        let _ = fs::remove_file(&temporary);
    }
    made
}

/// Makes a folder that this user can put something into, in the place of whatever is there but a folder.
fn make_folder(path: &Path) -> io::Result<()> {
    match files::identity(path, false) {
        Ok(now) if now.file_type == FileType::Directory => return Ok(()),
        Ok(_) => fs::remove_file(path)?,
        Err(_) => {}
    }
    fs::create_dir(path)?;
    files::set_mode(path, 0o700)
}

/// Removes a file, link or empty folder.
fn remove(path: &Path) -> io::Result<()> {
    match files::identity(path, false)?.file_type {
        FileType::Directory => fs::remove_dir(path),
        _ => fs::remove_file(path),
    }
}
