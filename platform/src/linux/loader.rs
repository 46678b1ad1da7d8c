//! Finds the system calls of the program loader that touch nothing, so that the filter can let them through: `fstat` of each
//! library, which is a look at an open file (`newfstatat` of `""`), and `readlink` of `/proc/self/exe`, which `$LIB` in
//! LD_PRELOAD makes. They are a third of what reaches the net when a program starts.
//!
//! The filter cannot read a path, but it knows where the call is made, and where its path lies. Both are places in the
//! loader, a constant distance apart: where they are that, the path is the constant.

/// A call that touches nothing wherever it is made so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Silent {
    /// The number of the call.
    pub(super) number: u32,
    /// Its place in its page: the address at which the program goes on after it, modulo [`PAGE`].
    pub(super) place: u32,
    /// The lower half of what must be added to the address of the path to get that address.
    pub(super) distance: u32,
}

/// The size of a page, in bytes: what a module's address is a multiple of.
pub(super) const PAGE: u32 = 0x1000;

#[cfg(all(target_arch = "x86_64", target_env = "gnu"))]
pub(super) use glibc::find;

/// Elsewhere these calls go through the net.
#[cfg(not(all(target_arch = "x86_64", target_env = "gnu")))]
pub(super) fn find() -> &'static [Silent] {
    &[]
}

#[cfg(all(target_arch = "x86_64", target_env = "gnu"))]
mod glibc {
    use std::sync::OnceLock;

    use memchr::memmem;

    use super::{PAGE, Silent};
    use crate::os::module::{Segment, module_at};

    /// More than this would make the filter slow, and are no loader that is known.
    const MOST: usize = 4;

    /// The calls of this process's loader, on nearly every machine that of all programs; looked for once.
    pub(in super::super) fn find() -> &'static [Silent] {
        static FOUND: OnceLock<Vec<Silent>> = OnceLock::new();
        FOUND.get_or_init(|| {
            // SAFETY: it only looks into a table that the kernel made.
            match unsafe { libc::getauxval(libc::AT_BASE) } {
                0 => Vec::new(),
                base => silent(&module_at(base as usize)),
            }
        })
    }

    fn silent(loader: &[Segment]) -> Vec<Silent> {
        /// `lea distance(%rip), %rsi`, which makes the second argument.
        const SECOND: &[u8] = &[0x48, 0x8d, 0x35];
        /// The same for the first.
        const FIRST: &[u8] = &[0x48, 0x8d, 0x3d];
        let mut found = calls(loader, libc::SYS_newfstatat as u32, SECOND, b"\0");
        found.extend(calls(loader, libc::SYS_readlink as u32, FIRST, b"/proc/self/exe\0"));
        let few = found.len() <= MOST;
        if few { found } else { Vec::new() }
    }

    /// The calls of `number`, each with every `path` that code refers to by `lea`.
    fn calls(loader: &[Segment], number: u32, lea: &[u8], path: &[u8]) -> Vec<Silent> {
        let text = || loader.iter().filter(|segment| segment.executable).map(|segment| segment.bytes);
        let mut paths: Vec<usize> = text().flat_map(|text| targets(text, lea)).collect();
        paths.retain(|&address| at(loader, address).is_some_and(|bytes| bytes.starts_with(path)));
        paths.sort_unstable();
        paths.dedup();
        let mut found = Vec::new();
        for after in text().flat_map(|text| ends(text, number)) {
            found.extend(paths.iter().map(|path| Silent {
                number,
                place: after as u32 % PAGE,
                distance: after.wrapping_sub(*path) as u32,
            }));
        }
        found
    }

    /// Where the program goes on after each system call that follows a `mov $number, %eax`.
    fn ends(text: &[u8], number: u32) -> impl Iterator<Item = usize> {
        const MOV_TO_EAX: u8 = 0xb8;
        const SYSCALL: &[u8] = &[0x0f, 0x05];
        /// The compiler puts other instructions between the two.
        const NEAR: usize = 64;
        let mut mov = [MOV_TO_EAX, 0, 0, 0, 0];
        mov[1..].copy_from_slice(&number.to_le_bytes());
        let starts: Vec<_> = memmem::find_iter(text, &mov).map(|at| at + mov.len()).collect();
        starts.into_iter().filter_map(|start| {
            let near = &text[start..text.len().min(start + NEAR)];
            let end = start + memmem::find(near, SYSCALL)? + SYSCALL.len();
            Some(text.as_ptr() as usize + end)
        })
    }

    /// What each `lea` refers to.
    fn targets(text: &[u8], lea: &[u8]) -> Vec<usize> {
        let target = |at: usize| {
            let end = at + lea.len() + 4;
            let distance = i32::from_le_bytes(text.get(end - 4..end)?.try_into().ok()?);
            Some((text.as_ptr() as usize + end).wrapping_add_signed(distance as isize))
        };
        memmem::find_iter(text, lea).filter_map(target).collect()
    }

    /// The constant bytes from `address` on.
    fn at(loader: &[Segment], address: usize) -> Option<&'static [u8]> {
        loader
            .iter()
            .find_map(|segment| segment.bytes.get(address.checked_sub(segment.bytes.as_ptr() as usize)?..))
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn the_loader_looks_at_open_files_and_at_its_program() {
            let found = find();
            for number in [libc::SYS_newfstatat, libc::SYS_readlink] {
                assert!(found.iter().any(|silent| silent.number == number as u32), "{number} in {found:?}");
            }
        }
    }
}
