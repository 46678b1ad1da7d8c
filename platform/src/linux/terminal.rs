//! A pseudo terminal that stands before the terminal of this process.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::ops::RangeInclusive;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::termios::{InputFlags, LocalFlags, OutputFlags, SetArg, Termios, tcgetattr, tcsetattr};

use crate::relay::Source;
use crate::terminal::OutputStream;

/// For each output stream the master of the pseudo terminal that stands before it, or -1.
static MASTERS: [AtomicI32; 2] = [const { AtomicI32::new(-1) }; 2];

/// TIOCPKT_IOCTL of `asm-generic/ioctls.h`.
const SETTINGS_CHANGED: i32 = 64;

/// The master's side.
struct Reader {
    master: File,
    stream: OutputStream,
    /// The settings as they were when last looked at.
    settings: Termios,
    /// The number of the terminal that the command has.
    device: libc::dev_t,
    /// For how long what was typed is left to others who may read it; `None` once nothing can be typed any more.
    patience: Option<u16>,
    /// Whether something typed was passed on.
    typed: Arc<AtomicBool>,
}

/// Milliseconds in which whoever reads from the terminal itself has taken what was typed, at first and at most: while a
/// program is busy, what is typed ahead lies there for long.
const PATIENCE: RangeInclusive<u16> = 10..=640;

pub(crate) fn like(
    stream: OutputStream,
    typed: Arc<AtomicBool>,
) -> io::Result<(impl Read + Send + 'static, File, Source)> {
    let mut settings = tcgetattr(terminal(stream))?;
    let size = size_of(descriptor(stream)).ok_or_else(io::Error::last_os_error)?;
    let flags = libc::O_NOCTTY | libc::O_CLOEXEC;
    let master = OpenOptions::new().read(true).write(true).custom_flags(flags).open("/dev/ptmx")?;
    let unlocked: libc::c_int = 0;
    // SAFETY: TIOCSPTLCK reads an integer from where the argument points.
    check(unsafe { libc::ioctl(master.as_raw_fd(), libc::TIOCSPTLCK, &raw const unlocked) })?;
    // SAFETY: TIOCGPTPEER takes the flags of open as its argument.
    let slave = check(unsafe { libc::ioctl(master.as_raw_fd(), libc::TIOCGPTPEER, libc::O_RDWR | flags) })?;
    // SAFETY: the kernel has just made this descriptor for the call above.
    let slave = unsafe { File::from_raw_fd(slave) };
    // Output is left as it is: the terminal that it goes to does with it what its own settings say.
    settings.output_flags.remove(OutputFlags::OPOST);
    // With both of these the master is told of changes to the settings.
    settings.local_flags.insert(LocalFlags::EXTPROC);
    let packets: libc::c_int = 1;
    // SAFETY: TIOCPKT reads an integer from where the argument points.
    check(unsafe { libc::ioctl(master.as_raw_fd(), libc::TIOCPKT, &raw const packets) })?;
    tcsetattr(&slave, SetArg::TCSANOW, &settings)?;
    set_size(master.as_raw_fd(), &size);
    MASTERS[stream as usize].store(master.as_raw_fd(), Ordering::Relaxed);
    let source = Source(super::relay::Source::of_terminal(master.as_raw_fd()));
    let device = slave.metadata()?.rdev();
    let patience = Some(*PATIENCE.start());
    Ok((Reader { master, stream, settings, device, patience, typed }, slave, source))
}

impl Drop for Reader {
    fn drop(&mut self) {
        MASTERS[self.stream as usize].store(-1, Ordering::Relaxed);
    }
}

impl Read for Reader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut packet = [0; 4096];
        loop {
            self.wait()?;
            let count = match self.master.read(&mut packet) {
                // The last one who had it open has closed it.
                Err(error) if error.raw_os_error() == Some(libc::EIO) => return Ok(0),
                count => count?,
            };
            match packet[..count].split_first() {
                None => return Ok(0),
                Some((0, data)) => {
                    // A caller's buffer is never smaller than what a terminal holds at once.
                    let count = data.len().min(buffer.len());
                    buffer[..count].copy_from_slice(&data[..count]);
                    return Ok(count);
                }
                Some((event, _)) => {
                    if i32::from(*event) & SETTINGS_CHANGED != 0 {
                        self.settings_changed();
                    }
                }
            }
        }
    }
}

impl Reader {
    /// Waits until there is something to read, and meanwhile passes on what is typed to who waits for it here: pagers read keys
    /// from where they write. All others read from the terminal itself.
    fn wait(&mut self) -> io::Result<()> {
        while let Some(patience) = self.patience {
            let keys = terminal(self.stream);
            let output = PollFd::new(self.master.as_fd(), PollFlags::POLLIN);
            let mut waiting = [output, PollFd::new(keys, PollFlags::POLLIN)];
            if interrupted(poll(&mut waiting, PollTimeout::NONE))? {
                continue;
            }
            let [output, typed] = waiting.map(|one| one.revents().unwrap_or(PollFlags::empty()));
            if !output.is_empty() {
                break;
            }
            if !typed.contains(PollFlags::POLLIN) {
                self.patience = None;
            } else if is_foreground(self.stream) && super::waiting::is_awaited(&[self.device]) {
                self.patience = self.pass_on(keys)?.then_some(*PATIENCE.start());
            } else {
                let mut output = [PollFd::new(self.master.as_fd(), PollFlags::POLLIN)];
                interrupted(poll(&mut output, patience))?;
                self.patience = Some((patience * 2).min(*PATIENCE.end()));
            }
        }
        Ok(())
    }

    /// Passes on what has been typed; `false` at its end.
    fn pass_on(&mut self, keys: BorrowedFd<'_>) -> io::Result<bool> {
        let mut bytes = [0; 256];
        let count = nix::unistd::read(keys, &mut bytes).unwrap_or(0);
        if count > 0 {
            self.typed.store(true, Ordering::Relaxed);
            self.master.write_all(&bytes[..count])?;
        }
        Ok(count > 0)
    }

    /// Sets on the terminal of this process what the command has set on its own. What it can't have set, because
    /// the terminal has gone or this process is in the background, stays.
    fn settings_changed(&mut self) {
        let (Ok(mut now), Ok(mut real)) = (tcgetattr(&self.master), tcgetattr(terminal(self.stream))) else {
            return;
        };
        let is_raw =
            |settings: &Termios| !settings.local_flags.intersects(LocalFlags::ICANON | LocalFlags::ISIG);
        let (was_raw, raw) = (is_raw(&self.settings), is_raw(&now));
        if now.output_flags.contains(OutputFlags::OPOST) {
            now.output_flags.remove(OutputFlags::OPOST);
            // It may have gone meanwhile.
            let _ = tcsetattr(&self.master, SetArg::TCSANOW, &now);
        }
        let local = (now.local_flags ^ self.settings.local_flags) - LocalFlags::EXTPROC;
        real.local_flags = (real.local_flags - local) | (now.local_flags & local);
        let input: InputFlags = now.input_flags ^ self.settings.input_flags;
        real.input_flags = (real.input_flags - input) | (now.input_flags & input);
        let output = now.output_flags ^ self.settings.output_flags;
        real.output_flags = (real.output_flags - output) | (now.output_flags & output);
        // Whether output is processed can't be told from settings in which it never is; who wants every key and no
        // signals (cfmakeraw) wants that not either.
        if was_raw != raw {
            real.output_flags.set(OutputFlags::OPOST, !raw);
        }
        for (index, character) in now.control_chars.iter().enumerate() {
            if *character != self.settings.control_chars[index] {
                real.control_chars[index] = *character;
            }
        }
        if is_foreground(self.stream) {
            // It may have gone meanwhile.
            let _ = tcsetattr(terminal(self.stream), SetArg::TCSADRAIN, &real);
        }
        self.patience = self.patience.map(|_| *PATIENCE.start());
        self.settings = now;
    }
}

/// Gives the pseudo terminals the size that the terminals have now, and tells the processes in the group of this one
/// if that was another: they may have been told before. Async-signal-safe.
pub(super) fn follow_size() {
    let mut changed = false;
    for (stream, master) in [OutputStream::Stdout, OutputStream::Stderr].into_iter().zip(&MASTERS) {
        let master = master.load(Ordering::Relaxed);
        if master < 0 {
            continue;
        }
        let (Some(now), Some(before)) = (size_of(descriptor(stream)), size_of(master)) else { continue };
        let key = |size: &libc::winsize| (size.ws_row, size.ws_col, size.ws_xpixel, size.ws_ypixel);
        if key(&now) != key(&before) {
            set_size(master, &now);
            changed = true;
        }
    }
    // Only then, or two of us in one group would tell each other for ever.
    if changed {
        // SAFETY: takes integers only.
        unsafe { libc::kill(0, libc::SIGWINCH) };
    }
}

/// Whether this process may set something on the terminal without being stopped for it.
pub(crate) fn is_foreground(stream: OutputStream) -> bool {
    nix::unistd::tcgetpgrp(terminal(stream)).is_ok_and(|group| group == nix::unistd::getpgrp())
}

pub(crate) fn columns(stream: OutputStream) -> Option<u16> {
    size_of(descriptor(stream)).map(|size| size.ws_col).filter(|columns| *columns > 0)
}

pub(crate) fn is_awaited(stream: OutputStream) -> bool {
    let known = std::fs::metadata(format!("/proc/self/fd/{}", descriptor(stream)));
    known.is_ok_and(|known| super::waiting::is_awaited(&[known.rdev(), CONTROLLING]))
}

/// `/dev/tty`: the terminal of whoever opens it.
const CONTROLLING: libc::dev_t = libc::makedev(5, 0);

fn descriptor(stream: OutputStream) -> i32 {
    match stream {
        OutputStream::Stdout => 1,
        OutputStream::Stderr => 2,
    }
}

fn terminal(stream: OutputStream) -> BorrowedFd<'static> {
    // SAFETY: nothing in this process closes its standard streams; were one closed, calls on it would fail.
    unsafe { BorrowedFd::borrow_raw(descriptor(stream)) }
}

fn size_of(fd: i32) -> Option<libc::winsize> {
    let mut size = libc::winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: TIOCGWINSZ writes such a structure to where the argument points.
    (unsafe { libc::ioctl(fd, libc::TIOCGWINSZ, &raw mut size) } == 0).then_some(size)
}

fn set_size(fd: i32, size: &libc::winsize) {
    // SAFETY: TIOCSWINSZ reads such a structure from where the argument points.
    unsafe { libc::ioctl(fd, libc::TIOCSWINSZ, std::ptr::from_ref(size)) };
}

/// Whether a signal came in between.
fn interrupted(polled: nix::Result<libc::c_int>) -> io::Result<bool> {
    match polled {
        Ok(_) => Ok(false),
        Err(Errno::EINTR) => Ok(true),
        Err(error) => Err(error.into()),
    }
}

fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}
