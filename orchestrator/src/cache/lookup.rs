//! Looking a task up: is there a kept run that saw what a run would see now, and if not, why not?

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use platform::files::FileType;
use shm_protocol::access::Before;
use shm_protocol::record::Exit;

use super::contents::Contents;
use super::keep::{KeyRecord, LastRun, ResultRecord};
use super::miss::{Difference, MissReason, Missed};
use super::records::Found;
use super::seen::{Compared, Glance, Seen};
use super::{OutputChunk, RunId, Store, StoreError};
use crate::archive::{self, InPlace, Left, Mtime, Output, Past, RestoreError, Restored, Standing};
use crate::bytes::{self, Bytes};
use crate::declarations::{BadGlob, Declarations};
use crate::fingerprint::{Digest, Fingerprint, Observer, PathSet, entries};
use crate::runner::Variables;
use crate::task::{ActionKey, Task};

/// What a look-up came to.
#[derive(Debug)]
pub enum Lookup {
    /// A kept run saw the same.
    Hit(Box<Entry>),
    /// There is none.
    Miss(Missed),
}

/// A kept run that saw what a run would see now.
#[derive(Debug)]
pub struct Entry {
    action_key: ActionKey,
    fingerprint: Fingerprint,
    path_set: PathSet,
    result: ResultRecord,
    /// For each output that is in place already, as what.
    in_place: Vec<Option<InPlace>>,
    newest_input_ns: i128,
}

impl Entry {
    /// The key it is kept under.
    #[must_use]
    pub fn action_key(&self) -> ActionKey {
        self.action_key
    }

    /// What it saw.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// The run that was kept.
    #[must_use]
    pub fn run(&self) -> RunId {
        self.result.run
    }

    /// How its command ended.
    #[must_use]
    pub fn exit(&self) -> Exit {
        self.result.exit
    }

    /// How long it took.
    #[must_use]
    pub fn wall(&self) -> Duration {
        Duration::from_millis(self.result.wall_ms)
    }

    /// What it observed.
    #[must_use]
    pub fn path_set(&self) -> &PathSet {
        &self.path_set
    }

    /// What it changed.
    #[must_use]
    pub fn outputs(&self) -> &[Output] {
        &self.result.outputs
    }

    /// Its terminal output.
    ///
    /// # Errors
    /// The store no longer holds it: the command is to be run instead.
    pub fn terminal(&self, store: &Store) -> Result<Vec<OutputChunk>, RestoreError> {
        let read = |(digest, size)| self.contents(store).read(digest, size);
        let whole = self.result.terminal.map_or_else(|| Ok(Vec::new()), read)?;
        let mut rest = &whole[..];
        let mut chunks = Vec::new();
        for &(stream, length) in &self.result.chunks {
            let length = usize::try_from(length).unwrap_or(usize::MAX).min(rest.len());
            let (bytes, after) = rest.split_at(length);
            chunks.push(OutputChunk { stream, bytes: bytes.to_vec() });
            rest = after;
        }
        Ok(chunks)
    }

    /// Makes the file system what the kept run left; what is so already is not touched. Take
    /// [`Entry::terminal`] first: once outputs have been put back there is no reason left to fail.
    ///
    /// # Errors
    /// The store lacks a content, there is no room, or a path can't be changed: the command is to be run instead. What was
    /// changed by then is as before, as far as that could be done.
    pub fn restore(&self, store: &Store, mtime: Mtime) -> Result<Restored, RestoreError> {
        let started_ns = self.result.started_ns.into();
        let past = Past { started_ns, newest_input_ns: self.newest_input_ns };
        archive::restore(&self.contents(store), &self.result.outputs, &self.in_place, past, mtime)
    }

    fn contents<'s>(&self, store: &'s Store) -> Contents<'s> {
        Contents::of(store, &self.result.outputs, self.result.terminal)
    }
}

impl From<BadGlob> for StoreError {
    fn from(error: BadGlob) -> Self {
        Self::Glob(error)
    }
}

/// How many of the newest kept runs are compared in all that a glance shows, so that a miss is explained by the nearest of them: who
/// goes back to an older state and changes something there is not told of both.
const NEAREST: usize = 3;

impl Store {
    /// Looks for a kept run that saw what a run of `task` would see now.
    ///
    /// # Errors
    /// The store can't be read, or was written by another version; damage alone is a miss.
    pub fn look_up(&self, task: &Task) -> Result<Lookup, StoreError> {
        let key = task.action_key();
        let record = match self.read_record::<KeyRecord>(&key.0.to_string())? {
            Found::Whole(record) => record,
            Found::Damaged => return Ok(Lookup::Miss(Missed::because(MissReason::Damaged))),
            Found::Missing => return Ok(Lookup::Miss(self.other_key(task)?)),
        };
        let own = Declarations::of(task)?;
        let mut observer = Observer::new(&own, self.known());
        let (mut outputs, mut inputs) = (Missed::default(), Missed::default());
        let (mut compared, mut fewest) = (0, 0);
        let mut damaged = false;
        for known in &record.sets {
            let Some(path_set) = self.read_record::<PathSet>(&known.set.to_string())?.whole() else {
                damaged = true;
                continue;
            };
            // What the tools of those runs ignored.
            let declarations = own.with(&path_set.declared);
            observer.declare(declarations.clone());
            let variables = path_set.variables(task);
            let mut glance = Glance::new(&path_set);
            let mut same = None;
            for &fingerprint in &known.results {
                let seen = match self.read_record::<Seen>(&fingerprint.0.to_string())? {
                    Found::Whole(seen) if seen.is_of(&path_set) => seen,
                    _ => {
                        damaged = true;
                        continue;
                    }
                };
                let is_first = inputs.reasons.is_empty();
                let tells = compared < NEAREST;
                compared += 1;
                if seen.variables != variables {
                    if is_first && let Some(result) = self.result(fingerprint, known.set)? {
                        inputs.reasons =
                            other_answers(&seen.variables, &variables, task.named_inputs.is_some());
                        inputs.against = Some(result.run);
                    }
                    continue;
                }
                match glance.compare(&seen, &mut observer, tells) {
                    Compared::Same(renewed) => {
                        if let Some(renewed) = renewed {
                            // Where it can't be written, the next look-up has more to read.
                            let _ = self.write_record(&fingerprint.0.to_string(), &renewed);
                        }
                        same = Some(fingerprint);
                        break;
                    }
                    Compared::Differs(differing) if is_first || tells && differing.len() < fewest => {
                        fewest = differing.len();
                        inputs = self.differences(&path_set, fingerprint, &differing, &mut observer)?;
                    }
                    Compared::Differs(_) => {}
                }
            }
            let Some(fingerprint) = same else { continue };
            let Some(result) = self.result(fingerprint, known.set)? else {
                damaged = true;
                continue;
            };
            match self.outputs_in_place(&result, &record, &declarations, &mut observer)? {
                Ok(in_place) => {
                    self.touch(&fingerprint.0.to_string());
                    let newest_input_ns = glance.newest(&in_place);
                    let entry =
                        Entry { action_key: key, fingerprint, path_set, result, in_place, newest_input_ns };
                    return Ok(Lookup::Hit(Box::new(entry)));
                }
                Err(reasons) => {
                    outputs.reasons.extend(reasons);
                    outputs.against.get_or_insert(result.run);
                }
            }
        }
        // A run that saw the same, and would be a hit but for its outputs, is nearer than one that saw another.
        let mut missed = if outputs.reasons.is_empty() { inputs } else { outputs };
        if damaged {
            missed.reasons.push(MissReason::Damaged);
        }
        if missed.reasons.is_empty() {
            missed.reasons.push(MissReason::Unknown);
        }
        Ok(Lookup::Miss(missed))
    }

    fn result(&self, fingerprint: Fingerprint, set: Digest) -> Result<Option<ResultRecord>, StoreError> {
        let result = self.read_record::<ResultRecord>(&fingerprint.0.to_string())?.whole();
        Ok(result.filter(|result| result.path_set == set))
    }

    /// For each output what it is if it is in place, or which of them stand in the way.
    fn outputs_in_place(
        &self,
        result: &ResultRecord,
        record: &KeyRecord,
        declarations: &Declarations,
        observer: &mut Observer<'_>,
    ) -> Result<Result<Vec<Option<InPlace>>, Vec<MissReason>>, StoreError> {
        if let Some(path) = stranger(&result.outputs, declarations, observer) {
            return Ok(Err(vec![MissReason::Stranger { path }]));
        }
        let mut in_place = Vec::with_capacity(result.outputs.len());
        let mut unknown = Vec::new();
        for output in &result.outputs {
            let size = output.left.content().map(|(_, size)| size);
            let standing = Standing::at(&output.path, observer, size.as_slice());
            in_place.push(output.in_place(&standing, observer));
            if !(output.accepts(&standing) && output.has_attributes(observer)) {
                unknown.push(output);
            }
        }
        if let Some(output) = linked(&result.outputs, &in_place, observer) {
            return Ok(Err(vec![MissReason::Output { path: output.path.clone() }]));
        }
        if unknown.is_empty() {
            return Ok(Ok(in_place));
        }
        // What another run of this task left there may stand there as well.
        let mut others: Vec<Output> = Vec::new();
        for known in &record.sets {
            for &other in &known.results {
                let Some(other) = self.result(other, known.set)? else {
                    continue;
                };
                others.extend(other.outputs.into_iter().filter(|output| output.left.is_whole()));
            }
        }
        unknown.retain(|output| {
            let left: Vec<&Output> = others.iter().filter(|other| other.path == output.path).collect();
            let sizes: Vec<u64> = left.iter().filter_map(|other| Some(other.left.content()?.1)).collect();
            let standing = Standing::at(&output.path, observer, &sizes);
            let is_left = |other: &&Output| other.left.is(&standing) && other.has_attributes(observer);
            !(output.left.is_whole() && left.iter().any(is_left))
        });
        let reasons: Vec<MissReason> =
            unknown.into_iter().map(|output| MissReason::Output { path: output.path.clone() }).collect();
        Ok(if reasons.is_empty() { Ok(in_place) } else { Err(reasons) })
    }

    /// Why the action key is not known: what it has other than that of the last kept run of the same command.
    fn other_key(&self, task: &Task) -> Result<Missed, StoreError> {
        let Some(last) = self.read_record::<LastRun>(&task.command().to_string())?.whole() else {
            return Ok(Missed::because(MissReason::FirstRun));
        };
        let (last, against) = (last.parts, Some(last.run));
        let now = task.key_parts();
        let mut reasons = Vec::new();
        reasons.extend(other_variables(
            std::slice::from_ref(&last.variables),
            std::slice::from_ref(&now.variables),
        ));
        if last.umask != now.umask {
            reasons.push(MissReason::Umask { before: last.umask, now: now.umask });
        }
        let other = |limit: &&(String, u64)| !last.limits.contains(limit);
        reasons.extend(
            now.limits.iter().filter(other).map(|(name, _)| MissReason::Limit { name: name.clone() }),
        );
        if last.stdin != now.stdin {
            reasons.push(MissReason::Stdin);
        }
        if last.inherited != now.inherited {
            reasons.push(MissReason::Inherited);
        }
        if last.terminal != now.terminal {
            reasons.push(MissReason::Terminal);
        }
        // A toolchain may be there in one of them only.
        let differing = |those: &[(String, Digest)], other: &[(String, Digest)]| -> BTreeSet<String> {
            let differs = |setting: &&(String, Digest)| !other.contains(setting);
            those.iter().filter(differs).map(|(name, _)| name.clone()).collect()
        };
        let both = &differing(&now.settings, &last.settings) | &differing(&last.settings, &now.settings);
        reasons.extend(both.into_iter().map(|name| MissReason::Setting { name }));
        if last.place != now.place {
            reasons.push(MissReason::Place);
        }
        if reasons.is_empty() {
            reasons.push(MissReason::Unknown);
        }
        Ok(Missed { reasons, against })
    }
}

/// The variables that are others than they were, and the named inputs, which come last where there are any.
fn other_answers(before: &[Variables], now: &[Variables], has_named: bool) -> Vec<MissReason> {
    let variables = now.len() - usize::from(has_named);
    let [before, now] = [before, now].map(|all| all.split_at(variables.min(all.len())));
    let mut reasons = other_variables(before.0, now.0);
    let named = |name, difference| MissReason::Named { path: name, difference };
    reasons.extend(others(before.1, now.1, named));
    reasons
}

/// The variables that are others than they were, those that are set now first; each once.
fn other_variables(before: &[Variables], now: &[Variables]) -> Vec<MissReason> {
    others(before, now, |name, difference| MissReason::Variable { name, difference })
}

fn others(
    before: &[Variables],
    now: &[Variables],
    reason: impl Fn(Bytes, Difference) -> MissReason,
) -> Vec<MissReason> {
    let mut reasons = Vec::new();
    let mut tell = |name: &Bytes, difference| {
        let reason = reason(name.clone(), difference);
        if !reasons.contains(&reason) {
            reasons.push(reason);
        }
    };
    for (before, now) in before.iter().zip(now) {
        let value = |list: &Variables, name: &Bytes| {
            list.iter().find(|(known, _)| known == name).map(|(_, value)| *value)
        };
        for (name, new) in now {
            match value(before, name) {
                None => tell(name, Difference::Appeared),
                Some(old) if old != *new => tell(name, Difference::Content),
                Some(_) => {}
            }
        }
        for (name, _) in before.iter().filter(|(name, _)| value(now, name).is_none()) {
            tell(name, Difference::Disappeared);
        }
    }
    reasons
}

/// A file that would have to be replaced and has another name that is no output: a run that writes to it in place would
/// change what is under that one, too.
fn linked<'o>(
    outputs: &'o [Output],
    in_place: &[Option<InPlace>],
    observer: &mut Observer<'_>,
) -> Option<&'o Output> {
    let mut file = |output: &Output| {
        let now = observer.identity(&output.path, false).ok()?;
        (now.file_type == FileType::File && now.links > 1).then_some((now.device, now.inode, now.links))
    };
    let is_wrong =
        |(output, now): &(&Output, &Option<InPlace>)| now.is_none() && output.left.content().is_some();
    let wrong = outputs.iter().zip(in_place).filter(is_wrong);
    let linked: Vec<_> = wrong.filter_map(|(output, _)| Some((output, file(output)?))).collect();
    if linked.is_empty() {
        return None;
    }
    let mut names: HashMap<_, u64> = HashMap::new();
    for file in outputs.iter().filter_map(file) {
        *names.entry(file).or_default() += 1;
    }
    linked.into_iter().find_map(|(output, file)| (names.get(&file) < Some(&file.2)).then_some(output))
}

/// Something in a folder that a run made which is none of its outputs: the folder is not as the run left it, and a
/// run that found it might do anything about what is in it.
fn stranger(outputs: &[Output], declarations: &Declarations, observer: &mut Observer<'_>) -> Option<Bytes> {
    let is_made =
        |output: &&Output| output.before == Before::Absent && matches!(output.left, Left::Directory { .. });
    let is_own = |path: &[u8]| outputs.binary_search_by(|output| (*output.path).cmp(path)).is_ok();
    for folder in outputs.iter().filter(is_made) {
        let standing = observer.identity(&folder.path, false);
        if standing.is_ok_and(|identity| identity.file_type == FileType::Directory) {
            for (name, _) in entries(&folder.path.to_path()).unwrap_or_default() {
                let path = bytes::join(&folder.path, &name);
                // A tool that ignores what it finds in a folder that it empties leaves nothing else in it.
                let ignored = declarations.ignore_input(&path)
                    && !declarations.is_told_to_ignore_input(&path)
                    || declarations.ignore_output(&path);
                if !is_own(&path) && !ignored {
                    return Some(path.into());
                }
            }
        }
    }
    None
}
