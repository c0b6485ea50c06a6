//! Stage 1: a thread for each input, and a lock around the output.
//!
//! The simplest that is right: each thread follows its file and writes every whole line under the lock. It uses no
//! executor; the backend is there so that all stages are called alike.
//!
//! Limits:
//!
//! * a thread for each input, however quiet that is;
//! * whoever writes holds up all who have something to write, on their own threads: the next stage gives the output
//!   a thread of its own;
//! * a failure, of a file or of the output, is heard of only after the stop;
//! * up to stage 3 a file is opened once and read on. Rotation and truncation go unnoticed, a line that never ends is
//!   kept in memory, and as long as a program writes faster than is read, the stop has to wait.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use async_channel::Receiver;
use tailmerge::Backend;

type Error = Box<dyn std::error::Error + Send + Sync>;

/// How often a file is looked at.
const INTERVAL: Duration = Duration::from_millis(10);

/// Merges the inputs into the output until `stop` is closed; what they hold then is still merged.
pub fn run<B: Backend>(_: B, inputs: &[PathBuf], output: &Path, stop: Receiver<()>) -> Result<(), Error> {
    let output = Mutex::new(File::create(output)?);
    let write = |line: &[u8]| output.lock().unwrap_or_else(PoisonError::into_inner).write_all(line);

    thread::scope(|scope| {
        let tails: Vec<_> = inputs.iter().map(|path| scope.spawn(|| tail_file(path, &stop, write))).collect();
        tails.into_iter().try_for_each(|tail| tail.join().unwrap_or_else(|panic| resume_unwind(panic)))
    })
}

/// Follows one file until told to stop, then to its end. A fragment waits for its newline.
fn tail_file(path: &Path, stop: &Receiver<()>, write: impl Fn(&[u8]) -> io::Result<()>) -> Result<(), Error> {
    let mut file = BufReader::new(File::open(path)?);
    let mut line = Vec::new();
    loop {
        // Asked before reading: what is there when the stop comes is read.
        let last = stop.is_closed();
        while file.read_until(b'\n', &mut line)? > 0 && line.ends_with(b"\n") {
            write(&line)?;
            line.clear();
        }
        if last {
            return Ok(());
        }
        thread::sleep(INTERVAL);
    }
}

// The tests of the stages include this file, without what follows.
#[cfg(not(test))]
mod growing;

#[cfg(not(test))]
fn main() -> Result<(), Error> {
    growing::demonstrate(|inputs, output, stop| run(tailmerge::Smol::new(), inputs, output, stop))
}
