//! The heartbeat of a host: a task that ticks every millisecond on the only thread of the host's executor.
//!
//! How late a tick is tells how long something else held that thread, or kept it from a processor.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_lite::future::or;
use smol::{Executor, Timer};
use tailmerge::{Builder, Smol};

use crate::Outcome;

const TICK: Duration = Duration::from_millis(1);

/// A tick later than this is counted.
const LATE: Duration = Duration::from_millis(5);

/// How long the executor runs before it counts: its threads start meanwhile.
const START: Duration = Duration::from_millis(100);

/// How late the ticks were.
#[derive(Debug)]
struct Beats {
    start: Instant,
    ticks: u64,
    late: u64,
    worst: Duration,
}

/// Beats beside a merge until that has ended, or without one; in any case until the end of its standard input.
pub(crate) fn run(merge: Option<Builder>) -> Outcome<()> {
    let executor = Arc::new(Executor::new());
    let (over, heard) = async_channel::bounded::<()>(1);
    let beats = smol::block_on(executor.run(async {
        let beating = executor.spawn(async move {
            Timer::after(START).await;
            println!("beating");
            let mut beats = Beats { start: Instant::now(), ticks: 0, late: 0, worst: Duration::ZERO };
            while !heard.is_closed() {
                beats.tick().await;
            }
            beats
        });
        Timer::after(2 * START).await;
        let told = blocking::unblock(|| io::copy(&mut io::stdin(), &mut io::sink()));
        let told = async { told.await.map(drop) };
        match merge {
            None => told.await?,
            Some(merge) => {
                let merge = merge.start_on(Smol::with_executor(&executor)).await?;
                let finished = async {
                    merge.finished().await;
                    Ok(())
                };
                or(finished, told).await?;
                // What was not read from the output by now is not awaited.
                merge.stop_now().await?;
            }
        }
        drop(over);
        Outcome::Ok(beating.await)
    }))?;
    println!("ticks {}", beats.ticks);
    println!("late {}", beats.late);
    println!("worst {}", beats.worst.as_micros());
    // A thread may still wait for the end of the standard input.
    std::process::exit(0);
}

impl Beats {
    /// Waits for the next whole millisecond.
    async fn tick(&mut self) {
        let whole = self.start.elapsed().as_micros() / TICK.as_micros() + 1;
        let due = self.start + TICK * whole as u32;
        Timer::at(due).await;
        let late = due.elapsed();
        self.ticks += 1;
        self.late += u64::from(late > LATE);
        self.worst = self.worst.max(late);
    }
}
