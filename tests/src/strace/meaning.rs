//! What the calls in a log of strace mean, by section 2 of the contract. Written apart from the table in
//! `shm-protocol`, which it is there to check.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use shm_protocol::access::AccessKind::{self, Delete, Exec, List, Missing, Read, Stat, Write};

use super::parse::{Argument, Call, Ended, find};
use crate::observed::{Observed, Touched};

/// The accesses of `calls`, the first of which is made in `directory`.
///
/// Whether a path is a directory, or a script, is told by a look at it afterwards: strace does not say.
pub(super) fn observed(calls: &[Call], directory: &Path) -> Observed {
    let mut observer = Observer {
        observed: Observed::default(),
        directories: vec![directory.as_os_str().as_bytes().to_vec()],
        place_of: HashMap::new(),
        descriptors: HashMap::new(),
    };
    for call in calls {
        observer.call(call);
    }
    observer.observed
}

struct Observer {
    observed: Observed,
    /// Working directories; threads that share one share a place in this list.
    directories: Vec<Vec<u8>>,
    /// The place of each thread's working directory.
    place_of: HashMap<u32, usize>,
    /// The path last seen for a descriptor of a thread.
    descriptors: HashMap<(u32, String), Vec<u8>>,
}

/// Which arguments name the path.
#[derive(Clone, Copy)]
enum At {
    /// A name relative to the working directory.
    Name(usize),
    /// A directory, and after it a name relative to that; the directory itself if the name is NULL, or empty
    /// where the call allows it.
    Pair(usize),
    /// A descriptor.
    Descriptor(usize),
}

impl Observer {
    fn call(&mut self, call: &Call) {
        self.note(call);
        let flags = |index: usize| match call.arguments.get(index) {
            Some(Argument::Other(flags)) => flags.as_str(),
            _ => "",
        };
        match call.name.as_str() {
            "open" => self.opened(call, At::Name(0), flags(1)),
            "openat" | "openat2" => self.opened(call, At::Pair(0), flags(2)),
            "creat" => self.opened(call, At::Name(0), "O_WRONLY|O_CREAT|O_TRUNC"),
            "stat" | "lstat" | "access" | "statfs" | "readlink" | "getxattr" | "lgetxattr" | "listxattr"
            | "llistxattr" => self.touched(call, At::Name(0), Stat),
            "inotify_add_watch" => self.touched(call, At::Name(1), Stat),
            // Without a name it is about what is open already.
            "newfstatat" | "statx" | "faccessat" | "faccessat2" | "readlinkat" | "name_to_handle_at" if matches!(call.arguments.get(1), Some(Argument::Text(name)) if name.is_empty()) =>
                {}
            "newfstatat" | "statx" | "faccessat" | "faccessat2" | "readlinkat" | "name_to_handle_at" => {
                self.touched(call, At::Pair(0), Stat);
            }
            "getdents" | "getdents64" => self.touched(call, At::Descriptor(0), List),
            "chdir" => self.directory_changed(call, At::Name(0)),
            "fchdir" => self.directory_changed(call, At::Descriptor(0)),
            "rename" => self.renamed(call, At::Name(0), At::Name(1), ""),
            "renameat" | "renameat2" => self.renamed(call, At::Pair(0), At::Pair(2), flags(4)),
            "link" => self.linked(call, At::Name(0), At::Name(1)),
            "linkat" => self.linked(call, At::Pair(0), At::Pair(2)),
            "unlink" => self.touched(call, At::Name(0), Delete),
            "rmdir" => self.directory_removed(call, At::Name(0)),
            "unlinkat" if flags(2).contains("AT_REMOVEDIR") => self.directory_removed(call, At::Pair(0)),
            "unlinkat" => self.touched(call, At::Pair(0), Delete),
            "symlink" => self.touched(call, At::Name(1), Write),
            "symlinkat" => self.touched(call, At::Pair(1), Write),
            "mkdir" | "mknod" | "truncate" | "chmod" | "chown" | "lchown" | "utime" | "utimes"
            | "setxattr" | "lsetxattr" | "removexattr" | "lremovexattr" => {
                self.touched(call, At::Name(0), Write);
            }
            "mkdirat" | "mknodat" | "fchmodat" | "fchmodat2" | "fchownat" | "utimensat" | "futimesat" => {
                self.touched(call, At::Pair(0), Write);
            }
            "fgetxattr" | "flistxattr" => self.touched(call, At::Descriptor(0), Stat),
            "fchmod" | "fchown" | "fsetxattr" | "fremovexattr" => {
                self.touched(call, At::Descriptor(0), Write);
            }
            "execve" => self.executed(call, At::Name(0)),
            "execveat" => self.executed(call, At::Pair(0)),
            "connect" | "sendmsg" | "sendmmsg" => self.sockets(call, flags(1), Stat),
            "sendto" => self.sockets(call, flags(4), Stat),
            "bind" => self.sockets(call, flags(1), Write),
            "clone" | "clone3" | "fork" | "vfork" => self.forked(call),
            _ => {}
        }
    }

    /// Learns what strace tells besides: which path a descriptor stands for, and the working directory.
    fn note(&mut self, call: &Call) {
        for argument in &call.arguments {
            if let Argument::Descriptor(name, Some(path)) = argument {
                if name == "AT_FDCWD" {
                    let place = self.place(call.thread);
                    self.directories[place].clone_from(path);
                } else {
                    self.descriptors.insert((call.thread, name.clone()), path.clone());
                }
            }
        }
        if let Ended::Done(value, Some(path)) = &call.ended {
            self.descriptors.insert((call.thread, value.to_string()), path.clone());
        }
    }

    fn place(&mut self, thread: u32) -> usize {
        *self.place_of.entry(thread).or_insert(0)
    }

    /// A child begins where its parent is when the call begins; strace may show calls of the child before the
    /// end of the call that made it.
    fn forked(&mut self, call: &Call) {
        let Ended::Done(child @ 1.., _) = call.ended else {
            return;
        };
        let Ok(child) = u32::try_from(child) else { return };
        let mut place = self.place(call.thread);
        let shares =
            |argument: &Argument| matches!(argument, Argument::Other(text) if text.contains("CLONE_FS"));
        if !call.arguments.iter().any(shares) {
            self.directories.push(self.directories[place].clone());
            place = self.directories.len() - 1;
        }
        self.place_of.insert(child, place);
        let inherited: Vec<_> =
            self.descriptors.iter().filter(|((thread, _), _)| *thread == call.thread).collect();
        let inherited: Vec<_> =
            inherited.into_iter().map(|((_, fd), path)| ((child, fd.clone()), path.clone())).collect();
        self.descriptors.extend(inherited);
    }

    /// The absolute path that arguments of `call` name, not normal yet; `None` if they name nothing.
    fn path(&mut self, call: &Call, at: At) -> Option<Vec<u8>> {
        let (directory, name) = match at {
            At::Name(index) => (None, call.arguments.get(index)?),
            At::Pair(index) => (Some(call.arguments.get(index)?), call.arguments.get(index + 1)?),
            At::Descriptor(index) => {
                return match call.arguments.get(index)? {
                    Argument::Descriptor(_, path) => path.clone(),
                    _ => None,
                };
            }
        };
        let directory = match directory {
            None => Some(self.working_directory(call.thread)),
            Some(Argument::Descriptor(_, path)) => path.clone(),
            Some(_) => None,
        };
        match name {
            Argument::Text(name) if name.starts_with(b"/") => Some(self.through_proc(call.thread, name)),
            Argument::Text(name) if name.is_empty() => {
                // AT_EMPTY_PATH
                let allows = call.arguments.iter().any(
                    |argument| matches!(argument, Argument::Other(text) if text.contains("AT_EMPTY_PATH")),
                );
                directory.filter(|_| allows)
            }
            Argument::Text(name) => Some([&directory?[..], b"/", name].concat()),
            Argument::Other(null) if null == "NULL" && matches!(at, At::Pair(_)) => directory,
            // A pointer that leads nowhere.
            _ => None,
        }
    }

    fn working_directory(&mut self, thread: u32) -> Vec<u8> {
        let place = self.place(thread);
        self.directories[place].clone()
    }

    /// `/proc/self/cwd/a` and `/proc/self/fd/3/a` mean something else in every process: what they mean in this.
    fn through_proc(&mut self, thread: u32, name: &[u8]) -> Vec<u8> {
        let Some(rest) = name.strip_prefix(b"/proc/self/") else {
            return name.to_vec();
        };
        if let Some(rest) = rest.strip_prefix(b"cwd") {
            return [&self.working_directory(thread)[..], rest].concat();
        }
        let Some(rest) = rest.strip_prefix(b"fd/") else {
            return name.to_vec();
        };
        let (fd, rest) = rest.split_at(rest.iter().position(|byte| *byte == b'/').unwrap_or(rest.len()));
        let fd = String::from_utf8_lossy(fd).into_owned();
        self.descriptors.get(&(thread, fd)).map_or(name.to_vec(), |path| [path, rest].concat())
    }

    fn touched(&mut self, call: &Call, at: At, kind: AccessKind) {
        if let Some(path) = self.path(call, at)
            && let Some(kind) = settled(&call.ended, kind, &path)
        {
            self.add(&path, kind);
        }
    }

    fn add(&mut self, path: &[u8], kind: AccessKind) {
        // A directory that is opened is not read: enumerating it is.
        let kind = if kind == Read && is_directory(path) { Stat } else { kind };
        let lexical = normal(path);
        if find(path, b"/..").is_some() && path != lexical {
            // Through a symbolic link the path may lead elsewhere than it says.
            if let Ok(real) = Path::new(OsStr::from_bytes(path)).canonicalize() {
                let path = real.into_os_string().into_vec();
                self.observed.perhaps.insert(Touched { path, kind });
            }
            if let Some((parent, name)) = split_last(path)
                && let Ok(real) = Path::new(OsStr::from_bytes(parent)).canonicalize()
            {
                let path = normal(&[real.as_os_str().as_bytes(), b"/", name].concat());
                self.observed.perhaps.insert(Touched { path, kind });
            }
        }
        self.observed.touched.insert(Touched { path: lexical, kind });
    }

    fn opened(&mut self, call: &Call, at: At, flags: &str) {
        let has = |flag: &str| {
            flags.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').any(|word| word == flag)
        };
        if has("O_PATH") || has("O_TMPFILE") {
            return self.touched(call, at, Stat);
        }
        let writes = has("O_WRONLY") || has("O_RDWR") || has("O_TRUNC");
        if !writes && !has("O_CREAT") {
            return self.touched(call, at, if has("O_DIRECTORY") { Stat } else { Read });
        }
        let Some(path) = self.path(call, at) else { return };
        let Some(kind) = settled(&call.ended, Write, &path) else {
            return;
        };
        // Whether there was anything to read, or to create, strace can't tell.
        let creates_only = !writes && !has("O_EXCL");
        if kind == Write && !has("O_WRONLY") && !has("O_TRUNC") && !has("O_EXCL") {
            let path = normal(&path);
            if has("O_CREAT") {
                self.observed.perhaps.insert(Touched { path, kind: Read });
            } else {
                self.add(&path, Read);
            }
        }
        if kind == Write && creates_only {
            let path = normal(&path);
            self.observed.perhaps.insert(Touched { path, kind });
        } else {
            self.add(&path, kind);
        }
    }

    /// What is gone by now was a directory when it was opened.
    fn directory_removed(&mut self, call: &Call, at: At) {
        self.touched(call, at, Delete);
        if let (Some(path), Ended::Done(..)) = (self.path(call, at), &call.ended) {
            let opened = Touched { path: normal(&path), kind: Read };
            if self.observed.touched.remove(&opened) {
                self.observed.touched.insert(Touched { kind: Stat, ..opened });
            }
        }
    }

    fn directory_changed(&mut self, call: &Call, at: At) {
        self.touched(call, at, Stat);
        if let (Ended::Done(..), Some(path)) = (&call.ended, self.path(call, at)) {
            let place = self.place(call.thread);
            let real = Path::new(OsStr::from_bytes(&path)).canonicalize();
            self.directories[place] = real.map_or(normal(&path), |real| real.into_os_string().into_vec());
        }
    }

    fn renamed(&mut self, call: &Call, from: At, to: At, flags: &str) {
        if flags.contains("RENAME_EXCHANGE") {
            self.touched(call, from, Write);
            return self.touched(call, to, Write);
        }
        if self.missed(call, from, to) {
            return;
        }
        self.touched(call, from, Delete);
        if let Ended::Done(..) = call.ended {
            // What was there appears elsewhere, so it has been read in effect.
            if let Some(path) = self.path(call, from) {
                for kind in [Read, Stat] {
                    self.observed.perhaps.insert(Touched { path: normal(&path), kind });
                }
            }
            self.touched(call, to, Write);
        }
    }

    fn linked(&mut self, call: &Call, from: At, to: At) {
        if call.ended == Ended::Failed("EEXIST".into()) {
            return self.touched(call, to, Write);
        }
        if self.missed(call, from, to) {
            return;
        }
        self.touched(call, from, Read);
        if let Ended::Done(..) = call.ended {
            self.touched(call, to, Write);
        }
    }

    /// Whether `call` failed because there is no directory for `to`: the same error as if `from` were not there.
    fn missed(&mut self, call: &Call, from: At, to: At) -> bool {
        let Some(path) = self.path(call, from) else { return false };
        let there = Path::new(OsStr::from_bytes(&path)).symlink_metadata().is_ok();
        let missed = there && call.ended == Ended::Failed("ENOENT".into());
        if missed {
            self.add(&path, Stat);
            self.touched(call, to, Write);
        }
        missed
    }

    /// Every socket that is named in an argument; `sendmmsg` names several.
    fn sockets(&mut self, call: &Call, named: &str, kind: AccessKind) {
        for rest in named.split("sun_path=\"").skip(1) {
            let path = rest.split('"').next().unwrap_or_default().as_bytes();
            let path = if path.starts_with(b"/") {
                path.to_vec()
            } else {
                [&self.working_directory(call.thread)[..], b"/", path].concat()
            };
            if let Some(kind) = settled(&call.ended, kind, &path) {
                self.add(&path, kind);
            }
        }
    }

    /// The program; then what the kernel opens to run it, of which strace shows nothing.
    fn executed(&mut self, call: &Call, at: At) {
        let Some(path) = self.path(call, at) else { return };
        let Some(kind) = settled(&call.ended, Exec, &path) else {
            return;
        };
        self.add(&path, kind);
        if let Ok(real) = Path::new(OsStr::from_bytes(&path)).canonicalize() {
            // By `/proc/self/exe`: the loader does so for `$LIB` in LD_PRELOAD, so under tracerun always.
            let path = real.into_os_string().into_vec();
            self.observed.perhaps.insert(Touched { path, kind: Stat });
        }
        let mut file = path;
        // `BINPRM_MAX_RECURSION` in fs/exec.c.
        for _ in 0..5 {
            let head = std::fs::read(OsStr::from_bytes(&file)).unwrap_or_default();
            let Some(line) = head.strip_prefix(b"#!").filter(|_| kind == Exec) else {
                break;
            };
            let line = line.split(|byte| *byte == b'\n').next().unwrap_or_default().trim_ascii();
            let name = line.split(u8::is_ascii_whitespace).next().unwrap_or_default();
            file = if name.starts_with(b"/") {
                name.to_vec()
            } else {
                [&self.working_directory(call.thread)[..], b"/", name].concat()
            };
            self.add(&file, Exec);
        }
    }
}

/// What an access meant as `kind` came to: what was absent was looked up in vain, what was refused gave away
/// that the path is there. `None` if the path was never looked at.
fn settled(ended: &Ended, kind: AccessKind, path: &[u8]) -> Option<AccessKind> {
    match ended {
        Ended::Done(..) => Some(kind),
        Ended::Never => (kind == Exec).then_some(kind),
        Ended::Failed(error) => match error.as_str() {
            "EFAULT" | "EBADF" | "ENOSYS" => None,
            "ENOENT" => Some(Missing),
            // A component is no directory; or the last one is, or is not, where the call wants the other.
            "ENOTDIR" if std::fs::symlink_metadata(OsStr::from_bytes(path)).is_err() => Some(Missing),
            _ => Some(Stat),
        },
    }
}

fn is_directory(path: &[u8]) -> bool {
    Path::new(OsStr::from_bytes(path)).is_dir()
}

fn split_last(path: &[u8]) -> Option<(&[u8], &[u8])> {
    let slash = path.iter().rposition(|byte| *byte == b'/')?;
    Some((&path[..slash], &path[slash + 1..]))
}

/// The lexical normal form of an absolute path.
fn normal(path: &[u8]) -> Vec<u8> {
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in path.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => {
                parts.pop();
            }
            _ => parts.push(part),
        }
    }
    [b"/", &parts.join(&b'/')[..]].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::strace::parse::calls;

    fn seen(log: &str) -> Vec<String> {
        let observed = observed(&calls(log.as_bytes()), Path::new("/p"));
        observed.touched.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_child_begins_where_its_parent_was_and_goes_its_own_way() {
        let log = "1 chdir(\"/nowhere/q\") = 0\n\
                   1 clone(child_stack=NULL, flags=CLONE_CHILD_SETTID|SIGCHLD <unfinished ...>\n\
                   2 chdir(\"r\") = 0\n\
                   2 access(\"a\", F_OK) = 0\n\
                   1 <... clone resumed>, child_tidptr=0x7f) = 2\n\
                   1 access(\"b\", F_OK) = 0\n";
        assert_eq!(
            seen(log),
            ["stat    /nowhere/q", "stat    /nowhere/q/b", "stat    /nowhere/q/r", "stat    /nowhere/q/r/a"]
        );
    }

    #[test]
    fn a_thread_shares_the_working_directory() {
        let log = "1 clone3({flags=CLONE_VM|CLONE_FS|CLONE_FILES, stack=0x7f}, 88) = 2\n\
                   2 chdir(\"/nowhere\") = 0\n\
                   1 access(\"a\", F_OK) = 0\n";
        assert_eq!(seen(log), ["stat    /nowhere", "stat    /nowhere/a"]);
    }

    #[test]
    fn failures_settle_to_what_they_gave_away() {
        let log = "1 openat(AT_FDCWD</p>, \"a\", O_RDONLY) = -1 ENOENT (No such file or directory)\n\
                   1 openat(AT_FDCWD</p>, \"b\", O_WRONLY|O_CREAT|O_EXCL, 0600) = -1 EEXIST (File exists)\n\
                   1 openat(AT_FDCWD</p>, 0x8, O_RDONLY) = -1 EFAULT (Bad address)\n\
                   1 unlink(\"c\") = -1 EACCES (Permission denied)\n";
        assert_eq!(seen(log), ["missing /p/a", "stat    /p/b", "stat    /p/c"]);
    }

    #[test]
    fn an_open_descriptor_asked_for_its_metadata_is_no_access() {
        let log = "1 newfstatat(4</p/a>, \"\", {st_mode=S_IFREG|0644, ...}, AT_EMPTY_PATH) = 0\n\
                   1 utimensat(4</p/a>, NULL, [UTIME_NOW, UTIME_NOW], 0) = 0\n\
                   1 openat(AT_FDCWD</p>, \"../q//./r\", O_RDONLY) = 3</q/r>\n";
        assert_eq!(seen(log), ["write   /p/a", "read    /q/r"]);
    }
}
