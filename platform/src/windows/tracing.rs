//! Running a command as a job, with the guest in each of its processes.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::io::{self, ErrorKind, IsTerminal};
use std::os::windows::io::AsRawHandle;
use std::os::windows::process::CommandExt;
use std::process::Child;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use shm_protocol::access::{Access, Gap};
use shm_protocol::guest::{CONSOLE, PIPE};
use shm_protocol::path::Joined;
use shm_protocol::record::{Event, Exit, Image, Record};
use windows_sys::Win32::Foundation::HANDLE;
use windows_sys::Win32::Storage::FileSystem::QueryDosDeviceW;
use windows_sys::Win32::System::Performance::QueryPerformanceCounter;
use windows_sys::Win32::System::Threading::CREATE_SUSPENDED;

use super::files;
use super::holds::Holder;
use super::inject::FILE;
use super::install::Refusal;
use super::job::{self, Job, Told};
use super::names::{Known, Volumes, arguments, known};
use super::process::exit_of;
use super::section::{Drainer, Shared, frequency};
use crate::tracing::{Background, Capture, CaptureReport, Command, GapReport, Killer, Sink, SpawnError};

pub(crate) struct Tracee {
    child: Child,
    job: Arc<Job>,
    drainer: Drainer,
    holder: Holder,
    reported: Arc<Reported>,
    gaps: Vec<GapReport>,
    background: Background,
    /// The processes of the job, and whether they are still there.
    processes: BTreeMap<u32, Seen>,
}

/// A process of the job.
struct Seen {
    is_there: bool,
    name: String,
}

impl Tracee {
    pub(crate) fn spawn(command: Command, sink: Arc<dyn Sink>) -> Result<Self, SpawnError> {
        let tracing = |what| move |source| SpawnError::Tracing { what, source };
        if !command.capture.tries(Capture::Detours) {
            let source = io::Error::from(ErrorKind::Unsupported);
            return Err(SpawnError::Tracing { what: "another capture than Windows has", source });
        }
        let none = || io::Error::new(ErrorKind::NotFound, "no library was built in");
        let folder =
            command.library_folder.as_deref().ok_or_else(none).map_err(tracing("tracing a command"))?;
        let library = fs::read(folder.join(FILE)).map_err(tracing("reading the library"))?;
        let input = match command.streams.contains(&0) {
            true if io::stdin().is_terminal() => CONSOLE,
            true => PIPE,
            false => 0,
        };
        let shared = Arc::new(Shared::create(&library, input).map_err(tracing("preparing the library"))?);
        let job = Arc::new(Job::create().map_err(tracing("making a job"))?);
        let reported = Arc::new(Reported::new(sink));

        let program = command.argv.first().cloned().unwrap_or_default();
        let name = program.display().to_string();
        let mut child = std::process::Command::new(&program);
        child.args(command.argv.iter().skip(1)).env_clear().envs(command.environment).envs(command.additions);
        child.current_dir(&command.cwd).creation_flags(CREATE_SUSPENDED);
        child.stdin(command.stdin).stdout(command.stdout).stderr(command.stderr);
        let mut child = child.spawn().map_err(|source| match source.kind() {
            ErrorKind::NotFound => SpawnError::NotFound { program: name.clone() },
            _ => SpawnError::NotExecutable { program: name.clone(), source },
        })?;
        let told = || Arc::clone(&reported) as Arc<dyn Sink>;
        let threads = Drainer::start(Arc::clone(&shared), told())
            .and_then(|drainer| Ok((drainer, Holder::start(Arc::clone(&shared), told())?)));
        let (drainer, holder) = threads.map_err(|source| {
            // It has not run yet.
            let _ = child.kill();
            tracing("starting a thread")(source)
        })?;
        let process = child.as_raw_handle();
        let mut gaps = Vec::new();
        if let Err(error) = job.take(process) {
            gaps.push(GapReport { gap: Gap::SupervisorFailed, detail: error.to_string() });
        }
        if let Err(refusal) = shared.install(process) {
            gaps.push(GapReport { gap: Gap::NotInstrumented, detail: format!("{name}{}", why(refusal)) });
        }
        resume(process).map_err(tracing("starting the process"))?;
        let background = command.background;
        Ok(Self { child, job, drainer, holder, reported, gaps, background, processes: BTreeMap::new() })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn is_bare(&self) -> bool {
        false
    }

    pub(crate) fn wait(&mut self) -> io::Result<Exit> {
        while self.child.try_wait()?.is_none() {
            // The job tells that it has ended, and of all others meanwhile.
            self.attend(100);
        }
        self.child.wait().map(exit_of)
    }

    /// Hears what the job tells, waiting for the first up to `milliseconds`.
    fn attend(&mut self, milliseconds: u32) {
        let mut wait = milliseconds;
        while let Some(told) = self.job.next(wait) {
            match told {
                Told::New(pid) => {
                    let seen = Seen { is_there: true, name: job::name_of(pid) };
                    self.processes.insert(pid, seen);
                }
                Told::Gone(pid) => {
                    self.processes.entry(pid).and_modify(|seen| seen.is_there = false);
                    if pid == self.child.id() {
                        return;
                    }
                }
            }
            wait = 0;
        }
    }

    pub(crate) fn killer(&self) -> Killer {
        let job = Arc::downgrade(&self.job);
        Box::new(move || {
            job.upgrade().inspect(|job| job.kill());
        })
    }

    pub(crate) fn kill_rest(&mut self) {
        self.background = Background::Kill;
    }

    pub(crate) fn finish(mut self, grace: Duration) -> CaptureReport {
        let deadline = Instant::now() + grace;
        self.attend(0);
        let some_left = |this: &Self| this.processes.values().any(|seen| seen.is_there);
        while some_left(&self) && Instant::now() < deadline {
            self.attend(5);
        }
        if some_left(&self) && self.background == Background::Kill {
            self.job.kill();
            let deadline = Instant::now() + Duration::from_secs(2);
            while some_left(&self) && Instant::now() < deadline {
                self.attend(5);
            }
        }
        self.holder.finish();
        let finished = self.drainer.finish();
        let mut report = CaptureReport {
            capture: Capture::Detours,
            gaps: self.gaps,
            survivors: Vec::new(),
            dropped: finished.lost,
        };
        if finished.bad > 0 {
            report.gaps.push(GapReport { gap: Gap::BadRecord, detail: format!("{} records", finished.bad) });
        }
        let instrumented = self.reported.instrumented();
        for &pid in instrumented.iter().filter(|pid| !self.processes.contains_key(pid)) {
            // One that was let out of the job, as it may be.
            let name = job::name_of(pid);
            if !name.is_empty() {
                report.survivors.push((pid, name));
            }
        }
        for (pid, seen) in self.processes {
            if seen.is_there {
                report.survivors.push((pid, seen.name.clone()));
            }
            if !instrumented.contains(&pid) {
                report.gaps.push(GapReport { gap: Gap::NotInstrumented, detail: seen.name });
            }
        }
        report
    }
}

fn why(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::Narrow => ", a 32-bit program",
        Refusal::Foreign => ", in which something else is in the library's place",
        Refusal::Refused => "",
    }
}

/// Starts a process that was made suspended.
fn resume(process: HANDLE) -> io::Result<()> {
    #[link(name = "ntdll")]
    unsafe extern "system" {
        fn NtResumeProcess(process: HANDLE) -> i32;
    }
    // SAFETY: the handle is that of a child.
    let status = unsafe { NtResumeProcess(process) };
    if status < 0 { Err(io::Error::other(format!("status {status:#x}"))) } else { Ok(()) }
}

/// Passes records on with the names that tracerun has for files.
struct Reported {
    sink: Arc<dyn Sink>,
    volumes: Volumes,
    windows: Vec<u8>,
    instrumented: Mutex<HashSet<u32>>,
}

impl Reported {
    fn new(sink: Arc<dyn Sink>) -> Self {
        let windows = std::env::var_os("SystemRoot").unwrap_or_else(|| r"C:\Windows".into());
        let windows = files::bytes_of_path(windows.as_ref()).into_owned();
        Self { sink, volumes: volumes(), windows, instrumented: Mutex::default() }
    }

    fn instrumented(&self) -> HashSet<u32> {
        std::mem::take(&mut *self.instrumented.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn known(&self, raw: &[u8]) -> Known {
        known(raw, &self.volumes, &self.windows)
    }
}

impl Sink for Reported {
    fn before_change(&self, raw: &[u8], follow: bool) {
        if let Known::File(path) = self.known(raw) {
            self.sink.before_change(&path, follow);
        }
    }

    fn record(&self, record: &Record<'_>) {
        let pass = |event: Event<'_>| self.sink.record(&Record { event, ..*record });
        match record.event {
            Event::Access(access) => match self.known(&access.path.pieces().concat()) {
                Known::File(path) => pass(Event::Access(Access { path: Joined::absolute(&path), ..access })),
                Known::Nothing if is_console_input(&access.path.pieces().concat()) => {
                    pass(Event::StreamUsed(0))
                }
                Known::Nothing => {}
                Known::Unknown => pass(Event::Gap(Gap::UnresolvedDirectory)),
            },
            Event::Exec(image) => {
                let file = |raw: &[u8]| match self.known(raw) {
                    Known::File(path) => path,
                    _ => raw.to_vec(),
                };
                let line = image.argv.strip_suffix(&[0]).unwrap_or(image.argv);
                let (exe, cwd, argv) = (file(image.exe), file(image.cwd), arguments(line));
                let cwd = cwd.strip_suffix(b"/").unwrap_or(&cwd);
                pass(Event::Exec(Image { exe: &exe, cwd, argv: &argv }));
            }
            Event::Instrumented => {
                self.instrumented.lock().unwrap_or_else(PoisonError::into_inner).insert(record.pid);
                pass(record.event);
            }
            event => pass(event),
        }
    }
}

/// Whether a name is what was typed at the console, by whatever handle.
fn is_console_input(raw: &[u8]) -> bool {
    let raw = raw.to_ascii_lowercase();
    raw.ends_with(b"/conin$") || raw.ends_with(b"/condrv/currentin")
}

/// What the kernel calls the volumes that have letters.
fn volumes() -> Volumes {
    let mut volumes = Volumes::new();
    for letter in b'A'..=b'Z' {
        let device = [u16::from(letter), u16::from(b':'), 0];
        let mut target = [0_u16; 512];
        // SAFETY: the name ends with a zero, the buffer is as long as said.
        let length = unsafe { QueryDosDeviceW(device.as_ptr(), target.as_mut_ptr(), target.len() as u32) };
        if length > 0 {
            let name: Vec<u16> = target.into_iter().take_while(|&unit| unit != 0).collect();
            volumes.push((String::from_utf16_lossy(&name).replace('\\', "/").into_bytes(), letter));
        }
    }
    volumes
}

pub(crate) fn now_ns() -> u64 {
    use std::sync::OnceLock;
    static FREQUENCY: OnceLock<u64> = OnceLock::new();
    let mut count = 0;
    // SAFETY: the system writes one number.
    unsafe { QueryPerformanceCounter(&raw mut count) };
    shm_protocol::guest::nanoseconds(count as u64, *FREQUENCY.get_or_init(frequency))
}
