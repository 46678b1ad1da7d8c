//! Names as Windows has them, UTF-16 with backslashes, written as the bytes of paths: WTF-8 with slashes.

use core::mem::MaybeUninit;

use shm_protocol::calls::windows::Needed;

use crate::needed;
use crate::nt::{Handle, ObjectAttributes, Status, UnicodeString, function};
use crate::report::{CONSOLE_DEVICE, NAMED_PIPE, device_of};

/// Bytes that a name may have: as many as a record carries of a path.
const MOST: usize = 2 * 4096;

/// Units of a name that is asked for by itself.
pub(crate) const LONGEST: usize = 2048;

/// A name in the making.
pub(crate) struct Name {
    bytes: [MaybeUninit<u8>; MOST],
    length: usize,
    is_whole: bool,
    is_no_file: bool,
}

impl Name {
    pub(crate) const fn new() -> Self {
        Self { bytes: [MaybeUninit::uninit(); MOST], length: 0, is_whole: true, is_no_file: false }
    }

    /// The bytes, unless some were lost or there are none.
    pub(crate) fn bytes(&self) -> Option<&[u8]> {
        let bytes = self.bytes.get(..self.length).filter(|bytes| self.is_whole && !bytes.is_empty())?;
        // SAFETY: `push` has written the first `length` bytes.
        Some(unsafe { &*(&raw const *bytes as *const [u8]) })
    }

    /// How many bytes there are.
    pub(crate) fn length(&self) -> usize {
        self.length
    }

    /// Takes back what was appended after the first `length` bytes.
    pub(crate) fn truncate(&mut self, length: usize) {
        self.length = self.length.min(length);
    }

    /// Whether it is known to name no file.
    pub(crate) fn is_no_file(&self) -> bool {
        self.is_no_file
    }

    /// The bytes, as far as there was room.
    pub(crate) fn what_fits(&self) -> &[u8] {
        let bytes = self.bytes.get(..self.length).unwrap_or_default();
        // SAFETY: as above.
        unsafe { &*(&raw const *bytes as *const [u8]) }
    }

    pub(crate) fn push(&mut self, byte: u8) {
        match self.bytes.get_mut(self.length) {
            Some(place) => {
                place.write(byte);
                self.length = self.length.wrapping_add(1);
            }
            None => self.is_whole = false,
        }
    }

    /// Appends `count` units of UTF-16 at `text`.
    ///
    /// # Safety
    /// They can be read.
    pub(crate) unsafe fn push_units(&mut self, text: *const u16, count: usize, separator: u8) {
        let mut high = None;
        for index in 0..count {
            // SAFETY: within what the caller vouches for; Windows aligns no text that it packs into a structure.
            let unit = u32::from(unsafe { text.wrapping_add(index).read_unaligned() });
            if let Some(first) = high.take() {
                if unit & 0xfc00 == 0xdc00 {
                    self.push_code(0x10000_u32.wrapping_add((first & 0x3ff) << 10 | unit & 0x3ff));
                    continue;
                }
                self.push_code(first);
            }
            match unit {
                0x5c => self.push(separator),
                _ if unit & 0xfc00 == 0xd800 => high = Some(unit),
                _ => self.push_code(unit),
            }
        }
        if let Some(first) = high {
            self.push_code(first);
        }
    }

    /// Writes the name to `units` as Windows has it; says how many there are, or `None` where there is no room.
    pub(crate) fn units(&self, units: &mut [u16; LONGEST]) -> Option<usize> {
        let (mut bytes, mut count) = (self.bytes()?, 0_usize);
        let mut put = |unit: u32| -> Option<()> {
            *units.get_mut(count)? = unit as u16;
            count = count.wrapping_add(1);
            Some(())
        };
        while let Some((&first, mut rest)) = bytes.split_first() {
            let (mut code, more) = match first {
                b'/' => (u32::from(b'\\'), 0),
                0..0x80 => (u32::from(first), 0),
                0x80..0xe0 => (u32::from(first & 0x1f), 1),
                0xe0..0xf0 => (u32::from(first & 0x0f), 2),
                _ => (u32::from(first & 0x07), 3),
            };
            for _ in 0..more {
                let (&next, behind) = rest.split_first()?;
                code = code << 6 | u32::from(next & 0x3f);
                rest = behind;
            }
            bytes = rest;
            match code.checked_sub(0x1_0000) {
                None => put(code)?,
                Some(above) => {
                    put(0xd800 | above >> 10)?;
                    put(0xdc00 | above & 0x3ff)?;
                }
            }
        }
        Some(count)
    }

    fn push_code(&mut self, code: u32) {
        let tail = |shift: u32| 0x80 | (code >> shift & 0x3f) as u8;
        match code {
            0..0x80 => self.push(code as u8),
            0x80..0x800 => {
                self.push(0xc0 | (code >> 6) as u8);
                self.push(tail(0));
            }
            0x800..0x1_0000 => {
                self.push(0xe0 | (code >> 12) as u8);
                self.push(tail(6));
                self.push(tail(0));
            }
            _ => {
                self.push(0xf0 | (code >> 18) as u8);
                self.push(tail(12));
                self.push(tail(6));
                self.push(tail(0));
            }
        }
    }

    /// Appends a counted string with its backslashes turned.
    ///
    /// # Safety
    /// It can be read.
    pub(crate) unsafe fn push_string(&mut self, string: UnicodeString) {
        // SAFETY: as the caller says.
        unsafe { self.push_units(string.buffer, usize::from(string.length / 2), b'/') }
    }

    /// Appends the name of what an open handle is of; says whether it has one.
    pub(crate) fn push_handle(&mut self, handle: Handle) -> bool {
        /// `ObjectNameInformation`.
        const NAME: u32 = 1;
        type Query = unsafe extern "system" fn(Handle, u32, *mut NameOfObject, u32, *mut u32) -> Status;
        #[repr(C)]
        struct NameOfObject {
            name: MaybeUninit<UnicodeString>,
            text: [MaybeUninit<u16>; MOST / 2],
        }
        let mut object =
            NameOfObject { name: MaybeUninit::uninit(), text: [MaybeUninit::uninit(); MOST / 2] };
        let Some(query) = function!(needed(Needed::NtQueryObject), Query) else { return false };
        let mut length = 0;
        let size = size_of::<NameOfObject>() as u32;
        // SAFETY: the system writes no more than `size` bytes to `object`.
        let status = unsafe { query(handle, NAME, &raw mut object, size, &raw mut length) };
        if status < 0 {
            return false;
        }
        // SAFETY: the call has succeeded, so the string is there, and points to the text behind it.
        let name = unsafe { object.name.assume_init() };
        if name.length == 0 {
            return false;
        }
        // SAFETY: as above.
        unsafe { self.push_string(name) };
        true
    }

    /// Appends the path that `attributes` name: a whole one, or one relative to an open directory.
    ///
    /// # Safety
    /// They can be read, as what a call succeeded with can, or failed with for another reason.
    pub(crate) unsafe fn push_attributes(&mut self, attributes: *const ObjectAttributes) {
        if attributes.is_null() {
            return;
        }
        // SAFETY: as the caller says.
        let attributes = unsafe { attributes.read_unaligned() };
        if attributes.root != 0 && !self.push_handle(attributes.root) {
            // A console's parts are named from it.
            self.is_no_file = matches!(device_of(attributes.root), Some(NAMED_PIPE | CONSOLE_DEVICE));
            self.is_whole = false;
        }
        if attributes.name.is_null() {
            return;
        }
        // SAFETY: as above.
        let name = unsafe { attributes.name.read_unaligned() };
        if attributes.root != 0 && name.length > 0 {
            self.push(b'/');
        }
        // SAFETY: as above.
        unsafe { self.push_string(name) };
    }
}
