//! One run from look-up to record: the order in which the parts of tracerun are used.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::process::{self, Stdio};
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::{Duration, SystemTime};

use platform::files;
use platform::process::{CommandState, exit_of, keep_as_given};
use platform::terminal::ReadMarks;
use platform::tracing::{Background, CaptureChoice, Command, IoUring, Sink, SpawnError, Tracee, now_ns};
use shm_protocol::access::AccessKind;
use shm_protocol::record::Exit;

use crate::archive::{self, Mtime, RestoreError};
use crate::bytes::Bytes;
use crate::cache::{
    Counters, Declared, Entry, Lookup, MissReason, Missed, Outcome, RunId, RunRecord, Store, StoreError,
};
use crate::cancellation::Cancellation;
use crate::declarations::{BadGlob, Declarations};
use crate::fingerprint::Fingerprint;
use crate::footprint::{Footprint, RunFacts, TerminalLoss, Uncacheable, judge, teller};
use crate::remote::{RemoteError, Unshared, Upload};
use crate::runner::{self, Server, Told};
use crate::selection::named_inputs;
use crate::stdio::{Input, Output, Passage, Tee, give_input};
use crate::task::{ActionKey, Task};
use crate::trace::{Collector, LiveEvent, Trace};

/// How commands are run traced.
#[derive(Clone, Debug)]
pub struct Capture {
    /// How to watch.
    pub choice: CaptureChoice,
    /// The folder of the preload library; `None` runs without it.
    pub library_folder: Option<PathBuf>,
    /// Where tools find the runner they may talk to; `None` runs without.
    pub runner: Option<RunnerPlace>,
    /// How long to wait for processes that outlive the command.
    pub grace: Duration,
    /// What becomes of them then.
    pub background: Background,
    /// What becomes of `io_uring`.
    pub io_uring: IoUring,
    /// What those processes print when this one has gone is passed on to its standard streams all the same.
    pub relays_output: bool,
}

/// Where tools find the runner.
#[derive(Clone, Debug)]
pub struct RunnerPlace {
    /// The folder in which each run has one of its own, for as long as it lasts.
    pub endpoints: PathBuf,
    /// The client that Node programs load.
    pub node_client: PathBuf,
}

impl Default for Capture {
    /// The best that works here, without the preload library and without a runner for tools.
    fn default() -> Self {
        Self {
            choice: CaptureChoice::Auto,
            library_folder: None,
            runner: None,
            grace: GRACE,
            background: Background::Leave,
            io_uring: IoUring::Refuse,
            relays_output: false,
        }
    }
}

/// How long processes that outlive the command are waited for unless told otherwise.
const GRACE: Duration = Duration::from_millis(500);

/// Who follows one run while it lasts, and may end it.
pub struct Following<'f> {
    /// Told when the command runs and when it has ended.
    pub states: &'f mut dyn FnMut(CommandState),
    /// Told of what it does.
    pub live: Option<Sender<LiveEvent>>,
    /// What ends it before its time.
    pub cancellation: Cancellation,
}

impl<'f> Following<'f> {
    /// By one who is only told when the command runs and when it has ended.
    pub fn of_states(states: &'f mut dyn FnMut(CommandState)) -> Self {
        Self { states, live: None, cancellation: Cancellation::default() }
    }
}

/// What a command finds on its standard input.
pub enum Stdin {
    /// What this process finds on its own.
    Own,
    /// Nothing.
    Nothing,
    /// This.
    Given(Input),
}

impl RunnerPlace {
    /// The place in memory, or in `store` where there is none; what Node programs load is written there if it is not there yet. Node looks
    /// at each folder on the way to that, which in memory is the same for all who share a cache.
    ///
    /// # Errors
    /// It can't be written.
    pub fn of(store: &Store) -> io::Result<Self> {
        let endpoints = files::private_folder_in_memory().unwrap_or_else(|| store.endpoint_folder());
        let node_client = runner::unpack_node_client(&endpoints)
            .map_err(|source| io::Error::new(source.kind(), format!("{}: {source}", endpoints.display())))?;
        Ok(Self { endpoints, node_client })
    }

    /// The folders in which nothing is the command's.
    fn folders(&self) -> [PathBuf; 2] {
        [self.endpoints.clone(), self.node_client.parent().unwrap_or(&self.endpoints).to_owned()]
    }

    /// Starts a runner, and names it in what is added to the environment of the command. Where that can't be done the command goes without.
    fn start(&self, task: &Task, additions: &mut Vec<(OsString, OsString)>) -> Option<Server> {
        let folder = self.endpoints.join(RunId::new().to_string());
        let server = Server::start(&folder, &task.caller_environment).ok()?;
        additions.push((runner::VARIABLE.into(), server.address()));
        additions.push((runner::NODE_CLIENT_VARIABLE.into(), self.node_client.clone().into()));
        Some(server)
    }
}

/// What may be different from one run of a task to another.
#[derive(Clone, Copy, Debug, Default)]
pub struct Mode {
    /// Run even if there is a hit.
    pub force: bool,
    /// Keep nothing of the run.
    pub no_store: bool,
    /// The modification time that restored files get.
    pub mtime: Mtime,
}

/// What came of a run.
#[derive(Clone, Debug)]
pub struct Report {
    /// The run, as the store remembers it.
    pub record: RunRecord,
    /// What it saw, if it is known.
    pub fingerprint: Option<Fingerprint>,
    /// Whether everything that its process tree did to files is known.
    pub complete: bool,
    /// What it depended on.
    pub inputs: Vec<(Bytes, AccessKind)>,
    /// What it made: `write`, or `delete` for what it removed.
    pub outputs: Vec<(Bytes, AccessKind)>,
    /// For a hit: how long the run took that it stands for.
    pub saved: Option<Duration>,
    /// The command lines of processes that asked for `io_uring` and were told that it is not permitted.
    pub io_uring_refused: Vec<String>,
    /// What the store could not do; the command has run all the same.
    pub trouble: Option<String>,
    /// A hit that was not in the store: the remote had it.
    pub fetched: bool,
    /// What was wrong with the remote; nothing is the worse for it.
    pub remote_trouble: Option<RemoteError>,
    /// Why a run that was stored was not given to the remote.
    pub unshared: Option<Unshared>,
    /// Why not all that the command printed, or would have, could be passed on.
    pub refused_output: Option<io::ErrorKind>,
}

/// Why a command was not run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// It could not be started.
    #[error(transparent)]
    Spawn(#[from] SpawnError),
    /// It was [cancelled](Cancellation::cancel).
    #[error("cancelled")]
    Cancelled,
    /// A declaration is malformed.
    #[error(transparent)]
    Glob(#[from] BadGlob),
    /// Something went wrong before it could be started, or while it was waited for.
    #[error("can't run the command: {0}")]
    Io(#[from] io::Error),
}

/// A command that has run traced.
#[derive(Debug)]
pub struct Traced {
    /// What its process tree did.
    pub trace: Trace,
    /// How it ended.
    pub exit: Exit,
    /// What its tools declared; `None` when that is not known.
    pub told: Option<Told>,
}

/// Runs a command traced, with its standard streams as given. With `barrier`, a
/// [`files::clock_barrier`], the content of files is taken before they are changed.
///
/// # Errors
/// It can't be started or waited for, or was cancelled.
pub fn trace(
    task: &Task,
    capture: &Capture,
    streams: [Stdio; 3],
    barrier: Option<i128>,
    following: Following<'_>,
) -> Result<Traced, RunError> {
    let Following { states: follow, live, cancellation } = following;
    if cancellation.is_cancelled() {
        return Err(RunError::Cancelled);
    }
    let [stdin, stdout, stderr] = streams;
    let mut additions = Vec::new();
    let server = capture.runner.as_ref().and_then(|place| place.start(task, &mut additions));
    let command = Command {
        argv: task.argv.clone(),
        environment: task.environment.clone(),
        additions,
        cwd: task.cwd.clone(),
        stdin,
        stdout,
        stderr,
        library_folder: capture.library_folder.clone(),
        capture: capture.choice,
        io_uring: capture.io_uring,
        background: capture.background,
        streams: task.watched_streams(),
    };
    let collector = Collector::new(now_ns(), barrier);
    let collector = Arc::new(match live {
        Some(live) => collector.telling(live),
        None => collector,
    });
    follow(CommandState::Starts);
    let mut tracee = match Tracee::spawn(command, Arc::clone(&collector) as Arc<dyn Sink>) {
        Ok(tracee) => tracee,
        Err(error) => {
            follow(CommandState::Ended);
            server.map(Server::finish);
            return Err(error.into());
        }
    };
    let watched = cancellation.watch(tracee.killer());
    follow(CommandState::Runs(tracee.pid()));
    let exit = tracee.wait();
    follow(CommandState::Ended);
    let exit = exit?;
    let ended = now_ns();
    let is_bare = tracee.is_bare();
    let grace = if cancellation.is_cancelled() {
        tracee.kill_rest();
        Duration::ZERO
    } else {
        capture.grace
    };
    let report = tracee.finish(grace);
    drop(watched);
    // Tools that could not reach the server may have had something to say.
    let told = server.map_or_else(|| Some(Told::default()), Server::finish).filter(|_| !is_bare);
    if cancellation.is_cancelled() {
        return Err(RunError::Cancelled);
    }
    Ok(Traced { trace: collector.finish(&report, ended), exit, told })
}

/// Runs a task with cache: restores what a kept run left and replays what it printed, or else runs the command and
/// keeps what came of it. The run is recorded in the store either way.
///
/// # Errors
/// The command could not be run, or was cancelled. Trouble with the store is told in the report.
pub fn run(
    task: &Task,
    store: &Store,
    capture: &Capture,
    mode: Mode,
    passage: &Passage,
    stdin: Stdin,
    following: Following<'_>,
) -> Result<Report, RunError> {
    let began = SystemTime::now();
    let folders = capture.runner.iter().flat_map(RunnerPlace::folders);
    // What a tracerun in the run does to the store it shares with this one makes no difference to what it leaves.
    let declarations = Declarations::of(task)?.with_own(folders.chain([store.path().to_owned()]));
    let id = RunId::new();
    let (mut trouble, mut no_room) = (None, false);
    // What killed hits left is not to be seen by a command, nor taken for an entry of a folder.
    archive::sweep(&store.journals());
    let found = if mode.force { Ok(Lookup::Miss(Missed::default())) } else { store.look_up(task) };
    let (mut fetched, mut remote_trouble) = (false, None);
    let found = match (found, store.remote()) {
        (Ok(Lookup::Miss(missed)), Some(remote)) if !mode.force => {
            let completed = remote.complete(task, store, missed);
            (fetched, remote_trouble) = (completed.fetched, completed.trouble);
            Ok(completed.lookup)
        }
        (found, _) => found,
    };
    let Missed { reasons, against } = match found {
        Ok(Lookup::Hit(entry)) => match replay(&entry, store, mode.mtime, passage) {
            Ok(refused) => {
                return Ok(Report {
                    refused_output: refused,
                    fetched,
                    ..hit(task, store, &entry, id, began)
                });
            }
            Err(error) => {
                // What then has no room for its outputs either is not to take the place of what is stored.
                no_room = error.is_no_room();
                let (error, damaged) = (error.to_string(), error.is_damage());
                let reason = if damaged {
                    MissReason::Damaged
                } else {
                    MissReason::NotRestored { error: error.clone() }
                };
                trouble = Some(error).filter(|_| damaged);
                Missed { reasons: vec![reason], against: Some(entry.run()) }
            }
        },
        Ok(Lookup::Miss(missed)) => missed,
        Err(error) => {
            trouble = Some(error.to_string());
            Missed::default()
        }
    };

    // Where there are no locks, nobody can be told.
    let mut running = store.begin_run(task.action_key()).ok();
    let terminals = ReadMarks::set();
    // One file for all: that others touch it at the same time makes none of its times wrong.
    let barrier = files::clock_barrier(&store.path().join(".clock"));
    // Its terminals are later than the barrier, as those are that the run makes.
    let (tee, stdout, stderr) = Tee::start(&task.terminal, passage, capture.relays_output)
        .map_err(|source| SpawnError::Tracing { what: "making a pipe for the output", source })?;
    let stdin = match stdin {
        Stdin::Own => Stdio::inherit(),
        Stdin::Nothing => Stdio::null(),
        Stdin::Given(input) => give_input(input)?,
    };
    let streams = [stdin, stdout, stderr];
    let traced = trace(task, capture, streams, barrier.as_ref().ok().copied(), following)?;
    let Traced { trace, exit, told } = traced;
    // Survivors have had their time of grace.
    let grace = if trace.survivors.is_empty() { capture.grace } else { Duration::ZERO };
    let output = tee.finish(grace);

    // What tools said is lost only with the thread that listened, or where a command line left no room for its address.
    let lost = told
        .is_none()
        .then(|| "its tools could not reach the runner: what they declare is not known".to_owned());
    let told = told.unwrap_or_default();
    let named_inputs = named_inputs(task, store.known(), store.path())?;
    // Until what this one left is kept, none begins that could change it.
    let was_alone = match &mut running {
        Some(running) => running.was_alone(),
        None => true,
    };
    // What changes nothing leaves nothing to others.
    let is_alone = was_alone || trace.accesses.iter().all(|access| access.kind.observes());
    let (printed, refused_output) = match output {
        Output::Whole(chunks) => (Ok(chunks), None),
        Output::Lost(loss) => (Err(loss), None),
        Output::Refused(kind) => (Err(TerminalLoss::Cut), Some(kind)),
    };
    let facts = |started| RunFacts {
        trace: &trace,
        started,
        exit,
        told: &told,
        known: store.known(),
        terminals: &terminals,
        named_inputs: named_inputs.as_ref(),
    };
    let judged = match (barrier, printed) {
        _ if lost.is_some() => Err(Refusal::Store(lost.unwrap_or_default())),
        (Err(error), _) => Err(Refusal::Store(error.to_string())),
        (Ok(started), Ok(terminal)) => judge(task, &facts(started), &declarations)
            .map(|footprint| (footprint, terminal))
            .map_err(Refusal::Uncacheable),
        (Ok(started), Err(loss)) => {
            // What else speaks against it is more telling than lost output.
            let judged = judge(task, &facts(started), &declarations);
            Err(Refusal::Uncacheable(judged.err().unwrap_or(Uncacheable::Terminal(loss))))
        }
    };
    let judged = if is_alone { judged } else { Err(Refusal::Uncacheable(Uncacheable::Concurrent)) };
    let judged = judged.and_then(|judged| {
        let mut each = task.policy.toolchains.iter();
        match each.find(|toolchain| toolchain.has_changed(&task.root, &task.caller_environment)) {
            Some(changed) => Err(Refusal::Uncacheable(Uncacheable::Toolchain { name: changed.name.clone() })),
            None => Ok(judged),
        }
    });
    let judged = judged.and_then(|judged| match task.terminal.used() {
        Some(number) => Err(Refusal::Uncacheable(Uncacheable::Inherited { number })),
        None => Ok(judged),
    });
    let mut report = Report {
        record: RunRecord::of(task, id, began, exit, Outcome::Traced),
        fingerprint: None,
        complete: trace.is_complete(),
        inputs: Vec::new(),
        outputs: Vec::new(),
        saved: None,
        io_uring_refused: trace.io_uring_refused().collect(),
        trouble: None,
        fetched: false,
        remote_trouble: None,
        unshared: None,
        refused_output,
    };
    let mut added = 0;
    let outcome = match judged {
        Ok((footprint, terminal)) => {
            (report.inputs, report.outputs) = listed(&footprint);
            let kept = (!mode.no_store && !no_room)
                .then(|| store.keep(task, &footprint, &terminal, &report.record))
                .transpose();
            match kept {
                Ok(kept) => {
                    added = kept.map_or(0, |kept| kept.bytes);
                    Outcome::Miss { reasons, against, kept: kept.map(|kept| kept.fingerprint) }
                }
                Err(error) => Outcome::StoreFailed { error: error.to_string() },
            }
        }
        Err(Refusal::Uncacheable(why)) => Outcome::Uncached { reasons, against, why },
        Err(Refusal::Store(error)) => Outcome::StoreFailed { error },
    };
    if let Outcome::Miss { kept, .. } = &outcome {
        report.fingerprint = *kept;
    }
    // A server that did not answer is not asked again; one that holds what is damaged may be given it again.
    let is_down = remote_trouble.as_ref().is_some_and(RemoteError::is_down);
    let remote = store.remote().filter(|_| !is_down);
    let upload = remote.zip(report.fingerprint).and_then(|(remote, kept)| remote.upload(task, store, kept));
    report.record = RunRecord::of(task, id, began, exit, outcome);
    report.record.declared = told
        .declarations
        .into_iter()
        .map(|said| Declared { statement: said.statement, by: teller(&trace, said.pid) })
        .collect();
    report.trouble = trouble.or(remember(store, &report.record, Some(&trace), |counters| {
        counters.bytes += added;
        match &report.record.outcome {
            Outcome::Uncached { why, .. } => {
                *counters.uncached.entry(why.kind().to_owned()).or_default() += 1;
            }
            Outcome::StoreFailed { .. } => {
                *counters.uncached.entry("the store failed".to_owned()).or_default() += 1;
            }
            _ => counters.misses += 1,
        }
    }));
    match upload.map(Upload::finish) {
        Some(Ok(Err(why))) => report.unshared = Some(why),
        Some(Err(error)) => remote_trouble = remote_trouble.or(Some(error)),
        Some(Ok(Ok(()))) | None => {}
    }
    report.remote_trouble = remote_trouble;
    Ok(report)
}

/// Runs a task without tracing or cache, because of the `error` that stands against them: what tracerun lacks is no
/// reason for a command not to run.
///
/// # Errors
/// The command could not be run.
pub fn run_plainly(
    task: &Task,
    error: String,
    follow: &mut dyn FnMut(CommandState),
) -> Result<Report, RunError> {
    let began = SystemTime::now();
    let nothing = || io::Error::from(io::ErrorKind::InvalidInput);
    let (program, arguments) = task.argv.split_first().ok_or_else(nothing)?;
    let mut command = process::Command::new(program);
    command.args(arguments).current_dir(&task.cwd).env_clear();
    command.envs(task.environment.iter().map(|(name, value)| (name, value)));
    keep_as_given(&mut command);
    follow(CommandState::Starts);
    let spawned = command.spawn().map_err(|source| {
        let program = program.display().to_string();
        match source.kind() {
            io::ErrorKind::NotFound => SpawnError::NotFound { program },
            _ => SpawnError::NotExecutable { program, source },
        }
    });
    let mut child = spawned.inspect_err(|_| follow(CommandState::Ended))?;
    follow(CommandState::Runs(child.id()));
    let status = child.wait();
    follow(CommandState::Ended);
    let exit = exit_of(status?);
    Ok(Report {
        record: RunRecord::of(task, RunId::new(), began, exit, Outcome::StoreFailed { error }),
        fingerprint: None,
        complete: false,
        inputs: Vec::new(),
        outputs: Vec::new(),
        saved: None,
        io_uring_refused: Vec::new(),
        trouble: None,
        fetched: false,
        remote_trouble: None,
        unshared: None,
        refused_output: None,
    })
}

/// Why a run is not kept.
enum Refusal {
    Uncacheable(Uncacheable),
    Store(String),
}

/// Restores and replays; on an error the terminal has seen nothing yet, and every file is whole. Says why the terminal did
/// not take it all: the command would have been told so, and ended.
fn replay(
    entry: &Entry,
    store: &Store,
    mtime: Mtime,
    passage: &Passage,
) -> Result<Option<io::ErrorKind>, RestoreError> {
    let terminal = entry.terminal(store)?;
    entry.restore(store, mtime)?;
    let passed = terminal.iter().try_for_each(|chunk| passage(chunk.stream, &chunk.bytes));
    Ok(passed.err().map(|error| error.kind()))
}

fn hit(task: &Task, store: &Store, entry: &Entry, id: RunId, began: SystemTime) -> Report {
    let outcome = Outcome::Hit { fingerprint: entry.fingerprint(), run: entry.run() };
    let record = RunRecord::of(task, id, began, entry.exit(), outcome);
    let saved = entry.wall().saturating_sub(Duration::from_millis(record.wall_ms));
    let trouble = remember(store, &record, None, |counters| {
        counters.hits += 1;
        counters.saved_ms += saved.as_millis() as u64;
    });
    let inputs = entry.path_set().observations.iter().map(|input| (input.path.clone(), input.kind)).collect();
    Report {
        record,
        fingerprint: Some(entry.fingerprint()),
        complete: true,
        inputs,
        outputs: entry.outputs().iter().map(listed_output).collect(),
        saved: Some(saved),
        io_uring_refused: Vec::new(),
        trouble,
        fetched: false,
        remote_trouble: None,
        unshared: None,
        refused_output: None,
    }
}

/// Records the run; gives what went wrong. A run that is not remembered has run all the same.
fn remember(
    store: &Store,
    record: &RunRecord,
    trace: Option<&Trace>,
    count: impl FnOnce(&mut Counters),
) -> Option<String> {
    let recorded = store.record_run(record, trace).and_then(|()| store.count(count));
    recorded.err().map(|error: StoreError| error.to_string())
}

type Listed = Vec<(Bytes, AccessKind)>;

fn listed(footprint: &Footprint) -> (Listed, Listed) {
    let inputs =
        footprint.inputs.path_set.observations.iter().map(|input| (input.path.clone(), input.kind)).collect();
    (inputs, footprint.outputs.changed.iter().map(listed_output).collect())
}

fn listed_output(output: &crate::archive::Output) -> (Bytes, AccessKind) {
    (output.path.clone(), output.access_kind())
}

impl Report {
    /// The key under which the run is kept.
    #[must_use]
    pub fn action_key(&self) -> ActionKey {
        self.record.action_key
    }
}
