//! The victim: a program that logs numbered lines, two hundred a second, and rotates its log.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::kit::Rng;

const EVERY: Duration = Duration::from_millis(5);
/// How many old files are kept.
const KEEP: usize = 3;

/// Knows the victim's lines from those of somebody who imitates them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Key(u64);

impl Key {
    fn seal(self, number: u64, micros: u64) -> u64 {
        let mut z = self.0 ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ micros.rotate_left(32);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A line, without its newline: its number, the microseconds since the start, and a seal.
    fn line(self, number: u64, micros: u64) -> String {
        format!("victim {number} {micros} {:016x}", self.seal(number, micros))
    }

    /// The number of a line, if it is the victim's and whole.
    pub(crate) fn number(self, line: &[u8]) -> Option<u64> {
        let mut fields = str::from_utf8(line).ok()?.split(' ').skip(1);
        let (number, micros) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
        (line == self.line(number, micros).as_bytes()).then_some(number)
    }
}

#[derive(Debug, Default)]
struct Orders {
    written: AtomicU64,
    paused: AtomicBool,
    is_paused: AtomicBool,
    stopped: AtomicBool,
}

/// What it has written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Written {
    pub(crate) lines: u64,
    pub(crate) rotations: u64,
}

/// The victim, at work on a thread of its own.
#[derive(Debug)]
pub(crate) struct Victim {
    path: PathBuf,
    key: Key,
    orders: Arc<Orders>,
    thread: Option<JoinHandle<Written>>,
}

impl Victim {
    pub(crate) fn start(dir: &Path, mut rng: Rng) -> Self {
        let (path, key, orders) = (dir.join("victim.log"), Key(rng.below(u64::MAX)), Arc::new(Orders::default()));
        let file = File::create_new(&path).unwrap();
        let log = Log { path: path.clone(), key, rng, file, old: Vec::new() };
        let thread = Some(thread::spawn({
            let orders = orders.clone();
            move || log.run(&orders)
        }));
        Self { path, key, orders, thread }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.path.clone()
    }

    pub(crate) fn key(&self) -> Key {
        self.key
    }

    pub(crate) fn written(&self) -> u64 {
        self.orders.written.load(Ordering::SeqCst)
    }

    /// Has it write nothing more, and waits until it does not.
    pub(crate) fn pause(&self) {
        self.orders.paused.store(true, Ordering::SeqCst);
        while !self.orders.is_paused.load(Ordering::SeqCst) && !self.thread.as_ref().unwrap().is_finished() {
            thread::sleep(Duration::from_millis(1));
        }
    }

    pub(crate) fn go_on(&self) {
        self.orders.paused.store(false, Ordering::SeqCst);
    }

    pub(crate) fn finish(&mut self) -> Written {
        self.orders.stopped.store(true, Ordering::SeqCst);
        self.thread.take().unwrap().join().unwrap()
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        self.orders.stopped.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

struct Log {
    path: PathBuf,
    key: Key,
    rng: Rng,
    file: File,
    old: Vec<PathBuf>,
}

impl Log {
    fn run(mut self, orders: &Orders) -> Written {
        let start = Instant::now();
        let mut written = Written { lines: 0, rotations: 0 };
        let mut next_rotation = Duration::from_secs(2);
        while !orders.stopped.load(Ordering::SeqCst) {
            let paused = orders.paused.load(Ordering::SeqCst);
            orders.is_paused.store(paused, Ordering::SeqCst);
            if paused {
                thread::sleep(Duration::from_millis(1));
                continue;
            }
            self.write(written.lines, start.elapsed());
            written.lines += 1;
            orders.written.store(written.lines, Ordering::SeqCst);
            if start.elapsed() > next_rotation {
                self.rotate();
                written.rotations += 1;
                next_rotation = start.elapsed() + self.rng.millis(1000, 3000);
            }
            thread::sleep(EVERY);
        }
        written
    }

    fn write(&mut self, number: u64, at: Duration) {
        let line = format!("{}\n", self.key.line(number, at.as_micros() as u64));
        // Now and then a line becomes visible by parts.
        let parts = if self.rng.below(20) == 0 { self.rng.below(line.len() as u64) as usize } else { 0 };
        self.file.write_all(&line.as_bytes()[..parts]).unwrap();
        if parts > 0 {
            thread::sleep(Duration::from_millis(1));
        }
        self.file.write_all(&line.as_bytes()[parts..]).unwrap();
    }

    /// Gives the file another name and begins the next one, so that the name is never free for others to take.
    fn rotate(&mut self) {
        let (stamp, stamp2) = (self.rng.below(u64::MAX), self.rng.below(u64::MAX));
        let beside = |end: &str| PathBuf::from(format!("{}{end}", self.path.display()));
        let (old, next) = (beside(&format!("-{stamp:016x}")), self.path.with_file_name(format!("next-{stamp2:016x}")));
        let file = File::create_new(&next).unwrap();
        fs::hard_link(&self.path, &old).unwrap();
        fs::rename(next, &self.path).unwrap();
        self.file = file;
        self.old.push(old);
        if self.old.len() > KEEP {
            fs::remove_file(self.old.remove(0)).unwrap();
        }
    }
}
