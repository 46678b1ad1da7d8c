//! From what a hook has seen to a record in the ring.

use core::arch::asm;
use core::ffi::c_void;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use shm_protocol::access::{Access, AccessKind, Before, Change, Effect, Gap, Outcome};
use shm_protocol::calls::Call;
use shm_protocol::calls::windows::Needed;
use shm_protocol::guest::{CONSOLE, HOLDS, Hold, PIPE, holds_at};
use shm_protocol::path::Joined;
use shm_protocol::record::{ARGV_MAX, Event, Image, Record};
use shm_protocol::ring::{self, Moment, Ring, Seat, System, words_from_mapping};

use crate::dedup::{Seen, hash};
use crate::names::Name;
use crate::nt::{Handle, Status, THIS_PROCESS, UnicodeString, function};
use crate::{SESSION, needed};

/// Places in the ring, shared by threads whose numbers agree in these bits.
const SEATS: usize = 64;

static PLACES: [Seat; SEATS] = [const { Seat::new() }; SEATS];

static SEEN: Seen = Seen::new();

/// Whether this process has introduced itself.
static INTRODUCED: AtomicU32 = AtomicU32::new(0);

/// The word at `offset` of this thread's environment block.
fn of_thread(offset: usize) -> usize {
    let word: usize;
    // SAFETY: every thread's `gs` points to its TEB, which is longer than any offset used here, and is only read.
    unsafe {
        asm!("mov {}, gs:[{}]", out(reg) word, in(reg) offset, options(nostack, readonly, preserves_flags))
    };
    word
}

pub(crate) fn pid() -> u32 {
    of_thread(0x40) as u32
}

fn seat() -> Option<&'static Seat> {
    // Numbers of threads are multiples of four.
    PLACES.get(of_thread(0x48) / 4 % SEATS)
}

fn ring() -> Option<Ring<'static>> {
    let address = SESSION.ring.load(Ordering::Relaxed) as usize;
    if address == 0 {
        return None;
    }
    // SAFETY: who installed the guest has mapped the ring there, for as long as the process lasts; everyone who maps it
    // accesses it by atomics only.
    let words = unsafe { words_from_mapping(address as *mut u8, ring::BYTES) };
    Ring::open(words).ok()
}

/// The performance counter in nanoseconds, which is the clock of the records.
fn now_ns() -> u64 {
    type Query = unsafe extern "system" fn(*mut i64, *mut i64) -> Status;
    let (mut count, mut frequency) = (0, 0);
    if let Some(query) = function!(needed(Needed::NtQueryPerformanceCounter), Query) {
        // SAFETY: both are writable.
        unsafe { query(&raw mut count, &raw mut frequency) };
    }
    let frequency = SESSION.frequency.load(Ordering::Relaxed).max(1);
    shm_protocol::guest::nanoseconds(count as u64, frequency)
}

/// Sleeping, as the ring wants it; nobody can be woken in another process, so it looks again and again.
struct Sleep;

impl System for Sleep {
    fn wait(&self, word: &AtomicU32, expected: u32) {
        type Delay = unsafe extern "system" fn(u8, *const i64) -> Status;
        // In units of 100 ns, negative for a length of time.
        let millisecond = -10_000_i64;
        let Some(delay) = function!(needed(Needed::NtDelayExecution), Delay) else { return };
        for _ in 0..100 {
            if word.load(Ordering::Relaxed) != expected {
                return;
            }
            // SAFETY: the time is read only.
            unsafe { delay(0, &raw const millisecond) };
        }
    }

    fn wake(&self, _: &AtomicU32) {}

    fn reader_is_gone(&self, _: u32) -> bool {
        type Wait = unsafe extern "system" fn(Handle, u8, *const i64) -> Status;
        let Some(wait) = function!(needed(Needed::NtWaitForSingleObject), Wait) else { return false };
        let now = 0;
        // SAFETY: the time is read only; the handle is this process's, or no handle, which is an error.
        unsafe { wait(SESSION.reader.load(Ordering::Relaxed) as Handle, 0, &raw const now) == 0 }
    }
}

fn write(ring: &Ring<'_>, time_ns: u64, event: Event<'_>) -> bool {
    seat().is_some_and(|seat| ring.write(seat, &Record { pid: pid(), time_ns, event }, &Sleep).is_ok())
}

/// Sends an event that needs no name.
pub(crate) fn event(event: Event<'_>) {
    if let Some(ring) = introduced() {
        write(&ring, now_ns(), event);
    }
}

pub(crate) fn gap(gap: Gap) {
    event(Event::Gap(gap));
}

/// The ring, once this process has said in it what it is.
fn introduced() -> Option<Ring<'static>> {
    let ring = ring()?;
    if INTRODUCED.load(Ordering::Relaxed) == 0 && INTRODUCED.swap(1, Ordering::Relaxed) == 0 {
        introduce(&ring);
    }
    Some(ring)
}

/// Where the process parameters have what is told: `RTL_USER_PROCESS_PARAMETERS`, which every 64-bit Windows has so.
const CURRENT_DIRECTORY: usize = 0x38;
const IMAGE: usize = 0x60;
const COMMAND_LINE: usize = 0x70;

const STANDARD_INPUT: usize = 0x20;

/// Where the process parameters are.
fn parameters() -> usize {
    /// Of the PEB in the TEB, of the parameters in the PEB.
    const PEB: usize = 0x60;
    const PARAMETERS: usize = 0x20;
    let peb = of_thread(PEB);
    // SAFETY: the PEB is there before the first instruction of a process, and so are its parameters.
    unsafe { ((peb.wrapping_add(PARAMETERS)) as *const usize).read() }
}

/// What kind of device an open handle is of; `None` if that can't be told.
pub(crate) fn device_of(handle: Handle) -> Option<u32> {
    type Query = unsafe extern "system" fn(Handle, *mut [usize; 2], *mut [u32; 2], u32, u32) -> Status;
    /// `FileFsDeviceInformation`.
    const DEVICE: u32 = 4;
    let (mut io, mut device) = ([0; 2], [0; 2]);
    let query = function!(needed(Needed::NtQueryVolumeInformationFile), Query)?;
    // SAFETY: both are writable, and the second is as long as said.
    let status = unsafe { query(handle, &raw mut io, &raw mut device, size_of_val(&device) as u32, DEVICE) };
    (status >= 0).then_some(device[0])
}

/// `FILE_DEVICE_NAMED_PIPE`.
pub(crate) const NAMED_PIPE: u32 = 0x11;
/// `FILE_DEVICE_CONSOLE`.
pub(crate) const CONSOLE_DEVICE: u32 = 0x50;

/// Reports that this process uses its standard input, if `handle` is that, and it may be the run's.
pub(crate) fn input_used(handle: Handle) {
    const DISK: u32 = 7;
    static TOLD: AtomicU32 = AtomicU32::new(0);
    let input = SESSION.input.load(Ordering::Relaxed);
    if input == 0 || TOLD.load(Ordering::Relaxed) != 0 {
        return;
    }
    // SAFETY: the parameters are there, and longer than this.
    if handle != unsafe { (parameters().wrapping_add(STANDARD_INPUT) as *const usize).read() } {
        return;
    }
    // What is neither, a device of whatever kind, may be a console.
    let is_the_runs = match device_of(handle) {
        Some(DISK) => false,
        Some(NAMED_PIPE) => input == PIPE,
        _ => input == CONSOLE,
    };
    if is_the_runs {
        TOLD.store(1, Ordering::Relaxed);
        event(Event::StreamUsed(0));
    }
}

/// Whether a call to a device asks a console for nothing that was typed: its mode, its code page, how much waits. The number of
/// what is asked is in the first word of the first buffer (conmsgl1.h of Windows Terminal), Wine's is the call's own.
pub(crate) fn only_asks_console(code: u32, input: *const c_void, length: u32) -> bool {
    /// `IOCTL_CONDRV_ISSUE_USER_IO`.
    const ISSUE: u32 = 0x50_0016;
    /// What is asked without taking anything.
    const ASKS: [u32; 4] = [0x0100_0000, 0x0100_0001, 0x0100_0002, 0x0100_0003];
    /// What programs ask Wine at their start, seen there: the mode.
    const OF_WINE: u32 = 0x0050_403c;
    type Read = unsafe extern "system" fn(Handle, *const c_void, *mut c_void, usize, *mut usize) -> Status;
    if SESSION.input.load(Ordering::Relaxed) != CONSOLE || code == OF_WINE {
        return true;
    }
    let Some(read) = function!(needed(Needed::NtReadVirtualMemory), Read) else { return false };
    // Asked of the system, so that what is no pointer is an error.
    let word = |address: usize, bytes: usize| {
        let (mut word, mut count) = (0_usize, 0);
        let place = (&raw mut word).cast();
        // SAFETY: `word` has room for as much.
        let status = unsafe { read(THIS_PROCESS, address as *const c_void, place, bytes, &raw mut count) };
        (status >= 0).then_some(word)
    };
    /// A handle, two counts, and the first buffer's length come before its address.
    const ADDRESS_AT: usize = 24;
    let asked = || {
        let buffer = word((input as usize).wrapping_add(ADDRESS_AT), size_of::<usize>())?;
        word(buffer, size_of::<u32>())
    };
    code == ISSUE && length as usize >= 32 && asked().is_some_and(|asked| ASKS.contains(&(asked as u32)))
}

fn introduce(ring: &Ring<'_>) {
    let time_ns = now_ns();
    let parameters = parameters();
    let string = |offset: usize| {
        let place = parameters.wrapping_add(offset) as *const UnicodeString;
        // SAFETY: as above.
        let mut string = unsafe { place.read() };
        // Until they are made absolute, pointers in them count from their beginning.
        if (string.buffer as usize) < 0x1_0000 {
            string.buffer = parameters.wrapping_add(string.buffer as usize) as *const u16;
        }
        string
    };
    let (mut exe, mut cwd) = (Name::new(), Name::new());
    exe.push(b'/');
    cwd.push(b'/');
    // SAFETY: the parameters' strings are where they say.
    unsafe { exe.push_string(string(IMAGE)) };
    // SAFETY: as above.
    unsafe { cwd.push_string(string(CURRENT_DIRECTORY)) };
    let line = string(COMMAND_LINE);
    let mut argv = Name::new();
    // SAFETY: as above.
    unsafe { argv.push_units(line.buffer, usize::from(line.length / 2).min(ARGV_MAX / 3), b'\\') };
    argv.push(0);
    if let Some(exe) = exe.bytes() {
        let cwd = cwd.bytes().unwrap_or_default();
        write(ring, time_ns, Event::Exec(Image { exe, cwd, argv: argv.what_fits() }));
        // After its image: it is none that is the parent's.
        write(ring, time_ns, Event::Fork { parent: SESSION.parent.load(Ordering::Relaxed) as u32 });
        let access = Access {
            call: Call::NtCreateUserProcess,
            kind: AccessKind::Exec,
            outcome: Outcome::Done,
            follow: true,
            change: None,
            path: Joined::absolute(exe),
        };
        write(ring, time_ns, Event::Access(access));
    }
    write(ring, time_ns, Event::Instrumented);
}

/// How far the run had come when a call that only looks began.
pub(crate) fn begin_look() -> Option<(Ring<'static>, Moment)> {
    let ring = introduced()?;
    Some((ring, ring.moment()))
}

/// A look that is over.
pub(crate) fn look(
    begun: Option<(Ring<'static>, Moment)>,
    call: Call,
    kind: AccessKind,
    outcome: Outcome,
    follow: bool,
    name: &Name,
) {
    let Some((ring, moment)) = begun.filter(|_| !name.is_no_file()) else { return };
    let Some(path) = name.bytes() else {
        write(&ring, now_ns(), Event::Gap(Gap::UnreadablePath));
        return;
    };
    let kind = outcome.settle(kind);
    let key = hash(SESSION.seed.load(Ordering::Relaxed) ^ (kind as u64) << 1 ^ u64::from(follow), path);
    if SEEN.contains(key) {
        return;
    }
    let access =
        Access { call, kind, outcome: Outcome::Done, follow, change: None, path: Joined::absolute(path) };
    let time_ns = ring.time_of_look(moment, now_ns);
    if write(&ring, time_ns, Event::Access(access)) {
        SEEN.insert(key);
    }
}

/// The time of a change that is about to be made to these, of which it is known what they are. The content of files has been taken.
pub(crate) fn begin_change(changed: &[(&Name, Before)], follow: bool) -> Option<(Ring<'static>, u64)> {
    let ring = introduced()?;
    for (name, before) in changed {
        if matches!(before, Before::File(_)) {
            hold(name, follow);
        }
    }
    let time_ns = ring.time_of_change(now_ns);
    Some((ring, time_ns))
}

/// Waits until tracerun has taken the content of a file; if it can't, the run is not cached.
fn hold(name: &Name, follow: bool) {
    /// No kind of access has this number.
    const HELD: u64 = 0x80;
    /// How often a place is looked for, a millisecond apart.
    const TRIES: usize = 1000;
    let Some(path) = name.bytes().filter(|_| !name.is_no_file()) else { return };
    let key = hash(SESSION.seed.load(Ordering::Relaxed) ^ HELD << 1 ^ u64::from(follow), path);
    // What this process has asked for once is known, or can't be any more.
    if SEEN.contains(key) {
        return;
    }
    let (Some(holds), Some(ring_bell)) = (holds(), function!(needed(Needed::NtSetEvent), NtSetEvent)) else {
        return;
    };
    let (bell, answered) = (&SESSION.bell, &SESSION.answered);
    for _ in 0..TRIES {
        let Some(hold) = holds.iter().find(|hold| hold.ask(path, follow)) else {
            if holds.iter().any(Hold::is_closed) {
                return;
            }
            wait_for(answered, 1);
            continue;
        };
        // SAFETY: the handle is this process's, or no handle, which is an error.
        unsafe { ring_bell(bell.load(Ordering::Relaxed) as Handle, core::ptr::null_mut()) };
        while !hold.is_answered() {
            if Sleep.reader_is_gone(0) {
                return;
            }
            wait_for(answered, 1);
        }
        hold.free();
        SEEN.insert(key);
        return;
    }
}

type NtSetEvent = unsafe extern "system" fn(Handle, *mut i32) -> Status;

/// The places in which changes are held, behind the ring and the image.
fn holds() -> Option<&'static [Hold; HOLDS]> {
    let ring = SESSION.ring.load(Ordering::Relaxed) as usize;
    if ring == 0 || SESSION.bell.load(Ordering::Relaxed) == 0 {
        return None;
    }
    let image = SESSION.bytes.load(Ordering::Relaxed) as usize;
    let at = ring.wrapping_add(ring::BYTES).wrapping_add(holds_at(image));
    // SAFETY: whoever made the section has room for them there; they are used by atomics only, and mapped as long as the ring is.
    Some(unsafe { &*(at as *const [Hold; HOLDS]) })
}

/// Waits for an event, for so many milliseconds at most.
fn wait_for(event: &AtomicU64, milliseconds: i64) {
    type Wait = unsafe extern "system" fn(Handle, u8, *const i64) -> Status;
    let Some(wait) = function!(needed(Needed::NtWaitForSingleObject), Wait) else { return };
    let time = milliseconds.wrapping_mul(-10_000);
    // SAFETY: the time is read only; the handle is this process's, or no handle, which is an error.
    unsafe { wait(event.load(Ordering::Relaxed) as Handle, 0, &raw const time) };
}

/// What a change does.
pub(crate) struct Changed {
    pub(crate) call: Call,
    pub(crate) kind: AccessKind,
    pub(crate) effect: Effect,
    pub(crate) before: Before,
    pub(crate) outcome: Outcome,
    pub(crate) follow: bool,
}

/// A change that was made, or refused.
pub(crate) fn change(begun: Option<(Ring<'static>, u64)>, changed: Changed, name: &Name) {
    let Some((ring, time_ns)) = begun.filter(|_| !name.is_no_file()) else { return };
    let Changed { call, kind, effect, before, outcome, follow } = changed;
    match name.bytes() {
        Some(path) => {
            let change = Some(Change { effect, before }).filter(|_| outcome == Outcome::Done);
            let access = Access { call, kind, outcome, follow, change, path: Joined::absolute(path) };
            write(&ring, time_ns, Event::Access(access));
        }
        None => {
            write(&ring, time_ns, Event::Gap(Gap::UnreadablePath));
        }
    }
}
