//! Getting the preload library into every process: the file on disk and the environment that names it.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use shm_protocol::session::{Session, VARIABLE};

use super::stub;

/// File name of the library.
const FILE: &str = "libtracerun_preload.so";

/// The loader's variable that names libraries to load first.
const LD_PRELOAD: &str = "LD_PRELOAD";

/// The folders that dynamic loaders put in place of `$LIB` for 64-bit programs; musl's knows no `$LIB` and takes
/// it as the name of a folder. Each with what it must point to in order to lead back to the library.
const LIB_FOLDERS: &[(&str, &str)] =
    &[("lib64", "."), ("$LIB", "."), ("lib/x86_64-linux-gnu", ".."), ("lib/aarch64-linux-gnu", "..")];

/// The same for 32-bit programs, which find a library there that does nothing.
const NARROW_FOLDERS: &[&str] = &["lib32", "lib/i386-linux-gnu"];

/// Writes the library into `folder`, unless it is there as it should be: `folder` must be named after the content. Any number of
/// processes may do so at once.
pub(crate) fn unpack(library: &[u8], folder: &Path) -> io::Result<()> {
    if is_unpacked(library, folder) {
        return Ok(());
    }
    let parent = folder.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(parent)?;
    let lock = fs::File::create(parent.join(".lock"))?;
    // A file system without locks leaves it to chance who is the last to write the same.
    let _ = lock.lock();
    if is_unpacked(library, folder) {
        return Ok(());
    }
    let making = parent.join(format!(".making-{}-{:x}", std::process::id(), crate::tracing::now_ns()));
    let placed = fill(&making, library).and_then(|()| match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => fs::rename(&making, folder),
    });
    if placed.is_err() {
        // What could not be written need not be there to be removed.
        let _ = fs::remove_dir_all(&making);
    }
    placed
}

/// Whether everything is there, as it was written: what is damaged would be complained of by every program.
fn is_unpacked(library: &[u8], folder: &Path) -> bool {
    let holds = |path: PathBuf, bytes: &[u8]| fs::read(path).is_ok_and(|held| held == bytes);
    holds(folder.join(FILE), library)
        && NARROW_FOLDERS.iter().all(|name| holds(folder.join(name).join(FILE), &stub::i386()))
}

/// Writes the library, and what leads to it, to a new folder.
fn fill(making: &Path, library: &[u8]) -> io::Result<()> {
    fs::create_dir_all(making.join("lib"))?;
    fs::write(making.join(FILE), library)?;
    for (name, target) in LIB_FOLDERS {
        std::os::unix::fs::symlink(target, making.join(name))?;
    }
    for name in NARROW_FOLDERS {
        fs::create_dir_all(making.join(name))?;
        fs::write(making.join(name).join(FILE), stub::i386())?;
    }
    // `lib` is where either kind looks: 64-bit programs where there is no other folder for them (Arch), 32-bit ones
    // where those have `lib64` (Fedora, SUSE) or a name of their own (Debian).
    let wide = fs::read_link("/usr/lib64").is_ok_and(|target| target.ends_with("lib"));
    let target = if wide { Path::new("..") } else { Path::new("../lib32") };
    std::os::unix::fs::symlink(target.join(FILE), making.join("lib").join(FILE))?;
    fs::File::open(making.join(FILE))?.sync_all()
}

/// Adds to `environment` what makes a dynamic program load the library and find the session. The user's own
/// `LD_PRELOAD` stays, before ours, so that its functions are called first and call ours.
///
/// Returns whether it could be done: a folder whose name holds a space or a colon can't be named there.
pub(super) fn add(
    environment: &mut Vec<(OsString, OsString)>,
    folder: &Path,
    cookie: u64,
    ring: &str,
) -> bool {
    let library: PathBuf = folder.join("$LIB").join(FILE);
    if library.as_os_str().as_bytes().iter().any(|byte| matches!(byte, b' ' | b':')) {
        return false;
    }
    let mut preload = OsString::new();
    environment.retain(|(name, value)| {
        let own = name == LD_PRELOAD;
        if own && !value.is_empty() {
            preload = value.clone();
            preload.push(":");
        }
        !own && name != VARIABLE
    });
    preload.push(library);
    environment.push((LD_PRELOAD.into(), preload));
    environment.push((VARIABLE.into(), session(cookie, ring)));
    true
}

/// The value of [`VARIABLE`].
pub(super) fn session(cookie: u64, ring: &str) -> OsString {
    let mut value = OsString::from(OsStr::from_bytes(&Session::head(cookie)));
    value.push(ring);
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_users_own_preload_stays_first() {
        let mut environment =
            vec![(OsString::from("A"), OsString::from("1")), (LD_PRELOAD.into(), "/own.so".into())];
        assert!(add(&mut environment, Path::new("/cache/lib/1"), 7, "/proc/1/fd/3"));
        assert_eq!(environment[0], ("A".into(), "1".into()));
        assert_eq!(environment[1].1, "/own.so:/cache/lib/1/$LIB/libtracerun_preload.so");
        assert_eq!(environment[2].1, "0000000000000007:/proc/1/fd/3");
    }

    #[test]
    fn a_folder_that_cannot_be_named_is_refused() {
        assert!(!add(&mut Vec::new(), Path::new("/my cache"), 7, "/proc/1/fd/3"));
    }

    fn entries(cache: &tempfile::TempDir) -> Vec<String> {
        let entries = fs::read_dir(cache.path().join("lib")).expect("a folder");
        let names = entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8"));
        let mut names: Vec<String> = names.map(|name| format!("lib/{name}")).collect();
        names.sort();
        names
    }

    #[test]
    fn the_library_is_reached_by_every_name_and_unpacked_by_many_at_once() {
        let cache = tempfile::tempdir().expect("a folder");
        let folder = cache.path().join("lib/0123");
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| unpack(b"library", &folder).expect("unpacked"));
            }
        });
        for (name, _) in LIB_FOLDERS {
            assert_eq!(fs::read(folder.join(name).join(FILE)).expect(name), b"library");
        }
        for name in NARROW_FOLDERS {
            assert_eq!(fs::read(folder.join(name).join(FILE)).expect(name), stub::i386());
        }
        assert_eq!(entries(&cache), ["lib/.lock", "lib/0123"]);
    }

    #[test]
    fn a_damaged_library_is_unpacked_again() {
        let cache = tempfile::tempdir().expect("a folder");
        let folder = cache.path().join("lib/0123");
        unpack(b"library", &folder).expect("unpacked");
        fs::write(folder.join(FILE), b"libra").expect("written");
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| unpack(b"library", &folder).expect("unpacked again"));
            }
        });
        assert!(is_unpacked(b"library", &folder));
        assert_eq!(entries(&cache), ["lib/.lock", "lib/0123"]);
    }
}
