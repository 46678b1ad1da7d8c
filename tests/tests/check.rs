//! `tracerun check`: what is declared of a command against what it does.

use std::fs;
use std::os::unix::fs::symlink;

use serde_json::Value;
use tracerun_tests::sandbox::{Ran, Sandbox};
use tracerun_tests::{fixture, have};

/// What a package of a monorepo builds itself with: it reads a file that its declarations forget.
const BUILD: &str = "mkdir -p dist; cat src/main.js ../../shared.json src/main.js >dist/out.js; \
     echo scratch >tmp.txt; rm tmp.txt; cat dist/out.js >/dev/null; cat node_modules/dep/index.js >/dev/null; ls src >/dev/null";

fn monorepo() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write(
        "turbo.json",
        r#"{
          // What all packages do.
          "tasks": {
            "build": { "inputs": ["src/**", "!src/**/*.md"], "outputs": ["dist/**"] },
            "other#build": { "outputs": ["elsewhere/**"] }, /* not this one */
          },
        }"#,
    );
    sandbox.write("shared.json", "{}\n");
    sandbox.write("packages/app/package.json", r#"{"name": "app"}"#);
    sandbox.write("packages/app/src/main.js", "main\n");
    sandbox.write("packages/app/node_modules/dep/index.js", "dep\n");
    sandbox
}

fn check(sandbox: &Sandbox, options: &[&str], script: &str) -> Ran {
    let mut command = sandbox.command(tracerun_tests::tracerun());
    command.current_dir(sandbox.path("packages/app"));
    command.arg("check").args(options).args(["--", "sh", "-c", script]);
    let output = command.output().expect("tracerun runs");
    Ran {
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        status: output.status.code().expect("a status"),
        summary: Value::Null,
    }
}

#[test]
fn a_forgotten_input_of_a_turborepo_is_found_with_the_process_and_passes_once_it_is_declared() {
    let sandbox = monorepo();
    let found = check(&sandbox, &["--from", "turbo#build", "--fix"], BUILD);
    assert_eq!(found.status, 1, "{found:?}");
    let line = found.stderr.lines().find(|line| line.starts_with("undeclared read")).expect("a finding");
    assert!(line.contains("  ../../shared.json  [") && line.contains("] cat src/main.js"), "{line}");
    assert_eq!(found.stderr.lines().filter(|line| line.starts_with("un")).count(), 1, "{found:?}");
    let fix = found.stderr.lines().find_map(|line| line.strip_prefix("add to inputs: ")).expect("globs");
    let globs: Vec<String> = serde_json::from_str(fix).expect("JSON");
    let mut options = vec!["--from", "turbo#build"];
    globs.iter().for_each(|glob| options.extend(["--inputs", glob]));
    let passed = check(&sandbox, &options, BUILD);
    assert_eq!(passed.status, 0, "{passed:?}");
    assert!(passed.stderr.starts_with("0 findings; "), "{passed:?}");
}

#[test]
fn what_nx_declares_is_understood_with_its_named_inputs_and_defaults() {
    let sandbox = monorepo();
    sandbox.write(
        "nx.json",
        r#"{
          "namedInputs": {
            "default": ["{projectRoot}/**/*"],
            "production": ["default", "!{projectRoot}/src/**/*.md", "{workspaceRoot}/shared.json"]
          },
          "targetDefaults": { "build": { "inputs": ["production", "^production", { "env": "CI" }] } }
        }"#,
    );
    let project =
        |targets: &str| sandbox.write("packages/app/project.json", format!(r#"{{"targets": {targets}}}"#));
    project(r#"{"build": {"outputs": ["{options.to}"], "options": {"to": "packages/app/dist"}}}"#);
    let passed = check(&sandbox, &["--from", "nx#build"], BUILD);
    assert_eq!(passed.status, 0, "{passed:?}");
    // Its own inputs take the place of the defaults.
    project(
        r#"{"build": {"inputs": [{"fileset": "{projectRoot}/src/**"}], "outputs": ["{projectRoot}/dist"]}}"#,
    );
    let found = check(&sandbox, &["--from", "nx#build"], BUILD);
    assert_eq!(found.status, 1, "{found:?}");
    let line = found.stderr.lines().find(|line| line.starts_with("undeclared read")).expect("a finding");
    assert!(line.contains("  ../../shared.json  ["), "{line}");
    project(r#"{"build": {"outputs": ["{workspaceRoot}/elsewhere/{projectName}"]}}"#);
    let found = check(&sandbox, &["--from", "nx#build"], BUILD);
    assert!(found.stderr.contains("undeclared write") && found.stderr.contains("dist/out.js"), "{found:?}");
    let none = check(&sandbox, &["--from", "nx#deploy"], BUILD);
    assert!(
        none.stderr.contains("no project.json or package.json from here up to the root has this target"),
        "{none:?}"
    );
}

#[test]
fn what_moon_makes_of_tokens_file_groups_and_inheritance_is_asked_of_moon() {
    let Some(runners) = fixture("runners/node_modules/@moonrepo") else { return };
    if !have("git") {
        return;
    }
    let sandbox = monorepo();
    fs::create_dir_all(sandbox.path("node_modules/.bin")).expect("made");
    symlink(runners.join("core-linux-x64-gnu/moon"), sandbox.path("node_modules/.bin/moon")).expect("made");
    sandbox.write(".moon/workspace.yml", "projects: ['packages/*']\n");
    sandbox.write(
        ".moon/tasks/all.yml",
        "implicitInputs: ['package.json']\nfileGroups:\n  sources: ['lib/**/*']\n",
    );
    sandbox.write(
        "packages/app/moon.yml",
        "language: unknown\nfileGroups:\n  sources: ['src/**/*', '!src/**/*.test.js']\ntasks:\n  build:\n    command: sh build.sh\n    \
         inputs: ['@globs(sources)', '$HOME']\n    outputs: ['dist']\n",
    );
    // moon wants a commit to be there.
    fs::remove_dir(sandbox.path(".git")).expect("it is empty");
    for line in ["init -q", "add .", "-c user.name=a -c user.email=a@b commit -qm one"] {
        let status = sandbox.command("git").args(line.split(' ')).status().expect("git runs");
        assert!(status.success(), "{line}");
    }
    let found = check(&sandbox, &["--from", "moon#build"], BUILD);
    let findings: Vec<&str> = found.stderr.lines().filter(|line| line.starts_with("un")).collect();
    let [read, groups, manifest] = findings[..] else { panic!("{found:?}") };
    assert!(read.starts_with("undeclared read   ../../shared.json  ["), "{found:?}");
    // Groups of the workspace and of the project add up, as moon has it.
    assert!(groups.starts_with("unused input") && groups.ends_with("packages/app/lib/**/*"), "{found:?}");
    assert!(
        manifest.starts_with("unused input") && manifest.ends_with("packages/app/package.json"),
        "{found:?}"
    );
    let script = format!("{BUILD}; cat package.json src/a.test.js");
    sandbox.write("packages/app/src/a.test.js", "");
    let found = check(&sandbox, &["--from", "moon#app:build"], &script);
    assert!(found.stderr.contains("undeclared read   src/a.test.js"), "{found:?}");
    let none = check(&sandbox, &["--from", "moon#deploy"], "true");
    assert!(none.status == 125 && none.stderr.contains("Unknown task deploy"), "{none:?}");
}

#[test]
fn the_configuration_of_vite_task_is_loaded_by_the_projects_own_vite() {
    let Some(modules) = fixture("web/node_modules") else { return };
    if !have("node") {
        return;
    }
    let sandbox = monorepo();
    symlink(modules, sandbox.path("node_modules")).expect("made");
    sandbox.write("pnpm-workspace.yaml", "packages: ['packages/*']\n");
    sandbox.write(
        "packages/app/vite.config.ts",
        "const sources: string[] = ['src/**', '!src/**/*.md']\n\
         export default () => ({ run: { tasks: {\n\
           build: { command: 'sh build.sh', cache: { input: sources, output: ['dist/**'] } },\n\
           old: { command: 'sh build.sh', input: [...sources, { pattern: 'shared.json', base: 'workspace' }], output: ['dist/**', 'none/**'] },\n\
           tracked: { command: 'sh build.sh' },\n\
         } } })\n",
    );
    let found = check(&sandbox, &["--from", "vite#build"], BUILD);
    let findings: Vec<&str> = found.stderr.lines().filter(|line| line.starts_with("un")).collect();
    let [read] = findings[..] else { panic!("{found:?}") };
    assert!(read.starts_with("undeclared read   ../../shared.json  ["), "{found:?}");
    let old = check(&sandbox, &["--from", "vite#old"], BUILD);
    let findings: Vec<&str> = old.stderr.lines().filter(|line| line.starts_with("un")).collect();
    let [unused] = findings[..] else { panic!("{old:?}") };
    assert!(unused.starts_with("unused output") && unused.ends_with("none/**"), "{old:?}");
    assert_eq!(check(&sandbox, &["--from", "vite#tracked"], BUILD).status, 0);
    let none = check(&sandbox, &["--from", "vite#deploy"], "true");
    assert!(none.status == 125 && none.stderr.contains("no such task in run.tasks"), "{none:?}");
}

#[test]
fn a_manifest_that_turborepo_counts_by_itself_is_declared() {
    let sandbox = monorepo();
    let script = format!("{BUILD}; cat package.json");
    let passed = check(&sandbox, &["--from", "turbo#build", "--inputs", "../../shared.json"], &script);
    assert_eq!(passed.status, 0, "{passed:?}");
}

#[test]
fn writes_and_what_nothing_uses_are_found_too_in_every_form() {
    let sandbox = monorepo();
    let script = "cat src/main.js >out,1.js; rm -f package.json";
    let options = ["--inputs", "src", "--inputs", "docs/**", "--outputs", "dist"];
    let with = |form: &str| check(&sandbox, &[&options[..], &["--format", form]].concat(), script);
    let json = with("json");
    sandbox.write("packages/app/package.json", "{}");
    let told: Value = serde_json::from_str(&json.stderr).expect("JSON");
    let findings = told["findings"].as_array().expect("a list");
    let kinds: Vec<(&str, &str)> = findings
        .iter()
        .map(|one| (one["kind"].as_str().expect("text"), one["path"].as_str().expect("text")))
        .collect();
    assert_eq!(
        kinds,
        [
            ("undeclared-write", "out,1.js"),
            ("undeclared-write", "package.json"),
            ("unused-input", "docs/**"),
            ("unused-output", "dist"),
        ]
    );
    assert_eq!((json.status, told["complete"].as_bool()), (1, Some(true)));
    let github = with("github").stderr;
    assert!(github.contains("::error file=packages/app/out%2C1.js,title=undeclared write::"), "{github}");
    let sarif: Value = serde_json::from_str(&with("sarif").stderr).expect("JSON");
    let result = &sarif["runs"][0]["results"][0];
    assert_eq!(result["ruleId"], "undeclared-write");
    assert_eq!(
        result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"],
        "packages/app/out%2C1.js"
    );
}

#[test]
fn the_status_of_a_command_that_fails_is_its_own_and_bad_declarations_are_told() {
    let sandbox = monorepo();
    assert_eq!(check(&sandbox, &[], "cat src/main.js; exit 7").status, 7);
    for (options, said) in [
        (["--from", "turbo#deploy"], "no turbo.json from here up to the root has this task"),
        (["--from", "make"], "it is of the form turbo#TASK, nx#TARGET, moon#TASK or vite#TASK"),
        (["--inputs", "a{"], "a{"),
    ] {
        let refused = check(&sandbox, &options, "true");
        assert!(refused.status == 125 && refused.stderr.contains(said), "{refused:?}");
    }
}

#[test]
fn what_outlives_the_command_was_not_seen_to_its_end() {
    let sandbox = Sandbox::new();
    let script = "mkfifo go; (read line < go; cat in) > /dev/null 2>&1 < /dev/null & true";
    let mut check = sandbox.command(tracerun_tests::tracerun());
    check.args(["check", "--inputs", "**", "--outputs", "**", "--grace", "50", "--", "sh", "-c", script]);
    let output = check.output().expect("tracerun runs");
    std::fs::OpenOptions::new().write(true).open(sandbox.path("go")).expect("let go");
    assert_eq!(output.status.code(), Some(1), "{output:?}");
}

#[test]
fn what_turborepo_excludes_stays_excluded() {
    let sandbox = Sandbox::new();
    sandbox.write("package.json", r#"{"name":"a"}"#);
    sandbox.write("turbo.json", r#"{"tasks":{"build":{"outputs":["!dist/tmp/**","dist/**"]}}}"#);
    let script = "mkdir -p dist/tmp; echo 1 > dist/tmp/o; echo 1 > dist/o";
    let mut check = sandbox.command(tracerun_tests::tracerun());
    let output = check.args(["check", "--from", "turbo#build", "--", "sh", "-c", script]).output();
    let output = output.expect("tracerun runs");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("dist/tmp/o") && !said.contains("dist/o "), "{said}");
    assert_eq!(output.status.code(), Some(1), "{said}");
}
