//! `tracerun diff A B`: what one run used, made and did otherwise than another.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::time::Duration;

use platform::terminal::{OutputStream, columns};
use serde_json::{Value, json};
use shm_protocol::access::{AccessKind, Before};
use shm_protocol::record::Exit;
use tracerun::bytes::Bytes;
use tracerun::cache::{KeptRun, MissReason, Outcome, RunRecord, Store};
use tracerun::explain;
use tracerun::report::command_line;
use tracerun::report::text::{clipped, printable};
use tracerun::trace::{PathAccess, PathId, Trace};

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
            let text = heading(&before.record)
                + &heading(&after.record)
                + &difference.text(&before, &after, if common.verbose { usize::MAX } else { MOST });
            page(text.as_bytes())?;
        }
        AnswerFormat::Json => page(format!("{}\n", difference.json(&before, &after)).as_bytes())?,
    }
    Ok(Exit::Code(0))
}

/// How many lines of a kind are shown, so that the whole mostly fits a screen.
const MOST: usize = 3;

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
                let of = |is_one: &dyn Fn(&&PathAccess) -> bool| -> BTreeSet<PathId> {
                    trace.accesses.iter().filter(is_one).map(|access| access.path).collect()
                };
                // What it made itself it did not use, and what it made and removed is not left.
                let made = of(&|one| one.changes.is_some_and(|changes| changes.before == Before::Absent));
                let removed = of(&|one| one.kind == AccessKind::Delete);
                let counts = |path| !made.contains(path) || !observes && !removed.contains(path);
                let wanted = trace
                    .accesses
                    .iter()
                    .filter(|access| access.kind.observes() == observes && counts(&access.path));
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

/// Without those of which each has one on the other side that differs by the name of a temporary file only.
fn unpaired<T, K: Ord, C: IntoIterator<Item = T> + FromIterator<T>>(
    sides: [C; 2],
    key: impl Fn(&T) -> K,
) -> [C; 2] {
    let mut all: BTreeMap<K, [Vec<T>; 2]> = BTreeMap::new();
    for (side, list) in sides.into_iter().enumerate() {
        for one in list {
            all.entry(key(&one)).or_insert_with(|| [Vec::new(), Vec::new()])[side].push(one);
        }
    }
    let (mut lost, mut gained) = (Vec::new(), Vec::new());
    for [mut one, mut other] in all.into_values() {
        let pairs = one.len().min(other.len());
        lost.extend(one.drain(pairs..));
        gained.extend(other.drain(pairs..));
    }
    [lost.into_iter().collect(), gained.into_iter().collect()]
}

/// How many characters mkstemp(3) makes up.
const MADE_UP: usize = 6;

/// A text in which names that somebody made up for temporary files are all the same: `/tmp/ccXK8mJO.s` is `/tmp/cc*.s`. With
/// `everywhere`, names in other folders too that are hardly anything else.
fn unnamed(text: &str, everywhere: bool) -> String {
    let temporary = std::env::temp_dir();
    let temporary = format!("{}/", temporary.to_string_lossy().trim_end_matches('/'));
    let folders = [(&*temporary, false), ("/tmp/", false), ("/", true)];
    let folders = folders.iter().filter(|(_, others)| everywhere || !others);
    folders.fold(text.to_owned(), |text, (folder, others)| {
        let mut parts = text.split(folder);
        let first = parts.next().unwrap_or_default().to_owned();
        parts.fold(first, |before, part| {
            let is_name = |one: char| one.is_ascii_alphanumeric() || one == '_' || one == '-';
            let end = part.find(|one| !is_name(one)).unwrap_or(part.len());
            let start = end.saturating_sub(MADE_UP);
            let last = &part[start..end];
            // Six characters of any kind are seldom all small; those of words mostly are.
            let is_made_up = last.len() == MADE_UP
                && last.bytes().all(|byte| byte.is_ascii_alphanumeric())
                && (!others || last.bytes().any(|byte| !byte.is_ascii_lowercase()));
            let (name, last) = if is_made_up { (&part[..start], "*") } else { (&part[..end], "") };
            before + folder + name + last + &part[end..]
        })
    })
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
            // A name was made up that was looked for so that nobody has it. What was there had a name of its own.
            let name = |(path, kind): &(Bytes, AccessKind)| match kind {
                AccessKind::Missing => (unnamed(&path.text(), true), *kind),
                _ => (path.text().into_owned(), *kind),
            };
            unpaired([&one - &other, &other - &one], name)
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
            processes: unpaired([more(&one, &other), more(&other, &one)], |line: &String| {
                unnamed(line, false)
            }),
        }
    }

    /// For people: of each kind at most so many lines.
    fn text(&self, before: &Side, after: &Side, most: usize) -> String {
        let mut text = String::new();
        let mut part = |title: &str, lists: [Vec<String>; 3]| {
            if lists.iter().any(|list| !list.is_empty()) {
                let _ = writeln!(text, "{title}");
            }
            for list in lists {
                list.iter().take(most).for_each(|line| {
                    let _ = writeln!(text, "  {line}");
                });
                if let Some(more) = list.len().checked_sub(most).filter(|more| *more > 0) {
                    let sign = list.first().and_then(|line| line.chars().next()).unwrap_or_default();
                    let _ = writeln!(text, "  {sign} and {more} more (-v shows all)");
                }
            }
        };
        let paths = |changed: Vec<String>, [lost, gained]: &[Used; 2]| -> [Vec<String>; 3] {
            let line = |sign: char| {
                move |(path, kind): &(Bytes, AccessKind)| {
                    format!("{sign} {} ({})", printable(path), kind.name())
                }
            };
            [changed, lost.iter().map(line('-')).collect(), gained.iter().map(line('+')).collect()]
        };
        let changed = self.changed.iter().map(|reason| format!("~ {}", explain::miss(reason))).collect();
        part("inputs", paths(changed, &self.inputs));
        let changed = self.outputs_changed.iter().map(|path| format!("~ {}", printable(path))).collect();
        part("outputs", paths(changed, &self.outputs));
        let [lost, gained] = &self.processes;
        let line = |sign: char| {
            move |line: &String| format!("{sign} {}", clipped(line, 4, columns(OutputStream::Stdout)))
        };
        let processes = [lost.iter().map(line('-')).collect(), gained.iter().map(line('+')).collect()];
        let [lost, gained] = processes;
        part("processes", [Vec::new(), lost, gained]);
        let time = |side: &Side| duration(Duration::from_millis(side.record.wall_ms));
        part("time", [vec![format!("{}, then {}", time(before), time(after))], Vec::new(), Vec::new()]);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn temporary_files_have_no_names_of_their_own() {
        for (text, plain) in [
            ("as -o a.o /tmp/ccXK8mJO.s", "as -o a.o /tmp/cc*.s"),
            ("/tmp/src/a /tmp/a", "/tmp/src/a /tmp/a"),
            ("-fresolution=/tmp/ccwbdqfc.res", "-fresolution=/tmp/cc*.res"),
            ("/p/stKgaM0N", "/p/stKgaM0N"),
        ] {
            assert_eq!(unnamed(text, false), plain);
        }
        assert_eq!(unnamed("/p/stKgaM0N /project/header", true), "/p/st* /project/header");
    }

    #[test]
    fn only_what_has_no_counterpart_is_told() {
        let [lost, gained] =
            unpaired([vec!["a1", "a2", "b1"], vec!["a3", "c1"]], |one: &&str| one.as_bytes()[0]);
        assert_eq!((lost, gained), (vec!["a2", "b1"], vec!["c1"]));
    }
}
