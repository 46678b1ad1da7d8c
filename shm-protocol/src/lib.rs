//! The vocabulary of tracerun and the shared memory through which traced processes report.
//!
//! `no_std`, no dependencies, no I/O: the preload library, which is a guest in other programs, and the
//! orchestrator both build on it.

#![cfg_attr(not(any(test, loom)), no_std)]

pub mod access;
pub mod calls;
#[cfg(not(loom))]
pub mod guest;
pub mod path;
pub mod record;
pub mod ring;
pub mod session;
mod sync;
