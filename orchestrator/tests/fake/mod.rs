//! A folder with a store, and programs that are faked: what they do is done for real, and told as the observers would.

#![allow(dead_code, clippy::unwrap_used, reason = "a helper of tests, each of which uses a part of it")]

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use platform::files::{self, FileType};
use platform::terminal::ReadMarks;
use shm_protocol::access::{AccessKind, Before};
use shm_protocol::record::Exit;
use tracerun::archive::{Mtime, Restored};
use tracerun::cache::{Lookup, MissReason, Outcome, OutputChunk, RunId, RunRecord, Store, Stream};
use tracerun::declarations::Declarations;
use tracerun::fingerprint::Digest;
use tracerun::footprint::{Footprint, RunFacts, Uncacheable, judge};
use tracerun::runner::Told;
use tracerun::task::{Policy, StdinKey, Task, Terminal};
use tracerun::trace::{Changes, PathAccess, PathId, Process, ProcessCapture, Trace};

/// A root to run in, a folder outside it, and a store.
pub(crate) struct World {
    folder: tempfile::TempDir,
    pub(crate) root: PathBuf,
    pub(crate) outside: PathBuf,
    pub(crate) store: Store,
    pub(crate) task: Task,
}

/// What `World::run` came to.
#[derive(Debug)]
pub(crate) enum Came {
    Hit(Restored, Vec<OutputChunk>),
    Miss(Vec<MissReason>),
}

impl World {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path().canonicalize().unwrap();
        let (root, outside) = (base.join("root"), base.join("outside"));
        fs::create_dir(&root).unwrap();
        fs::create_dir(&outside).unwrap();
        let store = Store::open(&base.join("cache")).unwrap();
        let task = Task {
            argv: vec!["build".into()],
            cwd: root.clone(),
            root: root.clone(),
            environment: vec![("HOME".into(), outside.clone().into()), ("MODE".into(), "debug".into())],
            caller_environment: Vec::new(),
            umask: 0o22,
            limits: Vec::new(),
            stdin: StdinKey::Empty,
            terminal: Terminal::default(),
            policy: Policy::default(),
            named_inputs: None,
        };
        Self { folder, root, outside, store, task }
    }

    pub(crate) fn at(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    pub(crate) fn put(&self, name: &str, content: &str) {
        let path = self.at(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    pub(crate) fn get(&self, name: &str) -> String {
        fs::read_to_string(self.at(name)).unwrap()
    }

    pub(crate) fn remove(&self, name: &str) {
        fs::remove_file(self.at(name)).unwrap();
    }

    pub(crate) fn exists(&self, name: &str) -> bool {
        self.at(name).symlink_metadata().is_ok()
    }

    /// Runs `program` and judges it.
    pub(crate) fn judge(&self, program: impl FnOnce(&mut Program)) -> Result<Footprint, Uncacheable> {
        self.judge_trace(program, |_| {})
    }

    /// The same, when the content of what is changed can't be had.
    pub(crate) fn judge_without_contents(
        &self,
        program: impl FnOnce(&mut Program),
    ) -> Result<Footprint, Uncacheable> {
        self.judge_trace(program, |trace| trace.old_contents.clear())
    }

    /// The same, with a say in the trace.
    pub(crate) fn judge_trace(
        &self,
        program: impl FnOnce(&mut Program),
        edit: impl FnOnce(&mut Trace),
    ) -> Result<Footprint, Uncacheable> {
        let started =
            files::clock_barrier(&self.folder.path().join(format!("barrier-{}", RunId::new()))).unwrap();
        let contents = contents(&self.root);
        let mut running = Program::new(&self.root);
        program(&mut running);
        let mut trace = running.trace;
        trace.old_contents = old_contents(&trace, &contents);
        trace.accesses.sort_by_key(|access| access.first_ns);
        edit(&mut trace);
        let declarations = Declarations::of(&self.task).unwrap();
        let (trace, known) = (&trace, self.store.known());
        judge(
            &self.task,
            &RunFacts {
                trace,
                started,
                exit: Exit::Code(0),
                told: &Told::default(),
                known,
                terminals: &ReadMarks::default(),
                named_inputs: None,
            },
            &declarations,
        )
    }

    /// Runs `program` with cache, as the command line does.
    pub(crate) fn run(&self, program: impl FnOnce(&mut Program)) -> Came {
        let reasons = match self.store.look_up(&self.task).unwrap() {
            Lookup::Hit(entry) => {
                let terminal = entry.terminal(&self.store).unwrap();
                return Came::Hit(entry.restore(&self.store, Mtime::Now).unwrap(), terminal);
            }
            Lookup::Miss(missed) => missed.reasons,
        };
        let footprint = self.judge(program).unwrap_or_else(|why| panic!("not cached: {why:?}"));
        self.keep(&footprint);
        Came::Miss(reasons)
    }

    pub(crate) fn keep(&self, footprint: &Footprint) {
        let terminal = [
            OutputChunk { stream: Stream::Stdout, bytes: b"built\n".to_vec() },
            OutputChunk { stream: Stream::Stderr, bytes: b"warning\n".to_vec() },
        ];
        self.store.keep(&self.task, footprint, &terminal, &ended(&self.task)).unwrap();
    }

    /// Runs `program`, which has to be a miss.
    pub(crate) fn misses(&self, program: impl FnOnce(&mut Program)) -> Vec<MissReason> {
        match self.run(program) {
            Came::Miss(reasons) => reasons,
            Came::Hit(..) => panic!("a hit"),
        }
    }

    /// Asks for a hit.
    #[track_caller]
    pub(crate) fn hits(&self) -> Restored {
        match self.run(|_| panic!("a miss")) {
            Came::Hit(restored, _) => restored,
            Came::Miss(_) => unreachable!(),
        }
    }
}

/// A program at work.
pub(crate) struct Program {
    root: PathBuf,
    trace: Trace,
    clock: u64,
    process: u32,
}

impl Program {
    fn new(root: &Path) -> Self {
        let mut program = Self { root: root.to_owned(), trace: Trace::default(), clock: 0, process: 0 };
        program.process("build");
        program
    }

    /// From now on a process of this name is at work.
    pub(crate) fn process(&mut self, name: &str) {
        self.process += 1;
        self.trace.processes.push(Process {
            id: self.process,
            parent: self.process - 1,
            pid: 1000 + self.process,
            argv: vec![name.into()],
            exe: name.into(),
            cwd: Vec::new(),
            start_ns: self.clock,
            end_ns: self.clock,
            exit: None,
            capture: ProcessCapture::Preload,
        });
    }

    pub(crate) fn at(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    fn access(&mut self, name: &str, kind: AccessKind, follow: bool, changes: Option<Changes>) {
        let path = match name.strip_prefix("../") {
            Some(name) => self.root.parent().unwrap().join(name),
            None => self.at(name),
        };
        let path = files::bytes_of(path.as_os_str()).to_vec();
        let known = self.trace.paths.iter().position(|known| *known == path);
        let id = known.map_or_else(|| self.trace.paths.push(&path), |id| id as u32);
        let key = (self.process, id, kind);
        let at = self.clock;
        self.clock += 10;
        let known =
            self.trace.accesses.iter_mut().find(|access| (access.process, access.path, access.kind) == key);
        let Some(known) = known else {
            self.trace.accesses.push(PathAccess {
                process: key.0,
                path: key.1,
                kind,
                follow,
                no_follow: !follow,
                attributes: false,
                count: 1,
                first_ns: at,
                changes,
            });
            return;
        };
        known.count += 1;
        known.follow |= follow;
        known.no_follow |= !follow;
        if let (Some(known), Some(new)) = (&mut known.changes, changes) {
            known.replaced_ns = known.replaced_ns.or(new.replaced_ns);
            known.modified_ns = known.modified_ns.or(new.modified_ns);
            known.metadata_ns = known.metadata_ns.or(new.metadata_ns);
        }
    }

    fn before(&self, name: &str, follow: bool) -> Before {
        match files::identity(&self.at(name), follow) {
            Err(_) => Before::Absent,
            Ok(now) => match now.file_type {
                FileType::File => Before::File(now.mode as u16),
                FileType::Directory => Before::Directory(now.mode as u16),
                FileType::Symlink => Before::Symlink,
                FileType::Other => Before::Other,
            },
        }
    }

    fn replaces(&mut self, name: &str, kind: AccessKind, follow: bool) {
        let before = self.before(name, follow);
        let changes = Changes { before, replaced_ns: Some(self.clock), modified_ns: None, metadata_ns: None };
        self.access(name, kind, follow, Some(changes));
    }

    /// Looks at a path in one way; what is not there is missing.
    pub(crate) fn look(&mut self, name: &str, kind: AccessKind, follow: bool) {
        let there = files::identity(&self.at(name), follow).is_ok();
        self.access(name, if there { kind } else { AccessKind::Missing }, follow, None);
    }

    pub(crate) fn read(&mut self, name: &str) -> String {
        self.look(name, AccessKind::Read, true);
        fs::read_to_string(self.at(name)).unwrap_or_default()
    }

    pub(crate) fn stat(&mut self, name: &str) {
        self.look(name, AccessKind::Stat, true);
    }

    pub(crate) fn list(&mut self, name: &str) {
        self.look(name, AccessKind::List, true);
    }

    /// Opens to truncate and writes.
    pub(crate) fn write(&mut self, name: &str, content: &str) {
        self.replaces(name, AccessKind::Write, true);
        fs::write(self.at(name), content).unwrap();
    }

    /// Opens to write in place, and writes if there is something to write.
    pub(crate) fn append(&mut self, name: &str, content: &str) {
        use std::io::Write;
        let before = self.before(name, true);
        let now = Some(self.clock);
        let (replaced_ns, modified_ns) = if before == Before::Absent { (now, None) } else { (None, now) };
        self.access(
            name,
            AccessKind::Write,
            true,
            Some(Changes { before, replaced_ns, modified_ns, metadata_ns: None }),
        );
        let mut file = fs::File::options().append(true).create(true).open(self.at(name)).unwrap();
        if !content.is_empty() {
            file.write_all(content.as_bytes()).unwrap();
        }
    }

    pub(crate) fn chmod(&mut self, name: &str, mode: u32) {
        let before = self.before(name, true);
        let metadata_ns = Some(self.clock);
        let changes = Changes { before, replaced_ns: None, modified_ns: None, metadata_ns };
        self.access(name, AccessKind::Write, true, Some(changes));
        files::set_mode(&self.at(name), mode).unwrap();
    }

    pub(crate) fn make_folder(&mut self, name: &str) {
        self.replaces(name, AccessKind::Write, false);
        fs::create_dir(self.at(name)).unwrap();
    }

    pub(crate) fn link(&mut self, target: &str, name: &str) {
        self.replaces(name, AccessKind::Write, false);
        files::symlink(Path::new(target), &self.at(name)).unwrap();
    }

    pub(crate) fn remove(&mut self, name: &str) {
        self.replaces(name, AccessKind::Delete, false);
        let path = self.at(name);
        if path.symlink_metadata().unwrap().is_dir() { fs::remove_dir(path) } else { fs::remove_file(path) }
            .unwrap();
    }

    pub(crate) fn rename(&mut self, from: &str, to: &str) {
        self.access(from, AccessKind::Read, false, None);
        self.replaces(from, AccessKind::Delete, false);
        self.replaces(to, AccessKind::Write, false);
        fs::rename(self.at(from), self.at(to)).unwrap();
    }

    /// A compiler's work: looks at its output, reads, writes.
    pub(crate) fn compile(&mut self, sources: &[&str], object: &str) {
        self.process("cc");
        self.stat(object);
        let code: String = sources.iter().map(|source| self.read(source)).collect();
        self.write(object, &format!("compiled {code}"));
    }
}

/// The record of a run of this task that ended well.
pub(crate) fn ended(task: &Task) -> RunRecord {
    RunRecord::of(task, RunId::new(), SystemTime::now(), Exit::Code(0), Outcome::Traced)
}

/// The digest of every regular file under a folder.
fn contents(folder: &Path) -> HashMap<Vec<u8>, Digest> {
    let mut found = HashMap::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let (path, file_type) = (entry.path(), entry.file_type().unwrap());
        if file_type.is_dir() {
            found.extend(contents(&path));
        } else if file_type.is_file() {
            found.insert(files::bytes_of(path.as_os_str()).to_vec(), Digest::of(&fs::read(&path).unwrap()));
        }
    }
    found
}

/// What the collector takes while a change is held.
fn old_contents(trace: &Trace, contents: &HashMap<Vec<u8>, Digest>) -> Vec<(PathId, Digest)> {
    let changed = trace.accesses.iter().filter(|access| !access.kind.observes()).map(|access| access.path);
    changed.filter_map(|path| Some((path, *contents.get(trace.path(path))?))).collect()
}
