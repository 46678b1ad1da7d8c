//! Linux: a seccomp filter with a supervisor, and the preload library as its fast path.

pub(crate) mod fifo;
pub(crate) mod files;
pub(crate) mod inject;
pub(crate) mod origin;
pub(crate) mod process;
pub(crate) mod read_marks;
pub(crate) mod relay;
pub(crate) mod terminal;
pub(crate) mod tracing;

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
mod target;
mod turns;
mod waiting;
