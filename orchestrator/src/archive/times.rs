//! The modification times that outputs get on a hit: later than every input, and in the order in which the run made them.
//!
//! Tools such as make and ninja take what is older than what it is made of for out of date. A run leaves its outputs in
//! order; a hit must, too, though it puts back only some of them, though a `touch` may have made an input newer than all.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use platform::files;
use shm_protocol::access::Before;

use super::{InPlace, Left, Output};

/// What the times of outputs are judged by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Past {
    /// When the run began, nanoseconds since 1970: what has an older modification time was given that on purpose, as by
    /// `tar` and `cp -p`.
    pub(crate) started_ns: i128,
    /// The newest modification time of an input, nanoseconds since 1970.
    pub(crate) newest_input_ns: i128,
}

/// So that times given by one process are not those given by another: within the system's clock tick.
const SPREAD_NS: i128 = 1_000_000;

/// The time for each output that is to get a new one: for those that are not in place, and for those in place that the
/// run made after one of these, or that are older than an input.
pub(super) fn renewed(
    outputs: &[Output],
    in_place: &[Option<InPlace>],
    past: Past,
) -> Vec<Option<SystemTime>> {
    let ranks = ranks(outputs, in_place, past);
    let most = ranks.iter().flatten().max().copied().unwrap_or_default();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos() as i128;
    // What is written next, by whomever, must not come out older: that gets the time of the last tick.
    let last = files::last_tick().unwrap_or(now) - now % SPREAD_NS;
    let first = (last - most).max(past.newest_input_ns + 1);
    let time =
        |rank: i128| UNIX_EPOCH + Duration::from_nanos(u64::try_from(first + rank).unwrap_or_default());
    ranks.into_iter().map(|rank| rank.map(time)).collect()
}

/// The places of those outputs in the order of their times.
fn ranks(outputs: &[Output], in_place: &[Option<InPlace>], past: Past) -> Vec<Option<i128>> {
    let mut order: Vec<usize> = (0..outputs.len()).filter(|&index| is_timed(&outputs[index])).collect();
    order.sort_by_key(|&index| outputs[index].mtime_ns);
    let mut ranks = vec![None; outputs.len()];
    let (mut floor, mut late, mut rank) = (past.newest_input_ns, false, 0);
    for group in order.chunk_by(|&one, &other| outputs[one].mtime_ns == outputs[other].mtime_ns) {
        let made = i128::from(outputs[group[0]].mtime_ns) >= past.started_ns;
        // That of a folder changes with what is put into it, whenever that was made.
        let is_folder = |index: usize| matches!(outputs[index].left, Left::Directory { .. });
        let least = if late { i128::MAX } else { floor };
        let is_stale = |index: usize| match in_place[index] {
            None => true,
            Some(now) if is_folder(index) => made && now.mtime_ns < past.newest_input_ns,
            Some(now) => made && now.mtime_ns < least,
        };
        let any = group.iter().any(|&index| is_stale(index));
        for &index in group {
            if in_place[index].is_none() || made && any && !is_folder(index) || is_stale(index) {
                ranks[index] = Some(rank);
            } else if let (Some(now), true, false) = (in_place[index], made, is_folder(index)) {
                floor = floor.max(now.mtime_ns);
            }
        }
        late |= group.iter().any(|&index| ranks[index].is_some() && !is_folder(index));
        rank += 1;
    }
    ranks
}

/// Whether an output has a time of its own that the run gave it.
fn is_timed(output: &Output) -> bool {
    match output.left {
        Left::File { .. } => true,
        Left::Directory { .. } => output.before == Before::Absent,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::{Attributes, Look};
    use crate::fingerprint::Digest;

    const PAST: Past = Past { started_ns: 100, newest_input_ns: 50 };

    fn left_at(mtime_ns: u64) -> Output {
        let left = Left::File { digest: Digest([0; 32]), size: 1, mode: 0o644 };
        let (path, attributes) = (b"/p"[..].into(), Attributes::default());
        Output { path, before: Before::Absent, left, look: Look::None, attributes, link_to: None, mtime_ns }
    }

    fn stands_since(mtime_ns: i128) -> Option<InPlace> {
        Some(InPlace { mtime_ns, file: (1, 1) })
    }

    fn ranked(outputs: &[u64], in_place: &[Option<InPlace>], past: Past) -> Vec<Option<i128>> {
        let outputs: Vec<Output> = outputs.iter().map(|&mtime_ns| left_at(mtime_ns)).collect();
        ranks(&outputs, in_place, past)
    }

    #[test]
    fn what_is_put_back_is_in_the_order_and_the_equality_of_the_run() {
        assert_eq!(ranked(&[30, 120, 110, 120], &[None; 4], PAST), [Some(0), Some(2), Some(1), Some(2)]);
    }

    #[test]
    fn what_was_made_after_something_that_is_put_back_becomes_newer_than_it() {
        let in_place = [stands_since(110), None, stands_since(130)];
        assert_eq!(ranked(&[110, 120, 130], &in_place, PAST), [None, Some(1), Some(2)]);
    }

    #[test]
    fn what_is_older_than_an_input_or_out_of_order_is_made_newer() {
        let touched = Past { newest_input_ns: 115, ..PAST };
        let in_place = [stands_since(110), stands_since(120)];
        assert_eq!(ranked(&[110, 120], &in_place, touched), [Some(0), Some(1)]);
        assert_eq!(ranked(&[110, 120], &in_place, PAST), [None, None]);
        let out_of_order = [stands_since(210), stands_since(120)];
        assert_eq!(ranked(&[110, 120], &out_of_order, PAST), [None, Some(1)]);
    }

    #[test]
    fn a_time_that_the_run_gave_on_purpose_is_left_alone() {
        let in_place = [stands_since(20), stands_since(30), None];
        assert_eq!(ranked(&[20, 30, 40], &in_place, PAST), [None, None, Some(2)]);
    }

    #[test]
    fn times_lie_after_the_newest_input_and_before_what_is_written_next() {
        let outputs = [left_at(110), left_at(120)];
        let ticked = files::last_tick().unwrap();
        let since = |time: &SystemTime| time.duration_since(UNIX_EPOCH).unwrap().as_nanos() as i128;
        let times = renewed(&outputs, &[None; 2], PAST);
        assert!(
            times[0] < times[1] && times.iter().flatten().all(|time| since(time) <= ticked + 100_000_000)
        );
        let past = Past { newest_input_ns: ticked, ..PAST };
        let times = renewed(&outputs, &[None; 2], past);
        assert!(times.iter().flatten().all(|time| since(time) > ticked));
    }
}
