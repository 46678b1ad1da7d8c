//! Extended attributes of files: `xattr(7)`.

use std::ffi::{CStr, CString, c_char, c_void};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr;

/// Labels that the system gives by rules of its own, whoever makes the file.
const LABELS: [&[u8]; 4] = [b"security.selinux", b"security.ima", b"security.evm", b"security.SMACK64"];

pub(crate) fn extended_attributes(path: &Path) -> io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let path = c_string(path.as_os_str().as_bytes())?;
    let names = match sized(|buffer, size| {
        // SAFETY: `path` ends with a NUL, and `buffer` has room for `size` bytes, or is null where `size` is 0.
        unsafe { libc::llistxattr(path.as_ptr(), buffer.cast::<c_char>(), size) }
    }) {
        Err(error) if error.raw_os_error() == Some(libc::ENOTSUP) => return Ok(Vec::new()),
        names => names?,
    };
    let mut found = Vec::new();
    for name in names.split_inclusive(|byte| *byte == 0) {
        let Ok(name) = CStr::from_bytes_with_nul(name) else { continue };
        if LABELS.contains(&name.to_bytes()) || name.to_bytes().starts_with(b"trusted.overlay.") {
            continue;
        }
        let value = sized(|buffer, size| {
            // SAFETY: `path` and `name` end with a NUL, and `buffer` has room for `size` bytes, or is null where it is 0.
            unsafe { libc::lgetxattr(path.as_ptr(), name.as_ptr(), buffer, size) }
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
        libc::lsetxattr(path.as_ptr(), name.as_ptr(), value.as_ptr().cast::<c_void>(), value.len(), 0)
    };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

pub(crate) fn remove_extended_attribute(path: &Path, name: &[u8]) -> io::Result<()> {
    let (path, name) = (c_string(path.as_os_str().as_bytes())?, c_string(name)?);
    // SAFETY: `path` and `name` end with a NUL.
    let done = unsafe { libc::lremovexattr(path.as_ptr(), name.as_ptr()) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn c_string(bytes: &[u8]) -> io::Result<CString> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_come_back_and_go() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let path = file.path();
        if set_extended_attribute(path, b"user.b", b"two\0bytes").is_err() {
            return; // This file system has none.
        }
        set_extended_attribute(path, b"user.a", b"").expect("set");
        let both = [(b"user.a".to_vec(), b"".to_vec()), (b"user.b".to_vec(), b"two\0bytes".to_vec())];
        assert_eq!(extended_attributes(path).expect("read"), both);
        remove_extended_attribute(path, b"user.b").expect("removed");
        assert_eq!(extended_attributes(path).expect("read"), both[..1]);
    }
}
