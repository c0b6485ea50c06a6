//! Stage 5: wholly asynchronous. Readers are tasks, the writer has a thread and an executor of its own, and its start,
//! its acknowledgements and its end are awaited.
//!
//! A [`Merge`](tailmerge::Merge) is all of it. Its start completes when the output is open on the thread
//! `tailmerge-writer`; `flush` when what was read by then is written; `stop` when what the inputs hold is read, written
//! and acknowledged, and the thread has ended. The host's executor is never blocked: files are read on the blocking
//! pool, a few jobs for all inputs together, and written on the writer's thread.
//!
//! Limits: what blocks in the program's *other* tasks still holds up the readers; stage 6 tells when that happens.

use std::path::{Path, PathBuf};
use std::time::Duration;

use async_channel::Receiver;
use futures_lite::future::or;
use tailmerge::{Backend, Builder};

type Error = Box<dyn std::error::Error + Send + Sync>;

/// How often files are looked at.
const INTERVAL: Duration = Duration::from_millis(10);

/// How long reading and writing the rest may take after the stop.
const STOP_WITHIN: Duration = Duration::from_secs(30);

/// Merges the inputs into the output until `stop` is closed; what they hold then is still merged.
pub fn run<B: Backend>(backend: B, inputs: &[PathBuf], output: &Path, stop: Receiver<()>) -> Result<(), Error> {
    backend.block_on(merge(backend.clone(), inputs, output, stop))
}

/// The same, for a program that is asynchronous already.
pub async fn merge<B: Backend>(backend: B, inputs: &[PathBuf], output: &Path, stop: Receiver<()>) -> Result<(), Error> {
    let builder = inputs.iter().fold(Builder::new(), Builder::path);
    let merge = builder.output(output).poll_interval(INTERVAL).start_on(backend).await?;

    // A merge whose output fails ends by itself.
    or(merge.finished(), async { stop.recv().await.unwrap_or_default() }).await;

    let flushed = merge.flush().await;
    // If it ended by itself, this is the cause.
    let report = merge.stop(STOP_WITHIN).await?;
    flushed?;
    // The last acknowledgement has come: all that was there is read and written, and nothing was left out.
    match report.is_complete() {
        true => Ok(()),
        false => Err(format!("not everything was delivered: {report:?}").into()),
    }
}

// The tests of the stages include this file, without what follows.
#[cfg(not(test))]
mod growing;

#[cfg(not(test))]
fn main() -> Result<(), Error> {
    growing::demonstrate(|inputs, output, stop| run(tailmerge::Smol::new(), inputs, output, stop))
}
