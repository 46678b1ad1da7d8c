//! What a record costs its writer. Run by hand, in release:
//! `cargo test -p shm-protocol --release --test cost -- --ignored --nocapture`
#![cfg(all(target_os = "linux", not(loom)))]

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use memmap2::MmapMut;
use shm_protocol::access::{Access, AccessKind, Outcome};
use shm_protocol::calls::Call;
use shm_protocol::path::Joined;
use shm_protocol::record::{Event, Record};
use shm_protocol::ring::{self, Reader, Ring, Seat, System};

const RECORDS: u64 = 2_000_000;

/// Sleeps without futexes: the costs of waking are not what is measured here.
struct Naps;

impl System for Naps {
    fn wait(&self, _word: &AtomicU32, _expected: u32) {
        thread::sleep(Duration::from_millis(1));
    }

    fn wake(&self, _word: &AtomicU32) {}

    fn reader_is_gone(&self, _reader: u32) -> bool {
        false
    }
}

#[test]
#[ignore = "a measurement, which proves nothing by itself"]
fn nanoseconds_per_record() {
    let mut mapping = MmapMut::map_anon(ring::BYTES).expect("memory");
    // SAFETY: the mapping starts at a page, is of that length, and outlives the threads of the scope below.
    let words = unsafe { ring::words_from_mapping(mapping.as_mut_ptr(), ring::BYTES) };
    let ring = Ring::format(words, std::process::id()).expect("room for a ring");
    let written = AtomicBool::new(false);
    thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let seat = Seat::new();
            let path = Joined {
                directory: b"/home/someone/project/node_modules/some-package",
                name: b"dist/module.js",
            };
            let (call, kind, outcome) = (Call::openat, AccessKind::Read, Outcome::Done);
            let access = Access { call, kind, outcome, follow: true, change: None, path };
            let start = Instant::now();
            for time_ns in 0..RECORDS {
                let record =
                    Record { pid: 4711, time_ns, event: Event::Access(std::hint::black_box(access)) };
                ring.write(&seat, &record, &Naps).expect("the reader is there");
            }
            let took = start.elapsed();
            written.store(true, Ordering::Release);
            took
        });
        let mut reader = Reader::new(ring);
        let (mut records, mut reading) = (0, Duration::ZERO);
        while !written.load(Ordering::Acquire) {
            let start = Instant::now();
            records += reader.drain(&mut |_| false, &mut |_| {}).records;
            reading += start.elapsed();
            reader.wait(&Naps);
        }
        let start = Instant::now();
        let finished = reader.finish(&mut |_| {});
        reading += start.elapsed();
        assert_eq!(finished.records, RECORDS);
        let writing = writer.join().expect("no panic");
        println!("written in {} ns each", writing.as_nanos() / u128::from(RECORDS));
        println!("read in {} ns each, {records} of them meanwhile", reading.as_nanos() / u128::from(RECORDS));
    });
}
