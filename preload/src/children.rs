//! The making, changing and ending of processes.

use core::ptr;
use core::sync::atomic::{AtomicPtr, AtomicU32, Ordering};

use linux_raw_sys::errno::{E2BIG, EACCES, ENOENT, ENOSYS, ENOTDIR};
use linux_raw_sys::general::{
    __NR_execve, __NR_execveat, CLD_DUMPED, CLD_KILLED, CLONE_THREAD, CLONE_VM, SIGCHLD, WNOWAIT,
};
use shm_protocol::record::Event;

use crate::environment::{self, Environment};
use crate::guest;
use crate::next::Next;
use crate::syscall::{self, syscall, to_c};

/// Counts vforks where there is no session.
static UNREAD: AtomicU32 = AtomicU32::new(0);

/// The number of children by vfork that have neither executed a program nor ended.
///
/// Such a child runs in the memory of its parent: what it wrote there, about its working directory for one, its parent would
/// take for its own. So while there is one, all calls of all threads are left to the net ([`guest::active`]). The
/// child changes nothing itself: the count goes up before it begins, and down by the parent's hand, which the kernel
/// stops until the child is out of the memory. A child by a real fork, made meanwhile by another thread, has a memory of
/// its own, in which the count is wiped.
static VFORK_CHILDREN: AtomicPtr<AtomicU32> = AtomicPtr::new((&raw const UNREAD).cast_mut());

/// Makes `count` the number of children by vfork; none may be alive.
pub(crate) fn count_vforks_in(count: &'static AtomicU32) {
    VFORK_CHILDREN.store(ptr::from_ref(count).cast_mut(), Ordering::Release);
}

/// The child returns first, on this same stack, and overwrites the return address: it is kept in a register, as libc does.
#[cfg(target_arch = "x86_64")]
#[unsafe(naked)]
#[unsafe(no_mangle)]
extern "C" fn vfork() -> i32 {
    core::arch::naked_asm!(
        "sub rsp, 8",
        "call {settle}",
        "add rsp, 8",
        "pop rdi",
        "mov rsi, qword ptr [rip + {count}]",
        "lock inc dword ptr [rsi]",
        "mov eax, 58", // SYS_vfork
        "syscall",
        "push rdi",
        "test eax, eax",
        "jz 2f",
        "lock dec dword ptr [rsi]",
        "cmp rax, -4095",
        "jae 3f",
        "2:",
        "ret",
        "3:",
        "mov rdi, rax",
        "jmp {failed}",
        settle = sym guest::settle,
        count = sym VFORK_CHILDREN,
        failed = sym vfork_failed,
    )
}

/// The return address is in a register, where the child cannot overwrite it.
#[cfg(target_arch = "aarch64")]
#[unsafe(naked)]
#[unsafe(no_mangle)]
extern "C" fn vfork() -> i32 {
    core::arch::naked_asm!(
        "stp x29, x30, [sp, #-16]!",
        "bl {settle}",
        "ldp x29, x30, [sp], #16",
        "adrp x9, {count}",
        "ldr x9, [x9, :lo12:{count}]",
        "2:",
        "ldaxr w10, [x9]",
        "add w10, w10, #1",
        "stlxr w11, w10, [x9]",
        "cbnz w11, 2b",
        "mov x0, #0x4111", // CLONE_VM | CLONE_VFORK | SIGCHLD
        "mov x1, #0",
        "mov x2, #0",
        "mov x3, #0",
        "mov x4, #0",
        "mov x8, #220", // SYS_clone
        "svc 0",
        "cbz x0, 4f",
        "3:",
        "ldaxr w10, [x9]",
        "sub w10, w10, #1",
        "stlxr w11, w10, [x9]",
        "cbnz w11, 3b",
        "cmn x0, #4095",
        "b.cs {failed}",
        "4:",
        "ret",
        settle = sym guest::settle,
        count = sym VFORK_CHILDREN,
        failed = sym vfork_failed,
    )
}

/// glibc's other name for it.
#[unsafe(naked)]
#[unsafe(no_mangle)]
extern "C" fn __vfork() -> i32 {
    #[cfg(target_arch = "x86_64")]
    core::arch::naked_asm!("jmp {vfork}", vfork = sym vfork);
    #[cfg(target_arch = "aarch64")]
    core::arch::naked_asm!("b {vfork}", vfork = sym vfork);
}

extern "C" fn vfork_failed(result: isize) -> isize {
    to_c(result)
}

/// A child that shares our memory and is no thread would take this process's pid, seats and directories for its own: from
/// here on all is left to the net.
#[unsafe(no_mangle)]
extern "C" fn clone(
    function: u64,
    stack: u64,
    flags: u64,
    argument: u64,
    parent: u64,
    tls: u64,
    child: u64,
) -> isize {
    static NEXT: Next = Next::new(c"clone");
    if flags as u32 & (CLONE_VM | CLONE_THREAD) == CLONE_VM {
        guest::retire();
    }
    // SAFETY: the program asked for this call; beyond `argument` it may have passed nothing, and `clone` looks at the rest
    // only if the flags say so.
    c_int(unsafe { NEXT.call([function, stack, flags, argument, parent, tls, child]) })
}

/// What a function returned, or that this libc has none.
fn c_int(result: Option<u64>) -> isize {
    result.map_or_else(|| to_c(-(ENOSYS as isize)), |result| result as i32 as isize)
}

// ---- exec: the child must be given the library and the session. Never with the pass: the net sees every exec. ----
//
// execl, execlp and execle stay libc's: they are variadic, and where the environment was scrubbed the net sees the child.

/// Makes a call that passes on an environment. The environment must be as execve(2) wants it.
fn with_environment(environment: u64, make: impl Fn(u64) -> isize) -> isize {
    let Some(own) = guest::own() else {
        return make(environment);
    };
    let given: Environment = ptr::with_exposed_provenance(environment as usize);
    let result = own.with(given, &|environment| make(environment as u64));
    // Perhaps it was what we added that tipped it over.
    if result.unsigned_abs() == E2BIG as usize { make(environment) } else { result }
}

fn exec(environment: u64, make: impl Fn(u64) -> isize) -> isize {
    let result = with_environment(environment, make);
    let error = syscall::error(result).unwrap_or(0);
    // These the net foresees, and then announces no new program.
    let foreseen = matches!(error, ENOENT | ENOTDIR | EACCES);
    if let Some(guest) = guest::active()
        && guest.cookie != 0
        && !foreseen
    {
        let (_, pid) = guest.process();
        guest.send(pid, syscall::now_ns(), Event::ExecFailed);
    }
    to_c(result)
}

/// The kernel's result of a libc function.
fn from_c(result: Option<u64>) -> isize {
    match result {
        None => -(ENOSYS as isize),
        Some(result) if (result as i32) < 0 => -(syscall::errno() as isize),
        Some(result) => result as isize,
    }
}

#[unsafe(no_mangle)]
extern "C" fn execve(path: u64, argv: u64, environment: u64) -> isize {
    // SAFETY: the program asked for this call.
    exec(environment, |environment| unsafe { syscall(__NR_execve, [path, argv, environment, 0, 0], 0) })
}

#[unsafe(no_mangle)]
extern "C" fn execv(path: u64, argv: u64) -> isize {
    execve(path, argv, environment::current() as u64)
}

#[unsafe(no_mangle)]
extern "C" fn execveat(dir: u64, path: u64, argv: u64, environment: u64, flags: u64) -> isize {
    // SAFETY: the program asked for this call.
    exec(environment, |environment| unsafe {
        syscall(__NR_execveat, [dir, path, argv, environment, flags], 0)
    })
}

#[unsafe(no_mangle)]
extern "C" fn fexecve(fd: u64, argv: u64, environment: u64) -> isize {
    static NEXT: Next = Next::new(c"fexecve");
    exec(environment, |environment| {
        // SAFETY: the program asked for this call.
        from_c(unsafe { NEXT.call([fd, argv, environment]) })
    })
}

/// The search along `PATH` stays libc's.
#[unsafe(no_mangle)]
extern "C" fn execvpe(file: u64, argv: u64, environment: u64) -> isize {
    static NEXT: Next = Next::new(c"execvpe");
    exec(environment, |environment| {
        // SAFETY: the program asked for this call.
        from_c(unsafe { NEXT.call([file, argv, environment]) })
    })
}

#[unsafe(no_mangle)]
extern "C" fn execvp(file: u64, argv: u64) -> isize {
    execvpe(file, argv, environment::current() as u64)
}

/// libc's child runs in our memory, and opens and looks by itself what its file actions say.
fn while_vforking<T>(spawn: impl FnOnce() -> T) -> T {
    guest::settle();
    // SAFETY: points to a count that is never freed.
    let count = unsafe { &*VFORK_CHILDREN.load(Ordering::Acquire) };
    count.fetch_add(1, Ordering::SeqCst);
    let result = spawn();
    count.fetch_sub(1, Ordering::SeqCst);
    result
}

macro_rules! spawn {
    ($($function:ident, $name:literal;)*) => {
        $(
            /// Returns an error number, and leaves `errno` alone.
            #[unsafe(no_mangle)]
            extern "C" fn $function(pid: u64, path: u64, actions: u64, attributes: u64, argv: u64, environment: u64) -> isize {
                static NEXT: Next = Next::new($name);
                with_environment(environment, |environment| {
                    // SAFETY: the program asked for this call.
                    let spawn = || unsafe { NEXT.call([pid, path, actions, attributes, argv, environment]) };
                    while_vforking(spawn).map_or(ENOSYS as isize, |result| result as i32 as isize)
                })
            }
        )*
    };
}

spawn! {
    posix_spawn, c"posix_spawn";
    posix_spawnp, c"posix_spawnp";
}

// ---- wait: how a child ended is only known to its parent when a signal killed it. ----
//
// These are points at which a thread can be cancelled, which only libc's own functions can be; so those are called.

/// Calls one of them with a place for the status, and reports a death.
fn reap(status: u64, call: impl FnOnce(u64) -> Option<u64>) -> isize {
    let mut own = 0_i32;
    let place = if status == 0 { &raw mut own } else { ptr::with_exposed_provenance_mut(status as usize) };
    let child = c_int(call(place as u64));
    if child > 0 {
        // SAFETY: the kernel has just written it, since there is a child.
        let status = unsafe { place.read_unaligned() };
        // WIFSIGNALED: neither exited (0) nor stopped or continued (127).
        let signal = status & 0x7f;
        if signal != 0 && signal != 0x7f {
            report_death(child as u32, signal as u8);
        }
    }
    child
}

fn report_death(child: u32, signal: u8) {
    let Some(guest) = guest::active() else { return };
    let (_, pid) = guest.process();
    // In a pid namespace of its own it knows the child by another number than tracerun.
    if pid == syscall::own_pid() as u32 {
        guest.send(pid, syscall::now_ns(), Event::Killed { child, signal });
    }
}

macro_rules! waits {
    ($($function:ident $name:literal ($($argument:ident),*) fills $status:ident;)*) => {
        $(
            #[unsafe(no_mangle)]
            extern "C" fn $function($($argument: u64),*) -> isize {
                static NEXT: Next = Next::new($name);
                // SAFETY: the program asked for this call.
                reap($status, |$status| unsafe { NEXT.call([$($argument),*]) })
            }
        )*
    };
}

waits! {
    wait c"wait" (status) fills status;
    waitpid c"waitpid" (child, status, options) fills status;
    wait3 c"wait3" (status, options, usage) fills status;
    wait4 c"wait4" (child, status, options, usage) fills status;
}

/// The beginning of `siginfo_t` as waitid(2) fills it.
#[repr(C)]
#[derive(Clone, Copy)]
struct ChildInfo {
    signal: i32,
    errno: i32,
    code: i32,
    _hole: i32,
    pid: u32,
    user: u32,
    status: i32,
}

#[unsafe(no_mangle)]
extern "C" fn waitid(kind: u64, id: u64, info: u64, options: u64) -> isize {
    static NEXT: Next = Next::new(c"waitid");
    // SAFETY: the program asked for this call.
    let result = c_int(unsafe { NEXT.call([kind, id, info, options]) });
    if result == 0 && info != 0 && options as u32 & WNOWAIT == 0 {
        // SAFETY: waitid succeeded, so this is a `siginfo_t` that it has filled.
        let info = unsafe { ptr::with_exposed_provenance::<ChildInfo>(info as usize).read_unaligned() };
        if info.signal == SIGCHLD as i32 && matches!(info.code as u32, CLD_KILLED | CLD_DUMPED) {
            report_death(info.pid, info.status as u8);
        }
    }
    result
}
