//! What tracerun answers to why: `explain`, `diff`, `--dry-run`, for people and for programs.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use serde_json::Value;
use tracerun_tests::sandbox::Sandbox;

fn json(sandbox: &Sandbox, arguments: &[&str]) -> Value {
    let answer = sandbox.tracerun(arguments.iter().copied());
    assert_eq!(answer.status, 0, "{answer:?}");
    serde_json::from_str(&answer.stdout).expect("JSON")
}

/// The reasons of the last run.
fn reasons(sandbox: &Sandbox) -> Vec<Value> {
    json(sandbox, &["explain", "--format", "json"])["reasons"].as_array().expect("a list").clone()
}

const SCRIPT: [&str; 3] = ["sh", "-c", "cat a; ls d; test -e gone; test -x tool; readlink link; cat link"];

fn project() -> Sandbox {
    let sandbox = Sandbox::new();
    for name in ["a", "d/1", "tool", "target", "other"] {
        sandbox.write(name, "1\n");
    }
    symlink("target", sandbox.path("link")).expect("made");
    sandbox.run(&SCRIPT).assert_stored();
    sandbox
}

#[test]
fn a_miss_tells_what_changed_how_who_used_it_and_against_which_run() {
    type Change = fn(&Sandbox);
    let changes: [(Change, &str, &str); 6] = [
        (|sandbox| sandbox.write("a", "2\n"), "content", "a"),
        (|sandbox| sandbox.write("d/2", ""), "entries", "d"),
        (|sandbox| sandbox.write("gone", ""), "appeared", "gone"),
        (|sandbox| fs::remove_file(sandbox.path("tool")).expect("there"), "disappeared", "tool"),
        (
            |sandbox| {
                let executable = fs::Permissions::from_mode(0o755);
                fs::set_permissions(sandbox.path("tool"), executable).expect("changed");
            },
            "mode",
            "tool",
        ),
        (
            |sandbox| {
                fs::remove_file(sandbox.path("link")).expect("there");
                symlink("other", sandbox.path("link")).expect("made");
            },
            "target",
            "link",
        ),
    ];
    for (change, difference, name) in changes {
        let sandbox = project();
        let first = json(&sandbox, &["explain", "--format", "json"])["run"].clone();
        change(&sandbox);
        let dry = json(&sandbox, &[&["--dry-run", "--format", "json", "--"][..], &SCRIPT].concat());
        assert_eq!(dry["outcome"], "miss", "{difference}");
        sandbox.run(&SCRIPT).assert_stored();
        let explained = json(&sandbox, &["explain", "--format", "json"]);
        assert_eq!((&explained["against"], &dry["against"]), (&first, &first));
        let reason = &explained["reasons"][0];
        assert_eq!(*reason, dry["reasons"][0]);
        assert_eq!(reason["difference"], difference, "{reason}");
        assert!(reason["path"].as_str().expect("text").ends_with(&format!("/{name}")), "{reason}");
        assert!(!reason["process"]["argv"].as_array().expect("a list").is_empty(), "{reason}");
        if difference == "entries" {
            assert_eq!(reason["gained"], serde_json::json!(["2"]));
        }
        let text = sandbox.tracerun(["explain"]).stdout;
        assert!(text.contains(reason["text"].as_str().expect("text")), "{text}");
    }
}

#[test]
fn a_miss_is_compared_with_the_nearest_of_the_runs_before() {
    let sandbox = Sandbox::new();
    let script = ["sh", "-c", "cat a b"];
    for (a, b) in [("1", "1"), ("other", "1"), ("1", "1"), ("1", "another")] {
        sandbox.write("a", a);
        sandbox.write("b", b);
        let ran = sandbox.run(&script);
        if (a, b) != ("1", "another") {
            continue;
        }
        let reasons = reasons(&sandbox);
        let [reason] = &reasons[..] else { panic!("{reasons:?} {ran:?}") };
        assert!(reason["path"].as_str().is_some_and(|path| path.ends_with("/b")), "{reason}");
    }
}

#[test]
fn a_variable_a_setting_and_an_argument_are_named() {
    let mut sandbox = project();
    sandbox.set("TOKEN", "secret");
    sandbox.run(&SCRIPT).assert_stored();
    assert_eq!((&reasons(&sandbox)[0]["variable"], reasons(&sandbox).len()), (&"TOKEN".into(), 1));
    sandbox.write("tracerun.toml", "untracked-env = [\"CI_*\"]\n");
    sandbox.run(&SCRIPT).assert_stored();
    assert_eq!(reasons(&sandbox)[0]["setting"], "untracked-env");
    sandbox.run(&["cat", "a"]).assert_stored();
    sandbox.run(&["cat", "tool"]).assert_stored();
    let text = sandbox.tracerun(["explain"]).stdout;
    assert!(text.contains("argument 1 was `a` and is `tool`"), "{text}");
    assert!(!sandbox.tracerun(["list"]).stdout.contains("secret"));
}

#[test]
fn what_a_narrowed_environment_does_not_name_is_hidden_and_does_not_count() {
    let mut sandbox = Sandbox::new();
    sandbox.write("tracerun.toml", "env = [\"PATH\", \"HO*\"]\nuntracked-env = [\"CI_*\"]\n");
    sandbox.set("OTHER", "1");
    sandbox.set("CI_JOB", "1");
    let script = ["sh", "-c", "echo ${OTHER-hidden} $CI_JOB ${HOME:+home}"];
    let first = sandbox.run(&script);
    first.assert_stored();
    assert_eq!(first.stdout, "hidden 1 home\n");
    sandbox.set("OTHER", "2");
    sandbox.set("CI_JOB", "2");
    sandbox.run(&script).assert_hit();
    let named = sandbox.run_with(&["--env", "PATH", "--env", "OTHER"], &script);
    named.assert_stored();
    assert_eq!(named.stdout, "2 2\n");
}

#[test]
fn a_run_that_was_not_cached_is_told_what_to_do() {
    let sandbox = Sandbox::new();
    let fails = sandbox.run(&["sh", "-c", "exit 3"]);
    assert_eq!(fails.outcome(), "uncached");
    let explained = json(&sandbox, &["explain", "--format", "json"]);
    assert_eq!(explained["uncached"]["reason"], "failed");
    assert!(sandbox.tracerun(["explain"]).stdout.contains("--cache-failures"));
    if tracerun_tests::have("python3") {
        let connect = "import socket; socket.socket().connect_ex(('127.0.0.1', 9))";
        let network = ["python3", "-c", connect];
        assert_eq!(sandbox.run(&network).outcome(), "uncached");
        let uncached = &json(&sandbox, &["explain", "--format", "json"])["uncached"];
        assert_eq!((&uncached["reason"], &uncached["address"]), (&"network".into(), &"127.0.0.1:9".into()));
        assert_eq!(uncached["process"]["argv"][2], connect);
        sandbox.run_with(&["--allow-network"], &network).assert_stored();
        // A server of its own is no network.
        let own = "import socket; s = socket.create_server(('127.0.0.1', 0)); \
                   socket.create_connection(s.getsockname())";
        sandbox.run(&["python3", "-c", own]).assert_stored();
    }
}

#[test]
fn a_hit_tells_what_was_checked_and_a_dry_run_runs_nothing() {
    let sandbox = project();
    let count = ["sh", "-c", "echo x >> ran"];
    let dry = json(&sandbox, &[&["--dry-run", "--format", "json", "--"][..], &count].concat());
    assert_eq!((&dry["outcome"], &dry["reasons"][0]["reason"]), (&"miss".into(), &"first-run".into()));
    assert!(!sandbox.path("ran").exists());
    let first = json(&sandbox, &["explain", "--format", "json"])["run"].clone();
    sandbox.run(&SCRIPT).assert_hit();
    let hit = json(&sandbox, &["explain", "--format", "json"]);
    assert_eq!((&hit["outcome"], &hit["stands_for"]), (&"hit".into(), &first));
    assert!(hit["checked"]["inputs"]["read"].as_u64() > Some(0) && hit["saved_ms"].is_u64(), "{hit}");
    assert!(sandbox.tracerun([&["--dry-run", "--"][..], &SCRIPT].concat()).stdout.starts_with("hit\n"));
}

#[test]
fn two_runs_are_compared() {
    let sandbox = Sandbox::new();
    sandbox.write("list", "a\n");
    sandbox.write("a", "");
    sandbox.write("b", "");
    let script = ["sh", "-c", "for name in $(cat list); do cat $name > $name.out; done"];
    sandbox.run(&script).assert_stored();
    sandbox.write("list", "b\n");
    sandbox.run(&script).assert_stored();
    let diff = json(&sandbox, &["diff", "last~1", "last", "--format", "json"]);
    let names = |list: &Value| -> Vec<String> {
        let all = list.as_array().expect("a list").iter();
        let paths = all.map(|one| one.get("path").unwrap_or(one).as_str().expect("text"));
        paths.map(|path| path.rsplit('/').next().unwrap_or_default().to_owned()).collect()
    };
    assert_eq!(names(&diff["inputs"]["changed"]), ["list"]);
    assert_eq!(names(&diff["inputs"]["lost"]), ["a"]);
    assert_eq!(names(&diff["inputs"]["gained"]), ["b"]);
    assert_eq!(
        (names(&diff["outputs"]["lost"]), names(&diff["outputs"]["gained"])),
        (vec!["a.out".into()], vec!["b.out".into()])
    );
    assert_eq!(diff["processes"]["gained"], serde_json::json!(["cat b"]));
    let text = sandbox.tracerun(["diff", "last~1", "last"]).stdout;
    assert!(text.contains("+ cat b") && text.contains("~ ") && text.contains("time"), "{text}");
}

#[test]
fn a_moved_folder_and_the_end_of_a_link_are_named() {
    let sandbox = Sandbox::new();
    sandbox.write("old/inside", "1");
    let moved = sandbox.run(&["mv", "old", "new"]);
    assert_eq!(moved.outcome(), "uncached");
    assert!(moved.stderr.contains("moved a folder that it had not made to"), "{}", moved.stderr);
    symlink("nowhere", sandbox.path("link")).expect("made");
    let script = ["sh", "-c", "cat link; true"];
    sandbox.run(&script).assert_stored();
    sandbox.write("nowhere", "1");
    sandbox.run(&script).assert_stored();
    let reason = reasons(&sandbox)[0]["text"].as_str().expect("text").to_owned();
    assert!(reason.contains("/nowhere was not there and is now"), "{reason}");
}

#[test]
fn the_last_run_is_that_of_this_project() {
    let sandbox = Sandbox::new();
    sandbox.write("other/tracerun.toml", "quiet = true\n");
    sandbox.run(&["true"]).assert_stored();
    let mut other = sandbox.command(tracerun_tests::tracerun());
    let ran = other.current_dir(sandbox.path("other")).args(["--", "false"]).output().expect("tracerun runs");
    assert_eq!(String::from_utf8_lossy(&ran.stderr), "", "quiet");
    let told = |folder: &str, arguments: &[&str]| {
        let mut command = sandbox.command(tracerun_tests::tracerun());
        let output =
            command.current_dir(sandbox.path(folder)).args(arguments).output().expect("tracerun runs");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    assert!(told("other", &["explain"]).contains("exited with 1"));
    assert_eq!(told("other", &["list"]).lines().count(), 1);
    assert_eq!(told("other", &["list", "--all"]).lines().count(), 2);
    fs::create_dir_all(sandbox.top().join("elsewhere/.git")).expect("made");
    assert_eq!(told("../elsewhere", &["list"]), "");
    assert_eq!(told("../elsewhere", &["explain"]), "");
}

#[test]
fn a_glob_of_the_settings_that_is_none_is_named_with_file_and_line_and_one_may_lead_out_of_the_root() {
    let sandbox = Sandbox::new();
    fs::create_dir(sandbox.top().join("beside")).expect("made");
    let script = ["sh", "-c", "echo 1 > ../beside/out"];
    assert_eq!(sandbox.run(&script).outcome(), "uncached");
    fs::remove_file(sandbox.top().join("beside/out")).expect("made");
    sandbox.run_with(&["--output", "auto", "--output", "../beside"], &script).assert_stored();
    fs::remove_file(sandbox.top().join("beside/out")).expect("made");
    sandbox.run_with(&["--output", "auto", "--output", "../beside"], &script).assert_hit();
    assert!(sandbox.top().join("beside/out").exists());
    sandbox.write("tracerun.toml", "quiet = true\nignore-input = [\"a[\"]\n");
    let refused = sandbox.tracerun(["--", "true"]);
    assert_eq!(refused.status, 125);
    assert!(refused.stderr.contains("/tracerun.toml:2: bad glob"), "{}", refused.stderr);
}
