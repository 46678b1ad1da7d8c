//! What a traced command does, in one line of the terminal while it runs.

use std::collections::HashSet;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use platform::terminal::{OutputStream, is_awaited};
use tracerun::report;
use tracerun::stdio::{Passage, Tee, to_own_streams};
use tracerun::task::{Jobserver, Terminal};
use tracerun::trace::{LiveEvent, ProcessId};

use super::duration;
use super::status_line::StatusLine;

/// How soon the line tells of what is new.
const SOON: Duration = Duration::from_millis(100);
/// How often the line is renewed where nothing is new, for the time in it.
const IDLE: Duration = Duration::from_secs(1);

/// The line, and what passes the command's output on around it.
pub(super) struct LiveView {
    line: Arc<StatusLine>,
    tee: Tee,
    teller: JoinHandle<()>,
}

impl LiveView {
    /// A view of a command that is about to start, what tells it, and where the command's output and errors are to go; `None` where
    /// there is no terminal for it.
    pub(super) fn start() -> Option<(Self, Sender<LiveEvent>, [Stdio; 2])> {
        let line = Arc::new(StatusLine::on_terminal()?);
        let leads = Terminal::of_this_process(&Jobserver::default());
        let (beside, own) = (Arc::clone(&line), to_own_streams());
        let passage: Passage = Arc::new(move |stream, bytes| beside.make_way(bytes, || own(stream, bytes)));
        let (tee, stdout, stderr) = Tee::before_terminals(&leads, &passage)?;
        let (tell, told) = channel();
        let shown = Arc::clone(&line);
        let teller = thread::Builder::new().name("live view".into()).spawn(move || follow(&told, &shown));
        Some((Self { line, tee, teller: teller.ok()? }, tell, [stdout, stderr]))
    }

    /// Takes the line away, once all that the command printed has been passed on; what others print is waited for up to `grace`.
    pub(super) fn end(self, grace: Duration) {
        self.line.close();
        // Nobody keeps it.
        let _ = self.tee.finish(grace);
        // It ends when nobody tells it anything any more.
        let _ = self.teller.join();
    }
}

fn follow(told: &Receiver<LiveEvent>, line: &StatusLine) {
    let mut so_far = SoFar::default();
    let began = Instant::now();
    let mut wait = SOON;
    loop {
        match told.recv_timeout(wait) {
            Ok(event) => {
                so_far.learn(event);
                told.try_iter().for_each(|event| so_far.learn(event));
                wait = SOON;
            }
            // What is typed would appear in the line. Only a command that does nothing else waits for that.
            Err(RecvTimeoutError::Timeout) if is_awaited(OutputStream::Stderr) => {
                line.hide();
                wait = IDLE;
                continue;
            }
            Err(RecvTimeoutError::Timeout) => wait = IDLE,
            Err(RecvTimeoutError::Disconnected) => return,
        }
        line.show(|| so_far.text(began.elapsed()));
    }
}

/// What is known of a run that goes on.
#[derive(Default)]
struct SoFar {
    processes: HashSet<ProcessId>,
    accesses: usize,
    /// Those that execute something, in the order in which they began.
    running: Vec<(ProcessId, String)>,
}

impl SoFar {
    fn learn(&mut self, event: LiveEvent) {
        match event {
            LiveEvent::Began(process) => {
                self.processes.insert(process.id);
                self.running.retain(|(id, _)| *id != process.id);
                if !process.argv.is_empty() {
                    self.running.push((process.id, report::arguments_line(&process.argv)));
                }
            }
            LiveEvent::Accessed { .. } => self.accesses += 1,
            LiveEvent::Ended { process, .. } => self.running.retain(|(id, _)| *id != process),
            LiveEvent::ExecFailed { process, .. } => {
                self.processes.remove(&process);
                self.running.retain(|(id, _)| *id != process);
            }
        }
    }

    fn text(&self, elapsed: Duration) -> String {
        let plural =
            |count: usize, one: &str, more: &str| format!("{count} {}", if count == 1 { one } else { more });
        let processes = plural(self.processes.len(), "process", "processes");
        let accesses = plural(self.accesses, "access", "accesses");
        let current = self.running.last().map(|(_, line)| format!("  {line}")).unwrap_or_default();
        format!("tracerun: {}, {processes}, {accesses}{current}", duration(elapsed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use shm_protocol::access::AccessKind;
    use tracerun::bytes::Bytes;
    use tracerun::trace::{LiveProcess, ProcessExit};

    #[test]
    fn the_newest_program_that_runs_is_the_current_one() {
        let bytes = |text: &str| Bytes::from(text.as_bytes());
        let began = |id, pid, argv: &[&str]| {
            LiveEvent::Began(LiveProcess {
                id,
                parent: 0,
                pid,
                argv: argv.iter().map(|one| bytes(one)).collect(),
                exe: bytes(""),
                cwd: bytes("/"),
                start_ns: 0,
            })
        };
        let ended = |process| LiveEvent::Ended { process, exit: ProcessExit::Exec(3), end_ns: 0 };
        let mut so_far = SoFar::default();
        let time = Duration::from_millis(1500);
        so_far.learn(began(1, 10, &["make"]));
        assert_eq!(so_far.text(time), "tracerun: 1.5 s, 1 process, 0 accesses  make");
        so_far.learn(began(2, 11, &[]));
        so_far.learn(ended(2));
        so_far.learn(began(3, 11, &["cc", "a\x1bb.c"]));
        so_far.learn(LiveEvent::Accessed {
            process: 3,
            path: bytes("/a"),
            kind: AccessKind::Read,
            first_ns: 0,
        });
        assert_eq!(so_far.text(time), "tracerun: 1.5 s, 3 processes, 1 access  cc $'a\\eb.c'");
        so_far.learn(ended(3));
        assert_eq!(so_far.text(time), "tracerun: 1.5 s, 3 processes, 1 access  make");
    }
}
