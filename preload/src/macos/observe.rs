//! What a call told → a record.

use core::sync::atomic::{AtomicBool, Ordering};

use shm_protocol::access::{Access, AccessKind, Before, Change, Effect, Gap, Outcome};
use shm_protocol::calls::{Call, Meaning, Name, Needs, Touch};
use shm_protocol::path::Joined;
use shm_protocol::record::Event;

use super::session::{Guest, KeptError, SEEN, active};
use super::system::{self, PathBuffer};
use crate::dedup::hash;
use crate::names::{is_magic, string_at};

/// The directory that stands for the working directory in a [`Touch`].
pub(crate) const CWD: i32 = -100;

pub(crate) const ENOENT: i32 = 2;
pub(crate) const ENOTDIR: i32 = 20;
const EBADF: i32 = 9;
const EFAULT: i32 = 14;
const ENAMETOOLONG: i32 = 63;

/// A thread of this process has a working directory of its own.
static OWN_DIRECTORIES: AtomicBool = AtomicBool::new(false);

/// How a function says that it failed.
#[derive(Clone, Copy)]
pub(crate) enum Failure {
    /// By -1: of an `int`, which leaves the upper half of the register as it was, or of a `ssize_t`.
    Int,
    /// By null.
    Pointer,
}

impl Failure {
    fn is(self, result: u64) -> bool {
        match self {
            Self::Int => result as i32 == -1,
            Self::Pointer => result == 0,
        }
    }
}

/// Makes a call for the program and reports it.
///
/// Inlined with a constant `call`, the meaning is computed when the library is built.
#[inline(always)]
pub(crate) fn make(
    call: Call,
    arguments: [u64; 6],
    failure: Failure,
    original: &mut dyn FnMut() -> u64,
) -> u64 {
    let Some(guest) = active() else {
        return original();
    };
    report(guest, call, call.meaning(arguments), failure, original)
}

/// The same of what a call is known to mean.
#[inline(never)]
pub(crate) fn report(
    guest: &'static Guest,
    call: Call,
    meaning: Meaning,
    failure: Failure,
    original: &mut dyn FnMut() -> u64,
) -> u64 {
    match meaning {
        Meaning::Touch(touch) if touch.kind.observes() => look(guest, call, touch, failure, original),
        Meaning::ChangeDirectory(touch) => {
            if matches!(call, Call::pthread_chdir_np | Call::pthread_fchdir_np) {
                OWN_DIRECTORIES.store(true, Ordering::Relaxed);
            }
            look(guest, call, touch, failure, original)
        }
        Meaning::Touch(touch) => change(guest, call, [Some(touch), None], failure, original),
        Meaning::Two(first, second) => change(guest, call, [Some(first), Some(second)], failure, original),
        Meaning::OpenByHandle => after(guest, failure, original, |guest| guest.gap(Gap::OpenByHandle)),
        Meaning::ChangeMounts | Meaning::ChangeRoot(_) => {
            after(guest, failure, original, |guest| guest.gap(Gap::ChangedMounts))
        }
        Meaning::Connect { address, length } | Meaning::Bind { address, length } => {
            let result = original();
            let error = KeptError::now();
            if !(failure.is(result) && error.number() == EFAULT) {
                super::sockets::reached(guest, call, address, length);
            }
            result
        }
        Meaning::SendMessages { messages, .. } => {
            let result = original();
            let error = KeptError::now();
            if !(failure.is(result) && error.number() == EFAULT) {
                super::sockets::sent(guest, call, messages);
            }
            result
        }
        _ => original(),
    }
}

/// Makes a call, and then, if it did not fail, what is to be done about it.
fn after(
    guest: &Guest,
    failure: Failure,
    original: &mut dyn FnMut() -> u64,
    done: impl FnOnce(&Guest),
) -> u64 {
    let result = original();
    if !failure.is(result) {
        let _error = KeptError::now();
        done(guest);
    }
    result
}

/// A call that only looks.
fn look(
    guest: &'static Guest,
    call: Call,
    touch: Touch,
    failure: Failure,
    original: &mut dyn FnMut() -> u64,
) -> u64 {
    let mut buffer = PathBuffer::new();
    // Where this one leads to, a relative name begins somewhere else.
    let directory = match call {
        Call::chdir | Call::pthread_chdir_np => {
            let _error = KeptError::now();
            directory(touch.dir, &mut buffer).map(Some)
        }
        _ => Some(None),
    };
    let time_ns = system::now_ns();
    let result = original();
    let error = KeptError::now();
    let outcome = if failure.is(result) { told(error.number()) } else { Some(Outcome::Done) };
    if let Some(outcome) = outcome {
        let watch = Watch { guest, call, touch, time_ns };
        match directory {
            Some(directory) => watch.report(outcome, None, directory),
            None => guest.gap(Gap::UnresolvedDirectory),
        }
    }
    result
}

/// A call that changes something. Nothing holds it: what was there before is looked at by the process itself.
fn change(
    guest: &'static Guest,
    call: Call,
    touches: [Option<Touch>; 2],
    failure: Failure,
    original: &mut dyn FnMut() -> u64,
) -> u64 {
    let kept = KeptError::now();
    let time_ns = system::now_ns();
    let befores = touches.map(|touch| touch.map_or(Before::Unknown, before));
    // The call is to find errno as it was.
    drop(kept);
    let result = original();
    let error = KeptError::now();
    let outcome = if failure.is(result) { told(error.number()) } else { Some(Outcome::Done) };
    let Some(outcome) = outcome else { return result };
    for (touch, before) in touches.iter().zip(befores) {
        if let Some(touch) = *touch {
            Watch { guest, call, touch, time_ns }.report(outcome, Some(before), None);
        }
    }
    result
}

/// Reports that a call that has succeeded made something new at `path`.
pub(crate) fn made(guest: &'static Guest, call: Call, path: u64) {
    if let Meaning::Touch(touch) = Call::mkdir.meaning([path, 0, 0, 0, 0, 0]) {
        let time_ns = system::now_ns();
        Watch { guest, call, touch, time_ns }.report(Outcome::Done, Some(Before::Absent), None);
    }
}

/// Reports a look at a path that is over.
pub(crate) fn looked(guest: &'static Guest, call: Call, path: u64, outcome: Outcome) {
    if let Meaning::Touch(touch) = Call::access.meaning([path, 0, 0, 0, 0, 0]) {
        let time_ns = system::now_ns();
        Watch { guest, call, touch, time_ns }.report(outcome, None, None);
    }
}

/// What an error tells about a path; `None` if nothing, or if the name must not be read.
pub(crate) fn told(error: i32) -> Option<Outcome> {
    match error {
        ENOENT | ENOTDIR => Some(Outcome::Absent),
        EFAULT | ENAMETOOLONG | EBADF => None,
        _ => Some(Outcome::Refused),
    }
}

/// What stands at a path that is about to change.
fn before(touch: Touch) -> Before {
    match touch.name {
        Name::At(0) | Name::AtOrDescriptor(0) => Before::Unknown,
        Name::At(path) | Name::AtOrDescriptor(path) => system::before_at(touch.dir, path, touch.follow),
        Name::Descriptor => system::before_of(touch.dir),
    }
}

/// The directory that names beginning at `dir` begin at.
pub(crate) fn directory(dir: i32, buffer: &mut PathBuffer) -> Option<&[u8]> {
    if dir != CWD {
        buffer.of_descriptor(dir)
    } else if OWN_DIRECTORIES.load(Ordering::Relaxed) {
        buffer.of_threads_directory()
    } else {
        buffer.of_working_directory()
    }
}

/// A call that was made.
struct Watch {
    guest: &'static Guest,
    call: Call,
    touch: Touch,
    /// Before the call.
    time_ns: u64,
}

impl Watch {
    /// Reports the access; relative to `from` where that is known. The kernel must have read the name, or the name is none.
    fn report(&self, outcome: Outcome, before: Option<Before>, from: Option<&[u8]>) {
        let Self { guest, call, touch, .. } = *self;
        let name = match touch.name {
            Name::Descriptor => &[],
            Name::At(0) | Name::AtOrDescriptor(0) => return,
            // SAFETY: the call has read it, or would have answered EFAULT or an error that does not get here.
            Name::At(address) | Name::AtOrDescriptor(address) => match unsafe { string_at(address) } {
                None | Some([]) => return,
                Some(name) => name,
            },
        };
        // Only a look at a name says that it was not there.
        if outcome != Outcome::Done && name.is_empty() {
            return;
        }
        let mut buffer = PathBuffer::new();
        let directory = match (name.first(), from) {
            (Some(b'/'), _) => Some(&[][..]),
            (_, Some(from)) => Some(from),
            (_, None) => directory(touch.dir, &mut buffer),
        };
        let Some(directory) = directory else {
            // A descriptor of a pipe or socket has no name, and is no file.
            if touch.name != Name::Descriptor {
                guest.gap(Gap::UnresolvedDirectory);
            }
            return;
        };
        let path = Joined { directory, name };
        if name.starts_with(b"/.vol/") {
            // By the number of a file, which may be any.
            guest.gap(Gap::OpenByHandle);
            return;
        }
        if is_magic(path) {
            return;
        }
        let change = self.change(before);
        let access = Access { call, kind: touch.kind, outcome, follow: touch.follow, change, path };
        let pid = guest.process();
        if change.is_some() {
            guest.send(pid, system::now_ns(), Event::Access(access));
            return;
        }
        let key = key(pid, &access);
        if !SEEN.contains(key) && guest.send(pid, self.time_ns, Event::Access(access)) {
            SEEN.insert(key);
        }
    }

    fn change(&self, before: Option<Before>) -> Option<Change> {
        let (effect, before) = (self.touch.effect?, before?);
        let effect = match effect {
            // O_CREAT of what is there changes nothing.
            Effect::Create if before != Before::Absent => return None,
            Effect::Modify if before == Before::Absent && self.touch.needs == Needs::Either => Effect::Modify,
            _ if before == Before::Absent => Effect::Replace,
            other => other,
        };
        Some(Change { effect, before })
    }
}

/// What must agree for an access to be the repetition of another: process, path, call, and what came of it.
fn key(pid: u32, access: &Access<'_>) -> u64 {
    /// An odd number: what is multiplied by it stays apart, and reaches all bits.
    const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;
    let meaning = u64::from(access.call as u16) << 24
        | (access.kind as u64) << 16
        | (access.outcome as u64) << 8
        | u64::from(access.follow);
    let directory = hash(u64::from(pid).wrapping_mul(SPREAD), access.path.directory);
    hash(directory ^ meaning.wrapping_mul(SPREAD), access.path.name)
}

/// A program that is executed: never deduplicated, since each must be answered by the library in it.
pub(crate) fn executed(guest: &Guest, call: Call, pid: u32, time_ns: u64, path: Joined<'_>) {
    let kind = AccessKind::Exec;
    let access = Access { call, kind, outcome: Outcome::Done, follow: true, change: None, path };
    guest.send(pid, time_ns, Event::Access(access));
}
