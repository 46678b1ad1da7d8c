//! `tracerun.toml`: the settings of a project, and where its root is.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::Deserialize;

use crate::declarations::{BadGlob, Globs};

/// The name of the file, at the root.
pub const FILE: &str = "tracerun.toml";

/// What `tracerun.toml` may say; each setting has the meaning of the option of the same name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Configuration {
    /// The cache folder; relative to the root.
    pub cache_dir: Option<PathBuf>,
    /// Globs of inputs that do not count.
    pub ignore_input: Vec<String>,
    /// Globs of outputs that do not count.
    pub ignore_output: Vec<String>,
    /// What counts as input: `auto` for what is observed, globs, `!GLOB`.
    pub input: Option<Vec<String>>,
    /// What counts as output, in the same words.
    pub output: Option<Vec<String>>,
    /// How much the cache may hold, such as `10GiB`.
    pub cache_size: Option<Size>,
    /// The only variables that the command sees, besides the untracked.
    pub env: Option<Vec<String>>,
    /// Variables that the command sees and that do not count.
    pub untracked_env: Vec<String>,
    /// What becomes of a standard input that can't be read again.
    pub stdin: Option<StdinMode>,
    /// Keep runs that fail.
    pub cache_failures: bool,
    /// Keep runs that used the network.
    pub allow_network: bool,
    /// Keep runs that only the preload library watched.
    pub trust_preload: bool,
    /// Globs of files that are known by their identity instead of their content.
    pub trust: Vec<String>,
    /// Every name counts in a listing above the root and of the folder for temporary files.
    pub strict_listings: bool,
    /// Trees that are known by an identity, by name.
    pub toolchain: BTreeMap<String, ToolchainSettings>,
    /// How long to wait for processes that outlive the command, in milliseconds.
    pub grace_ms: Option<u64>,
    /// Kill them when that time is over.
    pub kill_background: bool,
    /// What becomes of `io_uring`.
    pub io_uring: Option<IoUringMode>,
    /// How to watch.
    pub capture: Option<CaptureMode>,
    /// The modification time that restored files get.
    pub mtime: Option<MtimeMode>,
    /// No final line.
    pub quiet: bool,
    /// The cache that is shared with other machines.
    pub remote: RemoteSettings,
}

/// `[toolchain.NAME]`: trees that are known by what a command prints.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ToolchainSettings {
    /// For a shell, in the root: what it prints tells whether the trees are the same.
    pub command: String,
    /// Globs of what belongs to it; none: [`SYSTEM`](crate::toolchain::SYSTEM).
    #[serde(default)]
    pub paths: Vec<String>,
}

/// `[remote]`: the cache that is shared with other machines.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct RemoteSettings {
    /// Where it is: `http://`, `https://`, `grpc://` or `grpcs://`.
    pub url: Option<String>,
    /// Which of the caches of a server that speaks gRPC.
    pub instance: String,
    /// Whether runs are only fetched, or given as well.
    pub mode: RemoteMode,
    /// When runs are given.
    pub upload: UploadMode,
    /// How long the questions of a look-up may take, in milliseconds.
    pub timeout_ms: Option<u64>,
    /// How long it may take to fetch contents, and to give a run, in milliseconds.
    pub transfer_timeout_ms: Option<u64>,
    /// The only certificates that vouch for it, as PEM; relative to the root.
    pub ca: Option<PathBuf>,
    /// The certificate that it is shown, as PEM; relative to the root.
    pub client_cert: Option<PathBuf>,
    /// The key of that certificate, as PEM; relative to the root.
    pub client_key: Option<PathBuf>,
}

/// Whether runs are only fetched, or given as well.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RemoteMode {
    /// Both.
    #[default]
    ReadWrite,
    /// Only fetched.
    ReadOnly,
}

/// When runs are given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UploadMode {
    /// Always.
    #[default]
    Always,
    /// In continuous integration, where the variable `CI` is set.
    Ci,
}

impl Configuration {
    /// The first glob that is none.
    fn bad_glob(&self, root: &Path) -> Option<BadGlob> {
        let Self { ignore_input, ignore_output, input, output, trust, toolchain, .. } = self;
        let lists = [Some(ignore_input), Some(ignore_output), input.as_ref(), output.as_ref(), Some(trust)];
        let trees = toolchain.values().flat_map(|one| &one.paths);
        let mut globs = lists.into_iter().flatten().flatten().chain(trees);
        globs.find_map(|glob| Globs::new([], [&glob[..]], root, None).err())
    }
}

/// What becomes of `io_uring`, which opens files unseen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum IoUringMode {
    /// Programs are told that it is not permitted.
    Refuse,
    /// Programs may use it, and a run in which one does is not kept.
    Allow,
}

/// How to watch a process tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CaptureMode {
    /// The best that works.
    Auto,
    /// The filter, with the preload library.
    Seccomp,
    /// The filter alone.
    SeccompOnly,
    /// Every system call stopped by ptrace.
    Ptrace,
    /// The preload library alone: never complete.
    Preload,
}

/// The modification time that restored files get.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MtimeMode {
    /// That of the restoration, in the order of the run.
    Now,
    /// That which the run left.
    Recorded,
}

/// What becomes of a standard input that can't be read again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StdinMode {
    /// It is the command's; a run that reads from it is not kept.
    #[default]
    Pass,
    /// It is read to its end before the run, and what it held is part of the key; not of a terminal.
    Hash,
}

/// A number of bytes, as people write it: `10GiB`, `500M`, `4096`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Size(pub u64);

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || format!("{text:?} is no size: write 500M or 10GiB");
        let end = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(end);
        let power = match unit.trim().trim_end_matches(['B', 'i']) {
            "" => 0,
            "K" | "k" => 1,
            "M" => 2,
            "G" => 3,
            "T" => 4,
            _ => return Err(bad()),
        };
        let number: u64 = number.parse().map_err(|_| bad())?;
        number.checked_mul(1 << (10 * power)).map(Self).ok_or_else(bad)
    }
}

impl TryFrom<String> for Size {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

/// A `tracerun.toml` that can't be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigurationError {
    /// It can't be read.
    #[error("{}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// It does not say what it should.
    #[error("{}:{line}: {message}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong.
        message: String,
    },
}

/// The nearest ancestor of `cwd` that holds `tracerun.toml` or `.git`; `cwd` itself if none does.
#[must_use]
pub fn find_root(cwd: &Path) -> &Path {
    let marked = |folder: &&Path| folder.join(FILE).exists() || folder.join(".git").exists();
    cwd.ancestors().find(marked).unwrap_or(cwd)
}

/// The settings of the project at `root`; the default ones if it has no file.
///
/// # Errors
/// The file can't be read, is no TOML, or has a key that is not known.
pub fn read(root: &Path) -> Result<Configuration, ConfigurationError> {
    let path = root.join(FILE);
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Configuration::default()),
        Err(source) => return Err(ConfigurationError::Unreadable { path, source }),
    };
    let mut configuration: Configuration = toml::from_str(&text).map_err(|error| {
        let before = error.span().map_or(0, |span| span.start).min(text.len());
        let line = text.as_bytes()[..before].iter().filter(|&&byte| byte == b'\n').count() + 1;
        let message = error.message().lines().collect::<Vec<_>>().join(": ");
        ConfigurationError::Malformed { path: path.clone(), line, message }
    })?;
    if let Some(bad) = configuration.bad_glob(root) {
        let quoted = |line: &str| line.contains(&bad.glob);
        let line = text.lines().position(quoted).unwrap_or_default() + 1;
        return Err(ConfigurationError::Malformed { path, line, message: bad.to_string() });
    }
    configuration.cache_dir = configuration.cache_dir.map(|folder| root.join(folder));
    let RemoteSettings { ca, client_cert, client_key, .. } = &mut configuration.remote;
    for path in [ca, client_cert, client_key].into_iter().flatten() {
        *path = root.join(&path);
    }
    Ok(configuration)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_is_the_nearest_marked_ancestor() {
        let folder = tempfile::tempdir().expect("a folder");
        let inner = folder.path().join("a/b/c");
        fs::create_dir_all(&inner).expect("made");
        fs::create_dir(folder.path().join(".git")).expect("made");
        assert_eq!(find_root(&inner), folder.path());
        fs::write(folder.path().join("a/b").join(FILE), "").expect("written");
        assert_eq!(find_root(&inner), folder.path().join("a/b"));
    }

    #[test]
    fn the_page_shows_every_setting_and_is_valid() {
        let page = include_str!("../../docs/configuration.md");
        let example = page.split("```").find_map(|block| block.strip_prefix("toml")).expect("an example");
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join(FILE), example).expect("written");
        read(folder.path()).expect("valid");
        // What is told of a key that is none names those that there are.
        let error = toml::from_str::<Configuration>("none = 1").expect_err("no such key").to_string();
        let (_, known) = error.split_once("expected one of ").expect("a list");
        let keys: Vec<&str> = known.split('`').skip(1).step_by(2).collect();
        assert!(keys.len() > 15, "{keys:?}");
        let is_shown = |key: &str| {
            example.lines().any(|line| line.starts_with(key) || line.trim_start_matches('[').starts_with(key))
        };
        assert_eq!(keys.into_iter().filter(|key| !is_shown(key)).collect::<Vec<_>>(), [""; 0]);
    }

    #[test]
    fn an_unknown_key_is_named_with_its_line() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join(FILE), "env = [\"CC\"]\n\nignore-inputs = []\n").expect("written");
        let message = read(folder.path()).expect_err("an unknown key").to_string();
        let place = format!("{}:3: ", folder.path().join(FILE).display());
        assert!(message.starts_with(&place) && message.contains("`ignore-inputs`"), "{message}");
        assert_eq!(message.lines().count(), 1, "{message}");
    }

    #[test]
    fn a_glob_that_is_none_is_named_with_its_line() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join(FILE), "quiet = true\ntrust = [\"a[\"]\n").expect("written");
        let message = read(folder.path()).expect_err("a bad glob").to_string();
        assert!(message.contains(":2: bad glob \"a[\""), "{message}");
    }

    #[test]
    fn sizes_are_read_as_people_write_them() {
        for (text, bytes) in
            [("0", 0), ("4096", 4096), ("500M", 500 << 20), ("10GiB", 10 << 30), ("2 kB", 2048)]
        {
            assert_eq!(text.parse(), Ok(Size(bytes)), "{text}");
        }
        for text in ["", "G", "-1", "1.5G", "10 potatoes", "99999999999T"] {
            assert!(text.parse::<Size>().is_err(), "{text}");
        }
    }

    #[test]
    fn settings_are_read() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(
            folder.path().join(FILE),
            "cache-dir = \"c\"\nenv = []\ngrace-ms = 50\nmtime = \"recorded\"\n",
        )
        .expect("written");
        let read = read(folder.path()).expect("valid");
        assert_eq!(
            (read.cache_dir, read.env, read.grace_ms, read.mtime),
            (Some(folder.path().join("c")), Some(vec![]), Some(50), Some(MtimeMode::Recorded))
        );
    }
}
