//! Replacements that take more than the arguments of a call to tell what it means.
//!
//! What starts programs is in `programs.rs`.

use core::ffi::{CStr, c_char};

use shm_protocol::access::Gap;
use shm_protocol::calls::Call;

use super::observe::{self, Failure, report};
use super::session::{KeptError, active};

pub(crate) use super::programs::{
    execl, execle, execlp, execv, execvP, execve, execvp, popen, posix_spawn, posix_spawnp, system,
};

/// libSystem's own functions.
#[allow(non_snake_case, reason = "as C has it")]
#[allow(clashing_extern_declarations, reason = "only addresses of those that take open arguments are used")]
pub(crate) mod original {
    macro_rules! originals {
        ($($name:ident $symbol:literal ($($argument:ident),*);)*) => {
            unsafe extern "C" {
                $(
                    #[link_name = $symbol]
                    pub(crate) fn $name($($argument: u64),*) -> u64;
                )*
            }
        };
    }

    originals! {
        fopen "fopen" (path, mode);
        fopen_extsn "fopen$DARWIN_EXTSN" (path, mode);
        freopen "freopen" (path, mode, stream);
        mkstemp "mkstemp" (template);
        mkstemps "mkstemps" (template, suffix);
        mkostemp "mkostemp" (template, flags);
        mkostemps "mkostemps" (template, suffix, flags);
        mkdtemp "mkdtemp" (template);
        execve "execve" (path, argv, environment);
        execv "execv" (path, argv);
        execvp "execvp" (file, argv);
        execvP "execvP" (file, search, argv);
        execl "execl" ();
        execle "execle" ();
        execlp "execlp" ();
        posix_spawn "posix_spawn" (pid, path, actions, attributes, argv, environment);
        posix_spawnp "posix_spawnp" (pid, file, actions, attributes, argv, environment);
        system "system" (command);
        popen "popen" (command, mode);
        connectx "connectx" (fd, endpoints, association, flags, vector, count, length, connection);
        syscall "syscall" ();
        __syscall "__syscall" ();
    }
}

/// What fopen(3) opens, in the flags of open(2).
fn stream_flags(mode: u64) -> u64 {
    const O_WRONLY: u64 = 1;
    const O_RDWR: u64 = 2;
    const O_CREAT: u64 = 0x200;
    const O_TRUNC: u64 = 0x400;
    const O_EXCL: u64 = 0x800;
    if mode == 0 {
        return 0;
    }
    let mode: *const c_char = core::ptr::with_exposed_provenance(mode as usize);
    // SAFETY: a string, by the contract of fopen(3), which the caller is about to read.
    let mode = unsafe { CStr::from_ptr(mode) }.to_bytes();
    let has = |byte: u8| mode.contains(&byte);
    let way = if has(b'+') { O_RDWR } else { O_WRONLY };
    match mode.first() {
        Some(b'w') => way | O_CREAT | O_TRUNC | if has(b'x') { O_EXCL } else { 0 },
        Some(b'a') => way | O_CREAT,
        _ if has(b'+') => O_RDWR,
        _ => 0,
    }
}

fn stream(call: Call, path: u64, mode: u64, original: &mut dyn FnMut() -> u64) -> u64 {
    match active() {
        Some(guest) if path != 0 => {
            let meaning = Call::open.meaning([path, stream_flags(mode), 0, 0, 0, 0]);
            report(guest, call, meaning, Failure::Pointer, original)
        }
        _ => original(),
    }
}

pub(crate) extern "C" fn fopen(path: u64, mode: u64) -> u64 {
    // SAFETY: the program's own call, as it made it.
    stream(Call::fopen, path, mode, &mut || unsafe { original::fopen(path, mode) })
}

pub(crate) extern "C" fn fopen_extsn(path: u64, mode: u64) -> u64 {
    // SAFETY: as above.
    stream(Call::fopen_extsn, path, mode, &mut || unsafe { original::fopen_extsn(path, mode) })
}

/// Without a path it only changes how the stream is open.
pub(crate) extern "C" fn freopen(path: u64, mode: u64, file: u64) -> u64 {
    // SAFETY: as above.
    stream(Call::freopen, path, mode, &mut || unsafe { original::freopen(path, mode, file) })
}

/// Makes a call that gives what it makes a name of its own choice, at the address `template`.
fn made(call: Call, template: u64, failed: fn(u64) -> bool, original: impl FnOnce() -> u64) -> u64 {
    let result = original();
    if !failed(result)
        && let Some(guest) = active()
    {
        let _error = KeptError::now();
        observe::made(guest, call, template);
    }
    result
}

fn is_negative(result: u64) -> bool {
    (result as i32) < 0
}

pub(crate) extern "C" fn mkstemp(template: u64) -> u64 {
    // SAFETY: as above.
    made(Call::mkstemp, template, is_negative, || unsafe { original::mkstemp(template) })
}

pub(crate) extern "C" fn mkstemps(template: u64, suffix: u64) -> u64 {
    // SAFETY: as above.
    made(Call::mkstemps, template, is_negative, || unsafe { original::mkstemps(template, suffix) })
}

pub(crate) extern "C" fn mkostemp(template: u64, flags: u64) -> u64 {
    // SAFETY: as above.
    made(Call::mkostemp, template, is_negative, || unsafe { original::mkostemp(template, flags) })
}

pub(crate) extern "C" fn mkostemps(template: u64, suffix: u64, flags: u64) -> u64 {
    // SAFETY: as above.
    made(Call::mkostemps, template, is_negative, || unsafe { original::mkostemps(template, suffix, flags) })
}

pub(crate) extern "C" fn mkdtemp(template: u64) -> u64 {
    let is_null = |result| result == 0;
    // SAFETY: as above.
    made(Call::mkdtemp, template, is_null, || unsafe { original::mkdtemp(template) })
}

/// `sa_endpoints_t` of sys/socket.h.
#[repr(C)]
struct Endpoints {
    _interface: u32,
    _source: u64,
    _source_length: u32,
    destination: u64,
    destination_length: u32,
}

#[allow(clippy::too_many_arguments, reason = "as macOS has it")]
pub(crate) extern "C" fn connectx(
    fd: u64,
    endpoints: u64,
    association: u64,
    flags: u64,
    vector: u64,
    count: u64,
    length: u64,
    connection: u64,
) -> u64 {
    // SAFETY: the program's own call, as it made it.
    let result =
        unsafe { original::connectx(fd, endpoints, association, flags, vector, count, length, connection) };
    const EFAULT: i32 = 14;
    let error = KeptError::now();
    if let Some(guest) = active()
        && endpoints != 0
        && !(is_negative(result) && error.number() == EFAULT)
    {
        let endpoints: *const Endpoints = core::ptr::with_exposed_provenance(endpoints as usize);
        // SAFETY: the kernel has read it in the call that is just over.
        let endpoints = unsafe { endpoints.read_unaligned() };
        let length = u64::from(endpoints.destination_length);
        super::sockets::reached(guest, Call::connectx, endpoints.destination, length);
    }
    result
}

/// A function whose arguments are left open: what they are is told before, and then it is called with all that the caller left in
/// registers and on the stack, as if it had been called itself.
macro_rules! told_before {
    ($($name:ident $told:path;)*) => {
        $(
            #[allow(non_snake_case, reason = "as C has it")]
            #[unsafe(naked)]
            pub(crate) extern "C" fn $name() -> u64 {
                #[cfg(target_arch = "x86_64")]
                core::arch::naked_asm!(
                    "push rdi",
                    "push rsi",
                    "push rdx",
                    "push rcx",
                    "push r8",
                    "push r9",
                    "push rax",
                    "call {told}",
                    "pop rax",
                    "pop r9",
                    "pop r8",
                    "pop rcx",
                    "pop rdx",
                    "pop rsi",
                    "pop rdi",
                    "jmp {original}",
                    told = sym $told,
                    original = sym $crate::macos::by_hand::original::$name,
                );
                #[cfg(target_arch = "aarch64")]
                core::arch::naked_asm!(
                    "stp x29, x30, [sp, #-80]!",
                    "mov x29, sp",
                    "stp x0, x1, [sp, #16]",
                    "stp x2, x3, [sp, #32]",
                    "stp x4, x5, [sp, #48]",
                    "stp x6, x7, [sp, #64]",
                    "bl {told}",
                    "ldp x0, x1, [sp, #16]",
                    "ldp x2, x3, [sp, #32]",
                    "ldp x4, x5, [sp, #48]",
                    "ldp x6, x7, [sp, #64]",
                    "ldp x29, x30, [sp], #80",
                    "b {original}",
                    told = sym $told,
                    original = sym $crate::macos::by_hand::original::$name,
                );
            }
        )*
    };
}

pub(crate) use told_before;

told_before! {
    syscall bare_call;
    __syscall bare_call;
}

/// A system call made by its number, past all replacements: what it does is not known, but for a few that name no file.
extern "C" fn bare_call(number: u64) {
    /// `getpid`, `getuid`, `geteuid`, `kill`, `getegid`, `getgid`, `thread_selfid`, `getentropy` of sys/syscall.h.
    const HARMLESS: [u32; 8] = [20, 24, 25, 37, 43, 47, 372, 500];
    if let Some(guest) = active()
        && !HARMLESS.contains(&(number as u32))
    {
        let _error = KeptError::now();
        guest.gap(Gap::ForeignAbi);
    }
}
