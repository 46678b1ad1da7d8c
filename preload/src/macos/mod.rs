//! macOS: the library takes the place of libSystem's functions by dyld's interposing, and sees all that is ever seen there.
//!
//! There is no net. What goes past libSystem's functions goes unseen, and what libSystem's parts call of each other may: no trace
//! of macOS is complete by itself, see ARCHITECTURE.md.

mod by_hand;
mod interpose;
mod observe;
mod programs;
mod session;
mod sockets;
pub(crate) mod system;
