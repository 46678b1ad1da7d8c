//! Keeping the store within its limit and free of damage: what was not used for longest goes first.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::contents::{Contents, Layout, contents};
use super::keep::{Details, KeyRecord, LastRun, ResultRecord};
use super::records::{Found, Record};
use super::seen::Seen;
use super::{FOLDERS, RunRecord, Store, StoreError, walk};
use crate::archive;
use crate::fingerprint::{Digest, PathSet};

use crate::trace::Trace;

/// How many bytes a store may hold unless told otherwise: 10 GiB.
pub const LIMIT: u64 = 10 << 30;
/// What nobody refers to may be about to be: nothing that was written within this time is taken away for that.
const GRACE: Duration = Duration::from_secs(3600);
/// A result that was used again is marked so at most this often.
const TOUCH: Duration = Duration::from_secs(3600);
/// What differs from the last run of a command is no longer asked after this time.
const COMMANDS: Duration = Duration::from_secs(30 * 24 * 3600);

/// What collecting came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Collected {
    /// Results that were removed.
    pub results: u64,
    /// Bytes that were freed.
    pub freed: u64,
    /// Bytes that are left.
    pub left: u64,
}

/// What verifying came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// Records, packs and large contents that were looked at.
    pub checked: u64,
    /// What was damaged, or referred to what is not there, and was removed.
    pub removed: Vec<PathBuf>,
}

/// A kept result, and what it takes.
struct Kept {
    name: String,
    used: SystemTime,
    set: Digest,
    contents: Vec<PathBuf>,
}

impl Store {
    /// Marks a result as used.
    pub(super) fn touch(&self, name: &str) {
        let path = self.record_path::<ResultRecord>(name);
        let used = fs::metadata(&path).and_then(|metadata| metadata.modified());
        if used.is_ok_and(|used| used.elapsed().unwrap_or_default() > TOUCH) {
            // That it was used is lost where it can't be written.
            let _ = platform::files::set_modified(&path, SystemTime::now());
        }
    }

    /// Whether the store is about to hold more than `limit` bytes and nobody is collecting it yet.
    #[must_use]
    pub fn wants_collecting(&self, limit: u64) -> bool {
        self.counters().is_ok_and(|counters| counters.bytes > limit)
            && self.lock("collector", 1).is_ok_and(|lock| lock.is_some())
    }

    /// Removes what nobody refers to, and the results that were not used for longest until no more than `limit` bytes are
    /// left. `None` if another process is at it.
    ///
    /// # Errors
    /// The store can't be read or written to.
    pub fn collect(&self, limit: u64) -> Result<Option<Collected>, StoreError> {
        let Some(_lock) = self.lock("collector", 1)? else { return Ok(None) };
        archive::sweep(&self.journals());
        let began = SystemTime::now();
        let before = |age: Duration| began.checked_sub(age).unwrap_or(SystemTime::UNIX_EPOCH);
        let mut results = self.kept()?;
        results.sort_by_key(|kept| kept.used);
        let mut users: HashMap<PathBuf, u64> = HashMap::new();
        for path in results.iter().flat_map(|kept| &kept.contents) {
            *users.entry(path.clone()).or_default() += 1;
        }
        let mut total = 0;
        for folder in FOLDERS {
            walk(&self.folder.join(folder), &mut |_, size| total += size)?;
        }
        let remove = |path: &Path, left: &mut u64| {
            let size = fs::metadata(path).map_or(0, |metadata| metadata.len());
            // Another process may have been faster.
            if fs::remove_file(path).is_ok() {
                *left = left.saturating_sub(size);
            }
        };
        let mut left = total;
        let mut gone: HashSet<String> = HashSet::new();
        for kept in &results {
            if left <= limit {
                break;
            }
            // Records before contents: what is referred to is there.
            for path in self.records_of(&kept.name) {
                remove(&path, &mut left);
            }
            for path in &kept.contents {
                let users = users.entry(path.clone()).or_default();
                *users = users.saturating_sub(1);
                if *users == 0 && is_older(path, began) {
                    remove(path, &mut left);
                }
            }
            gone.insert(kept.name.clone());
        }
        for folder in ["packs", "blobs"] {
            let mut orphans = Vec::new();
            let is_orphan = |path: &Path| !users.contains_key(path);
            walk(&self.folder.join(folder), &mut |path, _| {
                orphans.extend(is_orphan(path).then(|| path.to_owned()));
            })?;
            for path in orphans.iter().filter(|path| is_older(path, before(GRACE))) {
                remove(path, &mut left);
            }
        }
        let sets = self.forget_results(&results, &gone)?;
        for (path, name) in self.files_of::<PathSet>()? {
            if !sets.contains(&name) && is_older(&path, before(GRACE)) {
                remove(&path, &mut left);
            }
        }
        for (path, _) in self.files_of::<LastRun>()? {
            if is_older(&path, before(COMMANDS)) {
                remove(&path, &mut left);
            }
        }
        self.sweep(before(GRACE))?;
        self.count(|counters| counters.bytes = left)?;
        Ok(Some(Collected { results: gone.len() as u64, freed: total - left, left }))
    }

    /// Reads everything and removes what is damaged. `None` if another process is collecting or verifying.
    ///
    /// # Errors
    /// The store can't be read or written to.
    pub fn verify(&self) -> Result<Option<Verified>, StoreError> {
        let Some(_lock) = self.lock("collector", 1)? else { return Ok(None) };
        let mut verified = Verified::default();
        self.verify_records::<KeyRecord>(&mut verified)?;
        self.verify_records::<PathSet>(&mut verified)?;
        self.verify_records::<ResultRecord>(&mut verified)?;
        self.verify_records::<Details>(&mut verified)?;
        self.verify_records::<Seen>(&mut verified)?;
        self.verify_records::<LastRun>(&mut verified)?;
        self.verify_records::<RunRecord>(&mut verified)?;
        self.verify_records::<Trace>(&mut verified)?;
        let mut blobs = Vec::new();
        walk(&self.folder.join("blobs"), &mut |path, _| blobs.push(path.to_owned()))?;
        for path in blobs.iter().filter(|path| !is_temporary(path)) {
            let digest = File::open(path).and_then(Digest::of_reader).map(|digest| digest.to_string());
            let is_whole = digest.is_ok_and(|digest| path.file_name().is_some_and(|name| *name == *digest));
            self.judge(path, is_whole, &mut verified);
        }
        let mut packs: HashMap<PathBuf, bool> = HashMap::new();
        for (path, name) in self.files_of::<ResultRecord>()? {
            let Some(result) = self.read_record::<ResultRecord>(&name)?.whole() else { continue };
            let taken = Contents::of(self, &result.outputs, result.terminal);
            let mut is_whole = true;
            for (digest, size) in contents(&result.outputs, result.terminal) {
                let pack = taken.path(digest);
                let is_large = pack == self.blob_path(digest);
                let found =
                    if is_large { taken.has(digest, size).is_ok() } else { taken.read(digest, size).is_ok() };
                if !is_large {
                    *packs.entry(pack).or_insert(true) &= found;
                }
                is_whole &= found;
            }
            if !is_whole {
                for own in self.records_of(&name) {
                    // What can't be removed is found again.
                    let _ = fs::remove_file(own);
                }
                verified.removed.push(path);
            }
        }
        for (pack, is_whole) in packs {
            self.judge(&pack, is_whole, &mut verified);
        }
        Ok(Some(verified))
    }

    fn verify_records<R: Record>(&self, verified: &mut Verified) -> Result<(), StoreError> {
        for (path, name) in self.files_of::<R>()? {
            // What is damaged is removed by being read. What has gone since was removed by someone else.
            match self.read_record::<R>(&name)? {
                Found::Whole(_) => verified.checked += 1,
                Found::Damaged => verified.removed.push(path),
                Found::Missing => {}
            }
        }
        Ok(())
    }

    fn judge(&self, path: &Path, is_whole: bool, verified: &mut Verified) {
        verified.checked += 1;
        if !is_whole {
            // It may have been removed when it was found to be damaged.
            let _ = fs::remove_file(path);
            verified.removed.push(path.to_owned());
        }
    }

    /// The records that are a result's own.
    fn records_of(&self, name: &str) -> [PathBuf; 3] {
        [
            self.record_path::<ResultRecord>(name),
            self.record_path::<Seen>(name),
            self.record_path::<Details>(name),
        ]
    }

    /// Every result that can be read.
    fn kept(&self) -> Result<Vec<Kept>, StoreError> {
        let mut all = Vec::new();
        for (path, name) in self.files_of::<ResultRecord>()? {
            let used = fs::metadata(&path).and_then(|metadata| metadata.modified());
            let Some(result) = self.read_record::<ResultRecord>(&name)?.whole() else { continue };
            let own = contents(&result.outputs, result.terminal);
            let layout = Layout::of(own);
            let mut paths = Vec::new();
            if !layout.is_empty() {
                paths.push(self.pack_path(&layout));
            }
            let large = contents(&result.outputs, result.terminal);
            paths.extend(
                large.filter(|(digest, _)| !layout.has(*digest)).map(|(digest, _)| self.blob_path(digest)),
            );
            paths.sort_unstable();
            paths.dedup();
            let used = used.unwrap_or(SystemTime::UNIX_EPOCH);
            all.push(Kept { name, used, set: result.path_set, contents: paths });
        }
        Ok(all)
    }

    /// Takes results that are gone out of the keys; gives the names of the path sets that are still in use.
    fn forget_results(&self, all: &[Kept], gone: &HashSet<String>) -> Result<HashSet<String>, StoreError> {
        let is_gone = |name: &String| gone.contains(name);
        let sets = all.iter().filter(|kept| !is_gone(&kept.name)).map(|kept| kept.set.to_string()).collect();
        if gone.is_empty() {
            return Ok(sets);
        }
        for (path, name) in self.files_of::<KeyRecord>()? {
            let Some(mut key) = self.read_record::<KeyRecord>(&name)?.whole() else { continue };
            let count = |key: &KeyRecord| key.sets.iter().map(|set| set.results.len()).sum::<usize>();
            let before = count(&key);
            for set in &mut key.sets {
                set.results.retain(|result| !is_gone(&result.0.to_string()));
            }
            key.sets.retain(|set| !set.results.is_empty());
            // A run that is kept at this moment may be lost: it costs one more.
            if key.sets.is_empty() {
                let _ = fs::remove_file(path);
            } else if count(&key) < before {
                self.write_record(&name, &key)?;
            }
        }
        Ok(sets)
    }

    /// Removes what killed processes left half written.
    fn sweep(&self, before: SystemTime) -> Result<(), StoreError> {
        let mut found = Vec::new();
        let mut add = |path: &Path, _| {
            if is_temporary(path) && is_older(path, before) {
                found.push(path.to_owned());
            }
        };
        for folder in FOLDERS {
            walk(&self.folder.join(folder), &mut add)?;
        }
        let entries = fs::read_dir(&self.folder).map_err(StoreError::io(&self.folder, "read this folder"))?;
        let clocks = entries.flatten().map(|entry| entry.path());
        found.extend(clocks.filter(|path| {
            let name = path.file_name().unwrap_or_default().as_encoded_bytes();
            name.starts_with(b".clock-") && is_older(path, before)
        }));
        for path in found {
            // Another process may have been faster.
            let _ = fs::remove_file(path);
        }
        Ok(())
    }

    /// Path and name of every record of a kind.
    fn files_of<R: Record>(&self) -> Result<Vec<(PathBuf, String)>, StoreError> {
        let mut found = Vec::new();
        walk(&self.record_path::<R>(""), &mut |path, _| {
            let name = path.file_name().and_then(|name| name.to_str()).map(str::to_owned);
            found.extend(name.filter(|_| !is_temporary(path)).map(|name| (path.to_owned(), name)));
        })?;
        Ok(found)
    }
}

/// Whether it is a file of the store in the making.
fn is_temporary(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."))
}

fn is_older(path: &Path, than: SystemTime) -> bool {
    fs::metadata(path).and_then(|metadata| metadata.modified()).is_ok_and(|modified| modified < than)
}
