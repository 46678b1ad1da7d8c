//! `tracerun who PATH`: which runs and processes read, wrote or looked for a path, and why it counts.

use std::fmt::Write as _;

use platform::files;
use platform::terminal::{OutputStream, columns};
use serde_json::{Value, json};
use shm_protocol::access::AccessKind;
use shm_protocol::path::{Step, normalize};
use shm_protocol::record::Exit;
use tracerun::bytes;
use tracerun::cache::{Outcome, RunId, RunRecord, Store};
use tracerun::report::command_line;
use tracerun::report::text::{clipped, label_width, printable};
use tracerun::trace::{PathAccess, Process, ProcessId, Trace};

use super::arguments::{AnswerFormat, Common, WhoArguments};
use super::history::heading;
use super::pager::page;
use super::{Failure, Place};

pub(super) fn who(arguments: &WhoArguments, common: &Common) -> Result<Exit, Failure> {
    let place = Place::find(common)?;
    let store = place.open_store()?;
    let path = absolute(&files::bytes_of_path(&place.cwd), &files::bytes_of_path(&arguments.path));
    let runs = match &arguments.run {
        Some(name) => vec![store.run(store.resolve(name, &place.root)?)?],
        None => store.runs()?,
    };
    let (mut text, mut objects, mut forgotten) = (String::new(), Vec::new(), 0);
    for run in &runs {
        // A hit did nothing by itself: what it stands for is another of these runs.
        let ran = match run.outcome {
            Outcome::Hit { run: kept, .. } if arguments.run.is_some() => kept,
            Outcome::Hit { .. } => continue,
            _ => run.id,
        };
        let Some(trace) = store.trace(ran)? else {
            forgotten += 1;
            continue;
        };
        let mut found: Vec<&PathAccess> =
            trace.accesses.iter().filter(|access| trace.path(access.path) == path).collect();
        found.sort_by_key(|access| (importance(access.kind), access.kind));
        if found.is_empty() {
            continue;
        }
        let counts = arguments.why.then(|| counts(&store, run, ran, &path)).transpose()?;
        match arguments.format {
            AnswerFormat::Text => {
                text += &heading(run);
                tell(&mut text, &trace, &found, arguments.why);
                if let Some(counts) = counts {
                    let _ = writeln!(text, "  {counts}");
                }
            }
            AnswerFormat::Json => objects.push(object(run, &trace, &found, counts)),
        }
    }
    let is_empty = text.is_empty() && objects.is_empty();
    if arguments.format == AnswerFormat::Json {
        text = format!("{}\n", Value::from(objects));
    } else if is_empty {
        let searched = runs.len() - forgotten;
        let _ = writeln!(text, "no process of {searched} remembered runs touched {}", printable(&path));
    }
    page(text.as_bytes())?;
    Ok(Exit::Code(u32::from(is_empty)))
}

/// A path as traces name it.
fn absolute(cwd: &[u8], path: &[u8]) -> Vec<u8> {
    let named = bytes::join(cwd, path);
    let mut normal = b"/".to_vec();
    normalize(if path.starts_with(b"/") { path } else { &named }, |step| match step {
        Step::Into(name) => normal = bytes::join(&normal, name),
        Step::Up => normal = bytes::parent(&normal).unwrap_or(b"/").to_vec(),
    });
    normal
}

/// How many processes are named that did the same.
const MOST: usize = 4;

/// The accesses, which come in order of their kinds; with `why`, the first of each kind with the way that led to it.
fn tell(text: &mut String, trace: &Trace, found: &[&PathAccess], why: bool) {
    let line = |process| trace.process(process).map(command_line).unwrap_or_default();
    for same in found.chunk_by(|one, next| one.kind == next.kind) {
        for (index, access) in same.iter().take(MOST).enumerate() {
            let (kind, id) = (done(access.kind), access.process);
            let line = clipped(&line(id), 12 + label_width(id), columns(OutputStream::Stdout));
            let _ = writeln!(text, "  {kind:<9} [{id}] {line}");
            for above in ancestors(trace, id).into_iter().filter(|_| why && index == 0) {
                let beside = 15 + label_width(above.id);
                let line = clipped(&command_line(above), beside, columns(OutputStream::Stdout));
                let _ = writeln!(text, "            by [{}] {line}", above.id);
            }
        }
        if let Some(more) = same.len().checked_sub(MOST).filter(|more| *more > 0) {
            let _ = writeln!(text, "  {:<9} by {more} more", done(same[0].kind));
        }
    }
}

/// The processes above one, the nearest first; of a program and its forks only the first.
fn ancestors(trace: &Trace, id: ProcessId) -> Vec<&Process> {
    let mut above: Vec<&Process> = Vec::new();
    let mut here = trace.process(id);
    while let Some(process) = here {
        // Numbers of parents are smaller, in a trace that is sound.
        here = trace.process(process.parent).filter(|parent| parent.id < process.id);
        if let Some(parent) = here {
            above.pop_if(|below| below.argv == parent.argv);
            above.push(parent);
        }
    }
    above
}

/// Whether the path counts for what the run came to, in words.
fn counts(store: &Store, run: &RunRecord, ran: RunId, path: &[u8]) -> Result<String, Failure> {
    let fingerprint = match store.run(ran).map(|run| run.outcome).unwrap_or(run.outcome.clone()) {
        Outcome::Hit { fingerprint, .. } => Some(fingerprint),
        Outcome::Miss { kept, .. } => kept,
        _ => None,
    };
    let Some(kept) = fingerprint.map(|fingerprint| store.kept_run(fingerprint)).transpose()?.flatten() else {
        return Ok("the run is not stored: nothing counts".to_owned());
    };
    let ways: Vec<&str> = kept
        .inputs
        .iter()
        .filter(|(input, ..)| &*input.path == path)
        .map(|(input, ..)| input.kind.name())
        .collect();
    let is_output = kept.outputs.iter().any(|output| &*output.path == path);
    Ok(match (ways.is_empty(), is_output) {
        (false, _) => format!("it is an input ({}): it must be as it was for a hit", ways.join(", ")),
        (true, true) => "it is an output: it is stored, and restored by a hit".to_owned(),
        (true, false) => {
            "it is no input: the run made it itself, or it is ignored by an option, a tool or as known noise"
                .to_owned()
        }
    })
}

fn object(run: &RunRecord, trace: &Trace, found: &[&PathAccess], counts: Option<String>) -> Value {
    let accesses = found.iter().map(|access| {
        let process = trace.process(access.process).map(command_line).unwrap_or_default();
        json!({ "kind": access.kind.name(), "count": access.count, "id": access.process, "process": process })
    });
    let mut object = json!({ "run": run.id.to_string(), "accesses": accesses.collect::<Vec<_>>() });
    if let Some(counts) = counts {
        object["why"] = counts.into();
    }
    object
}

/// Who made it is asked for first, who only looked at it last.
fn importance(kind: AccessKind) -> u8 {
    match kind {
        AccessKind::Write | AccessKind::Delete => 0,
        AccessKind::Read | AccessKind::Exec => 1,
        AccessKind::List => 2,
        AccessKind::Stat | AccessKind::Missing => 3,
    }
}

fn done(kind: AccessKind) -> &'static str {
    match kind {
        AccessKind::Read => "read",
        AccessKind::Exec => "executed",
        AccessKind::Stat => "looked at",
        AccessKind::Missing => "missed",
        AccessKind::List => "listed",
        AccessKind::Write => "wrote",
        AccessKind::Delete => "deleted",
    }
}
