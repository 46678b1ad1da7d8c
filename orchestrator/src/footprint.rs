//! What a run depended on and what it made, judged from its trace: the only place that decides what counts.
//!
//! All of it is about the state *before* the run; what is found out is found out after it. Wherever that does
//! not tell for certain what was there before, the run is not cached: a stale hit is the worst that can happen.

mod changes;
mod places;
mod uncacheable;

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};

use platform::files::{self, FileType, Identity};
use platform::terminal::ReadMarks;
use shm_protocol::access::{AccessKind, Before, Gap};
use shm_protocol::path::is_normal;
use shm_protocol::record::Exit;

use self::changes::{Change, Changes, Fate, LostLinks};
use self::places::{Place, Places};
use self::uncacheable::actor;
pub use self::uncacheable::{Actor, TerminalLoss, Uncacheable, Unseen};
use crate::archive::{Attributes, Left, Look, Output};
use crate::bytes::{self, Bytes};
use crate::cache::KnownDigests;
use crate::declarations::Declarations;
use crate::fingerprint::{Digest, InputState, Observation, Observer, PathSet, listing_of};
use crate::planted::{self, Rule};
use crate::runner::{Statement, Told, Variables};
use crate::selection::{NamedInputs, differences};
use crate::task::Task;
use crate::trace::{Climbed, PathAccess, ProcessId, Trace};

/// What is known of a run once it is over.
#[derive(Clone, Copy, Debug)]
pub struct RunFacts<'a> {
    /// What its process tree did.
    pub trace: &'a Trace,
    /// A [`files::clock_barrier`] taken before it: what has this status change time or a later one changed since.
    pub started: i128,
    /// How the command ended.
    pub exit: Exit,
    /// What its tools declared.
    pub told: &'a Told,
    /// What files are known to hold.
    pub known: &'a KnownDigests,
    /// The terminals as they were before it.
    pub terminals: &'a ReadMarks,
    /// The files that the task names as inputs, as they are after the run; `None` if it names none.
    pub named_inputs: Option<&'a NamedInputs>,
}

/// What a run depended on and what it made.
#[derive(Clone, Debug)]
pub struct Footprint {
    /// What it depended on.
    pub inputs: Inputs,
    /// What it made.
    pub outputs: Outputs,
    /// As [`RunFacts::started`].
    pub started: i128,
}

/// The observations of a run that count.
#[derive(Clone, Debug, Default)]
pub struct Inputs {
    /// What was observed.
    pub path_set: PathSet,
    /// What each observation came to, in the order of the path set.
    pub states: Vec<InputState>,
    /// What each query for variables came to, in the order of the path set.
    pub variables: Vec<Variables>,
    /// Who made each observation first: index into `actors`, in the order of the path set.
    pub readers: Vec<u32>,
    /// The processes that made them.
    pub actors: Vec<Actor>,
    /// The sorted names in each listing, by its digest.
    pub listings: Vec<(Digest, Vec<Bytes>)>,
}

/// What a run left behind that was not there before.
#[derive(Clone, Debug, Default)]
pub struct Outputs {
    /// By path.
    pub changed: Vec<Output>,
}

/// Judges a run.
///
/// # Errors
/// The reason for which it cannot be cached: the first, in the order of the variants, then of time.
pub fn judge(
    task: &Task,
    facts: &RunFacts<'_>,
    declarations: &Declarations,
) -> Result<Footprint, Uncacheable> {
    admit(task, facts)?;
    let declarations = &declarations.with(facts.told.statements());
    let mut places = Places::default();
    let changes = Changes::of(facts.trace, facts.started, declarations, &mut places)?;
    let lost_links = changes.lost_links();
    let loose_folders = LooseFolders::of(task, declarations, &mut places);
    let judge = Judge {
        facts,
        declarations,
        places,
        observer: Observer::new(declarations, facts.known),
        changes,
        lost_links,
        found: BTreeMap::new(),
        loose_folders,
        loose: BTreeMap::new(),
    };
    judge.footprint(task)
}

/// What may have gone unseen, and in which process.
pub(crate) fn unseen(trace: &Trace) -> impl Iterator<Item = Unseen> + '_ {
    trace.gaps.iter().map(|gap| Unseen {
        gap: gap.gap,
        detail: gap.detail.clone(),
        process: actor(trace, gap.process),
    })
}

/// The process that told something, as people know it; only its number if it is not in the trace.
pub(crate) fn teller(trace: &Trace, pid: u32) -> Actor {
    let known = trace.processes.iter().rev().find(|process| process.pid == pid && pid != 0);
    known.map_or(Actor { pid, argv: Vec::new() }, |process| actor(trace, process.id))
}

/// The reasons against caching that no file has to be looked at for.
fn admit(task: &Task, facts: &RunFacts<'_>) -> Result<(), Uncacheable> {
    let (trace, policy) = (facts.trace, &task.policy);
    if facts.exit != Exit::Code(0) && !policy.cache_failures {
        return Err(Uncacheable::Failed(facts.exit));
    }
    let disabled = facts.told.declarations.iter().find(|said| said.statement == Statement::DisableCache);
    if let Some(said) = disabled {
        return Err(Uncacheable::Disabled { process: teller(trace, said.pid) });
    }
    let trusted = |gap| gap == Gap::NoFilter && policy.trust_preload;
    let unseen: Vec<Unseen> = trace
        .gaps
        .iter()
        .filter(|gap| !trusted(gap.gap))
        .map(|gap| Unseen { gap: gap.gap, detail: gap.detail.clone(), process: actor(trace, gap.process) })
        .collect();
    if !unseen.is_empty() {
        return Err(Uncacheable::Incomplete(unseen));
    }
    if trace.dropped > 0 {
        return Err(Uncacheable::Lost(trace.dropped));
    }
    if !trace.survivors.is_empty() {
        return Err(Uncacheable::Survivor(trace.survivors.clone()));
    }
    match trace.network.first() {
        Some((process, address)) if !policy.allow_network => {
            return Err(Uncacheable::Network { address: address.clone(), process: actor(trace, *process) });
        }
        _ => {}
    }
    match trace.stream_users.first() {
        Some((process, number)) => {
            Err(Uncacheable::StreamUsed { number: *number, process: actor(trace, *process) })
        }
        None => Ok(()),
    }
}

/// What the kernel makes up when it is looked at.
pub(crate) fn is_unobserved(path: &[u8]) -> bool {
    bytes::is_within(path, b"/proc") || bytes::is_within(path, b"/sys")
}

/// Where terminals come and go, each under the first number that is free.
fn is_terminal_folder(path: &[u8]) -> bool {
    bytes::is_within(path, b"/dev/pts")
}

/// Whether a special file is a device, of which only the type counts.
fn is_device(path: &[u8]) -> bool {
    bytes::is_within(path, b"/dev") && !bytes::is_within(path, b"/dev/shm")
}

/// How an observation is to be taken.
enum Aim {
    /// It is none.
    Skip,
    /// As it is.
    Plain,
    /// What was changed is metadata only: the content counts, and the permission bits as they were before.
    ModeBefore(Option<u16>),
    /// It is no longer there to be looked at, and is known to have been this.
    Was(InputState),
}

/// The folders in which others come and go: those above the root, those for temporary files, and those above what tools
/// find of tracerun. Programs that list them look for names that they know.
struct LooseFolders {
    root: Vec<u8>,
    own: Vec<Vec<u8>>,
    temporary: Vec<Vec<u8>>,
}

impl LooseFolders {
    fn of(task: &Task, declarations: &Declarations, places: &mut Places) -> Self {
        if task.policy.strict_listings {
            return Self { root: b"/".to_vec(), own: Vec::new(), temporary: Vec::new() };
        }
        let mut place = |path: &[u8]| {
            let entry = places.entry(path);
            places.end(&entry).path
        };
        let root = place(&files::bytes_of_path(&task.root));
        let named = ["TMPDIR", "TEMP"].into_iter().filter_map(|name| task.variable(name));
        let named = named.map(|folder| files::bytes_of_path(folder.as_ref())).filter(|path| is_normal(path));
        let usual = [&b"/tmp"[..], b"/var/tmp"].into_iter().map(Cow::from);
        let temporary = usual.chain(named).map(|path| place(&path)).collect();
        Self { root, own: declarations.own_folders().to_vec(), temporary }
    }

    fn hold(&self, place: &[u8]) -> bool {
        let above = bytes::is_within(&self.root, place) && self.root != place;
        let within = bytes::is_within(place, &self.root);
        let above_own = || self.own.iter().any(|own| bytes::is_within(own, place));
        above || !within && (self.temporary.iter().any(|temporary| temporary == place) || above_own())
    }
}

struct Judge<'a> {
    facts: &'a RunFacts<'a>,
    declarations: &'a Declarations,
    places: Places,
    observer: Observer<'a>,
    changes: Changes,
    lost_links: LostLinks,
    found: BTreeMap<Observation, (InputState, ProcessId)>,
    loose_folders: LooseFolders,
    /// Listings of which only the names that are observed anywhere count, each with the place that it is of.
    loose: BTreeMap<Observation, (Vec<u8>, ProcessId)>,
}

impl Judge<'_> {
    fn footprint(mut self, task: &Task) -> Result<Footprint, Uncacheable> {
        for access in self.facts.trace.accesses.iter().filter(|access| !access.is_name_only()) {
            self.access(access)?;
        }
        for climb in &self.facts.trace.climbs {
            self.climb(climb)?;
        }
        let outputs = self.outputs(task)?;
        self.named_inputs(task)?;
        self.loose_listings()?;
        let mut inputs = Inputs::default();
        let mut actors: HashMap<ProcessId, u32> = HashMap::new();
        for (observation, (state, process)) in std::mem::take(&mut self.found) {
            let reader = *actors.entry(process).or_insert_with(|| {
                inputs.actors.push(actor(self.facts.trace, process));
                inputs.actors.len() as u32 - 1
            });
            inputs.path_set.observations.push(observation);
            inputs.states.push(state);
            inputs.readers.push(reader);
        }
        inputs.path_set.declared = self.facts.told.statements().cloned().collect();
        inputs.path_set.declared.sort_unstable();
        inputs.variables = inputs.path_set.variables(task);
        inputs.listings = std::mem::take(&mut self.observer.listings).into_iter().collect();
        if let InputState::Listing(empty) = listing_of(&[]) {
            inputs.listings.push((empty, Vec::new()));
        }
        Ok(Footprint { inputs, outputs, started: self.facts.started })
    }

    fn actor(&self, process: ProcessId) -> Actor {
        actor(self.facts.trace, process)
    }

    fn access(&mut self, access: &PathAccess) -> Result<(), Uncacheable> {
        let named = self.facts.trace.path(access.path);
        let process = access.process;
        self.printed(named, access)?;
        let ignored = if access.kind.observes() {
            self.declarations.ignore_input(named)
        } else {
            self.declarations.ignore_output(named)
        };
        let planted = match access.kind {
            AccessKind::List => planted::is_off(Rule::Listing),
            AccessKind::Missing => planted::is_off(Rule::Missing),
            _ => false,
        };
        if ignored || planted || is_unobserved(named) {
            return Ok(());
        }
        if let Some(link) = self.lost_links.on_the_way(named, access, &mut self.places) {
            return Err(Uncacheable::ReadThenChanged { path: link.into(), process: self.actor(process) });
        }
        let entry = self.places.entry(named);
        let follow = access.follow && entry.is(FileType::Symlink);
        if !access.kind.observes() {
            // Where the links on the way lead to decides what is changed.
            let end = if follow { self.places.end(&entry) } else { entry };
            self.written_device(&end.path, access)?;
            return self.links(&end, process);
        }
        if !follow || access.no_follow {
            self.observe(named, &entry, false, access)?;
        }
        if follow {
            let end = self.places.end(&entry);
            self.observe(named, &end, true, access)?;
        }
        Ok(())
    }

    /// What the run prints goes to files that are not its own: what it does with them besides can't be told from that.
    fn printed(&self, path: &[u8], access: &PathAccess) -> Result<(), Uncacheable> {
        let uses = matches!(access.kind, AccessKind::Read | AccessKind::Write | AccessKind::Delete);
        if uses && self.declarations.is_printed_to(path) {
            return Err(Uncacheable::Terminal(TerminalLoss::Used));
        }
        Ok(())
    }

    /// What goes to a terminal by its name is not kept. Who opens one to read as well is judged by whether it was read.
    fn written_device(&self, path: &[u8], access: &PathAccess) -> Result<(), Uncacheable> {
        let is_written =
            access.changes.is_some_and(|times| times.replaced_ns.or(times.modified_ns).is_some());
        let reached = || self.facts.terminals.is_reached(&files::path_of(path), self.facts.started);
        let trace = self.facts.trace;
        let reads = |other: &PathAccess| other.path == access.path && other.kind == AccessKind::Read;
        if is_written && is_device(path) && reached() && !trace.accesses.iter().any(reads) {
            let (path, process) = (path.into(), self.actor(access.process));
            return Err(Uncacheable::SpecialFile { path, process });
        }
        Ok(())
    }

    /// Observes what decides where a way with `..` leads: the links on it, and what of it is no directory.
    fn climb(&mut self, climb: &Climbed) -> Result<(), Uncacheable> {
        let process = climb.process;
        let (place, entries) = self.places.climb(&climb.path);
        if let Some(link) = self.lost_links.among(&entries, climb.first_ns) {
            return Err(Uncacheable::ReadThenChanged { path: link.into(), process: self.actor(process) });
        }
        if place.is(FileType::Directory) {
            return self.links(&place, process);
        }
        let kind = if place.identity.is_some() { AccessKind::Stat } else { AccessKind::Missing };
        if kind == AccessKind::Missing && self.changes.get(&place.path).is_some() {
            // The run made it, used it and removed it.
            return Ok(());
        }
        let (count, first_ns, changes) = (1, climb.first_ns, None);
        let (follow, no_follow, attributes) = (false, true, false);
        let access =
            PathAccess { process, path: 0, kind, follow, no_follow, attributes, count, first_ns, changes };
        self.observe(&place.path.clone(), &place, false, &access)
    }

    /// Judges one look at what is at `place` now.
    fn observe(
        &mut self,
        named: &[u8],
        place: &Place,
        follow: bool,
        access: &PathAccess,
    ) -> Result<(), Uncacheable> {
        let process = access.process;
        self.printed(&place.path, access)?;
        if self.declarations.ignore_input(&place.path) {
            return Ok(());
        }
        self.links(place, process)?;
        let is_read = matches!(access.kind, AccessKind::Read | AccessKind::Exec) && is_device(&place.path);
        if is_read && self.facts.terminals.is_read(&files::path_of(&place.path), self.facts.started) {
            let (path, process) = (place.path[..].into(), self.actor(process));
            return Err(Uncacheable::SpecialFile { path, process });
        }
        if is_unobserved(&place.path) || is_terminal_folder(&place.path) {
            return Ok(());
        }
        // A link that the run made is not there for a run to come: what it leads to is named by its place.
        let made =
            |link: &Vec<u8>| self.changes.get(link).is_some_and(|change| change.fate() != Fate::Unchanged);
        let (path, follow) =
            if place.links.iter().any(made) { (&place.path[..], false) } else { (named, follow) };
        if access.attributes {
            self.attributes(Observation::of_attributes(path.into(), follow), place, access)?;
        }
        let aim = self.aim(place, access)?;
        if matches!(aim, Aim::Skip) {
            return Ok(());
        }
        let mut observation = Observation::new(path.into(), access.kind, follow);
        if access.kind == AccessKind::List {
            observation.left_out = self.changed_in(&place.path);
            observation.loose = self.loose_folders.hold(&place.path);
        }
        if let Aim::ModeBefore(None) = aim {
            observation.kind = AccessKind::Read;
        }
        if self.found.contains_key(&observation) {
            return Ok(());
        }
        if let Aim::Was(state) = aim {
            self.found.insert(observation, (state, process));
            return Ok(());
        }
        if observation.loose {
            self.loose.entry(observation).or_insert_with(|| (place.path.clone(), process));
            return Ok(());
        }
        let mut state = self.observer.state(&observation);
        match (access.kind, &state) {
            (AccessKind::Missing, InputState::Present) => {
                // It was there, and not what was wanted, such as a file where a directory was: what it is counts.
                observation.kind = AccessKind::Stat;
                state = self.observer.state(&observation);
            }
            // Wherever the file above it that the run made may stand, nothing can be below it.
            (AccessKind::Missing, InputState::NoFolder) if self.changes.made_above(&place.path) => {
                return Ok(());
            }
            (AccessKind::Missing, _) => {}
            (_, InputState::Absent | InputState::NoFolder) if self.changes.made_above(&place.path) => {
                return Ok(());
            }
            (_, InputState::Absent | InputState::NoFolder) => {
                return Err(self.meanwhile(&place.path, process));
            }
            (AccessKind::Read | AccessKind::Exec, InputState::Other) if !is_device(&place.path) => {
                return Err(Uncacheable::SpecialFile { path: path.into(), process: self.actor(process) });
            }
            (AccessKind::Read | AccessKind::Exec, InputState::Unreadable { .. }) => {
                return Err(Uncacheable::Unreadable { path: path.into(), process: self.actor(process) });
            }
            _ => {}
        }
        self.unchanged_by_others(place, access, &aim, &state)?;
        if let (
            Aim::ModeBefore(Some(before)),
            InputState::File { mode, .. } | InputState::Directory { mode },
        ) = (&aim, &mut state)
        {
            *mode = mode.and(Some(*before));
        }
        self.found.entry(observation).or_insert((state, process));
        Ok(())
    }

    /// Observes the extended attributes of what is at `place`, as they were before the run changed anything there.
    fn attributes(
        &mut self,
        observation: Observation,
        place: &Place,
        access: &PathAccess,
    ) -> Result<(), Uncacheable> {
        if self.found.contains_key(&observation) || access.kind == AccessKind::Missing {
            return Ok(());
        }
        let changed = self.changes.get(&place.path).filter(|change| change.fate() != Fate::Unchanged);
        let state = match changed {
            None => self.observer.state(&observation),
            Some(change) if change.before == Before::Absent || change.first_ns < access.first_ns => {
                return Ok(());
            }
            Some(change) => match change.old_attributes {
                Some(digest) => InputState::Attributes(digest),
                None => return Err(self.read_then_changed(&place.path, access.process)),
            },
        };
        self.found.insert(observation, (state, access.process));
        Ok(())
    }

    /// Whether, and how, a look at a place counts, for what the run itself did there.
    fn aim(&mut self, place: &Place, access: &PathAccess) -> Result<Aim, Uncacheable> {
        let Some(change) = self.changes.get_mut(&place.path) else {
            return Ok(Aim::Plain);
        };
        let fate = change.fate();
        let earlier =
            change.content_ns().is_none_or(|at| access.first_ns <= at) && !planted::is_off(Rule::Order);
        if earlier && fate != Fate::Unchanged {
            change.look = change.look.max(Look::Metadata);
        }
        let missing = access.kind == AccessKind::Missing;
        match (fate, change.before) {
            (Fate::Unchanged, _) => Ok(Aim::Plain),
            (Fate::Temporary, _) => Ok(if missing { Aim::Plain } else { Aim::Skip }),
            // Whoever saw something there saw what the run had put there; who did not is told by its outputs.
            (Fate::Made, Before::Absent) => Ok(Aim::Skip),
            (Fate::Metadata, before) => {
                let bits = match before {
                    Before::File(mode) | Before::Directory(mode) => Some(mode),
                    _ => None,
                };
                let earlier = change.metadata_ns.is_none_or(|at| access.first_ns <= at);
                let directory = place.is(FileType::Directory);
                Ok(match (earlier, bits) {
                    (true, Some(bits)) => Aim::ModeBefore(Some(bits)),
                    // Its permission bits are an output, and a directory has nothing else.
                    _ if directory && access.kind == AccessKind::Stat => Aim::Skip,
                    _ if directory => Aim::Plain,
                    _ => Aim::ModeBefore(None),
                })
            }
            _ if !earlier => Ok(Aim::Skip),
            (_, Before::Directory(_)) if access.kind == AccessKind::List => {
                Ok(if place.is(FileType::Directory) { Aim::Plain } else { Aim::Was(listing_of(&[])) })
            }
            (fate, _) => match access.kind {
                AccessKind::Read | AccessKind::Exec | AccessKind::Stat
                    if !change.ignored
                        && (access.kind != AccessKind::Stat || fate == Fate::Deleted)
                        && let Some(state) = change.old_state(access.kind) =>
                {
                    change.look = Look::Content;
                    Ok(Aim::Was(state))
                }
                AccessKind::Read | AccessKind::Exec | AccessKind::List if !change.ignored => {
                    Err(self.read_then_changed(&place.path, access.process))
                }
                // Declared to be no output, and something was there: its state now is the best guess.
                AccessKind::Read | AccessKind::Exec if fate == Fate::Made => Ok(Aim::Plain),
                _ => Ok(Aim::Skip),
            },
        }
    }

    /// Observes the links that were walked on the way to a place.
    fn links(&mut self, place: &Place, process: ProcessId) -> Result<(), Uncacheable> {
        for link in &place.links {
            let unobserved = is_unobserved(link) || self.declarations.ignore_input(link);
            let own = self.changes.get(link).is_some_and(|change| change.fate() != Fate::Unchanged);
            if unobserved || own {
                continue;
            }
            let observation = Observation::new(link[..].into(), AccessKind::Stat, false);
            if self.found.contains_key(&observation) {
                continue;
            }
            let state = self.observer.state(&observation);
            let planted = planted::is_off(Rule::Symlink);
            if !planted && !matches!(state, InputState::Symlink { .. }) || self.is_new(link) {
                return Err(self.meanwhile(link, process));
            }
            self.found.insert(observation, (state, process));
        }
        Ok(())
    }

    /// Makes sure that nobody else changed what was observed: the state after the run is that before it. Looks
    /// at it again, so that a change while it was being read is seen too.
    fn unchanged_by_others(
        &mut self,
        place: &Place,
        access: &PathAccess,
        aim: &Aim,
        state: &InputState,
    ) -> Result<(), Uncacheable> {
        let process = access.process;
        let changed = match state {
            InputState::File { .. }
            | InputState::Trusted { .. }
            | InputState::Unreadable { .. }
            | InputState::Symlink { .. } => match aim {
                Aim::ModeBefore(_) => {
                    let as_it_was = |change: &Change| change.is_old_content(state);
                    self.now(&place.path).is_none_or(|now| now.mtime_ns >= self.facts.started)
                        && !self.changes.get(&place.path).is_some_and(as_it_was)
                }
                // What the run changed itself is taken as it is only where it is declared not to matter.
                Aim::Plain
                    if self.changes.get(&place.path).is_some_and(|change| change.fate() == Fate::Made) =>
                {
                    false
                }
                _ => self.is_new(&place.path),
            },
            InputState::Listing(_) => return self.no_strangers(&place.path, false, process),
            // A directory made meanwhile, where the run had found nothing.
            InputState::Directory { .. } if access.kind == AccessKind::Missing => {
                self.is_new(&place.path) && self.changes.names_in(&place.path).is_none()
            }
            _ => false,
        };
        let linked = |now: Identity| self.changes.made_link_to(now.device, now.inode);
        match changed {
            false => Ok(()),
            true if self.now(&place.path).is_some_and(linked) => {
                Err(Uncacheable::Linked { path: place.path[..].into(), process: self.actor(process) })
            }
            true => Err(self.meanwhile(&place.path, process)),
        }
    }

    /// Observes the listings of folders that everyone uses, once it is known which names count in them.
    fn loose_listings(&mut self) -> Result<(), Uncacheable> {
        let loose = std::mem::take(&mut self.loose);
        self.observer.look_for(self.found.keys().chain(loose.keys()));
        for (observation, (place, process)) in loose {
            let state = self.observer.state(&observation);
            self.no_strangers(&place, true, process)?;
            self.found.insert(observation, (state, process));
        }
        Ok(())
    }

    /// Makes sure that the names in a directory that the run did not make were there before it.
    fn no_strangers(&mut self, directory: &[u8], loose: bool, process: ProcessId) -> Result<(), Uncacheable> {
        let Some(now) = self.now(directory) else {
            return Err(self.meanwhile(directory, process));
        };
        if now.mtime_ns < self.facts.started {
            return Ok(());
        }
        // The run may have set its times.
        let touched = self.changes.get(directory).is_some_and(|change| change.metadata_ns.is_some());
        if !loose && !touched && self.changes.names_in(directory).is_none() {
            return Err(self.meanwhile(directory, process));
        }
        for (name, file_type) in crate::fingerprint::entries(&files::path_of(directory)).unwrap_or_default() {
            let path = bytes::join(directory, &name);
            let known = self.changes.get(&path).is_some()
                || self.declarations.ignore_input(&path)
                || loose && !self.observer.looks_for(&name);
            let busy = file_type == FileType::Directory && self.changes.names_in(&path).is_some();
            if !known && !busy && self.is_new(&path) {
                return Err(self.meanwhile(&path, process));
            }
        }
        Ok(())
    }

    fn now(&self, place: &[u8]) -> Option<Identity> {
        files::identity(&files::path_of(place), false).ok()
    }

    /// Whether what stands at a place, itself, was changed since the run began, or is gone.
    fn is_new(&self, place: &[u8]) -> bool {
        self.now(place).is_none_or(|now| now.ctime_ns >= self.facts.started)
    }

    /// Sees that the inputs that the user names are what they were before the run, but for what it changed itself.
    fn named_inputs(&mut self, task: &Task) -> Result<(), Uncacheable> {
        let (Some(before), Some(now)) = (&task.named_inputs, self.facts.named_inputs) else { return Ok(()) };
        for path in differences(before, now) {
            let place = self.places.entry(path).path;
            let fate = |path: &[u8]| self.changes.get(path).map(Change::fate);
            let made_above = || {
                bytes::ancestors(&place).any(|above| matches!(fate(above), Some(Fate::Made | Fate::Deleted)))
            };
            if matches!(fate(&place), None | Some(Fate::Unchanged)) && !made_above() {
                return Err(self.meanwhile(path, 0));
            }
        }
        Ok(())
    }

    fn meanwhile(&self, path: &[u8], process: ProcessId) -> Uncacheable {
        Uncacheable::ChangedMeanwhile { path: path.into(), process: self.actor(process) }
    }

    fn read_then_changed(&self, path: &[u8], process: ProcessId) -> Uncacheable {
        Uncacheable::ReadThenChanged { path: path.into(), process: self.actor(process) }
    }

    fn outputs(&mut self, task: &Task) -> Result<Outputs, Uncacheable> {
        let root = self.places.entry(&files::bytes_of_path(&task.root));
        let root = self.places.end(&root).path;
        let mut outputs = Outputs::default();
        let (mut folders, mut built_on, mut absent) = (Vec::new(), Vec::new(), Vec::new());
        let (mut stood, mut linked) = (Vec::new(), HashMap::new());
        for (path, change) in self.changes.iter() {
            let above = bytes::parent(path).unwrap_or(b"/");
            let made_above = || self.changes.get(above).is_some_and(|above| above.before == Before::Absent);
            if change.fate() == Fate::Temporary
                && !change.ignored
                && !self.declarations.ignore_input(path)
                && !made_above()
            {
                // It could be made, and left nothing when it was removed, because nothing was there.
                folders.push((above.to_vec(), AccessKind::Stat, change.process));
                absent.push((path.clone(), change.process));
            }
            if change.fate() == Fate::Unchanged && !change.ignored {
                // What was tried came to nothing because of what stands there: a folder that is not empty, a file
                // that was opened and not written to.
                let emptied = change.content_ns().is_some() && matches!(change.before, Before::Directory(_));
                let kind = if emptied { AccessKind::List } else { AccessKind::Read };
                stood.push((path.clone(), kind, change.process));
            }
            if change.ignored || matches!(change.fate(), Fate::Unchanged | Fate::Temporary) {
                continue;
            }
            let mut look = change.look;
            // What stood there before is declared not to matter.
            let is_free = self.declarations.ignore_input(path);
            if is_free {
                look = Look::Content;
            } else if change.builds_on_before() || look == Look::Content && change.fate() == Fate::Made {
                // Its permission bits show through as well: whatever opens it for writing leaves them as they are.
                let old = change.old_state(AccessKind::Stat);
                let state = old.ok_or_else(|| self.read_then_changed(path, change.process))?;
                built_on.push((path.clone(), state, change.process));
                look = Look::Content;
            }
            if change.builds_on_nothing() {
                absent.push((path.clone(), change.process));
            }
            let Some(left) = left(&mut self.observer, path, change, self.facts.trace)? else {
                // It was there to be changed.
                stood.push((path.clone(), AccessKind::Read, change.process));
                continue;
            };
            let attributes = change
                .now
                .map_or_else(Attributes::default, |now| Attributes::at(&files::path_of(path), &now));
            let is_within = bytes::is_within(path, &root) || self.declarations.output(path);
            // A look that leaves no trace but in time stamps, unless what has no trace in them may have changed.
            if change.same_mode(&left) && (attributes.is_plain() || !is_within) {
                continue;
            }
            if !is_within && self.changes.is_way_to_ignored(path) {
                continue;
            }
            if !is_within {
                let process = actor(self.facts.trace, change.process);
                return Err(Uncacheable::OutputOutsideRoot { path: path[..].into(), process });
            }
            let made = |place: &[u8]| self.changes.get(place).is_some_and(|above| above.fate() == Fate::Made);
            if change.before == Before::Absent && !made(above) && !self.declarations.ignore_input(above) {
                folders.push((above.to_vec(), AccessKind::Stat, change.process));
            }
            match (&left, change.before) {
                // That it could be removed says that there was nothing in it.
                (Left::Absent, Before::Directory(_)) if !is_free => {
                    folders.push((path.clone(), AccessKind::List, change.process));
                }
                // What it held when it was looked at is gone with it.
                (Left::Absent, _) if look == Look::Metadata => {
                    return Err(self.read_then_changed(path, change.process));
                }
                _ => {}
            }
            let now = change.now.filter(|now| now.file_type == FileType::File);
            let link_to = now.and_then(|now| {
                // Permission bits are set on all names of a file at once.
                let others = if matches!(left, Left::File { .. }) { now.links } else { 0 };
                let (first, _, others) = linked
                    .entry((now.device, now.inode))
                    .or_insert_with(|| (path.clone(), change.process, others));
                *others = others.saturating_sub(1);
                (first != path).then(|| first[..].into())
            });
            outputs.changed.push(Output {
                path: path[..].into(),
                before: change.before,
                left,
                look,
                attributes,
                link_to,
                mtime_ns: change.now.map_or(0, |now| now.mtime_ns.max(0) as u64),
            });
        }
        if let Some((path, process, _)) = linked.into_values().find(|(_, _, others)| *others > 0) {
            return Err(Uncacheable::Linked { path: path.into(), process: self.actor(process) });
        }
        self.has_room(&outputs)?;
        for (path, kind, process) in folders {
            self.folder(&path, kind, process);
        }
        for (path, state, process) in built_on {
            let observation = Observation::new(path.into(), AccessKind::Stat, false);
            self.found.entry(observation).or_insert((state, process));
        }
        for (path, kind, process) in stood {
            let mut observation = Observation::new(path.into(), kind, false);
            if kind == AccessKind::List {
                observation.left_out = self.changed_in(&observation.path);
            }
            if !self.found.contains_key(&observation) {
                let state = self.observer.state(&observation);
                self.found.insert(observation, (state, process));
            }
        }
        for (path, process) in absent {
            let observation = Observation::new(path.into(), AccessKind::Missing, false);
            self.found.entry(observation).or_insert((InputState::Absent, process));
        }
        Ok(outputs)
    }

    /// Makes sure that there was room for the outputs. That a write failed is not seen, and not every program tells.
    fn has_room(&self, outputs: &Outputs) -> Result<(), Uncacheable> {
        let mut known = HashSet::new();
        for output in &outputs.changed {
            let Some(change) = self.changes.get(&output.path) else { continue };
            let is_new = change.now.is_some_and(|now| known.insert(now.device));
            if is_new && files::is_full(&output.path.to_path()).unwrap_or(false) {
                let (path, process) = (output.path.clone(), self.actor(change.process));
                return Err(Uncacheable::NoRoom { path, process });
            }
        }
        Ok(())
    }

    /// The names in a folder that are judged as outputs, not as entries.
    fn changed_in(&self, folder: &[u8]) -> Vec<Bytes> {
        let names = self.changes.names_in(folder).unwrap_or_default();
        names.iter().map(|name| name[..].into()).collect()
    }

    /// Observes a folder that an output could not have been put into, or removed, had it not been there.
    fn folder(&mut self, path: &[u8], kind: AccessKind, process: ProcessId) {
        let mut observation = Observation::new(path.into(), kind, false);
        let mut state = match kind {
            AccessKind::List => {
                observation.left_out = self.changed_in(path);
                listing_of(&[])
            }
            _ => self.observer.state(&observation),
        };
        let before = self.changes.get(path).map(|change| (change.fate(), change.before));
        if let (Some((Fate::Metadata, Before::Directory(bits))), InputState::Directory { mode }) =
            (before, &mut state)
        {
            *mode = Some(bits);
        }
        self.found.entry(observation).or_insert((state, process));
    }
}

/// What a run left at a place it changed; `None` when that is what was there before.
fn left(
    observer: &mut Observer<'_>,
    path: &[u8],
    change: &Change,
    trace: &Trace,
) -> Result<Option<Left>, Uncacheable> {
    let special = || Uncacheable::SpecialFile { path: path.into(), process: actor(trace, change.process) };
    let Some(now) = change.now else {
        return if change.before == Before::Other { Err(special()) } else { Ok(Some(Left::Absent)) };
    };
    let mode = now.mode as u16;
    if change.fate() == Fate::Metadata {
        return match change.before {
            Before::Symlink => Ok(None),
            Before::Other => Err(special()),
            _ => Ok(Some(Left::Mode(mode))),
        };
    }
    let gone = || Uncacheable::ChangedMeanwhile { path: path.into(), process: actor(trace, change.process) };
    match now.file_type {
        FileType::Other => Err(special()),
        FileType::Directory => Ok(Some(Left::Directory { mode })),
        FileType::Symlink => {
            let target = std::fs::read_link(files::path_of(path)).map_err(|_| gone())?;
            Ok(Some(Left::Symlink { target: target.as_path().into() }))
        }
        FileType::File => {
            let digest =
                observer.digest_of(&files::path_of(path), &now).map_err(|error| match error.kind() {
                    std::io::ErrorKind::PermissionDenied => {
                        Uncacheable::Unreadable { path: path.into(), process: actor(trace, change.process) }
                    }
                    _ => gone(),
                })?;
            Ok(Some(Left::File { digest, size: now.size, mode }))
        }
    }
}
