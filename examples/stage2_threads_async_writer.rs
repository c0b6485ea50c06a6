//! Stage 2: the same threads, writing through the asynchronous writer.
//!
//! The readers of stage 1 stay as they are. The lock is gone: each has a [`LineSender`], whose lines go to the writer
//! of a merge without inputs, which runs on a thread and an executor of its own. That is the first step of a program
//! that becomes asynchronous from its output up; its threads use the `_blocking` twins.
//!
//! A reader waits only while the writer's bounded buffer is full. An error of the output comes back, to the readers
//! that send and from the stop; a full disk is waited for.
//!
//! Limits: still a thread for each input, which the next stage gives up; files are followed as in stage 1; and a line
//! over the limit of the merge (1 MiB) is refused.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use async_channel::Receiver;
use tailmerge::{Backend, Builder, LineSender};

type Error = Box<dyn std::error::Error + Send + Sync>;

/// How often a file is looked at.
const INTERVAL: Duration = Duration::from_millis(10);

/// How long writing what was sent may take after the stop.
const STOP_WITHIN: Duration = Duration::from_secs(30);

/// Merges the inputs into the output until `stop` is closed; what they hold then is still merged.
pub fn run<B: Backend>(backend: B, inputs: &[PathBuf], output: &Path, stop: Receiver<()>) -> Result<(), Error> {
    let merge = Builder::new().output(output).start_on_blocking(backend)?;

    let read = thread::scope(|scope| {
        let mut tails = Vec::new();
        for path in inputs {
            let (sender, stop) = (merge.sender(path), &stop);
            tails.push(scope.spawn(move || tail_file(path, stop, sender)));
        }
        tails.into_iter().try_for_each(|tail| tail.join().unwrap_or_else(|panic| resume_unwind(panic)))
    });

    // If the output failed, this is the cause, and the readers' errors are what came of it.
    let report = merge.stop_blocking(STOP_WITHIN)?;
    read?;
    match report.is_complete() {
        true => Ok(()),
        false => Err(format!("{} bytes could not be written in time", report.unwritten_bytes).into()),
    }
}

/// Follows one file until told to stop, then to its end. A fragment waits for its newline.
fn tail_file(path: &Path, stop: &Receiver<()>, sender: LineSender) -> Result<(), Error> {
    let mut file = BufReader::new(File::open(path)?);
    let mut line = Vec::new();
    loop {
        // Asked before reading: what is there when the stop comes is read.
        let last = stop.is_closed();
        while file.read_until(b'\n', &mut line)? > 0 && line.ends_with(b"\n") {
            sender.send_blocking(&line)?;
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
