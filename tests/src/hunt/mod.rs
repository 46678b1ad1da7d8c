//! The hunt for stale hits: random projects, commands and changes; after each change the cached run is compared with
//! a fresh one.

mod dice;
mod generate;
mod shrink;
mod tree;
mod world;

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

pub use self::generate::Case;
pub use self::shrink::shrunk;
pub use self::world::{Difference, World};

/// What came of the runs of a hunt.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Cases that were tried.
    pub cases: u64,
    /// Runs that were hits and compared.
    pub hits: u64,
    /// Those of them before which something in the project, the environment or the directory had changed.
    pub changed_hits: u64,
    /// Hits that agreed with a fresh run only once own outputs in place were as the kept run had found them.
    pub own_outputs: u64,
    /// Runs that were misses, stored, and compared.
    pub misses: u64,
    /// Runs that were not cached, by reason, and compared.
    pub uncached: BTreeMap<String, u64>,
    /// Cases that were given up: two fresh runs of the same differed. The first of them.
    pub unsteady: Vec<u64>,
}

impl Tally {
    fn add(&mut self, other: &Self) {
        self.cases += other.cases;
        self.hits += other.hits;
        self.changed_hits += other.changed_hits;
        self.own_outputs += other.own_outputs;
        self.misses += other.misses;
        for (reason, count) in &other.uncached {
            *self.uncached.entry(reason.clone()).or_default() += count;
        }
        self.unsteady.extend(&other.unsteady);
    }
}

/// A case in which a cached run differed from a fresh one.
#[derive(Debug)]
pub struct Failure {
    /// Its seed.
    pub seed: u64,
    /// How the runs differed.
    pub difference: Difference,
}

/// Tries the cases of these seeds on as many threads as `jobs`, with these variables for tracerun itself, until `most`
/// of them differ. `progress` is told after
/// each.
///
/// # Panics
/// The cases can't be set up.
#[must_use]
pub fn hunt(
    tracerun: &Path,
    seeds: Range<u64>,
    variables: &[(&str, &str)],
    jobs: usize,
    most: usize,
    progress: &(dyn Fn(&Tally) + Sync),
) -> (Tally, Vec<Failure>) {
    let next = AtomicU64::new(seeds.start);
    let done = AtomicBool::new(false);
    let total = Mutex::new((Tally::default(), Vec::new()));
    let worlds: Vec<World> = (0..jobs.max(1)).map(|_| World::new(tracerun, variables)).collect();
    std::thread::scope(|scope| {
        for world in &worlds {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        break;
                    }
                    let mut tally = Tally { cases: 1, ..Tally::default() };
                    let tried = world.try_case(&Case::new(seed), &mut tally);
                    if matches!(tried, Err(Difference::Unsteady)) {
                        tally.unsteady.push(seed);
                    }
                    let mut total = total.lock().expect("no thread panicked");
                    total.0.add(&tally);
                    match tried {
                        Ok(()) | Err(Difference::Unsteady) => {}
                        Err(difference) => {
                            total.1.push(Failure { seed, difference });
                            done.fetch_or(total.1.len() >= most, Ordering::Relaxed);
                        }
                    }
                    progress(&total.0);
                }
            });
        }
    });
    total.into_inner().expect("no thread panicked")
}
