//! `tracerun trace -- CMD`: runs, never caches, and reports what was touched.

use std::io::{self, BufWriter, Write};
use std::process::Stdio;

use platform::process::{StandardInput, follow, limits, standard_input, umask};
use shm_protocol::record::Exit;
use tracerun::report;
use tracerun::run;
use tracerun::task::{Policy, StdinKey, Task, Terminal};
use tracerun::trace::Trace;

use super::arguments::{Common, Format, TraceArguments};
use super::{Failure, Place, create_file, say, write_to};

pub(super) fn trace(arguments: TraceArguments, common: &Common) -> Result<Exit, Failure> {
    let place = Place::find(common)?;
    // Only the preload library is taken from there.
    let store = place.open_store();
    if let (Err(error), false) = (&store, common.quiet) {
        say(&format!("warning: {error}: tracing without the preload library"));
    }
    let capture = place.capture(arguments.capture, store.ok().as_ref(), common);
    let output = arguments.report.output.as_deref();
    let file = output.map(create_file).transpose()?;
    let task = Task {
        argv: arguments.argv,
        cwd: place.cwd,
        root: place.root,
        environment: std::env::vars_os().collect(),
        caller_environment: std::env::vars_os().collect(),
        umask: umask(),
        limits: limits(),
        stdin: if standard_input() == StandardInput::Stream { StdinKey::Stream } else { StdinKey::Empty },
        terminal: Terminal::default(),
        policy: Policy::default(),
        named_inputs: None,
    };
    let streams = [Stdio::inherit(), Stdio::inherit(), Stdio::inherit()];
    let traced = run::trace(&task, &capture, streams, None, &mut follow)?;
    match output.zip(file) {
        Some((path, file)) => {
            write_to(path, file, |file| write(&traced.trace, arguments.report.format, file));
            if !common.quiet {
                say(&report::text::headline(&traced.trace));
            }
        }
        None => {
            let mut err = BufWriter::new(io::stderr().lock());
            // That nobody hears it is no failure of the command.
            let _ = write(&traced.trace, arguments.report.format, &mut err).and_then(|()| err.flush());
        }
    }
    // This process ends now: taking a hundred thousand paths apart first would take longer than that.
    std::mem::forget(traced.trace);
    Ok(traced.exit)
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
