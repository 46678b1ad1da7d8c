//! What is made of one held call: what it does is recorded before it goes on.

use std::sync::atomic::Ordering;

use shm_protocol::access::{Access, AccessKind, Before, Change, Effect, Gap, Outcome};
use shm_protocol::calls::{Call, Meaning, Name, Needs, Touch};
use shm_protocol::path::Joined;
use shm_protocol::record::{Event, Exit, Image, Record};

use super::abi::{Decoded, Made, Width};
use super::address::{self, Address};
use super::privileges::gives_privileges;
use super::process::is_terminal_device;
use super::roots::{self, Walk};
use super::supervisor::{Answer, Held, Supervisor};
use super::target::{self, Look, Target, Unnamed};

/// Bytes of an argument vector that are kept.
const ARGV_LIMIT: usize = 32 * 1024;

/// Bytes of a file from which on its content takes so long to take that other calls should not wait for it.
const LARGE: i64 = 256 << 10;

/// One held call being looked at.
pub(super) struct Judgement<'a> {
    supervisor: &'a Supervisor,
    held: &'a Held<'a>,
    target: Target,
    time_ns: u64,
    /// For paths, used again and again.
    buffer: &'a mut Vec<u8>,
    /// The descriptor of a directory beyond which the call does not look: its root, for this one call.
    beneath: Option<i32>,
}

impl<'a> Judgement<'a> {
    /// Of the call that `target` has made at `time_ns`; `buffer` is for paths, used again and again.
    pub(super) fn new(
        supervisor: &'a Supervisor,
        held: &'a Held<'a>,
        target: Target,
        time_ns: u64,
        buffer: &'a mut Vec<u8>,
    ) -> Self {
        Self { supervisor, held, target, time_ns, buffer, beneath: None }
    }

    /// Records what the call does, and says how it goes on.
    pub(super) fn of(mut self, decoded: Decoded) -> Answer {
        match decoded {
            Decoded::Watched(made) => self.call(made),
            Decoded::Socket { call, array, count } => self.socket_call(call, array, count),
            Decoded::Unwatched => Answer::Continue,
            Decoded::Foreign => {
                self.send(Event::Gap(Gap::ForeignAbi));
                Answer::Continue
            }
        }
    }

    fn send(&self, event: Event<'_>) {
        self.supervisor.orders.sink.record(&Record {
            pid: self.target.process,
            time_ns: self.time_ns,
            event,
        });
    }

    /// A call on a socket, with its arguments of four bytes each in an array.
    fn socket_call(&mut self, call: Call, array: u64, count: usize) -> Answer {
        let width = Width::Four;
        let mut bytes = [0; 6 * 4];
        let bytes = &mut bytes[..count * width.bytes()];
        // Where the array can't be read, nor can the kernel.
        if self.target.memory().read(array, bytes).is_ok_and(|read| read == bytes.len()) {
            let mut arguments = [0; 6];
            arguments.iter_mut().zip(width.words(bytes)).for_each(|(argument, word)| *argument = word);
            return self.call(Made { call, arguments, width });
        }
        Answer::Continue
    }

    fn call(&mut self, made: Made) -> Answer {
        let Made { call, arguments, width } = made;
        let mut meaning = call.meaning(arguments);
        if let Meaning::OpenHow { dir, path, how } = meaning {
            /// `RESOLVE_IN_ROOT` of linux/openat2.h: what is absolute begins at the descriptor.
            const IN_ROOT: u64 = 0x10;
            // An unreadable `open_how` makes the call fail with EFAULT.
            let memory = self.target.memory();
            let (Ok(flags), Ok(resolve)) = (memory.word(how), memory.word(how.wrapping_add(16))) else {
                return Answer::Continue;
            };
            self.beneath = (resolve & IN_ROOT != 0).then_some(dir as i32);
            meaning = Call::openat.meaning([dir, path, flags, 0, 0, 0]);
        }
        match meaning {
            Meaning::Nothing | Meaning::OpenHow { .. } => {}
            Meaning::Touch(touch) => {
                self.touch(call, touch);
            }
            Meaning::Two(first, second) => self.two(call, first, second),
            Meaning::ChangeDirectory(touch) => {
                self.touch(call, touch);
                self.supervisor.directories_moved();
            }
            Meaning::Execute { file, argv } => self.execute(call, file, argv, width),
            // Its other threads may have calls made yet before they are gone.
            Meaning::Exit(_)
                if self.target.has_other_threads() && self.supervisor.awaits_end(self.target) => {}
            Meaning::Exit(status) => {
                self.send(Event::Exit(Exit::Code(status.into())));
                self.supervisor.forget(self.target.process);
            }
            Meaning::ReadDescriptor(fd) | Meaning::UseDescriptor(fd) => {
                self.use_descriptor(self.target.thread, fd as u32);
            }
            Meaning::Connect { address, length } => self.address(call, address, length, AccessKind::Stat),
            Meaning::Bind { address, length } => self.address(call, address, length, AccessKind::Write),
            Meaning::SendMessages { messages, count } => self.messages(call, messages, count, width),
            Meaning::IoUring if self.supervisor.orders.allow_io_uring => self.send(Event::Gap(Gap::IoUring)),
            Meaning::IoUring => {
                self.send(Event::IoUringRefused);
                return Answer::Fail(libc::EPERM);
            }
            Meaning::OpenByHandle => self.send(Event::Gap(Gap::OpenByHandle)),
            Meaning::ChangeRoot(touch) => {
                if let Some(path) = self.name(call, touch) {
                    self.record(call, touch, &path);
                    self.supervisor.root_changes(&path);
                }
            }
            // A later thread may be taken for one that had a working directory of its own.
            Meaning::UnshareDirectories if self.target.has_other_threads() => self.supervisor.leave_to_net(),
            Meaning::UnshareDirectories => {}
            Meaning::ChangeMounts => self.send(Event::Gap(Gap::ChangedMounts)),
        }
        Answer::Continue
    }

    /// The root of the thread, or of this one call, if it is not ours.
    fn other_root(&self) -> Result<Option<Vec<u8>>, Unnamed> {
        let root = match self.beneath {
            Some(dir) => self.target.descriptor(dir)?,
            None if self.supervisor.has_other_roots.load(Ordering::Acquire) => self.target.root()?,
            None => return Ok(None),
        };
        Ok(Some(root).filter(|root| root != b"/"))
    }

    /// The absolute path outside that a name means below `root`. The links on the way are read: outside they lead elsewhere.
    fn walk(
        &self,
        call: Call,
        root: &[u8],
        folder: &[u8],
        name: &[u8],
        follow: bool,
    ) -> Result<Vec<u8>, Unnamed> {
        let Walk { path, links, is_loop } = roots::walk(root, folder, name, follow);
        for link in &links {
            let (kind, outcome, path) = (AccessKind::Read, Outcome::Done, Joined::absolute(link));
            self.send(Event::Access(Access { call, kind, outcome, follow: false, change: None, path }));
        }
        if is_loop { Err(Unnamed::Nothing) } else { Ok(path) }
    }

    /// The absolute path of the name at `address`, into `path`; see [`Target::name_at`].
    fn name_at(
        &self,
        call: Call,
        touch: Touch,
        address: u64,
        empty_is_descriptor: bool,
        path: &mut Vec<u8>,
    ) -> Result<(), Unnamed> {
        let target = self.target;
        let Some(root) = self.other_root()? else {
            return target.name_at(touch.dir, address, empty_is_descriptor, path);
        };
        target.read_name(address, path)?;
        if path.is_empty() {
            return target.name_at(touch.dir, address, empty_is_descriptor, path);
        }
        let folder = if path.starts_with(b"/") { Ok(root.clone()) } else { target.descriptor(touch.dir) };
        *path = match (folder, target.through_proc(path)) {
            (Ok(_), Some(real)) => real?,
            (Ok(folder), None) => self.walk(call, &root, &folder, path, touch.follow)?,
            (Err(_), _) => return target.name_at(touch.dir, address, empty_is_descriptor, path),
        };
        Ok(())
    }

    /// The absolute path of a name that the kernel, or a socket, looks up from the working directory.
    fn locate(&self, call: Call, name: &[u8]) -> Result<Vec<u8>, Unnamed> {
        match self.other_root()? {
            Some(root) => {
                let folder = if name.starts_with(b"/") { root.clone() } else { self.target.cwd()? };
                self.walk(call, &root, &folder, name, true)
            }
            None if name.starts_with(b"/") => Ok(name.to_vec()),
            None => Ok(Joined::new(&self.target.cwd()?, name).pieces().concat()),
        }
    }

    /// The path of a touch; `None` when there is nothing to record, or the gap has been recorded.
    fn name(&mut self, call: Call, touch: Touch) -> Option<Vec<u8>> {
        // The metadata of an open file (fstat): opening it was recorded.
        let of_descriptor = touch.kind != AccessKind::Stat;
        let mut path = std::mem::take(self.buffer);
        let named = match touch.name {
            Name::At(address) => self.name_at(call, touch, address, false, &mut path),
            Name::AtOrDescriptor(address) => self.name_at(call, touch, address, of_descriptor, &mut path),
            Name::Descriptor => self.target.name_descriptor(touch.dir, &mut path),
        };
        let named = match named {
            // Its exec told of it.
            Err(Unnamed::OwnProgram) if touch.kind != AccessKind::Exec => Err(Unnamed::Nothing),
            Err(Unnamed::OwnProgram) => self.target.program().map(|program| path = program),
            named => named,
        };
        // What was read is of this process only if its call is still held.
        if named == Err(Unnamed::Nothing) || !(self.held.is_held)() {
            *self.buffer = path;
            return None;
        }
        match named {
            Ok(()) => Some(path),
            Err(Unnamed::Stream(thread, fd)) => {
                // Opened anew it is the same stream.
                if touch.kind != AccessKind::Stat {
                    self.use_descriptor(thread, fd);
                }
                None
            }
            Err(Unnamed::Nothing | Unnamed::OwnProgram) => None,
            Err(Unnamed::Unreadable) => {
                self.send(Event::Gap(Gap::UnreadablePath));
                None
            }
            Err(Unnamed::NoDirectory) => {
                self.send(Event::Gap(Gap::UnresolvedDirectory));
                None
            }
        }
    }

    /// A descriptor is used, which may be one of the streams that the command was given.
    fn use_descriptor(&self, thread: u32, fd: u32) {
        let streams = &self.supervisor.orders.streams;
        if let Some(&number) = streams.iter().find(|&&number| target::is_shared(thread, fd, number)) {
            self.send(Event::StreamUsed(number));
        }
    }

    fn is_own(&self, path: &[u8]) -> bool {
        self.supervisor.orders.own_folder.as_ref().is_some_and(|folder| path.starts_with(folder))
    }

    fn touch(&mut self, call: Call, touch: Touch) {
        if let Some(path) = self.name(call, touch) {
            let look = self.record(call, touch, &path);
            *self.buffer = path;
            // A directory that is made can get the inode of one that was removed: who knows directories by it must
            // ask again.
            let made = matches!(call, Call::mkdir | Call::mkdirat);
            let removed = touch.kind == AccessKind::Delete && matches!(look.before, Before::Directory(_));
            if made || removed {
                self.supervisor.directories_moved();
            }
        }
    }

    /// Two paths of which the second is only touched if the first is there, or has no name (`O_TMPFILE`).
    fn two(&mut self, call: Call, first: Touch, second: Touch) {
        if let Some(from) = self.name(call, first) {
            let look = self.record(call, first, &from);
            *self.buffer = from;
            if matches!(look.before, Before::Directory(_)) {
                self.supervisor.directories_moved();
            }
            if look.outcome != Outcome::Done {
                return;
            }
        }
        self.touch(call, second);
    }

    /// Records a touch of `path`, with the outcome that a look at the path foretells.
    fn record(&self, call: Call, touch: Touch, path: &[u8]) -> Look {
        if self.is_own(path) {
            return Look::NOT_TAKEN;
        }
        let mut look = target::look(path, touch.follow);
        if look.outcome == Outcome::Absent && touch.needs != Needs::Present && !target::has_directory(path) {
            // It will fail, and the program learn that; unless another makes the directory just now.
            let (kind, outcome, path) = (AccessKind::Stat, Outcome::Absent, Joined::absolute(path));
            self.send(Event::Access(Access {
                call,
                kind,
                outcome,
                follow: touch.follow,
                change: None,
                path,
            }));
        }
        let opens = matches!(call, Call::open | Call::openat | Call::openat2 | Call::creat);
        if opens && touch.kind == AccessKind::Write && matches!(look.before, Before::Directory(_)) {
            // A folder can't be opened for writing: EISDIR, or EEXIST.
            look.outcome = Outcome::Refused;
        }
        if opens && touch.kind == AccessKind::Read && !touch.follow && look.before == Before::Symlink {
            // `O_NOFOLLOW`.
            look.outcome = Outcome::Refused;
        }
        match touch.needs {
            Needs::Present => {}
            Needs::Absent if look.outcome == Outcome::Done => look.outcome = Outcome::Refused,
            Needs::Absent | Needs::Either if look.outcome == Outcome::Absent => look.outcome = Outcome::Done,
            _ => {}
        }
        let absent = look.before == Before::Absent;
        let access = |kind, change| {
            self.send(Event::Access(Access {
                call,
                kind,
                outcome: look.outcome,
                follow: touch.follow,
                change,
                path: Joined::absolute(path),
            }));
        };
        let is_terminal = |stat: libc::stat| is_terminal_device(stat.st_rdev);
        if touch.probes_terminal && look.before == Before::Other && look.stat.is_some_and(is_terminal) {
            access(AccessKind::Stat, None);
            return look;
        }
        let Some(effect) = touch.effect else {
            let directory = touch.kind == AccessKind::Read && matches!(look.before, Before::Directory(_));
            access(if directory { AccessKind::Stat } else { touch.kind }, None);
            return look;
        };
        if touch.reads && !absent {
            access(AccessKind::Read, None);
        }
        let effect = match effect {
            Effect::Create if !absent => return look,
            // What would have been built upon, had it been there, is told from what would not have mattered.
            Effect::Modify if absent && touch.needs == Needs::Either => Effect::Modify,
            _ if absent => Effect::Replace,
            other => other,
        };
        // Once its times are set they do not tell any more whether its content is what it was.
        let hides = matches!(call, Call::utimensat | Call::utime | Call::utimes | Call::futimesat);
        if (effect != Effect::Metadata || hides) && matches!(look.before, Before::File(_)) {
            if look.stat.is_some_and(|stat| stat.st_size > LARGE) {
                (self.held.takes_long)();
            }
            self.supervisor.orders.sink.before_change(path, touch.follow);
        }
        access(touch.kind, Some(Change { effect, before: look.before }));
        look
    }

    fn execute(&mut self, call: Call, file: Touch, argv: u64, width: Width) {
        let Some(path) = self.name(call, file) else { return };
        let look = target::look(&path, file.follow);
        let executable = look
            .stat
            .is_some_and(|stat| stat.st_mode & libc::S_IFMT == libc::S_IFREG && stat.st_mode & 0o111 != 0);
        let outcome = match look.outcome {
            Outcome::Done if !executable => Outcome::Refused,
            outcome => outcome,
        };
        let access = |path: &[u8], outcome| {
            let path = Joined::absolute(path);
            let kind = AccessKind::Exec;
            self.send(Event::Access(Access { call, kind, outcome, follow: true, change: None, path }));
        };
        if outcome != Outcome::Done {
            access(&path, outcome);
            *self.buffer = path;
            return;
        }
        let argv = self.target.memory().strings(argv, width, ARGV_LIMIT);
        let cwd = self.supervisor.cwd_at_exec(self.target);
        self.send(Event::Exec(Image { exe: &path, cwd: &cwd, argv: &argv }));
        access(&path, outcome);
        if self.supervisor.orders.holds_back_privileges
            && look.stat.is_some_and(|stat| gives_privileges(&path, &stat))
        {
            self.send(Event::Gap(Gap::LostPrivileges));
        }
        let locate = |name: &[u8]| self.locate(call, name).unwrap_or_else(|_| name.to_vec());
        for interpreter in self.supervisor.interpreters(&path, &look, &locate).iter() {
            access(interpreter, target::look(interpreter, true).outcome);
        }
        *self.buffer = path;
    }

    /// Messages, of which each may go to an address of its own.
    fn messages(&mut self, call: Call, messages: u64, count: u64, width: Width) {
        // `struct mmsghdr` is a `struct msghdr` of seven words and a length; it begins with an address and its length.
        let size = 8 * width.bytes();
        // `UIO_MAXIOV`: the kernel sends no more at once.
        for place in 0..count.min(1024) {
            let mut bytes = [0; 16];
            let head = &mut bytes[..2 * width.bytes()];
            let at = messages.wrapping_add(place * size as u64);
            if self.target.memory().read(at, head) != Ok(head.len()) {
                return;
            }
            let mut words = width.words(head);
            if let (Some(address @ 1..), Some(length)) = (words.next(), words.next()) {
                // The length has four bytes in either case.
                self.address(call, address, u64::from(length as u32), AccessKind::Stat);
            }
        }
    }

    /// A socket address, of a peer or, for a `write`, to be bound to.
    fn address(&mut self, call: Call, address: u64, length: u64, kind: AccessKind) {
        let mut bytes = [0; 128];
        let length = usize::try_from(length).unwrap_or(usize::MAX).min(bytes.len());
        let Ok(count) = self.target.memory().read(address, &mut bytes[..length]) else { return };
        match address::decode(&bytes[..count]) {
            Address::Network(host) | Address::Loopback(host) if !kind.observes() => {
                self.supervisor.ports().insert(host.port());
            }
            // A server of the run's own.
            Address::Loopback(host) if self.supervisor.serves(host.port()) => {}
            Address::Network(host) | Address::Loopback(host) => {
                self.send(Event::Network(host.to_string().as_bytes()));
            }
            Address::Local => {}
            Address::Path(name) => {
                let Ok(path) = self.locate(call, name) else {
                    self.send(Event::Gap(Gap::UnresolvedDirectory));
                    return;
                };
                let (effect, needs) = match kind {
                    AccessKind::Write => (Some(Effect::Replace), Needs::Absent),
                    _ => (None, Needs::Present),
                };
                let dir = libc::AT_FDCWD;
                let (name, follow) = (Name::At(0), true);
                let touch =
                    Touch { dir, name, kind, effect, reads: false, probes_terminal: false, needs, follow };
                self.record(call, touch, &path);
            }
        }
    }
}
