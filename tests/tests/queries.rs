//! Looking at runs: the summary and the views of a trace, who touched a path, and how a terminal shows it.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::process::Output;

use serde_json::Value;
use tracerun_tests::have;
use tracerun_tests::sandbox::Sandbox;
use tracerun_tests::terminal::Terminal;

const SCRIPT: &str = "cat src/a > out; test -e src/gone; ls src >/dev/null; grep -c . src/a /etc/hostname";

fn ran() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("src/a", "1");
    sandbox.write("etc", "");
    sandbox.run(&["sh", "-c", SCRIPT]).assert_stored();
    sandbox
}

fn told(sandbox: &Sandbox, arguments: &[&str]) -> String {
    let answer = sandbox.tracerun(arguments.iter().copied());
    assert_eq!(answer.status, 0, "{answer:?}");
    answer.stdout
}

#[test]
fn a_summary_fits_a_screen() {
    let sandbox = ran();
    let text = told(&sandbox, &["show"]);
    assert!(text.lines().count() <= 24, "{text}");
    for part in ["processes; paths: ", "complete", "longest processes", "inputs outside ", "/etc"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!text.contains("would not be cached"), "{text}");
    let failing = sandbox.tracerun(["trace", "--", "sh", "-c", "exit 3"]);
    assert!(failing.stderr.contains("would not be cached\n  it exited with 3"), "{}", failing.stderr);
}

#[test]
fn a_trace_is_shown_by_process_by_folder_and_by_kind() {
    let sandbox = ran();
    let process = told(&sandbox, &["show", "--by", "process", "--path", "src/*"]);
    let lines: Vec<&str> = process.lines().collect();
    assert!(lines[0].starts_with("[1] sh -c "), "{process}");
    assert!(lines.iter().any(|line| line.starts_with("  [") && line.contains("] cat src/a")), "{process}");
    assert!(lines.iter().any(|line| line.contains("missing ") && line.ends_with("/src/gone")), "{process}");
    let folder = told(&sandbox, &["show", "--by", "folder", "--path", "**/src/**", "--only", "read,missing"]);
    assert!(folder.ends_with("/src/\n  a  read\n  gone  missing\n"), "{folder}");
    let kind = told(&sandbox, &["show", "--by", "kind", "--only", "write"]);
    assert!(kind.contains("write   ") && !kind.contains("read    "), "{kind}");
    let only = told(&sandbox, &["show", "--process", "cat", "--only", "read", "--path", "src/a"]);
    assert_eq!(only.matches("read    ").count(), 1, "{only}");
    let unknown = sandbox.tracerun(["show", "--only", "smelled"]);
    assert!(unknown.status != 0 && unknown.stderr.contains("read, exec"), "{}", unknown.stderr);
}

#[test]
fn who_touched_a_path_is_one_question() {
    let sandbox = ran();
    let text = told(&sandbox, &["who", "out"]);
    assert!(text.lines().nth(1).is_some_and(|line| line.starts_with("  wrote     [")), "{text}");
    let why = told(&sandbox, &["who", "--why", "/etc/hostname"]);
    assert!(why.contains("read      [") && why.contains("grep -c . src/a /etc/hostname"), "{why}");
    assert!(why.contains("by [1] sh -c ") && why.contains("it is an input (read)"), "{why}");
    assert!(told(&sandbox, &["who", "--why", "out"]).contains("it is an output"));
    let json: Value =
        serde_json::from_str(&told(&sandbox, &["who", "src/../src/gone", "--format", "json"])).expect("JSON");
    assert_eq!(json[0]["accesses"][0]["kind"], "missing");
    let nobody = sandbox.tracerun(["who", "src/b"]);
    assert_eq!(nobody.status, 1);
    assert!(nobody.stdout.contains("no process of 1 remembered runs"), "{}", nobody.stdout);
}

#[test]
fn a_pager_shows_on_a_terminal_what_is_longer_than_a_screen() {
    let sandbox = ran();
    let shown = |variables: &[(&str, &str)], arguments: &[&str]| -> String {
        let mut command = sandbox.command(tracerun_tests::tracerun());
        command.env("TERM", "xterm").envs(variables.iter().copied());
        let (shown, status) = Terminal::run(command.args(arguments)).ends();
        assert!(status.success(), "{status:?} {shown}");
        shown
    };
    let folders = ["show", "--by", "folder"];
    let paged = shown(&[("PAGER", "sed 's/^/paged: /'; echo $LESS; echo last")], &folders);
    assert!(
        paged.lines().all(|line| line.starts_with("paged: ") || line == "FRX" || line == "last"),
        "{paged}"
    );
    assert!(paged.ends_with("FRX\r\nlast\r\n") && paged.lines().count() > 24, "{paged}");
    // What comes first counts; nothing, or cat, is no pager; and what can't be run, or has read enough, is no failure.
    let named = [("PAGER", "echo no"), ("TRACERUN_PAGER", "echo yes"), ("LESS", "M")];
    assert_eq!(shown(&named, &folders), "yes\r\n");
    let plain = sandbox.tracerun(folders).stdout.replace('\n', "\r\n");
    for pager in ["", "cat"] {
        assert_eq!(shown(&[("PAGER", pager)], &folders), plain);
    }
    assert!(shown(&[("PAGER", "no-such-pager")], &folders).ends_with(&plain));
    assert_eq!(shown(&[("PAGER", "true")], &folders), "");
    assert_eq!(shown(&[("PAGER", "echo no"), ("TERM", "dumb")], &folders), plain);
    // The report of a trace goes to standard error.
    let traced = shown(
        &[("PAGER", "sed 's/^/paged: /'")],
        &["trace", "--by", "kind", "--only", "write", "--", "sh", "-c", "echo own; : > made"],
    );
    assert!(traced.starts_with("own\r\n") && traced.contains("\r\npaged: write   "), "{traced}");
    let piped = sandbox.command(tracerun_tests::tracerun()).env("PAGER", "echo no").args(folders).output();
    assert_eq!(String::from_utf8_lossy(&piped.expect("tracerun runs").stdout).replace('\n', "\r\n"), plain);
}

#[test]
fn command_lines_are_as_long_as_a_terminal_is_wide() {
    let sandbox = Sandbox::new();
    let long = "x".repeat(200);
    sandbox.run(&["sh", "-c", "sh -c ': >out' \"$0\"; : $1", &long, "\u{e9}"]).assert_stored();
    for line in ["show", "show --by process --path out", "who --why out"] {
        let mut command = sandbox.command(tracerun_tests::tracerun());
        let (shown, _) = Terminal::run(command.args(line.split(' '))).ends();
        let whole =
            shown.lines().find(|shown| shown.contains("…")).unwrap_or_else(|| panic!("{line}: {shown}"));
        // But for how long a process took, all is to the brim.
        assert!((79..=80).contains(&whole.chars().count()), "{line}: {whole:?}");
        assert!(sandbox.tracerun(line.split(' ')).stdout.contains(&format!("{}…", &long[..40])), "{line}");
    }
}

#[test]
fn less_leaves_at_once_what_fits_a_screen_and_an_interrupt_is_the_pagers() {
    let sandbox = ran();
    let list = |pager: Option<&str>| {
        let mut command = sandbox.command(tracerun_tests::tracerun());
        command.env("TERM", "xterm").envs(pager.map(|pager| ("PAGER", pager)));
        Terminal::run(command.arg("list"))
    };
    if have("less") {
        let (shown, status) = list(None).ends();
        assert!(shown.contains("miss  ") && status.success(), "{shown:?}");
    }
    let waits = "trap 'echo interrupted; exit' INT; echo ready; while :; do :; done";
    let mut terminal = list(Some(waits));
    terminal.shows("ready");
    terminal.types("\x03");
    terminal.shows("interrupted");
    assert!(terminal.ends().1.success());
}

#[test]
fn what_is_told_never_holds_what_a_terminal_would_obey() {
    let sandbox = Sandbox::new();
    let odd = OsStr::from_bytes(b"o\x1b]0;title\x07\nd\xffd\xc2\x9b31m");
    let folder = sandbox.path("").join(odd);
    fs::create_dir(&folder).expect("made");
    fs::write(folder.join(odd), "1").expect("written");
    let script = "cat \"$0/$0\"; ls \"$0\" >list; test -e \"$0-\"; echo \"$1\" >\"made$0\"; exit $2";
    let run = |content: &str, status: &str, options: &[&str]| -> Output {
        fs::write(folder.join(odd), content).expect("written");
        let mut command = sandbox.command(tracerun_tests::tracerun());
        command.args(options).args(["--", "sh", "-c", script]).arg(odd).args([content, status]);
        command.output().expect("tracerun runs")
    };
    let assert_plain = |what: &str, text: &[u8]| {
        let text = str::from_utf8(text).unwrap_or_else(|error| panic!("{what}: {error}"));
        let obeyed = text.chars().find(|one| one.is_control() && *one != '\n');
        assert!(obeyed.is_none() && text.contains("o\\"), "{what}: {obeyed:?} in {text:?}");
    };
    for (content, status) in [("1", "0"), ("1", "0"), ("2", "0"), ("3", "4")] {
        run(content, status, &[]);
        // A file that is another, of the same command.
        fs::write(folder.join(odd), "other").expect("written");
        let arguments = [OsStr::new("--"), OsStr::new("cat"), OsStr::new("made"), odd];
        let dry = sandbox.command(tracerun_tests::tracerun()).arg("--dry-run").args(arguments).output();
        assert!(str::from_utf8(&dry.expect("tracerun runs").stdout).is_ok());
        for line in [
            "list",
            "show",
            "show --by process",
            "show --by folder",
            "show --by kind",
            "explain",
            "who list --why",
            "diff last last~1",
        ] {
            let told = sandbox.tracerun(line.split(' '));
            if !told.stdout.is_empty() && line != "diff last last~1" || told.stdout.contains("d") {
                assert_plain(line, told.stdout.as_bytes());
            }
        }
    }
    let who = sandbox.command(tracerun_tests::tracerun()).arg("who").arg(folder.join(odd)).output();
    assert_plain("who", &who.expect("tracerun runs").stdout);
    for options in [
        &["trace"][..],
        &["trace", "--by", "kind"],
        &["check", "--inputs", "none"],
        &["check", "--inputs", "none", "--format", "github"],
    ] {
        let output = run("4", "0", options);
        assert_plain(&format!("{options:?}"), &output.stderr);
    }
    // A hit stands in the way of a changed file: the line that says so.
    run("5", "0", &[]);
    fs::write(folder.join(odd), "6").expect("written");
    let mut again = sandbox.command(tracerun_tests::tracerun());
    let again =
        again.args(["--", "sh", "-c", script]).arg(odd).args(["5", "0"]).output().expect("tracerun runs");
    assert_plain("the line", &again.stderr);
    let explained = sandbox.tracerun(["explain"]);
    assert_plain("explain", explained.stdout.as_bytes());
}
