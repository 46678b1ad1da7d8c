//! Facts about files as Windows keeps them.

use std::borrow::Cow;
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::windows::ffi::{OsStrExt, OsStringExt};
use std::os::windows::fs::{FileExt, OpenOptionsExt};
use std::os::windows::io::AsRawHandle;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use windows_sys::Win32::Foundation::INVALID_HANDLE_VALUE;
use windows_sys::Win32::Storage::FileSystem::{
    BY_HANDLE_FILE_INFORMATION, FILE_ATTRIBUTE_DIRECTORY, FILE_ATTRIBUTE_READONLY,
    FILE_ATTRIBUTE_REPARSE_POINT, FILE_BASIC_INFO, FILE_FLAG_BACKUP_SEMANTICS, FILE_FLAG_OPEN_REPARSE_POINT,
    FILE_READ_ATTRIBUTES, FileBasicInfo, FindClose, FindFirstFileW, GetFileInformationByHandle,
    GetFileInformationByHandleEx, GetVolumeInformationByHandleW, WIN32_FIND_DATAW,
};

use crate::files::{FileType, Identity};

pub(crate) use super::names::{bytes_of, bytes_of_path, name_of, path_of};

fn unsupported() -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, "not supported on Windows")
}

/// Opens what stands at `path`, whatever it is, to ask about it.
fn open(path: &Path, follow: bool) -> io::Result<File> {
    let itself = if follow { 0 } else { FILE_FLAG_OPEN_REPARSE_POINT };
    OpenOptions::new()
        .access_mode(FILE_READ_ATTRIBUTES)
        .custom_flags(FILE_FLAG_BACKUP_SEMANTICS | itself)
        .open(path)
}

pub(crate) fn identity(path: &Path, follow: bool) -> io::Result<Identity> {
    identity_of_open(&open(path, follow)?)
}

pub(crate) fn identity_of_open(file: &File) -> io::Result<Identity> {
    let mut facts = BY_HANDLE_FILE_INFORMATION::default();
    // SAFETY: the handle is open, and the structure is the one that is written.
    check(unsafe { GetFileInformationByHandle(file.as_raw_handle(), &raw mut facts) })?;
    let mut basic = FILE_BASIC_INFO::default();
    let size = size_of::<FILE_BASIC_INFO>() as u32;
    // SAFETY: as above; the structure is that of the class.
    check(unsafe {
        GetFileInformationByHandleEx(file.as_raw_handle(), FileBasicInfo, (&raw mut basic).cast(), size)
    })?;
    let has = |attribute: u32| basic.FileAttributes & attribute != 0;
    let file_type = if has(FILE_ATTRIBUTE_REPARSE_POINT) {
        FileType::Symlink
    } else if has(FILE_ATTRIBUTE_DIRECTORY) {
        FileType::Directory
    } else {
        FileType::File
    };
    let both = |high: u32, low: u32| u64::from(high) << 32 | u64::from(low);
    Ok(Identity {
        file_type,
        mode: match file_type {
            FileType::Directory | FileType::Symlink => 0o777,
            _ if has(FILE_ATTRIBUTE_READONLY) => 0o444,
            _ => 0o666,
        },
        size: both(facts.nFileSizeHigh, facts.nFileSizeLow),
        device: facts.dwVolumeSerialNumber.into(),
        inode: both(facts.nFileIndexHigh, facts.nFileIndexLow),
        links: facts.nNumberOfLinks.into(),
        mtime_ns: nanoseconds(basic.LastWriteTime),
        ctime_ns: nanoseconds(basic.ChangeTime),
        owner: own_ids(),
    })
}

/// Since 1970, from units of 100 ns since 1601.
fn nanoseconds(time: i64) -> i128 {
    const UNTIL_1970: i128 = 116_444_736_000_000_000;
    (i128::from(time) - UNTIL_1970) * 100
}

fn check(done: i32) -> io::Result<()> {
    if done == 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

pub(crate) fn keeps_change_times(path: &Path) -> bool {
    let mut name = [0_u16; 32];
    let none = std::ptr::null_mut();
    let Ok(file) = open(path, true) else { return false };
    // SAFETY: the handle is open, and the buffer as long as said; what is not asked for may be null.
    let done = unsafe {
        GetVolumeInformationByHandleW(
            file.as_raw_handle(),
            std::ptr::null_mut(),
            0,
            none,
            none,
            none,
            name.as_mut_ptr(),
            name.len() as u32,
        )
    };
    let name: Vec<u16> = name.into_iter().take_while(|&unit| unit != 0).collect();
    done != 0 && matches!(String::from_utf16_lossy(&name).as_str(), "NTFS" | "ReFS")
}

pub(crate) fn boot_id() -> io::Result<Vec<u8>> {
    Err(unsupported())
}

pub(crate) fn real_directory(path: &Path) -> io::Result<PathBuf> {
    let real = fs::canonicalize(path)?;
    if real.is_dir() { Ok(real) } else { Err(io::ErrorKind::NotADirectory.into()) }
}

pub(crate) fn last_tick() -> io::Result<i128> {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_err(io::Error::other)?;
    Ok(since.as_nanos() as i128)
}

pub(crate) fn is_full(_: &Path) -> io::Result<bool> {
    // What could not be written was refused when it was.
    Ok(false)
}

pub(crate) fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.seek_read(&mut buffer[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

pub(crate) fn write_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
    let mut written = 0;
    while written < bytes.len() {
        written += file.seek_write(&bytes[written..], offset + written as u64)?;
    }
    Ok(())
}

pub(crate) fn own_ids() -> (u32, u32) {
    (0, 0)
}

pub(crate) fn set_owner(_: &Path, _: (u32, u32)) -> io::Result<()> {
    Err(unsupported())
}

pub(crate) fn extended_attributes(_: &Path) -> io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
    Ok(Vec::new())
}

pub(crate) fn set_extended_attribute(_: &Path, _: &[u8], _: &[u8]) -> io::Result<()> {
    Err(unsupported())
}

pub(crate) fn remove_extended_attribute(_: &Path, _: &[u8]) -> io::Result<()> {
    Err(unsupported())
}

pub(crate) fn set_mode_of_open(file: &File, mode: u32) -> io::Result<()> {
    let mut permissions = file.metadata()?.permissions();
    if permissions.readonly() != is_read_only(mode) {
        permissions.set_readonly(is_read_only(mode));
        file.set_permissions(permissions)?;
    }
    Ok(())
}

fn is_read_only(mode: u32) -> bool {
    mode & 0o222 == 0
}

pub(crate) fn create_private(path: &Path) -> io::Result<File> {
    // What a folder of the user's holds is the user's.
    OpenOptions::new().read(true).write(true).create_new(true).open(path)
}

pub(crate) fn copy(mut from: &File, mut to: &File) -> io::Result<()> {
    io::copy(&mut from, &mut to).map(drop)
}

pub(crate) fn set_mode(path: &Path, mode: u32) -> io::Result<()> {
    let metadata = fs::symlink_metadata(path)?;
    let mut permissions = metadata.permissions();
    if metadata.is_file() && permissions.readonly() != is_read_only(mode) {
        permissions.set_readonly(is_read_only(mode));
        fs::set_permissions(path, permissions)?;
    }
    Ok(())
}

pub(crate) fn symlink(target: &Path, path: &Path) -> io::Result<()> {
    let above = path.parent().unwrap_or(Path::new(""));
    if above.join(target).is_dir() {
        std::os::windows::fs::symlink_dir(target, path)
    } else {
        std::os::windows::fs::symlink_file(target, path)
    }
}

pub(crate) fn entry_name<'n>(folder: &[u8], name: &'n [u8]) -> Cow<'n, [u8]> {
    if folder == b"/" {
        // A drive.
        return name.to_ascii_uppercase().into();
    }
    match name_in(&path_of(&[folder, b"/", name].concat())) {
        Some(own) => own.into(),
        None => name_of(name).to_string_lossy().to_lowercase().into_bytes().into(),
    }
}

/// The name of what stands at `path`, as its folder has it: in its own case, and the long one of two.
fn name_in(path: &Path) -> Option<Vec<u8>> {
    let mut name: Vec<u16> = path.as_os_str().encode_wide().collect();
    // What stands for any name stands for none.
    if name.iter().any(|&unit| [b'*', b'?', b'<', b'>', b'"'].map(u16::from).contains(&unit)) {
        return None;
    }
    name.push(0);
    let mut found = WIN32_FIND_DATAW::default();
    // SAFETY: the name ends with a zero, and the structure is the one that is written.
    let search = unsafe { FindFirstFileW(name.as_ptr(), &raw mut found) };
    if search == INVALID_HANDLE_VALUE {
        return None;
    }
    // SAFETY: the search is this one's.
    unsafe { FindClose(search) };
    let length = found.cFileName.iter().position(|&unit| unit == 0)?;
    Some(bytes_of(&OsString::from_wide(&found.cFileName[..length])).to_vec())
}

pub(crate) fn user_cache_folder() -> Option<PathBuf> {
    let home = || Some(PathBuf::from(std::env::var_os("USERPROFILE")?).join("AppData").join("Local"));
    std::env::var_os("LOCALAPPDATA").map(PathBuf::from).or_else(home)
}

pub(crate) fn create_private_folder(path: &Path) -> io::Result<()> {
    fs::create_dir_all(path)
}

pub(crate) fn private_folder_in_memory() -> Option<PathBuf> {
    None
}

pub(crate) fn is_writable_by_others(_: &Path) -> io::Result<bool> {
    // Rights are inherited here: a user's folder is the user's unless somebody has said otherwise.
    Ok(false)
}

pub(crate) fn clock_barrier(scratch: &Path) -> io::Result<i128> {
    /// Longer than any tick of the system's clock, which are 1 to 16 ms long.
    const GIVE_UP: Duration = Duration::from_secs(1);
    let file = File::create(scratch)?;
    let began = SystemTime::now();
    let touched = || -> io::Result<i128> {
        file.set_modified(SystemTime::now())?;
        Ok(identity_of_open(&file)?.ctime_ns)
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
