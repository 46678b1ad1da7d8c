//! Contents: plain files named by their digest.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use super::{Store, StoreError};
use crate::fingerprint::Digest;

impl Store {
    fn blob_path(&self, digest: Digest) -> PathBuf {
        let name = digest.to_string();
        self.folder.join("blobs").join(&name[..2]).join(name)
    }

    /// Keeps these bytes.
    pub(super) fn keep_bytes(&self, bytes: &[u8]) -> Result<Digest, StoreError> {
        let digest = Digest::of(bytes);
        if self.has_blob(digest, bytes.len() as u64).is_err() {
            self.write(&self.blob_path(digest), bytes)?;
        }
        Ok(digest)
    }

    /// Keeps the content of the file at `source`, of which this is known.
    pub(super) fn keep_file(&self, source: &Path, digest: Digest, size: u64) -> Result<(), StoreError> {
        if self.has_blob(digest, size).is_ok() {
            return Ok(());
        }
        let path = self.blob_path(digest);
        self.place(&path, |temporary| {
            let mut from = File::open(source).map_err(|source_error| match source_error.kind() {
                ErrorKind::NotFound => StoreError::Changed { path: source.display().to_string() },
                _ => StoreError::io(source, "read it")(source_error),
            })?;
            let mut to = File::create_new(temporary).map_err(StoreError::io(&path, "write it"))?;
            if copy(&mut from, &mut to).map_err(StoreError::io(&path, "write it"))? == (digest, size) {
                Ok(())
            } else {
                Err(StoreError::Changed { path: source.display().to_string() })
            }
        })
    }

    /// Makes sure that a content of this length is there; whether it is whole is known once it has been read.
    pub(crate) fn has_blob(&self, digest: Digest, size: u64) -> Result<(), StoreError> {
        let path = self.blob_path(digest);
        match fs::metadata(&path) {
            Ok(metadata) if metadata.is_file() && metadata.len() == size => Ok(()),
            _ => Err(StoreError::Blob { path: path.display().to_string() }),
        }
    }

    /// Writes a content to a new file at `target`.
    pub(crate) fn copy_blob(&self, digest: Digest, size: u64, target: &Path) -> Result<(), StoreError> {
        let path = self.blob_path(digest);
        let mut from =
            File::open(&path).map_err(|_| StoreError::Blob { path: path.display().to_string() })?;
        let mut to = File::create_new(target).map_err(StoreError::io(target, "write it"))?;
        let copied = copy(&mut from, &mut to).map_err(StoreError::io(target, "write it"))?;
        if copied == (digest, size) { Ok(()) } else { Err(self.damaged(&path)) }
    }

    /// A content as bytes.
    pub(super) fn read_blob(&self, digest: Digest) -> Result<Vec<u8>, StoreError> {
        let path = self.blob_path(digest);
        match fs::read(&path) {
            Ok(bytes) if Digest::of(&bytes) == digest => Ok(bytes),
            Ok(_) => Err(self.damaged(&path)),
            Err(_) => Err(StoreError::Blob { path: path.display().to_string() }),
        }
    }

    /// Removes a content that is not what its name says, so that the next run can put it there again.
    fn damaged(&self, path: &Path) -> StoreError {
        // If it can't be removed, it will be found damaged again.
        let _ = fs::remove_file(path);
        StoreError::Blob { path: path.display().to_string() }
    }
}

/// Copies all of `from`; its digest and length.
fn copy(from: &mut File, to: &mut File) -> io::Result<(Digest, u64)> {
    /// Reads what it passes on to `to`.
    struct Copying<'f>(&'f mut File, &'f mut File, u64);

    impl Read for Copying<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let count = self.0.read(buffer)?;
            self.1.write_all(&buffer[..count])?;
            self.2 += count as u64;
            Ok(count)
        }
    }

    let mut copying = Copying(from, to, 0);
    let digest = Digest::of_reader(&mut copying)?;
    Ok((digest, copying.2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_content_comes_back_and_a_damaged_one_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("cache")).unwrap();
        let source = folder.path().join("source");
        fs::write(&source, "content").unwrap();
        let digest = Digest::of(b"content");
        assert!(matches!(store.has_blob(digest, 7), Err(StoreError::Blob { .. })));
        store.keep_file(&source, digest, 7).unwrap();
        store.keep_file(&source, digest, 7).unwrap();
        let target = folder.path().join("target");
        store.copy_blob(digest, 7, &target).unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"content");
        assert_eq!(store.read_blob(digest).unwrap(), b"content");

        fs::write(store.blob_path(digest), "CONTENT").unwrap();
        store.has_blob(digest, 7).unwrap();
        let again = folder.path().join("again");
        assert!(matches!(store.copy_blob(digest, 7, &again), Err(StoreError::Blob { .. })));
        assert!(matches!(store.has_blob(digest, 7), Err(StoreError::Blob { .. })), "it was removed");
        assert_eq!(store.keep_bytes(b"content").unwrap(), digest);
        assert_eq!(store.read_blob(digest).unwrap(), b"content");
    }

    #[test]
    fn a_file_that_is_not_what_was_seen_is_not_kept() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("cache")).unwrap();
        let source = folder.path().join("source");
        fs::write(&source, "changed").unwrap();
        let seen = Digest::of(b"content");
        assert!(matches!(store.keep_file(&source, seen, 7), Err(StoreError::Changed { .. })));
        assert!(matches!(store.has_blob(seen, 7), Err(StoreError::Blob { .. })));
        let left: Vec<_> = fs::read_dir(store.blob_path(seen).parent().unwrap()).unwrap().collect();
        assert!(left.is_empty(), "{left:?}");
    }
}
