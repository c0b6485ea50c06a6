//! The schedules.

use std::io::ErrorKind;

use crate::output::journal::model::disk::Fault;
use crate::output::journal::model::merge::World;

/// A start needs about so many calls, and a merge.
const CALLS: [u64; 2] = [12, 80];

/// Runs merges with a fault in each, the last one without.
fn crashes(seed: u64, trace: bool) {
    let mut world = World::new(seed, trace);
    for _ in 0..world.rng.below(8) {
        let most = CALLS[world.rng.below(2) as usize];
        let calls = 1 + world.rng.below(most);
        let errors = [ErrorKind::StorageFull, ErrorKind::Interrupted, ErrorKind::Other, ErrorKind::QuotaExceeded];
        let fault = match world.rng.below(3) {
            0 => Fault::Error(errors[world.rng.below(4) as usize]),
            _ => Fault::Kill,
        };
        world.disk.plan(calls, fault);
        let run = world.run();
        // An error that is none of the disk's is a refusal.
        let is_known = |error: &std::io::Error| world.disk.is_killed() || errors.contains(&error.kind());
        assert!(run.as_ref().err().is_none_or(is_known), "{run:?}");
        let power_lost = world.rng.below(2) == 0;
        world.restart(power_lost);
    }
    assert!(world.run().expect("nothing fails any more"));
    world.check_end();
}

#[test]
fn each_line_is_in_the_output_once_whatever_crashes() {
    if let Ok(seed) = std::env::var("TAILMERGE_CRASHES") {
        return crashes(seed.parse().expect("a seed"), true);
    }
    let seeds = std::env::var("TAILMERGE_CRASH_SEEDS").map_or(500, |seeds| seeds.parse().expect("a number"));
    for seed in 0..seeds {
        let run = std::panic::catch_unwind(|| crashes(seed, false));
        assert!(run.is_ok(), "TAILMERGE_CRASHES={seed} shows it");
    }
}
