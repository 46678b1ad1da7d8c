//! The names of directories that relative paths start from, asked of the kernel once and kept.

use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use linux_raw_sys::general::{S_IFDIR, S_IFMT};

use crate::dedup::hash;
use crate::guest::Guest;
use crate::names::PATH_MAX;
use crate::syscall;
use crate::threads::Thread;

/// Descriptors of directories whose name is kept, each in the one place that its key names.
const DESCRIPTORS: usize = 1024;

/// The directories of one process. Zeros are a valid empty table.
///
/// A name holds for one *directory generation*: the ring's counter, which moves whenever a directory was made, removed or
/// renamed, or a process got another working directory.
pub(crate) struct Directories {
    descriptors: [Descriptor; DESCRIPTORS],
    names: Names,
}

/// The name of one directory in one generation. Its words are written apart: half the key stands in both, so that words of
/// two entries are not taken for one.
struct Descriptor {
    key: AtomicU64,
    /// The upper half of the key, and where the name is.
    name: AtomicU64,
}

impl Directories {
    /// The working directory. `None` if it has no name (it was removed, or lies outside the root).
    ///
    /// Kept per thread, since a thread can have its own (`unshare(CLONE_FS)`).
    pub(crate) fn working(&'static self, guest: &Guest, thread: &Thread) -> Option<&'static [u8]> {
        let generation = guest.ring.directory_generation().wrapping_add(1);
        let kept = thread.working_directory.load(Ordering::Relaxed);
        let name = if kept >> PLACE_BITS == generation {
            Place::from_bits(kept)
        } else {
            // SAFETY: `fill` passes room that is writable.
            let name =
                self.names.keep(|start, room| unsafe { syscall::working_directory(start, room) } - 1)?;
            thread.working_directory.store(generation << PLACE_BITS | name.to_bits(), Ordering::Relaxed);
            name
        };
        self.names.get(name)
    }

    /// The directory that the descriptor `fd` stands for. `None` if it is no directory or has no name.
    ///
    /// It is kept by what the directory *is*, never by the number of the descriptor, which changes hands. Device and inode
    /// are not enough: the inode of a removed directory is used again, perhaps by somebody who is not traced. So the time
    /// of its last change belongs to the key. (That of its birth would do, but `statx` takes three times as long.)
    pub(crate) fn of_descriptor(&'static self, guest: &Guest, fd: i32) -> Option<&'static [u8]> {
        let status = syscall::status_of(fd)?;
        if status.st_mode & S_IFMT != S_IFDIR {
            return None;
        }
        let identity = [
            status.st_dev.to_le_bytes(),
            status.st_ino.to_le_bytes(),
            status.st_ctime.to_le_bytes(),
            status.st_ctime_nsec.to_le_bytes(),
            guest.ring.directory_generation().to_le_bytes(),
        ];
        let key = hash(guest.cookie, identity.as_flattened());
        let entry = self.descriptors.get(key as usize % DESCRIPTORS)?;
        if entry.key.load(Ordering::Acquire) == key {
            let name = entry.name.load(Ordering::Relaxed);
            if name >> 32 == key >> 32 {
                return self.names.get(Place::from_bits(name));
            }
        }
        let name = self.ask(guest, fd)?;
        entry.name.store(key >> 32 << 32 | name.to_bits(), Ordering::Relaxed);
        entry.key.store(key, Ordering::Release);
        self.names.get(name)
    }

    /// The file that was opened as `fd`, of whatever type. `None` if that is no file with a name.
    pub(crate) fn opened(&'static self, guest: &Guest, fd: i32) -> Option<&'static [u8]> {
        self.names.get(self.ask(guest, fd)?)
    }

    fn ask(&self, guest: &Guest, fd: i32) -> Option<Place> {
        // SAFETY: `keep` passes room that is writable.
        self.names.keep(|start, room| unsafe { syscall::descriptor_target(fd, start, room, guest.cookie) })
    }
}

/// How many threads can ask for a name at the same time, or be interrupted by a handler that does.
const SCRATCH: usize = 8;

/// Room to ask for a name in: nobody else has it while it is taken. (One that is taken by a thread that is killed, or in a
/// child of `vfork`, stays so.)
struct Scratch {
    is_taken: AtomicBool,
    bytes: UnsafeCell<[u8; PATH_MAX]>,
}

/// All names together; where they are used up, calls that need a new one are left to the net.
const ROOM: usize = 1 << 20;

/// Names start at multiples of this.
const STEP: usize = 8;

/// A place, in steps, fits into so many bits.
const PLACE_BITS: u32 = 20;

/// How many names are found again by their content.
const FOUND: usize = 1024;

/// Where a name is kept; never 0.
#[derive(Clone, Copy)]
struct Place(u32);

impl Place {
    const fn to_bits(self) -> u64 {
        self.0 as u64
    }

    const fn from_bits(bits: u64) -> Self {
        Self(bits as u32 & ((1 << PLACE_BITS) - 1))
    }
}

/// Names that are only ever added. Each is its length in four bytes, then its bytes.
struct Names {
    scratch: [Scratch; SCRATCH],
    /// Bytes in use; the first step is never given out.
    used: AtomicU32,
    /// Places, each where the hash of its name says.
    found: [AtomicU32; FOUND],
    bytes: UnsafeCell<[u8; ROOM]>,
}

/// Length of the number before a name.
const HEAD: usize = size_of::<u32>();

// SAFETY: bytes are written only by the thread that reserved them, by a compare-and-exchange of `used`, and read by others
// only once their place was published, after which they are never written again. Those of a scratch are touched only by
// the thread that has taken it.
unsafe impl Sync for Names {}

impl Names {
    /// Keeps the name that `fill` writes: it gets room and returns the length, or an error. Names that are not absolute, or
    /// are those of something removed, are no names.
    fn keep(&self, fill: impl FnOnce(*mut u8, usize) -> isize) -> Option<Place> {
        let scratch = self.scratch.iter().find(|scratch| !scratch.is_taken.swap(true, Ordering::Acquire))?;
        let start = scratch.bytes.get().cast::<u8>();
        let length = usize::try_from(fill(start, PATH_MAX)).ok().filter(|&length| length < PATH_MAX);
        // SAFETY: `fill` has just written so many bytes of the scratch, which is ours until it is given back.
        let name = length.map(|length| unsafe { core::slice::from_raw_parts(start, length) });
        let name = name.filter(|name| name.first() == Some(&b'/') && !name.ends_with(b" (deleted)"));
        let place = name.and_then(|name| self.place(name));
        scratch.is_taken.store(false, Ordering::Release);
        place
    }

    /// The place of a name, which is kept from now on.
    fn place(&self, name: &[u8]) -> Option<Place> {
        let found = self.found.get(hash(0, name) as usize % FOUND)?;
        let place = Place(found.load(Ordering::Acquire));
        if place.0 != 0 && self.get(place) == Some(name) {
            return Some(place);
        }
        let start = self.reserve(HEAD + name.len())?;
        let bytes = self.bytes.get().cast::<u8>().wrapping_add(start);
        // SAFETY: the start of what is reserved for us, aligned to a step.
        unsafe { bytes.cast::<u32>().write(name.len() as u32) };
        // SAFETY: so much is reserved for us, behind the length; a scratch is another object.
        unsafe { bytes.wrapping_add(HEAD).copy_from_nonoverlapping(name.as_ptr(), name.len()) };
        let place = Place((start / STEP) as u32);
        found.store(place.0, Ordering::Release);
        Some(place)
    }

    fn get(&self, place: Place) -> Option<&[u8]> {
        let start = place.0 as usize * STEP;
        if place.0 == 0 || start > ROOM - HEAD {
            return None;
        }
        let bytes = self.bytes.get().cast::<u8>().wrapping_add(start);
        // SAFETY: within the room, by the check above; places are only given out once their name is complete, and that
        // name is never written again.
        let length = unsafe { bytes.cast::<u32>().read() } as usize;
        // SAFETY: as above; the check keeps to the room.
        (length <= ROOM - HEAD - start && length < PATH_MAX)
            .then(|| unsafe { core::slice::from_raw_parts(bytes.wrapping_add(HEAD), length) })
    }

    /// Takes `length` bytes that nobody else has; `None` if there is no room.
    fn reserve(&self, length: usize) -> Option<usize> {
        let mut used = self.used.load(Ordering::Relaxed);
        loop {
            let start = (used as usize).max(STEP);
            let end = (start + length).next_multiple_of(STEP);
            if end > ROOM {
                return None;
            }
            match self.used.compare_exchange_weak(used, end as u32, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return Some(start),
                Err(now) => used = now,
            }
        }
    }
}
