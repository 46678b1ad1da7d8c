//! The whole way with faked programs: run, keep, look up, restore.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod fake;

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use fake::{Came, Program, World};
use platform::files;
use shm_protocol::access::AccessKind;
use tracerun::archive::Mtime;
use tracerun::cache::{Difference, Lookup, MissReason, Missed, Stream};
use tracerun::explain;

fn build(p: &mut Program) {
    p.compile(&["a.c", "a.h"], "a.o");
    p.process("ld");
    p.look("a.o", AccessKind::Read, true);
    p.make_folder("bin");
    p.write("bin/prog", "program");
    p.chmod("bin/prog", 0o755);
    p.link("prog", "bin/link");
    p.make_folder("bin/empty");
    p.chmod("bin/empty", 0o500);
}

fn world() -> World {
    let world = World::new();
    world.put("a.c", "code");
    world.put("a.h", "header 1");
    world
}

fn clean(world: &World) {
    for name in ["a.o", "bin/prog", "bin/link"] {
        world.remove(name);
    }
    fs::remove_dir(world.at("bin/empty")).unwrap();
    fs::remove_dir(world.at("bin")).unwrap();
}

/// The first reason of a miss, as people read it, with the root cut out.
fn first(world: &World, reasons: &[MissReason]) -> String {
    explain::miss(&reasons[0]).replace(&format!("{}/", world.root.display()), "")
}

#[test]
fn the_second_run_hits_and_restores_what_was_deleted() {
    let world = world();
    assert_eq!(world.misses(build), [MissReason::FirstRun]);
    clean(&world);
    let Came::Hit(restored, terminal) = world.run(|_| panic!("a miss")) else { panic!("a miss") };
    assert_eq!((restored.written, restored.already), (5, 0));
    assert_eq!(world.get("a.o"), "compiled codeheader 1");
    assert_eq!(files::identity(&world.at("bin/prog"), false).unwrap().mode, 0o755);
    assert_eq!(files::identity(&world.at("bin/empty"), false).unwrap().mode, 0o500);
    assert_eq!(fs::read_link(world.at("bin/link")).unwrap(), Path::new("prog"));
    let replayed: Vec<_> = terminal.iter().map(|chunk| (chunk.stream, &chunk.bytes[..])).collect();
    assert_eq!(replayed, [(Stream::Stdout, &b"built\n"[..]), (Stream::Stderr, b"warning\n")]);
}

#[test]
fn outputs_that_are_right_already_are_not_touched() {
    let world = world();
    world.misses(build);
    let before = files::identity(&world.at("bin/prog"), false).unwrap();
    let restored = world.hits();
    assert_eq!((restored.written, restored.already), (0, 5));
    assert_eq!(files::identity(&world.at("bin/prog"), false).unwrap(), before);
    world.remove("a.o");
    let restored = world.hits();
    assert_eq!((restored.written, restored.already, restored.bytes), (1, 4, 21));
    // It was made after what has just been put back, or at the same time, and is as new.
    let now = files::identity(&world.at("bin/prog"), false).unwrap();
    assert_eq!(now.inode, before.inode);
    assert!(now.mtime_ns >= files::identity(&world.at("a.o"), false).unwrap().mtime_ns);
}

#[test]
fn a_changed_input_misses_by_name_and_changed_back_it_hits_without_running() {
    let world = world();
    world.misses(build);
    clean(&world);
    world.put("a.h", "header 2");
    let reasons = world.misses(build);
    assert_eq!(first(&world, &reasons), "a.h changed (read by `cc`)");
    world.put("a.h", "header 1");
    // In place are the objects of the other header.
    let restored = world.hits();
    assert_eq!((restored.written, restored.already), (1, 4));
    assert_eq!(world.get("a.o"), "compiled codeheader 1");
    world.put("a.h", "header 2");
    world.hits();
    assert_eq!(world.get("a.o"), "compiled codeheader 2");
}

#[test]
fn an_output_that_a_later_run_updates_in_place_is_an_input_of_it_as_it_was() {
    let world = world();
    let library = |p: &mut Program| {
        p.compile(&["a.c", "a.h"], "a.o");
        p.process("ar");
        let old = p.read("lib.a");
        let object = p.read("a.o");
        p.write("lib.tmp", &format!("{} {object}", old.len()));
        p.rename("lib.tmp", "lib.a");
        p.append("log", "built\n");
    };
    world.misses(library);
    world.put("a.h", "header 2");
    let reasons = world.misses(library);
    assert_eq!(first(&world, &reasons), "a.h changed (read by `cc`)");
    let second = world.get("lib.a");
    world.put("a.h", "header 1");
    world.hits();
    assert_eq!(world.get("lib.a"), "0 compiled codeheader 1");
    assert_eq!(world.get("log"), "built\n");
    // What the second run found is there again, and so is what it read.
    world.put("a.h", "header 2");
    world.hits();
    assert_eq!((world.get("lib.a"), world.get("log")), (second, "built\nbuilt\n".to_owned()));
    // Now it finds what it left, which is not what it read.
    assert!(matches!(world.store.look_up(&world.task).unwrap(), Lookup::Miss(_)));
}

#[test]
fn touching_an_input_is_no_change() {
    let world = world();
    world.misses(build);
    files::set_modified(&world.at("a.h"), SystemTime::now() + Duration::from_secs(60)).unwrap();
    world.put("a.c", "code");
    world.hits();
}

#[test]
fn a_looked_at_output_that_is_neither_as_found_nor_as_left_misses() {
    let world = world();
    world.misses(build);
    world.put("a.o", "made by hand");
    clean_bin(&world);
    let reasons = world.misses(build);
    assert!(
        matches!(&reasons[..], [MissReason::Output { path }] if path.to_string().ends_with("/a.o")),
        "{reasons:?}"
    );
    world.hits();
    fs::remove_file(world.at("a.o")).unwrap();
    fs::create_dir(world.at("a.o")).unwrap();
    assert!(matches!(world.store.look_up(&world.task).unwrap(), Lookup::Miss(_)));
}

fn clean_bin(world: &World) {
    world.remove("bin/prog");
    world.remove("bin/link");
    fs::remove_dir(world.at("bin/empty")).unwrap();
    fs::remove_dir(world.at("bin")).unwrap();
}

#[test]
fn an_output_replaced_unread_may_hold_anything() {
    let world = World::new();
    world.put("a", "1");
    world.put("b", "old");
    let sort = |p: &mut Program| {
        let sorted = p.read("a");
        p.write("b", &sorted);
    };
    world.misses(sort);
    world.put("b", "something else");
    world.hits();
    assert_eq!(world.get("b"), "1");
    files::set_mode(&world.at("b"), 0o600).unwrap();
    world.misses(sort);
}

#[test]
fn a_file_shadowing_a_missing_one_causes_a_miss() {
    let world = World::new();
    world.put("lib/b/x.h", "x");
    let search = |p: &mut Program| {
        p.read("lib/a/x.h");
        p.read("lib/b/x.h");
        p.write("out", "x");
    };
    world.misses(search);
    world.hits();
    world.put("lib/a/x.h", "shadow");
    let reasons = world.misses(search);
    assert_eq!(first(&world, &reasons), "lib/a/x.h was not there and is now (looked for by `build`)");
}

#[test]
fn a_new_name_in_a_listed_folder_causes_a_miss_and_the_runs_own_do_not() {
    let world = World::new();
    world.put("src/a", "a");
    let pack = |p: &mut Program| {
        p.list("src");
        p.write("src/out", "packed");
    };
    world.misses(pack);
    world.hits();
    world.remove("src/out");
    world.hits();
    assert_eq!(world.get("src/out"), "packed");
    world.put("src/b", "b");
    let reasons = world.misses(pack);
    assert_eq!(first(&world, &reasons), "src gained `b` (listed by `build`)");
    world.remove("src/b");
    world.hits();
}

#[test]
fn a_link_retargeted_to_a_file_of_equal_content_causes_a_miss() {
    let world = World::new();
    world.put("one", "same");
    world.put("two", "same");
    files::symlink(Path::new("one"), &world.at("link")).unwrap();
    let copy = |p: &mut Program| {
        let content = p.read("link");
        p.write("out", &content);
    };
    world.misses(copy);
    world.hits();
    world.remove("link");
    files::symlink(Path::new("two"), &world.at("link")).unwrap();
    let reasons = world.misses(copy);
    assert_eq!(first(&world, &reasons), "the link link led to one and leads to two (looked at by `build`)");
}

#[test]
fn a_file_that_becomes_a_link_to_equal_content_causes_a_miss() {
    let world = World::new();
    world.put("one", "same");
    world.put("two", "same");
    world.misses(|p| drop(p.read("one")));
    world.remove("one");
    files::symlink(Path::new("two"), &world.at("one")).unwrap();
    assert!(matches!(world.store.look_up(&world.task).unwrap(), Lookup::Miss(_)));
}

#[test]
fn the_mode_of_what_was_executed_or_looked_at_counts_and_of_what_was_read_does_not() {
    let world = World::new();
    world.put("script", "x");
    world.put("data", "x");
    let program = |p: &mut Program| {
        p.look("script", AccessKind::Exec, true);
        p.read("data");
    };
    world.misses(program);
    files::set_mode(&world.at("data"), 0o600).unwrap();
    world.hits();
    files::set_mode(&world.at("script"), 0o755).unwrap();
    let reasons = world.misses(program);
    assert_eq!(first(&world, &reasons), "the mode of script was 0644 and is 0755 (executed by `build`)");
}

#[test]
fn a_deletion_is_repeated_only_where_there_is_something_to_delete() {
    let world = World::new();
    world.put("a", "1");
    let program = |p: &mut Program| p.remove("a");
    world.misses(program);
    assert!(matches!(world.store.look_up(&world.task).unwrap(), Lookup::Miss(_)), "rm would fail");
    world.put("a", "2");
    world.hits();
    assert!(!world.exists("a"));
}

#[test]
fn a_folder_that_an_output_was_put_into_has_to_be_there() {
    let world = World::new();
    fs::create_dir(world.at("out")).unwrap();
    world.misses(|p| p.write("out/a", "x"));
    world.remove("out/a");
    world.hits();
    world.remove("out/a");
    fs::remove_dir(world.at("out")).unwrap();
    assert!(matches!(world.store.look_up(&world.task).unwrap(), Lookup::Miss(_)));
}

#[test]
fn a_folder_of_the_run_with_something_else_in_it_is_not_as_it_was_left() {
    let mut world = world();
    world.misses(build);
    world.put("bin/other", "x");
    let Lookup::Miss(Missed { reasons, .. }) = world.store.look_up(&world.task).unwrap() else {
        panic!("a hit")
    };
    assert!(
        first(&world, &reasons).starts_with("bin/other is in a folder that the run makes"),
        "{reasons:?}"
    );
    world.remove("bin/other");
    world.hits();

    clean(&world);
    world.task.policy.ignore_output.push("bin/other".into());
    world.misses(build);
    world.put("bin/other", "x");
    world.hits();
}

/// A bundler: names its output by content, and clears its folder if that is there.
fn bundle(p: &mut Program) {
    let code = p.read("main.js");
    p.stat("dist");
    if p.at("dist").exists() {
        p.list("dist");
        let names: Vec<_> =
            fs::read_dir(p.at("dist")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        for name in names {
            let name = format!("dist/{}", name.to_str().unwrap());
            p.look(&name, AccessKind::Stat, false);
            p.remove(&name);
        }
    } else {
        p.make_folder("dist");
    }
    p.write(&format!("dist/{code}.js"), &code);
}

#[test]
fn a_bundler_that_clears_its_folder_hits_with_its_output_in_place_and_never_leaves_old_output() {
    let world = World::new();
    world.put("main.js", "one");
    world.misses(bundle);
    world.hits();
    world.put("main.js", "two");
    world.misses(bundle);
    assert!(!world.exists("dist/one.js"));
    // It found other files than it left.
    world.misses(bundle);
    world.hits();
    world.put("main.js", "one");
    world.misses(bundle);
    assert!(world.exists("dist/one.js") && !world.exists("dist/two.js"));
    fs::remove_dir_all(world.at("dist")).unwrap();
    world.hits();
    assert_eq!(world.get("dist/one.js"), "one");
}

#[test]
fn a_miss_names_the_variable_that_changed() {
    let mut world = world();
    world.misses(build);
    world.task.environment[1].1 = "release".into();
    world.task.environment.push(("NEW".into(), "1".into()));
    let Lookup::Miss(Missed { reasons, .. }) = world.store.look_up(&world.task).unwrap() else {
        panic!("a hit")
    };
    let variable = |name: &str, difference| MissReason::Variable { name: name.as_bytes().into(), difference };
    assert_eq!(reasons, [variable("MODE", Difference::Content), variable("NEW", Difference::Appeared)]);
    world.task.environment.truncate(1);
    world.task.umask = 0o77;
    let Lookup::Miss(Missed { reasons, .. }) = world.store.look_up(&world.task).unwrap() else {
        panic!("a hit")
    };
    let gone = variable("MODE", Difference::Disappeared);
    assert_eq!(reasons, [gone, MissReason::Umask { before: 0o22, now: 0o77 }]);
}

/// Every file of the store below this folder.
fn stored(world: &World, folder: &str) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![world.store.path().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { found.push(path) }
        }
    }
    found
}

#[test]
fn damage_in_the_store_is_a_miss_and_heals() {
    for folder in ["keys", "sets", "results"] {
        let world = world();
        world.misses(build);
        for path in stored(&world, folder) {
            let mut bytes = fs::read(&path).unwrap();
            *bytes.last_mut().unwrap() ^= 1;
            fs::write(&path, bytes).unwrap();
        }
        clean(&world);
        let reasons = world.misses(build);
        assert!(reasons.contains(&MissReason::Damaged), "{folder}: {reasons:?}");
        world.hits();
    }
}

#[test]
fn a_damaged_content_is_never_restored() {
    let world = world();
    world.misses(build);
    clean(&world);
    for path in stored(&world, "packs") {
        let length = fs::metadata(&path).unwrap().len() as usize;
        fs::write(&path, vec![b'?'; length]).unwrap();
    }
    let Lookup::Hit(entry) = world.store.look_up(&world.task).unwrap() else { panic!("a miss") };
    assert!(entry.terminal(&world.store).is_err());
    assert!(entry.restore(&world.store, Mtime::Now).is_err());
    assert!(!world.exists("a.o"));
    let leftovers = fs::read_dir(&world.root)
        .unwrap()
        .filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().starts_with(".tracerun"));
    assert_eq!(leftovers.count(), 0);

    // The command runs instead, and what it makes is kept again.
    for path in stored(&world, "packs") {
        fs::remove_file(path).unwrap();
    }
    if world.exists("bin") {
        fs::remove_dir(world.at("bin")).unwrap();
    }
    world.keep(&world.judge(build).unwrap());
    clean(&world);
    world.hits();
}

#[test]
fn a_cleared_store_knows_nothing_and_works() {
    let world = world();
    world.misses(build);
    let stats = world.store.stats().unwrap();
    assert_eq!((stats.keys, stats.results), (1, 1));
    assert!(stats.contents >= 1 && stats.bytes > 0, "{stats:?}");
    fs::create_dir_all(world.store.library_folder()).unwrap();
    world.store.clear().unwrap();
    assert!(world.store.library_folder().exists());
    assert_eq!(world.store.stats().unwrap(), tracerun::cache::Stats::default());
    clean(&world);
    assert_eq!(world.misses(build), [MissReason::FirstRun]);
    world.hits();
}

#[test]
fn many_at_once_keep_and_find_their_runs() {
    let world = World::new();
    fs::create_dir(world.at("out")).unwrap();
    std::thread::scope(|scope| {
        for number in 0..16 {
            let world = &world;
            scope.spawn(move || {
                let name = format!("{number}.c");
                world.put(&name, &name);
                let mut task = world.task.clone();
                task.argv = vec!["cc".into(), name.as_str().into()];
                let footprint = world.judge(|p| {
                    let code = p.read(&name);
                    p.write(&format!("out/{number}.o"), &code);
                });
                let footprint = footprint.unwrap_or_else(|why| panic!("not cached: {why:?}"));
                for _ in 0..3 {
                    world.store.keep(&task, &footprint, &[], &fake::ended(&task)).unwrap();
                    assert!(matches!(world.store.look_up(&task).unwrap(), Lookup::Hit(_)));
                }
            });
        }
    });
    assert_eq!(world.store.stats().unwrap().results, 16);
}

#[test]
fn a_hit_takes_little_time() {
    let world = World::new();
    for number in 0..2000 {
        world.put(&format!("in/{number}"), "some content");
    }
    world.misses(|p| {
        for number in 0..2000 {
            p.read(&format!("in/{number}"));
        }
        p.write("out", "x");
    });
    let began = std::time::Instant::now();
    world.hits();
    // A bound that only a second look at each file, or worse, would break, even in a debug build.
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
}
