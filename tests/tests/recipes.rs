//! The recipes of `docs/`, for real: task runners that run what they run under tracerun.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use tracerun_tests::sandbox::Sandbox;
use tracerun_tests::{fixture, have};

/// What the recipe says in the block of this language, of any page, that holds `what`.
fn recipe(language: &str, what: &str) -> String {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    let pages = ["make.md", "recipes.md"].map(|page| fs::read_to_string(docs.join(page)).expect("there"));
    let blocks = pages.iter().flat_map(|text| text.split("```").skip(1).step_by(2));
    let found = blocks.filter_map(|block| block.strip_prefix(language)).find(|block| block.contains(what));
    found.unwrap_or_else(|| panic!("no block of {language} with {what}")).trim_start().to_owned()
}

/// A command in the project, that finds tracerun by its name.
fn command(sandbox: &Sandbox, program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = sandbox.command(program);
    let own = tracerun_tests::tracerun().parent().expect("it is in a folder").to_owned();
    let others = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths([own].into_iter().chain(std::env::split_paths(&others)));
    command.env("PATH", path.expect("no colons"));
    command
}

/// Runs `build`, which makes `out` of `in`, twice: it stores, then restores; with another `in` it makes another.
fn assert_restores(sandbox: &Sandbox, mut build: impl FnMut() -> Command) {
    let mut run = |expected: &str| {
        // Who runs the command takes what it prints as its own, on either stream.
        let output = build().output().expect("it runs");
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text);
        assert!(output.status.success() && text.contains(expected), "{expected:?} is not in {text}");
        let made = sandbox.read("out");
        fs::remove_file(sandbox.path("out")).expect("made");
        made
    };
    sandbox.write("in", "2\n1\n");
    assert_eq!(run("tracerun: miss"), "1\n2\n");
    assert_eq!(run("tracerun: hit"), "1\n2\n");
    sandbox.write("in", "4\n3\n");
    assert_eq!(run("tracerun: miss"), "3\n4\n");
}

#[test]
fn make_runs_its_commands_by_a_shell_of_ours() {
    let sandbox = Sandbox::new();
    let rule = "out: in\n\tsort in > out; echo sorted\n";
    sandbox.write("Makefile", format!("{}{rule}", recipe("make", ".SHELLFLAGS")));
    assert_restores(&sandbox, || {
        let mut make = command(&sandbox, "make");
        make.arg("out");
        make
    });
}

#[test]
fn just_runs_its_recipes_by_a_shell_of_ours() {
    let Some(modules) = fixture("runners/node_modules") else { return };
    let sandbox = Sandbox::new();
    let rule = "build:\n    sort in > out && echo sorted\n";
    sandbox.write("justfile", format!("{}\n{rule}", recipe("just", "set shell")));
    assert_restores(&sandbox, || {
        let mut just = command(&sandbox, modules.join(".bin/just"));
        just.arg("build");
        just
    });
}

#[test]
fn pnpm_runs_its_scripts_by_a_shell_of_ours() {
    let Some(modules) = fixture("runners/node_modules") else { return };
    let sandbox = Sandbox::new();
    let shell = sandbox.path("shell");
    fs::write(&shell, recipe("sh", "sh \"$@\"")).expect("written");
    fs::set_permissions(&shell, fs::Permissions::from_mode(0o755)).expect("changed");
    sandbox.write(".npmrc", format!("script-shell={}\n", shell.display()));
    sandbox
        .write("package.json", r#"{"name": "one", "private": true, "scripts": {"build": "sort in -o out"}}"#);
    assert_restores(&sandbox, || {
        let mut pnpm = command(&sandbox, modules.join(".bin/pnpm"));
        pnpm.args(["run", "build"]);
        pnpm
    });
}

#[test]
fn a_task_of_turborepo_is_run_traced() {
    let Some(modules) = fixture("runners/node_modules") else { return };
    if !(have("npm") && have("git")) {
        return;
    }
    let sandbox = Sandbox::new();
    let package = r#"{"name": "one", "private": true, "packageManager": "npm@10.8.2",
        "scripts": {"build": "tracerun -- sort in -o out"}}"#;
    sandbox.write("package.json", package);
    sandbox.write(
        "package-lock.json",
        r#"{"name": "one", "lockfileVersion": 3, "packages": {"": {"name": "one"}}}"#,
    );
    sandbox.write("turbo.json", r#"{"tasks": {"build": {"cache": false}}}"#);
    assert_restores(&sandbox, || {
        let mut turbo = command(&sandbox, modules.join(".bin/turbo"));
        turbo.args(["run", "build"]).env("TURBO_TELEMETRY_DISABLED", "1").env("DO_NOT_TRACK", "1");
        turbo
    });
}
