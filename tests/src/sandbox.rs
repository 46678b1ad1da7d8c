//! A project folder with a home and a cache of its own, in which commands run with an environment that is known.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

/// A place to run tracerun in, removed at the end.
pub struct Sandbox {
    folder: TempDir,
    variables: Vec<(String, String)>,
}

/// What came of a run of tracerun.
#[derive(Debug)]
pub struct Ran {
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
    /// Exit status; -N if signal N killed it.
    pub status: i32,
    /// The object that `--summary` wrote, null if it wrote none.
    pub summary: Value,
}

impl Default for Sandbox {
    fn default() -> Self {
        Self::new()
    }
}

impl Sandbox {
    /// An empty project, marked as a root.
    ///
    /// # Panics
    /// There is no place for temporary folders.
    #[must_use]
    pub fn new() -> Self {
        Self::new_in(&std::env::temp_dir())
    }

    /// The same, in a folder below `place`.
    ///
    /// # Panics
    /// It can't be made.
    #[must_use]
    pub fn new_in(place: &Path) -> Self {
        let mut builder = tempfile::Builder::new();
        let folder = builder.prefix("tracerun-test-").tempdir_in(place).expect("a temporary folder");
        for name in ["project/.git", "home"] {
            fs::create_dir_all(folder.path().join(name)).expect("made");
        }
        Self { folder, variables: Vec::new() }
    }

    /// The folder that the project, the home and the cache lie in.
    #[must_use]
    pub fn top(&self) -> &Path {
        self.folder.path()
    }

    /// A path in the project.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join("project").join(name)
    }

    /// A folder of the store, in whatever version of its form.
    ///
    /// # Panics
    /// There is no store.
    #[must_use]
    pub fn stored(&self, name: &str) -> PathBuf {
        let versions = fs::read_dir(self.top().join("cache")).expect("a cache");
        let versions = versions.map(|entry| entry.expect("read").path());
        versions
            .filter(|path| path.join("keys").is_dir())
            .map(|path| path.join(name))
            .next()
            .expect("a store")
    }

    /// Sets an environment variable for what runs from now on.
    pub fn set(&mut self, name: &str, value: &str) {
        self.variables.push((name.into(), value.into()));
    }

    /// Writes a file of the project, with the folders it needs.
    ///
    /// # Panics
    /// It can't be written.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("in the project")).expect("made");
        fs::write(path, content).expect("written");
    }

    /// The content of a file of the project.
    ///
    /// # Panics
    /// It can't be read.
    #[must_use]
    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// A command to be run in the project, with the sandbox's environment.
    #[must_use]
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command.current_dir(self.path("")).env_clear();
        for name in ["PATH", "LANG"] {
            command.envs(std::env::var_os(name).map(|value| (name, value)));
        }
        command.env("HOME", self.top().join("home")).env("TRACERUN_CACHE_DIR", self.top().join("cache"));
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs tracerun with these arguments.
    ///
    /// # Panics
    /// It can't be run.
    #[must_use]
    pub fn tracerun<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Ran {
        ran(self.command(crate::tracerun()).args(arguments).output().expect("tracerun runs"), Value::Null)
    }

    /// Runs a command under tracerun with cache.
    ///
    /// # Panics
    /// tracerun can't be run, or wrote a summary that is no JSON.
    #[must_use]
    pub fn run(&self, argv: &[&str]) -> Ran {
        self.run_with(&[], argv)
    }

    /// The same, with options.
    ///
    /// # Panics
    /// tracerun can't be run, or wrote a summary that is no JSON.
    #[must_use]
    pub fn run_with(&self, options: &[&str], argv: &[&str]) -> Ran {
        let summary = self.top().join("summary.json");
        // That there is none is as good.
        let _ = fs::remove_file(&summary);
        let mut command = self.command(crate::tracerun());
        command.arg("--summary").arg(&summary).args(options).arg("--").args(argv);
        let output = command.output().expect("tracerun runs");
        // It stays empty when the command could not be started.
        let written = fs::read(summary).ok().filter(|text| !text.is_empty());
        let summary = written.map_or(Value::Null, |text| serde_json::from_slice(&text).expect("JSON"));
        ran(output, summary)
    }
}

fn ran(output: Output, summary: Value) -> Ran {
    use std::os::unix::process::ExitStatusExt;
    Ran {
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        status: output.status.code().unwrap_or_else(|| -output.status.signal().unwrap_or_default()),
        summary,
    }
}

impl Ran {
    /// `hit`, `miss` or `uncached`.
    ///
    /// # Panics
    /// There is no summary.
    #[must_use]
    pub fn outcome(&self) -> &str {
        self.summary["outcome"].as_str().unwrap_or_else(|| panic!("no summary: {self:?}"))
    }

    /// Asserts that the run was a miss that was stored.
    ///
    /// # Panics
    /// It was not.
    #[track_caller]
    pub fn assert_stored(&self) {
        assert_eq!(self.outcome(), "miss", "{self:?}");
        assert!(self.stderr.contains("stored"), "{self:?}");
    }

    /// Asserts that the run was a hit.
    ///
    /// # Panics
    /// It was not.
    #[track_caller]
    pub fn assert_hit(&self) {
        assert_eq!(self.outcome(), "hit", "{self:?}");
    }
}
