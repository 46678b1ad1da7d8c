//! `tracerun watch -- CMD`: runs again whenever something changes that the last run observed.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use notify::event::{AccessKind as Access, AccessMode};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use platform::files;
use shm_protocol::record::Exit;
use tracerun::bytes::Bytes;
use tracerun::cache::{Outcome, Store};
use tracerun::cancellation::Cancellation;
use tracerun::run::RunError;
use tracerun::watch::WatchSet;

use super::arguments::{Common, RunArguments, WatchArguments};
use super::run::{Ran, once};
use super::{Failure, Place, say};

/// How long nothing must happen before what has happened is looked at: an editor saves in several steps.
const QUIET: Duration = Duration::from_millis(50);

/// As good as for ever: a month.
const FOREVER: Duration = Duration::from_secs(30 * 24 * 3600);

/// How long that is waited for at most.
const PATIENCE: Duration = Duration::from_secs(2);

pub(super) fn watch(arguments: &WatchArguments, common: &Common) -> Result<Exit, Failure> {
    let WatchArguments { restart, debounce, run } = arguments;
    if run.dry_run {
        return Err(Failure::Asked("--dry-run runs nothing: nothing would be known to watch".to_owned()));
    }
    let place = Place::find(common)?;
    let store = place.open_store()?;
    let mut watched = Watched::new(debounce.map_or(QUIET, Duration::from_millis))?;
    // A run that somebody disturbed is run again, once: who disturbs each of them is no reason to run for ever.
    let mut may_repeat = true;
    let mut set: Option<WatchSet> = None;
    loop {
        let barrier = files::clock_barrier(&store.path().join(".clock")).ok();
        let ran = match (&set, restart) {
            (Some(set), true) => match until_changed(run, common, set, &store, &mut watched)? {
                Some(ran) => ran,
                None => continue,
            },
            _ => once(run.clone(), common, Cancellation::default())?,
        };
        if let Exit::Signal(signal) = ran.exit
            && ENDING.contains(&signal)
        {
            return Ok(ran.exit);
        }
        let now = WatchSet::of(&ran.task, &store, &ran.report).map_err(Failure::Watch)?;
        watched.follow(&now.folders());
        let is_hit = matches!(ran.report.record.outcome, Outcome::Hit { .. });
        let disturbed =
            barrier.filter(|_| may_repeat && !is_hit).and_then(|barrier| now.changed_since(barrier));
        // What happened until the folders were watched is in the set, as it stands now.
        let disturbed = disturbed.or_else(|| now.difference(&store));
        may_repeat = disturbed.is_none();
        let path = match disturbed {
            Some(path) => path,
            None => {
                if !common.quiet {
                    say(&format!("watching {} paths in {} folders", now.len(), watched.folders.len()));
                }
                watched.wait(&now, &store, common)?
            }
        };
        if !common.quiet {
            say(&format!("{path} changed: running again"));
        }
        set = Some(now);
    }
}

/// The signals by which a user ends a command, and means the watching as well: SIGHUP, SIGINT, SIGQUIT, SIGTERM.
const ENDING: [u8; 4] = [1, 2, 3, 15];

/// Runs, and ends the run when something changes that the one before it observed; `None` if that happened.
fn until_changed(
    run: &RunArguments,
    common: &Common,
    set: &WatchSet,
    store: &Store,
    watched: &mut Watched,
) -> Result<Option<Ran>, Failure> {
    // What it was started for is no reason to end it.
    let before = set.again(store);
    let cancellation = Cancellation::default();
    thread::scope(|scope| {
        let theirs = cancellation.clone();
        let running = scope.spawn(|| once(run.clone(), common, theirs));
        while !running.is_finished() {
            if let Some(path) = watched.changed(&before, store, Duration::from_millis(20))? {
                cancellation.cancel();
                if !common.quiet {
                    say(&format!("{path} changed: starting again"));
                }
                break;
            }
        }
        match running.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)) {
            Err(Failure::Run(RunError::Cancelled)) => Ok(None),
            ran => ran.map(Some),
        }
    })
}

/// The folders that are watched, and what is heard of them.
struct Watched {
    watcher: RecommendedWatcher,
    events: Receiver<notify::Result<Event>>,
    folders: BTreeSet<PathBuf>,
    quiet: Duration,
}

impl Watched {
    fn new(quiet: Duration) -> Result<Self, Failure> {
        let (tell, events) = channel();
        let watcher = notify::recommended_watcher(tell).map_err(Failure::Notify)?;
        Ok(Self { watcher, events, folders: BTreeSet::new(), quiet })
    }

    /// Watches these folders and no others.
    fn follow(&mut self, folders: &BTreeSet<PathBuf>) {
        for folder in self.folders.difference(folders) {
            // It may be gone.
            let _ = self.watcher.unwatch(folder);
        }
        let mut refused = None;
        for folder in folders.difference(&self.folders) {
            if let Err(error) = self.watcher.watch(folder, RecursiveMode::NonRecursive) {
                refused.get_or_insert((folder.clone(), error));
            }
        }
        if let Some((folder, error)) = refused {
            say(&format!("warning: changes in {} go unnoticed: {error}", folder.display()));
        }
        self.folders = folders.clone();
    }

    /// Waits until something is other than it was, and says what.
    fn wait(&mut self, set: &WatchSet, store: &Store, common: &Common) -> Result<Bytes, Failure> {
        loop {
            if let Some(path) = self.changed(set, store, FOREVER)? {
                return Ok(path);
            }
            if common.verbose && !common.quiet {
                say("nothing that matters changed");
            }
        }
    }

    /// What is other than it was, if anything happens within `at_most` and makes it so.
    fn changed(
        &mut self,
        set: &WatchSet,
        store: &Store,
        at_most: Duration,
    ) -> Result<Option<Bytes>, Failure> {
        let deadline = Instant::now() + at_most;
        loop {
            match self.events.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(event) if matters(&event) => break,
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout) => return Ok(None),
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(Failure::Notify(notify::Error::generic("no more is told of changes")));
                }
            }
        }
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline && self.is_followed_by_another() {}
        let found = set.difference(store);
        // A folder may have come that others are looked for in.
        self.follow(&set.folders());
        Ok(found)
    }

    fn is_followed_by_another(&self) -> bool {
        let deadline = Instant::now() + self.quiet;
        loop {
            match self.events.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(event) if matters(&event) => return true,
                Ok(_) => {}
                Err(_) => return false,
            }
        }
    }
}

/// Whether it tells of a change. Looking is none: tracerun itself does it.
fn matters(event: &notify::Result<Event>) -> bool {
    match event {
        Ok(event) => match event.kind {
            EventKind::Access(Access::Close(AccessMode::Write)) => true,
            EventKind::Access(_) => false,
            _ => true,
        },
        // Some may be lost: look.
        Err(_) => true,
    }
}
