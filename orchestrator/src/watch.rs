//! What must change for a command to be worth another run: what its last run observed, as it stood when that was over.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use platform::files::{self, FileType};
use shm_protocol::access::AccessKind;

use crate::bytes::{self, Bytes};
use crate::cache::{Outcome, Store, StoreError};
use crate::declarations::{BadGlob, Declarations};
use crate::fingerprint::{InputState, Observation, Observer};
use crate::footprint::is_unobserved;
use crate::run::Report;
use crate::task::Task;

/// What a run observed, and what each of that came to after it.
pub struct WatchSet {
    declarations: Declarations,
    observed: Vec<(Observation, InputState)>,
    /// What the run itself changed.
    changed: BTreeSet<Bytes>,
}

/// Why there is nothing to watch.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// A glob of the task is none.
    #[error(transparent)]
    Glob(#[from] BadGlob),
    /// The store can't be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl WatchSet {
    /// That of the run of `task` which `report` tells of: its inputs or, where it is not cached (it failed), what its trace shows.
    ///
    /// # Errors
    /// See [`WatchError`].
    pub fn of(task: &Task, store: &Store, report: &Report) -> Result<Self, WatchError> {
        let declarations = Declarations::of(task)?.with_own([store.path().to_owned()]);
        let mut looks: BTreeMap<Bytes, BTreeSet<AccessKind>> = BTreeMap::new();
        let mut changed = BTreeSet::new();
        let mut add = |path: &Bytes, kind: AccessKind| {
            let counts = if kind.observes() {
                !is_unobserved(path) && !declarations.ignore_input(path)
            } else {
                changed.insert(path.clone());
                false
            };
            if counts {
                looks.entry(path.clone()).or_default().insert(kind);
            }
        };
        report.inputs.iter().chain(&report.outputs).for_each(|(path, kind)| add(path, *kind));
        if matches!(report.record.outcome, Outcome::Uncached { .. } | Outcome::StoreFailed { .. })
            && let Some(trace) = store.trace(report.record.id)?
        {
            for access in trace.accesses.iter().filter(|access| !access.is_name_only()) {
                add(&trace.path(access.path).into(), access.kind);
            }
            // Of what the run made or changed, it is not known how it was before.
            looks.retain(|path, _| !changed.contains(path));
        }
        let mut observed = Vec::new();
        for (path, kinds) in looks {
            let is_link = files::identity(&path.to_path(), false)
                .is_ok_and(|identity| identity.file_type == FileType::Symlink);
            if is_link {
                observed.push(Observation::new(path.clone(), AccessKind::Stat, false));
            }
            // Who has read a file and looked at it is served by the look, which sees both.
            let least = !(kinds.contains(&AccessKind::Stat) || kinds.contains(&AccessKind::Exec));
            for kind in kinds.into_iter().filter(|&kind| kind != AccessKind::Read || least) {
                observed.push(Observation::new(path.clone(), kind, is_link));
            }
        }
        let mut set = Self { declarations, observed: Vec::new(), changed };
        let states: Vec<_> = {
            let mut observer = Observer::new(&set.declarations, store.known());
            observed.iter().map(|observation| observer.state(observation)).collect()
        };
        set.observed = observed.into_iter().zip(states).collect();
        Ok(set)
    }

    /// The same, as it stands now.
    #[must_use]
    pub fn again(&self, store: &Store) -> Self {
        let mut observer = Observer::new(&self.declarations, store.known());
        let observed = self.observed.iter().map(|(seen, _)| (seen.clone(), observer.state(seen))).collect();
        Self { declarations: self.declarations.clone(), observed, changed: self.changed.clone() }
    }

    /// How many things are watched.
    #[must_use]
    pub fn len(&self) -> usize {
        self.observed.len()
    }

    /// Whether there is nothing to watch.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.observed.is_empty()
    }

    /// The folders in which a change shows: those that are there now, so that this is to be asked again after each change.
    #[must_use]
    pub fn folders(&self) -> BTreeSet<PathBuf> {
        let mut folders = BTreeSet::new();
        let mut add = |path: &Path| {
            let there = path.ancestors().find_map(|folder| folder.canonicalize().ok());
            folders.extend(there.filter(|folder| folder.is_dir()));
        };
        for (observation, _) in &self.observed {
            let path = observation.path.to_path();
            if observation.kind == AccessKind::List {
                add(&path);
            }
            add(path.parent().unwrap_or(&path));
            if observation.follow
                && let Ok(end) = path.canonicalize()
            {
                add(end.parent().unwrap_or(&end));
            }
        }
        folders
    }

    /// The first path that is other than it was after the run; `None` while all is as it was.
    #[must_use]
    pub fn difference(&self, store: &Store) -> Option<Bytes> {
        let mut observer = Observer::new(&self.declarations, store.known());
        let differs =
            |(observation, before): &&(Observation, InputState)| observer.state(observation) != *before;
        self.observed.iter().find(differs).map(|(observation, _)| observation.path.clone())
    }

    /// A path that somebody else changed after `barrier`, a [`files::clock_barrier`] from before the run, so that the run may have
    /// seen what was there before. Of a listing this can't be told from what the run itself did in the folder.
    #[must_use]
    pub fn changed_since(&self, barrier: i128) -> Option<Bytes> {
        let is_others = |(observation, _): &&(Observation, InputState)| {
            let path = &observation.path;
            let made_below = || bytes::ancestors(path).any(|above| self.changed.contains(above));
            let identity = files::identity(&path.to_path(), observation.follow);
            let changed = identity.is_ok_and(|now| match observation.kind {
                AccessKind::Missing => true,
                AccessKind::List => false,
                _ => now.file_type != FileType::Directory && now.ctime_ns >= barrier,
            });
            changed && !made_below()
        };
        self.observed.iter().find(is_others).map(|(observation, _)| observation.path.clone())
    }
}
