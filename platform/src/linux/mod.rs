//! Linux: a seccomp filter with a supervisor, and the preload library as its fast path.

pub(crate) mod files;
pub(crate) mod inject;
pub(crate) mod read_marks;
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

mod abi;
mod address;
mod attributes;
mod call_sites;
mod copy;
mod filter;
mod guard;
mod interpreters;
mod judgement;
mod lives;
mod loader;
mod memory;
// Who reads code needs to know its machine.
#[cfg(all(target_arch = "x86_64", target_env = "gnu"))]
mod module;
mod net;
mod privileges;
mod ptrace;
mod ring;
mod roots;
mod seccomp;
mod server;
mod stub;
mod supervisor;
mod system;
mod target;
mod turns;
mod waiting;
