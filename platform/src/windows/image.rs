//! The guest's image, a DLL, as it is in memory: laid out and relocated, without a loader.

use std::ops::Range;

/// A laid-out image.
pub(super) struct Image {
    pub(super) bytes: Vec<u8>,
    /// Where its code is.
    pub(super) code: Range<usize>,
    exports: usize,
}

/// What is read from an image that is none, or of another machine.
fn malformed() -> std::io::Error {
    std::io::Error::new(std::io::ErrorKind::InvalidData, "the library is damaged")
}

fn number<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}

fn word(bytes: &[u8], at: usize) -> Option<usize> {
    number(bytes, at).map(|bytes| u32::from_le_bytes(bytes) as usize)
}

impl Image {
    /// Lays out the DLL in `file` for the address `base`.
    ///
    /// # Errors
    /// It is no 64-bit DLL that needs no other.
    pub(super) fn lay_out(file: &[u8], base: u64) -> std::io::Result<Self> {
        Self::try_lay_out(file, base).ok_or_else(malformed)
    }

    fn try_lay_out(file: &[u8], base: u64) -> Option<Self> {
        // Offsets from the PE format's documentation: the optional header of PE32+ follows the file header.
        let header = word(file, 0x3c)?;
        let sections = u16::from_le_bytes(number(file, header + 6)?);
        let optional = header + 24;
        if number(file, header)? != *b"PE\0\0" || number(file, optional)? != [0x0b, 0x02] {
            return None;
        }
        let preferred = u64::from_le_bytes(number(file, optional + 24)?);
        let mut bytes = vec![0; word(file, optional + 56)?];
        let directory = |index: usize| {
            let at = optional + 112 + 8 * index;
            Some((word(file, at)?, word(file, at + 4)?))
        };
        let table = optional + usize::from(u16::from_le_bytes(number(file, header + 20)?));
        let mut code = None;
        for section in 0..usize::from(sections) {
            let at = table + 40 * section;
            let (length, address) = (word(file, at + 8)?, word(file, at + 12)?);
            let (raw, from) = (word(file, at + 16)?, word(file, at + 20)?);
            let count = length.min(raw);
            bytes.get_mut(address..)?.get_mut(..count)?.copy_from_slice(file.get(from..)?.get(..count)?);
            if file.get(at..)?.starts_with(b".text") {
                code = Some(address..address + length);
            }
        }
        let (mut block, length) = directory(5)?;
        let end = block + length;
        while block + 8 <= end {
            let (page, size) = (word(&bytes, block)?, word(&bytes, block + 4)?);
            if size < 8 {
                return None;
            }
            for at in (block + 8..block + size).step_by(2) {
                let entry = usize::from(u16::from_le_bytes(number(&bytes, at)?));
                let place = page + (entry & 0xfff);
                match entry >> 12 {
                    0 => {}
                    10 => {
                        let address = u64::from_le_bytes(number(&bytes, place)?);
                        let moved = address.wrapping_sub(preferred).wrapping_add(base);
                        bytes[place..place + 8].copy_from_slice(&moved.to_le_bytes());
                    }
                    _ => return None,
                }
            }
            block += size;
        }
        Some(Self { bytes, code: code?, exports: directory(0)?.0 })
    }

    /// Where in the image an exported name is.
    pub(super) fn export(&self, name: &str) -> std::io::Result<usize> {
        let find = || {
            let bytes = &self.bytes;
            let count = word(bytes, self.exports + 24)?;
            let (addresses, names, ordinals) = (
                word(bytes, self.exports + 28)?,
                word(bytes, self.exports + 32)?,
                word(bytes, self.exports + 36)?,
            );
            let index = (0..count).find(|index| {
                let text = word(bytes, names + 4 * index).and_then(|at| bytes.get(at..));
                text.is_some_and(|text| {
                    text.strip_prefix(name.as_bytes()).is_some_and(|rest| rest.first() == Some(&0))
                })
            })?;
            let ordinal = usize::from(u16::from_le_bytes(number(bytes, ordinals + 2 * index)?));
            word(bytes, addresses + 4 * ordinal)
        };
        find().ok_or_else(malformed)
    }

    /// Writes into the image.
    pub(super) fn write(&mut self, at: usize, bytes: &[u8]) -> std::io::Result<()> {
        let place = self.bytes.get_mut(at..).and_then(|rest| rest.get_mut(..bytes.len()));
        place.ok_or_else(malformed)?.copy_from_slice(bytes);
        Ok(())
    }

    /// The 64-bit number at a place.
    pub(super) fn number(&self, at: usize) -> std::io::Result<u64> {
        number(&self.bytes, at).map(u64::from_le_bytes).ok_or_else(malformed)
    }
}
