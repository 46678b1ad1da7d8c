//! Files, as far as Linux has its own ways.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use linux_raw_sys::general::XFS_SUPER_MAGIC;
use nix::sys::statfs::{self, FsType};

pub(crate) use super::attributes::{extended_attributes, remove_extended_attribute, set_extended_attribute};
pub(crate) use super::copy::copy;
pub(crate) use super::unix_files::*;

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

pub(crate) fn private_folder_in_memory() -> Option<PathBuf> {
    let (user, _) = own_ids();
    let folder = PathBuf::from(format!("/dev/shm/tracerun-{user}"));
    // Anyone may make something of this name: what is there counts.
    let _ = DirBuilder::new().mode(0o700).create(&folder);
    let found = fs::symlink_metadata(&folder).ok()?;
    (found.is_dir() && found.uid() == user && found.mode() & 0o077 == 0).then_some(folder)
}

/// The XDG base directory specification's cache folder; values that are not absolute count as unset there.
pub(crate) fn user_cache_folder() -> Option<PathBuf> {
    let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    absolute("XDG_CACHE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".cache")))
}
