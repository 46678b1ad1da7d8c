//! Files, by the standard library's Unix extensions.

use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::fs::{self, DirBuilder, Metadata, Permissions};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::files::{FileType, Identity};

pub(crate) fn identity(path: &Path, follow: bool) -> io::Result<Identity> {
    let metadata = if follow { fs::metadata(path)? } else { fs::symlink_metadata(path)? };
    Ok(identity_of(&metadata))
}

pub(crate) fn identity_of_open(file: &fs::File) -> io::Result<Identity> {
    Ok(identity_of(&file.metadata()?))
}

pub(crate) fn read_at(file: &fs::File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    file.read_at(buffer, offset)
}

pub(crate) fn write_at(file: &fs::File, bytes: &[u8], offset: u64) -> io::Result<()> {
    file.write_all_at(bytes, offset)
}

fn identity_of(metadata: &Metadata) -> Identity {
    let file_type = metadata.file_type();
    Identity {
        file_type: if file_type.is_file() {
            FileType::File
        } else if file_type.is_dir() {
            FileType::Directory
        } else if file_type.is_symlink() {
            FileType::Symlink
        } else {
            FileType::Other
        },
        mode: metadata.mode() & 0o7777,
        size: metadata.size(),
        device: metadata.dev(),
        inode: metadata.ino(),
        links: metadata.nlink(),
        mtime_ns: nanoseconds(metadata.mtime(), metadata.mtime_nsec()),
        ctime_ns: nanoseconds(metadata.ctime(), metadata.ctime_nsec()),
        owner: (metadata.uid(), metadata.gid()),
    }
}

fn nanoseconds(seconds: i64, rest: i64) -> i128 {
    i128::from(seconds) * 1_000_000_000 + i128::from(rest)
}

pub(crate) fn set_mode(path: &Path, mode: u32) -> io::Result<()> {
    fs::set_permissions(path, Permissions::from_mode(mode))
}

pub(crate) fn set_mode_of_open(file: &fs::File, mode: u32) -> io::Result<()> {
    file.set_permissions(Permissions::from_mode(mode))
}

pub(crate) fn create_private(path: &Path) -> io::Result<fs::File> {
    fs::File::options().read(true).write(true).create_new(true).mode(0o600).open(path)
}

pub(crate) fn own_ids() -> (u32, u32) {
    (nix::unistd::geteuid().as_raw(), nix::unistd::getegid().as_raw())
}

pub(crate) fn set_owner(path: &Path, (user, group): (u32, u32)) -> io::Result<()> {
    std::os::unix::fs::lchown(path, Some(user), Some(group))
}

pub(crate) fn symlink(target: &Path, path: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(target, path)
}

pub(crate) fn bytes_of_path(path: &Path) -> Cow<'_, [u8]> {
    path.as_os_str().as_bytes().into()
}

pub(crate) fn path_of(bytes: &[u8]) -> PathBuf {
    name_of(bytes).into()
}

pub(crate) fn bytes_of(name: &OsStr) -> &[u8] {
    name.as_bytes()
}

pub(crate) fn name_of(bytes: &[u8]) -> OsString {
    OsString::from_vec(bytes.to_vec())
}

pub(crate) fn entry_name<'n>(_: &[u8], name: &'n [u8]) -> Cow<'n, [u8]> {
    name.into()
}

pub(crate) fn create_private_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

pub(crate) fn is_writable_by_others(path: &Path) -> io::Result<bool> {
    let (user, _) = own_ids();
    let metadata = fs::metadata(path)?;
    Ok(metadata.mode() & 0o022 != 0 || metadata.uid() != user && metadata.uid() != 0)
}

pub(crate) fn clock_barrier(scratch: &Path) -> io::Result<i128> {
    /// Longer than the kernel's clock tick at the lowest frequency it can be built with, 100 Hz.
    const GIVE_UP: Duration = Duration::from_secs(1);
    let file = fs::File::create(scratch)?;
    let began = SystemTime::now();
    // A file whose time was looked at gets a finer stamp at its next change where the kernel has multigrain
    // timestamps (Linux 6.13), and no later change anywhere gets an earlier one. Older kernels stamp with a
    // clock that ticks every few milliseconds: there the tick is waited for.
    let touched = || -> io::Result<i128> {
        file.set_modified(SystemTime::now())?;
        Ok(identity_of(&file.metadata()?).ctime_ns)
    };
    let first = touched()?;
    loop {
        let now = touched()?;
        if now > first {
            return Ok(now);
        }
        if began.elapsed().unwrap_or_default() > GIVE_UP {
            return Err(io::Error::other("the file system's clock stands still"));
        }
        std::thread::sleep(Duration::from_micros(200));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_barrier_parts_earlier_changes_from_later_ones() {
        let folder = tempfile::tempdir().expect("a folder");
        let (scratch, file) = (folder.path().join("scratch"), folder.path().join("file"));
        for _ in 0..50 {
            fs::write(&file, "before").expect("written");
            let earlier = identity(&file, true).expect("there").ctime_ns;
            let barrier = clock_barrier(&scratch).expect("a barrier");
            fs::write(&file, "after").expect("written");
            let later = identity(&file, true).expect("there").ctime_ns;
            assert!(earlier < barrier, "{earlier} {barrier}");
            assert!(barrier <= later, "{barrier} {later}");
        }
    }

    #[test]
    fn a_folder_that_the_group_can_write_to_is_not_private() {
        let folder = tempfile::tempdir().expect("a folder");
        let inner = folder.path().join("a/b");
        create_private_folder(&inner).expect("made");
        assert!(!is_writable_by_others(&inner).expect("there"));
        set_mode(&inner, 0o770).expect("changed");
        assert!(is_writable_by_others(&inner).expect("there"));
    }
}
