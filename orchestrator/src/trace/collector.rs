//! The sink of a run: merges records, which come from several observers in no particular order, into a `Trace`.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use hashbrown::HashMap;
use platform::files::{self, FileType};
use platform::tracing::{Capture, CaptureReport, Sink};
use shm_protocol::access::{Access, AccessKind, Before, Change, Effect};
use shm_protocol::path::{Step, is_normal, normalize};
use shm_protocol::record::{Event, Exit, Image, Record};

use crate::fingerprint::Digest;

use super::numbered::{Keyed, Numbered, NumberedPaths};
use super::{
    Changes, Climbed, PathAccess, PathId, Process, ProcessCapture, ProcessExit, ProcessId, Trace, TraceGap,
};

/// Merges the records of one run. Its memory is bounded by distinct (process, path, kind), not by records.
pub struct Collector {
    start_ns: u64,
    /// The status change time from which on a file was changed since the run began; `None` when nobody will ask for
    /// the content of files before they were changed.
    started: Option<i128>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    images: Vec<ImageState>,
    /// The images of each pid, in order of their start.
    of_pid: HashMap<u32, Vec<usize>>,
    paths: NumberedPaths,
    /// Names with `..`.
    climbing: HashMap<Vec<u8>, Climb>,
    /// Where the climbs of such names, up to their last `..`, led when they were first seen.
    climbed: HashMap<Vec<u8>, Option<Vec<u8>>>,
    accesses: Numbered<Merged>,
    /// The content of files before they were changed first; `None` while it is taken, and if it can't be had.
    old_contents: HashMap<Vec<u8>, Option<Digest>>,
    gaps: Vec<(shm_protocol::access::Gap, usize)>,
    network: Vec<(usize, String)>,
    stream_users: Vec<(usize, i32)>,
    io_uring_refused: Vec<usize>,
}

/// One program image in one process, as far as it is known.
#[derive(Default)]
struct ImageState {
    parent: Option<usize>,
    /// The process id of the parent of a fork whose parent was not heard of yet.
    parent_pid: Option<u32>,
    pid: u32,
    argv: Vec<Vec<u8>>,
    exe: Vec<u8>,
    cwd: Vec<u8>,
    start_ns: u64,
    end_ns: Option<u64>,
    exit: Option<ImageExit>,
    instrumented: bool,
    /// It began with a fork or an exec that was seen, not with an access of a process never heard of.
    announced: bool,
    /// Its exec failed: everything it did belongs to this image.
    taken_back: Option<usize>,
}

/// A name with `..`.
#[derive(Clone, Copy)]
struct Climb {
    /// Its lexical normal form.
    lexical: PathId,
    /// Where it really leads, if that is elsewhere.
    real: Option<PathId>,
    /// Whether it leads nowhere: what its lexical form names was not what the program met.
    lost: bool,
    /// The first image that used it.
    image: usize,
    first_ns: u64,
}

#[derive(Clone, Copy)]
enum ImageExit {
    Process(Exit),
    Exec(usize),
}

/// Who touched what, in which way.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Touch {
    image: u32,
    path: PathId,
    kind: AccessKind,
}

/// The accesses of one image to one path in one way.
struct Merged {
    touch: Touch,
    follow: bool,
    no_follow: bool,
    count: u32,
    first_ns: u64,
    changes: Option<Changes>,
    /// When the earliest change was made, so that what was there before it wins.
    earliest_change_ns: u64,
}

impl Collector {
    /// A collector for a run that starts at `start_ns` of `platform::tracing::now_ns`. With `started`, a
    /// `files::clock_barrier` taken before the run, it takes the content of files before they are changed.
    #[must_use]
    pub fn new(start_ns: u64, started: Option<i128>) -> Self {
        Self { start_ns, started, state: Mutex::default() }
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
        let old = old_content(&files::path_of(path), follow, started);
        self.state().old_contents.insert(path.to_vec(), old);
    }
}

/// The content that the regular file at `path` had before the run; `None` if something has changed it since.
fn old_content(path: &Path, follow: bool, started: i128) -> Option<Digest> {
    let before = files::identity(path, follow).ok()?;
    if before.ctime_ns >= started || before.file_type != FileType::File {
        return None;
    }
    let digest = Digest::of_reader(std::fs::File::open(path).ok()?).ok()?;
    (files::identity(path, follow).ok()? == before).then_some(digest)
}

impl State {
    fn record(&mut self, record: &Record<'_>) {
        let (pid, time_ns) = (record.pid, record.time_ns);
        match record.event {
            Event::Fork { parent } => self.fork(pid, parent, time_ns),
            Event::Exec(image) => self.exec(pid, &image, time_ns),
            Event::ExecFailed => self.exec_failed(pid, time_ns),
            Event::Exit(exit) => self.exit(pid, exit, time_ns),
            Event::Killed { child, signal } => {
                if !self.has_ended(child) {
                    // All that it did may have been to look, which does not tell where it came from.
                    self.fork(child, pid, time_ns);
                    self.exit(child, Exit::Signal(signal), time_ns);
                }
            }
            Event::Instrumented => {
                let image = self.image_at(pid, time_ns);
                self.images[image].instrumented = true;
            }
            Event::Access(access) => self.access(pid, &access, time_ns),
            Event::Gap(gap) => {
                let image = self.image_at(pid, time_ns);
                if !self.gaps.contains(&(gap, image)) {
                    self.gaps.push((gap, image));
                }
            }
            Event::StreamUsed(number) => {
                let image = self.image_at(pid, time_ns);
                push_new(&mut self.stream_users, (image, number));
            }
            Event::Network(address) => {
                let image = self.image_at(pid, time_ns);
                push_new(&mut self.network, (image, String::from_utf8_lossy(address).into_owned()));
            }
            Event::IoUringRefused => {
                let image = self.image_at(pid, time_ns);
                push_new(&mut self.io_uring_refused, image);
            }
        }
    }

    /// The image that process `pid` ran at `time_ns`; a new one if it was not heard of, or had ended.
    fn image_at(&mut self, pid: u32, time_ns: u64) -> usize {
        let known = self.of_pid.get(&pid).into_iter().flatten().rev().copied();
        let mut earliest = None;
        for image in known {
            let state = &self.images[image];
            if state.start_ns <= time_ns {
                let gone = matches!(state.exit, Some(ImageExit::Process(_)));
                if gone && state.end_ns.is_some_and(|end| end < time_ns) {
                    break;
                }
                return image;
            }
            earliest = Some(image);
        }
        if let Some(image) = earliest {
            // A record from before the fork was noticed: whoever had the pid before is gone.
            self.images[image].start_ns = time_ns;
            return image;
        }
        self.begin(ImageState { pid, start_ns: time_ns, ..ImageState::default() })
    }

    fn begin(&mut self, image: ImageState) -> usize {
        let index = self.images.len();
        let images = self.of_pid.entry(image.pid).or_default();
        let place = images.partition_point(|&other| self.images[other].start_ns <= image.start_ns);
        images.insert(place, index);
        self.images.push(image);
        index
    }

    fn fork(&mut self, pid: u32, parent: u32, time_ns: u64) {
        let known = self.of_pid.contains_key(&parent).then(|| self.image_at(parent, time_ns));
        let child = self.image_at(pid, time_ns);
        let child = &mut self.images[child];
        if !child.announced {
            child.announced = true;
            (child.parent, child.parent_pid) = (known, known.is_none().then_some(parent));
        }
    }

    fn has_ended(&self, pid: u32) -> bool {
        let last = self.of_pid.get(&pid).and_then(|images| images.last());
        last.is_some_and(|&last| matches!(self.images[last].exit, Some(ImageExit::Process(_))))
    }

    /// The end of a process, which may be told by several observers.
    fn exit(&mut self, pid: u32, exit: Exit, time_ns: u64) {
        if self.has_ended(pid) {
            return;
        }
        let image = self.image_at(pid, time_ns);
        self.images[image].exit = Some(ImageExit::Process(exit));
        self.images[image].end_ns = Some(time_ns);
    }

    /// The parent of an image, and what a fork has from it. Parents come before their children.
    fn inherit(&mut self, child: usize) {
        let state = &self.images[child];
        let late = || {
            let images = self.of_pid.get(&state.parent_pid?)?;
            images.iter().rev().copied().find(|&image| self.images[image].start_ns <= state.start_ns)
        };
        let Some(parent) = state.parent.or_else(late) else {
            return;
        };
        let is_fork = state.exe.is_empty();
        let of = &self.images[parent];
        let (argv, exe, cwd, instrumented) =
            (of.argv.clone(), of.exe.clone(), of.cwd.clone(), of.instrumented);
        let state = &mut self.images[child];
        state.parent = Some(parent);
        if is_fork {
            (state.argv, state.exe, state.cwd) = (argv, exe, cwd);
            state.instrumented |= instrumented;
        }
    }

    fn exec(&mut self, pid: u32, image: &Image<'_>, time_ns: u64) {
        let before = self.of_pid.contains_key(&pid).then(|| self.image_at(pid, time_ns));
        let mut next = ImageState {
            pid,
            argv: image.argv.split_terminator_nul(),
            exe: normal(image.exe),
            cwd: image.cwd.to_vec(),
            start_ns: time_ns,
            announced: true,
            ..ImageState::default()
        };
        match before {
            // What the command's process did before it became the command: looking for it in PATH.
            Some(before) if !self.images[before].announced => {
                next.start_ns = self.images[before].start_ns;
                self.images[before] = next;
            }
            Some(before) => {
                next.parent = Some(before);
                let next = self.begin(next);
                self.images[before].exit = Some(ImageExit::Exec(next));
                self.images[before].end_ns = Some(time_ns);
            }
            None => {
                self.begin(next);
            }
        }
    }

    fn exec_failed(&mut self, pid: u32, time_ns: u64) {
        let failed = self.image_at(pid, time_ns);
        let Some(before) = self.images[failed].parent else {
            return;
        };
        if !matches!(self.images[before].exit, Some(ImageExit::Exec(next)) if next == failed) {
            return;
        }
        self.images[before].exit = None;
        self.images[before].end_ns = None;
        self.images[failed].taken_back = Some(before);
        if let Some(images) = self.of_pid.get_mut(&pid) {
            images.retain(|&image| image != failed);
        }
    }

    fn access(&mut self, pid: u32, access: &Access<'_>, time_ns: u64) {
        let image = self.image_at(pid, time_ns);
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
        let (path, named) = if is_normal(raw) {
            (self.intern(raw), None)
        } else if climbs(raw) {
            let climb = self.climb(raw, image, time_ns);
            if let Some(change) = change.as_mut().filter(|_| climb.lost) {
                change.before = Before::Unknown;
            }
            climb.real.map_or((climb.lexical, None), |real| (real, Some(climb.lexical)))
        } else {
            (self.intern(&normal(raw)), None)
        };
        // A link that has to be a directory is followed.
        let follow = access.follow || kind.observes() && (raw.ends_with(b"/") || raw.ends_with(b"/."));
        if let Some(path) = named {
            self.merged(image, path, kind, time_ns);
        }
        let merged = self.merged(image, path, kind, time_ns);
        merged.follow |= follow;
        merged.no_follow |= !follow;
        if let Some(change) = change {
            merged.change(change, time_ns);
        }
    }

    /// One more access of an image to a path in one way.
    fn merged(&mut self, image: usize, path: PathId, kind: AccessKind, time_ns: u64) -> &mut Merged {
        let touch = Touch { image: image as u32, path, kind };
        let number = self.accesses.number(&touch, || Merged {
            touch,
            follow: false,
            no_follow: false,
            count: 0,
            first_ns: time_ns,
            changes: None,
            earliest_change_ns: u64::MAX,
        });
        let merged = self.accesses.item_mut(number);
        merged.count = merged.count.saturating_add(1);
        merged.first_ns = merged.first_ns.min(time_ns);
        merged
    }

    /// What a name with `..` means, found out when it is first seen: a link on the way may be gone later.
    fn climb(&mut self, raw: &[u8], image: usize, time_ns: u64) -> Climb {
        if let Some(known) = self.climbing.get_mut(raw) {
            if time_ns < known.first_ns {
                (known.image, known.first_ns) = (image, time_ns);
            }
            return *known;
        }
        let (climbed, rest) = raw.split_at(climb_of(raw).len());
        let directory =
            self.climbed.entry_ref(climbed).or_insert_with(|| real_directory(&files::path_of(climbed)));
        let (lexical, lost) = (normal(raw), directory.is_none());
        let real = directory.as_ref().map(|directory| normal(&[directory, rest].concat()));
        // The lexical form seen through links higher up may be the same place.
        let real = real.filter(|real| *real != lexical && resolved(real) != resolved(&lexical));
        let (lexical, real) = (self.intern(&lexical), real.map(|real| self.intern(&real)));
        let climb = Climb { lexical, real, lost, image, first_ns: time_ns };
        self.climbing.insert(raw.to_vec(), climb);
        climb
    }

    fn intern(&mut self, path: &[u8]) -> PathId {
        self.paths.number(path)
    }
}

/// Up to how many paths that were opened are all looked at to tell directories from files. Of more, only those are
/// that were listed, or that have something below them that was touched: a look costs as much as the run's own.
const MOST_LOOKS: usize = 1024;

/// Whether a path has a component `..`.
fn climbs(path: &[u8]) -> bool {
    path.split(|&byte| byte == b'/').any(|component| component == b"..")
}

impl Keyed for Merged {
    type Key = Touch;

    fn key(&self) -> &Touch {
        &self.touch
    }
}

impl Merged {
    fn change(&mut self, change: Change, time_ns: u64) {
        let changes = self.changes.get_or_insert(Changes {
            before: change.before,
            replaced_ns: None,
            modified_ns: None,
            metadata_ns: None,
        });
        if time_ns < self.earliest_change_ns {
            self.earliest_change_ns = time_ns;
            changes.before = change.before;
        }
        let first = match change.effect {
            Effect::Replace | Effect::Create => &mut changes.replaced_ns,
            Effect::Modify => &mut changes.modified_ns,
            Effect::Metadata => &mut changes.metadata_ns,
        };
        *first = Some(first.map_or(time_ns, |known| known.min(time_ns)));
    }
}

fn push_new<T: PartialEq>(list: &mut Vec<T>, item: T) {
    if !list.contains(&item) {
        list.push(item);
    }
}

trait SplitNul {
    fn split_terminator_nul(&self) -> Vec<Vec<u8>>;
}

impl SplitNul for [u8] {
    /// The strings of a sequence in which each is followed by a NUL.
    fn split_terminator_nul(&self) -> Vec<Vec<u8>> {
        let mut strings: Vec<Vec<u8>> = self.split(|&byte| byte == 0).map(<[u8]>::to_vec).collect();
        strings.pop();
        strings
    }
}

/// The lexical normal form of an absolute path.
fn normal(path: &[u8]) -> Vec<u8> {
    if is_normal(path) {
        return path.to_vec();
    }
    let mut ends = Vec::new();
    let mut normal = Vec::with_capacity(path.len());
    normalize(path, |step| match step {
        Step::Into(name) => {
            ends.push(normal.len());
            normal.push(b'/');
            normal.extend_from_slice(name);
        }
        Step::Up => normal.truncate(ends.pop().unwrap_or(0)),
    });
    if normal.is_empty() {
        normal.push(b'/');
    }
    normal
}

/// A name with `..`, up to the last of them.
fn climb_of(raw: &[u8]) -> &[u8] {
    let is_last = |&(place, window): &(usize, &[u8])| {
        window == b"/.." && raw.get(place + 3).is_none_or(|&byte| byte == b'/')
    };
    raw.windows(3).enumerate().rfind(is_last).map_or(raw, |(place, _)| &raw[..place + 3])
}

/// Where a directory really is; `None` if there is none.
fn real_directory(path: &Path) -> Option<Vec<u8>> {
    let real = files::real_directory(path).ok()?;
    Some(files::bytes_of(real.as_os_str()).to_vec())
}

/// A path with the links on the way to its last component resolved; `None` if there is no such way.
fn resolved(path: &[u8]) -> Option<Vec<u8>> {
    let path = files::path_of(path);
    let Some((parent, name)) = path.parent().zip(path.file_name()) else {
        return Some(b"/".to_vec());
    };
    let real = files::real_directory(parent).ok()?.join(name);
    Some(files::bytes_of(real.as_os_str()).to_vec())
}

impl State {
    fn into_trace(mut self, report: &CaptureReport, start_ns: u64, end_ns: u64) -> Trace {
        let mut trace =
            Trace { survivors: report.survivors.clone(), dropped: report.dropped, ..Trace::default() };
        let ids = self.number(&mut trace, report.capture, start_ns, end_ns);
        let owner = |image: usize| ids[image];
        let since = |time_ns: u64| time_ns.saturating_sub(start_ns);

        self.settle_directories();
        let merged = std::mem::take(&mut self.accesses).into_items().into_iter();
        trace.accesses =
            merged.filter(|merged| merged.count > 0).map(|merged| merged.into_access(&ids, since)).collect();
        if self.images.iter().any(|image| image.taken_back.is_some()) {
            trace.accesses = one_each(std::mem::take(&mut trace.accesses));
        }
        // They came nearly so, which makes this quick.
        trace.accesses.sort_by_key(|access| access.first_ns);

        trace.old_contents = std::mem::take(&mut self.old_contents)
            .into_iter()
            .filter_map(|(raw, digest)| Some((self.known(&raw)?, digest?)))
            .collect();
        trace.old_contents.sort_unstable_by_key(|(path, _)| *path);
        trace.paths = std::mem::take(&mut self.paths).into_paths();
        trace.climbs = self.climbs(owner, since);
        trace.gaps = report
            .gaps
            .iter()
            .map(|gap| TraceGap { gap: gap.gap, process: 0, detail: gap.detail.clone() })
            .collect();
        for (gap, image) in self.gaps {
            push_new(&mut trace.gaps, TraceGap { gap, process: owner(image), detail: String::new() });
        }
        trace.network = self.network.into_iter().map(|(image, address)| (owner(image), address)).collect();
        trace.stream_users =
            self.stream_users.into_iter().map(|(image, number)| (owner(image), number)).collect();
        trace.io_uring_refused = self.io_uring_refused.into_iter().map(owner).collect();
        trace
    }

    /// The number of the path that a name meant, if it was accessed.
    fn known(&self, raw: &[u8]) -> Option<PathId> {
        match self.climbing.get(raw) {
            Some(climb) => Some(climb.real.unwrap_or(climb.lexical)),
            None => self.paths.find(&normal(raw)),
        }
    }

    /// The climbs of names with `..`, each once.
    fn climbs(&self, owner: impl Fn(usize) -> ProcessId, since: impl Fn(u64) -> u64) -> Vec<Climbed> {
        let mut first: BTreeMap<&[u8], (u64, usize)> = BTreeMap::new();
        for (raw, climb) in &self.climbing {
            let this = (climb.first_ns, climb.image);
            first.entry(climb_of(raw)).and_modify(|known| *known = this.min(*known)).or_insert(this);
        }
        first
            .into_iter()
            .map(|(path, (first_ns, image))| Climbed {
                path: path.to_vec(),
                process: owner(image),
                first_ns: since(first_ns),
            })
            .collect()
    }

    /// To open a directory is not to read it, but to ask for its metadata; the observers do not know what they open.
    fn settle_directories(&mut self) {
        for number in self.directories_read() {
            let read = self.accesses.item_mut(number);
            let touch = Touch { kind: AccessKind::Stat, ..read.touch };
            match self.accesses.find(&touch) {
                None => self.accesses.item_mut(number).touch = touch,
                Some(known) => {
                    let read = self.accesses.item_mut(number);
                    let (follow, no_follow, first_ns) = (read.follow, read.no_follow, read.first_ns);
                    let count = std::mem::take(&mut read.count);
                    let known = self.accesses.item_mut(known);
                    known.follow |= follow;
                    known.no_follow |= no_follow;
                    known.count = known.count.saturating_add(count);
                    known.first_ns = known.first_ns.min(first_ns);
                }
            }
        }
    }

    /// The numbers of the accesses that opened a directory as if to read it.
    fn directories_read(&self) -> Vec<u32> {
        let paths = self.paths.paths();
        let mut likely = vec![false; paths.len()];
        let mut last: &[u8] = b"";
        for path in paths.iter() {
            let parent = &path[..path.iter().rposition(|&byte| byte == b'/').unwrap_or(0)];
            if parent != last {
                last = parent;
                if let Some(parent) = self.paths.find(parent) {
                    likely[parent as usize] = true;
                }
            }
        }
        let accesses = self.accesses.items();
        for access in accesses.iter().filter(|access| access.touch.kind == AccessKind::List) {
            likely[access.touch.path as usize] = true;
        }
        let reads = || (0..).zip(accesses).filter(|(_, access)| access.touch.kind == AccessKind::Read);
        let look_at_all = reads().nth(MOST_LOOKS).is_none();
        let mut known: HashMap<PathId, bool> = HashMap::new();
        reads()
            .map(|(number, access)| (number, access.touch.path))
            .filter(|&(_, path)| look_at_all || likely[path as usize])
            .filter(|&(_, path)| {
                *known.entry(path).or_insert_with(|| {
                    let place = files::path_of(paths.get(path));
                    let identity = files::identity(&place, true);
                    // What is gone was what it looked like.
                    identity.map_or(likely[path as usize], |now| now.file_type == FileType::Directory)
                })
            })
            .map(|(number, _)| number)
            .collect()
    }

    /// Numbers the images in order of their start and adds them to the trace; gives the id of each image.
    fn number(&mut self, trace: &mut Trace, capture: Capture, start_ns: u64, end_ns: u64) -> Vec<ProcessId> {
        let mut order: Vec<usize> =
            (0..self.images.len()).filter(|&image| self.images[image].taken_back.is_none()).collect();
        order.sort_by_key(|&image| self.images[image].start_ns);
        for &image in &order {
            self.inherit(image);
        }
        let mut ids = vec![0; self.images.len()];
        for (place, &image) in order.iter().enumerate() {
            ids[image] = place as ProcessId + 1;
        }
        for image in 0..self.images.len() {
            let mut owner = image;
            while let Some(before) = self.images[owner].taken_back {
                owner = before;
            }
            ids[image] = ids[owner];
        }
        for image in order {
            let state = std::mem::take(&mut self.images[image]);
            trace.processes.push(Process {
                id: ids[image],
                parent: state.parent.map_or(0, |parent| ids[parent]),
                pid: state.pid,
                argv: state.argv,
                exe: state.exe,
                cwd: state.cwd,
                start_ns: state.start_ns.saturating_sub(start_ns),
                end_ns: state.end_ns.unwrap_or(end_ns).saturating_sub(start_ns),
                exit: state.exit.map(|exit| match exit {
                    ImageExit::Process(exit) => ProcessExit::Exit(exit),
                    ImageExit::Exec(next) => ProcessExit::Exec(ids[next]),
                }),
                capture: match capture {
                    _ if state.instrumented => ProcessCapture::Preload,
                    Capture::Seccomp => ProcessCapture::Seccomp,
                    Capture::Ptrace => ProcessCapture::Ptrace,
                    Capture::Preload => ProcessCapture::None,
                },
            });
        }
        ids
    }
}

impl Merged {
    /// The same as the trace has it: with the ids of processes, and times that begin with the run.
    fn into_access(self, ids: &[ProcessId], since: impl Fn(u64) -> u64) -> PathAccess {
        let Touch { image, path, kind } = self.touch;
        PathAccess {
            process: ids[image as usize],
            path,
            kind,
            follow: self.follow,
            no_follow: self.no_follow,
            count: self.count,
            first_ns: since(self.first_ns),
            changes: self.changes.map(|changes| Changes {
                before: changes.before,
                replaced_ns: changes.replaced_ns.map(&since),
                modified_ns: changes.modified_ns.map(&since),
                metadata_ns: changes.metadata_ns.map(&since),
            }),
        }
    }
}

/// The accesses with those merged that are of the same process to the same path in the same way.
fn one_each(mut accesses: Vec<PathAccess>) -> Vec<PathAccess> {
    let key = |access: &PathAccess| (access.process, access.path, access.kind);
    accesses.sort_unstable_by_key(key);
    accesses.dedup_by(|later, kept| {
        let same = key(later) == key(kept);
        if same {
            kept.absorb(later);
        }
        same
    });
    accesses
}

impl PathAccess {
    /// Takes in another access of the same process to the same path in the same way.
    fn absorb(&mut self, other: &Self) {
        self.follow |= other.follow;
        self.no_follow |= other.no_follow;
        self.count = self.count.saturating_add(other.count);
        self.first_ns = self.first_ns.min(other.first_ns);
        self.changes = match (self.changes, other.changes) {
            (Some(mine), Some(theirs)) => Some(mine.merged(theirs)),
            (mine, theirs) => mine.or(theirs),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use shm_protocol::access::Outcome;
    use shm_protocol::calls::Call;
    use shm_protocol::path::Joined;

    fn send(collector: &Collector, pid: u32, time_ns: u64, event: Event<'_>) {
        collector.record(&Record { pid, time_ns, event });
    }

    fn exec(collector: &Collector, pid: u32, time_ns: u64, argv: &[u8]) {
        send(collector, pid, time_ns, Event::Exec(Image { exe: b"/bin/x", cwd: b"/p", argv }));
    }

    fn read(collector: &Collector, pid: u32, time_ns: u64, path: &[u8]) {
        touch(collector, pid, time_ns, AccessKind::Read, None, path);
    }

    fn touch(
        collector: &Collector,
        pid: u32,
        time_ns: u64,
        kind: AccessKind,
        change: Option<Change>,
        path: &[u8],
    ) {
        let path = Joined::absolute(path);
        let access = Access { call: Call::openat, kind, outcome: Outcome::Done, follow: true, change, path };
        send(collector, pid, time_ns, Event::Access(access));
    }

    fn finish(collector: &Collector) -> Trace {
        let report = CaptureReport { capture: Capture::Seccomp, gaps: vec![], survivors: vec![], dropped: 0 };
        collector.finish(&report, 10_000)
    }

    fn owner<'t>(trace: &'t Trace, path: &str) -> &'t Process {
        let access = trace.accesses.iter().find(|access| trace.path(access.path) == path.as_bytes());
        trace.process(access.expect("accessed").process).expect("a process")
    }

    #[test]
    fn an_exec_begins_a_process_with_the_same_pid() {
        let collector = Collector::new(1000, None);
        exec(&collector, 7, 1100, b"sh\0-c\0x\0");
        send(&collector, 8, 1200, Event::Fork { parent: 7 });
        read(&collector, 8, 1250, b"/p/forked");
        exec(&collector, 8, 1300, b"cc\0a.c\0");
        read(&collector, 8, 1400, b"/p/a.c");
        send(&collector, 8, 1500, Event::Exit(Exit::Code(3)));
        send(&collector, 7, 1600, Event::Exit(Exit::Code(0)));
        let trace = finish(&collector);
        let summary: Vec<_> = trace
            .processes
            .iter()
            .map(|process| (process.id, process.parent, process.pid, process.exit))
            .collect();
        assert_eq!(
            summary,
            [
                (1, 0, 7, Some(ProcessExit::Exit(Exit::Code(0)))),
                (2, 1, 8, Some(ProcessExit::Exec(3))),
                (3, 2, 8, Some(ProcessExit::Exit(Exit::Code(3)))),
            ]
        );
        assert_eq!(trace.processes[1].argv, trace.processes[0].argv);
        assert_eq!((owner(&trace, "/p/forked").id, owner(&trace, "/p/a.c").id), (2, 3));
        assert_eq!(trace.processes[2].start_ns, 300);
    }

    #[test]
    fn a_record_that_comes_late_belongs_to_the_image_of_its_time() {
        let collector = Collector::new(0, None);
        exec(&collector, 7, 100, b"a\0");
        exec(&collector, 7, 300, b"b\0");
        read(&collector, 7, 200, b"/late");
        read(&collector, 7, 400, b"/after");
        let trace = finish(&collector);
        assert_eq!(owner(&trace, "/late").argv, [b"a"]);
        assert_eq!(owner(&trace, "/after").argv, [b"b"]);
    }

    #[test]
    fn what_the_command_did_to_be_found_is_its_own() {
        let collector = Collector::new(0, None);
        read(&collector, 7, 50, b"/usr/local/bin/cc");
        exec(&collector, 7, 100, b"cc\0");
        let trace = finish(&collector);
        assert_eq!(trace.processes.len(), 1);
        assert_eq!((trace.processes[0].start_ns, trace.processes[0].parent), (50, 0));
    }

    #[test]
    fn a_failed_exec_is_taken_back() {
        let collector = Collector::new(0, None);
        exec(&collector, 7, 100, b"sh\0");
        exec(&collector, 7, 200, b"nothing\0");
        read(&collector, 7, 200, b"/attempt");
        send(&collector, 7, 210, Event::ExecFailed);
        read(&collector, 7, 300, b"/then");
        let trace = finish(&collector);
        assert_eq!(trace.processes.len(), 1);
        assert_eq!(trace.processes[0].exit, None);
        assert_eq!((owner(&trace, "/attempt").id, owner(&trace, "/then").id), (1, 1));
    }

    #[test]
    fn a_pid_that_is_used_again_is_another_process() {
        let collector = Collector::new(0, None);
        exec(&collector, 7, 100, b"sh\0");
        send(&collector, 8, 200, Event::Fork { parent: 7 });
        send(&collector, 8, 300, Event::Exit(Exit::Code(0)));
        send(&collector, 8, 400, Event::Fork { parent: 7 });
        read(&collector, 8, 450, b"/second");
        read(&collector, 8, 250, b"/first");
        let trace = finish(&collector);
        assert_eq!(trace.processes.len(), 3);
        assert_eq!((owner(&trace, "/first").id, owner(&trace, "/second").id), (2, 3));
    }

    #[test]
    fn what_a_process_did_before_its_fork_was_noticed_is_its_own_though_its_pid_was_used_before() {
        let collector = Collector::new(0, None);
        exec(&collector, 7, 100, b"sh\0");
        send(&collector, 8, 200, Event::Fork { parent: 7 });
        send(&collector, 8, 300, Event::Exit(Exit::Code(0)));
        send(&collector, 8, 400, Event::Fork { parent: 7 });
        read(&collector, 8, 350, b"/early");
        let trace = finish(&collector);
        assert_eq!(trace.processes.len(), 3);
        assert_eq!((owner(&trace, "/early").id, owner(&trace, "/early").start_ns), (3, 350));
    }

    #[test]
    fn a_child_seen_by_the_library_before_its_fork_is_noticed_is_one_process() {
        let collector = Collector::new(0, None);
        exec(&collector, 7, 100, b"sh\0");
        read(&collector, 8, 200, b"/early");
        send(&collector, 8, 300, Event::Fork { parent: 7 });
        let trace = finish(&collector);
        assert_eq!(trace.processes.len(), 2);
        assert_eq!((trace.processes[1].parent, trace.processes[1].argv.len()), (1, 1));
    }

    #[test]
    fn forks_that_are_noticed_children_first_are_in_their_places() {
        let collector = Collector::new(0, None);
        exec(&collector, 7, 100, b"sh\0");
        send(&collector, 9, 400, Event::Fork { parent: 8 });
        read(&collector, 8, 300, b"/p/a");
        send(&collector, 8, 500, Event::Fork { parent: 7 });
        send(&collector, 7, 600, Event::Fork { parent: 4 });
        let trace = finish(&collector);
        let parents: Vec<_> =
            trace.processes.iter().map(|process| (process.pid, process.parent, process.argv.len())).collect();
        assert_eq!(parents, [(7, 0, 1), (8, 1, 1), (9, 2, 1)]);
    }

    #[test]
    fn memory_is_bounded_by_distinct_accesses() {
        let collector = Collector::new(0, None);
        exec(&collector, 7, 100, b"sh\0");
        for round in 0..10 {
            for name in 0..100 {
                read(&collector, 7, 200 + round, format!("/p/./d/../{name}").as_bytes());
            }
        }
        let state = collector.state();
        assert_eq!((state.climbing.len(), state.climbed.len(), state.images.len()), (100, 1, 1));
        drop(state);
        let trace = finish(&collector);
        assert_eq!((trace.accesses.len(), trace.paths.len(), trace.accesses[0].count), (100, 100, 10));
    }

    #[test]
    fn repeats_are_counted_and_the_first_change_says_what_was_there_before() {
        let collector = Collector::new(0, None);
        exec(&collector, 7, 100, b"sh\0");
        let change = |effect, before| Some(Change { effect, before });
        touch(&collector, 7, 300, AccessKind::Write, change(Effect::Modify, Before::File(0o600)), b"/out");
        touch(&collector, 7, 200, AccessKind::Write, change(Effect::Replace, Before::Absent), b"/out");
        let trace = finish(&collector);
        assert_eq!(trace.accesses.len(), 1);
        let access = trace.accesses[0];
        assert_eq!((access.count, access.first_ns), (2, 200));
        let expected = Changes {
            before: Before::Absent,
            replaced_ns: Some(200),
            modified_ns: Some(300),
            metadata_ns: None,
        };
        assert_eq!(access.changes, Some(expected));
    }

    #[test]
    fn names_of_one_path_are_one_access() {
        let collector = Collector::new(0, None);
        exec(&collector, 7, 100, b"sh\0");
        for path in [&b"/p/a"[..], b"/p//a", b"/p/./a", b"/q/../p/a"] {
            read(&collector, 7, 200, path);
        }
        let trace = finish(&collector);
        assert_eq!(trace.paths, [b"/p/a"].into_iter().collect());
        assert_eq!(trace.accesses[0].count, 4);
    }

    #[test]
    fn climbing_out_of_a_link_touches_where_it_really_leads() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path().canonicalize().expect("there");
        std::fs::create_dir_all(root.join("real/inner")).expect("made");
        files::symlink(Path::new("real/inner"), &root.join("link")).expect("made");
        let collector = Collector::new(0, None);
        let bytes = |name: &str| files::bytes_of(root.join(name).as_os_str()).to_vec();
        read(&collector, 7, 300, &bytes("link/../file"));
        read(&collector, 7, 200, &bytes("link/../other"));
        // Where it led when it was used is what counts.
        std::fs::remove_file(root.join("link")).expect("removed");
        read(&collector, 7, 400, &bytes("link/../file"));
        let trace = finish(&collector);
        let looked = |path: &str| {
            let access = trace.accesses.iter().find(|access| trace.path(access.path) == bytes(path));
            access.map(|access| (access.is_name_only(), access.count))
        };
        assert_eq!(looked("real/file"), Some((false, 2)));
        assert_eq!(looked("file"), Some((true, 2)));
        let climbs: Vec<_> = trace.climbs.iter().map(|climb| (climb.path.clone(), climb.first_ns)).collect();
        assert_eq!(climbs, [(bytes("link/.."), 200)]);
    }

    #[test]
    fn climbing_out_of_a_folder_touches_what_the_name_says() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path().canonicalize().expect("there");
        std::fs::create_dir_all(root.join("real/inner")).expect("made");
        files::symlink(Path::new("real"), &root.join("link")).expect("made");
        let collector = Collector::new(0, None);
        let bytes = |name: &str| files::bytes_of(root.join(name).as_os_str()).to_vec();
        for name in ["real/inner/../file", "link/inner/../file", "gone/../file", "link/..hidden/..x"] {
            read(&collector, 7, 200, &bytes(name));
        }
        let trace = finish(&collector);
        let mut paths: Vec<&[u8]> = trace.paths.iter().collect();
        paths.sort_unstable();
        assert_eq!(paths, ["file", "link/..hidden/..x", "link/file", "real/file"].map(bytes));
        assert!(trace.accesses.iter().all(|access| !access.is_name_only()));
        assert_eq!(trace.climbs.len(), 3);
    }

    #[test]
    fn a_link_named_as_a_folder_is_followed() {
        for (name, is_followed) in [("/p/link", false), ("/p/link/", true), ("/p/link/.", true)] {
            let collector = Collector::new(0, None);
            let path = Joined::absolute(name.as_bytes());
            let (kind, outcome) = (AccessKind::Stat, Outcome::Done);
            let access = Access { call: Call::lstat, kind, outcome, follow: false, change: None, path };
            send(&collector, 7, 200, Event::Access(access));
            assert_eq!(finish(&collector).accesses[0].follow, is_followed, "{name}");
        }
    }

    #[test]
    fn the_content_before_the_first_change_is_taken_if_nothing_changed_the_file_since_the_run_began() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        std::fs::write(at("old"), "before").expect("written");
        let started = files::clock_barrier(&at("clock")).expect("a barrier");
        std::fs::write(at("new"), "after").expect("written");
        let collector = Collector::new(0, Some(started));
        for name in ["old", "new"] {
            let path = at(name);
            let path = files::bytes_of(path.as_os_str());
            collector.before_change(path, true);
            std::fs::write(at(name), "changed").expect("written");
            collector.before_change(path, true);
            touch(&collector, 7, 200, AccessKind::Write, None, path);
        }
        let trace = finish(&collector);
        let old: Vec<_> =
            trace.old_contents.iter().map(|(path, digest)| (trace.path(*path), *digest)).collect();
        assert_eq!(old, [(files::bytes_of(at("old").as_os_str()), Digest::of(b"before"))]);
    }

    #[test]
    fn reading_a_directory_is_asking_for_its_metadata() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| files::bytes_of(folder.path().join(name).as_os_str()).to_vec();
        for name in ["plain", "listed", "entered", "looked at"] {
            std::fs::create_dir(folder.path().join(name)).expect("made");
        }
        for files in [0, MOST_LOOKS] {
            let collector = Collector::new(0, None);
            for name in ["plain", "listed", "entered", "looked at", "gone", "file"] {
                read(&collector, 7, 200, &at(name));
            }
            touch(&collector, 7, 300, AccessKind::List, None, &at("listed"));
            touch(&collector, 7, 100, AccessKind::Stat, None, &at("looked at"));
            touch(&collector, 7, 300, AccessKind::Stat, None, &at("looked at/x"));
            for name in ["entered/x", "gone/x"] {
                touch(&collector, 7, 300, AccessKind::Stat, None, &at(name));
            }
            for number in 0..files {
                read(&collector, 7, 200, &at(&format!("{number}")));
            }
            let trace = finish(&collector);
            let kinds = |name: &str| -> Vec<_> {
                let of = trace.accesses.iter().filter(|access| trace.path(access.path) == at(name));
                of.map(|access| (access.kind, access.count, access.first_ns)).collect()
            };
            for name in ["entered", "gone"] {
                assert_eq!(kinds(name), [(AccessKind::Stat, 1, 200)], "{name}");
            }
            assert_eq!(kinds("looked at"), [(AccessKind::Stat, 2, 100)]);
            assert_eq!(kinds("listed"), [(AccessKind::Stat, 1, 200), (AccessKind::List, 1, 300)]);
            assert_eq!(kinds("file"), [(AccessKind::Read, 1, 200)]);
            let plain = if files == 0 { AccessKind::Stat } else { AccessKind::Read };
            assert_eq!(kinds("plain"), [(plain, 1, 200)]);
        }
    }
}
