//! Commands on a terminal: what they find there, and what a person sees and can do, as without tracerun.

use std::os::unix::process::ExitStatusExt;

use nix::sys::termios::LocalFlags;
use tracerun_tests::have;
use tracerun_tests::sandbox::Sandbox;
use tracerun_tests::terminal::Terminal;

/// Runs `script` by tracerun on a terminal.
fn traced(sandbox: &Sandbox, script: &str) -> Terminal {
    let mut command = sandbox.command(tracerun_tests::tracerun());
    Terminal::run(command.args(["--", "sh", "-c", script]))
}

#[test]
fn a_command_finds_a_terminal_of_the_same_size_and_a_hit_shows_the_same_bytes() {
    let sandbox = Sandbox::new();
    let script =
        "test -t 0 && test -t 1 && test -t 2 && stty size <&1; printf 'one\\ntwo\\tx\\r'; echo err >&2";
    let untraced = Terminal::run(sandbox.command("sh").args(["-c", script])).ends().0;
    assert!(untraced.starts_with("24 80\r\none\r\ntwo"), "{untraced:?}");
    for outcome in ["tracerun: miss", "tracerun: hit"] {
        let (shown, status) = traced(&sandbox, script).ends();
        let (output, line) = shown.split_at(shown.find("tracerun: ").expect("the line"));
        assert_eq!((output, status.code()), (&*untraced, Some(0)));
        assert!(line.starts_with(outcome), "{line}");
    }
}

#[test]
fn whether_output_is_a_terminal_is_part_of_the_key() {
    let sandbox = Sandbox::new();
    let script = "test -t 1 && echo terminal || echo pipe";
    assert!(traced(&sandbox, script).ends().0.starts_with("terminal"));
    let piped = sandbox.run(&["sh", "-c", script]);
    piped.assert_stored();
    assert_eq!(piped.stdout, "pipe\n");
    let reason = piped.summary["reason"].as_str().expect("text");
    assert!(reason.contains("terminal"), "{reason}");
    let again = traced(&sandbox, script).ends().0;
    assert!(again.starts_with("terminal\r\ntracerun: hit"), "{again}");
}

#[test]
fn standard_error_alone_may_be_a_terminal() {
    let sandbox = Sandbox::new();
    let tracerun = tracerun_tests::tracerun();
    let script = "test -t 1 || echo plain; test -t 2 && echo terminal >&2";
    let line = format!("{} -- sh -c '{script}' | sed 's/^/piped /'", tracerun.display());
    let (shown, _) = Terminal::run(sandbox.command("sh").args(["-c", &line])).ends();
    assert!(shown.contains("piped plain\r\n") && shown.contains("terminal\r\n"), "{shown}");
}

#[test]
fn the_commands_terminal_follows_the_size_of_ours() {
    let sandbox = Sandbox::new();
    // It may be told of the new size before its own terminal has it; then it is told again.
    let script = "trap 'size=$(stty size <&2); echo $size; [ \"$size\" != \"40 100\" ] || exit' WINCH; \
                  echo ready; while :; do :; done";
    let mut terminal = traced(&sandbox, script);
    terminal.shows("ready");
    terminal.becomes(40, 100);
    terminal.shows("40 100");
}

#[test]
fn an_interrupt_typed_at_the_terminal_ends_the_command_and_us_like_it() {
    let sandbox = Sandbox::new();
    let mut terminal = traced(&sandbox, "echo ready; exec cat");
    terminal.shows("ready");
    terminal.types("\x03");
    let (shown, status) = terminal.ends();
    assert!(shown.contains("not cached: signal 2 killed it"), "{shown}");
    assert_eq!(status.signal(), Some(2));
}

#[test]
fn a_command_is_stopped_and_continued_by_a_shell_and_the_terminal_is_left_as_it_was() {
    if !have("bash") {
        return;
    }
    let sandbox = Sandbox::new();
    let mut terminal =
        Terminal::run(sandbox.command("bash").args(["--norc", "--noprofile", "--noediting", "-i"]));
    terminal.types("PS1='prompt''> '\n");
    terminal.shows("prompt> ");
    let before = terminal.settings();
    let tracerun = tracerun_tests::tracerun();
    terminal.types(&format!("{} -- sh -c 'echo rea''dy; cat; echo ov''er'\n", tracerun.display()));
    terminal.shows("ready");
    terminal.types("\x1a");
    terminal.shows("Stopped");
    terminal.shows("prompt> ");
    terminal.types("echo in ''between\n");
    terminal.shows("in between");
    terminal.types("fg\n");
    terminal.shows("echo ov''er'");
    terminal.types("typed\n");
    terminal.shows("typed\r\ntyped\r\n");
    terminal.types("\x04");
    terminal.shows("over");
    terminal.shows("not cached: `cat` read standard input");
    terminal.shows("prompt> ");
    assert_eq!(terminal.settings(), before);
    terminal.types("exit\n");
    terminal.ends();
}

#[test]
fn what_a_command_sets_on_its_terminal_is_set_on_ours_and_back() {
    let sandbox = Sandbox::new();
    let script = "stty -echo -icanon <&1; echo set; read go; stty echo icanon <&1; echo reset; read go";
    let mut terminal = traced(&sandbox, script);
    let before = terminal.settings();
    terminal.shows("set");
    let has = |terminal: &Terminal, flags| terminal.settings().local_flags.intersects(flags);
    // It is told after it was set.
    while has(&terminal, LocalFlags::ECHO | LocalFlags::ICANON) {
        std::thread::yield_now();
    }
    terminal.types("\n");
    terminal.shows("reset");
    while terminal.settings() != before {
        std::thread::yield_now();
    }
    terminal.types("\n");
    terminal.ends();
}

#[test]
fn keys_reach_a_command_that_reads_them_from_where_it_writes() {
    let sandbox = Sandbox::new();
    let script =
        "stty -icanon -echo <&2; echo ready; dd bs=1 count=1 <&2 2>/dev/null; stty icanon echo <&2; cat";
    let tracerun = tracerun_tests::tracerun();
    let line = format!("echo piped | {} -- sh -c '{script}'", tracerun.display());
    let mut terminal = Terminal::run(sandbox.command("sh").args(["-c", &line]));
    terminal.shows("ready");
    terminal.types("k");
    terminal.shows("kpiped");
}

#[test]
fn what_is_typed_goes_to_whoever_waits_for_it_and_such_a_run_is_not_stored() {
    let sandbox = Sandbox::new();
    // A line for who reads it from where it writes, one for standard input, and a key for a pager, which opens its terminal by name.
    let mut terminal = traced(
        &sandbox,
        "echo first; read a <&2; echo second; read b; stty -icanon -echo <&1; echo \"$a $b\"; \
         dd bs=1 count=1 <\"$(tty <&2)\" 2>/dev/null; stty icanon echo <&1; echo .",
    );
    for (shown, typed) in [("first", "one\n"), ("second", "two\n"), ("one two", "k")] {
        terminal.shows(shown);
        terminal.types(typed);
    }
    terminal.shows("k.");
    let (shown, status) = terminal.ends();
    assert!(status.success() && shown.contains("not cached"), "{shown}");
    // Where nothing else is in the way of storing it.
    let mut terminal = traced(&sandbox, "echo ready; read a <&1; echo $a");
    terminal.shows("ready");
    terminal.types("line\n");
    let (shown, _) = terminal.ends();
    assert!(shown.contains("it was given what was typed at the terminal"), "{shown}");
}

#[test]
fn a_terminal_that_hangs_up_ends_the_command() {
    let sandbox = Sandbox::new();
    let mut command = sandbox.command(tracerun_tests::tracerun());
    let mut terminal = Terminal::run(command.args([
        "--",
        "sh",
        "-c",
        "trap 'echo > hung-up; exit' HUP; echo ready; while :; do :; done",
    ]));
    terminal.shows("ready");
    terminal.hangs_up();
    assert!(sandbox.path("hung-up").exists(), "the command was told");
}

#[test]
fn what_a_command_does_with_the_terminal_by_its_name_is_not_taken_from_an_earlier_run() {
    let sandbox = Sandbox::new();
    for typed in ["one\n", "two\n"] {
        let mut terminal = traced(&sandbox, "read line < /dev/tty; echo got $line");
        terminal.types(typed);
        let (shown, _) = terminal.ends();
        assert!(shown.contains(&format!("got {typed}").replace('\n', "\r\n")), "{shown}");
        assert!(shown.contains("not cached"), "{shown}");
    }
    for _ in 0..2 {
        let (shown, _) = traced(&sandbox, "echo there > /dev/tty").ends();
        assert!(shown.starts_with("there\r\n"), "{shown}");
    }
    // A terminal of its own is the run's own business.
    let script = "python3 -c 'import pty; pty.spawn([\"echo\", \"inner\"])' < /dev/null | cat";
    for outcome in ["tracerun: miss", "tracerun: hit"] {
        let (shown, _) = traced(&sandbox, script).ends();
        assert!(shown.contains(outcome), "{shown}");
    }
}

#[test]
fn what_outlives_the_command_goes_on_to_print_on_the_terminal() {
    let sandbox = Sandbox::new();
    let mut command = sandbox.command("sh");
    let script = "$T --grace 50 -- sh -c '(sleep 0.4; echo late) & echo early'; sleep 0.8";
    let mut terminal = Terminal::run(command.env("T", tracerun_tests::tracerun()).args(["-c", script]));
    terminal.shows("early");
    terminal.shows("not cached");
    terminal.shows("late");
    assert!(terminal.ends().1.success());
}

/// What a terminal holds in the end of which this was shown, as far as lines that are written over go.
fn screen(shown: &str) -> String {
    let mut lines = vec![String::new()];
    let mut column = 0;
    let mut rest = shown;
    while let Some(character) = rest.chars().next() {
        let line = lines.last_mut().expect("one at least");
        let erases = rest.starts_with("\x1b[K");
        match character {
            '\r' => column = 0,
            '\n' => lines.push(String::new()),
            '\x1b' if erases => *line = line.chars().take(column).collect(),
            other => {
                *line =
                    line.chars().take(column).chain([other]).chain(line.chars().skip(column + 1)).collect();
                column += 1;
            }
        }
        rest = &rest[if erases { 3 } else { character.len_utf8() }..];
    }
    lines.join("\n")
}

/// Traces `script` on a terminal.
fn watched(sandbox: &Sandbox, options: &[&str], script: &str) -> Terminal {
    let mut command = sandbox.command(tracerun_tests::tracerun());
    if command.get_envs().all(|(name, _)| name != "TERM") {
        command.env("TERM", "xterm");
    }
    Terminal::run(command.arg("trace").args(options).args(["--", "sh", "-c", script]))
}

/// Waits until somebody has made a file of this name.
const UNTIL_GO: &str = "until test -e go; do :; done";

#[test]
fn a_live_view_tells_what_runs_and_leaves_nothing_behind() {
    let sandbox = Sandbox::new();
    let script = format!("printf 'one\\ntw'; echo o >&2; {UNTIL_GO}; printf 'end'; exec cat none");
    let mut terminal = watched(&sandbox, &["-o", "report"], &script);
    let before = terminal.shows("tracerun: 1");
    let line = terminal.shows("\x1b[K");
    for part in [" s, 1 process, ", " accesses  sh -c "] {
        assert!(line.contains(part) && line.len() < 80, "{line:?}");
    }
    sandbox.write("go", "");
    let (after, _) = terminal.ends();
    let screen = screen(&[&*before, "tracerun: 1", &*line, &*after].concat());
    let (output, headline) = screen.split_once("\ntracerun: ").expect("the line at the end");
    assert_eq!(output, "one\ntwo\nendcat: none: No such file or directory");
    assert!(headline.contains("complete"), "{headline}");
}

#[test]
fn a_live_view_keeps_out_of_what_a_command_draws_and_of_what_is_typed() {
    let mut sandbox = Sandbox::new();
    // A prompt, colours that are drawn over, and a program that waits for what is typed at the beginning of a line.
    let waits = "a=0; while [ $a -lt 500000 ]; do a=$((a+1)); done";
    for script in [format!("printf 'Name: '; {waits}"), format!("printf '\\033[2Jdrawn\\n'; {waits}")] {
        let (shown, _) = watched(&sandbox, &["-o", "report"], &script).ends();
        assert_eq!(shown.matches("tracerun: ").count(), 1, "{shown:?}");
    }
    let mut terminal = watched(&sandbox, &["-o", "report"], "echo ready; read line; echo got $line");
    terminal.shows("ready");
    // It would be shown after a second; nothing tells that it is not.
    let started = std::time::Instant::now();
    while started.elapsed().as_millis() < 1500 {
        std::thread::yield_now();
    }
    terminal.types("typed\n");
    let shown = terminal.shows("got typed");
    assert!(shown.starts_with("\r\ntyped\r\n") && screen(&shown) == "\ntyped\ngot typed", "{shown:?}");
    terminal.ends();
    for options in [&["-q", "-o=report"][..], &["-o=report"]] {
        if options == ["-o=report"] {
            sandbox.set("TERM", "dumb");
        }
        let (shown, _) = watched(&sandbox, options, waits).ends();
        assert!(!shown.contains("\x1b") && !shown.contains("sh -c 'a=0"), "{shown:?}");
    }
}
