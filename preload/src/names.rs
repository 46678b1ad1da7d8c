//! The names that a program passes, read only as far as the kernel has read them, and which of them must not be believed.

use core::ptr;

use shm_protocol::path::{self, Joined, Step};

/// The longest path the kernel takes, with its NUL.
pub(crate) const PATH_MAX: usize = 4096;

/// The string at `address` without its NUL; `None` if it is as long as no path can be.
///
/// # Safety
/// The kernel must have read the string, in a call that is just over. (A thread that changes it meanwhile could let us
/// read on: at most [`PATH_MAX`] bytes.)
pub(crate) unsafe fn string_at<'a>(address: u64) -> Option<&'a [u8]> {
    const LOW: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let start: *const u8 = ptr::with_exposed_provenance(address as usize);
    let into_word = address as usize % 8;
    let mut word = start.wrapping_sub(into_word).cast::<u64>();
    // The bytes before the string count as not NUL.
    let mut ignored = (1_u64 << (8 * into_word)).wrapping_sub(1);
    let mut length = (into_word as isize).wrapping_neg();
    while length < PATH_MAX as isize {
        // SAFETY: an aligned word lies on one page, and this one holds a byte of the string, which is readable up to its
        // NUL or for `PATH_MAX` bytes.
        let bytes = unsafe { word.read_volatile() } | ignored;
        let zeros = bytes.wrapping_sub(LOW) & !bytes & HIGH;
        if zeros != 0 {
            let length = length.wrapping_add(zeros.trailing_zeros() as isize / 8) as usize;
            // SAFETY: exactly the bytes just read.
            return (length < PATH_MAX).then(|| unsafe { core::slice::from_raw_parts(start, length) });
        }
        ignored = 0;
        word = word.wrapping_add(1);
        length = length.wrapping_add(8);
    }
    None
}

/// Whether a path leads through a link that the kernel makes up and that means something else in every process:
/// `/proc/self/fd/3`, `/proc/self/cwd/x`, `/dev/stdin`. The path alone does not say what was touched.
pub(crate) fn is_magic(path: Joined<'_>) -> bool {
    let absolute = if path.directory.is_empty() { path.name } else { path.directory };
    if is_plain(path.name) && !absolute.starts_with(b"/proc") && !absolute.starts_with(b"/dev") {
        return false;
    }
    let mut depth = 0_usize;
    let (mut in_proc, mut in_dev, mut dev_link) = (false, false, false);
    for part in [path.directory, path.name] {
        path::normalize(part, |step| match step {
            Step::Up => depth = depth.saturating_sub(1),
            Step::Into(name) => {
                match depth {
                    0 => (in_proc, in_dev) = (name == b"proc", name == b"dev"),
                    1 => dev_link = name == b"fd" || name.starts_with(b"std"),
                    _ => {}
                }
                depth = depth.wrapping_add(1);
            }
        });
    }
    depth > 1 && (in_proc || in_dev && dev_link)
}

/// Whether a name surely has no `.`, `..` or empty component, as nearly all have none.
fn is_plain(name: &[u8]) -> bool {
    let mut before = b'-';
    for &byte in name {
        if before == b'/' && matches!(byte, b'.' | b'/') {
            return false;
        }
        before = byte;
    }
    name.first() != Some(&b'.')
}
