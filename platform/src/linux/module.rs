//! The segments of a module (libc, its loader) that this process has loaded.

use std::ffi::c_void;

/// A part of a module that nobody writes to.
pub(super) struct Segment {
    pub(super) bytes: &'static [u8],
    pub(super) executable: bool,
}

/// The constant segments of the module that is loaded around `address`, which must be one that is never unloaded.
pub(super) fn module_at(address: usize) -> Vec<Segment> {
    struct Search {
        address: usize,
        found: Vec<Segment>,
    }
    unsafe extern "C" fn look(info: *mut libc::dl_phdr_info, _: usize, search: *mut c_void) -> i32 {
        // SAFETY: `dl_iterate_phdr` passes a valid entry.
        let info = unsafe { &*info };
        // SAFETY: the pointer given to `dl_iterate_phdr` below, which nobody else uses meanwhile.
        let search = unsafe { &mut *search.cast::<Search>() };
        // SAFETY: the loader keeps the program headers of what is loaded at this address, as many as it says.
        let headers = unsafe { std::slice::from_raw_parts(info.dlpi_phdr, usize::from(info.dlpi_phnum)) };
        let loaded = || headers.iter().filter(|header| header.p_type == libc::PT_LOAD);
        let span = |header: &libc::Elf64_Phdr| {
            let start = info.dlpi_addr as usize + header.p_vaddr as usize;
            start..start + header.p_memsz as usize
        };
        if !loaded().any(|header| span(header).contains(&search.address)) {
            return 0;
        }
        for header in loaded() {
            if header.p_flags & (libc::PF_R | libc::PF_W) == libc::PF_R {
                let span = span(header);
                let start = std::ptr::with_exposed_provenance(span.start);
                // SAFETY: a readable segment of a module that is never unloaded, and that nobody writes to.
                let bytes = unsafe { std::slice::from_raw_parts(start, span.len()) };
                search.found.push(Segment { bytes, executable: header.p_flags & libc::PF_X != 0 });
            }
        }
        1
    }
    let mut search = Search { address, found: Vec::new() };
    // SAFETY: the callback as it is wanted, and data that outlive the call.
    unsafe { libc::dl_iterate_phdr(Some(look), (&raw mut search).cast()) };
    search.found
}
