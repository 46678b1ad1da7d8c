//! `tracerun doctor`: what can be captured on this machine, found out by trying it.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use platform::tracing::{Background, CaptureChoice, Command, IoUring, Sink, Tracee};
use shm_protocol::record::{Event, Exit, Record};

use super::Failure;

/// The bit of linux/capability.h.
const CAP_SYS_ADMIN: u64 = 1 << 21;

/// Notices whether the library reports.
#[derive(Default)]
struct Notice {
    instrumented: AtomicBool,
}

impl Sink for Notice {
    fn record(&self, record: &Record<'_>) {
        if matches!(record.event, Event::Instrumented) {
            self.instrumented.store(true, Ordering::Relaxed);
        }
    }
}

/// The findings, and whether runs can be cached here. Takes the folder of the preload library, or why there is none.
pub(super) fn examine(library_folder: Result<Option<PathBuf>, Failure>) -> (String, bool) {
    let (library_folder, trouble) = match library_folder {
        Ok(folder) => (folder, None),
        Err(error) => (None, Some(error.to_string())),
    };
    let library_folder = library_folder.as_deref();
    let mut text = String::new();
    let mut finding = |name: &str, value: &str| {
        let _ = writeln!(text, "{name:<18}{value}");
    };
    finding("tracerun", env!("CARGO_PKG_VERSION"));
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_else(|_| "unknown".into());
    finding("system", &format!("{} {} {}", std::env::consts::OS, std::env::consts::ARCH, kernel.trim()));

    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    if let Some(capabilities) = field("CapEff:").and_then(|digits| u64::from_str_radix(digits, 16).ok()) {
        let privileged = capabilities & CAP_SYS_ADMIN != 0;
        let meaning = if privileged {
            "CAP_SYS_ADMIN: setuid programs keep working"
        } else {
            "none: setuid programs run without the rights of their owners"
        };
        finding("privileges", meaning);
    }
    match field("Seccomp:") {
        None => {}
        Some("0") => finding("filters above", "none: nobody else filters system calls here"),
        Some(_) => finding("filters above", "of a container, a sandbox or another tracerun"),
    }
    let (net, library) = try_capture(CaptureChoice::Seccomp, library_folder);
    match &net {
        Ok(()) => finding("seccomp filter", "works: everything a process tree does to files is seen"),
        Err(error) => finding("seccomp filter", &format!("does not work here: {error}")),
    }
    let ptrace = try_capture(CaptureChoice::Ptrace, None).0;
    match &ptrace {
        Ok(()) => finding("ptrace", "works: everything is seen, slowly, and debuggers inside do not work"),
        Err(error) => finding("ptrace", &format!("does not work here: {error}")),
    }
    let library = if net.is_ok() { library } else { try_capture(CaptureChoice::Preload, library_folder).1 };
    finding(
        "preload library",
        match (library, library_folder) {
            (true, _) => "works: dynamic programs run at nearly native speed",
            (false, Some(_)) => "is not loaded: programs run slower",
            (false, None) if trouble.is_some() => "can't be put into the cache folder: programs run slower",
            (false, None) => "is not there on this system",
        },
    );
    finding("cache folder", trouble.as_deref().unwrap_or("works"));
    finding(
        "caching",
        match (&net, &ptrace, library) {
            _ if trouble.is_some() => "off: there is nowhere to store anything",
            (Ok(()), ..) => "on: traces are complete, by the seccomp filter",
            (_, Ok(()), _) => "on: traces are complete, by ptrace",
            (.., true) => "off: traces are not complete (--trust-preload accepts that)",
            (.., false) => "off: nothing is seen",
        },
    );
    let sees_all = net.is_ok() || ptrace.is_ok();
    if !sees_all {
        text += "\nTo see everything, tracerun needs one of two things of the system: a seccomp filter, by which the kernel asks it about each\n\
                 call that names a file, or ptrace, the interface of debuggers. Neither needs privileges, but containers and sandboxes\n\
                 may refuse both: whoever runs this one can permit them (Docker and Podman: --security-opt seccomp=unconfined).\n";
    }
    text += "\nWhat these words mean, and what to do: tracerun help capture\n";
    (text, sees_all && trouble.is_none())
}

/// Runs a small dynamic program traced: whether that worked, and whether the library reported.
fn try_capture(capture: CaptureChoice, library_folder: Option<&Path>) -> (Result<(), String>, bool) {
    let notice = Arc::new(Notice::default());
    let command = Command {
        // One that looks at a file: until then the library does nothing.
        argv: vec!["cat".into(), "/dev/null".into()],
        environment: std::env::vars_os().collect(),
        cwd: std::env::temp_dir(),
        stdin: Stdio::null(),
        stdout: Stdio::null(),
        stderr: Stdio::null(),
        library_folder: library_folder.map(Path::to_owned),
        additions: Vec::new(),
        io_uring: IoUring::Refuse,
        background: Background::Leave,
        capture,
        streams: Vec::new(),
    };
    let sink: Arc<dyn Sink> = Arc::clone(&notice) as _;
    let tried = Tracee::spawn(command, sink).map_err(|error| error.to_string()).and_then(|mut tracee| {
        let exit = tracee.wait().map_err(|error| error.to_string());
        let report = tracee.finish(Duration::from_secs(1));
        match exit? {
            Exit::Code(0) if report.gaps.is_empty() => Ok(()),
            Exit::Code(0) => {
                Err(report.gaps.iter().map(|gap| gap.detail.as_str()).collect::<Vec<_>>().join("; "))
            }
            other => Err(format!("a small program ended with {other:?}")),
        }
    });
    (tried, notice.instrumented.load(Ordering::Relaxed))
}
