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
    use std::sync::OnceLock;

    use memchr::memmem;
    use shm_protocol::calls::Call;

    use super::CallSite;
    use crate::os::abi::watched;
    use crate::os::module::module_at;

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
            let segments = module_at(anchor);
            let text = segments.iter().find(|segment| segment.executable);
            text.map_or_else(Vec::new, |text| sites(text.bytes, anchor))
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
