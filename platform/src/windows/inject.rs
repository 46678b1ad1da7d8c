//! The guest's library on disk.

use std::fs;
use std::io;
use std::path::Path;

/// File name of the library.
pub(super) const FILE: &str = "tracerun_guest.dll";

/// Writes the library into `folder`, unless it is there as it should be. Any number of processes may do so at once.
pub(crate) fn unpack(library: &[u8], folder: &Path) -> io::Result<()> {
    let file = folder.join(FILE);
    if fs::read(&file).is_ok_and(|held| held == library) {
        return Ok(());
    }
    fs::create_dir_all(folder)?;
    let making = folder.join(format!("{FILE}.{}", std::process::id()));
    fs::write(&making, library)?;
    fs::rename(&making, &file)
}
