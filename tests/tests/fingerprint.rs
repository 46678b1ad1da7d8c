//! What a hit depends on: states of the file system in which it must, and must not, come. Most were found by the hunt.

use std::fs;

use tracerun_tests::sandbox::Sandbox;

fn sh(script: &str) -> [&str; 3] {
    ["sh", "-c", script]
}

#[test]
fn what_stands_where_the_run_made_something_for_a_while_causes_a_miss() {
    let sandbox = Sandbox::new();
    let script = sh("mkdir out && rmdir out && echo fine");
    sandbox.run(&script).assert_stored();
    sandbox.run(&script).assert_hit();
    sandbox.write("out/stranger", "");
    assert_eq!(sandbox.run(&script).status, 1);
}

#[test]
fn what_was_appended_to_a_new_file_is_appended_again_where_it_is_in_place() {
    let sandbox = Sandbox::new();
    let script = sh("echo line >> log");
    sandbox.run(&script).assert_stored();
    sandbox.run(&script).assert_stored();
    assert_eq!(sandbox.read("log"), "line\nline\n");
    fs::remove_file(sandbox.path("log")).expect("there");
    sandbox.run(&script).assert_hit();
    assert_eq!(sandbox.read("log"), "line\n");
}

#[test]
fn a_lock_that_stays_empty_is_in_nobodys_way() {
    let sandbox = Sandbox::new();
    sandbox.write("in", "1\n");
    let script = sh("exec 9>> lock; cat in > out");
    sandbox.run(&script).assert_stored();
    sandbox.run(&script).assert_hit();
}

#[test]
fn a_file_in_the_place_of_a_folder_that_was_not_there_causes_a_miss() {
    let sandbox = Sandbox::new();
    let script = sh("cat a/b; true");
    assert!(sandbox.run(&script).stderr.contains("No such file"));
    sandbox.run(&script).assert_hit();
    sandbox.write("a", "");
    assert!(sandbox.run(&script).stderr.contains("Not a directory"));
}

#[test]
fn what_was_looked_for_below_an_output_is_still_not_there() {
    let sandbox = Sandbox::new();
    let script = sh("test -e out/below || echo made > out");
    sandbox.run(&script).assert_stored();
    sandbox.run(&script).assert_hit();
}
