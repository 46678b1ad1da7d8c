//! What is asked of a cache server, whatever it speaks; everything it says is doubted here.

use std::fmt;
use std::io::{self, Read, Write};
use std::time::Instant;

use sha2::{Digest as _, Sha256};

use super::wire::{Blob, Sha};
use crate::cache::in_parallel;

/// What a server keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Results, by the digest of their action.
    Action,
    /// Contents, by their own digest.
    Content,
}

/// Why a server was of no use.
#[derive(Clone, Debug, thiserror::Error)]
pub enum RemoteError {
    /// It can't be reached, or hung up.
    #[error("{0}")]
    Unreachable(String),
    /// It took longer than it may.
    #[error("no answer within the time that is set (timeout-ms, transfer-timeout-ms in [remote])")]
    TimedOut,
    /// It refuses.
    #[error("it refused: status {0}")]
    Refused(u16),
    /// What it sent is not what was asked for.
    #[error("it sent something other than {0}")]
    Wrong(Sha),
    /// The settings can't be used.
    #[error("{0}")]
    Settings(String),
    /// What it sent could not be kept, or what it is to be sent not be read.
    #[error("{0}")]
    Local(String),
}

impl RemoteError {
    /// Whether there is no use in asking for more.
    #[must_use]
    pub fn is_down(&self) -> bool {
        !matches!(self, Self::Wrong(_) | Self::Local(_))
    }
}

/// A way to talk to a server. Every call ends by the time it is given.
pub trait Transport: fmt::Debug + Send + Sync {
    /// Writes what is kept under this key, a content itself or an action, to `to`, up to `limit` bytes; says whether there is something.
    ///
    /// # Errors
    /// It is not known whether there is.
    fn get(
        &self,
        kind: Kind,
        key: Blob,
        limit: u64,
        to: &mut dyn Write,
        until: Instant,
    ) -> Result<bool, RemoteError>;

    /// Which of these contents are not there.
    ///
    /// # Errors
    /// It is not known.
    fn missing(&self, blobs: &[Blob], until: Instant) -> Result<Vec<Blob>, RemoteError>;

    /// Has so many bytes kept under this key.
    ///
    /// # Errors
    /// It is not known that they are.
    fn put(
        &self,
        kind: Kind,
        key: Blob,
        size: u64,
        from: &mut dyn Read,
        until: Instant,
    ) -> Result<(), RemoteError>;
}

/// Writes on, and takes the digest of what is written.
struct Digesting<'w> {
    to: &'w mut dyn Write,
    hasher: Sha256,
    written: u64,
}

impl Write for Digesting<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.to.write(bytes)?;
        self.hasher.update(&bytes[..count]);
        self.written += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// Writes a content to `to`, verified; says whether there is one. What was written is to be thrown away on an error.
pub(super) fn fetch(
    transport: &dyn Transport,
    blob: Blob,
    to: &mut dyn Write,
    until: Instant,
) -> Result<bool, RemoteError> {
    let mut to = Digesting { to, hasher: Sha256::new(), written: 0 };
    if !transport.get(Kind::Content, blob, blob.size, &mut to, until)? {
        return Ok(false);
    }
    let is_whole = to.written == blob.size && Sha(to.hasher.finalize().into()) == blob.digest;
    if is_whole { Ok(true) } else { Err(RemoteError::Wrong(blob.digest)) }
}

/// A content, verified; `None` where there is none.
pub(super) fn read(
    transport: &dyn Transport,
    blob: Blob,
    until: Instant,
) -> Result<Option<Vec<u8>>, RemoteError> {
    let mut bytes = room_for(blob);
    Ok(fetch(transport, blob, &mut bytes, until)?.then_some(bytes))
}

/// What a server gives as a content of which the caller verifies every part that it uses; `None` where there is none.
pub(super) fn read_unverified(
    transport: &dyn Transport,
    blob: Blob,
    until: Instant,
) -> Result<Option<Vec<u8>>, RemoteError> {
    let mut bytes = room_for(blob);
    let is_there = transport.get(Kind::Content, blob, blob.size, &mut bytes, until)?;
    Ok(is_there.then_some(bytes))
}

/// To grow it step by step would copy a content several times; a length that is a lie is not believed far.
fn room_for(blob: Blob) -> Vec<u8> {
    Vec::with_capacity(usize::try_from(blob.size).unwrap_or_default().min(256 << 20))
}

/// Has these bytes kept under this key.
pub(super) fn put(
    transport: &dyn Transport,
    kind: Kind,
    key: Blob,
    bytes: &[u8],
    until: Instant,
) -> Result<(), RemoteError> {
    transport.put(kind, key, bytes.len() as u64, &mut &bytes[..], until)
}

/// Does something with each, on several threads. An error ends what its thread has still to do, and is the result.
pub(super) fn each_in_parallel<T: Sync>(
    all: &[T],
    each: impl Fn(&T) -> Result<(), RemoteError> + Sync,
) -> Result<(), RemoteError> {
    in_parallel(all, 1, |part| part.iter().try_for_each(&each)).into_iter().collect()
}
