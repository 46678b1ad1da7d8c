//! What of ntdll's types and numbers is used here (winternl.h, wdm.h; documented at learn.microsoft.com).

use core::ffi::c_void;

pub(crate) use crate::inject::{Handle, Status, THIS_PROCESS, function};

/// `STATUS_ACCESS_VIOLATION`: an argument points nowhere.
pub(crate) const ACCESS_VIOLATION: Status = 0xc000_0005_u32 as i32;
/// `STATUS_DATATYPE_MISALIGNMENT`.
pub(crate) const MISALIGNED: Status = 0x8000_0002_u32 as i32;
/// `STATUS_NO_SUCH_FILE`: no entry matches.
pub(crate) const NO_SUCH_FILE: Status = 0xc000_000f_u32 as i32;
/// `STATUS_OBJECT_NAME_NOT_FOUND`.
pub(crate) const NAME_NOT_FOUND: Status = 0xc000_0034_u32 as i32;
/// `STATUS_OBJECT_PATH_NOT_FOUND`.
pub(crate) const PATH_NOT_FOUND: Status = 0xc000_003a_u32 as i32;
/// `STATUS_NOT_IMPLEMENTED`: answered for what is called without being there.
pub(crate) const NOT_IMPLEMENTED: Status = 0xc000_0002_u32 as i32;

/// `UNICODE_STRING`.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct UnicodeString {
    /// In bytes.
    pub(crate) length: u16,
    pub(crate) maximum: u16,
    pub(crate) buffer: *const u16,
}

/// `OBJECT_ATTRIBUTES`.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct ObjectAttributes {
    pub(crate) length: u32,
    pub(crate) root: Handle,
    pub(crate) name: *const UnicodeString,
    pub(crate) attributes: u32,
    pub(crate) security: *const c_void,
    pub(crate) quality: *const c_void,
}

/// `FILE_BASIC_INFORMATION`.
#[repr(C)]
#[derive(Default)]
pub(crate) struct BasicInformation {
    pub(crate) times: [i64; 4],
    pub(crate) attributes: u32,
}
