//! What is known of the tree while it runs, whoever holds its calls: its threads and processes, their ends, ports and roots.

use std::collections::{HashMap, HashSet};
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use libc::seccomp_data;
use nix::sys::resource::{Resource, getrlimit};
use shm_protocol::calls::Call;
use shm_protocol::record::{Event, Exit, Record};

use super::abi::{self, Decoded, Made};
use super::interpreters;
use super::judgement::Judgement;
use super::lives::{self, Ends, Kin, Life};
use super::ring::SharedRing;
use super::target::{Look, Target};
use crate::tracing::{Sink, now_ns};

/// The supervisor of one run, shared by its threads.
pub(super) struct Supervisor {
    pub(super) orders: Orders,
    processes: Mutex<Processes>,
    ends: Ends,
    /// How many processes are watched for their end at the same time: each costs a descriptor.
    most_lives: usize,
    interpreters: Mutex<HashMap<Option<Version>, Interpreters>>,
    /// Whether a process may have another root.
    pub(super) has_other_roots: AtomicBool,
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
    pub(super) fn awaits_end(&self, target: Target) -> bool {
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
        Judgement::new(self, held, target, time_ns, buffer).of(decoded)
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
    pub(super) fn interpreters(
        &self,
        path: &[u8],
        look: &Look,
        locate: &dyn Fn(&[u8]) -> Vec<u8>,
    ) -> Interpreters {
        let key = look.stat.map(|stat| (stat.st_dev, stat.st_ino, stat.st_ctime, stat.st_ctime_nsec));
        let known = || self.interpreters.lock().unwrap_or_else(PoisonError::into_inner);
        let mut same_for_all = !self.has_other_roots.load(Ordering::Acquire);
        if let Some(found) = known().get(&key).filter(|_| same_for_all) {
            return Arc::clone(found);
        }
        let found: Interpreters = interpreters::of(path, &mut |name| {
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
    pub(super) fn cwd_at_exec(&self, target: Target) -> Arc<[u8]> {
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

    pub(super) fn forget(&self, process: u32) {
        let mut processes = self.processes();
        processes.known.remove(&process);
        processes.of_thread.retain(|_, of| *of != process);
    }

    pub(super) fn ports(&self) -> MutexGuard<'_, HashSet<u16>> {
        self.ports.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn serves(&self, port: u16) -> bool {
        let ports = self.ports();
        ports.contains(&port) || ports.contains(&0)
    }

    /// A process is about to take the folder `path` for its root.
    pub(super) fn root_changes(&self, path: &[u8]) {
        if path != b"/" {
            self.has_other_roots.store(true, Ordering::Release);
            self.leave_to_net();
        }
    }

    /// The library can't know any more what names mean.
    pub(super) fn leave_to_net(&self) {
        if let Some(shared) = &self.orders.ring {
            shared.ring().leave_to_net();
        }
    }

    pub(super) fn directories_moved(&self) {
        if let Some(shared) = &self.orders.ring {
            shared.ring().advance_directory_generation();
        }
    }
}
