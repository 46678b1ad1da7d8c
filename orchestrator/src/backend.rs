//! What another program needs to run its tasks traced and with cache, in its own process: see [`Backend`].

use std::io;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::mpsc::Sender;

use platform::tracing::SpawnError;

use crate::cache::{Lookup, Store, StoreError};
use crate::cancellation::Cancellation;
use crate::declarations::BadGlob;
use crate::library;
use crate::remote::Remote;
use crate::run::{self, Capture, Following, Mode, Report, RunError, RunnerPlace, Stdin, Traced};
use crate::selection::named_inputs;
use crate::stdio::{Input, Passage, Tee, give_input};
use crate::task::{Task, Terminal};
use crate::trace::LiveEvent;

/// A store, and a way to run commands traced.
///
/// It prints nothing and keeps no state outside its store; any number of threads may use one at the same time. It handles no
/// signals, but while it lets go of processes that outlived their command SIGURG does nothing, as it does by default. A run blocks the thread that asks for it, so an asynchronous program gives it one of those that it keeps for that
/// (`spawn_blocking` of tokio); what happens meanwhile comes through channels and callbacks.
///
/// ```no_run
/// use tracerun::backend::{Backend, Request};
/// use tracerun::cache::Outcome;
/// use tracerun::task::Task;
///
/// let backend = Backend::open("cache".as_ref())?;
/// let task = Task::new(["cc", "-c", "a.c"], "project");
/// let report = backend.run(&task, Request::default())?;
/// match &report.record.outcome {
///     Outcome::Hit { .. } => println!("restored, as run {:?} left it", report.fingerprint),
///     outcome => println!("ran: {outcome:?}, read {} files", report.inputs.len()),
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Backend {
    store: Store,
    /// How commands are run: as `tracerun -- CMD` does unless it is changed.
    pub capture: Capture,
}

/// Why there is no backend.
#[derive(Debug, thiserror::Error)]
pub enum BackendError {
    /// The store can't be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What the traced programs load can't be written there.
    #[error("can't unpack what traced programs load: {0}")]
    Library(#[source] io::Error),
}

/// Why it could not be looked up whether a run would be a hit.
#[derive(Debug, thiserror::Error)]
pub enum LookUpError {
    /// A glob of the task is none.
    #[error(transparent)]
    Glob(#[from] BadGlob),
    /// The store can't be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What is asked of one run.
#[derive(Default)]
pub struct Request {
    /// Whether to run in any case, and whether to keep what comes of it.
    pub mode: Mode,
    /// Given what the command prints as it prints it, or all of it where it is replayed; `None` for nobody. An error of it
    /// closes the command's output.
    pub output: Option<Passage>,
    /// What the command finds on its standard input; `None` for nothing.
    pub input: Option<Vec<u8>>,
    /// Told of what the command does while it does it.
    pub live: Option<Sender<LiveEvent>>,
    /// What ends the run before its time.
    pub cancellation: Cancellation,
}

impl Backend {
    /// The backend whose store is the folder `store`, which is made if it is not there, for this user alone.
    ///
    /// # Errors
    /// The folder can't be used, or is somebody else's.
    pub fn open(store: &Path) -> Result<Self, BackendError> {
        let store = Store::open(store)?;
        let library_folder = library::unpack(&store).map_err(BackendError::Library)?;
        let runner = RunnerPlace::of(&store).map_err(BackendError::Library)?;
        let capture = Capture { library_folder, runner: Some(runner), ..Capture::default() };
        Ok(Self { store, capture })
    }

    /// The same, with a server that is asked for what the store lacks, and given what it gets.
    #[must_use]
    pub fn with_remote(mut self, remote: Remote) -> Self {
        self.store = self.store.with_remote(remote);
        self
    }

    /// Its store: what is kept there, and what is remembered of runs.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Looks whether a run of `task` would be a hit, and why not; runs and changes nothing.
    ///
    /// # Errors
    /// A glob of the task is none, or the store can't be read.
    pub fn look_up(&self, task: &Task) -> Result<Lookup, LookUpError> {
        Ok(self.store.look_up(&self.prepared(task)?)?)
    }

    /// Runs `task` with cache: see [`run::run`].
    ///
    /// # Errors
    /// The command could not be run, or the run was cancelled. Trouble with the store is told in the report.
    pub fn run(&self, task: &Task, request: Request) -> Result<Report, RunError> {
        let Request { mode, output, input, live, cancellation } = request;
        let mut task = self.prepared(task)?;
        let stdin = match input {
            Some(bytes) => {
                let (key, input) = Input::of(bytes);
                task.stdin = key;
                Stdin::Given(input)
            }
            None => Stdin::Nothing,
        };
        let passage = output.unwrap_or_else(nobody);
        let following = Following { states: &mut |_| (), live, cancellation };
        run::run(&task, &self.store, &self.capture, mode, &passage, stdin, following)
    }

    /// Runs `task` traced, without cache; the mode of the request means nothing.
    ///
    /// # Errors
    /// The command could not be run, or the run was cancelled.
    pub fn trace(&self, task: &Task, request: Request) -> Result<Traced, RunError> {
        let Request { output, input, live, cancellation, .. } = request;
        let passage = output.unwrap_or_else(nobody);
        let (tee, stdout, stderr) = Tee::start(&Terminal::default(), &passage, false)
            .map_err(|source| SpawnError::Tracing { what: "making a pipe for the output", source })?;
        let stdin = input.map_or_else(|| Ok(Stdio::null()), |bytes| give_input(Input::of(bytes).1))?;
        let following = Following { states: &mut |_| (), live, cancellation };
        let traced =
            run::trace(&self.prepared(task)?, &self.capture, [stdin, stdout, stderr], None, following)?;
        // What it printed has been passed on; nobody wants it twice.
        let _ = tee.finish(self.capture.grace);
        Ok(traced)
    }

    /// The task with what depends on its policy.
    fn prepared(&self, task: &Task) -> Result<Task, BadGlob> {
        let mut task = task.clone();
        task.environment = task.policy.narrow(task.environment);
        task.named_inputs = named_inputs(&task, self.store.known(), self.store.path())?;
        Ok(task)
    }
}

/// Where output goes that nobody wants.
fn nobody() -> Passage {
    Arc::new(|_, _: &[u8]| Ok(()))
}
