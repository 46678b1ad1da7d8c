//! The command's standard streams: output passed through as it comes and kept in order for replay, input taken before.

use std::fs::File;
use std::io::{self, Cursor, PipeWriter, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use platform::relay::{self, Source};
use platform::terminal::{self, OutputStream};

use crate::cache::{OutputChunk, Stream, unique};
use crate::fingerprint::Digest;
use crate::footprint::TerminalLoss;
use crate::task::{StdinKey, Terminal};

/// Bytes of output that are kept: a run that prints more is not cached.
const AT_MOST: usize = 64 << 20;

/// What became of a command's output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// All of it, in order.
    Whole(Vec<OutputChunk>),
    /// Not all of it was seen, or kept.
    Lost(TerminalLoss),
    /// Where it was passed on to did not take it all.
    Refused(io::ErrorKind),
}

/// What came from standard input, for the command to read.
pub struct Input(Box<dyn Read + Send>);

impl Input {
    /// These bytes, and what they are in the key of a task.
    #[must_use]
    pub fn of(bytes: Vec<u8>) -> (StdinKey, Self) {
        (StdinKey::Taken(Digest::of(&bytes)), Self(Box::new(Cursor::new(bytes))))
    }
}

/// Standard input that was to be taken before the command.
pub enum Taken {
    /// All of it, and its digest.
    Whole(Digest, Input),
    /// It can't be kept, for this reason; nothing is lost all the same: the input goes on where standard input stands.
    Unkept(io::Error, Input),
}

/// Takes all that comes from standard input into a file that nobody else knows, made in `folder` under a name of its own.
///
/// # Errors
/// Standard input can't be read.
pub fn take_input(folder: &Path) -> io::Result<Taken> {
    let path = folder.join(format!(".stdin-{}", unique()));
    let mut file = match File::options().read(true).write(true).create_new(true).open(&path) {
        Ok(file) => file,
        Err(error) => return Ok(Taken::Unkept(error, Input(Box::new(io::stdin())))),
    };
    // It is known by its descriptor only; where that can't be, it is left.
    let _ = std::fs::remove_file(&path);
    let mut copied = Copied { from: io::stdin(), to: file.try_clone()?, length: 0, unkept: None };
    let digest = Digest::of_reader(&mut copied);
    file.seek(SeekFrom::Start(0))?;
    match (copied.unkept, digest) {
        (Some((error, rest)), _) => {
            let input = file.take(copied.length).chain(Cursor::new(rest)).chain(io::stdin());
            Ok(Taken::Unkept(error, Input(Box::new(input))))
        }
        (None, digest) => digest.map(|digest| Taken::Whole(digest, Input(Box::new(file)))),
    }
}

/// A reader of which all that is read is written elsewhere, too.
struct Copied<R> {
    from: R,
    to: File,
    /// How many bytes have been written.
    length: u64,
    /// Why it went no further, and what was read and not written.
    unkept: Option<(io::Error, Vec<u8>)>,
}

impl<R: Read> Read for Copied<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.from.read(buffer)?;
        if let Err(error) = self.to.write_all(&buffer[..count]) {
            let kind = error.kind();
            self.unkept = Some((error, buffer[..count].to_vec()));
            return Err(kind.into());
        }
        self.length += count as u64;
        Ok(count)
    }
}

/// A pipe out of which the input comes.
///
/// # Errors
/// No pipe or thread can be had.
pub fn give_input(Input(mut input): Input) -> io::Result<Stdio> {
    let (reader, mut writer) = io::pipe()?;
    let feed = move || {
        // That the command does not read to the end is its own business.
        let _ = io::copy(&mut input, &mut writer);
    };
    thread::Builder::new().name("input".into()).spawn(feed)?;
    Ok(reader.into())
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

/// The pipes of one command, or the terminals in their place, and the threads that empty them.
pub struct Tee {
    kept: Arc<Mutex<Kept>>,
    mark: Arc<OnceLock<Vec<u8>>>,
    pipes: Vec<Pipe>,
    /// What comes when this process has gone is passed on all the same.
    is_relayed: bool,
    /// Whether the command was given what was typed.
    typed: Arc<AtomicBool>,
}

/// One pipe or terminal, seen from its writing end.
struct Pipe {
    writer: Writer,
    /// Told when the mark has come out of the pipe; disconnected when everything has.
    emptied: Receiver<()>,
    /// Where it is read from; `None` once it is closed.
    source: Arc<Mutex<Option<Source>>>,
    stream: OutputStream,
}

/// What a command writes to.
enum Writer {
    Pipe(PipeWriter),
    Terminal(File),
}

impl Writer {
    fn try_clone(&self) -> io::Result<Self> {
        match self {
            Self::Pipe(pipe) => pipe.try_clone().map(Self::Pipe),
            Self::Terminal(file) => file.try_clone().map(Self::Terminal),
        }
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Pipe(pipe) => pipe.write_all(bytes),
            Self::Terminal(file) => file.write_all(bytes),
        }
    }
}

impl From<Writer> for Stdio {
    fn from(writer: Writer) -> Self {
        match writer {
            Writer::Pipe(pipe) => pipe.into(),
            Writer::Terminal(file) => file.into(),
        }
    }
}

#[derive(Default)]
struct Kept {
    chunks: Vec<OutputChunk>,
    /// Bytes that were passed on, kept or not.
    length: usize,
    /// Bytes that are kept: all, or else none.
    at_most: usize,
    refused: Option<io::ErrorKind>,
}

impl Tee {
    /// Pipes for a command's standard output and standard error, emptied into `passage`; terminals where those of
    /// this process are. Where both lead to the same place they are the same pipe, so that their order is kept
    /// exactly. With `is_relayed`, what processes that outlive the command print later goes to the standard streams of
    /// this process even when that is gone.
    ///
    /// # Errors
    /// No pipe or thread can be had.
    pub fn start(leads: &Terminal, passage: &Passage, is_relayed: bool) -> io::Result<(Self, Stdio, Stdio)> {
        let mut tee = Self::new(AT_MOST, is_relayed);
        let out = tee.open(Stream::Stdout, leads.stdout, passage)?;
        let err = if leads.one { out.try_clone()? } else { tee.open(Stream::Stderr, leads.stderr, passage)? };
        Ok((tee, out.into(), err.into()))
    }

    /// Terminals before those of this process, for a command whose output nobody keeps; other streams are inherited. `None`
    /// where no terminal can be had.
    #[must_use]
    pub fn before_terminals(leads: &Terminal, passage: &Passage) -> Option<(Self, Stdio, Stdio)> {
        let mut tee = Self::new(0, true);
        let mut open = |stream, is_terminal| match is_terminal {
            true => tee.open_terminal(stream, passage).map(Some),
            false => Some(None),
        };
        let out = open(Stream::Stdout, leads.stdout)?;
        let err = match &out {
            Some(out) if leads.one => Some(out.try_clone().ok()?),
            _ => open(Stream::Stderr, leads.stderr)?,
        };
        let stdio = |writer: Option<Writer>| writer.map_or_else(Stdio::inherit, Stdio::from);
        Some((tee, stdio(out), stdio(err)))
    }

    fn new(at_most: usize, is_relayed: bool) -> Self {
        let kept = Arc::new(Mutex::new(Kept { at_most, ..Kept::default() }));
        Self { kept, mark: Arc::default(), pipes: Vec::new(), is_relayed, typed: Arc::default() }
    }

    fn open_terminal(&mut self, stream: Stream, passage: &Passage) -> Option<Writer> {
        let (reader, writer, source) = terminal::like(own(stream), Arc::clone(&self.typed)).ok()?;
        self.drain(stream, reader, source, Writer::Terminal(writer), passage).ok()
    }

    fn open(&mut self, stream: Stream, is_terminal: bool, passage: &Passage) -> io::Result<Writer> {
        // Where the system gives no terminal a pipe has to do.
        if is_terminal
            && let Ok((reader, writer, source)) = terminal::like(own(stream), Arc::clone(&self.typed))
        {
            return self.drain(stream, reader, source, Writer::Terminal(writer), passage);
        }
        let (reader, writer) = io::pipe()?;
        let source = Source::of(&reader);
        self.drain(stream, reader, source, Writer::Pipe(writer), passage)
    }

    fn drain(
        &mut self,
        stream: Stream,
        reader: impl Read + Send + 'static,
        source: Source,
        writer: Writer,
        passage: &Passage,
    ) -> io::Result<Writer> {
        let (tell, emptied) = channel();
        let mut drain = Drain {
            stream,
            passage: Arc::clone(passage),
            kept: Arc::clone(&self.kept),
            mark: Arc::clone(&self.mark),
            held: Vec::new(),
            emptied: Some(tell),
        };
        let source = Arc::new(Mutex::new(Some(source)));
        let open = Arc::clone(&source);
        let empty = move || {
            // Held to the end: that it is dropped says that nothing is left.
            let _end = drain.emptied.clone();
            let mut reader = reader;
            drain.empty(&mut reader);
            *lock(&open) = None;
        };
        thread::Builder::new().name("output".into()).spawn(empty)?;
        self.pipes.push(Pipe { writer: writer.try_clone()?, emptied, source, stream: own(stream) });
        Ok(writer)
    }

    /// What the command, which has ended, printed. All of it has been passed on then, however slowly it is taken;
    /// other processes that have the pipes open are waited for up to `grace`.
    #[must_use]
    pub fn finish(self, grace: Duration) -> Output {
        // A pipe that someone holds open never ends. What the command wrote comes out before a mark that is
        // written after it.
        let mark = self.mark.get_or_init(|| format!("\0tracerun {}\0", unique()).into_bytes());
        let (mut ends, mut sources) = (Vec::new(), Vec::new());
        for Pipe { mut writer, emptied, source, stream } in self.pipes {
            // Refused only where the reader has gone, which disconnects the channel.
            let _ = writer.write_all(mark);
            ends.push(emptied);
            sources.push((source, stream));
        }
        let marked: Vec<_> = ends.into_iter().filter(|emptied| emptied.recv().is_ok()).collect();
        let deadline = Instant::now() + grace.max(AT_LEAST);
        let ended = |emptied: &Receiver<()>| {
            let left = deadline.saturating_duration_since(Instant::now());
            matches!(emptied.recv_timeout(left), Err(RecvTimeoutError::Disconnected))
        };
        let all_ended = marked.iter().all(ended);
        if !all_ended && self.is_relayed {
            leave_behind(&sources);
        }
        let kept = std::mem::take(&mut *self.kept.lock().unwrap_or_else(PoisonError::into_inner));
        if let Some(kind) = kept.refused {
            Output::Refused(kind)
        } else if !all_ended {
            Output::Lost(TerminalLoss::StillOpen)
        } else if self.typed.load(Ordering::Relaxed) {
            Output::Lost(TerminalLoss::Typed)
        } else if kept.length > kept.at_most {
            Output::Lost(TerminalLoss::TooLong)
        } else {
            Output::Whole(kept.chunks)
        }
    }
}

/// Has what still comes from those that are open passed on. Where it can't be, those who print it are told by SIGPIPE.
fn leave_behind(sources: &[(Arc<Mutex<Option<Source>>>, OutputStream)]) {
    // They are not closed as long as they are locked.
    let locked: Vec<_> = sources.iter().map(|(source, stream)| (lock(source), *stream)).collect();
    let open: Vec<_> = locked.iter().filter_map(|(source, stream)| Some(((**source)?, *stream))).collect();
    let _ = relay::leave_behind(&open);
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The stream of this process that a command's stream leads to.
fn own(stream: Stream) -> OutputStream {
    match stream {
        Stream::Stdout => OutputStream::Stdout,
        Stream::Stderr => OutputStream::Stderr,
    }
}

/// How long a pipe that nobody holds may take to say so.
const AT_LEAST: Duration = Duration::from_millis(100);

/// What empties one pipe.
struct Drain {
    stream: Stream,
    passage: Passage,
    kept: Arc<Mutex<Kept>>,
    mark: Arc<OnceLock<Vec<u8>>>,
    /// What came out of the pipe and may be the beginning of the mark.
    held: Vec<u8>,
    /// To tell that the mark was found; `None` once it was.
    emptied: Option<Sender<()>>,
}

impl Drain {
    /// Passes on and keeps what comes out of `reader` until it ends. If nobody takes it any more the pipe is
    /// closed, so that the command gets to know it by SIGPIPE as it would without us.
    fn empty(&mut self, mut reader: impl Read) {
        let mut buffer = vec![0; 64 << 10];
        loop {
            let passed = match reader.read(&mut buffer) {
                Ok(0) => {
                    let rest = std::mem::take(&mut self.held);
                    let _ = self.pass(&rest);
                    return;
                }
                Ok(count) => self.take(&buffer[..count]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
                Err(error) => Err(error),
            };
            if let Err(error) = passed {
                self.kept().refused = Some(error.kind());
                return;
            }
        }
    }

    /// Passes on what came out of the pipe, but for the mark.
    fn take(&mut self, bytes: &[u8]) -> io::Result<()> {
        let Some(mark) = self.mark.get().filter(|_| self.emptied.is_some()) else {
            return self.pass(bytes);
        };
        let mut bytes = [std::mem::take(&mut self.held).as_slice(), bytes].concat();
        if let Some(start) = bytes.windows(mark.len()).position(|window| window == mark) {
            bytes.drain(start..start + mark.len());
            self.pass(&bytes)?;
            // Nobody listens any more if the time of grace is over.
            let _ = self.emptied.take().map(|emptied| emptied.send(()));
            return Ok(());
        }
        let begun = (1..mark.len()).rev().find(|&length| bytes.ends_with(&mark[..length])).unwrap_or(0);
        self.held = bytes.split_off(bytes.len() - begun);
        self.pass(&bytes)
    }

    fn pass(&self, bytes: &[u8]) -> io::Result<()> {
        if !bytes.is_empty() {
            (self.passage)(self.stream, bytes)?;
            self.kept().add(self.stream, bytes);
        }
        Ok(())
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn add(&mut self, stream: Stream, bytes: &[u8]) {
        self.length = self.length.saturating_add(bytes.len());
        if self.length > self.at_most {
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
        let leads = Terminal { one: as_one, ..Terminal::default() };
        let (tee, out, err) = Tee::start(&leads, passage, false).expect("pipes");
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
        assert_eq!((output, status), (Output::Refused(io::ErrorKind::BrokenPipe), None));
    }

    #[test]
    fn what_the_command_printed_is_passed_on_however_slowly_it_is_taken() {
        let (quick, seen) = recording();
        let slow: Passage = Arc::new(move |stream, bytes: &[u8]| {
            thread::sleep(Duration::from_millis(150));
            quick(stream, bytes)
        });
        let (tee, out, err) = Tee::start(&Terminal::default(), &slow, false).expect("pipes");
        let mut command = Command::new("sh");
        // A process is left behind with the pipe open, and more is printed than can be passed on in the grace.
        command.args(["-c", "sleep 1 & seq 1 20000"]).stdout(out).stderr(err).status().expect("sh runs");
        drop(command);
        assert_eq!(tee.finish(Duration::from_millis(1)), Output::Lost(TerminalLoss::StillOpen));
        let passed: Vec<u8> =
            seen.lock().expect("not poisoned").iter().flat_map(|(_, bytes)| bytes.clone()).collect();
        let lines: Vec<_> = std::str::from_utf8(&passed).expect("text").lines().collect();
        assert_eq!((lines.len(), lines.last()), (20000, Some(&"20000")));
    }

    #[test]
    fn the_mark_is_found_however_it_is_cut_and_what_only_begins_like_it_is_passed_on() {
        for cut in 0..=4 {
            let (passage, seen) = recording();
            let (tell, emptied) = channel();
            let mut drain = Drain {
                stream: Stream::Stdout,
                passage,
                kept: Arc::default(),
                mark: Arc::new(OnceLock::from(b"MARK".to_vec())),
                held: Vec::new(),
                emptied: Some(tell),
            };
            let (first, second) = b"aMAMARKb".split_at(3 + cut);
            drain.take(first).expect("taken");
            drain.take(second).expect("taken");
            assert_eq!(emptied.recv(), Ok(()));
            let passed: Vec<u8> =
                seen.lock().expect("not poisoned").iter().flat_map(|(_, bytes)| bytes.clone()).collect();
            assert_eq!(passed, b"aMAb", "cut {cut}");
        }
    }

    #[test]
    fn a_process_left_behind_is_not_waited_for_beyond_the_grace() {
        let (passage, _) = recording();
        let (output, _) = run("sleep 1 & echo started", false, &passage);
        assert_eq!(output, Output::Lost(TerminalLoss::StillOpen));
    }
}
