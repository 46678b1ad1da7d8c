//! Copying a file without reading it into this process, and without its holes.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;

use nix::errno::Errno;
use nix::unistd::{Whence, lseek};

pub(crate) fn copy(from: &File, to: &File) -> io::Result<()> {
    // SAFETY: FICLONE takes two descriptors, both of which are open as long as the borrows are, and no memory.
    if unsafe { libc::ioctl(to.as_raw_fd(), libc::FICLONE, from.as_raw_fd()) } == 0 {
        return Ok(());
    }
    let metadata = from.metadata()?;
    let size = metadata.len();
    let (mut from, mut to) = (from, to);
    let is_sparse = metadata.blocks().saturating_mul(512) < size;
    let mut at = 0;
    while at < size {
        let (data, hole) = if is_sparse { segment(from, at, size)? } else { (at, size) };
        if data < hole {
            from.seek(SeekFrom::Start(data))?;
            to.seek(SeekFrom::Start(data))?;
            // In the kernel, by copy_file_range, where the standard library finds that it can.
            let copied = io::copy(&mut from.take(hole - data), &mut to)?;
            if copied < hole - data {
                break;
            }
        }
        at = hole;
    }
    // What ends in a hole is not as long yet.
    to.set_len(size)
}

/// The next run of data at or after `at`: where it begins and ends.
fn segment(file: &File, at: u64, size: u64) -> io::Result<(u64, u64)> {
    let seek = |at: u64, whence| lseek(file, at as i64, whence).map(|at| (at as u64).min(size));
    match seek(at, Whence::SeekData) {
        Ok(data) => Ok((data, seek(data, Whence::SeekHole)?)),
        // There is no more.
        Err(Errno::ENXIO) => Ok((size, size)),
        Err(Errno::EINVAL) => Ok((at, size)),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;

    use super::*;

    #[test]
    fn a_copy_is_the_same_holes_and_all() {
        let folder = tempfile::tempdir().expect("a folder");
        let (source, target) = (folder.path().join("source"), folder.path().join("target"));
        let mut file = File::create(&source).expect("made");
        file.seek(SeekFrom::Start(4 << 20)).expect("sought");
        file.write_all(b"in the middle").expect("written");
        file.set_len(9 << 20).expect("grown");
        for content in [None, Some(&b""[..]), Some(b"small")] {
            if let Some(content) = content {
                fs::write(&source, content).expect("written");
            }
            let to = File::create(&target).expect("made");
            copy(&File::open(&source).expect("there"), &to).expect("copied");
            assert!(fs::read(&source).expect("read") == fs::read(&target).expect("read"));
            assert!(to.metadata().expect("there").blocks() <= file.metadata().expect("there").blocks() + 8);
        }
    }
}
