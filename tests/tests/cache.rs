//! Runs, hits and misses of real commands, from outside.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;
use std::time::Instant;

use tracerun_tests::have;
use tracerun_tests::sandbox::Sandbox;

fn sh(script: &str) -> [&str; 3] {
    ["sh", "-c", script]
}

#[test]
fn the_second_run_is_a_hit_that_restores_and_replays() {
    let sandbox = Sandbox::new();
    sandbox.write("a", "pear\napple\npear\n");
    let script = sh("sort a | uniq > b; echo sorted; echo careful >&2");
    let first = sandbox.run(&script);
    first.assert_stored();
    assert_eq!((first.stdout.as_str(), sandbox.read("b").as_str()), ("sorted\n", "apple\npear\n"));

    sandbox.run(&script).assert_hit();
    fs::remove_file(sandbox.path("b")).expect("there");
    let third = sandbox.run(&script);
    third.assert_hit();
    assert_eq!((third.stdout.as_str(), sandbox.read("b").as_str()), ("sorted\n", "apple\npear\n"));
    assert!(third.stderr.starts_with("careful\n"), "{}", third.stderr);
}

#[test]
fn a_changed_input_misses_by_name_and_changing_it_back_hits() {
    let sandbox = Sandbox::new();
    sandbox.write("a", "1\n");
    let script = sh("cat a > b");
    sandbox.run(&script).assert_stored();
    sandbox.write("a", "2\n");
    let second = sandbox.run(&script);
    second.assert_stored();
    assert!(second.stderr.contains("/a "), "names the file: {}", second.stderr);
    let explained = sandbox.tracerun(["explain"]);
    assert!(explained.stdout.contains("/a"), "{explained:?}");

    sandbox.write("a", "1\n");
    sandbox.run(&script).assert_hit();
    assert_eq!(sandbox.read("b"), "1\n");
}

#[test]
fn a_touch_alone_is_no_change() {
    let sandbox = Sandbox::new();
    sandbox.write("a", "1\n");
    sandbox.run(&["cat", "a"]).assert_stored();
    let tomorrow = std::time::SystemTime::now() + std::time::Duration::from_secs(86_400);
    fs::File::options()
        .write(true)
        .open(sandbox.path("a"))
        .expect("there")
        .set_modified(tomorrow)
        .expect("touched");
    sandbox.run(&["cat", "a"]).assert_hit();
}

#[test]
fn a_file_shadowing_a_missing_one_causes_a_miss() {
    if !have("cc") {
        return;
    }
    let sandbox = Sandbox::new();
    sandbox.write("late/h.h", "#define N 1\n");
    sandbox.write("a.c", "#include <h.h>\nint n = N;\n");
    let compile = ["cc", "-Iearly", "-Ilate", "-c", "a.c"];
    sandbox.run(&compile).assert_stored();
    sandbox.run(&compile).assert_hit();
    sandbox.write("early/h.h", "#define N 2\n");
    sandbox.run(&compile).assert_stored();
}

#[test]
fn a_new_file_in_a_listed_folder_causes_a_miss() {
    let sandbox = Sandbox::new();
    sandbox.write("d/1", "");
    let list = sh("ls d > names");
    sandbox.run(&list).assert_stored();
    sandbox.run(&list).assert_hit();
    sandbox.write("d/2", "");
    sandbox.run(&list).assert_stored();
    assert_eq!(sandbox.read("names"), "1\n2\n");
}

#[test]
fn a_changed_variable_misses_without_its_value_being_shown() {
    let mut sandbox = Sandbox::new();
    sandbox.set("TOKEN", "first-secret");
    sandbox.run(&["true"]).assert_stored();
    sandbox.set("TOKEN", "second-secret");
    let second = sandbox.run(&["true"]);
    second.assert_stored();
    assert!(second.stderr.contains("TOKEN") && !second.stderr.contains("secret"), "{}", second.stderr);
}

#[test]
fn the_exit_status_is_the_commands() {
    let sandbox = Sandbox::new();
    for (script, status) in [("exit 0", 0), ("exit 3", 3), ("kill -TERM $$", -15)] {
        assert_eq!(sandbox.run(&sh(script)).status, status, "{script}");
    }
    assert_eq!(sandbox.run(&["no-such-command"]).status, 127);
    sandbox.write("not-executable", "");
    assert_eq!(sandbox.run(&["./not-executable"]).status, 126);
    assert_eq!(sandbox.tracerun(["--no-such-option"]).status, 125);
}

#[test]
fn a_failing_command_runs_again() {
    let sandbox = Sandbox::new();
    for _ in 0..2 {
        let ran = sandbox.run(&sh("echo tried; exit 1"));
        assert_eq!((ran.outcome(), ran.stdout.as_str(), ran.status), ("uncached", "tried\n", 1));
    }
    sandbox.run_with(&["--cache-failures"], &sh("echo tried; exit 1")).assert_stored();
    let hit = sandbox.run_with(&["--cache-failures"], &sh("echo tried; exit 1"));
    hit.assert_hit();
    assert_eq!((hit.stdout.as_str(), hit.status), ("tried\n", 1));
}

#[test]
fn modes_links_folders_and_deletions_are_restored() {
    let sandbox = Sandbox::new();
    sandbox.write("old", "to go");
    let script = sh(
        "mkdir -p out/empty && echo '#!/bin/sh' > out/tool && chmod 755 out/tool && ln -s tool out/link && rm old",
    );
    sandbox.run(&script).assert_stored();
    fs::remove_dir_all(sandbox.path("out")).expect("there");
    sandbox.write("old", "to go");
    sandbox.run(&script).assert_hit();
    assert!(sandbox.path("out/empty").is_dir());
    assert_eq!(fs::metadata(sandbox.path("out/tool")).expect("there").permissions().mode() & 0o777, 0o755);
    assert_eq!(fs::read_link(sandbox.path("out/link")).expect("a link").to_str(), Some("tool"));
    assert!(!sandbox.path("old").exists());
}

#[test]
fn what_a_run_reads_and_then_changes_is_an_input_as_it_was() {
    let sandbox = Sandbox::new();
    sandbox.write("count", "1\n");
    let script = sh("n=$(cat count); echo $((n + 1)) > count");
    sandbox.run(&script).assert_stored();
    sandbox.run(&script).assert_stored();
    assert_eq!(sandbox.read("count"), "3\n");
    sandbox.write("count", "1\n");
    sandbox.run(&script).assert_hit();
    assert_eq!(sandbox.read("count"), "2\n");
}

#[test]
fn an_input_changed_by_someone_else_meanwhile_is_not_cached() {
    let sandbox = Sandbox::new();
    sandbox.write("a", "1\n");
    sandbox.write("fifo-maker", "");
    let mut command = sandbox.command(tracerun_tests::tracerun());
    let mut child = command
        .args(["--", "sh", "-c", "cat a; while [ ! -e go ]; do :; done"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("tracerun runs");
    let mut first = [0; 2];
    std::io::Read::read_exact(child.stdout.as_mut().expect("piped"), &mut first).expect("the content of a");
    sandbox.write("a", "2\n");
    sandbox.write("go", "");
    let output = child.wait_with_output().expect("it ends");
    let line = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(line.contains("not cached"), "{line}");
}

#[test]
fn a_static_program_is_seen_too() {
    if !have("cc") {
        return;
    }
    let sandbox = Sandbox::new();
    sandbox.write(
        "p.c",
        "#include <stdio.h>\nint main(){char b[9]={0};FILE*f=fopen(\"in\",\"r\");fread(b,1,8,f);f=fopen(\"out\",\"w\");fputs(b,f);return 0;}",
    );
    assert!(sandbox.command("cc").args(["-static", "-o", "p", "p.c"]).status().expect("cc runs").success());
    sandbox.write("in", "one");
    sandbox.run(&["./p"]).assert_stored();
    sandbox.run(&["./p"]).assert_hit();
    sandbox.write("in", "two");
    sandbox.run(&["./p"]).assert_stored();
    assert_eq!(sandbox.read("out"), "two");
}

#[test]
fn a_reader_that_goes_away_ends_the_command_as_without_us() {
    let sandbox = Sandbox::new();
    let pipeline = format!("{} -- yes | head -n 1", tracerun_tests::tracerun().display());
    let output = sandbox.command("sh").args(["-c", &pipeline]).output().expect("sh runs");
    assert_eq!(output.stdout, b"y\n");
    assert!(String::from_utf8_lossy(&output.stderr).contains("not cached"));
}

#[test]
fn a_log_in_a_listed_folder_is_not_the_commands_output() {
    let sandbox = Sandbox::new();
    sandbox.write("a", "1\n");
    let script = format!("{} -- sh -c 'ls; cat a' > log", tracerun_tests::tracerun().display());
    for outcome in ["stored", "hit"] {
        let output = sandbox.command("sh").args(["-c", &script]).output().expect("sh runs");
        let line = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(line.contains(outcome), "{line}");
        assert!(sandbox.read("log").ends_with("log\n1\n"));
    }
}

#[test]
fn streams_that_were_one_are_not_replayed_as_two() {
    let sandbox = Sandbox::new();
    let run = |redirection: &str| {
        let tracerun = tracerun_tests::tracerun();
        let script = format!("{} -- sh -c 'echo out; echo err >&2' {redirection}", tracerun.display());
        sandbox.command("sh").args(["-c", &script]).output().expect("sh runs")
    };
    let one = run("2>&1");
    assert!(String::from_utf8_lossy(&one.stdout).starts_with("out\nerr\n"));
    let two = run("");
    assert_eq!(two.stdout, b"out\n");
    assert!(String::from_utf8_lossy(&two.stderr).starts_with("err\n"));
}

#[test]
fn python_and_node_are_cached() {
    let sandbox = Sandbox::new();
    sandbox.write("p/m.py", "x = 1\n");
    sandbox.write(
        "s.js",
        "const fs = require('fs'); fs.writeFileSync('o', fs.readFileSync('i')); console.log('done')",
    );
    sandbox.write("i", "in");
    if have("python3") {
        let compile = ["python3", "-m", "compileall", "-q", "p"];
        sandbox.run(&compile).assert_stored();
        fs::remove_dir_all(sandbox.path("p/__pycache__")).expect("there");
        sandbox.run(&compile).assert_hit();
        assert!(sandbox.path("p/__pycache__").is_dir());
    }
    if have("node") {
        sandbox.run(&["node", "s.js"]).assert_stored();
        sandbox.run(&["node", "s.js"]).assert_hit();
        sandbox.write("i", "other");
        sandbox.run(&["node", "s.js"]).assert_stored();
        assert_eq!(sandbox.read("o"), "other");
    }
}

#[test]
fn many_at_once_share_one_cache() {
    let sandbox = Sandbox::new();
    sandbox.write("a", "1\n");
    // Of a command that runs twice at the same time neither run would be stored.
    for (outcome, count) in [("miss", 16), ("hit", 32)] {
        let children: Vec<_> = (0..count)
            .map(|number| {
                let mut command = sandbox.command(tracerun_tests::tracerun());
                command.args(["--", "sh", "-c", &format!("cat a > out{}", number % 16)]);
                command.stderr(Stdio::piped()).spawn().expect("tracerun runs")
            })
            .collect();
        for child in children {
            let output = child.wait_with_output().expect("it ends");
            let line = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(output.status.success(), "{line}");
            assert!(outcome == "miss" || line.contains("hit"), "{line}");
        }
    }
}

#[test]
fn lua_is_built_once() {
    let source = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/fixtures/lua/src");
    if !source.exists() {
        assert!(std::env::var_os("TRACERUN_REQUIRE_ALL").is_none(), "run scripts/setup");
        eprintln!("not tested: the source of lua is missing");
        return;
    }
    let sandbox = Sandbox::new();
    let copied =
        sandbox.command("cp").arg("-r").arg(&source).arg(sandbox.path("lua")).status().expect("cp runs");
    assert!(copied.success());
    let make = ["make", "-C", "lua", "linux"];
    let (outputs, began) = (["lua/lua", "lua/luac", "lua/liblua.a", "lua/lvm.o"], Instant::now());
    sandbox.run(&make).assert_stored();
    let built = began.elapsed();
    let contents = outputs.map(|name| fs::read(sandbox.path(name)).expect("built"));

    for output in outputs {
        fs::remove_file(sandbox.path(output)).expect("there");
    }
    let began = Instant::now();
    sandbox.run(&make).assert_hit();
    eprintln!("lua: built in {built:?}, restored in {:?}", began.elapsed());
    assert_eq!(outputs.map(|name| fs::read(sandbox.path(name)).expect("restored")), contents);

    let header = sandbox.read("lua/lua.h");
    sandbox.write(
        "lua/lua.h",
        header.replace("#define LUA_RELEASE\t", "#define LUA_RELEASE_\t0\n#define LUA_RELEASE\t"),
    );
    let missed = sandbox.run(&make);
    missed.assert_stored();
    assert!(missed.stderr.contains("lua/lua.h"), "{}", missed.stderr);
    sandbox.write("lua/lua.h", header);
    sandbox.run(&make).assert_hit();
    assert_eq!(outputs.map(|name| fs::read(sandbox.path(name)).expect("restored")), contents);
}

#[test]
fn once_the_command_has_ended_a_signal_is_ours() {
    let sandbox = Sandbox::new();
    let mut command = sandbox.command(tracerun_tests::tracerun());
    // More than fits into the pipe that nobody reads: the output waits in tracerun.
    command.args(["--", "sh", "-c", "echo > began; head -c 120000 /dev/zero"]).stdout(Stdio::piped());
    let mut child = command.stderr(Stdio::null()).spawn().expect("tracerun runs");
    let children = format!("/proc/{0}/task/{0}/children", child.id());
    while !sandbox.path("began").exists()
        || fs::read_to_string(&children).is_ok_and(|children| !children.is_empty())
    {
        std::thread::yield_now();
    }
    let status = sandbox.command("kill").args(["-TERM", &child.id().to_string()]).status();
    assert!(status.expect("kill runs").success());
    assert_eq!(child.wait().expect("it ends").signal(), Some(15));
}

#[test]
fn of_the_same_command_at_the_same_time_neither_is_stored() {
    let sandbox = Sandbox::new();
    let start = || {
        let mut command = sandbox.command(tracerun_tests::tracerun());
        let script = "mkfifo go.$$ && echo $$ && read line < go.$$; rm go.$$; echo 1 > out";
        command.args(["--cache-failures", "--", "sh", "-c", script]).stdout(Stdio::piped());
        let mut child = command.stderr(Stdio::piped()).spawn().expect("tracerun runs");
        let mut id = String::new();
        let mut lines = std::io::BufReader::new(child.stdout.take().expect("piped"));
        std::io::BufRead::read_line(&mut lines, &mut id).expect("it says so");
        (child, id.trim().to_owned())
    };
    let end = |(child, id): (std::process::Child, String)| {
        fs::write(sandbox.path(&format!("go.{id}")), "\n").expect("told");
        String::from_utf8_lossy(&child.wait_with_output().expect("it ends").stderr).into_owned()
    };
    let (first, second) = (start(), start());
    let (first, second) = (end(first), end(second));
    for overlapped in [first, second] {
        assert!(overlapped.contains("the same command was running at the same time"), "{overlapped}");
    }
    // One that began after it and ended before it has left its work in it as well.
    let (long, short) = (start(), start());
    for overlapped in [end(short), end(long)] {
        assert!(overlapped.contains("the same command was running at the same time"), "{overlapped}");
    }
    let alone = end(start());
    assert!(alone.contains(", stored"), "{alone}");
}
