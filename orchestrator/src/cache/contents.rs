//! Contents, named by their digests: the small ones of a result in one pack, large ones as files of their own.
//!
//! They are kept as they are. Compressing them costs several times what it takes to store and restore them, where the
//! files came from and go to is the same disk, and a file that is not compressed can share its blocks with what it is
//! copied to.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::SystemTime;

use platform::files;

use super::{Store, StoreError};
use crate::archive::{Left, Output};
use crate::bytes::Bytes;
use crate::fingerprint::{Digest, Framed};

/// From this length on, in bytes, a content is a file of its own: to open one more file costs less than to copy it.
const LARGE: u64 = 128 << 10;
/// So many small files are worth a thread.
const WORTH_A_THREAD: usize = 64;

/// Where the small contents of a result lie in its pack: one after the other, each once.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Layout {
    name: Digest,
    offsets: HashMap<Digest, u64>,
    length: u64,
}

impl Layout {
    /// The layout of contents with these digests and lengths.
    pub(super) fn of(contents: impl Iterator<Item = (Digest, u64)>) -> Self {
        let mut name = Framed::new("tracerun pack");
        let (mut offsets, mut length) = (HashMap::new(), 0u64);
        for (digest, size) in contents.filter(|(_, size)| *size < LARGE) {
            offsets.entry(digest).or_insert_with(|| {
                name.digest(digest);
                let offset = length;
                length = length.saturating_add(size);
                offset
            });
        }
        Self { name: name.finish(), offsets, length }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.offsets.is_empty()
    }

    /// The length of the pack in bytes.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// Its contents, in the order in which they lie.
    pub(super) fn in_order(&self) -> Vec<Digest> {
        let mut each: Vec<_> = self.offsets.iter().map(|(digest, at)| (*at, *digest)).collect();
        // Of those at the same place all but one are empty.
        each.sort();
        each.into_iter().map(|(_, digest)| digest).collect()
    }

    /// Whether it lies in the pack.
    pub(super) fn has(&self, digest: Digest) -> bool {
        self.offsets.contains_key(&digest)
    }
}

/// The contents of the files among outputs, then this one.
pub(super) fn contents(
    outputs: &[Output],
    terminal: Option<(Digest, u64)>,
) -> impl Iterator<Item = (Digest, u64)> {
    outputs.iter().filter_map(|output| output.left.content()).chain(terminal)
}

/// The contents of one result, to be taken out.
pub(crate) struct Contents<'s> {
    pub(crate) store: &'s Store,
    layout: Layout,
    /// Opened when it is first needed.
    pack: std::sync::OnceLock<Option<File>>,
}

impl Store {
    /// The file of a large content.
    pub(crate) fn blob_path(&self, digest: Digest) -> PathBuf {
        let name = digest.to_string();
        self.folder.join("blobs").join(&name[..2]).join(name)
    }

    /// The pack with this layout.
    pub(super) fn pack_path(&self, layout: &Layout) -> PathBuf {
        self.folder.join("packs").join(layout.name.to_string())
    }

    /// Keeps what the outputs hold, and what was printed; says how many bytes that added.
    pub(super) fn keep_contents(
        &self,
        outputs: &[Output],
        terminal: Option<(Digest, &[u8])>,
    ) -> Result<u64, StoreError> {
        let mut sources: HashMap<Digest, (&Bytes, u64)> = HashMap::new();
        for output in outputs {
            if let Left::File { digest, size, .. } = output.left {
                sources.entry(digest).or_insert((&output.path, size));
            }
        }
        let mut added = 0;
        for (&digest, &(path, size)) in sources.iter().filter(|(_, (_, size))| *size >= LARGE) {
            added += self.keep_large(&path.to_path(), digest, size)?;
        }
        let printed = terminal.map(|(digest, bytes)| (digest, bytes.len() as u64));
        if let Some((digest, bytes)) = terminal.filter(|(_, bytes)| bytes.len() as u64 >= LARGE)
            && !self.is_kept(&self.blob_path(digest), bytes.len() as u64)
        {
            self.write(&self.blob_path(digest), bytes)?;
            added += bytes.len() as u64;
        }
        let layout = Layout::of(contents(outputs, printed));
        if layout.is_empty() || self.is_kept(&self.pack_path(&layout), layout.length) {
            return Ok(added);
        }
        let small: Vec<(Digest, u64)> = layout.offsets.iter().map(|(digest, at)| (*digest, *at)).collect();
        let path = self.pack_path(&layout);
        self.place(&path, |temporary| {
            let file = files::create_private(temporary).map_err(StoreError::io(&path, "write it"))?;
            let put = |small: &[(Digest, u64)]| -> Result<(), StoreError> {
                for &(digest, offset) in small {
                    let read;
                    let bytes = match (terminal, sources.get(&digest)) {
                        (Some((printed, bytes)), _) if printed == digest => bytes,
                        (_, Some((path, size))) => {
                            read = self.read_source(&path.to_path(), digest, *size)?;
                            &read[..]
                        }
                        _ => continue,
                    };
                    files::write_at(&file, bytes, offset).map_err(StoreError::io(&path, "write it"))?;
                }
                Ok(())
            };
            in_parallel(&small, WORTH_A_THREAD, put).into_iter().collect()
        })?;
        Ok(added + layout.length)
    }

    /// Whether a file of the store is there, as long as it should be. What is used again is as good as new to the
    /// collector.
    pub(super) fn is_kept(&self, path: &Path, length: u64) -> bool {
        let there = fs::metadata(path).is_ok_and(|metadata| metadata.is_file() && metadata.len() == length);
        there && files::set_modified(path, SystemTime::now()).is_ok()
    }

    fn keep_large(&self, source: &Path, digest: Digest, size: u64) -> Result<u64, StoreError> {
        let path = self.blob_path(digest);
        if self.is_kept(&path, size) {
            return Ok(0);
        }
        let changed = || StoreError::Changed { path: source.display().to_string() };
        self.place(&path, |temporary| {
            let from = open_source(source)?;
            let identity = files::identity_of_open(&from).map_err(StoreError::io(source, "read it"))?;
            let to = files::create_private(temporary).map_err(StoreError::io(&path, "write it"))?;
            files::copy(&from, &to).map_err(StoreError::io(&path, "write it"))?;
            let now = files::identity_of_open(&from).map_err(StoreError::io(source, "read it"))?;
            // What has the same identity before and after is what was read when it was judged.
            let is_known = identity == now && self.known().get(&now) == Some(digest);
            if is_known || file_digest(temporary)? == digest { Ok(()) } else { Err(changed()) }
        })?;
        Ok(size)
    }

    fn read_source(&self, source: &Path, digest: Digest, size: u64) -> Result<Vec<u8>, StoreError> {
        use std::io::Read;
        let failed = || StoreError::io(source, "read it");
        let mut from = open_source(source)?;
        let identity = files::identity_of_open(&from).map_err(failed())?;
        let mut bytes = Vec::with_capacity(size as usize + 1);
        (&mut from).take(size + 1).read_to_end(&mut bytes).map_err(failed())?;
        let now = files::identity_of_open(&from).map_err(failed())?;
        let is_known = identity == now && self.known().get(&now) == Some(digest);
        if bytes.len() as u64 == size && (is_known || Digest::of(&bytes) == digest) {
            Ok(bytes)
        } else {
            Err(StoreError::Changed { path: source.display().to_string() })
        }
    }

    /// Removes what is not what its name says, so that the next run can put it there again.
    fn damaged(&self, path: &Path) -> StoreError {
        // If it can't be removed, it will be found damaged again.
        let _ = fs::remove_file(path);
        StoreError::Blob { path: path.display().to_string() }
    }
}

fn open_source(source: &Path) -> Result<File, StoreError> {
    File::open(source).map_err(|error| match error.kind() {
        ErrorKind::NotFound => StoreError::Changed { path: source.display().to_string() },
        _ => StoreError::io(source, "read it")(error),
    })
}

fn file_digest(path: &Path) -> Result<Digest, StoreError> {
    File::open(path).and_then(Digest::of_reader).map_err(StoreError::io(path, "read it"))
}

impl<'s> Contents<'s> {
    /// The contents of a result with these outputs, and that printed this.
    pub(crate) fn of(store: &'s Store, outputs: &[Output], terminal: Option<(Digest, u64)>) -> Self {
        let layout = Layout::of(contents(outputs, terminal));
        Self { store, layout, pack: std::sync::OnceLock::new() }
    }

    /// Whether a content of this length lies in a file of its own.
    pub(crate) fn is_large(size: u64) -> bool {
        size >= LARGE
    }

    /// The contents of a pack, each verified; `None` where it is not that of a result with these outputs, and that printed this.
    pub(crate) fn taken_apart<'p>(
        outputs: &[Output],
        terminal: Option<(Digest, u64)>,
        pack: &'p [u8],
    ) -> Option<HashMap<Digest, Cow<'p, [u8]>>> {
        let layout = Layout::of(contents(outputs, terminal));
        let small = contents(outputs, terminal).filter(|(digest, _)| layout.has(*digest));
        let take = |&(digest, size): &(Digest, u64)| {
            let start = usize::try_from(*layout.offsets.get(&digest)?).ok()?;
            let bytes = pack.get(start..start.checked_add(usize::try_from(size).ok()?)?)?;
            (Digest::of(bytes) == digest).then_some((digest, bytes.into()))
        };
        let small: Vec<_> = small.collect();
        let parts = in_parallel(&small, WORTH_A_THREAD, |part| part.iter().map(take).collect());
        parts.into_iter().flat_map(|part: Vec<_>| part).collect()
    }

    /// Makes sure that a content of this length is there; whether it is whole is known once it has been read.
    pub(crate) fn has(&self, digest: Digest, size: u64) -> Result<(), StoreError> {
        let (path, length) = match self.layout.offsets.get(&digest) {
            Some(_) => (self.store.pack_path(&self.layout), self.layout.length),
            None => (self.store.blob_path(digest), size),
        };
        if size < LARGE && self.pack().is_some() {
            return Ok(());
        }
        match fs::metadata(&path) {
            Ok(metadata) if metadata.is_file() && metadata.len() == length => Ok(()),
            _ => Err(StoreError::Blob { path: path.display().to_string() }),
        }
    }

    fn pack(&self) -> Option<&File> {
        let open = || {
            let file = File::open(self.store.pack_path(&self.layout)).ok()?;
            (file.metadata().ok()?.len() == self.layout.length).then_some(file)
        };
        self.pack.get_or_init(open).as_ref()
    }

    /// A content, verified.
    pub(crate) fn read(&self, digest: Digest, size: u64) -> Result<Vec<u8>, StoreError> {
        let path = self.path(digest);
        let missing = || StoreError::Blob { path: path.display().to_string() };
        let bytes = match self.layout.offsets.get(&digest) {
            Some(&offset) => {
                let pack = self.pack().ok_or_else(missing)?;
                let mut bytes = vec![0; size as usize];
                let read = files::read_at(pack, &mut bytes, offset).map_err(|_| missing())?;
                bytes.truncate(read);
                bytes
            }
            None => fs::read(&path).map_err(|_| missing())?,
        };
        if Digest::of(&bytes) == digest { Ok(bytes) } else { Err(self.store.damaged(&path)) }
    }

    /// Writes a content, verified, to a file, which is empty.
    pub(crate) fn write(
        &self,
        digest: Digest,
        size: u64,
        to: &File,
        target: &Path,
    ) -> Result<(), StoreError> {
        let failed = || StoreError::io(target, "write it");
        if size < LARGE {
            return files::write_at(to, &self.read(digest, size)?, 0).map_err(failed());
        }
        let path = self.path(digest);
        let missing = |_| StoreError::Blob { path: path.display().to_string() };
        let from = File::open(&path).map_err(missing)?;
        let identity = files::identity_of_open(&from).map_err(missing)?;
        // It is read to the end only if that was not done since it was written.
        let found = self.store.known().digest_of(&path, &identity).map_err(missing)?;
        if found != digest {
            return Err(self.store.damaged(&path));
        }
        files::copy(&from, to).map_err(failed())
    }

    /// The file in which a content lies.
    pub(super) fn path(&self, digest: Digest) -> PathBuf {
        match self.layout.offsets.get(&digest) {
            Some(_) => self.store.pack_path(&self.layout),
            None => self.store.blob_path(digest),
        }
    }
}

/// Calls `work` with parts of `all`, each at least so long, at the same time.
pub(crate) fn in_parallel<T: Sync, R: Send>(
    all: &[T],
    at_least: usize,
    work: impl Fn(&[T]) -> R + Sync,
) -> Vec<R> {
    // To ask how many processors there are costs more than most runs have work for.
    if all.len() <= at_least {
        return vec![work(all)];
    }
    let threads = thread::available_parallelism().map_or(1, usize::from).min(4);
    let each = all.len().div_ceil(threads).max(at_least);
    thread::scope(|scope| {
        let work = &work;
        let running: Vec<_> = all.chunks(each).map(|part| scope.spawn(move || work(part))).collect();
        // A thread ends without a result only by a panic, which is passed on.
        running
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    })
}

#[cfg(test)]
mod tests {
    use platform::files::Identity;
    use shm_protocol::access::Before;

    use super::*;
    use crate::archive::{Attributes, Look};

    fn output(path: &Path, content: &[u8]) -> Output {
        let left = Left::File { digest: Digest::of(content), size: content.len() as u64, mode: 0o644 };
        Output {
            path: path.into(),
            before: Before::Absent,
            left,
            look: Look::None,
            attributes: Attributes::default(),
            link_to: None,
            mtime_ns: 0,
        }
    }

    fn identity(path: &Path) -> Identity {
        files::identity(path, false).unwrap()
    }

    #[test]
    fn contents_come_back_small_and_large_and_damaged_ones_do_not() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("cache")).unwrap();
        let large = vec![b'x'; LARGE as usize];
        let (one, other) = (folder.path().join("one"), folder.path().join("other"));
        fs::write(&one, "small").unwrap();
        fs::write(&other, &large).unwrap();
        let outputs = [output(&one, b"small"), output(&other, &large)];
        let printed = Digest::of(b"printed");
        let kept = |outputs| store.keep_contents(outputs, Some((printed, &b"printed"[..]))).unwrap();
        assert_eq!(kept(&outputs), 5 + LARGE + 7);
        assert_eq!(kept(&outputs), 0, "what is there is not kept twice");

        let all =
            [(Digest::of(b"small"), &b"small"[..]), (printed, b"printed"), (Digest::of(&large), &large)];
        let taken = || Contents::of(&store, &outputs, Some((printed, 7)));
        for (digest, bytes) in all {
            taken().has(digest, bytes.len() as u64).unwrap();
            assert!(taken().read(digest, bytes.len() as u64).unwrap() == bytes);
            let target = folder.path().join("target");
            let file = File::create(&target).unwrap();
            taken().write(digest, bytes.len() as u64, &file, &target).unwrap();
            assert!(fs::read(&target).unwrap() == bytes);
        }
        for (digest, bytes) in all {
            let (path, target) = (taken().path(digest), folder.path().join("target"));
            let mut damaged = fs::read(&path).unwrap();
            for byte in &mut damaged {
                *byte ^= 1;
            }
            let before = identity(&path);
            fs::write(&path, damaged).unwrap();
            assert_ne!(identity(&path), before);
            let file = File::create(&target).unwrap();
            let written = taken().write(digest, bytes.len() as u64, &file, &target);
            assert!(matches!(written, Err(StoreError::Blob { .. })));
            assert!(taken().has(digest, bytes.len() as u64).is_err(), "it was removed");
            kept(&outputs);
        }
    }

    #[test]
    fn a_file_that_is_not_what_was_seen_is_not_kept() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("cache")).unwrap();
        let source = folder.path().join("source");
        for (seen, now) in [(vec![b'a'; 9], vec![b'b'; 9]), (vec![b'a'; 1 << 20], vec![b'b'; 1 << 20])] {
            fs::write(&source, now).unwrap();
            let kept = store.keep_contents(&[output(&source, &seen)], None);
            assert!(matches!(kept, Err(StoreError::Changed { .. })));
            let mut left = 0;
            for name in ["packs", "blobs"] {
                super::super::walk(&store.folder.join(name), &mut |_, _| left += 1).unwrap();
            }
            assert_eq!(left, 0);
        }
    }
}
