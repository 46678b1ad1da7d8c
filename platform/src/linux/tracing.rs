//! One traced command: how it is started under the net, and what is waited for at its end.

use std::io::{self, ErrorKind};
use std::process::{self, Child};
use std::sync::Arc;
use std::time::Duration;

use shm_protocol::access::Gap;
use shm_protocol::record::Exit;
use shm_protocol::session::VARIABLE;

use super::lives::Life;
use super::net::{Net, NetError};
use super::process::exit_of;
use super::ptrace::{self, Stops};
use super::ring::{Drainer, SharedRing};
use super::supervisor::Orders;
use super::{filter, inject, loader, origin, privileges};
use crate::tracing::{
    Background, Capture, CaptureChoice, CaptureReport, Command, GapReport, IoUring, Killer, Sink, SpawnError,
};

pub(crate) fn now_ns() -> u64 {
    // SAFETY: an all-zero value is valid for this structure of integers.
    let mut now: libc::timespec = unsafe { std::mem::zeroed() };
    // SAFETY: `now` is writable for the length of the call; this clock always exists.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now) };
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

pub(crate) struct Tracee {
    watched: Watched,
    drainer: Option<Drainer>,
    gaps: Vec<GapReport>,
    background: Background,
    is_bare: bool,
}

/// How a command is watched.
enum Watched {
    Net(Child, Net),
    Stops(Stops),
    Library(Child),
}

impl Tracee {
    pub(crate) fn spawn(command: Command, sink: Arc<dyn Sink>) -> Result<Self, SpawnError> {
        let tracing = |what| move |source| SpawnError::Tracing { what, source };
        let program = command.argv.first().cloned().unwrap_or_default();
        let refused = |source: io::Error| {
            let program = program.to_string_lossy().into_owned();
            let lacking = [libc::EMFILE, libc::ENFILE, libc::ENOMEM, libc::EAGAIN].map(Some);
            match source.kind() {
                ErrorKind::NotFound => SpawnError::NotFound { program },
                _ if lacking.contains(&source.raw_os_error()) => {
                    SpawnError::Tracing { what: "starting the command", source }
                }
                _ => SpawnError::NotExecutable { program, source },
            }
        };
        if !command.cwd.is_dir() {
            let source = io::Error::from(ErrorKind::NotADirectory);
            return Err(SpawnError::Tracing { what: "entering the working directory", source });
        }

        let cookie = random().map_err(tracing("drawing a random number"))?;
        let library = command.library_folder.as_deref().filter(|_| command.capture.has_library());
        let mut environment = command.environment.clone();
        environment.retain(|(name, _)| command.additions.iter().all(|(other, _)| other != name));
        environment.extend(command.additions.iter().cloned());
        let without_library = environment.clone();
        let mut shared = None;
        if let Some(folder) = library {
            let ring = match SharedRing::create() {
                // A limit on file sizes holds for memory, too. The net sees everything without it.
                Err(source) if source.kind() == ErrorKind::FileTooLarge => None,
                ring => Some(Arc::new(ring.map_err(tracing("making the shared memory"))?)),
            };
            shared = ring.filter(|ring| inject::add(&mut environment, folder, cookie, &ring.path()));
        }
        let mut child = process::Command::new(&program);
        child.args(command.argv.iter().skip(1)).env_clear().envs(environment).current_dir(&command.cwd);
        child.stdin(command.stdin).stdout(command.stdout).stderr(command.stderr);
        origin::keep_as_given(&mut child);

        let background = command.background;
        let drain = |shared: &Option<Arc<SharedRing>>| {
            let drainer = shared.as_ref().map(|ring| Drainer::start(Arc::clone(ring), Arc::clone(&sink)));
            drainer.transpose().map_err(tracing("starting a thread"))
        };
        let orders = |ring: &Option<Arc<SharedRing>>| Orders {
            sink: Arc::clone(&sink),
            ring: ring.clone(),
            own_folder: library.map(|folder| folder.as_os_str().as_encoded_bytes().to_vec()),
            streams: command.streams.clone(),
            holds_back_privileges: privileges::are_held_back(),
            allow_io_uring: command.io_uring == IoUring::Allow,
        };
        let filter = filter::build(cookie, &command.streams, loader::find());
        let filter = filter.map_err(tracing("making a seccomp filter"))?;
        let mut refusals = Vec::new();
        if command.capture.tries(Capture::Seccomp) {
            let mut spawned = Net::spawn(&mut child, filter.clone(), orders(&shared));
            let is_too_long = |source: &io::Error| source.kind() == ErrorKind::ArgumentListTooLong;
            let is_bare = matches!(&spawned, Err(NetError::Command(source)) if is_too_long(source));
            if is_bare {
                // Perhaps it was what was added that tipped it over.
                shared = None;
                child.env_clear().envs(command.environment);
                spawned = Net::spawn(&mut child, filter.clone(), orders(&shared));
            }
            match spawned {
                Ok((child, net)) => {
                    let (watched, drainer) = (Watched::Net(child, net), drain(&shared)?);
                    return Ok(Self { watched, drainer, gaps: Vec::new(), background, is_bare });
                }
                Err(NetError::Command(source)) => return Err(refused(source)),
                Err(NetError::Refused(source)) if command.capture == CaptureChoice::Auto => {
                    refusals.push(format!("a seccomp filter: {source}"));
                }
                Err(NetError::Refused(source)) => {
                    let what = "installing a seccomp filter with a listener";
                    return Err(SpawnError::Tracing { what, source });
                }
            }
        }
        if command.capture.tries(Capture::Ptrace) {
            match ptrace::may_trace() {
                Ok(()) => {
                    // It would be of no use where every call is stopped anyway.
                    child.env_clear().envs(without_library);
                    return match Stops::spawn(child, filter, orders(&None)) {
                        Ok(stops) => {
                            let watched = Watched::Stops(stops);
                            Ok(Self { watched, drainer: None, gaps: Vec::new(), background, is_bare: false })
                        }
                        Err(NetError::Command(source)) => Err(refused(source)),
                        Err(NetError::Refused(source)) => Err(tracing("tracing by ptrace")(source)),
                    };
                }
                Err(source) if command.capture == CaptureChoice::Auto => {
                    refusals.push(format!("ptrace: {source}"));
                }
                Err(source) => return Err(SpawnError::Tracing { what: "tracing by ptrace", source }),
            }
        }
        if let Some(ring) = &shared {
            ring.tell_call_sites();
            child.env(VARIABLE, inject::session(0, &ring.path()));
        }
        let child = child.spawn().map_err(refused)?;
        let detail = if refusals.is_empty() { "not asked for".to_owned() } else { refusals.join("; ") };
        let gaps = vec![GapReport { gap: Gap::NoFilter, detail }];
        let watched = Watched::Library(child);
        Ok(Self { watched, drainer: drain(&shared)?, gaps, background, is_bare: false })
    }

    pub(crate) fn pid(&self) -> u32 {
        match &self.watched {
            Watched::Net(child, _) | Watched::Library(child) => child.id(),
            Watched::Stops(stops) => stops.pid(),
        }
    }

    pub(crate) fn is_bare(&self) -> bool {
        self.is_bare
    }

    pub(crate) fn wait(&mut self) -> io::Result<Exit> {
        match &mut self.watched {
            Watched::Net(child, net) => {
                let exit = exit_of(child.wait()?);
                net.command_has_ended(child.id(), exit);
                Ok(exit)
            }
            Watched::Stops(stops) => stops.wait(),
            Watched::Library(child) => Ok(exit_of(child.wait()?)),
        }
    }

    pub(crate) fn killer(&self) -> Killer {
        // Its number may be another's when it has been waited for.
        let command = Life::of(self.pid());
        let rest = match &self.watched {
            Watched::Net(_, net) => net.killer(),
            Watched::Stops(stops) => stops.killer(),
            Watched::Library(_) => Box::new(|| ()),
        };
        Box::new(move || {
            command.iter().for_each(Life::kill);
            rest();
        })
    }

    pub(crate) fn kill_rest(&mut self) {
        self.background = Background::Kill;
    }

    pub(crate) fn finish(self, grace: Duration) -> CaptureReport {
        let capture = match &self.watched {
            Watched::Net(..) => Capture::Seccomp,
            Watched::Stops(_) => Capture::Ptrace,
            Watched::Library(_) => Capture::Preload,
        };
        let mut report = CaptureReport { capture, gaps: self.gaps, survivors: Vec::new(), dropped: 0 };
        match self.watched {
            Watched::Net(_, net) => net.finish(grace, self.background, &mut report),
            Watched::Stops(stops) => stops.finish(grace, self.background, &mut report),
            Watched::Library(_) => {}
        }
        if let Some(drainer) = self.drainer {
            let finished = drainer.finish();
            report.dropped = finished.lost;
            // Records that were begun and not finished are no gap: their processes were killed before they could
            // see what the call had come to, so nothing depends on it.
            if finished.bad > 0 {
                report
                    .gaps
                    .push(GapReport { gap: Gap::BadRecord, detail: format!("{} records", finished.bad) });
            }
        }
        report
    }
}

/// A random number that is not 0.
fn random() -> io::Result<u64> {
    let mut bytes = [0_u8; 8];
    // SAFETY: the buffer is writable and as long as said.
    let count = unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), 0) };
    if count != bytes.len() as isize {
        return Err(io::Error::last_os_error());
    }
    Ok(u64::from_ne_bytes(bytes).max(1))
}
