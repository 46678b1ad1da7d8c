//! Each program of `tests/programs` does one nasty thing; its trace must show what its header promises.

use std::collections::BTreeSet;

use tracerun_tests::program;

/// One test for each program, and the list of them all.
macro_rules! programs {
    ($($name:ident)*) => {
        $(
            #[test]
            fn $name() {
                program::check(stringify!($name));
            }
        )*

        const ALL: &[&str] = &[$(stringify!($name)),*];
    };
}

programs! {
    open_variants fortified_open openat_after_rename renamed_cwd fchdir_in_thread clone_shared fopen_modes
    list_directories tree_walks temporary_files looked_up links_and_names exchange nameless_file changed_in_place made_in_nothing
    extended_attributes attributes_by_descriptor spawn_elsewhere vfork_children fork_without_exec raw_syscalls old_syscalls inline_syscalls static_program strict_filter
    without_libc empty_environment deleted_cwd descriptors_closed threads signal_handler loaded_library exec_by_descriptor
    script_chain odd_names long_path deeper_than_a_path chdir_relative dotdot_after_link names_through_proc deep_walk
    with_musl name_service outside_main own_filter not_dumpable bad_pointers killed_in_the_middle late_daemon
    unix_socket bound_socket datagrams thirty_two_bit thirty_two_bit_dynamic thirty_two_bit_calls x32_calls
    own_preload own_listener address_sanitizer setuid_program near_arg_max cancelled_thread preempted
    own_namespace own_mount pid_namespace passed_descriptor descriptor_reused opened_by_handle changed_root changed_root_dynamic opened_beneath own_directories io_uring
}

#[test]
fn every_program_is_tested() {
    let files = std::fs::read_dir(program::folder()).expect("the folder of the programs");
    let files = files.map(|entry| entry.expect("an entry").path());
    let sources = files.filter(|path| path.extension().is_some_and(|extension| extension == "c"));
    let names: BTreeSet<String> =
        sources.map(|path| path.file_stem().expect("a name").to_string_lossy().into_owned()).collect();
    assert_eq!(names, ALL.iter().map(ToString::to_string).collect());
}
