//! `show` and `list`: the runs that the store remembers.

use std::time::{Duration, SystemTime};

use platform::terminal::{OutputStream, columns};
use serde_json::json;
use shm_protocol::record::Exit;
use tracerun::cache::{Outcome, RunRecord};

use tracerun::explain;

use super::arguments::{AnswerFormat, Common, Format, ListArguments, ShowArguments};
use super::pager::page;
use super::trace::filter;
use super::{Failure, Place, duration, say, write_file};

pub(super) fn show(arguments: &ShowArguments, common: &Common) -> Result<Exit, Failure> {
    let choice = &arguments.choice;
    let place = Place::find(common)?;
    let store = place.open_store()?;
    let filter = filter(&arguments.report, &place.cwd)?;
    let run = store.run(store.resolve(&choice.run, &place.root)?)?;
    // A hit did nothing by itself: what is shown is what it stands for.
    let ran = match run.outcome {
        Outcome::Hit { run, .. } => run,
        _ => run.id,
    };
    let Some(mut trace) = store.trace(ran)? else {
        say(&format!("the trace of run {ran} is no longer remembered: run it again with --force"));
        return Ok(Exit::Code(125));
    };
    filter.apply(&mut trace);
    let why = explain::sentences(&run.outcome);
    match &arguments.report.output {
        Some(path) => {
            write_file(path, |file| {
                super::trace::write(&trace, &arguments.report, &place.root, &why, None, file)
            })?;
        }
        None => {
            let mut text = Vec::new();
            if arguments.report.format == Format::Text {
                let declared = store.run(ran).map(|run| run.declared).unwrap_or_default();
                declared
                    .iter()
                    .for_each(|one| text.extend_from_slice((explain::declared(one) + "\n").as_bytes()));
            }
            let columns = columns(OutputStream::Stdout);
            super::trace::write(&trace, &arguments.report, &place.root, &why, columns, &mut text)?;
            page(&text)?;
        }
    }
    Ok(Exit::Code(0))
}

pub(super) fn list(arguments: &ListArguments, common: &Common) -> Result<Exit, Failure> {
    let place = Place::find(common)?;
    let runs = place.open_store()?.runs()?.into_iter();
    let runs = runs.filter(|run| arguments.all || run.is_within(&place.root));
    let text = match arguments.format {
        AnswerFormat::Text => runs.map(|run| heading(&run)).collect(),
        AnswerFormat::Json => {
            let object = |run: RunRecord| {
                let argv: Vec<_> = run.argv.iter().map(|argument| argument.text()).collect();
                json!({
                    "run": run.id.to_string(), "outcome": outcome(&run), "argv": argv, "cwd": run.cwd.text(),
                    "began_ms": run.began_ms, "wall_ms": run.wall_ms, "action_key": run.action_key.0.to_string(),
                })
            };
            format!("{}\n", json!(runs.map(object).collect::<Vec<_>>()))
        }
    };
    page(text.as_bytes())?;
    Ok(Exit::Code(0))
}

/// One line about a run.
pub(super) fn heading(run: &RunRecord) -> String {
    let began = SystemTime::UNIX_EPOCH + Duration::from_millis(run.began_ms);
    let ago = began.elapsed().unwrap_or_default();
    let argv: Vec<_> = run.argv.iter().map(|argument| argument.text()).collect();
    let ended = match run.exit {
        Exit::Code(0) => String::new(),
        Exit::Code(code) => format!(", exit status {code}"),
        Exit::Signal(signal) => format!(", signal {signal}"),
    };
    format!(
        "{}  {:<8}  {} ago, {}{ended}  {}\n",
        run.id,
        outcome(run),
        duration(ago),
        duration(Duration::from_millis(run.wall_ms)),
        tracerun::report::text::printable(argv.join(" ").as_bytes()),
    )
}

pub(super) fn outcome(run: &RunRecord) -> &'static str {
    match run.outcome {
        Outcome::Hit { .. } => "hit",
        Outcome::Miss { .. } => "miss",
        Outcome::Uncached { .. } | Outcome::StoreFailed { .. } => "uncached",
        Outcome::Traced => "traced",
    }
}
