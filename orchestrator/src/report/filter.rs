//! Which accesses of a trace are to be seen.

use globset::{Candidate, GlobMatcher};
use platform::files;
use shm_protocol::access::AccessKind;

use crate::bytes;
use crate::trace::{Process, ProcessId, Trace};

/// What is to be seen; by default everything.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Only accesses of these kinds; all if there are none.
    pub only: Vec<AccessKind>,
    /// Only paths that this matches.
    pub path: Option<GlobMatcher>,
    /// Only what processes of this name did, or the one of this number.
    pub process: Option<String>,
}

impl Filter {
    /// Whether everything is to be seen.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.only.is_empty() && self.path.is_none() && self.process.is_none()
    }

    /// Takes out of a trace what is not to be seen; its processes stay.
    pub fn apply(&self, trace: &mut Trace) {
        if self.is_empty() {
            return;
        }
        let seen: Vec<bool> = trace.processes.iter().map(|process| self.names(process)).collect();
        let by_seen =
            |id: ProcessId| (id as usize).checked_sub(1).and_then(|id| seen.get(id).copied()) == Some(true);
        let matched: Option<Vec<bool>> = self.path.as_ref().map(|glob| {
            let matches = |path: &[u8]| glob.is_match_candidate(&Candidate::new(&files::name_of(path)));
            trace.paths.iter().map(matches).collect()
        });
        trace.accesses.retain(|access| {
            (self.only.is_empty() || self.only.contains(&access.kind))
                && matched.as_ref().is_none_or(|matched| matched[access.path as usize])
                && by_seen(access.process)
        });
    }

    fn names(&self, process: &Process) -> bool {
        let Some(wanted) = &self.process else { return true };
        let called = process.argv.first().map_or(&b""[..], Vec::as_slice);
        [called, &process.exe].iter().any(|name| bytes::name(name) == wanted.as_bytes())
            || wanted.parse() == Ok(process.id)
    }
}
