//! `tracerun diff A B`: what one run used, made and did otherwise than another.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Value, json};
use shm_protocol::access::AccessKind;
use shm_protocol::record::Exit;
use tracerun::bytes::Bytes;
use tracerun::cache::{KeptRun, MissReason, Outcome, RunRecord, Store};
use tracerun::explain;
use tracerun::report::{command_line, text::printable};
use tracerun::trace::Trace;

use super::arguments::{AnswerFormat, Common, DiffArguments};
use super::history::heading;
use super::pager::page;
use super::{Failure, Place, duration};

pub(super) fn diff(arguments: &DiffArguments, common: &Common) -> Result<Exit, Failure> {
    let place = Place::find(common)?;
    let store = place.open_store()?;
    let side = |name: &str| -> Result<Side, Failure> {
        Side::of(store.run(store.resolve(name, &place.root)?)?, &store)
    };
    let (before, after) = (side(&arguments.before)?, side(&arguments.after)?);
    let difference = Differences::between(&before, &after);
    match arguments.format {
        AnswerFormat::Text => {
            let text = heading(&before.record) + &heading(&after.record) + &difference.text(&before, &after);
            page(text.as_bytes())?;
        }
        AnswerFormat::Json => page(format!("{}\n", difference.json(&before, &after)).as_bytes())?,
    }
    Ok(Exit::Code(0))
}

/// One of the two runs; a hit is taken for the run that it stands for.
struct Side {
    record: RunRecord,
    kept: Option<KeptRun>,
    trace: Option<Trace>,
}

type Used = BTreeSet<(Bytes, AccessKind)>;

impl Side {
    fn of(record: RunRecord, store: &Store) -> Result<Self, Failure> {
        let (fingerprint, ran) = match &record.outcome {
            Outcome::Hit { fingerprint, run } => (Some(*fingerprint), *run),
            Outcome::Miss { kept, .. } => (*kept, record.id),
            _ => (None, record.id),
        };
        let kept = fingerprint.map(|fingerprint| store.kept_run(fingerprint)).transpose()?.flatten();
        Ok(Self { record, kept, trace: store.trace(ran)? })
    }

    /// What it used, or with `!observes` made: as it was kept, or only as it was seen.
    fn accesses(&self, as_kept: bool, observes: bool) -> Used {
        match (&self.kept, &self.trace) {
            (Some(kept), _) if as_kept && observes => {
                kept.inputs.iter().map(|(input, ..)| (input.path.clone(), input.kind)).collect()
            }
            (Some(kept), _) if as_kept => {
                kept.outputs.iter().map(|output| (output.path.clone(), output.access_kind())).collect()
            }
            (_, Some(trace)) => {
                let wanted = trace.accesses.iter().filter(|access| access.kind.observes() == observes);
                wanted.map(|access| (trace.path(access.path).into(), access.kind)).collect()
            }
            _ => Used::new(),
        }
    }

    /// The command lines of its processes, each with how many had it.
    fn processes(&self) -> BTreeMap<String, usize> {
        let mut processes = BTreeMap::new();
        for process in self.trace.iter().flat_map(|trace| &trace.processes) {
            *processes.entry(command_line(process)).or_default() += 1;
        }
        processes
    }
}

struct Differences {
    inputs: [Used; 2],
    changed: Vec<MissReason>,
    outputs: [Used; 2],
    outputs_changed: Vec<Bytes>,
    processes: [Vec<String>; 2],
}

impl Differences {
    fn between(before: &Side, after: &Side) -> Self {
        // What is kept has been judged, what is only traced has not: only like is compared with like.
        let as_kept = before.kept.is_some() && after.kept.is_some();
        let both = |observes| {
            let (one, other) = (before.accesses(as_kept, observes), after.accesses(as_kept, observes));
            [&one - &other, &other - &one]
        };
        let (mut changed, mut outputs_changed) = (Vec::new(), Vec::new());
        if let (Some(one), Some(other)) = (&before.kept, &after.kept) {
            changed = one.changed_in(other);
            let left: BTreeMap<_, _> =
                one.outputs.iter().map(|output| (&output.path, &output.left)).collect();
            let differs = other
                .outputs
                .iter()
                .filter(|output| left.get(&output.path).is_some_and(|left| **left != output.left));
            outputs_changed = differs.map(|output| output.path.clone()).collect();
        }
        let (one, other) = (before.processes(), after.processes());
        let more = |these: &BTreeMap<String, usize>, those: &BTreeMap<String, usize>| {
            let more = |(line, count): &(&String, &usize)| those.get(*line).unwrap_or(&0) < *count;
            these.iter().filter(more).map(|(line, _)| line.clone()).collect()
        };
        Self {
            inputs: both(true),
            changed,
            outputs: both(false),
            outputs_changed,
            processes: [more(&one, &other), more(&other, &one)],
        }
    }

    fn text(&self, before: &Side, after: &Side) -> String {
        let mut text = String::new();
        let mut part = |title: &str, lines: Vec<String>| {
            if !lines.is_empty() {
                let _ = writeln!(text, "{title}");
                lines.iter().for_each(|line| {
                    let _ = writeln!(text, "  {line}");
                });
            }
        };
        let paths = |[lost, gained]: &[Used; 2]| -> Vec<String> {
            let line = |sign: char| {
                move |(path, kind): &(Bytes, AccessKind)| {
                    format!("{sign} {} ({})", printable(path), kind.name())
                }
            };
            lost.iter().map(line('-')).chain(gained.iter().map(line('+'))).collect()
        };
        let changed = self.changed.iter().map(|reason| format!("~ {}", explain::miss(reason)));
        part("inputs", paths(&self.inputs).into_iter().chain(changed).collect());
        let changed = self.outputs_changed.iter().map(|path| format!("~ {}", printable(path)));
        part("outputs", paths(&self.outputs).into_iter().chain(changed).collect());
        let [lost, gained] = &self.processes;
        let line = |sign: char| move |line: &String| format!("{sign} {line}");
        part("processes", lost.iter().map(line('-')).chain(gained.iter().map(line('+'))).collect());
        let time = |side: &Side| duration(Duration::from_millis(side.record.wall_ms));
        part("time", vec![format!("{}, then {}", time(before), time(after))]);
        text
    }

    fn json(&self, before: &Side, after: &Side) -> Value {
        let paths = |used: &Used| -> Vec<Value> {
            used.iter().map(|(path, kind)| json!({ "path": path.text(), "kind": kind.name() })).collect()
        };
        let run = |side: &Side| {
            json!({ "run": side.record.id.to_string(), "wall_ms": side.record.wall_ms,
                    "processes": side.trace.as_ref().map(|trace| trace.processes.len()) })
        };
        json!({
            "before": run(before),
            "after": run(after),
            "inputs": {
                "lost": paths(&self.inputs[0]), "gained": paths(&self.inputs[1]),
                "changed": self.changed.iter().map(explain::json::miss).collect::<Vec<_>>(),
            },
            "outputs": {
                "lost": paths(&self.outputs[0]), "gained": paths(&self.outputs[1]),
                "changed": self.outputs_changed.iter().map(|path| path.text()).collect::<Vec<_>>(),
            },
            "processes": { "lost": self.processes[0], "gained": self.processes[1] },
        })
    }
}
