//! One cache for many machines: a server is asked for runs that the store lacks, and given those that it gets.
//!
//! A look-up has two levels, since what a run reads is not known before it. The *weak* key, of what is known, leads to the path sets
//! that were observed by such runs; each of these is observed here, and what that comes to is the *strong* key, which leads
//! to what came of a run. What is found becomes a run of the local store, and is looked up there again, so that one code
//! decides what is a hit, and puts it back.

mod fetch;
#[cfg(feature = "grpc")]
mod grpc;
#[cfg(feature = "remote")]
mod http;
mod place;
mod progress;
mod publish;
mod records;
mod transport;
mod wire;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use self::fetch::Fetched;
use self::progress::Transfer;
pub use self::progress::{Direction, Progress, Watcher};
pub use self::publish::Unshared;
pub use self::transport::{Kind, RemoteError, Transport};
pub use self::wire::{Blob, Sha};
use crate::cache::{Lookup, MissReason, Missed, Store};
use crate::fingerprint::Fingerprint;
use crate::task::Task;

/// How many path sets of a task a server is told of.
const MOST_SETS: usize = 8;
/// The longest result that is read, in bytes: one of ours names few contents.
const LONGEST_RESULT: u64 = 64 << 10;

/// Which server, and how to talk to it.
#[derive(Clone, PartialEq, Eq)]
pub struct Settings {
    /// Where it is: `http://`, `https://`, `grpc://` or `grpcs://`.
    pub url: String,
    /// Which of the caches of a server that speaks gRPC; usually none is named.
    pub instance: String,
    /// Whether it is given runs.
    pub writes: bool,
    /// How long all the questions of a look-up may take, and each silence of the server.
    pub timeout: Duration,
    /// How long it may take to fetch the contents of a run, and to give one away.
    pub transfer_timeout: Duration,
    /// Headers of every request; they may be secret.
    pub headers: Vec<(String, String)>,
    /// The only certificates that vouch for it, as PEM; `None`: those that the system trusts.
    pub ca: Option<PathBuf>,
    /// The certificate that it is shown, as PEM.
    pub client_cert: Option<PathBuf>,
    /// The key of that certificate, as PEM.
    pub client_key: Option<PathBuf>,
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Headers are secret, and so may be what an address holds.
        f.debug_struct("Settings").field("writes", &self.writes).finish_non_exhaustive()
    }
}

/// A server of runs.
pub struct Remote {
    settings: Settings,
    transport: Box<dyn Transport>,
    watcher: Option<Watcher>,
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remote").field("transport", &self.transport).finish_non_exhaustive()
    }
}

/// A look-up of the store, and what the server had to do with it.
#[derive(Debug)]
pub(crate) struct Completed {
    pub(crate) lookup: Lookup,
    /// Whether a hit came from the server.
    pub(crate) fetched: bool,
    /// What was wrong with the server.
    pub(crate) trouble: Option<RemoteError>,
}

/// A run that is being given to the server.
#[derive(Debug)]
pub(crate) struct Upload {
    done: mpsc::Receiver<Result<Result<(), Unshared>, RemoteError>>,
    until: Instant,
}

impl Remote {
    /// A server with these settings; nothing is asked of it yet.
    ///
    /// # Errors
    /// Nothing is known that talks to such an address.
    pub fn new(settings: Settings) -> Result<Self, RemoteError> {
        match settings.url.split_once("://").map(|(scheme, _)| scheme) {
            #[cfg(feature = "remote")]
            Some("http" | "https") => {
                Ok(Self::with_transport(settings.clone(), Box::new(http::Http::new(settings))))
            }
            #[cfg(feature = "grpc")]
            Some("grpc" | "grpcs") => {
                Ok(Self::with_transport(settings.clone(), Box::new(grpc::Grpc::new(settings))))
            }
            _ => Err(RemoteError::Settings(
                "the address of the remote must begin with http://, https://, grpc:// or grpcs://, which this tracerun must have been built with"
                    .to_owned(),
            )),
        }
    }

    /// A server that is talked to in another way.
    #[must_use]
    pub fn with_transport(settings: Settings, transport: Box<dyn Transport>) -> Self {
        Self { settings, transport, watcher: None }
    }

    /// The same, of whose transfers `watcher` is told.
    #[must_use]
    pub fn watched_by(self, watcher: Watcher) -> Self {
        Self { watcher: Some(watcher), ..self }
    }

    fn transfer(&self, direction: Direction, total: u64) -> Transfer<'_> {
        Transfer::new(&*self.transport, self.watcher.as_ref(), direction, total)
    }

    /// The contents that the result of an action names; `None` if there is none, or none of ours.
    fn result(&self, action: Blob, until: Instant) -> Result<Option<Vec<Blob>>, RemoteError> {
        let mut bytes = Vec::new();
        let found = self.transport.get(Kind::Action, action, LONGEST_RESULT, &mut bytes, until)?;
        Ok(found.then(|| wire::blobs(&bytes)).flatten())
    }

    /// Looks for what the store lacks.
    pub(crate) fn complete(&self, task: &Task, store: &Store, missed: Missed) -> Completed {
        let (theirs, mut trouble) = match fetch::fetch(self, task, store) {
            Ok(Fetched::Kept) => match store.look_up(task) {
                Ok(Lookup::Hit(entry)) => {
                    return Completed { lookup: Lookup::Hit(entry), fetched: true, trouble: None };
                }
                // What stands in its way stands in the way of any run.
                Ok(Lookup::Miss(missed)) => (Some(missed), None),
                Err(error) => (None, Some(RemoteError::Local(error.to_string()))),
            },
            Ok(Fetched::Nothing(missed)) => (missed, None),
            Err(error) => (None, Some(error)),
        };
        let is_first = missed.reasons == [MissReason::FirstRun];
        let missed = theirs.filter(|_| is_first).unwrap_or(missed);
        Completed { lookup: Lookup::Miss(missed), fetched: false, trouble: trouble.take() }
    }

    /// Begins to give a kept run to the server, if it is to be given any.
    pub(crate) fn upload(self: &Arc<Self>, task: &Task, store: &Store, run: Fingerprint) -> Option<Upload> {
        let (sender, done) = mpsc::channel();
        let (remote, task, store) = (Arc::clone(self), task.clone(), store.clone());
        let until = Instant::now() + self.settings.transfer_timeout;
        self.settings.writes.then(|| {
            // It is left behind at the end of the process if it takes too long.
            thread::spawn(move || {
                let _ = sender.send(publish::publish(&remote, &task, &store, run));
            });
            Upload { done, until }
        })
    }
}

impl Upload {
    /// Waits for its end, as long as it may take; says why the run is not shared.
    pub(crate) fn finish(self) -> Result<Result<(), Unshared>, RemoteError> {
        let left = self.until.saturating_duration_since(Instant::now());
        self.done.recv_timeout(left).unwrap_or(Err(RemoteError::TimedOut))
    }
}
