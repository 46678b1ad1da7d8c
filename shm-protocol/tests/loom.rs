//! Models of the ring, checked by loom over all interleavings of their threads up to a number of preemptions.
//!
//! `RUSTFLAGS="--cfg loom" cargo test -p shm-protocol --release --test loom`
#![cfg(loom)]

use loom::sync::atomic::{AtomicU64, Ordering};
use loom::sync::{Arc, Condvar, Mutex};
use loom::thread;
use shm_protocol::record::{Event, Record};
use shm_protocol::ring::{Finished, FutexWord, Reader, Ring, Seat, System};

/// Words of a record without a path, its head included.
const TICK: usize = 4;

/// The header's words.
const HEADER: usize = 34;

fn tick(pid: u32, time_ns: u64) -> Record<'static> {
    Record { pid, time_ns, event: Event::Instrumented }
}

/// Explores a model with at most `preemptions` preemptions in one run of it.
fn check(preemptions: usize, model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(model);
}

fn ring(chunks: usize, chunk_words: usize) -> Ring<'static> {
    // Leaked: the models' threads must be 'static. A model is small, and over when the process is.
    let words: Vec<AtomicU64> = (0..HEADER + chunks * chunk_words).map(|_| AtomicU64::new(0)).collect();
    Ring::format_with_chunks(words.leak(), 1, chunk_words).expect("a geometry that fits")
}

/// A system without a reader to wait for: whoever finds the ring full gets [`Lost`](shm_protocol::ring::Lost).
struct Impatient;

impl System for Impatient {
    fn wait(&self, _word: &FutexWord, _expected: u32) {
        unreachable!("nobody waits for a reader that is gone");
    }

    fn wake(&self, _word: &FutexWord) {}

    fn reader_is_gone(&self, _reader: u32) -> bool {
        true
    }
}

/// A system whose sleeps end only when somebody wakes: a wake-up that is forgotten is a deadlock, which loom reports.
#[derive(Clone)]
struct Patient(Arc<(Mutex<()>, Condvar)>);

impl Patient {
    fn new() -> Self {
        Self(Arc::new((Mutex::new(()), Condvar::new())))
    }
}

impl System for Patient {
    fn wait(&self, word: &FutexWord, expected: u32) {
        let (lock, woken) = &*self.0;
        let mut guard = lock.lock().expect("no panic in the model");
        while word.load(Ordering::Relaxed) as u32 == expected {
            guard = woken.wait(guard).expect("no panic in the model");
        }
    }

    fn wake(&self, _word: &FutexWord) {
        let (lock, woken) = &*self.0;
        let _guard = lock.lock().expect("no panic in the model");
        woken.notify_all();
    }

    fn reader_is_gone(&self, _reader: u32) -> bool {
        false
    }
}

/// Writes `times` one after the other; returns those that were written.
fn write_all(ring: Ring<'_>, seat: &Seat, pid: u32, times: &[u64]) -> Vec<u64> {
    times.iter().copied().filter(|&time| ring.write(seat, &tick(pid, time), &Impatient).is_ok()).collect()
}

/// Drains `drains` times while the writers run, then joins them and finishes. Everything written must have come once.
fn collect(ring: Ring<'static>, drains: usize, writers: Vec<thread::JoinHandle<Vec<u64>>>) -> Finished {
    let mut reader = Reader::new(ring);
    let mut came = Vec::new();
    for _ in 0..drains {
        let drained = reader.drain(&mut |_| false, &mut |record| came.push(record.time_ns));
        assert_eq!((drained.unfinished, drained.bad), (0, 0));
    }
    let mut written: Vec<u64> =
        writers.into_iter().flat_map(|writer| writer.join().expect("no panic")).collect();
    let finished = reader.finish(&mut |record| came.push(record.time_ns));
    written.sort_unstable();
    came.sort_unstable();
    assert_eq!(came, written);
    assert_eq!(finished.bad, 0);
    finished
}

#[test]
fn two_writers_on_one_seat_never_share_a_place() {
    // A thread and its signal handler, or a vfork child; the second record does not fit, or just so.
    for chunk_words in [TICK, 2 * TICK, 2 * TICK + 1] {
        check(3, move || {
            let ring = ring(2, chunk_words);
            let seat = Arc::new(Seat::new());
            let writers = [1, 2].map(|time| {
                let seat = seat.clone();
                thread::spawn(move || write_all(ring, &seat, 5, &[time]))
            });
            let finished = collect(ring, 1, writers.into());
            assert_eq!(finished, Finished { records: 2, ..Finished::default() });
        });
    }
}

#[test]
fn records_survive_sealing_freeing_and_reuse_of_their_chunks() {
    // One chunk for two writers: each drain may seal, empty and free it under their hands.
    for chunk_words in [TICK, TICK + 1] {
        check(2, move || {
            let ring = ring(1, chunk_words);
            let writers =
                [[1], [2]].map(|times| thread::spawn(move || write_all(ring, &Seat::new(), 5, &times)));
            let finished = collect(ring, 2, writers.into());
            assert_eq!((finished.records + finished.lost, finished.unfinished), (2, 0));
        });
    }
}

#[test]
fn one_writer_goes_round_and_round_the_reader() {
    check(3, || {
        let ring = ring(1, TICK + 1);
        let writer = thread::spawn(move || write_all(ring, &Seat::new(), 5, &[1, 2, 3, 4]));
        let finished = collect(ring, 3, vec![writer]);
        assert_eq!((finished.records + finished.lost, finished.unfinished), (4, 0));
    });
}

#[test]
fn a_writer_with_a_stale_seat_never_writes_into_the_chunk_of_another() {
    check(3, || {
        let ring = ring(1, TICK + 1);
        let mut reader = Reader::new(ring);
        let sleeper = Seat::new();
        ring.write(&sleeper, &tick(5, 1), &Impatient).expect("there is room");
        let mut came = Vec::new();
        // From here on the chunk may be freed, and given to the other writer, at any moment of the sleeper's call.
        let writers = [
            thread::spawn(move || write_all(ring, &sleeper, 5, &[2])),
            thread::spawn(move || write_all(ring, &Seat::new(), 6, &[3])),
        ];
        for _ in 0..3 {
            let drained = reader.drain(&mut |_| false, &mut |record| came.push(record.time_ns));
            assert_eq!((drained.unfinished, drained.bad), (0, 0));
        }
        let mut written: Vec<u64> =
            writers.into_iter().flat_map(|writer| writer.join().expect("no panic")).collect();
        let finished = reader.finish(&mut |record| came.push(record.time_ns));
        assert_eq!((finished.unfinished, finished.bad), (0, 0));
        written.push(1);
        written.sort_unstable();
        came.sort_unstable();
        assert_eq!(came, written);
    });
}

#[test]
fn a_writer_killed_after_its_claim_hides_nothing() {
    check(3, || {
        let ring = ring(2, 2 * TICK + 1);
        let seat = Arc::new(Seat::new());
        let dying = {
            let seat = seat.clone();
            thread::spawn(move || ring.claim_and_die(&seat, &tick(66, 9), &Impatient))
        };
        let writer = thread::spawn(move || write_all(ring, &seat, 5, &[1, 2]));
        let mut reader = Reader::new(ring);
        let mut came = Vec::new();
        // The dead process is dead as soon as it has claimed: it does nothing afterwards.
        let drained = reader.drain(&mut |pid| pid == 66, &mut |record| came.push(record.time_ns));
        let claimed = dying.join().expect("no panic");
        let written = writer.join().expect("no panic");
        let finished = reader.finish(&mut |record| came.push(record.time_ns));
        came.sort_unstable();
        assert_eq!(came, written);
        assert_eq!((finished.unfinished, finished.bad), (u64::from(claimed), 0));
        assert!(drained.unfinished <= finished.unfinished);
    });
}

#[test]
fn a_writer_that_waits_for_room_is_woken() {
    check(3, || {
        let ring = ring(1, TICK);
        let system = Patient::new();
        let writer = {
            let system = system.clone();
            thread::spawn(move || {
                let seat = Seat::new();
                [1, 2, 3].iter().filter(|&&time| ring.write(&seat, &tick(5, time), &system).is_ok()).count()
            })
        };
        let mut reader = Reader::new(ring);
        let mut records = 0;
        // The third record calls for attention before it waits, when the second is there already.
        while records < 2 {
            reader.wait(&system);
            records += reader.drain(&mut |_| false, &mut |_| {}).records;
        }
        ring.wake_writers(&system);
        assert_eq!(writer.join().expect("no panic"), 3);
        assert_eq!(reader.finish(&mut |_| {}), Finished { records: 3, ..Finished::default() });
    });
}

#[test]
fn a_look_that_began_before_a_change_was_announced_is_not_timed_after_it() {
    check(3, || {
        let (ring, clock) = (ring(1, 8), Arc::new(AtomicU64::new(1)));
        let unchanged = ring.moment();
        let change = {
            let clock = Arc::clone(&clock);
            thread::spawn(move || ring.time_of_change(|| clock.fetch_add(1, Ordering::SeqCst)))
        };
        let moment = ring.moment();
        let look = ring.time_of_look(moment, || clock.fetch_add(1, Ordering::SeqCst));
        let change = change.join().expect("no panic in the model");
        assert!(moment != unchanged || look <= change, "look {look}, change {change}");
    });
}
