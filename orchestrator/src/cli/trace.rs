//! `tracerun trace -- CMD`: runs, never caches, and reports what was touched.

use std::io::{self, Write};
use std::path::Path;
use std::process::Stdio;

use platform::process::{forward_signals_to, umask};
use shm_protocol::record::Exit;
use tracerun::report;
use tracerun::run;
use tracerun::task::{Policy, StdinKey, Task, Terminal};
use tracerun::trace::Trace;

use super::arguments::{Format, TraceArguments};
use super::{Failure, Place, say, write_file};

pub(super) fn trace(arguments: TraceArguments) -> Result<Exit, Failure> {
    let place = Place::find(&arguments.common)?;
    let store = place.open_store()?;
    let capture = place.capture(arguments.capture, &store)?;
    let task = Task {
        argv: arguments.argv,
        cwd: place.cwd,
        root: place.root,
        environment: std::env::vars_os().collect(),
        umask: umask(),
        stdin: StdinKey::Stream,
        terminal: Terminal::default(),
        policy: Policy::default(),
    };
    let streams = [Stdio::inherit(), Stdio::inherit(), Stdio::inherit()];
    let traced = run::trace(&task, &capture, streams, None, &mut forward_signals_to)?;
    match &arguments.report.output {
        Some(path) => {
            write_report(&traced.trace, arguments.report.format, path)?;
            if !arguments.common.quiet {
                say(&report::text::headline(&traced.trace));
            }
        }
        None => write(&traced.trace, arguments.report.format, &mut io::stderr().lock())?,
    }
    Ok(traced.exit)
}

pub(super) fn write_report(trace: &Trace, format: Format, path: &Path) -> Result<(), Failure> {
    write_file(path, |file| write(trace, format, file))
}

pub(super) fn write(trace: &Trace, format: Format, out: &mut impl Write) -> io::Result<()> {
    match format {
        Format::Text => report::text::write(trace, out),
        Format::Ndjson => report::ndjson::write(trace, out),
        Format::Json => {
            serde_json::to_writer(&mut *out, &report::json(trace))?;
            out.write_all(b"\n")
        }
    }
}
