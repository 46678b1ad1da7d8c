//! A process that stays behind to pass on what others, which outlive a run, still print.

use std::io::{self, PipeReader};
use std::os::fd::{AsRawFd, RawFd};

use super::system;
use crate::relay;
use crate::terminal::OutputStream;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Source {
    from: RawFd,
    /// It is the master of a pseudo terminal in packet mode: what is read begins with a byte that is 0 before data.
    packets: bool,
}

impl Source {
    pub(crate) fn of(pipe: &PipeReader) -> Self {
        Self { from: pipe.as_raw_fd(), packets: false }
    }

    #[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "no pseudo terminal is made there"))]
    pub(super) fn of_terminal(master: RawFd) -> Self {
        Self { from: master, packets: true }
    }
}

pub(crate) fn leave_behind(sources: &[(relay::Source, OutputStream)]) -> io::Result<()> {
    // More there are not: one for each stream.
    let mut ways = [None; 2];
    for (way, (source, stream)) in ways.iter_mut().zip(sources) {
        let to = match stream {
            OutputStream::Stdout => 1,
            OutputStream::Stderr => 2,
        };
        *way = Some(Way { source: source.0, to });
    }
    // SAFETY: the child makes system calls only, on memory that it has, and never returns.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => {
            pass_on(ways);
            // SAFETY: ends the process without running anything of its parent's.
            unsafe { libc::_exit(0) }
        }
        _ => Ok(()),
    }
}

#[derive(Clone, Copy)]
struct Way {
    source: Source,
    to: RawFd,
}

/// Async-signal-safe: it runs in a forked child of a process with threads.
fn pass_on(mut ways: [Option<Way>; 2]) {
    // What ends tracerun's session and its group need not end those whose output this is.
    // SAFETY: takes nothing.
    unsafe { libc::setsid() };
    for signal in [libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGTERM, libc::SIGPIPE] {
        // SAFETY: SIG_IGN is a valid disposition for these signals.
        unsafe { libc::signal(signal, libc::SIG_IGN) };
    }
    system::name_process(c"tracerun-relay");
    close_others(&ways);
    while ways.iter().any(Option::is_some) {
        let mut waiting = ways.map(|way| libc::pollfd {
            // What is negative is left out.
            fd: way.map_or(-1, |way| way.source.from),
            events: libc::POLLIN,
            revents: 0,
        });
        // SAFETY: two writable entries, as said.
        if unsafe { libc::poll(waiting.as_mut_ptr(), 2, -1) } < 0 {
            continue;
        }
        for (way, waiting) in ways.iter_mut().zip(waiting) {
            if let Some(open) = way
                && waiting.revents != 0
                && !pass_one(*open)
            {
                // Whoever still writes is told so, by SIGPIPE, as without us.
                // SAFETY: nothing else in this process uses it.
                unsafe { libc::close(open.source.from) };
                *way = None;
            }
        }
    }
}

/// Passes on what is there; `false` at the end, or where nobody takes it.
fn pass_one(way: Way) -> bool {
    let mut buffer = [0_u8; 4096];
    // SAFETY: the buffer is writable and as long as said.
    let count = unsafe { libc::read(way.source.from, buffer.as_mut_ptr().cast(), buffer.len()) };
    let Ok(count @ 1..) = usize::try_from(count) else { return false };
    let mut rest = match (way.source.packets, &buffer[..count]) {
        (false, data) | (true, [0, data @ ..]) => data,
        (true, _) => return true,
    };
    while !rest.is_empty() {
        // SAFETY: reads what is left of the buffer.
        let written = unsafe { libc::write(way.to, rest.as_ptr().cast(), rest.len()) };
        let Ok(written @ 1..) = usize::try_from(written) else { return false };
        rest = &rest[written..];
    }
    true
}

/// Closes all descriptors but the standard streams for output and what is read from.
fn close_others(ways: &[Option<Way>; 2]) {
    let [one, other] = ways.map(|way| way.map_or(2, |way| way.source.from));
    let (low, high) = (one.min(other).max(2), one.max(other));
    for (first, last) in [(0, 0), (3, low - 1), (low + 1, high - 1), (high + 1, RawFd::MAX)] {
        if first <= last && (first == 0 || first > 2) {
            // SAFETY: nothing of this process uses the descriptors any more.
            unsafe { system::close_range(first, last) };
        }
    }
}
