//! FIFOs, with `poll`.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::stat::Mode;

use crate::fifo::Wanted;

pub(crate) fn create(path: &Path) -> io::Result<()> {
    Ok(nix::unistd::mkfifo(path, Mode::S_IRUSR | Mode::S_IWUSR)?)
}

pub(crate) fn open_to_read(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)
}

pub(crate) fn open_both(path: &Path) -> io::Result<File> {
    // Linux defines what POSIX leaves open: fifo(7).
    OpenOptions::new().read(true).write(true).custom_flags(libc::O_NONBLOCK).open(path)
}

pub(crate) fn wait(wanted: &[Wanted<'_>]) -> io::Result<Vec<bool>> {
    let flags = |wanted: &Wanted<'_>| {
        let mut flags = PollFlags::empty();
        flags.set(PollFlags::POLLIN, wanted.read);
        flags.set(PollFlags::POLLOUT, wanted.write);
        flags
    };
    let mut polled: Vec<PollFd<'_>> =
        wanted.iter().map(|wanted| PollFd::new(wanted.file.as_fd(), flags(wanted))).collect();
    loop {
        match poll(&mut polled, PollTimeout::NONE) {
            Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
            Ok(_) => break,
        }
    }
    Ok(polled.iter().map(|one| one.any().unwrap_or(true)).collect())
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::*;

    #[test]
    fn what_was_written_outlives_its_writer() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("fifo");
        create(&path).expect("made");
        let mut reader = open_to_read(&path).expect("opened");
        File::options().write(true).open(&path).expect("opened").write_all(b"last words").expect("written");
        assert_eq!(wait(&[Wanted { file: &reader, read: true, write: false }]).expect("waited"), [true]);
        let mut text = String::new();
        reader.read_to_string(&mut text).expect("read");
        assert_eq!(text, "last words");
    }
}
