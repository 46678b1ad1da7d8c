//! Running a command with the library in each of its processes that loads it.

use std::ffi::CStr;
use std::io::{self, ErrorKind};
use std::path::Path;
use std::process::{self, Child};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use shm_protocol::access::Gap;
use shm_protocol::record::{Exit, Record};

use super::files::path_of;
use super::process::exit_of;
use super::ring::{Drainer, SharedRing};
use super::{inject, origin};
use crate::answers::Answers;
use crate::tracing::{Background, Capture, CaptureReport, Command, GapReport, Killer, Sink, SpawnError};

/// The clock that the library reads: `CLOCK_UPTIME_RAW`.
pub(crate) fn now_ns() -> u64 {
    unsafe extern "C" {
        safe fn clock_gettime_nsec_np(clock: libc::clockid_t) -> u64;
    }
    clock_gettime_nsec_np(libc::CLOCK_UPTIME_RAW)
}

pub(crate) struct Tracee {
    child: Child,
    drainer: Option<Drainer>,
    watched: Arc<Watched>,
    background: Background,
    is_bare: bool,
}

/// Passes records on, and keeps account of what was started.
struct Watched {
    sink: Arc<dyn Sink>,
    answers: Mutex<Answers>,
}

impl Watched {
    fn answers(&self) -> std::sync::MutexGuard<'_, Answers> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sink for Watched {
    fn record(&self, record: &Record<'_>) {
        self.answers().record(record, &mut |record| self.sink.record(record));
    }
}

/// The content of a program, and its mode.
fn read(path: &[u8]) -> Option<(Vec<u8>, u32)> {
    use std::os::unix::fs::MetadataExt;
    let path = path_of(path);
    let mode = std::fs::metadata(&path).ok()?.mode();
    Some((std::fs::read(&path).ok()?, mode))
}

/// Where the program that a command names is, as `execvp` looks for it.
fn find(command: &Command) -> Option<Vec<u8>> {
    let program = Path::new(command.argv.first()?);
    if program.as_os_str().as_encoded_bytes().contains(&b'/') {
        return Some(command.cwd.join(program).into_os_string().into_encoded_bytes());
    }
    let path = command.environment.iter().rev().find(|(name, _)| name == "PATH")?;
    let candidates = std::env::split_paths(&path.1).map(|folder| command.cwd.join(folder).join(program));
    let found = candidates.into_iter().find(|candidate| candidate.is_file())?;
    Some(found.into_os_string().into_encoded_bytes())
}

impl Tracee {
    pub(crate) fn spawn(command: Command, sink: Arc<dyn Sink>) -> Result<Self, SpawnError> {
        let tracing = |what| move |source| SpawnError::Tracing { what, source };
        let program = command.argv.first().cloned().unwrap_or_default();
        let name = program.to_string_lossy().into_owned();
        if !command.capture.tries(Capture::Preload) {
            let source = io::Error::from(ErrorKind::Unsupported);
            return Err(SpawnError::Tracing { what: "another capture than macOS has", source });
        }
        if !command.cwd.is_dir() {
            let source = io::Error::from(ErrorKind::NotADirectory);
            return Err(SpawnError::Tracing { what: "entering the working directory", source });
        }
        let found = find(&command);
        let mut environment = command.environment.clone();
        environment.retain(|(name, _)| command.additions.iter().all(|(other, _)| other != name));
        environment.extend(command.additions);
        let mut answers = Answers::new(read);
        let endures = found.as_deref().is_none_or(|program| answers.endures(program));
        let mut shared = None;
        if let Some(folder) = &command.library_folder {
            let ring = Arc::new(SharedRing::create().map_err(tracing("making the shared memory"))?);
            shared = Some(ring).filter(|ring| endures && inject::add(&mut environment, folder, ring.path()));
        }
        let mut child = process::Command::new(&program);
        child.args(command.argv.iter().skip(1)).env_clear().envs(environment).current_dir(&command.cwd);
        child.stdin(command.stdin).stdout(command.stdout).stderr(command.stderr);
        origin::keep_as_given(&mut child);
        let started_ns = now_ns();
        let mut is_bare = false;
        let child = child.spawn().or_else(|source| {
            // Perhaps it was what was added that tipped it over.
            is_bare = source.kind() == ErrorKind::ArgumentListTooLong;
            if !is_bare {
                return Err(source);
            }
            shared = None;
            child.env_clear().envs(command.environment).spawn()
        });
        let child = child.map_err(|source| match source.kind() {
            ErrorKind::NotFound => SpawnError::NotFound { program: name.clone() },
            _ => SpawnError::NotExecutable { program: name.clone(), source },
        })?;
        // What it is, is looked at whether or not it answers; that it was executed, the trace knows from the library or at the end.
        answers.announced(child.id(), started_ns, found.unwrap_or_else(|| name.into_bytes()));
        let watched = Arc::new(Watched { sink, answers: Mutex::new(answers) });
        let drain = |ring| Drainer::start(ring, Arc::clone(&watched) as Arc<dyn Sink>);
        let drainer = shared.map(drain).transpose().map_err(tracing("starting a thread"))?;
        Ok(Self { child, drainer, watched, background: command.background, is_bare })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn is_bare(&self) -> bool {
        self.is_bare
    }

    pub(crate) fn wait(&mut self) -> io::Result<Exit> {
        self.child.wait().map(exit_of)
    }

    pub(crate) fn killer(&self) -> Killer {
        let watched = Arc::downgrade(&self.watched);
        let command = self.child.id();
        Box::new(move || {
            // Its number may be another's when it has been waited for; then there is nobody to kill the rest for, either.
            if let Some(watched) = watched.upgrade() {
                kill(command);
                watched
                    .answers()
                    .processes()
                    .into_iter()
                    .filter(|&pid| name_of(pid).is_some())
                    .for_each(kill);
            }
        })
    }

    pub(crate) fn kill_rest(&mut self) {
        self.background = Background::Kill;
    }

    pub(crate) fn finish(self, grace: Duration) -> CaptureReport {
        let command = self.child.id();
        let left = || -> Vec<(u32, String)> {
            let processes = self.watched.answers().processes();
            let others = processes.into_iter().filter(|&pid| pid != command);
            others.filter_map(|pid| Some((pid, name_of(pid)?))).collect()
        };
        let wait = |until: Instant| {
            let mut survivors = left();
            while !survivors.is_empty() && Instant::now() < until {
                std::thread::sleep(Duration::from_millis(5));
                survivors = left();
            }
            survivors
        };
        let mut survivors = wait(Instant::now() + grace);
        if self.background == Background::Kill && !survivors.is_empty() {
            survivors.iter().for_each(|(pid, _)| kill(*pid));
            survivors = wait(Instant::now() + Duration::from_secs(2));
        }
        let mut report = CaptureReport { capture: Capture::Preload, gaps: Vec::new(), survivors, dropped: 0 };
        // It is known that every program answered, but not that libSystem's own parts call each other where the library sees
        // it, nor what system services do for a program: none of it was ever seen on a Mac.
        report.gaps.push(GapReport { gap: Gap::NoFilter, detail: "macOS has no other way".to_owned() });
        if let Some(drainer) = self.drainer {
            let finished = drainer.finish();
            report.dropped = finished.lost;
            if finished.bad > 0 {
                let detail = format!("{} records", finished.bad);
                report.gaps.push(GapReport { gap: Gap::BadRecord, detail });
            }
        }
        let answers = std::mem::replace(&mut *self.watched.answers(), Answers::new(read));
        report.gaps.extend(answers.finish(&mut |record| self.watched.sink.record(record)));
        report
    }
}

fn kill(pid: u32) {
    // SAFETY: takes integers only.
    unsafe { libc::kill(pid as i32, libc::SIGKILL) };
}

/// The name of a process that has not ended.
fn name_of(pid: u32) -> Option<String> {
    let mut info = std::mem::MaybeUninit::<libc::proc_bsdinfo>::zeroed();
    let size = size_of::<libc::proc_bsdinfo>() as libc::c_int;
    // SAFETY: the buffer is writable and as long as said.
    let told =
        unsafe { libc::proc_pidinfo(pid as i32, libc::PROC_PIDTBSDINFO, 0, info.as_mut_ptr().cast(), size) };
    if told != size {
        return None;
    }
    // SAFETY: the kernel has filled all of it.
    let info = unsafe { info.assume_init() };
    // SAFETY: the kernel ends the name with a NUL (sys/proc_info.h).
    let name = unsafe { CStr::from_ptr(info.pbi_comm.as_ptr()) };
    Some(name.to_string_lossy().into_owned())
}
