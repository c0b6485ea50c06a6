//! Makes a failing schedule as short and plain as it can be while it fails in the same way.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::follow::model::oracle::Violation;
use crate::follow::model::schedule::{Schedule, Setup};
use crate::follow::model::world;
use crate::panic::panic_message;

/// Runs a schedule; a panic is a violation like any other.
pub(crate) fn run(schedule: &Schedule) -> Result<u64, Violation> {
    catch_unwind(AssertUnwindSafe(|| world::run(schedule)))
        .unwrap_or_else(|panic| Err(Violation { kind: "panic", story: panic_message(&*panic).to_owned() }))
}

/// Drops steps, many at once and then one by one, and plain settings come back, as long as it goes on failing.
pub(crate) fn shrink(mut schedule: Schedule, mut violation: Violation) -> (Schedule, Violation) {
    loop {
        let before = (schedule.steps.len(), schedule.setup);
        let mut size = schedule.steps.len().div_ceil(2);
        while size > 0 {
            let mut at = 0;
            while at < schedule.steps.len() {
                let mut less = schedule.clone();
                less.steps.drain(at..(at + size).min(schedule.steps.len()));
                if !fails(less, &mut schedule, &mut violation) {
                    at += size;
                }
            }
            size /= 2;
        }
        let now = schedule.setup;
        let plain = Setup::PLAIN;
        for setup in [
            Setup { keeps: plain.keeps, ..now },
            Setup { open_files: plain.open_files, ..now },
            Setup { limit: plain.limit, policy: plain.policy, ..now },
            Setup { labels: plain.labels, ..now },
            Setup { births: plain.births, ..now },
            Setup { chunk: plain.chunk, room: plain.room, ..now },
            Setup { hints: plain.hints, ..now },
            Setup { from_end: plain.from_end, ..now },
            Setup { short_reads: plain.short_reads, ..now },
            Setup { block: if now.real { now.block } else { plain.block }, ..now },
        ] {
            if setup != now {
                let plainer = Schedule { setup, steps: schedule.steps.clone() };
                if fails(plainer, &mut schedule, &mut violation) {
                    break;
                }
            }
        }
        if before == (schedule.steps.len(), schedule.setup) {
            return (schedule, violation);
        }
    }
}

/// Takes a simpler schedule in place of the failing one, if it fails in the same way.
fn fails(simpler: Schedule, schedule: &mut Schedule, violation: &mut Violation) -> bool {
    match run(&simpler) {
        Err(found) if found.kind == violation.kind => {
            (*schedule, *violation) = (simpler, found);
            true
        }
        _ => false,
    }
}

/// Runs and shrinks one schedule, and runs the least one again.
pub(crate) fn report(schedule: Schedule) -> String {
    match run(&schedule) {
        Ok(lines) => format!("no violation, {lines} lines came out"),
        Err(violation) => {
            let (least, _) = shrink(schedule, violation);
            println!("LEAST");
            let violation = run(&least).expect_err("it failed before");
            format!("{}: {}\n{least}", violation.kind, violation.story)
        }
    }
}
