//! Records: the small files of the store, each with its version and a digest of what it holds.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{FORMAT_VERSION, Store, StoreError};
use crate::fingerprint::Digest;

const MAGIC: &[u8; 4] = b"TRUN";
/// Magic, version, kind, digest.
const HEADER: usize = 4 + 2 + 1 + 32;

/// What is kept as a record.
pub(super) trait Record: Serialize + DeserializeOwned {
    /// The folder of the store that records of this kind lie in.
    const FOLDER: &'static str;
    /// The kind, in the record's header.
    const KIND: u8;
}

/// A record that was looked for.
#[derive(Debug)]
pub(super) enum Found<R> {
    /// It is there.
    Whole(R),
    /// There is none.
    Missing,
    /// It was damaged, and has been removed.
    Damaged,
}

impl<R> Found<R> {
    pub(super) fn whole(self) -> Option<R> {
        match self {
            Self::Whole(record) => Some(record),
            Self::Missing | Self::Damaged => None,
        }
    }
}

impl Store {
    pub(super) fn record_path<R: Record>(&self, name: &str) -> PathBuf {
        self.folder.join(R::FOLDER).join(name)
    }

    pub(super) fn read_record<R: Record>(&self, name: &str) -> Result<Found<R>, StoreError> {
        let path = self.record_path::<R>(name);
        let bytes = match fs::read(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Found::Missing),
            bytes => bytes.map_err(StoreError::io(&path, "read it"))?,
        };
        match decode(&bytes) {
            Some(record) => Ok(Found::Whole(record)),
            None => {
                // If it can't be removed it will be replaced.
                let _ = fs::remove_file(&path);
                Ok(Found::Damaged)
            }
        }
    }

    pub(super) fn write_record<R: Record>(&self, name: &str, record: &R) -> Result<(), StoreError> {
        let path = self.record_path::<R>(name);
        self.write(&path, &encode(record, &path)?)
    }
}

pub(super) fn encode<R: Record>(record: &R, path: &Path) -> Result<Vec<u8>, StoreError> {
    let mut header = [0; HEADER];
    header[..4].copy_from_slice(MAGIC);
    header[4..6].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
    header[6] = R::KIND;
    let encoded = postcard::to_extend(record, header.to_vec());
    let mut bytes =
        encoded.map_err(|source| StoreError::Encode { path: path.display().to_string(), source })?;
    let digest = Digest::of(&bytes[HEADER..]);
    bytes[7..HEADER].copy_from_slice(&digest.0);
    Ok(bytes)
}

/// The record in `bytes`; `None` when they are damaged. Another version of tracerun has a folder of its own, so that
/// another version in the header is damage too.
fn decode<R: Record>(bytes: &[u8]) -> Option<R> {
    let (header, body) = bytes.split_at_checked(HEADER)?;
    let is_whole = &header[..4] == MAGIC
        && header[4..6] == FORMAT_VERSION.to_le_bytes()
        && header[6] == R::KIND
        && header[7..] == Digest::of(body).0;
    is_whole.then(|| postcard::from_bytes(body).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Note(String);

    impl Record for Note {
        const FOLDER: &'static str = "notes";
        const KIND: u8 = 200;
    }

    #[derive(Debug, Serialize, Deserialize)]
    struct OtherNote(String);

    impl Record for OtherNote {
        const FOLDER: &'static str = "notes";
        const KIND: u8 = 201;
    }

    fn store() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        (folder, store)
    }

    #[test]
    fn a_record_comes_back_as_its_own_kind_only() {
        let (_folder, store) = store();
        store.write_record("a", &Note("x".into())).unwrap();
        assert_eq!(store.read_record::<Note>("a").unwrap().whole(), Some(Note("x".into())));
        assert!(matches!(store.read_record::<Note>("b").unwrap(), Found::Missing));
        assert!(matches!(store.read_record::<OtherNote>("a").unwrap(), Found::Damaged));
    }

    #[test]
    fn any_damage_is_noticed_and_the_record_removed() {
        let (_folder, store) = store();
        let path = store.record_path::<Note>("a");
        store.write_record("a", &Note("some text".into())).unwrap();
        let whole = fs::read(&path).unwrap();
        for index in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[index] ^= 1;
            fs::write(&path, &bytes).unwrap();
            assert!(matches!(store.read_record::<Note>("a").unwrap(), Found::Damaged), "byte {index}");
            assert!(!path.exists());
        }
        for length in 0..whole.len() {
            fs::write(&path, &whole[..length]).unwrap();
            let found = store.read_record::<Note>("a").unwrap();
            assert!(matches!(found, Found::Damaged), "cut to {length}");
        }
    }
}
