//! Tells the runner that runs this program what it should know. Outside a run every call does nothing.
//!
//! ```
//! tracerun_client::ignore_input("target/my-tool-cache");
//! tracerun_client::ignore_output("target/my-tool-cache");
//! let level = tracerun_client::get_env("MY_TOOL_LEVEL", true);
//! ```
//!
//! A program that wants to know whether it was heard uses a [`Client`]. The protocol is in `docs/runner-protocol.md`.

#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};

/// The names of the protocol.
pub mod protocol {
    /// The variable by which a tool finds its runner: the version of the protocol, a colon, and the endpoint's folder.
    pub const VARIABLE: &str = "TRACERUN_RUNNER";
    /// The version of the protocol.
    pub const VERSION: u32 = 1;
    /// The FIFO into which a client writes a byte to ask for a channel.
    pub const KNOCK: &str = "knock";
    /// The FIFO from which it then reads a ticket, the name of its channel.
    pub const TICKETS: &str = "tickets";
    /// Bytes of a ticket.
    pub const TICKET_BYTES: usize = 16;
    /// What follows the ticket in the name of the FIFO for requests.
    pub const REQUESTS: &str = ".in";
    /// What follows it in the name of the FIFO for answers.
    pub const ANSWERS: &str = ".out";
}

use protocol::{ANSWERS, KNOCK, REQUESTS, TICKET_BYTES, TICKETS, VARIABLE, VERSION};

/// Which variables [`Client::get_envs`] asks for.
#[derive(Clone, Copy, Debug)]
pub enum EnvQuery<'q> {
    /// Those whose names match a glob.
    Glob(&'q str),
    /// Those whose names begin so.
    Prefix(&'q str),
}

/// A channel to the runner. Its methods wait until the runner has answered.
#[derive(Debug)]
pub struct Client {
    requests: File,
    answers: BufReader<File>,
    /// A process forked from this one must not use its channel.
    owner: u32,
}

impl Client {
    /// Connects to the runner of this run; `None` outside a run.
    ///
    /// # Errors
    /// The environment names a runner that is gone, or speaks another version of the protocol.
    pub fn connect() -> io::Result<Option<Self>> {
        let Some(address) = std::env::var_os(VARIABLE) else { return Ok(None) };
        let Some(folder) = folder(address.as_encoded_bytes()) else {
            return Err(io::Error::other(format!("{VARIABLE} names no runner of version {VERSION}")));
        };
        knock(&folder.join(KNOCK))?;
        let mut ticket = [0; TICKET_BYTES];
        File::open(folder.join(TICKETS))?.read_exact(&mut ticket)?;
        let ticket = String::from_utf8_lossy(&ticket);
        let requests = OpenOptions::new().write(true).open(folder.join(format!("{ticket}{REQUESTS}")))?;
        let answers = File::open(folder.join(format!("{ticket}{ANSWERS}")))?;
        Ok(Some(Self { requests, answers: BufReader::new(answers), owner: std::process::id() }))
    }

    /// What is read at or under `path` does not count.
    ///
    /// # Errors
    /// The runner refuses, or is gone.
    pub fn ignore_input(&mut self, path: impl AsRef<Path>) -> io::Result<()> {
        self.ignore("ignoreInput", path.as_ref())
    }

    /// What is written at or under `path` is neither stored nor restored.
    ///
    /// # Errors
    /// The runner refuses, or is gone.
    pub fn ignore_output(&mut self, path: impl AsRef<Path>) -> io::Result<()> {
        self.ignore("ignoreOutput", path.as_ref())
    }

    /// This run is not to be stored.
    ///
    /// # Errors
    /// The runner refuses, or is gone.
    pub fn disable_cache(&mut self) -> io::Result<()> {
        self.call(json!({ "call": "disableCache" })).map(drop)
    }

    /// The value of a variable in the runner's environment; a `tracked` one counts.
    ///
    /// # Errors
    /// The runner refuses, or is gone.
    pub fn get_env(&mut self, name: &str, tracked: bool) -> io::Result<Option<String>> {
        let answer = self.call(json!({ "call": "getEnv", "name": name, "tracked": tracked }))?;
        Ok(answer["value"].as_str().map(str::to_owned))
    }

    /// The variables of the runner's environment that match; if `tracked`, which they are and what they say counts.
    ///
    /// # Errors
    /// The runner refuses, such as a glob that is none, or is gone.
    pub fn get_envs(&mut self, query: EnvQuery<'_>, tracked: bool) -> io::Result<BTreeMap<String, String>> {
        let mut request = json!({ "call": "getEnvs", "tracked": tracked });
        match query {
            EnvQuery::Glob(glob) => request["glob"] = glob.into(),
            EnvQuery::Prefix(prefix) => request["prefix"] = prefix.into(),
        }
        let answer = self.call(request)?;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let values = answer["values"].as_object();
        Ok(values.into_iter().flatten().map(|(name, value)| (name.clone(), text(value))).collect())
    }

    fn ignore(&mut self, call: &str, path: &Path) -> io::Result<()> {
        let path = std::path::absolute(path)?;
        let hex: String =
            path.as_os_str().as_encoded_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        self.call(json!({ "call": call, "path_hex": hex })).map(drop)
    }

    fn call(&mut self, mut request: Value) -> io::Result<Value> {
        request["pid"] = std::process::id().into();
        self.requests.write_all(format!("{request}\n").as_bytes())?;
        let mut line = String::new();
        if self.answers.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let answer: Value = serde_json::from_str(&line)?;
        match answer["error"].as_str() {
            None => Ok(answer),
            Some(error) => Err(io::Error::other(error.to_owned())),
        }
    }
}

/// The folder in the value of [`VARIABLE`], if it is of this version.
fn folder(address: &[u8]) -> Option<PathBuf> {
    let folder = address.strip_prefix(format!("{VERSION}:").as_bytes())?;
    #[cfg(unix)]
    let folder = PathBuf::from(<std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(folder));
    #[cfg(not(unix))]
    let folder = PathBuf::from(String::from_utf8_lossy(folder).into_owned());
    folder.is_absolute().then_some(folder)
}

/// Asks for a channel; fails rather than waits where nobody listens any more.
fn knock(path: &Path) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, libc::O_NONBLOCK);
    options.open(path)?.write_all(b"k")
}

/// The channel of this process: `None` before the first call, `Some(None)` where there is no runner.
static CHANNEL: Mutex<Option<Option<Client>>> = Mutex::new(None);

/// Calls the runner if there is one; a runner that is gone is none.
fn with<T>(call: impl FnOnce(&mut Client) -> io::Result<T>) -> Option<T> {
    let mut channel = CHANNEL.lock().unwrap_or_else(PoisonError::into_inner);
    if matches!(&*channel, Some(Some(client)) if client.owner != std::process::id()) {
        *channel = None;
    }
    let client = channel.get_or_insert_with(|| Client::connect().ok().flatten());
    call(client.as_mut()?).ok()
}

/// As [`Client::ignore_input`], without an answer.
pub fn ignore_input(path: impl AsRef<Path>) {
    with(|client| client.ignore_input(path));
}

/// As [`Client::ignore_output`], without an answer.
pub fn ignore_output(path: impl AsRef<Path>) {
    with(|client| client.ignore_output(path));
}

/// As [`Client::disable_cache`], without an answer.
pub fn disable_cache() {
    with(Client::disable_cache);
}

/// As [`Client::get_env`]; `None` outside a run as well.
#[must_use]
pub fn get_env(name: &str, tracked: bool) -> Option<String> {
    with(|client| client.get_env(name, tracked)).flatten()
}

/// As [`Client::get_envs`]; empty outside a run as well.
#[must_use]
pub fn get_envs(query: EnvQuery<'_>, tracked: bool) -> BTreeMap<String, String> {
    with(|client| client.get_envs(query, tracked)).unwrap_or_default()
}
