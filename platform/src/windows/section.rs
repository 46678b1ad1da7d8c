//! The shared memory of one run, the ring and behind it the guest's image; and the thread that drains the ring.

use std::io;
use std::os::windows::io::{AsRawHandle, FromRawHandle, OwnedHandle};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use shm_protocol::calls::windows::{Call, Needed};
use shm_protocol::guest::{HOLDS, Hold, JUMP, STUB_BYTES, Session, TRAMPOLINE_BYTES, holds_at};
use shm_protocol::ring::{self, Finished, Reader, Ring, System};
use windows_sys::Win32::Foundation::{DUPLICATE_SAME_ACCESS, DuplicateHandle, HANDLE};
use windows_sys::Win32::System::LibraryLoader::{GetModuleHandleW, GetProcAddress};
use windows_sys::Win32::System::Memory::{
    CreateFileMappingW, FILE_MAP_ALL_ACCESS, MEMORY_MAPPED_VIEW_ADDRESS, MapViewOfFile, PAGE_READWRITE,
    UnmapViewOfFile,
};
use windows_sys::Win32::System::Performance::QueryPerformanceFrequency;
use windows_sys::Win32::System::Threading::GetCurrentProcess;

use super::holds::Bells;
use super::image::Image;
use super::install::{Refusal, Target};
use crate::tracing::Sink;

/// Where the guest is in every process: far from where Windows puts anything by itself, so that nothing is there when a
/// process begins.
const BASE: u64 = 0x4000_0000_0000;

/// The memory of a run, mapped here.
pub(super) struct Shared {
    session: Session,
    ring: Ring<'static>,
    pub(super) bells: Bells,
    view: MEMORY_MAPPED_VIEW_ADDRESS,
    _section: OwnedHandle,
    _reader: OwnedHandle,
}

// SAFETY: the view is memory that is only read and written by atomics once it has been made.
unsafe impl Send for Shared {}
// SAFETY: as above.
unsafe impl Sync for Shared {}

impl Shared {
    /// An empty ring that this process reads, and the guest in `library` made ready, which reports that `input` is read.
    pub(super) fn create(library: &[u8], input: u64) -> io::Result<Self> {
        let mut image = Image::lay_out(library, BASE)?;
        let session = prepare(&mut image, input)?;
        let bells = Bells::create()?;
        let length = ring::BYTES + holds_at(image.bytes.len()) + size_of::<[Hold; HOLDS]>();
        // SAFETY: no file, no attributes, no name: the call takes numbers only.
        let section = unsafe {
            CreateFileMappingW(
                windows_sys::Win32::Foundation::INVALID_HANDLE_VALUE,
                std::ptr::null(),
                PAGE_READWRITE,
                0,
                length as u32,
                std::ptr::null(),
            )
        };
        let section = owned(section)?;
        // SAFETY: the section is as long as said.
        let view = unsafe { MapViewOfFile(section.as_raw_handle(), FILE_MAP_ALL_ACCESS, 0, 0, length) };
        if view.Value.is_null() {
            return Err(io::Error::last_os_error());
        }
        let start = view.Value.cast::<u8>();
        // SAFETY: the view is mapped until this is dropped, and the ring is lent no longer; a page is aligned enough.
        let words = unsafe { ring::words_from_mapping(start, ring::BYTES) };
        let ring = Ring::format(words, std::process::id()).map_err(io::Error::other)?;
        // SAFETY: the view is longer than the ring by the image, and nobody else knows of it yet.
        unsafe { start.add(ring::BYTES).copy_from_nonoverlapping(image.bytes.as_ptr(), image.bytes.len()) };
        let reader = own_process()?;
        let store = |word: &AtomicU64, value: usize| word.store(value as u64, Ordering::Relaxed);
        store(&session.ring, start as usize);
        store(&session.section, section.as_raw_handle() as usize);
        store(&session.reader, reader.as_raw_handle() as usize);
        store(&session.bell, bells.bell.as_raw_handle() as usize);
        store(&session.answered, bells.answered.as_raw_handle() as usize);
        Ok(Self { session, ring, bells, view, _section: section, _reader: reader })
    }

    /// Where processes ask before they change a file.
    pub(super) fn holds(&self) -> &[Hold; HOLDS] {
        let image = self.session.bytes.load(Ordering::Relaxed) as usize;
        let at = ring::BYTES + holds_at(image);
        // SAFETY: the view has room for them there, aligned as they want it, and lives as long as this; they are atomics, and
        // were zeros.
        unsafe { &*self.view.Value.cast::<u8>().add(at).cast() }
    }

    /// Installs the guest in a process that has not run yet.
    pub(super) fn install(&self, process: HANDLE) -> Result<(), Refusal> {
        Target::new(process as usize, &self.session).install(std::process::id())
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // SAFETY: the view is this one's, and what was lent of it has ended with it.
        unsafe { UnmapViewOfFile(self.view) };
    }
}

pub(super) fn owned(handle: HANDLE) -> io::Result<OwnedHandle> {
    if handle.is_null() {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the system has just made it, and nobody else owns it.
    Ok(unsafe { OwnedHandle::from_raw_handle(handle) })
}

/// A handle of this process that others can have a copy of.
fn own_process() -> io::Result<OwnedHandle> {
    let mut handle = std::ptr::null_mut();
    // SAFETY: names this process.
    let this = unsafe { GetCurrentProcess() };
    // SAFETY: the system writes one handle.
    unsafe { DuplicateHandle(this, this, this, &raw mut handle, 0, 0, DUPLICATE_SAME_ACCESS) };
    owned(handle)
}

/// The address of a function of ntdll, the same in every process since the system was started; `None` where it has none.
fn of_ntdll(name: &str) -> Option<u64> {
    let module: Vec<u16> = "ntdll.dll\0".encode_utf16().collect();
    // SAFETY: the name ends with a zero.
    let ntdll = unsafe { GetModuleHandleW(module.as_ptr()) };
    let name = format!("{name}\0");
    // SAFETY: as above; ntdll is never unloaded.
    let function = unsafe { GetProcAddress(ntdll, name.as_ptr()) };
    function.map(|function| function as usize as u64)
}

/// The session that the guest finds, and its trampolines, written into the image.
fn prepare(image: &mut Image, input: u64) -> io::Result<Session> {
    let session = Session::new();
    let store = |word: &AtomicU64, value: u64| word.store(value, Ordering::Relaxed);
    let (at, hooks, trampolines) =
        (image.export("SESSION")?, image.export("HOOKS")?, image.export("TRAMPOLINES")?);
    store(&session.base, BASE);
    store(&session.bytes, image.bytes.len() as u64);
    store(&session.session_at, at as u64);
    store(&session.code_at, image.code.start as u64);
    store(&session.code_bytes, image.code.len() as u64);
    store(&session.frequency, frequency());
    store(&session.seed, u64::from(std::process::id()) << 32 ^ crate::tracing::now_ns());
    store(&session.input, input);
    for (&function, place) in Needed::ALL.iter().zip(&session.functions) {
        let missing = || io::Error::other(format!("ntdll has no {}", function.name()));
        store(place, of_ntdll(function.name()).ok_or_else(missing)?);
    }
    for (index, (&call, stub)) in Call::ALL.iter().zip(&session.stubs).enumerate() {
        let Some(address) = of_ntdll(call.name()) else { continue };
        // SAFETY: code of ntdll, of which each function that makes a system call has more.
        let code = unsafe { (address as *const [u8; STUB_BYTES]).read_unaligned() };
        // `mov r10, rcx; mov eax, NUMBER; test byte ptr [7ffe0308h], 1`: what a jump can take the place of, and can be
        // executed elsewhere.
        let is_stub = matches!(
            code,
            [0x4c, 0x8b, 0xd1, 0xb8, _, _, _, _, 0xf6, 0x04, 0x25, 0x08, 0x03, 0xfe, 0x7f, 0x01]
        );
        if !is_stub {
            return Err(io::Error::other(format!(
                "{} is not as Windows has it: does another program watch?",
                call.name()
            )));
        }
        let trampoline = trampolines + index * TRAMPOLINE_BYTES;
        let rest = address + STUB_BYTES as u64;
        image.write(trampoline, &[&code[..], &JUMP, &rest.to_le_bytes()].concat())?;
        store(&stub.address, address);
        for (word, bytes) in stub.bytes.iter().zip(code.as_chunks().0) {
            store(word, u64::from_le_bytes(*bytes));
        }
        store(&stub.hook, image.number(hooks + 8 * index)?);
        store(&stub.trampoline, BASE + trampoline as u64);
    }
    // SAFETY: words without padding between them, read as bytes while nobody writes.
    let bytes =
        unsafe { std::slice::from_raw_parts((&raw const session).cast::<u8>(), size_of::<Session>()) };
    image.write(at, bytes)?;
    Ok(session)
}

/// Ticks of the performance counter in a second.
pub(super) fn frequency() -> u64 {
    let mut frequency = 0;
    // SAFETY: the system writes one number.
    unsafe { QueryPerformanceFrequency(&raw mut frequency) };
    frequency as u64
}

/// The thread that drains a ring into a sink.
pub(super) struct Drainer {
    thread: JoinHandle<Finished>,
    stop: Arc<AtomicBool>,
    shared: Arc<Shared>,
}

impl Drainer {
    pub(super) fn start(shared: Arc<Shared>, sink: Arc<dyn Sink>) -> io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, drained) = (Arc::clone(&stop), Arc::clone(&shared));
        let thread = std::thread::Builder::new().name("ring".into()).spawn(move || {
            let mut reader = Reader::new(drained.ring);
            while !stopped.load(Ordering::Acquire) {
                // A claim that is never committed costs its chunk until the end of the run.
                reader.drain(&mut |_| false, &mut |record| sink.record(record));
                reader.wait(&Poll);
            }
            reader.finish(&mut |record| sink.record(record))
        })?;
        Ok(Self { thread, stop, shared })
    }

    /// Delivers everything that was written and says what was lost.
    pub(super) fn finish(self) -> Finished {
        self.stop.store(true, Ordering::Release);
        let ring = self.shared.ring;
        ring.ring_bell(&Poll);
        let finished = self.thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        ring.close();
        ring.wake_writers(&Poll);
        finished
    }
}

/// Nothing that processes share can be slept on here: it is looked at again and again.
struct Poll;

impl System for Poll {
    fn wait(&self, word: &AtomicU32, expected: u32) {
        for _ in 0..100 {
            if word.load(Ordering::Relaxed) != expected {
                return;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn wake(&self, _: &AtomicU32) {}

    fn reader_is_gone(&self, _: u32) -> bool {
        false
    }
}
