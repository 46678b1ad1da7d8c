//! A cache server that fails on purpose: Bazel's HTTP cache in memory, which refuses, stalls, cuts short, forgets and lies.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

/// What a server does wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    #[default]
    None,
    /// It hangs up when it has been asked.
    HangUp,
    /// It sends half of a body.
    Cut,
    /// It sends half of an answer, and then nothing for as long as the client stays.
    Stall,
    /// A byte of each content is another.
    WrongByte,
    /// Contents are forgotten; results are not.
    Forgotten,
    /// Results are garbage.
    Garbage,
    /// It gives the result of some other action.
    OtherResult,
    /// A content is longer than it should be.
    TooLong,
    /// It takes nothing: its disk is full.
    Full,
    /// It has trouble of its own.
    Broken,
    /// It sends whoever asks elsewhere.
    Redirect,
}

/// All that can go wrong.
pub const FAULTS: [Fault; 11] = [
    Fault::HangUp,
    Fault::Cut,
    Fault::Stall,
    Fault::WrongByte,
    Fault::Forgotten,
    Fault::Garbage,
    Fault::OtherResult,
    Fault::TooLong,
    Fault::Full,
    Fault::Broken,
    Fault::Redirect,
];

/// A server on the loopback interface, for as long as this process lives.
#[derive(Debug)]
pub struct CacheServer {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    kept: Mutex<HashMap<String, Vec<u8>>>,
    /// The faults of the requests to come, one after the other; the last stays.
    faults: Mutex<Vec<Fault>>,
    /// The requests so far: method, path and headers.
    requests: Mutex<Vec<String>>,
    asked: AtomicUsize,
}

impl Default for CacheServer {
    fn default() -> Self {
        Self::new()
    }
}

impl CacheServer {
    /// One that holds nothing and does nothing wrong.
    ///
    /// # Panics
    /// There is no loopback interface.
    #[must_use]
    pub fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let shared = Arc::new(Shared::default());
        let served = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = Arc::clone(&served);
                // A client that goes away is no concern of the server's.
                thread::spawn(move || drop(serve(&stream, &shared)));
            }
        });
        Self { address, shared }
    }

    /// Where it listens.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Its address.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}/cache", self.address)
    }

    /// From now on, these go wrong with the requests that come, one after the other; the last with all that follow.
    ///
    /// # Panics
    /// A thread of the server has panicked.
    pub fn fail(&self, faults: &[Fault]) {
        *self.shared.faults.lock().expect("whole") = faults.iter().rev().copied().collect();
    }

    /// How many requests have come so far.
    #[must_use]
    pub fn asked(&self) -> usize {
        self.shared.asked.load(Ordering::SeqCst)
    }

    /// The requests so far, each with its headers.
    ///
    /// # Panics
    /// A thread of the server has panicked.
    #[must_use]
    pub fn requests(&self) -> Vec<String> {
        self.shared.requests.lock().expect("whole").clone()
    }
}

/// Answers the requests of one connection.
fn serve(stream: &TcpStream, shared: &Shared) -> std::io::Result<()> {
    // Head and body are written apart, and nobody shall wait for the second.
    stream.set_nodelay(true)?;
    let (mut reader, mut stream) = (BufReader::new(stream), stream);
    loop {
        let mut head = String::new();
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 {
                return Ok(());
            }
            if line == "\r\n" {
                break;
            }
            head.push_str(&line);
        }
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
        });
        let mut body = vec![0; length.unwrap_or_default()];
        reader.read_exact(&mut body)?;
        let mut words = head.split(' ');
        let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default().to_owned());
        shared.asked.fetch_add(1, Ordering::SeqCst);
        shared.requests.lock().expect("whole").push(head.clone());
        let fault = {
            let mut faults = shared.faults.lock().expect("whole");
            if faults.len() > 1 { faults.pop() } else { faults.last().copied() }.unwrap_or_default()
        };
        let is_result = path.contains("/ac/");
        let mut kept = shared.kept.lock().expect("whole");
        let (status, mut answer) = match (fault, method) {
            (Fault::HangUp, _) => return Ok(()),
            (Fault::Broken, _) => ("500 Internal Server Error", Vec::new()),
            (Fault::Redirect, _) => ("302 Found\r\nLocation: /elsewhere", Vec::new()),
            (Fault::Full, "PUT") => ("507 Insufficient Storage", Vec::new()),
            (_, "PUT") => {
                kept.insert(path, body);
                ("201 Created", Vec::new())
            }
            (Fault::Forgotten, _) if !is_result => ("404 Not Found", Vec::new()),
            (Fault::Garbage, _) if is_result => ("200 OK", b"\x12\x03garbage, not a message".to_vec()),
            (Fault::OtherResult, "GET") if is_result => {
                let other = kept.iter().filter(|(other, _)| other.contains("/ac/") && **other != path);
                ("200 OK", other.map(|(_, result)| result.clone()).next().unwrap_or_default())
            }
            (_, "GET" | "HEAD") => match kept.get(&path) {
                Some(content) => ("200 OK", content.clone()),
                None => ("404 Not Found", Vec::new()),
            },
            _ => ("405 Method Not Allowed", Vec::new()),
        };
        drop(kept);
        match fault {
            Fault::WrongByte if !is_result && !answer.is_empty() => {
                let middle = answer.len() / 2;
                answer[middle] ^= 1;
            }
            Fault::TooLong if !is_result && !answer.is_empty() => answer.extend_from_slice(b"and more"),
            _ => {}
        }
        let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n", answer.len());
        stream.write_all(head.as_bytes())?;
        if method == "HEAD" {
            continue;
        }
        match fault {
            Fault::Cut | Fault::Stall => {
                stream.write_all(&answer[..answer.len() / 2])?;
                if fault == Fault::Stall {
                    // Until the client has had enough.
                    let _ = reader.read(&mut [0])?;
                }
                return Ok(());
            }
            _ => stream.write_all(&answer)?,
        }
    }
}
