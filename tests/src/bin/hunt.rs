//! `scripts/hunt`: hunts stale hits.

use std::process::ExitCode;
use std::time::Instant;

use tracerun_tests::hunt::{Case, Tally, World, hunt, shrunk};

const USAGE: &str = "usage: hunt [--count N] [--seed N] [--jobs N] [--failures N] | hunt --case SEED
Tries N cases (10000), from the seed (1) on, on N threads (2), and stops at the Nth difference (1).
--case tries the one of this seed, and prints it as a script.";

fn main() -> ExitCode {
    let (mut count, mut seed, mut jobs, mut failures, mut case) = (10_000, 1, 2, 1, None);
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        let value = arguments.next().and_then(|value| value.parse::<u64>().ok());
        match (&name[..], value) {
            ("--count", Some(value)) => count = value,
            ("--seed", Some(value)) => seed = value,
            ("--jobs", Some(value)) => jobs = value as usize,
            ("--failures", Some(value)) => failures = value as usize,
            ("--case", Some(value)) => case = Some(value),
            _ => {
                eprintln!("{USAGE}");
                return ExitCode::from(2);
            }
        }
    }
    let tracerun = tracerun_tests::tracerun();
    let began = Instant::now();
    let seeds = case.map_or(seed..seed + count, |case| case..case + 1);
    let progress = |tally: &Tally| {
        if tally.cases.is_multiple_of(1000) {
            println!("{} cases after {} s", tally.cases, began.elapsed().as_secs());
        }
    };
    let (tally, failures) = hunt(&tracerun, seeds, &[], jobs, failures, &progress);
    print!("{}", told(&tally, began.elapsed().as_secs_f64()));
    if let (Some(case), []) = (case, &failures[..]) {
        println!("# no difference; the case is\n{}", Case::new(case).by_hand());
    }
    for failure in &failures {
        println!("\ncase {}: a cached run differs from a fresh one; shrinking", failure.seed);
        let (case, difference) = shrunk(&World::new(&tracerun, &[]), failure);
        println!("# case {}: {difference}\n{}", failure.seed, case.by_hand());
    }
    if failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn told(tally: &Tally, seconds: f64) -> String {
    let uncached: u64 = tally.uncached.values().sum();
    let runs = tally.hits + tally.misses + uncached;
    let mut text = format!(
        "{} cases in {seconds:.0} s, {runs} runs compared: {} hits ({} of them with something changed around them, {} with own \
         outputs in place that a fresh run would have seen), {} misses, {uncached} not cached\n",
        tally.cases, tally.hits, tally.changed_hits, tally.own_outputs, tally.misses
    );
    for (reason, count) in &tally.uncached {
        text.push_str(&format!("  {count:6} not cached: {reason}\n"));
    }
    if !tally.unsteady.is_empty() {
        let first: Vec<String> = tally.unsteady.iter().take(10).map(u64::to_string).collect();
        text.push_str(&format!(
            "  {} cases given up because two fresh runs differed: {}\n",
            tally.unsteady.len(),
            first.join(" ")
        ));
    }
    text
}
