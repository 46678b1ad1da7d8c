//! Putting back what a run left behind: what is right already is left alone, what is not is replaced whole.

use std::fs;
use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use platform::files::{self, FileType, Identity};
use platform::process::HeldSignals;

use super::changes::Changes;
use super::staging::Staging;
use super::times::{Past, renewed};
use super::{InPlace, Left, Output};
use crate::cache::{Contents, StoreError, in_parallel};
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
    /// This process was told to end.
    #[error("interrupted while the outputs were put back")]
    Interrupted,
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
            Self::Store(_) | Self::Interrupted => return false,
        };
        use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
        matches!(source.kind(), StorageFull | QuotaExceeded | FileTooLarge)
    }

    /// Whether the store does not hold what it should.
    pub(crate) fn is_damage(&self) -> bool {
        matches!(self, Self::Store(StoreError::Blob { .. }))
    }
}

/// Puts outputs back; those that are in place are left alone but for their modification times. Everything is made first and
/// then moved: what fails for want of room or of what was stored has changed nothing.
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
    let mut wrong: Vec<Wrong<'_>> = each
        .filter(|(_, now)| now.is_none())
        .map(|((output, time), _)| (output, time.unwrap_or_else(SystemTime::now)))
        .collect();
    // Folders before what comes into them.
    wrong.sort_by(|(one, _), (other, _)| one.path.cmp(&other.path));
    // What was made so far is to be taken away before this process ends.
    let signals = HeldSignals::hold();
    let mut restored = Restored { already: (outputs.len() - wrong.len()) as u64, ..Restored::default() };
    put_back(contents, &wrong, mtime, &signals, &mut restored)?;
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

fn put_back(
    contents: &Contents<'_>,
    wrong: &[Wrong<'_>],
    mtime: Mtime,
    signals: &HeldSignals,
    restored: &mut Restored,
) -> Result<(), RestoreError> {
    for (digest, size) in wrong.iter().filter_map(|(output, _)| output.left.content()) {
        contents.has(digest, size)?;
    }
    let all = || wrong.iter().map(|(output, _)| *output);
    let is_folder =
        |path: &Path| files::identity(path, false).is_ok_and(|now| now.file_type == FileType::Directory);
    let new_folders: Vec<&Output> = all()
        .filter(|output| matches!(output.left, Left::Directory { .. }) && !is_folder(&output.path.to_path()))
        .collect();
    let is_made = |output: &&Output| matches!(output.left, Left::File { .. } | Left::Symlink { .. });
    let is_gone = |output: &&Output| output.left == Left::Absent;
    let gone: Vec<_> = all().rev().filter(is_gone).map(|output| &output.path).collect();
    let staging = Staging::plan(
        new_folders.iter().map(|output| &output.path),
        all().filter(is_made).map(|output| &output.path),
        &gone,
        &contents.store.journals(),
    );

    for output in &new_folders {
        let folder = staging.place(&output.path);
        let made = fs::create_dir(&folder).and_then(|()| files::set_mode(&folder, 0o700));
        made.map_err(failed(&output.path.to_path()))?;
    }
    let is_plain =
        |wrong: &&Wrong<'_>| matches!(wrong.0.left, Left::File { .. }) && wrong.0.link_to.is_none();
    let plain: Vec<Wrong<'_>> = wrong.iter().filter(is_plain).copied().collect();
    let written = write_files(contents, &staging, &plain, signals)?;
    for output in all() {
        let place = staging.place(&output.path);
        let made = match (&output.left, &output.link_to) {
            (Left::Symlink { target }, _) => {
                files::symlink(&target.to_path(), &place).and_then(|()| output.attributes.give(&place))
            }
            (Left::File { .. }, Some(first)) => fs::hard_link(staging.place(first), &place),
            _ => continue,
        };
        made.map_err(failed(&output.path.to_path()))?;
    }

    let mut changes = Changes::default();
    staging.commit(&mut changes).map_err(|(path, source)| failed(&path)(source)).and_then(|()| {
        let mut modes = all().rev().filter_map(|output| match output.left {
            Left::Mode(mode) => Some((output, u32::from(mode))),
            // Its own come last, as they may forbid to change what is in it.
            Left::Directory { mode } => Some((output, u32::from(mode) | 0o700)),
            _ => None,
        });
        modes.try_for_each(|(output, mode)| {
            let path = output.path.to_path();
            let given = output.attributes.give(&path);
            given.and_then(|()| changes.set_mode(&path, mode)).map_err(failed(&path))
        })
    })?;
    changes.keep();
    staging.done();
    remember(contents, &plain, &written, mtime);
    for output in all().rev() {
        if let Left::Directory { mode } = output.left
            && mode & 0o700 != 0o700
        {
            let path = output.path.to_path();
            files::set_mode(&path, u32::from(mode)).map_err(failed(&path))?;
        }
    }
    restored.removed = gone.len() as u64;
    restored.written = wrong.len() as u64 - restored.removed;
    restored.bytes = wrong.iter().filter_map(|(output, _)| output.left.content()).map(|(_, size)| size).sum();
    Ok(())
}

/// What was written of a file, and as what it was left.
type Written = Option<(Digest, Identity)>;

fn write_files(
    contents: &Contents<'_>,
    staging: &Staging,
    outputs: &[Wrong<'_>],
    signals: &HeldSignals,
) -> Result<Vec<Written>, RestoreError> {
    let write = |output: &Wrong<'_>| {
        if signals.are_pending() {
            return Err(RestoreError::Interrupted);
        }
        write_file(contents, staging, output)
    };
    let written = in_parallel(outputs, WORTH_A_THREAD, |part| {
        part.iter().map(write).collect::<Result<Vec<_>, RestoreError>>()
    });
    Ok(written.into_iter().collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
}

fn write_file(
    contents: &Contents<'_>,
    staging: &Staging,
    &(output, time): &Wrong<'_>,
) -> Result<Written, RestoreError> {
    let path = output.path.to_path();
    let Left::File { digest, size, mode } = output.left else { return Ok(None) };
    let place = staging.place(&output.path);
    let file = files::create_private(&place).map_err(failed(&path))?;
    contents.write(digest, size, &file, &path)?;
    output.attributes.give_new(&file, &place).map_err(failed(&path))?;
    files::set_mode_of_open(&file, u32::from(mode)).map_err(failed(&path))?;
    file.set_modified(time).map_err(failed(&path))?;
    Ok(Some((digest, files::identity_of_open(&file).map_err(failed(&path))?)))
}

/// Keeps in mind what the files that were written hold.
fn remember(contents: &Contents<'_>, outputs: &[Wrong<'_>], written: &[Written], mtime: Mtime) {
    let known = contents.store.known();
    if outputs.is_empty() || mtime != Mtime::Now {
        return;
    }
    // Nobody else gives this file just this time: if it has it, it still holds what was written. What is changed from now
    // on is known by its status change time.
    known.take_barrier();
    for ((output, _), written) in outputs.iter().zip(written) {
        let path = output.path.to_path();
        let &Some((digest, written)) = written else { continue };
        let same = |now: &Identity| {
            // To be moved into its place has changed its status.
            Identity { ctime_ns: written.ctime_ns, links: written.links, ..*now } == written
        };
        match files::identity(&path, false) {
            Ok(now) if same(&now) && known.is_settled(&path, &now) => known.put(&now, digest),
            _ => {}
        }
    }
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> RestoreError {
    |source| RestoreError::Path { path: path.display().to_string(), source }
}
