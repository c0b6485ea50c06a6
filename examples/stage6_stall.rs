//! Stage 6: telling that a step blocked the executor.
//!
//! A future that blocks holds up every task of its thread, and nothing in the program says so. A guard times each step
//! (each poll) of a future and tells those that take longer than a limit, by name and with the duration:
//! [`stall::guard`](tailmerge::stall::guard) to the log, [`guard_with`] to a function. A merge has its own tasks, and
//! the writes of its writer, under guard as well, and tells its observer.
//!
//! The merge is that of stage 5. Beside it, on the same executor, runs a task of the host's that blocks.
//!
//! Limits: it is told when the step is over, so one that never returns is never told; and what is measured is time on
//! the clock, to which a busy machine adds.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use async_channel::Receiver;
use futures_lite::future::or;
use tailmerge::stall::{STALL_LIMIT, guard_with};
use tailmerge::{Backend, Builder, Event};

type Error = Box<dyn std::error::Error + Send + Sync>;

/// Is told the name of a task, and how long one step of it took.
pub type Warn = Arc<dyn Fn(&str, Duration) + Send + Sync>;

/// How often files are looked at.
const INTERVAL: Duration = Duration::from_millis(10);

/// How long reading and writing the rest may take after the stop.
const STOP_WITHIN: Duration = Duration::from_secs(30);

/// Merges the inputs into the output until `stop` is closed; what they hold then is still merged. Prints a warning for
/// each step that takes more than 100 ms.
pub fn run<B: Backend>(backend: B, inputs: &[PathBuf], output: &Path, stop: Receiver<()>) -> Result<(), Error> {
    let warn = Arc::new(|name: &str, took: Duration| {
        eprintln!("warning: {name}: one step took {} ms", took.as_millis());
    });
    let builder = inputs.iter().fold(Builder::new(), Builder::path).output(output).poll_interval(INTERVAL);
    backend.block_on(merge(backend.clone(), builder, stop, housekeeping(), warn))
}

/// A task that ought to have used [`Backend::unblock`], or a thread.
async fn housekeeping() {
    // In its place: a file that is read, a lock that is waited for, a long computation.
    thread::sleep(Duration::from_millis(150));
}

/// Merges until `stop` is closed, with a task of the host's beside it, both under guard.
pub async fn merge<B: Backend>(
    backend: B,
    builder: Builder,
    stop: Receiver<()>,
    task: impl Future<Output = ()> + Send + 'static,
    warn: Warn,
) -> Result<(), Error> {
    let observer = {
        let warn = warn.clone();
        move |event: &Event| {
            if let Event::Stalled { name, took } = event {
                warn(name, *took);
            }
        }
    };
    let merge = builder.stall_limit(Some(STALL_LIMIT)).observer(observer).start_on(backend.clone()).await?;
    backend.spawn(guard_with("housekeeping", STALL_LIMIT, task, move |name, took| warn(name, took)));

    or(merge.finished(), async { stop.recv().await.unwrap_or_default() }).await;
    let report = merge.stop(STOP_WITHIN).await?;
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
