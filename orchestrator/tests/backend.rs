//! The library as another task runner uses it: real commands, run in this process.

#![cfg(target_os = "linux")]

use std::fs;
use std::path::Path;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tracerun::backend::{Backend, Request};
use tracerun::cache::{Lookup, Outcome, Stream};
use tracerun::cancellation::Cancellation;
use tracerun::run::{Report, RunError};
use tracerun::stdio::Passage;
use tracerun::task::Task;
use tracerun::trace::LiveEvent;
use tracerun::{AccessKind, Exit};

#[path = "../examples/task_graph.rs"]
#[expect(dead_code, reason = "it has a main of its own")]
mod task_graph;

struct Place {
    folder: TempDir,
    backend: Backend,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        fs::create_dir(folder.path().join("project")).expect("made");
        let backend = Backend::open(&folder.path().join("cache")).expect("a backend");
        Self { folder, backend }
    }

    fn project(&self) -> std::path::PathBuf {
        self.folder.path().join("project")
    }

    fn write(&self, name: &str, content: &str) {
        fs::write(self.project().join(name), content).expect("written");
    }

    fn sh(&self, script: &str) -> Task {
        Task::new(["sh", "-c", script], self.project())
    }

    fn run(&self, task: &Task) -> (Report, String) {
        let printed = Arc::<Mutex<Vec<u8>>>::default();
        let to = Arc::clone(&printed);
        let output: Passage = Arc::new(move |_: Stream, bytes: &[u8]| {
            to.lock().expect("not poisoned").extend_from_slice(bytes);
            Ok(())
        });
        let request = Request { output: Some(output), ..Request::default() };
        let report = self.backend.run(task, request).expect("it runs");
        let text = String::from_utf8(printed.lock().expect("not poisoned").clone()).expect("text");
        (report, text)
    }
}

fn is_hit(report: &Report) -> bool {
    matches!(report.record.outcome, Outcome::Hit { .. })
}

#[test]
fn a_second_run_restores_and_replays_to_the_caller() {
    let place = Place::new();
    place.write("a", "1");
    let task = place.sh("cat a; cp a b");
    let (first, printed) = place.run(&task);
    assert!(
        matches!(first.record.outcome, Outcome::Miss { kept: Some(_), .. }),
        "{:?}",
        first.record.outcome
    );
    assert_eq!((printed.as_str(), first.complete), ("1", true));
    fs::remove_file(place.project().join("b")).expect("there");
    assert!(matches!(place.backend.look_up(&task).expect("looked up"), Lookup::Hit(_)));
    let (second, printed) = place.run(&task);
    assert!(is_hit(&second), "{:?}", second.record.outcome);
    assert_eq!(
        (printed.as_str(), fs::read_to_string(place.project().join("b")).expect("there").as_str()),
        ("1", "1")
    );
    place.write("a", "2");
    let (third, printed) = place.run(&task);
    assert_eq!((printed.as_str(), is_hit(&third)), ("2", false));
}

#[test]
fn what_the_runner_ignores_does_not_count() {
    let place = Place::new();
    place.write("a", "1");
    place.write("noise", "1");
    let mut task = place.sh("cat a noise");
    task.policy.ignore_input = vec!["noise".to_owned()];
    place.run(&task);
    place.write("noise", "2");
    assert!(is_hit(&place.run(&task).0));
    task.policy.ignore_input.clear();
    assert!(!is_hit(&place.run(&task).0));
}

#[test]
fn input_that_is_given_is_part_of_the_key() {
    let place = Place::new();
    let task = place.sh("cat > b");
    let with = |input: &str| {
        let request = Request { input: Some(input.into()), ..Request::default() };
        let report = place.backend.run(&task, request).expect("it runs");
        (is_hit(&report), fs::read_to_string(place.project().join("b")).expect("there"))
    };
    assert_eq!(with("1"), (false, "1".to_owned()));
    assert_eq!(with("1"), (true, "1".to_owned()));
    assert_eq!(with("2"), (false, "2".to_owned()));
}

#[test]
fn accesses_are_told_while_the_command_runs() {
    let place = Place::new();
    place.write("a", "1");
    let go = place.project().join("go");
    // It goes on only once it was told that it read `a`.
    let task = place.sh("cat a; while ! test -e go; do sleep 0.01; done");
    let (live, told) = channel();
    let trace = thread::scope(|scope| {
        let running =
            scope.spawn(|| place.backend.trace(&task, Request { live: Some(live), ..Request::default() }));
        let read = place.project().join("a");
        let is_it = |event: &LiveEvent| {
            matches!(event, LiveEvent::Accessed { path, kind: AccessKind::Read, .. }
                if **path == *read.as_os_str().as_encoded_bytes())
        };
        let events: Vec<_> = told.iter().take_while(|event| !is_it(event)).collect();
        assert!(!running.is_finished());
        fs::write(&go, "").expect("written");
        let rest: Vec<_> = told.iter().collect();
        let began = |event: &&LiveEvent| matches!(event, LiveEvent::Began(process) if process.argv.first().is_some_and(|name| **name == *b"cat"));
        assert_eq!(events.iter().filter(began).count(), 1, "{events:?}");
        let shell_ends = |event: &LiveEvent| matches!(event, LiveEvent::Ended { process: 1, .. });
        assert!(rest.iter().any(shell_ends), "{rest:?}");
        running.join().expect("no panic").expect("it runs")
    });
    assert_eq!((trace.exit, trace.trace.is_complete()), (Exit::Code(0), true));
}

#[test]
fn a_cancelled_run_ends_with_all_that_it_started() {
    let place = Place::new();
    let task = place.sh("echo $$ > pid; setsid sleep 600 & sleep 600");
    let cancellation = Cancellation::default();
    let began = Instant::now();
    let request = Request { cancellation: cancellation.clone(), ..Request::default() };
    let result = thread::scope(|scope| {
        let running = scope.spawn(|| place.backend.run(&task, request));
        while fs::read_to_string(place.project().join("pid")).map_or(true, |pid| pid.is_empty()) {
            assert!(!running.is_finished());
            thread::sleep(Duration::from_millis(5));
        }
        cancellation.cancel();
        running.join().expect("no panic")
    });
    assert!(matches!(result, Err(RunError::Cancelled)), "{result:?}");
    assert!(began.elapsed() < Duration::from_secs(300), "it was not waited for");
    let project = place.project();
    let lives =
        |entry: &fs::DirEntry| fs::read_link(entry.path().join("cwd")).is_ok_and(|cwd| cwd == project);
    let left = fs::read_dir("/proc").expect("listed").flatten().filter(lives).count();
    assert_eq!(left, 0, "processes in the project");
    let later = place.backend.run(&task, Request { cancellation, ..Request::default() });
    assert!(matches!(later, Err(RunError::Cancelled)), "{later:?}");
}

#[test]
fn several_runs_go_on_at_the_same_time() {
    let place = Place::new();
    let names: Vec<String> = (0..12).map(|number| format!("n{number}")).collect();
    for name in &names {
        place.write(name, name);
    }
    for round in 0..2 {
        thread::scope(|scope| {
            let start = |name: &String| {
                let task = place.sh(&format!("cat {name} > {name}.out"));
                let place = &place;
                scope.spawn(move || is_hit(&place.run(&task).0))
            };
            let running: Vec<_> = names.iter().map(start).collect();
            let mut hits = running.into_iter().map(|run| run.join().expect("no panic"));
            assert!(hits.all(|hit| hit == (round == 1)), "round {round}");
        });
    }
}

#[test]
fn the_example_runs_a_graph_and_nothing_twice() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    fs::write(at("a.c"), "#include \"a.h\"\nint main(void) { return A; }\n").expect("written");
    fs::write(at("a.h"), "#define A 0\n").expect("written");
    let tasks = "[object]\ncommand = [\"cc\", \"-c\", \"a.c\"]\n[program]\nafter = [\"object\"]\n\
                 command = [\"cc\", \"-o\", \"a\", \"a.o\"]\n[test]\nafter = [\"program\"]\ncommand = [\"./a\"]\n";
    fs::write(at("tasks.toml"), tasks).expect("written");
    let run = |file: &Path| {
        let mut out = Vec::new();
        let succeeded = task_graph::run(file, &at("cache"), &mut out).expect("it runs");
        (succeeded, String::from_utf8(out).expect("text"))
    };
    let (succeeded, first) = run(&at("tasks.toml"));
    assert!(succeeded && first.lines().count() == 3 && !first.contains("hit"), "{first}");
    let (_, second) = run(&at("tasks.toml"));
    assert_eq!(second.matches(": hit").count(), 3, "{second}");
    // Another comment makes the same program: what comes after the compiler is not run again.
    fs::write(at("a.h"), "#define A 0 /* zero */\n").expect("written");
    let (_, third) = run(&at("tasks.toml"));
    assert!(
        third.contains("object: ran: ") && third.contains("a.h") && third.contains("test: hit"),
        "{third}"
    );
    fs::write(at("a.h"), "#define A 3\n").expect("written");
    let (succeeded, fourth) = run(&at("tasks.toml"));
    assert!(!succeeded && fourth.contains("test: failed"), "{fourth}");
}
