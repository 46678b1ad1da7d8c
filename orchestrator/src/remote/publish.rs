//! Giving a run of the local store to a server: what of it means the same elsewhere, and what must not leave.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::time::Instant;

use shm_protocol::access::AccessKind;

use super::place::{Location, Root};
use super::progress::Direction;
use super::records::{Index, SharedSet, Tie, encode, strong, weak};
use super::transport::{Kind, RemoteError, Transport, each_in_parallel, put};
use super::wire::{self, Blob, Sha};
use super::{MOST_SETS, Remote};
use crate::archive::Left;
use crate::bytes::Bytes;
use crate::cache::{Contents, Export, Store};
use crate::declarations::Declarations;
use crate::fingerprint::{Digest, Fingerprint, InputState, Observation, Observer, PathSet};
use crate::runner::Statement;
use crate::task::{Policy, StdinKey, Task};
use crate::toolchain::Toolchain;

/// Why a run is kept here only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unshared {
    /// The root is that of the file system, or has a name that text may quote.
    Root,
    /// Something is known by its identity, or can't be read: what is in it is not known elsewhere.
    Identity(Bytes),
    /// An output lies outside the root.
    Outside(Bytes),
    /// A program was told to ask which processor this is: its command line.
    Native(String),
    /// What was observed or left is no longer there to be given away.
    Changed(Bytes),
}

/// Contents that are small, with the key under which each is kept.
type Small = Vec<Vec<u8>>;

/// Gives a run to a server; says why not, where it means nothing to others.
pub(super) fn publish(
    remote: &Remote,
    task: &Task,
    store: &Store,
    fingerprint: Fingerprint,
) -> Result<Result<(), Unshared>, RemoteError> {
    let until = Instant::now() + remote.settings.transfer_timeout;
    let local = |error: &dyn std::fmt::Display| RemoteError::Local(error.to_string());
    let Some(root) = Root::of(task) else { return Ok(Err(Unshared::Root)) };
    let export = store.export(fingerprint).map_err(|error| local(&error))?;
    let Some(export) = export else { return Ok(Err(Unshared::Changed(Bytes::default()))) };
    if let Err(why) = may_leave(&export, &root) {
        return Ok(Err(why));
    }
    let own = Declarations::of(task).map_err(|error| local(&error))?;
    let declarations = own.with(&export.path_set.declared);
    let mut observer = Observer::new(&declarations, store.known());
    if let Some(path) = changed_listing(&export, &root, &mut observer) {
        return Ok(Err(Unshared::Changed(path)));
    }
    let (mut index, tied, small) = match masked(task, &export, store, &root).map_err(|error| local(&error))? {
        Ok(masked) => masked,
        Err(why) => return Ok(Err(why)),
    };

    let set = SharedSet::of(&export.path_set, &export.states, &root, tied);
    let here = set.at(&root);
    let each = export.path_set.observations.iter();
    let known: HashMap<&Observation, &InputState> = each.clone().zip(&export.states).collect();
    let states = here.observe(&mut observer, &known);
    let readers: HashMap<&Observation, u32> = each.zip(export.readers.iter().copied()).collect();
    index.readers =
        here.observations.iter().map(|one| readers.get(one).copied().unwrap_or_default()).collect();
    index.actors = export.actors.iter().map(|actor| root.masked_actor(actor)).collect();
    let failed = |error: postcard::Error| RemoteError::Local(error.to_string());
    let set = encode(&set).map_err(failed)?;
    let weak = weak(task, &root);
    let strong = strong(&weak, Sha::of(&set), &root, &states, &export.variables);
    index.key = strong.blob.digest;
    index.states = states.iter().map(|state| root.masked_state(state)).collect();

    let mut large = index.large.clone();
    if !large.is_empty() {
        let blobs: Vec<Blob> = large.iter().map(|(_, blob)| *blob).collect();
        let missing: HashSet<Sha> =
            remote.transport.missing(&blobs, until)?.into_iter().map(|blob| blob.digest).collect();
        large.retain(|(_, blob)| missing.contains(&blob.digest));
    }
    let encoded = encode(&index).map_err(failed)?;
    let (set_blob, index_blob) = (Blob::of(&set), Blob::of(&encoded));
    let mut contents: Small = vec![set, encoded];
    contents.extend(small);
    contents.extend(weak.parts);
    // The command and the root are those of the other key as well.
    contents.extend(strong.parts.into_iter().take(1));

    let lengths = large.iter().map(|(_, blob)| blob.size).chain(contents.iter().map(|one| one.len() as u64));
    let transfer = remote.transfer(Direction::Given, lengths.sum());
    each_in_parallel(&large, |(digest, blob)| {
        let mut file = File::open(store.blob_path(*digest)).map_err(|error| local(&error))?;
        transfer.put(Kind::Content, *blob, blob.size, &mut file, until)
    })?;
    each_in_parallel(&contents, |content| put(&transfer, Kind::Content, Blob::of(content), content, until))?;
    drop(transfer);

    // What refers to contents comes after them.
    put(&*remote.transport, Kind::Action, strong.blob, &wire::result([index_blob]), until)?;
    let known = remote.result(weak.blob, until)?.unwrap_or_default();
    let others =
        known.chunks_exact(2).filter(|pair| pair[0] != set_blob).take(MOST_SETS - 1).flatten().copied();
    let listed = wire::result([set_blob, index_blob].into_iter().chain(others));
    put(&*remote.transport, Kind::Action, weak.blob, &listed, until)?;
    Ok(Ok(()))
}

/// Whether anything of the run is of this machine alone.
fn may_leave(export: &Export, root: &Root) -> Result<(), Unshared> {
    let each = export.path_set.observations.iter().zip(&export.states);
    for (observation, state) in each {
        if matches!(state, InputState::Trusted { .. } | InputState::Unreadable { .. }) {
            return Err(Unshared::Identity(observation.path.clone()));
        }
    }
    let is_inside = |path: &[u8]| matches!(root.locate(path), Location::Inside(rest) if !rest.is_empty());
    if let Some(output) = export.result.outputs.iter().find(|output| !is_inside(&output.path)) {
        return Err(Unshared::Outside(output.path.clone()));
    }
    // `-march=native`, `target-cpu=native`: no file tells what the program then asks the processor.
    let is_native = |argument: &Bytes| argument.ends_with(b"=native");
    match export.actors.iter().find(|actor| actor.argv.iter().any(is_native)) {
        Some(actor) => {
            let words: Vec<_> = actor.argv.iter().take(8).map(|argument| argument.text()).collect();
            Err(Unshared::Native(words.join(" ")))
        }
        None => Ok(()),
    }
}

/// A listing that is no longer what it came to: of some of them other names count elsewhere.
fn changed_listing(export: &Export, root: &Root, observer: &mut Observer<'_>) -> Option<Bytes> {
    observer.look_for(export.path_set.observations.iter());
    let mut each = export.path_set.observations.iter().zip(&export.states);
    let is_other = |one: &Observation| one.loose || one.kind == AccessKind::List && root.is_on_the_way(one);
    let changed = each.find(|(one, state)| is_other(one) && observer.state(one) != **state);
    changed.map(|(one, _)| one.path.clone())
}

type Masked = (Index, Option<Tie>, Option<Vec<u8>>);

/// The result with the root masked, what names the root all the same, and the pack of its small contents.
fn masked(task: &Task, export: &Export, store: &Store, root: &Root) -> io::Result<Result<Masked, Unshared>> {
    let mut result = export.result.clone();
    let contents = Contents::of(store, &result.outputs, result.terminal);
    let (mut templates, mut large, mut named) = (Vec::new(), Vec::new(), None);
    let (mut pack, mut packed): (Vec<u8>, HashSet<Digest>) = (Vec::new(), HashSet::new());
    let mut scanned: HashSet<Digest> = HashSet::new();
    let mut put = |digest: Digest, bytes: &[u8]| {
        if packed.insert(digest) {
            pack.extend_from_slice(bytes);
        }
    };
    let mut is_masked = false;
    for (number, output) in result.outputs.iter_mut().enumerate() {
        let name = root.mask_path(&output.path);
        let values = output.attributes.extended.iter().map(|(_, value)| value);
        let mut is_named = root.is_named_in(&name) || values.into_iter().any(|value| root.is_named_in(value));
        if let Left::Symlink { target } = &mut output.left {
            let masked = root.mask_path(target);
            is_masked |= masked != *target;
            is_named |= root.is_named_in(&masked) || root.climbs_out(&output.path, target);
            *target = masked;
        }
        if is_named {
            named.get_or_insert_with(|| name.clone());
        }
        if let Left::File { digest, size, .. } = &mut output.left {
            if Contents::is_large(*size) {
                let path = store.blob_path(*digest);
                if scanned.insert(*digest) {
                    large.push((*digest, Blob { digest: sha_of(&path)?, size: *size }));
                    if names(root, &path)? {
                        named.get_or_insert_with(|| name.clone());
                    }
                }
            } else {
                let Ok(bytes) = contents.read(*digest, *size) else {
                    return Ok(Err(Unshared::Changed(output.path.clone())));
                };
                let template = (is_depfile(&output.path, &bytes) && root.is_named_in(&bytes))
                    .then(|| root.template(&bytes))
                    .flatten();
                if let Some(template) = template.filter(|template| !Contents::is_large(template.len() as u64))
                {
                    is_masked = true;
                    templates.push(number as u32);
                    (*digest, *size) = (Digest::of(&template), template.len() as u64);
                    put(*digest, &template);
                } else {
                    if root.is_named_in_file(&bytes) {
                        named.get_or_insert_with(|| name.clone());
                    }
                    put(*digest, &bytes);
                }
            }
        }
        output.link_to = output.link_to.as_ref().map(|first| root.mask_path(first));
        output.path = name;
    }
    if let Some((digest, size)) = result.terminal {
        let Ok(printed) = contents.read(digest, size) else {
            return Ok(Err(Unshared::Changed(Bytes::default())));
        };
        let (mut rest, mut whole) = (&printed[..], Vec::new());
        for (_, length) in &mut result.chunks {
            let (chunk, after) =
                rest.split_at(usize::try_from(*length).unwrap_or(usize::MAX).min(rest.len()));
            let text = if chunk.contains(&0) { chunk.to_vec() } else { root.mask(chunk) };
            is_masked |= text != chunk;
            (*length, rest) = (text.len() as u64, after);
            whole.extend(text);
        }
        // In pieces, or in a way that is no path's: what it would be elsewhere is not known.
        if root.is_named_in(&whole) {
            named.get_or_insert_with(|| b"(what it printed)"[..].into());
        }
        let digest = Digest::of(&whole);
        result.terminal = Some((digest, whole.len() as u64));
        if Contents::is_large(whole.len() as u64) {
            return Ok(Err(Unshared::Changed(b"(what it printed is too long)"[..].into())));
        }
        put(digest, &whole);
    }
    if named.is_none() {
        named = naming_input(export, root)?;
    }
    if named.is_none() && is_masked {
        named = unsearched_input(task, export, root);
    }
    let tied = named.map(|by| Tie { root: root.path().into(), by });
    let pack = (!packed.is_empty()).then_some(pack);
    let index = Index {
        key: Sha([0; 32]),
        result,
        templates,
        states: Vec::new(),
        readers: Vec::new(),
        actors: Vec::new(),
        pack: pack.as_deref().map(Blob::of),
        large,
    };
    Ok(Ok((index, tied, pack)))
}

/// An input that names the root: what was read there may be another in another checkout that has the same file.
fn naming_input(export: &Export, root: &Root) -> io::Result<Option<Bytes>> {
    let each = export.path_set.observations.iter().zip(&export.states);
    let mut last = None;
    for (one, _) in each.filter(|(_, state)| matches!(state, InputState::File { .. })) {
        if last.replace(&one.path) == Some(&one.path) || root.is_installed(&one.path) {
            continue;
        }
        let is_output = export.result.outputs.binary_search_by(|output| output.path.cmp(&one.path)).is_ok();
        // What it held before is not there to be looked at.
        if is_output || names(root, &one.path.to_path())? {
            return Ok(Some(root.mask_path(&one.path)));
        }
    }
    Ok(None)
}

/// An input of which it is not known whether it names the root, where what was printed or left does: that may have come from there, and
/// mean the same in every checkout.
fn unsearched_input(task: &Task, export: &Export, root: &Root) -> Option<Bytes> {
    let Policy { ignore_input, input, toolchains, .. } = &task.policy;
    let is_of_toolchain = || !toolchains.iter().all(Toolchain::is_of_system);
    let is_selected = input.as_ref().is_some_and(|input| !input.iter().any(|glob| glob == "auto"));
    let said = if matches!(task.stdin, StdinKey::File(_) | StdinKey::Taken(_)) {
        "(standard input)"
    } else if !task.terminal.inherited.is_empty() {
        "(what it was given open)"
    } else if is_of_toolchain() {
        "(a toolchain)"
    } else if is_selected || !ignore_input.is_empty() || ignores(&export.path_set) {
        "(what is ignored as input)"
    } else {
        // A name, and what a file has besides its content.
        let mut each = export.path_set.observations.iter();
        let one = each.find(|one| one.attributes || root.is_named_in(&root.mask_path(&one.path)))?;
        return Some(root.mask_path(&one.path));
    };
    Some(said.as_bytes().into())
}

/// Whether a tool of the run said that something that it read does not count.
fn ignores(path_set: &PathSet) -> bool {
    path_set.declared.iter().any(|said| matches!(said, Statement::IgnoreInput(_)))
}

/// Whether a file names the root.
fn names(root: &Root, path: &Path) -> io::Result<bool> {
    // Enough of what was read before stays to find a name across the border.
    let (mut file, keep) = (File::open(path)?, root.span());
    let mut buffer = Vec::new();
    loop {
        let read = (&mut file).take(1 << 20).read_to_end(&mut buffer)?;
        if root.is_named_in_file(&buffer) {
            return Ok(true);
        }
        if read == 0 {
            return Ok(false);
        }
        buffer.drain(..buffer.len().saturating_sub(keep));
    }
}

fn sha_of(path: &Path) -> io::Result<Sha> {
    use sha2::{Digest as _, Sha256};
    let mut hasher = Sha256::new();
    io::copy(&mut File::open(path)?, &mut hasher)?;
    Ok(Sha(hasher.finalize().into()))
}

/// Whether this is what compilers write of what they read, for make and Ninja: rules, whose words are paths.
fn is_depfile(path: &[u8], bytes: &[u8]) -> bool {
    let is_text = path.ends_with(b".d") && std::str::from_utf8(bytes).is_ok() && !bytes.contains(&0);
    let mut goes_on = false;
    is_text
        && bytes.split(|&byte| byte == b'\n').all(|line| {
            let is_rule = goes_on || line.is_empty() || line.contains(&b':');
            goes_on = line.ends_with(b"\\");
            is_rule
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depfiles_are_told_from_other_text() {
        assert!(is_depfile(b"/p/a.d", b"a.o: /p/a.c \\\n /p/a.h\n\n/p/a.h:\n"));
        assert!(!is_depfile(b"/p/a.d", b"import std.stdio;\nvoid main() {}\n"));
        assert!(!is_depfile(b"/p/a.txt", b"a.o: /p/a.c\n"));
        assert!(!is_depfile(b"/p/a.d", b"a.o: \xff\n"));
    }
}
