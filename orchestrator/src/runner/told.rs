//! What the tools of a run have told their runner, and who.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fmt;

use platform::files;
use serde::{Deserialize, Serialize};
use shm_protocol::path::{Step, normalize};

use super::message::glob_of;
use crate::bytes::{self, Bytes};
use crate::fingerprint::{Digest, Framed};

/// How many bytes a run may be told, so that a tool gone wild costs no more memory than this.
const MOST_TOLD: usize = 64 << 20;

/// What a tool may declare of its run.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Statement {
    /// What is read at or under this path does not count.
    IgnoreInput(Bytes),
    /// What is written at or under this path is neither kept nor restored.
    IgnoreOutput(Bytes),
    /// The run is not to be kept.
    DisableCache,
    /// These variables of the caller's environment count.
    Track(EnvQuery),
}

/// Which variables.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum EnvQuery {
    /// The one with this name.
    Name(String),
    /// Those whose names match.
    Glob(String),
    /// Those whose names begin so.
    Prefix(String),
}

impl fmt::Display for EnvQuery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) | Self::Glob(name) => f.write_str(name),
            Self::Prefix(prefix) => write!(f, "{prefix}*"),
        }
    }
}

/// The variables that a query finds, sorted by name, each with the digest of its value.
pub type Variables = Vec<(Bytes, Digest)>;

impl EnvQuery {
    /// What it finds in an environment, sorted by name.
    fn find<'e>(
        &self,
        environment: &'e [(OsString, OsString)],
    ) -> Result<Vec<&'e (OsString, OsString)>, String> {
        let matcher = if let Self::Glob(glob) = self { Some(glob_of(glob)?) } else { None };
        let fits = |name: &OsString| match self {
            Self::Name(wanted) => name == wanted.as_str(),
            Self::Glob(_) => matcher.as_ref().is_some_and(|matcher| matcher.is_match(name)),
            Self::Prefix(prefix) => files::bytes_of(name).starts_with(prefix.as_bytes()),
        };
        let mut found: Vec<_> = environment.iter().filter(|(name, _)| fits(name)).collect();
        found.sort();
        Ok(found)
    }

    /// What it comes to in an environment, as far as fingerprints know it.
    #[must_use]
    pub fn observe(&self, environment: &[(OsString, OsString)]) -> Variables {
        let digest =
            |value: &OsString| Framed::new("tracerun variable").field(files::bytes_of(value)).finish();
        // A query is kept only if it was understood.
        let found = self.find(environment).unwrap_or_default();
        found.into_iter().map(|(name, value)| (name.as_os_str().into(), digest(value))).collect()
    }
}

/// A statement and its author.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Declaration {
    /// What.
    pub statement: Statement,
    /// The process that said so; 0 if it did not say who it is.
    pub pid: u32,
}

/// What a run was told: each statement once, in the order in which it was first made.
#[derive(Clone, Debug, Default)]
pub struct Told {
    /// The statements.
    pub declarations: Vec<Declaration>,
    known: HashSet<Statement>,
    bytes: usize,
}

impl Told {
    /// The statements without their authors.
    pub fn statements(&self) -> impl Iterator<Item = &Statement> {
        self.declarations.iter().map(|declaration| &declaration.statement)
    }

    /// Adds a statement; gives back whether there was room for it.
    fn add(&mut self, statement: Statement, pid: u32) -> bool {
        if self.known.contains(&statement) {
            return true;
        }
        self.bytes += match &statement {
            Statement::IgnoreInput(path) | Statement::IgnoreOutput(path) => path.len(),
            Statement::DisableCache => 0,
            Statement::Track(EnvQuery::Name(text) | EnvQuery::Glob(text) | EnvQuery::Prefix(text)) => {
                text.len()
            }
        } + size_of::<Declaration>();
        let fits = self.bytes <= MOST_TOLD;
        if fits {
            self.known.insert(statement.clone());
            self.declarations.push(Declaration { statement, pid });
        } else if self.known.insert(Statement::DisableCache) {
            // What was not taken note of may have been what the result depends on.
            self.declarations.push(Declaration { statement: Statement::DisableCache, pid });
        }
        fits
    }
}

/// Takes note of what tools say, and knows what they ask for.
pub struct Listener<'e> {
    /// What was said so far.
    pub told: Told,
    environment: &'e [(OsString, OsString)],
}

impl<'e> Listener<'e> {
    /// One that answers from `environment`.
    #[must_use]
    pub fn new(environment: &'e [(OsString, OsString)]) -> Self {
        Self { told: Told::default(), environment }
    }

    pub(super) fn state(&mut self, statement: Statement, pid: u32) -> Result<(), String> {
        // Accesses are told by the names that programs use and by the places where those lead.
        let both = |path: &Bytes| {
            let named = normal(path);
            let place = resolved(&named);
            [named, place]
        };
        let fits = match statement {
            Statement::IgnoreInput(path) => {
                both(&path).into_iter().all(|path| self.told.add(Statement::IgnoreInput(path), pid))
            }
            Statement::IgnoreOutput(path) => {
                both(&path).into_iter().all(|path| self.told.add(Statement::IgnoreOutput(path), pid))
            }
            other => self.told.add(other, pid),
        };
        if fits {
            Ok(())
        } else {
            Err("this run has been told too much already: it is not cached".to_owned())
        }
    }

    /// The variables of a query; those that are not UTF-8 lossily.
    pub(super) fn variables(
        &mut self,
        query: &EnvQuery,
        tracked: bool,
        pid: u32,
    ) -> Result<Vec<(String, String)>, String> {
        if tracked {
            self.state(Statement::Track(query.clone()), pid)?;
        }
        let text = |text: &OsString| text.to_string_lossy().into_owned();
        Ok(query.find(self.environment)?.into_iter().map(|(name, value)| (text(name), text(value))).collect())
    }
}

/// An absolute path without `.`, `..` and doubled slashes.
fn normal(path: &[u8]) -> Bytes {
    let mut normal: Vec<u8> = b"/".to_vec();
    normalize(path, |step| match step {
        Step::Into(name) => normal = bytes::join(&normal, name),
        Step::Up => normal = bytes::parent(&normal).unwrap_or(b"/").to_vec(),
    });
    normal.into()
}

/// Where a path leads: the links in as much of it as is there are followed.
fn resolved(path: &[u8]) -> Bytes {
    let mut missing: Vec<&[u8]> = Vec::new();
    let mut above = path;
    loop {
        if let Ok(place) = files::path_of(above).canonicalize() {
            let place = files::bytes_of_path(&place).to_vec();
            return missing.iter().rev().fold(place, |place, name| bytes::join(&place, name)).into();
        }
        let Some(parent) = bytes::parent(above) else { return path.into() };
        missing.push(bytes::name(above));
        above = parent;
    }
}
