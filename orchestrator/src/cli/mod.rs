//! The command line: from arguments to exit status, and every sentence that tracerun says.

mod arguments;
mod cache;
mod check;
mod declared;
mod diff;
mod doctor;
mod explain;
mod help;
mod history;
mod live_view;
mod markdown;
mod pager;
mod remote;
mod run;
mod status_line;
mod trace;
mod watch;
mod who;

use std::env;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::CommandFactory;
use platform::tracing::{Background, CaptureChoice, IoUring, SpawnError};
use shm_protocol::record::Exit;
use shm_protocol::session;
use tracerun::cache::{LIMIT, RunError as NoSuchRun, Store, StoreError};
use tracerun::configuration::{self, CaptureMode, Configuration, ConfigurationError, IoUringMode};
use tracerun::library;
use tracerun::remote::RemoteError;
use tracerun::run::{Capture, RunError, RunnerPlace};
use tracerun::toolchain::ToolchainError;

use tracerun_client::{Client, EnvQuery};

use self::arguments::{Arguments, CaptureOptions, Command, Common};

/// tracerun's own failures.
const FAILED: Exit = Exit::Code(125);

/// What a working directory goes by that has been removed.
const GONE: &str = "/proc/self/cwd";

/// What went wrong in tracerun itself.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Configuration(#[from] ConfigurationError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    NoSuchRun(#[from] NoSuchRun),
    #[error(transparent)]
    Run(#[from] RunError),
    #[error("no folder for the cache: set --cache-dir, TRACERUN_CACHE_DIR or HOME")]
    NoCacheFolder,
    #[error("{0}")]
    Asked(String),
    #[error("can't unpack the preload library: {0}")]
    Library(io::Error),
    #[error(transparent)]
    Toolchain(#[from] ToolchainError),
    #[error(transparent)]
    Remote(#[from] RemoteError),
    #[error("{}: {source}", path.display())]
    File { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Watch(tracerun::watch::WatchError),
    #[error("can't watch for changes: {0}")]
    Notify(notify::Error),
    #[error("only NDJSON can be written while the command runs: --live needs --format ndjson")]
    Live,
    #[error("can't write the report: {0}")]
    Report(#[from] io::Error),
    #[error("the run can't be told: {0}")]
    Runner(io::Error),
    #[error("this run has no runner to be told: use --ignore-input, --ignore-output, --env or --no-store")]
    NoRunner,
}

impl Failure {
    fn exit(&self) -> Exit {
        match self {
            Self::Run(RunError::Spawn(SpawnError::NotFound { .. })) => Exit::Code(127),
            Self::Run(RunError::Spawn(SpawnError::NotExecutable { .. })) => Exit::Code(126),
            _ => FAILED,
        }
    }
}

/// Does what the arguments ask; says how this process is to end.
pub(crate) fn main(arguments: impl Iterator<Item = OsString>) -> Exit {
    let arguments = match Arguments::understand(arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            // A closed terminal is no reason to fail differently.
            let _ = error.print();
            return if error.use_stderr() { FAILED } else { Exit::Code(0) };
        }
    };
    dispatch(arguments).unwrap_or_else(|failure| {
        say(&failure.to_string());
        failure.exit()
    })
}

fn dispatch(arguments: Arguments) -> Result<Exit, Failure> {
    let Arguments { common, command, run } = arguments;
    match command {
        None => run::run(run, &common),
        Some(Command::Trace(arguments)) => trace::trace(arguments, &common),
        Some(Command::Explain(arguments)) => explain::explain(&arguments, &common),
        Some(Command::Diff(arguments)) => diff::diff(&arguments, &common),
        Some(Command::Show(arguments)) => history::show(&arguments, &common),
        Some(Command::List(arguments)) => history::list(&arguments, &common),
        Some(Command::Who(arguments)) => who::who(&arguments, &common),
        Some(Command::Watch(arguments)) => watch::watch(&arguments, &common),
        Some(Command::Check(arguments)) => check::check(arguments, &common),
        Some(Command::Cache(command)) => cache::cache(command, &common),
        Some(Command::Doctor) => {
            let place = Place::find(&common)?;
            let (text, works) = doctor::examine(
                place.open_store().and_then(|store| library::unpack(&store).map_err(Failure::Library)),
            );
            print(text.as_bytes())?;
            Ok(Exit::Code(u32::from(!works)))
        }
        Some(Command::Completions { shell }) => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Arguments::command(), "tracerun", &mut script);
            print(&script)?;
            Ok(Exit::Code(0))
        }
        Some(Command::Help { words }) => help::help(&words),
        Some(Command::Man { all: Some(folder), .. }) => help::all_men(&folder),
        Some(Command::Man { words, all: None }) => help::man(&words),
        Some(Command::IgnoreInput { paths }) => {
            tell(|runner| paths.iter().try_for_each(|path| runner.ignore_input(path)))
        }
        Some(Command::IgnoreOutput { paths }) => {
            tell(|runner| paths.iter().try_for_each(|path| runner.ignore_output(path)))
        }
        Some(Command::TrackEnv { names }) => tell(|runner| {
            let has_wildcard = |name: &str| name.contains(['*', '?', '[', '{']);
            names.iter().try_for_each(|name| match has_wildcard(name) {
                true => runner.get_envs(EnvQuery::Glob(name), true).map(drop),
                false => runner.get_env(name, true).map(drop),
            })
        }),
        Some(Command::DisableCache) => tell(Client::disable_cache),
    }
}

/// Tells the runner of the run that this is part of; outside one there is nobody to tell.
fn tell(what: impl FnOnce(&mut Client) -> io::Result<()>) -> Result<Exit, Failure> {
    // Silence would be taken for consent: that it was not heard is a failure, and so is a run without a runner.
    let is_traced = env::var_os(session::VARIABLE).is_some();
    match Client::connect().map_err(Failure::Runner)? {
        Some(mut runner) => what(&mut runner).map_err(Failure::Runner)?,
        None if is_traced => return Err(Failure::NoRunner),
        None => {}
    }
    Ok(Exit::Code(0))
}

/// Where tracerun works: the caller's directory, the project's root and settings, the cache folder.
struct Place {
    cwd: PathBuf,
    /// It has been removed: it has no path any more, but is still there for those in it.
    cwd_is_gone: bool,
    root: PathBuf,
    configuration: Configuration,
    cache_folder: Option<PathBuf>,
    /// How many bytes the cache may hold.
    limit: u64,
}

impl Place {
    fn find(common: &Common) -> Result<Self, Failure> {
        let at = |path: &Path| {
            let path = path.to_owned();
            move |source| Failure::File { path, source }
        };
        let cwd = env::current_dir();
        let cwd_is_gone = cwd.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::NotFound);
        let cwd = if cwd_is_gone { GONE.into() } else { cwd.map_err(at(Path::new(".")))? };
        let root = match &common.root {
            Some(root) => root.canonicalize().map_err(at(root))?,
            None => configuration::find_root(&cwd).to_owned(),
        };
        let configuration = configuration::read(&root)?;
        let named = common.cache_dir.as_ref().map(|folder| cwd.join(folder));
        let cache_folder = named
            .or_else(|| configuration.cache_dir.clone())
            .or_else(|| Some(platform::files::user_cache_folder()?.join("tracerun")));
        let limit = common.cache_size.or(configuration.cache_size).map_or(LIMIT, |size| size.0);
        Ok(Self { cwd, cwd_is_gone, root, configuration, cache_folder, limit })
    }

    fn open_store(&self) -> Result<Store, Failure> {
        Ok(Store::open(self.cache_folder.as_ref().ok_or(Failure::NoCacheFolder)?)?)
    }

    /// How to run commands traced: without the library, which programs run slower without, where it can't be had.
    fn capture(&self, options: CaptureOptions, store: Option<&Store>, common: &Common) -> Capture {
        let library_folder = store.and_then(|store| {
            library::unpack(store).unwrap_or_else(|error| {
                if !common.quiet {
                    say(&format!("warning: {error}: tracing without the preload library"));
                }
                None
            })
        });
        let grace = options.grace.or(self.configuration.grace_ms);
        let grace = grace.map_or(Capture::default().grace, Duration::from_millis);
        let kills = options.kill_background || self.configuration.kill_background;
        let background = if kills { Background::Kill } else { Background::Leave };
        let io_uring = options.io_uring.map(IoUringMode::from).or(self.configuration.io_uring);
        let io_uring = match io_uring {
            Some(IoUringMode::Allow) => IoUring::Allow,
            Some(IoUringMode::Refuse) | None => IoUring::Refuse,
        };
        let runner = store.and_then(|store| {
            RunnerPlace::of(store)
                .inspect_err(|error| {
                    if !common.quiet {
                        say(&format!("warning: {error}: tools can't tell this run anything"));
                    }
                })
                .ok()
        });
        let choice = match options.capture.map(CaptureMode::from).or(self.configuration.capture) {
            Some(CaptureMode::Auto) | None => CaptureChoice::Auto,
            Some(CaptureMode::Seccomp) => CaptureChoice::Seccomp,
            Some(CaptureMode::SeccompOnly) => CaptureChoice::SeccompOnly,
            Some(CaptureMode::Ptrace) => CaptureChoice::Ptrace,
            Some(CaptureMode::Preload) => CaptureChoice::Preload,
        };
        Capture { choice, library_folder, runner, grace, background, io_uring, relays_output: true }
    }
}

/// What commands get of this process's environment: all but what is secret and meant for tracerun alone.
fn environment() -> Vec<(OsString, OsString)> {
    std::env::vars_os().filter(|(name, _)| name != remote::HEADERS).collect()
}

/// Says a line on standard error, in one piece, since others may speak at the same time; names in it may hold anything, and a
/// terminal obeys none of it. That nobody hears it is no failure.
fn say(text: &str) {
    let mut line = String::from("tracerun: ");
    for character in text.chars() {
        match character {
            '\n' | '\t' => line.push(character),
            other if other.is_control() => line.extend(other.escape_default()),
            other => line.push(other),
        }
    }
    let _ = io::stderr().write_all((line + "\n").as_bytes());
}

/// Writes to standard output. A reader that goes away has read enough.
fn print(text: &[u8]) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(text).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

/// How much of a report is written at once: traces are long.
const BUFFER: usize = 64 << 10;

/// Opens the file at `path` for a report, emptied.
fn create_file(path: &Path) -> Result<File, Failure> {
    File::create(path).map_err(|source| Failure::File { path: path.to_owned(), source })
}

/// Writes to the file at `path`, replacing it.
fn write_file(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> Result<(), Failure> {
    let mut file = BufWriter::with_capacity(BUFFER, create_file(path)?);
    let written = write(&mut file).and_then(|()| file.flush());
    written.map_err(|source| Failure::File { path: path.to_owned(), source })
}

/// Writes what came of a command, which has run, to a file opened before; whether that worked. The exit status is the
/// command's all the same, but where others would rely on the file.
fn write_to(path: &Path, file: File, write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>) -> bool {
    let mut file = BufWriter::with_capacity(BUFFER, file);
    let written = write(&mut file).and_then(|()| file.flush());
    if let Err(error) = &written {
        say(&format!("{}: {error}", path.display()));
    }
    written.is_ok()
}

/// A duration as people read it: `1.2 s`, `340 ms`, `2 min 5 s`.
fn duration(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    match seconds {
        0.0..1.0 => format!("{} ms", time.as_millis()),
        1.0..100.0 => format!("{seconds:.1} s"),
        _ => format!("{} min {} s", time.as_secs() / 60, time.as_secs() % 60),
    }
}

/// A number of bytes as people read it: `3.4 MiB`.
fn bytes(count: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if count < 1024 {
        return format!("{count} B");
    }
    let mut size = count as f64 / 1024.0;
    let mut unit = 0;
    while size >= 1024.0 && unit + 1 < UNITS.len() {
        size /= 1024.0;
        unit += 1;
    }
    format!("{size:.1} {}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_sizes_read_well() {
        assert_eq!(duration(Duration::from_millis(340)), "340 ms");
        assert_eq!(duration(Duration::from_millis(1234)), "1.2 s");
        assert_eq!(duration(Duration::from_secs(125)), "2 min 5 s");
        assert_eq!(bytes(1023), "1023 B");
        assert_eq!(bytes(3_565_158), "3.4 MiB");
        assert_eq!(bytes(1 << 50), "1024.0 TiB");
    }
}
