//! What takes the place of the watched functions: each makes the call itself and reports what it came to.

use core::ffi::c_void;
use core::mem::offset_of;

use shm_protocol::access::{AccessKind, Before, Effect, Gap, Outcome};
use shm_protocol::calls::windows::{Call, Needed};
use shm_protocol::record::{Event, Exit};

use crate::inject::Target;
use crate::names::{LONGEST, Name};
use crate::nt::{
    ACCESS_VIOLATION, BasicInformation, Handle, MISALIGNED, NAME_NOT_FOUND, NO_SUCH_FILE, NOT_IMPLEMENTED,
    ObjectAttributes, PATH_NOT_FOUND, Status, THIS_PROCESS, UnicodeString, function,
};
use crate::report::{self, Changed, begin_change, begin_look, change, gap, look};
use crate::{SESSION, needed, original};

/// The address of a hook.
#[repr(transparent)]
pub(crate) struct Hook(*const ());

// SAFETY: the address of code, which is never written to.
unsafe impl Sync for Hook {}

macro_rules! hooks {
    ($($name:ident,)*) => {
        /// The hooks, in the order of the table.
        #[unsafe(no_mangle)]
        pub(crate) static HOOKS: [Hook; Call::ALL.len()] = [$(Hook($name as *const ()),)*];
    };
}

shm_protocol::watched_functions!(hooks);

/// Declares the type of a watched function and calls it.
macro_rules! call_original {
    ($name:ident($($argument:expr => $type:ty),* $(,)?)) => {{
        type Function = unsafe extern "system" fn($($type),*) -> Status;
        match function!(original(Call::$name), Function) {
            // SAFETY: the program's own call, as it made it.
            Some(original) => unsafe { original($($argument),*) },
            None => NOT_IMPLEMENTED,
        }
    }};
}

const FILE_WRITE_DATA: u32 = 2;
const FILE_APPEND_DATA: u32 = 4;
const GENERIC_WRITE: u32 = 0x4000_0000;
const GENERIC_ALL: u32 = 0x1000_0000;
const MAXIMUM_ALLOWED: u32 = 0x0200_0000;
const FILE_READ_DATA: u32 = 1;
const FILE_READ_EA: u32 = 8;
const FILE_EXECUTE: u32 = 0x20;
const GENERIC_READ: u32 = 0x8000_0000;
const GENERIC_EXECUTE: u32 = 0x2000_0000;

/// What opens a file so that its content can be written.
const WRITES: u32 = FILE_WRITE_DATA | FILE_APPEND_DATA | GENERIC_WRITE | GENERIC_ALL | MAXIMUM_ALLOWED;
/// What opens a file so that its content can be read.
const READS: u32 = FILE_READ_DATA | FILE_READ_EA | FILE_EXECUTE | GENERIC_READ | GENERIC_EXECUTE;

const FILE_OPEN: u32 = 1;
const FILE_CREATE: u32 = 2;
const FILE_OPEN_IF: u32 = 3;

const FILE_DIRECTORY_FILE: u32 = 1;
const FILE_DELETE_ON_CLOSE: u32 = 0x1000;
const FILE_OPEN_BY_FILE_ID: u32 = 0x2000;
const FILE_OPEN_REPARSE_POINT: u32 = 0x20_0000;

fn outcome(status: Status) -> Outcome {
    match status {
        0.. => Outcome::Done,
        NAME_NOT_FOUND | PATH_NOT_FOUND | NO_SUCH_FILE => Outcome::Absent,
        _ => Outcome::Refused,
    }
}

/// Whether what a call pointed to was not there: then it is not looked at either.
fn is_fault(status: Status) -> bool {
    matches!(status, ACCESS_VIOLATION | MISALIGNED)
}

/// What stands at a path; `None` where the path can't be read.
fn before(attributes: *const ObjectAttributes) -> Option<Before> {
    const READ_ONLY: u32 = 1;
    const DIRECTORY: u32 = 0x10;
    const REPARSE_POINT: u32 = 0x400;
    let mut basic = BasicInformation::default();
    let status = call_original!(NtQueryAttributesFile(
        attributes => *const ObjectAttributes,
        &raw mut basic => *mut BasicInformation,
    ));
    if is_fault(status) {
        return None;
    }
    let has = |attribute: u32| basic.attributes & attribute != 0;
    Some(match outcome(status) {
        Outcome::Absent => Before::Absent,
        Outcome::Refused => Before::Unknown,
        Outcome::Done if has(REPARSE_POINT) => Before::Symlink,
        Outcome::Done if has(DIRECTORY) => Before::Directory(0o777),
        Outcome::Done => Before::File(if has(READ_ONLY) { 0o444 } else { 0o666 }),
    })
}

/// What an opening is for.
struct Opening {
    call: Call,
    access: u32,
    attributes: *const ObjectAttributes,
    disposition: u32,
    options: u32,
}

impl Opening {
    /// What it changes; `None` if it only looks.
    fn change(&self) -> Option<(AccessKind, Effect)> {
        if self.options & FILE_DELETE_ON_CLOSE != 0 {
            return Some((AccessKind::Delete, Effect::Replace));
        }
        let writes = self.access & WRITES != 0 && self.options & FILE_DIRECTORY_FILE == 0;
        match self.disposition {
            FILE_OPEN if !writes => None,
            FILE_OPEN => Some((AccessKind::Write, Effect::Modify)),
            FILE_OPEN_IF if writes => Some((AccessKind::Write, Effect::Modify)),
            FILE_OPEN_IF => Some((AccessKind::Write, Effect::Create)),
            _ => Some((AccessKind::Write, Effect::Replace)),
        }
    }

    fn watch(&self, open: impl FnOnce() -> Status) -> Status {
        let follow = self.options & FILE_OPEN_REPARSE_POINT == 0;
        let mut name = Name::new();
        if self.options & FILE_OPEN_BY_FILE_ID != 0 {
            gap(Gap::OpenByHandle);
            return open();
        }
        let changes = self.change().and_then(|(kind, effect)| match before(self.attributes)? {
            // A folder that is opened to make something in it is not changed itself.
            Before::Directory(_) if kind == AccessKind::Write && self.disposition != FILE_CREATE => None,
            before => Some((kind, effect, before)),
        });
        if let Some((kind, effect, before)) = changes {
            // SAFETY: `before` has had them read by the system.
            unsafe { name.push_attributes(self.attributes) };
            let begun = begin_change(&[(&name, before)], follow);
            let status = open();
            if !is_fault(status) {
                let outcome = outcome(status);
                report::change(
                    begun,
                    Changed { call: self.call, kind, effect, before, outcome, follow },
                    &name,
                );
            }
            return status;
        }
        let begun = begin_look();
        let status = open();
        if !is_fault(status) {
            // SAFETY: as above.
            unsafe { name.push_attributes(self.attributes) };
            let reads = self.access & READS != 0 && self.options & FILE_DIRECTORY_FILE == 0;
            let kind = if reads { AccessKind::Read } else { AccessKind::Stat };
            look(begun, self.call, kind, outcome(status), follow, &name);
        }
        status
    }
}

#[allow(non_snake_case, clippy::too_many_arguments, reason = "as Windows has it")]
extern "system" fn NtCreateFile(
    handle: *mut Handle,
    access: u32,
    attributes: *const ObjectAttributes,
    io: *mut c_void,
    size: *const i64,
    file_attributes: u32,
    share: u32,
    disposition: u32,
    options: u32,
    extended: *const c_void,
    extended_length: u32,
) -> Status {
    let opening = Opening { call: Call::NtCreateFile, access, attributes, disposition, options };
    opening.watch(|| {
        call_original!(NtCreateFile(
            handle => *mut Handle,
            access => u32,
            attributes => *const ObjectAttributes,
            io => *mut c_void,
            size => *const i64,
            file_attributes => u32,
            share => u32,
            disposition => u32,
            options => u32,
            extended => *const c_void,
            extended_length => u32,
        ))
    })
}

#[allow(non_snake_case, reason = "as Windows has it")]
extern "system" fn NtOpenFile(
    handle: *mut Handle,
    access: u32,
    attributes: *const ObjectAttributes,
    io: *mut c_void,
    share: u32,
    options: u32,
) -> Status {
    let opening = Opening { call: Call::NtOpenFile, access, attributes, disposition: FILE_OPEN, options };
    opening.watch(|| {
        call_original!(NtOpenFile(
            handle => *mut Handle,
            access => u32,
            attributes => *const ObjectAttributes,
            io => *mut c_void,
            share => u32,
            options => u32,
        ))
    })
}

/// Reports a look at what `attributes` name.
fn looked_up(call: Call, attributes: *const ObjectAttributes, ask: impl FnOnce() -> Status) -> Status {
    let begun = begin_look();
    let status = ask();
    if !is_fault(status) {
        let mut name = Name::new();
        // SAFETY: the call did not fail for want of them.
        unsafe { name.push_attributes(attributes) };
        look(begun, call, AccessKind::Stat, outcome(status), true, &name);
    }
    status
}

#[allow(non_snake_case, reason = "as Windows has it")]
extern "system" fn NtQueryAttributesFile(attributes: *const ObjectAttributes, answer: *mut c_void) -> Status {
    looked_up(
        Call::NtQueryAttributesFile,
        attributes,
        || call_original!(NtQueryAttributesFile(attributes => *const ObjectAttributes, answer => *mut c_void)),
    )
}

#[allow(non_snake_case, reason = "as Windows has it")]
extern "system" fn NtQueryFullAttributesFile(
    attributes: *const ObjectAttributes,
    answer: *mut c_void,
) -> Status {
    looked_up(
        Call::NtQueryFullAttributesFile,
        attributes,
        || call_original!(NtQueryFullAttributesFile(attributes => *const ObjectAttributes, answer => *mut c_void)),
    )
}

#[allow(non_snake_case, reason = "as Windows has it")]
extern "system" fn NtQueryInformationByName(
    attributes: *const ObjectAttributes,
    io: *mut c_void,
    answer: *mut c_void,
    length: u32,
    class: u32,
) -> Status {
    looked_up(Call::NtQueryInformationByName, attributes, || {
        call_original!(NtQueryInformationByName(
            attributes => *const ObjectAttributes,
            io => *mut c_void,
            answer => *mut c_void,
            length => u32,
            class => u32,
        ))
    })
}

/// What was answered of a directory.
struct Listing {
    io: *const c_void,
    answer: *const c_void,
    length: u32,
    class: u32,
}

impl Listing {
    /// Calls `tell` with the name of each entry that is no directory, where times are told with it; `false` where what there is can't be known.
    ///
    /// # Safety
    /// The call has filled in `io` and, as far as that says, `answer`, which has `length` bytes.
    unsafe fn each_dated_file(&self, mut tell: impl FnMut(UnicodeString)) -> bool {
        /// In every class that tells times.
        const ATTRIBUTES_AT: usize = 56;
        const NAME_LENGTH_AT: usize = 60;
        const DIRECTORY: u32 = 0x10;
        let name_at = match self.class {
            // Of the `FILE_*_DIRECTORY_INFORMATION` and `FILE_*_DIR_INFORMATION` of ntifs.h.
            1 => 64,
            2 => 68,
            3 => 94,
            37 => 104,
            38 | 78 => 80,
            50 => 92,
            60 => 88,
            63 => 114,
            79 => 106,
            80 => 96,
            81 => 122,
            // Names alone, and what tells neither names nor times.
            12 | 29 | 32 | 33 => return true,
            _ => return false,
        };
        // SAFETY: `IO_STATUS_BLOCK`, whose second word says how many bytes there are.
        let filled = unsafe { self.io.cast::<usize>().wrapping_add(1).read_unaligned() };
        let end = filled.min(self.length as usize);
        // SAFETY: only called with four bytes before `end`.
        let word = |at: usize| unsafe { self.answer.wrapping_byte_add(at).cast::<u32>().read_unaligned() };
        let mut at = 0_usize;
        loop {
            let begins = at.wrapping_add(name_at);
            if begins > end {
                return true;
            }
            let length = word(at.wrapping_add(NAME_LENGTH_AT)) as usize;
            if begins.wrapping_add(length) > end || length > usize::from(u16::MAX) {
                return true;
            }
            if word(at.wrapping_add(ATTRIBUTES_AT)) & DIRECTORY == 0 {
                let buffer = self.answer.wrapping_byte_add(begins).cast();
                tell(UnicodeString { length: length as u16, maximum: length as u16, buffer });
            }
            match word(at) {
                0 => return true,
                next => at = at.wrapping_add(next as usize),
            }
        }
    }
}

/// Reports a look into the directory that is open as `handle`: at one name, or at all.
fn listed(
    call: Call,
    handle: Handle,
    mask: *const UnicodeString,
    listing: &Listing,
    ask: impl FnOnce() -> Status,
) -> Status {
    /// `STATUS_NO_MORE_FILES`.
    const NO_MORE: Status = 0x8000_0006_u32 as i32;
    /// `STATUS_PENDING`: the answer comes later.
    const PENDING: Status = 0x103;
    let begun = begin_look();
    let status = ask();
    if is_fault(status) {
        return status;
    }
    let mut name = Name::new();
    // Without a name it is no directory, and the call has failed.
    if !name.push_handle(handle) {
        return status;
    }
    // SAFETY: the call did not fail for want of it.
    let mask = (!mask.is_null()).then(|| unsafe { mask.read_unaligned() });
    let wildcards = [b'*', b'?', b'<', b'>', b'"'].map(u16::from);
    let is_exact = |mask: &UnicodeString| {
        // SAFETY: as above.
        let unit = |index: usize| unsafe { mask.buffer.wrapping_add(index).read_unaligned() };
        mask.length > 0 && !(0..usize::from(mask.length / 2)).any(|index| wildcards.contains(&unit(index)))
    };
    match mask.filter(is_exact) {
        Some(mask) => {
            name.push(b'/');
            // SAFETY: as above.
            unsafe { name.push_string(mask) };
            let outcome = if status == NO_MORE { Outcome::Absent } else { outcome(status) };
            look(begun, call, AccessKind::Stat, outcome, false, &name);
        }
        None => {
            // That nothing matches is what was asked for.
            look(begun, call, AccessKind::List, Outcome::Done, true, &name);
            // Who lists is told the times of files as well, and may act on them: Ninja does.
            name.push(b'/');
            let folder = name.length();
            let tell = |entry: UnicodeString| {
                name.truncate(folder);
                // SAFETY: the entry lies in what was answered.
                unsafe { name.push_string(entry) };
                look(begun, call, AccessKind::Stat, Outcome::Done, false, &name);
            };
            // SAFETY: the call has succeeded, and is over.
            let is_known = status < 0 || status != PENDING && unsafe { listing.each_dated_file(tell) };
            if !is_known {
                gap(Gap::UnreadablePath);
            }
        }
    }
    status
}

#[allow(non_snake_case, clippy::too_many_arguments, reason = "as Windows has it")]
extern "system" fn NtQueryDirectoryFile(
    handle: Handle,
    event: Handle,
    routine: *const c_void,
    context: *const c_void,
    io: *mut c_void,
    answer: *mut c_void,
    length: u32,
    class: u32,
    single: u8,
    mask: *const UnicodeString,
    restart: u8,
) -> Status {
    let listing = Listing { io, answer, length, class };
    listed(Call::NtQueryDirectoryFile, handle, mask, &listing, || {
        call_original!(NtQueryDirectoryFile(
            handle => Handle,
            event => Handle,
            routine => *const c_void,
            context => *const c_void,
            io => *mut c_void,
            answer => *mut c_void,
            length => u32,
            class => u32,
            single => u8,
            mask => *const UnicodeString,
            restart => u8,
        ))
    })
}

#[allow(non_snake_case, clippy::too_many_arguments, reason = "as Windows has it")]
extern "system" fn NtQueryDirectoryFileEx(
    handle: Handle,
    event: Handle,
    routine: *const c_void,
    context: *const c_void,
    io: *mut c_void,
    answer: *mut c_void,
    length: u32,
    class: u32,
    flags: u32,
    mask: *const UnicodeString,
) -> Status {
    let listing = Listing { io, answer, length, class };
    listed(Call::NtQueryDirectoryFileEx, handle, mask, &listing, || {
        call_original!(NtQueryDirectoryFileEx(
            handle => Handle,
            event => Handle,
            routine => *const c_void,
            context => *const c_void,
            io => *mut c_void,
            answer => *mut c_void,
            length => u32,
            class => u32,
            flags => u32,
            mask => *const UnicodeString,
        ))
    })
}

/// `FILE_RENAME_INFORMATION` and `FILE_LINK_INFORMATION`, whose names follow.
#[repr(C)]
#[derive(Clone, Copy)]
struct NewName {
    flags: u32,
    root: Handle,
    length: u32,
    name: [u16; 0],
}

/// What is set of an open file.
enum Set {
    Metadata,
    Deleted,
    Renamed,
    Linked,
    Nothing,
}

impl Set {
    /// What setting information of a `class` comes to.
    ///
    /// # Safety
    /// `length` bytes can be read at `information`.
    unsafe fn of(class: u32, information: *const c_void, length: u32) -> Self {
        // SAFETY: as the caller says; both forms of the disposition begin with a byte that says it.
        let first = || length > 0 && unsafe { information.cast::<u8>().read() } & 1 != 0;
        match class {
            4 => Self::Metadata,
            10 | 65 if length as usize >= offset_of!(NewName, name) => Self::Renamed,
            11 | 72 if length as usize >= offset_of!(NewName, name) => Self::Linked,
            13 | 64 if first() => Self::Deleted,
            _ => Self::Nothing,
        }
    }
}

#[allow(non_snake_case, reason = "as Windows has it")]
extern "system" fn NtSetInformationFile(
    handle: Handle,
    io: *mut c_void,
    information: *const c_void,
    length: u32,
    class: u32,
) -> Status {
    let call = Call::NtSetInformationFile;
    let set = || {
        call_original!(NtSetInformationFile(
            handle => Handle,
            io => *mut c_void,
            information => *const c_void,
            length => u32,
            class => u32,
        ))
    };
    // The own library functions of programs call this with structures of theirs: where one is not there they fault here as
    // they would in what Windows itself runs in the process.
    // SAFETY: as said.
    let kind =
        if information.is_null() { Set::Nothing } else { unsafe { Set::of(class, information, length) } };
    let mut own = Name::new();
    if matches!(kind, Set::Nothing) || !own.push_handle(handle) {
        return set();
    }
    let now = own.before();
    let made = |kind, effect, before, status| Changed {
        call,
        kind,
        effect,
        before,
        outcome: outcome(status),
        follow: false,
    };
    match kind {
        Set::Nothing => set(),
        Set::Metadata => {
            // Once its times are set they do not tell any more whether its content is what it was.
            let begun = begin_change(&[(&own, now)], false);
            let status = set();
            change(begun, made(AccessKind::Write, Effect::Metadata, now, status), &own);
            status
        }
        Set::Deleted => {
            let begun = begin_change(&[(&own, now)], false);
            let status = set();
            change(begun, made(AccessKind::Delete, Effect::Replace, now, status), &own);
            status
        }
        Set::Renamed | Set::Linked => {
            // SAFETY: its length was checked.
            let new = unsafe { information.cast::<NewName>().read_unaligned() };
            let text = information.cast::<u8>().wrapping_add(offset_of!(NewName, name)).cast::<u16>();
            let mut target = Name::new();
            if new.root != 0 {
                target.push_handle(new.root);
                target.push(b'/');
            } else if new.length >= 2
                // SAFETY: as above, and the name has a unit.
                && unsafe { text.read_unaligned() } != u16::from(b'\\')
            {
                // A name alone is one in the same directory.
                target.push_parent(&own);
            }
            // SAFETY: the name is as long as it says, or the call fails.
            unsafe { target.push_units(text, new.length as usize / 2, b'/') };
            let there = target.before();
            let seen = begin_look();
            let begun = begin_change(&[(&own, now), (&target, there)], false);
            let status = set();
            look(seen, call, AccessKind::Read, Outcome::Done, false, &own);
            if matches!(kind, Set::Renamed) {
                change(begun, made(AccessKind::Delete, Effect::Replace, now, status), &own);
            }
            change(begun, made(AccessKind::Write, Effect::Replace, there, status), &target);
            status
        }
    }
}

#[allow(non_snake_case, reason = "as Windows has it")]
extern "system" fn NtDeleteFile(attributes: *const ObjectAttributes) -> Status {
    let delete = || call_original!(NtDeleteFile(attributes => *const ObjectAttributes));
    let Some(before) = before(attributes) else { return delete() };
    let mut name = Name::new();
    // SAFETY: `before` has had them read by the system.
    unsafe { name.push_attributes(attributes) };
    let begun = begin_change(&[(&name, before)], false);
    let status = delete();
    let (kind, effect, outcome) = (AccessKind::Delete, Effect::Replace, outcome(status));
    change(begun, Changed { call: Call::NtDeleteFile, kind, effect, before, outcome, follow: false }, &name);
    status
}

#[allow(non_snake_case, clippy::too_many_arguments, reason = "as Windows has it")]
extern "system" fn NtDeviceIoControlFile(
    handle: Handle,
    event: Handle,
    routine: *const c_void,
    context: *const c_void,
    io: *mut c_void,
    code: u32,
    input: *const c_void,
    input_length: u32,
    output: *mut c_void,
    output_length: u32,
) -> Status {
    /// Of afd.sys, which has no documentation: bind, connect, connect by ConnectEx, send to an address; Wine's connect and send.
    const NETWORK: [u32; 6] = [0x0001_2003, 0x0001_2007, 0x0001_20c7, 0x0001_2023, 0x0012_032c, 0x0012_0338];
    if NETWORK.contains(&code) {
        report::event(Event::Network(b"a socket"));
    }
    if !report::only_asks_console(code, input, input_length) {
        report::input_used(handle);
    }
    call_original!(NtDeviceIoControlFile(
        handle => Handle,
        event => Handle,
        routine => *const c_void,
        context => *const c_void,
        io => *mut c_void,
        code => u32,
        input => *const c_void,
        input_length => u32,
        output => *mut c_void,
        output_length => u32,
    ))
}

#[allow(non_snake_case, clippy::too_many_arguments, reason = "as Windows has it")]
extern "system" fn NtReadFile(
    handle: Handle,
    event: Handle,
    routine: *const c_void,
    context: *const c_void,
    io: *mut c_void,
    buffer: *mut c_void,
    length: u32,
    offset: *const i64,
    key: *const u32,
) -> Status {
    report::input_used(handle);
    call_original!(NtReadFile(
        handle => Handle,
        event => Handle,
        routine => *const c_void,
        context => *const c_void,
        io => *mut c_void,
        buffer => *mut c_void,
        length => u32,
        offset => *const i64,
        key => *const u32,
    ))
}

#[allow(non_snake_case, reason = "as Windows has it")]
extern "system" fn NtDuplicateObject(
    from: Handle,
    handle: Handle,
    to: Handle,
    there: *mut Handle,
    access: u32,
    attributes: u32,
    options: u32,
) -> Status {
    // What is then read by another handle is not known from this one.
    if from == THIS_PROCESS && to == THIS_PROCESS {
        report::input_used(handle);
    }
    call_original!(NtDuplicateObject(
        from => Handle,
        handle => Handle,
        to => Handle,
        there => *mut Handle,
        access => u32,
        attributes => u32,
        options => u32,
    ))
}

#[allow(non_snake_case, clippy::too_many_arguments, reason = "as Windows has it")]
extern "system" fn NtCreateUserProcess(
    process: *mut Handle,
    thread: *mut Handle,
    process_access: u32,
    thread_access: u32,
    process_attributes: *const c_void,
    thread_attributes: *const c_void,
    process_flags: u32,
    thread_flags: u32,
    parameters: *const c_void,
    information: *mut c_void,
    list: *mut c_void,
) -> Status {
    /// `THREAD_CREATE_FLAGS_CREATE_SUSPENDED`.
    const SUSPENDED: u32 = 1;
    type NtResumeThread = unsafe extern "system" fn(Handle, *mut u32) -> Status;
    // It introduces itself before its child does.
    let _ = begin_look();
    let status = call_original!(NtCreateUserProcess(
        process => *mut Handle,
        thread => *mut Handle,
        process_access => u32,
        thread_access => u32,
        process_attributes => *const c_void,
        thread_attributes => *const c_void,
        process_flags => u32,
        thread_flags | SUSPENDED => u32,
        parameters => *const c_void,
        information => *mut c_void,
        list => *mut c_void,
    ));
    if status < 0 {
        return status;
    }
    // SAFETY: the call has succeeded, so it has written both.
    let (process, thread) = unsafe { (process.read(), thread.read()) };
    if Target::new(process, &SESSION).install(report::pid()).is_err() {
        gap(Gap::NotInstrumented);
    }
    if thread_flags & SUSPENDED == 0
        && let Some(resume) = function!(needed(Needed::NtResumeThread), NtResumeThread)
    {
        // SAFETY: the handle of a thread that was made suspended only for this.
        unsafe { resume(thread, core::ptr::null_mut()) };
    }
    status
}

#[allow(non_snake_case, reason = "as Windows has it")]
extern "system" fn NtTerminateProcess(process: Handle, code: Status) -> Status {
    if process == THIS_PROCESS {
        report::event(Event::Exit(Exit::Code(code as u32)));
    }
    call_original!(NtTerminateProcess(process => Handle, code => Status))
}

impl Name {
    /// Appends the path above another, with the slash behind it.
    fn push_parent(&mut self, of: &Self) {
        let bytes = of.bytes().unwrap_or_default();
        let end = bytes.iter().rposition(|&byte| byte == b'/').map_or(0, |slash| slash.wrapping_add(1));
        for &byte in bytes.get(..end).unwrap_or_default() {
            self.push(byte);
        }
    }

    /// What stands at this path.
    fn before(&self) -> Before {
        let mut units = [0_u16; LONGEST];
        let Some(count) = self.units(&mut units) else { return Before::Unknown };
        let length = count.wrapping_mul(2) as u16;
        let name = UnicodeString { length, maximum: length, buffer: units.as_ptr() };
        let attributes = ObjectAttributes {
            length: size_of::<ObjectAttributes>() as u32,
            root: 0,
            name: &raw const name,
            // `OBJ_CASE_INSENSITIVE`.
            attributes: 0x40,
            security: core::ptr::null(),
            quality: core::ptr::null(),
        };
        before(&raw const attributes).unwrap_or(Before::Unknown)
    }
}
