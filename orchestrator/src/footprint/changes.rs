//! What a run changed, by physical place, and what became of it.

use std::collections::{BTreeMap, HashMap, HashSet};

use platform::files::{self, FileType, Identity};
use shm_protocol::access::{AccessKind, Before};

use super::places::Places;
use super::uncacheable::actor;
use super::{Uncacheable, is_device, is_unobserved};
use crate::archive::{Left, Look};
use crate::bytes;
use crate::declarations::Declarations;
use crate::fingerprint::{Digest, InputState, entries};
use crate::trace::{Changes as Times, PathAccess, PathId, ProcessId, Trace};

/// All changes of one run to one place.
#[derive(Clone, Debug)]
pub(super) struct Change {
    /// Who changed it first.
    pub(super) process: ProcessId,
    /// What stood there before the first change.
    pub(super) before: Before,
    /// The content of the regular file that stood there, where it could be had.
    old: Option<Digest>,
    /// Its extended attributes, likewise.
    pub(super) old_attributes: Option<Digest>,
    /// What stands there now, itself and not what it points to.
    pub(super) now: Option<Identity>,
    /// Whether it is declared to be no output.
    pub(super) ignored: bool,
    /// How the run looked at it before it changed its content: set while inputs are judged.
    pub(super) look: Look,
    pub(super) first_ns: u64,
    replaced_ns: Option<u64>,
    modified_ns: Option<u64>,
    pub(super) metadata_ns: Option<u64>,
    /// Whether it was seen to be a symbolic link by something that changed it.
    was_link: bool,
    /// How often something was put there.
    makes: u32,
    fate: Fate,
}

/// What became of a changed place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// Nothing: it stood there all along, and the call failed or changed nothing.
    Unchanged,
    /// It was not there, was, and is no longer.
    Temporary,
    /// It was there and is gone.
    Deleted,
    /// It is what it was, but for its metadata.
    Metadata,
    /// The run put there what is there.
    Made,
}

impl Change {
    pub(super) fn fate(&self) -> Fate {
        self.fate
    }

    /// The regular file that stood there before, as an access of this kind observes it, where its content is known.
    pub(super) fn old_state(&self, kind: AccessKind) -> Option<InputState> {
        let Before::File(mode) = self.before else { return None };
        let mode_counts = (kind != AccessKind::Read).then_some(mode);
        Some(InputState::File { digest: self.old?, mode: mode_counts })
    }

    /// Whether this is the content of what stood there before.
    pub(super) fn is_old_content(&self, state: &InputState) -> bool {
        self.old.is_some_and(|old| matches!(state, InputState::File { digest, .. } if *digest == old))
    }

    /// Whether what is left is what was there, as far as permission bits tell.
    pub(super) fn same_mode(&self, left: &Left) -> bool {
        let Left::Mode(mode) = left else { return false };
        matches!(self.before, Before::File(before) | Before::Directory(before) if before == *mode)
    }

    /// When its content was first changed.
    pub(super) fn content_ns(&self) -> Option<u64> {
        [self.replaced_ns, self.modified_ns].into_iter().flatten().min()
    }

    /// Whether what stood there showed through a change: it was changed in place before it was replaced.
    pub(super) fn builds_on_before(&self) -> bool {
        self.before != Before::Absent
            && self.fate != Fate::Unchanged
            && self.modified_ns.is_some_and(|at| self.replaced_ns.is_none_or(|replaced| at <= replaced))
    }

    /// Whether the run would have built on what stood there, and came to what it did because nothing was: it
    /// appended to a new file, for one. A file that stays empty, such as a lock, is the same either way.
    pub(super) fn builds_on_nothing(&self) -> bool {
        let empty = self.now.is_none_or(|now| now.file_type == FileType::File && now.size == 0);
        self.before == Before::Absent
            && self.fate == Fate::Made
            && !empty
            && self.modified_ns.is_some_and(|at| self.replaced_ns.is_none_or(|replaced| at <= replaced))
    }

    fn settle(&self, started: i128) -> Fate {
        let touched = self.now.is_none_or(|now| now.ctime_ns >= started);
        match (self.before, self.now) {
            (Before::Absent, None) => Fate::Temporary,
            (Before::Absent, Some(_)) => Fate::Made,
            (_, None) => Fate::Deleted,
            // Linux stamps the status change time of what it changes, creates or moves. What carries an older
            // one has been there all along: the observer foretold a success that did not come.
            (_, Some(_)) if !touched => Fate::Unchanged,
            (Before::Directory(mode), Some(now)) if now.file_type == FileType::Directory => {
                // Its entries are places of their own.
                if self.modified_ns.is_some() {
                    Fate::Made
                } else if u32::from(mode) == now.mode {
                    Fate::Unchanged
                } else {
                    Fate::Metadata
                }
            }
            (_, Some(_)) if self.content_ns().is_none() => Fate::Metadata,
            (_, Some(_)) => Fate::Made,
        }
    }
}

/// Everything that a run changed.
pub(super) struct Changes {
    by_place: BTreeMap<Vec<u8>, Change>,
    /// The directories in which something was changed, each with the names that are outputs.
    children: HashMap<Vec<u8>, Vec<Vec<u8>>>,
    /// Device and inode of the files that the run put somewhere.
    made: HashSet<(u64, u64)>,
}

impl Changes {
    /// Gathers the changes of a trace and looks what became of them.
    ///
    /// # Errors
    /// What came of them cannot be told.
    pub(super) fn of(
        trace: &Trace,
        started: i128,
        declarations: &Declarations,
        places: &mut Places,
    ) -> Result<Self, Uncacheable> {
        let mut changes = Self { by_place: BTreeMap::new(), children: HashMap::new(), made: HashSet::new() };
        let old_contents: HashMap<PathId, Digest> = trace.old_contents.iter().copied().collect();
        let old_attributes: HashMap<PathId, Digest> = trace.old_attributes.iter().copied().collect();
        let mut through_links = Vec::new();
        let mut moved_folders = Vec::new();
        for access in trace.accesses.iter().filter(|access| !access.kind.observes() && !access.is_name_only())
        {
            let named = trace.path(access.path);
            if is_unobserved(named) {
                continue;
            }
            let times = access.changes.unwrap_or(Times {
                before: Before::Unknown,
                replaced_ns: Some(access.first_ns),
                modified_ns: None,
                metadata_ns: None,
            });
            let of_path = |all: &HashMap<PathId, Digest>| all.get(&access.path).copied();
            let old = (of_path(&old_contents), of_path(&old_attributes));
            let entry = places.entry(named);
            let ignored =
                |place: &[u8]| declarations.ignore_output(named) || declarations.ignore_output(place);
            let followed = access.follow && entry.is(FileType::Symlink);
            if followed {
                let end = places.end(&entry);
                // What was seen may have been the link.
                let before = if access.no_follow { Before::Unknown } else { times.before };
                let ignored = ignored(&end.path);
                changes.add(&end.path, access, Times { before, ..times }, old, ignored);
                through_links.push((entry.path.clone(), end.path));
            }
            if !followed || access.no_follow {
                if access.kind == AccessKind::Delete
                    && matches!(times.before, Before::Directory(_) | Before::Unknown)
                {
                    moved_folders.push(entry.path.clone());
                }
                let ignored = ignored(&entry.path);
                changes.add(&entry.path, access, times, old, ignored);
            }
        }
        changes.by_place.retain(|place, change| {
            change.now = files::identity(&files::path_of(place), false).ok();
            let other = change.before == Before::Other
                || change.now.is_some_and(|identity| identity.file_type == FileType::Other);
            !(is_unobserved(place) || other && is_device(place))
        });
        // The link that something was changed through is itself the run's: what it led to then is not known.
        for (link, end) in through_links {
            if changes.by_place.contains_key(&link)
                && let Some(change) = changes.by_place.get_mut(&end)
            {
                change.before = Before::Unknown;
            }
        }
        for (place, change) in &mut changes.by_place {
            change.fate = change.settle(started);
            let gone = change.fate == Fate::Deleted && change.before == Before::Unknown;
            // What is older than the run was there when the observer met nothing: its name led elsewhere then.
            let older =
                change.before == Before::Absent && change.now.is_some_and(|now| now.ctime_ns < started);
            if (gone || older) && !change.ignored {
                return Err(Uncacheable::UnknownBefore {
                    path: place[..].into(),
                    process: actor(trace, change.process),
                });
            }
        }
        changes.add_moved(trace, started, declarations, &moved_folders)?;
        for (place, change) in &changes.by_place {
            let names = changes.children.entry(bytes::parent(place).unwrap_or(b"/").to_vec()).or_default();
            if let (Fate::Made, Some(now)) = (change.fate, change.now)
                && now.file_type == FileType::File
            {
                changes.made.insert((now.device, now.inode));
            }
            if matches!(change.fate, Fate::Made | Fate::Deleted) {
                names.push(bytes::name(place).to_vec());
            }
        }
        Ok(changes)
    }

    fn add(
        &mut self,
        place: &[u8],
        access: &PathAccess,
        times: Times,
        old: (Option<Digest>, Option<Digest>),
        ignored: bool,
    ) {
        let Times { before, replaced_ns, modified_ns, metadata_ns } = times;
        let at =
            [replaced_ns, modified_ns, metadata_ns].into_iter().flatten().min().unwrap_or(access.first_ns);
        // A time is missing where nothing was changed but by coming to be.
        let replaced_ns = replaced_ns.or((modified_ns.or(metadata_ns).is_none()).then_some(at));
        let change = self.by_place.entry(place.to_vec()).or_insert(Change {
            process: access.process,
            before,
            old: None,
            old_attributes: None,
            now: None,
            ignored,
            look: Look::None,
            first_ns: at,
            replaced_ns: None,
            modified_ns: None,
            metadata_ns: None,
            was_link: false,
            makes: 0,
            fate: Fate::Unchanged,
        });
        if at < change.first_ns {
            (change.first_ns, change.before, change.process) = (at, before, access.process);
        } else if at == change.first_ns && before != change.before {
            change.before = Before::Unknown;
        }
        let earliest =
            |known: &mut Option<u64>, new: Option<u64>| *known = [*known, new].into_iter().flatten().min();
        earliest(&mut change.replaced_ns, replaced_ns);
        earliest(&mut change.modified_ns, modified_ns);
        earliest(&mut change.metadata_ns, metadata_ns);
        change.old = change.old.or(old.0);
        change.old_attributes = change.old_attributes.or(old.1);
        change.ignored |= ignored;
        change.was_link |= before == Before::Symlink;
        if access.kind == AccessKind::Write && replaced_ns.is_some() {
            change.makes = change.makes.saturating_add(access.count);
        }
    }

    /// Adds what came to its place with a folder that was renamed: the trace names it as it was called when it
    /// was made. Only what the run made can be told; anything else in such a folder is someone else's, or older.
    fn add_moved(
        &mut self,
        trace: &Trace,
        started: i128,
        declarations: &Declarations,
        moved_folders: &[Vec<u8>],
    ) -> Result<(), Uncacheable> {
        if moved_folders.is_empty() {
            return Ok(());
        }
        let mut made_below: HashSet<&[u8]> = HashSet::new();
        for (place, _) in self.by_place.iter().filter(|(_, change)| change.fate == Fate::Temporary) {
            for folder in moved_folders {
                if place.len() > folder.len() && bytes::is_within(place, folder) {
                    made_below.insert(&place[folder.len()..]);
                }
            }
        }
        let mut found: Vec<(Vec<u8>, Change)> = Vec::new();
        let is_new_folder = |change: &Change| {
            let folder = change.now.is_some_and(|now| now.file_type == FileType::Directory);
            folder
                && change.replaced_ns.is_some()
                && !matches!(change.before, Before::File(_) | Before::Symlink)
        };
        for (place, change) in self.by_place.iter().filter(|(_, change)| is_new_folder(change)) {
            let mut folders = vec![place.clone()];
            while let Some(folder) = folders.pop() {
                // A folder that can't be read holds nothing that the run could have put there and read.
                for (name, file_type) in entries(&files::path_of(&folder)).unwrap_or_default() {
                    let path = bytes::join(&folder, &name);
                    if self.by_place.contains_key(&path) {
                        continue;
                    }
                    if file_type == FileType::Directory {
                        folders.push(path.clone());
                    }
                    let now = files::identity(&files::path_of(&path), false).ok();
                    let below = &path[place.len()..];
                    let made = below
                        .iter()
                        .enumerate()
                        .any(|(at, byte)| *byte == b'/' && made_below.contains(&below[at..]));
                    let process = actor(trace, change.process);
                    match now {
                        None => {}
                        Some(_) if made => {
                            let ignored = change.ignored || declarations.ignore_output(&path);
                            let moved = Change {
                                before: Before::Absent,
                                now,
                                ignored,
                                fate: Fate::Made,
                                ..change.clone()
                            };
                            found.push((path, moved));
                        }
                        Some(now) if now.ctime_ns < started && change.before == Before::Absent => {
                            return Err(Uncacheable::FolderMoved { path: place[..].into(), process });
                        }
                        Some(now) if now.ctime_ns >= started && file_type != FileType::Directory => {
                            return Err(Uncacheable::ChangedMeanwhile { path: path[..].into(), process });
                        }
                        Some(_) => {}
                    }
                }
            }
        }
        self.by_place.extend(found);
        Ok(())
    }

    pub(super) fn get(&self, place: &[u8]) -> Option<&Change> {
        self.by_place.get(place)
    }

    pub(super) fn get_mut(&mut self, place: &[u8]) -> Option<&mut Change> {
        self.by_place.get_mut(place)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&Vec<u8>, &Change)> {
        self.by_place.iter()
    }

    /// The names in a directory that the run made, replaced or deleted, sorted; `None` where it changed nothing.
    pub(super) fn names_in(&self, directory: &[u8]) -> Option<&[Vec<u8>]> {
        self.children.get(directory).map(Vec::as_slice)
    }

    /// Whether `place` is a folder that the run made for nothing but what is ignored.
    pub(super) fn is_way_to_ignored(&self, place: &[u8]) -> bool {
        let is_made_folder = |change: &Change| {
            change.fate == Fate::Made && change.now.is_some_and(|now| now.file_type == FileType::Directory)
        };
        let start = [place, b"/"].concat();
        let mut below = self
            .by_place
            .range(start.clone()..)
            .take_while(|(below, _)| below.starts_with(&start))
            .map(|(_, change)| change)
            .peekable();
        self.get(place).is_some_and(is_made_folder)
            && below.peek().is_some()
            && below.all(|change| change.ignored || is_made_folder(change))
    }

    /// Whether the run left this file under a name that it gave it, by link(2) or rename(2) for one.
    pub(super) fn made_link_to(&self, device: u64, inode: u64) -> bool {
        self.made.contains(&(device, inode))
    }

    /// Whether nothing was at `place` before the run because a directory above it was not there.
    pub(super) fn made_above(&self, place: &[u8]) -> bool {
        bytes::ancestors(place)
            .skip(1)
            .any(|above| self.get(above).is_some_and(|change| change.before == Before::Absent))
    }

    /// The links of which it is no longer known, from some time before or always, where they led to.
    pub(super) fn lost_links(&self) -> LostLinks {
        let mut lost = HashMap::new();
        for (place, change) in &self.by_place {
            if !change.was_link || matches!(change.fate, Fate::Unchanged | Fate::Metadata) {
                continue;
            }
            let is_link = change.now.is_some_and(|now| now.file_type == FileType::Symlink);
            let until =
                if is_link && change.makes <= 1 { change.content_ns().unwrap_or(u64::MAX) } else { u64::MAX };
            lost.insert(place.clone(), until);
        }
        LostLinks { until: lost, folders: HashMap::new() }
    }
}

/// Links that are gone or lead elsewhere: what was reached through one of them until then is not known.
pub(super) struct LostLinks {
    until: HashMap<Vec<u8>, u64>,
    /// For each directory, the lost link on the way to it that was there for longest.
    folders: HashMap<Vec<u8>, Option<(Vec<u8>, u64)>>,
}

impl LostLinks {
    /// The lost link that an access walked through, if any.
    pub(super) fn on_the_way(
        &mut self,
        path: &[u8],
        access: &PathAccess,
        places: &mut Places,
    ) -> Option<Vec<u8>> {
        if self.until.is_empty() {
            return None;
        }
        let at_end = access.follow.then(|| self.at(path, places)).flatten();
        let above = bytes::parent(path).and_then(|parent| self.above(parent, places));
        [at_end, above]
            .into_iter()
            .flatten()
            .find(|(_, until)| access.first_ns <= *until)
            .map(|(link, _)| link)
    }

    /// Whether one of these places was a lost link when a way with `..` was taken over them.
    pub(super) fn among<'e>(&self, entries: &'e [Vec<u8>], first_ns: u64) -> Option<&'e [u8]> {
        let lost = |entry: &&Vec<u8>| self.until.get(*entry).is_some_and(|until| first_ns <= *until);
        entries.iter().find(lost).map(Vec::as_slice)
    }

    fn at(&self, path: &[u8], places: &mut Places) -> Option<(Vec<u8>, u64)> {
        self.until.get_key_value(&places.entry(path).path).map(|(link, until)| (link.clone(), *until))
    }

    fn above(&mut self, folder: &[u8], places: &mut Places) -> Option<(Vec<u8>, u64)> {
        if let Some(known) = self.folders.get(folder) {
            return known.clone();
        }
        let own = self.at(folder, places);
        let above = bytes::parent(folder).and_then(|parent| self.above(parent, places));
        let longest = [own, above].into_iter().flatten().max_by_key(|(_, until)| *until);
        self.folders.insert(folder.to_vec(), longest.clone());
        longest
    }
}
