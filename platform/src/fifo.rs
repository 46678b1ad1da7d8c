//! FIFOs: one process serving many, over names in the file system, without a thread for each.

use std::fs::File;
use std::io;
use std::path::Path;

use crate::os;

/// Makes a FIFO at `path` that only this user can open.
///
/// # Errors
/// Something is there already, or the file system has no FIFOs.
pub fn create(path: &Path) -> io::Result<()> {
    os::fifo::create(path)
}

/// Opens a FIFO for reading; neither this nor reading blocks. Reading gives 0 bytes when nobody has it open for writing.
///
/// # Errors
/// As `open`.
pub fn open_to_read(path: &Path) -> io::Result<File> {
    os::fifo::open_to_read(path)
}

/// Opens a FIFO for reading and writing, so that it always has a reader and a writer; neither blocks.
///
/// # Errors
/// As `open`.
pub fn open_both(path: &Path) -> io::Result<File> {
    os::fifo::open_both(path)
}

/// What is to be waited for.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'f> {
    /// The FIFO.
    pub file: &'f File,
    /// Wait until something can be read, or all writers have gone.
    pub read: bool,
    /// Wait until something can be written.
    pub write: bool,
}

/// Waits until one of `wanted` can be used; for each, whether it can.
///
/// # Errors
/// As `poll`, but for an interruption, which is waited out.
pub fn wait(wanted: &[Wanted<'_>]) -> io::Result<Vec<bool>> {
    os::fifo::wait(wanted)
}
