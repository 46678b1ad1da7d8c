//! What tracerun needs of an operating system, under the same names on each: running a command traced, and
//! the facts about files that the standard library does not give portably.

pub mod fifo;
pub mod files;
pub mod macho;
pub mod tracing;

#[cfg_attr(target_os = "linux", path = "linux/mod.rs")]
#[cfg_attr(target_os = "macos", path = "macos/mod.rs")]
#[cfg_attr(windows, path = "windows/mod.rs")]
#[cfg_attr(not(any(target_os = "linux", target_os = "macos", windows)), path = "unsupported.rs")]
mod os;

/// Here rather than in `macos/mod.rs`, so that it is tested where tests run.
#[cfg(any(target_os = "macos", test))]
#[path = "macos/answers.rs"]
mod answers;

pub mod process;
pub mod relay;
pub mod terminal;
