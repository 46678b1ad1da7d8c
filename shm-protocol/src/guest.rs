//! What the guest of a Windows process finds written into its image: where the ring is, and how to install itself in a
//! child.

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use crate::calls::windows::{Call, Needed};

/// Bytes that the hook of a function takes the place of: of a stub that makes a system call, two moves and a test.
pub const STUB_BYTES: usize = 16;

/// Bytes of a trampoline: those of the stub, and a jump.
pub const TRAMPOLINE_BYTES: usize = 32;

/// The jump to a 64-bit address that is written behind it, without a register.
pub const JUMP: [u8; 6] = [0xff, 0x25, 0, 0, 0, 0];

/// The run's standard input is a pipe.
pub const PIPE: u64 = 1;

/// The run's standard input is a console.
pub const CONSOLE: u64 = 2;

/// A watched function.
#[derive(Debug)]
#[repr(C)]
pub struct Stub {
    /// Where it is, the same in every process; 0 where ntdll has none.
    pub address: AtomicU64,
    /// Its first bytes.
    pub bytes: [AtomicU64; STUB_BYTES / 8],
    /// The hook that takes its place.
    pub hook: AtomicU64,
    /// What calls the function itself.
    pub trampoline: AtomicU64,
}

/// The session, as words. All but the first six are the same in every process of a run.
#[derive(Debug)]
#[repr(C)]
pub struct Session {
    /// Where the ring is mapped in this process; behind it is the image as it is to be installed.
    pub ring: AtomicU64,
    /// This process's handle of the section that holds both.
    pub section: AtomicU64,
    /// This process's handle of tracerun.
    pub reader: AtomicU64,
    /// Id of the process that installed the guest.
    pub parent: AtomicU64,
    /// This process's handle of the event by which tracerun is told that a change is held.
    pub bell: AtomicU64,
    /// This process's handle of the event by which those are told whose change is held no longer.
    pub answered: AtomicU64,
    /// Where the image is.
    pub base: AtomicU64,
    /// Its length in bytes.
    pub bytes: AtomicU64,
    /// Where in it this session is.
    pub session_at: AtomicU64,
    /// Where in it the code is.
    pub code_at: AtomicU64,
    /// Length of the code in bytes.
    pub code_bytes: AtomicU64,
    /// Ticks of the performance counter in a second.
    pub frequency: AtomicU64,
    /// A random number.
    pub seed: AtomicU64,
    /// What the run's standard input is, if it is to be reported that it is read: one of the constants below, or 0.
    pub input: AtomicU64,
    /// Addresses in ntdll.
    pub functions: [AtomicU64; Needed::ALL.len()],
    /// The watched functions.
    pub stubs: [Stub; Call::ALL.len()],
}

impl Stub {
    const fn new() -> Self {
        Self {
            address: AtomicU64::new(0),
            bytes: [const { AtomicU64::new(0) }; STUB_BYTES / 8],
            hook: AtomicU64::new(0),
            trampoline: AtomicU64::new(0),
        }
    }
}

impl Session {
    /// All zeros.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            ring: AtomicU64::new(0),
            section: AtomicU64::new(0),
            reader: AtomicU64::new(0),
            parent: AtomicU64::new(0),
            bell: AtomicU64::new(0),
            answered: AtomicU64::new(0),
            base: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            session_at: AtomicU64::new(0),
            code_at: AtomicU64::new(0),
            code_bytes: AtomicU64::new(0),
            frequency: AtomicU64::new(0),
            seed: AtomicU64::new(0),
            input: AtomicU64::new(0),
            functions: [const { AtomicU64::new(0) }; Needed::ALL.len()],
            stubs: [const { Stub::new() }; Call::ALL.len()],
        }
    }
}

/// How many changes are held at once.
pub const HOLDS: usize = 16;

/// Bytes of the name of what is about to change, at most.
pub const HELD_NAME: usize = 8192;

/// Where the places of held changes are, counted from the image that lies behind the ring, of an image of so many bytes.
#[must_use]
pub const fn holds_at(image_bytes: usize) -> usize {
    image_bytes.next_multiple_of(align_of::<Hold>())
}

/// A place in which a process says that it is about to change a file, and waits until tracerun has taken the content. Zeros are one
/// that is free. Whoever is killed in it keeps it.
#[derive(Debug)]
#[repr(C)]
pub struct Hold {
    state: AtomicU32,
    /// Of the name, in bytes; and [`Hold::FOLLOW`].
    length: AtomicU32,
    name: [AtomicU64; HELD_NAME / 8],
}

impl Hold {
    const FREE: u32 = 0;
    const CLAIMED: u32 = 1;
    const ASKED: u32 = 2;
    const ANSWERED: u32 = 3;
    /// For good.
    const CLOSED: u32 = 4;
    /// A symbolic link is followed.
    const FOLLOW: u32 = 1 << 31;

    /// Takes the place and asks in it; says whether it was free and the name fits.
    pub fn ask(&self, name: &[u8], follow: bool) -> bool {
        if name.len() > HELD_NAME || !self.pass(Self::FREE, Self::CLAIMED) {
            return false;
        }
        for (place, part) in self.name.iter().zip(name.chunks(8)) {
            let mut word = [0; 8];
            for (to, from) in word.iter_mut().zip(part) {
                *to = *from;
            }
            place.store(u64::from_le_bytes(word), Ordering::Relaxed);
        }
        let follows = if follow { Self::FOLLOW } else { 0 };
        self.length.store(name.len() as u32 | follows, Ordering::Relaxed);
        self.pass(Self::CLAIMED, Self::ASKED)
    }

    /// Moves on, unless it was closed meanwhile.
    fn pass(&self, from: u32, to: u32) -> bool {
        self.state.compare_exchange(from, to, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    /// Whether the one who asked may go on.
    pub fn is_answered(&self) -> bool {
        self.state.load(Ordering::Acquire) >= Self::ANSWERED
    }

    /// Gives the place back.
    pub fn free(&self) {
        self.pass(Self::ANSWERED, Self::FREE);
    }

    /// Lets whoever asks or has asked here go on, from now on.
    pub fn close(&self) {
        self.state.store(Self::CLOSED, Ordering::Release);
    }

    /// Whether nobody answers here any more.
    pub fn is_closed(&self) -> bool {
        self.state.load(Ordering::Relaxed) == Self::CLOSED
    }

    /// What is asked: the length of the name, which is written to `name`, and whether a link is followed.
    pub fn asked(&self, name: &mut [u8; HELD_NAME]) -> Option<(usize, bool)> {
        if self.state.load(Ordering::Acquire) != Self::ASKED {
            return None;
        }
        for (word, place) in self.name.iter().zip(name.as_chunks_mut().0) {
            *place = word.load(Ordering::Relaxed).to_le_bytes();
        }
        let length = self.length.load(Ordering::Relaxed);
        // Whatever a process may have written there.
        Some(((length & !Self::FOLLOW).min(HELD_NAME as u32) as usize, length & Self::FOLLOW != 0))
    }

    /// Lets the one who asked go on.
    pub fn answer(&self) {
        self.pass(Self::ASKED, Self::ANSWERED);
    }
}

/// A count of the performance counter in nanoseconds, the same in all processes.
#[must_use]
pub const fn nanoseconds(count: u64, frequency: u64) -> u64 {
    let frequency = if frequency == 0 { 1 } else { frequency };
    (count as u128 * 1_000_000_000 / frequency as u128) as u64
}

impl Default for Session {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn free() -> Hold {
        Hold {
            state: AtomicU32::new(0),
            length: AtomicU32::new(0),
            name: [const { AtomicU64::new(0) }; HELD_NAME / 8],
        }
    }

    #[test]
    fn a_place_is_asked_in_by_one_until_that_one_gives_it_back() {
        let (hold, mut name) = (free(), [0; HELD_NAME]);
        assert_eq!(hold.asked(&mut name), None);
        assert!(hold.ask(b"/??/C:/a/file", true));
        assert!(!hold.ask(b"another", false), "it is taken");
        assert_eq!(hold.asked(&mut name), Some((13, true)));
        assert_eq!(&name[..13], b"/??/C:/a/file");
        assert!(!hold.is_answered());
        hold.answer();
        assert!(hold.is_answered());
        assert_eq!(hold.asked(&mut name), None, "once");
        hold.free();
        assert!(hold.ask(b"b", false));
        assert_eq!(hold.asked(&mut name), Some((1, false)));
        hold.close();
        assert!(hold.is_answered() && hold.is_closed());
        hold.free();
        assert!(!hold.ask(b"c", false), "it stays so");
    }

    #[test]
    fn a_length_that_is_a_lie_is_cut() {
        let (hold, mut name) = (free(), [0; HELD_NAME]);
        assert!(hold.ask(b"b", false));
        hold.length.store(u32::MAX, Ordering::Relaxed);
        assert_eq!(hold.asked(&mut name), Some((HELD_NAME, true)));
    }
}
