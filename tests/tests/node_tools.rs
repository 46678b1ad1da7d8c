//! Tools that rewrite the files they read, or keep a file of their state: they are cached once they change nothing.

use std::os::unix::fs::symlink;

use tracerun_tests::fixture;
use tracerun_tests::sandbox::Sandbox;

/// A project with the tools that `scripts/setup` has installed.
fn project() -> Option<Sandbox> {
    let modules = fixture("web/node_modules")?;
    let sandbox = Sandbox::new();
    symlink(modules, sandbox.path("node_modules")).expect("made");
    Some(sandbox)
}

/// A tool that changes `a.js` from what it is at first, and then no more.
fn changes_once(sandbox: &Sandbox, command: &[&str], bad: &str, good: &str) {
    sandbox.write("a.js", bad);
    sandbox.run(command).assert_stored();
    assert_eq!(sandbox.read("a.js"), good);
    // It has not seen this file yet.
    sandbox.run(command).assert_stored();
    sandbox.run(command).assert_hit();
    assert_eq!(sandbox.read("a.js"), good);
    sandbox.write("a.js", bad);
    sandbox.run(command).assert_hit();
    assert_eq!(sandbox.read("a.js"), good);
}

#[test]
fn prettier_write_is_cached_once_there_is_nothing_to_format() {
    let Some(sandbox) = project() else { return };
    let command = ["node_modules/.bin/prettier", "--write", "a.js"];
    changes_once(&sandbox, &command, "let  a = 1\n", "let a = 1;\n");
}

#[test]
fn eslint_fix_is_cached_once_there_is_nothing_to_fix() {
    let Some(sandbox) = project() else { return };
    sandbox.write("eslint.config.mjs", "export default [{ rules: { 'no-extra-boolean-cast': 'error' } }];\n");
    let command = ["node_modules/.bin/eslint", "--fix", "a.js"];
    changes_once(&sandbox, &command, "if (!!globalThis) ;\n", "if (globalThis) ;\n");
}

#[test]
fn an_incremental_compiler_is_cached_once_its_state_is_up_to_date() {
    let Some(sandbox) = project() else { return };
    sandbox.write(
        "tsconfig.json",
        r#"{"compilerOptions": {"incremental": true, "outDir": "out", "types": []}, "files": ["a.ts"]}"#,
    );
    sandbox.write("a.ts", "export const a: number = 1;\n");
    let command = ["node_modules/typescript-js/bin/tsc", "-p", "."];
    sandbox.run(&command).assert_stored();
    sandbox.write("a.ts", "export const a: number = 2;\n");
    sandbox.run(&command).assert_stored();
    assert!(sandbox.read("out/a.js").contains("a = 2"));
    // It reads the state it has just written: at the latest the run after that changes nothing any more.
    let mut outcomes = (0..3).map(|_| sandbox.run(&command).outcome().to_owned());
    assert!(outcomes.by_ref().any(|outcome| outcome == "hit"));
    assert!(sandbox.read("out/a.js").contains("a = 2"));
}
