//! How far the contents of a run are on their way, for whoever wants to watch.

use std::fmt;
use std::io::{self, Read, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use super::transport::{Kind, RemoteError, Transport};
use super::wire::Blob;

/// Which way contents go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the server.
    Fetched,
    /// To it.
    Given,
}

/// How far they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Which way they go.
    pub direction: Direction,
    /// How many bytes have gone.
    pub done: u64,
    /// How many there are.
    pub total: u64,
}

/// Is told of each step, on the thread that takes it, and with `None` that it was the last.
pub type Watcher = Box<dyn Fn(Option<Progress>) + Send + Sync>;

/// The contents of one run on their way: a transport that counts what goes through it.
pub(super) struct Transfer<'r> {
    transport: &'r dyn Transport,
    watcher: Option<&'r Watcher>,
    direction: Direction,
    total: u64,
    done: AtomicU64,
}

impl<'r> Transfer<'r> {
    /// A transfer of so many bytes.
    pub(super) fn new(
        transport: &'r dyn Transport,
        watcher: Option<&'r Watcher>,
        direction: Direction,
        total: u64,
    ) -> Self {
        Self { transport, watcher, direction, total, done: AtomicU64::new(0) }
    }

    fn step(&self, bytes: usize) {
        let done = self.done.fetch_add(bytes as u64, Ordering::Relaxed) + bytes as u64;
        if let Some(watcher) = self.watcher {
            let (direction, total) = (self.direction, self.total);
            watcher(Some(Progress { direction, done: done.min(total), total }));
        }
    }
}

impl Drop for Transfer<'_> {
    fn drop(&mut self) {
        if let Some(watcher) = self.watcher {
            watcher(None);
        }
    }
}

impl fmt::Debug for Transfer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transfer").field("transport", &self.transport).field("total", &self.total).finish()
    }
}

impl Transport for Transfer<'_> {
    fn get(
        &self,
        kind: Kind,
        key: Blob,
        limit: u64,
        to: &mut dyn Write,
        until: Instant,
    ) -> Result<bool, RemoteError> {
        self.transport.get(kind, key, limit, &mut Counted { transfer: self, stream: to }, until)
    }

    fn missing(&self, blobs: &[Blob], until: Instant) -> Result<Vec<Blob>, RemoteError> {
        self.transport.missing(blobs, until)
    }

    fn put(
        &self,
        kind: Kind,
        key: Blob,
        size: u64,
        from: &mut dyn Read,
        until: Instant,
    ) -> Result<(), RemoteError> {
        self.transport.put(kind, key, size, &mut Counted { transfer: self, stream: from }, until)
    }
}

/// What is read or written, counted.
struct Counted<'t, S: ?Sized> {
    transfer: &'t Transfer<'t>,
    stream: &'t mut S,
}

impl<S: Read + ?Sized> Read for Counted<'_, S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.read(buffer).inspect(|count| self.transfer.step(*count))
    }
}

impl<S: Write + ?Sized> Write for Counted<'_, S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.write(bytes).inspect(|count| self.transfer.step(*count))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}
