//! Stage 3: readers as tasks that poll through the blocking pool, the output written on the same executor.
//!
//! No thread waits any more: each input is a task. Files cannot be read without blocking, so every look is a job on
//! the blocking pool ([`Backend::unblock`]); the file travels into the job and back by value, which needs no lock. The
//! channel to the writing task is bounded: when the output is slow, reading waits.
//!
//! Limits:
//!
//! * writing blocks the executor: a slow disk holds up every other task there. Stage 5 has a writer that cannot, and
//!   stage 6 tells when it happens;
//! * a job for each input and look: that is much for a thousand inputs;
//! * files are followed as in stage 1.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_channel::{Receiver, Sender};
use futures_lite::future::or;
use tailmerge::Backend;

type Error = Box<dyn std::error::Error + Send + Sync>;

/// How often a file is looked at.
const INTERVAL: Duration = Duration::from_millis(10);

/// Bytes taken in one look, as long as whole lines have an end there.
const LOOK: usize = 64 * 1024;

/// Merges the inputs into the output until `stop` is closed; what they hold then is still merged.
pub fn run<B: Backend>(backend: B, inputs: &[PathBuf], output: &Path, stop: Receiver<()>) -> Result<(), Error> {
    let output = File::create(output)?;
    let (to_writer, lines) = async_channel::bounded(inputs.len().max(1));
    for path in inputs {
        let (path, stop, to_writer) = (path.clone(), stop.clone(), to_writer.clone());
        let runner = backend.clone();
        backend.spawn(async move {
            if let Err(error) = tail_async(&runner, path, &stop, &to_writer).await {
                // A writer that has failed listens no more, and has told its own error.
                to_writer.send(Err(error)).await.ok();
            }
        });
    }
    drop(to_writer);

    let (written, wait_written) = async_channel::bounded(1);
    backend.spawn(async move { drop(written.send(write_async(output, lines).await).await) });
    backend.block_on(wait_written.recv())?
}

/// Follows one file until told to stop, then to its end.
async fn tail_async<B: Backend>(
    backend: &B,
    path: PathBuf,
    stop: &Receiver<()>,
    to_writer: &Sender<Result<Vec<u8>, Error>>,
) -> Result<(), Error> {
    let mut file = backend.unblock(move || File::open(path).map(BufReader::new)).await?;
    let mut fragment = Vec::new();
    loop {
        // Asked before reading: what is there when the stop comes is read.
        let last = stop.is_closed();
        let lines;
        (file, fragment, lines) = backend.unblock(move || look(file, fragment)).await?;
        if !lines.is_empty() {
            to_writer.send(Ok(lines)).await?;
        } else if last {
            return Ok(());
        } else {
            or(backend.sleep(INTERVAL), async { stop.recv().await.unwrap_or_default() }).await;
        }
    }
}

/// Takes whole lines, and keeps a fragment until its newline comes.
fn look<F: BufRead>(mut file: F, mut fragment: Vec<u8>) -> io::Result<(F, Vec<u8>, Vec<u8>)> {
    let mut lines = Vec::new();
    while lines.len() < LOOK && file.read_until(b'\n', &mut fragment)? > 0 && fragment.ends_with(b"\n") {
        lines.append(&mut fragment);
    }
    Ok((file, fragment, lines))
}

/// Writes what the readers send, until the last of them has ended or one fails.
async fn write_async(mut output: File, lines: Receiver<Result<Vec<u8>, Error>>) -> Result<(), Error> {
    while let Ok(lines) = lines.recv().await {
        output.write_all(&lines?)?;
    }
    Ok(())
}

// The tests of the stages include this file, without what follows.
#[cfg(not(test))]
mod growing;

#[cfg(not(test))]
fn main() -> Result<(), Error> {
    growing::demonstrate(|inputs, output, stop| run(tailmerge::Smol::new(), inputs, output, stop))
}
