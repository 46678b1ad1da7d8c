//! What a hit depends on: states of the file system in which it must, and must not, come. Most were found by the hunt.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use tracerun_tests::have;
use tracerun_tests::sandbox::Sandbox;

fn sh(script: &str) -> [&str; 3] {
    ["sh", "-c", script]
}

#[test]
fn limits_and_ignored_signals_that_a_program_can_come_upon_count_and_others_do_not() {
    let sandbox = Sandbox::new();
    let program = tracerun_tests::tracerun();
    let outcome = |setting: &str| {
        let summary = sandbox.top().join("summary.json");
        let script = format!(
            "{setting}; exec '{}' --summary '{}' -- sh -c 'kill -HUP $$; ulimit -f; echo through'",
            program.display(),
            summary.display()
        );
        let output = sandbox.command("sh").args(["-c", &script]).output().expect("sh runs");
        let told: serde_json::Value =
            serde_json::from_slice(&std::fs::read(&summary).expect("a summary")).expect("JSON");
        (
            told["outcome"].as_str().expect("text").to_owned(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    };
    let ignored = "trap '' HUP";
    assert_eq!(outcome(ignored).0, "miss");
    assert_eq!(outcome(ignored).0, "hit");
    // The command is killed by what it would have ignored.
    assert_eq!(outcome("true").0, "uncached");
    let (outcome_then, said) = outcome(&format!("{ignored}; ulimit -f 1000"));
    assert_eq!(outcome_then, "miss");
    assert!(said.contains("ulimit -f"), "{said}");
    for other in ["ulimit -n 100", "nice -n 1 true", "ulimit -c 0", "ulimit -n 200"] {
        assert_eq!(outcome(&format!("{ignored}; {other}")).0, "hit", "{other}");
    }
}

#[test]
fn what_stands_where_the_run_made_something_for_a_while_causes_a_miss() {
    let sandbox = Sandbox::new();
    let script = sh("mkdir out && rmdir out && echo fine");
    sandbox.run(&script).assert_stored();
    sandbox.run(&script).assert_hit();
    sandbox.write("out/stranger", "");
    assert_eq!(sandbox.run(&script).status, 1);
}

#[test]
fn what_was_appended_to_a_new_file_is_appended_again_where_it_is_in_place() {
    let sandbox = Sandbox::new();
    let script = sh("echo line >> log");
    sandbox.run(&script).assert_stored();
    sandbox.run(&script).assert_stored();
    assert_eq!(sandbox.read("log"), "line\nline\n");
    fs::remove_file(sandbox.path("log")).expect("there");
    sandbox.run(&script).assert_hit();
    assert_eq!(sandbox.read("log"), "line\n");
}

#[test]
fn a_lock_that_stays_empty_is_in_nobodys_way() {
    let sandbox = Sandbox::new();
    sandbox.write("in", "1\n");
    let script = sh("exec 9>> lock; cat in > out");
    sandbox.run(&script).assert_stored();
    sandbox.run(&script).assert_hit();
}

#[test]
fn a_file_in_the_place_of_a_folder_that_was_not_there_causes_a_miss() {
    let sandbox = Sandbox::new();
    let script = sh("cat a/b; true");
    assert!(sandbox.run(&script).stderr.contains("No such file"));
    sandbox.run(&script).assert_hit();
    sandbox.write("a", "");
    assert!(sandbox.run(&script).stderr.contains("Not a directory"));
}

#[test]
fn what_was_looked_for_below_an_output_is_still_not_there() {
    let sandbox = Sandbox::new();
    let script = sh("test -e out/below || echo made > out");
    sandbox.run(&script).assert_stored();
    sandbox.run(&script).assert_hit();
}

#[test]
fn what_was_opened_and_left_as_it_was_must_be_there_again() {
    let sandbox = Sandbox::new();
    sandbox.write("a", "1\n");
    let script = sh("printf '' >> a; chmod 644 a");
    sandbox.run(&script).assert_stored();
    sandbox.run(&script).assert_hit();
    fs::remove_file(sandbox.path("a")).expect("there");
    sandbox.run(&script).assert_stored();
    assert_eq!(sandbox.read("a"), "");
}

#[test]
fn a_folder_that_could_not_be_removed_is_removed_once_it_is_empty() {
    let sandbox = Sandbox::new();
    sandbox.write("d/a", "");
    let script = sh("rmdir d 2>/dev/null; true");
    sandbox.run(&script).assert_stored();
    sandbox.run(&script).assert_hit();
    fs::remove_file(sandbox.path("d/a")).expect("there");
    sandbox.run(&script).assert_stored();
    assert!(!sandbox.path("d").exists());
}

#[test]
fn a_listing_above_the_root_is_observed_in_the_names_that_the_run_looked_for() {
    let mut sandbox = Sandbox::new();
    let temporary = sandbox.top().join("tmp");
    fs::create_dir(&temporary).expect("made");
    sandbox.set("TMPDIR", temporary.to_str().expect("UTF-8"));
    // As esbuild does: it looks for a name, and lists every folder on the way up.
    let script = sh("test -e package.json; ls .. ../tmp > /dev/null");
    sandbox.run(&script).assert_stored();
    for folder in ["", "tmp"] {
        fs::write(sandbox.top().join(folder).join("unrelated"), "").expect("written");
        sandbox.run(&script).assert_hit();
        fs::write(sandbox.top().join(folder).join("package.json"), "").expect("written");
        let ran = sandbox.run(&script);
        ran.assert_stored();
        assert!(ran.stderr.contains("package.json"), "{}", ran.stderr);
    }
    sandbox.run_with(&["--strict-listings"], &script).assert_stored();
    fs::write(sandbox.top().join("tmp/another"), "").expect("written");
    sandbox.run_with(&["--strict-listings"], &script).assert_stored();
}

#[test]
fn a_trusted_tree_is_known_by_identity_and_not_by_content() {
    let sandbox = Sandbox::new();
    sandbox.write("sdk/header", "1\n");
    let (file, trust) = (sandbox.path("sdk/header"), ["--trust", "sdk"]);
    let first = fs::metadata(&file).expect("there").modified().expect("a time");
    let run = || sandbox.run_with(&trust, &["cat", "sdk/header"]);
    run().assert_stored();
    run().assert_hit();
    // The same content, at another time.
    let set_time = |time| fs::File::options().write(true).open(&file).expect("there").set_modified(time);
    set_time(first + std::time::Duration::from_secs(1)).expect("set");
    run().assert_stored();
    sandbox.run(&["cat", "sdk/header"]).assert_stored();
    set_time(first).expect("set");
    run().assert_hit();
    sandbox.run(&["cat", "sdk/header"]).assert_hit();
}

#[test]
fn the_trees_of_a_toolchain_are_known_by_what_its_command_prints() {
    let sandbox = Sandbox::new();
    let (sdk, version) = (sandbox.top().join("sdk"), sandbox.top().join("version"));
    fs::create_dir(&sdk).expect("made");
    fs::write(sdk.join("header"), "1\n").expect("written");
    fs::write(&version, "1\n").expect("written");
    // The root lies in a tree as well: what is in it counts all the same.
    let (tree, tree_of_root) = (sdk.display(), sandbox.top().join("h").display().to_string());
    sandbox.write(
        "tracerun.toml",
        format!(
            "[toolchain.sdk]\ncommand = \"cat {}\"\npaths = [\"{tree}\", \"{tree_of_root}*\", \"{}\"]\n",
            version.display(),
            sandbox.path("").display()
        ),
    );
    sandbox.write("a", "1\n");
    let script = ["cat", "../sdk/header", "../sdk/other", "a"];
    let run = || sandbox.run_with(&["--cache-failures"], &script);
    run().assert_stored();
    for name in ["header", "other"] {
        fs::write(sdk.join(name), "2\n").expect("written");
        run().assert_hit();
    }
    sandbox.write("a", "2\n");
    run().assert_stored();
    fs::write(&version, "2\n").expect("written");
    let ran = run();
    ran.assert_stored();
    assert!(ran.stderr.contains("toolchain sdk"), "{}", ran.stderr);
    // The option takes the place of the command in the file, and adds others.
    sandbox.run_with(&["--cache-failures", "--toolchain", "sdk=echo 1"], &script).assert_stored();
    let ran = sandbox.run_with(&["--cache-failures", "--toolchain", "other=echo 1"], &script);
    ran.assert_stored();
    assert!(ran.stderr.contains("toolchain other"), "{}", ran.stderr);
}

#[test]
fn a_toolchain_that_does_not_say_what_it_is_is_an_error() {
    let sandbox = Sandbox::new();
    for (option, said) in [
        ("cc", "NAME=COMMAND"),
        ("=x", "NAME=COMMAND"),
        ("cc=true", "prints nothing"),
        ("cc=echo 1; echo gone >&2; exit 3", "fails with status 3: gone"),
    ] {
        let ran = sandbox.tracerun(["--toolchain", option, "--", "touch", "made"]);
        assert!(ran.status == 125 && ran.stderr.contains(said), "{option}: {ran:?}");
        assert!(!sandbox.path("made").exists());
    }
}

#[test]
fn a_same_size_edit_with_the_time_put_back_misses() {
    let sandbox = Sandbox::new();
    sandbox.write("a", "1\n");
    sandbox.run(&["cat", "a"]).assert_stored();
    sandbox.run(&["cat", "a"]).assert_hit();
    let time = fs::metadata(sandbox.path("a")).expect("there").modified().expect("a time");
    sandbox.write("a", "2\n");
    let file = fs::File::options().write(true).open(sandbox.path("a")).expect("there");
    file.set_modified(time).expect("set");
    sandbox.run(&["cat", "a"]).assert_stored();
}

#[test]
fn inputs_outside_the_workspace_count() {
    let sandbox = Sandbox::new();
    let outside = sandbox.top().join("outside");
    fs::write(&outside, "1\n").expect("written");
    sandbox.run(&["cat", "../outside"]).assert_stored();
    sandbox.run(&["cat", "../outside"]).assert_hit();
    fs::write(&outside, "2\n").expect("written");
    sandbox.run(&["cat", "../outside"]).assert_stored();
}

#[test]
fn modes_that_a_program_acts_on_count() {
    let sandbox = Sandbox::new();
    sandbox.write("tool", "#!/bin/sh\necho run\n");
    let script = sh("if test -x tool; then ./tool; else echo not executable; fi");
    assert_eq!(sandbox.run(&script).stdout, "not executable\n");
    sandbox.run(&script).assert_hit();
    fs::set_permissions(sandbox.path("tool"), std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .expect("set");
    assert_eq!(sandbox.run(&script).stdout, "run\n");
}

#[test]
fn a_link_retargeted_to_a_file_of_equal_content_is_a_change_for_who_asks_for_its_target() {
    let sandbox = Sandbox::new();
    sandbox.write("a", "1\n");
    sandbox.write("b", "1\n");
    std::os::unix::fs::symlink("a", sandbox.path("link")).expect("made");
    let script = sh("readlink link");
    assert_eq!(sandbox.run(&script).stdout, "a\n");
    fs::remove_file(sandbox.path("link")).expect("there");
    std::os::unix::fs::symlink("b", sandbox.path("link")).expect("made");
    assert_eq!(sandbox.run(&script).stdout, "b\n");
}

#[test]
fn a_tool_that_rewrites_what_it_reads_is_cached_once_it_changes_nothing() {
    let sandbox = Sandbox::new();
    sandbox.write("a", "b\na\n");
    // As `prettier --write` and `eslint --fix` do.
    let script = sh("new=$(sort a); [ \"$new\" = \"$(cat a)\" ] || echo \"$new\" > a");
    let always = sh("new=$(sort a); echo \"$new\" > a");
    for format in [script, always] {
        sandbox.write("a", "b\na\n");
        sandbox.run(&format).assert_stored();
        sandbox.run(&format).assert_stored();
        sandbox.run(&format).assert_hit();
        assert_eq!(sandbox.read("a"), "a\nb\n");
        sandbox.write("a", "b\na\n");
        sandbox.run(&format).assert_hit();
        assert_eq!(sandbox.read("a"), "a\nb\n");
    }
}

#[test]
fn the_mode_of_a_file_that_is_read_and_written_in_place_counts() {
    let mode = |sandbox: &Sandbox, name: &str| {
        fs::metadata(sandbox.path(name)).expect("there").permissions().mode() & 0o777
    };
    for script in ["cat a; echo 1 > a", "truncate -s 2 a", "true | sort -o a", "printf '' >> a; echo 1 >> a"]
    {
        let sandbox = Sandbox::new();
        let rewrite = sh(script);
        let run = |bits: u32| {
            sandbox.write("a", "1\n");
            fs::set_permissions(sandbox.path("a"), Permissions::from_mode(bits)).expect("set");
            let ran = sandbox.run(&rewrite);
            assert_eq!(mode(&sandbox, "a"), bits, "{script}");
            ran
        };
        run(0o644);
        run(0o644).assert_hit();
        run(0o755);
        run(0o644).assert_hit();
    }
}

#[test]
fn a_name_that_leads_nowhere_changes_nothing_where_it_would_have_led() {
    for script in ["echo 1 > gone/../a", "echo 1 > gone/../a; mkdir gone"] {
        let sandbox = Sandbox::new();
        sandbox.write("a", "");
        let nowhere = ["sh", "-c", &format!("({script}) 2> err; true")];
        let _ = sandbox.run(&nowhere);
        for name in ["a", "gone"] {
            let _ = fs::remove_file(sandbox.path(name)).or_else(|_| fs::remove_dir(sandbox.path(name)));
        }
        let _ = sandbox.run(&nowhere);
        assert!(!sandbox.path("a").exists(), "{script}");
    }
}

#[test]
fn a_run_that_gives_an_input_another_name_is_not_cached() {
    let sandbox = Sandbox::new();
    sandbox.write("a", "1\n");
    let ran = sandbox.run(&sh("ln a b; cat a"));
    assert_eq!(ran.outcome(), "uncached");
    assert!(ran.stderr.contains("hard link"), "{}", ran.stderr);
}

#[test]
fn a_run_that_writes_through_one_name_of_a_file_with_several_is_not_cached() {
    let sandbox = Sandbox::new();
    sandbox.write("a", "1\n");
    fs::hard_link(sandbox.path("a"), sandbox.path("b")).expect("linked");
    let script = sh("echo 2 > a");
    assert_eq!(sandbox.run(&script).outcome(), "uncached");
    assert_eq!(sandbox.read("b"), "2\n");
}

#[test]
fn who_sets_the_times_of_what_it_has_read_is_not_taken_for_somebody_else() {
    let sandbox = Sandbox::new();
    sandbox.write("f", "one");
    sandbox.write("d/entry", "");
    let script = "import os; print(open('f').read(), os.listdir('d')); os.utime('f'); os.utime('d'); \
                  os.utime(os.open('f', os.O_RDONLY))";
    let python = ["/usr/bin/python3", "-c", script];
    if !have("/usr/bin/python3") {
        return;
    }
    sandbox.run(&python).assert_stored();
    sandbox.run(&python).assert_hit();
    sandbox.write("f", "two");
    sandbox.run(&python).assert_stored();
    sandbox.write("d/other", "");
    sandbox.run(&python).assert_stored();
    sandbox.run(&python).assert_hit();
}

#[test]
fn extended_attributes_count_where_they_were_asked_for() {
    if !have("python3") {
        return;
    }
    let sandbox = Sandbox::new();
    sandbox.write("a", "1");
    let set = |value: &str| {
        let set = format!("import os; os.setxattr('a', 'user.note', b'{value}')");
        sandbox.command("python3").args(["-c", &set]).status().expect("it runs").success()
    };
    if !set("one") {
        // This file system has none.
        return;
    }
    let by_name = ["python3", "-c", "import os; print(os.getxattr('a', 'user.note'))"];
    let by_descriptor = ["python3", "-c", "import os; print(os.getxattr(os.open('a', 0), 'user.note'))"];
    let names = ["python3", "-c", "import os; print(os.listxattr('a'))"];
    let copy = ["cp", "-a", "a", "b"];
    for command in [&by_name[..], &by_descriptor, &names, &copy] {
        assert!(set("one"));
        sandbox.run(command).assert_stored();
        sandbox.run(command).assert_hit();
        assert!(set("two"));
        let changed = sandbox.run(command);
        changed.assert_stored();
        assert!(changed.stderr.contains("extended attributes"), "{changed:?}");
    }
    // Who does not ask does not care.
    sandbox.run(&["cat", "a"]).assert_stored();
    assert!(set("three"));
    sandbox.run(&["cat", "a"]).assert_hit();
}

#[test]
fn extended_attributes_that_were_read_and_then_changed_count_as_they_were() {
    if !have("python3") {
        return;
    }
    let sandbox = Sandbox::new();
    sandbox.write("a", "1");
    // GNU sed copies the attributes that it knows of a file, and puts another in its place.
    let sed = ["sed", "-i", "s/1/1/", "a"];
    sandbox.run(&sed).assert_stored();
    sandbox.run(&sed).assert_hit();
    let set = "import os; os.setxattr('a', 'user.note', b'one')";
    if sandbox.command("python3").args(["-c", set]).status().expect("it runs").success() {
        assert_eq!(sandbox.run(&sed).outcome(), "miss");
    }
    let both = "import os; print(os.listxattr('a')); os.setxattr('a', 'user.note', b'two')";
    let ran = sandbox.run(&["python3", "-c", both]);
    assert_eq!((ran.outcome(), ran.status), ("uncached", 0), "{ran:?}");
}
