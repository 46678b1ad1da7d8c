//! One thread whose call is held: what its names mean, seen from outside through `/proc`.

use std::ffi::{CString, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use libc::AT_FDCWD;
use shm_protocol::access::{Before, Outcome};
use shm_protocol::path::Joined;

use super::memory::{Memory, Unreadable};

/// A thread whose call is held, and the process it belongs to.
#[derive(Clone, Copy)]
pub(super) struct Target {
    pub(super) thread: u32,
    pub(super) process: u32,
}

/// Why a name could not be made into an absolute path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unnamed {
    /// The call will fail, or names nothing in the file system: there is nothing to record.
    Nothing,
    /// It is `/proc/self/exe`, by which the loader finds out where a program lies.
    OwnProgram,
    /// It is what this descriptor of that thread stands for, which has no path.
    Stream(u32, u32),
    /// Memory could not be read.
    Unreadable,
    /// The directory could not be told.
    NoDirectory,
}

/// What the kernel puts behind the path of what has been unlinked.
const DELETED: &[u8] = b" (deleted)";

impl Target {
    pub(super) fn memory(self) -> Memory {
        Memory::of(self.thread)
    }

    /// Whether its process has other threads.
    pub(super) fn has_other_threads(self) -> bool {
        // `..`, `.`, and one for each thread.
        let folder = std::fs::metadata(format!("/proc/{}/task", self.process));
        folder.is_ok_and(|folder| folder.nlink() > 3)
    }

    /// What the symbolic link `/proc/<thread>/<name>` points to; `Err(Nothing)` for what has no path: pipes,
    /// sockets, files that are unlinked or never had a name.
    fn link(self, name: &str) -> Result<Vec<u8>, Unnamed> {
        let target = match std::fs::read_link(format!("/proc/{}/{name}", self.thread)) {
            Ok(target) => target,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(Unnamed::Nothing),
            Err(_) => return Err(Unnamed::NoDirectory),
        };
        let unlinked = || target.as_os_str().as_bytes().ends_with(DELETED) && !target.exists();
        if !target.has_root() || unlinked() {
            return Err(Unnamed::Nothing);
        }
        Ok(target.into_os_string().into_vec())
    }

    /// The program that is executed, with no link on the way.
    pub(super) fn program(self) -> Result<Vec<u8>, Unnamed> {
        self.link("exe")
    }

    /// The working directory.
    pub(super) fn cwd(self) -> Result<Vec<u8>, Unnamed> {
        self.link("cwd")
    }

    /// The root, as it is called outside.
    pub(super) fn root(self) -> Result<Vec<u8>, Unnamed> {
        self.link("root")
    }

    /// The path of descriptor `fd`, or the working directory.
    pub(super) fn descriptor(self, fd: i32) -> Result<Vec<u8>, Unnamed> {
        if fd == AT_FDCWD { self.cwd() } else { self.link(&format!("fd/{fd}")) }
    }

    /// The absolute path that `name` means in the folder `fd`, which has been removed: from there only the way up leads on.
    fn above_removed(self, fd: i32, name: &[u8]) -> Result<Vec<u8>, Unnamed> {
        let link = if fd == AT_FDCWD { "cwd".to_owned() } else { format!("fd/{fd}") };
        let link = std::fs::read_link(format!("/proc/{}/{link}", self.thread));
        let link = link.map_err(|_| Unnamed::Nothing)?.into_os_string().into_vec();
        let mut folder = Path::new(OsStr::from_bytes(link.strip_suffix(DELETED).ok_or(Unnamed::Nothing)?));
        let mut rest = Path::new(OsStr::from_bytes(name));
        loop {
            rest = rest.strip_prefix("..").map_err(|_| Unnamed::Nothing)?;
            folder = folder.parent().ok_or(Unnamed::Nothing)?;
            if folder.exists() {
                return Ok(folder.join(rest).into_os_string().into_vec());
            }
        }
    }

    /// The absolute path of the descriptor itself, into `path`.
    pub(super) fn name_descriptor(self, fd: i32, path: &mut Vec<u8>) -> Result<(), Unnamed> {
        *path = self.descriptor(fd)?;
        Ok(())
    }

    /// The name at `address` as it was given, into `name`.
    pub(super) fn read_name(self, address: u64, name: &mut Vec<u8>) -> Result<(), Unnamed> {
        name.clear();
        self.memory().string(address, name).map_err(|unreadable| match unreadable {
            Unreadable::BadAddress => Unnamed::Nothing,
            Unreadable::Forbidden => Unnamed::Unreadable,
        })
    }

    /// The absolute path of the name at `address` relative to `dir`, into `path`. An empty name is the
    /// descriptor itself if `empty_is_descriptor`, else nothing.
    pub(super) fn name_at(
        self,
        dir: i32,
        address: u64,
        empty_is_descriptor: bool,
        path: &mut Vec<u8>,
    ) -> Result<(), Unnamed> {
        self.read_name(address, path)?;
        if path.is_empty() {
            return if empty_is_descriptor { self.name_descriptor(dir, path) } else { Err(Unnamed::Nothing) };
        }
        if path == b"/proc/self/exe" {
            return Err(Unnamed::OwnProgram);
        }
        if path.first() != Some(&b'/') {
            *path = match self.descriptor(dir) {
                Err(Unnamed::Nothing) => self.above_removed(dir, path)?,
                directory => Joined::new(&directory?, path).pieces().concat(),
            };
        }
        if let Some(real) = self.through_proc(path) {
            *path = real?;
        }
        Ok(())
    }

    /// The path that a name under `/proc/<process>` or `/dev/fd` leads to: `/proc/self/cwd/a` is another name for
    /// a file of the project, and means something else in this process.
    pub(super) fn through_proc(self, path: &[u8]) -> Option<Result<Vec<u8>, Unnamed>> {
        let mut parts = path.split(|&byte| byte == b'/').filter(|part| !matches!(*part, b"" | b"."));
        let (owner, link) = match (parts.next()?, parts.next()?) {
            (b"dev", b"stdin") => (self, Link::Descriptor(0)),
            (b"dev", b"stdout") => (self, Link::Descriptor(1)),
            (b"dev", b"stderr") => (self, Link::Descriptor(2)),
            (b"dev", b"fd") => (self, Link::Descriptor(number(parts.next()?)?)),
            (b"proc", owner) => {
                let mut owner = match number(owner) {
                    Some(process) if process != self.process => Self { thread: process, process },
                    None if !matches!(owner, b"self" | b"thread-self") => return None,
                    _ => self,
                };
                let mut name = parts.next()?;
                if name == b"task" {
                    owner.thread = number(parts.next()?)?;
                    name = parts.next()?;
                }
                match name {
                    b"cwd" => (owner, Link::Named("cwd")),
                    b"root" => (owner, Link::Named("root")),
                    b"exe" => (owner, Link::Named("exe")),
                    b"fd" => (owner, Link::Descriptor(number(parts.next()?)?)),
                    _ => return None,
                }
            }
            _ => return None,
        };
        let real = match link {
            Link::Named(name) => owner.link(name),
            Link::Descriptor(fd) => match owner.link(&format!("fd/{fd}")) {
                Err(Unnamed::Nothing) => Err(Unnamed::Stream(owner.thread, fd)),
                real => real,
            },
        };
        let real = match real {
            // The process can't look into that one either.
            Err(Unnamed::NoDirectory) if owner.process != self.process => Err(Unnamed::Nothing),
            real => real,
        };
        Some(real.map(|mut real| {
            for part in parts {
                real.push(b'/');
                real.extend_from_slice(part);
            }
            real
        }))
    }
}

/// A link below `/proc/<thread>`.
enum Link {
    Named(&'static str),
    Descriptor(u32),
}

/// Whether descriptor `fd` of a thread is the same open pipe, terminal or file as `own` of this process.
pub(super) fn is_shared(thread: u32, fd: u32, own: i32) -> bool {
    let theirs = std::fs::metadata(format!("/proc/{thread}/fd/{fd}"));
    let ours = std::fs::metadata(format!("/proc/self/fd/{own}"));
    let key = |metadata: &std::fs::Metadata| (metadata.dev(), metadata.ino(), metadata.rdev());
    matches!((theirs, ours), (Ok(theirs), Ok(ours)) if key(&theirs) == key(&ours))
}

fn number(digits: &[u8]) -> Option<u32> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// A look at a path from outside.
pub(super) struct Look {
    pub(super) before: Before,
    pub(super) outcome: Outcome,
    pub(super) stat: Option<libc::stat>,
}

impl Look {
    /// Nothing is known.
    pub(super) const NOT_TAKEN: Self = Self { before: Before::Unknown, outcome: Outcome::Done, stat: None };
}

/// Looks at the absolute `path` as a call would that follows or does not follow a link at its end.
pub(super) fn look(path: &[u8], follow: bool) -> Look {
    let nothing = |outcome, before| Look { before, outcome, stat: None };
    let Ok(path) = CString::new(path) else {
        return nothing(Outcome::Refused, Before::Unknown);
    };
    // SAFETY: an all-zero value is valid for this structure of integers.
    let mut stat: libc::stat = unsafe { std::mem::zeroed() };
    let flags = if follow { 0 } else { libc::AT_SYMLINK_NOFOLLOW };
    // SAFETY: `path` is a C string and `stat` is writable, both for the length of the call.
    if unsafe { libc::fstatat(AT_FDCWD, path.as_ptr(), &raw mut stat, flags) } == 0 {
        let mode = (stat.st_mode & 0o7777) as u16;
        let before = match stat.st_mode & libc::S_IFMT {
            libc::S_IFREG => Before::File(mode),
            libc::S_IFDIR => Before::Directory(mode),
            libc::S_IFLNK => Before::Symlink,
            _ => Before::Other,
        };
        return Look { before, outcome: Outcome::Done, stat: Some(stat) };
    }
    match std::io::Error::last_os_error().raw_os_error() {
        Some(libc::ENOENT | libc::ENOTDIR) => nothing(Outcome::Absent, Before::Absent),
        _ => nothing(Outcome::Refused, Before::Unknown),
    }
}

/// Whether the directory in which the absolute `path` would be made is there.
pub(super) fn has_directory(path: &[u8]) -> bool {
    Path::new(OsStr::from_bytes(path)).parent().is_none_or(Path::is_dir)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own() -> Target {
        Target { thread: std::process::id(), process: std::process::id() }
    }

    fn named(name: &str) -> Result<Vec<u8>, Unnamed> {
        let name = CString::new(name).expect("no NUL");
        let mut path = Vec::new();
        own().name_at(AT_FDCWD, name.as_ptr() as u64, false, &mut path).map(|()| path)
    }

    #[test]
    fn names_through_proc_mean_what_they_mean_in_the_process() {
        let cwd = std::env::current_dir().expect("a cwd").into_os_string().into_vec();
        let inside = [&cwd[..], b"/a/b"].concat();
        assert_eq!(named("a/b"), Ok(inside.clone()));
        assert_eq!(named("/proc/self/cwd/a/b"), Ok(inside.clone()));
        assert_eq!(named(&format!("/proc/{}/cwd//./a/b", std::process::id())), Ok(inside));
        let mut child = std::process::Command::new("cat");
        let mut child =
            child.current_dir("/usr").stdin(std::process::Stdio::piped()).spawn().expect("started");
        let others = |name: &str| named(&format!("/proc/{}/{name}", child.id()));
        assert_eq!(others("cwd/a"), Ok(b"/usr/a".to_vec()));
        assert_eq!(others("root/a"), Ok(b"//a".to_vec()));
        assert_eq!(others("fd/0"), Err(Unnamed::Stream(child.id(), 0)));
        child.kill().and_then(|()| child.wait()).expect("killed");
        assert_eq!(named("/proc/self/exe"), Err(Unnamed::OwnProgram));
        assert_eq!(named("/proc/self/maps"), Ok(b"/proc/self/maps".to_vec()));
        let thread = format!("/proc/{0}/task/{0}/cwd/a/b", std::process::id());
        assert_eq!(named(&thread), named("a/b"));
        assert_eq!(named(""), Err(Unnamed::Nothing));
    }

    #[test]
    fn a_look_tells_what_stands_at_a_path() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name).into_os_string().into_vec();
        std::fs::write(folder.path().join("file"), "").expect("a file");
        std::os::unix::fs::symlink("file", folder.path().join("link")).expect("a link");
        assert!(matches!(look(&at("file"), true).before, Before::File(_)));
        assert!(matches!(look(&at("link"), true).before, Before::File(_)));
        assert_eq!(look(&at("link"), false).before, Before::Symlink);
        assert_eq!(look(&at("nothing"), true).outcome, Outcome::Absent);
        assert_eq!(look(&at("file/below"), true).outcome, Outcome::Absent);
    }
}
