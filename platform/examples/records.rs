//! Prints every record of a traced command, as it comes: `cargo run -p tracerun-platform --example records -- ls`.

use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use shm_protocol::record::{Event, Record};
use tracerun_platform::tracing::{Background, CaptureChoice, Command, IoUring, Sink, Tracee};

static QUIET: std::sync::atomic::AtomicBool = std::sync::atomic::AtomicBool::new(false);
struct Print;

impl Sink for Print {
    fn record(&self, record: &Record<'_>) {
        if QUIET.load(std::sync::atomic::Ordering::Relaxed) {
            return;
        }
        match record.event {
            Event::Access(access) => eprintln!(
                "{} {} {:?} {:?} {:?} {}",
                record.pid,
                access.call.name(),
                access.kind,
                access.outcome,
                access.change,
                String::from_utf8_lossy(&access.path.pieces().concat())
            ),
            Event::Exec(image) => {
                eprintln!("{} exec {}", record.pid, String::from_utf8_lossy(image.argv).replace('\0', " "));
            }
            other => eprintln!("{} {other:?}", record.pid),
        }
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    QUIET.store(std::env::var_os("QUIET").is_some(), std::sync::atomic::Ordering::Relaxed);
    let command = Command {
        argv: std::env::args_os().skip(1).collect(),
        environment: std::env::vars_os().collect(),
        cwd: std::env::current_dir()?,
        stdin: Stdio::inherit(),
        stdout: Stdio::inherit(),
        stderr: Stdio::inherit(),
        library_folder: std::env::var_os("LIBRARY_FOLDER").map(Into::into),
        capture: CaptureChoice::Auto,
        additions: Vec::new(),
        io_uring: IoUring::Refuse,
        background: Background::Leave,
        streams: vec![0],
    };
    let mut tracee = Tracee::spawn(command, Arc::new(Print))?;
    let exit = tracee.wait()?;
    let report = tracee.finish(Duration::from_millis(500));
    eprintln!("{exit:?} {report:?}");
    Ok(())
}
