//! The output: when each line of the victim is in it, and what is in it that should not be.

use std::collections::VecDeque;
use std::fs::File;
use std::io::BufRead;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::fs::{FallocateFlags, fallocate};

use crate::control;
use crate::judge::{Looks, Seen};

const CHUNK: usize = 1024 * 1024;
/// So much is kept of what was looked at, before the disk gets it back.
const KEEP: u64 = 64 * 1024 * 1024;

#[derive(Debug, Default)]
struct Shared {
    /// How long the output was when, of what is not looked at yet.
    lengths: Mutex<VecDeque<(Instant, u64)>>,
    /// How many lines of the victim were found so far.
    found: AtomicU64,
    /// Whether nothing more will be written, and then whether that was looked at.
    over: AtomicBool,
    watched: AtomicBool,
}

/// Looks at the output: one thread for when, one for what, which may be behind.
#[derive(Debug)]
pub(crate) struct Output {
    shared: Arc<Shared>,
    watch: JoinHandle<()>,
    read: JoinHandle<Seen>,
}

impl Output {
    pub(crate) fn start(path: PathBuf, looks: Looks) -> Self {
        let shared = Arc::new(Shared::default());
        let watch = thread::spawn({
            let (shared, path) = (shared.clone(), path.clone());
            move || watch(&path, &shared)
        });
        let read = thread::spawn({
            let shared = shared.clone();
            move || Reader::new(looks).run(&path, &shared)
        });
        Self { shared, watch, read }
    }

    /// Waits until so many lines of the victim are out. False if they do not come.
    pub(crate) fn waits_for(&self, lines: u64) -> bool {
        let start = Instant::now();
        while self.shared.found.load(Ordering::SeqCst) < lines {
            if start.elapsed() > Duration::from_secs(10) {
                return false;
            }
            thread::sleep(control::EVERY);
        }
        true
    }

    /// What was seen, now that nothing more is written.
    pub(crate) fn finish(self) -> Seen {
        self.shared.over.store(true, Ordering::SeqCst);
        self.watch.join().unwrap();
        self.shared.watched.store(true, Ordering::SeqCst);
        self.read.join().unwrap()
    }
}

fn open(path: &Path, shared: &Shared) -> Option<File> {
    loop {
        let over = shared.over.load(Ordering::SeqCst);
        match File::options().read(true).write(true).open(path) {
            Ok(file) => return Some(file),
            Err(_) if over => return None,
            Err(_) => thread::sleep(control::EVERY),
        }
    }
}

/// Notes how long the file is, as often as the control looks.
fn watch(path: &Path, shared: &Shared) {
    let Some(file) = open(path, shared) else { return };
    let mut last = 0;
    loop {
        let over = shared.over.load(Ordering::SeqCst);
        let length = file.metadata().unwrap().len();
        if length != last {
            shared.lengths.lock().unwrap().push_back((Instant::now(), length));
            last = length;
        }
        if over {
            return;
        }
        thread::sleep(control::EVERY);
    }
}

/// Goes through the output line by line.
struct Reader {
    looks: Looks,
    seen: Seen,
    /// The beginning of a line.
    part: Vec<u8>,
    /// How far it has come.
    at: u64,
    /// How much the disk has got back.
    freed: u64,
}

impl Reader {
    fn new(looks: Looks) -> Self {
        Self { looks, seen: Seen::default(), part: Vec::new(), at: 0, freed: 0 }
    }

    fn run(mut self, path: &Path, shared: &Shared) -> Seen {
        let Some(file) = open(path, shared) else { return self.seen };
        let mut bytes = vec![0; CHUNK];
        loop {
            let over = shared.watched.load(Ordering::SeqCst);
            let length = shared.lengths.lock().unwrap().back().map_or(0, |(_, length)| *length);
            let want = length.saturating_sub(self.at).min(CHUNK as u64) as usize;
            let got = file.read_at(&mut bytes[..want], self.at).unwrap();
            self.take(&bytes[..got], shared);
            if self.at - self.freed > KEEP {
                let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
                // Where that cannot be done it takes more of the disk.
                let _full = fallocate(&file, flags, self.freed, self.at - self.freed);
                self.freed = self.at;
            }
            if got == 0 {
                if over {
                    break;
                }
                thread::sleep(control::EVERY);
            }
        }
        self.seen.torn = !self.part.is_empty();
        self.seen.bytes = self.at;
        self.seen
    }

    fn take(&mut self, mut bytes: &[u8], shared: &Shared) {
        while !bytes.is_empty() {
            let mut rest = bytes;
            let len = rest.skip_until(b'\n').expect("memory can be read");
            let line = &bytes[..len];
            bytes = rest;
            self.at += len as u64;
            if line.last() != Some(&b'\n') {
                self.part.extend_from_slice(line);
            } else if self.part.is_empty() {
                self.line(&line[..len - 1], shared);
            } else {
                let mut whole = std::mem::take(&mut self.part);
                whole.extend_from_slice(&line[..len - 1]);
                self.line(&whole, shared);
            }
        }
    }

    fn line(&mut self, line: &[u8], shared: &Shared) {
        let at = self.at;
        self.seen.line(&self.looks, line, || {
            let mut lengths = shared.lengths.lock().unwrap();
            while lengths.len() > 1 && lengths.front().is_some_and(|(_, length)| *length < at) {
                lengths.pop_front();
            }
            lengths.front().expect("it is not read before its length is known").0
        });
        shared.found.store(self.seen.victim.len() as u64, Ordering::SeqCst);
    }
}
