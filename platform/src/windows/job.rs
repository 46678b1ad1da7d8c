//! The job that holds the process tree of a run, and tells of every process that was ever in it.

use std::io;
use std::os::windows::io::{AsRawHandle, FromRawHandle, OwnedHandle};

use windows_sys::Win32::Foundation::{HANDLE, INVALID_HANDLE_VALUE};
use windows_sys::Win32::System::IO::{CreateIoCompletionPort, GetQueuedCompletionStatus};
use windows_sys::Win32::System::JobObjects::{
    AssignProcessToJobObject, CreateJobObjectW, JOB_OBJECT_LIMIT_BREAKAWAY_OK,
    JOBOBJECT_ASSOCIATE_COMPLETION_PORT, JOBOBJECT_EXTENDED_LIMIT_INFORMATION,
    JobObjectAssociateCompletionPortInformation, JobObjectExtendedLimitInformation, SetInformationJobObject,
    TerminateJobObject,
};
use windows_sys::Win32::System::SystemServices::{
    JOB_OBJECT_MSG_ABNORMAL_EXIT_PROCESS, JOB_OBJECT_MSG_EXIT_PROCESS, JOB_OBJECT_MSG_NEW_PROCESS,
};
use windows_sys::Win32::System::Threading::{
    OpenProcess, PROCESS_QUERY_LIMITED_INFORMATION, QueryFullProcessImageNameW,
};

/// A job and the port through which it tells.
pub(super) struct Job {
    job: OwnedHandle,
    port: OwnedHandle,
}

/// What a job tells of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    New(u32),
    Gone(u32),
}

impl Job {
    pub(super) fn create() -> io::Result<Self> {
        // SAFETY: no attributes, no name.
        let job = owned(unsafe { CreateJobObjectW(std::ptr::null(), std::ptr::null()) })?;
        // SAFETY: a port that belongs to no file.
        let port =
            owned(unsafe { CreateIoCompletionPort(INVALID_HANDLE_VALUE, std::ptr::null_mut(), 0, 1) })?;
        let association = JOBOBJECT_ASSOCIATE_COMPLETION_PORT {
            CompletionKey: std::ptr::null_mut(),
            CompletionPort: port.as_raw_handle(),
        };
        set(&job, JobObjectAssociateCompletionPortInformation, &association)?;
        let mut limits = JOBOBJECT_EXTENDED_LIMIT_INFORMATION::default();
        // A program may start another outside its job, as it could without this one.
        limits.BasicLimitInformation.LimitFlags = JOB_OBJECT_LIMIT_BREAKAWAY_OK;
        set(&job, JobObjectExtendedLimitInformation, &limits)?;
        Ok(Self { job, port })
    }

    pub(super) fn take(&self, process: HANDLE) -> io::Result<()> {
        // SAFETY: both are handles of this process, the callers'.
        check(unsafe { AssignProcessToJobObject(self.job.as_raw_handle(), process) })
    }

    pub(super) fn kill(&self) {
        // SAFETY: the job is this one's.
        unsafe { TerminateJobObject(self.job.as_raw_handle(), 1) };
    }

    /// The next that it tells, waiting up to `milliseconds`.
    pub(super) fn next(&self, milliseconds: u32) -> Option<Told> {
        loop {
            let (mut message, mut key, mut about) = (0, 0, std::ptr::null_mut());
            // SAFETY: the system writes a number, a key and, in place of a pointer, the id of a process.
            let told = unsafe {
                GetQueuedCompletionStatus(
                    self.port.as_raw_handle(),
                    &raw mut message,
                    &raw mut key,
                    &raw mut about,
                    milliseconds,
                )
            };
            if told == 0 {
                return None;
            }
            match message as i32 {
                message if message == JOB_OBJECT_MSG_NEW_PROCESS as i32 => {
                    return Some(Told::New(about as usize as u32));
                }
                message
                    if message == JOB_OBJECT_MSG_EXIT_PROCESS as i32
                        || message == JOB_OBJECT_MSG_ABNORMAL_EXIT_PROCESS as i32 =>
                {
                    return Some(Told::Gone(about as usize as u32));
                }
                _ => {}
            }
        }
    }
}

fn set<T>(job: &OwnedHandle, class: i32, information: &T) -> io::Result<()> {
    // SAFETY: the structure is the one that belongs to the class, as the callers have it.
    check(unsafe {
        SetInformationJobObject(
            job.as_raw_handle(),
            class,
            (&raw const *information).cast(),
            size_of::<T>() as u32,
        )
    })
}

fn check(done: i32) -> io::Result<()> {
    if done == 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn owned(handle: HANDLE) -> io::Result<OwnedHandle> {
    if handle.is_null() {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the system has just made it, and nobody else owns it.
    Ok(unsafe { OwnedHandle::from_raw_handle(handle) })
}

/// The program that a process runs; empty if it is gone.
pub(super) fn name_of(pid: u32) -> String {
    // SAFETY: takes numbers only.
    let Ok(process) = owned(unsafe { OpenProcess(PROCESS_QUERY_LIMITED_INFORMATION, 0, pid) }) else {
        return String::new();
    };
    let mut name = [0_u16; 1024];
    let mut length = name.len() as u32;
    // SAFETY: the buffer is as long as said.
    let done =
        unsafe { QueryFullProcessImageNameW(process.as_raw_handle(), 0, name.as_mut_ptr(), &raw mut length) };
    if done == 0 { String::new() } else { String::from_utf16_lossy(&name[..length as usize]) }
}
