//! The watched calls: one table says what each means, every observer is derived from it.

pub mod linux;
mod meaning;
pub mod windows;

#[cfg(not(windows))]
pub use linux::Call;
#[cfg(windows)]
pub use windows::Call;

pub use meaning::{Meaning, Name, Needs, Touch};
