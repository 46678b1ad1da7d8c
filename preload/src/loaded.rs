//! `dl_iterate_phdr(3)`, which lists the loaded libraries: ours comes last in it.
//!
//! gcc's AddressSanitizer ends a program whose list does not begin with its own library, so that its functions come first.
//! Ours before them do no harm: they call the next ones, or make a system call that it would only have looked on at.

use core::ffi::{CStr, c_char, c_int, c_void};
use core::mem::MaybeUninit;

use crate::environment::LIBRARY;
use crate::next::Next;

/// The beginning of `struct dl_phdr_info`; libc says how long the whole is.
#[repr(C)]
struct Info {
    address: usize,
    name: *const c_char,
}

type Callback = unsafe extern "C" fn(*const Info, usize, *mut c_void) -> c_int;

/// What the program asked for, and our own entry, kept back.
struct Pass {
    callback: Callback,
    data: *mut c_void,
    own: MaybeUninit<[u64; 16]>,
    /// Length of `own` in bytes; 0 until it was met.
    length: usize,
}

#[unsafe(no_mangle)]
extern "C" fn dl_iterate_phdr(callback: Callback, data: *mut c_void) -> c_int {
    static NEXT: Next = Next::new(c"dl_iterate_phdr");
    let mut pass = Pass { callback, data, own: MaybeUninit::uninit(), length: 0 };
    let (each, pass_data) = (each as Callback as usize as u64, &raw mut pass as u64);
    // SAFETY: libc's function with a callback as it wants it, and data that outlive the call.
    let result = unsafe { NEXT.call([each, pass_data]) }.unwrap_or(0) as c_int;
    if result != 0 || pass.length == 0 {
        return result;
    }
    // SAFETY: the program's callback with its data, and an entry as libc gave it to us; this library stays loaded.
    unsafe { callback(pass.own.as_ptr().cast(), pass.length, data) }
}

unsafe extern "C" fn each(info: *const Info, length: usize, pass: *mut c_void) -> c_int {
    // SAFETY: the data given by `dl_iterate_phdr` above, which nobody else uses meanwhile.
    let pass = unsafe { &mut *pass.cast::<Pass>() };
    // SAFETY: libc passes a valid entry.
    let name = unsafe { (*info).name };
    // SAFETY: a string, by the same contract.
    let is_own = !name.is_null() && unsafe { CStr::from_ptr(name) }.to_bytes().ends_with(LIBRARY);
    if is_own && length <= size_of_val(&pass.own) {
        // SAFETY: `length` bytes are there, and fit.
        unsafe { core::ptr::copy_nonoverlapping(info.cast::<u8>(), pass.own.as_mut_ptr().cast(), length) };
        pass.length = length;
        return 0;
    }
    // SAFETY: the program's callback with its data, and the entry as libc gave it.
    unsafe { (pass.callback)(info, length, pass.data) }
}
