//! The endpoint of a run: a folder of FIFOs, and the thread that answers what comes out of them.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::thread::{self, JoinHandle};

use platform::fifo::{self, Wanted};
use platform::files;

use super::message::{Requests, answer};
use super::told::{Listener, Told};
use tracerun_client::protocol::{ANSWERS, KNOCK, REQUESTS, TICKETS, VERSION};

/// The byte that ends the server. Only this process writes it: a client that does harms its own run alone.
const END: u8 = 0;
/// How much of a channel is read at once, so that none keeps the others waiting.
const PIECE: usize = 64 << 10;
/// So many channels are open at most. As each costs two descriptors, who comes later waits for one to be closed.
const MOST_CHANNELS: usize = 400;

/// The endpoint of one run.
#[derive(Debug)]
pub struct Server {
    folder: PathBuf,
    knock: File,
    thread: JoinHandle<Option<Told>>,
}

impl Server {
    /// Makes `folder`, which must not be there, and serves in it; what tools ask for comes from `environment`.
    ///
    /// # Errors
    /// The folder or its FIFOs can't be made, such as on a file system that has none.
    pub fn start(folder: &Path, environment: &[(OsString, OsString)]) -> io::Result<Self> {
        files::create_private_folder(folder)?;
        let start = || {
            let open = |name: &str| {
                let path = folder.join(name);
                fifo::create(&path)?;
                fifo::open_both(&path)
            };
            let (knock, tickets) = (open(KNOCK)?, open(TICKETS)?);
            let mut own = Serving {
                folder: folder.to_owned(),
                knock: knock.try_clone()?,
                tickets,
                waiting: 0,
                made: 0,
                channels: Vec::new(),
            };
            let environment = environment.to_vec();
            let serve = move || {
                let mut listener = Listener::new(&environment);
                own.serve(&mut listener).ok()?;
                Some(listener.told)
            };
            let thread = thread::Builder::new().name("runner".to_owned()).spawn(serve)?;
            Ok(Self { folder: folder.to_owned(), knock, thread })
        };
        start().inspect_err(|_| {
            // It may be half made; what is left of it is in nobody's way.
            let _ = fs::remove_dir_all(folder);
        })
    }

    /// The value of [`super::VARIABLE`].
    #[must_use]
    pub fn address(&self) -> OsString {
        let mut address = OsString::from(format!("{VERSION}:"));
        address.push(self.folder.as_os_str() as &OsStr);
        address
    }

    /// Reads what has been sent so far, closes the endpoint, and gives what the run was told. `None` if that is not
    /// known, since the server failed.
    #[must_use]
    pub fn finish(mut self) -> Option<Told> {
        // The pipe is full only of knocks that have not been answered, which the thread is about to read.
        while let Err(error) = self.knock.write_all(&[END]) {
            if error.kind() != ErrorKind::WouldBlock {
                return None;
            }
            thread::yield_now();
        }
        let told = self.thread.join().ok().flatten();
        // Where it can't be removed it is in nobody's way.
        let _ = fs::remove_dir_all(&self.folder);
        told
    }
}

/// What the server's thread works with.
struct Serving {
    folder: PathBuf,
    knock: File,
    tickets: File,
    /// Clients that have knocked and have no channel yet.
    waiting: usize,
    /// Channels made so far.
    made: u64,
    channels: Vec<Channel>,
}

impl Serving {
    /// # Errors
    /// It can't be waited for what clients send.
    fn serve(&mut self, listener: &mut Listener<'_>) -> io::Result<()> {
        let mut piece = vec![0; PIECE];
        let mut ended = false;
        while !ended {
            let ready = fifo::wait(&self.wanted())?;
            ended = ready[0] && self.knocked();
            let mut ready = ready.into_iter().skip(1);
            self.channels
                .retain_mut(|channel| !ready.next().unwrap_or(false) || channel.serve(listener, &mut piece));
            while self.waiting > 0 && self.channels.len() < MOST_CHANNELS {
                // Without a descriptor to spare the client gets its ticket when there is one.
                let Ok(channel) = self.channel() else { break };
                self.channels.push(channel);
                self.waiting -= 1;
            }
        }
        // What was sent before the end counts.
        for channel in &mut self.channels {
            channel.waiting.clear();
            while channel.read(listener, &mut piece) == Came::Something {
                channel.waiting.clear();
            }
        }
        Ok(())
    }

    fn wanted(&self) -> Vec<Wanted<'_>> {
        let knock = Wanted { file: &self.knock, read: true, write: false };
        let channels = self.channels.iter().map(|channel| {
            // No more is read of a client until it has taken its answers.
            if channel.waiting.is_empty() {
                Wanted { file: &channel.requests, read: true, write: false }
            } else {
                Wanted { file: &channel.answers, read: false, write: true }
            }
        });
        std::iter::once(knock).chain(channels).collect()
    }

    /// Counts the knocks that have come; gives whether one of them is the end.
    fn knocked(&mut self) -> bool {
        let mut knocks = [0; 256];
        let count = (&self.knock).read(&mut knocks).unwrap_or(0);
        let ended = knocks[..count].contains(&END);
        self.waiting += knocks[..count].iter().filter(|&&knock| knock != END).count();
        ended
    }

    /// Makes a channel and gives out its ticket.
    fn channel(&mut self) -> io::Result<Channel> {
        // As many bytes as the protocol says: they divide a page, so that a read of as many gives one whole ticket.
        let ticket = format!("{:016x}", self.made);
        let paths = [REQUESTS, ANSWERS].map(|ending| self.folder.join(format!("{ticket}{ending}")));
        let [requests, answers] = &paths;
        self.made += 1;
        let make = || {
            fifo::create(requests)?;
            fifo::create(answers)?;
            let (requests, answers) = (fifo::open_to_read(requests)?, fifo::open_both(answers)?);
            (&self.tickets).write_all(ticket.as_bytes())?;
            Ok((requests, answers))
        };
        match make() {
            Ok((requests, answers)) => {
                Ok(Channel { paths, requests, answers, unread: Requests::default(), waiting: Vec::new() })
            }
            Err(error) => {
                paths.iter().for_each(remove);
                Err(error)
            }
        }
    }
}

/// A FIFO that can't be removed goes with its folder.
fn remove(path: &PathBuf) {
    let _ = fs::remove_file(path);
}

/// What a look for requests came to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Came {
    Something,
    Nothing,
    /// Every writer has gone.
    End,
}

/// What one client sends and gets.
struct Channel {
    paths: [PathBuf; 2],
    requests: File,
    answers: File,
    unread: Requests,
    /// Answers that have not been sent.
    waiting: Vec<u8>,
}

impl Channel {
    /// Does what can be done now; gives whether the client is still there.
    fn serve(&mut self, listener: &mut Listener<'_>, piece: &mut [u8]) -> bool {
        let came = if self.waiting.is_empty() { self.read(listener, piece) } else { Came::Nothing };
        match self.answers.write(&self.waiting) {
            Ok(sent) => drop(self.waiting.drain(..sent)),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(_) => return false,
        }
        came != Came::End
    }

    /// Reads a piece and answers the requests that are whole.
    fn read(&mut self, listener: &mut Listener<'_>, piece: &mut [u8]) -> Came {
        let count = match self.requests.read(piece) {
            Ok(0) => return Came::End,
            Ok(count) => count,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
                return Came::Nothing;
            }
            Err(_) => return Came::End,
        };
        self.unread.take(&piece[..count], |request| {
            self.waiting.extend(answer(request, listener).bytes().chain([b'\n']));
        });
        Came::Something
    }
}

impl Drop for Channel {
    fn drop(&mut self) {
        self.paths.iter().for_each(remove);
    }
}
