//! What a call told → a record.

use shm_protocol::access::{Access, AccessKind, Before, Change, Effect, Gap, Outcome};
use shm_protocol::calls::{Call, Meaning, Name, Needs, Touch};
use shm_protocol::path::Joined;
use shm_protocol::record::Event;
use shm_protocol::ring::Moment;

use linux_raw_sys::errno::{
    EACCES, EEXIST, EFAULT, EINTR, EINVAL, EISDIR, ELOOP, ENAMETOOLONG, ENODATA, ENOENT, ENOTDIR, ENXIO,
    EOPNOTSUPP, EROFS, ETXTBSY,
};
use linux_raw_sys::general::{AT_REMOVEDIR, S_IFDIR, S_IFIFO, S_IFLNK, S_IFMT, S_IFREG};

use crate::dedup::hash;
use crate::guest::{self, Guest, Sent};
use crate::names::{is_magic, string_at};
use crate::syscall::{self, Arguments, CWD, syscall};

/// Makes a watched system call for the program and reports it, if that is the library's part; otherwise the net sees it.
/// The result is the kernel's.
///
/// Inlined with a constant `call`, the meaning is computed when the library is built.
#[inline(always)]
pub(crate) fn make(call: Call, number: u32, arguments: Arguments) -> isize {
    let Some(guest) = guest::active() else {
        return plain(number, arguments);
    };
    let [a, b, c, d, e] = arguments;
    match call.meaning([a, b, c, d, e, 0]) {
        Meaning::Touch(touch) if touch.kind.observes() => look(guest, call, number, arguments, touch),
        Meaning::ChangeDirectory(touch) => {
            let result = look(guest, call, number, arguments, touch);
            if result == 0 {
                // After the fact: before it, another thread could ask for the directory and keep the old one.
                guest.ring.advance_directory_generation();
            }
            result
        }
        Meaning::Touch(touch) => {
            let result = change(guest, call, number, arguments, [Some(touch), None]);
            if result == 0 && is_directory_made_or_removed(call, arguments) {
                guest.ring.advance_directory_generation();
            }
            result
        }
        Meaning::Two(first, second) => {
            let result = change(guest, call, number, arguments, [Some(first), Some(second)]);
            if result == 0 && is_directory(guest, second) {
                guest.ring.advance_directory_generation();
            }
            result
        }
        _ => plain(number, arguments),
    }
}

/// The call as the program meant it, for the net to see.
fn plain(number: u32, arguments: Arguments) -> isize {
    // SAFETY: the program asked for this very call.
    unsafe { syscall(number, arguments, 0) }
}

/// Whether what an inode stands for may change: the next directory that is made can have the inode of one just removed, and
/// the same time of birth, since the clocks of file systems tick slowly.
fn is_directory_made_or_removed(call: Call, [_, _, flags, ..]: Arguments) -> bool {
    call == Call::mkdirat || call == Call::unlinkat && flags & u64::from(AT_REMOVEDIR) != 0
}

/// Whether a rename moved a directory, and with it the names of all that is below. The net has seen to that already; but it
/// had to do so before the call took effect.
fn is_directory(guest: &Guest, to: Touch) -> bool {
    let Name::At(path) = to.name else { return false };
    syscall::status_at(to.dir as u64, path, false, guest.cookie)
        .is_some_and(|status| status.st_mode & S_IFMT == S_IFDIR)
}

/// A call that only looks: made with the pass, and recorded afterwards.
#[inline(never)]
fn look(guest: &'static Guest, call: Call, number: u32, arguments: Arguments, touch: Touch) -> isize {
    let watch = match touch.name {
        // What is read of a listing is not there to be read again, so its name must be known before.
        Name::Descriptor => Watch::begin_in_directory(guest, touch),
        _ if call == Call::chdir => Watch::begin_in_directory(guest, touch),
        _ => Some(Watch::begin(guest, touch)),
    };
    // What has an effect is made once, so it must be sure before that it can be reported.
    let sure = touch.kind == AccessKind::Stat || guest.thread().is_some();
    let Some(watch) = watch.filter(|_| sure) else {
        return plain(number, arguments);
    };
    // SAFETY: the program asked for this call; it does not use the sixth argument.
    let result = unsafe { syscall(number, arguments, guest.cookie) };
    let told = match syscall::error(result) {
        None => Told::Plainly(Outcome::Done),
        Some(error) => told(call, error, arguments),
    };
    let reported = match told {
        Told::Nothing => Reported::Whole,
        Told::Unclearly => Reported::NotAtAll,
        Told::Plainly(outcome) => watch.report(call, outcome, None),
    };
    match reported {
        Reported::Whole => result,
        Reported::NotAtAll if result >= 0 && matches!(call, Call::openat | Call::open) => {
            watch.report_opened(call, result, number, arguments)
        }
        Reported::NotAtAll if result == 0 && call == Call::chdir => {
            guest.ring.advance_directory_generation();
            watch.report_reached(call, directory(guest, CWD as i32));
            watch.show_net(CWD, c".".as_ptr() as u64);
            result
        }
        // Looking twice harms nobody: what failed or only asked is made again, for the net to see.
        Reported::NotAtAll if guest.cookie != 0 => plain(number, arguments),
        Reported::NotAtAll => result,
    }
}

/// What an error tells about the path.
enum Told {
    Plainly(Outcome),
    /// Nothing: the path was not even looked up.
    Nothing,
    /// Perhaps something; nor is it sure that the kernel has read the path.
    Unclearly,
}

fn told(call: Call, error: u32, arguments: Arguments) -> Told {
    let link_size = match (call, arguments) {
        (Call::readlinkat, [_, _, _, size, _]) | (Call::readlink, [_, _, size, _, _]) => size as i32,
        _ => 0,
    };
    match error {
        ENOENT => Told::Plainly(Outcome::Absent),
        EACCES | EEXIST | EINTR | EISDIR | ELOOP | ENODATA | ENXIO | EOPNOTSUPP | EROFS | ETXTBSY => {
            Told::Plainly(Outcome::Refused)
        }
        // It is there and no link; or the size was senseless, which the kernel checks before it reads the path.
        EINVAL if link_size > 0 => Told::Plainly(Outcome::Refused),
        // The path or the result lies where the program has no memory: it must not be touched here.
        EFAULT | ENAMETOOLONG => Told::Nothing,
        // Among them ENOTDIR: a file on the way is no directory, so that nothing is there; or the last one is there, and should
        // have been one.
        _ => Told::Unclearly,
    }
}

/// Whether an access is known to the reader now.
#[derive(Clone, Copy, PartialEq)]
enum Reported {
    Whole,
    NotAtAll,
}

/// A call that changes something. The net holds it, to see what was there before; without a net it is recorded afterwards.
#[inline(never)]
fn change(
    guest: &'static Guest,
    call: Call,
    number: u32,
    arguments: Arguments,
    touches: [Option<Touch>; 2],
) -> isize {
    if guest.cookie != 0 {
        return plain(number, arguments);
    }
    let watches = touches.map(|touch| Some(Watch::begin(guest, touch?)));
    let befores = touches.map(|touch| touch.map_or(Before::Unknown, before));
    let result = plain(number, arguments);
    let outcome = syscall::error(result).map_or(Some(Outcome::Done), change_refused);
    let Some(outcome) = outcome else { return result };
    for (watch, before) in watches.iter().zip(befores) {
        if let Some(watch) = watch {
            watch.report(call, outcome, Some(before));
        }
    }
    result
}

/// Reports what a libc function that makes several calls of its own did to one path, without a net; with one, the net sees
/// those calls.
#[inline(never)]
pub(crate) fn around(
    call: Call,
    touch: &dyn Fn() -> Option<Touch>,
    failed: fn(u64) -> bool,
    function: &dyn Fn() -> u64,
) -> u64 {
    let Some(guest) = guest::active().filter(|guest| guest.cookie == 0) else {
        return function();
    };
    let Some(touch) = touch() else { return function() };
    let watch = Watch::begin(guest, touch);
    let before = before(touch);
    let result = function();
    let outcome = if failed(result) { change_refused(syscall::errno()) } else { Some(Outcome::Done) };
    if let Some(outcome) = outcome {
        watch.report(call, outcome, Some(before));
    }
    result
}

/// What an error tells that comes after the names were read; `None` if it tells nothing.
fn change_refused(error: u32) -> Option<Outcome> {
    match error {
        ENOENT | ENOTDIR => Some(Outcome::Absent),
        EACCES | EEXIST | EISDIR | ELOOP | EROFS | ETXTBSY => Some(Outcome::Refused),
        _ => None,
    }
}

/// What stands at a path that is about to change.
fn before(touch: Touch) -> Before {
    let status = match touch.name {
        Name::At(path) | Name::AtOrDescriptor(path) => {
            syscall::status_at(touch.dir as u64, path, touch.follow, 0)
        }
        Name::Descriptor => syscall::status_of(touch.dir),
    };
    let Some(status) = status else {
        return Before::Absent;
    };
    let bits = (status.st_mode & 0o7777) as u16;
    match status.st_mode & S_IFMT {
        S_IFREG => Before::File(bits),
        S_IFDIR => Before::Directory(bits),
        S_IFLNK => Before::Symlink,
        _ => Before::Other,
    }
}

/// A call that is under way, with what must be known from before it.
struct Watch {
    guest: &'static Guest,
    touch: Touch,
    /// Where the name begins; `None` if that is only asked for once the name turns out to be relative.
    directory: Option<&'static [u8]>,
    directory_generation: u64,
    moment: Moment,
    /// The time before the call, where there is no net whose changes could be compared with.
    time_ns: u64,
}

impl Watch {
    /// Of the many calls that repeat another nothing is ever sent: so as little as possible is asked for here, and the
    /// clock is not read.
    #[inline]
    fn begin(guest: &'static Guest, touch: Touch) -> Self {
        Self {
            guest,
            touch,
            directory: None,
            directory_generation: guest.ring.directory_generation(),
            moment: guest.ring.moment(),
            time_ns: if guest.cookie == 0 { syscall::now_ns() } else { 0 },
        }
    }

    /// The same for a call after which the directory would not be found by the same name. `None` if it has no name.
    fn begin_in_directory(guest: &'static Guest, touch: Touch) -> Option<Self> {
        let directory = Some(directory(guest, touch.dir)?);
        Some(Self { directory, ..Self::begin(guest, touch) })
    }

    /// Where the name begins, asked for after the call. `None` if it cannot be told, or may have been another during the call.
    fn directory(&self) -> Option<&'static [u8]> {
        self.directory.or_else(|| {
            let directory = directory(self.guest, self.touch.dir)?;
            (self.guest.ring.directory_generation() == self.directory_generation).then_some(directory)
        })
    }

    /// Reports the access, after its call. The kernel must have read the name, or the name is none.
    #[inline(always)]
    fn report(&self, call: Call, outcome: Outcome, before: Option<Before>) -> Reported {
        let name = match self.touch.name {
            Name::Descriptor => &[],
            Name::At(address) | Name::AtOrDescriptor(address) => {
                // SAFETY: the kernel has read it, or it would have answered EFAULT or an error that does not get here.
                match unsafe { string_at(address) } {
                    // No file has an empty name. With `AT_EMPTY_PATH` it means the descriptor: a file that was reported when
                    // it was opened.
                    Some([]) if matches!(self.touch.name, Name::At(_)) || self.touch.dir != CWD as i32 => {
                        return Reported::Whole;
                    }
                    Some(name) => name,
                    None => return Reported::Whole,
                }
            }
        };
        // Only a look at a name says that it was not there.
        if outcome != Outcome::Done && name.is_empty() {
            return Reported::Whole;
        }
        let directory = match name.first() {
            Some(b'/') => &[],
            _ => match self.directory() {
                Some(directory) => directory,
                None => return Reported::NotAtAll,
            },
        };
        let path = Joined { directory, name };
        let change = self.change(before);
        let access = Access { call, kind: self.touch.kind, outcome, follow: self.touch.follow, change, path };
        let key = (change.is_none()).then(|| self.key(&access));
        if key.is_some_and(|key| self.guest.process.seen.contains(key)) {
            return Reported::Whole;
        }
        self.report_first(key, access)
    }

    #[inline(never)]
    fn report_first(&self, key: Option<u64>, access: Access<'_>) -> Reported {
        if is_magic(access.path) {
            // Nothing below /proc counts by its own name. (And a listing must not be asked for twice: it goes on.)
            let own_name = self.touch.name == Name::Descriptor;
            return if own_name { Reported::Whole } else { Reported::NotAtAll };
        }
        self.send(key, access)
    }

    /// Reports the opening of what is `fd` now, by a name that does not tell; gives the descriptor to go on with.
    #[inline(never)]
    fn report_opened(&self, call: Call, fd: isize, number: u32, arguments: Arguments) -> isize {
        let (process, _) = self.guest.process();
        let name = process.directories.opened(self.guest, fd as i32);
        if let (Some(_), Name::At(path)) = (name, self.touch.name) {
            self.report_reached(call, name);
            self.show_net(self.touch.dir as u64, path);
            return fd;
        }
        if self.guest.cookie == 0 {
            return fd;
        }
        // A pipe: the net knows whether it is one that the command was given. Or there is no room for names any more. Opened
        // anew, the net sees it; but whoever waits at the other end of a FIFO must not see it closed.
        if syscall::status_of(fd as i32).is_some_and(|status| status.st_mode & S_IFMT == S_IFIFO)
            && !syscall::is_nameless_pipe(fd as i32, self.guest.cookie)
        {
            let (_, pid) = self.guest.process();
            self.guest.send(pid, syscall::now_ns(), Event::Gap(Gap::UnresolvedDirectory));
            return fd;
        }
        // SAFETY: the call before this one opened it, and its number has not got out of the library.
        unsafe { syscall::close(fd) };
        plain(number, arguments)
    }

    /// Has the net look at a name that was used: at the links on the way, of which what was reached does not tell.
    fn show_net(&self, dir: u64, path: u64) {
        if self.guest.cookie != 0 {
            let _seen = syscall::status_at(dir, path, self.touch.follow, 0);
        }
    }

    /// Reports what was reached by a name that does not tell.
    fn report_reached(&self, call: Call, name: Option<&[u8]>) {
        if let Some(name) = name.filter(|name| !name.starts_with(b"/proc/")) {
            let path = Joined::absolute(name);
            let kind = self.touch.kind;
            self.send(None, Access { call, kind, outcome: Outcome::Done, follow: true, change: None, path });
        }
    }

    fn send(&self, key: Option<u64>, access: Access<'_>) -> Reported {
        let time_ns = if self.guest.cookie != 0 {
            self.guest.ring.time_of_look(self.moment, syscall::now_ns)
        } else if access.change.is_some() {
            syscall::now_ns()
        } else {
            self.time_ns
        };
        let (process, pid) = self.guest.process();
        let written = self.guest.send(pid, time_ns, Event::Access(access));
        match (written, key) {
            (Sent::Written, Some(key)) => process.seen.insert(key),
            // The net can report it.
            (Sent::NoSeat, _) => return Reported::NotAtAll,
            // A lost record is counted in the ring: the trace is not complete any more.
            _ => {}
        }
        Reported::Whole
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

    /// What must agree for an access to be the repetition of another: the path, the call, and what came of it.
    fn key(&self, access: &Access<'_>) -> u64 {
        let meaning = u64::from(access.call as u16) << 24
            | (access.kind as u64) << 16
            | (access.outcome as u64) << 8
            | u64::from(access.follow);
        // Names of directories are kept for good, each at an address of its own. What is meant goes into the key apart
        // from that, so that no two of both make one.
        let directory = access.path.directory;
        let address = if directory.is_empty() { 0 } else { directory.as_ptr() as u64 };
        hash(self.guest.cookie ^ address, access.path.name) ^ meaning.wrapping_mul(SPREAD)
    }
}

/// An odd number: what is multiplied by it stays apart, and reaches all bits.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

/// The directory that names beginning at `dir` begin at now.
fn directory(guest: &'static Guest, dir: i32) -> Option<&'static [u8]> {
    let (process, _) = guest.process();
    if dir == CWD as i32 {
        process.directories.working(guest, guest.thread()?)
    } else {
        process.directories.of_descriptor(guest, dir)
    }
}
