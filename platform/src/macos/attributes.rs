//! Extended attributes of files: `getxattr(2)`.

use std::ffi::{CStr, CString, c_char, c_void};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr;

/// Labels that the system gives by rules of its own, whoever makes the file: quarantine and provenance.
const LABELS: [&[u8]; 3] = [b"com.apple.provenance", b"com.apple.quarantine", b"com.apple.lastuseddate#PS"];

pub(crate) fn extended_attributes(path: &Path) -> io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let path = c_string(path.as_os_str().as_bytes())?;
    let names = match sized(|buffer, size| {
        // SAFETY: `path` ends with a NUL, and `buffer` has room for `size` bytes, or is null where `size` is 0.
        unsafe { libc::listxattr(path.as_ptr(), buffer.cast::<c_char>(), size, libc::XATTR_NOFOLLOW) }
    }) {
        Err(error) if error.raw_os_error() == Some(libc::ENOTSUP) => return Ok(Vec::new()),
        names => names?,
    };
    let mut found = Vec::new();
    for name in names.split_inclusive(|byte| *byte == 0) {
        let Ok(name) = CStr::from_bytes_with_nul(name) else { continue };
        if LABELS.contains(&name.to_bytes()) {
            continue;
        }
        let value = sized(|buffer, size| {
            // SAFETY: `path` and `name` end with a NUL, and `buffer` has room for `size` bytes, or is null where it is 0.
            unsafe { libc::getxattr(path.as_ptr(), name.as_ptr(), buffer, size, 0, libc::XATTR_NOFOLLOW) }
        })?;
        found.push((name.to_bytes().to_vec(), value));
    }
    found.sort();
    Ok(found)
}

pub(crate) fn set_extended_attribute(path: &Path, name: &[u8], value: &[u8]) -> io::Result<()> {
    let (path, name) = (c_string(path.as_os_str().as_bytes())?, c_string(name)?);
    // SAFETY: `path` and `name` end with a NUL, and `value` is as long as it says.
    let done = unsafe {
        let value_start = value.as_ptr().cast::<c_void>();
        libc::setxattr(path.as_ptr(), name.as_ptr(), value_start, value.len(), 0, libc::XATTR_NOFOLLOW)
    };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

pub(crate) fn remove_extended_attribute(path: &Path, name: &[u8]) -> io::Result<()> {
    let (path, name) = (c_string(path.as_os_str().as_bytes())?, c_string(name)?);
    // SAFETY: `path` and `name` end with a NUL.
    let done = unsafe { libc::removexattr(path.as_ptr(), name.as_ptr(), libc::XATTR_NOFOLLOW) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

pub(super) fn c_string(bytes: &[u8]) -> io::Result<CString> {
    CString::new(bytes).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))
}

/// What `call` writes into a buffer of the length that it asks for; again if that has grown meanwhile.
fn sized(call: impl Fn(*mut c_void, usize) -> isize) -> io::Result<Vec<u8>> {
    loop {
        let length = call(ptr::null_mut(), 0);
        if length <= 0 {
            return if length == 0 { Ok(Vec::new()) } else { Err(io::Error::last_os_error()) };
        }
        let mut buffer = vec![0u8; length as usize];
        let written = call(buffer.as_mut_ptr().cast::<c_void>(), buffer.len());
        if written >= 0 {
            buffer.truncate(written as usize);
            return Ok(buffer);
        }
        let error = io::Error::last_os_error();
        if error.raw_os_error() != Some(libc::ERANGE) {
            return Err(error);
        }
    }
}
