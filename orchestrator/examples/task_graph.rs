//! A task runner in 150 lines: runs the tasks of a TOML file side by side, each after those that it names, and none twice.
//!
//! ```toml
//! [objects]
//! command = ["cc", "-c", "a.c"]
//!
//! [program]
//! after = ["objects"]
//! command = ["cc", "-o", "a", "a.o"]
//! ```
//!
//! `cargo run --example task_graph -- tasks.toml .cache` runs them in the folder of the file. Nothing is declared of what they
//! read and write: tracerun sees it. The first that fails ends all that are running.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::{fs, thread};

use serde::Deserialize;
use tracerun::Exit;
use tracerun::backend::{Backend, Request};
use tracerun::cache::{Outcome, Stream};
use tracerun::cancellation::Cancellation;
use tracerun::explain;
use tracerun::run::{Report, RunError};
use tracerun::stdio::Passage;
use tracerun::task::Task;

/// What the file says of a task.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Described {
    command: Vec<String>,
    #[serde(default)]
    after: BTreeSet<String>,
    /// Variables that do not count.
    #[serde(default)]
    untracked_env: Vec<String>,
}

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let [file, cache] = &arguments[..] else {
        eprintln!("usage: task_graph FILE CACHE");
        return ExitCode::from(2);
    };
    match run(file.as_ref(), cache.as_ref(), &mut std::io::stdout()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("task_graph: {error}");
            ExitCode::from(2)
        }
    }
}

/// Runs the tasks of `file`; says in `out` what became of each. Whether all of them succeeded.
///
/// # Errors
/// The file is none of tasks, or the cache can't be used.
pub(crate) fn run(file: &Path, cache: &Path, out: &mut dyn Write) -> Result<bool, Box<dyn Error>> {
    let file = fs::canonicalize(file)?;
    let folder = file.parent().ok_or("the file is in no folder")?;
    let tasks: BTreeMap<String, Described> = toml::from_str(&fs::read_to_string(&file)?)?;
    check(&tasks)?;
    let backend = Backend::open(cache)?;
    let cancellation = Cancellation::default();
    let mut waiting: BTreeSet<&str> = tasks.keys().map(String::as_str).collect();
    let mut done: BTreeSet<&str> = BTreeSet::new();
    let mut succeeded = true;
    thread::scope(|scope| {
        let (tell, ended) = channel();
        let mut running = 0;
        loop {
            let is_ready = |name: &&str| tasks[*name].after.iter().all(|other| done.contains(other.as_str()));
            let ready: Vec<&str> =
                waiting.iter().copied().filter(|name| succeeded && is_ready(name)).collect();
            for name in ready {
                waiting.remove(name);
                running += 1;
                let (tell, task) = (tell.clone(), &tasks[name]);
                let (backend, cancellation) = (&backend, cancellation.clone());
                scope.spawn(move || {
                    let printed = Arc::<Mutex<Vec<u8>>>::default();
                    let result = run_one(backend, task, folder, &printed, cancellation);
                    let printed = std::mem::take(&mut *printed.lock().expect("nobody panics with it"));
                    // Whoever waits for it is there to the end.
                    let _ = tell.send((name, result, printed));
                });
            }
            if running == 0 {
                return Ok(());
            }
            let (name, result, printed) = ended.recv()?;
            running -= 1;
            match result {
                Ok(report) if report.record.exit == Exit::Code(0) => {
                    done.insert(name);
                    writeln!(out, "{name}: {}", line(&report))?;
                }
                Ok(report) => {
                    succeeded = false;
                    writeln!(out, "{name}: failed, {:?}", report.record.exit)?;
                    // What runs beside it is of no use any more.
                    cancellation.cancel();
                }
                Err(RunError::Cancelled) => writeln!(out, "{name}: cancelled")?,
                Err(error) => {
                    succeeded = false;
                    writeln!(out, "{name}: {error}")?;
                    cancellation.cancel();
                }
            }
            out.write_all(&printed)?;
        }
    })
    .map(|()| succeeded)
}

/// Every task is described, and none waits for itself.
fn check(tasks: &BTreeMap<String, Described>) -> Result<(), Box<dyn Error>> {
    let mut done = BTreeSet::new();
    while done.len() < tasks.len() {
        let is_next = |task: &Described| task.after.iter().all(|other| done.contains(other));
        let next = tasks.iter().find(|(name, task)| !done.contains(*name) && is_next(task));
        let Some((name, _)) = next else {
            let left: Vec<_> = tasks.keys().filter(|name| !done.contains(*name)).cloned().collect();
            return Err(
                format!("these wait for themselves or for what there is not: {}", left.join(", ")).into()
            );
        };
        done.insert(name.clone());
    }
    Ok(())
}

fn run_one(
    backend: &Backend,
    described: &Described,
    folder: &Path,
    printed: &Arc<Mutex<Vec<u8>>>,
    cancellation: Cancellation,
) -> Result<Report, RunError> {
    let mut task = Task::new(&described.command, folder);
    task.policy.untracked_env = described.untracked_env.clone();
    let to = Arc::clone(printed);
    let output: Passage = Arc::new(move |_: Stream, bytes: &[u8]| {
        to.lock().expect("nobody panics with it").extend_from_slice(bytes);
        Ok(())
    });
    backend.run(&task, Request { output: Some(output), cancellation, ..Request::default() })
}

fn line(report: &Report) -> String {
    match &report.record.outcome {
        Outcome::Hit { .. } => format!("hit, {} ms saved", report.saved.unwrap_or_default().as_millis()),
        Outcome::Miss { reasons, .. } => match reasons.first() {
            Some(reason) => format!("ran: {}", explain::miss(reason)),
            None => "ran".to_owned(),
        },
        Outcome::Uncached { why, .. } => format!("ran, not cached: {}", explain::uncacheable(why)),
        other => format!("ran: {other:?}"),
    }
}
