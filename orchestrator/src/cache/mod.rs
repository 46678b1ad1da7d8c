//! The store of runs: where things lie, and what can go wrong with them.

mod collect;
mod contents;
mod counters;
mod exchange;
mod keep;
mod known;
mod lookup;
mod miss;
mod records;
mod running;
mod runs;
mod seen;

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use platform::files;

pub use self::collect::{Collected, LIMIT, Verified};
pub(crate) use self::contents::{Contents, in_parallel};
pub use self::counters::Counters;
pub(crate) use self::exchange::{Arrived, Export};
pub(crate) use self::keep::ResultRecord;
pub use self::keep::{Kept, KeptRun, OutputChunk, Stream};
pub use self::known::KnownDigests;
pub use self::lookup::{Entry, Lookup};
pub use self::miss::{Difference, Entries, MissReason, Missed};
pub use self::runs::{Declared, Outcome, RunError, RunId, RunRecord};
use crate::declarations::BadGlob;
use crate::fingerprint::Framed;
use crate::remote::Remote;

/// Version of everything in the store: of the records' form, and of what a kept run means. Raise it whenever
/// either changes, such as the variables that do not count.
pub const FORMAT_VERSION: u16 = 11;

/// Why the store could not be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The store's folder belongs to others, who could put anything into it.
    #[error(
        "{path}: other users can write to this cache folder: make it yours alone (chmod 700), or choose another with --cache-dir"
    )]
    Shared {
        /// The folder.
        path: String,
    },
    /// Something in the store could not be read or written.
    #[error("{path}: can't {verb}: {source}")]
    Io {
        /// What.
        path: String,
        /// What was tried.
        verb: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// A content is not in the store, or not as it was put there.
    #[error("{path}: this content of the cache is missing or damaged; the command has to run")]
    Blob {
        /// Where it should be.
        path: String,
    },
    /// An output changed while it was being kept.
    #[error("{path}: it changed while it was being stored; the run is not kept")]
    Changed {
        /// The output.
        path: String,
    },
    /// A glob of the policy is not one.
    #[error(transparent)]
    Glob(BadGlob),
    /// A record can't be written down.
    #[error("{path}: can't encode the record: {source}")]
    Encode {
        /// The record.
        path: String,
        /// What the format said.
        source: postcard::Error,
    },
}

impl StoreError {
    fn io(path: &Path, verb: &'static str) -> impl FnOnce(io::Error) -> Self {
        let path = path.display().to_string();
        move |source| Self::Io { path, verb, source }
    }
}

/// A folder in which runs are kept. Any number of processes may use it at once: every file in it is written
/// under another name and moved into place whole.
#[derive(Clone, Debug)]
pub struct Store {
    folder: PathBuf,
    known: Arc<KnownDigests>,
    remote: Option<Arc<Remote>>,
}

/// How much a store holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Tasks of which runs are kept.
    pub keys: u64,
    /// Kept runs.
    pub results: u64,
    /// Large contents, and packs of small ones.
    pub contents: u64,
    /// Runs that can be explained.
    pub runs: u64,
    /// Bytes of all files.
    pub bytes: u64,
}

/// The folders of a store that hold records and contents.
const FOLDERS: [&str; 11] = [
    "keys", "sets", "results", "details", "seen", "commands", "packs", "blobs", "runs", "traces", "counters",
];

impl Store {
    /// Opens the store under `folder`, which is made if it is not there.
    ///
    /// # Errors
    /// The folder can't be made or written to, or others can write to it.
    pub fn open(folder: &Path) -> Result<Self, StoreError> {
        const TAG: &str = "Signature: 8a477f597d28d172789f06886806bc55\n\
                           # This folder is a cache of tracerun. See https://bford.info/cachedir/\n";
        let own = folder.join(format!("v{FORMAT_VERSION}"));
        let store = Self { known: Arc::new(KnownDigests::of(own.clone())), folder: own, remote: None };
        for path in [folder, &store.folder] {
            files::create_private_folder(path).map_err(StoreError::io(path, "make this cache folder"))?;
            if files::is_writable_by_others(path)
                .map_err(StoreError::io(path, "look at this cache folder"))?
            {
                return Err(StoreError::Shared { path: path.display().to_string() });
            }
        }
        let tag = store.folder.join("CACHEDIR.TAG");
        if !tag.exists() {
            store.write(&tag, TAG.as_bytes())?;
        }
        Ok(store)
    }

    /// The folder with everything in it.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.folder
    }

    /// This one, with a server that is asked for what it lacks, and given what it gets.
    #[must_use]
    pub fn with_remote(mut self, remote: Remote) -> Self {
        self.remote = Some(Arc::new(remote));
        self
    }

    /// The server that is asked for what it lacks.
    #[must_use]
    pub fn remote(&self) -> Option<&Arc<Remote>> {
        self.remote.as_ref()
    }

    /// What files are known to hold.
    #[must_use]
    pub fn known(&self) -> &KnownDigests {
        &self.known
    }

    /// The folder for the preload library.
    #[must_use]
    pub fn library_folder(&self) -> PathBuf {
        self.folder.join("lib")
    }

    /// The folder in which runs that are under way have their endpoints for tools.
    #[must_use]
    pub fn endpoint_folder(&self) -> PathBuf {
        self.folder.join("endpoints")
    }

    /// The folder with a list for each process that is putting something back.
    pub(crate) fn journals(&self) -> PathBuf {
        self.folder.join("restoring")
    }

    /// How much the store holds.
    ///
    /// # Errors
    /// A folder of the store can't be read.
    pub fn stats(&self) -> Result<Stats, StoreError> {
        let mut stats = Stats::default();
        for name in FOLDERS {
            let mut files = 0;
            walk(&self.folder.join(name), &mut |_, size| {
                files += 1;
                stats.bytes += size;
            })?;
            match name {
                "keys" => stats.keys = files,
                "results" => stats.results = files,
                "packs" | "blobs" => stats.contents += files,
                "runs" => stats.runs = files,
                _ => {}
            }
        }
        Ok(stats)
    }

    /// Removes every kept run, content, record and count; not the preload library, which may be in use.
    ///
    /// # Errors
    /// Something can't be removed.
    pub fn clear(&self) -> Result<(), StoreError> {
        // What files are known to hold is found out again.
        let _ = fs::remove_file(self.folder.join(known::NAME));
        for name in FOLDERS {
            let path = self.folder.join(name);
            match fs::remove_dir_all(&path) {
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    return Err(StoreError::io(&path, "remove it")(error));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Puts a file into the store whole: no process sees a part of it.
    fn write(&self, path: &Path, content: &[u8]) -> Result<(), StoreError> {
        use std::io::Write;
        let failed = || StoreError::io(path, "write it");
        self.place(path, |temporary| {
            let mut file = fs::File::create_new(temporary).map_err(failed())?;
            file.write_all(content).map_err(failed())
        })
    }

    /// Lets `make` make a file under a temporary name beside `path`, and moves it there. Makes the folder of the
    /// store that it lies in only if it is missing, which is rare.
    fn place(&self, path: &Path, make: impl Fn(&Path) -> Result<(), StoreError>) -> Result<(), StoreError> {
        let folder = path.parent().unwrap_or(&self.folder);
        let temporary = folder.join(format!(".{}.tmp", unique()));
        let made = match make(&temporary) {
            Err(StoreError::Io { source, .. }) if source.kind() == ErrorKind::NotFound => {
                files::create_private_folder(folder).map_err(StoreError::io(folder, "make this folder"))?;
                make(&temporary)
            }
            made => made,
        };
        let made = made.and_then(|()| fs::rename(&temporary, path).map_err(StoreError::io(path, "write it")));
        if made.is_err() {
            // It may not have been made at all.
            let _ = fs::remove_file(&temporary);
        }
        made
    }
}

/// A name that no other process and no other call gives.
pub(crate) fn unique() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let mut name = Framed::new("tracerun unique");
    name.field(&since.as_nanos().to_le_bytes()).number(std::process::id().into());
    // Containers that share a store may give the same process id at the same time; where the program and its
    // stack lie differs even then.
    name.number(&raw const name as u64)
        .number(unique as *const () as u64)
        .number(COUNT.fetch_add(1, Ordering::Relaxed));
    name.finish().to_string()[..16].to_owned()
}

/// Calls `each` with every file below `folder` and its length; none where there is no such folder.
fn walk(folder: &Path, each: &mut dyn FnMut(&Path, u64)) -> Result<(), StoreError> {
    let failed = |error| StoreError::io(folder, "read this folder")(error);
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(failed)?,
    };
    for entry in entries {
        let entry = entry.map_err(failed)?;
        let path = entry.path();
        // What has gone since is not there.
        match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => walk(&path, each)?,
            Ok(metadata) => each(&path, metadata.len()),
            Err(_) => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_is_private_and_says_that_it_is_a_cache() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/cache");
        let store = Store::open(&path).unwrap();
        assert_eq!(files::identity(&path, true).unwrap().mode, 0o700);
        let tag = fs::read_to_string(store.path().join("CACHEDIR.TAG")).unwrap();
        assert!(tag.starts_with("Signature: 8a477f597d28d172789f06886806bc55\n"));
    }

    #[test]
    fn a_folder_that_others_can_write_to_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        files::set_mode(folder.path(), 0o777).unwrap();
        let error = Store::open(folder.path()).unwrap_err();
        assert!(matches!(error, StoreError::Shared { .. }), "{error}");
        assert!(error.to_string().contains("--cache-dir"));
    }

    #[test]
    fn a_folder_that_is_a_file_is_an_error_that_names_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, "").unwrap();
        let error = Store::open(&path).unwrap_err();
        assert!(error.to_string().contains(&path.display().to_string()), "{error}");
    }

    #[test]
    fn no_two_names_are_the_same() {
        let names: std::collections::HashSet<_> = (0..1000).map(|_| unique()).collect();
        assert_eq!(names.len(), 1000);
    }
}
