//! A small hunt for stale hits, and proof that it would find some. `scripts/hunt` is the large one.

use std::path::{Path, PathBuf};
use std::process::Command;

use tracerun_tests::hunt::{Difference, hunt};

const JOBS: usize = 2;

#[test]
fn a_cached_run_leaves_and_prints_what_a_fresh_one_does() {
    let (tally, failures) = hunt(&tracerun_tests::tracerun(), 1..301, &[], JOBS, 1, &|_| ());
    if let Some(failure) = failures.first() {
        panic!("scripts/hunt --case {}: {}", failure.seed, failure.difference);
    }
    // A hunt in which nothing hits proves nothing.
    assert!(tally.changed_hits > tally.cases, "{tally:?}");
    assert!(tally.unsteady.len() as u64 * 50 <= tally.cases, "{tally:?}");
}

#[test]
fn a_planted_bug_in_each_of_five_rules_is_found() {
    let tracerun = with_planted_bugs();
    for rule in ["listing", "missing", "order", "symlink", "environment"] {
        let (tally, failures) = hunt(&tracerun, 1..301, &[("TRACERUN_PLANTED", rule)], JOBS, 1, &|_| ());
        let is_stale_hit = |difference: &Difference| matches!(difference, Difference::Runs { outcome, .. } if outcome == "hit");
        let found = failures.iter().any(|failure| is_stale_hit(&failure.difference));
        assert!(found, "the hunt does not notice that the rule of {rule} is switched off: {tally:?}");
        println!("{rule}: found after {} cases", tally.cases);
    }
}

/// A build of its own, in a folder of its own, so that nobody takes it for a release.
fn with_planted_bugs() -> PathBuf {
    let checkout = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let cargo = std::env::var_os("CARGO").unwrap_or("cargo".into());
    let status = Command::new(cargo)
        .args(["build", "--quiet", "--package", "tracerun", "--features", "planted-bugs"])
        .args(["--target-dir", "target/planted"])
        .current_dir(&checkout)
        .status();
    assert!(status.expect("cargo runs").success(), "tracerun can't be built");
    checkout.join("target/planted/debug/tracerun").canonicalize().expect("it was built")
}
