//! Inputs and outputs as the user lists them: beside what is observed, instead of it, without some of it, none.

use std::fs;
use std::io::Write;

use tracerun_tests::sandbox::{Ran, Sandbox};

/// Reads two files, writes two.
const SCRIPT: &str = "cat src/a notes > out; mkdir -p logs; echo done > logs/run";

fn project() -> Sandbox {
    let sandbox = Sandbox::new();
    for name in ["src/a", "src/a.md", "notes"] {
        sandbox.write(name, "1");
    }
    sandbox
}

fn run(sandbox: &Sandbox, options: &[&str]) -> Ran {
    let ran = sandbox.run_with(options, &["sh", "-c", SCRIPT]);
    assert_eq!(ran.status, 0, "{ran:?}");
    ran
}

#[track_caller]
fn assert_missed(ran: &Ran, because: &str) {
    ran.assert_stored();
    assert!(ran.stderr.contains(because), "{}", ran.stderr);
}

#[test]
fn inputs_that_are_named_count_instead_of_what_is_read() {
    let sandbox = project();
    let named = ["--input", "src/**", "--input", "!**/*.md"];
    run(&sandbox, &named).assert_stored();
    for (name, content) in [("notes", "2"), ("src/a.md", "2"), ("src/b.md", "1")] {
        sandbox.write(name, content);
        run(&sandbox, &named).assert_hit();
    }
    sandbox.write("src/a", "2");
    assert_missed(&run(&sandbox, &named), "src/a changed (named as an input)");
    sandbox.write("src/deep/b", "1");
    assert_missed(&run(&sandbox, &named), "src/deep/b was not there and is now (named as an input)");
    fs::remove_file(sandbox.path("src/deep/b")).expect("there");
    run(&sandbox, &named).assert_hit();
    sandbox.write("src/a", "1");
    run(&sandbox, &named).assert_hit();
    let explained = sandbox.tracerun(["explain", "last~2", "--format", "json"]).stdout;
    assert!(!explained.is_empty());
}

#[test]
fn inputs_that_are_named_count_beside_what_is_read() {
    let sandbox = project();
    let both = ["--input", "auto", "--input", "src"];
    run(&sandbox, &both).assert_stored();
    sandbox.write("src/a.md", "2");
    assert_missed(&run(&sandbox, &both), "src/a.md changed");
    sandbox.write("notes", "2");
    assert_missed(&run(&sandbox, &both), "notes changed (read by");
    run(&sandbox, &both).assert_hit();
}

#[test]
fn a_named_input_counts_even_where_it_is_ignored() {
    let sandbox = project();
    let options = ["--ignore-input", "notes", "--ignore-input", "src", "--input", "auto", "--input", "src/a"];
    run(&sandbox, &options).assert_stored();
    sandbox.write("notes", "2");
    sandbox.write("src/a.md", "2");
    run(&sandbox, &options).assert_hit();
    sandbox.write("src/a", "2");
    assert_missed(&run(&sandbox, &options), "src/a changed");
}

#[test]
fn negative_globs_alone_take_from_what_is_observed() {
    let sandbox = project();
    let options = ["--input", "!notes", "--output", "!logs"];
    run(&sandbox, &options).assert_stored();
    sandbox.write("notes", "2");
    fs::remove_file(sandbox.path("out")).expect("there");
    fs::remove_file(sandbox.path("logs/run")).expect("there");
    run(&sandbox, &options).assert_hit();
    assert_eq!(sandbox.read("out"), "11");
    assert!(!sandbox.path("logs/run").exists());
    sandbox.write("src/a", "2");
    assert_missed(&run(&sandbox, &options), "src/a changed (read by");
}

#[test]
fn an_empty_list_stands_for_nothing() {
    let sandbox = project();
    sandbox.write("tracerun.toml", "input = []\noutput = []\n");
    run(&sandbox, &[]).assert_stored();
    for name in ["src/a", "notes", "src/new"] {
        sandbox.write(name, "2");
        run(&sandbox, &[]).assert_hit();
    }
    fs::remove_file(sandbox.path("out")).expect("there");
    run(&sandbox, &[]).assert_hit();
    assert!(!sandbox.path("out").exists());
    // What an option says takes the place of what the file says; an empty one is an empty list.
    run(&sandbox, &["--output", "auto", "--input", ""]).assert_stored();
    fs::remove_file(sandbox.path("out")).expect("there");
    run(&sandbox, &["--output", "auto", "--input", ""]).assert_hit();
    assert_eq!(sandbox.read("out"), "22");
}

#[test]
fn outputs_that_are_named_are_kept_instead_of_all_that_is_written() {
    let sandbox = project();
    sandbox.write("tracerun.toml", "output = [\"out\", \"logs/**\", \"!logs/run\"]\n");
    let script = format!("{SCRIPT}; echo more > logs/more; echo other > other");
    let run = || sandbox.run(&["sh", "-c", &script]);
    run().assert_stored();
    for name in ["out", "logs/run", "logs/more", "other"] {
        fs::remove_file(sandbox.path(name)).expect("there");
    }
    run().assert_hit();
    let there: Vec<bool> =
        ["out", "logs/run", "logs/more", "other"].iter().map(|name| sandbox.path(name).exists()).collect();
    assert_eq!(there, [true, false, true, false]);
}

#[test]
fn outputs_outside_the_root_are_kept_where_they_are_named_beside_what_is_observed() {
    let sandbox = project();
    let state = sandbox.top().join("home/state");
    let options = ["--output", "auto", "--output", "~/state"];
    let script = "echo 1 > ~/state; echo 1 > out";
    sandbox.run_with(&options, &["sh", "-c", script]).assert_stored();
    fs::remove_file(&state).expect("there");
    fs::remove_file(sandbox.path("out")).expect("there");
    sandbox.run_with(&options, &["sh", "-c", script]).assert_hit();
    assert!(state.exists() && sandbox.path("out").exists());
}

#[test]
fn a_named_input_that_the_run_changes_is_what_it_was_before() {
    let sandbox = project();
    let script = "echo 2 > src/a; : > out";
    sandbox.run_with(&["--input", "src/a"], &["sh", "-c", script]).assert_stored();
    sandbox.write("src/a", "1");
    sandbox.run_with(&["--input", "src/a"], &["sh", "-c", script]).assert_hit();
    assert_eq!(sandbox.read("src/a"), "2\n");
}

#[test]
fn a_named_input_that_someone_else_changes_meanwhile_is_not_taken_for_what_was_used() {
    let sandbox = project();
    let (pipe, notes) = (sandbox.path("pipe"), sandbox.path("notes"));
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().expect("runs").success());
    let other = std::thread::spawn(move || {
        // Waits for the command to open it.
        let mut pipe = fs::File::create(pipe).expect("opened");
        fs::write(notes, "changed").expect("written");
        pipe.write_all(b"go on").expect("written");
    });
    let ran = sandbox.run_with(&["--input", "notes"], &["sh", "-c", "cat notes pipe > out"]);
    other.join().expect("ended");
    assert_eq!((ran.status, ran.outcome()), (0, "uncached"), "{ran:?}");
    assert!(ran.stderr.contains("notes"), "{}", ran.stderr);
}

#[test]
fn a_glob_that_is_none_is_refused_by_name() {
    let sandbox = project();
    let ran = sandbox.run_with(&["--input", "src/["], &["true"]);
    assert_eq!(ran.status, 125, "{ran:?}");
    assert!(ran.stderr.contains("src/["), "{}", ran.stderr);
}
