//! What came of all runs so far, in numbers, and how much was stored.

use std::collections::BTreeMap;
use std::fs::{File, TryLockError};
use std::io::Write;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::records::{Record, encode};
use super::{Store, StoreError};

/// How often to try for a lock, and how long to wait in between: whoever holds it needs far less, unless it was stopped.
const TRIES: u32 = 20;
const PAUSE: Duration = Duration::from_micros(300);

/// What came of all runs since the cache was made or cleared.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// Runs that a kept one took the place of.
    pub hits: u64,
    /// Runs that were kept, or could have been.
    pub misses: u64,
    /// Runs that could not be kept, by the kind of reason.
    pub uncached: BTreeMap<String, u64>,
    /// Milliseconds that hits saved.
    pub saved_ms: u64,
    /// About how many bytes the store holds: exact when it was last collected, what was added since is estimated.
    pub bytes: u64,
}

impl Record for Counters {
    const FOLDER: &'static str = "counters";
    const KIND: u8 = 9;
}

/// The only record of its kind.
const NAME: &str = "all";

impl Store {
    /// What was counted so far.
    ///
    /// # Errors
    /// The store can't be read.
    pub fn counters(&self) -> Result<Counters, StoreError> {
        Ok(self.read_record(NAME)?.whole().unwrap_or_default())
    }

    /// Counts a run; gives what was counted so far. Where another process is at it for too long, or there is no room, a run
    /// more or less is not worth waiting for.
    ///
    /// # Errors
    /// The store can't be read or written to.
    pub fn count(&self, add: impl FnOnce(&mut Counters)) -> Result<Counters, StoreError> {
        let Some(_lock) = self.lock("counters", TRIES)? else { return self.counters() };
        let mut counters = self.counters()?;
        add(&mut counters);
        self.rewrite(&counters)?;
        Ok(counters)
    }

    /// Writes the counters over those that are there: a new file in their place would be the dearest part of a hit. They are
    /// short, the lock is held, and what a crash leaves of them is no more than a wrong number, or damage.
    fn rewrite(&self, counters: &Counters) -> Result<(), StoreError> {
        let path = self.record_path::<Counters>(NAME);
        let bytes = encode(counters, &path)?;
        match File::options().write(true).open(&path) {
            Ok(mut file) if file.metadata().is_ok_and(|known| known.len() <= bytes.len() as u64) => {
                file.write_all(&bytes).map_err(StoreError::io(&path, "write it"))
            }
            _ => self.write_record(NAME, counters),
        }
    }

    /// A lock of the store, which is given back when the file is closed, or its process ends in whatever way; `None` if
    /// another process keeps it.
    pub(super) fn lock(&self, name: &str, tries: u32) -> Result<Option<File>, StoreError> {
        let path = self.folder.join(format!(".{name}.lock"));
        let failed = || StoreError::io(&path, "lock it");
        let file = File::options().write(true).create(true).truncate(false).open(&path).map_err(failed())?;
        for attempt in 0..tries {
            match file.try_lock() {
                Ok(()) => return Ok(Some(file)),
                Err(TryLockError::Error(error)) => return Err(failed()(error)),
                Err(TryLockError::WouldBlock) if attempt + 1 < tries => std::thread::sleep(PAUSE),
                Err(TryLockError::WouldBlock) => {}
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_counted_one_at_a_time_and_a_stopped_process_holds_nobody_up() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        for _ in 0..3 {
            store.count(|counters| counters.hits += 1).unwrap();
        }
        let held = store.lock("counters", 1).unwrap();
        assert!(held.is_some() && store.lock("counters", 2).unwrap().is_none());
        assert_eq!(store.count(|counters| counters.hits += 1).unwrap().hits, 3);
        drop(held);
        assert_eq!(store.count(|counters| counters.hits += 1).unwrap().hits, 4);
    }
}
