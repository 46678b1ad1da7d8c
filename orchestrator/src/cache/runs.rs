//! The runs of late: what was asked, what came of it, and what was seen.

use std::fmt;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use shm_protocol::record::Exit;

use super::miss::MissReason;
use super::records::{Found, Record};
use super::{Store, StoreError, unique};
use crate::bytes::Bytes;
use crate::fingerprint::Fingerprint;
use crate::footprint::{Actor, Uncacheable};
use crate::runner::Statement;
use crate::task::{ActionKey, Task};
use crate::trace::Trace;
use crate::wire;

/// How many runs are remembered.
const MOST_RUNS: usize = 200;
/// Of how many runs the trace is.
const MOST_TRACES: usize = 50;

/// One run in so many, by its random id, looks whether there are more: to list them takes as long as to write one.
const FORGET_EACH: u32 = 16;

/// The name of a run: eight hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RunId(u32);

impl RunId {
    /// The name of a run that begins now.
    #[must_use]
    pub fn new() -> Self {
        Self(u32::from_str_radix(&unique()[..8], 16).unwrap_or_default())
    }
}

impl Default for RunId {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

/// What came of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// A kept run took its place.
    Hit {
        /// What it saw.
        fingerprint: Fingerprint,
        /// The run that was kept.
        run: RunId,
    },
    /// It ran.
    Miss {
        /// Why no kept run could take its place; empty when none was looked for.
        reasons: Vec<MissReason>,
        /// The kept run that the reasons compare with.
        against: Option<RunId>,
        /// What it was kept as; `None` when it was not to be kept.
        kept: Option<Fingerprint>,
    },
    /// It ran and could not be kept.
    Uncached {
        /// Why no kept run could take its place; empty when none was looked for.
        reasons: Vec<MissReason>,
        /// The kept run that the reasons compare with.
        against: Option<RunId>,
        /// Why it was not kept.
        why: Uncacheable,
    },
    /// It ran, and the store failed it.
    StoreFailed {
        /// What the store said.
        error: String,
    },
    /// It was traced only.
    Traced,
}

/// A run to remember.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunRecord {
    /// Its name.
    pub id: RunId,
    /// When it began, milliseconds since 1970.
    pub began_ms: u64,
    /// How long it took, milliseconds.
    pub wall_ms: u64,
    /// Program and arguments.
    pub argv: Vec<Bytes>,
    /// The working directory.
    pub cwd: Bytes,
    /// Its action key.
    pub action_key: ActionKey,
    /// How the command ended.
    #[serde(with = "wire::exit")]
    pub exit: Exit,
    /// What came of it.
    pub outcome: Outcome,
    /// What its tools declared; empty for a hit, which ran none.
    pub declared: Vec<Declared>,
}

/// What a tool declared in a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Declared {
    /// What.
    pub statement: Statement,
    /// Which tool.
    pub by: Actor,
}

impl RunRecord {
    /// The record of a run of `task` that began at `began` and ends now.
    #[must_use]
    pub fn of(task: &Task, id: RunId, began: SystemTime, exit: Exit, outcome: Outcome) -> Self {
        Self {
            id,
            began_ms: began.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64,
            wall_ms: began.elapsed().unwrap_or_default().as_millis() as u64,
            argv: task.argv.iter().map(|argument| argument.as_os_str().into()).collect(),
            cwd: task.cwd.as_path().into(),
            action_key: task.action_key(),
            exit,
            outcome,
            declared: Vec::new(),
        }
    }
}

impl RunRecord {
    /// Whether it ran in this folder or below it.
    #[must_use]
    pub fn is_within(&self, folder: &Path) -> bool {
        self.cwd.to_path().starts_with(folder)
    }
}

impl Record for RunRecord {
    const FOLDER: &'static str = "runs";
    const KIND: u8 = 5;
}

impl Record for Trace {
    const FOLDER: &'static str = "traces";
    const KIND: u8 = 6;
}

/// Why a run could not be found by what a user called it.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// There is none.
    #[error("no run {name:?}: `tracerun list` shows those that are remembered")]
    Unknown {
        /// What was asked for.
        name: String,
    },
    /// There are none, or not so many, in this project.
    #[error("no such run in {within}: `tracerun list --all` shows those of every project")]
    NoneHere {
        /// The root of the project.
        within: String,
    },
    /// There are several.
    #[error("{count} runs begin with {name:?}: give more digits")]
    Ambiguous {
        /// What was asked for.
        name: String,
        /// How many.
        count: usize,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Store {
    /// Remembers a run, with its trace where it ran; forgets the oldest.
    ///
    /// # Errors
    /// The store can't be written to.
    pub fn record_run(&self, run: &RunRecord, trace: Option<&Trace>) -> Result<(), StoreError> {
        let name = format!("{:012x}-{}", run.began_ms, run.id);
        if let Some(trace) = trace {
            self.write_record(&name, trace)?;
        }
        self.write_record(&name, run)?;
        if run.id.0.is_multiple_of(FORGET_EACH) {
            self.forget::<Trace>(MOST_TRACES)?;
            self.forget::<RunRecord>(MOST_RUNS)?;
        }
        Ok(())
    }

    /// The names of the remembered runs, newest first.
    ///
    /// # Errors
    /// The store can't be read.
    pub fn run_ids(&self) -> Result<Vec<RunId>, StoreError> {
        Ok(self.names::<RunRecord>()?.iter().filter_map(|name| id_in(name)).collect())
    }

    /// The remembered runs, newest first.
    ///
    /// # Errors
    /// The store can't be read.
    pub fn runs(&self) -> Result<Vec<RunRecord>, StoreError> {
        let mut runs = Vec::new();
        for name in self.names::<RunRecord>()? {
            // One that went or was damaged meanwhile is no longer remembered.
            runs.extend(self.read_record(&name)?.whole());
        }
        Ok(runs)
    }

    /// A remembered run.
    ///
    /// # Errors
    /// It is not remembered, or the store can't be read.
    pub fn run(&self, id: RunId) -> Result<RunRecord, RunError> {
        self.found(id)
    }

    /// What a run did; `None` where it did not run, or the trace was forgotten.
    ///
    /// # Errors
    /// The store can't be read.
    pub fn trace(&self, id: RunId) -> Result<Option<Trace>, StoreError> {
        match self.found(id) {
            Ok(trace) => Ok(Some(trace)),
            Err(RunError::Store(error)) => Err(error),
            Err(_) => Ok(None),
        }
    }

    /// The run that a user calls `name`: `last`, `last~N` for the N-th before it, of those below the folder `within`, or the
    /// first digits of an id.
    ///
    /// # Errors
    /// There is none, or more than one.
    pub fn resolve(&self, name: &str, within: &Path) -> Result<RunId, RunError> {
        let unknown = || RunError::Unknown { name: name.to_owned() };
        let ids = self.run_ids()?;
        let before = match name.strip_prefix("last") {
            Some("") => Some(0),
            Some(rest) => rest.strip_prefix('~').and_then(|number| number.parse::<usize>().ok()),
            None => None,
        };
        if let Some(before) = before {
            let mut left = before;
            for name in self.names::<RunRecord>()? {
                match self.read_record::<RunRecord>(&name)?.whole() {
                    Some(run) if run.is_within(within) && left == 0 => return Ok(run.id),
                    Some(run) if run.is_within(within) => left -= 1,
                    _ => {}
                }
            }
            return Err(RunError::NoneHere { within: within.display().to_string() });
        }
        let lower = name.to_ascii_lowercase();
        let matching: Vec<RunId> = ids.into_iter().filter(|id| id.to_string().starts_with(&lower)).collect();
        match matching[..] {
            [id] => Ok(id),
            [] => Err(unknown()),
            _ if name.is_empty() => Err(unknown()),
            _ => Err(RunError::Ambiguous { name: name.to_owned(), count: matching.len() }),
        }
    }

    fn found<R: Record>(&self, id: RunId) -> Result<R, RunError> {
        let name = self.names::<R>()?.into_iter().find(|name| id_in(name) == Some(id));
        let found = name.map(|name| self.read_record::<R>(&name)).transpose()?;
        found.and_then(Found::whole).ok_or_else(|| RunError::Unknown { name: id.to_string() })
    }

    /// The names of the records of one kind, newest first.
    fn names<R: Record>(&self) -> Result<Vec<String>, StoreError> {
        let folder = self.record_path::<R>("");
        let failed = |error| StoreError::io(&folder, "read this folder")(error);
        let entries = match fs::read_dir(&folder) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(failed)?,
        };
        let mut names = Vec::new();
        for entry in entries {
            let name = entry.map_err(failed)?.file_name();
            names.extend(name.to_str().filter(|name| id_in(name).is_some()).map(str::to_owned));
        }
        names.sort_unstable_by(|one, other| other.cmp(one));
        Ok(names)
    }

    fn forget<R: Record>(&self, keep: usize) -> Result<(), StoreError> {
        for name in self.names::<R>()?.iter().skip(keep) {
            let path = self.record_path::<R>(name);
            match fs::remove_file(&path) {
                // Another process forgets as well.
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    return Err(StoreError::io(&path, "remove it")(error));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// The id in the name of a record: what follows the time.
fn id_in(name: &str) -> Option<RunId> {
    let (time, id) = name.split_once('-')?;
    u64::from_str_radix(time, 16).ok()?;
    (id.len() == 8).then(|| u32::from_str_radix(id, 16).ok().map(RunId)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fingerprint::Digest;

    fn store() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        (folder, store)
    }

    fn run(id: u32, began_ms: u64) -> RunRecord {
        RunRecord {
            id: RunId(id),
            began_ms,
            wall_ms: 5,
            argv: vec![b"cc"[..].into()],
            cwd: b"/p"[..].into(),
            action_key: ActionKey(Digest([0; 32])),
            exit: Exit::Code(0),
            outcome: Outcome::Miss { reasons: vec![MissReason::FirstRun], against: None, kept: None },
            declared: Vec::new(),
        }
    }

    #[test]
    fn runs_come_newest_first_and_go_by_the_names_people_use() {
        let (_folder, store) = store();
        assert!(store.runs().unwrap().is_empty());
        for (id, began) in [(0xaa11_0000, 1000), (0xaa22_0000, 3000), (0xbb00_0000, 2000)] {
            store.record_run(&run(id, began), None).unwrap();
        }
        let ids: Vec<String> = store.runs().unwrap().iter().map(|run| run.id.to_string()).collect();
        assert_eq!(ids, ["aa220000", "bb000000", "aa110000"]);
        assert_eq!(store.run(RunId(0xbb00_0000)).unwrap(), run(0xbb00_0000, 2000));
        for (name, id) in
            [("last", "aa220000"), ("last~1", "bb000000"), ("b", "bb000000"), ("AA1", "aa110000")]
        {
            assert_eq!(store.resolve(name, Path::new("/p")).unwrap().to_string(), id, "{name}");
        }
        let elsewhere = store.resolve("last", Path::new("/q"));
        assert!(matches!(elsewhere, Err(RunError::NoneHere { .. })));
        assert!(matches!(store.resolve("aa", Path::new("/p")), Err(RunError::Ambiguous { count: 2, .. })));
        for name in ["", "last~3", "last~x", "lasting", "c"] {
            assert!(store.resolve(name, Path::new("/p")).is_err(), "{name}");
        }
    }

    #[test]
    fn a_trace_comes_back_with_its_run() {
        let (_folder, store) = store();
        let trace = Trace { paths: [b"/a\xff"].into_iter().collect(), dropped: 3, ..Trace::default() };
        store.record_run(&run(1, 1), Some(&trace)).unwrap();
        store.record_run(&run(2, 2), None).unwrap();
        let kept = store.trace(RunId(1)).unwrap().unwrap();
        assert_eq!((kept.paths, kept.dropped), (trace.paths, 3));
        assert!(store.trace(RunId(2)).unwrap().is_none());
    }

    #[test]
    fn the_oldest_runs_are_forgotten() {
        let (_folder, store) = store();
        for id in 0..MOST_RUNS as u32 + 3 {
            store.record_run(&run(id * FORGET_EACH, u64::from(id)), None).unwrap();
        }
        let runs = store.run_ids().unwrap();
        assert_eq!(runs.len(), MOST_RUNS);
        assert_eq!(runs.last(), Some(&RunId(3 * FORGET_EACH)));
    }
}
