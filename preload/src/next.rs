//! The function of the same name that the program would have called without the library.

use core::ffi::{CStr, c_char, c_void};
use core::sync::atomic::{AtomicUsize, Ordering};

/// The address of a function that this libc may not have; 0 then.
macro_rules! weak {
    ($name:literal) => {{
        let address: usize;
        #[cfg(target_arch = "x86_64")]
        // SAFETY: reads an entry of our own global offset table, which the loader has filled.
        unsafe {
            core::arch::asm!(
                concat!(".weak ", $name),
                concat!("mov {}, qword ptr [rip + ", $name, "@GOTPCREL]"),
                out(reg) address, options(nostack, readonly, pure, preserves_flags),
            );
        }
        #[cfg(target_arch = "aarch64")]
        // SAFETY: reads an entry of our own global offset table, which the loader has filled.
        unsafe {
            core::arch::asm!(
                concat!(".weak ", $name),
                concat!("adrp {0}, :got:", $name),
                concat!("ldr {0}, [{0}, :got_lo12:", $name, "]"),
                out(reg) address, options(nostack, readonly, pure, preserves_flags),
            );
        }
        address
    }};
}

pub(crate) use weak;

/// By what glibc (2.32 and later) says for its own use.
#[inline]
pub(crate) fn is_single_threaded() -> bool {
    let said: *const u8 = core::ptr::with_exposed_provenance(weak!("__libc_single_threaded"));
    // SAFETY: null, or the address of glibc's variable, a `char` that lives as long as libc.
    !said.is_null() && unsafe { said.read_volatile() } != 0
}

type Lookup = unsafe extern "C" fn(*mut c_void, *const c_char) -> usize;
type Open = unsafe extern "C" fn(*const c_char, i32) -> *mut c_void;

/// The next definition of a function, looked up upon its first use.
pub(crate) struct Next {
    name: &'static CStr,
    /// 0 until it is looked up.
    address: AtomicUsize,
}

impl Next {
    pub(crate) const fn new(name: &'static CStr) -> Self {
        Self { name, address: AtomicUsize::new(0) }
    }

    /// Calls it. `None` if there is none.
    ///
    /// # Safety
    /// The function must be one of C that takes integers and pointers only, and the arguments must be good for it. It gets
    /// zeros beyond its own arguments, which no function of C looks at.
    #[inline]
    pub(crate) unsafe fn call<const N: usize>(&self, given: [u64; N]) -> Option<u64> {
        type Function = unsafe extern "C" fn(u64, u64, u64, u64, u64, u64, u64) -> u64;
        let address = match self.address.load(Ordering::Relaxed) {
            0 => self.find()?,
            known => known,
        };
        let [a, b, c, d, e, f, g] = core::array::from_fn(|place| given.get(place).copied().unwrap_or(0));
        // SAFETY: the address of a function as the caller vouches.
        let function: Function = unsafe { core::mem::transmute::<usize, Function>(address) };
        // SAFETY: the caller's.
        Some(unsafe { function(a, b, c, d, e, f, g) })
    }

    #[cold]
    #[inline(never)]
    fn find(&self) -> Option<usize> {
        let address = find(self.name);
        self.address.store(address, Ordering::Relaxed);
        (address != 0).then_some(address)
    }
}

fn find(name: &CStr) -> usize {
    const RTLD_NEXT: usize = usize::MAX;
    let dlsym = weak!("dlsym");
    if dlsym != 0 {
        // SAFETY: the address of dlsym(3).
        let dlsym = unsafe { core::mem::transmute::<usize, Lookup>(dlsym) };
        // SAFETY: a good name; called from here, "next" is what comes after this library.
        return unsafe { dlsym(core::ptr::without_provenance_mut(RTLD_NEXT), name.as_ptr()) };
    }
    // Before glibc 2.34 dlsym was in libdl, which a program may do without; libc then had these for itself.
    let (open, lookup) = (weak!("__libc_dlopen_mode"), weak!("__libc_dlsym"));
    if open == 0 || lookup == 0 {
        return 0;
    }
    const RTLD_NOW_INSIDE_LIBC: i32 = 2 | 1 << 31;
    // SAFETY: the address of a function with dlopen's signature.
    let open = unsafe { core::mem::transmute::<usize, Open>(open) };
    // SAFETY: the address of a function with dlsym's signature.
    let lookup = unsafe { core::mem::transmute::<usize, Lookup>(lookup) };
    // SAFETY: a good name; libc is loaded, so this only counts a reference.
    let libc = unsafe { open(c"libc.so.6".as_ptr(), RTLD_NOW_INSIDE_LIBC) };
    if libc.is_null() {
        return 0;
    }
    // SAFETY: a good name and the handle just got.
    unsafe { lookup(libc, name.as_ptr()) }
}
