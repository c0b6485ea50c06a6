//! What it costs to hand lines over from thread to thread, with a writer that discards them.

use std::hint::black_box;
use std::io::{self, Write};
use std::time::{Duration, Instant};

use tailmerge::{Backend, Batch, Builder, Merge, PartialWrite, Progress, Smol, TailError, Tailer, Writer};

use crate::{Bench, Outcome, ns_each, us_each};

/// How long an end may take.
pub(crate) const END: Duration = Duration::from_secs(10);

/// Discards what it gets.
#[derive(Debug)]
struct Discard;

impl Writer for Discard {
    async fn write(&mut self, batch: &Batch) -> Result<(), PartialWrite> {
        black_box(batch.bytes());
        Ok(())
    }

    async fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Gives the same bytes a number of times, a batch each.
#[derive(Debug)]
pub(crate) struct Repeat {
    pub(crate) bytes: Vec<u8>,
    pub(crate) left: usize,
    pub(crate) offset: u64,
}

impl Tailer for Repeat {
    fn fill(&mut self, batch: &mut Batch) -> Result<Progress, TailError> {
        batch.spare()[..self.bytes.len()].copy_from_slice(&self.bytes);
        batch.commit(self.offset, self.bytes.len());
        self.offset += self.bytes.len() as u64;
        self.left -= 1;
        Ok(if self.left == 0 { Progress::Ended } else { Progress::More })
    }
}

pub(crate) fn run(bench: &Bench) -> Outcome<()> {
    bench.tell("a job through the blocking pool and back", "µs", || {
        let backend = Smol::new();
        let start = Instant::now();
        smol::block_on(async {
            for _ in 0..bench.times {
                backend.unblock(|| ()).await;
            }
        });
        Ok(us_each(bench.times, start.elapsed()))
    })?;
    bench.tell("a batch of one line to the writer and back", "µs", || {
        let tailer = Repeat { bytes: b"one line\n".to_vec(), left: bench.times, offset: 0 };
        let took = repeat(discarding().once(true).tailer("lines", tailer), bench.times * 9)?;
        Ok(us_each(bench.times, took))
    })?;
    let line = format!("{}\n", "x".repeat(119));
    bench.tell("a line of 120 bytes through a LineSender", "ns", || {
        let merge = discarding().start_on_blocking(Smol::new())?;
        let mut sender = merge.sender("app");
        let count = 50 * bench.times;
        let start = Instant::now();
        for _ in 0..count {
            sender.send_blocking(&line)?;
        }
        sender.flush()?;
        let took = start.elapsed();
        ended(merge, count * line.len())?;
        Ok(ns_each(count, took))
    })?;
    bench.tell("a line through a LineSender, and a flush", "µs", || {
        let merge = discarding().start_on_blocking(Smol::new())?;
        let mut sender = merge.sender("app");
        let start = Instant::now();
        for _ in 0..bench.times {
            sender.send_blocking(&line)?;
            sender.flush()?;
        }
        let took = start.elapsed();
        ended(merge, bench.times * line.len())?;
        Ok(us_each(bench.times, took))
    })
}

fn discarding() -> Builder {
    Builder::new().writer(|_| async { Ok(Discard) })
}

/// Runs a merge to its own end.
pub(crate) fn repeat(builder: Builder, bytes: usize) -> Outcome<Duration> {
    let start = Instant::now();
    let merge = builder.start_on_blocking(Smol::new())?;
    merge.finished_blocking();
    let took = start.elapsed();
    ended(merge, bytes)?;
    Ok(took)
}

/// Ends a merge, which is to have written so much.
fn ended(merge: Merge, bytes: usize) -> Outcome<()> {
    let written = merge.stop_blocking(END)?.bytes;
    if written == bytes as u64 { Ok(()) } else { Err(format!("{written} bytes of {bytes} were written").into()) }
}
