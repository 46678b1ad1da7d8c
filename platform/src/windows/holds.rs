//! The thread that changes wait for: it has the content of each file taken that is about to be changed.

use std::io;
use std::os::windows::io::{AsRawHandle, OwnedHandle};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use shm_protocol::guest::{HELD_NAME, Hold};
use windows_sys::Win32::System::Threading::{CreateEventW, ResetEvent, SetEvent, WaitForSingleObject};

use super::section::{Shared, owned};
use crate::tracing::Sink;

/// By which both sides wake each other.
pub(super) struct Bells {
    /// Rung by processes.
    pub(super) bell: OwnedHandle,
    /// Rung for all that wait.
    pub(super) answered: OwnedHandle,
}

impl Bells {
    pub(super) fn create() -> io::Result<Self> {
        Ok(Self { bell: event(false)?, answered: event(true)? })
    }
}

fn event(is_reset_by_hand: bool) -> io::Result<OwnedHandle> {
    let none = std::ptr::null();
    // SAFETY: no attributes, no name: the call takes numbers only.
    owned(unsafe { CreateEventW(none, i32::from(is_reset_by_hand), 0, std::ptr::null()) })
}

/// The thread.
pub(super) struct Holder {
    thread: JoinHandle<()>,
    stop: Arc<AtomicBool>,
    shared: Arc<Shared>,
}

impl Holder {
    pub(super) fn start(shared: Arc<Shared>, sink: Arc<dyn Sink>) -> io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, served) = (Arc::clone(&stop), Arc::clone(&shared));
        let thread = std::thread::Builder::new().name("holds".into()).spawn(move || {
            while !stopped.load(Ordering::Acquire) {
                serve(&served, &*sink);
            }
        })?;
        Ok(Self { thread, stop, shared })
    }

    /// Ends it, and holds nobody any more.
    pub(super) fn finish(self) {
        self.stop.store(true, Ordering::Release);
        // SAFETY: the event lives as long as what is shared.
        unsafe { SetEvent(self.shared.bells.bell.as_raw_handle()) };
        // A thread that panicked has answered nobody since: what is not known of a file is told as such.
        let _ = self.thread.join();
        self.shared.holds().iter().for_each(Hold::close);
        // SAFETY: as above.
        unsafe { SetEvent(self.shared.bells.answered.as_raw_handle()) };
    }
}

/// Waits for somebody to ask, and answers all that do.
fn serve(shared: &Shared, sink: &dyn Sink) {
    /// In milliseconds: whoever is killed between asking and ringing leaves it to this.
    const LONGEST: u32 = 50;
    let bells = &shared.bells;
    // SAFETY: the event lives as long as what is shared.
    unsafe { WaitForSingleObject(bells.bell.as_raw_handle(), LONGEST) };
    // SAFETY: as above.
    unsafe { ResetEvent(bells.answered.as_raw_handle()) };
    let mut name = [0; HELD_NAME];
    let mut has_answered = false;
    for hold in shared.holds() {
        if let Some((length, follow)) = hold.asked(&mut name) {
            sink.before_change(&name[..length], follow);
            hold.answer();
            has_answered = true;
        }
    }
    if has_answered {
        // SAFETY: as above.
        unsafe { SetEvent(bells.answered.as_raw_handle()) };
    }
}
