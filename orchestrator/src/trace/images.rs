//! Which program images ran in which process, from records that come in no particular order.

use hashbrown::HashMap;
use platform::tracing::Capture;
use shm_protocol::record::{Exit, Image};

use super::live::{LiveProcess, Teller};
use super::names::normal;
use super::{Process, ProcessCapture, ProcessExit, ProcessId};

/// The images of a run.
#[derive(Default)]
pub(super) struct Images {
    all: Vec<OneImage>,
    /// The images of each pid, in order of their start.
    of_pid: HashMap<u32, Vec<usize>>,
}

/// One program image in one process, as far as it is known.
#[derive(Default)]
struct OneImage {
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

#[derive(Clone, Copy)]
enum ImageExit {
    Process(Exit),
    Exec(usize),
}

impl Images {
    /// The image that process `pid` ran at `time_ns`; a new one if it was not heard of, or had ended.
    pub(super) fn at(&mut self, pid: u32, time_ns: u64) -> usize {
        let known = self.of_pid.get(&pid).into_iter().flatten().rev().copied();
        let mut earliest = None;
        for image in known {
            let state = &self.all[image];
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
            self.all[image].start_ns = time_ns;
            return image;
        }
        self.begin(OneImage { pid, start_ns: time_ns, ..OneImage::default() })
    }

    fn begin(&mut self, image: OneImage) -> usize {
        let index = self.all.len();
        let images = self.of_pid.entry(image.pid).or_default();
        let place = images.partition_point(|&other| self.all[other].start_ns <= image.start_ns);
        images.insert(place, index);
        self.all.push(image);
        index
    }

    pub(super) fn fork(&mut self, pid: u32, parent: u32, time_ns: u64) {
        let known = self.of_pid.contains_key(&parent).then(|| self.at(parent, time_ns));
        let child = self.at(pid, time_ns);
        let child = &mut self.all[child];
        // On Windows a process begins with its image, and tells both at once.
        let is_begun = child.parent.is_none() && child.start_ns == time_ns;
        if !child.announced || is_begun {
            child.announced = true;
            (child.parent, child.parent_pid) = (known, known.is_none().then_some(parent));
        }
    }

    /// A process was killed before it told anything of its end.
    pub(super) fn killed(&mut self, pid: u32, parent: u32, signal: u8, time_ns: u64) -> Option<usize> {
        if self.has_ended(pid) {
            return None;
        }
        // All that it did may have been to look, which does not tell where it came from.
        self.fork(pid, parent, time_ns);
        self.exit(pid, Exit::Signal(signal), time_ns)
    }

    fn has_ended(&self, pid: u32) -> bool {
        let last = self.of_pid.get(&pid).and_then(|images| images.last());
        last.is_some_and(|&last| matches!(self.all[last].exit, Some(ImageExit::Process(_))))
    }

    /// The end of a process, which may be told by several observers. Gives the image that ended, when it is told first.
    pub(super) fn exit(&mut self, pid: u32, exit: Exit, time_ns: u64) -> Option<usize> {
        if self.has_ended(pid) {
            return None;
        }
        let image = self.at(pid, time_ns);
        self.all[image].exit = Some(ImageExit::Process(exit));
        self.all[image].end_ns = Some(time_ns);
        Some(image)
    }

    /// The parent of an image, and what a fork has from it. Parents come before their children.
    fn inherit(&mut self, child: usize) {
        let state = &self.all[child];
        let late = || {
            let images = self.of_pid.get(&state.parent_pid?)?;
            images.iter().rev().copied().find(|&image| self.all[image].start_ns <= state.start_ns)
        };
        let Some(parent) = state.parent.or_else(late) else {
            return;
        };
        let is_fork = state.exe.is_empty();
        let of = &self.all[parent];
        let (argv, exe, cwd, instrumented) =
            (of.argv.clone(), of.exe.clone(), of.cwd.clone(), of.instrumented);
        let state = &mut self.all[child];
        state.parent = Some(parent);
        if is_fork {
            (state.argv, state.exe, state.cwd) = (argv, exe, cwd);
            state.instrumented |= instrumented;
        }
    }

    /// Gives the image that begins, and the one that ends with it.
    pub(super) fn exec(&mut self, pid: u32, image: &Image<'_>, time_ns: u64) -> (usize, Option<usize>) {
        let before = self.of_pid.contains_key(&pid).then(|| self.at(pid, time_ns));
        let mut next = OneImage {
            pid,
            argv: strings(image.argv),
            exe: normal(image.exe),
            cwd: image.cwd.to_vec(),
            start_ns: time_ns,
            announced: true,
            ..OneImage::default()
        };
        match before {
            // What the command's process did before it became the command: looking for it in PATH.
            Some(before) if !self.all[before].announced => {
                next.start_ns = self.all[before].start_ns;
                self.all[before] = next;
                (before, None)
            }
            Some(before) => {
                next.parent = Some(before);
                let next = self.begin(next);
                self.all[before].exit = Some(ImageExit::Exec(next));
                self.all[before].end_ns = Some(time_ns);
                (next, Some(before))
            }
            None => (self.begin(next), None),
        }
    }

    /// Gives the image that did not begin, and the one that goes on.
    pub(super) fn exec_failed(&mut self, pid: u32, time_ns: u64) -> Option<(usize, usize)> {
        let failed = self.at(pid, time_ns);
        let before = self.all[failed].parent?;
        if !matches!(self.all[before].exit, Some(ImageExit::Exec(next)) if next == failed) {
            return None;
        }
        self.all[before].exit = None;
        self.all[before].end_ns = None;
        self.all[failed].taken_back = Some(before);
        if let Some(images) = self.of_pid.get_mut(&pid) {
            images.retain(|&image| image != failed);
        }
        Some((failed, before))
    }

    /// The library inside the image tells what it does.
    pub(super) fn instrumented(&mut self, pid: u32, time_ns: u64) {
        let image = self.at(pid, time_ns);
        self.all[image].instrumented = true;
    }

    /// An image, as far as it is known now.
    pub(super) fn so_far(&self, image: usize, since: impl Fn(u64) -> u64) -> LiveProcess {
        let state = &self.all[image];
        LiveProcess {
            id: Teller::id(image),
            parent: state.parent.map_or(0, Teller::id),
            pid: state.pid,
            argv: state.argv.iter().map(|argument| argument[..].into()).collect(),
            exe: state.exe[..].into(),
            cwd: state.cwd[..].into(),
            start_ns: since(state.start_ns),
        }
    }

    /// Whether something that was seen turned out to be the doing of another image.
    pub(super) fn were_taken_back(&self) -> bool {
        self.all.iter().any(|image| image.taken_back.is_some())
    }

    /// The images as processes, numbered in order of their start, and the id that each image came to.
    pub(super) fn into_processes(
        mut self,
        capture: Capture,
        start_ns: u64,
        end_ns: u64,
    ) -> (Vec<Process>, Vec<ProcessId>) {
        let mut order: Vec<usize> =
            (0..self.all.len()).filter(|&image| self.all[image].taken_back.is_none()).collect();
        order.sort_by_key(|&image| self.all[image].start_ns);
        for &image in &order {
            self.inherit(image);
        }
        let mut ids = vec![0; self.all.len()];
        for (place, &image) in order.iter().enumerate() {
            ids[image] = place as ProcessId + 1;
        }
        for image in 0..self.all.len() {
            let mut owner = image;
            while let Some(before) = self.all[owner].taken_back {
                owner = before;
            }
            ids[image] = ids[owner];
        }
        let process = |image: usize| {
            let state = std::mem::take(&mut self.all[image]);
            Process {
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
                    Capture::Detours if state.instrumented => ProcessCapture::Detours,
                    _ if state.instrumented => ProcessCapture::Preload,
                    Capture::Seccomp => ProcessCapture::Seccomp,
                    Capture::Ptrace => ProcessCapture::Ptrace,
                    Capture::Preload | Capture::Detours => ProcessCapture::None,
                },
            }
        };
        (order.into_iter().map(process).collect(), ids)
    }
}

/// The strings of a sequence in which each is followed by a NUL.
fn strings(sequence: &[u8]) -> Vec<Vec<u8>> {
    let mut strings: Vec<Vec<u8>> = sequence.split(|&byte| byte == 0).map(<[u8]>::to_vec).collect();
    strings.pop();
    strings
}
