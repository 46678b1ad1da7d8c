//! The ring of one run: its shared memory, the futexes it sleeps on, and the thread that drains it.

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use memmap2::{MmapOptions, MmapRaw};
use shm_protocol::ring::{self, Finished, Reader, Ring, System};

use super::call_sites;
use crate::tracing::Sink;

/// A ring in memory that traced processes map too.
pub(super) struct SharedRing {
    file: File,
    /// In the mapping below. Its geometry is kept here: what the header says of it, any process can overwrite.
    ring: Ring<'static>,
    _mapping: MmapRaw,
}

impl SharedRing {
    /// An empty ring that this process reads.
    pub(super) fn create() -> io::Result<Self> {
        let name = CString::default();
        // SAFETY: `name` is a C string for the length of the call.
        let fd = unsafe { libc::memfd_create(name.as_ptr(), libc::MFD_CLOEXEC) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: memfd_create has just made `fd`, and nobody else owns it.
        let file = unsafe { File::from_raw_fd(fd) };
        file.set_len(ring::BYTES as u64)?;
        let mapping = MmapOptions::new().len(ring::BYTES).map_raw(&file)?;
        // SAFETY: the mapping is page-aligned, as long as said, and lives as long as the structure that is made of it, which
        // lends the ring no longer than that; everyone who maps it too accesses it by atomics only.
        let words = unsafe { ring::words_from_mapping(mapping.as_mut_ptr(), mapping.len()) };
        let ring = Ring::format(words, std::process::id()).map_err(io::Error::other)?;
        Ok(Self { file, ring, _mapping: mapping })
    }

    /// Tells the library where libc makes calls of its own: at any time before the first program is executed.
    pub(super) fn tell_call_sites(&self) {
        self.ring.tell_call_sites(call_sites::find());
    }

    pub(super) fn ring(&self) -> Ring<'_> {
        self.ring
    }

    /// Where a traced process can open it.
    pub(super) fn path(&self) -> String {
        format!("/proc/{}/fd/{}", std::process::id(), self.file.as_raw_fd())
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
                reader.wait(&Futex);
            }
            reader.finish(&mut |record| sink.record(record))
        })?;
        Ok(Self { thread, stop, shared })
    }

    /// Delivers everything that was written and says what was lost.
    pub(super) fn finish(self) -> Finished {
        self.stop.store(true, Ordering::Release);
        let ring = self.shared.ring();
        ring.ring_bell(&Futex);
        let finished = self.thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        // Processes that outlive the run must not wait for a reader.
        ring.close();
        ring.wake_writers(&Futex);
        finished
    }
}

/// Whether no process has this pid.
fn is_gone(pid: u32) -> bool {
    // SAFETY: signal 0 is sent to nobody; the call takes integers only.
    let result = unsafe { libc::kill(pid as i32, 0) };
    result != 0 && io::Error::last_os_error().raw_os_error() == Some(libc::ESRCH)
}

/// The kernel's futexes, shared between processes.
struct Futex;

impl System for Futex {
    fn wait(&self, word: &AtomicU32, expected: u32) {
        const AT_MOST: Duration = Duration::from_millis(100);
        let timeout = libc::timespec { tv_sec: 0, tv_nsec: i64::from(AT_MOST.subsec_nanos()) };
        // SAFETY: the kernel reads `word` and `timeout`, both alive for the length of the call.
        unsafe {
            libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAIT, expected, &raw const timeout)
        };
    }

    fn wake(&self, word: &AtomicU32) {
        // SAFETY: the kernel uses the address of `word` only.
        unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAKE, i32::MAX) };
    }

    fn reader_is_gone(&self, reader: u32) -> bool {
        is_gone(reader)
    }
}
