//! What programs of many kinds report through the library, and that they behave as without it.

#![cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]

mod common;

use std::collections::BTreeSet;

use common::{PASS, Told, Tracer, assert_quiet_success, assert_told, count, list};

fn run(name: &str, cookie: u64) -> Vec<Told> {
    Tracer::new(cookie).run("cc", name)
}

/// The compilers whose libc the library must get along with.
const COMPILERS: [&str; 2] = ["cc", "musl-gcc"];

#[test]
fn every_call_that_looks_is_reported_once_and_behaves_as_before() {
    for compiler in COMPILERS {
        let told = Tracer::new(PASS).run(compiler, "calls");
        let mut expected = vec!["instrumented".to_string()];
        for name in ["open", "openat", "syscall"] {
            expected.extend([format!("read read-{name}"), format!("missing missing-{name}")]);
        }
        for name in ["stat", "lstat", "fstatat", "access", "statfs", "readlink", "getxattr"] {
            expected.extend([format!("stat stat-{name}"), format!("missing missing-{name}")]);
        }
        for what in &expected {
            assert_eq!(count(&told, what), 1, "{compiler}: {what}\n{}", list(&told));
        }
        assert_eq!(told.iter().filter(|told| told.what.starts_with("list ")).count(), 1, "{}", list(&told));
    }
}

#[test]
fn programs_with_sanitizers_run_and_report() {
    for sanitizer in ["address", "thread", "undefined"] {
        let told = Tracer::new(PASS).run(&format!("cc -fsanitize={sanitizer}"), "directories");
        assert_told(&told, &["instrumented", "read d/1", "read r7/file"]);
    }
}

#[test]
fn without_a_session_nothing_changes() {
    let tracer = Tracer::new(PASS);
    let output = tracer
        .command(&tracer.compile("cc", "calls"))
        .env_remove("TRACERUN_SESSION")
        .output()
        .expect("it runs");
    assert_quiet_success(&output);
    assert_eq!(tracer.told(), []);
}

#[test]
fn a_session_that_is_gone_harms_nobody() {
    for session in
        ["", "0", "0123456789abcdef:/nowhere", "0123456789abcdef:/etc/passwd", "0123456789abcdef:/dev/null"]
    {
        let tracer = Tracer::new(PASS);
        let program = tracer.compile("cc", "calls");
        assert_quiet_success(
            &tracer.command(&program).env("TRACERUN_SESSION", session).output().expect("it runs"),
        );
    }
}

#[test]
fn relative_names_are_told_from_the_directory_they_had_at_the_time() {
    for cookie in [0, PASS] {
        let told = run("directories", cookie);
        assert_told(&told, &["read d/1", "read d/2", "read d/3", "read d/4", "read e/5", "read d2/6"]);
        for round in 0..8 {
            assert_told(&told, &[&format!("read r{round}/file")]);
        }
    }
}

#[test]
fn many_threads_and_their_signal_handlers_report_everything_once() {
    let told = run("threads", PASS);
    for thread in 0..200 {
        for file in 0..50 {
            let what = format!("missing t{thread}-{file}");
            assert_eq!(count(&told, &what), 1, "{what}");
        }
    }
    assert_told(&told, &["missing in-handler"]);
}

#[test]
fn children_report_as_themselves_and_those_of_vfork_leave_no_trace_in_their_parent() {
    for compiler in COMPILERS {
        let told = Tracer::new(PASS).run(compiler, "children");
        let parent = told[0].pid;
        let by = |what: &str| {
            told.iter().filter(|told| told.what == what).map(|told| told.pid).collect::<Vec<_>>()
        };
        assert_eq!(by("missing parent-2"), [parent], "{}", list(&told));
        assert_eq!(by("missing parent-1").len(), 2);
        assert_ne!(by("missing forked"), [parent]);
        assert_eq!(by("missing forked").len(), 1);
        assert_ne!(by("missing cloned"), [parent]);
        assert!(!list(&told).contains("in-vfork"), "{}", list(&told));
        assert_eq!(by("child killed 9"), [parent]);
    }
}

#[test]
fn without_a_pass_forks_and_programs_are_told_too() {
    let told = run("children", 0);
    let parent = told[0].pid;
    assert!(told[0].what.starts_with("exec /"), "{}", list(&told));
    assert_eq!(count(&told, "exec sh -c exit 5"), 1);
    // The children of fork and of a raw clone; the one that is killed does nothing.
    assert_eq!(count(&told, &format!("fork {parent}")), 2, "{}", list(&told));
}

#[test]
fn a_child_given_a_bare_environment_is_traced_all_the_same() {
    let told = run("executes", PASS);
    let instrumented: BTreeSet<u32> =
        told.iter().filter(|told| told.what == "instrumented").map(|told| told.pid).collect();
    // The program itself, six with an empty environment, one with its own LD_PRELOAD, two after clearenv().
    assert_eq!(instrumented.len(), 10, "{}", list(&told));
    assert_eq!(count(&told, "exec failed"), 0);
}

#[test]
fn a_file_reached_through_proc_is_told_by_its_own_name() {
    let told = run("magic", PASS);
    assert_eq!(count(&told, "read target"), 3, "{}", list(&told));
    assert!(!list(&told).contains("/proc/"), "{}", list(&told));
    assert!(!list(&told).contains("/dev/fd"), "{}", list(&told));
}

#[test]
fn a_thread_that_waits_can_still_be_cancelled() {
    run("cancel", PASS);
}

#[test]
fn without_a_pass_changes_are_told_with_what_was_there_before() {
    let told = run("changes", 0);
    assert_told(
        &told,
        &[
            "write new Modify Absent",
            "write new Replace File(416)",
            "write new Modify File(416)",
            "write new Metadata File(416)",
            "delete new Replace File(384)",
            "write newer Replace Absent",
            "write link Replace Absent",
            "read newer",
            "write twin Replace Absent",
            "delete link Replace Symlink",
            "write folder Replace Absent",
            "list folder",
            "delete folder Replace Directory(488)",
            "write stream Replace Absent",
            "missing nothing",
            "write newer Modify File(384)",
            "stat twin",
            "delete twin Replace File(384)",
            "stat newer Replace File(384)",
        ],
    );
    assert!(told.iter().any(|told| told.what.starts_with("write made-")), "{}", list(&told));
    assert_eq!(run("changes", PASS).iter().filter(|told| told.what.contains("Replace")).count(), 0);
}
