use platform::tracing::Capture;
use shm_protocol::access::{AccessKind, Change, Effect, Outcome};
use shm_protocol::calls::Call;
use shm_protocol::path::Joined;
use shm_protocol::record::{Exit, Image};

use super::*;
use crate::trace::accesses::MOST_LOOKS;
use crate::trace::{Changes, Process, ProcessExit};

fn send(collector: &Collector, pid: u32, time_ns: u64, event: Event<'_>) {
    collector.record(&Record { pid, time_ns, event });
}

fn exec(collector: &Collector, pid: u32, time_ns: u64, argv: &[u8]) {
    send(collector, pid, time_ns, Event::Exec(Image { exe: b"/bin/x", cwd: b"/p", argv }));
}

fn read(collector: &Collector, pid: u32, time_ns: u64, path: &[u8]) {
    touch(collector, pid, time_ns, AccessKind::Read, None, path);
}

fn touch(
    collector: &Collector,
    pid: u32,
    time_ns: u64,
    kind: AccessKind,
    change: Option<Change>,
    path: &[u8],
) {
    let path = Joined::absolute(path);
    let access = Access { call: Call::ALL[0], kind, outcome: Outcome::Done, follow: true, change, path };
    send(collector, pid, time_ns, Event::Access(access));
}

fn finish(collector: &Collector) -> Trace {
    let report = CaptureReport { capture: Capture::Seccomp, gaps: vec![], survivors: vec![], dropped: 0 };
    collector.finish(&report, 10_000)
}

fn owner<'t>(trace: &'t Trace, path: &str) -> &'t Process {
    let access = trace.accesses.iter().find(|access| trace.path(access.path) == path.as_bytes());
    trace.process(access.expect("accessed").process).expect("a process")
}

#[test]
fn an_exec_begins_a_process_with_the_same_pid() {
    let collector = Collector::new(1000, None);
    exec(&collector, 7, 1100, b"sh\0-c\0x\0");
    send(&collector, 8, 1200, Event::Fork { parent: 7 });
    read(&collector, 8, 1250, b"/p/forked");
    exec(&collector, 8, 1300, b"cc\0a.c\0");
    read(&collector, 8, 1400, b"/p/a.c");
    send(&collector, 8, 1500, Event::Exit(Exit::Code(3)));
    send(&collector, 7, 1600, Event::Exit(Exit::Code(0)));
    let trace = finish(&collector);
    let summary: Vec<_> = trace
        .processes
        .iter()
        .map(|process| (process.id, process.parent, process.pid, process.exit))
        .collect();
    assert_eq!(
        summary,
        [
            (1, 0, 7, Some(ProcessExit::Exit(Exit::Code(0)))),
            (2, 1, 8, Some(ProcessExit::Exec(3))),
            (3, 2, 8, Some(ProcessExit::Exit(Exit::Code(3)))),
        ]
    );
    assert_eq!(trace.processes[1].argv, trace.processes[0].argv);
    assert_eq!((owner(&trace, "/p/forked").id, owner(&trace, "/p/a.c").id), (2, 3));
    assert_eq!(trace.processes[2].start_ns, 300);
}

#[test]
fn a_record_that_comes_late_belongs_to_the_image_of_its_time() {
    let collector = Collector::new(0, None);
    exec(&collector, 7, 100, b"a\0");
    exec(&collector, 7, 300, b"b\0");
    read(&collector, 7, 200, b"/late");
    read(&collector, 7, 400, b"/after");
    let trace = finish(&collector);
    assert_eq!(owner(&trace, "/late").argv, [b"a"]);
    assert_eq!(owner(&trace, "/after").argv, [b"b"]);
}

#[test]
fn what_the_command_did_to_be_found_is_its_own() {
    let collector = Collector::new(0, None);
    read(&collector, 7, 50, b"/usr/local/bin/cc");
    exec(&collector, 7, 100, b"cc\0");
    let trace = finish(&collector);
    assert_eq!(trace.processes.len(), 1);
    assert_eq!((trace.processes[0].start_ns, trace.processes[0].parent), (50, 0));
}

#[test]
fn a_failed_exec_is_taken_back() {
    let collector = Collector::new(0, None);
    exec(&collector, 7, 100, b"sh\0");
    exec(&collector, 7, 200, b"nothing\0");
    read(&collector, 7, 200, b"/attempt");
    send(&collector, 7, 210, Event::ExecFailed);
    read(&collector, 7, 300, b"/then");
    let trace = finish(&collector);
    assert_eq!(trace.processes.len(), 1);
    assert_eq!(trace.processes[0].exit, None);
    assert_eq!((owner(&trace, "/attempt").id, owner(&trace, "/then").id), (1, 1));
}

#[test]
fn a_pid_that_is_used_again_is_another_process() {
    let collector = Collector::new(0, None);
    exec(&collector, 7, 100, b"sh\0");
    send(&collector, 8, 200, Event::Fork { parent: 7 });
    send(&collector, 8, 300, Event::Exit(Exit::Code(0)));
    send(&collector, 8, 400, Event::Fork { parent: 7 });
    read(&collector, 8, 450, b"/second");
    read(&collector, 8, 250, b"/first");
    let trace = finish(&collector);
    assert_eq!(trace.processes.len(), 3);
    assert_eq!((owner(&trace, "/first").id, owner(&trace, "/second").id), (2, 3));
}

#[test]
fn what_a_process_did_before_its_fork_was_noticed_is_its_own_though_its_pid_was_used_before() {
    let collector = Collector::new(0, None);
    exec(&collector, 7, 100, b"sh\0");
    send(&collector, 8, 200, Event::Fork { parent: 7 });
    send(&collector, 8, 300, Event::Exit(Exit::Code(0)));
    send(&collector, 8, 400, Event::Fork { parent: 7 });
    read(&collector, 8, 350, b"/early");
    let trace = finish(&collector);
    assert_eq!(trace.processes.len(), 3);
    assert_eq!((owner(&trace, "/early").id, owner(&trace, "/early").start_ns), (3, 350));
}

#[test]
fn a_child_seen_by_the_library_before_its_fork_is_noticed_is_one_process() {
    let collector = Collector::new(0, None);
    exec(&collector, 7, 100, b"sh\0");
    read(&collector, 8, 200, b"/early");
    send(&collector, 8, 300, Event::Fork { parent: 7 });
    let trace = finish(&collector);
    assert_eq!(trace.processes.len(), 2);
    assert_eq!((trace.processes[1].parent, trace.processes[1].argv.len()), (1, 1));
}

#[test]
fn forks_that_are_noticed_children_first_are_in_their_places() {
    let collector = Collector::new(0, None);
    exec(&collector, 7, 100, b"sh\0");
    send(&collector, 9, 400, Event::Fork { parent: 8 });
    read(&collector, 8, 300, b"/p/a");
    send(&collector, 8, 500, Event::Fork { parent: 7 });
    send(&collector, 7, 600, Event::Fork { parent: 4 });
    let trace = finish(&collector);
    let parents: Vec<_> =
        trace.processes.iter().map(|process| (process.pid, process.parent, process.argv.len())).collect();
    assert_eq!(parents, [(7, 0, 1), (8, 1, 1), (9, 2, 1)]);
}

#[test]
fn memory_is_bounded_by_distinct_accesses() {
    let collector = Collector::new(0, None);
    exec(&collector, 7, 100, b"sh\0");
    for round in 0..10 {
        for name in 0..100 {
            read(&collector, 7, 200 + round, format!("/p/./d/../{name}").as_bytes());
        }
    }
    assert_eq!(collector.state().names.climbs_kept(), (100, 1));
    let trace = finish(&collector);
    assert_eq!((trace.accesses.len(), trace.paths.len(), trace.accesses[0].count), (100, 100, 10));
    assert_eq!(trace.processes.len(), 1);
}

#[test]
fn repeats_are_counted_and_the_first_change_says_what_was_there_before() {
    let collector = Collector::new(0, None);
    exec(&collector, 7, 100, b"sh\0");
    let change = |effect, before| Some(Change { effect, before });
    touch(&collector, 7, 300, AccessKind::Write, change(Effect::Modify, Before::File(0o600)), b"/out");
    touch(&collector, 7, 200, AccessKind::Write, change(Effect::Replace, Before::Absent), b"/out");
    let trace = finish(&collector);
    assert_eq!(trace.accesses.len(), 1);
    let access = trace.accesses[0];
    assert_eq!((access.count, access.first_ns), (2, 200));
    let expected =
        Changes { before: Before::Absent, replaced_ns: Some(200), modified_ns: Some(300), metadata_ns: None };
    assert_eq!(access.changes, Some(expected));
}

#[test]
fn names_of_one_path_are_one_access() {
    let collector = Collector::new(0, None);
    exec(&collector, 7, 100, b"sh\0");
    for path in [&b"/p/a"[..], b"/p//a", b"/p/./a", b"/q/../p/a"] {
        read(&collector, 7, 200, path);
    }
    let trace = finish(&collector);
    assert_eq!(trace.paths, [b"/p/a"].into_iter().collect());
    assert_eq!(trace.accesses[0].count, 4);
}

#[test]
fn climbing_out_of_a_link_touches_where_it_really_leads() {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path().canonicalize().expect("there");
    std::fs::create_dir_all(root.join("real/inner")).expect("made");
    files::symlink(Path::new("real/inner"), &root.join("link")).expect("made");
    let collector = Collector::new(0, None);
    let bytes = |name: &str| files::bytes_of_path(&root.join(name)).to_vec();
    read(&collector, 7, 300, &bytes("link/../file"));
    read(&collector, 7, 200, &bytes("link/../other"));
    // Where it led when it was used is what counts.
    std::fs::remove_file(root.join("link")).expect("removed");
    read(&collector, 7, 400, &bytes("link/../file"));
    let trace = finish(&collector);
    let looked = |path: &str| {
        let access = trace.accesses.iter().find(|access| trace.path(access.path) == bytes(path));
        access.map(|access| (access.is_name_only(), access.count))
    };
    assert_eq!(looked("real/file"), Some((false, 2)));
    assert_eq!(looked("file"), Some((true, 2)));
    let climbs: Vec<_> = trace.climbs.iter().map(|climb| (climb.path.clone(), climb.first_ns)).collect();
    assert_eq!(climbs, [(bytes("link/.."), 200)]);
}

#[test]
fn climbing_out_of_a_folder_touches_what_the_name_says() {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path().canonicalize().expect("there");
    std::fs::create_dir_all(root.join("real/inner")).expect("made");
    files::symlink(Path::new("real"), &root.join("link")).expect("made");
    let collector = Collector::new(0, None);
    let bytes = |name: &str| files::bytes_of_path(&root.join(name)).to_vec();
    for name in ["real/inner/../file", "link/inner/../file", "gone/../file", "link/..hidden/..x"] {
        read(&collector, 7, 200, &bytes(name));
    }
    let trace = finish(&collector);
    let mut paths: Vec<&[u8]> = trace.paths.iter().collect();
    paths.sort_unstable();
    assert_eq!(paths, ["file", "link/..hidden/..x", "link/file", "real/file"].map(bytes));
    assert!(trace.accesses.iter().all(|access| !access.is_name_only()));
    assert_eq!(trace.climbs.len(), 3);
}

#[test]
fn a_link_named_as_a_folder_is_followed() {
    for (name, is_followed) in [("/p/link", false), ("/p/link/", true), ("/p/link/.", true)] {
        let collector = Collector::new(0, None);
        let path = Joined::absolute(name.as_bytes());
        let (kind, outcome) = (AccessKind::Stat, Outcome::Done);
        let access = Access { call: Call::ALL[0], kind, outcome, follow: false, change: None, path };
        send(&collector, 7, 200, Event::Access(access));
        assert_eq!(finish(&collector).accesses[0].follow, is_followed, "{name}");
    }
}

#[test]
fn the_content_before_the_first_change_is_taken_if_nothing_changed_the_file_since_the_run_began() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    std::fs::write(at("old"), "before").expect("written");
    let started = files::clock_barrier(&at("clock")).expect("a barrier");
    std::fs::write(at("new"), "after").expect("written");
    let collector = Collector::new(0, Some(started));
    for name in ["old", "new"] {
        let path = at(name);
        let path = &*files::bytes_of_path(&path);
        collector.before_change(path, true);
        std::fs::write(at(name), "changed").expect("written");
        collector.before_change(path, true);
        touch(&collector, 7, 200, AccessKind::Write, None, path);
    }
    let trace = finish(&collector);
    let old: Vec<_> = trace.old_contents.iter().map(|(path, digest)| (trace.path(*path), *digest)).collect();
    assert_eq!(old, [(&*files::bytes_of_path(&at("old")), Digest::of(b"before"))]);
}

#[test]
fn reading_a_directory_is_asking_for_its_metadata() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| files::bytes_of_path(&folder.path().join(name)).to_vec();
    for name in ["plain", "listed", "entered", "looked at"] {
        std::fs::create_dir(folder.path().join(name)).expect("made");
    }
    for files in [0, MOST_LOOKS] {
        let collector = Collector::new(0, None);
        for name in ["plain", "listed", "entered", "looked at", "gone", "file"] {
            read(&collector, 7, 200, &at(name));
        }
        touch(&collector, 7, 300, AccessKind::List, None, &at("listed"));
        touch(&collector, 7, 100, AccessKind::Stat, None, &at("looked at"));
        touch(&collector, 7, 300, AccessKind::Stat, None, &at("looked at/x"));
        for name in ["entered/x", "gone/x"] {
            touch(&collector, 7, 300, AccessKind::Stat, None, &at(name));
        }
        for number in 0..files {
            read(&collector, 7, 200, &at(&format!("{number}")));
        }
        let trace = finish(&collector);
        let kinds = |name: &str| -> Vec<_> {
            let of = trace.accesses.iter().filter(|access| trace.path(access.path) == at(name));
            of.map(|access| (access.kind, access.count, access.first_ns)).collect()
        };
        for name in ["entered", "gone"] {
            assert_eq!(kinds(name), [(AccessKind::Stat, 1, 200)], "{name}");
        }
        assert_eq!(kinds("looked at"), [(AccessKind::Stat, 2, 100)]);
        assert_eq!(kinds("listed"), [(AccessKind::Stat, 1, 200), (AccessKind::List, 1, 300)]);
        assert_eq!(kinds("file"), [(AccessKind::Read, 1, 200)]);
        let plain = if files == 0 { AccessKind::Stat } else { AccessKind::Read };
        assert_eq!(kinds("plain"), [(plain, 1, 200)]);
    }
}
