//! Where a filter with a listener is refused the command runs all the same, the right fallback is taken, and the trace knows
//! whether it is complete.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tracerun_tests::sandbox::Sandbox;
use tracerun_tests::{have, tracerun};

/// A trace, line by line.
struct Told(Vec<Value>);

impl Told {
    fn read(path: &Path) -> Self {
        let text = fs::read_to_string(path).expect("a trace");
        Self(text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect())
    }

    fn of_type<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Value> {
        self.0.iter().filter(move |line| line["type"] == name)
    }

    /// How processes were seen, each way once.
    fn captures(&self) -> Vec<&str> {
        let mut found: Vec<_> = self.of_type("process").filter_map(|line| line["capture"].as_str()).collect();
        found.sort_unstable();
        found.dedup();
        found
    }

    fn is_complete(&self) -> bool {
        self.of_type("summary").all(|line| line["complete"] == true)
    }

    fn read_of(&self, path: &Path) -> bool {
        self.of_type("access")
            .any(|line| line["kind"] == "read" && line["path"] == path.to_str().expect("UTF-8"))
    }
}

/// The program of `tests/refusals`, below `folder`.
fn refuser(folder: &Path) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("refusals/refuse.c");
    let binary = folder.join("refuse");
    let compiled =
        Command::new("cc").args(["-Wall", "-Werror", "-O1", "-o"]).arg(&binary).arg(source).status();
    assert!(compiled.expect("the compiler runs").success());
    binary
}

/// Traces a command that reads `a.txt` and ends with 3, where `refused` is.
fn traced_where_refused(refused: &str) -> Option<(Told, Sandbox)> {
    if !have("cc") {
        return None;
    }
    let sandbox = Sandbox::new();
    fs::write(sandbox.path("a.txt"), "hello\n").expect("written");
    let trace = sandbox.top().join("trace");
    let mut command = sandbox.command(refuser(sandbox.top()));
    command.arg(refused).arg(tracerun()).args(["trace", "--quiet", "--format", "ndjson", "-o"]).arg(&trace);
    let output = command.args(["--", "sh", "-c", "cat a.txt; exit 3"]).output().expect("it runs");
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    assert_eq!(output.stdout, b"hello\n");
    Some((Told::read(&trace), sandbox))
}

#[test]
fn below_a_listener_ptrace_sees_everything() {
    let Some((told, sandbox)) = traced_where_refused("listener") else { return };
    assert_eq!((told.captures(), told.is_complete()), (vec!["ptrace"], true));
    assert!(told.read_of(&sandbox.path("a.txt").canonicalize().expect("there")));
}

#[test]
fn without_seccomp_ptrace_sees_everything() {
    let Some((told, sandbox)) = traced_where_refused("seccomp") else { return };
    assert_eq!((told.captures(), told.is_complete()), (vec!["ptrace"], true));
    assert!(told.read_of(&sandbox.path("a.txt").canonicalize().expect("there")));
}

#[test]
fn without_seccomp_and_ptrace_the_library_watches_and_the_trace_says_that_it_is_not_complete() {
    let Some((told, sandbox)) = traced_where_refused("both") else { return };
    assert!(!told.is_complete());
    let reasons: Vec<_> = told.of_type("summary").map(|line| line["reasons"].to_string()).collect();
    assert!(reasons[0].contains("seccomp") && reasons[0].contains("ptrace"), "{reasons:?}");
    assert!(told.captures().contains(&"preload"), "{:?}", told.captures());
    assert!(told.read_of(&sandbox.path("a.txt").canonicalize().expect("there")));
}

#[test]
fn tracerun_inside_tracerun_sees_everything_and_so_does_the_one_outside() {
    for (outside, inside) in [("seccomp", "ptrace"), ("ptrace", "preload")] {
        let sandbox = Sandbox::new();
        fs::write(sandbox.path("a.txt"), "hello\n").expect("written");
        let (outer, inner) = (sandbox.top().join("outer"), sandbox.top().join("inner"));
        let mut command = sandbox.command(tracerun());
        command.args(["trace", "--quiet", "--capture", outside, "--format", "ndjson", "-o"]).arg(&outer);
        command.arg("--").arg(tracerun()).args(["trace", "--quiet", "--format", "ndjson", "-o"]).arg(&inner);
        let output = command.args(["--", "sh", "-c", "cat a.txt; exit 3"]).output().expect("it runs");
        assert_eq!((output.status.code(), &output.stdout[..]), (Some(3), &b"hello\n"[..]), "{output:?}");
        let (outer, inner) = (Told::read(&outer), Told::read(&inner));
        let path = sandbox.path("a.txt").canonicalize().expect("there");
        assert!(outer.is_complete() && outer.read_of(&path), "{outside}");
        assert!(inner.is_complete() && inner.read_of(&path), "{outside}");
        assert!(inner.captures().contains(&inside), "{:?}", inner.captures());
    }
}

#[test]
fn a_process_stopped_and_continued_under_ptrace_goes_on() {
    let sandbox = Sandbox::new();
    let mut command = sandbox.command(tracerun());
    command.args(["trace", "--quiet", "--capture", "ptrace", "-o"]).arg(sandbox.top().join("trace"));
    // Whoever waits for a stopped child is told of the stop.
    let script = "import os,signal,time
pid = os.fork()
if pid == 0:
    os.kill(os.getpid(), signal.SIGSTOP)
    os._exit(7)
_, status = os.waitpid(pid, os.WUNTRACED)
assert os.WIFSTOPPED(status) and os.WSTOPSIG(status) == signal.SIGSTOP
os.kill(pid, signal.SIGCONT)
_, status = os.waitpid(pid, 0)
raise SystemExit(os.WEXITSTATUS(status))";
    if have("python3") {
        let output = command.args(["--", "python3", "-c", script]).output().expect("it runs");
        assert_eq!(output.status.code(), Some(7), "{output:?}");
    }
}
