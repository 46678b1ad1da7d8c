//! What is known of a run before it: the command, where and how it runs, and the key under which its runs are kept.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use platform::files;
use platform::process::{InheritedFile, InheritedStream, limits, umask};
use serde::{Deserialize, Serialize};

use crate::bytes::Bytes;
use crate::configuration::find_root;
use crate::fingerprint::{Digest, Framed};
use crate::planted::{self, Rule};
use crate::selection::NamedInputs;
use crate::toolchain::Toolchain;

/// A command that is to be run with cache.
#[derive(Clone, Debug)]
pub struct Task {
    /// Program and arguments.
    pub argv: Vec<OsString>,
    /// The working directory, absolute.
    pub cwd: PathBuf,
    /// The root: outputs lie under it, globs are relative to it.
    pub root: PathBuf,
    /// What the command will see, without what tracing adds: see [`Policy::narrow`].
    pub environment: Vec<(OsString, OsString)>,
    /// The caller's environment, not narrowed: what tools that ask are answered from.
    pub caller_environment: Vec<(OsString, OsString)>,
    /// The file mode creation mask.
    pub umask: u32,
    /// Limits and signals, of [`platform::process::limits`].
    pub limits: Vec<(&'static str, u64)>,
    /// What the command's standard input holds.
    pub stdin: StdinKey,
    /// Where standard output and standard error of the command lead to in the end.
    pub terminal: Terminal,
    /// The settings that change what a run means.
    pub policy: Policy,
    /// The files that the policy names as inputs, as they were before the run; `None` if it names none.
    pub named_inputs: Option<NamedInputs>,
}

/// Where the descriptors of a run lead to, but for standard input.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Terminal {
    /// Both lead to the same place, so that they are kept as one and can only be replayed as one.
    pub one: bool,
    /// Standard output is a terminal: the command gets one too.
    pub stdout: bool,
    /// Standard error is a terminal.
    pub stderr: bool,
    /// Standard output is closed.
    pub stdout_closed: bool,
    /// Standard error is closed.
    pub stderr_closed: bool,
    /// Whoever writes to a pipe that nobody reads gets an error and no SIGPIPE.
    pub ignores_sigpipe: bool,
    /// The regular files among them: they are not the command's to observe or to make.
    pub files: Vec<PathBuf>,
    /// The files that it inherits besides, each with a digest of what is left to be read of it.
    pub inherited: Vec<(InheritedFile, Digest)>,
    /// The streams that it inherits, standard input among them, but for those by which jobs agree on their number.
    pub streams: Vec<InheritedStream>,
}

impl Terminal {
    fn facts(&self) -> [bool; 6] {
        let Self { one, stdout, stderr, stdout_closed, stderr_closed, ignores_sigpipe, .. } = *self;
        [one, stdout, stderr, stdout_closed, stderr_closed, ignores_sigpipe]
    }
}

/// What the environment says of how the commands that run at the same time agree on how many they are. What goes
/// through it changes no result.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Jobserver {
    /// The descriptors of its pipe.
    pub descriptors: Vec<i32>,
    /// Its FIFO.
    pub fifo: Option<PathBuf>,
}

impl Jobserver {
    /// That which is named in `environment` as make does it (GNU make manual, "POSIX Jobserver Interaction").
    #[must_use]
    pub fn of(environment: &[(OsString, OsString)]) -> Self {
        let mut found = Self::default();
        for (name, begins) in VOLATILE_WORDS {
            let value = environment.iter().find(|(own, _)| own == name).and_then(|(_, value)| value.to_str());
            for word in value.unwrap_or_default().split(' ').filter(|word| word.starts_with(begins)) {
                match word.split_once('=') {
                    Some((_, address)) if address.starts_with("fifo:") => {
                        found.fifo = address.strip_prefix("fifo:").map(PathBuf::from);
                    }
                    Some((_, pair)) => found.descriptors.extend(pair.split(',').flat_map(str::parse::<i32>)),
                    None => {}
                }
            }
        }
        found
    }
}

/// Standard input, as far as it is known before the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StdinKey {
    /// There is none.
    Closed,
    /// Nothing can come from it.
    Empty,
    /// A file; this is the digest of what is left to read of it.
    File(Digest),
    /// A pipe or socket of which this is the digest: all that came from it was taken before the run.
    Taken(Digest),
    /// A terminal, pipe or socket: a run that reads from it is not kept.
    Stream,
}

/// The settings that change what a run means, from options and `tracerun.toml`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Policy {
    /// Globs of inputs that do not count.
    pub ignore_input: Vec<String>,
    /// Globs of outputs that do not count.
    pub ignore_output: Vec<String>,
    /// What counts as input: see [`Selection`](crate::selection::Selection); `None`: what is observed.
    pub input: Option<Vec<String>>,
    /// What counts as output, wherever it lies; `None`: what is left under the root.
    pub output: Option<Vec<String>>,
    /// Names or globs of the only variables that the command sees, besides the untracked; `None`: all.
    pub env: Option<Vec<String>>,
    /// Names or globs of variables that the command sees and that do not count.
    pub untracked_env: Vec<String>,
    /// Keep runs that fail, too.
    pub cache_failures: bool,
    /// Keep runs that reached for the network.
    pub allow_network: bool,
    /// Keep runs that only the preload library watched.
    pub trust_preload: bool,
    /// Globs of files that are known by their identity instead of their content.
    pub trust: Vec<String>,
    /// Every name counts in a listing of a folder above the root or of the folder for temporary files.
    pub strict_listings: bool,
    /// Trees that are known by an identity.
    pub toolchains: Vec<Toolchain>,
}

/// Variables that differ from one terminal, session or shell to the next without meaning anything for what a
/// command makes: they do not count unless `--env` names them.
pub const VOLATILE: &[(&str, &str)] = &[
    ("_", "the shell's last command"),
    ("SHLVL", "depth of shells"),
    ("=ExitCode*", "how the last command of cmd ended"),
    ("PWD", "the working directory counts by itself, and so does another name for it"),
    ("OLDPWD", "the shell's directory before"),
    ("COLUMNS", "size of the terminal"),
    ("LINES", "size of the terminal"),
    ("WINDOWID", "the terminal's window"),
    ("TERM_SESSION_ID", "session of the terminal"),
    ("ITERM_SESSION_ID", "session of the terminal"),
    ("SHELL_SESSION_ID", "session of the terminal"),
    ("WT_SESSION", "session of the terminal"),
    ("KITTY_*", "session of the terminal"),
    ("KONSOLE_*", "session of the terminal"),
    ("GNOME_TERMINAL_*", "session of the terminal"),
    ("WEZTERM_*", "session of the terminal"),
    ("ALACRITTY_*", "session of the terminal"),
    ("TMUX", "session of the terminal"),
    ("TMUX_PANE", "session of the terminal"),
    ("STY", "session of the terminal"),
    ("WINDOW", "session of the terminal"),
    ("SSH_*", "where the user came from, and the agent's socket"),
    ("GPG_AGENT_INFO", "the agent's socket"),
    ("GPG_TTY", "the terminal"),
    ("DISPLAY", "the window system"),
    ("WAYLAND_DISPLAY", "the window system"),
    ("XAUTHORITY", "the window system"),
    ("DESKTOP_STARTUP_ID", "the window system"),
    ("XDG_ACTIVATION_TOKEN", "the window system"),
    ("XDG_SESSION_*", "the login session"),
    ("XDG_VTNR", "the login session"),
    ("DBUS_SESSION_BUS_ADDRESS", "the login session"),
    ("SESSION_MANAGER", "the login session"),
    ("INVOCATION_ID", "the service manager's run"),
    ("JOURNAL_STREAM", "the service manager's run"),
    ("SYSTEMD_EXEC_PID", "the service manager's run"),
    ("TRACERUN_*", "tracerun's own"),
    ("VP_RUN_NODE_CLIENT_PATH", "the client of the runner around this one"),
];

/// Variables of which some words do not count, and how those begin: how many jobs run beside this one, and by
/// which pipe they agree on it, changes no result.
const VOLATILE_WORDS: &[(&str, &str)] =
    &[("MAKEFLAGS", "--jobserver-"), ("MFLAGS", "--jobserver-"), ("CARGO_MAKEFLAGS", "--jobserver-")];

/// The file name of the preload library, but for how it ends: a tracerun inside a run finds it among those to be loaded first.
const LIBRARY: &str = "libtracerun_preload.";

impl Policy {
    /// The part of the caller's environment that the command is to see: all of it, or with `env`, the variables
    /// named there and the untracked ones.
    #[must_use]
    pub fn narrow(&self, environment: Vec<(OsString, OsString)>) -> Vec<(OsString, OsString)> {
        let Some(named) = &self.env else {
            return environment;
        };
        let seen = |name: &OsStr| named.iter().chain(&self.untracked_env).any(|glob| matches(glob, name));
        environment.into_iter().filter(|(name, _)| seen(name)).collect()
    }
}

/// Digest of what is known before a run: runs of the same action key are told apart by what they observe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ActionKey(pub Digest);

/// The action key taken apart, to tell what made two of them differ. Holds no value of a variable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyParts {
    pub(crate) variables: Vec<(Bytes, Digest)>,
    pub(crate) umask: u32,
    /// The limits by name.
    pub(crate) limits: Vec<(String, u64)>,
    pub(crate) stdin: StdinKey,
    /// What is said of the output, in the order of [`Terminal`].
    pub(crate) terminal: [bool; 6],
    /// The inherited files by descriptor.
    pub(crate) inherited: Vec<(i32, Digest)>,
    /// The settings by name, each with a digest of what it says.
    pub(crate) settings: Vec<(String, Digest)>,
    pub(crate) place: Digest,
}

impl Task {
    /// The command `argv` in the folder `cwd`, with the environment, the limits and the descriptors that this process has now;
    /// nothing on standard input, output that goes to a caller, settings as they are without a `tracerun.toml`. Everything
    /// can be changed.
    #[must_use]
    pub fn new<A: Into<OsString>>(argv: impl IntoIterator<Item = A>, cwd: impl AsRef<Path>) -> Self {
        let cwd = std::path::absolute(cwd.as_ref()).unwrap_or_else(|_| cwd.as_ref().to_owned());
        let environment: Vec<_> = std::env::vars_os().collect();
        Self {
            argv: argv.into_iter().map(Into::into).collect(),
            root: find_root(&cwd).to_owned(),
            cwd,
            terminal: Terminal::of_a_library(&Jobserver::of(&environment)),
            caller_environment: environment.clone(),
            environment,
            umask: umask(),
            limits: limits(),
            stdin: StdinKey::Empty,
            policy: Policy::default(),
            named_inputs: None,
        }
    }

    /// The value of a variable in the environment that the command will see.
    #[must_use]
    pub fn variable(&self, name: &str) -> Option<&OsStr> {
        self.environment.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_os_str())
    }

    /// The key under which runs of this task are kept.
    #[must_use]
    pub fn action_key(&self) -> ActionKey {
        let parts = self.key_parts();
        let mut key = Framed::new("tracerun action key");
        key.digest(self.command()).number(self.umask.into()).digest(parts.place);
        for (name, value) in &parts.limits {
            key.field(name.as_bytes()).number(*value);
        }
        for (name, value) in &parts.settings {
            key.field(name.as_bytes()).digest(*value);
        }
        for fact in parts.terminal {
            key.number(fact.into());
        }
        key.number(parts.inherited.len() as u64);
        for (number, rest) in &parts.inherited {
            key.number(u64::from(number.unsigned_abs())).digest(*rest);
        }
        match self.stdin {
            StdinKey::Closed => key.field(b"closed"),
            StdinKey::Empty => key.field(b"empty"),
            StdinKey::File(digest) => key.field(b"file").digest(digest),
            StdinKey::Taken(digest) => key.field(b"taken").digest(digest),
            StdinKey::Stream => key.field(b"stream"),
        };
        key.number(parts.variables.len() as u64);
        for (name, value) in &parts.variables {
            key.field(name).digest(*value);
        }
        ActionKey(key.finish())
    }

    /// Digest of the command line and its directory: what a user takes for the same command.
    pub(crate) fn command(&self) -> Digest {
        let mut command = Framed::new("tracerun command");
        command.field(&files::bytes_of_path(&self.cwd)).number(self.argv.len() as u64);
        for argument in &self.argv {
            command.field(files::bytes_of(argument));
        }
        command.finish()
    }

    pub(crate) fn key_parts(&self) -> KeyParts {
        let mut place = Framed::new("tracerun place");
        place.number(crate::cache::FORMAT_VERSION.into());
        place.field(std::env::consts::OS.as_bytes()).field(std::env::consts::ARCH.as_bytes());
        place.field(&files::bytes_of_path(&self.root));
        place.field(self.logical_cwd().map_or(b"", |name| files::bytes_of(name)));
        KeyParts {
            variables: self.tracked(),
            umask: self.umask,
            limits: self.limits.iter().map(|&(name, value)| (name.to_owned(), value)).collect(),
            stdin: self.stdin,
            terminal: self.terminal.facts(),
            inherited: self.terminal.inherited.iter().map(|(file, rest)| (file.number, *rest)).collect(),
            settings: self.policy.settings(),
            place: place.finish(),
        }
    }

    /// The variables that count, by name, each with a digest of its value.
    fn tracked(&self) -> Vec<(Bytes, Digest)> {
        if planted::is_off(Rule::Environment) {
            return Vec::new();
        }
        let Policy { env, untracked_env, .. } = &self.policy;
        let counts = |name: &OsStr| {
            let covered = |globs: &[String]| globs.iter().any(|glob| matches(glob, name));
            let volatile = || VOLATILE.iter().any(|(glob, _)| matches(glob, name));
            !covered(untracked_env) && (!volatile() || env.as_deref().is_some_and(covered))
        };
        let mut variables: Vec<(Bytes, Digest)> = Vec::new();
        for (name, value) in self.environment.iter().filter(|(name, _)| counts(name)) {
            if let Some(value) = meaning(name, value) {
                variables
                    .push((name.as_os_str().into(), Framed::new("tracerun variable").field(&value).finish()));
            }
        }
        variables.sort();
        variables
    }

    /// `PWD`, where it is another name for the working directory: a shell prints it.
    pub(crate) fn logical_cwd(&self) -> Option<&OsStr> {
        let named = self.variable("PWD")?;
        let other = named != self.cwd.as_os_str() && Path::new(named).is_absolute();
        let same = || Some(Path::new(named).canonicalize().ok()? == self.cwd.canonicalize().ok()?);
        (other && same() == Some(true)).then_some(named)
    }
}

impl Policy {
    /// The settings by the names that people know them by, each with a digest of what it says.
    fn settings(&self) -> Vec<(String, Digest)> {
        let Self {
            ignore_input,
            ignore_output,
            input,
            output,
            env,
            untracked_env,
            cache_failures,
            allow_network,
            trust_preload,
            trust,
            strict_listings,
            toolchains,
        } = self;
        let list = |items: Option<&Vec<String>>| {
            let mut list = Framed::new("tracerun setting");
            list.number(items.map_or(u64::MAX, |items| items.len() as u64));
            items.into_iter().flatten().for_each(|item| {
                list.field(item.as_bytes());
            });
            list.finish()
        };
        let flag = |flag: bool| Framed::new("tracerun setting").number(flag.into()).finish();
        let settings = [
            ("ignore-input", list(Some(ignore_input))),
            ("ignore-output", list(Some(ignore_output))),
            ("input", list(input.as_ref())),
            ("output", list(output.as_ref())),
            ("env", list(env.as_ref())),
            ("untracked-env", list(Some(untracked_env))),
            ("cache-failures", flag(*cache_failures)),
            ("allow-network", flag(*allow_network)),
            ("trust-preload", flag(*trust_preload)),
            ("trust", list(Some(trust))),
            ("strict-listings", flag(*strict_listings)),
        ];
        let toolchain = |one: &Toolchain| {
            let digest =
                Framed::new("tracerun setting").digest(list(Some(&one.paths))).digest(one.identity).finish();
            (format!("toolchain {}", one.name), digest)
        };
        let settings = settings.into_iter().map(|(name, value)| (name.to_owned(), value));
        settings.chain(toolchains.iter().map(toolchain)).collect()
    }
}

/// What of a value counts; `None` when nothing does.
fn meaning(name: &OsStr, value: &OsStr) -> Option<Vec<u8>> {
    let value = files::bytes_of(value);
    let without = |separator: fn(&u8) -> bool, drop: &dyn Fn(&[u8]) -> bool| {
        let kept: Vec<&[u8]> = value.split(separator).filter(|word| !drop(word)).collect();
        kept.join(&b' ')
    };
    if name == "LD_PRELOAD" || name == "DYLD_INSERT_LIBRARIES" {
        let own = |word: &[u8]| {
            let file = word.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
            word.is_empty() || file.starts_with(LIBRARY.as_bytes())
        };
        let others = without(|byte| matches!(byte, b':' | b' '), &own);
        return (!others.is_empty() || value.is_empty()).then_some(others);
    }
    match VOLATILE_WORDS.iter().find(|(variable, _)| name == *variable) {
        Some((_, start)) => Some(without(|&byte| byte == b' ', &|word| word.starts_with(start.as_bytes()))),
        None => Some(value.to_vec()),
    }
}

/// Whether a variable's name is what `glob` says: `*` stands for any characters, `?` for one.
fn matches(glob: &str, name: &OsStr) -> bool {
    let (glob, name) = (glob.as_bytes(), files::bytes_of(name));
    let (mut at, mut seen) = (0, 0);
    // Where to go on from when what follows the last `*` does not fit: one character further.
    let mut retry = None;
    while seen < name.len() {
        match glob.get(at) {
            Some(b'*') => {
                at += 1;
                retry = Some((at, seen + 1));
            }
            Some(&byte) if byte == b'?' || byte == name[seen] => {
                at += 1;
                seen += 1;
            }
            _ => match retry {
                Some((after, next)) => {
                    (at, seen) = (after, next);
                    retry = Some((after, next + 1));
                }
                None => return false,
            },
        }
    }
    glob[at..].iter().all(|&byte| byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(environment: &[(&str, &str)]) -> Task {
        Task {
            argv: vec!["cc".into(), "-c".into()],
            cwd: "/p".into(),
            root: "/p".into(),
            environment: environment.iter().map(|&(name, value)| (name.into(), value.into())).collect(),
            caller_environment: Vec::new(),
            umask: 0o22,
            limits: vec![("ulimit -f", 9)],
            stdin: StdinKey::Empty,
            terminal: Terminal::default(),
            policy: Policy::default(),
            named_inputs: None,
        }
    }

    #[test]
    fn whatever_is_known_before_a_run_changes_its_key() {
        let first = task(&[("A", "1")]);
        let key = first.action_key();
        assert_eq!(key, first.clone().action_key());
        let changes: [fn(&mut Task); 16] = [
            |task| task.argv = vec!["cc -c".into()],
            |task| task.cwd = "/q".into(),
            |task| task.root = "/".into(),
            |task| task.umask = 0o77,
            |task| task.limits[0].1 = 8,
            |task| task.environment[0].1 = "2".into(),
            |task| task.environment.clear(),
            |task| task.stdin = StdinKey::Stream,
            |task| task.policy.ignore_input.push("a".into()),
            |task| task.policy.ignore_output.push("a".into()),
            |task| task.policy.env = Some(Vec::new()),
            |task| task.terminal.one = true,
            |task| task.terminal.stdout = true,
            |task| task.terminal.stderr = true,
            |task| task.policy.output = Some(Vec::new()),
            |task| task.policy.input = Some(Vec::new()),
        ];
        for (index, change) in changes.iter().enumerate() {
            let mut other = first.clone();
            change(&mut other);
            assert_ne!(other.action_key(), key, "change {index}");
        }
    }

    #[test]
    fn the_order_of_variables_and_the_volatile_ones_do_not_count() {
        let plain = task(&[("A", "1"), ("B", "2")]).action_key();
        assert_eq!(task(&[("B", "2"), ("A", "1")]).action_key(), plain);
        let noisy = task(&[
            ("A", "1"),
            ("COLUMNS", "80"),
            ("SSH_TTY", "x"),
            ("B", "2"),
            ("TRACERUN_CACHE_DIR", "/c"),
        ]);
        assert_eq!(noisy.action_key(), plain);
        let mut untracked = task(&[("A", "1"), ("B", "2"), ("CI_JOB", "7")]);
        assert_ne!(untracked.action_key(), plain);
        untracked.policy.untracked_env = vec!["CI_*".into()];
        let mut same = task(&[("A", "1"), ("B", "2"), ("CI_JOB", "8")]);
        same.policy = untracked.policy.clone();
        assert_eq!(untracked.action_key(), same.action_key());
    }

    #[test]
    fn a_volatile_variable_counts_when_it_is_named() {
        let with = |width| {
            let mut task = task(&[("COLUMNS", width)]);
            task.policy.env = Some(vec!["COLUMNS".into()]);
            task.action_key()
        };
        assert_ne!(with("80"), with("100"));
    }

    #[test]
    fn a_narrowed_environment_holds_named_and_untracked_variables_only() {
        let policy = Policy {
            env: Some(vec!["PATH".into()]),
            untracked_env: vec!["CI_*".into()],
            ..Policy::default()
        };
        let all = task(&[("PATH", "/bin"), ("HOME", "/h"), ("CI_JOB", "7"), ("COLUMNS", "80")]).environment;
        let seen: Vec<_> = policy.narrow(all.clone()).into_iter().map(|(name, _)| name).collect();
        assert_eq!(seen, ["PATH", "CI_JOB"]);
        assert_eq!(Policy::default().narrow(all.clone()), all);
    }

    #[test]
    fn the_jobserver_and_our_own_library_do_not_count() {
        let of = |name: &str, value: &str| task(&[(name, value)]).action_key();
        assert_eq!(
            of("MAKEFLAGS", " -j2 --jobserver-auth=fifo:/tmp/GMfifo1"),
            of("MAKEFLAGS", " -j2 --jobserver-auth=fifo:/tmp/GMfifo2")
        );
        assert_ne!(of("MAKEFLAGS", " -j2"), of("MAKEFLAGS", " -j2 -k"));
        assert_eq!(of("LD_PRELOAD", "/c/lib/1/$LIB/libtracerun_preload.so"), task(&[]).action_key());
        assert_eq!(of("LD_PRELOAD", "/own.so:/c/libtracerun_preload.so"), of("LD_PRELOAD", "/own.so"));
        assert_ne!(of("LD_PRELOAD", "/own.so"), task(&[]).action_key());
        let mac = "DYLD_INSERT_LIBRARIES";
        assert_eq!(of(mac, "/own.dylib:/c/libtracerun_preload.dylib"), of(mac, "/own.dylib"));
    }

    #[test]
    fn globs_of_variables_know_stars_and_question_marks() {
        for (glob, name) in
            [("A", "A"), ("A*", "A"), ("*", ""), ("A*C*E", "ABCDCE"), ("?_*", "X_Y"), ("*AB", "AAB")]
        {
            assert!(matches(glob, OsStr::new(name)), "{glob} {name}");
        }
        for (glob, name) in [("A", "AB"), ("A?", "A"), ("A*C", "ABCD"), ("", "A"), ("_", "A_")] {
            assert!(!matches(glob, OsStr::new(name)), "{glob} {name}");
        }
    }

    #[test]
    fn another_name_for_the_working_directory_counts() {
        let folder = tempfile::tempdir().unwrap();
        let (real, link) = (folder.path().join("real"), folder.path().join("link"));
        std::fs::create_dir(&real).unwrap();
        files::symlink(&real, &link).unwrap();
        let key = |pwd: &Path| {
            let mut task = task(&[]);
            task.cwd.clone_from(&real);
            task.environment.push(("PWD".into(), pwd.into()));
            task.action_key()
        };
        assert_ne!(key(&real), key(&link));
        assert_eq!(key(&real), key(folder.path()), "a PWD that is another directory says nothing");
    }
}
