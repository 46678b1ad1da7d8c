//! The watched calls: one table says what each means, every observer is derived from it.

pub mod linux;
pub mod macos;
mod meaning;
pub mod windows;

#[cfg(not(any(windows, target_os = "macos", calls_of_macos)))]
pub use linux::Call;
// The second is for whoever reads on another system what was written for macOS: `examples/macos_ring.rs`.
#[cfg(any(target_os = "macos", calls_of_macos))]
pub use macos::Call;
#[cfg(windows)]
pub use windows::Call;

pub use meaning::{Meaning, Name, Needs, Touch};
