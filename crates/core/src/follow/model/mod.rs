//! Following, held against a model: random schedules of what programs do to their files, with the tailer's
//! turns in between, on a file system in memory that remembers every content it ever held.
//!
//! [`schedule`] says what happens, [`world`] does it to the [`disk`] and drives discovery and two shards through the
//! [`fs`] door, [`oracle`] judges what comes out, [`check`] what does not; a failing schedule is made as short as it
//! can be by [`shrink`] and printed as a script. The same schedules run on a real file system too, where [`mirror`]
//! does what the model does. All of it is single-threaded, and the same for the same seed:
//!
//! * `TAILMERGE_SEED`: where the random numbers begin.
//! * `TAILMERGE_MODEL_STEPS`: how many steps are run; a tenth of them on a real file system.
//! * `TAILMERGE_SCHEDULE`: the seed of one schedule, as a failure prints it; with `TAILMERGE_TRACE` set, all that the
//!   tailer asks and gives is printed too.
//!
//! # Blind spots
//!
//! What nobody can tell from outside is not made, or not expected: new content with the very bytes before the offset
//! that stood there before (each line begins with a number of its own; a "same head" ends before the offset; copies are
//! made as new files); where there is no time of birth, a closed file whose inode number went to another one; what came
//! into a file and was cut before anybody asked for its size; the lines of a copy, which may come out again. Files are
//! only ever cut to nothing. Discovery always looks thoroughly: whether it lists a directory otherwise depends on time.
//!
//! # Planted bugs
//!
//! Each of these is found within a second, most often within the first hundred schedules:
//!
//! * No check sum in the identity: in `Generation::read_checked`, leave out `&& window.check() == check`.
//! * The old file closed at its first end: in `Input::visit_older`, `ReadOutcome::End if older.is_quiet(cx)` without the
//!   condition.
//! * A fragment emitted: in `Input::visit`, call `current.finish(&mut turn)` after a
//!   `current.read(…)` that said `ReadOutcome::End`.

pub(crate) mod check;
pub(crate) mod disk;
pub(crate) mod fs;
pub(crate) mod mirror;
pub(crate) mod oracle;
pub(crate) mod render;
pub(crate) mod rng;
pub(crate) mod schedule;
pub(crate) mod shrink;
pub(crate) mod trace;
pub(crate) mod world;

use std::time::Instant;

use crate::follow::model::rng::Rng;
use crate::follow::model::schedule::Schedule;

/// Steps of a run, unless the environment says otherwise.
const STEPS: usize = 20_000;
/// Where random numbers begin, unless the environment says otherwise.
const SEED: u64 = 1;
/// So many steps in memory, one on a real file system.
const REAL_PART: usize = 10;

fn from_env(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().unwrap_or_else(|_| panic!("{name} is not a number: {value}")))
}

fn steps() -> usize {
    from_env("TAILMERGE_MODEL_STEPS").map_or(STEPS, |steps| steps as usize)
}

#[test]
fn following_keeps_its_promises_under_random_schedules() {
    run(steps(), Schedule::random);
}

#[test]
fn following_keeps_its_promises_on_a_real_file_system() {
    run(steps() / REAL_PART, Schedule::random_real);
}

fn run(steps: usize, random: fn(u64) -> Schedule) {
    let started = Instant::now();
    let mut seeds = Rng::new(from_env("TAILMERGE_SEED").unwrap_or(SEED));
    if let Some(seed) = from_env("TAILMERGE_SCHEDULE") {
        panic!("{}", shrink::report(random(seed)));
    }
    let (mut done, mut lines, mut schedules) = (0, 0, 0);
    while done < steps {
        let seed = seeds.next();
        let schedule = random(seed);
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
