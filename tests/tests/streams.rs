//! The standard streams of a command, and what else it inherits: as without tracerun.

use std::fs;
use std::process::Output;

use tracerun_tests::sandbox::Sandbox;

/// Runs `script` by a shell in which `$T` is tracerun.
fn shell(sandbox: &Sandbox, script: &str) -> Output {
    let mut command = sandbox.command("sh");
    command.env("T", tracerun_tests::tracerun()).args(["-c", script]).output().expect("sh runs")
}

fn line(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn what_came_from_a_pipe_is_part_of_the_key_if_it_is_to_be() {
    let sandbox = Sandbox::new();
    let script =
        "seq 1 100000 | $T --stdin hash -- sh -c 'test -p /dev/stdin && sort -rn > out; wc -l < out'";
    for outcome in ["stored", "hit"] {
        let output = shell(&sandbox, script);
        assert!(line(&output).contains(outcome), "{}", line(&output));
        assert_eq!(output.stdout, b"100000\n");
        assert!(sandbox.read("out").starts_with("100000\n99999\n"));
    }
    let other = shell(&sandbox, &script.replace("100000", "99999"));
    assert!(line(&other).contains("standard input"), "{}", line(&other));
    assert_eq!(other.stdout, b"99999\n");
    sandbox.write("tracerun.toml", "stdin = \"hash\"\n");
    for outcome in ["stored", "hit"] {
        let output = shell(&sandbox, "echo a | $T -- cat");
        assert!(output.stdout == b"a\n" && line(&output).contains(outcome), "{}", line(&output));
    }
}

#[test]
fn a_command_that_reads_no_further_than_it_wants_ends_as_it_would() {
    let sandbox = Sandbox::new();
    let output = shell(&sandbox, "seq 1 1000000 | $T --stdin hash -- head -n 1");
    assert_eq!(output.stdout, b"1\n");
    // What a command does not read is left for the next.
    let left = shell(&sandbox, "seq 1 3 | { $T -q -- true; cat; }");
    assert_eq!(left.stdout, b"1\n2\n3\n");
}

#[test]
fn a_run_that_reads_from_a_pipe_is_not_stored_and_one_that_does_not_is() {
    let sandbox = Sandbox::new();
    for _ in 0..2 {
        let reads = shell(&sandbox, "echo a | $T -- cat");
        assert!(line(&reads).contains("not cached: `cat` read standard input"), "{}", line(&reads));
    }
    for outcome in ["stored", "hit"] {
        let ignores = shell(&sandbox, "echo a | $T -- echo b");
        assert!(line(&ignores).contains(outcome), "{}", line(&ignores));
    }
}

#[test]
fn a_pipe_that_nothing_comes_from_any_more_is_as_good_as_none() {
    let sandbox = Sandbox::new();
    let read_to_the_end = shell(&sandbox, "printf a | { read all; $T -- cat; }");
    assert!(line(&read_to_the_end).contains("stored"), "{}", line(&read_to_the_end));
    let none = shell(&sandbox, "$T -- cat < /dev/null");
    assert!(line(&none).contains("hit"), "{}", line(&none));
}

#[test]
fn a_file_as_standard_input_counts_from_where_it_stands() {
    let sandbox = Sandbox::new();
    sandbox.write("in", "1\n2\n");
    let run = |skipped: &str| shell(&sandbox, &format!("{{ {skipped} $T -- cat; }} < in"));
    for outcome in ["stored", "hit"] {
        let whole = run("");
        assert!(line(&whole).contains(outcome) && whole.stdout == b"1\n2\n", "{}", line(&whole));
        let rest = run("read skipped;");
        assert!(line(&rest).contains(outcome) && rest.stdout == b"2\n", "{}", line(&rest));
    }
    sandbox.write("in", "1\n3\n");
    assert!(line(&run("")).contains("standard input"));
}

#[test]
fn files_that_output_goes_to_are_written_where_and_as_they_stand() {
    let sandbox = Sandbox::new();
    let script = "sh -c 'echo out; echo err >&2; echo more'";
    // At an offset, appended to, shared, each on its own, and one over the other.
    let redirections = [
        "{ printf 'head\\n'; RUN; printf 'tail\\n'; } > log",
        "printf 'old\\n' > log; RUN >> log",
        "RUN > log 2>&1",
        "RUN > log 2> errors",
        "{ printf '0123456789abcdef'; } > log; RUN 1<> log",
    ];
    let result = |run: &str| {
        redirections.map(|redirection| {
            let _ = fs::remove_file(sandbox.path("errors"));
            let output = shell(&sandbox, &redirection.replace("RUN", run));
            let errors = fs::read(sandbox.path("errors")).unwrap_or_default();
            (output.stdout, output.stderr, fs::read(sandbox.path("log")).expect("written"), errors)
        })
    };
    let untraced = result(script);
    for _ in 0..2 {
        assert_eq!(result(&format!("$T -q -- {script}")), untraced);
    }
}

#[test]
fn other_descriptors_are_inherited() {
    let sandbox = Sandbox::new();
    sandbox.write("in", "from three\n");
    let script = "$T -q -- sh -c 'cat <&3; echo to four >&4' 3< in 4> out";
    for _ in 0..2 {
        let output = shell(&sandbox, script);
        assert_eq!((&output.stdout[..], &*sandbox.read("out")), (&b"from three\n"[..], "to four\n"));
    }
    for (content, outcome) in [("1\n", "stored"), ("1\n", "hit"), ("2\n", "stored")] {
        sandbox.write("in", content);
        let output = shell(&sandbox, "$T -- sh -c 'cat <&3' 3< in 4> unused");
        assert_eq!(output.stdout, content.as_bytes());
        assert!(line(&output).contains(outcome), "{}", line(&output));
    }
    // A pipe to a parent, as the job server of make is.
    let piped = shell(&sandbox, "{ $T -q -- sh -c 'echo token >&5' 5>&1 | cat; }");
    assert_eq!(piped.stdout, b"token\n");
}

#[test]
fn what_comes_through_a_stream_is_not_taken_from_an_earlier_run_however_it_is_reached() {
    let sandbox = Sandbox::new();
    let scripts = [
        "echo INPUT | $T -- cat /dev/stdin",
        "echo INPUT | $T -- cat /proc/self/fd/0",
        "echo INPUT | $T -- sh -c 'cat /proc/$$/fd/0'",
        "echo INPUT | $T -- bash -c 'exec 5<&0; read -u 5 line; echo $line'",
        "echo INPUT | $T -- python3 -c 'import socket,os; print(os.read(os.dup(0), 9).decode(), end=\"\")'",
        "mkfifo fifo; { echo INPUT > fifo & } ; $T -- cat fifo; rm fifo",
        "exec bash -c '$T -- cat <(echo INPUT)'",
        "exec bash -c '$T -- bash -c \"read -u 7 line; echo \\$line\" 7< <(echo INPUT)'",
        "exec bash -c '$T -- sh -c \"cat <&7\" 7< <(echo INPUT)'",
    ];
    for script in scripts {
        for input in ["one", "two"] {
            let output = shell(&sandbox, &script.replace("INPUT", input));
            let told = line(&output);
            assert_eq!(String::from_utf8_lossy(&output.stdout).trim_end(), input, "{script}: {told}");
            assert!(told.contains("not cached"), "{script}: {told}");
        }
    }
}

#[test]
fn what_goes_out_through_a_stream_that_is_no_standard_stream_is_not_lost() {
    let sandbox = Sandbox::new();
    for script in [
        "sh -c 'echo out >&7'",
        "sh -c 'echo out > /dev/fd/7'",
        "python3 -c 'import os; os.write(7, b\"out\\n\")'",
    ] {
        for _ in 0..2 {
            // The pipe ends only when nobody has it open any more.
            let output = shell(&sandbox, &format!("{{ $T -- {script} 7>&1 >&2 | cat; }} 2>&2"));
            assert_eq!(String::from_utf8_lossy(&output.stdout), "out\n", "{script}: {}", line(&output));
        }
    }
}

#[test]
fn a_stream_that_is_given_and_not_used_and_the_pipe_of_a_jobserver_are_no_reason_not_to_store() {
    let sandbox = Sandbox::new();
    sandbox.write("Makefile", "all: a b\na b:\n\t+@$(T) -- cp in $@\n");
    sandbox.write("in", "1\n");
    for outcome in [", stored", ": hit"] {
        let unused = shell(&sandbox, "exec bash -c '$T -- cp in out 7< <(echo unused)'");
        assert!(line(&unused).contains(outcome), "{}", line(&unused));
        let made = shell(&sandbox, "make -j2 all T=$T; rm a b");
        assert_eq!(line(&made).matches(outcome).count(), 2, "{}", line(&made));
    }
}

#[test]
fn a_command_that_uses_the_file_that_its_output_goes_to_is_not_stored() {
    let sandbox = Sandbox::new();
    for script in
        ["$T -- sh -c 'echo a; cat log > copy' >> log", "$T -- sh -c 'echo a; echo b >> log' >> log"]
    {
        for _ in 0..2 {
            let output = shell(&sandbox, script);
            assert!(line(&output).contains("used the file that its output goes to"), "{}", line(&output));
        }
    }
    // What goes by the name and what goes by the stream may overtake each other.
    let log = sandbox.read("log");
    assert_eq!((log.matches("a\n").count(), log.matches("b\n").count()), (4, 2), "{log}");
    for outcome in ["stored", "hit"] {
        let output = shell(&sandbox, "$T -- sh -c 'ls; test -s log' >> log");
        assert!(line(&output).contains(outcome), "{}", line(&output));
    }
}

#[test]
fn a_command_finds_closed_streams_closed_and_sigpipe_as_it_was() {
    let sandbox = Sandbox::new();
    sandbox.write("look", "for n in 0 1 2; do test -e /proc/self/fd/$n && echo $n; done > open; grep SigIgn /proc/self/status >> open\n");
    for around in ["", "exec <&-;", "exec >&-;", "exec 2>&-;", "exec >&- 2>&-;", "trap '' PIPE;"] {
        let look = |run: &str| {
            shell(&sandbox, &format!("{around} {run} sh look"));
            sandbox.read("open")
        };
        let untraced = look("");
        assert_eq!(look("$T -q --no-store --"), untraced, "{around}");
    }
}

#[test]
fn output_that_can_not_be_passed_on_is_no_success() {
    let sandbox = Sandbox::new();
    for _ in 0..2 {
        let full = shell(&sandbox, "$T -- echo lost > /dev/full; echo $? >&2");
        assert!(line(&full).contains("can't write the command's output"), "{}", line(&full));
        assert!(line(&full).ends_with("125\n"), "{}", line(&full));
    }
    shell(&sandbox, "$T -- seq 1 100000 > /dev/null");
    let unread = shell(&sandbox, "{ $T -- seq 1 100000; echo $? >&2; } | true");
    // What that saved is told where the machine was slow.
    assert!(line(&unread).contains("hit") && line(&unread).ends_with("\n141\n"), "{}", line(&unread));
}

#[test]
fn what_a_process_prints_that_outlives_the_command_comes_out_all_the_same() {
    let sandbox = Sandbox::new();
    // What is behind must not end with the group that tracerun is in.
    let script = "(trap '' HUP; sleep 0.4; echo late; echo late >&2; : > lived) & echo early";
    let output = shell(&sandbox, &format!("$T --grace 50 -- sh -c \"{script}\""));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "early\nlate\n");
    let (line, late) =
        line(&output).split_once('\n').map(|(a, b)| (a.to_owned(), b.to_owned())).expect("a line");
    assert!(line.contains("not cached") && late == "late\n", "{line}{late}");
    assert!(sandbox.path("lived").exists());
}
