//! Looking a task up on a server, and making what is found there a run of the local store.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use platform::files;
use shm_protocol::access::AccessKind;

use super::place::Root;
use super::progress::Direction;
use super::records::{Index, Local, SharedSet, decode, strong, weak};
use super::transport::{RemoteError, each_in_parallel, fetch as fetch_content, read, read_unverified};
use super::wire::Blob;
use super::{MOST_SETS, Remote};
use crate::archive::Left;
use crate::cache::{Arrived, Contents, Difference, MissReason, Missed, ResultRecord, Store};
use crate::declarations::Declarations;
use crate::fingerprint::{Digest, InputState, Observer};
use crate::runner::Variables;
use crate::task::Task;

/// What a server made of a look-up.
#[derive(Debug)]
pub(super) enum Fetched {
    /// The store now has a run that saw what one would see now.
    Kept,
    /// It has none; why, if it has one of the same task.
    Nothing(Option<Missed>),
}

/// The longest path set or index that is read, in bytes.
const LONGEST: u64 = 256 << 20;

/// Looks for a run that saw what a run of `task` would see now, and keeps it in the store.
pub(super) fn fetch(remote: &Remote, task: &Task, store: &Store) -> Result<Fetched, RemoteError> {
    let nothing = Ok(Fetched::Nothing(None));
    let Some(root) = Root::of(task) else { return nothing };
    let until = Instant::now() + remote.settings.timeout;
    let weak = weak(task, &root);
    let Some(known) = remote.result(weak.blob, until)? else { return nothing };
    let local = |error: &dyn std::fmt::Display| RemoteError::Local(error.to_string());
    let own = Declarations::of(task).map_err(|error| local(&error))?;
    // What is read from now on, and has not changed since, need not be read again.
    let started = files::clock_barrier(&store.path().join(".clock")).map_err(|error| local(&error))?;
    let mut observer = Observer::new(&own, store.known());
    let (mut missed, mut wrong) = (None, None);
    for pair in known.chunks_exact(2).take(MOST_SETS) {
        let set: SharedSet = match contained(remote, pair[0], until) {
            Ok(Some(set)) => set,
            Ok(None) => continue,
            Err(error @ RemoteError::Wrong(_)) => {
                wrong = Some(error);
                continue;
            }
            Err(error) => return Err(error),
        };
        if let Some(reason) = elsewhere(&set, &root) {
            missed.get_or_insert(Missed { reasons: vec![reason], against: None });
            continue;
        }
        let here = set.at(&root);
        observer.declare(own.with(&here.declared));
        let states = here.observe(&mut observer, &HashMap::new());
        let variables = here.path_set().variables(task);
        if let Some(path) = here.other_find(&states) {
            let reason = MissReason::Above { path: path.clone() };
            missed.get_or_insert(Missed { reasons: vec![reason], against: None });
            continue;
        }
        let strong = strong(&weak, pair[0].digest, &root, &states[..here.shared()], &variables);
        let result = remote.result(strong.blob, until)?;
        let Some(&[index]) = result.as_deref() else {
            if missed.is_none() {
                missed = contained::<Index>(remote, pair[1], until)
                    .ok()
                    .flatten()
                    .and_then(|index| differences(&here, &index, &states, &root));
            }
            continue;
        };
        let index = match contained::<Index>(remote, index, until) {
            Ok(index) => index.filter(|index| index.key == strong.blob.digest),
            Err(error @ RemoteError::Wrong(_)) => {
                wrong = Some(error);
                None
            }
            Err(error) => return Err(error),
        };
        let Some(index) = index else { continue };
        let found = Found { remote, store, root: &root, started };
        match found.keep(task, &here, states, variables, index) {
            Ok(true) => return Ok(Fetched::Kept),
            Ok(false) => {}
            Err(error @ RemoteError::Wrong(_)) => wrong = Some(error),
            Err(error) => return Err(error),
        }
    }
    wrong.map_or(Ok(Fetched::Nothing(missed)), Err)
}

/// What a content holds; `None` where there is none, or it is none of ours.
fn contained<T: serde::de::DeserializeOwned>(
    remote: &Remote,
    blob: Blob,
    until: Instant,
) -> Result<Option<T>, RemoteError> {
    if blob.size > LONGEST {
        return Ok(None);
    }
    Ok(read(&*remote.transport, blob, until)?.and_then(|bytes| decode(&bytes)))
}

/// Why a set means nothing in this checkout.
fn elsewhere(set: &SharedSet, root: &Root) -> Option<MissReason> {
    let tie = set.tied.as_ref().filter(|tie| *tie.root != *root.path())?;
    Some(MissReason::Tied { path: root.unmask(&tie.by).into(), root: tie.root.clone() })
}

/// The first observation that came to something else in the newest run: what changes most is told last.
fn differences(here: &Local, index: &Index, states: &[InputState], root: &Root) -> Option<Missed> {
    let each = here.observations.iter().zip(states).zip(&index.states).enumerate();
    let differing = each.filter_map(|(at, ((observation, now), before))| {
        let before = root.unmasked_state(before);
        (before != *now).then_some((at, observation, before, now))
    });
    let (at, observation, before, now) = differing.min_by_key(|(_, one, ..)| one.kind == AccessKind::List)?;
    let reader = index.readers.get(at).and_then(|&reader| index.actors.get(reader as usize));
    let reason = MissReason::Input {
        path: observation.path.clone(),
        difference: Difference::between(&before, now),
        kind: observation.kind,
        reader: reader.map(|actor| root.unmasked_actor(actor)).unwrap_or_default(),
    };
    Some(Missed { reasons: vec![reason], against: None })
}

/// A run that was found, on its way into the store.
struct Found<'f> {
    remote: &'f Remote,
    store: &'f Store,
    root: &'f Root,
    started: i128,
}

impl Found<'_> {
    /// Keeps it; says whether all of it was there, and made sense.
    fn keep(
        &self,
        task: &Task,
        here: &Local,
        states: Vec<InputState>,
        variables: Vec<Variables>,
        index: Index,
    ) -> Result<bool, RemoteError> {
        let until = Instant::now() + self.remote.settings.transfer_timeout;
        let Index { mut result, templates, readers, actors, pack, large, .. } = index;
        let total = pack.iter().chain(large.iter().map(|(_, blob)| blob)).map(|blob| blob.size).sum();
        let transfer = self.remote.transfer(Direction::Fetched, total);
        let bytes = match pack {
            // The index was verified, and it says what each content in the pack is: to take the digest of the whole as well takes
            // longer than to fetch it.
            Some(blob) => match read_unverified(&transfer, blob, until)? {
                Some(bytes) => bytes,
                None => return Ok(false),
            },
            None => Vec::new(),
        };
        let mut small = match Contents::taken_apart(&result.outputs, result.terminal, &bytes) {
            Some(small) => small,
            None => return pack.map_or(Ok(false), |blob| Err(RemoteError::Wrong(blob.digest))),
        };
        let Some(()) = self.unmask(&mut result, &templates, &mut small) else { return Ok(false) };
        let is_whole = AtomicBool::new(true);
        each_in_parallel(&large, |(digest, blob)| {
            let mut there = Ok(true);
            let kept = self.store.keep_arrived(*digest, blob.size, |file| {
                there = fetch_content(&transfer, *blob, file, until);
                match &there {
                    Ok(true) => Ok(()),
                    _ => Err(std::io::ErrorKind::NotFound.into()),
                }
            });
            if !there? {
                is_whole.store(false, Ordering::Relaxed);
                return Ok(());
            }
            kept.map_err(|error| RemoteError::Local(error.to_string()))
        })?;
        drop(transfer);
        if !is_whole.into_inner() {
            return Ok(false);
        }
        let path_set = here.path_set();
        let at: HashMap<_, _> = here.observations.iter().enumerate().map(|(at, one)| (one, at)).collect();
        let place = |one| at.get(one).copied().unwrap_or_default();
        let states: Vec<InputState> =
            path_set.observations.iter().map(|one| states[place(one)].clone()).collect();
        let readers = path_set
            .observations
            .iter()
            .map(|one| readers.get(place(one)).copied().unwrap_or_default())
            .collect();
        let arrived = Arrived {
            actors: actors.iter().map(|actor| self.root.unmasked_actor(actor)).collect(),
            path_set,
            states,
            variables,
            readers,
            result,
            small: &small,
            started: self.started,
        };
        let kept = self.store.keep_run_of_others(task, arrived);
        kept.map_err(|error| RemoteError::Local(error.to_string()))?;
        Ok(true)
    }

    /// Makes a result one of this checkout; `None` if it would reach out of the root, or lacks a content.
    fn unmask(
        &self,
        result: &mut ResultRecord,
        templates: &[u32],
        small: &mut HashMap<Digest, Cow<'_, [u8]>>,
    ) -> Option<()> {
        let root = self.root;
        let unmasked = |small: &mut HashMap<Digest, Cow<'_, [u8]>>, digest: &Digest| {
            let text = root.unmask(small.get(digest)?);
            let (digest, size) = (Digest::of(&text), text.len() as u64);
            small.insert(digest, text.into());
            Some((digest, size))
        };
        for (number, output) in result.outputs.iter_mut().enumerate() {
            output.path = root.unmask_path(&output.path)?;
            if let Some(first) = &mut output.link_to {
                *first = root.unmask_path(first)?;
            }
            match &mut output.left {
                Left::Symlink { target } => *target = root.unmask(target).into(),
                Left::File { digest, size, .. } if templates.contains(&(number as u32)) => {
                    (*digest, *size) = unmasked(small, digest)?;
                }
                _ => {}
            }
        }
        if !result.outputs.is_sorted_by(|one, other| one.path < other.path) {
            return None;
        }
        let Some((digest, _)) = result.terminal else { return Some(()) };
        // What was printed is always masked piece by piece.
        let printed = small.get(&digest)?.clone();
        let (mut rest, mut whole) = (&printed[..], Vec::new());
        for (_, length) in &mut result.chunks {
            let (chunk, after) = rest.split_at_checked(usize::try_from(*length).ok()?)?;
            let text = root.unmask(chunk);
            (*length, rest) = (text.len() as u64, after);
            whole.extend(text);
        }
        let digest = Digest::of(&whole);
        result.terminal = Some((digest, whole.len() as u64));
        small.insert(digest, whole.into());
        Some(())
    }
}
