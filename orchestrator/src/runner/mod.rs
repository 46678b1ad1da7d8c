//! The runner that tools of a run talk to: what they may say, and who listens. `docs/runner-protocol.md` has the words.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::fingerprint::Digest;

mod message;
mod server;
mod told;

pub use self::message::{MOST_BYTES, Request, Requests, TooLong, answer};
pub use self::server::Server;
pub use self::told::{Declaration, EnvQuery, Listener, Statement, Told, Variables};

pub use tracerun_client::protocol::VARIABLE;

/// The variable by which Node programs find the client that they load.
pub const NODE_CLIENT_VARIABLE: &str = "VP_RUN_NODE_CLIENT_PATH";

/// The client that Node programs load.
const NODE_CLIENT: &[u8] = include_bytes!("../../../clients/node/index.cjs");

/// The name of the file that it is unpacked to. With this ending Node needs no `package.json` to understand it.
const NODE_CLIENT_FILE: &str = "tracerun-client.cjs";

/// Writes the client that Node programs load under `folder`, unless it is there; gives its path. Any number of processes
/// may do so at once.
///
/// # Errors
/// It can't be written.
pub fn unpack_node_client(folder: &Path) -> io::Result<PathBuf> {
    let folder = folder.join(Digest::of(NODE_CLIENT).to_string());
    let path = folder.join(NODE_CLIENT_FILE);
    if !path.exists() {
        fs::create_dir_all(&folder)?;
        let making = folder.join(format!(".making-{}", std::process::id()));
        fs::write(&making, NODE_CLIENT)?;
        fs::rename(&making, &path)?;
    }
    Ok(path)
}
