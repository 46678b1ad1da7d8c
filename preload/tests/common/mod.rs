//! Running small C programs with the library, as tracerun would, and reading back what they reported.

#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use memmap2::{MmapOptions, MmapRaw};
use shm_protocol::path::{self, Step};
use shm_protocol::record::{Event, Record};
use shm_protocol::ring::{Reader, Ring, words_from_mapping};
use shm_protocol::session::{Session, VARIABLE};
use tempfile::TempDir;

/// The pass of these tests. There is no filter, so the kernel ignores it.
pub(crate) const PASS: u64 = 0x0123_4567_89ab_cdef;

/// The library as it is shipped, built once per test binary.
pub(crate) fn library() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("library");
        let built = Command::new(env!("CARGO"))
            .args(["build", "--quiet", "-p", "tracerun-preload", "--profile", "preload", "--target-dir"])
            .arg(&target)
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .status()
            .expect("cargo runs");
        assert!(built.success(), "the library builds");
        target.join("preload/libtracerun_preload.so")
    })
}

/// One record, in words that a test can compare.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) pid: u32,
    pub(crate) time_ns: u64,
    /// Such as `read /tmp/a`, `fork 17`, `instrumented`, `killed 9`.
    pub(crate) what: String,
}

/// A ring and a working directory for one program.
pub(crate) struct Tracer {
    pub(crate) folder: TempDir,
    mapping: MmapRaw,
    cookie: u64,
    ring: PathBuf,
}

impl Tracer {
    /// With a pass, or 0 for a library that must see everything by itself.
    pub(crate) fn new(cookie: u64) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let ring = folder.path().join("ring");
        std::fs::create_dir(folder.path().join("work")).expect("a folder");
        let file =
            std::fs::File::options().read(true).write(true).create_new(true).open(&ring).expect("a file");
        file.set_len(shm_protocol::ring::BYTES as u64).expect("room");
        let mapping = MmapOptions::new().map_raw(&file).expect("a mapping");
        let tracer = Self { folder, mapping, cookie, ring };
        Ring::format(tracer.words(), std::process::id()).expect("a ring");
        tracer
    }

    fn words(&self) -> &[shm_protocol::ring::Word] {
        // SAFETY: mapped for as long as `self`, and used by atomics only.
        unsafe { words_from_mapping(self.mapping.as_mut_ptr(), self.mapping.len()) }
    }

    /// The working directory of the program, by its real name.
    pub(crate) fn work(&self) -> PathBuf {
        self.folder.path().canonicalize().expect("it is there").join("work")
    }

    /// Compiles `tests/programs/<name>.c` with `compiler`, which may come with options, and returns the program.
    pub(crate) fn compile(&self, compiler: &str, name: &str) -> PathBuf {
        let source =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs").join(name).with_extension("c");
        let program = self.folder.path().join(name);
        let mut words = compiler.split(' ');
        let compiled = Command::new(words.next().expect("a compiler"))
            .args(words)
            .args(["-O1", "-Wall", "-pthread", "-o"])
            .args([&program, &source])
            .status()
            .expect("a C compiler runs");
        assert!(compiled.success(), "{name}.c compiles");
        program
    }

    /// The program with the library and the session in its environment.
    pub(crate) fn command(&self, program: &Path) -> Command {
        let mut session = String::from_utf8(Session::head(self.cookie).to_vec()).expect("digits");
        session.push_str(self.ring.to_str().expect("a temporary folder has a plain name"));
        let mut command = Command::new(program);
        command.current_dir(self.work()).env(VARIABLE, session).env("LD_PRELOAD", library());
        command
    }

    /// Compiles and runs a program, which must succeed in silence, and returns what was told.
    pub(crate) fn run(&self, compiler: &str, name: &str) -> Vec<Told> {
        let program = self.compile(compiler, name);
        assert_quiet_success(&self.command(&program).output().expect("it runs"));
        self.told()
    }

    /// What has been told since the ring was made. Only once.
    pub(crate) fn told(&self) -> Vec<Told> {
        let mut told = Vec::new();
        let reader = Reader::new(Ring::open(self.words()).expect("it was formatted"));
        let work = format!("{}/", self.work().display());
        let finished = reader.finish(&mut |record: &Record<'_>| {
            let what = describe(&record.event).replace(&work, "");
            told.push(Told { pid: record.pid, time_ns: record.time_ns, what });
        });
        assert_eq!((finished.bad, finished.lost, finished.unfinished), (0, 0, 0));
        told.sort_by_key(|told| told.time_ns);
        told
    }
}

pub(crate) fn assert_quiet_success(output: &Output) {
    let said = [String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr)].concat();
    assert!(output.status.success() && said.is_empty(), "{}\n{said}", output.status);
}

/// How often exactly this was told.
pub(crate) fn count(told: &[Told], what: &str) -> usize {
    told.iter().filter(|told| told.what == what).count()
}

/// Fails, showing all that was told, unless each was told once or more.
pub(crate) fn assert_told(told: &[Told], expected: &[&str]) {
    for what in expected {
        assert!(count(told, what) > 0, "not told: {what}\n{}", list(told));
    }
}

pub(crate) fn list(told: &[Told]) -> String {
    told.iter().map(|told| format!("{} {}\n", told.pid, told.what)).collect()
}

fn describe(event: &Event<'_>) -> String {
    match event {
        Event::Access(access) => {
            let path = normal(&access.path.pieces().concat());
            let change = access
                .change
                .map_or(String::new(), |change| format!(" {:?} {:?}", change.effect, change.before));
            format!("{} {path}{change}", access.outcome.settle(access.kind).name())
        }
        Event::Exec(image) => {
            format!("exec {}", String::from_utf8_lossy(image.argv).replace('\0', " ").trim_end())
        }
        Event::ExecFailed => "exec failed".into(),
        Event::Fork { parent } => format!("fork {parent}"),
        Event::Instrumented => "instrumented".into(),
        Event::Killed { signal, .. } => format!("child killed {signal}"),
        other => format!("{other:?}"),
    }
}

fn normal(path: &[u8]) -> String {
    let mut steps = Vec::new();
    path::normalize(path, |step| match step {
        Step::Into(name) => steps.push(String::from_utf8_lossy(name).into_owned()),
        Step::Up => drop(steps.pop()),
    });
    format!("/{}", steps.join("/"))
}
