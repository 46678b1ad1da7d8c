//! The reader on a ring into which a hostile process writes what it likes: records or counts, never more.
#![no_main]

use libfuzzer_sys::fuzz_target;
use shm_protocol::record::{Event, Record};
use shm_protocol::ring::{FutexWord, Reader, Ring, Seat, System, Word};
use std::sync::atomic::Ordering;

const CHUNK_WORDS: usize = 64;
const WORDS: usize = 512 + 4 * CHUNK_WORDS;

struct Alone;

impl System for Alone {
    fn wait(&self, _word: &FutexWord, _expected: u32) {}

    fn wake(&self, _word: &FutexWord) {}

    fn reader_is_gone(&self, _reader: u32) -> bool {
        true
    }
}

/// What decodes is one record in its only encoding.
fn deliver(record: &Record<'_>) {
    let mut bytes = Vec::new();
    record.encode(|piece| bytes.extend_from_slice(piece));
    assert_eq!(bytes.len(), record.encoded_len());
    assert_eq!(Record::decode(&bytes), Ok(*record));
}

// The input is a list of steps: the first byte says which, the next two where, the last eight what.
fuzz_target!(|input: &[u8]| {
    let memory: Vec<Word> = (0..WORDS).map(|_| Word::new(0)).collect();
    let Ok(ring) = Ring::format_with_chunks(&memory, 1, CHUNK_WORDS) else {
        unreachable!("it fits")
    };
    let mut reader = Reader::new(ring);
    let seats = [const { Seat::new() }; 4];
    for step in input.chunks_exact(11) {
        let place = usize::from(u16::from_le_bytes([step[1], step[2]]));
        let value = step[3..]
            .iter()
            .rev()
            .fold(0_u64, |value, &byte| value << 8 | u64::from(byte));
        match step[0] % 8 {
            0 => {
                let drained = reader.drain(&mut |pid| pid % 2 == 0, &mut deliver);
                assert!(drained.records + drained.unfinished + drained.bad <= WORDS as u64);
            }
            1 => {
                let address = vec![b'a'; place % 500];
                let event = if value % 2 == 0 {
                    Event::Instrumented
                } else {
                    Event::Network(&address)
                };
                let record = Record {
                    pid: value as u32,
                    time_ns: value,
                    event,
                };
                ring.write(&seats[place % 4], &record, &Alone).ok();
            }
            2 => reader.wait(&Alone),
            // Two thirds of the rest into the chunks, where most is to be found.
            3 | 4 => memory[place % WORDS].store(value, Ordering::Relaxed),
            _ => memory[512 + place % (4 * CHUNK_WORDS)].store(value, Ordering::Relaxed),
        }
    }
    reader.finish(&mut deliver);
    if let Ok(ring) = Ring::open(&memory) {
        Reader::new(ring).finish(&mut deliver);
    }
});
