//! tracerun: runs a command, knows every file its process tree touched, and next time restores instead of running.

#![forbid(unsafe_code)]

pub mod archive;
pub mod bytes;
pub mod cache;
pub mod configuration;
pub mod declarations;
mod descriptors;
pub mod explain;
pub mod fingerprint;
pub mod footprint;
mod planted;
pub mod report;
pub mod run;
pub mod runner;
pub mod selection;
pub mod stdio;
pub mod task;
pub mod trace;
pub mod wire;
