//! No pseudo terminal is put before the terminal of this process: what the command prints goes straight there.

pub(crate) use super::unsupported::terminal::{columns, is_awaited, is_foreground, like};

/// There is no terminal whose size could follow.
pub(super) fn follow_size() {}
