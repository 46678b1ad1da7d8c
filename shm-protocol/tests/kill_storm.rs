//! Writers killed at random moments, in the thousands: every record whose write returned arrives exactly once, and
//! nothing else does but the one each thread was writing.
#![cfg(all(target_os = "linux", not(loom)))]

use std::collections::HashMap;
use std::fs::File;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use std::{env, ptr, thread};

use memmap2::MmapRaw;
use shm_protocol::access::{Access, AccessKind, Outcome};
use shm_protocol::calls::Call;
use shm_protocol::path::Joined;
use shm_protocol::record::{Event, Record};
use shm_protocol::ring::{self, Finished, Reader, Ring, Seat, System};

/// Environment variable that makes the test's binary a writer: its number.
const WRITER: &str = "KILL_STORM_WRITER";

/// Environment variable with the path of the shared file.
const MAPPING: &str = "KILL_STORM_MAPPING";

const THREADS: usize = 3;

/// Writers that run at a time.
const AT_ONCE: usize = 4;

struct Linux;

fn futex(word: &AtomicU32, operation: i32, value: u32, timeout: *const libc::timespec) {
    // SAFETY: the word lives during the call, and the timeout is null or points to a live timespec; the kernel only
    // reads both. Without FUTEX_PRIVATE_FLAG, so that processes meet at the shared page.
    unsafe { libc::syscall(libc::SYS_futex, ptr::from_ref(word), operation, value, timeout) };
}

impl System for Linux {
    fn wait(&self, word: &AtomicU32, expected: u32) {
        let timeout = libc::timespec { tv_sec: 0, tv_nsec: 100_000_000 };
        futex(word, libc::FUTEX_WAIT, expected, &timeout);
    }

    fn wake(&self, word: &AtomicU32) {
        futex(word, libc::FUTEX_WAKE, i32::MAX as u32, ptr::null());
    }

    fn reader_is_gone(&self, reader: u32) -> bool {
        is_gone(reader)
    }
}

fn is_gone(pid: u32) -> bool {
    // SAFETY: signal 0 only asks whether the process exists.
    unsafe { libc::kill(pid as i32, 0) == -1 }
}

/// A file shared with the writers: the ring, then for each thread of each writer the last number it has written.
struct Shared {
    mapping: MmapRaw,
    ring_bytes: usize,
}

impl Shared {
    fn new(file: &File, ring_bytes: usize) -> Self {
        Self { mapping: MmapRaw::map_raw(file).expect("a mapping"), ring_bytes }
    }

    fn words(&self) -> &[AtomicU64] {
        // SAFETY: the mapping starts at a page, is as long as it says, and lives as long as `self`.
        unsafe { ring::words_from_mapping(self.mapping.as_mut_ptr(), self.mapping.len()) }
    }

    fn ring(&self) -> &[AtomicU64] {
        &self.words()[..self.ring_bytes / 8]
    }

    fn written(&self, writer: usize, thread: usize) -> &AtomicU64 {
        &self.words()[self.ring_bytes / 8 + writer * THREADS + thread]
    }
}

/// Text of a length and content that both sides can tell from the numbers.
fn name(writer: usize, thread: usize, number: u64) -> String {
    let padding = "abcdefghijklmnopqrstuvwxyz".repeat(12);
    let length = (number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as usize;
    format!("{writer}/{thread}/{number}/{}", &padding[..length])
}

fn record(pid: u32, number: u64, path: &[u8]) -> Record<'_> {
    let access = Access {
        call: Call::openat,
        kind: AccessKind::Read,
        outcome: Outcome::Done,
        follow: true,
        change: None,
        path: Joined { directory: b"/storm", name: path },
    };
    Record { pid, time_ns: number, event: Event::Access(access) }
}

/// What the binary does when it is run as a writer: write until it is killed.
#[test]
fn writer_process() {
    let (Ok(writer), Ok(mapping)) = (env::var(WRITER), env::var(MAPPING)) else {
        return;
    };
    let (writer, mapping) =
        (writer.parse().expect("a number"), mapping.split_once(':').expect("size and path"));
    let file = File::options().read(true).write(true).open(mapping.1).expect("the shared file");
    let shared = Shared::new(&file, mapping.0.parse().expect("a size"));
    let ring = Ring::open(shared.ring()).expect("a ring");
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let shared = &shared;
            scope.spawn(move || {
                let (seat, pid) = (Seat::new(), std::process::id());
                for number in 1.. {
                    let name = name(writer, thread, number);
                    if ring.write(&seat, &record(pid, number, name.as_bytes()), &Linux).is_err() {
                        return;
                    }
                    shared.written(writer, thread).store(number, Ordering::Release);
                }
            });
        }
    });
}

/// The numbers that came from one thread: all up to `all`, and `beyond`.
#[derive(Default)]
struct Came {
    all: u64,
    beyond: Vec<u64>,
}

impl Came {
    fn insert(&mut self, number: u64) {
        assert!(number > self.all && !self.beyond.contains(&number), "{number} came twice");
        self.beyond.push(number);
        while let Some(place) = self.beyond.iter().position(|&next| next == self.all + 1) {
            self.beyond.swap_remove(place);
            self.all += 1;
        }
    }
}

/// Kills `kills` writers on a ring of `bytes` bytes with chunks of `chunk_words` words.
fn storm(kills: usize, bytes: usize, chunk_words: usize) {
    let file = tempfile::NamedTempFile::new().expect("a file");
    file.as_file().set_len((bytes + (kills + 1) * THREADS * 8) as u64).expect("room for it");
    let shared = Shared::new(file.as_file(), bytes);
    let ring =
        Ring::format_with_chunks(shared.ring(), std::process::id(), chunk_words).expect("room for a ring");
    let mapping = format!("{bytes}:{}", file.path().display());
    let spawn = |writer: usize| {
        Command::new(env::current_exe().expect("this binary"))
            .args(["writer_process", "--exact", "--test-threads=1"])
            .env(WRITER, writer.to_string())
            .env(MAPPING, &mapping)
            .stdout(Stdio::null())
            .spawn()
            .expect("a writer")
    };

    let mut came: HashMap<(usize, usize), Came> = HashMap::new();
    let mut deliver = |record: &Record<'_>| {
        let Event::Access(access) = record.event else { panic!("an access") };
        let path = String::from_utf8(access.path.pieces().concat()).expect("text");
        let mut parts = path.strip_prefix("/storm/").expect("the directory").splitn(4, '/');
        let mut number = || parts.next().and_then(|part| part.parse::<u64>().ok()).expect("a number");
        let (writer, thread, number) = (number() as usize, number() as usize, number());
        assert_eq!(path, format!("/storm/{}", name(writer, thread, number)));
        assert_eq!(record.time_ns, number);
        came.entry((writer, thread)).or_default().insert(number);
    };

    let (killed, finished) = thread::scope(|scope| {
        let killer = scope.spawn(|| kill_all(kills, &shared, spawn));
        let mut reader = Reader::new(ring);
        while !killer.is_finished() {
            reader.drain(&mut is_gone, &mut deliver);
            reader.wait(&Linux);
        }
        (killer.join().expect("no panic"), reader.finish(&mut deliver))
    });

    let mut sum = 0;
    for writer in 0..kills {
        for thread in 0..THREADS {
            let written = shared.written(writer, thread).load(Ordering::Acquire);
            let Came { all, beyond } = came.remove(&(writer, thread)).unwrap_or_default();
            assert!(beyond.is_empty(), "{writer}/{thread}: {written} written, {all} came, and {beyond:?}");
            assert!(all == written || all == written + 1, "{writer}/{thread}: {written} written, {all} came");
            sum += all;
        }
    }
    assert!(came.is_empty());
    assert_eq!(finished, Finished { records: sum, bad: 0, lost: 0, ..finished });
    assert!(finished.unfinished <= (kills * THREADS) as u64);
    println!("{killed} kills: {sum} records, {} left unfinished", finished.unfinished);
}

/// Starts `kills` writers, several at a time, and kills each at a random moment after it has begun to write.
fn kill_all(kills: usize, shared: &Shared, spawn: impl Fn(usize) -> Child) -> usize {
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    let mut running: Vec<(usize, Child)> = Vec::new();
    let mut killed = 0;
    for writer in 0..kills + AT_ONCE {
        if writer < kills {
            running.push((writer, spawn(writer)));
        }
        if running.len() < AT_ONCE && writer < kills || running.is_empty() {
            continue;
        }
        let (number, mut child) = running.remove(0);
        let patience = Instant::now() + Duration::from_secs(20);
        while (0..THREADS).all(|thread| shared.written(number, thread).load(Ordering::Relaxed) == 0) {
            assert!(Instant::now() < patience, "writer {number} does not get to write");
            thread::yield_now();
        }
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        thread::sleep(Duration::from_nanos(random % 500_000));
        child.kill().expect("a kill");
        child.wait().expect("a death");
        killed += 1;
    }
    killed
}

#[test]
fn killed_writers_lose_at_most_the_record_they_were_writing() {
    storm(1500, ring::BYTES, ring::MAX_CHUNK_WORDS);
}

#[test]
fn killed_writers_lose_at_most_the_record_they_were_writing_in_a_ring_that_is_always_full() {
    storm(1500, 4096 + 12 * 256 * 8, 256);
}
