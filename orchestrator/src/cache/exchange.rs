//! Runs that leave the store for others, and those of others that come into it.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufWriter, Write};

use super::contents::{Layout, contents};
use super::keep::{Details, Records, ResultRecord};
use super::seen::Seen;
use super::{Store, StoreError};
use crate::bytes::Bytes;
use crate::fingerprint::{Digest, Fingerprint, InputState, PathSet};
use crate::footprint::Actor;
use crate::runner::Variables;
use crate::task::Task;
use platform::files;

/// How much of a pack is written at once, in bytes.
const AT_ONCE: usize = 256 << 10;

/// A kept run, with all that tells when another would be the same.
#[derive(Debug)]
pub(crate) struct Export {
    pub(crate) path_set: PathSet,
    /// What each observation came to, and who made it.
    pub(crate) states: Vec<InputState>,
    pub(crate) readers: Vec<u32>,
    pub(crate) actors: Vec<Actor>,
    pub(crate) variables: Vec<Variables>,
    pub(crate) result: ResultRecord,
}

/// A run of others that saw what one would see here, as it would have been here.
#[derive(Debug)]
pub(crate) struct Arrived<'a> {
    pub(crate) path_set: PathSet,
    /// What each observation comes to here, and who made it there.
    pub(crate) states: Vec<InputState>,
    pub(crate) readers: Vec<u32>,
    pub(crate) actors: Vec<Actor>,
    pub(crate) variables: Vec<Variables>,
    pub(crate) result: ResultRecord,
    /// The small contents, verified.
    pub(crate) small: &'a HashMap<Digest, Cow<'a, [u8]>>,
    /// A [`files::clock_barrier`] taken before the states were.
    pub(crate) started: i128,
}

impl Store {
    /// A kept run, to be given to others; `None` where it is no longer kept.
    pub(crate) fn export(&self, fingerprint: Fingerprint) -> Result<Option<Export>, StoreError> {
        let name = fingerprint.0.to_string();
        let Some(result) = self.read_record::<ResultRecord>(&name)?.whole() else { return Ok(None) };
        let Some(path_set) = self.read_record::<PathSet>(&result.path_set.to_string())?.whole() else {
            return Ok(None);
        };
        let Some(details) = self.read_record::<Details>(&name)?.whole() else { return Ok(None) };
        let Some(seen) = self.read_record::<Seen>(&name)?.whole() else { return Ok(None) };
        let Details { states, readers, actors, .. } = details;
        let is_whole = states.len() == path_set.observations.len() && readers.len() == states.len();
        let variables = seen.variables;
        Ok(is_whole.then_some(Export { path_set, states, readers, actors, variables, result }))
    }

    /// Keeps a run of others as one of its own. Its large contents have come by [`Store::keep_arrived`].
    pub(crate) fn keep_run_of_others(&self, task: &Task, arrived: Arrived<'_>) -> Result<(), StoreError> {
        let Arrived { path_set, states, readers, actors, variables, mut result, small, started } = arrived;
        let added = self.keep_bytes(&result, small)?;
        let set = path_set.digest();
        result.path_set = set;
        let fingerprint = Fingerprint::new(task.action_key(), set, &states, &variables);
        let seen = Seen::of(&path_set, &states, &variables, self.known(), started);
        // What was in a listing there says nothing about what is in it here.
        let details = Details { states, readers, actors, listings: Vec::new(), run: result.run };
        self.keep_records(
            task,
            fingerprint,
            &Records { result: &result, details: &details, seen: &seen, path_set: &path_set },
        )?;
        self.count(|counters| counters.bytes += added + 4096).map(drop)
    }

    /// Keeps a large content that `fetch` writes; not if it is there.
    pub(crate) fn keep_arrived(
        &self,
        digest: Digest,
        size: u64,
        mut fetch: impl FnMut(&mut File) -> io::Result<()>,
    ) -> Result<(), StoreError> {
        let path = self.blob_path(digest);
        if self.is_kept(&path, size) {
            return Ok(());
        }
        let fetch = std::cell::RefCell::new(&mut fetch);
        self.place(&path, |temporary| {
            let failed = || StoreError::io(&path, "write it");
            let mut file = files::create_private(temporary).map_err(failed())?;
            // Whether it is what its name says is found out when it is put back, as of every large content.
            (fetch.borrow_mut())(&mut file).map_err(failed())
        })?;
        self.count(|counters| counters.bytes += size).map(drop)
    }

    /// Keeps the contents of a result that are at hand; says how many bytes that added.
    fn keep_bytes(
        &self,
        result: &ResultRecord,
        at_hand: &HashMap<Digest, Cow<'_, [u8]>>,
    ) -> Result<u64, StoreError> {
        let all = || contents(&result.outputs, result.terminal);
        let layout = Layout::of(all());
        let mut added = 0;
        for (digest, size) in all().filter(|(digest, _)| !layout.has(*digest)) {
            let path = self.blob_path(digest);
            if let Some(bytes) = at_hand.get(&digest).filter(|_| !self.is_kept(&path, size)) {
                self.write(&path, bytes)?;
                added += size;
            }
        }
        let path = self.pack_path(&layout);
        if layout.is_empty() || self.is_kept(&path, layout.length()) {
            return Ok(added);
        }
        self.place(&path, |temporary| {
            let failed = || StoreError::io(&path, "write it");
            let file = files::create_private(temporary).map_err(failed())?;
            let mut file = BufWriter::with_capacity(AT_ONCE, file);
            for digest in layout.in_order() {
                let missing = || StoreError::Blob { path: path.display().to_string() };
                file.write_all(at_hand.get(&digest).ok_or_else(missing)?).map_err(failed())?;
            }
            file.flush().map_err(failed())
        })?;
        Ok(added + layout.length())
    }
}

impl Actor {
    /// The same process, with every argument changed.
    pub(crate) fn with_arguments(&self, change: impl Fn(&[u8]) -> Bytes) -> Self {
        Self { pid: self.pid, argv: self.argv.iter().map(|argument| change(argument)).collect() }
    }
}
