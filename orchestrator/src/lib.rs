//! tracerun: runs a command, knows every file its process tree touched, and next time restores instead of running.
//!
//! A program that runs tasks begins with [`backend::Backend`]; `examples/task_graph.rs` is a whole task runner. What it says,
//! and the names in it, change only with the first number of the version that is not 0.

#![forbid(unsafe_code)]

pub mod archive;
pub mod backend;
pub mod bytes;
pub mod cache;
pub mod cancellation;
pub mod configuration;
pub mod declarations;
mod descriptors;
pub mod explain;
pub mod fingerprint;
pub mod footprint;
pub mod library;
mod planted;
pub mod remote;
pub mod report;
pub mod run;
pub mod runner;
pub mod selection;
pub mod stdio;
pub mod task;
pub mod toolchain;
pub mod trace;
pub mod watch;
pub mod wire;

pub use platform::tracing::{Background, CaptureChoice, IoUring};
pub use shm_protocol::access::AccessKind;
pub use shm_protocol::record::Exit;
