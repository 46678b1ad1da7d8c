//! Getting the preload library into every process: the file on disk and the environment that names it.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use shm_protocol::session::{Session, VARIABLE};

/// File name of the library.
const FILE: &str = "libtracerun_preload.dylib";

/// dyld's variable that names libraries to load first.
const INSERT: &str = "DYLD_INSERT_LIBRARIES";

/// Writes the library into `folder`, unless it is there as it should be: `folder` must be named after the content. Any number of
/// processes may do so at once. A file that is in use is never written to, which would make the kernel kill who uses it.
pub(crate) fn unpack(library: &[u8], folder: &Path) -> io::Result<()> {
    let file = folder.join(FILE);
    if fs::read(&file).is_ok_and(|held| held == library) {
        return Ok(());
    }
    fs::create_dir_all(folder)?;
    let making = folder.join(format!(".making-{}-{:x}", std::process::id(), crate::tracing::now_ns()));
    let placed = fs::write(&making, library)
        .and_then(|()| fs::File::open(&making)?.sync_all())
        .and_then(|()| fs::rename(&making, &file));
    if placed.is_err() {
        // What could not be written need not be there to be removed.
        let _ = fs::remove_file(&making);
    }
    placed
}

/// Adds to `environment` what makes a program load the library and find the session. The user's own libraries stay, before ours.
///
/// Returns whether it could be done: a folder whose name holds a colon can't be named there, and a library that is not there
/// would keep programs from starting.
pub(super) fn add(environment: &mut Vec<(OsString, OsString)>, folder: &Path, ring: &Path) -> bool {
    let library: PathBuf = folder.join(FILE);
    if library.as_os_str().as_bytes().contains(&b':') || !library.is_file() {
        return false;
    }
    let mut insert = OsString::new();
    environment.retain(|(name, value)| {
        let own = name == INSERT;
        if own && !value.is_empty() {
            insert = value.clone();
            insert.push(":");
        }
        !own && name != VARIABLE
    });
    insert.push(library);
    environment.push((INSERT.into(), insert));
    let mut session = OsString::from(OsStr::from_bytes(&Session::head(0)));
    session.push(ring);
    environment.push((VARIABLE.into(), session));
    true
}
