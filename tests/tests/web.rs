//! Tools of the web as they are on npm: Vite, which talks to its runner, and others, which do not.

use std::fs;
use std::path::{Path, PathBuf};

use tracerun_tests::sandbox::{Ran, Sandbox};
use tracerun_tests::vite_project::vite_project;

/// A small project with React and TypeScript, with packages of its own.
fn project() -> Option<Sandbox> {
    let mut sandbox = Sandbox::new();
    // What is not tested is that npx asks the network, once a week, whether there is a newer one.
    sandbox.set("npm_config_update_notifier", "false");
    vite_project(&sandbox.path("")).then_some(sandbox)
}

fn ended(ran: Ran) -> Ran {
    assert_eq!(ran.status, 0, "{ran:?}");
    ran
}

/// Every file under a folder, with its content.
fn tree(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).expect("a folder").map(|entry| entry.expect("an entry").path()) {
            if entry.is_dir() {
                folders.push(entry);
            } else {
                files.push((entry.clone(), fs::read(entry).expect("readable")));
            }
        }
    }
    files.sort();
    assert!(!files.is_empty());
    files
}

#[test]
fn vite_as_it_is_needs_no_configuration() {
    let Some(mut sandbox) = project() else { return };
    let narrowed = ["--env", "PATH", "--env", "HOME", "--env", "npm_config_*"];
    let build = |sandbox: &Sandbox| ended(sandbox.run_with(&narrowed, &["npx", "vite", "build"]));
    build(&sandbox).assert_stored();
    let built = tree(&sandbox.path("dist"));
    build(&sandbox).assert_hit();

    fs::remove_dir_all(sandbox.path("dist")).expect("there");
    build(&sandbox).assert_hit();
    assert_eq!(tree(&sandbox.path("dist")), built);

    sandbox.write("node_modules/.vite/deps/_metadata.json", "{}");
    sandbox.write("node_modules/.vite-temp/left.mjs", "");
    build(&sandbox).assert_hit();

    sandbox.write("lib/greeting.ts", "export const greeting: string = 'good bye'\n");
    let edited = build(&sandbox);
    edited.assert_stored();
    assert!(edited.stderr.contains("lib/greeting.ts changed"), "{}", edited.stderr);
    build(&sandbox).assert_hit();
    let rebuilt = tree(&sandbox.path("dist"));
    assert_ne!(rebuilt, built, "only what the second build made is there");
    assert_eq!(rebuilt.len(), built.len());

    sandbox.set("OTHER", "1");
    build(&sandbox).assert_hit();
    sandbox.set("VITE_NAME", "you");
    let named = build(&sandbox);
    named.assert_stored();
    assert!(named.stderr.contains("variable VITE_NAME"), "{}", named.stderr);
    let told = sandbox.tracerun(["explain"]).stdout;
    assert!(told.contains("asked for variable VITE_*") && told.contains("/.vite-temp"), "{told}");
}

#[test]
fn vite_optimize_does_not_trip_over_its_own_cache() {
    let Some(sandbox) = project() else { return };
    let optimize = || ended(sandbox.run(&["npx", "vite", "optimize", "--force"]));
    optimize().assert_stored();
    optimize().assert_hit();
}

#[test]
fn a_development_server_is_never_cached() {
    let Some(sandbox) = project() else { return };
    sandbox.write(
        "serve.mjs",
        "import { createServer } from 'vite'\n\
         const server = await createServer({ server: { port: 0, host: '127.0.0.1' } })\n\
         await server.listen()\nawait server.close()\n",
    );
    for _ in 0..2 {
        let ran = ended(sandbox.run(&["node", "serve.mjs"]));
        assert_eq!(ran.outcome(), "uncached");
        assert!(ran.stderr.contains("asked not to be cached"), "{}", ran.stderr);
    }
}

/// Runs a tool twice, then with an edited source, then with the first one again.
fn hits_until_the_source_changes(argv: &[&str]) {
    let Some(sandbox) = project() else { return };
    let run = || ended(sandbox.run(argv));
    run().assert_stored();
    run().assert_hit();
    sandbox.write("lib/greeting.ts", "export const greeting: string = 'good bye'\n");
    let edited = run();
    edited.assert_stored();
    assert!(edited.stderr.contains("lib/greeting.ts changed"), "{}", edited.stderr);
    run().assert_hit();
}

#[test]
fn vitest_asks_not_to_be_cached() {
    let Some(sandbox) = project() else { return };
    for _ in 0..2 {
        let ran = ended(sandbox.run(&["npx", "vitest", "run"]));
        assert_eq!(ran.outcome(), "uncached");
        assert!(ran.stderr.contains("asked not to be cached"), "{}", ran.stderr);
    }
}

#[test]
fn rolldown_is_cached() {
    hits_until_the_source_changes(&["npx", "rolldown", "lib/greeting.ts", "--file", "out/greeting.js"]);
}

#[test]
fn rollup_is_cached() {
    let Some(sandbox) = project() else { return };
    let run = || ended(sandbox.run(&["npx", "rollup", "src/plain.js", "--file", "out/plain.js"]));
    sandbox.write("src/plain.js", "export default 1\n");
    run().assert_stored();
    run().assert_hit();
    sandbox.write("src/plain.js", "export default 2\n");
    run().assert_stored();
    assert!(sandbox.read("out/plain.js").contains('2'));
}

#[test]
fn esbuild_is_cached() {
    hits_until_the_source_changes(&[
        "node_modules/.bin/esbuild",
        "lib/greeting.ts",
        "--bundle",
        "--outfile=out/greeting.js",
    ]);
}

#[test]
fn tsc_in_javascript_is_cached() {
    hits_until_the_source_changes(&["node", "node_modules/typescript-js/bin/tsc", "-p", "."]);
}

#[test]
fn tsc_in_go_is_cached() {
    hits_until_the_source_changes(&["npx", "tsc", "-p", "."]);
}

#[test]
fn the_preview_of_tsc_in_go_is_cached() {
    hits_until_the_source_changes(&["npx", "tsgo", "-p", "."]);
}
