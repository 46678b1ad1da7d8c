//! Why there is no kept run to take the place of one, as data.

use std::collections::HashMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use shm_protocol::access::AccessKind;

use super::keep::{Details, KeptRun};
use super::seen::Differs;
use super::{RunId, Store, StoreError};
use crate::bytes::Bytes;
use crate::fingerprint::{Digest, Fingerprint, InputState, Observation, Observer, PathSet};
use crate::footprint::Actor;

/// A look-up that found no kept run to take the place of one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Missed {
    /// Why; in order of importance.
    pub reasons: Vec<MissReason>,
    /// The kept run that the reasons compare with.
    pub against: Option<RunId>,
}

impl Missed {
    pub(super) fn because(reason: MissReason) -> Self {
        Self { reasons: vec![reason], against: None }
    }
}

/// Why there is no kept run to take the place of this one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MissReason {
    /// No run of this command line in this directory was kept.
    FirstRun,
    /// A variable is another than in the last kept run, or was not set in one of them.
    Variable {
        /// Its name.
        name: Bytes,
        /// How it differs.
        difference: Difference,
    },
    /// The file mode creation mask is another.
    Umask {
        /// In the last kept run.
        before: u32,
        /// Now.
        now: u32,
    },
    /// A limit, or what signals do to it, is another.
    Limit {
        /// Which.
        name: String,
    },
    /// Standard input holds something else.
    Stdin,
    /// A file that the run is given open holds something else, or is another's.
    Inherited,
    /// Output goes to a terminal and did not, or the other way round, or the two streams lead to one place.
    Terminal,
    /// A setting, given as an option or in `tracerun.toml`, says something else.
    Setting {
        /// Its name.
        name: String,
    },
    /// The root or the name of the working directory is another, or tracerun itself.
    Place,
    /// Runs with the same key were kept, but not one with all of this.
    Unknown,
    /// An observation comes to something else.
    Input {
        /// The path.
        path: Bytes,
        /// How it differs.
        difference: Difference,
        /// Whether it was executed, read, listed …
        #[serde(with = "crate::wire::kind")]
        kind: AccessKind,
        /// Who observed it first in the last kept run.
        reader: Actor,
    },
    /// What stands where the run puts an output is neither what it found there nor what it left there.
    Output {
        /// The path.
        path: Bytes,
    },
    /// In a folder that the run makes stands something that it did not make.
    Stranger {
        /// The path.
        path: Bytes,
    },
    /// Outputs of a run that saw the same could not be put back.
    NotRestored {
        /// What went wrong, with the path.
        error: String,
    },
    /// A record of the store was damaged.
    Damaged,
    /// A file that the user names as input is another.
    Named {
        /// The path.
        path: Bytes,
        /// How it differs.
        difference: Difference,
    },
    /// Another checkout of which a run was shared lay elsewhere, and something of that run names the place.
    Tied {
        /// What names it: an output, or an input.
        path: Bytes,
        /// The root of that checkout.
        root: Bytes,
    },
    /// A run was shared that had searched one folder above its root after the other; this root lies in more of them, and in one is something else.
    Above {
        /// What it would have come to here.
        path: Bytes,
    },
}

/// How something differs from the last kept run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Difference {
    /// It was not there.
    Appeared,
    /// It is not there.
    Disappeared,
    /// What is in it: the content of a file, the value of a variable.
    Content,
    /// The entries of a directory.
    Entries(Entries),
    /// Its permission bits.
    Mode {
        /// In the last kept run.
        before: u16,
        /// Now.
        now: u16,
    },
    /// Where a symbolic link leads.
    Target {
        /// In the last kept run.
        before: Bytes,
        /// Now.
        now: Bytes,
    },
    /// A file was a directory, a directory a symbolic link, or the like.
    Type,
    /// It can be looked at only in one of them.
    Access,
    /// Its extended attributes.
    Attributes,
}

/// How the entries of a directory differ, the first few names of each kind; none where only types differ, or the
/// names are not known any more.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entries {
    /// Names that were not there.
    pub gained: Vec<Bytes>,
    /// Names that are not there any more.
    pub lost: Vec<Bytes>,
}

impl Entries {
    /// How many names of each kind are told.
    const MOST: usize = 5;

    /// What differs between the sorted names of two listings.
    fn between(before: &[Bytes], now: &[Bytes]) -> Self {
        let without = |these: &[Bytes], those: &[Bytes]| {
            these.iter().filter(|name| those.binary_search(name).is_err()).take(Self::MOST).cloned().collect()
        };
        Self { gained: without(now, before), lost: without(before, now) }
    }
}

impl Difference {
    pub(crate) fn between(before: &InputState, now: &InputState) -> Self {
        use InputState::{
            Absent, Attributes, Directory, File, Listing, NoFolder, Refused, Symlink, Trusted, Unreadable,
        };
        match (before, now) {
            (Absent, NoFolder) | (NoFolder, Absent) => Self::Type,
            (Absent | NoFolder, _) => Self::Appeared,
            (_, Absent | NoFolder) => Self::Disappeared,
            (Refused | Unreadable { .. }, _) | (_, Refused | Unreadable { .. }) => Self::Access,
            (File { digest, .. }, File { digest: other, .. }) if digest != other => Self::Content,
            (Trusted { .. }, Trusted { .. } | File { .. }) => Self::Content,
            (File { mode: before, .. }, File { mode: now, .. })
            | (Directory { mode: before }, Directory { mode: now }) => {
                Self::Mode { before: before.unwrap_or_default(), now: now.unwrap_or_default() }
            }
            (Attributes(_), Attributes(_)) => Self::Attributes,
            (Listing(_), Listing(_)) => Self::Entries(Entries::default()),
            (Symlink { target: before }, Symlink { target: now }) => {
                Self::Target { before: before.clone(), now: now.clone() }
            }
            _ => Self::Type,
        }
    }
}

impl KeptRun {
    /// The inputs that this run and a later one have in common and that came to something else in the later one.
    #[must_use]
    pub fn changed_in(&self, later: &Self) -> Vec<MissReason> {
        let before: HashMap<&Observation, &InputState> =
            self.inputs.iter().map(|(observation, state, _)| (observation, state)).collect();
        let mut reasons: Vec<MissReason> = Vec::new();
        for (observation, now, reader) in &later.inputs {
            let Some(before) = before.get(observation).filter(|before| **before != now) else { continue };
            let names = |run: &'_ Self, state: &InputState| {
                let InputState::Listing(digest) = state else { return None };
                run.listings.iter().find(|(listing, _)| listing == digest).map(|(_, names)| names.clone())
            };
            let difference = match names(self, before).zip(names(later, now)) {
                Some((before, now)) => Difference::Entries(Entries::between(&before, &now)),
                None => Difference::between(before, now),
            };
            push_input(&mut reasons, observation, difference, reader.clone());
        }
        reasons
    }
}

/// Adds a difference; a file that was read and looked at is named once.
fn push_input(
    reasons: &mut Vec<MissReason>,
    observation: &Observation,
    difference: Difference,
    reader: Actor,
) {
    let Observation { path, kind, .. } = observation;
    let named = |last: &MissReason| matches!(last, MissReason::Input { path: last, .. } if last == path);
    if !reasons.last().is_some_and(named) {
        let (path, kind) = (path.clone(), *kind);
        reasons.push(MissReason::Input { path, difference, kind, reader });
    }
}

/// What a path leads to if it is a symbolic link, which need not be there.
fn end(path: &Bytes) -> Bytes {
    let mut end = path.to_path();
    // As many links as Linux follows in one look-up.
    for _ in 0..40 {
        let Ok(target) = std::fs::read_link(&end) else { break };
        end = end.parent().unwrap_or(Path::new("/")).join(target);
    }
    end.as_path().into()
}

impl Store {
    /// What differs from a kept run, content first.
    pub(super) fn differences(
        &self,
        path_set: &PathSet,
        kept: Fingerprint,
        differing: &[Differs],
        observer: &mut Observer<'_>,
    ) -> Result<Missed, StoreError> {
        let Some(kept) = self.read_record::<Details>(&kept.0.to_string())?.whole() else {
            return Ok(Missed::because(MissReason::Damaged));
        };
        let mut reasons: Vec<MissReason> = Vec::new();
        observer.look_for(path_set.observations.iter());
        for &Differs { index, by_size } in differing {
            let (Some(observation), Some(before)) =
                (path_set.observations.get(index), kept.states.get(index))
            else {
                break;
            };
            // A file that was read and looked at is named once.
            let named = reasons.last().is_some_and(
                |last| matches!(last, MissReason::Input { path, .. } if *path == observation.path),
            );
            if named {
                continue;
            }
            let is_new = *before == InputState::Absent && observation.kind != AccessKind::Missing;
            let now = if by_size || is_new {
                InputState::File { digest: Digest([0; 32]), mode: None }
            } else {
                observer.state(observation)
            };
            let mut difference = Difference::between(before, &now);
            if let (Difference::Entries(entries), InputState::Listing(before), InputState::Listing(now)) =
                (&mut difference, before, now)
            {
                let known = kept.listings.iter().find(|(listing, _)| listing == before);
                if let (Some((_, before)), Some(now)) = (known, observer.listings.get(&now)) {
                    *entries = Entries::between(before, now);
                }
            }
            // A link that led nowhere, or does now, is as it was: what it leads to is not.
            let leads =
                observation.follow && matches!(difference, Difference::Appeared | Difference::Disappeared);
            let path = if leads { end(&observation.path) } else { observation.path.clone() };
            let reader = kept.readers.get(index).and_then(|&reader| kept.actors.get(reader as usize));
            reasons.push(MissReason::Input {
                path,
                difference,
                kind: observation.kind,
                reader: reader.cloned().unwrap_or_default(),
            });
        }
        // A directory's entries change with what is in it: a file says more.
        reasons.sort_by_key(|reason| matches!(reason, MissReason::Input { kind: AccessKind::List, .. }));
        Ok(Missed { reasons, against: Some(kept.run) })
    }
}
