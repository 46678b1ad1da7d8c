//! What the library file is, seen from outside.

#![cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]

mod common;

use std::collections::BTreeSet;
use std::process::Command;

fn output_of(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).arg(common::library()).output().expect(program);
    assert!(output.status.success());
    String::from_utf8(output.stdout).expect("text")
}

/// The dynamic symbols that `nm` lists so.
fn symbols(which: &str) -> BTreeSet<String> {
    let listed = output_of("nm", &["-D", which]);
    listed.lines().filter_map(|line| line.split_whitespace().next_back()).map(String::from).collect()
}

#[test]
fn it_needs_no_other_library_and_its_size_is_bounded() {
    let dynamic = output_of("readelf", &["-d"]);
    assert!(!dynamic.contains("NEEDED"), "{dynamic}");
    assert!(dynamic.contains("BIND_NOW"), "{dynamic}");
    let bytes = std::fs::metadata(common::library()).expect("it was built").len();
    assert!(bytes < 100 << 10, "{bytes} bytes");
}

#[test]
fn it_asks_a_libc_for_little_and_cannot_panic() {
    // What every libc has (or, weak, what one of them has). A symbol with "panic" in its name would be a panic that was
    // not optimised away.
    let allowed = [
        "__errno_location",
        "__libc_dlopen_mode",
        "__libc_dlsym",
        "__libc_single_threaded",
        "clock_gettime",
        "dlsym",
        "environ",
        "pthread_testcancel",
    ];
    let more: Vec<_> =
        symbols("--undefined-only").into_iter().filter(|name| !allowed.contains(&name.as_str())).collect();
    assert!(more.is_empty(), "{more:?}");
}

#[test]
fn it_takes_the_place_of_the_functions_it_means_to_and_of_no_other() {
    macro_rules! names {
        ($($function:ident($($argument:ident),*) = $call:ident($($register:expr),*);)*) => {
            &[$(stringify!($function)),*]
        };
    }
    let table: &[&str] = shm_protocol::interposed_functions!(names);
    let by_hand = [
        "__fxstat",
        "__fxstat64",
        "__vfork",
        "clone",
        "dl_iterate_phdr",
        "execv",
        "execve",
        "execveat",
        "execvp",
        "execvpe",
        "fexecve",
        "fopen",
        "fopen64",
        "freopen",
        "freopen64",
        "fstat",
        "fstat64",
        "mkdtemp",
        "mkfifo",
        "mkostemp",
        "mkstemp",
        "mkstemp64",
        "opendir",
        "posix_spawn",
        "posix_spawnp",
        "prctl",
        "realpath",
        "remove",
        "scandir",
        "scandir64",
        "syscall",
        "utimensat",
        "utimes",
        "vfork",
        "wait",
        "wait3",
        "wait4",
        "waitid",
        "waitpid",
    ];
    let expected: BTreeSet<String> = table.iter().chain(&by_hand).map(|&name| name.into()).collect();
    assert_eq!(symbols("--defined-only"), expected);
}
