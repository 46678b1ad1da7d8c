//! The sink of a run: merges records, which come from several observers in no particular order, into a `Trace`.

use std::path::Path;
use std::sync::mpsc::Sender;
use std::sync::{Mutex, MutexGuard, PoisonError};

use hashbrown::HashMap;
use platform::files::{self, FileType};
use platform::tracing::{CaptureReport, Sink};
use shm_protocol::access::{Access, AccessKind, Before, Gap};
use shm_protocol::record::{Event, Exit, Record};

use crate::fingerprint::{Digest, attributes};

use super::accesses::Accesses;
use super::images::Images;
use super::live::{LiveEvent, Teller};
use super::names::{Meaning, Names};
use super::{PathId, ProcessExit, Trace, TraceGap};

/// Merges the records of one run. Its memory is bounded by distinct (process, path, kind), not by records.
pub struct Collector {
    start_ns: u64,
    /// The status change time from which on a file was changed since the run began; `None` when nobody will ask for
    /// the content of files before they were changed.
    started: Option<i128>,
    state: Mutex<State>,
}

/// What a regular file was before it was changed.
#[derive(Clone, Copy)]
struct Old {
    content: Digest,
    attributes: Option<Digest>,
}

#[derive(Default)]
struct State {
    images: Images,
    names: Names,
    accesses: Accesses,
    /// The content of files before they were changed first; `None` while it is taken, and if it can't be had.
    old_contents: HashMap<Vec<u8>, Option<Old>>,
    gaps: Vec<(Gap, usize)>,
    network: Vec<(usize, String)>,
    stream_users: Vec<(usize, i32)>,
    io_uring_refused: Vec<usize>,
    /// Who is told of it while it happens.
    teller: Option<Teller>,
}

impl Collector {
    /// A collector for a run that starts at `start_ns` of `platform::tracing::now_ns`. With `started`, a
    /// `files::clock_barrier` taken before the run, it takes the content of files before they are changed.
    #[must_use]
    pub fn new(start_ns: u64, started: Option<i128>) -> Self {
        Self { start_ns, started, state: Mutex::default() }
    }

    /// This collector, which tells of what it collects while it does.
    #[must_use]
    pub fn telling(self, to: Sender<LiveEvent>) -> Self {
        self.state().teller = Some(Teller::new(to, self.start_ns));
        self
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The trace of everything that was recorded, of a run that ended at `end_ns`.
    #[must_use]
    pub fn finish(&self, report: &CaptureReport, end_ns: u64) -> Trace {
        let state = std::mem::take(&mut *self.state());
        state.into_trace(report, self.start_ns, end_ns)
    }
}

impl Sink for Collector {
    fn record(&self, record: &Record<'_>) {
        self.state().record(record);
    }

    fn before_change(&self, path: &[u8], follow: bool) {
        let Some(started) = self.started else { return };
        {
            let mut state = self.state();
            if state.old_contents.contains_key(path) {
                return;
            }
            state.old_contents.insert(path.to_vec(), None);
        }
        // Without the lock: the file may be large.
        let old = old(&files::path_of(path), follow, started);
        self.state().old_contents.insert(path.to_vec(), old);
    }
}

/// What the regular file at `path` was before the run; `None` if something has changed it since.
fn old(path: &Path, follow: bool, started: i128) -> Option<Old> {
    let before = files::identity(path, follow).ok()?;
    if before.ctime_ns >= started || before.file_type != FileType::File {
        return None;
    }
    let content = Digest::of_reader(std::fs::File::open(path).ok()?).ok()?;
    let attributes = attributes(path, follow).ok();
    (files::identity(path, follow).ok()? == before).then_some(Old { content, attributes })
}

impl State {
    fn record(&mut self, record: &Record<'_>) {
        let (pid, time_ns) = (record.pid, record.time_ns);
        match record.event {
            Event::Fork { parent } => {
                self.images.fork(pid, parent, time_ns);
                let image = self.images.at(pid, time_ns);
                self.tell_of(image);
            }
            Event::Exec(image) => {
                let (next, before) = self.images.exec(pid, &image, time_ns);
                self.tell_exec(next, before, time_ns);
            }
            Event::ExecFailed => {
                let failed = self.images.exec_failed(pid, time_ns);
                if let (Some(teller), Some((failed, before))) = (&self.teller, failed) {
                    let (process, goes_on) = (Teller::id(failed), Teller::id(before));
                    teller.tell(LiveEvent::ExecFailed { process, goes_on });
                }
            }
            Event::Exit(exit) => {
                let ended = self.images.exit(pid, exit, time_ns);
                self.tell_end(ended, ProcessExit::Exit(exit), time_ns);
            }
            Event::Killed { child, signal } => {
                let ended = self.images.killed(child, pid, signal, time_ns);
                self.tell_end(ended, ProcessExit::Exit(Exit::Signal(signal)), time_ns);
            }
            Event::Instrumented => self.images.instrumented(pid, time_ns),
            Event::Access(access) => self.access(pid, &access, time_ns),
            Event::Gap(gap) => {
                let image = self.images.at(pid, time_ns);
                push_new(&mut self.gaps, (gap, image));
            }
            Event::StreamUsed(number) => {
                let image = self.images.at(pid, time_ns);
                push_new(&mut self.stream_users, (image, number));
            }
            Event::Network(address) => {
                let image = self.images.at(pid, time_ns);
                push_new(&mut self.network, (image, String::from_utf8_lossy(address).into_owned()));
            }
            Event::IoUringRefused => {
                let image = self.images.at(pid, time_ns);
                push_new(&mut self.io_uring_refused, image);
            }
        }
    }

    fn access(&mut self, pid: u32, access: &Access<'_>, time_ns: u64) {
        let image = self.images.at(pid, time_ns);
        match access.path.pieces() {
            [b"", b"", whole] | [whole, b"", b""] => self.access_to(whole, image, access, time_ns),
            pieces => self.access_to(&pieces.concat(), image, access, time_ns),
        }
    }

    fn access_to(&mut self, raw: &[u8], image: usize, access: &Access<'_>, time_ns: u64) {
        if access.change.is_some_and(|change| change.before == Before::Absent) {
            // What the run itself put there is not what was there before.
            self.old_contents.entry_ref(raw).or_insert(None);
        }
        let kind = access.outcome.settle(access.kind);
        let mut change = access.change.filter(|_| !kind.observes());
        let Meaning { path, named, lost } = self.names.meaning(raw, image, time_ns);
        if let Some(change) = change.as_mut().filter(|_| lost) {
            change.before = Before::Unknown;
        }
        // A link that has to be a directory is followed.
        let follow = access.follow || kind.observes() && (raw.ends_with(b"/") || raw.ends_with(b"/."));
        if let Some(path) = named {
            let is_first = self.accesses.one_more(image, path, kind, time_ns).is_first();
            self.tell_access(is_first, image, path, kind, time_ns);
        }
        let merged = self.accesses.one_more(image, path, kind, time_ns);
        merged.follow |= follow;
        merged.no_follow |= !follow;
        merged.attributes |= access.call.asks_for_attributes();
        if let Some(change) = change {
            merged.change(change, time_ns);
        }
        let is_first = merged.is_first();
        self.tell_access(is_first, image, path, kind, time_ns);
    }

    /// Tells of an image, if it has not been told of yet.
    fn tell_of(&mut self, image: usize) {
        if let Some(teller) = &mut self.teller
            && teller.is_new(image)
        {
            teller.tell(LiveEvent::Began(self.images.so_far(image, |time_ns| teller.since_start(time_ns))));
        }
    }

    fn tell_exec(&mut self, next: usize, before: Option<usize>, time_ns: u64) {
        self.tell_end(before, ProcessExit::Exec(Teller::id(next)), time_ns);
        if let Some(teller) = &mut self.teller {
            teller.is_new(next);
            teller.tell(LiveEvent::Began(self.images.so_far(next, |time_ns| teller.since_start(time_ns))));
        }
    }

    fn tell_end(&mut self, ended: Option<usize>, exit: ProcessExit, time_ns: u64) {
        let Some(image) = ended else { return };
        self.tell_of(image);
        if let Some(teller) = &self.teller {
            let end_ns = teller.since_start(time_ns);
            teller.tell(LiveEvent::Ended { process: Teller::id(image), exit, end_ns });
        }
    }

    fn tell_access(&mut self, is_first: bool, image: usize, path: PathId, kind: AccessKind, time_ns: u64) {
        if !is_first || self.teller.is_none() {
            return;
        }
        self.tell_of(image);
        if let Some(teller) = &self.teller {
            let path = self.names.paths().paths().get(path).into();
            let first_ns = teller.since_start(time_ns);
            teller.tell(LiveEvent::Accessed { process: Teller::id(image), path, kind, first_ns });
        }
    }

    fn into_trace(mut self, report: &CaptureReport, start_ns: u64, end_ns: u64) -> Trace {
        let since = |time_ns: u64| time_ns.saturating_sub(start_ns);
        self.accesses.settle_directories(self.names.paths());
        let some_moved = self.images.were_taken_back();
        let (processes, ids) = self.images.into_processes(report.capture, start_ns, end_ns);
        let owner = |image: usize| ids[image];

        let old = self.old_contents.into_iter();
        let mut old: Vec<_> = old.filter_map(|(raw, old)| Some((self.names.known(&raw)?, old?))).collect();
        old.sort_unstable_by_key(|(path, _)| *path);

        let of_capture = report.gaps.iter();
        let mut gaps: Vec<_> =
            of_capture.map(|gap| TraceGap { gap: gap.gap, process: 0, detail: gap.detail.clone() }).collect();
        for (gap, image) in self.gaps {
            push_new(&mut gaps, TraceGap { gap, process: owner(image), detail: String::new() });
        }
        Trace {
            processes,
            accesses: self.accesses.into_accesses(&ids, some_moved, since),
            old_contents: old.iter().map(|&(path, old)| (path, old.content)).collect(),
            old_attributes: old.iter().filter_map(|&(path, old)| Some((path, old.attributes?))).collect(),
            climbs: self.names.climbs(owner, since),
            paths: self.names.into_paths(),
            gaps,
            network: self.network.into_iter().map(|(image, address)| (owner(image), address)).collect(),
            stream_users: self
                .stream_users
                .into_iter()
                .map(|(image, number)| (owner(image), number))
                .collect(),
            io_uring_refused: self.io_uring_refused.into_iter().map(owner).collect(),
            survivors: report.survivors.clone(),
            dropped: report.dropped,
        }
    }
}

fn push_new<T: PartialEq>(list: &mut Vec<T>, item: T) {
    if !list.contains(&item) {
        list.push(item);
    }
}

#[cfg(test)]
mod tests;
