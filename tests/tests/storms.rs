//! Whatever a process tree does at once, however much of it: nothing is dropped, memory is bounded, nothing hangs.
//!
//! As large as the contract wants it with `TRACERUN_REQUIRE_ALL`, else a tenth of that.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};

use nix::sys::resource::{UsageWho, getrusage};
use serde_json::{Value, json};
use tracerun_tests::sandbox::Sandbox;

/// A storm leaves room for no other.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// What a storm came to.
struct Storm {
    stdout: String,
    /// The exits of the processes.
    exits: Vec<Value>,
    /// How often each file of the project was touched, by kind and name.
    touched: BTreeMap<(String, String), u64>,
}

/// Runs `tests/storms/<name>.c` traced, with one argument.
fn storm(name: &str, options: &[&str], argument: usize) -> Storm {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let sandbox = Sandbox::new();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("storms").join(name).with_extension("c");
    let mut compiler = Command::new("cc");
    compiler.args(["-O1", "-Wall", "-Werror", "-pthread", "-o"]).arg(sandbox.path("storm")).arg(source);
    assert!(compiler.args(options).status().expect("cc runs").success());
    let report = sandbox.top().join("trace");
    let mut traced = sandbox.command(tracerun_tests::tracerun());
    traced.args(["trace", "--quiet", "--format", "ndjson", "-o"]).arg(&report);
    let output = traced.args(["--", "./storm", &argument.to_string()]).output().expect("it runs");
    assert!(output.status.success(), "{output:?}");
    assert_eq!(output.stderr, b"");
    // The largest of all processes waited for, tracerun among them, and of this one as it started them.
    let most = getrusage(UsageWho::RUSAGE_CHILDREN).expect("known").max_rss();
    assert!(most < 600 << 10, "{most} KiB");
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut storm = Storm { stdout, exits: Vec::new(), touched: BTreeMap::new() };
    let project = sandbox.path("").display().to_string();
    let mut summary = Value::Null;
    // One line at a time: there are a million.
    for line in BufReader::new(File::open(&report).expect("a trace")).lines() {
        let mut line: Value = serde_json::from_str(&line.expect("text")).expect("JSON");
        match line["type"].as_str() {
            Some("process") => storm.exits.push(line["exit"].take()),
            Some("access") => {
                let name = line["path"].as_str().and_then(|path| path.strip_prefix(&project));
                if let (Some(name), Some(kind)) = (name, line["kind"].as_str()) {
                    let count = line["count"].as_u64().expect("a count");
                    *storm.touched.entry((kind.to_owned(), name.to_owned())).or_default() += count;
                }
            }
            _ => summary = line,
        }
    }
    assert_eq!((&summary["dropped"], &summary["complete"]), (&0.into(), &true.into()), "{summary}");
    storm
}

impl Storm {
    /// How many processes ended like this.
    fn ended(&self, exit: &Value) -> usize {
        self.exits.iter().filter(|other| *other == exit).count()
    }

    /// How often each file whose name begins so was touched in this way.
    fn counts(&self, kind: &str, prefix: &str) -> Vec<u64> {
        let first = (kind.to_owned(), prefix.to_owned());
        let range = self.touched.range(first..);
        let those = range.take_while(|((of, name), _)| of == kind && name.starts_with(prefix));
        those.map(|(_, count)| *count).collect()
    }
}

/// The whole of a size, or a tenth.
fn sized(whole: usize) -> usize {
    if tracerun_tests::required() { whole } else { whole / 10 }
}

/// With the library, and by the net alone.
const WAYS: [&[&str]; 2] = [&[], &["-static"]];

#[test]
fn ten_thousand_short_processes() {
    let processes = sized(10_000);
    for options in WAYS {
        let storm = storm("processes", options, processes);
        // Those that execute a program are two.
        assert_eq!(storm.exits.len(), 1 + processes + processes / 2);
        assert_eq!(storm.ended(&json!({"code": 0})), 1 + processes);
        assert_eq!(storm.counts("missing", "missing-").len(), processes / 2);
    }
}

#[test]
fn a_million_files_opened_by_two_hundred_threads() {
    let files = sized(5_000);
    for options in WAYS {
        let storm = storm("threads", options, files);
        assert_eq!(storm.counts("missing", "f-").len(), 200 * files);
        assert_eq!(storm.exits, [json!({"code": 0})]);
    }
}

#[test]
fn sixty_four_writers_at_full_speed() {
    let storm = storm("writers", &[], sized(30));
    let made: u64 = storm.stdout.trim().parse().expect("a number");
    assert_eq!(storm.counts("write", "w-").into_iter().sum::<u64>(), made);
    assert_eq!(storm.ended(&json!({"code": 0})), 65);
}

#[test]
fn everything_before_a_kill_is_in_the_trace() {
    for options in WAYS {
        let storm = storm("killed", options, sized(2_000));
        let opened: Vec<usize> = storm.stdout.lines().map(|line| line.parse().expect("a number")).collect();
        for (number, &count) in opened.iter().enumerate() {
            let seen = storm.counts("missing", &format!("k-{number}-")).len();
            // The last may have been seen and not noted.
            assert!((count..=count + 1).contains(&seen) || count >= 20_000, "{number}: {seen} of {count}");
        }
        assert_eq!(storm.ended(&json!({"signal": 9})), 64);
    }
}

#[test]
fn a_command_whose_tracer_is_killed_while_it_prints_fails_as_without_a_reader() {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let sandbox = Sandbox::new();
    sandbox.write("a", "content");
    assert!(sandbox.command("mkfifo").arg("end").status().expect("it runs").success());
    // The command is told that nobody reads its output any more, and goes on.
    let script = "trap '' PIPE; echo ready; while echo more; do :; done 2>/dev/null; cat a >end";
    let mut traced = sandbox.command(tracerun_tests::tracerun());
    traced.args(["--", "sh", "-c", script]).stdout(Stdio::piped());
    let mut tracer = traced.spawn().expect("tracerun runs");
    let mut output = BufReader::new(tracer.stdout.take().expect("piped"));
    output.read_line(&mut String::new()).expect("the command is ready");
    tracer.kill().expect("killed");
    tracer.wait().expect("gone");
    assert_eq!(sandbox.read("end"), "content");
}

#[test]
fn listings_are_whole_and_told_however_many_folders_come_and_go_meanwhile() {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let sandbox = Sandbox::new();
    let script = "
import os, threading
for name in range(60): os.makedirs(f'listed/{name}')
os.makedirs('other')
over = threading.Event()
def stir(number):
    while not over.is_set():
        os.mkdir(f'other/{number}'); os.rmdir(f'other/{number}')
stirrers = [threading.Thread(target=stir, args=(number,)) for number in range(3)]
for stirrer in stirrers: stirrer.start()
listed = os.open('listed', os.O_RDONLY)
short = sum(len(os.listdir('listed')) != 60 or len(os.listdir(listed)) != 60 for _ in range(2000))
over.set()
for stirrer in stirrers: stirrer.join()
print(short)
";
    let report = sandbox.top().join("trace");
    let mut traced = sandbox.command(tracerun_tests::tracerun());
    traced.args(["trace", "--quiet", "--format", "ndjson", "-o"]).arg(&report);
    let output = traced.args(["--", "/usr/bin/python3", "-c", script]).output().expect("it runs");
    assert_eq!((output.stdout, output.stderr), (b"0\n".to_vec(), Vec::new()));
    let trace = std::fs::read_to_string(report).expect("a trace");
    let listed = sandbox.path("listed").display().to_string();
    assert!(trace.lines().any(|line| line.contains(&listed) && line.contains("\"list\"")));
    assert!(trace.contains("\"complete\":true"), "{}", trace.lines().last().unwrap_or_default());
}
