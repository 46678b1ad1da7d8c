//! The ring of one run: the file that holds it, and the thread that drains it.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use memmap2::{MmapOptions, MmapRaw};
use shm_protocol::ring::{self, Finished, Reader, Ring, System};

use super::files::create_private;
use crate::tracing::Sink;

/// What the names of rings begin with; behind it are the process that reads it, and when it was made.
const NAME: &str = "tracerun-ring-";

/// A ring in a file that traced processes map too. It has a name as long as processes may come to map it.
pub(super) struct SharedRing {
    path: PathBuf,
    /// In the mapping below. Its geometry is kept here: what the header says of it, any process can overwrite.
    ring: Ring<'static>,
    _mapping: MmapRaw,
}

impl SharedRing {
    /// An empty ring that this process reads.
    pub(super) fn create() -> io::Result<Self> {
        let folder = std::env::temp_dir();
        remove_forgotten(&folder);
        let path = folder.join(format!("{NAME}{}-{:x}", std::process::id(), super::tracing::now_ns()));
        let file = create_private(&path)?;
        Self::map(&file, path.clone()).inspect_err(|_| {
            // It is of no use to anybody.
            let _ = std::fs::remove_file(&path);
        })
    }

    fn map(file: &File, path: PathBuf) -> io::Result<Self> {
        file.set_len(ring::BYTES as u64)?;
        let mapping = MmapOptions::new().len(ring::BYTES).map_raw(file)?;
        // SAFETY: the mapping is page-aligned, as long as said, and lives as long as the structure that is made of it, which
        // lends the ring no longer than that; everyone who maps it too accesses it by atomics only.
        let words = unsafe { ring::words_from_mapping(mapping.as_mut_ptr(), mapping.len()) };
        let ring = Ring::format(words, std::process::id()).map_err(io::Error::other)?;
        Ok(Self { path, ring, _mapping: mapping })
    }

    pub(super) fn ring(&self) -> Ring<'_> {
        self.ring
    }

    /// Where a traced process can open it.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for SharedRing {
    fn drop(&mut self) {
        // Somebody may have tidied up.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Removes the rings of tracerun processes that were killed.
fn remove_forgotten(folder: &Path) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let reader = || name.to_str()?.strip_prefix(NAME)?.split('-').next()?.parse().ok();
        if reader().is_some_and(is_gone) {
            // Another may be as quick.
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

/// The thread that drains a ring into a sink.
pub(super) struct Drainer {
    thread: JoinHandle<Finished>,
    stop: Arc<AtomicBool>,
    shared: Arc<SharedRing>,
}

impl Drainer {
    pub(super) fn start(shared: Arc<SharedRing>, sink: Arc<dyn Sink>) -> io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, drained) = (Arc::clone(&stop), Arc::clone(&shared));
        let thread = std::thread::Builder::new().name("ring".into()).spawn(move || {
            let mut reader = Reader::new(drained.ring());
            while !stopped.load(Ordering::Acquire) {
                reader.drain(&mut is_gone, &mut |record| sink.record(record));
                reader.wait(&Sleep);
            }
            reader.finish(&mut |record| sink.record(record))
        })?;
        Ok(Self { thread, stop, shared })
    }

    /// Delivers everything that was written and says what was lost.
    pub(super) fn finish(self) -> Finished {
        self.stop.store(true, Ordering::Release);
        self.shared.ring().ring_bell(&Sleep);
        let finished = self.thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        // Processes that outlive the run must not wait for a reader.
        self.shared.ring().close();
        finished
    }
}

/// Whether no process has this pid.
fn is_gone(pid: u32) -> bool {
    // SAFETY: signal 0 is sent to nobody; the call takes integers only.
    let result = unsafe { libc::kill(pid as i32, 0) };
    result != 0 && io::Error::last_os_error().raw_os_error() == Some(libc::ESRCH)
}

/// Sleeping, as the ring wants it; nobody can be woken in another process by a public call before macOS 14.4, so it looks again
/// and again.
struct Sleep;

impl System for Sleep {
    fn wait(&self, word: &AtomicU32, expected: u32) {
        for _ in 0..100 {
            if word.load(Ordering::Relaxed) != expected {
                return;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn wake(&self, _: &AtomicU32) {}

    fn reader_is_gone(&self, reader: u32) -> bool {
        is_gone(reader)
    }
}
