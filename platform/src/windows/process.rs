//! Exit, streams and console of this process.

use std::fs::File;
use std::io::{self, IsTerminal};
use std::os::windows::io::{AsHandle, AsRawHandle};
use std::os::windows::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, ExitStatus};

use shm_protocol::record::Exit;
use windows_sys::Win32::Storage::FileSystem::{FILE_TYPE_CHAR, GetFileType};
use windows_sys::Win32::System::Console::SetConsoleCtrlHandler;
use windows_sys::Win32::System::Pipes::PeekNamedPipe;
use windows_sys::Win32::System::Threading::{CREATE_NEW_PROCESS_GROUP, DETACHED_PROCESS};

use crate::process::{CommandState, InheritedFile, InheritedStream, StandardInput};

/// Nothing is held back: what is left over when Ctrl-C ends this process goes with the next hit.
#[derive(Debug)]
pub(crate) struct HeldSignals;

impl HeldSignals {
    pub(crate) fn hold() -> Self {
        Self
    }

    pub(crate) fn are_pending(&self) -> bool {
        false
    }
}

pub(crate) fn umask() -> u32 {
    0
}

pub(crate) fn limits() -> Vec<(&'static str, u64)> {
    Vec::new()
}

/// Ctrl-C reaches every process of the console: the command decides what becomes of it.
unsafe extern "system" fn leave_to_command(_: u32) -> i32 {
    1
}

pub(crate) fn follow(command: CommandState) {
    let add = match command {
        CommandState::Starts => 1,
        CommandState::Runs(_) => return,
        CommandState::Ended => 0,
    };
    // SAFETY: the handler does nothing, on whatever thread.
    unsafe { SetConsoleCtrlHandler(Some(leave_to_command), add) };
}

pub(crate) fn end_like(exit: Exit) -> ! {
    std::process::exit(match exit {
        Exit::Code(code) => code as i32,
        Exit::Signal(signal) => 128 + i32::from(signal),
    })
}

pub(crate) fn standard_input() -> StandardInput {
    let stdin = io::stdin();
    let handle = stdin.as_raw_handle();
    if handle.is_null() {
        return StandardInput::Closed;
    }
    // SAFETY: the handle is this process's, or none, which is an answer too.
    let is_device = unsafe { GetFileType(handle) } == FILE_TYPE_CHAR;
    let none = std::ptr::null_mut();
    // SAFETY: what is not asked for may be null; what is no pipe is an error that is not looked at.
    let waits = unsafe { PeekNamedPipe(handle, none, 0, none.cast(), none.cast(), none.cast()) } != 0;
    let is_broken = || io::Error::last_os_error().kind() == io::ErrorKind::BrokenPipe;
    if is_device && !stdin.is_terminal() || !waits && is_broken() {
        StandardInput::Empty
    } else {
        StandardInput::Stream
    }
}

pub(crate) fn output_streams_are_one() -> bool {
    io::stdout().is_terminal() && io::stderr().is_terminal()
}

pub(crate) fn output_files() -> Vec<PathBuf> {
    Vec::new()
}

pub(crate) fn inherited_streams() -> Vec<InheritedStream> {
    stream(0).into_iter().filter(|_| standard_input() == StandardInput::Stream).collect()
}

pub(crate) fn stream(number: i32) -> Option<InheritedStream> {
    (number == 0).then_some(InheritedStream { number, waiting: 0, is_at_end: false })
}

pub(crate) fn inherited_files() -> Vec<InheritedFile> {
    Vec::new()
}

pub(crate) fn rest_of(_: i32) -> io::Result<File> {
    io::stdin().as_handle().try_clone_to_owned().map(File::from)
}

pub(crate) fn detach(command: &mut Command) {
    command.creation_flags(DETACHED_PROCESS | CREATE_NEW_PROCESS_GROUP);
}

pub(crate) fn exit_of(status: ExitStatus) -> Exit {
    Exit::Code(status.code().unwrap_or(1) as u32)
}
