//! What the guest of a Windows process finds written into its image: where the ring is, and how to install itself in a
//! child.

use core::sync::atomic::AtomicU64;

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

/// The session, as words. All but the first four are the same in every process of a run.
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
