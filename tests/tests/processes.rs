//! Every process is in the trace with its program, its times and how it ended; those that outlive the command are left alone
//! or killed, as asked.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tracerun_tests::have;
use tracerun_tests::sandbox::Sandbox;

/// Children that end in every way; the last is killed before it has done anything.
const CHILDREN: &str = r#"
#include <fcntl.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void) {
    for (int way = 0; way < 5; way++) {
        int ready[2];
        char byte;
        if (pipe(ready) != 0) return 1;
        pid_t child = fork();
        if (child == 0) {
            close(ready[0]);
            // The net is told of what is made, and so meets the child that ends without a word.
            if (way < 4) open("a", way == 1 ? O_RDWR : O_RDONLY);
            close(ready[1]);
            if (way == 0) _exit(3);
            if (way == 1) syscall(SYS_exit, 9);
            if (way == 2) raise(SIGSEGV);
            for (;;) pause();
        }
        close(ready[1]);
        if (read(ready[0], &byte, 1) != 0) return 1;
        close(ready[0]);
        if (way >= 3) kill(child, SIGKILL);
        if (waitpid(child, 0, 0) != child) return 1;
    }
    execl("/bin/sh", "sh", "-c", "exit 7", (char *)0);
    return 1;
}
"#;

/// The lines of type `process` of the trace of a command.
fn processes(sandbox: &Sandbox, command: &[&str]) -> Vec<Value> {
    let report = sandbox.top().join("trace");
    let mut traced = sandbox.command(tracerun_tests::tracerun());
    traced.args(["trace", "--quiet", "--format", "ndjson", "-o"]).arg(&report).arg("--").args(command);
    traced.status().expect("tracerun runs");
    let text = std::fs::read_to_string(report).expect("a trace");
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    lines.filter(|line| line["type"] == "process").collect()
}

fn compile(sandbox: &Sandbox, source: &str, options: &[&str]) {
    sandbox.write("program.c", source);
    let mut compiler = sandbox.command("cc");
    compiler.args(["-O1", "-D_GNU_SOURCE", "-o", "program", "program.c"]).args(options);
    assert!(compiler.status().expect("cc runs").success());
}

#[test]
fn every_process_is_told_with_its_end_static_or_not() {
    for (options, unseen) in [(&[][..], 0), (&["-static"], 1)] {
        let sandbox = Sandbox::new();
        sandbox.write("a", "");
        compile(&sandbox, CHILDREN, options);
        let told = processes(&sandbox, &["./program"]);
        // Of what a static program's child has not done nobody can tell.
        assert_eq!(told.len(), 7 - unseen, "{told:#?}");
        let mut exits = BTreeMap::<String, usize>::new();
        for process in &told {
            *exits.entry(process["exit"].to_string()).or_default() += 1;
            assert!(process["start_ns"].as_u64() <= process["end_ns"].as_u64(), "{process}");
        }
        let mut expected = BTreeMap::from([
            (json!({"code": 3}).to_string(), 1),
            (json!({"code": 9}).to_string(), 1),
            (json!({"signal": 11}).to_string(), 1),
            (json!({"signal": 9}).to_string(), 2 - unseen),
            (json!({"code": 7}).to_string(), 1),
        ]);
        let shell = &told[told.len() - 1];
        expected.insert(json!({"exec": shell["id"]}).to_string(), 1);
        assert_eq!(exits, expected);
        assert_eq!(shell["argv"], json!(["sh", "-c", "exit 7"]));
        assert_eq!((&shell["pid"], &shell["parent"]), (&told[0]["pid"], &told[0]["id"]));
        for child in &told[1..told.len() - 1] {
            assert_eq!(
                (&child["argv"], &child["parent"]),
                (&json!(["./program"]), &told[0]["id"]),
                "{child}"
            );
        }
    }
}

#[test]
fn threads_that_are_killed_by_the_end_of_their_process_are_no_process() {
    let sandbox = Sandbox::new();
    let source = r#"
        #include <fcntl.h>
        #include <pthread.h>
        #include <unistd.h>
        static void *opens(void *ready) {
            for (;;) close(openat(AT_FDCWD, "made", O_CREAT | O_RDWR, 0600));
        }
        int main(void) {
            pthread_t thread;
            for (int i = 0; i < 50; i++)
                if (pthread_create(&thread, 0, opens, 0) != 0) return 1;
            for (int i = 0; i < 100; i++) close(open("made", O_RDONLY));
            return 5;
        }"#;
    for options in [&["-pthread"][..], &["-pthread", "-static"]] {
        compile(&sandbox, source, options);
        let told = processes(&sandbox, &["./program"]);
        assert_eq!(told.len(), 1, "{told:#?}");
        assert_eq!(told[0]["exit"], json!({"code": 5}));
    }
}

#[test]
fn a_process_with_the_number_of_a_thread_that_is_gone_is_one_of_its_own() {
    let sandbox = Sandbox::new();
    let source = r#"
        #include <errno.h>
        #include <fcntl.h>
        #include <linux/sched.h>
        #include <pthread.h>
        #include <signal.h>
        #include <stdint.h>
        #include <sys/syscall.h>
        #include <sys/wait.h>
        #include <unistd.h>
        static pid_t number;
        static void *work(void *unused) {
            number = gettid();
            open("missing", O_RDONLY);
            return unused;
        }
        int main(void) {
            pthread_t thread;
            int status;
            if (pthread_create(&thread, 0, work, 0) != 0 || pthread_join(thread, 0) != 0) return 1;
            struct clone_args same = {.exit_signal = SIGCHLD, .set_tid = (uintptr_t)&number, .set_tid_size = 1};
            pid_t child;
            // The thread is gone a little later than pthread_join says.
            while ((child = syscall(SYS_clone3, &same, sizeof same)) < 0 && errno == EEXIST) continue;
            if (child == 0) {
                open("missing", O_RDONLY);
                _exit(3);
            }
            if (child != number) return 77;
            return waitpid(child, &status, 0) != child || WEXITSTATUS(status) != 3;
        }"#;
    compile(&sandbox, source, &["-static", "-pthread"]);
    if sandbox.command("./program").status().expect("it runs").code() == Some(77) {
        eprintln!("not tested: the numbers of processes can't be chosen here");
        return;
    }
    let told = processes(&sandbox, &["./program"]);
    let exits: Vec<_> = told.iter().map(|process| &process["exit"]).collect();
    assert_eq!(exits, [&json!({"code": 0}), &json!({"code": 3})], "{told:#?}");
}

fn kill(pid: &str) {
    let pid = nix::unistd::Pid::from_raw(pid.trim().parse().expect("a number"));
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).expect("it is there");
}

/// Leaves a process behind that waits until it is killed, and says which.
const LEAVES: &[&str] = &["sh", "-c", "echo made >out; sleep 1000 >&- 2>&- & echo $! >pid"];

#[test]
fn a_process_that_outlives_the_command_is_left_alone_and_the_run_is_not_stored() {
    let sandbox = Sandbox::new();
    let ran = sandbox.run_with(&["--grace", "1"], LEAVES);
    assert_eq!((ran.status, ran.outcome()), (0, "uncached"), "{ran:?}");
    kill(&sandbox.read("pid"));
}

#[test]
fn a_process_that_outlives_the_command_and_has_done_nothing_is_not_overlooked() {
    let source = r#"
        #include <stdio.h>
        #include <unistd.h>
        int main(void) {
            pid_t child = fork();
            if (child > 0) return printf("%d", child) < 0;
            for (int fd = 0; fd < 3; fd++) close(fd);
            for (;;) pause();
        }"#;
    for options in [&[][..], &["-static"]] {
        let sandbox = Sandbox::new();
        compile(&sandbox, source, options);
        let ran = sandbox.run_with(&["--grace", "1"], &["./program"]);
        kill(&ran.stdout);
        assert_eq!((ran.status, ran.outcome()), (0, "uncached"), "{ran:?}");
        assert!(ran.stderr.contains("a process outlived the run"), "{ran:?}");
    }
}

#[test]
fn a_process_that_outlives_the_command_is_killed_if_asked() {
    for option in [&["--kill-background"][..], &[]] {
        let sandbox = Sandbox::new();
        if option.is_empty() {
            sandbox.write("tracerun.toml", "kill-background = true\n");
        }
        let ran = sandbox.run_with(&[&["--grace", "1"], option].concat(), LEAVES);
        assert_eq!(ran.status, 0, "{ran:?}");
        ran.assert_stored();
        let pid = sandbox.read("pid");
        assert!(!std::path::Path::new("/proc").join(pid.trim()).join("exe").exists(), "it runs on");
        sandbox.run_with(&["--grace", "1"], LEAVES).assert_hit();
    }
}

#[test]
fn a_process_that_ends_within_the_time_of_grace_does_no_harm() {
    let sandbox = Sandbox::new();
    let command = ["sh", "-c", "(sleep 0.1; echo late >out) >&- 2>&- &"];
    sandbox.run_with(&["--grace", "60000"], &command).assert_stored();
    assert_eq!(sandbox.read("out"), "late\n");
}

#[test]
fn a_program_that_asks_for_io_uring_is_refused_and_named_or_gets_it_and_is_not_stored() {
    let sandbox = Sandbox::new();
    let source = r#"
        #include <linux/io_uring.h>
        #include <sys/syscall.h>
        #include <unistd.h>
        int main(void) {
            struct io_uring_params parameters = {0};
            return syscall(SYS_io_uring_setup, 1, &parameters) < 0 ? 3 : 0;
        }"#;
    compile(&sandbox, source, &[]);
    if sandbox.command("./program").status().expect("it runs").code() != Some(0) {
        eprintln!("not tested: there is no io_uring here");
        return;
    }
    let refused = sandbox.run_with(&["-v", "--cache-failures"], &["./program"]);
    assert_eq!((refused.status, refused.outcome()), (3, "miss"), "{refused:?}");
    assert!(refused.stderr.contains("`./program` asked for io_uring"), "{refused:?}");
    let explained = sandbox.tracerun(["explain"]);
    assert!(explained.stdout.contains("`./program` asked for io_uring"), "{explained:?}");
    for file in ["", "io-uring = \"allow\"\n"] {
        sandbox.write("tracerun.toml", file);
        let option: &[&str] =
            if file.is_empty() { &["--io-uring", "allow", "--force"] } else { &["--force"] };
        let allowed = sandbox.run_with(option, &["./program"]);
        assert_eq!((allowed.status, allowed.outcome()), (0, "uncached"), "{allowed:?}");
        assert!(allowed.stderr.contains("`./program` used io_uring"), "{allowed:?}");
    }
}

#[test]
fn a_command_runs_in_a_folder_that_has_been_removed() {
    let sandbox = Sandbox::new();
    sandbox.write("a", "content");
    sandbox.write("gone/tracerun.toml", "");
    let script = "cd gone && rm tracerun.toml && rmdir ../gone && exec \"$@\"";
    let run = |arguments: &[&str]| {
        let mut command = sandbox.command("sh");
        command.args(["-c", script, "sh"]).arg(tracerun_tests::tracerun()).args(arguments);
        let output = command.output().expect("it runs");
        sandbox.write("gone/tracerun.toml", "");
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned(), output.stderr)
    };
    let (status, said, _) = run(&["--", "cat", "../a"]);
    assert_eq!((status, said.as_str()), (Some(0), "content"));
    let (status, _, report) = run(&["trace", "--by", "kind", "--", "cat", "../a"]);
    assert_eq!(status, Some(0));
    let report = String::from_utf8_lossy(&report);
    assert!(report.contains(&format!("read    {} ", sandbox.path("a").display())), "{report}");
}

/// Reads the file it is named, then runs the rest of its arguments as a child.
const LINK_OF_A_CHAIN: &str = r#"
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int count, char **arguments) {
    FILE *file = fopen(arguments[1], "r");
    if (file == NULL || fclose(file) != 0) return 1;
    if (count == 2) return 0;
    int status;
    pid_t child = fork();
    if (child == 0) {
        execv(arguments[2], arguments + 2);
        _exit(127);
    }
    return waitpid(child, &status, 0) == child && status == 0 ? 0 : 1;
}
"#;

#[test]
fn one_tree_of_programs_with_every_libc_is_seen_whole_and_quietly() {
    let loader = "-Wl,--dynamic-linker=/usr/i686-linux-gnu/lib/ld-linux.so.2";
    let path = "-Wl,-rpath,/usr/i686-linux-gnu/lib";
    let kinds: [(&str, &str, &[&str]); 4] = [
        ("glibc", "cc", &[]),
        ("musl", "musl-gcc", &[]),
        ("i386", "i686-linux-gnu-gcc", &[loader, path]),
        ("static", "cc", &["-static"]),
    ];
    if !kinds.iter().all(|(_, compiler, _)| have(compiler)) {
        return;
    }
    let sandbox = Sandbox::new();
    sandbox.write("program.c", LINK_OF_A_CHAIN);
    for (kind, compiler, options) in kinds {
        let mut compile = sandbox.command(compiler);
        compile.args(["-o", kind, "program.c"]).args(options);
        assert!(compile.status().expect("the compiler runs").success(), "{kind}");
    }
    // Each is once the parent of each other.
    let order = [
        "glibc", "musl", "glibc", "i386", "glibc", "static", "musl", "i386", "musl", "static", "i386",
        "static", "glibc",
    ];
    let mut command = Vec::new();
    for (place, kind) in order.iter().enumerate() {
        sandbox.write(&format!("in{place}"), "1");
        command.extend([format!("./{kind}"), format!("in{place}")]);
    }
    let command: Vec<&str> = command.iter().map(String::as_str).collect();
    let told = processes(&sandbox, &command);
    // A child is a process of its own until it becomes another program.
    let stayed = told.iter().filter(|process| process["exit"]["exec"].is_null());
    let mut programs: Vec<&str> = stayed.filter_map(|process| process["exe"].as_str()).collect();
    let mut expected: Vec<_> = order.iter().map(|kind| sandbox.path(kind).display().to_string()).collect();
    programs.sort_unstable();
    expected.sort_unstable();
    assert_eq!(programs, expected, "{told:#?}");
    let first = sandbox.run(&command);
    first.assert_stored();
    assert_eq!(first.stdout, "");
    // Its last line is tracerun's, and the only one.
    assert_eq!(first.stderr.lines().count(), 1, "{}", first.stderr);
    sandbox.run(&command).assert_hit();
    for place in 0..order.len() {
        sandbox.write(&format!("in{place}"), "2");
        let again = sandbox.run(&command);
        again.assert_stored();
        assert!(again.stderr.contains(&format!("in{place} changed")), "{again:?}");
    }
}
