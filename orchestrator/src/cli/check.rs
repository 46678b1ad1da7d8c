//! `tracerun check -- CMD`: what is declared of a command against what it does.

use std::io::{self, BufWriter, Write};

use platform::terminal::{OutputStream, columns};
use shm_protocol::record::Exit;
use tracerun::report::check::{Check, Declared, check as compare};
use tracerun::report::text::Columns;
use tracerun::run::RunError;

use super::arguments::{CheckArguments, CheckFormat, Common};
use super::{Failure, Place, create_file, declared, trace, write_to};

pub(super) fn check(arguments: CheckArguments, common: &Common) -> Result<Exit, Failure> {
    let place = Place::find(common)?;
    let (folder, root) = (place.cwd.clone(), place.root.clone());
    let mut declared = match &arguments.from {
        Some(spec) => declared::from(spec, &folder, &root)?,
        None => Declared::default(),
    };
    declared.inputs.extend(arguments.inputs);
    declared.outputs.extend(arguments.outputs);
    let file = arguments.output.as_deref().map(create_file).transpose()?;
    let traced = trace::run(place, arguments.argv, arguments.capture, common, None)?;
    let checked = compare(&traced.trace, &declared, &folder, &root).map_err(RunError::from)?;
    match arguments.output.as_deref().zip(file) {
        Some((path, file)) => {
            write_to(path, file, |file| write(&checked, arguments.format, arguments.fix, None, file));
        }
        None => {
            let mut err = BufWriter::new(io::stderr().lock());
            // That nobody hears it is told by the status.
            let columns = columns(OutputStream::Stderr);
            let written = write(&checked, arguments.format, arguments.fix, columns, &mut err);
            let _ = written.and_then(|()| err.flush());
        }
    }
    Ok(match traced.exit {
        Exit::Code(0) if !checked.passes() => Exit::Code(1),
        exit => exit,
    })
}

fn write(
    checked: &Check,
    format: CheckFormat,
    fix: bool,
    columns: Columns,
    out: &mut impl Write,
) -> io::Result<()> {
    match format {
        CheckFormat::Text => checked.text(fix, columns, out),
        CheckFormat::Github => checked.github(out),
        CheckFormat::Json => {
            serde_json::to_writer(&mut *out, checked)?;
            out.write_all(b"\n")
        }
        CheckFormat::Sarif => {
            serde_json::to_writer(&mut *out, &checked.sarif())?;
            out.write_all(b"\n")
        }
    }
}
