//! What counts as input and output of a run, and when a run cannot be cached.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod fake;

use std::fs;
use std::path::Path;

use fake::World;
use platform::files;
use shm_protocol::access::{AccessKind, Before, Gap};
use tracerun::archive::{Left, Look};
use tracerun::fingerprint::{Digest, InputState};
use tracerun::footprint::{Footprint, Uncacheable};
use tracerun::trace::{Climbed, TraceGap};

/// The inputs under the root as `kind name`, sorted as in the path set.
fn inputs(world: &World, footprint: &Footprint) -> Vec<String> {
    let root = format!("{}/", world.root.display());
    let observations = footprint.inputs.path_set.observations.iter();
    let named = observations.filter_map(|observation| {
        let path = observation.path.to_string();
        Some(format!("{} {}", observation.kind.name(), path.strip_prefix(&root)?))
    });
    named.collect()
}

/// The outputs as `what name`.
fn outputs(world: &World, footprint: &Footprint) -> Vec<String> {
    let root = format!("{}/", world.root.display());
    let what = |left: &Left| match left {
        Left::File { .. } => "file",
        Left::Directory { .. } => "folder",
        Left::Symlink { .. } => "link",
        Left::Mode(_) => "mode",
        Left::Absent => "nothing",
    };
    let changed = footprint.outputs.changed.iter();
    changed
        .map(|output| format!("{} {}", what(&output.left), output.path.to_string().replace(&root, "")))
        .collect()
}

fn changed_after_reading(came: Result<Footprint, Uncacheable>) -> String {
    match came {
        Err(Uncacheable::ReadThenChanged { path, .. }) => {
            Path::new(&path.to_string()).file_name().unwrap().to_str().unwrap().to_owned()
        }
        other => panic!("{other:?}"),
    }
}

fn changed_by_others(came: Result<Footprint, Uncacheable>) -> String {
    match came {
        Err(Uncacheable::ChangedMeanwhile { path, .. }) => {
            Path::new(&path.to_string()).file_name().unwrap().to_str().unwrap().to_owned()
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_a_run_creates_and_then_reads_is_no_input() {
    let world = World::new();
    world.put("a", "a");
    let footprint = world
        .judge(|p| {
            p.read("a");
            p.write("b", "b");
            p.read("b");
            p.stat("b");
        })
        .unwrap();
    assert_eq!(inputs(&world, &footprint), ["read a"]);
    assert_eq!(outputs(&world, &footprint), ["file b"]);
    assert_eq!(footprint.outputs.changed[0].look, Look::None);
}

#[test]
fn an_output_that_was_looked_at_first_is_told_from_one_that_was_not() {
    let world = World::new();
    world.put("old", "x");
    let footprint = world
        .judge(|p| {
            p.stat("new");
            p.stat("old");
            p.write("new", "1");
            p.write("old", "2");
        })
        .unwrap();
    assert!(inputs(&world, &footprint).is_empty(), "{footprint:?}");
    let looked: Vec<_> =
        footprint.outputs.changed.iter().map(|output| (output.before, output.look)).collect();
    assert_eq!(looked, [(Before::Absent, Look::Metadata), (Before::File(0o644), Look::Metadata)]);
}

#[test]
fn a_file_that_is_read_and_then_replaced_or_changed_in_place_makes_a_run_uncacheable() {
    let world = World::new();
    world.put("a", "a");
    assert_eq!(
        changed_after_reading(world.judge_without_contents(|p| {
            p.read("a");
            p.write("a", "new");
        })),
        "a"
    );
    assert_eq!(changed_after_reading(world.judge_without_contents(|p| p.append("a", "more"))), "a");
    let replaced_first = world.judge(|p| {
        p.write("a", "new");
        p.append("a", "more");
        p.read("a");
    });
    let footprint = replaced_first.unwrap();
    assert!(inputs(&world, &footprint).is_empty());
    assert_eq!(outputs(&world, &footprint), ["file a"]);
}

#[test]
fn a_file_that_is_read_and_then_changed_is_an_input_as_it_was_where_its_content_could_be_had() {
    let world = World::new();
    world.put("a", "a");
    let came = world.judge(|p| {
        p.read("a");
        p.write("a", "new");
    });
    let footprint = came.unwrap();
    assert_eq!(outputs(&world, &footprint), ["file a"]);
    assert_eq!(inputs(&world, &footprint), ["read a", "stat a"]);
    // What opens a file for writing leaves its mode as it is.
    let old = |mode| InputState::File { digest: Digest::of(b"a"), mode };
    assert_eq!(footprint.inputs.states, [old(None), old(Some(0o644))]);
}

#[test]
fn a_file_that_is_opened_for_writing_and_not_changed_is_an_input_like_any_other() {
    let world = World::new();
    world.put("lock", "x");
    let footprint = world
        .judge(|p| {
            p.read("lock");
            p.append("lock", "");
        })
        .unwrap();
    assert_eq!(inputs(&world, &footprint), ["read lock"]);
    assert!(outputs(&world, &footprint).is_empty());
}

#[test]
fn a_temporary_file_is_nothing_and_what_was_not_there_still_counts() {
    let world = World::new();
    let footprint = world
        .judge(|p| {
            p.stat("tmp");
            p.write("tmp", "x");
            p.read("tmp");
            p.remove("tmp");
        })
        .unwrap();
    assert_eq!(inputs(&world, &footprint), ["missing tmp"]);
    assert!(outputs(&world, &footprint).is_empty());
}

#[test]
fn a_file_written_aside_and_renamed_is_an_output_at_its_last_place() {
    let world = World::new();
    let footprint = world
        .judge(|p| {
            p.write("out.tmp", "x");
            p.rename("out.tmp", "out");
        })
        .unwrap();
    assert_eq!(outputs(&world, &footprint), ["file out"]);
    // That nothing stood there: it would be gone now.
    assert_eq!(inputs(&world, &footprint), ["missing out.tmp"]);
}

#[test]
fn what_was_there_before_and_is_moved_away_was_read() {
    let world = World::new();
    world.put("a", "a");
    world.put("folder/a", "a");
    assert_eq!(changed_after_reading(world.judge_without_contents(|p| p.rename("a", "b"))), "a");
    // It is found out by what it holds, before it is asked who read the folder.
    match world.judge_without_contents(|p| p.rename("folder", "moved")) {
        Err(Uncacheable::FolderMoved { path, .. }) => assert!(path.ends_with(b"/moved")),
        other => panic!("{other:?}"),
    }
}

#[test]
fn everything_in_a_folder_that_was_made_aside_and_renamed_is_an_output() {
    let world = World::new();
    let footprint = world
        .judge(|p| {
            p.make_folder("tmp");
            p.make_folder("tmp/sub");
            p.write("tmp/sub/a", "a");
            p.link("sub/a", "tmp/link");
            p.stat("out/sub/a");
            p.rename("tmp", "out");
            p.read("out/sub/a");
        })
        .unwrap();
    assert_eq!(
        outputs(&world, &footprint),
        ["folder out", "link out/link", "folder out/sub", "file out/sub/a"]
    );
    assert_eq!(inputs(&world, &footprint), ["missing tmp"]);
}

#[test]
fn what_others_put_into_a_folder_that_the_run_made_is_no_output() {
    let world = World::new();
    let footprint = world
        .judge(|p| {
            p.make_folder("out");
            p.write("out/a", "a");
            fs::write(p.at("out/strange"), "x").unwrap();
        })
        .unwrap();
    assert_eq!(outputs(&world, &footprint), ["folder out", "file out/a"]);
}

#[test]
fn an_input_that_someone_else_changed_meanwhile_makes_a_run_uncacheable() {
    let world = World::new();
    world.put("a", "a");
    world.put("folder/a", "a");
    assert_eq!(
        changed_by_others(world.judge(|p| {
            p.read("a");
            fs::write(p.at("a"), "new").unwrap();
        })),
        "a"
    );
    assert_eq!(
        changed_by_others(world.judge(|p| {
            p.read("a");
            fs::remove_file(p.at("a")).unwrap();
        })),
        "a"
    );
    assert_eq!(
        changed_by_others(world.judge(|p| {
            p.stat("b");
            fs::write(p.at("b"), "new").unwrap();
        })),
        "b"
    );
    assert_eq!(
        changed_by_others(world.judge(|p| {
            p.list("folder");
            fs::write(p.at("folder/new"), "").unwrap();
        })),
        "folder"
    );
    assert_eq!(
        changed_by_others(world.judge(|p| {
            p.list("folder");
            p.write("folder/own", "");
            fs::write(p.at("folder/strange"), "").unwrap();
        })),
        "strange"
    );
}

#[test]
fn a_listing_is_as_it_was_before_the_run() {
    let world = World::new();
    world.put("folder/a", "a");
    let listed = |footprint: &Footprint| {
        let index =
            footprint.inputs.path_set.observations.iter().position(|o| o.kind == AccessKind::List).unwrap();
        footprint.inputs.states[index].clone()
    };
    let before = listed(&world.judge(|p| p.list("folder")).unwrap());
    let footprint = world
        .judge(|p| {
            p.list("folder");
            p.write("folder/new", "x");
            p.write("folder/tmp", "x");
            p.remove("folder/tmp");
        })
        .unwrap();
    assert_eq!(listed(&footprint), before);
    assert_eq!(outputs(&world, &footprint), ["file folder/new"]);
}

#[test]
fn a_deleted_file_is_an_output_unless_it_was_looked_at() {
    let world = World::new();
    world.put("a", "a");
    world.put("b", "b");
    let footprint = world.judge(|p| p.remove("a")).unwrap();
    assert_eq!(outputs(&world, &footprint), ["nothing a"]);
    assert_eq!(
        changed_after_reading(world.judge_without_contents(|p| {
            p.stat("b");
            p.remove("b");
        })),
        "b"
    );
}

#[test]
fn a_removed_folder_was_empty_but_for_what_was_removed() {
    let world = World::new();
    world.put("folder/a", "a");
    let footprint = world
        .judge(|p| {
            p.list("folder");
            p.remove("folder/a");
            p.remove("folder");
        })
        .unwrap();
    assert_eq!(outputs(&world, &footprint), ["nothing folder", "nothing folder/a"]);
    assert_eq!(inputs(&world, &footprint), ["list folder"]);
}

#[test]
fn a_changed_mode_is_an_output_and_the_content_an_input() {
    let world = World::new();
    world.put("script", "x");
    let footprint = world
        .judge(|p| {
            p.stat("script");
            p.chmod("script", 0o755);
            p.look("script", AccessKind::Exec, true);
        })
        .unwrap();
    assert_eq!(inputs(&world, &footprint), ["read script", "stat script"]);
    assert_eq!(outputs(&world, &footprint), ["mode script"]);
    let same = world.judge(|p| p.chmod("script", 0o755)).unwrap();
    assert!(outputs(&world, &same).is_empty());
}

#[test]
fn paths_are_compared_by_where_they_lead() {
    let world = World::new();
    world.put("real/a", "a");
    files::symlink(Path::new("real"), &world.at("link")).unwrap();
    assert_eq!(
        changed_after_reading(world.judge_without_contents(|p| {
            p.read("link/a");
            p.write("real/a", "new");
        })),
        "a"
    );
    let footprint = world
        .judge(|p| {
            p.write("link/new", "x");
            p.read("real/new");
        })
        .unwrap();
    assert_eq!(inputs(&world, &footprint), ["stat link", "stat real"]);
    assert_eq!(outputs(&world, &footprint), ["file real/new"]);
}

#[test]
fn every_link_on_the_way_is_an_input() {
    let world = World::new();
    world.put("real/a", "a");
    files::symlink(Path::new("real"), &world.at("link")).unwrap();
    files::symlink(Path::new("link/a"), &world.at("file")).unwrap();
    let footprint = world.judge(|p| drop(p.read("file"))).unwrap();
    assert_eq!(inputs(&world, &footprint), ["read file", "stat file", "stat link"]);
}

#[test]
fn what_decides_where_a_name_with_dots_leads_is_an_input() {
    let world = World::new();
    world.put("real/inner/a", "a");
    world.put("file", "f");
    files::symlink(Path::new("real/inner"), &world.at("link")).unwrap();
    let climb = |way: &str, remove: bool| {
        let path = files::bytes_of(world.at(way).as_os_str()).to_vec();
        let remove_link = |p: &mut fake::Program| {
            if remove {
                p.remove("link");
            }
        };
        world.judge_trace(remove_link, |trace| trace.climbs.push(Climbed { path, process: 1, first_ns: 0 }))
    };
    for (way, expected) in [
        ("link/..", "stat link"),
        ("real/gone/../..", "missing real/gone"),
        ("file/../..", "stat file"),
        ("link/gone/..", "missing real/inner/gone"),
    ] {
        let inputs = inputs(&world, &climb(way, false).unwrap());
        assert!(inputs.iter().any(|input| input == expected), "{way}: {inputs:?}");
    }
    assert_eq!(changed_after_reading(climb("link/..", true)), "link");
}

#[test]
fn what_is_read_through_a_link_of_the_run_is_named_by_its_place() {
    let world = World::new();
    world.put("real/a", "a");
    let footprint = world
        .judge(|p| {
            p.link("real", "link");
            p.read("link/a");
        })
        .unwrap();
    assert_eq!(inputs(&world, &footprint), ["read real/a"]);
    assert_eq!(outputs(&world, &footprint), ["link link"]);
}

#[test]
fn what_was_reached_through_a_link_that_is_gone_is_not_known() {
    let world = World::new();
    world.put("real/a", "a");
    world.put("other/a", "b");
    assert_eq!(
        changed_after_reading(world.judge_without_contents(|p| {
            p.link("real", "link");
            p.read("link/a");
            p.remove("link");
        })),
        "link"
    );
    files::symlink(Path::new("real"), &world.at("link")).unwrap();
    assert_eq!(
        changed_after_reading(world.judge_without_contents(|p| {
            p.read("link/a");
            p.link("other", "next");
            p.rename("next", "link");
        })),
        "link"
    );
    let after = world.judge(|p| {
        p.link("other", "next");
        p.rename("next", "link");
        p.read("link/a");
    });
    assert_eq!(inputs(&world, &after.unwrap()), ["missing next", "read other/a"]);
}

#[test]
fn an_output_outside_the_root_makes_a_run_uncacheable_unless_it_is_ignored() {
    let mut world = World::new();
    let came = world.judge(|p| p.write("../outside/a", "x"));
    assert!(matches!(came, Err(Uncacheable::OutputOutsideRoot { .. })), "{came:?}");
    world.task.policy.ignore_output.push("~/a".into());
    let footprint = world.judge(|p| p.write("../outside/a", "x")).unwrap();
    assert!(footprint.outputs.changed.is_empty());
}

#[test]
fn what_is_declared_not_to_count_does_not() {
    let mut world = World::new();
    world.put("cache/state", "1");
    world.put("noise.log", "x");
    world.task.policy.ignore_input = vec!["cache".into(), "*.log".into()];
    world.task.policy.ignore_output = vec!["cache".into()];
    let program = |p: &mut fake::Program| {
        p.read("noise.log");
        p.read("cache/state");
        p.append("cache/state", "2");
        p.write("cache/new", "x");
        p.write("out", "x");
    };
    let footprint = world.judge(program).unwrap();
    assert_eq!(inputs(&world, &footprint), [] as [&str; 0]);
    assert_eq!(outputs(&world, &footprint), ["file out"]);
}

#[test]
fn a_trace_that_is_not_complete_is_never_cached() {
    let mut world = World::new();
    let with_gap = |gap| {
        world
            .judge_trace(|_| {}, |trace| trace.gaps.push(TraceGap { gap, process: 1, detail: String::new() }))
    };
    assert!(matches!(with_gap(Gap::ForeignAbi), Err(Uncacheable::Incomplete(_))));
    assert!(matches!(with_gap(Gap::NoFilter), Err(Uncacheable::Incomplete(_))));
    assert!(matches!(world.judge_trace(|_| {}, |t| t.dropped = 1), Err(Uncacheable::Lost(1))));
    let survivor = world.judge_trace(|_| {}, |t| t.survivors.push((7, "sleep".into())));
    assert!(matches!(survivor, Err(Uncacheable::Survivor(_))));
    let network = world.judge_trace(|_| {}, |t| t.network.push((1, "host:80".into())));
    assert!(matches!(network, Err(Uncacheable::Network { .. })));
    let stream = world.judge_trace(|_| {}, |t| t.stream_users.push((1, 63)));
    assert!(matches!(stream, Err(Uncacheable::StreamUsed { number: 63, .. })));

    world.task.policy.trust_preload = true;
    let trusted = |gap| {
        world
            .judge_trace(|_| {}, |trace| trace.gaps.push(TraceGap { gap, process: 1, detail: String::new() }))
    };
    trusted(Gap::NoFilter).unwrap();
    assert!(matches!(trusted(Gap::ForeignAbi), Err(Uncacheable::Incomplete(_))));
}

#[test]
fn devices_and_what_the_kernel_makes_up_do_not_count() {
    let world = World::new();
    let footprint = world
        .judge(|p| {
            p.read("/proc/self/maps");
            p.look("/dev/null", AccessKind::Read, true);
            p.append("/dev/null", "x");
            p.list("/sys");
        })
        .unwrap();
    let observed: Vec<_> =
        footprint.inputs.path_set.observations.iter().map(|o| o.path.to_string()).collect();
    assert_eq!(observed, ["/dev/null"]);
    assert!(footprint.outputs.changed.is_empty());
}

#[test]
fn a_lookup_that_failed_on_something_that_is_there_counts_as_a_look_at_it() {
    let world = World::new();
    world.put("file", "x");
    let footprint =
        world.judge_trace(|p| p.stat("file"), |trace| trace.accesses[0].kind = AccessKind::Missing).unwrap();
    assert_eq!(inputs(&world, &footprint), ["stat file"]);
}

#[test]
fn a_change_that_was_foretold_and_did_not_come_is_none() {
    let world = World::new();
    world.put("folder/a", "a");
    let footprint = world
        .judge_trace(
            |p| {
                p.list("folder");
                p.make_folder("folder/new");
                p.remove("folder/new");
                p.read("folder/a");
            },
            |trace| {
                // As if rmdir had been tried on the folder itself.
                let last =
                    trace.accesses.iter().find(|access| access.kind == AccessKind::Delete).copied().unwrap();
                let folder = trace.paths.iter().position(|path| path.ends_with(b"/folder")).unwrap() as u32;
                let mut changes = last.changes.unwrap();
                changes.before = Before::Directory(0o755);
                trace.accesses.push(tracerun::trace::PathAccess {
                    path: folder,
                    changes: Some(changes),
                    ..last
                });
            },
        )
        .unwrap();
    assert_eq!(
        inputs(&world, &footprint),
        ["stat folder", "list folder", "read folder/a", "missing folder/new"]
    );
    assert!(outputs(&world, &footprint).is_empty());
}
