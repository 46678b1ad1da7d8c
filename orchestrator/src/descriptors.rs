//! What this process was given open and passes on to its command, as far as a run depends on it or does something to it.

use std::io::{self, IsTerminal};

use platform::process::{
    InheritedFile, InheritedStream, StandardInput, ignores_sigpipe, inherited_files, inherited_streams,
    output_files, output_streams_are_one, rest_of, standard_input, was_closed,
};
use platform::tracing::MOST_STREAMS;

use crate::fingerprint::Digest;
use crate::task::{Jobserver, StdinKey, Task, Terminal};

impl Terminal {
    /// That of a command whose standard streams lead to its caller in this process.
    #[must_use]
    pub fn of_a_library(jobserver: &Jobserver) -> Self {
        let Self { ignores_sigpipe, inherited, mut streams, .. } = Self::of_this_process(jobserver);
        streams.retain(|stream| stream.number > 2);
        Self { ignores_sigpipe, inherited, streams, ..Self::default() }
    }

    /// That of this process, whose command gets the environment in which `jobserver` was found.
    #[must_use]
    pub fn of_this_process(jobserver: &Jobserver) -> Self {
        let mut streams = inherited_streams();
        streams.retain(|stream| !jobserver.descriptors.contains(&stream.number));
        Self {
            one: output_streams_are_one(),
            stdout: io::stdout().is_terminal(),
            stderr: io::stderr().is_terminal(),
            stdout_closed: was_closed(1),
            stderr_closed: was_closed(2),
            ignores_sigpipe: ignores_sigpipe(),
            files: output_files(),
            inherited: inherited_files().into_iter().map(|file| (file.clone(), rest(&file))).collect(),
            streams,
        }
    }

    /// The first descriptor that the run, which is over, did something to that the trace does not tell of, or that was not
    /// watched.
    pub(crate) fn used(&self) -> Option<i32> {
        let now = if self.inherited.is_empty() { Vec::new() } else { inherited_files() };
        let written = |(file, _): &&(InheritedFile, Digest)| file.writable && !now.contains(file);
        let file = self.inherited.iter().find(written).map(|(file, _)| file.number);
        let used = |(place, stream): &(usize, &InheritedStream)| *place >= MOST_STREAMS || stream.was_read();
        let stream = || self.streams.iter().enumerate().find(used).map(|(_, stream)| stream.number);
        file.or_else(stream)
    }
}

impl Task {
    /// The streams whose use is watched.
    pub(crate) fn watched_streams(&self) -> Vec<i32> {
        let stdin = (self.stdin == StdinKey::Stream).then_some(0);
        let others = self.terminal.streams.iter().map(|stream| stream.number).filter(|&number| number != 0);
        stdin.into_iter().chain(others).take(MOST_STREAMS).collect()
    }
}

/// A digest of what can be read of a file. What can't be read counts by what it says of itself.
fn rest(file: &InheritedFile) -> Digest {
    match file.readable.then(|| rest_of(file.number).and_then(Digest::of_reader)) {
        Some(Ok(digest)) => digest,
        Some(Err(error)) => Digest::of(error.to_string().as_bytes()),
        None => Digest::of(b""),
    }
}

impl StdinKey {
    /// That of this process. A file that can't be read beforehand is treated as one that can't be read again.
    #[must_use]
    pub fn of_this_process() -> Self {
        match standard_input() {
            StandardInput::Closed => Self::Closed,
            StandardInput::Empty => Self::Empty,
            StandardInput::File => rest_of(0).and_then(Digest::of_reader).map_or(Self::Stream, Self::File),
            StandardInput::Stream => Self::Stream,
        }
    }
}
