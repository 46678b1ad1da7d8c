//! `tracerun watch`: which changes make it run again, once each, and which do not.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tracerun_tests::sandbox::Sandbox;

/// How long something that must come may take: far more than it does, so that only what never comes fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// A command that is watched. What it prints comes line by line, as `Ran`; that it is waited for changes, as `Waits`; that one was
/// looked at and did not matter, as `Looked`.
struct Watching {
    child: Child,
    lines: Receiver<Line>,
}

#[derive(Debug, PartialEq)]
enum Line {
    Ran(String),
    Waits,
    Looked,
    Said(String),
}

impl Watching {
    fn start(sandbox: &Sandbox, options: &[&str], command: &[&str]) -> Self {
        let mut watch = sandbox.command(tracerun_tests::tracerun());
        watch.arg("watch").args(options).arg("--").args(command);
        let mut child = watch.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("tracerun runs");
        let (tell, lines) = channel();
        let read = |from: Box<dyn Read + Send>, tell: Sender<Line>, is_out: bool| {
            thread::spawn(move || {
                for line in BufReader::new(from).lines().map_while(Result::ok) {
                    let line = match line.strip_prefix("tracerun: ") {
                        Some(said) if said.starts_with("watching") => Line::Waits,
                        Some(said) if said.starts_with("nothing that matters") => Line::Looked,
                        None if is_out => Line::Ran(line),
                        _ => Line::Said(line),
                    };
                    if tell.send(line).is_err() {
                        return;
                    }
                }
            })
        };
        read(Box::new(child.stdout.take().expect("piped")), tell.clone(), true);
        read(Box::new(child.stderr.take().expect("piped")), tell, false);
        Self { child, lines }
    }

    /// The next line that it printed or, if that comes first, that it waits.
    fn next(&self, what: &str) -> Line {
        let mut said = Vec::new();
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(Line::Said(line)) => said.push(line),
                Ok(line) => return line,
                Err(RecvTimeoutError::Timeout) => panic!("{what}: nothing happened; it said {said:#?}"),
                Err(RecvTimeoutError::Disconnected) => panic!("{what}: it ended; it said {said:#?}"),
            }
        }
    }

    /// It runs once, prints this, and waits.
    fn assert_runs(&self, what: &str, printed: &str) {
        // The two streams are read side by side.
        let next = || std::iter::repeat_with(|| self.next(what)).find(|line| *line != Line::Looked);
        let mut both = [next(), next()].map(|line| line.expect("there is no end"));
        both.sort_by_key(|line| *line == Line::Waits);
        assert_eq!(both, [Line::Ran(printed.to_owned()), Line::Waits], "{what}");
    }

    fn ends(mut self, signal: Signal) -> std::process::ExitStatus {
        kill(Pid::from_raw(self.child.id() as i32), signal).expect("it is there");
        self.child.wait().expect("it ends")
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Prints all that it looks at, in a line; makes a file and a folder with one.
const LOOKS: &str = "echo \"$(cat a 2>&1 | tr '\\n' ' ')|$(ls d | tr '\\n' ' ')|$(cat l)|$(test -e none && echo there)\
|$(test -x x && echo x)|$(cat many/* | cksum)\"; echo made > out; mkdir -p outs; echo 1 > outs/f";

/// A change, as a script; whether it is worth a run.
const CHANGES: &[(&str, &str, bool)] = &[
    ("an edit", "echo 2 > a", true),
    ("the same content again", "echo 2 > a", false),
    ("a touch", "touch a", false),
    ("another content and back", "echo 3 > a; echo 2 > a", false),
    ("an atomic save", "echo 4 > .a.new; mv .a.new a", true),
    ("a save with a backup", "cp a a~; echo 5 > .a.swp; mv .a.swp a; rm a~", true),
    ("an append", "echo more >> a", true),
    ("a new file in a listed folder", "echo 1 > d/n", true),
    ("a file in a listed folder that is not read", "echo 2 > d/n", false),
    ("a new file in a folder that is not listed", "mkdir other; echo 1 > other/n", false),
    ("a file that a listed folder loses", "rm d/n", true),
    ("a folder that goes and comes back", "mv d e; mv e d", false),
    ("a file that was looked for in vain", "echo 1 > none", true),
    ("that one's content", "echo 2 > none", true),
    ("it goes again", "rm none", true),
    ("an input that is deleted", "rm a", true),
    ("a folder in its place", "mkdir a", true),
    ("it comes back", "rmdir a; echo 6 > a", true),
    ("the executable bit", "chmod +x x", true),
    ("what a link leads to", "ln -sfn two l", true),
    ("what is in the file that a link leads to", "echo other > two", true),
    ("what is in the file that it led to before", "echo other > one", false),
    ("the command's own output", "rm out", false),
    ("what is in its own folder", "echo 2 > outs/f; echo 3 > outs/g", false),
    ("500 files at once", "for n in $(seq 500); do echo new > many/$n; done", true),
    (
        "500 files that come back as they were",
        "for n in $(seq 500); do echo new > many/$n.t; mv many/$n.t many/$n; done",
        false,
    ),
];

#[test]
fn each_change_that_matters_is_one_run_and_no_other_is() {
    let sandbox = Sandbox::new();
    let change = |script: &str| {
        let changed = sandbox.command("sh").args(["-c", script]).status().expect("sh runs");
        assert!(changed.success(), "{script}");
    };
    change("echo 1 > a; mkdir d many; echo one > one; echo two > two; ln -s one l; touch x");
    change("for n in $(seq 500); do echo old > many/$n; done");
    // As it is without tracerun, in a copy, since it makes files.
    let bare = || {
        let copy = tempfile::tempdir().expect("a folder");
        let copied = Command::new("cp").arg("-a").arg(sandbox.path(".")).arg(copy.path()).status();
        assert!(copied.expect("cp runs").success());
        let mut command = Command::new("sh");
        let output = command.args(["-c", LOOKS]).current_dir(copy.path()).output().expect("sh runs");
        String::from_utf8(output.stdout).expect("text").trim_end().to_owned()
    };
    let watching = Watching::start(&sandbox, &["--verbose"], &["sh", "-c", LOOKS]);
    watching.assert_runs("the first run", &bare());
    for (what, script, matters) in CHANGES {
        change(script);
        if *matters {
            watching.assert_runs(what, &bare());
        }
        // Had there been a reason to run, that would be told first; a run more than one would stand before the next.
        change("touch nudge; rm nudge");
        while watching.next(what) != Line::Looked {}
    }
    assert_eq!(watching.ends(Signal::SIGTERM).signal(), Some(15));
}

#[test]
fn a_run_that_fails_is_watched_too() {
    let sandbox = Sandbox::new();
    let watching = Watching::start(&sandbox, &[], &["sh", "-c", "echo $(cat a 2>/dev/null); test -e a"]);
    watching.assert_runs("the first run", "");
    sandbox.write("a", "1\n");
    watching.assert_runs("what it lacked", "1");
}

#[test]
fn a_hit_restores_and_replays() {
    let sandbox = Sandbox::new();
    sandbox.write("a", "1\n");
    let watching = Watching::start(&sandbox, &[], &["sh", "-c", "cat a | tee b; date +%N > c"]);
    watching.assert_runs("the first run", "1");
    let made = sandbox.read("c");
    sandbox.write("a", "2\n");
    watching.assert_runs("an edit", "2");
    sandbox.write("a", "1\n");
    watching.assert_runs("the edit taken back", "1");
    assert_eq!((sandbox.read("b").as_str(), sandbox.read("c")), ("1\n", made));
}

#[test]
fn a_change_during_a_run_is_one_more_run() {
    let sandbox = Sandbox::new();
    sandbox.write("a", "1\n");
    let script = "cat a; while test \"$(cat a)\" = 2 && ! test -e ../go; do sleep 0.01; done";
    let watching = Watching::start(&sandbox, &[], &["sh", "-c", script]);
    watching.assert_runs("the first run", "1");
    sandbox.write("a", "2\n");
    assert_eq!(watching.next("an edit"), Line::Ran("2".to_owned()));
    // It is at work.
    sandbox.write("a", "3\n");
    assert_eq!(watching.next("an edit meanwhile"), Line::Ran("3".to_owned()));
    assert_eq!(watching.next("an edit meanwhile"), Line::Waits);
}

#[test]
fn with_restart_a_change_ends_the_run_and_all_that_it_started() {
    let sandbox = Sandbox::new();
    sandbox.write("a", "1\n");
    let script = "cat a; test \"$(cat a)\" = 1 || { echo $$ > ../pid; sleep 1000 & sleep 1000; }";
    let watching = Watching::start(&sandbox, &["--restart"], &["sh", "-c", script]);
    watching.assert_runs("the first run", "1");
    sandbox.write("a", "2\n");
    assert_eq!(watching.next("an edit"), Line::Ran("2".to_owned()));
    sandbox.write("a", "1\n");
    watching.assert_runs("an edit meanwhile", "1");
    let project = sandbox.path("").canonicalize().expect("there");
    let is_in_it = |process: &fs::DirEntry| {
        let cwd = fs::read_link(process.path().join("cwd"));
        process.file_name() != *watching.child.id().to_string() && cwd.is_ok_and(|cwd| cwd == project)
    };
    let left = fs::read_dir("/proc").expect("listed").flatten().filter(is_in_it).count();
    assert_eq!(left, 0, "processes in the project");
}
