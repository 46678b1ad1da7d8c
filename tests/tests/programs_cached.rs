//! Programs that everybody uses: the second run is a hit, with the outputs in place and with them gone.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tracerun_tests::have;
use tracerun_tests::sandbox::Sandbox;

/// What is in a project after a run: names, contents and modes.
type State = Vec<(PathBuf, u32, Vec<u8>)>;

fn state(folder: &Path) -> State {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("there") {
            let path = entry.expect("readable").path();
            let mode = path.symlink_metadata().expect("there").permissions().mode();
            if path.is_dir() {
                folders.push(path.clone());
            }
            found.push((path.clone(), mode, fs::read(&path).unwrap_or_default()));
        }
    }
    found.sort();
    found
}

/// Runs `argv` until it is a hit with its outputs in place, removes what it made, and has them back by a hit.
fn hits(sandbox: &Sandbox, argv: &[&str]) {
    let before = state(&sandbox.path(""));
    let first = sandbox.run(argv);
    first.assert_stored();
    let made = state(&sandbox.path(""));
    let second = sandbox.run(argv);
    second.assert_hit();
    assert_eq!((&second.stdout, state(&sandbox.path(""))), (&first.stdout, made.clone()), "{argv:?}");
    let known = |path: &Path| before.iter().any(|(known, ..)| known == path);
    for (path, ..) in made.iter().rev().filter(|(path, ..)| !known(path)) {
        // A folder goes after what is in it, which is sorted behind it.
        if path.is_dir() { fs::remove_dir(path) } else { fs::remove_file(path) }.expect("removed");
    }
    for (path, mode, content) in &before {
        if !path.exists() || (path.is_file() && fs::read(path).expect("readable") != *content) {
            fs::write(path, content).expect("written");
            fs::set_permissions(path, fs::Permissions::from_mode(*mode)).expect("changed");
        }
    }
    let third = sandbox.run(argv);
    third.assert_hit();
    assert_eq!((&third.stdout, state(&sandbox.path(""))), (&first.stdout, made), "{argv:?}");
}

#[test]
fn everyday_programs_hit_at_their_second_run() {
    let sandbox = Sandbox::new();
    for name in ["src/a.txt", "src/b.txt", "text"] {
        sandbox.write(name, "one\ntwo\nthree\n");
    }
    sandbox.write("a.c", "#include <stdio.h>\nint main(void) { puts(\"hello\"); return 0; }\n");
    sandbox.write("lib.rs", "pub fn one() -> u32 {\n    1\n}\n");
    sandbox.write("package/module.py", "x = 1\n");
    sandbox.write("schema.sql", "create table t (a); insert into t values (1);\n");
    if have("sqlite3") {
        let made = sandbox.command("sqlite3").args(["data.db", ".read schema.sql"]).status();
        assert!(made.expect("sqlite3 runs").success());
    }
    let commands: [&[&str]; 8] = [
        &["gcc", "-O1", "-c", "a.c", "-o", "a.o"],
        &["gcc", "a.c", "-o", "hello"],
        &["gzip", "-k", "text"],
        &["tar", "-czf", "src.tar.gz", "src"],
        &["sqlite3", "data.db", "select a from t"],
        &["python3", "-m", "compileall", "package"],
        &["sed", "s/one/1/", "text"],
        &["ls", "-l", "src"],
    ];
    for argv in commands {
        if have(argv[0]) {
            eprintln!("{argv:?}");
            hits(&sandbox, argv);
        }
    }
}

#[test]
fn the_rust_compiler_hits_at_its_second_run() {
    if !have("rustc") {
        return;
    }
    let mut sandbox = Sandbox::new();
    let default = std::env::home_dir().map(|home| home.join(".rustup").display().to_string());
    sandbox.set("RUSTUP_HOME", &std::env::var("RUSTUP_HOME").ok().or(default).expect("a home"));
    sandbox.write("lib.rs", "pub fn one() -> u32 {\n    1\n}\n");
    hits(&sandbox, &["rustc", "--crate-type", "lib", "lib.rs"]);
}

#[test]
fn pytest_with_its_default_capture_hits_at_its_second_run() {
    if !have("pytest") {
        return;
    }
    let sandbox = Sandbox::new();
    sandbox.write("test_one.py", "def test_one():\n    print('printed')\n    assert 1 + 1 == 2\n");
    hits(&sandbox, &["pytest", "-q"]);
}

#[test]
fn a_file_changed_in_place_hits_once_nothing_is_left_to_change() {
    let sandbox = Sandbox::new();
    sandbox.write("text", "one\ntwo\n");
    let sed = ["sed", "-i", "s/one/1/", "text"];
    sandbox.run(&sed).assert_stored();
    // It reads what the first one wrote.
    sandbox.run(&sed).assert_stored();
    sandbox.run(&sed).assert_hit();
    sandbox.write("text", "one\ntwo\n");
    sandbox.run(&sed).assert_hit();
    assert_eq!(sandbox.read("text"), "1\ntwo\n");
}
