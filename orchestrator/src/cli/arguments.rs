//! The command line: every command and option, once; parsing, help, completions and manual page follow from it.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::parser::ValueSource;
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};
use shm_protocol::access::AccessKind;
use tracerun::configuration::{CaptureMode, IoUringMode, MtimeMode, Size, StdinMode};

/// Runs a command, knows every file its process tree touched, and next time, when nothing that mattered has
/// changed, restores its outputs and replays its terminal output instead of running it.
#[derive(Debug, Parser)]
#[command(
    name = "tracerun",
    version,
    subcommand_negates_reqs = true,
    disable_help_subcommand = true,
    override_usage = "tracerun [OPTIONS] -- CMD [ARG]...\n       tracerun COMMAND ...",
    after_help = super::help::after()
)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) common: Common,

    #[command(subcommand)]
    pub(crate) command: Option<Command>,

    #[command(flatten)]
    pub(crate) run: RunArguments,
}

impl Arguments {
    /// Understands a command line.
    ///
    /// # Errors
    /// It is none, or it asks for `--help` or `--version`.
    pub(crate) fn understand(line: impl IntoIterator<Item = OsString>) -> Result<Self, clap::Error> {
        let line: Vec<OsString> = line.into_iter().collect();
        if let Some(understood) = Self::of_run(&line) {
            return Ok(understood);
        }
        let mut command = Self::command();
        let matches = command.try_get_matches_from_mut(line).map_err(with_advice)?;
        if let Some(name) = matches.subcommand_name() {
            // An option of a run that is silently without effect would be taken to work.
            let given = |id: &&clap::Id| matches.value_source(id.as_str()) == Some(ValueSource::CommandLine);
            let of_run = |id: &&clap::Id| {
                command.get_arguments().any(|known| known.get_id() == *id && !known.is_global_set())
            };
            if let Some(id) = matches.ids().filter(given).find(of_run) {
                let option = id.as_str().replace('_', "-");
                let message = format!("`--{option}` is an option of a run: it means nothing before `{name}`");
                return Err(command.error(ErrorKind::ArgumentConflict, message));
            }
        }
        Self::from_arg_matches(&matches).map_err(|error| error.format(&mut command))
    }

    /// The line of a run; `None` where it is another, or wrong. To describe the subcommands takes longer than to find a hit.
    fn of_run(line: &[OsString]) -> Option<Self> {
        if !line.get(1)?.as_encoded_bytes().starts_with(b"-") {
            return None;
        }
        let command = RunArguments::augment_args(Common::augment_args(clap::Command::new("tracerun")));
        let matches = command.try_get_matches_from(line).ok()?;
        let common = Common::from_arg_matches(&matches).ok()?;
        let run = RunArguments::from_arg_matches(&matches).ok()?;
        Some(Self { common, command: None, run })
    }
}

/// Whoever leaves out the `--` is told of it.
fn with_advice(mut error: clap::Error) -> clap::Error {
    if error.kind() == ErrorKind::UnknownArgument {
        let advice = "a command to run, with its own options, comes after `--`: tracerun -- CMD [ARG]...";
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![advice.into()]));
    }
    error
}

/// `tracerun [OPTIONS] -- CMD`.
#[derive(Clone, Debug, Args)]
pub(crate) struct RunArguments {
    #[command(flatten)]
    pub(crate) task: TaskOptions,

    /// Run even if there is a hit, and store the result
    #[arg(long)]
    pub(crate) force: bool,

    /// Do not store the result
    #[arg(long)]
    pub(crate) no_store: bool,

    /// The modification time of restored files: that of now, as if the command had run, or that which was recorded [default: now]
    #[arg(long, value_enum, value_name = "WHICH")]
    pub(crate) mtime: Option<MtimeArgument>,

    /// The cache that is shared with other machines: http://, https://, grpc:// or grpcs://
    #[arg(long, env = "TRACERUN_REMOTE", hide_env_values = true, value_name = "URL")]
    pub(crate) remote: Option<String>,

    /// Ask no other machine, and tell none, whatever tracerun.toml or TRACERUN_REMOTE say
    #[arg(long)]
    pub(crate) no_remote: bool,

    /// Run nothing: say whether it would be a hit, and why not
    #[arg(long, conflicts_with_all = ["force", "no_store", "summary"])]
    pub(crate) dry_run: bool,

    /// With --dry-run: the form of the answer
    #[arg(long, value_enum, requires = "dry_run", value_name = "FORMAT")]
    pub(crate) format: Option<AnswerFormat>,

    /// Write what came of the run to FILE, as one JSON object
    #[arg(long, value_name = "FILE")]
    pub(crate) summary: Option<PathBuf>,

    /// The command and its arguments
    #[arg(last = true, required = true, value_name = "CMD")]
    pub(crate) argv: Vec<OsString>,
}

/// What tracerun does besides running a command with cache.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Always run, never cache; report what was touched
    ///
    /// The report goes to standard error after the command has ended, or to the file named by -o: standard output
    /// belongs to the command alone.
    Trace(TraceArguments),

    /// Why the last run, or RUN, hit, missed or was not cached
    Explain(ExplainArguments),

    /// What run B used, made and did otherwise than run A
    Diff(DiffArguments),

    /// What a run touched, and what came of it
    Show(ShowArguments),

    /// The runs of this project that are remembered, newest first
    List(ListArguments),

    /// Which runs and processes read, wrote or looked for PATH
    Who(WhoArguments),

    /// Whether CMD reads and writes only what is declared: exits with 1 if it does not
    ///
    /// Globs are relative to the current folder, cover what lies below, and take back what they cover if they begin with !. Installed
    /// packages, version control and the caches of tools (node_modules, .git, .turbo, .nx, .cache, __pycache__) are left
    /// out.
    Check(CheckArguments),

    /// Run again whenever something changes that the last run observed
    ///
    /// What was read, looked for or listed counts, by its content: a touch alone is no change, and neither is what CMD itself
    /// makes. A hit restores and replays as it does without.
    Watch(WatchArguments),

    /// The cache folder
    #[command(subcommand)]
    Cache(CacheCommand),

    /// What can be captured on this machine, and how
    Doctor,

    /// A completion script for SHELL, on standard output
    Completions {
        /// bash, elvish, fish, powershell or zsh
        shell: clap_complete::Shell,
    },

    /// A manual page, on standard output
    Man {
        /// The command whose page it is, such as `cache gc` [default: tracerun itself]
        #[arg(value_name = "COMMAND")]
        words: Vec<String>,

        /// Write the pages of all commands to the folder DIR instead
        #[arg(long, value_name = "DIR", conflicts_with = "words")]
        all: Option<PathBuf>,
    },

    /// What a command does, or a page on a topic
    Help {
        /// Words of a command, such as `cache gc`, or a topic: tracerun --help lists both [default: tracerun itself]
        #[arg(value_name = "COMMAND|TOPIC")]
        words: Vec<String>,
    },

    /// From inside a run: reads, stats and listings at or under PATH do not count
    IgnoreInput {
        #[arg(required = true, value_name = "PATH")]
        paths: Vec<PathBuf>,
    },

    /// From inside a run: writes at or under PATH are neither stored nor restored
    IgnoreOutput {
        #[arg(required = true, value_name = "PATH")]
        paths: Vec<PathBuf>,
    },

    /// From inside a run: the value of variable NAME counts
    TrackEnv {
        #[arg(required = true, value_name = "NAME")]
        names: Vec<String>,
    },

    /// From inside a run: it is not to be stored
    DisableCache,
}

#[derive(Debug, Args)]
pub(crate) struct WatchArguments {
    /// When something changes while CMD runs, end it and all that it started, and start again; otherwise it runs to its end
    #[arg(long)]
    pub(crate) restart: bool,

    /// How long nothing must happen before what has happened is looked at [default: 50]
    #[arg(long, value_name = "MS")]
    pub(crate) debounce: Option<u64>,

    #[command(flatten)]
    pub(crate) run: RunArguments,
}

#[derive(Debug, Args)]
pub(crate) struct TraceArguments {
    #[command(flatten)]
    pub(crate) capture: CaptureOptions,

    /// With --format ndjson: report while the command runs, not after, a line for each process that begins or ends and for the first
    /// access of a process to a path in one way
    #[arg(long, conflicts_with_all = ["by", "only", "path", "process", "target"])]
    pub(crate) live: bool,

    #[command(flatten)]
    pub(crate) report: ReportOptions,

    /// The command and its arguments
    #[arg(last = true, required = true, value_name = "CMD")]
    pub(crate) argv: Vec<OsString>,
}

#[derive(Debug, Args)]
pub(crate) struct RunChoice {
    /// A run: its id, a unique beginning of it, `last` or `last~N`
    #[arg(default_value = "last", value_name = "RUN")]
    pub(crate) run: String,
}

#[derive(Debug, Args)]
pub(crate) struct ExplainArguments {
    #[command(flatten)]
    pub(crate) choice: RunChoice,

    /// The form of the answer
    #[arg(long, value_enum, default_value_t = AnswerFormat::Text)]
    pub(crate) format: AnswerFormat,
}

#[derive(Debug, Args)]
pub(crate) struct DiffArguments {
    /// A run: its id, a unique beginning of it, `last` or `last~N`
    #[arg(value_name = "A")]
    pub(crate) before: String,

    /// Another
    #[arg(value_name = "B")]
    pub(crate) after: String,

    /// The form of the answer
    #[arg(long, value_enum, default_value_t = AnswerFormat::Text)]
    pub(crate) format: AnswerFormat,
}

#[derive(Debug, Args)]
pub(crate) struct ShowArguments {
    #[command(flatten)]
    pub(crate) choice: RunChoice,

    #[command(flatten)]
    pub(crate) report: ReportOptions,
}

#[derive(Debug, Args)]
pub(crate) struct ListArguments {
    /// The form of the list
    #[arg(long, value_enum, default_value_t = AnswerFormat::Text)]
    pub(crate) format: AnswerFormat,

    /// Those of every project, not only of this one
    #[arg(long)]
    pub(crate) all: bool,
}

#[derive(Clone, Copy, Debug, Subcommand)]
pub(crate) enum CacheCommand {
    /// How much is stored, and what came of the runs so far
    Stats {
        /// For people, or one JSON object
        #[arg(long, value_enum, default_value_t = StatsFormat::Text)]
        format: StatsFormat,
    },
    /// Remove what nothing refers to, and what was not used for longest until the rest is within --cache-size
    Gc,
    /// Read everything that is stored and remove what is damaged; the exit status is 1 if there was any
    Verify,
    /// Remove everything that is stored
    Clear,
    /// Where it is
    Path,
}

/// Options of every command, before or after its name.
#[derive(Clone, Debug, Args)]
pub(crate) struct Common {
    /// The cache folder [default: tracerun in the user's cache folder]
    #[arg(long, env = "TRACERUN_CACHE_DIR", hide_env_values = true, value_name = "DIR", global = true)]
    pub(crate) cache_dir: Option<PathBuf>,

    /// How much the cache may hold, such as 500M [default: 10GiB]
    #[arg(long, env = "TRACERUN_CACHE_SIZE", hide_env_values = true, value_name = "SIZE", global = true)]
    pub(crate) cache_size: Option<Size>,

    /// The root of the project [default: the nearest folder above with tracerun.toml or .git, else the current one]
    #[arg(long, value_name = "DIR", global = true)]
    pub(crate) root: Option<PathBuf>,

    /// No final line
    #[arg(long, short, global = true)]
    pub(crate) quiet: bool,

    /// Say more
    #[arg(long, short, global = true, conflicts_with = "quiet")]
    pub(crate) verbose: bool,
}

/// Options that change what a run means; `tracerun.toml` holds them too.
#[derive(Clone, Debug, Args)]
pub(crate) struct TaskOptions {
    /// What is read at or under GLOB does not count (`!GLOB` takes back)
    #[arg(long, value_name = "GLOB")]
    pub(crate) ignore_input: Vec<String>,

    /// What is written at or under GLOB is neither stored nor restored (`!GLOB` takes back)
    #[arg(long, value_name = "GLOB")]
    pub(crate) ignore_output: Vec<String>,

    /// What counts as input instead of what is observed: files at or under GLOB, read or not. `auto` stands for what is
    /// observed, `!GLOB` takes away, an empty one alone is none
    #[arg(long, value_name = "GLOB|auto")]
    pub(crate) input: Vec<String>,

    /// What is stored and restored instead of all that is left under the root: what is written at or under GLOB,
    /// wherever that is. `auto`, `!GLOB` and an empty one as with --input
    #[arg(long, value_name = "GLOB|auto")]
    pub(crate) output: Vec<String>,

    /// The command sees only this variable, others named so, and untracked ones
    #[arg(long, value_name = "NAME|GLOB")]
    pub(crate) env: Vec<String>,

    /// This variable does not count
    #[arg(long, value_name = "NAME|GLOB")]
    pub(crate) untracked_env: Vec<String>,

    /// What becomes of a standard input that is a pipe or socket
    #[arg(long, value_enum, value_name = "MODE")]
    pub(crate) stdin: Option<StdinArgument>,

    /// Store runs that fail, too
    #[arg(long)]
    pub(crate) cache_failures: bool,

    /// Store runs that used the network, too
    #[arg(long)]
    pub(crate) allow_network: bool,

    /// Store runs that only the preload library watched, too: it cannot see everything
    #[arg(long)]
    pub(crate) trust_preload: bool,

    /// What is at or under DIR is known by size, modification time and inode, not by content
    #[arg(long, value_name = "DIR|GLOB")]
    pub(crate) trust: Vec<String>,

    /// What systems install their packages to (or `paths` of [toolchain.NAME] in tracerun.toml) is known by what COMMAND
    /// prints, run by a shell in the root, and not by content: `--toolchain cc='cc --version'`
    #[arg(long, value_name = "NAME=COMMAND")]
    pub(crate) toolchain: Vec<String>,

    /// Every name counts in a listing of a folder above the root or of the folder for temporary files, not only
    /// those that the command looked for somewhere
    #[arg(long)]
    pub(crate) strict_listings: bool,

    #[command(flatten)]
    pub(crate) capture: CaptureOptions,
}

#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct CaptureOptions {
    /// Milliseconds to wait for processes that outlive the command [default: 500]
    #[arg(long, value_name = "MS")]
    pub(crate) grace: Option<u64>,

    /// Kill processes that outlive the command and the time of grace, instead of leaving them alone
    #[arg(long)]
    pub(crate) kill_background: bool,

    /// What programs that ask for io_uring, which opens files unseen, are told [default: refuse]
    #[arg(long, value_enum, value_name = "ANSWER")]
    pub(crate) io_uring: Option<IoUringArgument>,

    /// How to watch the process tree [default: auto]
    #[arg(long, value_enum)]
    pub(crate) capture: Option<CaptureArgument>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum IoUringArgument {
    /// That it is not permitted, as under Docker: they do without
    Refuse,
    /// Nothing: they get it, and a run in which one does is not stored
    Allow,
}

impl From<IoUringArgument> for IoUringMode {
    fn from(argument: IoUringArgument) -> Self {
        match argument {
            IoUringArgument::Refuse => Self::Refuse,
            IoUringArgument::Allow => Self::Allow,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum StatsFormat {
    /// For people
    Text,
    /// One JSON object
    Json,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum MtimeArgument {
    /// That of the restoration
    Now,
    /// That which the run left
    Recorded,
}

impl From<MtimeArgument> for MtimeMode {
    fn from(argument: MtimeArgument) -> Self {
        match argument {
            MtimeArgument::Now => Self::Now,
            MtimeArgument::Recorded => Self::Recorded,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum CaptureArgument {
    /// The best that works here
    Auto,
    /// The seccomp filter, with the preload library as its fast path
    Seccomp,
    /// The seccomp filter alone
    SeccompOnly,
    /// Every system call stopped by ptrace: complete, and slow
    Ptrace,
    /// The preload library alone: never complete
    Preload,
}

impl From<CaptureArgument> for CaptureMode {
    fn from(argument: CaptureArgument) -> Self {
        match argument {
            CaptureArgument::Auto => Self::Auto,
            CaptureArgument::Seccomp => Self::Seccomp,
            CaptureArgument::SeccompOnly => Self::SeccompOnly,
            CaptureArgument::Ptrace => Self::Ptrace,
            CaptureArgument::Preload => Self::Preload,
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct ReportOptions {
    /// The form of the report
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,

    /// Write the report to FILE
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,

    /// Not a summary, but all that was touched: in a tree of the processes or folders, or listed by kind
    #[arg(long, value_enum, value_name = "WHAT")]
    pub(crate) by: Option<ViewArgument>,

    /// Only what was touched in these ways: read, exec, stat, missing, list, write, delete
    #[arg(long, value_delimiter = ',', value_parser = kind_named, value_name = "KIND")]
    pub(crate) only: Vec<AccessKind>,

    /// Only paths that match GLOB, absolute or relative to the current folder
    #[arg(long, value_name = "GLOB")]
    pub(crate) path: Option<String>,

    /// Only what processes of this name did, or the one with this number in the report
    #[arg(long, value_name = "NAME")]
    pub(crate) process: Option<String>,

    /// With --format depfile: what depends on the files read [default: the files written]
    #[arg(long, value_name = "NAME")]
    pub(crate) target: Option<String>,
}

impl ReportOptions {
    /// Whether only a part of the trace is to be seen.
    pub(crate) fn is_filtered(&self) -> bool {
        !self.only.is_empty() || self.path.is_some() || self.process.is_some()
    }
}

/// What the text of a trace is arranged by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ViewArgument {
    /// Each process under its parent, with its files
    Process,
    /// Each folder with its files
    Folder,
    /// All that was read, executed, looked at, missing, listed, written, deleted
    Kind,
}

fn kind_named(name: &str) -> Result<AccessKind, String> {
    let known = || AccessKind::ALL.map(AccessKind::name).join(", ");
    AccessKind::ALL
        .into_iter()
        .find(|kind| kind.name() == name)
        .ok_or_else(|| format!("known are {}", known()))
}

#[derive(Debug, Args)]
pub(crate) struct CheckArguments {
    #[command(flatten)]
    pub(crate) capture: CaptureOptions,

    /// What CMD may read
    #[arg(long, value_name = "GLOB")]
    pub(crate) inputs: Vec<String>,

    /// What CMD may write
    #[arg(long, value_name = "GLOB")]
    pub(crate) outputs: Vec<String>,

    /// What the configuration of a task runner declares, besides: turbo#TASK, nx#TARGET, moon#TASK or vite#TASK
    #[arg(long, value_name = "TOOL#TASK")]
    pub(crate) from: Option<String>,

    /// Print the globs to add as well
    #[arg(long)]
    pub(crate) fix: bool,

    /// The form of the findings
    #[arg(long, value_enum, default_value_t = CheckFormat::Text)]
    pub(crate) format: CheckFormat,

    /// Where to write the findings [default: standard error, after the command has ended]
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,

    /// The command and its arguments
    #[arg(last = true, required = true, value_name = "CMD")]
    pub(crate) argv: Vec<OsString>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum CheckFormat {
    /// For people
    Text,
    /// One JSON object
    Json,
    /// SARIF 2.1.0, for code scanning
    Sarif,
    /// Annotations of GitHub Actions
    Github,
}

#[derive(Debug, Args)]
pub(crate) struct WhoArguments {
    /// The file or folder, absolute or relative to the current folder
    #[arg(value_name = "PATH")]
    pub(crate) path: PathBuf,

    /// Why it is an input, or is none: the way from the command to the process that used it
    #[arg(long)]
    pub(crate) why: bool,

    /// Only this run: its id, a unique beginning of it, `last` or `last~N` [default: all that are remembered]
    #[arg(long, value_name = "RUN")]
    pub(crate) run: Option<String>,

    /// The form of the answer
    #[arg(long, value_enum, default_value_t = AnswerFormat::Text)]
    pub(crate) format: AnswerFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum StdinArgument {
    /// The command reads it, and a run that does is not stored
    Pass,
    /// All of it is read before, and the run is stored for what it held
    Hash,
}

impl From<StdinArgument> for StdinMode {
    fn from(argument: StdinArgument) -> Self {
        match argument {
            StdinArgument::Pass => Self::Pass,
            StdinArgument::Hash => Self::Hash,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum AnswerFormat {
    /// For people
    Text,
    /// One JSON object
    Json,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people
    Text,
    /// One JSON object
    Json,
    /// One JSON object a line
    Ndjson,
    /// A page to look into with a browser, in one file
    Html,
    /// The processes on a line of time: the trace events of Chrome, for Perfetto
    Perfetto,
    /// The processes and their files as a graph, for Graphviz
    Dot,
    /// The files read as a rule of make, for make and Ninja
    Depfile,
    /// The calls of compilers, for clangd
    CompileCommands,
    /// The files read with their digests: a bill of materials
    Cyclonedx,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn understood(line: &str) -> Result<Arguments, clap::Error> {
        Arguments::understand(line.split(' ').map(OsString::from))
    }

    #[test]
    fn the_command_line_is_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn everything_after_two_dashes_belongs_to_the_command() {
        let parsed = understood("tracerun -q -- cc --quiet trace").expect("parses");
        assert_eq!(parsed.run.argv, ["cc", "--quiet", "trace"]);
        assert!(parsed.command.is_none());
    }

    #[test]
    fn what_a_tool_may_tell_a_run_is_understood() {
        for line in ["ignore-input a b", "ignore-output a", "track-env A", "disable-cache"] {
            assert!(understood(&format!("tracerun {line}")).expect("parses").command.is_some(), "{line}");
        }
        assert!(understood("tracerun ignore-input").is_err());
    }

    #[test]
    fn options_of_every_command_stand_before_or_after_its_name() {
        for line in [
            "tracerun --cache-dir x list",
            "tracerun list --cache-dir x",
            "tracerun cache --cache-dir x path",
        ] {
            let arguments = understood(line).expect(line);
            assert_eq!(arguments.common.cache_dir, Some("x".into()), "{line}");
        }
        let error = understood("tracerun --no-store list").expect_err("an option of a run").to_string();
        assert!(error.contains("`--no-store`") && error.contains("`list`"), "{error}");
        assert!(understood("tracerun trace --grace 5 -- true").is_ok());
    }

    #[test]
    fn a_command_without_two_dashes_is_refused() {
        assert!(understood("tracerun make").is_err());
        assert!(understood("tracerun").is_err());
    }
}
