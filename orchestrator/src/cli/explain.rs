//! `tracerun explain`: why a run hit, missed or was not cached, and what to do about it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Value, json};
use shm_protocol::record::Exit;
use tracerun::cache::{Declared, KeptRun, MissReason, Outcome, RunId, RunRecord, Store};
use tracerun::explain;
use tracerun::trace::Trace;

use super::arguments::{AnswerFormat, Common, ExplainArguments};
use super::history::{heading, outcome};
use super::pager::page;
use super::{Failure, Place, duration};

pub(super) fn explain(arguments: &ExplainArguments, common: &Common) -> Result<Exit, Failure> {
    let place = Place::find(common)?;
    let store = place.open_store()?;
    let run = store.run(store.resolve(&arguments.choice.run, &place.root)?)?;
    let answer = Answer::of(&run, &store)?;
    match arguments.format {
        AnswerFormat::Text => page((heading(&run) + &answer.text()).as_bytes())?,
        AnswerFormat::Json => page(format!("{}\n", answer.json(&run)).as_bytes())?,
    }
    Ok(Exit::Code(0))
}

/// What there is to say about a run.
struct Answer<'a> {
    outcome: &'a Outcome,
    reasons: &'a [MissReason],
    against: Option<RunId>,
    /// Of a hit, and of a run that was kept.
    kept: Option<KeptRun>,
    /// The nearest earlier run of the same program, where there was none of the same command line, and how its
    /// arguments differ.
    near: Option<(RunId, Vec<String>)>,
    io_uring: Vec<String>,
    /// What its tools declared, or those of the run that it stands for.
    declared: Vec<Declared>,
}

impl<'a> Answer<'a> {
    fn of(run: &'a RunRecord, store: &Store) -> Result<Self, Failure> {
        let (reasons, against, fingerprint) = match &run.outcome {
            Outcome::Hit { fingerprint, .. } => (&[][..], None, Some(*fingerprint)),
            Outcome::Miss { reasons, against, kept } => (&reasons[..], *against, *kept),
            Outcome::Uncached { reasons, against, .. } => (&reasons[..], *against, None),
            Outcome::StoreFailed { .. } | Outcome::Traced => (&[][..], None, None),
        };
        let kept = fingerprint.map(|fingerprint| store.kept_run(fingerprint)).transpose()?.flatten();
        let first = reasons.contains(&MissReason::FirstRun);
        let near = if first { nearest(run, &store.runs()?) } else { None };
        let trace = store.trace(run.id)?;
        let io_uring = trace.iter().flat_map(Trace::io_uring_refused).collect();
        let declared = match run.outcome {
            Outcome::Hit { run: kept, .. } => store.run(kept).map(|run| run.declared).unwrap_or_default(),
            _ => run.declared.clone(),
        };
        Ok(Self { outcome: &run.outcome, reasons, against, kept, near, io_uring, declared })
    }

    fn text(&self) -> String {
        let mut text = String::new();
        let mut item = |sentence: &str| {
            let _ = writeln!(text, "  - {sentence}");
        };
        self.reasons.iter().map(explain::miss).for_each(|sentence| item(&sentence));
        if let Some(run) = self.against {
            item(&format!("compared with run {run}, the nearest that was stored"));
        }
        if let Some((run, differences)) = &self.near {
            item(&format!("run {run} was nearest: {}", differences.join(", ")));
        }
        match self.outcome {
            Outcome::Hit { run, .. } => {
                item(&format!(
                    "everything is as run {run} saw it; its outputs and terminal output took the place of a run"
                ));
                if let Some(kept) = &self.kept {
                    item(&format!("checked: {}", checked(kept)));
                    item(&format!("that run took {}", duration(Duration::from_millis(kept.wall_ms))));
                }
            }
            Outcome::Miss { reasons, kept, .. } => {
                if reasons.is_empty() {
                    item("it was asked to run (--force)");
                }
                item(if kept.is_some() { "stored" } else { "not stored, as asked (--no-store)" });
            }
            Outcome::Uncached { why, .. } => {
                item(&format!("not cached: {}", explain::uncacheable(why)));
                if let Some(advice) = explain::advice(why) {
                    item(&format!("to do: {advice}"));
                }
            }
            Outcome::StoreFailed { error } => item(&format!("not cached: {error}")),
            Outcome::Traced => item("only traced"),
        }
        self.declared.iter().map(explain::declared).for_each(|sentence| item(&sentence));
        for program in &self.io_uring {
            item(&explain::io_uring_refused(program));
        }
        text
    }

    fn json(&self, run: &RunRecord) -> Value {
        let argv: Vec<_> = run.argv.iter().map(|argument| argument.text()).collect();
        let mut object = json!({
            "run": run.id.to_string(), "outcome": outcome(run), "argv": argv, "cwd": run.cwd.text(),
            "began_ms": run.began_ms, "wall_ms": run.wall_ms,
            "reasons": self.reasons.iter().map(explain::json::miss).collect::<Vec<_>>(),
            "against": self.against.map(|run| run.to_string()),
        });
        match self.outcome {
            Outcome::Hit { run: kept, .. } => object["stands_for"] = kept.to_string().into(),
            Outcome::Uncached { why, .. } => object["uncached"] = explain::json::uncacheable(why),
            Outcome::StoreFailed { error } => {
                object["uncached"] = json!({ "text": error, "reason": "store-failed" });
            }
            Outcome::Miss { kept, .. } => object["stored"] = kept.is_some().into(),
            Outcome::Traced => {}
        }
        if let Some(kept) = &self.kept {
            object["checked"] = json!({ "inputs": kinds(kept), "outputs": kept.outputs.len() });
            if matches!(self.outcome, Outcome::Hit { .. }) {
                object["saved_ms"] = kept.wall_ms.saturating_sub(run.wall_ms).into();
            }
        }
        if !self.declared.is_empty() {
            object["declared"] = self.declared.iter().map(explain::json::declared).collect();
        }
        if let Some((run, differences)) = &self.near {
            object["nearest"] = json!({ "run": run.to_string(), "differences": differences });
        }
        object
    }
}

/// How many inputs of each kind a run had.
fn kinds(kept: &KeptRun) -> BTreeMap<&'static str, usize> {
    let mut kinds = BTreeMap::new();
    for (observation, ..) in &kept.inputs {
        *kinds.entry(observation.kind.name()).or_default() += 1;
    }
    kinds
}

fn checked(kept: &KeptRun) -> String {
    let kinds: Vec<String> = kinds(kept).iter().map(|(kind, count)| format!("{count} {kind}")).collect();
    let outputs = match kept.outputs.len() {
        1 => "1 output".to_owned(),
        count => format!("{count} outputs"),
    };
    format!("arguments, environment, {} inputs ({}) and {outputs}", kept.inputs.len(), kinds.join(", "))
}

/// The latest of the earlier runs of the same program in the same directory whose arguments are most like those of
/// `run`, and how they differ.
fn nearest(run: &RunRecord, runs: &[RunRecord]) -> Option<(RunId, Vec<String>)> {
    let alike = |other: &&RunRecord| {
        let kept = matches!(other.outcome, Outcome::Miss { kept: Some(_), .. } | Outcome::Hit { .. });
        other.began_ms <= run.began_ms
            && other.id != run.id
            && other.cwd == run.cwd
            && kept
            && other.argv.first() == run.argv.first()
    };
    let same = |other: &RunRecord| other.argv.iter().zip(&run.argv).filter(|(one, two)| one == two).count();
    // They come newest first; of equals `max_by_key` takes the last.
    let near = runs.iter().rev().filter(alike).max_by_key(|other| same(other))?;
    let shown = |argument: Option<&tracerun::bytes::Bytes>| {
        argument.map_or("not there".to_owned(), |argument| format!("`{argument}`"))
    };
    let count = near.argv.len().max(run.argv.len());
    let differs = (0..count).filter(|&index| near.argv.get(index) != run.argv.get(index));
    let mut differences: Vec<String> = differs
        .map(|index| {
            format!(
                "argument {index} was {} and is {}",
                shown(near.argv.get(index)),
                shown(run.argv.get(index))
            )
        })
        .collect();
    // The same command line: what was kept of it is no longer.
    if differences.is_empty() {
        return None;
    }
    if differences.len() > 3 {
        let more = differences.split_off(3).len();
        differences.push(format!("{more} more"));
    }
    Some((near.id, differences))
}
