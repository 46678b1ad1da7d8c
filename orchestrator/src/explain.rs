//! Why a run was a miss or was not cached, in words: the file, the process, and what to do. Variables are named,
//! their values never shown.

pub mod json;

use shm_protocol::access::{AccessKind, Gap};
use shm_protocol::record::Exit;

use crate::bytes::Bytes;
use crate::cache::{Declared, Difference, Entries, MissReason, Outcome};
use crate::footprint::{self, Actor, TerminalLoss, Uncacheable, Unseen};
use crate::remote::Unshared;
use crate::report::text::printable;
use crate::runner::Statement;
use crate::trace::Trace;

/// The longest command line that is shown, in characters.
const LONGEST: usize = 80;

/// Why no kept run could take the place of this one; a sentence without its full stop.
#[must_use]
pub fn miss(reason: &MissReason) -> String {
    match reason {
        MissReason::FirstRun => "this command has not been stored in this directory yet".to_owned(),
        MissReason::Variable { name, difference } => match difference {
            Difference::Appeared => format!("variable {name} was not set in the last stored run"),
            Difference::Disappeared => {
                format!("variable {name} was set in the last stored run and is not now")
            }
            _ => format!("variable {name} has another value than in the last stored run"),
        },
        MissReason::Umask { before, now } => format!("the umask was {before:03o} and is {now:03o}"),
        MissReason::Limit { name } => format!("{name} is not what it was in the last stored run"),
        MissReason::Inherited => {
            "the files given to it open do not hold what they held in the last stored run".to_owned()
        }
        MissReason::Stdin => "standard input is not what it was in the last stored run".to_owned(),
        MissReason::Setting { name } => {
            format!("{name}, set by option or in tracerun.toml, is not what it was in the last stored run")
        }
        MissReason::Terminal => {
            "where output goes to (a terminal, both streams to one place, nowhere) is not as in the last stored run".to_owned()
        }
        MissReason::Place => "the root or the name of the working directory is another".to_owned(),
        MissReason::Unknown => "no stored run saw just this".to_owned(),
        MissReason::Input { path, difference, kind, reader } => {
            let what = match (difference, kind) {
                (Difference::Appeared, _) => format!("{path} was not there and is now"),
                (Difference::Disappeared, _) => format!("{path} is no longer there"),
                (Difference::Entries(entries), _) => listing(path, entries),
                (Difference::Content, _) => format!("{path} changed"),
                (Difference::Mode { before, now }, _) => {
                    format!("the mode of {path} was {before:04o} and is {now:04o}")
                }
                (Difference::Target { before, now }, _) => {
                    format!("the link {path} led to {before} and leads to {now}")
                }
                (Difference::Attributes, _) => format!("the extended attributes of {path} changed"),
                (Difference::Type, _) => format!("{path} is not the type of file that it was"),
                (Difference::Access, _) => format!("{path} can or can't be read, other than before"),
            };
            format!("{what} ({} by {})", done(*kind), process(reader))
        }
        MissReason::Output { path } => {
            format!("the output {path} is neither as the run found it nor as it left it, or has another name: it is made again")
        }
        MissReason::Stranger { path } => {
            format!(
                "{path} is in a folder that the run makes, and it did not make it: --ignore-output it if it does not matter"
            )
        }
        MissReason::NotRestored { error } => {
            format!("a stored run saw the same, but its outputs can't be put back: {error}")
        }
        MissReason::Damaged => "what was stored is damaged: it is stored again".to_owned(),
        MissReason::Tied { path, root } => {
            format!("a shared run in {root} depended on that place: {} may name it", printable(path))
        }
        MissReason::Above { path } => format!(
            "a shared run searched one folder above its root after the other, and here the search would come to {path}"
        ),
        MissReason::Named { path, difference } => {
            let what = match difference {
                Difference::Appeared => "was not there and is now",
                Difference::Disappeared => "is no longer there",
                _ => "changed",
            };
            format!("{path} {what} (named as an input)")
        }
    }
}

/// How a listing changed.
fn listing(path: &Bytes, entries: &Entries) -> String {
    let named = |verb: &str, names: &[Bytes]| {
        let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
        (!names.is_empty()).then(|| format!("{verb} {}", names.join(", ")))
    };
    let parts: Vec<String> =
        [named("gained", &entries.gained), named("lost", &entries.lost)].into_iter().flatten().collect();
    match parts.len() {
        0 => format!("the entries of {path} are others or of other types"),
        _ => format!("{path} {}", parts.join(" and ")),
    }
}

/// Why a run came out as it did, in sentences without their full stops; empty if nothing was asked but to run.
#[must_use]
pub fn sentences(outcome: &Outcome) -> Vec<String> {
    match outcome {
        Outcome::Hit { run, .. } => {
            vec![format!("it did not: everything was as run {run} saw it, which is what is shown here")]
        }
        Outcome::Miss { reasons, .. } => reasons.iter().map(miss).collect(),
        Outcome::Uncached { reasons, why, .. } => {
            let why = format!("not cached: {}", uncacheable(why));
            reasons.iter().map(miss).chain([why]).collect()
        }
        Outcome::StoreFailed { error } => vec![format!("not cached: {error}")],
        Outcome::Traced => Vec::new(),
    }
}

/// Why a run is not cached; a sentence without its full stop.
#[must_use]
pub fn uncacheable(reason: &Uncacheable) -> String {
    match reason {
        Uncacheable::Failed(Exit::Code(code)) => {
            format!("it exited with {code} (--cache-failures stores failing runs too)")
        }
        Uncacheable::Failed(Exit::Signal(signal)) => {
            format!("signal {signal} killed it (--cache-failures stores failing runs too)")
        }
        Uncacheable::Incomplete(unseen) => {
            let first = unseen.first().map_or_else(|| "something may have gone unseen".to_owned(), unseen_in);
            match unseen.len() {
                0 | 1 => first,
                more => format!("{first} (and {})", count(more - 1, "other reason", "other reasons")),
            }
        }
        Uncacheable::Lost(records) => {
            format!(
                "{} of what it did were lost",
                count(usize::try_from(*records).unwrap_or(usize::MAX), "record", "records")
            )
        }
        Uncacheable::Survivor(survivors) => {
            let names: Vec<String> =
                survivors.iter().take(3).map(|(pid, name)| format!("{name} ({pid})")).collect();
            let (names, many) = (names.join(", "), survivors.len() > 1);
            let verb =
                if many { "were still running when it ended" } else { "was still running when it ended" };
            format!("{names} {verb}: what such a process does is not known; stop it before the command ends")
        }
        Uncacheable::Disabled { process: who } => {
            format!("{} asked not to be cached (disableCache)", process(who))
        }
        Uncacheable::Network { address, process: who } => {
            format!("{} used the network ({address}); --allow-network stores such runs", process(who))
        }
        Uncacheable::StreamUsed { number: 0, process: who } => {
            format!(
                "{} read standard input, which can't be read again: use a file, </dev/null or --stdin hash",
                process(who)
            )
        }
        Uncacheable::StreamUsed { number, process: who } => format!(
            "{} used descriptor {number}, a pipe, socket or terminal given to it open: what goes through can't be kept; close it ({number}>&-), or use a file",
            process(who)
        ),
        Uncacheable::ReadThenChanged { path, process: who } => format!(
            "{path} was read and then changed ({}), so that what was read is gone; --ignore-output it if that does not matter",
            process(who)
        ),
        Uncacheable::ChangedMeanwhile { path, process: who } => format!(
            "{path} was changed by something else during the run ({} used it); run it again, or ignore that path if it always changes",
            process(who)
        ),
        Uncacheable::Linked { path, process: who } => format!(
            "{path} has another name that the run did not make, or got one (a hard link; {} used it): a copy is not the same",
            process(who)
        ),
        Uncacheable::OutputOutsideRoot { path, process: who } => format!(
            "{} changed {path}, which is outside the root; `--output auto --output GLOB` stores it besides, --ignore-output leaves it out, a --root may hold it",
            process(who)
        ),
        Uncacheable::SpecialFile { path, process: who } => {
            format!("{} used {path}, a device, FIFO or socket, which can't be stored", process(who))
        }
        Uncacheable::Unreadable { path, process: who } => {
            format!("{path}, which {} used, can't be read by tracerun", process(who))
        }
        Uncacheable::FolderMoved { path, process: who } => format!(
            "{} moved a folder that it had not made to {path}: what it holds is not stored; move single files, or copy it",
            process(who)
        ),
        Uncacheable::NoRoom { path, process: who } => format!(
            "there is no room left where {path} is, so that what {} wrote may be cut short; make room and run it again",
            process(who)
        ),
        Uncacheable::UnknownBefore { path, process: who } => {
            format!("{} changed {path}, and what it was before could not be seen", process(who))
        }
        Uncacheable::Inherited { number } => format!(
            "what was given to it open as descriptor {number} was read or changed; let the command open it, or close it ({number}>&-)"
        ),
        Uncacheable::Terminal(loss) => terminal(*loss).to_owned(),
        Uncacheable::Toolchain { name } => format!("the toolchain {name} became another while it ran"),
        Uncacheable::Concurrent => {
            "the same command was running at the same time, so that what it left may be the other's; the next that runs alone is stored".to_owned()
        }
    }
}

/// Why a run is kept here only; a sentence without its full stop.
#[must_use]
pub fn unshared(why: &Unshared) -> String {
    match why {
        Unshared::Root => "the path of the root is / or has unusual characters".to_owned(),
        Unshared::Identity(path) => {
            format!(
                "what is in {} is known on this machine only (--trust, or it can't be read)",
                printable(path)
            )
        }
        Unshared::Outside(path) => format!("{}, an output, is outside the root", printable(path)),
        Unshared::Native(command) => format!("`{command}` asks which processor this is"),
        Unshared::Changed(path) => {
            format!("{} is no longer what the run saw or left", printable(path))
        }
    }
}

/// What can be done about it, where the sentence does not say so already.
#[must_use]
pub fn advice(reason: &Uncacheable) -> Option<&'static str> {
    match reason {
        Uncacheable::Incomplete(unseen) => unseen.first().and_then(|unseen| gap_advice(unseen.gap)),
        Uncacheable::Lost(_) => Some("run it again; where it happens often, with fewer processes at once"),
        Uncacheable::SpecialFile { .. } => {
            Some("--ignore-input or --ignore-output that path if it does not matter for the result")
        }
        Uncacheable::Unreadable { .. } => {
            Some("make it readable, or --ignore-input it if it does not matter")
        }
        Uncacheable::UnknownBefore { .. } => Some("run it again, or --ignore-output that path"),
        Uncacheable::Terminal(TerminalLoss::TooLong) => Some("send the output to a file"),
        Uncacheable::Terminal(TerminalLoss::Cut) => {
            Some("nothing: the command was cut short, and its result may be, too")
        }
        Uncacheable::Terminal(TerminalLoss::Used) => {
            Some("send the output to a file that it does not use, or --ignore-input that file")
        }
        Uncacheable::Terminal(TerminalLoss::StillOpen) => {
            Some("have the command wait for what it starts, or send that one's output elsewhere")
        }
        _ => None,
    }
}

fn gap_advice(gap: Gap) -> Option<&'static str> {
    match gap {
        Gap::ForeignAbi => Some("use a 64-bit build of that program"),
        Gap::IoUring => Some("leave io_uring refused, which is what tracerun does unless told otherwise"),
        Gap::ChangedMounts => Some("run tracerun inside the container instead of around it"),
        Gap::NoFilter if cfg!(target_os = "macos") => {
            Some("pass --trust-preload if the command opens files by libSystem's functions only")
        }
        Gap::NoFilter => {
            Some("`tracerun doctor` says what this machine refuses; outside of a sandbox it may work")
        }
        Gap::BadRecord | Gap::SupervisorFailed => Some("run it again"),
        Gap::Survivor => Some("stop that process before the command ends"),
        Gap::LostPrivileges => {
            Some("run it without tracerun, or with --capture preload, or run tracerun as root")
        }
        Gap::NotInstrumented if cfg!(target_os = "macos") => Some(
            "use a build of that program that is neither the system's nor signed for the hardened runtime",
        ),
        Gap::NotInstrumented => Some("use a 64-bit build of that program"),
        Gap::UnreadablePath | Gap::UnresolvedDirectory | Gap::OpenByHandle => None,
    }
}

fn terminal(loss: TerminalLoss) -> &'static str {
    match loss {
        TerminalLoss::TooLong => "it printed more than 64 MiB, which is not kept",
        TerminalLoss::Cut => "nobody read its output to the end",
        TerminalLoss::Used => "it used the file that its output goes to, by its name",
        TerminalLoss::Typed => "it was given what was typed at the terminal",
        TerminalLoss::StillOpen => "a process that it left behind still had its output open",
    }
}

/// What may have gone unseen in a run, in sentences without their full stop; empty if its trace is complete.
#[must_use]
pub fn gaps(trace: &Trace) -> Vec<String> {
    let mut sentences: Vec<String> = footprint::unseen(trace).map(|unseen| unseen_in(&unseen)).collect();
    if trace.dropped > 0 {
        sentences.push(uncacheable(&Uncacheable::Lost(trace.dropped)));
    }
    if !trace.survivors.is_empty() {
        sentences.push(uncacheable(&Uncacheable::Survivor(trace.survivors.clone())));
    }
    sentences
}

/// What a gap in a trace means.
#[must_use]
pub fn gap(gap: Gap) -> &'static str {
    match gap {
        Gap::ForeignAbi => "made system calls of another ABI (32-bit or x32), which are not decoded",
        Gap::UnreadablePath => "used a path that could not be read from its memory",
        Gap::UnresolvedDirectory => "used a directory that could not be told",
        Gap::IoUring => "used io_uring, which opens files unseen",
        Gap::OpenByHandle => "opened a file by handle, without a path",
        Gap::ChangedMounts => "changed its mounts, so that paths may mean something else",
        Gap::BadRecord => "left records that can't be understood",
        Gap::NoFilter => "was watched by the preload library alone (--trust-preload stores such runs)",
        Gap::Survivor => "outlived the run",
        Gap::SupervisorFailed => "could not be watched to the end",
        Gap::NotInstrumented => "ran a program that could not be watched",
        Gap::LostPrivileges => {
            "gives privileges to whoever executes it, and could not: a run that an ordinary user traces completely must do without"
        }
    }
}

/// That a program did without `io_uring`; `program` is its command line.
#[must_use]
pub fn io_uring_refused(program: &str) -> String {
    format!(
        "`{program}` asked for io_uring and was told that it is not permitted, so that nothing goes unseen (--io-uring allow)"
    )
}

fn unseen_in(unseen: &Unseen) -> String {
    let sentence = format!("{} {}", process(&unseen.process), gap(unseen.gap));
    if unseen.detail.is_empty() { sentence } else { format!("{sentence}: {}", unseen.detail) }
}

fn done(kind: AccessKind) -> &'static str {
    match kind {
        AccessKind::Read => "read",
        AccessKind::Exec => "executed",
        AccessKind::Stat => "looked at",
        AccessKind::Missing => "looked for",
        AccessKind::List => "listed",
        AccessKind::Write => "written",
        AccessKind::Delete => "deleted",
    }
}

/// A process by its command line, cut to what a line can hold.
fn process(actor: &Actor) -> String {
    if actor.argv.is_empty() {
        return "a process".to_owned();
    }
    let words: Vec<_> = actor.argv.iter().map(|argument| argument.text()).collect();
    let line: String = words.join(" ").chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    match line.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("`{}…`", &line[..end]),
        None => format!("`{line}`"),
    }
}

fn count(number: usize, one: &str, many: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{number} {many}") }
}

/// What a tool declared.
#[must_use]
pub fn declared(declared: &Declared) -> String {
    let what = match &declared.statement {
        Statement::IgnoreInput(path) => format!("to ignore what is read under {}", printable(path)),
        Statement::IgnoreOutput(path) => format!("to ignore what is written under {}", printable(path)),
        Statement::DisableCache => "not to be cached".to_owned(),
        Statement::Track(query) => {
            format!("for variable {}, which counts", printable(query.to_string().as_bytes()))
        }
    };
    format!("{} asked {what}", process(&declared.by))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cc() -> Actor {
        Actor { pid: 7, argv: vec![b"cc"[..].into(), b"-c"[..].into(), b"a.c"[..].into()] }
    }

    #[test]
    fn a_miss_names_the_file_and_who_used_it() {
        let input = |difference, kind| MissReason::Input {
            path: b"/p/a.h"[..].into(),
            difference,
            kind,
            reader: cc(),
        };
        for (reason, sentence) in [
            (input(Difference::Content, AccessKind::Read), "/p/a.h changed (read by `cc -c a.c`)"),
            (
                input(Difference::Appeared, AccessKind::Missing),
                "/p/a.h was not there and is now (looked for by `cc -c a.c`)",
            ),
            (
                input(
                    Difference::Entries(Entries { gained: vec![b"x"[..].into()], lost: Vec::new() }),
                    AccessKind::List,
                ),
                "/p/a.h gained `x` (listed by `cc -c a.c`)",
            ),
            (
                input(Difference::Mode { before: 0o644, now: 0o755 }, AccessKind::Exec),
                "the mode of /p/a.h was 0644 and is 0755 (executed by `cc -c a.c`)",
            ),
            (
                MissReason::Variable { name: b"CFLAGS"[..].into(), difference: Difference::Content },
                "variable CFLAGS has another value than in the last stored run",
            ),
        ] {
            assert_eq!(miss(&reason), sentence);
        }
    }

    #[test]
    fn a_run_that_is_not_cached_is_told_what_to_do() {
        let path = || b"/p/a"[..].into();
        for (reason, words) in [
            (Uncacheable::Failed(Exit::Code(2)), "it exited with 2 (--cache-failures"),
            (
                Uncacheable::OutputOutsideRoot { path: path(), process: cc() },
                "`cc -c a.c` changed /p/a, which is outside the root",
            ),
            (
                Uncacheable::Network { address: "host:80".into(), process: cc() },
                "used the network (host:80); --allow-network",
            ),
            (Uncacheable::Survivor(vec![(7, "sleep".into())]), "sleep (7) was still running"),
            (Uncacheable::Lost(1), "1 record "),
        ] {
            let sentence = uncacheable(&reason);
            assert!(sentence.contains(words), "{sentence}");
        }
        let unseen = |detail: &str| Unseen { gap: Gap::ChangedMounts, detail: detail.into(), process: cc() };
        let sentence = uncacheable(&Uncacheable::Incomplete(vec![unseen("chroot"), unseen("")]));
        assert!(sentence.ends_with("something else: chroot (and 1 other reason)"), "{sentence}");
    }

    #[test]
    fn a_long_command_line_is_cut_and_keeps_to_its_line() {
        let actor = Actor { pid: 1, argv: vec![b"a\nb"[..].into(), vec![b'x'; 200].into()] };
        let name = process(&actor);
        assert_eq!(name.chars().count(), LONGEST + 3);
        assert!(name.starts_with("`a b x") && name.ends_with("…`"));
    }
}
