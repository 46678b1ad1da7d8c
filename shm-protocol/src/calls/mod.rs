//! The watched calls: one table says what each means, every observer is derived from it.

mod linux;
mod meaning;

pub use linux::Call;
pub use meaning::{Meaning, Name, Needs, Touch};
