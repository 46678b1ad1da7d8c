//! Facts about files that the standard library gives on some systems only, and the writes that need care.

use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::os;

/// What a path is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FileType {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A device, FIFO or socket.
    Other,
}

/// The metadata by which a file is known to be unchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// What it is.
    pub file_type: FileType,
    /// Permission bits, with setuid, setgid and sticky: 0 to 0o7777.
    pub mode: u32,
    /// Length in bytes.
    pub size: u64,
    /// Device number.
    pub device: u64,
    /// Inode number.
    pub inode: u64,
    /// How many names it has.
    pub links: u64,
    /// Modification time, nanoseconds since 1970.
    pub mtime_ns: i128,
    /// Status change time, nanoseconds since 1970.
    pub ctime_ns: i128,
    /// User and group that it belongs to.
    pub owner: (u32, u32),
}

/// The identity of what stands at `path`; a symbolic link at the end is followed when `follow` says so.
///
/// # Errors
/// As `stat` and `lstat`.
pub fn identity(path: &Path, follow: bool) -> io::Result<Identity> {
    os::files::identity(path, follow)
}

/// The identity of an open file.
///
/// # Errors
/// As `fstat`.
pub fn identity_of_open(file: &File) -> io::Result<Identity> {
    os::files::identity_of_open(file)
}

/// Whether the file system that holds `path` is one that gives whatever is changed a new status change time: those of
/// networks and of user space need not, and some have none.
#[must_use]
pub fn keeps_change_times(path: &Path) -> bool {
    os::files::keeps_change_times(path)
}

/// What names the present boot of the system.
///
/// # Errors
/// The system does not tell.
pub fn boot_id() -> io::Result<Vec<u8>> {
    os::files::boot_id()
}

/// The path of the directory at `path`, absolute and without symbolic links. Asks the system once, however deep it lies.
///
/// # Errors
/// There is none, or what is there is no directory.
pub fn real_directory(path: &Path) -> io::Result<PathBuf> {
    os::files::real_directory(path)
}

/// The time that the system gives to what is changed now, nanoseconds since 1970: that of the last tick of its clock.
///
/// # Errors
/// The system does not tell.
pub fn last_tick() -> io::Result<i128> {
    os::files::last_tick()
}

/// Whether the file system that holds `path` has no room left, for bytes or for files: what was written there last may
/// be cut short. Quotas of a user are not known.
///
/// # Errors
/// As `statvfs`.
pub fn is_full(path: &Path) -> io::Result<bool> {
    os::files::is_full(path)
}

/// Fills `buffer` from `offset` of a regular file, as far as there is something; says how far.
///
/// # Errors
/// As `pread`.
pub fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    os::files::read_at(file, buffer, offset)
}

/// Writes at `offset` of a file.
///
/// # Errors
/// As `pwrite`.
pub fn write_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
    os::files::write_at(file, bytes, offset)
}

/// The user and group that what this process makes belongs to.
#[must_use]
pub fn own_ids() -> (u32, u32) {
    os::files::own_ids()
}

/// Gives what stands at `path`, itself and not what it points to, to a user and group. Clears setuid and setgid bits.
///
/// # Errors
/// As `lchown`.
pub fn set_owner(path: &Path, owner: (u32, u32)) -> io::Result<()> {
    os::files::set_owner(path, owner)
}

/// The extended attributes of what stands at `path`, itself and not what it points to, sorted by name: those that a
/// program sets, not those by which the system labels files. None where the file system has none.
///
/// # Errors
/// As `llistxattr` and `lgetxattr`.
pub fn extended_attributes(path: &Path) -> io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
    os::files::extended_attributes(path)
}

/// Sets an extended attribute.
///
/// # Errors
/// As `lsetxattr`.
pub fn set_extended_attribute(path: &Path, name: &[u8], value: &[u8]) -> io::Result<()> {
    os::files::set_extended_attribute(path, name, value)
}

/// Removes an extended attribute.
///
/// # Errors
/// As `lremovexattr`.
pub fn remove_extended_attribute(path: &Path, name: &[u8]) -> io::Result<()> {
    os::files::remove_extended_attribute(path, name)
}

/// Sets the permission bits of an open file.
///
/// # Errors
/// As `fchmod`.
pub fn set_mode_of_open(file: &File, mode: u32) -> io::Result<()> {
    os::files::set_mode_of_open(file, mode)
}

/// Makes a new file at `path` that only this user can read and write.
///
/// # Errors
/// As `open`; something is there already.
pub fn create_private(path: &Path) -> io::Result<File> {
    os::files::create_private(path)
}

/// Copies all of a regular file to another, which is empty: shares its blocks where the file system can, and leaves out
/// its holes.
///
/// # Errors
/// As `read` and `write`.
pub fn copy(from: &File, to: &File) -> io::Result<()> {
    os::files::copy(from, to)
}

/// Sets the permission bits of a file or directory.
///
/// # Errors
/// As `chmod`.
pub fn set_mode(path: &Path, mode: u32) -> io::Result<()> {
    os::files::set_mode(path, mode)
}

/// Makes a symbolic link at `path` that points to `target`.
///
/// # Errors
/// As `symlink`.
pub fn symlink(target: &Path, path: &Path) -> io::Result<()> {
    os::files::symlink(target, path)
}

/// The bytes of a name: what the system uses for them, without loss.
#[must_use]
pub fn bytes_of(name: &OsStr) -> &[u8] {
    os::files::bytes_of(name)
}

/// The name with these bytes, as [`bytes_of`] gave them.
#[must_use]
pub fn name_of(bytes: &[u8]) -> OsString {
    os::files::name_of(bytes)
}

/// The bytes of a path as tracerun writes it everywhere, with slashes and, where it is absolute, beginning with one: on Windows
/// `/C:/a` and `/UNC/server/share/a`.
#[must_use]
pub fn bytes_of_path(path: &Path) -> Cow<'_, [u8]> {
    os::files::bytes_of_path(path)
}

/// The path with these bytes, as [`bytes_of_path`] gave them, for the system.
#[must_use]
pub fn path_of(bytes: &[u8]) -> PathBuf {
    os::files::path_of(bytes)
}

/// The one name of the entry that `name` stands for in the folder with the path `folder`: where the system tells upper and lower
/// case apart, `name`; where it does not, the name as the folder has it, or, if it has none, in lower case.
#[must_use]
pub fn entry_name<'n>(folder: &[u8], name: &'n [u8]) -> Cow<'n, [u8]> {
    os::files::entry_name(folder, name)
}

/// The folder for caches of this user's programs, `None` when the environment does not tell.
#[must_use]
pub fn user_cache_folder() -> Option<PathBuf> {
    os::files::user_cache_folder()
}

/// Makes `path` and what is missing above it; folders that it makes are for this user alone.
///
/// # Errors
/// As `mkdir`.
pub fn create_private_folder(path: &Path) -> io::Result<()> {
    os::files::create_private_folder(path)
}

/// A folder in memory that is this user's alone, made if it is not there: what comes and goes with a run costs less there
/// than on a disk. `None` where the system has no place for it, or another user has taken it.
#[must_use]
pub fn private_folder_in_memory() -> Option<PathBuf> {
    os::files::private_folder_in_memory()
}

/// Whether users other than this one can write to the folder at `path`.
///
/// # Errors
/// As `stat`.
pub fn is_writable_by_others(path: &Path) -> io::Result<bool> {
    os::files::is_writable_by_others(path)
}

/// A point in time by the clock of the file system that holds `scratch`, a file made for this: every change
/// before the call has an earlier status change time, every change after it has this one or a later one, in
/// nanoseconds since 1970. May wait for the clock to tick.
///
/// # Errors
/// `scratch` can't be written.
pub fn clock_barrier(scratch: &Path) -> io::Result<i128> {
    os::files::clock_barrier(scratch)
}

/// Sets the modification time of the file or folder at `path`.
///
/// # Errors
/// As `open` and `futimens`.
pub fn set_modified(path: &Path, time: SystemTime) -> io::Result<()> {
    std::fs::File::open(path)?.set_modified(time)
}
