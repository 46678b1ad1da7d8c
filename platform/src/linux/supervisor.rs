//! What is made of each held call, whoever holds it: what it does is recorded before it goes on.

use std::collections::{HashMap, HashSet};
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use libc::seccomp_data;
use nix::sys::resource::{Resource, getrlimit};
use shm_protocol::access::{Access, AccessKind, Before, Change, Effect, Gap, Outcome};
use shm_protocol::calls::{Call, Meaning, Name, Needs, Touch};
use shm_protocol::path::Joined;
use shm_protocol::record::{Event, Exit, Image, Record};

use super::abi::{self, Decoded, Made, Width};
use super::address::{self, Address};
use super::lives::{self, Ends, Kin, Life};
use super::privileges::gives_privileges;
use super::process::is_terminal_device;
use super::ring::SharedRing;
use super::roots::{self, Walk};
use super::target::{self, Look, Target, Unnamed};
use crate::tracing::{Sink, now_ns};

/// Bytes of an argument vector that are kept.
const ARGV_LIMIT: usize = 32 * 1024;

/// Bytes of a file from which on its content takes so long to take that other calls should not wait for it.
const LARGE: i64 = 256 << 10;

/// The supervisor of one run, shared by its threads.
pub(super) struct Supervisor {
    orders: Orders,
    processes: Mutex<Processes>,
    ends: Ends,
    /// How many processes are watched for their end at the same time: each costs a descriptor.
    most_lives: usize,
    interpreters: Mutex<HashMap<Option<Version>, Interpreters>>,
    /// Whether a process may have another root.
    has_other_roots: AtomicBool,
    /// The ports that somebody of the run has bound a socket to; 0 stands for one that the system chose.
    ports: Mutex<HashSet<u16>>,
}

/// A call that a thread has made and that waits for an answer.
pub(super) struct Held<'a> {
    /// The thread that makes it.
    pub(super) thread: u32,
    /// What the kernel tells of it.
    pub(super) data: seccomp_data,
    /// Whether it is still held, so that what was read from its process was read from the right one.
    pub(super) is_held: &'a dyn Fn() -> bool,
    /// Called before work that takes so long that other calls should not wait for it.
    pub(super) takes_long: &'a dyn Fn(),
}

/// What is answered to a held call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// The call goes on as it was made.
    Continue,
    /// The call fails with this errno.
    Fail(i32),
}

/// What a supervisor is told to do.
pub(super) struct Orders {
    /// Who is told of what the processes do.
    pub(super) sink: Arc<dyn Sink>,
    /// What it shares with the library, if that is used.
    pub(super) ring: Option<Arc<SharedRing>>,
    /// Accesses under this folder are tracerun's own: the preload library.
    pub(super) own_folder: Option<Vec<u8>>,
    /// The descriptors of this process that stand for streams which the command was given.
    pub(super) streams: Vec<i32>,
    /// Let programs have `io_uring`.
    pub(super) allow_io_uring: bool,
    /// Programs get no privileges by being executed, as they would without us.
    pub(super) holds_back_privileges: bool,
}

/// A file as it is now: device, inode, and status change time in seconds and nanoseconds.
type Version = (u64, u64, i64, i64);

/// The files that the kernel opens by itself to execute one.
type Interpreters = Arc<[Vec<u8>]>;

/// Which threads and processes are known.
#[derive(Default)]
struct Processes {
    /// The process of each thread seen.
    of_thread: HashMap<u32, u32>,
    known: HashMap<u32, Known>,
}

/// What is kept of a process.
#[derive(Default)]
struct Known {
    /// The one it was forked from; 0 if that is out of sight.
    parent: u32,
    /// Its working directory when it last executed something, with the directory generation of that time.
    cwd: Option<(u64, Arc<[u8]>)>,
    life: Option<Life>,
}

impl Supervisor {
    /// # Errors
    /// There are no descriptors left.
    pub(super) fn new(root: u32, orders: Orders) -> io::Result<Self> {
        let mut processes = Processes::default();
        let (ends, life) = (Ends::new()?, Life::of(root));
        if let Some(life) = &life {
            ends.watch(root, life);
        }
        processes.known.insert(root, Known { life, ..Known::default() });
        processes.of_thread.insert(root, root);
        let (descriptors, _) = getrlimit(Resource::RLIMIT_NOFILE)?;
        Ok(Self {
            orders,
            processes: Mutex::new(processes),
            ends,
            most_lives: usize::try_from(descriptors / 2).unwrap_or(usize::MAX),
            interpreters: Mutex::default(),
            has_other_roots: AtomicBool::new(false),
            ports: Mutex::default(),
        })
    }

    /// Records how processes end that do not say so, until [`Supervisor::attend_last_ends`] is called.
    pub(super) fn attend_ends(&self) {
        while let Some(pid) = self.ends.next() {
            self.attend_end(pid, Duration::ZERO);
        }
    }

    /// Records how those ended that have since; for those that are about to, as where no filtered process is left, it
    /// waits up to `at_most` each.
    pub(super) fn attend_last_ends(&self, at_most: Duration) {
        self.ends.stop();
        let pids: Vec<u32> = self.processes().known.keys().copied().collect();
        for pid in pids {
            self.attend_end(pid, at_most);
        }
    }

    fn attend_end(&self, pid: u32, at_most: Duration) {
        let Some(life) = self.processes().known.get_mut(&pid).and_then(|known| known.life.take()) else {
            return;
        };
        if !life.has_ended(at_most) {
            // A thread other than the first has executed something.
            if let Some(known) = self.processes().known.get_mut(&pid) {
                known.life = Some(life);
            }
            return;
        }
        match life.exit(pid) {
            Some(exit) => self.has_ended(pid, exit),
            None => self.forget(pid),
        }
    }

    /// Records the end of a process, unless it has told of that itself.
    pub(super) fn has_ended(&self, pid: u32, exit: Exit) {
        if self.processes().known.contains_key(&pid) {
            self.orders.sink.record(&Record { pid, time_ns: now_ns(), event: Event::Exit(exit) });
            self.forget(pid);
        }
    }

    /// Announces the process of a thread that has made no call yet.
    pub(super) fn meet(&self, thread: u32) {
        self.find(thread, true, &|| true);
    }

    /// The id of a thread may come to be another's.
    pub(super) fn thread_has_ended(&self, thread: u32) {
        self.processes().of_thread.remove(&thread);
    }

    /// Whether the end of the process will be told when it comes.
    fn awaits_end(&self, target: Target) -> bool {
        self.processes().known.get(&target.process).is_some_and(|known| known.life.is_some())
    }

    /// Kills every process seen.
    pub(super) fn kill_all(&self) {
        self.processes().known.values().filter_map(|known| known.life.as_ref()).for_each(Life::kill);
    }

    fn processes(&self) -> MutexGuard<'_, Processes> {
        self.processes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The processes seen that are still there: pid and name.
    pub(super) fn survivors(&self) -> Vec<(u32, String)> {
        let processes = self.processes();
        let name = |pid: u32| std::fs::read_to_string(format!("/proc/{pid}/comm")).ok();
        let mut left: Vec<_> =
            processes.known.keys().filter_map(|&pid| Some((pid, name(pid)?.trim_end().to_owned()))).collect();
        left.sort_unstable();
        left
    }

    /// Records what a held call does, and says how it goes on; `buffer` is for paths, used again and again.
    pub(super) fn judge(&self, held: &Held<'_>, buffer: &mut Vec<u8>) -> Answer {
        // Any held call may change something.
        let time_ns =
            self.orders.ring.as_ref().map_or_else(now_ns, |shared| shared.ring().time_of_change(now_ns));
        let decoded = abi::decode(&held.data);
        let executes = matches!(decoded, Decoded::Watched(Made { call: Call::execve | Call::execveat, .. }));
        let Some(target) = self.find(held.thread, executes, held.is_held) else { return Answer::Continue };
        let mut judgement = Judgement { supervisor: self, held, target, time_ns, buffer, beneath: None };
        match decoded {
            Decoded::Watched(made) => judgement.call(made),
            Decoded::Socket { call, array, count } => judgement.socket_call(call, array, count),
            Decoded::Unwatched => Answer::Continue,
            Decoded::Foreign => {
                judgement.send(Event::Gap(Gap::ForeignAbi));
                Answer::Continue
            }
        }
    }

    /// The thread, whose call is held, with the process it belongs to; looked up anew if `afresh`, as thread
    /// ids are used again. A process seen for the first time is announced. `None` if the thread has been killed
    /// meanwhile.
    fn find(&self, thread: u32, afresh: bool, is_held: &dyn Fn() -> bool) -> Option<Target> {
        let mut processes = self.processes();
        if let (Some(&process), false) = (processes.of_thread.get(&thread), afresh)
            && lives::is_thread_of(thread, process)
        {
            return Some(Target { thread, process });
        }
        let (kin, life) = Kin::of(thread).unwrap_or((Kin { process: thread, parent: 0 }, None));
        // Whose process has just ended is not to be taken for a new one.
        if !is_held() {
            return None;
        }
        processes.of_thread.insert(thread, kin.process);
        let is_new = !processes.known.contains_key(&kin.process);
        if is_new {
            let few = processes.known.len() < self.most_lives;
            let life = life.or_else(|| Life::of(kin.process)).filter(|_| few);
            if let Some(life) = &life {
                self.ends.watch(kin.process, life);
            }
            processes.known.insert(kin.process, Known { parent: kin.parent, cwd: None, life });
        }
        drop(processes);
        if is_new {
            let event = Event::Fork { parent: kin.parent };
            self.orders.sink.record(&Record { pid: kin.process, time_ns: now_ns(), event });
        }
        Some(Target { thread, process: kin.process })
    }

    /// The interpreters of an executable that has been looked at, by a thread to which names mean what `locate` says; read from
    /// the file once, if they mean the same to all.
    fn interpreters(&self, path: &[u8], look: &Look, locate: &dyn Fn(&[u8]) -> Vec<u8>) -> Interpreters {
        let key = look.stat.map(|stat| (stat.st_dev, stat.st_ino, stat.st_ctime, stat.st_ctime_nsec));
        let known = || self.interpreters.lock().unwrap_or_else(PoisonError::into_inner);
        let mut same_for_all = !self.has_other_roots.load(Ordering::Acquire);
        if let Some(found) = known().get(&key).filter(|_| same_for_all) {
            return Arc::clone(found);
        }
        let found: Interpreters = target::interpreters(path, &mut |name| {
            same_for_all &= name.starts_with(b"/");
            locate(name)
        })
        .into();
        if same_for_all {
            known().insert(key, Arc::clone(&found));
        }
        found
    }

    /// The working directory of a process that executes something, for people to read: that of its last program or, in a new
    /// process, of its parent's, as long as no process has gone elsewhere since.
    fn cwd_at_exec(&self, target: Target) -> Arc<[u8]> {
        let generation = self.orders.ring.as_ref().map(|shared| shared.ring().directory_generation());
        let known = || {
            let processes = self.processes();
            let own = processes.known.get(&target.process)?;
            let (of, cwd) = own.cwd.as_ref().or_else(|| processes.known.get(&own.parent)?.cwd.as_ref())?;
            (Some(*of) == generation).then(|| Arc::clone(cwd))
        };
        let cwd = known().unwrap_or_else(|| target.cwd().unwrap_or_default().into());
        let mut processes = self.processes();
        if let (Some(own), Some(generation)) = (processes.known.get_mut(&target.process), generation) {
            own.cwd = Some((generation, Arc::clone(&cwd)));
        }
        cwd
    }

    fn forget(&self, process: u32) {
        let mut processes = self.processes();
        processes.known.remove(&process);
        processes.of_thread.retain(|_, of| *of != process);
    }

    fn ports(&self) -> MutexGuard<'_, HashSet<u16>> {
        self.ports.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serves(&self, port: u16) -> bool {
        let ports = self.ports();
        ports.contains(&port) || ports.contains(&0)
    }

    /// A process is about to take the folder `path` for its root.
    fn root_changes(&self, path: &[u8]) {
        if path != b"/" {
            self.has_other_roots.store(true, Ordering::Release);
            if let Some(shared) = &self.orders.ring {
                shared.ring().announce_other_root();
            }
        }
    }

    fn directories_moved(&self) {
        if let Some(shared) = &self.orders.ring {
            shared.ring().advance_directory_generation();
        }
    }
}

/// One held call being looked at.
struct Judgement<'a> {
    supervisor: &'a Supervisor,
    held: &'a Held<'a>,
    target: Target,
    time_ns: u64,
    /// For paths, used again and again.
    buffer: &'a mut Vec<u8>,
    /// The descriptor of a directory beyond which the call does not look: its root, for this one call.
    beneath: Option<i32>,
}

impl Judgement<'_> {
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
                self.send(Event::Exit(Exit::Code(status)));
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
        let opens = matches!(call, Call::open | Call::openat | Call::openat2);
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
        if effect != Effect::Metadata && matches!(look.before, Before::File(_)) {
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
