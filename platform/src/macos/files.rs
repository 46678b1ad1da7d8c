//! Files, as far as macOS has its own ways.

use std::ffi::CStr;
use std::fs::{self, File};
use std::io::{self, Seek, SeekFrom};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

pub(crate) use super::attributes::{extended_attributes, remove_extended_attribute, set_extended_attribute};
pub(crate) use super::unix_files::*;

pub(crate) fn keeps_change_times(path: &Path) -> bool {
    /// Those of which it is known.
    const RELIABLE: [&CStr; 2] = [c"apfs", c"hfs"];
    status_of_volume(path).is_ok_and(|volume| {
        // SAFETY: the kernel ends the name with a NUL (statfs(2)).
        let name = unsafe { CStr::from_ptr(volume.f_fstypename.as_ptr()) };
        RELIABLE.contains(&name)
    })
}

fn status_of_volume(path: &Path) -> io::Result<libc::statfs> {
    let path = super::attributes::c_string(bytes_of_path(path).as_ref())?;
    let mut volume = std::mem::MaybeUninit::<libc::statfs>::uninit();
    // SAFETY: `path` ends with a NUL, and the structure is writable.
    if unsafe { libc::statfs(path.as_ptr(), volume.as_mut_ptr()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel fills it when it succeeds.
    Ok(unsafe { volume.assume_init() })
}

/// The time of the boot, which is set anew at each.
pub(crate) fn boot_id() -> io::Result<Vec<u8>> {
    let mut time = [0_u8; size_of::<libc::timeval>()];
    let mut size = time.len();
    // SAFETY: the name is a C string, the buffer is writable and as long as said, and nothing is set.
    let told = unsafe {
        libc::sysctlbyname(
            c"kern.boottime".as_ptr(),
            time.as_mut_ptr().cast(),
            &raw mut size,
            std::ptr::null_mut(),
            0,
        )
    };
    if told == 0 { Ok(time[..size].to_vec()) } else { Err(io::Error::last_os_error()) }
}

pub(crate) fn real_directory(path: &Path) -> io::Result<PathBuf> {
    let real = fs::canonicalize(path)?;
    if real.is_dir() { Ok(real) } else { Err(io::ErrorKind::NotADirectory.into()) }
}

/// APFS stamps by a clock that does not tick noticeably.
pub(crate) fn last_tick() -> io::Result<i128> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_err(io::Error::other)?;
    Ok(now.as_nanos() as i128)
}

pub(crate) fn is_full(path: &Path) -> io::Result<bool> {
    /// What a file system may keep for its own bookkeeping of the last bytes.
    const REST: u64 = 16 << 10;
    let volume = status_of_volume(path)?;
    let files = volume.f_files > 0 && volume.f_ffree == 0;
    let room = volume.f_bavail.saturating_mul(u64::from(volume.f_bsize));
    Ok(files || volume.f_blocks > 0 && room < REST)
}

/// By copyfile(3). Blocks are not shared: `fclonefileat` makes a new name, and what is there has one already.
pub(crate) fn copy(from: &File, to: &File) -> io::Result<()> {
    let (mut from, mut to) = (from, to);
    from.seek(SeekFrom::Start(0))?;
    to.seek(SeekFrom::Start(0))?;
    let state = std::ptr::null_mut();
    // SAFETY: takes two descriptors, which are open as long as the borrows are; a null state is allowed.
    let copied = unsafe { libc::fcopyfile(from.as_raw_fd(), to.as_raw_fd(), state, libc::COPYFILE_DATA) };
    if copied != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// As the system's own guide says (File System Programming Guide, "The Library Directory").
pub(crate) fn user_cache_folder() -> Option<PathBuf> {
    let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    absolute("XDG_CACHE_HOME").or_else(|| absolute("HOME").map(|home| home.join("Library/Caches")))
}

/// macOS has no file system in memory.
pub(crate) fn private_folder_in_memory() -> Option<PathBuf> {
    None
}
