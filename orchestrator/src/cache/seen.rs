//! How each observation of a kept run stood: what tells by one look at each path that all is as it was.

use std::collections::HashSet;
use std::sync::OnceLock;
use std::time::{SystemTime, UNIX_EPOCH};

use platform::files::{self, FileType, Identity};
use serde::{Deserialize, Serialize};
use shm_protocol::access::AccessKind;

use super::contents::in_parallel;
use super::known::{KnownDigests, boot};
use super::records::Record;
use crate::archive::InPlace;
use crate::bytes::Bytes;
use crate::fingerprint::{Digest, Framed, InputState, Observation, Observer, PathSet, refusal};
use crate::runner::Variables;

/// A tag and a stamp.
const ROW: usize = 16 + 6 * 8;
/// How many paths are looked at before what they come to is compared: few at first, since most misses show early.
const FIRST_GLANCE: usize = 512;
/// How many are looked at then, by several threads.
const GLANCE: usize = 32 << 10;
/// Fewer than these are not worth a thread.
const WORTH_A_THREAD: usize = 2048;

/// What a look at an observation's path tells without reading anything: what it is, and for what has to be read to be
/// known, its identity. Equal stamps are equal states, if what has the first was settled when it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp([u64; 6]);

impl Stamp {
    /// Nothing that could be relied on: equal to none that is taken.
    const NONE: Self = Self([0; 6]);

    fn of(observation: &Observation, now: &Result<Identity, InputState>) -> Self {
        let identity = match now {
            Ok(identity) => identity,
            Err(state) => return Self([word(state), 0, 0, 0, 0, 0]),
        };
        let mode = u64::from(identity.mode) << 8;
        let (word, whole) = match (observation.kind, identity.file_type) {
            _ if observation.attributes => (ATTRIBUTES, true),
            (AccessKind::List, FileType::Directory) => (LISTING, true),
            (AccessKind::Missing | AccessKind::List, _) => (PRESENT, false),
            (AccessKind::Read, FileType::Directory) => (DIRECTORY, false),
            (_, FileType::Directory) => (DIRECTORY_MODE | mode, false),
            (_, FileType::Symlink) => (SYMLINK, true),
            (_, FileType::Other) => (OTHER, false),
            (AccessKind::Read, FileType::File) => (FILE, true),
            (_, FileType::File) => (FILE_MODE | mode, true),
        };
        if !whole {
            return Self([word, 0, 0, 0, 0, 0]);
        }
        let Identity { device, inode, size, mtime_ns, ctime_ns, .. } = *identity;
        Self([word, device, inode, size, mtime_ns as u64, ctime_ns as u64])
    }

    /// Whether what had this stamp when it was known is another thing now, without having to be read.
    fn excludes(self, now: Self) -> bool {
        let is_file = matches!(self.0[0] & 0xff, FILE | FILE_MODE);
        self != Self::NONE && (self.0[0] != now.0[0] || is_file && self.0[3] != now.0[3])
    }

    /// Whether it is a file of another size, so that its content need not be read to know that it changed.
    fn excludes_by_size(self, now: Self) -> bool {
        self.excludes(now) && self.0[0] == now.0[0]
    }
}

const ABSENT: u64 = 1;
const REFUSED: u64 = 2;
const PRESENT: u64 = 3;
const LISTING: u64 = 4;
const DIRECTORY: u64 = 5;
const DIRECTORY_MODE: u64 = 6;
const SYMLINK: u64 = 7;
const OTHER: u64 = 8;
const FILE: u64 = 9;
const FILE_MODE: u64 = 10;
const UNREADABLE: u64 = 11;
const NO_FOLDER: u64 = 12;
const ATTRIBUTES: u64 = 13;

/// What a state is, as the first word of a stamp.
fn word(state: &InputState) -> u64 {
    match state {
        InputState::Absent => ABSENT,
        InputState::Refused => REFUSED,
        InputState::Present => PRESENT,
        InputState::Listing(_) => LISTING,
        InputState::Directory { mode: None } => DIRECTORY,
        InputState::Directory { mode: Some(mode) } => DIRECTORY_MODE | u64::from(*mode) << 8,
        InputState::Symlink { .. } => SYMLINK,
        InputState::Other => OTHER,
        InputState::File { mode: None, .. } | InputState::Trusted { mode: None, .. } => FILE,
        InputState::File { mode: Some(mode), .. } | InputState::Trusted { mode: Some(mode), .. } => {
            FILE_MODE | u64::from(*mode) << 8
        }
        InputState::Unreadable { .. } => UNREADABLE,
        InputState::NoFolder => NO_FOLDER,
        InputState::Attributes(_) => ATTRIBUTES,
    }
}

/// What tells one state from another.
fn tag(state: &InputState) -> [u8; 16] {
    let mut digest = Framed::new("tracerun state");
    state.add_to(&mut digest);
    let mut tag = [0; 16];
    tag.copy_from_slice(&digest.finish().0[..16]);
    tag
}

/// How the observations of a kept run stood when it was kept, or when it was last found to be as it was.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Seen {
    /// Stamps of another boot tell nothing.
    boot: Digest,
    rows: Bytes,
    /// What the queries for variables came to.
    pub(super) variables: Vec<Variables>,
}

impl Record for Seen {
    const FOLDER: &'static str = "seen";
    const KIND: u8 = 7;
}

fn this_boot() -> Digest {
    static BOOT: OnceLock<Digest> = OnceLock::new();
    *BOOT.get_or_init(boot)
}

impl Seen {
    /// How a run that observed `set` left what it observed, where that is still what it came to. What had not changed for
    /// some time at `started` was read since.
    pub(super) fn of(
        set: &PathSet,
        states: &[InputState],
        variables: &[Variables],
        known: &KnownDigests,
        started: i128,
    ) -> Self {
        let mut rows = Vec::with_capacity(states.len() * ROW);
        let mut looked = Looked::default();
        for (observation, state) in set.observations.iter().zip(states) {
            let now = looked.at(observation);
            let stamp = Stamp::of(observation, now);
            let is_settled = match (now, state) {
                (Ok(now), InputState::File { digest, .. }) => known.get(now) == Some(*digest),
                (
                    Ok(now),
                    InputState::Listing(_) | InputState::Symlink { .. } | InputState::Attributes(_),
                ) => known.was_settled(&observation.path.to_path(), now, started),
                _ => true,
            };
            let stamp = if is_settled && stamp.0[0] == word(state) { stamp } else { Stamp::NONE };
            rows.extend(row(tag(state), stamp));
        }
        Self { boot: this_boot(), rows: rows.into(), variables: variables.to_vec() }
    }

    /// Whether it is of a run with as many observations as this.
    pub(super) fn is_of(&self, set: &PathSet) -> bool {
        self.rows.len() == set.observations.len() * ROW
    }

    fn stamp(&self, index: usize) -> Stamp {
        if self.boot != this_boot() {
            return Stamp::NONE;
        }
        let mut stamp = Stamp::NONE;
        for (word, bytes) in stamp.0.iter_mut().zip(self.rows[index * ROW + 16..].chunks_exact(8)) {
            *word = bytes.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte));
        }
        stamp
    }

    fn tag(&self, index: usize) -> &[u8] {
        &self.rows[index * ROW..][..16]
    }
}

fn row(tag: [u8; 16], stamp: Stamp) -> impl Iterator<Item = u8> {
    tag.into_iter().chain(stamp.0.into_iter().flat_map(u64::to_le_bytes))
}

/// A look at one path after the other; at one that is observed in several ways, once.
#[derive(Default)]
struct Looked<'s> {
    at: Option<&'s Observation>,
    now: Option<Result<Identity, InputState>>,
}

impl<'s> Looked<'s> {
    fn at(&mut self, observation: &'s Observation) -> &Result<Identity, InputState> {
        let again = self.at.is_some_and(|at| at.path == observation.path && at.follow == observation.follow);
        if !again {
            self.now = None;
        }
        self.at = Some(observation);
        self.now.get_or_insert_with(|| {
            files::identity(&observation.path.to_path(), observation.follow).map_err(|error| refusal(&error))
        })
    }
}

/// The observations of a path set as they stand now, looked at as far as need be.
pub(super) struct Glance<'s> {
    set: &'s PathSet,
    stamps: Vec<Stamp>,
}

/// What the comparison of a kept run with the present comes to.
pub(super) enum Compared {
    /// All is as it was; if some of it had to be read to know that, how it stands now.
    Same(Option<Seen>),
    /// These observations, by index, are not: all that could be told without reading, or else the first that was read.
    Differs(Vec<Differs>),
}

/// An observation that is not what it was.
#[derive(Clone, Copy)]
pub(super) struct Differs {
    pub(super) index: usize,
    /// It is a file of another size.
    pub(super) by_size: bool,
}

impl<'s> Glance<'s> {
    pub(super) fn new(set: &'s PathSet) -> Self {
        Self { set, stamps: Vec::with_capacity(set.observations.len()) }
    }

    /// Compares the present with a kept run. With `all`, everything that is seen at a glance to differ is told, not only
    /// the first.
    pub(super) fn compare(&mut self, seen: &Seen, observer: &mut Observer<'_>, all: bool) -> Compared {
        let (mut suspects, mut differing) = (Vec::new(), Vec::new());
        observer.look_for(self.set.observations.iter());
        for index in 0..self.set.observations.len() {
            let (before, now) = (seen.stamp(index), self.stamp(index));
            if before.excludes(now) {
                differing.push(Differs { index, by_size: before.excludes_by_size(now) });
                if !all {
                    break;
                }
            } else if before != now {
                suspects.push(index);
            }
        }
        if !differing.is_empty() {
            return Compared::Differs(differing);
        }
        // A directory's entries change with what is in it: a file says more.
        suspects.sort_by_key(|&index| self.set.observations[index].kind == AccessKind::List);
        let mut renewed = Vec::new();
        for index in suspects {
            let observation = &self.set.observations[index];
            let (state, stamp) = read(observation, observer);
            if tag(&state)[..] != *seen.tag(index) {
                return Compared::Differs(vec![Differs { index, by_size: false }]);
            }
            if stamp != Stamp::NONE {
                renewed.push((index, stamp));
            }
        }
        // That the folder for temporary files changes all the time is not worth a write each time.
        let is_listed = |index: usize| self.set.observations[index].kind == AccessKind::List;
        if renewed.iter().all(|(index, _)| is_listed(*index)) {
            return Compared::Same(None);
        }
        let mut stamps: Vec<Stamp> = (0..self.stamps.len()).map(|index| seen.stamp(index)).collect();
        for (index, stamp) in renewed {
            stamps[index] = stamp;
        }
        let mut rows = Vec::with_capacity(seen.rows.len());
        for (index, stamp) in stamps.into_iter().enumerate() {
            rows.extend_from_slice(seen.tag(index));
            rows.extend(stamp.0.into_iter().flat_map(u64::to_le_bytes));
        }
        Compared::Same(Some(Seen { boot: this_boot(), rows: rows.into(), variables: seen.variables.clone() }))
    }

    /// The newest modification time of a file among them, nanoseconds since 1970; not of the outputs among them, and not
    /// one that is yet to come.
    pub(super) fn newest(&self, outputs: &[Option<InPlace>]) -> i128 {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        let own: HashSet<(u64, u64)> = outputs.iter().flatten().map(|output| output.file).collect();
        let files = self.stamps.iter().filter(|stamp| matches!(stamp.0[0] & 0xff, FILE | FILE_MODE));
        let times = files.filter(|stamp| !own.contains(&(stamp.0[1], stamp.0[2]))).map(|stamp| stamp.0[4]);
        times.filter(|&time| u128::from(time) <= now).max().unwrap_or_default().into()
    }

    fn stamp(&mut self, index: usize) -> Stamp {
        if index >= self.stamps.len() {
            let until = if index == 0 { FIRST_GLANCE } else { index + GLANCE };
            let until = until.min(self.set.observations.len());
            let (set, stamps) = (self.set, &mut self.stamps);
            look(&set.observations[stamps.len()..until], stamps);
        }
        self.stamps[index]
    }
}

/// What an observation comes to, and how it stands if that can be relied on.
fn read(observation: &Observation, observer: &mut Observer<'_>) -> (InputState, Stamp) {
    let known = observer.known();
    let identity = observer.identity(&observation.path, observation.follow);
    // Before it is read: what changes afterwards then gets another identity.
    let settled = match (&identity, observation.kind) {
        (Ok(now), kind)
            if now.file_type == FileType::Symlink || kind == AccessKind::List || observation.attributes =>
        {
            known.is_settled(&observation.path.to_path(), now)
        }
        _ => true,
    };
    let state = observer.state(observation);
    let stamp = Stamp::of(observation, &identity);
    let settled = match (&identity, &state) {
        (Ok(now), InputState::File { digest, .. }) => known.get(now) == Some(*digest),
        _ => settled,
    };
    let stamp = if settled && stamp.0[0] == word(&state) { stamp } else { Stamp::NONE };
    (state, stamp)
}

/// Looks at many paths at once.
fn look(observations: &[Observation], stamps: &mut Vec<Stamp>) {
    let one_after_the_other = |observations: &[Observation]| -> Vec<Stamp> {
        let mut looked = Looked::default();
        observations.iter().map(|one| Stamp::of(one, looked.at(one))).collect()
    };
    stamps.extend(in_parallel(observations, WORTH_A_THREAD, one_after_the_other).into_iter().flatten());
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;
    use crate::declarations::Declarations;
    use crate::task::{Policy, StdinKey, Task};

    fn states() -> Vec<InputState> {
        let digest = Digest([7; 32]);
        vec![
            InputState::Absent,
            InputState::NoFolder,
            InputState::Trusted { size: 1, mtime_ns: 1, inode: 1, mode: None },
            InputState::Present,
            InputState::File { digest, mode: None },
            InputState::File { digest, mode: Some(0o644) },
            InputState::File { digest, mode: Some(0o755) },
            InputState::File { digest: Digest([8; 32]), mode: None },
            InputState::Unreadable { mode: 0, size: 1 },
            InputState::Unreadable { mode: 0, size: 2 },
            InputState::Directory { mode: None },
            InputState::Directory { mode: Some(0o755) },
            InputState::Listing(digest),
            InputState::Symlink { target: b"a"[..].into() },
            InputState::Symlink { target: b"b"[..].into() },
            InputState::Other,
            InputState::Refused,
        ]
    }

    #[test]
    fn every_state_has_a_tag_of_its_own() {
        let tags: std::collections::HashSet<_> = states().iter().map(tag).collect();
        assert_eq!(tags.len(), states().len());
    }

    #[test]
    fn a_stamp_is_of_the_state_that_the_observer_sees() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("file"), "x").unwrap();
        fs::create_dir(at("folder")).unwrap();
        files::symlink(Path::new("file"), &at("link")).unwrap();
        let declarations = Declarations::of(&Task {
            argv: Vec::new(),
            cwd: folder.path().to_owned(),
            root: folder.path().to_owned(),
            environment: Vec::new(),
            caller_environment: Vec::new(),
            umask: 0,
            limits: Vec::new(),
            stdin: StdinKey::Empty,
            terminal: crate::task::Terminal::default(),
            policy: Policy::default(),
            named_inputs: None,
        })
        .unwrap();
        let known = KnownDigests::default();
        let mut observer = Observer::new(&declarations, &known);
        let kinds =
            [AccessKind::Read, AccessKind::Exec, AccessKind::Stat, AccessKind::Missing, AccessKind::List];
        for name in ["file", "folder", "link", "none", "file/below"] {
            for (kind, follow) in kinds.into_iter().flat_map(|kind| [(kind, false), (kind, true)]) {
                let path = at(name).as_path().into();
                let observation = Observation::new(path, kind, follow);
                let state = observer.state(&observation);
                let stamp = Stamp::of(&observation, Looked::default().at(&observation));
                assert_eq!(stamp.0[0], word(&state), "{name} {kind:?} {follow}: {state:?}");
            }
        }
    }
}
