//! What the ring promises, in one process.

use std::cell::Cell;
use std::sync::atomic::AtomicBool;

use proptest::prelude::*;

use super::word::{Generation, Head};
use super::*;
use crate::access::{Access, AccessKind, Outcome};
use crate::calls::Call;
use crate::path::Joined;
use crate::record::{Event, Exit, MAX_RECORD, Record};

/// Words of the smallest chunk that holds one [`tick`].
const TICK_WORDS: usize = 1 + 3;

/// Memory for a ring of `chunks` chunks.
fn memory(chunks: usize, chunk_words: usize) -> Vec<Word> {
    (0..HEADER_WORDS + chunks * chunk_words).map(|_| Word::new(0)).collect()
}

/// The smallest record.
fn tick(time_ns: u64) -> Record<'static> {
    Record { pid: 7, time_ns, event: Event::Instrumented }
}

fn access<'a>(directory: &'a [u8], name: &'a [u8]) -> Record<'a> {
    let path = Joined { directory, name };
    let access = Access {
        call: Call::ALL[0],
        kind: AccessKind::Read,
        outcome: Outcome::Done,
        follow: true,
        change: None,
        path,
    };
    Record { pid: 7, time_ns: 1, event: Event::Access(access) }
}

/// A system in which nobody else runs: who waits would wait for ever.
struct Alone {
    reader_is_gone: AtomicBool,
    waits: Cell<usize>,
}

impl Alone {
    fn new() -> Self {
        Self { reader_is_gone: AtomicBool::new(false), waits: Cell::new(0) }
    }
}

impl System for Alone {
    fn wait(&self, _word: &FutexWord, _expected: u32) {
        self.waits.set(self.waits.get() + 1);
    }

    fn wake(&self, _word: &FutexWord) {}

    fn reader_is_gone(&self, _reader: u32) -> bool {
        self.reader_is_gone.load(std::sync::atomic::Ordering::Relaxed)
    }
}

/// Drains with every process alive, and returns the times of what came.
fn drain(reader: &mut Reader<'_>) -> Vec<u64> {
    let mut times = Vec::new();
    let drained = reader.drain(&mut |_| false, &mut |record| times.push(record.time_ns));
    assert_eq!(drained, Drained { records: times.len() as u64, unfinished: 0, bad: 0 });
    times
}

#[test]
fn a_record_arrives_as_it_was_written_however_its_path_was_cut() {
    let memory = memory(1, MAX_CHUNK_WORDS);
    let ring = Ring::format(&memory, 1).unwrap();
    let mut reader = Reader::new(ring);
    let seat = Seat::new();
    for (directory, name) in [("", "/"), ("/usr/lib", "libc.so.6"), ("/", "x"), ("/a", "")] {
        let record = access(directory.as_bytes(), name.as_bytes());
        ring.write(&seat, &record, &Alone::new()).unwrap();
        let mut came = 0;
        reader.drain(&mut |_| false, &mut |arrived| {
            assert_eq!(*arrived, record);
            came += 1;
        });
        assert_eq!(came, 1);
    }
}

#[test]
fn two_paths_of_full_length_fit_and_what_is_longer_is_lost() {
    let memory = memory(2, MAX_CHUNK_WORDS);
    let ring = Ring::format(&memory, 1).unwrap();
    let (directory, name) = ([b'/'; 4096], [b'n'; 4096]);
    ring.write(&Seat::new(), &access(&directory, &name), &Alone::new()).unwrap();
    let address = vec![b'a'; MAX_RECORD];
    let long = Record { pid: 1, time_ns: 0, event: Event::Network(&address) };
    assert_eq!(ring.write(&Seat::new(), &long, &Alone::new()), Err(Lost));
    assert_eq!(ring.lost(), 1);
    assert!(!ring.is_closed(), "one unfit record does not end the ring");
}

#[test]
fn what_was_formatted_opens_and_nothing_else_does() {
    let memory = memory(3, 16);
    assert_eq!(Ring::open(&memory).unwrap_err(), BadRing::Magic);
    assert_eq!(Ring::open(&memory[..1]).unwrap_err(), BadRing::Size);
    Ring::format_with_chunks(&memory, 42, 16).unwrap();
    assert_eq!(Ring::open(&memory).unwrap().reader(), 42);
    assert_eq!(Ring::open(&memory[..memory.len() - 1]).unwrap_err(), BadRing::Size);
    memory[VERSION_AT].store(VERSION + 1, Ordering::Relaxed);
    assert_eq!(Ring::open(&memory).unwrap_err(), BadRing::Version);
    for geometry in [0, 1, 16 << 32, 1 << 32 | 1, u64::MAX, 16 << 32 | 4, 5000 << 32 | 1] {
        memory[VERSION_AT].store(VERSION, Ordering::Relaxed);
        memory[GEOMETRY_AT].store(geometry, Ordering::Relaxed);
        assert_eq!(Ring::open(&memory).unwrap_err(), BadRing::Size, "{geometry:x}");
    }
    for chunk_words in [0, 1, MAX_CHUNK_WORDS + 1, usize::MAX] {
        assert_eq!(Ring::format_with_chunks(&memory, 42, chunk_words).unwrap_err(), BadRing::Size);
    }
}

#[test]
fn the_default_size_is_filled_with_chunks() {
    let memory: Vec<Word> = (0..BYTES / 8).map(|_| Word::new(0)).collect();
    let ring = Ring::format(&memory, 1).unwrap();
    assert_eq!((ring.chunks, ring.free_chunks()), (511, 511));
}

#[test]
fn records_go_round_the_ring_many_times() {
    let memory = memory(2, 3 * TICK_WORDS + 1);
    let ring = Ring::format_with_chunks(&memory, 1, 3 * TICK_WORDS + 1).unwrap();
    let mut reader = Reader::new(ring);
    let (seat, system) = (Seat::new(), Alone::new());
    let mut came = Vec::new();
    for time in 0..1000 {
        ring.write(&seat, &tick(time), &system).unwrap();
        if time % 3 == 0 {
            came.extend(drain(&mut reader));
        }
    }
    let finished = reader.finish(&mut |record| came.push(record.time_ns));
    assert_eq!(finished, Finished { records: 1000, ..Finished::default() });
    came.sort_unstable();
    assert!(came.into_iter().eq(0..1000));
    assert_eq!(system.waits.get(), 0);
}

#[test]
fn a_full_ring_waits_and_ends_when_the_reader_is_gone() {
    let memory = memory(1, TICK_WORDS);
    let ring = Ring::format_with_chunks(&memory, 1, TICK_WORDS).unwrap();
    let (seat, system) = (Seat::new(), Alone::new());
    ring.write(&seat, &tick(1), &system).unwrap();
    system.reader_is_gone.store(true, std::sync::atomic::Ordering::Relaxed);
    assert_eq!(ring.write(&seat, &tick(2), &system), Err(Lost));
    assert!(ring.is_closed());
    assert_eq!(
        Reader::new(ring).finish(&mut |_| {}),
        Finished { records: 1, lost: 1, ..Finished::default() }
    );
}

#[test]
fn a_reader_that_never_makes_room_is_given_up_after_a_bounded_number_of_waits() {
    let memory = memory(1, TICK_WORDS);
    let ring = Ring::format_with_chunks(&memory, 1, TICK_WORDS).unwrap();
    let (seat, system) = (Seat::new(), Alone::new());
    ring.write(&seat, &tick(1), &system).unwrap();
    assert_eq!(ring.write(&seat, &tick(2), &system), Err(Lost));
    assert!((1..=1000).contains(&system.waits.get()));
    assert_eq!(ring.write(&seat, &tick(3), &Alone::new()), Err(Lost), "and does not hold up the next record");
    assert_eq!(ring.lost(), 2);
}

#[test]
fn nothing_is_written_to_a_closed_ring() {
    let memory = memory(2, 64);
    let ring = Ring::format_with_chunks(&memory, 1, 64).unwrap();
    ring.write(&Seat::new(), &tick(1), &Alone::new()).unwrap();
    ring.close();
    assert_eq!(ring.write(&Seat::new(), &tick(2), &Alone::new()), Err(Lost));
    assert_eq!(
        Reader::new(ring).finish(&mut |_| {}),
        Finished { records: 1, lost: 1, ..Finished::default() }
    );
}

#[test]
fn idle_writers_do_not_hold_all_chunks() {
    let memory = memory(4, 64);
    let ring = Ring::format_with_chunks(&memory, 1, 64).unwrap();
    let mut reader = Reader::new(ring);
    let seats: Vec<Seat> = (0..100).map(|_| Seat::new()).collect();
    let mut came = Vec::new();
    for (time, seat) in seats.iter().enumerate() {
        ring.write(seat, &tick(time as u64), &Alone::new()).unwrap();
        came.extend(drain(&mut reader));
        came.extend(drain(&mut reader));
    }
    assert!(came.into_iter().eq(0..100));
}

#[test]
fn a_writer_that_comes_back_to_a_chunk_of_others_takes_another() {
    let memory = memory(2, 3 * TICK_WORDS);
    let ring = Ring::format_with_chunks(&memory, 1, 3 * TICK_WORDS).unwrap();
    let mut reader = Reader::new(ring);
    let (sleeper, system) = (Seat::new(), Alone::new());
    ring.write(&sleeper, &tick(0), &system).unwrap();
    let mut came = Vec::new();
    for time in 1..20 {
        ring.write(&Seat::new(), &tick(time), &system).unwrap();
        came.extend(drain(&mut reader));
        came.extend(drain(&mut reader));
    }
    ring.write(&sleeper, &tick(20), &system).unwrap();
    reader.finish(&mut |record| came.push(record.time_ns));
    came.sort_unstable();
    assert!(came.into_iter().eq(0..=20));
}

/// Claims the first place of the first chunk and never commits.
fn die_in_the_middle(ring: Ring<'_>, pid: u32, length: usize) {
    let claimed = Head::Claimed { pid, length }.to_word(Generation::FIRST);
    ring.free()[0].fetch_and(!1, Ordering::Relaxed);
    ring.body[0].store(claimed, Ordering::Relaxed);
}

#[test]
fn an_unfinished_record_waits_for_its_process_and_hides_nothing_behind_it() {
    let memory = memory(1, 64);
    let ring = Ring::format_with_chunks(&memory, 1, 64).unwrap();
    die_in_the_middle(ring, 7, 30);
    let seat = Seat::new();
    seat.set(seat::Place { chunk: 0, generation: Generation::FIRST, position: 0 });
    ring.write(&seat, &tick(1), &Alone::new()).unwrap();

    let mut reader = Reader::new(ring);
    assert_eq!(drain(&mut reader), [], "its process may still commit");
    let drained = reader.drain(&mut |pid| pid == 7, &mut |record| assert_eq!(record.time_ns, 1));
    assert_eq!(drained, Drained { records: 1, unfinished: 1, bad: 0 });
    let finished = reader.finish(&mut |_| panic!("nothing arrives twice"));
    assert_eq!(finished, Finished { records: 1, unfinished: 1, bad: 0, lost: 0 });
}

#[test]
fn a_record_committed_just_before_its_process_went_is_delivered() {
    let memory = memory(1, 64);
    let ring = Ring::format_with_chunks(&memory, 1, 64).unwrap();
    let seat = Seat::new();
    ring.write(&seat, &tick(1), &Alone::new()).unwrap();
    let head = &ring.chunk(0).unwrap()[0];
    let committed = head.load(Ordering::Relaxed);
    let length = tick(1).encoded_len();
    head.store(Head::Claimed { pid: 7, length }.to_word(Generation::FIRST), Ordering::Relaxed);
    let mut commit_and_die = |_| {
        head.store(committed, Ordering::Relaxed);
        true
    };
    let drained = Reader::new(ring).drain(&mut commit_and_die, &mut |_| {});
    assert_eq!(drained, Drained { records: 1, unfinished: 0, bad: 0 });
}

#[test]
fn a_chunk_of_nonsense_is_counted_and_used_again() {
    let memory = memory(1, 64);
    let ring = Ring::format_with_chunks(&memory, 1, 64).unwrap();
    let mut reader = Reader::new(ring);
    let nonsense = [
        pack_mark(),
        Head::Committed { pid: 1, length: 32_000 }.to_word(Generation::FIRST),
        Head::Empty.to_word(Generation::FIRST.next().next().next()),
    ];
    for (turn, word) in nonsense.into_iter().enumerate() {
        ring.free()[0].store(0, Ordering::Relaxed);
        ring.chunk(0).unwrap()[0].store(word, Ordering::Relaxed);
        let drained = reader.drain(&mut |_| true, &mut |_| panic!("no record here"));
        assert_eq!(drained, Drained { records: 0, unfinished: 0, bad: 1 }, "{turn}");
        assert_eq!(ring.free_chunks(), 1);
    }
    ring.write(&Seat::new(), &tick(9), &Alone::new()).unwrap();
    assert_eq!(drain(&mut reader), [9]);
}

fn pack_mark() -> u64 {
    word::PAYLOAD_MARK
}

#[test]
fn a_committed_record_without_payload_marks_or_sense_is_bad() {
    let memory = memory(1, 64);
    let ring = Ring::format_with_chunks(&memory, 1, 64).unwrap();
    let seat = Seat::new();
    for time in 0..3 {
        ring.write(&seat, &tick(time), &Alone::new()).unwrap();
    }
    let chunk = ring.chunk(0).unwrap();
    chunk[1].fetch_and(!word::PAYLOAD_MARK, Ordering::Relaxed);
    chunk[TICK_WORDS + 1].store(word::PAYLOAD_MARK | 0xff, Ordering::Relaxed);
    let mut times = Vec::new();
    let drained = Reader::new(ring).drain(&mut |_| false, &mut |record| times.push(record.time_ns));
    assert_eq!((drained, times), (Drained { records: 1, unfinished: 0, bad: 2 }, vec![2]));
}

#[test]
fn a_mapping_is_viewed_as_whole_words() {
    let mut memory = vec![0_u64; HEADER_WORDS + 64];
    let bytes = memory.len() * 8 + 7;
    // SAFETY: the vector's buffer is aligned for u64, and outlives the ring, which only uses the whole words that it has.
    let words = unsafe { words_from_mapping(memory.as_mut_ptr().cast(), bytes) };
    let ring = Ring::format_with_chunks(words, 5, 64).unwrap();
    ring.advance_directory_generation();
    assert_eq!((ring.reader(), ring.directory_generation()), (5, 1));
}

#[test]
fn a_look_during_a_change_is_timed_by_the_change_before() {
    let mut memory = vec![0_u64; HEADER_WORDS + 64];
    let bytes = memory.len() * 8;
    // SAFETY: as above.
    let words = unsafe { words_from_mapping(memory.as_mut_ptr().cast(), bytes) };
    let ring = Ring::format_with_chunks(words, 5, 64).unwrap();
    assert_eq!(ring.time_of_change(|| 100), 100);
    let undisturbed = ring.moment();
    assert_eq!(ring.time_of_look(undisturbed, || 150), 150);
    let disturbed = ring.moment();
    assert_eq!(ring.time_of_change(|| 200), 200);
    assert_eq!(ring.time_of_look(disturbed, || 250), 100);
    assert_eq!(ring.time_of_look(ring.moment(), || 250), 250);
}

/// A few words of chunks, biased to what can go wrong.
fn hostile_word() -> impl Strategy<Value = u64> {
    let generation = (0..3_u64).prop_map(Generation::from_bits);
    let head = (0..3_u32, 0..200_usize, generation, 0..4_u8).prop_map(|(pid, length, generation, kind)| {
        let head = match kind {
            0 => Head::Empty,
            1 => Head::Claimed { pid, length },
            2 => Head::Committed { pid, length },
            _ => Head::Sealed,
        };
        head.to_word(generation)
    });
    prop_oneof![head, any::<u64>(), any::<u64>().prop_map(|word| word | word::PAYLOAD_MARK)]
}

proptest! {
    #[test]
    fn any_content_gives_records_or_counts(
        content in prop::collection::vec((0..HEADER_WORDS + 4 * 64, hostile_word()), 0..200),
        gone in any::<bool>(),
    ) {
        let memory = memory(4, 64);
        let ring = Ring::format_with_chunks(&memory, 1, 64).unwrap();
        let mut reader = Reader::new(ring);
        let seat = Seat::new();
        for part in content.chunks(20) {
            ring.write(&seat, &tick(0), &Alone::new()).ok();
            for &(place, word) in part {
                memory[place].store(word, Ordering::Relaxed);
            }
            reader.drain(&mut |_| gone, &mut |_| {});
            reader.wait(&Alone::new());
        }
        reader.finish(&mut |_| {});
    }

    #[test]
    fn every_record_arrives_whatever_the_sizes_and_the_order(
        steps in prop::collection::vec((0..3_usize, 0..300_usize), 1..60),
    ) {
        let memory = memory(4, 64);
        let ring = Ring::format_with_chunks(&memory, 1, 64).unwrap();
        let mut reader = Reader::new(ring);
        let seats = [Seat::new(), Seat::new(), Seat::new()];
        let mut sent = Vec::new();
        let mut came = Vec::new();
        for (time, (seat, length)) in steps.into_iter().enumerate() {
            let address = vec![b'x'; length];
            let event = if length % 7 == 0 { Event::Exit(Exit::Code(3)) } else { Event::Network(&address) };
            let record = Record { pid: 3, time_ns: time as u64, event };
            ring.write(&seats[seat], &record, &Alone::new()).unwrap();
            sent.push((time as u64, record.encoded_len()));
            reader.drain(&mut |_| false, &mut |record| came.push((record.time_ns, record.encoded_len())));
        }
        reader.finish(&mut |record| came.push((record.time_ns, record.encoded_len())));
        came.sort_unstable();
        prop_assert_eq!(sent, came);
    }
}
