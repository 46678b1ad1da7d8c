//! `tracerun -- CMD`: runs with cache, and says in one line what came of it.

use std::ffi::OsString;
use std::io::{self, IsTerminal};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use platform::process::{follow, ignores_sigpipe, limits, spawn_behind, umask};
use platform::tracing::{CaptureChoice, SpawnError};
use serde_json::{Value, json};
use shm_protocol::access::AccessKind;
use shm_protocol::record::Exit;
use tracerun::archive::Mtime;
use tracerun::bytes::Bytes;
use tracerun::cache::{Lookup, Missed, Outcome, Store};
use tracerun::cancellation::Cancellation;
use tracerun::configuration::{MtimeMode, StdinMode, ToolchainSettings};
use tracerun::explain;
use tracerun::run::{Following, Mode, Report, RunError, Stdin, run as run_task, run_plainly};
use tracerun::selection::named_inputs;
use tracerun::stdio::{Taken, take_input, to_own_streams};
use tracerun::task::{Jobserver, Policy, StdinKey, Task, Terminal};
use tracerun::toolchain::{Toolchain, ToolchainError};

use super::arguments::{AnswerFormat, Common, RunArguments, TaskOptions};
use super::remote;
use super::status_line::StatusLine;
use super::{FAILED, Failure, Place, create_file, duration, print, say, write_to};

/// What came of a run.
pub(super) struct Ran {
    pub(super) task: Task,
    pub(super) report: Report,
    /// How this process is to end, if that is the end of it.
    pub(super) exit: Exit,
}

pub(super) fn run(arguments: RunArguments, common: &Common) -> Result<Exit, Failure> {
    if arguments.dry_run {
        let place = Place::find(common)?;
        let store = place.open_store()?;
        let RunArguments { task: options, argv, format, .. } = arguments;
        let mut task = task_of(&options, argv, &place)?;
        take(&mut task, stdin_mode(&options, &place), &store)?;
        return dry(&task, &store, format.unwrap_or(AnswerFormat::Text));
    }
    once(arguments, common, Cancellation::default()).map(|ran| ran.exit)
}

fn stdin_mode(options: &TaskOptions, place: &Place) -> StdinMode {
    options.stdin.map(StdinMode::from).or(place.configuration.stdin).unwrap_or_default()
}

/// The command as it would run in this process's place.
fn task_of(options: &TaskOptions, argv: Vec<OsString>, place: &Place) -> Result<Task, Failure> {
    let environment = super::environment();
    let policy = policy(options, place, &environment)?;
    Ok(Task {
        argv,
        cwd: place.cwd.clone(),
        root: place.root.clone(),
        umask: umask(),
        limits: limits(),
        stdin: StdinKey::of_this_process(),
        terminal: Terminal::of_this_process(&Jobserver::of(&environment)),
        environment: policy.narrow(environment.clone()),
        caller_environment: environment,
        policy,
        named_inputs: None,
    })
}

/// Runs once, and says what came of it, also to the file of `--summary`.
pub(super) fn once(
    mut arguments: RunArguments,
    common: &Common,
    cancellation: Cancellation,
) -> Result<Ran, Failure> {
    let path = arguments.summary.take();
    // Before the command runs: that it can't be written is no reason to lose the command's exit status.
    let file = path.as_deref().map(create_file).transpose()?;
    let ran = look_up_or_run(arguments, common, cancellation);
    if let Some((path, file)) = path.zip(file) {
        let summary = match &ran {
            Ok(ran) => summary(&ran.report),
            Err(failure) => summary_of_none(failure),
        };
        write_to(&path, file, |file| serde_json::to_writer(file, &summary).map_err(io::Error::from));
    }
    ran
}

fn look_up_or_run(
    arguments: RunArguments,
    common: &Common,
    cancellation: Cancellation,
) -> Result<Ran, Failure> {
    let RunArguments {
        task: options,
        dry_run: _,
        format: _,
        force,
        no_store,
        mtime,
        remote: url,
        no_remote,
        summary: _,
        argv,
    } = arguments;
    let place = Place::find(common)?;
    let stdin = stdin_mode(&options, &place);
    let mut task = task_of(&options, argv, &place)?;
    let gone = || "the working directory is gone, so that nothing can be found there again".to_owned();
    let store =
        if place.cwd_is_gone { Err(gone()) } else { place.open_store().map_err(|error| error.to_string()) };
    let transfers = StatusLine::on_terminal().filter(|_| !common.quiet).map(Arc::new);
    let report = match store {
        Ok(store) => {
            let store = match remote::of(url.filter(|_| !no_remote), !no_remote, &place)? {
                Some(remote) => store.with_remote(match transfers.clone() {
                    Some(line) => remote.watched_by(Box::new(move |progress| remote::tell(&line, progress))),
                    None => remote,
                }),
                None => store,
            };
            let mtime = match mtime.map(MtimeMode::from).or(place.configuration.mtime) {
                Some(MtimeMode::Now) | None => Mtime::Now,
                Some(MtimeMode::Recorded) => Mtime::Recorded,
            };
            let mut mode = Mode { force, no_store, mtime };
            let input = take(&mut task, stdin, &store)?.map(|taken| match taken {
                Taken::Whole(_, input) => input,
                Taken::Unkept(error, input) => {
                    say(&format!("warning: standard input can't be kept, so neither is the run: {error}"));
                    // What it holds is not known, so nothing can be known of what it leads to.
                    mode = Mode { force: true, no_store: true, ..mode };
                    input
                }
            });
            let capture = place.capture(options.capture, Some(&store), common);
            let may_do_without = capture.choice == CaptureChoice::Auto && input.is_none();
            let stdin = input.map_or(Stdin::Own, Stdin::Given);
            let report = match run_task(
                &task,
                &store,
                &capture,
                mode,
                &to_own_streams(),
                stdin,
                Following { cancellation, ..Following::of_states(&mut follow) },
            ) {
                Err(RunError::Spawn(error @ SpawnError::Tracing { .. })) if may_do_without => {
                    run_plainly(&task, error.to_string(), &mut follow)?
                }
                ran => ran?,
            };
            if report.fetched || matches!(report.record.outcome, Outcome::Miss { kept: Some(_), .. }) {
                collect_behind(&store, &place);
            }
            report
        }
        Err(error) => run_plainly(&task, error, &mut follow)?,
    };

    // One that is given up may go on behind the end.
    transfers.inspect(|line| line.close());
    let is_hit = matches!(report.record.outcome, Outcome::Hit { .. });
    if !common.quiet && (common.verbose || !place.configuration.quiet) {
        // One line is enough to say that the store fails.
        let told = matches!(report.record.outcome, Outcome::StoreFailed { .. });
        if let Some(trouble) = report.trouble.as_ref().filter(|_| !told) {
            say(&format!("warning: {trouble}"));
        }
        if let Some(trouble) = &report.remote_trouble {
            say(&format!("warning: the remote is not used: {trouble}"));
        }
        say(&line(&report));
        if common.verbose {
            report.unshared.iter().for_each(|why| say(&format!("not shared: {}", explain::unshared(why))));
            say(&format!(
                "run {}, {} inputs, {} outputs, {}",
                report.record.id,
                report.inputs.len(),
                report.outputs.len(),
                duration(Duration::from_millis(report.record.wall_ms)),
            ));
            report.io_uring_refused.iter().for_each(|program| say(&explain::io_uring_refused(program)));
        }
    }
    let exit = match report.refused_output {
        // It has been told, and ended as it pleased.
        Some(io::ErrorKind::BrokenPipe) if !is_hit => report.record.exit,
        Some(io::ErrorKind::BrokenPipe) if !ignores_sigpipe() => Exit::Signal(SIGPIPE),
        Some(kind) => {
            say(&format!("can't write the command's output: {kind}"));
            if report.record.exit == Exit::Code(0) { FAILED } else { report.record.exit }
        }
        None => report.record.exit,
    };
    Ok(Ran { task, report, exit })
}

/// By which a command ends that writes to a pipe which nobody reads.
const SIGPIPE: u8 = 13;

/// Lets another process collect the store if it grows beyond its limit: nobody has to wait for that. Where it can't be
/// started, the next run tries again.
fn collect_behind(store: &Store, place: &Place) {
    if let (true, Ok(program), Some(folder)) =
        (store.wants_collecting(place.limit), std::env::current_exe(), &place.cache_folder)
    {
        let mut collector = Command::new(program);
        collector.args(["cache", "gc", "--quiet", "--cache-size"]).arg(place.limit.to_string());
        collector.arg("--cache-dir").arg(folder).current_dir("/");
        let _ = spawn_behind(&mut collector);
    }
}

/// Says what a run would be, if its output went to where this answer goes.
fn dry(task: &Task, store: &Store, format: AnswerFormat) -> Result<Exit, Failure> {
    let (outcome, missed, stands_for) = match store.look_up(task)? {
        Lookup::Hit(entry) => ("hit", Missed::default(), Some(entry.run())),
        Lookup::Miss(missed) => ("miss", missed, None),
    };
    let text = match format {
        AnswerFormat::Text => {
            let sentences = missed.reasons.iter().map(|reason| format!("  - {}\n", explain::miss(reason)));
            let run = match (stands_for, missed.against) {
                (Some(run), _) => format!("  - everything is as run {run} saw it\n"),
                (_, Some(run)) => format!("  - compared with run {run}, the nearest that was stored\n"),
                _ => String::new(),
            };
            format!("{outcome}\n{}{run}", sentences.collect::<String>())
        }
        AnswerFormat::Json => {
            let object = json!({
                "outcome": outcome,
                "reasons": missed.reasons.iter().map(explain::json::miss).collect::<Vec<_>>(),
                "against": missed.against.map(|run| run.to_string()),
                "stands_for": stands_for.map(|run| run.to_string()),
                "action_key": task.action_key().0.to_string(),
            });
            format!("{object}\n")
        }
    };
    print(text.as_bytes())?;
    Ok(Exit::Code(0))
}

/// Options add to what `tracerun.toml` says; an `--env`, `--input` or `--output` replaces what it says.
fn policy(
    options: &TaskOptions,
    place: &Place,
    environment: &[(OsString, OsString)],
) -> Result<Policy, ToolchainError> {
    let file = &place.configuration;
    let both = |file: &[String], flags: &[String]| [file, flags].concat();
    let instead = |file: &Option<Vec<String>>, flags: &[String]| {
        if flags.is_empty() { file.clone() } else { Some(flags.to_vec()) }
    };
    Ok(Policy {
        ignore_input: both(&file.ignore_input, &options.ignore_input),
        ignore_output: both(&file.ignore_output, &options.ignore_output),
        input: instead(&file.input, &options.input),
        output: instead(&file.output, &options.output),
        env: instead(&file.env, &options.env),
        untracked_env: both(&file.untracked_env, &options.untracked_env),
        cache_failures: file.cache_failures || options.cache_failures,
        allow_network: file.allow_network || options.allow_network,
        trust_preload: file.trust_preload || options.trust_preload,
        trust: both(&file.trust, &options.trust),
        strict_listings: file.strict_listings || options.strict_listings,
        toolchains: toolchains(options, place, environment)?,
    })
}

/// Those of `tracerun.toml`, with the commands of the options, and others that the options name.
fn toolchains(
    options: &TaskOptions,
    place: &Place,
    environment: &[(OsString, OsString)],
) -> Result<Vec<Toolchain>, ToolchainError> {
    let mut all = place.configuration.toolchain.clone();
    for option in &options.toolchain {
        let pair = option.split_once('=').filter(|(name, command)| !name.is_empty() && !command.is_empty());
        let (name, command) = pair.ok_or_else(|| ToolchainError::Malformed(option.clone()))?;
        all.entry(name.to_owned()).or_default().command = command.to_owned();
    }
    let known = all.iter().map(|(name, ToolchainSettings { command, paths })| {
        Toolchain::identified(name, paths.clone(), command, &place.root, environment)
    });
    known.collect()
}

/// Looks at the inputs that the user names, and takes what comes from a standard input that can't be read again, if it is
/// to be part of the key. There is no end to what comes from a terminal.
fn take(task: &mut Task, mode: StdinMode, store: &Store) -> Result<Option<Taken>, Failure> {
    task.named_inputs = named_inputs(task, store.known(), store.path()).map_err(RunError::from)?;
    if mode == StdinMode::Pass || task.stdin != StdinKey::Stream || io::stdin().is_terminal() {
        return Ok(None);
    }
    let failed = |source| Failure::File { path: "standard input".into(), source };
    let taken = take_input(store.path()).map_err(failed)?;
    if let Taken::Whole(digest, _) = taken {
        task.stdin = StdinKey::Taken(digest);
        task.terminal.streams.retain(|stream| stream.number != 0);
    }
    Ok(Some(taken))
}

/// Where a hit came from, if that is worth saying.
fn from(fetched: bool) -> &'static str {
    if fetched { " from the remote" } else { "" }
}

/// The one line.
fn line(report: &Report) -> String {
    match &report.record.outcome {
        Outcome::Hit { .. } => match report.saved {
            Some(saved) if saved >= Duration::from_millis(100) => {
                format!("hit{}, saved {}", from(report.fetched), duration(saved))
            }
            _ => format!("hit{}", from(report.fetched)),
        },
        Outcome::Miss { reasons, kept, .. } => {
            let reason = reasons.first().map_or_else(|| "asked to run".to_owned(), explain::miss);
            let more = match reasons.len() {
                0 | 1 => String::new(),
                count => format!(" and {} more", count - 1),
            };
            format!("miss: {reason}{more}, {}", if kept.is_some() { "stored" } else { "not stored" })
        }
        Outcome::Uncached { why, .. } => format!("not cached: {}", explain::uncacheable(why)),
        Outcome::StoreFailed { error } => format!("not cached: {error}"),
        Outcome::Traced => "traced".to_owned(),
    }
}

/// The object of `--summary`, section 3 of the contract.
fn summary(report: &Report) -> Value {
    let (outcome, reason) = match &report.record.outcome {
        Outcome::Hit { .. } => ("hit", String::new()),
        Outcome::Miss { reasons, .. } => {
            ("miss", reasons.iter().map(explain::miss).collect::<Vec<_>>().join("; "))
        }
        Outcome::Uncached { why, .. } => ("uncached", explain::uncacheable(why)),
        Outcome::StoreFailed { error } => ("uncached", error.clone()),
        Outcome::Traced => ("uncached", String::new()),
    };
    let paths = |list: &[(Bytes, AccessKind)]| -> Vec<Value> {
        list.iter().map(|(path, kind)| json!({ "path": path.text(), "kind": kind.name() })).collect()
    };
    json!({
        "run": report.record.id.to_string(),
        "outcome": outcome,
        "reason": reason,
        "action_key": report.action_key().0.to_string(),
        "fingerprint": report.fingerprint.map(|fingerprint| fingerprint.0.to_string()),
        "exit": exit_object(report.record.exit),
        "complete": report.complete,
        "inputs": paths(&report.inputs),
        "outputs": paths(&report.outputs),
        "wall_ms": report.record.wall_ms,
        "fetched": report.fetched,
        "remote_trouble": report.remote_trouble.as_ref().map(ToString::to_string),
    })
}

/// The same where there was no run.
fn summary_of_none(failure: &Failure) -> Value {
    json!({
        "run": null,
        "outcome": "uncached",
        "reason": failure.to_string(),
        "action_key": null,
        "fingerprint": null,
        "exit": exit_object(failure.exit()),
        "complete": false,
        "inputs": [],
        "outputs": [],
        "wall_ms": 0,
        "fetched": false,
        "remote_trouble": null,
    })
}

fn exit_object(exit: Exit) -> Value {
    match exit {
        Exit::Code(code) => json!({ "code": code }),
        Exit::Signal(signal) => json!({ "signal": signal }),
    }
}
