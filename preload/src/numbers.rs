//! The number of each watched call, under the name that the table uses.

#![allow(non_upper_case_globals, reason = "the names are those of the table")]

macro_rules! define {
    ($($(#[$where:meta])* $name:ident $number:ident ($($argument:ident),*) = $meaning:expr;)*) => {
        $(
            $(#[$where])*
            #[allow(dead_code, reason = "not every call that is watched is one that a function makes")]
            pub(crate) const $name: u32 = linux_raw_sys::general::$number;
        )*
    };
}

shm_protocol::watched_calls!(define);
