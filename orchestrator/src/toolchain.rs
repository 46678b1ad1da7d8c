//! Toolchains: whole trees of inputs that are known by what a command says of them instead of by their contents.

use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use platform::process::shell;
use serde::{Deserialize, Serialize};

use crate::fingerprint::{Digest, Framed};

/// Where systems install their packages, and what leads there: what a toolchain stands for that names no trees. What is
/// under `/usr/local` was put there by somebody else.
pub const SYSTEM: &[&str] = &[
    "/usr",
    "!/usr/local",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/etc/ld.so.cache",
    "/etc/alternatives",
];

/// Trees that are known by an identity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Toolchain {
    /// What people call it.
    pub name: String,
    /// Globs of what belongs to it, as in [`Policy::ignore_input`](crate::task::Policy::ignore_input). What lies in the root never does.
    pub paths: Vec<String>,
    /// What tells its identity: see [`Toolchain::identified`].
    pub command: String,
    /// Where it is the same, so are its files.
    pub identity: Digest,
}

/// Why a toolchain is not known.
#[derive(Debug, thiserror::Error)]
pub enum ToolchainError {
    /// It is declared without a name or without a command.
    #[error("--toolchain {0:?}: it must be NAME=COMMAND, such as cc='cc --version'")]
    Malformed(String),
    /// No shell can be started.
    #[error("toolchain {name}: the shell for {command:?} does not start: {source}")]
    Shell {
        /// The toolchain.
        name: String,
        /// Its command.
        command: String,
        /// What the system says.
        source: io::Error,
    },
    /// Its command fails, or says nothing: that would be the identity of anything.
    #[error("toolchain {name}: {command:?} {how}{said}")]
    Unidentified {
        /// The toolchain.
        name: String,
        /// Its command.
        command: String,
        /// What is wrong with what the command did.
        how: String,
        /// What it wrote to standard error, after a colon.
        said: String,
    },
}

impl Toolchain {
    /// The toolchain whose identity is what `command` prints, run by a shell in `folder`.
    ///
    /// # Errors
    /// The command fails, or prints nothing.
    pub fn identified(
        name: &str,
        paths: Vec<String>,
        command: &str,
        folder: &Path,
        environment: &[(OsString, OsString)],
    ) -> Result<Self, ToolchainError> {
        let (program, option) = shell();
        let mut process = Command::new(program);
        process.arg(option).arg(command).current_dir(folder).stdin(Stdio::null());
        process.env_clear().envs(environment.iter().map(|(name, value)| (name, value)));
        let (name, command) = (name.to_owned(), command.to_owned());
        let output = match process.output() {
            Ok(output) => output,
            Err(source) => return Err(ToolchainError::Shell { name, command, source }),
        };
        if let Some(how) = trouble(&output) {
            let said = String::from_utf8_lossy(&output.stderr).trim().replace('\n', "; ");
            let said = if said.is_empty() { said } else { format!(": {said}") };
            return Err(ToolchainError::Unidentified { name, command, how, said });
        }
        let identity =
            Framed::new("tracerun toolchain").field(command.as_bytes()).field(&output.stdout).finish();
        let paths =
            if paths.is_empty() { SYSTEM.iter().map(|&glob| glob.to_owned()).collect() } else { paths };
        Ok(Self { name, paths, command, identity })
    }

    /// Whether it is no longer what it was, or can't be asked any more.
    pub(crate) fn has_changed(&self, folder: &Path, environment: &[(OsString, OsString)]) -> bool {
        let now = Self::identified(&self.name, self.paths.clone(), &self.command, folder, environment);
        !now.is_ok_and(|now| now == *self)
    }

    /// Whether it is no more than what systems install packages to, whose files name no checkout.
    pub(crate) fn is_of_system(&self) -> bool {
        self.paths.iter().all(|path| SYSTEM.contains(&path.as_str()))
    }
}

fn trouble(output: &Output) -> Option<String> {
    match output.status.code() {
        Some(0) if output.stdout.is_empty() => Some("prints nothing that would identify it".to_owned()),
        Some(0) => None,
        Some(code) => Some(format!("fails with status {code}")),
        None => Some("was killed".to_owned()),
    }
}
