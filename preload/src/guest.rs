//! What the library knows: of its session, the same in every process of this program, and of its process.

use core::cell::UnsafeCell;
use core::ffi::{CStr, c_char};
use core::mem::MaybeUninit;
use core::ptr;
use core::sync::atomic::{AtomicPtr, AtomicU32, Ordering};

use linux_raw_sys::general::{
    __NR_madvise, __NR_mmap, __NR_munmap, __NR_openat, MADV_WIPEONFORK, MAP_ANONYMOUS, MAP_NORESERVE,
    MAP_PRIVATE, MAP_SHARED, O_CLOEXEC, O_RDWR, PROT_READ, PROT_WRITE,
};
use shm_protocol::record::{Event, Image, Record};
use shm_protocol::ring::{self, Ring};

use crate::dedup::Seen;
use crate::directories::Directories;
use crate::environment::{self, Environment, Own};
use crate::names::PATH_MAX;
use crate::syscall::{self, CWD, Kernel, syscall};
use crate::threads::{Thread, Threads};

/// A library that has found its session.
pub(crate) struct Guest {
    /// The pass through the net; 0 when there is none, so that the library must record all it can.
    pub(crate) cookie: u64,
    pub(crate) ring: Ring<'static>,
    pub(crate) process: &'static Process,
    /// The process that last used this memory: in a new child by fork, its parent.
    last_pid: AtomicU32,
}

/// What is true of one process only. It lies in memory that the kernel wipes in a child by fork, and zeros are its valid
/// first state; so a child starts afresh however it was forked, and no fork needs to be noticed.
pub(crate) struct Process {
    /// 0 until asked for.
    pid: AtomicU32,
    /// Children by vfork that live in this memory: see `children.rs`.
    vfork_children: AtomicU32,
    threads: Threads,
    pub(crate) seen: Seen,
    pub(crate) directories: Directories,
}

/// A place that is written once.
struct Once<T>(UnsafeCell<MaybeUninit<T>>);

// SAFETY: what is in it is written by one thread only, before it becomes visible by `STATE`, and then only read.
unsafe impl<T: Sync> Sync for Once<T> {}

impl<T> Once<T> {
    const fn new() -> Self {
        Self(UnsafeCell::new(MaybeUninit::uninit()))
    }

    /// # Safety
    /// Nobody else may use the place meanwhile.
    unsafe fn write(&self, value: T) -> *mut T {
        let place = self.0.get().cast::<T>();
        // SAFETY: the caller's.
        unsafe { place.write(value) };
        place
    }

    /// # Safety
    /// It must have been written before.
    unsafe fn get(&self) -> &T {
        // SAFETY: the caller's; it is never written again.
        unsafe { &*self.0.get().cast::<T>() }
    }
}

/// Written when the state is no longer [`ABSENT`].
static OWN: Once<Own> = Once::new();

/// Written before [`STATE`] points to it.
static GUEST: Once<Guest> = Once::new();

/// What becomes of this library in this program: one of the small numbers below, or where the guest is.
///
/// It arrives with the first call that it has something to do for, since most small programs make none: to map the
/// ring costs as much as a tenth of starting them.
static STATE: AtomicPtr<Guest> = AtomicPtr::new(ptr::without_provenance_mut(ABSENT));

/// There is no session.
const ABSENT: usize = 0;
/// There is a session to arrive at.
const INVITED: usize = 1;
/// A thread is about to make it the guest; until then all make the plain system call.
const ARRIVING: usize = 2;
/// All is left to the net, for good.
const RETIRED: usize = 3;

/// Run by the dynamic loader (glibc's and musl's) when the library has been loaded, before `main`.
#[used]
#[unsafe(link_section = ".init_array")]
static CONSTRUCTOR: extern "C" fn(i32, *const *const c_char, Environment) = construct;

/// glibc passes the arguments of `main`; musl passes nothing, so that they are not to be looked at there. But musl has set
/// `environ` by now, and glibc has not if the user's `LD_PRELOAD` makes it begin with us, before itself.
extern "C" fn construct(_count: i32, _arguments: *const *const c_char, given: Environment) {
    let kept = environment::current();
    let Some(own) = Own::find(if kept.is_null() { given } else { kept }) else { return };
    let has_net = own.session().is_some_and(|session| session.cookie != 0);
    // SAFETY: the program is still loading, and while the state is `ABSENT` nobody looks at the place.
    unsafe { OWN.write(own) };
    STATE.store(ptr::without_provenance_mut(INVITED), Ordering::Release);
    if !has_net {
        // Nobody else tells that this program was started.
        arrive();
    }
}

/// The guest, unless it must not report now.
#[inline]
pub(crate) fn active() -> Option<&'static Guest> {
    arrived().filter(|guest| {
        // While a child by vfork runs in our memory we cannot tell it from ourselves.
        guest.process.vfork_children.load(Ordering::Relaxed) == 0 && !guest.ring.is_left_to_net()
    })
}

#[inline]
fn arrived() -> Option<&'static Guest> {
    let state = STATE.load(Ordering::Acquire);
    if state.addr() > RETIRED {
        // SAFETY: not one of the numbers, so it points to the guest, which is never written again.
        return Some(unsafe { &*state });
    }
    if state.addr() == INVITED { arrive() } else { None }
}

/// Becomes the guest, if no other thread does.
#[cold]
#[inline(never)]
fn arrive() -> Option<&'static Guest> {
    let state = ptr::without_provenance_mut;
    STATE.compare_exchange(state(INVITED), state(ARRIVING), Ordering::AcqRel, Ordering::Relaxed).ok()?;
    // SAFETY: written before the state became `INVITED`.
    let Some(guest) = Guest::find(unsafe { OWN.get() }) else {
        retire();
        return None;
    };
    // SAFETY: only the one thread that made the state `ARRIVING` gets here.
    let place = unsafe { GUEST.write(guest) };
    // SAFETY: just written.
    let guest = unsafe { &*place };
    crate::children::count_vforks_in(&guest.process.vfork_children);
    guest.introduce();
    #[cfg(target_arch = "x86_64")]
    if guest.cookie != 0 {
        crate::call_sites::redirect(guest);
    }
    // Unless it was retired meanwhile.
    STATE.compare_exchange(state(ARRIVING), place, Ordering::AcqRel, Ordering::Relaxed).ok()?;
    Some(guest)
}

/// Arrives if that is still to be done: before a child by vfork could, in the memory of its parent.
pub(crate) extern "C" fn settle() {
    let _guest = arrived();
}

/// What a child must be given to be traced too.
pub(crate) fn own() -> Option<&'static Own> {
    // SAFETY: written before the state became another.
    (STATE.load(Ordering::Acquire).addr() != ABSENT).then(|| unsafe { OWN.get() })
}

/// Leaves this process to the net for good.
pub(crate) fn retire() {
    STATE.store(ptr::without_provenance_mut(RETIRED), Ordering::Release);
}

/// What became of a record.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Sent {
    Written,
    /// It was counted in the ring.
    Lost,
    /// There are more threads than entries for them.
    NoSeat,
}

impl Guest {
    fn find(own: &Own) -> Option<Self> {
        let session = own.session()?;
        let words = map_ring(own.ring_path(&session)?, session.cookie)?;
        Some(Self {
            cookie: session.cookie,
            ring: Ring::open(words).ok()?,
            process: map_process()?,
            last_pid: AtomicU32::new(0),
        })
    }

    /// This process, which is told apart from its parent upon the first use.
    #[inline]
    pub(crate) fn process(&self) -> (&'static Process, u32) {
        let pid = self.process.pid.load(Ordering::Relaxed);
        (self.process, if pid != 0 { pid } else { self.meet_process() })
    }

    #[cold]
    fn meet_process(&self) -> u32 {
        let pid = syscall::outer_pid(self.cookie);
        let first = self.process.pid.compare_exchange(0, pid, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        if first {
            let parent = self.last_pid.swap(pid, Ordering::Relaxed);
            // With a filter it is the net that sees forks.
            if self.cookie == 0 && parent != 0 && parent != pid {
                self.send(pid, syscall::now_ns(), Event::Fork { parent });
            }
        }
        pid
    }

    /// The calling thread's entry; `None` when there are more threads than entries.
    #[inline]
    pub(crate) fn thread(&self) -> Option<&'static Thread> {
        self.process.threads.current()
    }

    /// Writes a record of the process `pid`.
    pub(crate) fn send(&self, pid: u32, time_ns: u64, event: Event<'_>) -> Sent {
        let Some(thread) = self.thread() else { return Sent::NoSeat };
        match self.ring.write(&thread.seat, &Record { pid, time_ns, event }, &Kernel) {
            Ok(()) => Sent::Written,
            Err(_) => Sent::Lost,
        }
    }

    /// Tells the reader that the library is in place.
    fn introduce(&self) {
        let (_, pid) = self.process();
        let time_ns = syscall::now_ns();
        if self.cookie == 0 {
            self.send_image(pid, time_ns);
        }
        self.send(pid, time_ns, Event::Instrumented);
    }

    /// Sends what program this is, which without a filter nobody else sees.
    fn send_image(&self, pid: u32, time_ns: u64) {
        // The arguments are cut so that the record fits into the ring.
        let Some(room) = Scratch::<[[u8; PATH_MAX]; 6]>::map() else {
            return;
        };
        // SAFETY: fresh memory of zeros, ours alone until it is unmapped below.
        let [exe, cwd, argv @ ..] = unsafe { &mut *room.0 };
        // SAFETY: `exe` is as long as said.
        let exe_length = unsafe { syscall::link_target(c"/proc/self/exe", exe.as_mut_ptr(), PATH_MAX, 0) };
        // SAFETY: `cwd` is as long as said.
        let cwd_length = unsafe { syscall::working_directory(cwd.as_mut_ptr(), PATH_MAX) }.saturating_sub(1);
        let argv = argv.as_flattened_mut();
        let argv_length = syscall::read_file(c"/proc/self/cmdline", argv);
        let image =
            Image { exe: head(exe, exe_length), cwd: head(cwd, cwd_length), argv: head(argv, argv_length) };
        if !image.exe.is_empty() {
            self.send(pid, time_ns, Event::Exec(image));
        }
    }
}

/// The first `length` bytes; none of them for an error.
fn head(bytes: &[u8], length: isize) -> &[u8] {
    bytes.get(..length.max(0) as usize).unwrap_or_default()
}

/// Maps the ring and keeps no descriptor: the program could close it, or trip over it.
fn map_ring(path: &CStr, cookie: u64) -> Option<&'static [core::sync::atomic::AtomicU64]> {
    let arguments = [CWD, path.as_ptr() as u64, u64::from(O_RDWR | O_CLOEXEC), 0, 0];
    // SAFETY: `path` ends in NUL.
    let fd = unsafe { syscall(__NR_openat, arguments, cookie) };
    if fd < 0 {
        return None;
    }
    let bytes = syscall::status_of(fd as i32).map_or(0, |status| status.st_size as u64);
    let start = map(bytes, MAP_SHARED, fd as u64);
    // SAFETY: the descriptor is the one opened above.
    unsafe { syscall::close(fd) };
    let start = start?;
    // SAFETY: `start` is page-aligned, `bytes` long and never unmapped; the processes that map the ring use it only by
    // the atomics of `Ring`.
    Some(unsafe { ring::words_from_mapping(start, bytes as usize) })
}

fn map_process() -> Option<&'static Process> {
    let bytes = size_of::<Process>() as u64;
    let start = map(bytes, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, u64::MAX)?;
    // SAFETY: advice on the mapping just made.
    let advised =
        unsafe { syscall(__NR_madvise, [start as u64, bytes, u64::from(MADV_WIPEONFORK), 0, 0], 0) };
    // Without it a child would take itself for its parent. (The mapping is left: this kernel is older than 4.14.)
    // SAFETY: page-aligned memory of zeros, which is a valid `Process`, never unmapped.
    (advised == 0).then(|| unsafe { &*start.cast::<Process>() })
}

/// Maps `bytes`, which must not be 0, readable and writable.
fn map(bytes: u64, flags: u32, fd: u64) -> Option<*mut u8> {
    let arguments = [0, bytes, u64::from(PROT_READ | PROT_WRITE), u64::from(flags), fd];
    // SAFETY: a mapping where nothing is; the sixth argument, the offset, is 0.
    let start = unsafe { syscall(__NR_mmap, arguments, 0) };
    if syscall::error(start).is_none() {
        Some(ptr::with_exposed_provenance_mut(start as usize))
    } else {
        None
    }
}

/// Memory for the moment, too much for the stack.
struct Scratch<T>(*mut T);

impl<T> Scratch<T> {
    fn map() -> Option<Self> {
        map(size_of::<T>() as u64, MAP_PRIVATE | MAP_ANONYMOUS, u64::MAX).map(|start| Self(start.cast()))
    }
}

impl<T> Drop for Scratch<T> {
    fn drop(&mut self) {
        // SAFETY: the mapping made by `map`, of which no reference is left.
        unsafe { syscall(__NR_munmap, [self.0 as u64, size_of::<T>() as u64, 0, 0, 0], 0) };
    }
}
