//! What a system has not yet: every call says so.

#[cfg(not(any(windows, target_os = "macos")))]
pub(crate) mod tracing {
    use std::io;
    use std::sync::Arc;
    use std::time::Duration;

    use shm_protocol::record::Exit;

    use crate::tracing::{CaptureReport, Command, Killer, Sink, SpawnError};

    pub(crate) enum Tracee {}

    impl Tracee {
        pub(crate) fn spawn(_: Command, _: Arc<dyn Sink>) -> Result<Self, SpawnError> {
            Err(SpawnError::Tracing { what: "tracing a command", source: super::unsupported() })
        }

        pub(crate) fn pid(&self) -> u32 {
            match *self {}
        }

        pub(crate) fn is_bare(&self) -> bool {
            match *self {}
        }

        pub(crate) fn wait(&mut self) -> io::Result<Exit> {
            match *self {}
        }

        pub(crate) fn killer(&self) -> Killer {
            match *self {}
        }

        pub(crate) fn kill_rest(&mut self) {
            match *self {}
        }

        pub(crate) fn finish(self, _: Duration) -> CaptureReport {
            match self {}
        }
    }

    pub(crate) fn now_ns() -> u64 {
        use std::sync::OnceLock;
        use std::time::Instant;
        static START: OnceLock<Instant> = OnceLock::new();
        START.get_or_init(Instant::now).elapsed().as_nanos() as u64
    }
}

#[cfg(not(any(windows, target_os = "macos")))]
pub(crate) mod inject {
    use std::io;
    use std::path::Path;

    pub(crate) fn unpack(_: &[u8], _: &Path) -> io::Result<()> {
        Err(super::unsupported())
    }
}

#[cfg(not(any(windows, target_os = "macos")))]
pub(crate) mod process {
    use shm_protocol::record::Exit;

    use crate::process::{CommandState, InheritedFile, InheritedStream, StandardInput};

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

    pub(crate) fn follow(_: CommandState) {}

    pub(crate) fn end_like(exit: Exit) -> ! {
        std::process::exit(match exit {
            Exit::Code(code) => code as i32,
            Exit::Signal(signal) => 128 + i32::from(signal),
        })
    }

    pub(crate) fn standard_input() -> StandardInput {
        StandardInput::Stream
    }

    pub(crate) fn output_streams_are_one() -> bool {
        false
    }

    pub(crate) fn output_files() -> Vec<std::path::PathBuf> {
        Vec::new()
    }

    pub(crate) fn inherited_streams() -> Vec<InheritedStream> {
        Vec::new()
    }

    pub(crate) fn stream(_: i32) -> Option<InheritedStream> {
        None
    }

    pub(crate) fn inherited_files() -> Vec<InheritedFile> {
        Vec::new()
    }

    pub(crate) fn rest_of(_: i32) -> std::io::Result<std::io::Empty> {
        Err(super::unsupported())
    }

    pub(crate) fn detach(_: &mut std::process::Command) {}

    pub(crate) fn exit_of(status: std::process::ExitStatus) -> Exit {
        Exit::Code(status.code().unwrap_or(1) as u32)
    }
}

pub(crate) mod terminal {
    use std::fs::File;
    use std::io;
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;

    use crate::relay::Source;
    use crate::terminal::OutputStream;

    pub(crate) fn like(_: OutputStream, _: Arc<AtomicBool>) -> io::Result<(io::Empty, File, Source)> {
        Err(super::unsupported())
    }

    pub(crate) fn columns(_: OutputStream) -> Option<u16> {
        None
    }

    pub(crate) fn is_foreground(_: OutputStream) -> bool {
        true
    }

    pub(crate) fn is_awaited(_: OutputStream) -> bool {
        false
    }
}

#[cfg(not(target_os = "macos"))]
pub(crate) mod origin {
    pub(crate) fn was_closed(_: i32) -> bool {
        false
    }

    pub(crate) fn ignores_sigpipe() -> bool {
        false
    }

    pub(crate) fn keep_as_given(_: &mut std::process::Command) {}
}

#[cfg(not(target_os = "macos"))]
pub(crate) mod relay {
    use std::io::{self, PipeReader};

    use crate::relay;
    use crate::terminal::OutputStream;

    #[derive(Clone, Copy, Debug)]
    pub(crate) struct Source;

    impl Source {
        pub(crate) fn of(_: &PipeReader) -> Self {
            Self
        }
    }

    pub(crate) fn leave_behind(_: &[(relay::Source, OutputStream)]) -> io::Result<()> {
        Err(super::unsupported())
    }
}

pub(crate) mod read_marks {
    use std::path::Path;

    #[derive(Debug, Default)]
    pub(crate) struct ReadMarks;

    impl ReadMarks {
        pub(crate) fn set() -> Self {
            Self
        }

        pub(crate) fn is_read(&self, _: &Path, _: i128) -> bool {
            true
        }

        pub(crate) fn is_reached(&self, _: &Path, _: i128) -> bool {
            true
        }
    }
}

#[cfg(not(any(windows, target_os = "macos")))]
pub(crate) mod files {
    use std::ffi::{OsStr, OsString};
    use std::fs::File;
    use std::io;
    use std::path::{Path, PathBuf};

    use crate::files::Identity;

    pub(crate) fn identity(_: &Path, _: bool) -> io::Result<Identity> {
        Err(super::unsupported())
    }

    pub(crate) fn identity_of_open(_: &File) -> io::Result<Identity> {
        Err(super::unsupported())
    }

    pub(crate) fn keeps_change_times(_: &Path) -> bool {
        false
    }

    pub(crate) fn boot_id() -> io::Result<Vec<u8>> {
        Err(super::unsupported())
    }

    pub(crate) fn real_directory(_: &Path) -> io::Result<PathBuf> {
        Err(super::unsupported())
    }

    pub(crate) fn last_tick() -> io::Result<i128> {
        Err(super::unsupported())
    }

    pub(crate) fn is_full(_: &Path) -> io::Result<bool> {
        Err(super::unsupported())
    }

    pub(crate) fn read_at(_: &File, _: &mut [u8], _: u64) -> io::Result<usize> {
        Err(super::unsupported())
    }

    pub(crate) fn write_at(_: &File, _: &[u8], _: u64) -> io::Result<()> {
        Err(super::unsupported())
    }

    pub(crate) fn own_ids() -> (u32, u32) {
        (0, 0)
    }

    pub(crate) fn set_owner(_: &Path, _: (u32, u32)) -> io::Result<()> {
        Err(super::unsupported())
    }

    pub(crate) fn extended_attributes(_: &Path) -> io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
        Err(super::unsupported())
    }

    pub(crate) fn set_extended_attribute(_: &Path, _: &[u8], _: &[u8]) -> io::Result<()> {
        Err(super::unsupported())
    }

    pub(crate) fn remove_extended_attribute(_: &Path, _: &[u8]) -> io::Result<()> {
        Err(super::unsupported())
    }

    pub(crate) fn set_mode_of_open(_: &File, _: u32) -> io::Result<()> {
        Err(super::unsupported())
    }

    pub(crate) fn create_private(path: &Path) -> io::Result<File> {
        File::create_new(path)
    }

    pub(crate) fn copy(_: &File, _: &File) -> io::Result<()> {
        Err(super::unsupported())
    }

    pub(crate) fn set_mode(_: &Path, _: u32) -> io::Result<()> {
        Err(super::unsupported())
    }

    pub(crate) fn symlink(_: &Path, _: &Path) -> io::Result<()> {
        Err(super::unsupported())
    }

    pub(crate) fn bytes_of_path(path: &Path) -> std::borrow::Cow<'_, [u8]> {
        path.as_os_str().as_encoded_bytes().into()
    }

    pub(crate) fn path_of(bytes: &[u8]) -> PathBuf {
        name_of(bytes).into()
    }

    pub(crate) fn bytes_of(name: &OsStr) -> &[u8] {
        name.as_encoded_bytes()
    }

    pub(crate) fn name_of(bytes: &[u8]) -> OsString {
        String::from_utf8_lossy(bytes).into_owned().into()
    }

    pub(crate) fn entry_name<'n>(_: &[u8], name: &'n [u8]) -> std::borrow::Cow<'n, [u8]> {
        name.into()
    }

    pub(crate) fn user_cache_folder() -> Option<PathBuf> {
        None
    }

    pub(crate) fn create_private_folder(path: &Path) -> io::Result<()> {
        std::fs::create_dir_all(path)
    }

    pub(crate) fn private_folder_in_memory() -> Option<PathBuf> {
        None
    }

    pub(crate) fn is_writable_by_others(_: &Path) -> io::Result<bool> {
        Err(super::unsupported())
    }

    pub(crate) fn clock_barrier(_: &Path) -> io::Result<i128> {
        Err(super::unsupported())
    }
}

#[cfg(not(target_os = "macos"))]
pub(crate) mod fifo {
    use std::fs::File;
    use std::io;
    use std::path::Path;

    use crate::fifo::Wanted;

    pub(crate) fn create(_: &Path) -> io::Result<()> {
        Err(super::unsupported())
    }

    pub(crate) fn open_to_read(_: &Path) -> io::Result<File> {
        Err(super::unsupported())
    }

    pub(crate) fn open_both(_: &Path) -> io::Result<File> {
        Err(super::unsupported())
    }

    pub(crate) fn wait(_: &[Wanted<'_>]) -> io::Result<Vec<bool>> {
        Err(super::unsupported())
    }
}

fn unsupported() -> std::io::Error {
    std::io::Error::new(std::io::ErrorKind::Unsupported, "not supported on this system yet, only on Linux")
}
