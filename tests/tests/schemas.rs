//! What tracerun writes for programs is what `docs/tracerun.schema.json` says of it.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use tracerun_tests::sandbox::Sandbox;

/// The definition of one answer.
fn definition(name: &str) -> jsonschema::Validator {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/tracerun.schema.json");
    let mut schema: Value = serde_json::from_slice(&fs::read(path).expect("there")).expect("JSON");
    assert!(schema["$defs"][name].is_object(), "no definition of {name}");
    schema["$ref"] = json!(format!("#/$defs/{name}"));
    jsonschema::validator_for(&schema).expect("a schema")
}

fn assert_is(name: &str, text: &str) -> Value {
    let value: Value = serde_json::from_str(text).unwrap_or_else(|error| panic!("{name}: {error}: {text:?}"));
    let definition = definition(name);
    let errors: Vec<_> =
        definition.iter_errors(&value).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(errors.is_empty(), "{name}: {errors:#?}\n{value:#}");
    // A definition that takes anything would say nothing.
    for field in value.as_object().into_iter().flat_map(|object| object.keys()) {
        let mut less = value.clone();
        less.as_object_mut().expect("an object").remove(field);
        if definition.is_valid(&less) {
            let mut other = value.clone();
            other[field] = json!({ "another": "type" });
            assert!(!definition.is_valid(&other), "{name} does not say what {field} is");
        }
    }
    value
}

/// A run that reads, writes, lists, deletes, misses and fails to execute; with names that are not UTF-8.
const SCRIPT: &str = "cat a > b; ls . > c; touch old; rm old; test -e none; touch \"$(printf 'n\\377')\"; cd / && env true; exit 0";

fn project() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("a", "1");
    sandbox
}

#[test]
fn the_answers_about_runs_are_what_the_schema_says() {
    let sandbox = project();
    let script = ["sh", "-c", SCRIPT];
    let summary = || assert_is("summary", &sandbox.run(&script).summary.to_string());
    let explained = |outcome: &str| {
        let explained = assert_is("explain", &sandbox.tracerun(["explain", "--format", "json"]).stdout);
        assert_eq!(explained["outcome"], outcome);
    };
    let dry = || {
        let line = ["--dry-run", "--format", "json", "--", "sh", "-c", SCRIPT];
        assert_is("dry-run", &sandbox.tracerun(line).stdout)["outcome"].clone()
    };
    assert_eq!(dry(), "miss");
    assert_eq!(summary()["outcome"], "miss");
    explained("miss");
    assert_eq!(dry(), "hit");
    assert_eq!(summary()["outcome"], "hit");
    explained("hit");
    sandbox.write("a", "2");
    assert_eq!(summary()["outcome"], "miss");
    explained("miss");
    assert_is("summary", &sandbox.run(&["sh", "-c", "cat a; exit 3"]).summary.to_string());
    let none = sandbox.run(&["no-such-program"]).summary;
    assert_is("summary", &none.to_string());
    assert_eq!(none["exit"]["code"], 127);
    explained("uncached");
    assert_is("diff", &sandbox.tracerun(["diff", "last~1", "last", "--format", "json"]).stdout);
    assert_is("list", &sandbox.tracerun(["list", "--format", "json"]).stdout);
    assert_is("who", &sandbox.tracerun(["who", "a", "--why", "--format", "json"]).stdout);
    assert_is("stats", &sandbox.tracerun(["cache", "stats", "--format", "json"]).stdout);
    let check = sandbox.tracerun(["check", "--inputs", "none", "--format", "json", "--", "cat", "a"]);
    assert_is("check", &check.stderr);
}

#[test]
fn traces_are_what_the_schema_says() {
    let sandbox = project();
    let trace = |options: &[&str]| {
        let report = sandbox.path("../report");
        let line =
            [&["trace", "-o", report.to_str().expect("text")], options, &["--", "sh", "-c", SCRIPT]].concat();
        assert_eq!(sandbox.tracerun(line).status, 0);
        fs::read_to_string(report).expect("there")
    };
    assert_is("trace", &trace(&["--format", "json"]));
    for (options, name) in
        [(&["--format", "ndjson"][..], "trace-line"), (&["--format", "ndjson", "--live"], "live-line")]
    {
        let text = trace(options);
        let lines: Vec<Value> = text.lines().map(|line| assert_is(name, line)).collect();
        assert_eq!(lines.last().expect("some")["type"], "summary");
        assert!(lines.iter().any(|line| line["path_base64"].is_string()), "{text}");
    }
}
