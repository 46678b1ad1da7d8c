//! macOS: the preload library in every process that loads it, by dyld's interposing, and a judgement of those that do not.

pub(crate) mod files;
pub(crate) mod inject;
pub(crate) mod terminal;
pub(crate) mod tracing;

#[path = "../unix/fifo.rs"]
pub(crate) mod fifo;
#[path = "../unix/origin.rs"]
pub(crate) mod origin;
#[path = "../unix/process.rs"]
pub(crate) mod process;
#[path = "../unix/relay.rs"]
pub(crate) mod relay;
#[path = "../unix/files.rs"]
mod unix_files;

mod attributes;
mod ring;
mod system;

#[path = "../unsupported.rs"]
mod unsupported;

pub(crate) use unsupported::read_marks;
