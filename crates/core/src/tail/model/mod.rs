//! Following, held against a model: random schedules of what programs do to their files, with the tailer's
//! turns in between, on a file system in memory that remembers every content it ever held.

mod check;
mod disk;
mod fs;
mod oracle;
mod render;
mod rng;
mod schedule;
mod shrink;
mod world;

use std::time::Instant;

use rng::Rng;
use schedule::Schedule;

/// Steps of a run, unless the environment says otherwise.
const STEPS: usize = 20_000;
/// Where random numbers begin, unless the environment says otherwise.
const SEED: u64 = 1;

fn from_env(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().unwrap_or_else(|_| panic!("{name} is not a number: {value}")))
}

#[test]
fn following_keeps_its_promises_under_random_schedules() {
    let seed = from_env("TAILMERGE_SEED").unwrap_or(SEED);
    let steps = from_env("TAILMERGE_MODEL_STEPS").map_or(STEPS, |steps| steps as usize);
    let started = Instant::now();
    let mut seeds = Rng::new(seed);
    if let Some(seed) = from_env("TAILMERGE_SCHEDULE") {
        panic!("{}", shrink::report(Schedule::random(seed)));
    }
    let (mut done, mut lines, mut schedules) = (0, 0, 0);
    while done < steps {
        let seed = seeds.next();
        let schedule = Schedule::random(seed);
        done += schedule.steps.len();
        match shrink::run(&schedule) {
            Ok(more) => lines += more,
            Err(violation) => {
                let (least, violation) = shrink::shrink(schedule, violation);
                let (kind, story) = (violation.kind, violation.story);
                let took = started.elapsed();
                panic!("after {schedules} schedules in {took:.1?}, seed {seed}: {kind}: {story}\n{least}");
            }
        }
        schedules += 1;
    }
    println!("{done} steps in {schedules} schedules, {lines} lines came out, in {:.1?}", started.elapsed());
}
