//! The accesses of a run, merged: one for each process, path and kind.

use hashbrown::HashMap;
use platform::files::{self, FileType};
use shm_protocol::access::{AccessKind, Change, Effect};

use super::numbered::{Keyed, Numbered, NumberedPaths};
use super::{Changes, PathAccess, PathId, ProcessId};

/// The accesses, in order of their first record.
#[derive(Default)]
pub(super) struct Accesses {
    accesses: Numbered<Merged>,
}

/// Up to how many paths that were opened are all looked at to tell directories from files. Of more, only those are
/// that were listed, or that have something below them that was touched: a look costs as much as the run's own.
pub(super) const MOST_LOOKS: usize = 1024;

/// Who touched what, in which way.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Touch {
    image: u32,
    path: PathId,
    kind: AccessKind,
}

/// The accesses of one image to one path in one way.
pub(super) struct Merged {
    touch: Touch,
    pub(super) follow: bool,
    pub(super) no_follow: bool,
    pub(super) attributes: bool,
    count: u32,
    first_ns: u64,
    changes: Option<Changes>,
    /// When the earliest change was made, so that what was there before it wins.
    earliest_change_ns: u64,
}

impl Merged {
    /// Whether there has been no other.
    pub(super) fn is_first(&self) -> bool {
        self.count == 1
    }
}

impl Accesses {
    /// One more access of an image to a path in one way.
    pub(super) fn one_more(
        &mut self,
        image: usize,
        path: PathId,
        kind: AccessKind,
        time_ns: u64,
    ) -> &mut Merged {
        let touch = Touch { image: image as u32, path, kind };
        let number = self.accesses.number(&touch, || Merged {
            touch,
            follow: false,
            no_follow: false,
            attributes: false,
            count: 0,
            first_ns: time_ns,
            changes: None,
            earliest_change_ns: u64::MAX,
        });
        let merged = self.accesses.item_mut(number);
        merged.count = merged.count.saturating_add(1);
        merged.first_ns = merged.first_ns.min(time_ns);
        merged
    }

    /// To open a directory is not to read it, but to ask for its metadata; the observers do not know what they open.
    pub(super) fn settle_directories(&mut self, paths: &NumberedPaths) {
        for number in self.directories_read(paths) {
            let read = self.accesses.item_mut(number);
            let touch = Touch { kind: AccessKind::Stat, ..read.touch };
            match self.accesses.find(&touch) {
                None => self.accesses.item_mut(number).touch = touch,
                Some(known) => {
                    let read = self.accesses.item_mut(number);
                    let (follow, no_follow, first_ns) = (read.follow, read.no_follow, read.first_ns);
                    let attributes = read.attributes;
                    let count = std::mem::take(&mut read.count);
                    let known = self.accesses.item_mut(known);
                    known.follow |= follow;
                    known.no_follow |= no_follow;
                    known.attributes |= attributes;
                    known.count = known.count.saturating_add(count);
                    known.first_ns = known.first_ns.min(first_ns);
                }
            }
        }
    }

    /// The numbers of the accesses that opened a directory as if to read it.
    fn directories_read(&self, numbered: &NumberedPaths) -> Vec<u32> {
        let paths = numbered.paths();
        let mut likely = vec![false; paths.len()];
        let mut last: &[u8] = b"";
        for path in paths.iter() {
            let parent = &path[..path.iter().rposition(|&byte| byte == b'/').unwrap_or(0)];
            if parent != last {
                last = parent;
                if let Some(parent) = numbered.find(parent) {
                    likely[parent as usize] = true;
                }
            }
        }
        let accesses = self.accesses.items();
        for access in accesses.iter().filter(|access| access.touch.kind == AccessKind::List) {
            likely[access.touch.path as usize] = true;
        }
        let reads = || (0..).zip(accesses).filter(|(_, access)| access.touch.kind == AccessKind::Read);
        let look_at_all = reads().nth(MOST_LOOKS).is_none();
        let mut known: HashMap<PathId, bool> = HashMap::new();
        reads()
            .map(|(number, access)| (number, access.touch.path))
            .filter(|&(_, path)| look_at_all || likely[path as usize])
            .filter(|&(_, path)| {
                *known.entry(path).or_insert_with(|| {
                    let place = files::path_of(paths.get(path));
                    let identity = files::identity(&place, true);
                    // What is gone was what it looked like.
                    identity.map_or(likely[path as usize], |now| now.file_type == FileType::Directory)
                })
            })
            .map(|(number, _)| number)
            .collect()
    }

    /// The same as the trace has them, in order of time. With `some_moved` those of several images may have come to be one's.
    pub(super) fn into_accesses(
        self,
        ids: &[ProcessId],
        some_moved: bool,
        since: impl Fn(u64) -> u64,
    ) -> Vec<PathAccess> {
        let merged = self.accesses.into_items().into_iter();
        let accesses = merged.filter(|merged| merged.count > 0).map(|merged| merged.into_access(ids, &since));
        let mut accesses: Vec<PathAccess> = accesses.collect();
        if some_moved {
            accesses = one_each(accesses);
        }
        // They came nearly so, which makes this quick.
        accesses.sort_by_key(|access| access.first_ns);
        accesses
    }
}

impl Keyed for Merged {
    type Key = Touch;

    fn key(&self) -> &Touch {
        &self.touch
    }
}

impl Merged {
    pub(super) fn change(&mut self, change: Change, time_ns: u64) {
        let changes = self.changes.get_or_insert(Changes {
            before: change.before,
            replaced_ns: None,
            modified_ns: None,
            metadata_ns: None,
        });
        if time_ns < self.earliest_change_ns {
            self.earliest_change_ns = time_ns;
            changes.before = change.before;
        }
        let first = match change.effect {
            Effect::Replace | Effect::Create => &mut changes.replaced_ns,
            Effect::Modify => &mut changes.modified_ns,
            Effect::Metadata => &mut changes.metadata_ns,
        };
        *first = Some(first.map_or(time_ns, |known| known.min(time_ns)));
    }

    /// The same as the trace has it: with the ids of processes, and times that begin with the run.
    fn into_access(self, ids: &[ProcessId], since: impl Fn(u64) -> u64) -> PathAccess {
        let Touch { image, path, kind } = self.touch;
        PathAccess {
            process: ids[image as usize],
            path,
            kind,
            follow: self.follow,
            no_follow: self.no_follow,
            attributes: self.attributes,
            count: self.count,
            first_ns: since(self.first_ns),
            changes: self.changes.map(|changes| Changes {
                before: changes.before,
                replaced_ns: changes.replaced_ns.map(&since),
                modified_ns: changes.modified_ns.map(&since),
                metadata_ns: changes.metadata_ns.map(&since),
            }),
        }
    }
}

/// The accesses with those merged that are of the same process to the same path in the same way.
fn one_each(mut accesses: Vec<PathAccess>) -> Vec<PathAccess> {
    let key = |access: &PathAccess| (access.process, access.path, access.kind);
    accesses.sort_unstable_by_key(key);
    accesses.dedup_by(|later, kept| {
        let same = key(later) == key(kept);
        if same {
            kept.absorb(later);
        }
        same
    });
    accesses
}

impl PathAccess {
    /// Takes in another access of the same process to the same path in the same way.
    fn absorb(&mut self, other: &Self) {
        self.follow |= other.follow;
        self.no_follow |= other.no_follow;
        self.count = self.count.saturating_add(other.count);
        self.first_ns = self.first_ns.min(other.first_ns);
        self.changes = match (self.changes, other.changes) {
            (Some(mine), Some(theirs)) => Some(mine.merged(theirs)),
            (mine, theirs) => mine.or(theirs),
        };
    }
}
