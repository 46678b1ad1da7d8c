//! A way to a server that goes wrong on purpose: it refuses, cuts, stalls and changes bytes, whatever is spoken on it.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// What goes wrong with what the server says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Trouble {
    /// Nothing.
    #[default]
    None,
    /// The connection ends at once.
    Refused,
    /// It ends after so many bytes of the server's.
    CutAfter(usize),
    /// Nothing comes any more after so many bytes, and the connection stays.
    StallAfter(usize),
    /// It comes in pieces of 16 KiB, a hundredth of a second after each other.
    Slow,
    /// Wherever the server says the first, the client reads the second, which is as long.
    Altered(Vec<u8>, Vec<u8>),
}

/// A proxy on the loopback interface, for as long as this process lives.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    trouble: Arc<Mutex<Trouble>>,
}

impl Proxy {
    /// A proxy of the server that listens on this port.
    ///
    /// # Panics
    /// There is no loopback interface.
    #[must_use]
    pub fn new(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let trouble = Arc::new(Mutex::new(Trouble::None));
        let shared = Arc::clone(&trouble);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let trouble = shared.lock().expect("whole").clone();
                // Whoever goes away is no concern of the proxy's.
                thread::spawn(move || drop(pass(client, server, &trouble)));
            }
        });
        Self { address, trouble }
    }

    /// Its address.
    #[must_use]
    pub fn url(&self, scheme: &str) -> String {
        format!("{scheme}://{}", self.address)
    }

    /// From now on, this goes wrong with every new connection.
    ///
    /// # Panics
    /// A thread of the proxy has panicked.
    pub fn fail(&self, trouble: Trouble) {
        *self.trouble.lock().expect("whole") = trouble;
    }
}

fn pass(mut client: TcpStream, port: u16, trouble: &Trouble) -> io::Result<()> {
    if *trouble == Trouble::Refused {
        return Ok(());
    }
    let mut server = TcpStream::connect(("127.0.0.1", port))?;
    server.set_nodelay(true)?;
    client.set_nodelay(true)?;
    let (mut from, mut to) = (client.try_clone()?, server.try_clone()?);
    thread::spawn(move || {
        let _ = io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Write);
    });
    let (mut buffer, mut passed) = (vec![0; 16 << 10], 0);
    loop {
        let count = server.read(&mut buffer)?;
        if count == 0 {
            return client.shutdown(Shutdown::Both);
        }
        let said = &mut buffer[..count];
        match trouble {
            Trouble::CutAfter(limit) if passed + count > *limit => {
                client.write_all(&said[..limit.saturating_sub(passed)])?;
                return client.shutdown(Shutdown::Both);
            }
            Trouble::StallAfter(limit) if passed + count > *limit => {
                client.write_all(&said[..limit.saturating_sub(passed)])?;
                // Until the client has had enough, which ends what is read of it.
                io::copy(&mut server, &mut io::sink())?;
                return Ok(());
            }
            Trouble::Altered(from, to) => {
                let mut at = 0;
                while let Some(found) = said[at..].windows(from.len()).position(|window| window == from) {
                    said[at + found..][..to.len()].copy_from_slice(to);
                    at += found + from.len();
                }
            }
            Trouble::Slow => thread::sleep(Duration::from_millis(10)),
            _ => {}
        }
        client.write_all(said)?;
        passed += count;
    }
}
