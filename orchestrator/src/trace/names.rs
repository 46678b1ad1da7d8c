//! What the names mean that programs use: paths by number, and where names with `..` lead.

use std::collections::BTreeMap;
use std::path::Path;

use hashbrown::HashMap;
use platform::files;
use shm_protocol::path::{Step, is_normal, normalize};

use super::numbered::NumberedPaths;
use super::paths::Paths;
use super::{Climbed, PathId, ProcessId};

/// The names of a run.
#[derive(Default)]
pub(super) struct Names {
    paths: NumberedPaths,
    /// Names with `..`.
    climbing: HashMap<Vec<u8>, Climb>,
    /// Where the climbs of such names, up to their last `..`, led when they were first seen.
    climbed: HashMap<Vec<u8>, Option<Vec<u8>>>,
}

/// What a name means.
pub(super) struct Meaning {
    pub(super) path: PathId,
    /// What the name says, where its `..` leads elsewhere.
    pub(super) named: Option<PathId>,
    /// Whether it leads nowhere: what its lexical form names was not what the program met.
    pub(super) lost: bool,
}

impl Meaning {
    fn of(path: PathId) -> Self {
        Self { path, named: None, lost: false }
    }
}

/// A name with `..`.
#[derive(Clone, Copy)]
struct Climb {
    /// Its lexical normal form.
    lexical: PathId,
    /// Where it really leads, if that is elsewhere.
    real: Option<PathId>,
    /// Whether it leads nowhere: what its lexical form names was not what the program met.
    lost: bool,
    /// The first image that used it.
    image: usize,
    first_ns: u64,
}

impl Names {
    /// What a name means. With `..` it is found out when it is first seen: a link on the way may be gone later.
    pub(super) fn meaning(&mut self, raw: &[u8], image: usize, time_ns: u64) -> Meaning {
        if is_normal(raw) {
            return Meaning::of(self.paths.number(raw));
        }
        if climbs(raw) {
            let climb = self.climb(raw, image, time_ns);
            let real = climb.real.unwrap_or(climb.lexical);
            return Meaning { path: real, named: climb.real.map(|_| climb.lexical), lost: climb.lost };
        }
        Meaning::of(self.paths.number(&normal(raw)))
    }

    fn climb(&mut self, raw: &[u8], image: usize, time_ns: u64) -> Climb {
        if let Some(known) = self.climbing.get_mut(raw) {
            if time_ns < known.first_ns {
                (known.image, known.first_ns) = (image, time_ns);
            }
            return *known;
        }
        let (climbed, rest) = raw.split_at(climb_of(raw).len());
        let directory =
            self.climbed.entry_ref(climbed).or_insert_with(|| real_directory(&files::path_of(climbed)));
        let (lexical, lost) = (normal(raw), directory.is_none());
        let real = directory.as_ref().map(|directory| normal(&[directory, rest].concat()));
        // The lexical form seen through links higher up may be the same place.
        let real = real.filter(|real| *real != lexical && resolved(real) != resolved(&lexical));
        let (lexical, real) = (self.paths.number(&lexical), real.map(|real| self.paths.number(&real)));
        let climb = Climb { lexical, real, lost, image, first_ns: time_ns };
        self.climbing.insert(raw.to_vec(), climb);
        climb
    }

    /// The number of the path that a name meant, if it was accessed.
    pub(super) fn known(&self, raw: &[u8]) -> Option<PathId> {
        match self.climbing.get(raw) {
            Some(climb) => Some(climb.real.unwrap_or(climb.lexical)),
            None => self.paths.find(&normal(raw)),
        }
    }

    /// The climbs of names with `..`, each once.
    pub(super) fn climbs(
        &self,
        owner: impl Fn(usize) -> ProcessId,
        since: impl Fn(u64) -> u64,
    ) -> Vec<Climbed> {
        let mut first: BTreeMap<&[u8], (u64, usize)> = BTreeMap::new();
        for (raw, climb) in &self.climbing {
            let this = (climb.first_ns, climb.image);
            first.entry(climb_of(raw)).and_modify(|known| *known = this.min(*known)).or_insert(this);
        }
        first
            .into_iter()
            .map(|(path, (first_ns, image))| Climbed {
                path: path.to_vec(),
                process: owner(image),
                first_ns: since(first_ns),
            })
            .collect()
    }

    pub(super) fn paths(&self) -> &NumberedPaths {
        &self.paths
    }

    /// How many names with `..` are kept, and of how many climbs where they led.
    #[cfg(test)]
    pub(super) fn climbs_kept(&self) -> (usize, usize) {
        (self.climbing.len(), self.climbed.len())
    }

    pub(super) fn into_paths(self) -> Paths {
        self.paths.into_paths()
    }
}

/// Whether a path has a component `..`.
fn climbs(path: &[u8]) -> bool {
    path.split(|&byte| byte == b'/').any(|component| component == b"..")
}

/// The lexical normal form of an absolute path.
pub(super) fn normal(path: &[u8]) -> Vec<u8> {
    if is_normal(path) {
        return path.to_vec();
    }
    let mut ends = Vec::new();
    let mut normal = Vec::with_capacity(path.len());
    normalize(path, |step| match step {
        Step::Into(name) => {
            ends.push(normal.len());
            normal.push(b'/');
            normal.extend_from_slice(name);
        }
        Step::Up => normal.truncate(ends.pop().unwrap_or(0)),
    });
    if normal.is_empty() {
        normal.push(b'/');
    }
    normal
}

/// A name with `..`, up to the last of them.
fn climb_of(raw: &[u8]) -> &[u8] {
    let is_last = |&(place, window): &(usize, &[u8])| {
        window == b"/.." && raw.get(place + 3).is_none_or(|&byte| byte == b'/')
    };
    raw.windows(3).enumerate().rfind(is_last).map_or(raw, |(place, _)| &raw[..place + 3])
}

/// Where a directory really is; `None` if there is none.
fn real_directory(path: &Path) -> Option<Vec<u8>> {
    let real = files::real_directory(path).ok()?;
    Some(files::bytes_of_path(&real).to_vec())
}

/// A path with the links on the way to its last component resolved; `None` if there is no such way.
fn resolved(path: &[u8]) -> Option<Vec<u8>> {
    let path = files::path_of(path);
    let Some((parent, name)) = path.parent().zip(path.file_name()) else {
        return Some(b"/".to_vec());
    };
    let real = files::real_directory(parent).ok()?.join(name);
    Some(files::bytes_of_path(&real).to_vec())
}
