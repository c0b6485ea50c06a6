//! Stage 4: the other way up. Each thread runs an executor of its own around an asynchronous tail.
//!
//! The outside is stage 1's: threads, a lock, a blocking function that follows one file. Its inside is the
//! library's asynchronous [`tail`](tailmerge::tail), a stream of lines, which is what a program does that becomes
//! asynchronous from its leaves up. Rotation, truncation and lines without end are the library's business from here on.
//!
//! [`Backend::block_on`] is called by the program, on threads of its own; inside a task it would block the executor. What
//! reads for the stream are tasks of the backend, as ever.
//!
//! Limits: still a thread for each input, and writing under the lock; both go in the next stage.

use std::fs::File;
use std::io::{self, Write};
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::thread;

use async_channel::Receiver;
use futures_lite::StreamExt;
use futures_lite::future::or;
use tailmerge::{Backend, Line, tail};

type Error = Box<dyn std::error::Error + Send + Sync>;

/// Merges the inputs into the output until `stop` is closed; what they hold then is still merged.
pub fn run<B: Backend>(backend: B, inputs: &[PathBuf], output: &Path, stop: Receiver<()>) -> Result<(), Error> {
    let output = Mutex::new(File::create(output)?);
    let write = |line: &[u8]| output.lock().unwrap_or_else(PoisonError::into_inner).write_all(line);

    thread::scope(|scope| {
        let tails: Vec<_> = inputs.iter().map(|path| scope.spawn(|| tail_file(&backend, path, &stop, write))).collect();
        tails.into_iter().try_for_each(|tail| tail.join().unwrap_or_else(|panic| resume_unwind(panic)))
    })
}

/// Follows one file until told to stop, then to its end: a blocking function around an asynchronous tail.
fn tail_file<B: Backend>(
    backend: &B,
    path: &Path,
    stop: &Receiver<()>,
    write: impl Fn(&[u8]) -> io::Result<()>,
) -> Result<(), Error> {
    backend.block_on(async {
        let mut lines = tail(path).lines_on(backend.clone()).await?;
        let write = |line: Line| write(&[&line.bytes, &b"\n"[..]].concat());

        let stopped = || async { stop.recv().await.ok().and(None) };
        while let Some(line) = or(stopped(), lines.next()).await {
            write(line?)?;
        }
        // The stream ends once what is there now has been read.
        lines.stop();
        while let Some(line) = lines.next().await {
            write(line?)?;
        }
        Ok(())
    })
}

// The tests of the stages include this file, without what follows.
#[cfg(not(test))]
mod growing;

#[cfg(not(test))]
fn main() -> Result<(), Error> {
    growing::demonstrate(|inputs, output, stop| run(tailmerge::Smol::new(), inputs, output, stop))
}
