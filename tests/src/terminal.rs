//! A terminal with somebody at it: what a person would type is sent, what they would see is waited for.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::pty::{grantpt, posix_openpt, ptsname_r, unlockpt};
use nix::sys::termios::{Termios, tcgetattr};

/// How long anything may take to appear.
const PATIENCE: Duration = Duration::from_secs(20);

/// A terminal of 24 lines and 80 columns on which a command runs as the leader of its session.
pub struct Terminal {
    master: File,
    child: Child,
    seen: String,
}

impl Terminal {
    /// Runs `command` on a new terminal.
    ///
    /// # Panics
    /// There are no more terminals, or `setsid` of util-linux is missing.
    #[must_use]
    pub fn run(command: &Command) -> Self {
        // Not openpty: it makes descriptors that the command inherits, so that it would never be hung up.
        let master = posix_openpt(OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC).expect("a terminal");
        grantpt(&master).and_then(|()| unlockpt(&master)).expect("it is ours");
        let name = ptsname_r(&master).expect("it has a name");
        let master = File::from(OwnedFd::from(master));
        let slave = File::options()
            .read(true)
            .write(true)
            .custom_flags(OFlag::O_NOCTTY.bits())
            .open(name)
            .expect("open");
        let end = || slave.try_clone().expect("a descriptor");
        let mut session = Command::new("setsid");
        session.args(["--ctty", "--wait"]).arg(command.get_program()).args(command.get_args());
        session.current_dir(command.get_current_dir().expect("it was set")).env_clear();
        session.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        set_size(&master, 24, 80);
        let child = session.stdin(end()).stdout(end()).stderr(end()).spawn().expect("setsid runs");
        Self { master, child, seen: String::new() }
    }

    /// Types.
    ///
    /// # Panics
    /// The terminal has gone.
    pub fn types(&mut self, keys: &str) {
        self.master.write_all(keys.as_bytes()).expect("typed");
    }

    /// Waits until `text` has been shown after what was waited for before, and gives what was shown up to it.
    ///
    /// # Panics
    /// It was not shown in time.
    #[track_caller]
    pub fn shows(&mut self, text: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(start) = self.seen.find(text) {
                let rest = self.seen.split_off(start + text.len());
                return std::mem::replace(&mut self.seen, rest);
            }
            assert!(self.more(deadline), "{text:?} was not shown, but {:?}", self.seen);
        }
    }

    /// Makes it another size, in lines and columns.
    ///
    /// # Panics
    /// The terminal has gone.
    pub fn becomes(&self, lines: u16, columns: u16) {
        set_size(&self.master, lines, columns);
    }

    /// Its settings.
    ///
    /// # Panics
    /// The terminal has gone.
    #[must_use]
    pub fn settings(&self) -> Termios {
        tcgetattr(&self.master).expect("a terminal")
    }

    /// Waits for the end of the command, and gives what was shown since.
    ///
    /// # Panics
    /// It does not end.
    pub fn ends(mut self) -> (String, ExitStatus) {
        let deadline = Instant::now() + PATIENCE;
        while self.more(deadline) {}
        let status = self.child.wait().expect("it ends");
        (std::mem::take(&mut self.seen), status)
    }

    /// Goes away under the command, as when a window is closed, and waits for its end.
    ///
    /// # Panics
    /// It can't be waited for.
    pub fn hangs_up(mut self) {
        let (master, _) = nix::unistd::pipe().map(|(one, other)| (File::from(one), other)).expect("a pipe");
        drop(std::mem::replace(&mut self.master, master));
        self.child.wait().expect("it ends");
    }

    /// Reads what is shown next; `false` when nobody has the terminal open any more, or it took too long.
    fn more(&mut self, deadline: Instant) -> bool {
        let left = deadline.saturating_duration_since(Instant::now());
        let left = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        let mut waiting = [PollFd::new(self.master.as_fd(), PollFlags::POLLIN)];
        if poll(&mut waiting, left) == Ok(0) {
            return false;
        }
        let mut buffer = [0; 4096];
        match self.master.read(&mut buffer) {
            Ok(count) if count > 0 => {
                self.seen += &String::from_utf8_lossy(&buffer[..count]);
                true
            }
            _ => false,
        }
    }
}

fn set_size(terminal: &File, lines: u16, columns: u16) {
    let status = Command::new("stty")
        .args(["rows", &lines.to_string(), "cols", &columns.to_string()])
        .stdin(terminal.try_clone().expect("a descriptor"))
        .status();
    assert!(status.expect("stty runs").success());
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // What is left when a test fails would wait for keys for ever; it may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
