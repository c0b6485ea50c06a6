//! The control: a bare loop that copies the victim's log to a file beside the output, and notes when each line is there.
//! The attacker can keep the disk busy for everybody; the copy waits for it as the output does.

use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Looks so often.
pub(crate) const EVERY: Duration = Duration::from_millis(1);

/// The control, at work on a thread of its own.
#[derive(Debug)]
pub(crate) struct Control {
    /// It ends when it has copied so many lines.
    until: Arc<AtomicU64>,
    thread: JoinHandle<Vec<Instant>>,
}

impl Control {
    pub(crate) fn start(log: PathBuf, copy: PathBuf) -> Self {
        let until = Arc::new(AtomicU64::new(u64::MAX));
        let thread = thread::spawn({
            let until = until.clone();
            move || follow(&log, &copy, &until)
        });
        Self { until, thread }
    }

    /// When each line was in the copy; fewer than there are if it cannot find the rest in time.
    pub(crate) fn finish(self, lines: u64) -> Vec<Instant> {
        self.until.store(lines, Ordering::SeqCst);
        self.thread.join().unwrap()
    }
}

fn follow(log: &Path, copy: &Path, until: &AtomicU64) -> Vec<Instant> {
    let mut seen = Vec::new();
    let mut file = File::open(log).unwrap();
    let mut copy = File::options().append(true).create_new(true).open(copy).unwrap();
    let mut bytes = vec![0; 64 * 1024];
    let mut over_since = None;
    loop {
        // Asked before the read: what the file got before it lost its name is read from it.
        let current = fs::metadata(log).unwrap().ino() == file.metadata().unwrap().ino();
        let got = match file.read(&mut bytes) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            got => got.unwrap(),
        };
        copy.write_all(&bytes[..got]).unwrap();
        let now = Instant::now();
        seen.extend(bytes[..got].iter().filter(|byte| **byte == b'\n').map(|_| now));
        let until = until.load(Ordering::SeqCst);
        if until != u64::MAX {
            let since = *over_since.get_or_insert_with(Instant::now);
            if seen.len() as u64 >= until || since.elapsed() > Duration::from_secs(5) {
                return seen;
            }
        }
        match got {
            0 if !current => file = File::open(log).unwrap(),
            0 => thread::sleep(EVERY),
            _ => {}
        }
    }
}
