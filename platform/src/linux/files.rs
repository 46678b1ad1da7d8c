//! Files, by the standard library's Unix extensions.

use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::fs::{self, DirBuilder, Metadata, Permissions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use linux_raw_sys::general::XFS_SUPER_MAGIC;
use nix::sys::statfs::{self, FsType};

pub(crate) use super::attributes::{extended_attributes, remove_extended_attribute, set_extended_attribute};
pub(crate) use super::copy::copy;
use crate::files::{FileType, Identity};

pub(crate) fn identity(path: &Path, follow: bool) -> io::Result<Identity> {
    let metadata = if follow { fs::metadata(path)? } else { fs::symlink_metadata(path)? };
    Ok(identity_of(&metadata))
}

pub(crate) fn identity_of_open(file: &fs::File) -> io::Result<Identity> {
    Ok(identity_of(&file.metadata()?))
}

pub(crate) fn keeps_change_times(path: &Path) -> bool {
    /// Those of which it is known.
    const RELIABLE: [FsType; 6] = [
        statfs::EXT4_SUPER_MAGIC,
        FsType(XFS_SUPER_MAGIC as _),
        statfs::BTRFS_SUPER_MAGIC,
        statfs::TMPFS_MAGIC,
        statfs::OVERLAYFS_SUPER_MAGIC,
        statfs::F2FS_SUPER_MAGIC,
    ];
    statfs::statfs(path).is_ok_and(|found| RELIABLE.contains(&found.filesystem_type()))
}

pub(crate) fn boot_id() -> io::Result<Vec<u8>> {
    fs::read("/proc/sys/kernel/random/boot_id")
}

pub(crate) fn real_directory(path: &Path) -> io::Result<PathBuf> {
    let flags = libc::O_PATH | libc::O_DIRECTORY | libc::O_CLOEXEC;
    let folder = fs::File::options().read(true).custom_flags(flags).open(path)?;
    let real = fs::read_link(format!("/proc/self/fd/{}", folder.as_raw_fd()))?;
    // What has been removed meanwhile, or lies out of reach, has another form of name (path_resolution(7), proc(5)).
    let is_plain = real.is_absolute() && !real.as_os_str().as_bytes().ends_with(b" (deleted)");
    if is_plain { Ok(real) } else { fs::canonicalize(path) }
}

pub(crate) fn last_tick() -> io::Result<i128> {
    let now = nix::time::clock_gettime(nix::time::ClockId::CLOCK_REALTIME_COARSE)?;
    Ok(i128::from(now.tv_sec()) * 1_000_000_000 + i128::from(now.tv_nsec()))
}

pub(crate) fn is_full(path: &Path) -> io::Result<bool> {
    /// What a file system may keep for its own bookkeeping of the last bytes.
    const REST: u64 = 16 << 10;
    let room = nix::sys::statvfs::statvfs(path)?;
    // Root may use what is set aside for it, but not what ext4 keeps for itself: 2 %, at most 4096 blocks.
    let blocks = match own_ids().0 {
        0 => room.blocks_free().saturating_sub((room.blocks() / 50).min(4096)),
        _ => room.blocks_available(),
    };
    let files = room.files() > 0 && room.files_free() == 0;
    Ok(files || room.blocks() > 0 && blocks.saturating_mul(room.fragment_size()) < REST)
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

/// The XDG base directory specification's cache folder; values that are not absolute count as unset there.
pub(crate) fn entry_name<'n>(_: &[u8], name: &'n [u8]) -> Cow<'n, [u8]> {
    name.into()
}

pub(crate) fn user_cache_folder() -> Option<PathBuf> {
    let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    absolute("XDG_CACHE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".cache")))
}

pub(crate) fn create_private_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

pub(crate) fn private_folder_in_memory() -> Option<PathBuf> {
    let (user, _) = own_ids();
    let folder = PathBuf::from(format!("/dev/shm/tracerun-{user}"));
    // Anyone may make something of this name: what is there counts.
    let _ = DirBuilder::new().mode(0o700).create(&folder);
    let found = fs::symlink_metadata(&folder).ok()?;
    (found.is_dir() && found.uid() == user && found.mode() & 0o077 == 0).then_some(folder)
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
