//! Whatever happens to tracerun or its cache: never a wrong hit, never a lost command, and the store heals.

use std::fs::{self, File};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tracerun_tests::sandbox::Sandbox;

/// What every command here does: what it makes and prints tells what it read.
const SCRIPT: &str =
    "set -e; mkdir -p d; cat in > out; cat in in > d/twice; head -c 200000 in > large; cat in | tail -c 20";

fn script() -> [&'static str; 3] {
    ["sh", "-c", SCRIPT]
}

/// Content that is another for every number, long enough for a large output.
fn content(number: u64) -> String {
    format!("content {number:011}\n").repeat(11_000)
}

#[track_caller]
fn is_right(sandbox: &Sandbox, stdout: &str, number: u64) {
    let content = content(number);
    assert_eq!(stdout, format!("content {number:011}\n"));
    assert!(sandbox.read("out") == content, "out");
    assert!(sandbox.read("d/twice") == format!("{content}{content}"), "d/twice");
    assert!(sandbox.read("large") == content[..200_000], "large");
}

#[track_caller]
fn verifies_clean(sandbox: &Sandbox) {
    let verified = sandbox.tracerun(["cache", "verify"]);
    assert_eq!(verified.status, 0, "{verified:?}");
    assert!(verified.stdout.ends_with(", 0 damaged\n"), "{verified:?}");
}

/// Numbers that are the same in every run of the tests.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

/// Every regular file of the cache, but for tracerun's own library.
fn stored(sandbox: &Sandbox) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![sandbox.top().join("cache")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("there").map(|entry| entry.expect("read").path()) {
            match entry.symlink_metadata() {
                Ok(metadata) if metadata.is_dir() && !entry.ends_with("lib") => folders.push(entry),
                Ok(metadata) if metadata.is_file() && metadata.len() > 0 => found.push(entry),
                _ => {}
            }
        }
    }
    found.sort();
    found
}

fn spawn(sandbox: &Sandbox, script: &str) -> Child {
    let mut command = sandbox.command(tracerun_tests::tracerun());
    command.args(["--quiet", "--", "sh", "-c", script]).process_group(0);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().expect("tracerun runs")
}

#[test]
fn killed_at_any_instant_it_leaves_nothing_that_is_taken_for_true() {
    let sandbox = Sandbox::new();
    let mut random = Random(0x5eed);
    let began = Instant::now();
    sandbox.write("in", content(0));
    sandbox.run(&script()).assert_stored();
    // As long as a run that is stored takes here.
    let mut longest = began.elapsed();
    let mut killed = 0;
    for round in 0..300 {
        // Some are known, and some are always new.
        let number = random.below(7) + round / 20 * 3;
        sandbox.write("in", content(number));
        let mut child = spawn(&sandbox, SCRIPT);
        let end = Instant::now() + longest.mul_f64(random.below(1000) as f64 / 1000.0);
        // Not a sleep: the instant is to be anywhere.
        while Instant::now() < end {
            std::hint::spin_loop();
        }
        let group = format!("-{}", child.id());
        let kill = Command::new("kill").args(["-KILL", "--", &group]).stderr(Stdio::null()).status();
        kill.expect("kill runs");
        let is_killed = child.wait().expect("ended").signal() == Some(9);
        killed += u32::from(is_killed);
        // About as many are killed as come to an end before, however busy the machine is.
        longest = longest.mul_f64(if is_killed { 1.1 } else { 0.9 });
        if round % 3 == 0 {
            let ran = sandbox.run(&script());
            assert_eq!(ran.status, 0, "{ran:?}");
            is_right(&sandbox, &ran.stdout, number);
        }
    }
    assert!(killed > 100, "{killed}");
    verifies_clean(&sandbox);
}

/// Ends a hit that puts 300 files back at some instant by `signal`, 60 times; says how often it was still at it.
fn end_restorations(signal: &str, check: impl Fn(&Sandbox, usize)) -> u32 {
    let sandbox = Sandbox::new();
    let mut random = Random(0xe4d);
    let script = "mkdir d; for i in $(seq 300); do echo $i > d/$i; done";
    sandbox.run(&["sh", "-c", script]).assert_stored();
    let mut longest = Duration::from_millis(20);
    let mut ended = 0;
    for _ in 0..60 {
        let _ = fs::remove_dir_all(sandbox.path("d"));
        let mut child = spawn(&sandbox, script);
        let end = Instant::now() + longest.mul_f64(random.below(1000) as f64 / 1000.0);
        // Not a sleep: the instant is to be anywhere.
        while Instant::now() < end {
            std::hint::spin_loop();
        }
        let kill =
            Command::new("kill").args([signal, &child.id().to_string()]).stderr(Stdio::null()).status();
        kill.expect("kill runs");
        let is_ended = child.wait().expect("ended").signal().is_some();
        ended += u32::from(is_ended);
        longest = longest.mul_f64(if is_ended { 1.1 } else { 0.9 });
        let found = fs::read_dir(sandbox.path("d")).map_or(0, |entries| entries.flatten().count());
        check(&sandbox, found);
    }
    ended
}

/// How many files lie about that restoring makes on its way.
fn half_made(sandbox: &Sandbox) -> usize {
    let names = |folder: &str| fs::read_dir(sandbox.path(folder)).into_iter().flatten().flatten();
    let all = names("").chain(names("d"));
    all.filter(|entry| entry.file_name().to_string_lossy().starts_with(".tracerun-")).count()
}

#[test]
fn a_restoration_that_is_ended_by_a_signal_has_put_back_all_or_nothing() {
    let ended = end_restorations("-TERM", |sandbox, found| {
        assert_eq!(half_made(sandbox), 0);
        assert!(found == 0 || found == 300, "{found}");
        assert_eq!(found == 300, sandbox.path("d").exists());
    });
    assert!(ended > 15, "{ended}");
}

#[test]
fn what_a_killed_restoration_leaves_is_swept_by_the_next_run_and_seen_by_none() {
    let left = AtomicUsize::new(0);
    end_restorations("-KILL", |sandbox, _| {
        left.fetch_add(half_made(sandbox), Ordering::Relaxed);
        let ran = sandbox.run(&["sh", "-c", "ls -A . d 2>&1; true"]);
        assert!(!ran.stdout.contains(".tracerun-"), "{ran:?}");
        assert_eq!(half_made(sandbox), 0);
    });
    assert!(left.into_inner() > 0, "none was killed half way");
}

#[test]
fn a_flipped_byte_in_any_stored_file_is_never_believed() {
    let sandbox = Sandbox::new();
    for number in [1, 2] {
        sandbox.write("in", content(number));
        sandbox.run(&script()).assert_stored();
    }
    let files = stored(&sandbox);
    assert!(files.len() > 10, "{files:?}");
    for file in files {
        for part in [0, 1, 2] {
            let number = 1 + part % 2;
            sandbox.write("in", content(number));
            for name in ["out", "large"] {
                // The last round may have removed it.
                let _ = fs::remove_file(sandbox.path(name));
            }
            // What was found to be damaged is gone, and may have been made again.
            if let Ok(stored) = File::options().read(true).write(true).open(&file) {
                let length = stored.metadata().expect("there").len();
                // In the header, which holds the version of the format; in the middle; at the end.
                let at = [4.min(length - 1), length / 2, length - 1][part as usize];
                let mut byte = [0];
                stored.read_exact_at(&mut byte, at).expect("read");
                stored.write_all_at(&[byte[0] ^ 0x10], at).expect("written");
            }
            let ran = sandbox.run(&script());
            assert_eq!(ran.status, 0, "{}: {ran:?}", file.display());
            is_right(&sandbox, &ran.stdout, number);
        }
    }
    let _ = sandbox.tracerun(["cache", "verify"]);
    verifies_clean(&sandbox);
    sandbox.run(&script()).assert_hit();
}

#[test]
fn verify_finds_a_flipped_byte_and_removes_what_it_is_in() {
    let sandbox = Sandbox::new();
    sandbox.write("in", content(1));
    sandbox.run(&script()).assert_stored();
    for folder in ["packs", "blobs", "results", "keys", "sets", "seen", "details"] {
        let _ = sandbox.run(&script());
        let file = stored(&sandbox)
            .into_iter()
            .find(|path| path.components().any(|part| part.as_os_str() == folder))
            .unwrap_or_else(|| panic!("nothing in {folder}"));
        let stored = File::options().read(true).write(true).open(&file).expect("there");
        let at = stored.metadata().expect("there").len() / 2;
        let mut byte = [0];
        stored.read_exact_at(&mut byte, at).expect("read");
        stored.write_all_at(&[byte[0] ^ 1], at).expect("written");
        let verified = sandbox.tracerun(["cache", "verify"]);
        assert_eq!(verified.status, 1, "{folder}: {verified:?}");
        assert!(verified.stdout.contains(folder) && !file.exists(), "{folder}: {verified:?}");
        verifies_clean(&sandbox);
        let ran = sandbox.run(&script());
        is_right(&sandbox, &ran.stdout, 1);
    }
}

#[test]
fn two_hundred_at_once_on_one_cache() {
    let sandbox = Sandbox::new();
    for number in 0..10 {
        sandbox.write(&format!("in{number}"), content(number));
    }
    // Twice: at first all of them miss, then most of them hit.
    for _ in 0..2 {
        let children: Vec<(u64, bool, Child)> = (0..200)
            .map(|index| {
                let number = index % 10;
                let same = index % 20 < 10;
                let script = if same {
                    format!("tail -c 20 in{number}")
                } else {
                    format!("cat in{number} > out{index}; tail -c 20 out{index}")
                };
                (index, same, spawn(&sandbox, &script))
            })
            .collect();
        for (index, same, child) in children {
            let output = child.wait_with_output().expect("ended");
            let stderr = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{index}: {stderr}");
            let number = index % 10;
            assert_eq!(
                String::from_utf8_lossy(&output.stdout),
                format!("content {number:011}\n"),
                "{stderr}"
            );
            if !same {
                assert!(sandbox.read(&format!("out{index}")) == content(number), "{index}: {stderr}");
            }
        }
    }
    verifies_clean(&sandbox);
    for number in 0..10 {
        sandbox.run(&["sh", "-c", &format!("tail -c 20 in{number}")]).assert_hit();
    }
}

#[test]
fn collecting_everything_while_runs_are_on_costs_no_more_than_a_run() {
    let sandbox = Sandbox::new();
    for round in 0..5 {
        let children: Vec<(u64, Child)> = (0..20)
            .map(|number| {
                sandbox.write(&format!("in{number}"), content(number));
                (number, spawn(&sandbox, &format!("cat in{number} > out{number}; tail -c 20 out{number}")))
            })
            .collect();
        for _ in 0..5 {
            let collected = sandbox.tracerun(["cache", "gc", "--cache-size", "0"]);
            assert_eq!(collected.status, 0, "{collected:?}");
        }
        for (number, child) in children {
            let output = child.wait_with_output().expect("ended");
            assert!(output.status.success(), "{round} {number}: {output:?}");
            assert_eq!(String::from_utf8_lossy(&output.stdout), format!("content {number:011}\n"));
            assert!(sandbox.read(&format!("out{number}")) == content(number));
        }
    }
    // What was kept while its contents were taken away is found, and then clean.
    let _ = sandbox.tracerun(["cache", "verify"]);
    verifies_clean(&sandbox);
}

/// A file system of its own for the cache of a sandbox, unmounted at the end; `None` where this user may not.
struct Mounted(PathBuf);

impl Mounted {
    fn on_cache_of(sandbox: &Sandbox, size: &str) -> Option<Self> {
        Self::on(sandbox.top().join("cache"), size)
    }

    fn on(folder: PathBuf, size: &str) -> Option<Self> {
        fs::create_dir_all(&folder).expect("made");
        let options = format!("size={size},mode=0700");
        let mut mount = Command::new("mount");
        let mounted = mount_succeeds(mount.args(["-t", "tmpfs", "-o", &options, "none"]).arg(&folder));
        if !mounted {
            assert!(std::env::var_os("TRACERUN_REQUIRE_ALL").is_none(), "a tmpfs can't be mounted");
        }
        mounted.then_some(Self(folder))
    }

    fn remount(&self, options: &str) {
        let options = format!("remount,{options}");
        assert!(mount_succeeds(Command::new("mount").args(["-o", &options]).arg(&self.0)), "{options}");
    }
}

fn mount_succeeds(mount: &mut Command) -> bool {
    let is_root = fs::metadata("/proc/self").is_ok_and(|metadata| metadata.uid() == 0);
    is_root && mount.stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // The sandbox says so if it can't be removed.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn a_cache_without_room_costs_no_command_and_gives_no_wrong_hit() {
    let sandbox = Sandbox::new();
    // From one that has no room for the library to one that has room for a few runs.
    for size in ["16k", "64k", "128k", "256k", "512k", "1m", "2m"] {
        let Some(_mounted) = Mounted::on_cache_of(&sandbox, size) else { return };
        for round in 0..8 {
            let number = round % 3;
            sandbox.write("in", content(number));
            let ran = sandbox.run(&script());
            assert_eq!(ran.status, 0, "{size}: {ran:?}");
            is_right(&sandbox, &ran.stdout, number);
        }
        verifies_clean(&sandbox);
    }
}

#[test]
fn standard_input_that_the_cache_has_no_room_for_reaches_the_command_all_the_same() {
    let sandbox = Sandbox::new();
    let Some(_mounted) = Mounted::on_cache_of(&sandbox, "1m") else { return };
    for _ in 0..2 {
        let mut shell = sandbox.command("sh");
        let script = "seq 1 500000 | \"$T\" --stdin hash -- md5sum";
        let output =
            shell.env("T", tracerun_tests::tracerun()).args(["-c", script]).output().expect("sh runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("standard input can't be kept"), "{said}");
        let native = Command::new("sh").args(["-c", "seq 1 500000 | md5sum"]).output().expect("sh runs");
        assert_eq!((output.status, output.stdout), (native.status, native.stdout), "{said}");
    }
}

#[test]
fn a_cache_that_becomes_read_only_still_hits_and_costs_no_command() {
    let sandbox = Sandbox::new();
    let Some(mounted) = Mounted::on_cache_of(&sandbox, "64m") else { return };
    sandbox.write("in", content(1));
    sandbox.run(&script()).assert_stored();
    mounted.remount("ro");
    let hit = sandbox.run(&script());
    hit.assert_hit();
    is_right(&sandbox, &hit.stdout, 1);
    for number in [2, 1] {
        sandbox.write("in", content(number));
        let ran = sandbox.run(&script());
        assert_eq!(ran.status, 0, "{ran:?}");
        is_right(&sandbox, &ran.stdout, number);
    }
    mounted.remount("rw");
    verifies_clean(&sandbox);
}

#[test]
fn a_project_without_room_for_the_outputs_gets_nothing_by_halves() {
    let sandbox = Sandbox::new();
    let Some(_mounted) = Mounted::on(sandbox.path(""), "2m") else { return };
    fs::create_dir(sandbox.path(".git")).expect("made");
    sandbox.write("in", content(1));
    sandbox.run(&script()).assert_stored();
    fs::remove_dir_all(sandbox.path("d")).expect("there");
    for name in ["out", "large"] {
        fs::remove_file(sandbox.path(name)).expect("there");
    }
    // Less than what the outputs take, more than one of them does.
    sandbox.write("filler", vec![0; 1_300_000]);
    let ran = sandbox.run(&script());
    assert_eq!(ran.outcome(), "uncached", "{ran:?}");
    assert!(ran.stderr.contains("No space left on device"), "as the command says it: {ran:?}");
    assert!(!ran.stderr.contains("damaged"), "{ran:?}");
    let why = sandbox.tracerun(["explain"]);
    assert!(why.stdout.contains("its outputs can't be put back"), "{why:?}");
    for entry in fs::read_dir(sandbox.path("")).expect("there") {
        let name = entry.expect("read").file_name();
        assert!(!name.to_string_lossy().starts_with(".tracerun-"), "{name:?}");
    }
    assert_eq!(fs::metadata(sandbox.path("d")).expect("restored").mode() & 0o777, 0o755);
    fs::remove_dir_all(sandbox.path("d")).expect("there");
    for name in ["filler", "out", "large"] {
        // It may not have come to each of them.
        let _ = fs::remove_file(sandbox.path(name));
    }
    // What was stored is as good as before.
    let ran = sandbox.run(&script());
    ran.assert_hit();
    is_right(&sandbox, &ran.stdout, 1);
}

#[test]
fn what_was_cut_short_for_want_of_room_is_not_stored_though_the_command_says_nothing() {
    let sandbox = Sandbox::new();
    let Some(_mounted) = Mounted::on(sandbox.path(""), "2m") else { return };
    fs::create_dir(sandbox.path(".git")).expect("made");
    let script = ["sh", "-c", "head -c 1000000 /dev/zero > out 2>/dev/null; true"];
    sandbox.run(&script).assert_stored();
    fs::remove_file(sandbox.path("out")).expect("there");
    sandbox.write("filler", vec![0; 1_500_000]);
    let length = || fs::metadata(sandbox.path("out")).expect("made").len();
    // The outputs of the stored run find no room, and a run that does not say so does not take its place.
    let ran = sandbox.run(&script);
    assert_eq!((ran.outcome(), ran.status), ("uncached", 0), "{ran:?}");
    assert!(ran.stderr.contains("no room left") && length() < 1_000_000, "{ran:?}");
    assert_eq!(sandbox.tracerun(["cache", "clear"]).status, 0);
    fs::remove_file(sandbox.path("out")).expect("there");
    let ran = sandbox.run(&script);
    assert!(ran.outcome() == "uncached" && ran.stderr.contains("no room left"), "{ran:?}");
    for name in ["filler", "out"] {
        fs::remove_file(sandbox.path(name)).expect("there");
    }
    sandbox.run(&script).assert_stored();
    assert_eq!(length(), 1_000_000);
}

#[test]
fn a_cache_that_others_can_write_to_is_refused_and_the_command_runs() {
    use std::os::unix::fs::PermissionsExt;
    let sandbox = Sandbox::new();
    let cache = sandbox.top().join("cache");
    fs::create_dir(&cache).expect("made");
    fs::set_permissions(&cache, fs::Permissions::from_mode(0o777)).expect("changed");
    for _ in 0..2 {
        let ran = sandbox.run(&["echo", "ran"]);
        assert_eq!((ran.outcome(), ran.stdout.as_str(), ran.status), ("uncached", "ran\n", 0));
        assert!(ran.stderr.contains("other users can write to this cache folder"), "{}", ran.stderr);
    }
    assert_eq!(fs::read_dir(&cache).expect("there").count(), 0);
    assert_eq!(sandbox.tracerun(["cache", "stats"]).status, 125);
}

#[test]
fn the_least_recently_used_go_when_the_limit_is_reached() {
    let mut sandbox = Sandbox::new();
    let make = |number: u64| format!("head -c 200000 /dev/zero | tr '\\0' {number} > out{number}");
    for number in 0..5 {
        sandbox.run(&["sh", "-c", &make(number)]).assert_stored();
    }
    // The first was used last: so says the time of its record.
    let results = sandbox.stored("results");
    let mut kept: Vec<PathBuf> =
        fs::read_dir(results).expect("there").map(|entry| entry.expect("read").path()).collect();
    kept.sort_by_key(|path| fs::metadata(path).expect("there").modified().expect("a time"));
    let now = std::time::SystemTime::now();
    for (age, path) in [4, 3, 2, 1].into_iter().zip(&kept[1..]) {
        let file = File::options().write(true).open(path).expect("there");
        file.set_modified(now - Duration::from_secs(age * 7200)).expect("changed");
    }
    let collected = sandbox.tracerun(["cache", "gc", "--cache-size", "500k"]);
    assert!(collected.stdout.starts_with("removed 3 results, freed "), "{collected:?}");
    for (number, outcome) in [(0, "hit"), (4, "hit"), (1, "miss"), (2, "miss")] {
        assert_eq!(
            sandbox.run_with(&["--no-store"], &["sh", "-c", &make(number)]).outcome(),
            outcome,
            "{number}"
        );
    }
    verifies_clean(&sandbox);

    sandbox.set("TRACERUN_CACHE_SIZE", "1k");
    sandbox.run(&["sh", "-c", &make(7)]).assert_stored();
    // Another process collects: wait for its end by its lock.
    let until = Instant::now() + Duration::from_secs(20);
    let size = || {
        let stats = sandbox.tracerun(["cache", "stats", "--format", "json"]);
        let stats: serde_json::Value = serde_json::from_str(&stats.stdout).expect("JSON");
        (stats["results"].as_u64().expect("a number"), stats["hits"].as_u64().expect("a number"))
    };
    while size().0 > 0 && Instant::now() < until {
        std::thread::yield_now();
    }
    assert_eq!(size(), (0, 2));
}

#[test]
fn a_command_runs_with_however_few_descriptors_there_are() {
    let sandbox = Sandbox::new();
    for most in 8..32 {
        let mut shell = sandbox.command("sh");
        let script = format!("ulimit -n {most}; exec \"$T\" --force -- echo done");
        let output =
            shell.env("T", tracerun_tests::tracerun()).args(["-c", &script]).output().expect("sh runs");
        assert_eq!((output.status.code(), &*output.stdout), (Some(0), &b"done\n"[..]), "{most}: {output:?}");
    }
}
