//! The HTML report, read in a real browser.

use std::fs;
use std::path::Path;

use tracerun_tests::sandbox::Sandbox;
use tracerun_tests::{fixture, have};

/// Reads a file, makes another, and touches names that try to be markup, end the data, or are not UTF-8.
const SCRIPT: &str = "cat input > output\n\
    : > \"<img src=x onerror=\\\"document.title='taken'\\\">\"\n\
    mkdir -p '<'; : > '</script><b>bold'\n: > \"quo'ted\"\n: > \"$(printf 'n\\377')\"\n\
    sh -c ': \"$0\"' '<b>argument</b><script>document.title = 1</script>'\n\
    ls /usr/lib > /dev/null\nsleep 0.2\n";

#[test]
fn the_html_report_is_read_in_a_browser() {
    let (Some(modules), true) = (fixture("browser/node_modules"), have("node")) else { return };
    if !have("chromium-headless-shell") {
        return;
    }
    let sandbox = Sandbox::new();
    sandbox.write("input", "1");
    sandbox.write("script", SCRIPT);
    sandbox.run(&["sh", "script"]).assert_stored();
    sandbox.write("input", "2");
    sandbox.run(&["sh", "script"]).assert_stored();
    let report = sandbox.top().join("report.html");
    let shown = sandbox.tracerun(["show", "--format", "html", "-o", report.to_str().expect("text")]);
    assert_eq!(shown.status, 0, "{shown:?}");
    let page = fs::read_to_string(&report).expect("there");
    assert!(page.len() < 200_000, "{} bytes", page.len());

    let driver = Path::new(env!("CARGO_MANIFEST_DIR")).join("browser/report.mjs");
    let mut browser = std::process::Command::new("node");
    browser.arg(driver).arg(modules).arg(&report).arg(sandbox.top().join("report.png"));
    let read = browser.output().expect("node runs");
    assert!(read.status.success(), "{}", String::from_utf8_lossy(&read.stderr));
}

#[test]
fn a_report_of_500_processes_is_below_two_megabytes() {
    let sandbox = Sandbox::new();
    for number in 0..100 {
        sandbox.write(&format!("src/some/component-{number}/index.ts"), "1");
    }
    let report = sandbox.top().join("report.html");
    let script = "i=0; while [ $i -lt 250 ]; do cat src/some/*/index.ts >\"out-$i\"; i=$((i+1)); done";
    let line = ["trace", "--format", "html", "-o", report.to_str().expect("text"), "--", "sh", "-c", script];
    let traced = sandbox.tracerun(line);
    assert_eq!(traced.status, 0, "{traced:?}");
    let processes = traced.stderr.strip_prefix("tracerun: ").and_then(|told| told.split(' ').next());
    assert!(processes.and_then(|count| count.parse::<u32>().ok()) >= Some(500), "{traced:?}");
    let size = fs::metadata(&report).expect("there").len();
    assert!(size < 2_000_000, "{size} bytes");
}
