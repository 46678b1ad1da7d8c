//! What a run observed, and what those observations come to on the file system as it is now.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::fs;
use std::io::{self, ErrorKind, Read};
use std::path::Path;

use platform::files::{self, FileType, Identity};
use serde::{Deserialize, Serialize};
use shm_protocol::access::AccessKind;

use crate::bytes::{self, Bytes};
use crate::cache::KnownDigests;
use crate::declarations::Declarations;
use crate::planted::{self, Rule};
use crate::runner::{EnvQuery, Statement, Variables};
use crate::task::{ActionKey, Task};
use crate::wire;

/// A BLAKE3 digest.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// The digest of these bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }

    /// The digest of all that `reader` gives.
    ///
    /// # Errors
    /// As `reader`.
    pub fn of_reader(mut reader: impl Read) -> io::Result<Self> {
        let mut hasher = blake3::Hasher::new();
        let mut buffer = vec![0; 64 << 10];
        loop {
            match reader.read(&mut buffer) {
                Ok(0) => return Ok(Self(*hasher.finalize().as_bytes())),
                Ok(count) => hasher.update(&buffer[..count]),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
        }
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&blake3::Hash::from_bytes(self.0).to_hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A digest over fields in order, each with its length, so that no two lists of fields look the same.
pub(crate) struct Framed(blake3::Hasher);

impl Framed {
    /// Begins a digest of the kind that `what` names.
    pub(crate) fn new(what: &str) -> Self {
        let mut framed = Self(blake3::Hasher::new());
        framed.field(what.as_bytes());
        framed
    }

    pub(crate) fn number(&mut self, number: u64) -> &mut Self {
        self.0.update(&number.to_le_bytes());
        self
    }

    pub(crate) fn field(&mut self, bytes: &[u8]) -> &mut Self {
        self.number(bytes.len() as u64);
        self.0.update(bytes);
        self
    }

    pub(crate) fn digest(&mut self, digest: Digest) -> &mut Self {
        self.0.update(&digest.0);
        self
    }

    pub(crate) fn finish(&self) -> Digest {
        Digest(*self.0.finalize().as_bytes())
    }
}

/// One thing that a run looked at.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Observation {
    /// The path, absolute and normal.
    pub path: Bytes,
    /// How it was looked at; one of the kinds that observe.
    #[serde(with = "wire::kind")]
    pub kind: AccessKind,
    /// Whether there was a symbolic link at the end, which was followed. Where there was none this is `false`,
    /// so that a link that takes the place of what stood there is seen.
    pub follow: bool,
    /// For a `list`: the names that the run itself made, replaced or deleted, sorted; they are judged as
    /// outputs, not as entries.
    pub left_out: Vec<Bytes>,
    /// For a `list`: whether only those names count that are observed anywhere, in this folder or another.
    pub loose: bool,
    /// For a `stat`: that it is the extended attributes that count, and nothing else.
    pub attributes: bool,
}

impl Observation {
    /// A look at `path` in which everything counts.
    #[must_use]
    pub fn new(path: Bytes, kind: AccessKind, follow: bool) -> Self {
        Self { path, kind, follow, left_out: Vec::new(), loose: false, attributes: false }
    }

    /// A look at the extended attributes of `path`.
    #[must_use]
    pub fn of_attributes(path: Bytes, follow: bool) -> Self {
        Self { attributes: true, ..Self::new(path, AccessKind::Stat, follow) }
    }

    fn name(&self) -> &[u8] {
        bytes::name(&self.path)
    }
}

/// The observations of a run in canonical order, and what its tools declared: together they say what to look at to know
/// whether another run would see the same.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PathSet {
    /// Sorted, each once.
    pub observations: Vec<Observation>,
    /// What its tools declared: sorted, each once.
    pub declared: Vec<Statement>,
}

impl PathSet {
    /// The digest by which the path set is known.
    #[must_use]
    pub fn digest(&self) -> Digest {
        let mut digest = Framed::new("tracerun path set");
        for Observation { path, kind, follow, left_out, loose, attributes } in &self.observations {
            digest
                .field(path)
                .number(
                    u64::from(*attributes) << 16
                        | u64::from(*kind as u8) << 2
                        | u64::from(*loose) << 1
                        | u64::from(*follow),
                )
                .number(left_out.len() as u64);
            for name in left_out {
                digest.field(name);
            }
        }
        for statement in &self.declared {
            let (kind, text) = match statement {
                Statement::IgnoreInput(path) => (0, &path[..]),
                Statement::IgnoreOutput(path) => (1, &path[..]),
                Statement::DisableCache => (2, &b""[..]),
                Statement::Track(EnvQuery::Name(name)) => (3, name.as_bytes()),
                Statement::Track(EnvQuery::Glob(glob)) => (4, glob.as_bytes()),
                Statement::Track(EnvQuery::Prefix(prefix)) => (5, prefix.as_bytes()),
            };
            digest.number(kind).field(text);
        }
        digest.finish()
    }

    /// The variables that its tools asked for, as they are in the environment of the task's caller: one list for each
    /// query. Then the inputs that the task names, if it names any.
    #[must_use]
    pub fn variables(&self, task: &Task) -> Vec<Variables> {
        let queries = self.declared.iter().filter_map(|statement| match statement {
            Statement::Track(query) => Some(query),
            _ => None,
        });
        let answers = queries.map(|query| query.observe(&task.caller_environment));
        answers.chain(task.named_inputs.clone()).collect()
    }
}

/// What one observation came to.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum InputState {
    /// Nothing is there.
    Absent,
    /// Something is there where `missing` or `list` did not expect it; what it is does not matter.
    Present,
    /// A regular file.
    File {
        /// Of its content.
        digest: Digest,
        /// Its permission bits, where they were looked at.
        mode: Option<u16>,
    },
    /// A regular file that this user may not read.
    Unreadable {
        /// Its permission bits.
        mode: u16,
        /// Its length in bytes.
        size: u64,
    },
    /// A directory.
    Directory {
        /// Its permission bits, where they were looked at.
        mode: Option<u16>,
    },
    /// The entries of a directory.
    Listing(Digest),
    /// A symbolic link.
    Symlink {
        /// What it says.
        target: Bytes,
    },
    /// A device, FIFO or socket.
    Other,
    /// The system refused the look.
    Refused,
    /// A regular file in a tree that is trusted: whatever is in it.
    Trusted {
        /// Its length in bytes.
        size: u64,
        /// When it was modified, nanoseconds since 1970.
        mtime_ns: i128,
        /// Its number in its file system.
        inode: u64,
        /// Its permission bits, where they were looked at.
        mode: Option<u16>,
    },
    /// Nothing can be there: something on the way is no folder, which a program is told.
    NoFolder,
    /// The extended attributes of whatever is there, as [`attributes`] digests them.
    Attributes(Digest),
}

impl InputState {
    pub(crate) fn add_to(&self, digest: &mut Framed) {
        let mode = |mode: Option<u16>| mode.map_or(u64::MAX, u64::from);
        match self {
            Self::Absent => digest.number(0),
            Self::Present => digest.number(1),
            Self::File { digest: content, mode: bits } => {
                digest.number(2).digest(*content).number(mode(*bits))
            }
            Self::Unreadable { mode, size } => digest.number(3).number(u64::from(*mode)).number(*size),
            Self::Directory { mode: bits } => digest.number(4).number(mode(*bits)),
            Self::Listing(entries) => digest.number(5).digest(*entries),
            Self::Symlink { target } => digest.number(6).field(target),
            Self::Other => digest.number(7),
            Self::Refused => digest.number(8),
            Self::NoFolder => digest.number(9),
            Self::Attributes(attributes) => digest.number(11).digest(*attributes),
            Self::Trusted { size, mtime_ns, inode, mode: bits } => digest
                .number(10)
                .number(*size)
                .field(&mtime_ns.to_le_bytes())
                .number(*inode)
                .number(mode(*bits)),
        };
    }
}

/// Digest over an action key and every observation of a path set as the file system was: runs that agree in it
/// saw the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Fingerprint(pub Digest);

impl Fingerprint {
    /// The fingerprint of a path set whose observations came to `states`, and whose variables to `variables`, in its order.
    #[must_use]
    pub fn new(key: ActionKey, path_set: Digest, states: &[InputState], variables: &[Variables]) -> Self {
        let mut digest = Framed::new("tracerun fingerprint");
        digest.digest(key.0).digest(path_set);
        for state in states {
            state.add_to(&mut digest);
        }
        for found in variables {
            digest.number(found.len() as u64);
            for (name, value) in found {
                digest.field(name).digest(*value);
            }
        }
        Self(digest.finish())
    }
}

/// Looks at the file system, at each thing once.
pub struct Observer<'d> {
    declarations: Cow<'d, Declarations>,
    known: &'d KnownDigests,
    identities: HashMap<(Bytes, bool), Result<Identity, InputState>>,
    digests: HashMap<(u64, u64, u64, i128, i128), Digest>,
    /// The sorted names in the directories that were listed: only to tell what made another run differ.
    pub(crate) listings: HashMap<Digest, Vec<Bytes>>,
    looked_for: HashSet<Bytes>,
}

impl<'d> Observer<'d> {
    /// One that has seen nothing yet.
    #[must_use]
    pub fn new(declarations: &'d Declarations, known: &'d KnownDigests) -> Self {
        Self {
            declarations: Cow::Borrowed(declarations),
            known,
            identities: HashMap::new(),
            digests: HashMap::new(),
            listings: HashMap::new(),
            looked_for: HashSet::new(),
        }
    }

    /// Looks from now on for a run of which this was declared; what has been looked at stays known.
    pub(crate) fn declare(&mut self, declarations: Declarations) {
        self.declarations = Cow::Owned(declarations);
    }

    /// What files are known to hold.
    pub(crate) fn known(&self) -> &'d KnownDigests {
        self.known
    }

    /// From now on, looks at what these observations are: a loose listing holds the names that occur in them.
    pub fn look_for<'o>(&mut self, observations: impl Iterator<Item = &'o Observation> + Clone) {
        self.looked_for.clear();
        if observations.clone().any(|observation| observation.loose) {
            self.looked_for.extend(observations.map(|observation| observation.name().into()));
        }
    }

    /// Whether something of this name is looked for.
    pub(crate) fn looks_for(&self, name: &[u8]) -> bool {
        self.looked_for.contains(name)
    }

    /// What an observation comes to; of a loose listing, among those last told to [`Observer::look_for`].
    pub fn state(&mut self, observation: &Observation) -> InputState {
        let Observation { path, kind, follow, .. } = observation;
        let identity = match self.identity(path, *follow) {
            Ok(identity) => identity,
            Err(state) => return state,
        };
        if observation.attributes {
            return match attributes(&path.to_path(), *follow) {
                Ok(digest) => InputState::Attributes(digest),
                Err(error) => refusal(&error),
            };
        }
        let mode = identity.mode as u16;
        match (kind, identity.file_type) {
            (AccessKind::Missing, _) => InputState::Present,
            (AccessKind::List, FileType::Directory) => self.listing(observation),
            (AccessKind::List, _) => InputState::Present,
            (AccessKind::Read, FileType::Directory) => InputState::Directory { mode: None },
            (_, FileType::Directory) => InputState::Directory { mode: Some(mode) },
            (_, FileType::Symlink) if planted::is_off(Rule::Symlink) => InputState::Present,
            (_, FileType::Symlink) => match fs::read_link(path.to_path()) {
                Ok(target) => InputState::Symlink { target: target.as_path().into() },
                Err(error) => refusal(&error),
            },
            (_, FileType::Other) => InputState::Other,
            (kind, FileType::File) if self.declarations.trusts(path) => InputState::Trusted {
                size: identity.size,
                mtime_ns: identity.mtime_ns,
                inode: identity.inode,
                mode: (*kind != AccessKind::Read).then_some(mode),
            },
            (kind, FileType::File) => match self.digest_of(&path.to_path(), &identity) {
                Ok(digest) => InputState::File { digest, mode: (*kind != AccessKind::Read).then_some(mode) },
                Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                    InputState::Unreadable { mode, size: identity.size }
                }
                Err(error) => refusal(&error),
            },
        }
    }

    /// What stands at `path`, or the state that says why there is nothing to see.
    pub(crate) fn identity(&mut self, path: &Bytes, follow: bool) -> Result<Identity, InputState> {
        let key = (path.clone(), follow);
        let seen = self.identities.entry(key);
        seen.or_insert_with(|| files::identity(&path.to_path(), follow).map_err(|error| refusal(&error)))
            .clone()
    }

    /// The digest of the regular file at `path`, which has this identity. It is read only if
    /// neither this process nor another has done so since it changed.
    pub(crate) fn digest_of(&mut self, path: &Path, identity: &Identity) -> io::Result<Digest> {
        let Identity { device, inode, size, mtime_ns, ctime_ns, .. } = *identity;
        let key = (device, inode, size, mtime_ns, ctime_ns);
        if let Some(digest) = self.digests.get(&key) {
            return Ok(*digest);
        }
        let digest = self.known.digest_of(path, identity)?;
        self.digests.insert(key, digest);
        Ok(digest)
    }

    fn listing(&mut self, observation: &Observation) -> InputState {
        let Observation { path, left_out, loose, .. } = observation;
        match entries(&path.to_path()) {
            Ok(mut entries) => {
                entries.retain(|(name, _)| {
                    left_out.binary_search(name).is_err()
                        && (!loose || self.looks_for(name))
                        && !self.declarations.ignore_input(&bytes::join(path, name))
                });
                let state = listing_of(&entries);
                if let InputState::Listing(digest) = state {
                    let names = entries.into_iter().map(|(name, _)| name).collect();
                    self.listings.insert(digest, names);
                }
                state
            }
            Err(error) => refusal(&error),
        }
    }
}

/// A digest of the extended attributes of what stands at `path`, or what it points to if `follow`: names and values.
///
/// # Errors
/// They can't be read.
pub fn attributes(path: &Path, follow: bool) -> io::Result<Digest> {
    let place = if follow { Cow::Owned(path.canonicalize()?) } else { Cow::Borrowed(path) };
    let mut digest = Framed::new("tracerun attributes");
    for (name, value) in files::extended_attributes(&place)? {
        digest.field(&name).field(&value);
    }
    Ok(digest.finish())
}

/// The state of a listing with these entries, sorted by name.
pub(crate) fn listing_of(entries: &[(Bytes, FileType)]) -> InputState {
    let mut digest = Framed::new("tracerun listing");
    for (name, file_type) in entries {
        digest.field(name).number(match file_type {
            FileType::File => 0,
            FileType::Directory => 1,
            FileType::Symlink => 2,
            FileType::Other => 3,
        });
    }
    InputState::Listing(digest.finish())
}

/// The names and types in a directory, sorted.
pub(crate) fn entries(path: &Path) -> io::Result<Vec<(Bytes, FileType)>> {
    let mut entries = Vec::new();
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        let file_type = entry.file_type()?;
        let file_type = if file_type.is_file() {
            FileType::File
        } else if file_type.is_dir() {
            FileType::Directory
        } else if file_type.is_symlink() {
            FileType::Symlink
        } else {
            FileType::Other
        };
        entries.push((entry.file_name().as_os_str().into(), file_type));
    }
    entries.sort();
    Ok(entries)
}

/// A component that is not there, or no directory, makes the path absent; all else is a refusal.
pub(crate) fn refusal(error: &io::Error) -> InputState {
    match error.kind() {
        ErrorKind::NotFound => InputState::Absent,
        ErrorKind::NotADirectory => InputState::NoFolder,
        _ => InputState::Refused,
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::task::{Policy, StdinKey, Task};

    fn declarations(root: &Path, ignore_input: &[&str]) -> Declarations {
        let ignore_input = ignore_input.iter().map(|&glob| glob.to_owned()).collect();
        Declarations::of(&Task {
            argv: Vec::new(),
            cwd: root.to_owned(),
            root: root.to_owned(),
            environment: Vec::new(),
            caller_environment: Vec::new(),
            umask: 0,
            limits: Vec::new(),
            stdin: StdinKey::Empty,
            terminal: crate::task::Terminal::default(),
            policy: Policy { ignore_input, ..Policy::default() },
            named_inputs: None,
        })
        .unwrap()
    }

    fn look(path: PathBuf, kind: AccessKind, follow: bool) -> InputState {
        let observation = Observation::new(path.as_path().into(), kind, follow);
        Observer::new(&declarations(Path::new("/"), &[]), &KnownDigests::default()).state(&observation)
    }

    #[test]
    fn each_kind_observes_what_the_contract_says() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("file"), "x").unwrap();
        files::set_mode(&at("file"), 0o640).unwrap();
        fs::create_dir(at("sub")).unwrap();
        files::set_mode(&at("sub"), 0o750).unwrap();
        files::symlink(Path::new("file"), &at("link")).unwrap();
        let digest = Digest::of(b"x");
        for (name, kind, follow, state) in [
            ("file", AccessKind::Read, false, InputState::File { digest, mode: None }),
            ("file", AccessKind::Exec, false, InputState::File { digest, mode: Some(0o640) }),
            ("file", AccessKind::Stat, false, InputState::File { digest, mode: Some(0o640) }),
            ("file", AccessKind::Missing, false, InputState::Present),
            ("file", AccessKind::List, false, InputState::Present),
            ("link", AccessKind::Read, true, InputState::File { digest, mode: None }),
            ("link", AccessKind::Stat, false, InputState::Symlink { target: b"file"[..].into() }),
            ("sub", AccessKind::Read, false, InputState::Directory { mode: None }),
            ("sub", AccessKind::Stat, false, InputState::Directory { mode: Some(0o750) }),
            ("none", AccessKind::Missing, false, InputState::Absent),
            ("none", AccessKind::Read, false, InputState::Absent),
            ("file/below", AccessKind::Missing, false, InputState::NoFolder),
        ] {
            assert_eq!(look(at(name), kind, follow), state, "{name} {kind:?}");
        }
        assert_eq!(look("/dev/null".into(), AccessKind::Stat, false), InputState::Other);
    }

    #[test]
    fn a_listing_is_of_names_and_types_without_those_left_out_or_ignored() {
        let folder = tempfile::tempdir().unwrap();
        let path: Bytes = folder.path().into();
        let declarations = declarations(folder.path(), &["*.log"]);
        let listing = |left_out: &[&str]| {
            let left_out = left_out.iter().map(|name| name.as_bytes().into()).collect();
            let observation =
                Observation { left_out, ..Observation::new(path.clone(), AccessKind::List, false) };
            Observer::new(&declarations, &KnownDigests::default()).state(&observation)
        };
        let empty = listing(&[]);
        fs::write(folder.path().join("a.log"), "").unwrap();
        assert_eq!(listing(&[]), empty);
        fs::write(folder.path().join("out"), "").unwrap();
        assert_ne!(listing(&[]), empty);
        assert_eq!(listing(&["out"]), empty);
        let file = listing(&[]);
        fs::write(folder.path().join("out"), "other content").unwrap();
        assert_eq!(listing(&[]), file);
        fs::remove_file(folder.path().join("out")).unwrap();
        fs::create_dir(folder.path().join("out")).unwrap();
        assert_ne!(listing(&[]), file);
    }

    #[test]
    fn a_fingerprint_changes_with_key_path_set_and_states() {
        let key = |byte| ActionKey(Digest([byte; 32]));
        let set = |path: &str, follow| PathSet {
            observations: vec![Observation::new(path.as_bytes().into(), AccessKind::Read, follow)],
            declared: vec![],
        };
        let declaring = |what: fn(Bytes) -> Statement| PathSet {
            declared: vec![what(b"/p"[..].into())],
            ..set("/a", false)
        };
        let states = |byte, mode| [InputState::File { digest: Digest([byte; 32]), mode }];
        let all = [
            Fingerprint::new(key(0), set("/a", false).digest(), &states(0, None), &[]),
            Fingerprint::new(key(1), set("/a", false).digest(), &states(0, None), &[]),
            Fingerprint::new(key(0), set("/b", false).digest(), &states(0, None), &[]),
            Fingerprint::new(key(0), set("/a", true).digest(), &states(0, None), &[]),
            Fingerprint::new(key(0), set("/a", false).digest(), &states(1, None), &[]),
            Fingerprint::new(key(0), set("/a", false).digest(), &states(0, Some(0)), &[]),
            Fingerprint::new(key(0), set("/a", false).digest(), &[InputState::Absent], &[]),
            Fingerprint::new(key(0), set("/a", false).digest(), &states(0, None), &[vec![]]),
            Fingerprint::new(key(0), declaring(Statement::IgnoreInput).digest(), &states(0, None), &[]),
            Fingerprint::new(key(0), declaring(Statement::IgnoreOutput).digest(), &states(0, None), &[]),
        ];
        let distinct: std::collections::HashSet<_> = all.iter().collect();
        assert_eq!(distinct.len(), all.len());
    }
}
