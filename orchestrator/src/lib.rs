//! tracerun: runs a command, knows every file its process tree touched, and next time restores instead of running.

#![forbid(unsafe_code)]

pub mod stdio;
pub mod trace;
