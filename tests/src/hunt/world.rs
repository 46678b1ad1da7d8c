//! The place in which cases are tried: a cached run and a fresh one of the same state, in the same place.
//!
//! The world is a folder with the project, what lies beside it, a home and a folder for temporary files. For a
//! fresh run it is put aside by renaming it, which leaves every inode and time stamp in it as it is, and a copy takes
//! its place: so both runs see the same paths, and the cached one sees what the changes did and nothing else.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use super::Tally;
use super::generate::{Case, Change};
use super::tree::{Tree, differences, put_back, tree};
use crate::have;

/// How a cached run differed from a fresh one.
#[derive(Clone, Debug)]
pub enum Difference {
    /// In what it left or printed, at the run of this number (0: before any change).
    Runs {
        /// The number of the run.
        run: usize,
        /// `hit`, `miss` or `uncached`.
        outcome: String,
        /// What differed, in lines.
        text: String,
    },
    /// Not at all that could be told: two fresh runs of the same differ.
    Unsteady,
}

/// A place to try cases in, removed at the end.
pub struct World {
    top: TempDir,
    tracerun: PathBuf,
    variables: Vec<(String, String)>,
}

/// What a run left and printed.
#[derive(Clone, PartialEq, Eq)]
struct Left {
    tree: Tree,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    status: i32,
}

/// A run that was stored.
struct Stored {
    key: String,
    before: Tree,
    after: Tree,
    outputs: Vec<PathBuf>,
}

/// Where and how the command is run.
struct Setting {
    directory: &'static str,
    variables: HashMap<&'static str, &'static str>,
}

const STATIC: &str = include_str!("static.c");

impl World {
    /// A place for cases that are tried with this tracerun, which gets these variables too: in memory where that can be.
    ///
    /// # Panics
    /// There is no place for temporary folders, or the static program can't be built.
    #[must_use]
    pub fn new(tracerun: &Path, variables: &[(&str, &str)]) -> Self {
        let folder = [Path::new("/dev/shm"), &std::env::temp_dir()]
            .into_iter()
            .find_map(|base| {
                let folder = tempfile::Builder::new().prefix("tracerun-hunt-").tempdir_in(base).ok()?;
                runs_programs(folder.path()).then_some(folder)
            })
            .expect("a temporary folder in which programs can be run");
        let tools = folder.path().join("tools");
        fs::create_dir(&tools).expect("made");
        if have("cc") {
            fs::write(tools.join("static.c"), STATIC).expect("written");
            let mut cc = Command::new("cc");
            cc.args(["-static", "-O1", "-o", "static", "static.c"]).current_dir(&tools);
            assert!(cc.status().expect("cc runs").success(), "the static program can't be built");
        }
        let variables = variables.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
        Self { top: folder, tracerun: tracerun.to_owned(), variables }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.top.path().join(name)
    }

    /// Tries a case: its first run and one after each change.
    ///
    /// # Errors
    /// A cached run differed from a fresh one.
    ///
    /// # Panics
    /// The case can't be set up.
    pub fn try_case(&self, case: &Case, tally: &mut Tally) -> Result<(), Difference> {
        self.set_up(case).expect("a case is set up");
        let mut setting = Setting { directory: ".", variables: HashMap::new() };
        let mut stored: HashMap<String, Stored> = HashMap::new();
        self.compare(case, 0, &setting, &mut stored, tally)?;
        for (number, change) in case.changes.iter().enumerate() {
            match change {
                Change::Line(line) => {
                    let mut shell =
                        self.command("sh", &Setting { directory: ".", variables: HashMap::new() });
                    // A change that can't be made is none.
                    let _ = shell.args(["-c", line]).output().expect("a shell runs");
                }
                Change::Variable(name, Some(value)) => _ = setting.variables.insert(name, value),
                Change::Variable(name, None) => _ = setting.variables.remove(name),
                Change::Directory(name) => setting.directory = name,
            }
            self.compare(case, number + 1, &setting, &mut stored, tally)?;
        }
        Ok(())
    }

    fn set_up(&self, case: &Case) -> io::Result<()> {
        for name in ["world", "saved", "cache"] {
            self.clear(name)?;
        }
        for name in ["world/project/.git", "world/outside", "world/tmp", "world/home"] {
            fs::create_dir_all(self.at(name))?;
        }
        let mut shell = self.command("sh", &Setting { directory: ".", variables: HashMap::new() });
        shell.args(["-c", &case.setup.join("\n")]).output()?;
        copy(&self.at("world"), &self.at("saved"))
    }

    fn clear(&self, name: &str) -> io::Result<()> {
        match fs::remove_dir_all(self.at(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// A command in the world, with an environment that is known.
    fn command(&self, program: &str, setting: &Setting) -> Command {
        let mut command = Command::new("timeout");
        // What hangs is a difference, too.
        command.args(["--foreground", "60", program]).stdin(Stdio::null()).env_clear();
        let project = self.at("world/project");
        let directory = project.join(setting.directory);
        command.current_dir(if directory.is_dir() { directory } else { project.clone() });
        let path = [project.join("e"), project.join("bin"), self.at("tools")].map(PathBuf::into_os_string);
        command.env("PATH", [path.join(":".as_ref()), "/usr/bin:/bin".into()].join(":".as_ref()));
        command.env("HOME", self.at("world/home")).env("TMPDIR", self.at("world/tmp")).env("LC_ALL", "C");
        command.envs(&setting.variables);
        command
    }

    /// Runs the command cached and fresh, and compares.
    fn compare(
        &self,
        case: &Case,
        run: usize,
        setting: &Setting,
        stored: &mut HashMap<String, Stored>,
        tally: &mut Tally,
    ) -> Result<(), Difference> {
        let before = self.tree();
        self.clear("before").expect("cleared");
        copy(&self.at("world"), &self.at("before")).expect("copied");
        let script = case.script.join("\n");
        let fresh = || {
            let mut shell = self.command("sh", setting);
            shell.args(["-c", &script]);
            self.left(&shell.output().expect("a shell runs"))
        };
        let first = self.in_a_copy(&[], fresh);

        let summary_file = self.at("summary.json");
        let mut cached = self.command(self.tracerun.to_str().expect("UTF-8"), setting);
        cached.envs(self.variables.iter().map(|(name, value)| (name, value)));
        cached.arg("--cache-dir").arg(self.at("cache")).arg("--summary").arg(&summary_file);
        cached.arg("--quiet").args(&case.options).args(["--", "sh", "-c", &script]);
        // There is none before the first run.
        let _ = fs::remove_file(&summary_file);
        let output = cached.output().expect("tracerun runs");
        let summary = fs::read(&summary_file).ok().and_then(|text| serde_json::from_slice(&text).ok());
        let summary: Value = summary.unwrap_or_default();
        let text = |name: &str| summary[name].as_str().unwrap_or_default().to_owned();
        let (outcome, fingerprint, key) = (text("outcome"), text("fingerprint"), text("action_key"));
        let left = self.left(&output);

        match &outcome[..] {
            "hit" => {
                tally.hits += 1;
                tally.changed_hits +=
                    u64::from(stored.get(&fingerprint).is_none_or(|kept| kept.before != before));
            }
            "miss" => {
                tally.misses += 1;
                let outputs = summary["outputs"].as_array().into_iter().flatten();
                let outputs =
                    outputs.filter_map(|output| output["path"].as_str()).map(PathBuf::from).collect();
                let kept = Stored { key, before: before.clone(), after: left.tree.clone(), outputs };
                stored.insert(fingerprint.clone(), kept);
            }
            "uncached" => *tally.uncached.entry(without_names(&text("reason"))).or_default() += 1,
            _ => {}
        }
        if first == left {
            return Ok(());
        }
        if outcome == "hit"
            && let Some(kept) = stored.get(&fingerprint)
        {
            let own = own_outputs(kept, stored, &before);
            let second = self.in_a_copy(&own, fresh);
            if second == left {
                tally.own_outputs += 1;
                return Ok(());
            }
        }
        // Was it the command? A copy of a copy lists its folders in another order, which must not matter either.
        let again = (0..3).any(|_| {
            copy(&self.at("before"), &self.at("reordered")).expect("copied");
            self.clear("before").expect("cleared");
            fs::rename(self.at("reordered"), self.at("before")).expect("renamed");
            self.in_a_copy(&[], fresh) != first
        });
        if again {
            return Err(Difference::Unsteady);
        }
        Err(Difference::Runs {
            run,
            outcome: if outcome.is_empty() { "nothing".into() } else { outcome },
            text: first.differences(&left),
        })
    }

    /// Lets `action` happen in a copy of what the world was before the run, in its place; these paths are made what
    /// they are said to have been.
    fn in_a_copy(&self, put: &[(PathBuf, Option<super::tree::Node>)], action: impl Fn() -> Left) -> Left {
        let (world, kept) = (self.at("world"), self.at("kept"));
        fs::rename(&world, &kept).expect("renamed");
        copy(&self.at("before"), &world).expect("copied");
        // Folders after what is in them to be removed, before it to be made.
        for (path, node) in put.iter().rev().filter(|(_, node)| node.is_none()) {
            put_back(path, node.as_ref()).expect("put back");
        }
        for (path, node) in put.iter().filter(|(_, node)| node.is_some()) {
            put_back(path, node.as_ref()).expect("put back");
        }
        let left = action();
        fs::remove_dir_all(&world).expect("removed");
        fs::rename(&kept, &world).expect("renamed");
        left
    }

    fn tree(&self) -> Tree {
        tree(&self.at("world")).expect("a world that can be read")
    }

    fn left(&self, output: &Output) -> Left {
        Left {
            tree: self.tree(),
            stdout: output.stdout.clone(),
            stderr: output.stderr.clone(),
            status: output.status.code().unwrap_or_else(|| -output.status.signal().unwrap_or_default()),
        }
    }
}

impl Left {
    fn differences(&self, cached: &Self) -> String {
        let mut text = differences(&self.tree, &cached.tree);
        for (name, fresh, cached) in
            [("stdout", &self.stdout, &cached.stdout), ("stderr", &self.stderr, &cached.stderr)]
        {
            if fresh != cached {
                let (fresh, cached) = (String::from_utf8_lossy(fresh), String::from_utf8_lossy(cached));
                text.push_str(&format!("{name}: fresh {fresh:?}, cached {cached:?}\n"));
            }
        }
        if self.status != cached.status {
            text.push_str(&format!("status: fresh {}, cached {}\n", self.status, cached.status));
        }
        text
    }
}

/// The own outputs that stand in place as a stored run of the same key left them, with what stood there before
/// the run that was hit: the contract says that they do not stand in its way.
fn own_outputs(
    kept: &Stored,
    stored: &HashMap<String, Stored>,
    before: &Tree,
) -> Vec<(PathBuf, Option<super::tree::Node>)> {
    let is_left = |path: &PathBuf| {
        stored.values().any(|other| {
            other.key == kept.key && other.outputs.contains(path) && other.after.get(path) == before.get(path)
        })
    };
    let own = kept.outputs.iter().filter(|path| is_left(path));
    own.map(|path| (path.clone(), kept.before.get(path).cloned())).collect()
}

/// A copy with times, modes, links and extended attributes, by a program that we did not write.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    let status = Command::new("cp").arg("-a").arg(from).arg(to).status()?;
    if status.success() { Ok(()) } else { Err(io::Error::other("cp failed")) }
}

/// Whether a program in this folder can be run: file systems in memory are often mounted without. It is copied by
/// another process, as one that is open for writing in a fork of ours can't be executed.
fn runs_programs(folder: &Path) -> bool {
    let program = folder.join("probe");
    copy(Path::new("/bin/true"), &program).is_ok()
        && Command::new(&program).status().is_ok_and(|status| status.success())
}

/// A reason without what is different in each case: the names of files and processes.
fn without_names(reason: &str) -> String {
    let outside = reason.split('`').step_by(2).collect::<Vec<_>>().join("…");
    outside.split(' ').map(|word| if word.contains('/') { "…" } else { word }).collect::<Vec<_>>().join(" ")
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Runs { run, outcome, text } => {
                write!(f, "run {run} ({outcome})")?;
                text.lines().try_for_each(|line| write!(f, "\n#   {line}"))
            }
            Self::Unsteady => f.write_str("two fresh runs differ"),
        }
    }
}
