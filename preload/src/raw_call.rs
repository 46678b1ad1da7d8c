//! `syscall(2)`, by which programs make system calls that libc has no function for.

use shm_protocol::calls::Call;

use linux_raw_sys::general::{__NR_prctl, __NR_seccomp};

use crate::guest;
use crate::numbers;
use crate::observe::make;
use crate::own_filter::prctl;
use crate::syscall::{syscall, to_c};

/// Numbers from here on are never watched.
const NUMBERS: usize = 512;

macro_rules! by_number {
    ($($(#[$where:meta])* $name:ident $number:ident ($($argument:ident),*) = $meaning:expr;)*) => {
        /// The watched call of this number, if it can be one that only looks: of those the library reports.
        pub(crate) const fn looking(number: u64) -> Option<Call> {
            $(
                $(#[$where])*
                if number == numbers::$name as u64 && Call::$name.meaning([0; 6]).observes() {
                    return Some(Call::$name);
                }
            )*
            None
        }
    };
}

shm_protocol::watched_calls!(by_number);

/// One bit for each number of a call that is not just passed on.
static OURS: [u64; NUMBERS / 64] = {
    let mut bits = [0; NUMBERS / 64];
    let mut number = 0;
    while number < NUMBERS {
        if looking(number as u64).is_some() || is_own_filter(number as u64) {
            bits[number / 64] |= 1 << (number % 64);
        }
        number += 1;
    }
    bits
};

/// Whether the call may give the program a filter of its own: see `own_filter.rs`.
const fn is_own_filter(number: u64) -> bool {
    number == __NR_seccomp as u64 || number == __NR_prctl as u64
}

/// Makes any system call as libc's function does, with no frame of Rust around it: it may be `vfork`, `clone` or
/// `rt_sigreturn`.
#[cfg(target_arch = "x86_64")]
#[unsafe(naked)]
#[unsafe(export_name = "syscall")]
extern "C" fn any_call() {
    core::arch::naked_asm!(
        "cmp rdi, {numbers}",
        "jae 2f",
        "lea rax, [rip + {ours}]",
        "bt qword ptr [rax], rdi",
        // The stack and all registers are as the caller left them, so the arguments are those of `ours`.
        "jc {make_ours}",
        "2:",
        "mov rax, rdi",
        "mov rdi, rsi",
        "mov rsi, rdx",
        "mov rdx, rcx",
        "mov r10, r8",
        "mov r8, r9",
        "mov r9, [rsp + 8]",
        "syscall",
        "cmp rax, -4095",
        "jae 3f",
        "ret",
        "3:",
        "mov rdi, rax",
        "jmp {to_c}",
        numbers = const NUMBERS,
        ours = sym OURS,
        make_ours = sym ours,
        to_c = sym to_c_errno,
    )
}

/// The same. Variadic arguments come in the registers that named ones would come in (AAPCS64 as Linux has it).
#[cfg(target_arch = "aarch64")]
#[unsafe(naked)]
#[unsafe(export_name = "syscall")]
extern "C" fn any_call() {
    core::arch::naked_asm!(
        "cmp x0, {numbers}",
        "b.hs 2f",
        "adrp x9, {ours}",
        "add x9, x9, :lo12:{ours}",
        "lsr x10, x0, #6",
        "ldr x9, [x9, x10, lsl #3]",
        // By the number modulo 64.
        "lsr x9, x9, x0",
        "tbz x9, #0, 2f",
        "b {make_ours}",
        "2:",
        "mov x8, x0",
        "mov x0, x1",
        "mov x1, x2",
        "mov x2, x3",
        "mov x3, x4",
        "mov x4, x5",
        "mov x5, x6",
        "svc 0",
        // The carry says whether the result is one of the highest 4095 values.
        "cmn x0, #4095",
        "b.hs 3f",
        "ret",
        "3:",
        "b {to_c}",
        numbers = const NUMBERS,
        ours = sym OURS,
        make_ours = sym ours,
        to_c = sym to_c_errno,
    )
}

extern "C" fn ours(number: u64, a: u64, b: u64, c: u64, d: u64, e: u64) -> isize {
    let arguments = [a, b, c, d, e];
    match looking(number) {
        Some(call) => to_c(make(call, number as u32, arguments)),
        None if number == u64::from(__NR_prctl) => prctl(a, b, c, d, e),
        None => {
            guest::retire();
            // SAFETY: the program asked for this call.
            to_c(unsafe { syscall(number as u32, arguments, 0) })
        }
    }
}

extern "C" fn to_c_errno(result: isize) -> isize {
    to_c(result)
}
