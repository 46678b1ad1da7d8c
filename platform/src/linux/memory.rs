//! Reading the memory of a traced process: what comes from there is a claim, not a fact.

use std::io::IoSliceMut;

use nix::sys::uio::{RemoteIoVec, process_vm_readv};
use nix::unistd::Pid;

use super::abi::Width;

/// Longest path that the kernel takes, with its NUL (`PATH_MAX`).
const PATH_MAX: usize = 4096;

/// The smallest page of any supported machine: reads never cross a boundary of it in one piece, since the
/// kernel refuses a piece of which any byte is unmapped.
const PAGE: u64 = 4096;

/// The memory of one thread's process.
#[derive(Clone, Copy)]
pub(super) struct Memory {
    thread: Pid,
}

/// Memory that could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// Nothing is mapped there: the call will fail with `EFAULT`.
    BadAddress,
    /// The system does not let us.
    Forbidden,
}

impl Memory {
    pub(super) fn of(thread: u32) -> Self {
        Self { thread: Pid::from_raw(thread as i32) }
    }

    /// Fills `buffer` from `address` on, as far as memory is mapped there, and returns how far.
    pub(super) fn read(self, address: u64, buffer: &mut [u8]) -> Result<usize, Unreadable> {
        let mut done = 0;
        while done < buffer.len() {
            let at = address.wrapping_add(done as u64);
            let piece = ((PAGE - at % PAGE) as usize).min(buffer.len() - done);
            let remote = [RemoteIoVec { base: at as usize, len: piece }];
            match process_vm_readv(
                self.thread,
                &mut [IoSliceMut::new(&mut buffer[done..done + piece])],
                &remote,
            ) {
                Ok(count) => done += count,
                Err(nix::errno::Errno::EFAULT) if done > 0 => break,
                Err(nix::errno::Errno::EFAULT) => return Err(Unreadable::BadAddress),
                Err(_) => return Err(Unreadable::Forbidden),
            }
        }
        Ok(done)
    }

    /// The 64-bit word at `address`.
    pub(super) fn word(self, address: u64) -> Result<u64, Unreadable> {
        let mut bytes = [0; 8];
        if self.read(address, &mut bytes)? < 8 {
            return Err(Unreadable::BadAddress);
        }
        Ok(u64::from_le_bytes(bytes))
    }

    /// The string at `address` without its NUL, appended to `text`. A string as long as a path can't be is cut
    /// at `PATH_MAX`: the kernel will answer `ENAMETOOLONG`.
    pub(super) fn string(self, address: u64, text: &mut Vec<u8>) -> Result<(), Unreadable> {
        let mut buffer = [0_u8; 256];
        let mut length = 0;
        while length < PATH_MAX {
            let at = address.wrapping_add(length as u64);
            // To the end of the page at first: most strings end before it.
            let piece = ((PAGE - at % PAGE) as usize).min(buffer.len());
            let count = self.read(at, &mut buffer[..piece])?;
            if let Some(end) = buffer[..count].iter().position(|&byte| byte == 0) {
                text.extend_from_slice(&buffer[..end]);
                return Ok(());
            }
            text.extend_from_slice(&buffer[..count]);
            length += count;
        }
        Ok(())
    }

    /// The strings of the NULL-terminated vector of pointers of this `width` at `address`, each with its NUL, as
    /// many as fit into `limit` bytes.
    pub(super) fn strings(self, address: u64, width: Width, limit: usize) -> Vec<u8> {
        const POINTERS: usize = 32;
        let mut text = Vec::new();
        let mut block = [0_u8; 8 * POINTERS];
        let block = &mut block[..POINTERS * width.bytes()];
        for start in (address..).step_by(block.len()) {
            let Ok(count) = self.read(start, block) else {
                break;
            };
            let pointers: Vec<u64> =
                width.words(&block[..count]).take_while(|&pointer| pointer != 0).collect();
            let heads = self.heads(&pointers);
            for (&pointer, head) in pointers.iter().zip(heads) {
                let before = text.len();
                let whole =
                    head.as_ref().and_then(|head| Some(&head[..head.iter().position(|&byte| byte == 0)?]));
                let read = match whole {
                    Some(string) => {
                        text.extend_from_slice(string);
                        Ok(())
                    }
                    None => self.string(pointer, &mut text),
                };
                if read.is_err() || text.len() >= limit {
                    text.truncate(before);
                    return text;
                }
                text.push(0);
            }
            if pointers.len() < POINTERS {
                break;
            }
        }
        text
    }

    /// The first bytes at each of the addresses, all by one call; `None` from the first on that could not be read.
    fn heads(self, addresses: &[u64]) -> impl Iterator<Item = Option<Vec<u8>>> {
        const HEAD: u64 = 64;
        let remote: Vec<RemoteIoVec> = addresses
            .iter()
            .map(|&at| RemoteIoVec { base: at as usize, len: HEAD.min(PAGE - at % PAGE) as usize })
            .collect();
        let mut bytes = vec![0_u8; remote.iter().map(|piece| piece.len).sum()];
        let count = process_vm_readv(self.thread, &mut [IoSliceMut::new(&mut bytes)], &remote).unwrap_or(0);
        let mut start = 0;
        remote.into_iter().map(move |piece| {
            let range = start..start + piece.len;
            start = range.end;
            (range.end <= count).then(|| bytes[range].to_vec())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own() -> Memory {
        Memory::of(std::process::id())
    }

    #[test]
    fn a_string_is_read_up_to_its_end() {
        for length in [0, 1, 255, 256, 257, 4095] {
            let text = [vec![b'x'; length], vec![0], vec![b'y'; 10]].concat();
            let mut read = Vec::new();
            assert_eq!(own().string(text.as_ptr() as u64, &mut read), Ok(()));
            assert_eq!(read.len(), length);
        }
    }

    #[test]
    fn a_bad_address_is_told_from_a_forbidden_process() {
        assert_eq!(own().string(8, &mut Vec::new()), Err(Unreadable::BadAddress));
        assert_eq!(Memory::of(u32::MAX >> 1).word(8), Err(Unreadable::Forbidden));
    }

    #[test]
    fn a_vector_of_strings_is_cut_at_its_limit() {
        let strings: Vec<std::ffi::CString> =
            ["cc", "-c", "a.c"].iter().map(|text| std::ffi::CString::new(*text).expect("no NUL")).collect();
        let mut pointers: Vec<u64> = strings.iter().map(|text| text.as_ptr() as u64).collect();
        pointers.push(0);
        assert_eq!(own().strings(pointers.as_ptr() as u64, Width::Eight, 1000), b"cc\0-c\0a.c\0");
        assert_eq!(own().strings(pointers.as_ptr() as u64, Width::Eight, 8), b"cc\0-c\0");
    }

    #[test]
    fn a_long_vector_of_long_strings_is_read_whole() {
        let strings: Vec<std::ffi::CString> =
            (0..100).map(|length| std::ffi::CString::new(vec![b'x'; length * 3]).expect("no NUL")).collect();
        let mut pointers: Vec<u64> = strings.iter().map(|text| text.as_ptr() as u64).collect();
        pointers.push(0);
        let expected: Vec<u8> =
            strings.iter().flat_map(std::ffi::CString::as_bytes_with_nul).copied().collect();
        assert_eq!(own().strings(pointers.as_ptr() as u64, Width::Eight, 1 << 20), expected);
        // What cannot be read ends it.
        pointers[50] = 8;
        let expected: Vec<u8> =
            strings[..50].iter().flat_map(std::ffi::CString::as_bytes_with_nul).copied().collect();
        assert_eq!(own().strings(pointers.as_ptr() as u64, Width::Eight, 1 << 20), expected);
    }
}
