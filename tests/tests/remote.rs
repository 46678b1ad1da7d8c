//! One cache for many machines: checkouts in several folders, each with a cache of its own, and one server.

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;
use tracerun_tests::cache_server::{CacheServer, FAULTS, Fault};
use tracerun_tests::proxy::{Proxy, Trouble};
use tracerun_tests::server::Server;
use tracerun_tests::terminal::Terminal;
use tracerun_tests::vite_project::vite_project;
use tracerun_tests::{fixture, have};

/// Checkouts that share a server; what lies in `system` is outside of each.
struct Team {
    top: TempDir,
    url: String,
    variables: Vec<(&'static str, String)>,
}

/// What came of a run.
#[derive(Debug)]
struct Ran {
    stdout: String,
    stderr: String,
    summary: Value,
}

impl Team {
    fn new(url: &str) -> Self {
        let top = tempfile::tempdir().expect("a folder");
        for name in ["home", "system"] {
            fs::create_dir(top.path().join(name)).expect("made");
        }
        Self { top, url: url.to_owned(), variables: Vec::new() }
    }

    /// A path in a checkout.
    fn path(&self, checkout: &str, name: &str) -> PathBuf {
        self.top.path().join(checkout).join(name)
    }

    fn write(&self, checkout: &str, name: &str, content: &str) {
        let path = self.path(checkout, name);
        fs::create_dir_all(path.parent().expect("in a folder")).expect("made");
        fs::write(path, content).expect("written");
    }

    fn read(&self, checkout: &str, name: &str) -> String {
        let path = self.path(checkout, name);
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// A command in a checkout, of which the cache is called the same.
    fn command(&self, checkout: &str, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command.current_dir(self.path(checkout, "")).env_clear().env("LANG", "C");
        command.envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
        command.env("HOME", self.top.path().join("home")).env("TRACERUN_REMOTE", &self.url);
        command.env("TRACERUN_CACHE_DIR", self.cache(checkout));
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }

    fn cache(&self, checkout: &str) -> PathBuf {
        self.top.path().join("caches").join(checkout.replace('/', "-"))
    }

    fn run_with(&self, checkout: &str, options: &[&str], argv: &[&str]) -> Ran {
        fs::create_dir_all(self.top.path().join("caches")).expect("made");
        let summary = self.top.path().join("caches/summary.json");
        let mut command = self.command(checkout, tracerun_tests::tracerun());
        command.args(["--root", "."]).args(options).arg("--summary").arg(&summary).arg("--").args(argv);
        let output = command.output().expect("tracerun runs");
        assert!(output.status.success(), "{output:?}");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ran {
            stdout: text(&output.stdout),
            stderr: text(&output.stderr),
            summary: serde_json::from_slice(&fs::read(summary).expect("written")).expect("JSON"),
        }
    }

    fn run(&self, checkout: &str, argv: &[&str]) -> Ran {
        self.run_with(checkout, &[], argv)
    }

    /// What `explain` says of the last run.
    fn explain(&self, checkout: &str) -> String {
        let mut command = self.command(checkout, tracerun_tests::tracerun());
        let output = command.args(["--root", ".", "explain"]).output().expect("tracerun runs");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

impl Ran {
    #[track_caller]
    fn assert_fetched(&self) {
        assert!(self.summary["outcome"] == "hit" && self.summary["fetched"] == true, "{self:#?}");
    }

    #[track_caller]
    fn assert_ran(&self) {
        assert_eq!(self.summary["outcome"], "miss", "{self:#?}");
    }
}

/// A C file in each of these checkouts.
fn with_source(url: &str, checkouts: &[&str]) -> Team {
    let team = Team::new(url);
    for checkout in checkouts {
        team.write(checkout, "src/a.c", "#include \"a.h\"\nint main(void) { return X; }\n");
        team.write(checkout, "src/a.h", "#define X 3\n");
    }
    team
}

#[test]
fn what_one_checkout_made_another_restores_without_running() {
    let server = CacheServer::new();
    let team = with_source(&server.url(), &["one/p", "two/deeper/q"]);
    let build = |checkout: &str| {
        let source = team.path(checkout, "src/a.c").display().to_string();
        team.run(
            checkout,
            &["sh", "-c", "cc -MD -MF a.d -c $0 -o a.o && ln -s $PWD/a.o link && ls $PWD/a.o", &source],
        )
    };
    build("one/p").assert_ran();
    let other = build("two/deeper/q");
    other.assert_fetched();
    // What names the checkout is that of the other one: what was printed, what the compiler read, where a link leads.
    let object = team.path("two/deeper/q", "a.o");
    assert_eq!(other.stdout, format!("{}\n", object.display()));
    assert_eq!(fs::read_link(team.path("two/deeper/q", "link")).expect("a link"), object);
    let read = team.read("two/deeper/q", "a.d");
    assert!(read.contains(&team.path("two/deeper/q", "src/a.h").display().to_string()), "{read}");
    assert!(!read.contains("one/p"), "{read}");
    assert_eq!(fs::read(&object).expect("there"), fs::read(team.path("one/p", "a.o")).expect("there"));
    // It is a run of the cache here from now on.
    server.fail(&[Fault::HangUp]);
    let asked = server.asked();
    fs::remove_file(&object).expect("there");
    let again = build("two/deeper/q");
    assert!(again.summary["outcome"] == "hit" && again.summary["fetched"] == false, "{again:?}");
    assert_eq!(server.asked(), asked, "a hit of the cache here asks nobody");
}

#[test]
fn what_differs_from_the_other_machine_is_named() {
    let server = CacheServer::new();
    let team = with_source(&server.url(), &["one/p", "two/p"]);
    let include = team.path("system", "include").display().to_string();
    team.write("system", "include/stdx.h", "#define Y 1\n");
    let build =
        |checkout: &str| team.run(checkout, &["cc", "-I", &include, "-include", "stdx.h", "-c", "src/a.c"]);
    build("one/p").assert_ran();
    // The other machine has another version of a header of the system.
    team.write("system", "include/stdx.h", "#define Y 2\n");
    let other = build("two/p");
    other.assert_ran();
    let reason = other.summary["reason"].as_str().expect("text");
    assert!(reason.starts_with(&format!("{include}/stdx.h changed (read by `")), "{reason}");
    // With what it had, and with what the second made of the other, both hit.
    fs::remove_dir_all(team.cache("one/p")).expect("there");
    fs::remove_file(team.path("one/p", "a.o")).expect("made");
    build("one/p").assert_fetched();
}

#[test]
fn a_toolchain_that_says_that_it_is_the_same_is_believed() {
    let server = CacheServer::new();
    let team = with_source(&server.url(), &["one/p", "two/p", "three/p"]);
    let system = team.path("system", "").display().to_string();
    team.write("system", "version", "1\n");
    let settings =
        format!("[toolchain.cc]\ncommand = \"cat {system}/version\"\npaths = [\"/usr\", \"{system}\"]\n");
    let build = |checkout: &str, version: &str| {
        team.write(checkout, "tracerun.toml", &settings);
        team.write("system", "version", version);
        // Each machine has a header of its own.
        team.write("system", "include/stdx.h", &format!("#define Y 1 /* {checkout} */\n"));
        team.run(checkout, &["cc", "-I", &format!("{system}/include"), "-include", "stdx.h", "-c", "src/a.c"])
    };
    build("one/p", "1\n").assert_ran();
    build("two/p", "1\n").assert_fetched();
    build("three/p", "2\n").assert_ran();
}

#[test]
fn a_transfer_that_takes_long_is_told_on_a_terminal_and_leaves_no_trace() {
    let server = CacheServer::new();
    let proxy = Proxy::new(server.port());
    let team = with_source(&format!("{}/cache", proxy.url("http")), &["one/p", "two/p"]);
    let command = ["sh", "-c", "head -c 4000000 /dev/zero > out; echo made"];
    let run = |checkout: &str, options: &[&str]| {
        let mut tracerun = team.command(checkout, tracerun_tests::tracerun());
        tracerun.env("TERM", "xterm").args(["--root", "."]).args(options).arg("--").args(command);
        Terminal::run(&tracerun).ends().0
    };
    run("one/p", &[]);
    proxy.fail(Trouble::Slow);
    let shown = run("two/p", &[]);
    let (progress, rest) = shown.split_once("made\r\n").expect("what the command printed");
    assert!(
        progress.starts_with("\rtracerun: fetched ") && progress.contains(" of 3.8 MiB\x1b[K"),
        "{shown:?}"
    );
    // The last thing before what the command printed is that the line is taken away.
    assert!(progress.ends_with("\r\x1b[K") && rest.starts_with("tracerun: hit from the remote"), "{shown:?}");
    for gone in [team.cache("two/p"), team.path("two/p", "out")] {
        let _ = fs::remove_dir_all(&gone).or_else(|_| fs::remove_file(&gone));
    }
    assert_eq!(run("two/p", &["--quiet"]), "made\r\n");
}

#[test]
fn what_names_its_checkout_does_not_hit_in_another() {
    let server = CacheServer::new();
    let commands: [(&[&str], &str); 5] = [
        (&["cc", "-g", "-c", "src/a.c"], "a.o"),
        (&["sh", "-c", "pwd | rev | rev > out"], "out"),
        (&["sh", "-c", "cat named > out"], "named"),
        (&["sh", "-c", "printf 'x%s' \"$PWD\""], "what it printed"),
        (&["sh", "-c", "pwd > long; yes | head -c 300000 >> long"], "long"),
    ];
    for (command, named) in commands {
        let team = with_source(&server.url(), &["one/p", "two/p"]);
        // The same file in both, which names the one.
        for checkout in ["one/p", "two/p"] {
            team.write(checkout, "named", &format!("{}\n", team.path("one/p", "src/a.h").display()));
        }
        team.run("one/p", command).assert_ran();
        let other = team.run("two/p", command);
        other.assert_ran();
        let text = team.explain("two/p");
        assert!(text.contains("depended on that place") && text.contains(named), "{command:?}: {text}");
        // In the same place it does, with another cache.
        let all = team.path("one/p", "");
        let made: Vec<_> =
            fs::read_dir(&all).expect("there").map(|entry| entry.expect("there").path()).collect();
        for path in made.iter().filter(|path| ["a.o", "out", "long"].iter().any(|name| path.ends_with(name)))
        {
            fs::remove_file(path).expect("made");
        }
        fs::remove_dir_all(team.cache("one/p")).expect("there");
        team.run("one/p", command).assert_fetched();
    }
}

#[test]
fn what_lies_above_a_checkout_is_looked_at_where_that_one_lies() {
    let server = CacheServer::new();
    let team = Team::new(&server.url());
    for (checkout, content) in [("one/p", "1"), ("two/p", "2"), ("three/p", "1"), ("four/deep/p", "1")] {
        team.write(checkout, "in", "in\n");
        team.write(checkout, "../beside", content);
    }
    let command = ["sh", "-c", "cat ../beside in > out"];
    team.run("one/p", &command).assert_ran();
    team.run("two/p", &command).assert_ran();
    assert_eq!(team.read("two/p", "out"), "2in\n");
    team.run("three/p", &command).assert_fetched();
    // Another that is searched for in every folder above, of which there are more.
    let search = [
        "sh",
        "-c",
        "for up in . .. ../.. ../../.. ../../../..; do test -e $up/found && cat $up/found; done; echo",
    ];
    team.run("one/p", &search).assert_ran();
    team.run("three/p", &search).assert_fetched();
    // In a folder more, in which it is not either.
    team.run("four/deep/p", &search).assert_fetched();
    fs::remove_dir_all(team.cache("four/deep/p")).expect("there");
    team.write("four", "found", "found");
    let deeper = team.run("four/deep/p", &search);
    deeper.assert_ran();
    assert_eq!(deeper.stdout, "found\n");
    // In another place, further above than the first search could go.
    let mut other = Team::new(&server.url());
    other.variables.push(("HOME", team.top.path().join("home").display().to_string()));
    other.write("a/b/c/p", "in", "in\n");
    other.run("a/b/c/p", &search).assert_fetched();
    fs::remove_dir_all(other.cache("a/b/c/p")).expect("there");
    other.write("", "found", "found");
    let ran = other.run("a/b/c/p", &search);
    ran.assert_ran();
    assert_eq!(ran.stdout, "found\n");
    assert!(ran.summary["reason"].as_str().expect("text").contains("searched"), "{ran:?}");
}

#[test]
fn what_is_of_one_machine_alone_is_not_shared() {
    let server = CacheServer::new();
    let team = with_source(&server.url(), &["one/p"]);
    team.write("system", "tool", "1");
    let tool = team.path("system", "tool").display().to_string();
    let outside = team.path("system", "made").display().to_string();
    let cases: [(&[&str], &[&str], &str); 3] = [
        (&["--trust", &tool], &["sh", "-c", "cat \"$0\" > out", &tool], "known on this machine only"),
        (
            &["--output", "auto", "--output", &outside],
            &["sh", "-c", "echo > \"$0\"", &outside],
            "outside the root",
        ),
        (&[], &["cc", "-march=native", "-c", "src/a.c"], "asks which processor"),
    ];
    for (options, command, why) in cases {
        let options = [options, &["-v"]].concat();
        let ran = team.run_with("one/p", &options, command);
        ran.assert_ran();
        assert!(ran.stderr.contains("tracerun: not shared: ") && ran.stderr.contains(why), "{ran:?}");
    }
    assert!(server.requests().iter().all(|request| request.starts_with("GET")), "{:?}", server.requests());
}

#[test]
fn runs_are_given_only_where_the_project_says_so() {
    let cases: [(&str, &[&str], Option<&str>, bool); 6] = [
        ("", &[], None, true),
        ("mode = \"read-only\"", &[], None, false),
        ("upload = \"ci\"", &[], None, false),
        ("upload = \"ci\"", &[], Some("true"), true),
        ("upload = \"ci\"", &[], Some("false"), false),
        ("", &["--no-remote"], None, false),
    ];
    for (settings, options, ci, gives) in cases {
        let server = CacheServer::new();
        let mut team = with_source("", &["one/p"]);
        team.write("one/p", "tracerun.toml", &format!("[remote]\nurl = \"{}\"\n{settings}\n", server.url()));
        team.variables.extend(ci.map(|ci| ("CI", ci.to_owned())));
        team.run_with("one/p", options, &["cc", "-c", "src/a.c"]).assert_ran();
        let puts = server.requests().iter().filter(|request| request.starts_with("PUT")).count();
        assert_eq!(puts > 0, gives, "{settings} {options:?} {ci:?}: {puts}");
        assert!(options.is_empty() || server.asked() == 0, "--no-remote asks nothing");
    }
}

#[test]
fn headers_come_from_the_environment_and_are_never_shown() {
    let server = CacheServer::new();
    let mut team = with_source(&server.url(), &["one/p"]);
    team.variables.push(("TRACERUN_REMOTE_HEADERS", "Authorization: Bearer s3cret\nX-Team: a".to_owned()));
    let ran = team.run_with("one/p", &["-v"], &["cc", "-c", "src/a.c"]);
    let requests = server.requests();
    let has = |request: &String| {
        let request = request.to_lowercase();
        request.contains("authorization: bearer s3cret\r\n") && request.contains("x-team: a\r\n")
    };
    assert!(!requests.is_empty() && requests.iter().all(has), "{requests:?}");
    assert!(!format!("{ran:?}{}", team.explain("one/p")).contains("s3cret"));
    // One that is none: that is said, and what it holds is not.
    team.variables.push(("TRACERUN_REMOTE_HEADERS", "s3cret".to_owned()));
    let mut command = team.command("one/p", tracerun_tests::tracerun());
    let output = command.args(["--", "true"]).output().expect("tracerun runs");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.code() == Some(125) && text.contains("NAME: VALUE") && !text.contains("s3cret"),
        "{text}"
    );
}

/// A project whose remote may take so long.
fn with_limit(server: &CacheServer, checkout: &str, millis: u32) -> Team {
    let team = Team::new("");
    let text = format!(
        "[remote]\nurl = \"{}\"\ntimeout-ms = {millis}\ntransfer-timeout-ms = {millis}\n",
        server.url()
    );
    team.write(checkout, "tracerun.toml", &text);
    team
}

#[test]
fn a_remote_that_fails_costs_a_warning_and_a_bounded_time() {
    for fault in FAULTS {
        let server = CacheServer::new();
        let team = with_limit(&server, "p", 1000);
        let command = ["sh", "-c", "cat in > out; head -c 200000 /dev/zero >> out"];
        team.write("p", "in", "1");
        team.run("p", &command).assert_ran();
        let whole = fs::read(team.path("p", "out")).expect("made");
        fs::remove_dir_all(team.cache("p")).expect("there");
        fs::remove_file(team.path("p", "out")).expect("made");

        server.fail(&[fault]);
        let began = Instant::now();
        let ran = team.run("p", &command);
        // Two times the limit, for the look-up and for giving the run, and what a busy machine takes for all else.
        assert!(began.elapsed() < Duration::from_secs(10), "{fault:?}: {:?}", began.elapsed());
        assert_eq!(fs::read(team.path("p", "out")).expect("made"), whole, "{fault:?}");
        match fault {
            Fault::Full => ran.assert_fetched(),
            _ => ran.assert_ran(),
        }
        let quiet = [Fault::Full, Fault::Forgotten, Fault::Garbage, Fault::OtherResult];
        let is_told = ran.stderr.contains("tracerun: warning: the remote is not used: ");
        assert_eq!(is_told, !quiet.contains(&fault), "{fault:?}: {ran:?}");
    }
}

#[test]
fn a_remote_that_is_not_there_or_full_costs_a_warning() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address");
    drop(taken);
    for scheme in ["http", "https", "grpc", "grpcs"] {
        let team = with_source(&format!("{scheme}://{address}"), &["p"]);
        let ran = team.run("p", &["cc", "-c", "src/a.c"]);
        ran.assert_ran();
        assert!(ran.stderr.contains("warning: the remote is not used: "), "{ran:?}");
    }

    let server = CacheServer::new();
    server.fail(&[Fault::Full]);
    let team = with_source(&server.url(), &["p"]);
    let ran = team.run("p", &["cc", "-c", "src/a.c"]);
    ran.assert_ran();
    assert!(ran.stderr.contains("warning: the remote is not used: it refused: status 507"), "{ran:?}");
}

/// Numbers that are no two times the same, and the same in each run of the test (Knuth, MMIX).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % end
    }
}

#[test]
fn a_thousand_look_ups_of_a_faulty_remote_give_no_wrong_hit() {
    let server = CacheServer::new();
    let team = with_limit(&server, "p", 400);
    let mut numbers = Numbers(7);
    let (mut hits, mut stalls) = (0, 0);
    for _ in 0..1000 {
        let content = format!("{}\n", numbers.below(20));
        team.write("p", "in", &content);
        // A machine that has nothing yet.
        for gone in [team.cache("p"), team.path("p", "out")] {
            let _ = fs::remove_dir_all(&gone).or_else(|_| fs::remove_file(&gone));
        }
        let mut faults: Vec<Fault> = Vec::new();
        for _ in 0..6 {
            let fault = if numbers.below(5) == 0 { FAULTS[numbers.below(FAULTS.len())] } else { Fault::None };
            // Each takes the whole time that is set, so that there are fewer.
            let fault = if fault == Fault::Stall && stalls >= 40 { Fault::Cut } else { fault };
            stalls += usize::from(fault == Fault::Stall);
            faults.push(fault);
        }
        faults.push(Fault::None);
        server.fail(&faults);
        let ran = team.run("p", &["sh", "-c", "cat in; cat in in > out"]);
        assert_eq!(
            (ran.stdout.as_str(), team.read("p", "out")),
            (&*content, content.repeat(2)),
            "{faults:?}: {ran:?}"
        );
        hits += usize::from(ran.summary["outcome"] == "hit");
    }
    eprintln!("{hits} hits, {} requests", server.asked());
    assert!((100..1000).contains(&hits), "{hits} hits: the faults are too many, or none");
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to.parent().expect("in a folder")).expect("made");
    let status = Command::new("cp").arg("-r").arg(from).arg(to).status();
    assert!(status.expect("cp runs").success());
}

/// Builds lua in a checkout, and again in another after the server has been restarted.
fn lua_is_restored(url: &str, restart: &mut dyn FnMut()) {
    let Some(lua) = fixture("lua").filter(|_| have("make") && have("cc")) else { return };
    let team = Team::new(url);
    for checkout in ["one/lua", "elsewhere/deep/tree"] {
        copy(&lua, &team.path(checkout, ""));
    }
    let built = team.run("one/lua", &["make", "linux"]);
    built.assert_ran();
    assert!(!built.stderr.contains("warning: the remote"), "{}", built.stderr);
    restart();
    let other = team.run("elsewhere/deep/tree", &["make", "linux"]);
    other.assert_fetched();
    for name in ["src/lua", "src/luac", "src/liblua.a"] {
        let [one, two] = ["one/lua", "elsewhere/deep/tree"]
            .map(|checkout| fs::read(team.path(checkout, name)).expect("there"));
        assert!(one == two, "{name}");
    }
    // What it says of folders is of its own.
    let there = team.path("one/lua", "src").display().to_string();
    let here = team.path("elsewhere/deep/tree", "src").display().to_string();
    assert!(other.stdout.contains(&here) && !other.stdout.contains(&there), "{}", other.stdout);
    assert_eq!(other.stdout, built.stdout.replace(&there[..there.len() - 4], &here[..here.len() - 4]));
}

/// Has Vite build in a checkout, and again in another.
fn vite_build_is_restored(url: &str) {
    let team = Team::new(url);
    let build = ["node", "node_modules/vite/bin/vite.js", "build"];
    let mut made = Vec::new();
    for checkout in ["one/app", "two/deeper/site"] {
        fs::create_dir_all(team.path(checkout, "")).expect("made");
        if !vite_project(&team.path(checkout, "")) {
            return;
        }
        let ran = team.run(checkout, &build);
        let folder = team.path(checkout, "dist/assets");
        let mut files: Vec<_> =
            fs::read_dir(folder).expect("made").map(|entry| entry.expect("there").path()).collect();
        files.sort();
        assert!(!files.is_empty() && ran.stdout.contains("dist/index.html"), "{ran:?}");
        made.push((files.iter().map(|file| fs::read(file).expect("read")).collect::<Vec<_>>(), ran));
    }
    made[0].1.assert_ran();
    made[1].1.assert_fetched();
    assert!(made[0].0 == made[1].0);
}

/// Has Ninja build a project of CMake's with several jobs in a checkout, and again in another.
fn cmake_project_is_restored(url: &str) {
    const SOURCES: usize = 8;
    if !(have("cmake") && have("ninja") && have("cc")) {
        return;
    }
    let team = Team::new(url);
    let build = |checkout: &str| {
        let names: String = (0..SOURCES).map(|number| format!(" part{number}.c")).collect();
        for number in 0..SOURCES {
            let source =
                format!("#include \"common.h\"\nint f{number}(int a) {{ return mix(a, {number}); }}\n");
            team.write(checkout, &format!("src/part{number}.c"), &source);
        }
        team.write(checkout, "src/common.h", "static inline int mix(int a, int b) { return a * 31 + b; }\n");
        team.write(checkout, "tracerun.toml", "");
        let lists = format!(
            "cmake_minimum_required(VERSION 3.20)\nproject(many C)\nset(CMAKE_BUILD_TYPE Release)\nadd_library(parts STATIC{names})\n"
        );
        team.write(checkout, "src/CMakeLists.txt", &lists);
        let launcher = format!("-DCMAKE_C_COMPILER_LAUNCHER={};--", tracerun_tests::tracerun().display());
        let configure = ["-G", "Ninja", "-S", "src", "-B", "out", &launcher];
        let mut text = String::new();
        for (program, arguments) in
            [("cmake", &configure[..]), ("ninja", &["-C", "out", "-v", "-j", "4"][..])]
        {
            let output = team.command(checkout, program).args(arguments).output().expect("it runs");
            assert!(output.status.success(), "{output:?}");
            text = String::from_utf8_lossy(&output.stdout).into_owned();
        }
        let object = |number| format!("out/CMakeFiles/parts.dir/part{number}.c.o");
        let objects: BTreeMap<usize, Vec<u8>> = (0..SOURCES)
            .map(|number| (number, fs::read(team.path(checkout, &object(number))).expect("built")))
            .collect();
        // Nothing is left to do, although Ninja has read what the compiler was said to have read.
        let again = team.command(checkout, "ninja").args(["-C", "out", "-n"]).output().expect("it runs");
        assert!(String::from_utf8_lossy(&again.stdout).contains("no work to do"), "{again:?}");
        (text, objects)
    };
    let (text, built) = build("one/project");
    assert_eq!(text.matches("tracerun: miss").count(), SOURCES, "{text}");
    let (text, restored) = build("another/place/checkout");
    assert_eq!(text.matches("tracerun: hit from the remote").count(), SOURCES, "{text}");
    assert!(built == restored);
}

#[test]
fn builds_are_restored_in_another_checkout_by_way_of_nginx() {
    if have("nginx") {
        let mut nginx = Server::nginx("", "");
        let url = nginx.url("http");
        lua_is_restored(&url, &mut || nginx.restart());
        cmake_project_is_restored(&url);
        vite_build_is_restored(&url);
    }
}

#[test]
fn builds_are_restored_in_another_checkout_by_way_of_buildgrid() {
    let Some(folder) = fixture("buildgrid").filter(|_| have("redis-server")) else { return };
    let _redis;
    let mut buildgrid;
    (buildgrid, _redis) = Server::buildgrid(&folder);
    let url = buildgrid.url("grpc");
    lua_is_restored(&url, &mut || buildgrid.restart());
    // A content of more than a message may hold, and a pack of such a length.
    let team = with_source(&url, &["one/p", "two/p"]);
    let command = ["sh", "-c", "seq 1000000 > out; for i in $(seq 50); do seq $i 10000 > small$i; done"];
    team.run("one/p", &command).assert_ran();
    team.run("two/p", &command).assert_fetched();
    for name in ["out", "small1", "small50"] {
        assert!(team.read("one/p", name) == team.read("two/p", name), "{name}");
    }
    cmake_project_is_restored(&url);
    vite_build_is_restored(&url);
}

#[test]
fn a_faulty_way_to_buildgrid_gives_no_wrong_hit() {
    let Some(folder) = fixture("buildgrid").filter(|_| have("redis-server")) else { return };
    let (buildgrid, _redis) = Server::buildgrid(&folder);
    let proxy = Proxy::new(buildgrid.port());
    let team = Team::new("");
    let settings =
        format!("[remote]\nurl = \"{}\"\ntimeout-ms = 400\ntransfer-timeout-ms = 400\n", proxy.url("grpc"));
    team.write("p", "tracerun.toml", &settings);
    // One content of a message and one that comes in pieces, both with text that can be told on the wire.
    let command = ["sh", "-c", "echo printed; cat in > out; yes marked | head -c 2100000 >> out"];
    let look_up = |content: &str| {
        team.write("p", "in", content);
        for gone in [team.cache("p"), team.path("p", "out")] {
            let _ = fs::remove_dir_all(&gone).or_else(|_| fs::remove_file(&gone));
        }
        let began = Instant::now();
        let ran = team.run("p", &command);
        assert!(began.elapsed() < Duration::from_secs(10), "{:?}: {ran:?}", began.elapsed());
        let made = team.read("p", "out");
        let is_right = made.starts_with(content) && made.len() == content.len() + 2_100_000;
        assert!(is_right && ran.stdout == "printed\n", "{ran:?}");
        assert!(made[content.len()..].replace("marked\n", "").is_empty(), "{ran:?}");
        ran
    };
    for content in ["1\n", "2\n", "3\n"] {
        look_up(content).assert_ran();
        look_up(content).assert_fetched();
    }
    let altered = |from: &str, to: &str| Trouble::Altered(from.into(), to.into());
    let mut numbers = Numbers(11);
    for round in 0..100 {
        let trouble = match round % 8 {
            0 => Trouble::Refused,
            // A content, what was printed, the result that names them, and the answer's own framing.
            1 => altered("marked\nmarked", "marked\nmarkee"),
            2 => altered("printed", "printee"),
            3 => altered("tracerun/0", "tracerun/1"),
            4 => altered("grpc-status", "grpc-statut"),
            5 if round < 40 => Trouble::StallAfter(numbers.below(2_200_000)),
            5 | 6 => Trouble::CutAfter(numbers.below(4000)),
            _ => Trouble::CutAfter(numbers.below(2_200_000)),
        };
        let content = format!("{}\n", numbers.below(3) + 1);
        proxy.fail(trouble.clone());
        let ran = look_up(&content);
        let is_hit = ran.summary["outcome"] == "hit";
        assert!(!is_hit || !matches!(round % 8, 0..=3), "{trouble:?}: {ran:?}");
    }
    // As it was: nothing that went wrong has left anything wrong on the server.
    proxy.fail(Trouble::None);
    look_up("1\n").assert_fetched();

    // Contents are gone, their results are not; the run that follows puts them there again.
    let status =
        Command::new("find").arg(buildgrid.folder().join("cas")).args(["-type", "f", "-delete"]).status();
    assert!(status.expect("find runs").success());
    look_up("1\n").assert_ran();
    look_up("1\n").assert_fetched();

    // It can keep nothing any more.
    let cas = buildgrid.folder().join("cas");
    fs::rename(&cas, buildgrid.folder().join("away")).expect("renamed");
    fs::write(&cas, "").expect("written");
    let ran = look_up("4\n");
    ran.assert_ran();
    assert!(ran.stderr.contains("warning: the remote is not used: "), "{ran:?}");
}

#[test]
fn bazel_and_tracerun_do_not_disturb_each_other_on_one_server() {
    let Some(folder) = fixture("buildgrid").filter(|_| have("redis-server")) else { return };
    let Some(runners) = fixture("runners") else { return };
    let (buildgrid, _redis) = Server::buildgrid(&folder);
    let url = buildgrid.url("grpc");
    let team = with_source(&url, &["one/p", "two/p", "bazel"]);
    team.write("bazel", "WORKSPACE", "");
    let rule = "genrule(name = 'made', srcs = ['src/a.c'], outs = ['out'], cmd = 'cat $< $< > $@')\n";
    team.write("bazel", "BUILD", rule);
    let bazel = |arguments: &[&str]| {
        let own = format!("--output_user_root={}", team.path("bazel-own", "").display());
        let program = runners.join("node_modules/@bazel/bazel-linux_x64/bazel-2.1.0-linux-x86_64");
        let mut command = team.command("bazel", program);
        command.args([&own, "--batch", "--host_jvm_args=-Xmx256m"]).args(arguments);
        let output = command.output().expect("bazel runs");
        assert!(output.status.success(), "{output:?}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let remote = format!("--remote_cache={url}");
    let build = || {
        let text = bazel(&["build", &remote, "//:made"]);
        bazel(&["clean", "--expunge"]);
        text
    };
    let compile = |checkout: &str| team.run(checkout, &["cc", "-c", "src/a.c"]);
    assert!(!build().contains("remote cache hit"));
    compile("one/p").assert_ran();
    let text = build();
    assert!(text.contains("1 remote cache hit"), "{text}");
    compile("two/p").assert_fetched();
}

#[test]
fn a_server_is_believed_only_with_a_certificate_that_is_vouched_for() {
    if !(have("nginx") && have("openssl")) {
        return;
    }
    let keys = tempfile::tempdir().expect("a folder");
    let at = keys.path().display().to_string();
    let openssl = |arguments: &str| {
        let output = Command::new("openssl").args(arguments.split(' ')).current_dir(keys.path()).output();
        let output = output.expect("openssl runs");
        assert!(output.status.success(), "{output:?}");
    };
    let new = "req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    openssl(&format!("{new} -x509 -days 3650 -subj /CN=authority -keyout ca.key -out ca.pem"));
    fs::write(keys.path().join("san"), "subjectAltName=DNS:localhost\n").expect("written");
    for name in ["server", "client"] {
        openssl(&format!("{new} -subj /CN={name} -keyout {name}.key -out {name}.csr"));
        openssl(&format!(
            "x509 -req -days 3650 -in {name}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -extfile san -out {name}.pem"
        ));
    }
    let tls = format!(
        "ssl_certificate {at}/server.pem; ssl_certificate_key {at}/server.key; ssl_client_certificate {at}/ca.pem; ssl_verify_client on;"
    );
    let nginx = Server::nginx(" ssl", &tls);
    let ca = format!("ca = \"{at}/ca.pem\"\n");
    let client = format!("client-cert = \"{at}/client.pem\"\nclient-key = \"{at}/client.key\"\n");
    let cases = [("", false), (&*ca, false), (&*client, false), (&*format!("{ca}{client}"), true)];
    for (index, (settings, works)) in cases.into_iter().enumerate() {
        let team = with_source("", &["one/p", "two/p"]);
        for checkout in ["one/p", "two/p"] {
            let text = format!("[remote]\nurl = \"{}\"\n{settings}", nginx.url("https"));
            team.write(checkout, "tracerun.toml", &text);
        }
        let number = format!("-DN={index}");
        let ran = team.run("one/p", &["cc", &number, "-c", "src/a.c"]);
        ran.assert_ran();
        assert_eq!(ran.stderr.contains("warning: the remote is not used: "), !works, "{settings}: {ran:?}");
        let other = team.run("two/p", &["cc", &number, "-c", "src/a.c"]);
        if works { other.assert_fetched() } else { other.assert_ran() }
    }
}

#[test]
fn what_is_made_of_the_roots_path_does_not_hit_in_another() {
    let server = CacheServer::new();
    let team = Team::new(&server.url());
    let source = "#include <stdio.h>\nint main(void) { char b[] = __FILE__; puts(b); return 0; }\n";
    for checkout in ["one/p", "two/deep/p"] {
        team.write(checkout, "m.c", source);
        team.write(checkout, "named", &format!("{}/x\n", team.path("one/p", "").display()));
    }
    for script in [
        "echo \"Build finished in $PWD.\"",
        "echo \"$PWD-build\" > out",
        "ln -sfn $PWD.d/tool tool",
        "ln -sfn ..$PWD link",
        "ln -sfn ../../../../../../usr/include up",
        "mkdir -p stage$PWD",
        "gcc -c $PWD/m.c -o m.o",
        "tar cf o.tar $PWD/m.c 2>/dev/null",
        "exec 3<named; cat <&3",
    ] {
        for checkout in ["one/p", "two/deep/p"] {
            team.run(checkout, &["bash", "-c", script]).assert_ran();
        }
    }
    // The same words in what is read by the way of standard input are a text like any other.
    for checkout in ["one/p", "two/deep/p"] {
        let mut command = team.command(checkout, tracerun_tests::tracerun());
        let named = fs::File::open(team.path(checkout, "named")).expect("there");
        let output = command.args(["--root", ".", "--", "cat"]).stdin(named).output().expect("tracerun runs");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains("tracerun: miss"), "{said}");
        assert_eq!(String::from_utf8_lossy(&output.stdout), team.read(checkout, "named"));
    }
}

#[test]
fn the_headers_of_requests_are_not_the_commands_to_see() {
    let server = CacheServer::new();
    let team = Team::new(&server.url());
    team.write("p", "in", "1\n");
    let mut command = team.command("p", tracerun_tests::tracerun());
    command.env("TRACERUN_REMOTE_HEADERS", "Authorization: Bearer secret");
    let output = command.args(["--root", ".", "--", "env"]).output().expect("tracerun runs");
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(printed.contains("TRACERUN_REMOTE=") && !printed.contains("secret"), "{printed}");
}

#[test]
fn a_toolchain_that_becomes_another_while_a_run_is_under_way_keeps_it_from_being_stored() {
    let server = CacheServer::new();
    let team = Team::new(&server.url());
    let system = team.path("system", "").display().to_string();
    team.write("system", "version", "1\n");
    let settings = format!("[toolchain.sdk]\ncommand = \"cat {system}/version\"\npaths = [\"{system}\"]\n");
    team.write("p", "tracerun.toml", &settings);
    let script = format!("cat {system}/version; echo 2 > {system}/version");
    let ran = team.run("p", &["sh", "-c", &script]);
    assert!(ran.stderr.contains("not cached"), "{ran:?}");
    let script = format!("(cat {system}/version; mv {system}/next {system}/version) > /dev/null");
    team.write("system", "next", "3\n");
    let ran = team.run("p", &["sh", "-c", &script]);
    assert!(ran.stderr.contains("not cached"), "{ran:?}");
}
