//! What files are known to hold, by their identity: remembered for all processes, until the system is started again.
//!
//! A table in one sparse file, without a lock: an entry is written in one piece and carries a checksum, so that one that
//! is torn, damaged or of another boot is none. Whether a file is what it was when it was hashed is told by its
//! device, inode, size, modification and status change time; [`KnownDigests::is_settled`] says when that can be relied on.

use std::collections::HashMap;
use std::fmt;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use platform::files::{self, FileType, Identity};

use super::unique;
use crate::fingerprint::Digest;

/// The name of the table in the folder of the store.
pub(super) const NAME: &str = "known";
/// Checksum, device, inode, size, modification time, status change time, digest.
const SLOT: usize = 8 + 5 * 8 + 32;
/// Files made together have neighbouring inodes, and are looked for together: a bucket is read at once.
const BUCKET: usize = 32 * SLOT;
/// Room for two million files in 160 MiB, of which only what is used takes space.
const BUCKETS: u64 = 1 << 16;
/// The coarsest time stamps of any file system: those of FAT.
const COARSEST_NS: i128 = 2_000_000_000;
/// Two ticks of the kernel's clock at the lowest frequency it can be built with: file systems need not agree better.
const TICKS_NS: i128 = 20_000_000;

/// What files are known to hold.
#[derive(Default)]
pub struct KnownDigests {
    /// Where the table lies, and files to take the time with; `None` remembers nothing.
    folder: Option<PathBuf>,
    table: Mutex<Option<Table>>,
}

/// The table, open.
struct Table {
    file: Option<File>,
    /// Of this boot: what another has written has another checksum.
    key: [u8; 32],
    /// What was read of the file.
    buckets: HashMap<u64, Box<[u8; BUCKET]>>,
    /// Every change from now on has this status change time or a later one, and where it was taken.
    barrier: i128,
    barrier_device: Option<u64>,
    /// For each device, whether its status change times can be relied on.
    reliable: HashMap<u64, bool>,
}

impl fmt::Debug for KnownDigests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KnownDigests").field("folder", &self.folder).finish_non_exhaustive()
    }
}

impl KnownDigests {
    /// Those remembered in this folder, which has to be there.
    pub(super) fn of(folder: PathBuf) -> Self {
        Self { folder: Some(folder), table: Mutex::default() }
    }

    /// What a regular file with this identity holds, if that is known.
    pub(crate) fn get(&self, identity: &Identity) -> Option<Digest> {
        self.table()?.as_mut()?.get(identity)
    }

    /// What the regular file at `path`, which has this identity, holds: it is read if that is not known.
    ///
    /// # Errors
    /// It can't be read.
    pub(crate) fn digest_of(&self, path: &Path, identity: &Identity) -> io::Result<Digest> {
        if let Some(digest) = self.get(identity) {
            return Ok(digest);
        }
        let settled = self.is_settled(path, identity);
        let mut file = File::open(path)?;
        let digest = Digest::of_reader(&mut file)?;
        if settled && files::identity_of_open(&file).is_ok_and(|now| now == *identity) {
            self.put(identity, digest);
        }
        Ok(digest)
    }

    /// Whether any change to what stands at `path` from now on gives it another identity than this, its present one:
    /// the clock of its file system has moved on since its last change, and is one that can be relied on.
    ///
    /// Not so for a file that someone holds mapped and has written to since the system last wrote it back: the next such
    /// write leaves no trace (README, limits).
    pub(crate) fn is_settled(&self, path: &Path, identity: &Identity) -> bool {
        let Some(folder) = &self.folder else { return false };
        if !self.is_reliable(path, identity) {
            return false;
        }
        let Some(mut table) = self.table() else { return false };
        let Some(table) = table.as_mut() else { return false };
        if identity.ctime_ns % 1_000_000 == 0 {
            return identity.ctime_ns < now_ns() - COARSEST_NS;
        }
        table.has_passed(identity) || {
            table.take_barrier(folder);
            table.has_passed(identity)
        }
    }

    /// The same for what was looked at some time after `barrier` was taken, on whatever file system.
    pub(super) fn was_settled(&self, path: &Path, identity: &Identity, barrier: i128) -> bool {
        let margin = if identity.ctime_ns % 1_000_000 == 0 { COARSEST_NS } else { TICKS_NS };
        identity.ctime_ns < barrier - margin && self.is_reliable(path, identity)
    }

    /// Makes sure that what was changed until now is settled from now on.
    pub(crate) fn take_barrier(&self) {
        let Some(folder) = &self.folder else { return };
        if let Some(table) = self.table().as_deref_mut().and_then(Option::as_mut) {
            table.take_barrier(folder);
        }
    }

    fn is_reliable(&self, path: &Path, identity: &Identity) -> bool {
        let Some(mut table) = self.table() else { return false };
        let Some(table) = table.as_mut() else { return false };
        // A link is on the file system of its folder, whatever it leads to.
        let is_link = identity.file_type == FileType::Symlink;
        let path = path.parent().filter(|_| is_link).unwrap_or(path);
        let reliable =
            *table.reliable.entry(identity.device).or_insert_with(|| files::keeps_change_times(path));
        reliable && table.file.is_some()
    }

    /// Remembers what a file with this identity, which is settled, holds.
    pub(crate) fn put(&self, identity: &Identity, digest: Digest) {
        if let Some(table) = self.table().as_deref_mut().and_then(Option::as_mut) {
            table.put(identity, digest);
        }
    }

    fn table(&self) -> Option<MutexGuard<'_, Option<Table>>> {
        let folder = self.folder.as_ref()?;
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        table.get_or_insert_with(|| Table::open(folder));
        Some(table)
    }
}

/// The name of the present boot of the system; empty where it has none.
pub(super) fn boot() -> Digest {
    Digest::of(&files::boot_id().unwrap_or_default())
}

fn now_ns() -> i128 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos() as i128
}

impl Table {
    /// Devices get other numbers when the system is started again, and after a power cut a file may have lost what its
    /// times promise: so does what is remembered.
    fn open(folder: &Path) -> Self {
        let boot = files::boot_id().ok();
        let open = |_| {
            File::options().read(true).write(true).create(true).truncate(false).open(folder.join(NAME)).ok()
        };
        Self {
            file: boot.as_ref().and_then(open),
            key: Digest::of(&boot.unwrap_or_default()).0,
            buckets: HashMap::new(),
            barrier: now_ns() - COARSEST_NS,
            barrier_device: None,
            reliable: HashMap::new(),
        }
    }

    fn take_barrier(&mut self, folder: &Path) {
        let scratch = folder.join(format!(".clock-{}", unique()));
        let device = files::identity(folder, true).map(|identity| identity.device);
        if let (Ok(barrier), Ok(device)) = (files::clock_barrier(&scratch), device) {
            (self.barrier, self.barrier_device) = (barrier, Some(device));
        }
        // It has served; that it can't be removed harms nobody.
        let _ = fs::remove_file(&scratch);
    }

    fn has_passed(&self, identity: &Identity) -> bool {
        let margin = match self.barrier_device {
            Some(device) if device != identity.device => TICKS_NS,
            _ => 0,
        };
        identity.ctime_ns < self.barrier - margin
    }

    fn get(&mut self, identity: &Identity) -> Option<Digest> {
        let known = fields(identity);
        for (bucket, slot) in places(identity) {
            let key = self.key;
            let slot = &self.bucket(bucket)?[slot * SLOT..][..SLOT];
            if slot[8..48] == known && slot[..8] == checksum(&key, slot) {
                return Some(Digest(slot[48..].try_into().ok()?));
            }
        }
        None
    }

    fn put(&mut self, identity: &Identity, digest: Digest) {
        let mut entry = [0; SLOT];
        entry[8..48].copy_from_slice(&fields(identity));
        entry[48..].copy_from_slice(&digest.0);
        let check = checksum(&self.key, &entry);
        entry[..8].copy_from_slice(&check);
        let key = self.key;
        let [first, second] = places(identity);
        let mut is_free = |(bucket, slot): (u64, usize)| {
            let Some(bucket) = self.bucket(bucket) else { return false };
            let there = &bucket[slot * SLOT..][..SLOT];
            there[8..24] == entry[8..24] || there[..8] != checksum(&key, there)
        };
        let (bucket, slot) = if is_free(first) { first } else { second };
        let Some(known) = self.bucket(bucket) else { return };
        known[slot * SLOT..][..SLOT].copy_from_slice(&entry);
        let offset = bucket * BUCKET as u64 + (slot * SLOT) as u64;
        // Where it can't be written, on a full disk for one, the next process has to read the file again.
        if let Some(file) = &self.file
            && files::write_at(file, &entry, offset).is_err()
        {
            self.file = None;
        }
    }

    /// A part of the table as it was when it was first looked at: what others add later is found by the next process.
    fn bucket(&mut self, index: u64) -> Option<&mut [u8; BUCKET]> {
        let file = self.file.as_ref()?;
        Some(self.buckets.entry(index).or_insert_with(|| {
            let mut bucket = Box::new([0; BUCKET]);
            // What can't be read, or is not written yet, is not known.
            let _ = files::read_at(file, &mut bucket[..], index * BUCKET as u64);
            bucket
        }))
    }
}

fn fields(identity: &Identity) -> [u8; 40] {
    let Identity { device, inode, size, mtime_ns, ctime_ns, .. } = *identity;
    let mut fields = [0; 40];
    // Times since 1970 fit into 64 bits until the year 2554; others are cut, and then equal only by their other bits.
    for (index, field) in [device, inode, size, mtime_ns as u64, ctime_ns as u64].into_iter().enumerate() {
        fields[index * 8..][..8].copy_from_slice(&field.to_le_bytes());
    }
    fields
}

fn checksum(key: &[u8; 32], slot: &[u8]) -> [u8; 8] {
    let mut check = [0; 8];
    check.copy_from_slice(&blake3::keyed_hash(key, &slot[8..]).as_bytes()[..8]);
    check
}

/// The two places in which a file may stand: bucket and slot.
fn places(identity: &Identity) -> [(u64, usize); 2] {
    let group = (identity.inode >> 5) ^ identity.device.rotate_left(40);
    let slot = (identity.inode & 31) as usize;
    // Multiplicative hashing, by the golden ratio and by another odd number.
    let bucket = |odd: u64| group.wrapping_mul(odd) >> 48 & (BUCKETS - 1);
    [(bucket(0x9e37_79b9_7f4a_7c15), slot), (bucket(0xd6e8_feb8_6659_fd93), slot)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(folder: &Path) -> KnownDigests {
        KnownDigests::of(folder.to_owned())
    }

    fn identity(path: &Path) -> Identity {
        files::identity(path, false).unwrap()
    }

    #[test]
    fn another_process_knows_what_was_read_until_the_file_changes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, "one").unwrap();
        let before = identity(&path);
        assert_eq!(known(folder.path()).get(&before), None);
        assert_eq!(known(folder.path()).digest_of(&path, &before).unwrap(), Digest::of(b"one"));
        assert_eq!(known(folder.path()).get(&before), Some(Digest::of(b"one")));
        fs::write(&path, "two").unwrap();
        assert_eq!(known(folder.path()).get(&identity(&path)), None);
    }

    #[test]
    fn a_file_written_again_at_once_is_never_taken_for_what_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let known = known(folder.path());
        for round in 0..300u32 {
            let content = format!("{round:08}");
            fs::write(&path, &content).unwrap();
            let digest = known.digest_of(&path, &identity(&path)).unwrap();
            assert_eq!(digest, Digest::of(content.as_bytes()));
        }
    }

    #[test]
    fn a_file_that_was_not_settled_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, "one").unwrap();
        let future = Identity { ctime_ns: now_ns() + 3_600_000_000_000, ..identity(&path) };
        let known = known(folder.path());
        known.digest_of(&path, &future).unwrap();
        assert_eq!(known.get(&future), None);
        // On a file system that counts in seconds, the second may not be over.
        let second = now_ns() / 1_000_000_000 * 1_000_000_000;
        assert!(!known.is_settled(&path, &Identity { ctime_ns: second, ..future }));
    }

    #[test]
    fn what_is_damaged_or_of_another_boot_is_not_known() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, "one").unwrap();
        let identity = identity(&path);
        known(folder.path()).put(&identity, Digest::of(b"one"));
        let table = folder.path().join(NAME);
        let whole = fs::read(&table).unwrap();
        let entry = whole.iter().position(|byte| *byte != 0).unwrap();
        for offset in 0..SLOT {
            let mut bytes = whole.clone();
            bytes[entry + offset] ^= 1;
            fs::write(&table, bytes).unwrap();
            assert_eq!(known(folder.path()).get(&identity), None, "byte {offset}");
        }
        fs::write(&table, whole).unwrap();
        let again = known(folder.path());
        assert_eq!(again.get(&identity), Some(Digest::of(b"one")));
        let mut table = Table::open(folder.path());
        table.key = [7; 32];
        assert_eq!(table.get(&identity), None);
    }

    #[test]
    fn many_neighbours_and_strangers_have_room() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, "").unwrap();
        let one = identity(&path);
        let at = |number: u64| Identity { inode: 1000 + number, device: number % 3, ..one };
        let writer = known(folder.path());
        for number in 0..3000u64 {
            writer.put(&at(number), Digest::of(&number.to_le_bytes()));
        }
        let reader = known(folder.path());
        let found = (0..3000u64)
            .filter(|number| reader.get(&at(*number)) == Some(Digest::of(&number.to_le_bytes())))
            .count();
        assert!(found > 2900, "{found}");
    }
}
