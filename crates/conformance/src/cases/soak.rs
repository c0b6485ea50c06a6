//! Much change and many errors at once, for a second, or for as long as the environment says:
//! `TAILMERGE_SOAK_SECS=3600`. Needs a process of its own.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use tailmerge_core::{Backend, Builder};

use crate::kit::{Op, Scene, TestFs, block_on, lines, start, stop, threads, until};

cases! { soak, each in its own process:
    amid_change_and_errors_each_line_comes_soon
    amid_change_and_errors_a_stop_is_quick
}

/// How long a line may take to come out, with an error in every tenth call.
const LATENCY_MAX: Duration = Duration::from_secs(2);

/// How long a stop may take.
const STOP_MAX: Duration = Duration::from_secs(1);

/// Of how many calls one fails.
const FAILS: u64 = 10;

/// After how many merges an executor has all the threads that it will ever have.
const WARM: usize = 3;

/// What is done to files, each with a few names.
const NAMES: u64 = 12;

/// How long a soak lasts.
fn soak_time() -> Duration {
    let secs = std::env::var("TAILMERGE_SOAK_SECS").ok().and_then(|secs| secs.parse().ok());
    Duration::from_secs(secs.unwrap_or(1))
}

/// Numbers that are not the same again, shared by threads.
#[derive(Clone, Default)]
struct Random(Arc<AtomicU64>);

impl Random {
    fn next(&self, below: u64) -> u64 {
        let mut bits = self.0.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (bits ^ (bits >> 31)) % below
    }
}

/// A file system where calls fail at random while this is on.
fn failing(on: &Arc<AtomicBool>) -> TestFs {
    const ERRORS: [Errno; 4] = [Errno::INTR, Errno::AGAIN, Errno::IO, Errno::STALE];
    let (on, random) = (on.clone(), Random::default());
    TestFs::failing(move |op, path: &Path| {
        let ours = matches!(op, Op::Stat | Op::Open | Op::Read | Op::Listed) && !path.ends_with("all");
        match ours && on.load(Ordering::Relaxed) && random.next(FAILS) == 0 {
            true => Err(ERRORS[random.next(4) as usize].into()),
            false => Ok(()),
        }
    })
}

/// Does something to some file: makes it, writes to it, renames, deletes, or cuts it. No line is written twice.
fn churn(scene: &Scene, random: &Random, number: u64) {
    let name = |number: u64| scene.path(format!("logs/{number}.log"));
    let (one, other) = (name(random.next(NAMES)), name(random.next(NAMES)));
    // There may be no such file.
    match random.next(10) {
        0 => fs::remove_file(one).ok(),
        1 | 2 => fs::rename(one, other).ok(),
        3 => File::options().write(true).open(one).and_then(|file| file.set_len(0)).ok(),
        _ => {
            let file = File::options().append(true).create(true).open(one);
            file.and_then(|mut file| file.write_all(format!("churn {number}\n").as_bytes())).ok()
        }
    };
}

/// Runs `act` while other threads change files all the time. Gives how often they did.
fn amid_change<T>(scene: &Scene, act: impl FnOnce() -> T) -> (T, u64) {
    /// So that a thread leaves the processor to others.
    const PAUSE: Duration = Duration::from_micros(200);
    let (over, number, random) = (AtomicBool::new(false), AtomicU64::new(0), Random::default());
    let done = thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    churn(scene, &random, number.fetch_add(1, Ordering::Relaxed));
                    thread::sleep(PAUSE);
                }
            });
        }
        // Also when it panics.
        let _over = Over(&over);
        act()
    });
    (done, number.into_inner())
}

struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn builder(scene: &Scene) -> Builder {
    let short = Duration::from_millis(20);
    scene.builder().input(scene.pattern("logs/*.log")).path(scene.path("canary")).rotated_grace(short)
}

/// Files are made, renamed, cut and deleted, and one call in ten fails: a line that is written to a file of its own
/// comes out soon all the same, each time; no line comes twice, and nothing is left open.
fn amid_change_and_errors_each_line_comes_soon<B: Backend>(backend: B) {
    let on = Arc::new(AtomicBool::new(false));
    let scene = Scene::on(failing(&on));
    scene.make_dir("logs");
    scene.write("canary", "");
    let merge = start(builder(&scene), backend);
    on.store(true, Ordering::Relaxed);
    let ((count, slowest), changes) = amid_change(&scene, || {
        let (begin, mut count, mut slowest, mut read) = (Instant::now(), 0, Duration::ZERO, 0);
        while begin.elapsed() < soak_time() {
            let (line, written) = (format!("canary {count}\n"), Instant::now());
            scene.append("canary", &line);
            until("the line comes out", || {
                let output = fs::read(scene.path("all")).expect("the output");
                let new = lines(&output[read..]);
                let found = new.contains(&line.as_bytes());
                if found {
                    read = output.len();
                }
                found
            });
            slowest = slowest.max(written.elapsed());
            count += 1;
        }
        (count, slowest)
    });
    on.store(false, Ordering::Relaxed);
    stop(&merge);
    assert!(slowest < LATENCY_MAX, "{slowest:?}, of {count} lines amid {changes} changes");
    assert!(count > 10 && changes > 100, "{count} lines amid {changes} changes");
    let output = scene.output();
    let (canary, churned): (Vec<_>, Vec<_>) = lines(&output).into_iter().partition(|line| line.starts_with(b"canary"));
    assert_eq!(canary.concat(), scene.read("canary"));
    let whole = |line: &[u8]| {
        let number = line.strip_prefix(b"churn ").and_then(|line| line.strip_suffix(b"\n"));
        number.is_some_and(|number| number.iter().all(u8::is_ascii_digit))
    };
    assert!(churned.iter().all(|line| whole(line)), "whole lines");
    let mut seen = HashSet::new();
    let twice: Vec<_> = churned.iter().filter(|line| !seen.insert(**line)).map(|line| line.escape_ascii()).collect();
    assert!(twice.is_empty(), "twice: {}", twice[0]);
    drop(merge);
    until("its files are closed", || scene.open_files().is_empty());
}

/// Amid all that a stop comes to an end at once, at whatever moment, and leaves no thread behind.
fn amid_change_and_errors_a_stop_is_quick<B: Backend>(backend: B) {
    let on = Arc::new(AtomicBool::new(true));
    let scene = Scene::on(failing(&on));
    scene.make_dir("logs");
    scene.write("canary", "canary\n");
    let random = Random::default();
    // Threads of the pool come and go.
    let others = || threads("").into_iter().filter(|(_, name)| !name.starts_with("blocking")).count();
    let (mut most, mut merges, mut slowest) = (0, 0, Duration::ZERO);
    amid_change(&scene, || {
        let begin = Instant::now();
        while merges < 2 * WARM || begin.elapsed() < soak_time() {
            let merge = start(builder(&scene).append(true), backend.clone());
            // The moment is some number of looks at what changes; by some of them each thread has been needed.
            let log = scene.path("logs/0.log");
            let looks = scene.fs.looks(&log) + if merges < WARM { 20 } else { random.next(8) };
            until("the merge has looked so often", || scene.fs.looks(&log) >= looks);
            let asked = Instant::now();
            match random.next(3) {
                0 => block_on("stop now", merge.stop_now()),
                1 => merge.stop_blocking(Duration::from_secs(10)),
                _ => block_on("stop", merge.stop(Duration::from_secs(10))),
            }
            .expect("it is no failure");
            slowest = slowest.max(asked.elapsed());
            drop(merge);
            until("its threads end", || threads("tailmerge-").is_empty());
            merges += 1;
            if merges <= WARM {
                most = most.max(others());
            }
            until("there are no more threads than after the first merges", || others() <= most);
        }
    });
    assert!(slowest < STOP_MAX, "{slowest:?}");
    until("its files are closed", || scene.open_files().is_empty());
}
