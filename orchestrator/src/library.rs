//! The preload library that traced programs load: built by `build.rs` into this crate, unpacked into the store.

use std::io;
use std::path::PathBuf;

use platform::tracing::unpack_library;

use crate::cache::Store;
use crate::fingerprint::Digest;

/// The library; empty where there is none.
static LIBRARY: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/preload.bin"));

/// The folder in `store` that the library is in, where it is written if it is not there yet; `None` where this system has none.
///
/// # Errors
/// The folder can't be written.
pub fn unpack(store: &Store) -> io::Result<Option<PathBuf>> {
    if LIBRARY.is_empty() {
        return Ok(None);
    }
    let folder = store.library_folder().join(Digest::of(LIBRARY).to_string());
    unpack_library(LIBRARY, &folder)
        .map_err(|source| io::Error::new(source.kind(), format!("{}: {source}", folder.display())))?;
    Ok(Some(folder))
}
