//! Keeping a run: its records, and how they refer to each other.

use serde::{Deserialize, Serialize};
use shm_protocol::record::Exit;

use super::records::{Found, Record};
use super::seen::Seen;
use super::{RunId, RunRecord, Store, StoreError};
use crate::archive::Output;
use crate::bytes::Bytes;
use crate::fingerprint::{Digest, Fingerprint, InputState, Observation, PathSet};
use crate::footprint::{Actor, Footprint, Inputs};
use crate::task::{ActionKey, KeyParts, Task};
use crate::wire;

/// How many path sets are kept for an action key.
const MOST_SETS: usize = 16;
/// How many results of a path set are looked at.
const MOST_RESULTS: usize = 32;

/// Where terminal output went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// A piece of terminal output, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputChunk {
    /// Where it went.
    pub stream: Stream,
    /// What it was.
    pub bytes: Vec<u8>,
}

/// What was kept of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept {
    /// The key it is kept under.
    pub action_key: ActionKey,
    /// What it saw.
    pub fingerprint: Fingerprint,
    /// About how many bytes keeping it took.
    pub bytes: u64,
}

/// A kept run, as people may want to know it.
#[derive(Clone, Debug)]
pub struct KeptRun {
    /// The run.
    pub run: RunId,
    /// How long it took, milliseconds.
    pub wall_ms: u64,
    /// What it observed, what that came to, and who did so first.
    pub inputs: Vec<(Observation, InputState, Actor)>,
    /// What it changed.
    pub outputs: Vec<Output>,
    /// The names in each listing, by its digest.
    pub(super) listings: Vec<(Digest, Vec<Bytes>)>,
}

/// All that is known for one action key.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct KeyRecord {
    /// Newest first.
    pub(super) sets: Vec<KnownSet>,
}

/// A path set, and the runs that observed it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct KnownSet {
    pub(super) set: Digest,
    /// Newest first.
    pub(super) results: Vec<Fingerprint>,
}

impl Record for KeyRecord {
    const FOLDER: &'static str = "keys";
    const KIND: u8 = 1;
}

impl Record for PathSet {
    const FOLDER: &'static str = "sets";
    const KIND: u8 = 2;
}

/// What came of a run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ResultRecord {
    pub(crate) run: RunId,
    pub(crate) path_set: Digest,
    #[serde(with = "wire::exit")]
    pub(crate) exit: Exit,
    pub(crate) outputs: Vec<Output>,
    /// All terminal output, one piece after the other.
    pub(crate) terminal: Option<(Digest, u64)>,
    /// Stream and length of each piece.
    pub(crate) chunks: Vec<(Stream, u64)>,
    /// How long it took, milliseconds.
    pub(crate) wall_ms: u64,
    /// When it began, by the clock of the file system, nanoseconds since 1970.
    pub(crate) started_ns: u64,
}

/// What each observation of a run came to, and who made it: only to tell what made another run differ.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Details {
    pub(crate) states: Vec<InputState>,
    pub(crate) readers: Vec<u32>,
    pub(crate) actors: Vec<Actor>,
    /// The names in each listing, by its digest.
    pub(crate) listings: Vec<(Digest, Vec<Bytes>)>,
    /// The run.
    pub(crate) run: RunId,
}

impl Record for Details {
    const FOLDER: &'static str = "details";
    const KIND: u8 = 8;
}

impl Record for ResultRecord {
    const FOLDER: &'static str = "results";
    const KIND: u8 = 3;
}

/// The last kept run of a command line.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct LastRun {
    pub(super) run: RunId,
    /// Its action key, taken apart.
    pub(super) parts: KeyParts,
}

impl Record for LastRun {
    const FOLDER: &'static str = "commands";
    const KIND: u8 = 4;
}

/// The records of one kept run.
pub(super) struct Records<'r> {
    pub(super) result: &'r ResultRecord,
    pub(super) details: &'r Details,
    pub(super) seen: &'r Seen,
    pub(super) path_set: &'r PathSet,
}

impl Store {
    /// Keeps what a run saw and made.
    ///
    /// # Errors
    /// The store can't be written to, or an output is no longer what it was when it was judged. Nothing that was
    /// kept before suffers.
    pub fn keep(
        &self,
        task: &Task,
        footprint: &Footprint,
        terminal: &[OutputChunk],
        run: &RunRecord,
    ) -> Result<Kept, StoreError> {
        let outputs = &footprint.outputs.changed;
        let whole: Vec<u8> = terminal.iter().flat_map(|chunk| &chunk.bytes).copied().collect();
        let printed = (!whole.is_empty()).then(|| Digest::of(&whole));
        let added = self.keep_contents(outputs, printed.map(|digest| (digest, &whole[..])))?;
        let Inputs { path_set, states, variables, readers, actors, listings } = &footprint.inputs;
        let (action_key, set) = (task.action_key(), path_set.digest());
        let fingerprint = Fingerprint::new(action_key, set, states, variables);
        let result = ResultRecord {
            run: run.id,
            path_set: set,
            exit: run.exit,
            outputs: outputs.clone(),
            terminal: printed.map(|digest| (digest, whole.len() as u64)),
            chunks: terminal.iter().map(|chunk| (chunk.stream, chunk.bytes.len() as u64)).collect(),
            wall_ms: run.wall_ms,
            started_ns: u64::try_from(footprint.started).unwrap_or_default(),
        };
        let details = Details {
            states: states.clone(),
            readers: readers.clone(),
            actors: actors.clone(),
            listings: listings.clone(),
            run: run.id,
        };
        let seen = Seen::of(path_set, states, variables, self.known(), footprint.started);
        let records = Records { result: &result, details: &details, seen: &seen, path_set };
        self.keep_records(task, fingerprint, &records)?;
        // Records are not measured: a row of 64 bytes, a path and a state for each observation, and what is always there.
        let bytes = added + 160 * states.len() as u64 + 4096;
        Ok(Kept { action_key, fingerprint, bytes })
    }

    /// Writes what refers to contents, which are there.
    pub(super) fn keep_records(
        &self,
        task: &Task,
        fingerprint: Fingerprint,
        records: &Records<'_>,
    ) -> Result<(), StoreError> {
        let Records { result, details, seen, path_set } = *records;
        let (name, set) = (fingerprint.0.to_string(), result.path_set);
        self.write_record(&name, result)?;
        self.write_record(&name, details)?;
        self.write_record(&name, seen)?;
        if !self.record_path::<PathSet>(&set.to_string()).exists() {
            self.write_record(&set.to_string(), path_set)?;
        }
        self.add_to_key(task.action_key(), set, fingerprint)?;
        let last = LastRun { run: result.run, parts: task.key_parts() };
        self.write_record(&task.command().to_string(), &last)
    }

    /// The kept run of a fingerprint; `None` where it is no longer kept.
    ///
    /// # Errors
    /// The store can't be read.
    pub fn kept_run(&self, fingerprint: Fingerprint) -> Result<Option<KeptRun>, StoreError> {
        let name = fingerprint.0.to_string();
        let Some(result) = self.read_record::<ResultRecord>(&name)?.whole() else { return Ok(None) };
        let Some(path_set) = self.read_record::<PathSet>(&result.path_set.to_string())?.whole() else {
            return Ok(None);
        };
        let Some(details) = self.read_record::<Details>(&name)?.whole() else { return Ok(None) };
        let Details { states, readers, actors, listings, .. } = details;
        let actor = |reader: u32| actors.get(reader as usize).cloned().unwrap_or_default();
        let inputs = path_set.observations.into_iter().zip(states).zip(readers);
        let inputs =
            inputs.map(|((observation, state), reader)| (observation, state, actor(reader))).collect();
        let (run, wall_ms) = (result.run, result.wall_ms);
        Ok(Some(KeptRun { run, wall_ms, inputs, outputs: result.outputs, listings }))
    }

    /// Puts a path set in front. Another process may do so at the same time: one of the two is lost, which
    /// costs a run.
    fn add_to_key(&self, key: ActionKey, set: Digest, fingerprint: Fingerprint) -> Result<(), StoreError> {
        let name = key.0.to_string();
        let mut record = match self.read_record::<KeyRecord>(&name)? {
            Found::Whole(record) => record,
            Found::Missing | Found::Damaged => KeyRecord::default(),
        };
        let known =
            record.sets.iter().position(|known| known.set == set).map(|index| record.sets.remove(index));
        let mut results = known.map_or_else(Vec::new, |known| known.results);
        results.retain(|known| *known != fingerprint);
        results.insert(0, fingerprint);
        results.truncate(MOST_RESULTS);
        record.sets.insert(0, KnownSet { set, results });
        record.sets.truncate(MOST_SETS);
        self.write_record(&name, &record)
    }
}
