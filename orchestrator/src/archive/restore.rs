//! Putting back what a run left behind: what is right already is left alone, what is not is replaced whole.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use platform::files::{self, FileType, Identity};

use super::times::{Past, renewed};
use super::{InPlace, Left, Output};
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
    /// That of their restoration, in the order in which the run made them: what `make` expects.
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

impl RestoreError {
    /// Whether there is no room for the outputs: there is nothing wrong with what is stored.
    pub(crate) fn is_no_room(&self) -> bool {
        let source = match self {
            Self::Path { source, .. } | Self::Store(StoreError::Io { source, .. }) => source,
            Self::Store(_) => return false,
        };
        use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
        matches!(source.kind(), StorageFull | QuotaExceeded | FileTooLarge)
    }

    /// Whether the store does not hold what it should.
    pub(crate) fn is_damage(&self) -> bool {
        matches!(self, Self::Store(StoreError::Blob { .. }))
    }
}

/// Puts outputs back; those that are in place are left alone but for their modification times.
pub(crate) fn restore(
    contents: &Contents<'_>,
    outputs: &[Output],
    in_place: &[Option<InPlace>],
    past: Past,
    mtime: Mtime,
) -> Result<Restored, RestoreError> {
    let times = match mtime {
        Mtime::Now => renewed(outputs, in_place, past),
        Mtime::Recorded => {
            let recorded = |output: &Output| UNIX_EPOCH + Duration::from_nanos(output.mtime_ns);
            let is_file = |output: &Output| output.left.content().is_some();
            let each = outputs.iter().zip(in_place);
            each.map(|(output, now)| (now.is_none() && is_file(output)).then(|| recorded(output))).collect()
        }
    };
    let each = outputs.iter().zip(&times).zip(in_place);
    let wrong: Vec<Wrong<'_>> = each
        .filter(|(_, now)| now.is_none())
        .map(|((output, time), _)| (output, time.unwrap_or_else(SystemTime::now)))
        .collect();
    let mut restored = Restored { already: (outputs.len() - wrong.len()) as u64, ..Restored::default() };
    // The permission bits of folders come last: they may forbid to put something into them.
    let mut late: BTreeMap<&Bytes, (&Output, u16)> = BTreeMap::new();
    let put_back = put_back(contents, &wrong, mtime, &mut late, &mut restored);
    // They are set even if something failed: the command, which is run then, would not set those of a folder it finds.
    let set = late.into_iter().rev().try_for_each(|(path, (output, mode))| {
        let path = path.to_path();
        let given = output.attributes.give(&path);
        given.and_then(|()| files::set_mode(&path, u32::from(mode))).map_err(failed(&path))
    });
    put_back.and(set)?;
    // Last, since what is put into a folder changes its time.
    for ((output, time), now) in outputs.iter().zip(&times).zip(in_place) {
        let is_file = matches!(output.left, Left::File { .. });
        if let Some(time) = time.filter(|_| now.is_some() || !is_file) {
            // Where this user may not, whoever goes by times does a little more than need be.
            let _ = files::set_modified(&output.path.to_path(), time);
        }
    }
    Ok(restored)
}

/// An output that is not in place, and the modification time that a file gets.
type Wrong<'o> = (&'o Output, SystemTime);

/// Puts back what is wrong, but for what is to be done `late`.
fn put_back<'o>(
    contents: &Contents<'_>,
    wrong: &[Wrong<'o>],
    mtime: Mtime,
    late: &mut BTreeMap<&'o Bytes, (&'o Output, u16)>,
    restored: &mut Restored,
) -> Result<(), RestoreError> {
    for (digest, size) in wrong.iter().filter_map(|(output, _)| output.left.content()) {
        contents.has(digest, size)?;
    }
    let (mut plain, mut linked) = (Vec::new(), Vec::new());
    for &(output, time) in wrong {
        let path = output.path.to_path();
        match &output.left {
            Left::Absent => continue,
            Left::Mode(mode) => {
                late.insert(&output.path, (output, *mode));
            }
            Left::Directory { mode } => {
                make_folder(&path).map_err(failed(&path))?;
                late.insert(&output.path, (output, *mode));
            }
            Left::Symlink { target } => replace(&path, |temporary| {
                let made = files::symlink(&target.to_path(), temporary);
                made.and_then(|()| output.attributes.give(temporary)).map_err(failed(&path))
            })?,
            Left::File { size, .. } => {
                match output.link_to {
                    Some(_) => linked.push(output),
                    None => plain.push((output, time)),
                }
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
    for (output, _) in wrong.iter().rev().filter(|(output, _)| output.left == Left::Absent) {
        let path = output.path.to_path();
        remove(&path).map_err(failed(&path))?;
        restored.removed += 1;
    }
    Ok(())
}

fn put_files(contents: &Contents<'_>, outputs: &[Wrong<'_>], mtime: Mtime) -> Result<(), RestoreError> {
    let written = in_parallel(outputs, WORTH_A_THREAD, |part| {
        part.iter().map(|output| put_file(contents, output)).collect::<Result<Vec<_>, RestoreError>>()
    });
    let written = written.into_iter().collect::<Result<Vec<_>, _>>()?;
    let known = contents.store.known();
    if outputs.is_empty() || mtime != Mtime::Now {
        return Ok(());
    }
    // Nobody else gives this file just this time: if it has it, it still holds what was written. What is changed from now
    // on is known by its status change time.
    known.take_barrier();
    for ((output, _), written) in outputs.iter().zip(written.into_iter().flatten()) {
        let path = output.path.to_path();
        let Some((digest, written)) = written else { continue };
        let same = |now: &Identity| {
            // To be moved into its place has changed its status.
            Identity { ctime_ns: written.ctime_ns, links: written.links, ..*now } == written
        };
        match files::identity(&path, false) {
            Ok(now) if same(&now) && known.is_settled(&path, &now) => known.put(&now, digest),
            _ => {}
        }
    }
    Ok(())
}

/// Gives what was written, and as what it was left.
fn put_file(
    contents: &Contents<'_>,
    &(output, time): &Wrong<'_>,
) -> Result<Option<(Digest, Identity)>, RestoreError> {
    let path = output.path.to_path();
    let Left::File { digest, size, mode } = output.left else { return Ok(None) };
    let mut written = None;
    replace(&path, |temporary| {
        let file = files::create_private(temporary).map_err(failed(&path))?;
        contents.write(digest, size, &file, &path)?;
        output.attributes.give_new(&file, temporary).map_err(failed(&path))?;
        files::set_mode_of_open(&file, u32::from(mode)).map_err(failed(&path))?;
        file.set_modified(time).map_err(failed(&path))?;
        written = Some((digest, files::identity_of_open(&file).map_err(failed(&path))?));
        Ok(())
    })?;
    Ok(written)
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> RestoreError {
    |source| RestoreError::Path { path: path.display().to_string(), source }
}

/// Lets `make` make something under a temporary name beside `path`, and moves it there.
fn replace(path: &Path, make: impl FnOnce(&Path) -> Result<(), RestoreError>) -> Result<(), RestoreError> {
    let own = files::bytes_of_path(path);
    let folder = bytes::parent(&own).unwrap_or(b"/");
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
