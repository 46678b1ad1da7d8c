//! Real programs behave the same traced and untraced: exit status, output and what they leave behind.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use tracerun_tests::sandbox::Sandbox;
use tracerun_tests::{fixture, have};

/// What became of a command.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    status: Option<i32>,
    stdout: String,
    stderr: String,
}

/// Runs a command in a fresh project, natively or traced; what it says has `{top}` for where that is.
fn outcome(prepare: &dyn Fn(&Sandbox), argv: &[&str], traced: bool) -> (Sandbox, Outcome) {
    let mut sandbox = Sandbox::new();
    // No date is in what they make.
    sandbox.set("SOURCE_DATE_EPOCH", "1000000000");
    prepare(&sandbox);
    let mut command = if traced {
        let mut command = sandbox.command(tracerun_tests::tracerun());
        command.args(["trace", "--quiet", "-o"]).arg(sandbox.top().join("trace")).args(["--", argv[0]]);
        command
    } else {
        sandbox.command(argv[0])
    };
    let Output { status, stdout, stderr } = command.args(&argv[1..]).output().expect("it runs");
    let top = sandbox.top().display().to_string();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).replace(&top, "{top}");
    let outcome = Outcome { status: status.code(), stdout: text(stdout), stderr: text(stderr) };
    (sandbox, outcome)
}

/// Asserts that a command does the same traced as natively, and succeeds; gives what it said, and the project in which it
/// was traced.
#[track_caller]
fn assert_same(prepare: &dyn Fn(&Sandbox), argv: &[&str]) -> (Sandbox, Outcome) {
    let (_, native) = outcome(prepare, argv, false);
    let (sandbox, traced) = outcome(prepare, argv, true);
    assert_eq!(native, traced);
    assert_eq!(native.status, Some(0), "{native:?}");
    (sandbox, traced)
}

fn nothing(_: &Sandbox) {}

/// Whether a command succeeds; that it does not is a failure if all is required.
fn works(argv: &[&str]) -> bool {
    let output = Command::new(argv[0]).args(&argv[1..]).output();
    let works = output.as_ref().is_ok_and(|output| output.status.success());
    assert!(works || !tracerun_tests::required(), "{argv:?} does not work: {output:?}");
    if !works {
        eprintln!("not tested: {argv:?} does not work");
    }
    works
}

/// One of the modules of CPython's own tests: the result of each test, natively and traced at the same time.
fn cpython(module: &str) {
    let python = "/usr/bin/python3";
    if !works(&[python, "-c", &format!("import test.{module}")]) {
        return;
    }
    let run = |traced| {
        let (_, ran) = outcome(&nothing, &[python, "-m", "test", "-v", module], traced);
        let results = ran.stdout.lines().filter(|line| line.starts_with("test_") && line.contains(" ... "));
        (ran.status, results.map(str::to_owned).collect::<Vec<_>>())
    };
    let (native, traced) = std::thread::scope(|scope| {
        let native = scope.spawn(|| run(false));
        let traced = run(true);
        (native.join().expect("no panic"), traced)
    });
    assert!(native.1.len() > 100, "{native:?}");
    assert_eq!(native, traced);
}

#[test]
fn the_tests_of_pythons_os_module() {
    cpython("test_os");
}

#[test]
fn the_tests_of_pythons_shutil_module() {
    cpython("test_shutil");
}

#[test]
fn the_tests_of_pythons_subprocess_module() {
    cpython("test_subprocess");
}

#[test]
fn the_tests_of_pythons_posix_module() {
    cpython("test_posix");
}

#[test]
fn the_tests_of_pythons_pathlib_module() {
    cpython("test_pathlib");
}

#[test]
fn a_build_of_lua_makes_the_same_program() {
    let Some(source) = fixture("lua") else { return };
    let script = format!(
        "cp -r {}/. . && make -j2 linux >log 2>&1 && make test && src/lua -e 'print(#io.open(\"log\"):read(\"a\") > 0)'",
        source.display()
    );
    let (native, expected) = outcome(&nothing, &["sh", "-c", &script], false);
    let (traced, said) = outcome(&nothing, &["sh", "-c", &script], true);
    assert_eq!(expected, said);
    assert!(said.stdout.contains("Lua 5.4") && said.stdout.ends_with("true\n"), "{said:?}");
    for program in ["src/lua", "src/luac"] {
        let built = |sandbox: &Sandbox| fs::read(sandbox.path(program)).expect("built");
        assert!(built(&native) == built(&traced), "{program} is another");
    }
}

#[test]
fn git_makes_the_same_history() {
    if !have("git") {
        return;
    }
    let script = "
        export GIT_AUTHOR_DATE='1000000000 +0000' GIT_COMMITTER_DATE='1000000000 +0000' GIT_CONFIG_GLOBAL=/dev/null
        git init -q -b main a && cd a && git config user.name n && git config user.email e &&
        for i in 1 2 3 4 5 6 7 8; do
            mkdir -p d$i && echo $i >d$i/file && ln -sf d$i/file link && git add -A && git commit -qm $i || exit 1
        done
        git checkout -q -b other HEAD~4 && echo other >other && git add . && git commit -qm other &&
        git merge -q -m merged main && git tag v1 && git gc -q && git fsck --strict &&
        cd .. && git clone -q --no-local a b && cd b && git log --format=%H && git ls-files -s && git status &&
        git mv d1 moved && git stash -q && git stash pop -q && git diff --stat HEAD && git archive HEAD | cksum &&
        git worktree add -q ../c v1 && git -C ../c rev-parse HEAD && git grep -c other && git blame -s d8/file";
    let (_, said) = assert_same(&nothing, &["sh", "-c", script]);
    assert!(said.stdout.contains("On branch other"), "{said:?}");
}

#[test]
fn perls_file_functions() {
    if !have("perl") {
        return;
    }
    let script = r#"
        use strict; use warnings; use File::Temp (); use File::Find; use File::Copy; use File::Path qw(make_path rmtree);
        use Fcntl ':flock'; use IPC::Open3;
        make_path('t/a/b', 't/c'); open(my $f, '>', 't/a/file') or die; print $f "one\ntwo\n"; close $f;
        copy('t/a/file', 't/c/copy') or die; move('t/c/copy', 't/c/moved') or die; symlink('../a/file', 't/c/link') or die;
        link('t/a/file', 't/hard') or die; chmod 0640, 't/hard'; utime 1, 2, 't/hard';
        printf "%o %d %d %d\n", (stat 't/a/file')[2, 3, 7, 9]; print readlink('t/c/link'), "\n", -l 't/c/link', -d 't/a', "\n";
        open($f, '+<', 't/a/file') or die; flock($f, LOCK_EX) or die; seek($f, 0, 2); print $f "three\n"; truncate($f, 7); close $f;
        find({ wanted => sub { print "$File::Find::name\n" }, preprocess => sub { sort @_ } }, 't');
        chdir 't/a' or die; print -e '../hard' ? "up\n" : "no\n"; chdir '../..';
        my $pid = open3(my $in, my $out, undef, 'cat', 't/hard'); close $in; print <$out>; waitpid $pid, 0;
        print "$?\n"; print `exit 3`, $? >> 8, "\n"; system { 'sh' } 'sh', '-c', 'kill -9 $$'; print $? & 127, "\n";
        if (my $child = fork) { waitpid $child, 0; print $? >> 8, "\n" } else { exec 'sh', '-c', 'exit 7' }
        open($f, '-|', 'ls', 't') or die; print <$f>; close $f; print join(' ', sort glob 't/*/*'), "\n";
        print -e 't/nothing' ? 'there' : $! + 0, "\n"; rmtree('t'); print -e 't' ? "left\n" : "gone\n";
    "#;
    let (_, said) = assert_same(&nothing, &["perl", "-e", script]);
    assert!(said.stdout.ends_with("gone\n"), "{said:?}");
}

#[test]
fn debuggers_and_tracers_inside() {
    let prepare = |sandbox: &Sandbox| sandbox.write("a", "content");
    if works(&["strace", "-o", "/dev/null", "true"]) {
        let (sandbox, _) =
            assert_same(&prepare, &["strace", "-f", "-e", "trace=openat", "-o", "log", "cat", "a"]);
        assert!(sandbox.read("log").contains("\"a\", O_RDONLY"));
    }
    if works(&["gdb", "--version"]) {
        let commands = ["-ex", "break exit", "-ex", "run", "-ex", "print 6*7", "-ex", "continue"];
        let argv = [&["gdb", "-nx", "-batch"], &commands[..], &["--args", "cat", "a"]].concat();
        let (_, native) = outcome(&prepare, &argv, false);
        let (_, traced) = outcome(&prepare, &argv, true);
        for (which, ran) in [("native", native), ("traced", traced)] {
            for said in ["content", "$1 = 42", "exited normally"] {
                assert!(ran.stdout.contains(said), "{which}: {ran:?}");
            }
        }
    }
}

#[test]
fn sandboxes_inside_say_nothing_of_ours() {
    let bubble = [
        "bwrap",
        "--ro-bind",
        "/usr",
        "/usr",
        "--symlink",
        "usr/lib",
        "/lib",
        "--symlink",
        "usr/lib64",
        "/lib64",
        "--symlink",
        "usr/bin",
        "/bin",
        "--proc",
        "/proc",
        "--dev",
        "/dev",
        "--tmpfs",
        "/tmp",
        "--unshare-pid",
        "sh",
        "-c",
        "echo $$; ls /; cat /nothing; ls /proc/self/fd | wc -l; env -i /bin/true; exit 0",
    ];
    if works(&bubble) {
        assert_same(&nothing, &bubble);
    }
}

#[test]
fn a_program_that_becomes_another_user_or_takes_another_root_is_not_told_of_ours() {
    if !nix::unistd::geteuid().is_root() {
        assert!(!tracerun_tests::required(), "only root can become somebody else");
        return;
    }
    assert_same(
        &nothing,
        &["setpriv", "--reuid", "65534", "--clear-groups", "sh", "-c", "id -u; cat /etc/hostname"],
    );
    assert_same(&nothing, &["su", "nobody", "-s", "/bin/sh", "-c", "id -un; sh -c 'exec id -u'"]);
    let script = "import os, subprocess; print(subprocess.run(['id', '-u'], user=65534, capture_output=True)); \
        os.chroot('/usr'); print(subprocess.run(['/bin/id', '-u'], capture_output=True, env={}) if os.path.exists('/lib64') else 0)";
    if works(&["/usr/bin/python3", "--version"]) {
        let (_, said) = assert_same(&nothing, &["/usr/bin/python3", "-c", script]);
        assert!(said.stdout.contains("stderr=b''"), "{said:?}");
    }
}

#[test]
fn a_program_that_an_ordinary_users_run_keeps_from_its_privileges_is_named_and_the_run_not_stored() {
    if !nix::unistd::geteuid().is_root() {
        assert!(!tracerun_tests::required(), "only root can become somebody else");
        return;
    }
    let sandbox = Sandbox::new();
    let copy = |from: &Path, name: &str, mode| {
        fs::copy(from, sandbox.path(name)).expect("copied");
        fs::set_permissions(sandbox.path(name), fs::Permissions::from_mode(mode)).expect("set");
    };
    copy(&tracerun_tests::tracerun(), "tracerun", 0o755);
    copy(Path::new("/usr/bin/id"), "privileged-id", 0o4755);
    copy(Path::new("/usr/bin/id"), "plain-id", 0o755);
    for name in ["", "project", "home"] {
        fs::set_permissions(sandbox.top().join(name), fs::Permissions::from_mode(0o777)).expect("set");
    }
    let ordinary = |id: &str| {
        let mut command = sandbox.command("setpriv");
        command.args([
            "--reuid",
            "65534",
            "--regid",
            "65534",
            "--clear-groups",
            "./tracerun",
            "--",
            id,
            "-u",
        ]);
        let output = command.output().expect("setpriv runs");
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
    };
    assert!(ordinary("./plain-id").ends_with(", stored\n"), "{}", ordinary("./plain-id"));
    for _ in 0..2 {
        let said = ordinary("./privileged-id");
        assert!(said.contains("not cached: `./privileged-id -u` gives privileges"), "{said}");
    }
}

#[test]
fn a_command_line_as_long_as_the_kernel_takes_is_run() {
    let mut sandbox = Sandbox::new();
    let cache = sandbox.top().join("c".repeat(250)).display().to_string();
    sandbox.set("TRACERUN_CACHE_DIR", &cache);
    // 2 MiB, where the stack may have 8.
    let run = |program: &Path, before: &[&str], bytes: usize| {
        let mut command = sandbox.command(program);
        command.args(before).args(vec!["x".repeat(50_000); 40]).arg("y".repeat(bytes));
        command.output().ok().map(|output| output.status.code())
    };
    // The longest last argument with which it can be executed.
    let longest = |fits: &dyn Fn(usize) -> bool| {
        let (mut fitting, mut too_long) = (0, 130_000);
        while too_long - fitting > 1 {
            let middle = usize::midpoint(fitting, too_long);
            *(if fits(middle) { &mut fitting } else { &mut too_long }) = middle;
        }
        fitting
    };
    let native = longest(&|bytes| run(Path::new("/bin/true"), &[], bytes) == Some(Some(0)));
    let tracerun = tracerun_tests::tracerun();
    let options = ["trace", "--quiet", "-o", "/dev/null", "--", "/bin/true"];
    // What the kernel lets tracerun be given at all.
    let traced = longest(&|bytes| run(&tracerun, &options, bytes).is_some());
    assert!(0 < traced && traced < native && native < 130_000, "{traced} {native}");
    assert_eq!(run(&tracerun, &options, traced), Some(Some(0)));
}

/// A page whose script must have run.
#[test]
fn chromium_runs_a_page() {
    if !have("chromium-headless-shell") {
        return;
    }
    let prepare = |sandbox: &Sandbox| {
        fs::create_dir_all(sandbox.top().join("home")).expect("made");
        sandbox.write(
            "page.html",
            "<p id=a></p><script>document.getElementById('a').textContent = 6 * 7</script>",
        );
    };
    let command = "exec chromium-headless-shell --no-sandbox --disable-gpu --dump-dom file://$PWD/page.html 2>/dev/null";
    let (_, said) = assert_same(&prepare, &["sh", "-c", command]);
    assert!(said.stdout.contains(">42<"), "{said:?}");
}
