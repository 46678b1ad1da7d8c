//! Keeping a child traced whose parent cleared or scrubbed its environment.
//!
//! On Linux only for speed: without the library the child is seen by the net.

use core::ffi::{CStr, c_char};
use core::ptr;

use shm_protocol::session::{Session, VARIABLE};

#[cfg(target_os = "macos")]
use crate::macos::system::{self, environment as environ};
#[cfg(target_os = "linux")]
use crate::syscall as system;

/// A null-terminated array of strings, as `environ` is.
pub(crate) type Environment = *const *const c_char;

/// The loader's variable that names libraries to load first.
const PRELOAD: &[u8] = if cfg!(target_os = "macos") { b"DYLD_INSERT_LIBRARIES" } else { b"LD_PRELOAD" };

/// The file name by which the library knows itself there.
pub(crate) const LIBRARY: &[u8] =
    if cfg!(target_os = "macos") { b"libtracerun_preload.dylib" } else { b"libtracerun_preload.so" };

#[cfg(target_os = "linux")]
unsafe extern "C" {
    static environ: Environment;
}

/// The environment of this process as it is now.
pub(crate) fn current() -> Environment {
    #[cfg(target_os = "linux")]
    // SAFETY: libc's variable, which holds a pointer at any time.
    return unsafe { (&raw const environ).read() };
    #[cfg(target_os = "macos")]
    environ()
}

/// The entries of an environment, or of another array of its form.
pub(crate) fn entries<'a>(environment: Environment) -> impl Iterator<Item = &'a CStr> {
    let mut next = environment;
    core::iter::from_fn(move || {
        // Linux takes a null pointer for an empty environment.
        if next.is_null() {
            return None;
        }
        // SAFETY: an array that ends with a null pointer, which we have not passed.
        let entry = unsafe { next.read() };
        next = next.wrapping_add(1);
        // SAFETY: all but the last are strings, by the contract of execve(2), which the caller is about to make or has made.
        (!entry.is_null()).then(|| unsafe { CStr::from_ptr(entry) })
    })
}

pub(crate) fn value_of<'a>(entry: &'a CStr, name: &[u8]) -> Option<&'a CStr> {
    let rest = entry.to_bytes_with_nul().strip_prefix(name)?.strip_prefix(b"=")?;
    CStr::from_bytes_with_nul(rest).ok()
}

/// The libraries that a value of that variable names.
fn libraries(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b':' || cfg!(target_os = "linux") && *byte == b' ')
}

/// What must be in a child's environment, copied at the start: programs overwrite theirs.
pub(crate) struct Own {
    session: Text<{ 8 + 256 }>,
    library: Text<1024>,
    /// The user that the process ran as.
    user: u64,
}

impl Own {
    /// Finds both in the environment that the library was loaded with; what is too long is left empty, and then nothing is
    /// ever added.
    /// `None` if no session is named.
    pub(crate) fn find(environment: Environment) -> Option<Self> {
        let mut own = Self { session: Text::new(), library: Text::new(), user: system::effective_user() };
        let mut preloaded = None;
        for entry in entries(environment) {
            if value_of(entry, VARIABLE.as_bytes()).is_some() && own.session.is_empty() {
                own.session.push(entry.to_bytes());
            }
            preloaded = preloaded.or_else(|| value_of(entry, PRELOAD));
        }
        let preloaded = preloaded.map_or(&b""[..], CStr::to_bytes);
        if let Some(library) = libraries(preloaded).find(|library| library.ends_with(LIBRARY)) {
            own.library.push(library);
        }
        (!own.session.is_empty()).then_some(own)
    }

    /// The session that is named.
    pub(crate) fn session(&self) -> Option<Session<'_>> {
        Session::parse(value_of(self.session.c_string()?, VARIABLE.as_bytes())?.to_bytes())
    }

    /// The path of a session's ring as the kernel takes it.
    pub(crate) fn ring_path(&self, session: &Session<'_>) -> Option<&CStr> {
        let named = self.session.c_string()?.to_bytes_with_nul();
        CStr::from_bytes_with_nul(named.get(named.len().checked_sub(session.ring.len() + 1)?..)?).ok()
    }

    /// Calls `run` with an environment in which the library and the session are named: the given one where they are, else a
    /// copy with the library behind the program's own ones. Where that does not fit, or another session is named (tracerun
    /// inside tracerun), the given one.
    ///
    /// Where the library can't be reached, by a process that has another root or has become another user, the loader would
    /// complain: there it is the environment without the library.
    ///
    /// The copy lies on the stack, 6 KiB, so that a child by vfork can make it too and nothing has to be freed.
    pub(crate) fn with(&self, environment: Environment, run: &dyn Fn(Environment) -> isize) -> isize {
        let reachable = self.is_reachable();
        if self.is_in(environment) == reachable {
            run(environment)
        } else {
            self.with_copy(environment, reachable, run)
        }
    }

    fn is_reachable(&self) -> bool {
        let pass = self.session().map_or(0, |session| session.cookie);
        let found = |path: &CStr| system::exists(path, pass);
        // Whoever becomes another user may do more now than after the exec.
        self.user == system::effective_user() && self.library.c_string().is_none_or(found)
    }

    fn is_in(&self, environment: Environment) -> bool {
        if self.session.is_empty() || self.library.is_empty() {
            return true;
        }
        let mut session = false;
        let mut library = false;
        for entry in entries(environment) {
            if let Some(value) = value_of(entry, VARIABLE.as_bytes()) {
                if !self.session.bytes().ends_with(value.to_bytes()) {
                    return true;
                }
                session = true;
            } else if let Some(value) = value_of(entry, PRELOAD) {
                library = libraries(value.to_bytes()).any(|one| one == self.library.bytes());
            }
        }
        session && library
    }

    #[inline(never)]
    fn with_copy(&self, environment: Environment, named: bool, run: &dyn Fn(Environment) -> isize) -> isize {
        let mut preload = Text::<2048>::new();
        preload.push(PRELOAD);
        let mut before: &[u8] = b"=";
        let mut copy = [ptr::null::<c_char>(); 512];
        // The last place stays null, which ends the array.
        let mut places = copy.iter_mut().rev().skip(1);
        let mut fits = true;
        let mut add = |entry: Option<&CStr>| match (entry, places.next()) {
            (Some(entry), Some(place)) => *place = entry.as_ptr(),
            _ => fits = false,
        };
        for entry in entries(environment) {
            if let Some(theirs) = value_of(entry, PRELOAD) {
                for library in libraries(theirs.to_bytes()) {
                    if !library.is_empty() && library != self.library.bytes() {
                        preload.push(before);
                        preload.push(library);
                        before = b":";
                    }
                }
            } else if value_of(entry, VARIABLE.as_bytes()).is_none() {
                add(Some(entry));
            }
        }
        if named {
            preload.push(before);
            preload.push(self.library.bytes());
            add(preload.c_string());
            add(self.session.c_string());
        } else if before == b":" {
            add(preload.c_string());
        }
        let free = places.count();
        // Filled from behind; the first that is not null begins the array.
        let start = copy.get(free..).map_or(environment, <[_]>::as_ptr);
        run(if fits { start } else { environment })
    }
}

/// A string of bounded length.
pub(crate) struct Text<const N: usize> {
    bytes: [u8; N],
    length: usize,
    overflown: bool,
}

impl<const N: usize> Text<N> {
    pub(crate) const fn new() -> Self {
        Self { bytes: [0; N], length: 0, overflown: false }
    }

    pub(crate) fn push(&mut self, more: &[u8]) {
        let room = self.bytes.get_mut(self.length..).unwrap_or_default();
        // One byte stays NUL.
        if more.len() < room.len() {
            for (place, byte) in room.iter_mut().zip(more) {
                *place = *byte;
            }
            self.length += more.len();
        } else {
            self.overflown = true;
        }
    }

    fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }

    fn is_empty(&self) -> bool {
        self.length == 0
    }

    pub(crate) fn c_string(&self) -> Option<&CStr> {
        if self.overflown { None } else { CStr::from_bytes_until_nul(&self.bytes).ok() }
    }
}
