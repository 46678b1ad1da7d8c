//! The starting of programs: each is announced, so that it is known if the library in it never answers, and given the library and
//! the session, so that it can.
//!
//! fork and vfork need no replacement: see [`Guest::process`].

use core::ffi::{CStr, c_char, c_int};
use core::ptr;

use shm_protocol::access::{Gap, Outcome};
use shm_protocol::calls::Call;
use shm_protocol::path::Joined;
use shm_protocol::record::Event;

use super::by_hand::{original, told_before};
use super::observe::{self, CWD};
use super::session::{Guest, KeptError, active};
use super::system::{self as os, PATH_MAX, PathBuffer};
use crate::environment::{self, Environment, Text};

const ENOENT: i32 = observe::ENOENT;
const E2BIG: u64 = 7;
const ENOEXEC: i32 = 8;

/// Where a program is looked for.
#[derive(Clone, Copy)]
enum Search<'s> {
    /// It is named by its path.
    Not,
    /// Along these folders, unless its name has a slash.
    Along(&'s [u8]),
}

impl Search<'static> {
    /// Along `PATH` as it is now, or where libSystem looks without one (paths.h).
    fn along_path() -> Self {
        let path = environment::entries(environment::current())
            .find_map(|entry| environment::value_of(entry, b"PATH"))
            .map_or(&b"/usr/bin:/bin"[..], CStr::to_bytes);
        Self::Along(path)
    }
}

/// The path of the program that is to be executed. What was looked at in vain is reported.
fn find<'b>(
    guest: &'static Guest,
    call: Call,
    file: u64,
    search: Search<'_>,
    buffer: &'b mut Text<{ 2 * PATH_MAX }>,
) -> Option<&'b CStr> {
    if file == 0 {
        return None;
    }
    let named: *const c_char = ptr::with_exposed_provenance(file as usize);
    if let Search::Along(folders) = search {
        // SAFETY: a string, by the contract of execvp(3), which is about to read it.
        let name = unsafe { CStr::from_ptr(named) }.to_bytes();
        if !name.contains(&b'/') {
            for folder in folders.split(|byte| *byte == b':') {
                let mut candidate = Text::new();
                candidate.push(if folder.is_empty() { b"." } else { folder });
                candidate.push(b"/");
                candidate.push(name);
                if candidate.c_string().is_some_and(|path| is_program(guest, call, path.as_ptr())) {
                    *buffer = candidate;
                    return buffer.c_string();
                }
            }
            return None;
        }
    }
    if !is_program(guest, call, named) {
        return None;
    }
    // SAFETY: the kernel has just read it.
    buffer.push(unsafe { CStr::from_ptr(named) }.to_bytes());
    buffer.c_string()
}

/// Whether a path is that of something that can be executed, as far as it shows; reports it if not.
fn is_program(guest: &'static Guest, call: Call, path: *const c_char) -> bool {
    let address = path as u64;
    if os::is_executable(path) && os::is_file(path) {
        return true;
    }
    let outcome = match os::errno() {
        ENOENT | observe::ENOTDIR => Some(Outcome::Absent),
        error => observe::told(error),
    };
    if let Some(outcome) = outcome {
        observe::looked(guest, call, address, outcome);
    }
    false
}

/// Tells that `pid` executes the program at `path`.
fn announce(guest: &'static Guest, call: Call, pid: u32, time_ns: u64, path: &CStr) {
    let name = path.to_bytes();
    let mut buffer = PathBuffer::new();
    let directory =
        if name.first() == Some(&b'/') { Some(&[][..]) } else { observe::directory(CWD, &mut buffer) };
    match directory {
        Some(directory) => observe::executed(guest, call, pid, time_ns, Joined { directory, name }),
        None => {
            guest.send(pid, time_ns, Event::Gap(Gap::UnresolvedDirectory));
        }
    }
}

/// Makes a call that gives this process another program, with the environment that the program needs; it returns if it fails.
fn exec(
    call: Call,
    file: u64,
    search: Search<'_>,
    environment: u64,
    make: &dyn Fn(u64, &CStr) -> u64,
) -> u64 {
    let mut buffer = Text::new();
    let Some(guest) = active() else { return make(environment, c"") };
    let kept = KeptError::now();
    let found = find(guest, call, file, search, &mut buffer);
    if let Some(path) = found {
        announce(guest, call, guest.process(), os::now_ns(), path);
    }
    let path = found.unwrap_or(c"");
    let given: Environment = ptr::with_exposed_provenance(environment as usize);
    let with = |given: Environment| {
        // The call is to find errno as it was.
        os::set_errno(kept.number());
        make(given as u64, path) as isize
    };
    let mut result = guest.own.with(given, &with) as u64;
    if os::errno() == E2BIG as i32 {
        // Perhaps it was what was added that tipped it over.
        result = make(environment, path);
    }
    kept.replace();
    if found.is_some() {
        guest.send(guest.process(), os::now_ns(), Event::ExecFailed);
    }
    result
}

pub(crate) extern "C" fn execve(path: u64, argv: u64, environment: u64) -> u64 {
    exec(Call::execve, path, Search::Not, environment, &|environment, _| {
        // SAFETY: the program's own call, but for the environment, which is as execve(2) wants it.
        unsafe { original::execve(path, argv, environment) }
    })
}

pub(crate) extern "C" fn execv(path: u64, argv: u64) -> u64 {
    exec(Call::execv, path, Search::Not, environment::current() as u64, &|environment, _| {
        // SAFETY: as above.
        unsafe { original::execve(path, argv, environment) }
    })
}

/// Makes the call itself where the environment is to stay as it is; what it does with a script without `#!` stays libSystem's.
fn searched(call: Call, file: u64, search: Search<'_>, argv: u64, original: &dyn Fn() -> u64) -> u64 {
    let own = environment::current() as u64;
    exec(call, file, search, own, &|environment, path| {
        if environment != own && !path.is_empty() {
            // SAFETY: a string, the program's own arguments, and an environment as execve(2) wants it.
            let result = unsafe { original::execve(path.as_ptr() as u64, argv, environment) };
            if os::errno() != ENOEXEC {
                return result;
            }
        }
        original()
    })
}

pub(crate) extern "C" fn execvp(file: u64, argv: u64) -> u64 {
    // SAFETY: the program's own call, as it made it.
    searched(Call::execvp, file, Search::along_path(), argv, &|| unsafe { original::execvp(file, argv) })
}

#[allow(non_snake_case, reason = "as C has it")]
pub(crate) extern "C" fn execvP(file: u64, search: u64, argv: u64) -> u64 {
    let along = if search == 0 {
        Search::Not
    } else {
        let search: *const c_char = ptr::with_exposed_provenance(search as usize);
        // SAFETY: a string, by the contract of execvP(3), which is about to read it.
        Search::Along(unsafe { CStr::from_ptr(search) }.to_bytes())
    };
    // SAFETY: the program's own call, as it made it.
    searched(Call::execvP, file, along, argv, &|| unsafe { original::execvP(file, search, argv) })
}

// Those that take open arguments are announced, and then called as they are: an environment without the library that is given to
// execle leaves its program without, which then is missed.
told_before! {
    execl leaves;
    execle leaves;
    execlp leaves_by_search;
}

fn leave(call: Call, file: u64, search: Search<'_>) {
    let _error = KeptError::now();
    let Some(guest) = active() else { return };
    let mut buffer = Text::new();
    if let Some(path) = find(guest, call, file, search, &mut buffer) {
        announce(guest, call, guest.process(), os::now_ns(), path);
        guest.leave();
    }
}

extern "C" fn leaves(path: u64) {
    leave(Call::execl, path, Search::Not);
}

extern "C" fn leaves_by_search(file: u64) {
    leave(Call::execlp, file, Search::along_path());
}

/// Makes a call that starts a child, or with `POSIX_SPAWN_SETEXEC` gives this process another program. It returns an error number.
fn spawn(
    call: Call,
    [pid, file, attributes, environment]: [u64; 4],
    search: Search<'_>,
    make: &dyn Fn(u64, u64) -> u64,
) -> u64 {
    let Some(guest) = active() else { return make(pid, environment) };
    let kept = KeptError::now();
    let mut buffer = Text::new();
    let found = find(guest, call, file, search, &mut buffer);
    let replaces = is_setexec(attributes);
    let time_ns = os::now_ns();
    let own = guest.process();
    if let Some(path) = found.filter(|_| replaces) {
        announce(guest, call, own, time_ns, path);
    }
    let mut child: c_int = 0;
    let place: *mut c_int =
        if pid == 0 { &raw mut child } else { ptr::with_exposed_provenance_mut(pid as usize) };
    let given: Environment = ptr::with_exposed_provenance(environment as usize);
    let with = |given: Environment| {
        os::set_errno(kept.number());
        make(place as u64, given as u64) as isize
    };
    let mut result = guest.own.with(given, &with) as u64;
    if result as u32 as u64 == E2BIG {
        result = make(place as u64, environment);
    }
    kept.replace();
    if replaces {
        if found.is_some() {
            guest.send(own, os::now_ns(), Event::ExecFailed);
        }
    } else if result as u32 == 0 {
        // SAFETY: the call has just written the number of the child there.
        let child = unsafe { place.read_unaligned() }.cast_unsigned();
        guest.send(child, time_ns, Event::Fork { parent: own });
        match found {
            Some(path) => announce(guest, call, child, time_ns, path),
            None => {
                guest.send(child, time_ns, Event::Gap(Gap::NotInstrumented));
            }
        }
    }
    result
}

fn is_setexec(attributes: u64) -> bool {
    unsafe extern "C" {
        fn posix_spawnattr_getflags(attributes: u64, flags: *mut i16) -> c_int;
    }
    const POSIX_SPAWN_SETEXEC: i16 = 0x40;
    let mut flags = 0;
    // SAFETY: attributes as the caller is about to pass them on, and a place for the answer.
    let told = attributes != 0 && unsafe { posix_spawnattr_getflags(attributes, &raw mut flags) } == 0;
    told && flags & POSIX_SPAWN_SETEXEC != 0
}

pub(crate) extern "C" fn posix_spawn(
    pid: u64,
    path: u64,
    actions: u64,
    attributes: u64,
    argv: u64,
    environment: u64,
) -> u64 {
    spawn(Call::posix_spawn, [pid, path, attributes, environment], Search::Not, &|pid, environment| {
        // SAFETY: the program's own call, but for the environment and where the number of the child goes.
        unsafe { original::posix_spawn(pid, path, actions, attributes, argv, environment) }
    })
}

pub(crate) extern "C" fn posix_spawnp(
    pid: u64,
    file: u64,
    actions: u64,
    attributes: u64,
    argv: u64,
    environment: u64,
) -> u64 {
    let search = Search::along_path();
    spawn(Call::posix_spawnp, [pid, file, attributes, environment], search, &|pid, environment| {
        // SAFETY: as above.
        unsafe { original::posix_spawnp(pid, file, actions, attributes, argv, environment) }
    })
}

/// The shell, which is the system's and never loads the library.
fn shell(call: Call) {
    let _error = KeptError::now();
    if let Some(guest) = active() {
        let path = Joined::absolute(b"/bin/sh");
        observe::executed(guest, call, guest.process(), os::now_ns(), path);
    }
}

pub(crate) extern "C" fn system(command: u64) -> u64 {
    if command != 0 {
        shell(Call::system);
    }
    // SAFETY: the program's own call, as it made it.
    unsafe { original::system(command) }
}

pub(crate) extern "C" fn popen(command: u64, mode: u64) -> u64 {
    shell(Call::popen);
    // SAFETY: as above.
    unsafe { original::popen(command, mode) }
}
