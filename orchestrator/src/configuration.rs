//! `tracerun.toml`: the settings of a project, and where its root is.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde::Deserialize;

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
    /// The only variables that the command sees, besides the untracked.
    pub env: Option<Vec<String>>,
    /// Variables that the command sees and that do not count.
    pub untracked_env: Vec<String>,
    /// Keep runs that fail.
    pub cache_failures: bool,
    /// Keep runs that used the network.
    pub allow_network: bool,
    /// Keep runs that only the preload library watched.
    pub trust_preload: bool,
    /// How long to wait for processes that outlive the command, in milliseconds.
    pub grace_ms: Option<u64>,
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
        ConfigurationError::Malformed { path, line, message }
    })?;
    configuration.cache_dir = configuration.cache_dir.map(|folder| root.join(folder));
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
    fn an_unknown_key_is_named_with_its_line() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join(FILE), "env = [\"CC\"]\n\nignore-inputs = []\n").expect("written");
        let message = read(folder.path()).expect_err("an unknown key").to_string();
        let place = format!("{}:3: ", folder.path().join(FILE).display());
        assert!(message.starts_with(&place) && message.contains("`ignore-inputs`"), "{message}");
        assert_eq!(message.lines().count(), 1, "{message}");
    }

    #[test]
    fn settings_are_read() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join(FILE), "cache-dir = \"c\"\nenv = []\ngrace-ms = 50\n").expect("written");
        let read = read(folder.path()).expect("valid");
        assert_eq!(
            (read.cache_dir, read.env, read.grace_ms),
            (Some(folder.path().join("c")), Some(vec![]), Some(50))
        );
    }
}
