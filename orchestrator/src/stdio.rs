//! The command's standard output and error: passed through as they come, and kept in order for replay.

use std::io::{self, PipeReader, Read, Write};
use std::process::Stdio;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::cache::{OutputChunk, Stream};
use crate::footprint::TerminalLoss;

/// Bytes of output that are kept: a run that prints more is not cached.
const AT_MOST: usize = 64 << 20;

/// What became of a command's output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// All of it, in order.
    Whole(Vec<OutputChunk>),
    /// Not all of it was seen, or kept.
    Lost(TerminalLoss),
}

/// Where the bytes of the command go: the standard streams of this process, or a caller's own.
pub type Passage = Arc<dyn Fn(Stream, &[u8]) -> io::Result<()> + Send + Sync>;

/// A passage to the standard streams of this process.
#[must_use]
pub fn to_own_streams() -> Passage {
    Arc::new(|stream, bytes| match stream {
        Stream::Stdout => {
            let mut out = io::stdout().lock();
            out.write_all(bytes)?;
            out.flush()
        }
        Stream::Stderr => io::stderr().lock().write_all(bytes),
    })
}

/// The pipes of one command and the threads that empty them.
pub struct Tee {
    kept: Arc<Mutex<Kept>>,
    done: Receiver<()>,
    open: usize,
}

#[derive(Default)]
struct Kept {
    chunks: Vec<OutputChunk>,
    length: usize,
    cut: bool,
}

impl Tee {
    /// Pipes for a command's standard output and standard error, emptied into `passage`. With `as_one` both are
    /// the same pipe, so that their order is kept exactly.
    ///
    /// # Errors
    /// No pipe or thread can be had.
    pub fn start(as_one: bool, passage: &Passage) -> io::Result<(Self, Stdio, Stdio)> {
        let kept = Arc::new(Mutex::new(Kept::default()));
        let (sender, done) = channel();
        let (out_reader, out_writer) = io::pipe()?;
        let mut readers = vec![(Stream::Stdout, out_reader)];
        let err_writer = if as_one {
            out_writer.try_clone()?
        } else {
            let (err_reader, err_writer) = io::pipe()?;
            readers.push((Stream::Stderr, err_reader));
            err_writer
        };
        let open = readers.len();
        for (stream, reader) in readers {
            let (kept, sender, passage) = (Arc::clone(&kept), sender.clone(), Arc::clone(passage));
            thread::Builder::new()
                .name("output".into())
                .spawn(move || empty(reader, stream, &passage, &kept, &sender))?;
        }
        Ok((Self { kept, done, open }, out_writer.into(), err_writer.into()))
    }

    /// What the command printed, once every writer has closed its end, or `grace` is over.
    #[must_use]
    pub fn finish(self, grace: Duration) -> Output {
        let deadline = Instant::now() + grace;
        let mut still_open = false;
        for _ in 0..self.open {
            let left = deadline.saturating_duration_since(Instant::now());
            still_open |= self.done.recv_timeout(left).is_err();
        }
        let kept = std::mem::take(&mut *self.kept.lock().unwrap_or_else(PoisonError::into_inner));
        if kept.cut {
            Output::Lost(TerminalLoss::Cut)
        } else if still_open {
            Output::Lost(TerminalLoss::StillOpen)
        } else if kept.length > AT_MOST {
            Output::Lost(TerminalLoss::TooLong)
        } else {
            Output::Whole(kept.chunks)
        }
    }
}

/// Passes on and keeps what comes out of `reader` until it ends. If nobody takes it any more the pipe is closed,
/// so that the command gets to know it by SIGPIPE as it would without us.
fn empty(mut reader: PipeReader, stream: Stream, passage: &Passage, kept: &Mutex<Kept>, done: &Sender<()>) {
    let mut buffer = vec![0; 64 << 10];
    loop {
        let bytes = match reader.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => &buffer[..count],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => {
                kept.lock().unwrap_or_else(PoisonError::into_inner).cut = true;
                break;
            }
        };
        let passed = passage(stream, bytes);
        let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
        if passed.is_err() {
            kept.cut = true;
            break;
        }
        kept.add(stream, bytes);
    }
    drop(reader);
    // Nobody listens any more if the time of grace is over.
    let _ = done.send(());
}

impl Kept {
    fn add(&mut self, stream: Stream, bytes: &[u8]) {
        self.length = self.length.saturating_add(bytes.len());
        if self.length > AT_MOST {
            self.chunks = Vec::new();
            return;
        }
        match self.chunks.last_mut() {
            Some(last) if last.stream == stream => last.bytes.extend_from_slice(bytes),
            _ => self.chunks.push(OutputChunk { stream, bytes: bytes.to_vec() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    type Seen = Arc<Mutex<Vec<(Stream, Vec<u8>)>>>;

    fn recording() -> (Passage, Seen) {
        let seen = Seen::default();
        let passed = Arc::clone(&seen);
        let passage: Passage = Arc::new(move |stream, bytes: &[u8]| {
            passed.lock().expect("not poisoned").push((stream, bytes.to_vec()));
            Ok(())
        });
        (passage, seen)
    }

    fn run(script: &str, as_one: bool, passage: &Passage) -> (Output, Option<i32>) {
        let (tee, out, err) = Tee::start(as_one, passage).expect("pipes");
        let mut command = Command::new("sh");
        let status = command.args(["-c", script]).stdout(out).stderr(err).status().expect("sh runs");
        drop(command);
        (tee.finish(Duration::from_millis(300)), status.code())
    }

    #[test]
    fn streams_that_are_one_keep_their_order() {
        let (passage, _) = recording();
        let script = "for i in 1 2 3 4 5 6 7 8 9; do echo $i; echo $i >&2; done";
        let (output, _) = run(script, true, &passage);
        let text = "1\n1\n2\n2\n3\n3\n4\n4\n5\n5\n6\n6\n7\n7\n8\n8\n9\n9\n";
        assert_eq!(output, Output::Whole(vec![OutputChunk { stream: Stream::Stdout, bytes: text.into() }]));
    }

    #[test]
    fn two_streams_are_passed_on_and_kept_apart() {
        let (passage, seen) = recording();
        let (output, status) = run("echo out; sleep 0.05; echo err >&2; exit 3", false, &passage);
        let expected = [(Stream::Stdout, b"out\n".to_vec()), (Stream::Stderr, b"err\n".to_vec())];
        assert_eq!(*seen.lock().expect("not poisoned"), expected);
        let chunks = expected.map(|(stream, bytes)| OutputChunk { stream, bytes }).to_vec();
        assert_eq!((output, status), (Output::Whole(chunks), Some(3)));
    }

    #[test]
    fn when_nobody_reads_any_more_the_command_learns_it() {
        let passage: Passage = Arc::new(|_, _: &[u8]| Err(io::ErrorKind::BrokenPipe.into()));
        let (output, status) = run("exec yes", false, &passage);
        assert_eq!((output, status), (Output::Lost(TerminalLoss::Cut), None));
    }

    #[test]
    fn a_process_left_behind_is_not_waited_for_beyond_the_grace() {
        let (passage, _) = recording();
        let (output, _) = run("sleep 1 & echo started", false, &passage);
        assert_eq!(output, Output::Lost(TerminalLoss::StillOpen));
    }
}
