//! What the library knows: of its session, and of the process that it is in.

use core::cell::{Cell, UnsafeCell};
use core::ffi::{CStr, c_char, c_int, c_void};
use core::mem::MaybeUninit;
use core::ptr;
use core::sync::atomic::{AtomicPtr, AtomicU32, AtomicUsize, Ordering};

use shm_protocol::access::{Access, AccessKind, Gap, Outcome};
use shm_protocol::calls::Call;
use shm_protocol::path::Joined;
use shm_protocol::record::{ARGV_MAX, Event, Image, Record};
use shm_protocol::ring::{self, Ring, Seat};

use super::system::{self, PATH_MAX, PathBuffer, Sleep};
use crate::dedup::Seen;
use crate::environment::{self, Environment, Own, Text};

/// A library that has found its session.
pub(crate) struct Guest {
    pub(crate) ring: Ring<'static>,
    pub(crate) own: Own,
    /// The process in which the program began: a child by vfork leaves its own number behind for a while.
    first_pid: u32,
}

struct Place(UnsafeCell<MaybeUninit<Guest>>);

// SAFETY: written once, by the constructor, before `GUEST` points there; afterwards only read, by atomics where it changes.
unsafe impl Sync for Place {}

static PLACE: Place = Place(UnsafeCell::new(MaybeUninit::uninit()));

/// Null as long as there is nothing to report, or nobody to report to.
static GUEST: AtomicPtr<Guest> = AtomicPtr::new(ptr::null_mut());

/// The process that last used this memory: in a new child by fork, its parent.
static OWNER: AtomicU32 = AtomicU32::new(0);

/// The thread that has announced an exec, if it will not be there to be told that it failed.
static LEAVING: AtomicUsize = AtomicUsize::new(0);

/// What was reported; keys depend on the process, so that a child by fork finds nothing of its parent's.
pub(crate) static SEEN: Seen = Seen::new();

/// Places in the ring, shared by threads whose numbers agree in some bits, and by children: see [`Seat`].
const SEATS: usize = 64;

static PLACES: [Seat; SEATS] = [const { Seat::new() }; SEATS];

/// Run by dyld when the library has been loaded: before `main`, and before the initialisers of all that is no part of libSystem.
#[used]
#[unsafe(link_section = "__DATA,__mod_init_func,mod_init_funcs")]
static CONSTRUCTOR: extern "C" fn(c_int, *const *const c_char, Environment) = construct;

extern "C" fn construct(_count: c_int, _arguments: *const *const c_char, given: Environment) {
    let error = system::errno();
    arrive(given);
    system::set_errno(error);
}

fn arrive(given: Environment) -> Option<()> {
    unsafe extern "C" {
        /// mach-o/dyld.h
        fn _dyld_register_func_for_add_image(told: extern "C" fn(*const Header, isize));
    }
    let own = Own::find(given)?;
    let session = own.session()?;
    let (start, bytes) = system::map_ring(own.ring_path(&session)?)?;
    // SAFETY: `start` is page-aligned, `bytes` long and never unmapped; the processes that map the ring use it only by the
    // atomics of `Ring`.
    let words = unsafe { ring::words_from_mapping(start, bytes) };
    let guest = Guest { ring: Ring::open(words).ok()?, own, first_pid: system::pid() };
    let place = PLACE.0.get().cast::<Guest>();
    // SAFETY: the constructor runs once, and nobody looks at the place before `GUEST` points to it.
    unsafe { place.write(guest) };
    OWNER.store(system::pid(), Ordering::Relaxed);
    GUEST.store(place, Ordering::Release);
    // SAFETY: just written, and never again.
    unsafe { &*place }.introduce();
    // SAFETY: the function is there for as long as the process; the library is never unloaded.
    unsafe { _dyld_register_func_for_add_image(loaded) };
    Some(())
}

/// The guest, unless there is no session.
#[inline]
pub(crate) fn active() -> Option<&'static Guest> {
    // SAFETY: null, or the place that was written before.
    unsafe { GUEST.load(Ordering::Acquire).as_ref() }
}

/// Begins what a replacement does beside the call: gives errno back as the call left it.
pub(crate) struct KeptError(Cell<i32>);

impl KeptError {
    pub(crate) fn now() -> Self {
        Self(Cell::new(system::errno()))
    }

    pub(crate) fn number(&self) -> i32 {
        self.0.get()
    }

    /// From here on it is what it is now.
    pub(crate) fn replace(&self) {
        self.0.set(system::errno());
    }
}

impl Drop for KeptError {
    fn drop(&mut self) {
        system::set_errno(self.0.get());
    }
}

impl Guest {
    /// This process, which is told apart from its parent upon the first use.
    #[inline]
    pub(crate) fn process(&self) -> u32 {
        let pid = system::pid();
        if OWNER.load(Ordering::Relaxed) != pid {
            self.meet(pid);
        }
        if LEAVING.load(Ordering::Relaxed) != 0 {
            self.stay(pid);
        }
        pid
    }

    /// A child by fork, or the parent of one by vfork, which it has shared its memory with.
    #[cold]
    fn meet(&self, pid: u32) {
        let before = OWNER.swap(pid, Ordering::Relaxed);
        if pid == self.first_pid {
            return;
        }
        // A child whose parent has gone is launchd's.
        let parent = match system::parent() {
            1 => before,
            parent => parent,
        };
        self.send(pid, system::now_ns(), Event::Fork { parent });
    }

    /// A thread that had announced an exec goes on: it has failed.
    #[cold]
    fn stay(&self, pid: u32) {
        if LEAVING.compare_exchange(system::thread(), 0, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            self.send(pid, system::now_ns(), Event::ExecFailed);
        }
    }

    /// The calling thread is about to be replaced by a program, and will not be told if not.
    pub(crate) fn leave(&self) {
        LEAVING.store(system::thread(), Ordering::Relaxed);
    }

    /// Writes a record of the process `pid`; says whether it will be read.
    pub(crate) fn send(&self, pid: u32, time_ns: u64, event: Event<'_>) -> bool {
        let seat = (system::thread() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 58;
        PLACES
            .get(seat as usize % SEATS)
            .is_some_and(|seat| self.ring.write(seat, &Record { pid, time_ns, event }, &Sleep).is_ok())
    }

    pub(crate) fn gap(&self, gap: Gap) {
        self.send(self.process(), system::now_ns(), Event::Gap(gap));
    }

    /// Tells what program this is, and that the library is in place.
    fn introduce(&self) {
        let time_ns = system::now_ns();
        let pid = self.process();
        let (mut exe, mut cwd) = (PathBuffer::new(), PathBuffer::new());
        let mut argv = Arguments { bytes: [0; ARGV_MAX], length: 0 };
        argv.collect(system::arguments());
        let cwd = cwd.of_working_directory().unwrap_or_default();
        let mut absolute = Text::<{ 2 * PATH_MAX }>::new();
        if let Some(exe) = exe.of_program() {
            if exe.first() != Some(&b'/') {
                absolute.push(cwd);
                absolute.push(b"/");
            }
            absolute.push(exe);
        }
        if let Some(exe) = absolute.c_string().map(CStr::to_bytes).filter(|exe| exe.first() == Some(&b'/')) {
            self.send(pid, time_ns, Event::Exec(Image { exe, cwd, argv: argv.whole() }));
        }
        self.send(pid, time_ns, Event::Instrumented);
    }
}

/// Arguments, each followed by a NUL, as many as fit.
struct Arguments {
    bytes: [u8; ARGV_MAX],
    length: usize,
}

impl Arguments {
    fn collect(&mut self, arguments: *const *const c_char) {
        for argument in environment::entries(arguments) {
            let argument = argument.to_bytes_with_nul();
            let room = self.bytes.get_mut(self.length..).unwrap_or_default();
            if argument.len() > room.len() {
                return;
            }
            for (place, byte) in room.iter_mut().zip(argument) {
                *place = *byte;
            }
            self.length = self.length.wrapping_add(argument.len());
        }
    }

    fn whole(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

/// `mach_header_64` of mach-o/loader.h.
#[repr(C)]
pub(crate) struct Header {
    _before: [u32; 6],
    flags: u32,
    _reserved: u32,
}

/// `Dl_info` of dlfcn.h.
#[repr(C)]
struct Origin {
    file: *const c_char,
    _base: *const c_void,
    _symbol: *const c_char,
    _address: *const c_void,
}

/// dyld has loaded an image: by itself, without a call that could be seen.
extern "C" fn loaded(header: *const Header, _slide: isize) {
    unsafe extern "C" {
        fn dladdr(address: *const Header, origin: *mut Origin) -> c_int;
    }
    /// `MH_DYLIB_IN_CACHE`: it comes with the system, and is no file.
    const IN_CACHE: u32 = 0x8000_0000;
    let _error = KeptError::now();
    let Some(guest) = active() else { return };
    // SAFETY: dyld gives the header of what it has just mapped.
    if unsafe { (*header).flags } & IN_CACHE != 0 {
        return;
    }
    let mut origin = MaybeUninit::<Origin>::uninit();
    // SAFETY: dladdr may be called from here (dyld(3)), and fills the structure when it succeeds.
    if unsafe { dladdr(header, origin.as_mut_ptr()) } == 0 {
        return;
    }
    // SAFETY: filled.
    let file = unsafe { origin.assume_init_ref() }.file;
    if file.is_null() {
        return;
    }
    // SAFETY: dyld's own string, which lasts as long as the image.
    let file = unsafe { CStr::from_ptr(file) }.to_bytes();
    // What has no absolute name is the system's own, or the program, which is told otherwise.
    if file.first() == Some(&b'/') && !file.ends_with(environment::LIBRARY) {
        let path = Joined::absolute(file);
        let call = Call::open;
        let outcome = Outcome::Done;
        let access = Access { call, kind: AccessKind::Read, outcome, follow: true, change: None, path };
        guest.send(guest.process(), system::now_ns(), Event::Access(access));
    }
}
