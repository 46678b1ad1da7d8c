//! Finds where libc makes system calls of its own (in `fopen`, `realpath`, `readdir` …), so that the library can bring them
//! onto its fast way.
//!
//! They are looked for in the libc that tracerun itself runs with, which on nearly every machine is that of the traced programs.
//! Where it is another one, what the library finds at these places differs, and it leaves them alone.

use shm_protocol::ring::CallSite;

#[cfg(all(target_arch = "x86_64", target_env = "gnu"))]
pub(super) use glibc::find;

/// Elsewhere libc's own calls go through the net.
#[cfg(not(all(target_arch = "x86_64", target_env = "gnu")))]
pub(super) fn find() -> &'static [CallSite] {
    &[]
}

#[cfg(all(target_arch = "x86_64", target_env = "gnu"))]
mod glibc {
    use std::ffi::c_void;
    use std::sync::OnceLock;

    use memchr::memmem;
    use shm_protocol::calls::Call;

    use super::CallSite;
    use crate::os::abi::watched;

    /// The calls that are worth it: programs make thousands of them by way of other functions. Each page that holds one of
    /// their sites is copied in every process.
    const HOT: &[Call] = &[
        Call::open,
        Call::openat,
        Call::newfstatat,
        Call::statx,
        Call::access,
        Call::faccessat,
        Call::faccessat2,
        Call::readlink,
        Call::readlinkat,
        Call::getdents64,
    ];

    /// The call sites of this process's libc; looked for once.
    pub(in super::super) fn find() -> &'static [CallSite] {
        static FOUND: OnceLock<Vec<CallSite>> = OnceLock::new();
        FOUND.get_or_init(|| {
            let anchor = libc::__errno_location as *const () as usize;
            text_around(anchor).map_or_else(Vec::new, |text| sites(text, anchor))
        })
    }

    /// `mov $number, %eax; syscall`, in seven bytes.
    fn sites(text: &[u8], anchor: usize) -> Vec<CallSite> {
        const SYSCALL: &[u8] = &[0x0f, 0x05];
        const MOV_TO_EAX: u8 = 0xb8;
        let site = |end: usize| {
            let &[MOV_TO_EAX, a, b, c, d] = text.get(end.checked_sub(5)?..end)? else { return None };
            let number = u32::from_le_bytes([a, b, c, d]);
            let offset = (text.as_ptr() as usize + end - 5).wrapping_sub(anchor) as isize;
            let hot = HOT.contains(&watched(number)?);
            hot.then_some(CallSite { offset: i32::try_from(offset).ok()?, number })
        };
        memmem::find_iter(text, SYSCALL).filter_map(site).collect()
    }

    /// The executable segment that holds `address`.
    fn text_around(address: usize) -> Option<&'static [u8]> {
        struct Search {
            address: usize,
            found: Option<&'static [u8]>,
        }
        unsafe extern "C" fn look(info: *mut libc::dl_phdr_info, _: usize, search: *mut c_void) -> i32 {
            // SAFETY: `dl_iterate_phdr` passes a valid entry.
            let info = unsafe { &*info };
            // SAFETY: the pointer given to `dl_iterate_phdr` below, which nobody else uses meanwhile.
            let search = unsafe { &mut *search.cast::<Search>() };
            // SAFETY: the loader keeps the program headers of what is loaded at this address, as many as it says.
            let headers = unsafe { std::slice::from_raw_parts(info.dlpi_phdr, usize::from(info.dlpi_phnum)) };
            for header in headers {
                let start = info.dlpi_addr as usize + header.p_vaddr as usize;
                let length = header.p_memsz as usize;
                let is_text = header.p_type == libc::PT_LOAD
                    && header.p_flags & (libc::PF_X | libc::PF_R) == libc::PF_X | libc::PF_R;
                if is_text && (start..start + length).contains(&search.address) {
                    let text = std::ptr::with_exposed_provenance(start);
                    // SAFETY: a readable segment of libc, which is never unloaded and whose text nobody writes to.
                    search.found = Some(unsafe { std::slice::from_raw_parts(text, length) });
                    return 1;
                }
            }
            0
        }
        let mut search = Search { address, found: None };
        // SAFETY: the callback as it is wanted, and data that outlive the call.
        unsafe { libc::dl_iterate_phdr(Some(look), (&raw mut search).cast()) };
        search.found
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn libc_opens_and_looks_by_itself() {
            let found = find();
            for name in [Call::openat, Call::newfstatat, Call::readlink, Call::getdents64] {
                assert!(found.iter().any(|site| watched(site.number) == Some(name)), "{name:?} in {found:?}");
            }
        }

        #[test]
        fn a_site_is_told_by_its_bytes() {
            let text =
                [0x90, 0xb8, 0x01, 0x01, 0, 0, 0x0f, 0x05, 0xb8, 0xff, 0xff, 0, 0, 0x0f, 0x05, 0x0f, 0x05];
            let anchor = text.as_ptr() as usize + 10;
            assert_eq!(sites(&text, anchor), [CallSite { offset: -9, number: 257 }]);
        }
    }
}
