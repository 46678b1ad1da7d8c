//! Whether somebody reads from a terminal: the kernel stamps its inode with the time, which is looked at before and after.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::time::SystemTime;

use nix::sys::stat::futimens;
use nix::sys::time::TimeSpec;

use super::process::{is_terminal_device, stat_of};

/// Access times of terminals are set only every so often, so that nobody can tell from them how fast one types:
/// `tty_update_time` of drivers/tty/tty_io.c leaves the last three bits of the seconds out of account.
const GRANULARITY: i64 = 8;

/// Nanoseconds that no reader leaves: the kernel stamps whole seconds.
const SIGN: i64 = 740_361;

#[derive(Debug, Default)]
pub(crate) struct ReadMarks {
    marks: Vec<Mark>,
}

#[derive(Debug)]
struct Mark {
    descriptor: i32,
    device: libc::dev_t,
    /// Access time, seconds and nanoseconds since 1970.
    accessed: (i64, i64),
}

impl ReadMarks {
    pub(crate) fn set() -> Self {
        Self { marks: (0..=2).filter_map(mark).collect() }
    }

    pub(crate) fn is_read(&self, device: &Path, since: i128) -> bool {
        self.judge(device, since, |mark| {
            // With the sign it is the mark of another tracerun, set since.
            stat_of(mark.descriptor)
                .is_none_or(|now| accessed(&now) != mark.accessed && now.st_atime_nsec != SIGN)
        })
    }

    pub(crate) fn is_reached(&self, device: &Path, since: i128) -> bool {
        self.judge(device, since, |_| true)
    }

    fn judge(&self, path: &Path, since: i128, marked: impl Fn(&Mark) -> bool) -> bool {
        let Ok(metadata) = fs::metadata(path) else { return false };
        let is_terminal = metadata.file_type().is_char_device() && is_terminal_device(metadata.rdev());
        if !is_terminal {
            return metadata.file_type().is_block_device();
        }
        let mut device = metadata.rdev();
        if device == libc::makedev(5, 0) {
            // It is the controlling terminal of whoever opens it: without one, it could not be opened.
            let flags = libc::O_NOCTTY | libc::O_CLOEXEC;
            if fs::OpenOptions::new().read(true).custom_flags(flags).open(path).is_err() {
                return false;
            }
            device = controlling_terminal().unwrap_or(device);
        }
        let changed = i128::from(metadata.ctime()) * 1_000_000_000 + i128::from(metadata.ctime_nsec());
        match self.marks.iter().find(|mark| mark.device == device) {
            Some(mark) => marked(mark),
            None => changed < since,
        }
    }
}

fn mark(descriptor: i32) -> Option<Mark> {
    let stat = stat_of(descriptor).filter(|stat| stat.st_mode & libc::S_IFMT == libc::S_IFCHR)?;
    let device = Some(stat.st_rdev).filter(|&device| is_terminal_device(device))?;
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).ok()?.as_secs().cast_signed();
    let settled = |accessed: i64| accessed / GRANULARITY < now / GRANULARITY;
    if !settled(stat.st_atime) {
        // SAFETY: nothing in this process closes its standard streams; were one closed, calls on it would fail.
        let terminal = unsafe { std::os::fd::BorrowedFd::borrow_raw(descriptor) };
        let before = TimeSpec::new(now - 2 * GRANULARITY, SIGN);
        futimens(terminal, &before, &TimeSpec::UTIME_OMIT).ok()?;
    }
    let accessed = accessed(&stat_of(descriptor)?);
    settled(accessed.0).then_some(Mark { descriptor, device, accessed })
}

fn accessed(stat: &libc::stat) -> (i64, i64) {
    (stat.st_atime, stat.st_atime_nsec)
}

/// The device that `/dev/tty` stands for (proc_pid_stat(5), field 7).
fn controlling_terminal() -> Option<libc::dev_t> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    let number: i32 = stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(4)?.parse().ok()?;
    let number = number as u32;
    Some(libc::makedev(number >> 8 & 0xfff, number & 0xff | number >> 12 & 0xf_ff00))
}
