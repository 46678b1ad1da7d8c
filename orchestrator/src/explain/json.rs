//! Why a run was a miss or was not cached, for programs: the sentence, and what it is made of.

use serde_json::{Map, Value, json};
use shm_protocol::record::Exit;

use super::{advice, miss as sentence, uncacheable as why};
use crate::cache::{Declared, Difference, MissReason};
use crate::footprint::{Actor, Uncacheable};
use crate::runner::Statement;

/// One reason of a miss: `text`, `reason`, and by reason `path`, `difference`, `before`, `now`, `gained`, `lost`,
/// `kind`, `process`, `variable`, `setting`.
#[must_use]
pub fn miss(reason: &MissReason) -> Value {
    let mut object = Map::new();
    let mut add = |name: &str, value: Value| object.insert(name.to_owned(), value);
    add("text", sentence(reason).into());
    let name = match reason {
        MissReason::FirstRun => "first-run",
        MissReason::Variable { name, difference: how } => {
            add("variable", name.text().into());
            difference(how, &mut add);
            "variable"
        }
        MissReason::Umask { before, now } => {
            add("before", format!("{before:03o}").into());
            add("now", format!("{now:03o}").into());
            "umask"
        }
        MissReason::Limit { name } => {
            add("limit", name.as_str().into());
            "limit"
        }
        MissReason::Stdin => "stdin",
        MissReason::Inherited => "inherited",
        MissReason::Terminal => "terminal",
        MissReason::Setting { name } => {
            add("setting", name.as_str().into());
            "setting"
        }
        MissReason::Place => "place",
        MissReason::Unknown => "unknown",
        MissReason::Input { path, difference: how, kind, reader } => {
            add("path", path.text().into());
            add("kind", kind.name().into());
            add("process", process(reader));
            difference(how, &mut add);
            "input"
        }
        MissReason::Output { path } => {
            add("path", path.text().into());
            "output"
        }
        MissReason::Stranger { path } => {
            add("path", path.text().into());
            "stranger"
        }
        MissReason::NotRestored { error } => {
            add("error", error.as_str().into());
            "not-restored"
        }
        MissReason::Damaged => "damaged",
        MissReason::Tied { path, root } => {
            add("path", path.text().into());
            add("root", root.text().into());
            "tied"
        }
        MissReason::Above { path } => {
            add("path", path.text().into());
            "above"
        }
        MissReason::Named { path, difference: how } => {
            add("path", path.text().into());
            difference(how, &mut add);
            "named"
        }
    };
    add("reason", name.into());
    object.into()
}

fn difference(difference: &Difference, add: &mut impl FnMut(&str, Value) -> Option<Value>) {
    let name = match difference {
        Difference::Appeared => "appeared",
        Difference::Disappeared => "disappeared",
        Difference::Content => "content",
        Difference::Entries(entries) => {
            for (name, names) in [("gained", &entries.gained), ("lost", &entries.lost)] {
                add(name, names.iter().map(|name| name.text()).collect::<Vec<_>>().into());
            }
            "entries"
        }
        Difference::Mode { before, now } => {
            add("before", format!("{before:04o}").into());
            add("now", format!("{now:04o}").into());
            "mode"
        }
        Difference::Target { before, now } => {
            add("before", before.text().into());
            add("now", now.text().into());
            "target"
        }
        Difference::Type => "type",
        Difference::Access => "access",
        Difference::Attributes => "attributes",
    };
    add("difference", name.into());
}

/// Why a run is not cached: `text`, `reason`, `advice`, and by reason `path` and `process`.
#[must_use]
pub fn uncacheable(reason: &Uncacheable) -> Value {
    let (name, path, who) = match reason {
        Uncacheable::Failed(Exit::Code(_)) => ("failed", None, None),
        Uncacheable::Failed(Exit::Signal(_)) => ("killed", None, None),
        Uncacheable::Incomplete(unseen) => ("incomplete", None, unseen.first().map(|unseen| &unseen.process)),
        Uncacheable::Lost(_) => ("lost", None, None),
        Uncacheable::Survivor(_) => ("survivor", None, None),
        Uncacheable::Disabled { process } => ("disabled", None, Some(process)),
        Uncacheable::Network { process, .. } => ("network", None, Some(process)),
        Uncacheable::StreamUsed { number: 0, process } => ("stdin", None, Some(process)),
        Uncacheable::StreamUsed { process, .. } => ("inherited", None, Some(process)),
        Uncacheable::ReadThenChanged { path, process } => ("read-then-changed", Some(path), Some(process)),
        Uncacheable::ChangedMeanwhile { path, process } => ("changed-meanwhile", Some(path), Some(process)),
        Uncacheable::Linked { path, process } => ("linked", Some(path), Some(process)),
        Uncacheable::OutputOutsideRoot { path, process } => ("outside-root", Some(path), Some(process)),
        Uncacheable::SpecialFile { path, process } => ("special-file", Some(path), Some(process)),
        Uncacheable::Unreadable { path, process } => ("unreadable", Some(path), Some(process)),
        Uncacheable::FolderMoved { path, process } => ("folder-moved", Some(path), Some(process)),
        Uncacheable::NoRoom { path, process } => ("no-room", Some(path), Some(process)),
        Uncacheable::UnknownBefore { path, process } => ("unknown-before", Some(path), Some(process)),
        Uncacheable::Inherited { .. } => ("inherited", None, None),
        Uncacheable::Terminal(_) => ("terminal", None, None),
        Uncacheable::Concurrent => ("concurrent", None, None),
        Uncacheable::Toolchain { .. } => ("toolchain_changed", None, None),
    };
    let mut object = json!({ "text": why(reason), "reason": name, "advice": advice(reason) });
    if let Some(path) = path {
        object["path"] = path.text().into();
    }
    if let Some(who) = who {
        object["process"] = process(who);
    }
    if let Uncacheable::Network { address, .. } = reason {
        object["address"] = address.as_str().into();
    }
    object
}

/// What a tool declared: `text`, `call`, `process`, and `path` or `variables`.
#[must_use]
pub fn declared(declared: &Declared) -> Value {
    let mut object = json!({ "text": super::declared(declared), "process": process(&declared.by) });
    let (call, what) = match &declared.statement {
        Statement::IgnoreInput(path) => ("ignoreInput", Some(("path", path.text().into_owned()))),
        Statement::IgnoreOutput(path) => ("ignoreOutput", Some(("path", path.text().into_owned()))),
        Statement::DisableCache => ("disableCache", None),
        Statement::Track(query) => ("getEnv", Some(("variables", query.to_string()))),
    };
    object["call"] = call.into();
    if let Some((name, value)) = what {
        object[name] = value.into();
    }
    object
}

fn process(actor: &Actor) -> Value {
    let argv: Vec<_> = actor.argv.iter().map(|argument| argument.text()).collect();
    json!({ "pid": actor.pid, "argv": argv })
}
