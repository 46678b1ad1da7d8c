//! Windows: a guest in every process of a job, which takes the place of ntdll's functions that name files.

pub(crate) mod files;
pub(crate) mod inject;
pub(crate) mod process;
pub(crate) mod tracing;

mod holds;
mod image;
mod job;
mod names;
mod section;

/// The same code that the guest has to install itself in a child.
#[path = "../../../preload/windows/src/inject.rs"]
mod install;
#[path = "../unsupported.rs"]
mod unsupported;

pub(crate) use unsupported::{fifo, origin, read_marks, relay, terminal};
