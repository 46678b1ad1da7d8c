//! The net's threads: each receives held calls from the listener, has them judged, and answers.

use std::any::Any;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::guard::{Guard, InHand};
use super::seccomp::Listener;
use super::supervisor::{Answer, Held, Supervisor};
use super::turns::Turns;

/// What the threads of one net share.
pub(super) struct Server {
    pub(super) supervisor: Supervisor,
    pub(super) listener: Listener,
    turns: Turns,
    /// How many threads have begun to serve.
    threads: AtomicUsize,
    in_hand: InHand,
    stopped: AtomicBool,
}

impl Server {
    pub(super) fn new(
        supervisor: Supervisor,
        listener: Listener,
        threads_at_once: usize,
        in_hand: InHand,
    ) -> Self {
        Self {
            supervisor,
            listener,
            turns: Turns::new(threads_at_once),
            threads: AtomicUsize::new(0),
            in_hand,
            stopped: AtomicBool::new(false),
        }
    }

    /// Makes [`Server::serve`] return at the next signal.
    pub(super) fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
    }

    /// Starts the guard of this server's calls.
    ///
    /// # Errors
    /// No process can be made.
    pub(super) fn guard(&self) -> io::Result<Guard> {
        Guard::start(&self.listener, &self.in_hand)
    }

    /// Serves held calls until no filtered process is left, or until stopped.
    ///
    /// # Errors
    /// The listener can't be used any more, or something failed while a call was looked at.
    pub(super) fn serve(&self) -> io::Result<()> {
        let listener = &self.listener;
        let number = self.threads.fetch_add(1, Ordering::Relaxed);
        let mut buffer = Vec::new();
        let mut failure = None;
        loop {
            let turn = self.turns.take();
            while turn.lasts() {
                let Some(notification) = listener.receive(|| self.stopped.load(Ordering::Acquire))? else {
                    return failure.map_or(Ok(()), Err);
                };
                self.in_hand.note(number, notification.id);
                let held = Held {
                    thread: notification.pid,
                    data: notification.data,
                    is_held: &|| listener.is_held(&notification),
                    takes_long: &|| turn.pass_on(),
                };
                let judged = judge_safely(&self.supervisor, &held, &mut buffer);
                listener.answer(notification.id, *judged.as_ref().unwrap_or(&Answer::Continue));
                if let Err(error) = judged {
                    failure.get_or_insert(error);
                }
            }
        }
    }
}

/// Has a held call judged; whatever goes wrong there, the process whose call it is must get on.
///
/// # Errors
/// Something failed while it was looked at.
pub(super) fn judge_safely(
    supervisor: &Supervisor,
    held: &Held<'_>,
    buffer: &mut Vec<u8>,
) -> io::Result<Answer> {
    catch_unwind(AssertUnwindSafe(|| supervisor.judge(held, buffer)))
        .map_err(|panic| io::Error::other(describe(&*panic)))
}

fn describe(panic: &(dyn Any + Send)) -> String {
    let text =
        panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("the supervisor failed").to_owned()
}
