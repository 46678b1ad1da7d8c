//! THE TABLE for Windows: one line per watched function of ntdll, and the functions there that watching takes.

/// Expands `$with!` with the watched functions. Each has a hook of the same name in `preload/windows/src/hooks.rs`.
#[macro_export]
macro_rules! watched_functions {
    ($with:ident) => {
        $with! {
            NtCreateFile,
            NtOpenFile,
            NtQueryAttributesFile,
            NtQueryFullAttributesFile,
            NtQueryInformationByName,
            NtQueryDirectoryFile,
            NtQueryDirectoryFileEx,
            NtSetInformationFile,
            NtDeleteFile,
            NtReadFile,
            NtDuplicateObject,
            NtDeviceIoControlFile,
            NtCreateUserProcess,
            NtTerminateProcess,
        }
    };
}

/// Expands `$with!` with the functions that the guest and whoever installs it call.
#[macro_export]
macro_rules! needed_functions {
    ($with:ident) => {
        $with! {
            NtAllocateVirtualMemory,
            NtDelayExecution,
            NtDuplicateObject,
            NtMapViewOfSection,
            NtProtectVirtualMemory,
            NtQueryInformationProcess,
            NtQueryObject,
            NtQueryPerformanceCounter,
            NtQueryVolumeInformationFile,
            NtReadVirtualMemory,
            NtResumeThread,
            NtSetEvent,
            NtWaitForSingleObject,
            NtWriteVirtualMemory,
        }
    };
}

macro_rules! define {
    ($enum:ident, $what:literal, $($name:ident,)*) => {
        #[doc = $what]
        #[allow(missing_docs, reason = "each is documented, or known, by its name")]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u16)]
        pub enum $enum {
            $($name,)*
        }

        impl $enum {
            /// All of them, in the order of the table.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The name by which ntdll exports it.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)*
                }
            }

            /// The one with this wire value, its place in the table.
            #[must_use]
            pub const fn from_wire(value: u16) -> Option<Self> {
                if (value as usize) < Self::ALL.len() { Some(Self::ALL[value as usize]) } else { None }
            }
        }
    };
}

macro_rules! define_calls {
    ($($name:ident,)*) => { define!(Call, "A watched function.", $($name,)*); };
}

macro_rules! define_needed {
    ($($name:ident,)*) => { define!(Needed, "A function that watching takes.", $($name,)*); };
}

watched_functions!(define_calls);
needed_functions!(define_needed);

impl Call {
    /// Whether the call tells of extended attributes: of none of these is it known.
    #[must_use]
    pub const fn asks_for_attributes(self) -> bool {
        false
    }
}
