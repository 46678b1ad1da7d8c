//! What a run leaves behind comes back on a hit as it was: cases that other caches get wrong.

use std::fs::{self, File, Permissions};
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use tracerun_tests::have;
use tracerun_tests::sandbox::Sandbox;

fn sh(script: &str) -> [&str; 3] {
    ["sh", "-c", script]
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|metadata| metadata.uid() == 0)
}

/// What `find` and `sha256sum` say of everything in the project.
fn listing(sandbox: &Sandbox) -> String {
    let script = "find . -path ./.git -prune -o -printf '%p %y %m %U:%G %n %l\\n' | sort; \
                  find . -path ./.git -prune -o -type f -print0 | sort -z | xargs -0 -r sha256sum";
    let output = sandbox.command("sh").args(["-c", script]).output().expect("find runs");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Runs `script` in a project prepared by `prepare`, prepares it again, and expects a hit that leaves the same.
#[track_caller]
fn comes_back(prepare: impl Fn(&Sandbox), script: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    let fresh = || {
        for entry in fs::read_dir(sandbox.path("")).expect("there").map(|entry| entry.expect("read").path()) {
            if !entry.ends_with(".git") {
                let is_folder = entry.symlink_metadata().expect("there").is_dir();
                if is_folder { fs::remove_dir_all(entry) } else { fs::remove_file(entry) }.expect("removed");
            }
        }
        prepare(&sandbox);
    };
    fresh();
    sandbox.run(&sh(script)).assert_stored();
    let left = listing(&sandbox);
    sandbox.run(&sh(script)).assert_hit();
    assert_eq!(listing(&sandbox), left, "in place");
    fresh();
    assert_ne!(listing(&sandbox), left, "the script leaves something");
    sandbox.run(&sh(script)).assert_hit();
    assert_eq!(listing(&sandbox), left, "restored");
    sandbox
}

#[test]
fn modes_of_files_and_folders_come_back_setuid_and_sticky_bits_too() {
    comes_back(
        |_| {},
        "umask 022; echo x > plain; echo x > run; chmod 755 run; echo x > secret; chmod 600 secret; cp /bin/true su; \
         chmod 4755 su; cp /bin/true sg; chmod 2711 sg; mkdir open shut; chmod 1777 open; echo x > shut/in; chmod 500 shut",
    );
}

#[test]
fn links_empty_folders_and_names_with_newlines_come_back() {
    comes_back(
        |_| {},
        "mkdir -p a/b/empty; ln -s nowhere a/dangling; ln -s . a/loop; ln -s /etc/passwd far; printf x > 'two\nlines'",
    );
}

#[test]
fn hard_links_among_outputs_come_back() {
    let sandbox = comes_back(|_| {}, "mkdir d; echo one > a; ln a b; ln a d/c; echo other > e");
    let inode = |name: &str| fs::metadata(sandbox.path(name)).expect("there").ino();
    assert!(inode("a") == inode("b") && inode("a") == inode("d/c") && inode("a") != inode("e"));
    // One of them by itself is not what the run left.
    fs::remove_file(sandbox.path("b")).expect("there");
    fs::write(sandbox.path("b"), "one\n").expect("written");
    let script = "mkdir d; echo one > a; ln a b; ln a d/c; echo other > e";
    if sandbox.run(&sh(script)).outcome() == "hit" {
        assert_eq!(inode("a"), inode("b"));
    }
}

#[test]
fn a_file_that_has_got_another_name_is_not_replaced_by_a_hit() {
    for script in ["echo made > out", "echo more >> out"] {
        let sandbox = Sandbox::new();
        let prepare = |links: bool| {
            for name in ["out", "other"] {
                // It may not be there.
                let _ = fs::remove_file(sandbox.path(name));
            }
            sandbox.write("out", "before\n");
            if links {
                fs::hard_link(sandbox.path("out"), sandbox.path("other")).expect("linked");
            }
        };
        prepare(false);
        sandbox.run(&sh(script)).assert_stored();
        prepare(true);
        // A run changes what is under both names.
        assert_eq!(sandbox.run(&sh(script)).outcome(), "uncached", "{script}");
        assert_eq!(sandbox.read("other"), sandbox.read("out"), "{script}");
        prepare(false);
        sandbox.run(&sh(script)).assert_hit();
    }
}

#[test]
fn a_sparse_file_comes_back_with_its_holes() {
    let script =
        ": > big; truncate -s 64M big; printf middle | dd of=big bs=1 seek=33554432 conv=notrunc status=none";
    let sandbox = comes_back(|_| {}, script);
    let blocks = fs::metadata(sandbox.path("big")).expect("there").blocks();
    assert!(blocks < 2048, "{blocks} blocks of 512 bytes for one page");
    let pack = Command::new("du").arg("-sk").arg(sandbox.top().join("cache")).output().expect("du runs");
    let used: u64 = String::from_utf8_lossy(&pack.stdout)
        .split('\t')
        .next()
        .expect("a number")
        .parse()
        .expect("a number");
    assert!(used < 16 << 10, "{used} KiB in the cache");
}

#[test]
fn what_the_command_deleted_is_deleted_on_a_hit() {
    let prepare = |sandbox: &Sandbox| {
        sandbox.write("in", "1");
        sandbox.write("old/junk", "x");
        sandbox.write("gone", "x");
    };
    let sandbox = Sandbox::new();
    prepare(&sandbox);
    let script = sh("cp in out; rm -r old gone");
    sandbox.run(&script).assert_stored();
    prepare(&sandbox);
    sandbox.run(&script).assert_hit();
    assert!(!sandbox.path("old").exists() && !sandbox.path("gone").exists());
    assert_eq!(sandbox.read("out"), "1");
}

#[test]
fn a_folder_replaced_by_a_file_and_the_reverse() {
    let sandbox = Sandbox::new();
    let prepare = || {
        for name in ["a", "b"] {
            let _ = fs::remove_dir_all(sandbox.path(name));
            let _ = fs::remove_file(sandbox.path(name));
        }
        sandbox.write("a/inner", "x");
        sandbox.write("b", "x");
    };
    prepare();
    let script = sh("rm -r a b; echo file > a; mkdir b; echo inner > b/inner");
    sandbox.run(&script).assert_stored();
    let left = listing(&sandbox);
    for _ in 0..2 {
        prepare();
        // Whether it hits or runs: it leaves the same.
        let _ = sandbox.run(&script);
        assert_eq!(listing(&sandbox), left);
        let _ = sandbox.run(&script);
        assert_eq!(listing(&sandbox), left);
    }
}

#[test]
fn what_tar_extracts_comes_back() {
    let sandbox = Sandbox::new();
    for (name, content) in [("t/a", "one"), ("t/b/c", "two"), ("t/run", "#!/bin/sh\n")] {
        sandbox.write(name, content);
    }
    fs::set_permissions(sandbox.path("t/run"), Permissions::from_mode(0o755)).expect("changed");
    symlink("a", sandbox.path("t/link")).expect("made");
    let packed = sandbox.command("tar").args(["cf", "t.tar", "t"]).status().expect("tar runs");
    assert!(packed.success());
    fs::remove_dir_all(sandbox.path("t")).expect("removed");
    let extract = ["tar", "xf", "t.tar"];
    sandbox.run(&extract).assert_stored();
    let left = listing(&sandbox);
    fs::remove_dir_all(sandbox.path("t")).expect("removed");
    sandbox.run(&extract).assert_hit();
    assert_eq!(listing(&sandbox), left);
}

#[test]
fn files_written_in_every_way_come_back() {
    if !have("python3") {
        return;
    }
    let script = "\
import ctypes, mmap, os, subprocess, sys
fd = os.open('creat', os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o640); os.write(fd, b'creat'); os.close(fd)
open('tmp', 'w').write('renamed'); os.rename('tmp', 'renamed')
f = open('mapped', 'w+b'); f.truncate(8192); m = mmap.mmap(f.fileno(), 8192); m[4096:4102] = b'mapped'; m.close(); f.close()
open('cut', 'w').write('long content'); os.truncate('cut', 4)
fd = os.open('.', os.O_TMPFILE | os.O_RDWR, 0o600); os.write(fd, b'unnamed')
ctypes.CDLL(None).linkat(-100, b'/proc/self/fd/%d' % fd, -100, b'linked', 0x400); os.close(fd)
subprocess.run(['sh', '-c', '(echo grandchild > grandchild)'])
open('gone', 'w').write('temporary'); os.remove('gone')
assert os.path.exists('linked')
";
    comes_back(|sandbox| sandbox.write("w.py", script), "python3 -S -B w.py");
}

#[test]
fn extended_attributes_and_owners_come_back_where_permitted() {
    let probe = Sandbox::new();
    probe.write("x", "");
    if !have("python3") || !is_root() {
        return;
    }
    let script = "\
import os
open('own', 'w').write('x'); os.chown('own', 12, 34); os.chmod('own', 0o4755)
open('tagged', 'w').write('x'); os.setxattr('tagged', 'user.tracerun', b'one\\0two')
os.mkdir('folder'); os.setxattr('folder', 'user.tracerun', b'y'); os.chown('folder', 12, 34)
os.symlink('own', 'link'); os.chown('link', 12, 34, follow_symlinks=False)
";
    let sandbox = comes_back(|sandbox| sandbox.write("w.py", script), "python3 -S -B w.py");
    let attribute = |name: &str| {
        let code = format!("import os; print(os.getxattr('{name}', 'user.tracerun'))");
        let output = sandbox.command("python3").args(["-S", "-c", &code]).output().expect("python runs");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    assert_eq!(attribute("tagged"), "b'one\\x00two'\n");
    assert_eq!(attribute("folder"), "b'y'\n");
}

#[test]
fn large_outputs_come_back_and_files_that_are_right_are_not_touched() {
    let script = "head -c 3000000 /dev/zero | tr '\\0' x > big; seq 100000 > numbers; echo small > small";
    let sandbox = comes_back(|_| {}, script);
    // What was made in the same tick as something that is put back gets its time.
    let identity = |name: &str| fs::metadata(sandbox.path(name)).expect("there").ino();
    let before = (identity("big"), identity("numbers"));
    fs::remove_file(sandbox.path("small")).expect("there");
    sandbox.run(&sh(script)).assert_hit();
    assert_eq!((identity("big"), identity("numbers")), before);
    // The cache does not share a file that is changed in place.
    let mut file = File::options().write(true).open(sandbox.path("big")).expect("there");
    file.seek(SeekFrom::Start(5)).expect("sought");
    file.write_all(b"!").expect("written");
    drop(file);
    fs::remove_file(sandbox.path("big")).expect("there");
    sandbox.run(&sh(script)).assert_hit();
    assert!(fs::read(sandbox.path("big")).expect("there").iter().all(|byte| *byte == b'x'));
}

#[test]
fn restored_files_are_new_unless_the_recorded_time_is_asked_for() {
    let sandbox = Sandbox::new();
    let script = sh("echo x > out; touch -d '2001-02-03 04:05:06.789 UTC' out");
    sandbox.run(&script).assert_stored();
    let mtime = || fs::metadata(sandbox.path("out")).expect("there").modified().expect("a time");
    let recorded = mtime();
    fs::remove_file(sandbox.path("out")).expect("there");
    sandbox.run(&script).assert_hit();
    assert!(mtime().elapsed().expect("in the past").as_secs() < 600);
    fs::remove_file(sandbox.path("out")).expect("there");
    sandbox.run_with(&["--mtime", "recorded"], &script).assert_hit();
    assert_eq!(mtime(), recorded);
}

/// A program of two sources and a header, and what make says of it.
fn made_project() -> Sandbox {
    let sandbox = Sandbox::new();
    let rules = "all: sum\nsum: a.o b.o\n\tcat a.o b.o > sum\n%.o: %.c h.h\n\tcat $*.c h.h > $@\n";
    for (name, content) in [("Makefile", rules), ("a.c", "a\n"), ("b.c", "b\n"), ("h.h", "h\n")] {
        sandbox.write(name, content);
    }
    sandbox
}

#[track_caller]
fn is_up_to_date(sandbox: &Sandbox, of: &str) {
    let asked = sandbox.command("make").args(["-q", "-d"]).output().expect("make runs");
    assert!(asked.status.success(), "{of}: {}", String::from_utf8_lossy(&asked.stdout));
}

#[test]
fn after_a_hit_make_finds_everything_up_to_date() {
    if !have("make") {
        return;
    }
    let sandbox = made_project();
    sandbox.run(&["make"]).assert_stored();
    is_up_to_date(&sandbox, "the run");
    for _ in 0..10 {
        for missing in [&["a.o", "b.o", "sum"][..], &["a.o"], &["b.o"], &["sum"], &["a.o", "sum"], &[]] {
            for name in missing {
                fs::remove_file(sandbox.path(name)).expect("made");
            }
            sandbox.run(&["make"]).assert_hit();
            is_up_to_date(&sandbox, &missing.join(", "));
        }
    }
}

#[test]
fn what_is_in_place_and_older_than_a_touched_input_is_made_newer_by_a_hit() {
    if !have("make") {
        return;
    }
    let sandbox = made_project();
    sandbox.run(&["make"]).assert_stored();
    let now = std::time::SystemTime::now();
    for name in ["a.c", "h.h", "b.o", "Makefile"] {
        let file = File::options().write(true).open(sandbox.path(name)).expect("there");
        file.set_modified(now).expect("touched");
        sandbox.run(&["make"]).assert_hit();
        is_up_to_date(&sandbox, name);
    }
    // As a launcher: a compiler that leaves its output older than its source is called again by every make.
    let launched = format!("{} --quiet -- sh -c 'cat a.c > launched'", tracerun_tests::tracerun().display());
    sandbox.write("launch.mk", format!("launched: a.c\n\t{launched}\n"));
    let make = || sandbox.command("make").args(["-f", "launch.mk"]).status().expect("make runs").success();
    assert!(make());
    let later = fs::metadata(sandbox.path("launched")).expect("made").modified().expect("a time");
    let source = File::options().write(true).open(sandbox.path("a.c")).expect("there");
    source.set_modified(later + std::time::Duration::from_millis(1)).expect("touched");
    assert!(make());
    let asked = sandbox.command("make").args(["-q", "-f", "launch.mk"]).status();
    assert!(asked.expect("make runs").success());
}

#[test]
fn after_a_hit_with_recorded_times_ninja_has_nothing_to_do() {
    if !(have("ninja") && have("cc")) {
        return;
    }
    let sandbox = Sandbox::new();
    let rules = "rule cc\n command = cc -MD -MF $out.d -c $in -o $out\n depfile = $out.d\n deps = gcc\n\
                 rule link\n command = cc $in -o $out\nbuild a.o: cc a.c\nbuild b.o: cc b.c\nbuild sum: link a.o b.o\n";
    let sources = [
        ("build.ninja", rules),
        ("h.h", "int b(void);\n"),
        ("b.c", "#include \"h.h\"\nint b(void) { return 0; }\n"),
    ];
    for (name, content) in sources {
        sandbox.write(name, content);
    }
    sandbox.write("a.c", "#include \"h.h\"\nint main(void) { return b(); }\n");
    sandbox.run(&["ninja"]).assert_stored();
    for name in ["a.o", "b.o", "sum", ".ninja_log", ".ninja_deps"] {
        fs::remove_file(sandbox.path(name)).expect("made");
    }
    sandbox.run_with(&["--mtime", "recorded"], &["ninja"]).assert_hit();
    let asked = sandbox.command("ninja").args(["-n", "-d", "explain"]).output().expect("ninja runs");
    let said = String::from_utf8_lossy(&asked.stdout);
    assert!(said.contains("no work to do"), "{said}{}", String::from_utf8_lossy(&asked.stderr));
}

#[test]
fn an_output_outside_the_root_is_kept_only_if_asked_for() {
    let sandbox = Sandbox::new();
    let outside = sandbox.top().join("outside");
    fs::create_dir(&outside).expect("made");
    let script = format!("echo x > {}/made", outside.display());
    let first = sandbox.run(&sh(&script));
    assert_eq!(first.outcome(), "uncached");
    assert!(first.stderr.contains("outside/made"), "{}", first.stderr);
    let glob = format!("{}/**", outside.display());
    fs::remove_file(outside.join("made")).expect("made");
    sandbox.run_with(&["--output", &glob], &sh(&script)).assert_stored();
    fs::remove_file(outside.join("made")).expect("made");
    sandbox.run_with(&["--output", &glob], &sh(&script)).assert_hit();
    assert_eq!(fs::read_to_string(outside.join("made")).expect("restored"), "x\n");
}

#[test]
fn a_restoration_that_fails_leaves_files_whole_and_the_command_runs() {
    let sandbox = Sandbox::new();
    // The second output can't be put back: its folder is gone, which the run had made, and a file is in its way.
    let script = sh("echo first > a; mkdir -p d; echo second > d/b");
    sandbox.run(&script).assert_stored();
    for path in files_below(&sandbox.stored("packs")) {
        let length = fs::metadata(&path).expect("there").len();
        File::options().write(true).open(&path).expect("there").set_len(length / 2).expect("cut");
    }
    fs::remove_file(sandbox.path("a")).expect("there");
    fs::remove_dir_all(sandbox.path("d")).expect("there");
    sandbox.run(&script).assert_stored();
    assert_eq!((sandbox.read("a"), sandbox.read("d/b")), ("first\n".into(), "second\n".into()));
    assert!(!listing(&sandbox).contains(".tracerun-"));
}

#[test]
fn a_restoration_that_fails_half_way_changes_nothing_that_the_command_builds_on() {
    let sandbox = Sandbox::new();
    sandbox.write("log", "begun\n");
    let script = sh("echo line >> log; rm gone; ln -s log link; mkdir new; seq 100000 > zeros");
    let prepare = || {
        sandbox.write("log", "begun\n");
        sandbox.write("gone", "x");
        let _ = fs::remove_file(sandbox.path("link"));
        let _ = fs::remove_dir(sandbox.path("new"));
        let _ = fs::remove_file(sandbox.path("zeros"));
    };
    prepare();
    sandbox.run(&script).assert_stored();
    let left = listing(&sandbox);
    // Only when it is written it is found out that the large one is damaged; the others are as they should be.
    for path in files_below(&sandbox.stored("blobs")) {
        let mut file = File::options().write(true).open(&path).expect("there");
        file.seek(SeekFrom::Start(1000)).and_then(|_| file.write_all(b"?")).expect("damaged");
    }
    prepare();
    let ran = sandbox.run(&script);
    assert_eq!(ran.status, 0, "{ran:?}");
    ran.assert_stored();
    assert_eq!(listing(&sandbox), left);
}

#[test]
fn a_file_that_can_not_be_replaced_leaves_the_others_as_they_were() {
    let sandbox = Sandbox::new();
    let prepare = || {
        sandbox.write("log", "begun\n");
        sandbox.write("gone", "x");
        sandbox.write("zero", "before\n");
    };
    let script = sh("echo line >> log; rm gone; echo after > zero");
    prepare();
    sandbox.run(&script).assert_stored();
    prepare();
    let chattr = |flag: &str| {
        let changed = sandbox.command("chattr").args([flag, "zero"]).output();
        changed.is_ok_and(|output| output.status.success())
    };
    if !chattr("+i") {
        // Only the superuser may, and not on every file system.
        return;
    }
    let ran = sandbox.run(&script);
    assert!(chattr("-i"));
    assert_ne!(ran.outcome(), "hit", "{ran:?}");
    assert_eq!((sandbox.read("log"), sandbox.read("zero")), ("begun\nline\n".into(), "before\n".into()));
    assert!(!listing(&sandbox).contains(".tracerun-"));
}

#[test]
fn a_large_output_shares_its_blocks_with_the_cache_where_the_file_system_can() {
    // A file system in a file, mounted where the sandbox lies.
    for kind in ["xfs", "btrfs"] {
        let make = format!("mkfs.{kind}");
        if !is_root() || !have(&make) {
            continue;
        }
        let place = tempfile::tempdir().expect("a folder");
        let (image, top) = (place.path().join("image"), place.path().join("mounted"));
        File::create(&image).and_then(|image| image.set_len(600 << 20)).expect("made");
        fs::create_dir(&top).expect("made");
        let done = |command: &mut Command| command.output().is_ok_and(|output| output.status.success());
        assert!(done(Command::new(make).arg("-q").arg(&image)), "{kind}");
        if !done(Command::new("mount").args(["-o", "loop"]).arg(&image).arg(&top)) {
            // The kernel does not know it, or there is no loop device.
            continue;
        }
        let sandbox = Sandbox::new_in(&top);
        let script = sh("seq 1000000 > big");
        sandbox.run(&script).assert_stored();
        fs::remove_file(sandbox.path("big")).expect("there");
        sandbox.run(&script).assert_hit();
        let extents =
            Command::new("filefrag").arg("-v").arg(sandbox.path("big")).output().expect("filefrag runs");
        let extents = String::from_utf8_lossy(&extents.stdout).into_owned();
        let right = sandbox.command("sh").args(["-c", "seq 1000000 | cmp - big"]).status();
        drop(sandbox);
        assert!(done(Command::new("umount").arg("-l").arg(&top)));
        assert!(extents.contains("shared"), "{kind}: {extents}");
        assert!(right.expect("cmp runs").success(), "{kind}");
    }
}

fn files_below(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() { found.extend(files_below(&path)) } else { found.push(path) }
    }
    found
}

#[test]
fn a_folder_that_is_touched_is_not_taken_for_one_that_was_written_to() {
    let sandbox = Sandbox::new();
    sandbox.write("d/f", "1");
    let touch = ["sh", "-c", "test -d d; touch d; cat d/f"];
    sandbox.run(&touch).assert_stored();
    sandbox.run(&touch).assert_hit();
    sandbox.write("d/f", "2");
    sandbox.run(&touch).assert_stored();
}
