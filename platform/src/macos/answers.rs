//! Which of the programs that were started have answered: the library in a program tells that it is there, and whoever starts a
//! program announces it. What is announced and never answers went unwatched.
//!
//! Pure but for the reading of programs, so that it is tested on other systems too.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use shm_protocol::access::{Access, AccessKind, Gap};
use shm_protocol::path::Joined;
use shm_protocol::record::{Event, Image, Record};

use crate::macho::{Program, Reason, Verdict, examine, is_protected};
use crate::tracing::GapReport;

/// How many scripts may be each other's interpreters; the kernel allows fewer.
const DEPTH: usize = 4;

/// What is known of a program from its file.
#[derive(Clone, Debug)]
struct Known {
    verdict: Verdict,
    /// The interpreters that the kernel opens for it.
    interpreters: Vec<Vec<u8>>,
}

/// The content of a file, and its mode.
pub(crate) type ReadFile = fn(&[u8]) -> Option<(Vec<u8>, u32)>;

/// What happened to one process.
enum Happened {
    Announced(Vec<u8>),
    Answered,
    Failed,
}

/// The programs of a run.
pub(crate) struct Answers {
    read: ReadFile,
    known: HashMap<Vec<u8>, Known>,
    happened: BTreeMap<u32, Vec<(u64, Happened)>>,
    unsure: BTreeSet<(Vec<u8>, String)>,
}

impl Answers {
    pub(crate) fn new(read: ReadFile) -> Self {
        Self { read, known: HashMap::new(), happened: BTreeMap::new(), unsure: BTreeSet::new() }
    }

    /// A program is about to run as `pid`. Gives what the kernel opens besides: its interpreters.
    pub(crate) fn announced(&mut self, pid: u32, time_ns: u64, path: Vec<u8>) -> Vec<Vec<u8>> {
        let known = self.known(&path);
        if let Verdict::Unsure(reason) = known.verdict {
            self.unsure.insert((path.clone(), reason.to_string()));
        }
        self.happen(pid, time_ns, Happened::Announced(path));
        known.interpreters
    }

    /// Whether a program can be told to load the library: dyld ends one that is told to and can't.
    pub(crate) fn endures(&mut self, path: &[u8]) -> bool {
        !matches!(
            self.known(path).verdict,
            Verdict::Drops(Reason::OtherProcessor | Reason::LibraryValidation)
        )
    }

    fn happen(&mut self, pid: u32, time_ns: u64, happened: Happened) {
        self.happened.entry(pid).or_default().push((time_ns, happened));
    }

    /// Takes a record, and passes it on to `sink` as the trace wants it.
    pub(crate) fn record(&mut self, record: &Record<'_>, sink: &mut dyn FnMut(&Record<'_>)) {
        let Record { pid, time_ns, event } = *record;
        match event {
            // The exec that failed was announced as an access, so the trace knows of no new image.
            Event::ExecFailed => {
                self.happen(pid, time_ns, Happened::Failed);
                return;
            }
            Event::Instrumented => self.happen(pid, time_ns, Happened::Answered),
            Event::Access(access) if access.kind == AccessKind::Exec => {
                for interpreter in self.announced(pid, time_ns, access.path.pieces().concat()) {
                    let path = Joined::absolute(&interpreter);
                    sink(&Record { event: Event::Access(Access { path, ..access }), ..*record });
                }
            }
            _ => {
                self.happened.entry(pid).or_default();
            }
        }
        sink(record);
    }

    /// The processes that were heard of.
    pub(crate) fn processes(&self) -> Vec<u32> {
        self.happened.keys().copied().collect()
    }

    /// What went unwatched. For each such program, `sink` is told that it ran.
    pub(crate) fn finish(mut self, sink: &mut dyn FnMut(&Record<'_>)) -> Vec<GapReport> {
        let mut gaps = BTreeSet::new();
        for (pid, mut happened) in std::mem::take(&mut self.happened) {
            happened.sort_by_key(|&(time_ns, _)| time_ns);
            let mut waiting: Vec<(u64, Vec<u8>)> = Vec::new();
            for (time_ns, happened) in happened {
                match happened {
                    Happened::Announced(path) => waiting.push((time_ns, path)),
                    // The last one: what was announced before was for a process whose number is not known, a shell's.
                    Happened::Answered | Happened::Failed => drop(waiting.pop()),
                }
            }
            for (time_ns, path) in waiting {
                let why = match self.known(&path).verdict {
                    Verdict::Drops(reason) | Verdict::Unsure(reason) => reason.to_string(),
                    Verdict::Loads => "in which the library is not there".to_owned(),
                };
                if path.starts_with(b"/") {
                    let image = Image { exe: &path, cwd: b"", argv: b"" };
                    sink(&Record { pid, time_ns, event: Event::Exec(image) });
                }
                gaps.insert((path, why));
            }
        }
        gaps.append(&mut self.unsure);
        let report = |(path, why): (Vec<u8>, String)| GapReport {
            gap: Gap::NotInstrumented,
            detail: format!("{}, {why}", String::from_utf8_lossy(&path)),
        };
        gaps.into_iter().map(report).collect()
    }

    fn known(&mut self, path: &[u8]) -> Known {
        if let Some(known) = self.known.get(path) {
            return known.clone();
        }
        let known = self.look(path);
        self.known.insert(path.to_vec(), known.clone());
        known
    }

    fn look(&self, path: &[u8]) -> Known {
        const SETUID_OR_SETGID: u32 = 0o6000;
        let mut interpreters: Vec<Vec<u8>> = Vec::new();
        let mut path = path.to_vec();
        for _ in 0..DEPTH {
            if is_protected(&path) {
                return Known { verdict: Verdict::Drops(Reason::SystemPath), interpreters };
            }
            let Some((content, mode)) = (self.read)(&path) else { break };
            match examine(&content) {
                Program::Binary(_) if mode & SETUID_OR_SETGID != 0 => {
                    return Known { verdict: Verdict::Drops(Reason::Privileges), interpreters };
                }
                Program::Binary(verdict) => return Known { verdict, interpreters },
                Program::Script(interpreter) => {
                    path = interpreter.to_vec();
                    if path.starts_with(b"/") {
                        interpreters.push(path.clone());
                    }
                }
            }
        }
        Known { verdict: Verdict::Drops(Reason::Unknown), interpreters }
    }
}

#[cfg(test)]
mod tests {
    use shm_protocol::access::Outcome;
    use shm_protocol::calls::Call;

    use super::*;

    /// A program that dyld loads, as short as can be.
    const PLAIN: &[u8] =
        b"\xcf\xfa\xed\xfe\x0c\0\0\x01\0\0\0\0\x02\0\0\0\x01\0\0\0\x20\0\0\0\0\0\0\0\0\0\0\0\
        \x0e\0\0\0\x20\0\0\0\x0c\0\0\0/usr/lib/dyld\0\0\0\0\0\0\0";

    fn read(path: &[u8]) -> Option<(Vec<u8>, u32)> {
        Some(match path {
            b"/opt/plain" | b"/opt/other" => (PLAIN.to_vec(), 0o755),
            b"/opt/arm64e" => ([&PLAIN[..8], b"\x02", &PLAIN[9..]].concat(), 0o755),
            b"/opt/setuid" => (PLAIN.to_vec(), 0o4755),
            b"/opt/script" => (b"#!/opt/plain\n".to_vec(), 0o755),
            b"/opt/env" => (b"#!/usr/bin/env node\n".to_vec(), 0o755),
            b"/opt/text" => (b"echo\n".to_vec(), 0o755),
            _ => return None,
        })
    }

    fn exec(pid: u32, time_ns: u64, path: &'static str) -> Record<'static> {
        let access = Access {
            call: Call::ALL[0],
            kind: AccessKind::Exec,
            outcome: Outcome::Done,
            follow: true,
            change: None,
            path: Joined::absolute(path.as_bytes()),
        };
        Record { pid, time_ns, event: Event::Access(access) }
    }

    fn told(pid: u32, time_ns: u64, event: Event<'static>) -> Record<'static> {
        Record { pid, time_ns, event }
    }

    /// What is missed, and what the trace is told in addition.
    fn judged(records: &[Record<'static>]) -> (Vec<String>, Vec<String>) {
        let mut answers = Answers::new(read);
        let mut passed = Vec::new();
        let mut pass = |record: &Record<'_>| {
            passed.push(match record.event {
                Event::Access(access) => String::from_utf8_lossy(&access.path.pieces().concat()).into_owned(),
                Event::Exec(image) => format!("runs {}", String::from_utf8_lossy(image.exe)),
                other => format!("{other:?}"),
            });
        };
        for record in records {
            answers.record(record, &mut pass);
        }
        let gaps = answers.finish(&mut pass).into_iter().map(|gap| gap.detail).collect();
        (gaps, passed)
    }

    #[test]
    fn a_program_that_answers_is_watched_in_whatever_order_records_come() {
        let (gaps, passed) = judged(&[told(2, 20, Event::Instrumented), exec(2, 10, "/opt/plain")]);
        assert!(gaps.is_empty(), "{gaps:?}");
        assert_eq!(passed, ["Instrumented", "/opt/plain"]);
    }

    #[test]
    fn a_program_that_would_be_ended_for_it_is_not_told_to_load_the_library() {
        let mut answers = Answers::new(read);
        assert!(answers.endures(b"/opt/plain") && answers.endures(b"/bin/sh"));
        assert!(!answers.endures(b"/opt/arm64e"));
    }

    #[test]
    fn each_process_that_is_heard_of_is_known() {
        let mut answers = Answers::new(read);
        answers.record(&told(3, 1, Event::Fork { parent: 2 }), &mut |_| ());
        answers.record(&exec(2, 10, "/opt/plain"), &mut |_| ());
        assert_eq!(answers.processes(), [2, 3]);
    }

    #[test]
    fn a_program_that_never_answers_is_named_with_the_reason() {
        for (program, why) in [
            ("/opt/plain", "in which the library is not there"),
            ("/opt/setuid", "a program that gives privileges, which loads no library of others"),
            ("/opt/text", "not a program that is known to load libraries"),
            ("/opt/gone", "not a program that is known to load libraries"),
            ("/usr/bin/git", "a program of the system, which loads no library of others"),
        ] {
            let (gaps, passed) = judged(&[exec(2, 10, program)]);
            assert_eq!(gaps, [format!("{program}, {why}")]);
            assert_eq!(passed, [program.to_owned(), format!("runs {program}")]);
        }
    }

    #[test]
    fn an_interpreter_is_executed_too_and_decides() {
        let (gaps, passed) = judged(&[exec(2, 10, "/opt/script"), told(2, 20, Event::Instrumented)]);
        assert!(gaps.is_empty(), "{gaps:?}");
        assert_eq!(passed, ["/opt/plain", "/opt/script", "Instrumented"]);
        let (gaps, passed) = judged(&[exec(2, 10, "/opt/env")]);
        assert_eq!(gaps, ["/opt/env, a program of the system, which loads no library of others"]);
        assert_eq!(passed, ["/usr/bin/env", "/opt/env", "runs /opt/env"]);
    }

    #[test]
    fn an_exec_that_failed_is_no_program_and_the_next_one_is() {
        let records = [exec(2, 10, "/opt/plain"), told(2, 11, Event::ExecFailed), exec(2, 12, "/opt/other")];
        let (gaps, passed) = judged(&records);
        assert_eq!(gaps, ["/opt/other, in which the library is not there"]);
        assert!(!passed.contains(&"ExecFailed".to_owned()));
        let (gaps, _) = judged(&[&records[..], &[told(2, 13, Event::Instrumented)]].concat());
        assert!(gaps.is_empty(), "{gaps:?}");
    }

    #[test]
    fn a_shell_whose_number_is_not_known_is_not_taken_for_the_next_program() {
        let records = [exec(2, 10, "/bin/sh"), exec(2, 12, "/opt/plain"), told(2, 13, Event::Instrumented)];
        let (gaps, _) = judged(&records);
        assert_eq!(gaps, ["/bin/sh, a program of the system, which loads no library of others"]);
    }
}
