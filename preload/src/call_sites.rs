//! libc's own system calls, made in the middle of other functions (`fopen`, `realpath`, `readdir`), brought to the library by a
//! jump in place of the instruction that loads their number.
//!
//! The orchestrator says where they are ([`shm_protocol::ring::CallSite`]), and only what is found there as expected is touched: `mov $number,
//! %eax; syscall`, of which the first five bytes become a jump. Whoever jumps to the `syscall` itself still can.
//! The change is made while the process has one thread, so nobody runs what is being written, and by way of
//! `/proc/self/mem`, so that no page becomes writable.
//!
//! Where any of this cannot be had, libc's calls go through the net as before. The sites of `chdir` are not told: a child by
//! vfork inside libc (`system`, `popen`) shares our memory, in which it may leave nothing that its parent would take for its own.

use core::arch::naked_asm;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use linux_raw_sys::general::{__NR_openat, __NR_pread64, __NR_pwrite64, O_CLOEXEC, O_RDWR};
use shm_protocol::ring::MAX_CALL_SITES;

use crate::guest::Guest;
use crate::next::is_single_threaded;
use crate::observe::make;
use crate::raw_call::looking;
use crate::syscall::{Arguments, CWD, close, errno_location, syscall};

/// Length of `mov $number, %eax`, and of a jump.
const JUMP: usize = 5;

/// Length of both instructions of a site.
const SITE: usize = 7;

/// Where to go on behind each site that jumps here.
static RETURNS: [AtomicU64; MAX_CALL_SITES] = [const { AtomicU64::new(0) }; MAX_CALL_SITES];

/// The numbers of the calls.
static NUMBERS: [AtomicU32; MAX_CALL_SITES] = [const { AtomicU32::new(0) }; MAX_CALL_SITES];

/// Makes libc's call sites jump to the library.
pub(crate) fn redirect(guest: &Guest) {
    if !is_single_threaded() {
        return;
    }
    // Not a change of anything: with the pass.
    let arguments = [CWD, c"/proc/self/mem".as_ptr() as u64, u64::from(O_RDWR | O_CLOEXEC), 0, 0];
    // SAFETY: the path ends in NUL.
    let memory = unsafe { syscall(__NR_openat, arguments, guest.cookie) };
    if memory < 0 {
        return;
    }
    for (index, site) in guest.ring.call_sites().enumerate() {
        let address = errno_location().wrapping_add_signed(i64::from(site.offset));
        if redirect_one(memory as u64, index, address, site.number).is_none() {
            // It is another libc: no use to look for more.
            break;
        }
    }
    // SAFETY: the descriptor is the one opened above.
    unsafe { close(memory) };
}

/// `None` if the instructions are not where they should be, or out of reach.
fn redirect_one(memory: u64, index: usize, address: u64, number: u32) -> Option<()> {
    let mut found = [0_u8; SITE];
    // SAFETY: fills `found`, from an address that the kernel checks.
    let count =
        unsafe { syscall(__NR_pread64, [memory, found.as_mut_ptr() as u64, SITE as u64, address, 0], 0) };
    let [a, b, c, d] = number.to_le_bytes();
    if count != SITE as isize || found != [0xb8, a, b, c, d, 0x0f, 0x05] {
        return None;
    }
    let entry = (entries as *const () as u64).wrapping_add((index as u64).wrapping_mul(ENTRY));
    let distance = entry.wrapping_sub(address.wrapping_add(JUMP as u64)).cast_signed();
    let [a, b, c, d] = i32::try_from(distance).ok()?.to_le_bytes();
    RETURNS.get(index)?.store(address.wrapping_add(SITE as u64), Ordering::Relaxed);
    NUMBERS.get(index)?.store(number, Ordering::Relaxed);
    let jump = [0xe9_u8, a, b, c, d];
    // SAFETY: puts one instruction in the place of another of the same length, which no thread is executing: the only one is
    // here. Both places that it needs are filled.
    let count = unsafe { syscall(__NR_pwrite64, [memory, jump.as_ptr() as u64, JUMP as u64, address, 0], 0) };
    (count == JUMP as isize).then_some(())
}

/// Length of each entry in [`entries`].
const ENTRY: u64 = 16;

/// Where the sites jump to: an entry for each, which says which it is, and what follows for all.
///
/// To the code around a site this is its `syscall`: all registers but `rax`, `rcx` and `r11` are kept, as is the red zone below
/// the stack pointer. (Nobody relies on the flags, which any inline assembly may change on this architecture.)
#[unsafe(naked)]
extern "C" fn entries() {
    naked_asm!(
        ".set index, 0",
        ".rept {count}",
        ".balign {entry}",
        "lea rsp, [rsp - 128]",
        "push index",
        "jmp 2f",
        ".set index, index + 1",
        ".endr",
        "2:",
        "push rbp",
        "mov rbp, rsp",
        // As `make` takes them: an array of five, and what else a call may change.
        "push r9",
        "push r8",
        "push r10",
        "push rdx",
        "push rsi",
        "push rdi",
        "mov rsi, rsp",
        "mov rdi, [rbp + 8]",
        "and rsp, -16",
        "sub rsp, 256",
        "movaps [rsp], xmm0",
        "movaps [rsp + 16], xmm1",
        "movaps [rsp + 32], xmm2",
        "movaps [rsp + 48], xmm3",
        "movaps [rsp + 64], xmm4",
        "movaps [rsp + 80], xmm5",
        "movaps [rsp + 96], xmm6",
        "movaps [rsp + 112], xmm7",
        "movaps [rsp + 128], xmm8",
        "movaps [rsp + 144], xmm9",
        "movaps [rsp + 160], xmm10",
        "movaps [rsp + 176], xmm11",
        "movaps [rsp + 192], xmm12",
        "movaps [rsp + 208], xmm13",
        "movaps [rsp + 224], xmm14",
        "movaps [rsp + 240], xmm15",
        "call {redirected}",
        "movaps xmm0, [rsp]",
        "movaps xmm1, [rsp + 16]",
        "movaps xmm2, [rsp + 32]",
        "movaps xmm3, [rsp + 48]",
        "movaps xmm4, [rsp + 64]",
        "movaps xmm5, [rsp + 80]",
        "movaps xmm6, [rsp + 96]",
        "movaps xmm7, [rsp + 112]",
        "movaps xmm8, [rsp + 128]",
        "movaps xmm9, [rsp + 144]",
        "movaps xmm10, [rsp + 160]",
        "movaps xmm11, [rsp + 176]",
        "movaps xmm12, [rsp + 192]",
        "movaps xmm13, [rsp + 208]",
        "movaps xmm14, [rsp + 224]",
        "movaps xmm15, [rsp + 240]",
        "lea rsp, [rbp - 48]",
        "pop rdi",
        "pop rsi",
        "pop rdx",
        "pop r10",
        "pop r8",
        "pop r9",
        "pop rbp",
        "pop rcx",
        "lea rsp, [rsp + 128]",
        "lea r11, [rip + {returns}]",
        "jmp qword ptr [r11 + rcx * 8]",
        count = const MAX_CALL_SITES,
        entry = const ENTRY,
        redirected = sym redirected,
        returns = sym RETURNS,
    )
}

/// The call of one site, with the kernel's result.
extern "C" fn redirected(index: usize, arguments: &Arguments) -> isize {
    let number = NUMBERS.get(index).map_or(0, |number| number.load(Ordering::Relaxed));
    match looking(u64::from(number)) {
        Some(call) => make(call, number, *arguments),
        // Never: only sites of such calls are told.
        // SAFETY: the program asked for this very call.
        None => unsafe { syscall(number, *arguments, 0) },
    }
}
