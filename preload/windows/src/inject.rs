//! Installing the guest in a process that has not run yet. Compiled into tracerun too, for the first process of a run.

use core::ffi::c_void;
use core::sync::atomic::{AtomicU64, Ordering};

use shm_protocol::calls::windows::Needed;
use shm_protocol::guest::{JUMP, STUB_BYTES, Session};
use shm_protocol::ring;

/// A handle of a kernel object.
pub(crate) type Handle = usize;

/// `NTSTATUS`: failed if negative.
pub(crate) type Status = i32;

/// The process that asks.
pub(crate) const THIS_PROCESS: Handle = usize::MAX;

/// The function of the type `$type` at an address in this process.
macro_rules! function {
    ($address:expr, $type:ty) => {{
        let address: usize = $address;
        // SAFETY: tracerun wrote the addresses of ntdll's functions of these names, and of trampolines to them; a function
        // that is not there is 0, which is no value of the type.
        unsafe { core::mem::transmute::<usize, Option<$type>>(address) }
    }};
}
#[allow(unused_imports, reason = "the guest calls others as well")]
pub(crate) use function;

/// Why the guest could not be installed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The process is a 32-bit one.
    Narrow,
    /// Its ntdll is elsewhere, or has been changed by somebody else.
    Foreign,
    /// The system has refused to.
    Refused,
}

type NtQueryInformationProcess = unsafe extern "system" fn(Handle, u32, *mut c_void, u32, *mut u32) -> Status;
type NtReadVirtualMemory =
    unsafe extern "system" fn(Handle, *const c_void, *mut c_void, usize, *mut usize) -> Status;
type NtWriteVirtualMemory =
    unsafe extern "system" fn(Handle, *mut c_void, *const c_void, usize, *mut usize) -> Status;
type NtAllocateVirtualMemory =
    unsafe extern "system" fn(Handle, *mut *mut c_void, usize, *mut usize, u32, u32) -> Status;
type NtProtectVirtualMemory =
    unsafe extern "system" fn(Handle, *mut *mut c_void, *mut usize, u32, *mut u32) -> Status;
type NtMapViewOfSection = unsafe extern "system" fn(
    Handle,
    Handle,
    *mut *mut c_void,
    usize,
    usize,
    *mut i64,
    *mut usize,
    u32,
    u32,
    u32,
) -> Status;
type NtDuplicateObject =
    unsafe extern "system" fn(Handle, Handle, Handle, *mut Handle, u32, u32, u32) -> Status;

const PAGE_READWRITE: u32 = 4;
const PAGE_EXECUTE_READ: u32 = 0x20;
const PAGE_EXECUTE_READWRITE: u32 = 0x40;

/// A process that has not run yet.
pub(crate) struct Target<'a> {
    process: Handle,
    session: &'a Session,
}

impl<'a> Target<'a> {
    /// `process` is a handle with all rights; `session` is that of the process which installs.
    pub(crate) fn new(process: Handle, session: &'a Session) -> Self {
        Self { process, session }
    }

    /// Installs the guest, so that the process reports from its first instruction on.
    ///
    /// # Errors
    /// It can't be; the process is as it was, but for memory that nobody knows of.
    pub(crate) fn install(&self, own_pid: u32) -> Result<(), Refusal> {
        /// `ProcessWow64Information`.
        const WOW64: u32 = 26;
        if self.ask::<usize>(WOW64)? != 0 {
            return Err(Refusal::Narrow);
        }
        if !self.session.stubs.iter().all(|stub| {
            let address = stub.address.load(Ordering::Relaxed);
            let expected = stub.bytes.each_ref().map(|word| word.load(Ordering::Relaxed));
            address == 0 || self.read::<[u64; STUB_BYTES / 8]>(address) == Some(expected)
        }) {
            return Err(Refusal::Foreign);
        }
        let session = self.session;
        let word = |word: &AtomicU64| word.load(Ordering::Relaxed);
        let (base, bytes) = (word(&session.base), word(&session.bytes) as usize);
        let ring_there = self.map(word(&session.section) as Handle)?;
        self.allocate(base, bytes)?;
        // Behind the ring.
        let pristine = word(&session.ring).wrapping_add(ring::BYTES as u64) as *const c_void;
        self.write(base, pristine, bytes)?;
        let own = [
            ring_there as u64,
            self.duplicate(word(&session.section) as Handle)? as u64,
            // Without it the process waits a while where tracerun is gone.
            self.duplicate(word(&session.reader) as Handle).unwrap_or_default() as u64,
            u64::from(own_pid),
            // Without these no change of its is held.
            self.duplicate(word(&session.bell) as Handle).unwrap_or_default() as u64,
            self.duplicate(word(&session.answered) as Handle).unwrap_or_default() as u64,
        ];
        self.write(base.wrapping_add(word(&session.session_at)), own.as_ptr().cast(), size_of_val(&own))?;
        let code = base.wrapping_add(word(&session.code_at));
        self.protect(code, word(&session.code_bytes) as usize, PAGE_EXECUTE_READ)?;
        for stub in session.stubs.iter().filter(|stub| word(&stub.address) != 0) {
            let mut jump = [0; JUMP.len() + 8];
            for (place, byte) in jump.iter_mut().zip(JUMP.into_iter().chain(word(&stub.hook).to_le_bytes())) {
                *place = byte;
            }
            let address = word(&stub.address);
            let before = self.protect(address, jump.len(), PAGE_EXECUTE_READWRITE)?;
            self.write(address, jump.as_ptr().cast(), jump.len())?;
            self.protect(address, jump.len(), before)?;
        }
        Ok(())
    }

    fn function(&self, needed: Needed) -> usize {
        self.session
            .functions
            .get(needed as usize)
            .map_or(0, |address| address.load(Ordering::Relaxed) as usize)
    }

    fn ask<T: Default>(&self, class: u32) -> Result<T, Refusal> {
        let mut answer = T::default();
        let query = function!(self.function(Needed::NtQueryInformationProcess), NtQueryInformationProcess);
        let query = query.ok_or(Refusal::Refused)?;
        let size = size_of::<T>() as u32;
        // SAFETY: the answer is as long as said, and made of integers.
        let status =
            unsafe { query(self.process, class, (&raw mut answer).cast(), size, core::ptr::null_mut()) };
        done(status).map(|()| answer)
    }

    fn read<T: Default>(&self, address: u64) -> Option<T> {
        let mut value = T::default();
        let read = function!(self.function(Needed::NtReadVirtualMemory), NtReadVirtualMemory)?;
        let mut count = 0;
        // SAFETY: the value is as long as said, and made of integers.
        let status = unsafe {
            read(
                self.process,
                address as *const c_void,
                (&raw mut value).cast(),
                size_of::<T>(),
                &raw mut count,
            )
        };
        (status >= 0 && count == size_of::<T>()).then_some(value)
    }

    fn write(&self, address: u64, from: *const c_void, bytes: usize) -> Result<(), Refusal> {
        let write = function!(self.function(Needed::NtWriteVirtualMemory), NtWriteVirtualMemory);
        let write = write.ok_or(Refusal::Refused)?;
        let mut count = 0;
        // SAFETY: the callers give `bytes` readable bytes at `from`; the system checks the address in the other process.
        done(unsafe { write(self.process, address as *mut c_void, from, bytes, &raw mut count) })
    }

    fn map(&self, section: Handle) -> Result<usize, Refusal> {
        /// `ViewUnmap`: no child has it by itself.
        const UNMAP: u32 = 2;
        let map = function!(self.function(Needed::NtMapViewOfSection), NtMapViewOfSection);
        let map = map.ok_or(Refusal::Refused)?;
        let (mut address, mut size) = (core::ptr::null_mut(), 0);
        let none = core::ptr::null_mut();
        // SAFETY: the system writes an address and a size.
        let status = unsafe {
            map(section, self.process, &raw mut address, 0, 0, none, &raw mut size, UNMAP, 0, PAGE_READWRITE)
        };
        done(status).map(|()| address as usize)
    }

    fn allocate(&self, base: u64, bytes: usize) -> Result<(), Refusal> {
        /// `MEM_COMMIT | MEM_RESERVE`.
        const NOW: u32 = 0x3000;
        let allocate = function!(self.function(Needed::NtAllocateVirtualMemory), NtAllocateVirtualMemory);
        let allocate = allocate.ok_or(Refusal::Refused)?;
        let (mut address, mut size) = (base as *mut c_void, bytes);
        // SAFETY: the system writes an address and a size.
        done(unsafe { allocate(self.process, &raw mut address, 0, &raw mut size, NOW, PAGE_READWRITE) })
    }

    /// Gives memory other rights; says which it had.
    fn protect(&self, address: u64, bytes: usize, rights: u32) -> Result<u32, Refusal> {
        let protect = function!(self.function(Needed::NtProtectVirtualMemory), NtProtectVirtualMemory);
        let protect = protect.ok_or(Refusal::Refused)?;
        let (mut address, mut size, mut before) = (address as *mut c_void, bytes, 0);
        // SAFETY: the system writes an address, a size and the rights.
        let status =
            unsafe { protect(self.process, &raw mut address, &raw mut size, rights, &raw mut before) };
        done(status).map(|()| before)
    }

    fn duplicate(&self, handle: Handle) -> Result<Handle, Refusal> {
        /// `DUPLICATE_SAME_ACCESS`.
        const SAME: u32 = 2;
        let duplicate = function!(self.function(Needed::NtDuplicateObject), NtDuplicateObject);
        let duplicate = duplicate.ok_or(Refusal::Refused)?;
        let mut there = 0;
        // SAFETY: the system writes a handle.
        done(unsafe { duplicate(THIS_PROCESS, handle, self.process, &raw mut there, 0, 0, SAME) })
            .map(|()| there)
    }
}

fn done(status: Status) -> Result<(), Refusal> {
    if status < 0 { Err(Refusal::Refused) } else { Ok(()) }
}
