//! Each stage of `examples/` on every backend: five inputs, each appended to at random moments by its own producer
//! while they are merged; then all their lines must be in the output, in order, and nothing else.
//!
//! `TAILMERGE_REPEAT=N` runs each scenario N times. A failure tells its seed, and `TAILMERGE_SEED=S` runs that one:
//! the same bytes in the same writes after the same pauses.

use std::env;
use std::fs::{self, File, OpenOptions};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use async_channel::Receiver;
use futures_lite::future::yield_now;
use tailmerge::{Backend, Batch, Builder, PartialWrite, Writer};
use tailmerge_conformance::Threads;
use tailmerge_verify::Check;

#[path = "../examples/stage1_threads.rs"]
pub mod stage1_threads;
#[path = "../examples/stage2_threads_async_writer.rs"]
pub mod stage2_threads_async_writer;
#[path = "../examples/stage3_tasks.rs"]
pub mod stage3_tasks;
#[path = "../examples/stage4_async_tail.rs"]
pub mod stage4_async_tail;
#[path = "../examples/stage5_async.rs"]
pub mod stage5_async;
#[path = "../examples/stage6_stall.rs"]
pub mod stage6_stall;

type Error = Box<dyn std::error::Error + Send + Sync>;

/// What every stage looks like.
type Stage<B> = fn(B, &[PathBuf], &Path, Receiver<()>) -> Result<(), Error>;

const INPUTS: usize = 5;

/// How many writes a producer makes.
const WRITES: usize = 40;

/// Most that a producer waits between two writes.
const PAUSE_MAX: Duration = Duration::from_millis(12);

/// When a stage that does not come back is given up.
const DEADLINE: Duration = Duration::from_secs(60);

/// How long the steps take that are to be told.
const BLOCKED: Duration = Duration::from_millis(150);

macro_rules! on {
    ($name:ident, $backend:expr) => {
        mod $name {
            #[test]
            fn stage1_threads() {
                super::scenario($backend, super::stage1_threads::run);
            }

            #[test]
            fn stage2_threads_async_writer() {
                super::scenario($backend, super::stage2_threads_async_writer::run);
            }

            #[test]
            fn stage3_tasks() {
                super::scenario($backend, super::stage3_tasks::run);
            }

            #[test]
            fn stage4_async_tail() {
                super::scenario($backend, super::stage4_async_tail::run);
            }

            #[test]
            fn stage5_async() {
                super::scenario($backend, super::stage5_async::run);
            }

            #[test]
            fn stage6_stall() {
                super::scenario($backend, super::stage6_stall::run);
            }

            #[test]
            fn stage6_tells_steps_that_block() {
                super::tells_steps_that_block($backend);
            }

            #[test]
            fn stage6_does_not_tell_quick_steps() {
                super::does_not_tell_quick_steps($backend);
            }
        }
    };
}

#[cfg(feature = "smol")]
on!(smol, tailmerge::Smol::new());
#[cfg(feature = "async-std")]
on!(async_std, tailmerge::AsyncStd::new());
on!(threads, super::Threads::new());

/// Runs a stage as often as asked for, and panics at the first failure.
fn scenario<B: Backend>(backend: B, stage: Stage<B>) {
    let number = |name| env::var(name).ok().map(|text| text.parse::<u64>().expect("a number"));
    for round in 0..number("TAILMERGE_REPEAT").unwrap_or(1) {
        let seed = number("TAILMERGE_SEED").unwrap_or_else(|| RandomState::new().hash_one(round));
        let dir = tempfile::tempdir().expect("a temporary directory");
        if let Err(error) = merged_while_it_grows(dir.path(), seed, backend.clone(), stage) {
            let dir = dir.keep();
            panic!("{backend:?}, round {round}, TAILMERGE_SEED={seed}, files kept in {}: {error}", dir.display());
        }
    }
}

fn merged_while_it_grows<B: Backend>(dir: &Path, seed: u64, backend: B, stage: Stage<B>) -> Result<(), Error> {
    let output = dir.join("all");
    let inputs: Vec<_> = (0..INPUTS).map(|number| dir.join(format!("{number}.log"))).collect();
    inputs.iter().try_for_each(|input| File::create_new(input).map(drop))?;

    let (running, stop) = async_channel::bounded(1);
    let (ended, end) = mpsc::channel();
    let merge = (inputs.clone(), output.clone());
    // Not joined: one that hangs is left behind, so that the failure is told.
    thread::spawn(move || ended.send(stage(backend, &merge.0, &merge.1, stop)));
    thread::scope(|scope| {
        let mut producers = Vec::new();
        for (input, number) in inputs.iter().zip(0..) {
            producers.push(scope.spawn(move || produce(input, Random(seed ^ number))));
        }
        producers.into_iter().try_for_each(|producer| producer.join().expect("producers do not panic"))
    })?;
    drop(running);

    end.recv_timeout(DEADLINE).map_err(|error| format!("the stage did not come back: {error}"))??;
    match Check::new(output).inputs(&inputs).run()?.lines {
        0 => Err("there were no lines to merge".into()),
        _ => Ok(()),
    }
}

/// A program that logs: lines of all kinds, in writes that begin and end anywhere.
fn produce(input: &Path, mut random: Random) -> io::Result<()> {
    let name = input.display().to_string();
    let mut bytes = Vec::new();
    for number in 0..random.up_to(200) {
        match random.up_to(20) {
            0 => {}
            1 => bytes.extend((0..random.up_to(100_000)).map(|at| b'a' + (at % 26) as u8)),
            2 => bytes.extend(b"\xff\0\r\r"),
            _ => write!(bytes, "{name}: line {number}{:1$}", "", random.up_to(200) as usize)?,
        }
        bytes.push(b'\n');
    }
    if random.up_to(3) == 0 {
        bytes.extend(b"a line without an end");
    }
    let mut cuts: Vec<_> = (1..WRITES).map(|_| random.up_to(bytes.len() as u64 + 1) as usize).collect();
    cuts.extend([0, bytes.len()]);
    cuts.sort_unstable();

    let mut file = OpenOptions::new().append(true).open(input)?;
    for write in cuts.windows(2) {
        thread::sleep(PAUSE_MAX.mul_f64(random.up_to(1000) as f64 / 1000.0));
        file.write_all(&bytes[write[0]..write[1]])?;
    }
    Ok(())
}

/// A generator of numbers that look random: SplitMix64.
struct Random(u64);

impl Random {
    /// A number less than `end`.
    fn up_to(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }
}

/// A host's task and a writer, one step of each of which blocks, are told by name and with the duration.
fn tells_steps_that_block<B: Backend>(backend: B) {
    let told = stalls(backend, async { thread::sleep(BLOCKED) });
    for name in ["housekeeping", "tailmerge-writer: write"] {
        let found = told.iter().find(|(told, _)| told == name);
        let (_, took) = found.unwrap_or_else(|| panic!("{name} is among {told:?}"));
        assert!(*took >= BLOCKED, "{name} took {took:?}");
    }
}

/// A step that is quick is told only if the machine held it up, which it does not do every time.
fn does_not_tell_quick_steps<B: Backend>(backend: B) {
    let quick = || stalls(backend.clone(), yield_now()).iter().all(|(name, _)| name != "housekeeping");
    assert!((0..10).any(|_| quick()), "a quick step was told, ten times running");
}

/// Merges a line into a writer that blocks, beside `task`, and gives what was told once that has ended.
fn stalls<B: Backend>(backend: B, task: impl Future<Output = ()> + Send + 'static) -> Vec<(String, Duration)> {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let input = dir.path().join("0.log");
    fs::write(&input, "a line\n").expect("the file can be written");

    let (told, tells) = mpsc::channel();
    let warn = Arc::new(move |name: &str, took| told.send((name.to_owned(), took)).unwrap_or_default());
    let (ended, end) = mpsc::channel();
    let task = async move {
        task.await;
        // What the last step took is told when it is over: this is the next one.
        yield_now().await;
        ended.send(()).ok();
    };
    let builder = Builder::new().path(input).writer(|_| async { Ok(Blocking) });
    let (running, stop) = async_channel::bounded(1);
    drop(running);
    let merged = backend.block_on(stage6_stall::merge(backend.clone(), builder, stop, task, warn));
    merged.expect("nothing fails");

    end.recv_timeout(DEADLINE).expect("the task ends");
    tells.try_iter().collect()
}

/// A writer that blocks whenever it writes.
struct Blocking;

impl Writer for Blocking {
    async fn write(&mut self, _: &Batch) -> Result<(), PartialWrite> {
        thread::sleep(BLOCKED);
        Ok(())
    }

    async fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
