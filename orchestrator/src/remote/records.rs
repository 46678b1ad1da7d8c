//! What a server holds of runs: path sets and results with the root masked, and the keys by which they are found.

use std::collections::{HashMap, HashSet};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::place::{Location, Look, Root};
use super::wire::{Blob, Key, Sha};
use crate::bytes::Bytes;
use crate::cache::ResultRecord;
use crate::fingerprint::{Digest, Framed, InputState, Observation, Observer, PathSet};
use crate::footprint::Actor;
use crate::runner::{Statement, Variables};
use crate::task::Task;
use platform::files;

/// Begins every content of ours; the number is the version of their form.
const MAGIC: &[u8] = b"tracerun shared 1\n";

/// A run that depended on where its checkout lay: it is found by every checkout, and is a hit only in that place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Tie {
    /// The root.
    pub(super) root: Bytes,
    /// What names it, masked.
    pub(super) by: Bytes,
}

/// A path set, wherever the root lies.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SharedSet {
    /// Sorted, each once.
    pub(super) looks: Vec<Look>,
    /// What its tools declared, paths masked.
    pub(super) declared: Vec<Statement>,
    /// If something was searched for in one folder above the root after the other: how many folders the root lay in. Where there
    /// are more the search would go on longer: see [`Local::beyond`].
    pub(super) depth: Option<u32>,
    pub(super) tied: Option<Tie>,
}

/// The observations that a shared set stands for in this checkout, look by look.
pub(super) struct Local {
    pub(super) observations: Vec<Observation>,
    /// The last observations are those of folders that a search would come to in this checkout and did not come to in that of
    /// the run. Each must come to what the outermost one of that search did: its index.
    pub(super) beyond: Vec<usize>,
    pub(super) declared: Vec<Statement>,
}

/// What came of a run, with the root masked.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Index {
    /// The key under which it is kept: a server that gives another result for a key is found out.
    pub(super) key: Sha,
    /// Paths are masked. Contents that are templates are described as such.
    pub(super) result: ResultRecord,
    /// Indices of the outputs that are templates: text in which the root is masked.
    pub(super) templates: Vec<u32>,
    /// What each observation of the shared set came to, and who made it.
    pub(super) states: Vec<InputState>,
    pub(super) readers: Vec<u32>,
    pub(super) actors: Vec<Actor>,
    /// The small contents, each once, in the order of outputs, and what was printed last.
    pub(super) pack: Option<Blob>,
    /// The large ones.
    pub(super) large: Vec<(Digest, Blob)>,
}

pub(super) fn encode<T: Serialize>(record: &T) -> Result<Vec<u8>, postcard::Error> {
    postcard::to_extend(record, MAGIC.to_vec())
}

pub(super) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    postcard::from_bytes(bytes.strip_prefix(MAGIC)?).ok()
}

/// The key of the path sets that are known of a task, in whatever checkout.
pub(super) fn weak(task: &Task, root: &Root) -> Key {
    let mut salt = Framed::new("tracerun/weak/1");
    salt.digest(root.masked_task(task).action_key().0);
    // Another name for the working directory is one of this machine.
    salt.field(task.logical_cwd().map_or(b"", |name| files::bytes_of(name)));
    Key::of(&salt.finish().0)
}

/// The key of the result of a run that saw this.
pub(super) fn strong(
    weak: &Key,
    set: Sha,
    root: &Root,
    states: &[InputState],
    variables: &[Variables],
) -> Key {
    let mut salt = Framed::new("tracerun/strong/1");
    salt.field(&weak.blob.digest.0).field(&set.0).number(states.len() as u64);
    for state in states {
        root.masked_state(state).add_to(&mut salt);
    }
    for found in variables {
        salt.number(found.len() as u64);
        for (name, value) in found {
            // Named inputs are told by their paths.
            salt.field(&root.mask_path(name)).digest(*value);
        }
    }
    Key::of(&salt.finish().0)
}

impl SharedSet {
    /// A path set whose observations came to `states`, seen from the root.
    pub(super) fn of(set: &PathSet, states: &[InputState], root: &Root, tied: Option<Tie>) -> Self {
        let each = set.observations.iter().zip(states);
        let mut looks: Vec<Look> = each.filter_map(|(one, state)| root.look(one, state)).collect();
        looks.sort();
        looks.dedup();
        let is_searched = !searches(&looks).is_empty();
        let declared = set.declared.iter().map(|said| with_path(said, |path| root.mask_path(path))).collect();
        Self { looks, declared, depth: is_searched.then(|| root.depth()), tied }
    }

    /// What the set stands for in a checkout.
    pub(super) fn at(&self, root: &Root) -> Local {
        let (mut observations, mut places) = (Vec::new(), Vec::new());
        for look in &self.looks {
            places.push(observations.len());
            observations.extend(root.observations(look));
        }
        let deeper = self.depth.map_or(0, |depth| root.depth().saturating_sub(depth));
        let searches = if deeper > 0 { searches(&self.looks) } else { Vec::new() };
        let mut beyond = Vec::new();
        for (at, levels) in searches {
            for further in levels + 1..=levels + deeper {
                observations
                    .extend(root.further_up(&self.looks[at], further).inspect(|_| beyond.push(places[at])));
            }
        }
        let declared =
            self.declared.iter().map(|said| with_path(said, |path| root.unmask(path).into())).collect();
        Local { observations, beyond, declared }
    }
}

impl Local {
    /// How many of the observations are those of the run.
    pub(super) fn shared(&self) -> usize {
        self.observations.len() - self.beyond.len()
    }

    /// The first folder in which a search that went on longer here would find something else.
    pub(super) fn other_find(&self, states: &[InputState]) -> Option<&Bytes> {
        let further = self.observations.iter().zip(states).skip(self.shared()).zip(&self.beyond);
        let mut differing = further.filter(|((_, state), outermost)| **state != states[**outermost]);
        differing.next().map(|((one, _), _)| &one.path)
    }

    /// As the store keeps it.
    pub(super) fn path_set(&self) -> PathSet {
        let mut observations = self.observations.clone();
        observations.sort();
        observations.dedup();
        PathSet { observations, declared: self.declared.clone() }
    }

    /// What each observation comes to; those whose state is known are not looked at, but for listings, of which what
    /// counts may depend on the others.
    pub(super) fn observe(
        &self,
        observer: &mut Observer<'_>,
        known: &HashMap<&Observation, &InputState>,
    ) -> Vec<InputState> {
        observer.look_for(self.observations.iter());
        let mut state = |one: &Observation| match known.get(one).filter(|_| !one.loose) {
            Some(state) => (*state).clone(),
            None => observer.state(one),
        };
        self.observations.iter().map(&mut state).collect()
    }
}

/// The outermost looks, by their indices and levels, of each search in one folder after the other: the same was looked for one folder further
/// down, at the root at last, and not one further up.
fn searches(looks: &[Look]) -> Vec<(usize, u32)> {
    let level = |look: &Look| match &look.at {
        Location::Inside(rest) => Some((0, rest.clone())),
        Location::Above { levels, rest, .. } => Some((*levels, rest.clone())),
        Location::Elsewhere(_) => None,
    };
    let known: HashSet<(u32, Bytes)> = looks.iter().filter_map(level).collect();
    let outermost = |(at, look): (usize, &Look)| match &look.at {
        Location::Above { levels, rest, .. }
            if known.contains(&(levels - 1, rest.clone()))
                && !known.contains(&(levels + 1, rest.clone())) =>
        {
            Some((at, *levels))
        }
        _ => None,
    };
    looks.iter().enumerate().filter_map(outermost).collect()
}

fn with_path(said: &Statement, change: impl Fn(&[u8]) -> Bytes) -> Statement {
    match said {
        Statement::IgnoreInput(path) => Statement::IgnoreInput(change(path)),
        Statement::IgnoreOutput(path) => Statement::IgnoreOutput(change(path)),
        other => other.clone(),
    }
}
