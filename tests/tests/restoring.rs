//! A hit puts back all or nothing, whatever comes in between, and leaves nothing of its own behind.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use tracerun_tests::sandbox::Sandbox;

/// Makes files in a new folder and in one that was there, and tells of what it finds.
const SCRIPT: &str = "ls -A; ls out 2>/dev/null; mkdir -p out/deep; \
     for i in $(seq 200); do yes $i | head -c 100000 >out/deep/$i; done; yes | head -c 100000 >old/made";

/// A project in which a run is stored and its outputs are gone.
fn stored() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("old/was", "there");
    let ran = sandbox.run(&["sh", "-c", SCRIPT]);
    ran.assert_stored();
    take_away(&sandbox);
    sandbox
}

fn take_away(sandbox: &Sandbox) {
    fs::remove_dir_all(sandbox.path("out")).expect("there");
    fs::remove_file(sandbox.path("old/made")).expect("there");
}

/// What tracerun has made under names of its own.
fn temporaries(sandbox: &Sandbox) -> Vec<PathBuf> {
    let folders = [sandbox.path(""), sandbox.path("old")];
    let entries = folders.iter().flat_map(|folder| fs::read_dir(folder).expect("a folder"));
    let paths = entries.map(|entry| entry.expect("an entry").path());
    paths
        .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(".tracerun")))
        .collect()
}

/// Sends `signal` to a hit that has begun to put something back; whether that ended it.
fn is_ended_half_way(sandbox: &Sandbox, signal: &str) -> bool {
    let mut command = sandbox.command(tracerun_tests::tracerun());
    command.args(["--quiet", "--", "sh", "-c", SCRIPT]).stdin(Stdio::null()).stdout(Stdio::null());
    let mut child: Child = command.spawn().expect("tracerun runs");
    while temporaries(sandbox).is_empty() && child.try_wait().expect("ours").is_none() {
        std::hint::spin_loop();
    }
    // It may have come to its end.
    let _ = Command::new("kill").args([signal, &child.id().to_string()]).stderr(Stdio::null()).status();
    child.wait().expect("ours").signal().is_some()
}

fn is_whole(sandbox: &Sandbox) -> bool {
    (1..=200).all(|number| sandbox.read(&format!("out/deep/{number}")).len() == 100_000)
        && sandbox.path("old/made").exists()
}

#[test]
fn a_signal_ends_a_hit_with_everything_as_it_was_and_nothing_left_over() {
    let sandbox = stored();
    let mut ended = 0;
    for round in 0..100 {
        let half_way = is_ended_half_way(&sandbox, ["-TERM", "-INT"][round % 2]);
        assert_eq!(temporaries(&sandbox), Vec::<PathBuf>::new());
        if sandbox.path("out").exists() {
            // It was too late for the signal to matter.
            assert!(is_whole(&sandbox));
            take_away(&sandbox);
        } else {
            assert!(half_way && !sandbox.path("old/made").exists());
            ended += 1;
        }
        if ended == 5 {
            return;
        }
    }
    panic!("{ended} of 100 hits were ended half way");
}

#[test]
fn what_a_killed_hit_left_counts_for_nothing_and_goes_with_the_next() {
    let sandbox = stored();
    let killed = (0..100).any(|_| {
        let killed = is_ended_half_way(&sandbox, "-KILL") && !temporaries(&sandbox).is_empty();
        if !killed && sandbox.path("out").exists() {
            take_away(&sandbox);
        }
        killed
    });
    assert!(killed, "none of 100 hits was killed half way");
    let _ = fs::remove_dir_all(sandbox.path("out"));
    let _ = fs::remove_file(sandbox.path("old/made"));
    let ran = sandbox.run(&["sh", "-c", SCRIPT]);
    ran.assert_hit();
    assert!(is_whole(&sandbox));
    assert_eq!(temporaries(&sandbox), Vec::<PathBuf>::new());
}

#[test]
fn a_content_that_turns_out_to_be_damaged_leaves_the_command_what_it_had_found() {
    let sandbox = stored();
    let mut blobs = Vec::new();
    let mut folders = vec![sandbox.stored("packs"), sandbox.stored("blobs")];
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(folder).into_iter().flatten().map(|entry| entry.expect("an entry").path()) {
            let kind = if path.is_dir() { &mut folders } else { &mut blobs };
            kind.push(path);
        }
    }
    assert!(!blobs.is_empty());
    blobs.sort();
    for blob in blobs.iter().take(20) {
        // Damage that was found is gone, and may have been made again.
        let Ok(file) = File::options().read(true).write(true).open(blob) else { continue };
        let at = file.metadata().expect("there").len() / 2;
        let mut byte = [0];
        file.read_exact_at(&mut byte, at).expect("read");
        file.write_all_at(&[byte[0] ^ 0x10], at).expect("written");
        let ran = sandbox.run(&["sh", "-c", SCRIPT]);
        // All that its listings showed when it was stored.
        assert_eq!((ran.status, &*ran.stdout), (0, ".git\nold\n"), "{ran:?}");
        assert!(is_whole(&sandbox));
        take_away(&sandbox);
    }
}
