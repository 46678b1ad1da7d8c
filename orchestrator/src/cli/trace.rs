//! `tracerun trace -- CMD`: runs, never caches, and reports what was touched.

use std::ffi::OsString;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::process::Stdio;
use std::sync::mpsc::{Sender, channel};
use std::thread;

use globset::GlobBuilder;
use platform::files;
use platform::process::{StandardInput, follow, limits, standard_input, umask};
use platform::terminal::{OutputStream, columns};
use serde_json::Value;
use shm_protocol::record::Exit;
use tracerun::declarations::BadGlob;
use tracerun::report;
use tracerun::report::filter::Filter;
use tracerun::report::text::Columns;
use tracerun::run::{self, Following, RunError, Traced};
use tracerun::task::{Policy, StdinKey, Task, Terminal};
use tracerun::trace::{LiveEvent, Trace};

use super::arguments::{CaptureOptions, Common, Format, ReportOptions, TraceArguments, ViewArgument};
use super::live_view::LiveView;
use super::pager::page_on_stderr;
use super::{FAILED, Failure, Place, create_file, say, write_to};

pub(super) fn trace(arguments: TraceArguments, common: &Common) -> Result<Exit, Failure> {
    let place = Place::find(common)?;
    let output = arguments.report.output.as_deref();
    let file = output.map(create_file).transpose()?;
    let root = place.root.clone();
    if arguments.live {
        let out: Box<dyn Write + Send> = match file {
            Some(file) => Box::new(file),
            None => Box::new(io::stderr()),
        };
        return trace_live(place, arguments, common, BufWriter::new(out));
    }
    let filter = filter(&arguments.report, &place.cwd)?;
    let mut traced = run(place, arguments.argv, arguments.capture, common, None)?;
    filter.apply(&mut traced.trace);
    match output.zip(file) {
        Some((path, file)) => {
            let written =
                write_to(path, file, |file| write(&traced.trace, &arguments.report, &root, &[], None, file));
            // Who builds by a file without prerequisites does not build again when they change.
            if !written && arguments.report.format == Format::Depfile && traced.exit == Exit::Code(0) {
                traced.exit = FAILED;
            }
            if !common.quiet {
                say(&report::text::headline(&traced.trace));
            }
        }
        None if arguments.report.format == Format::Text => {
            let mut text = Vec::new();
            let columns = columns(OutputStream::Stderr);
            write(&traced.trace, &arguments.report, &root, &[], columns, &mut text)?;
            page_on_stderr(&text);
        }
        None => {
            let mut err = BufWriter::new(io::stderr().lock());
            // That nobody hears it is no failure of the command.
            let written = write(&traced.trace, &arguments.report, &root, &[], None, &mut err)
                .and_then(|()| err.flush());
            drop(err);
            if let Err(error) = written
                && error.kind() == io::ErrorKind::InvalidData
                && traced.exit == Exit::Code(0)
            {
                say(&error.to_string());
                traced.exit = FAILED;
            }
        }
    }
    // This process ends now: taking a hundred thousand paths apart first would take longer than that.
    std::mem::forget(traced.trace);
    Ok(traced.exit)
}

/// Reports while the command runs. Who reads that may stop at any time: the command goes on.
fn trace_live(
    place: Place,
    arguments: TraceArguments,
    common: &Common,
    mut out: BufWriter<Box<dyn Write + Send>>,
) -> Result<Exit, Failure> {
    if arguments.report.format != Format::Ndjson {
        return Err(Failure::Live);
    }
    let (tell, told) = channel::<LiveEvent>();
    let write = move || -> io::Result<_> {
        while let Ok(event) = told.recv() {
            report::ndjson::write_live(&event, &mut out)?;
            for event in told.try_iter() {
                report::ndjson::write_live(&event, &mut out)?;
            }
            out.flush()?;
        }
        Ok(out)
    };
    let writer = thread::Builder::new().name("report".into()).spawn(write)?;
    let traced = run(place, arguments.argv, arguments.capture, common, Some(tell))?;
    let written = writer.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    if let Err(error) = written.and_then(|mut out| report::ndjson::write_summary(&traced.trace, &mut out))
        && !common.quiet
    {
        say(&format!("warning: can't write the report: {error}"));
    }
    Ok(traced.exit)
}

/// Runs a command as it would run without us, and traces it.
pub(super) fn run(
    place: Place,
    argv: Vec<OsString>,
    capture: CaptureOptions,
    common: &Common,
    live: Option<Sender<LiveEvent>>,
) -> Result<Traced, Failure> {
    // Only the preload library is taken from there.
    let store = place.open_store();
    if let (Err(error), false) = (&store, common.quiet) {
        say(&format!("warning: {error}: tracing without the preload library"));
    }
    let capture = place.capture(capture, store.ok().as_ref(), common);
    let task = Task {
        argv,
        cwd: place.cwd,
        root: place.root,
        environment: super::environment(),
        caller_environment: super::environment(),
        umask: umask(),
        limits: limits(),
        stdin: if standard_input() == StandardInput::Stream { StdinKey::Stream } else { StdinKey::Empty },
        terminal: Terminal::default(),
        policy: Policy::default(),
        named_inputs: None,
    };
    let grace = capture.grace;
    // Two would tell of the same.
    let view = if live.is_none() && !common.quiet { LiveView::start() } else { None };
    let (view, live, [stdout, stderr]) = match view {
        Some((view, tell, streams)) => (Some(view), Some(tell), streams),
        None => (None, live, [Stdio::inherit(), Stdio::inherit()]),
    };
    let mut follow = follow;
    let following = Following { live, ..Following::of_states(&mut follow) };
    let traced = run::trace(&task, &capture, [Stdio::inherit(), stdout, stderr], None, following);
    if let Some(view) = view {
        view.end(grace);
    }
    Ok(traced?)
}

/// The part of a trace that the options ask for.
///
/// # Errors
/// The glob of `--path` is none.
pub(super) fn filter(options: &ReportOptions, cwd: &Path) -> Result<Filter, Failure> {
    let path = options.path.as_deref().map(|glob| {
        // What is not UTF-8 can't be said in a glob: such a folder matches nothing.
        let base = globset::escape(&cwd.to_string_lossy());
        let absolute = if glob.starts_with('/') { glob.to_owned() } else { format!("{base}/{glob}") };
        let built = GlobBuilder::new(&absolute).literal_separator(true).backslash_escape(true).build();
        let bad = |error: globset::Error| BadGlob { glob: glob.to_owned(), why: error.kind().to_string() };
        built.map(|glob| glob.compile_matcher()).map_err(bad)
    });
    let path = path.transpose().map_err(RunError::from)?;
    Ok(Filter { only: options.only.clone(), path, process: options.process.clone() })
}

/// Writes a trace of the project at `root`, of which only that is left which is to be seen; `why` it ran, in
/// sentences; for a terminal of so many columns.
pub(super) fn write(
    trace: &Trace,
    options: &ReportOptions,
    root: &Path,
    why: &[String],
    columns: Columns,
    out: &mut impl Write,
) -> io::Result<()> {
    let root = &*files::bytes_of_path(root);
    let mut object = |object: Value| -> io::Result<()> {
        serde_json::to_writer(&mut *out, &object)?;
        out.write_all(b"\n")
    };
    match options.format {
        Format::Html => report::html::write(trace, why, out),
        Format::Perfetto => object(report::exports::perfetto(trace)),
        Format::CompileCommands => object(report::exports::compile_commands(trace)),
        Format::Cyclonedx => object(report::exports::cyclonedx(trace)),
        Format::Dot => report::exports::dot(trace, root, out),
        Format::Depfile => report::depfile::write(trace, root, options.target.as_deref(), out),
        Format::Text => match options.by {
            None if !options.is_filtered() => report::summary::write(trace, root, columns, out),
            Some(ViewArgument::Process) => report::tree::by_process(trace, columns, out),
            Some(ViewArgument::Folder) => report::tree::by_folder(trace, out),
            None | Some(ViewArgument::Kind) => report::text::write(trace, out),
        },
        Format::Ndjson => report::ndjson::write(trace, out),
        Format::Json => object(report::json(trace)),
    }
}
