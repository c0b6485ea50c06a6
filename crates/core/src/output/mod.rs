//! The output, and the thread that owns it.

pub(crate) mod access;
pub(crate) mod file;
pub(crate) mod journal;
pub(crate) mod open;
pub(crate) mod partial;
pub(crate) mod pipe;
pub(crate) mod state;
pub(crate) mod thread;
pub(crate) mod writer_loop;

use std::fmt;
use std::future::Future;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use async_executor::LocalExecutor;

use crate::batch::Batch;
use crate::fs::FileId;
use crate::output::partial::PartialWrite;
use crate::report::ledger::Ledger;
use crate::sync::stop::{Stage, Stop};

/// The one output.
///
/// It is made, used and dropped on the writer's own thread, `tailmerge-writer`, where blocking harms
/// nobody. So neither it nor its futures need be `Send`. One call is under way at a time.
///
/// # Examples
///
/// A writer that counts lines:
///
/// ```
/// use std::cell::Cell;
/// use std::io;
/// use tailmerge::{Batch, PartialWrite, Writer};
///
/// #[derive(Default)]
/// struct Count(Cell<u64>);
///
/// impl Writer for Count {
///     async fn write(&mut self, batch: &Batch) -> Result<(), PartialWrite> {
///         let lines: u64 = batch.extents().iter().map(|extent| extent.lines).sum();
///         self.0.set(self.0.get() + lines);
///         Ok(())
///     }
///
///     async fn flush(&mut self) -> io::Result<()> {
///         Ok(())
///     }
/// }
/// ```
pub trait Writer: 'static {
    /// Writes [`Batch::bytes`].
    ///
    /// On an error that may pass (the disk is full, say) the merge waits, with growing pauses, and calls
    /// again with the same batch, its bytes reduced by those that [`PartialWrite::written`] counts. Any other error
    /// is final, but for `BrokenPipe`, which ends the merge quietly. [`PartialWrite`] tells which is which. A network client
    /// whose connection is lost (`ConnectionReset`, `BrokenPipe`) returns [`PartialWrite::retry`], and connects again when
    /// it is called again.
    ///
    /// The future is dropped when the merge has to end at once.
    ///
    /// # Errors
    ///
    /// If not all bytes could be written; the error carries their number and the cause.
    fn write(&mut self, batch: &Batch) -> impl Future<Output = Result<(), PartialWrite>>;

    /// Is told of a batch that has no bytes: its extents are all of bytes that were left out. It is called in place of
    /// [`write`](Self::write), so that a writer that keeps the positions of inputs has them, too. It does nothing by
    /// default.
    ///
    /// # Errors
    ///
    /// As those of [`write`](Self::write).
    fn left_out(&mut self, batch: &Batch) -> impl Future<Output = Result<(), PartialWrite>> {
        let _ = batch;
        std::future::ready(Ok(()))
    }

    /// Passes on whatever the writer still holds. It is called when the queue runs empty, when the host asks for it,
    /// and at the end.
    ///
    /// # Errors
    ///
    /// An error is final, but for `BrokenPipe`, which ends the merge quietly.
    fn flush(&mut self) -> impl Future<Output = io::Result<()>>;

    /// Reopens what it writes to, if need be: a file that was moved, a lost connection. It is called when the host asks
    /// for it by [`Merge::reopen_output`](crate::Merge::reopen_output), and does nothing by default.
    ///
    /// # Errors
    ///
    /// An error is final, but for `BrokenPipe`, which ends the merge quietly.
    fn reopen(&mut self) -> impl Future<Output = io::Result<()>> {
        std::future::ready(Ok(()))
    }

    /// Completes when the output's reader is gone. It is polled while there is nothing to write; by default it never
    /// completes.
    fn closed(&mut self) -> impl Future<Output = ()> {
        std::future::pending()
    }

    /// Returns the files that it writes, which must not be inputs. None by default.
    fn files(&self) -> Vec<FileId> {
        Vec::new()
    }
}

pub(crate) type Sleep = dyn Fn(Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync;

/// The files that the merge writes itself, which must never be inputs.
pub(crate) trait OwnFiles: Send + Sync {
    /// Adds a file. Returns false if it is an input.
    fn add(&self, id: FileId) -> bool;

    /// Removes a file that is written no more.
    fn remove(&self, id: FileId);

    /// Adds a path: whatever file is there at any time is no input.
    fn add_path(&self, path: &Path);
}

/// Services for a writer. They never leave the writer's thread.
///
/// # Examples
///
/// A writer that connects when it has to, and says so while it waits for that:
///
/// ```
/// use std::io::{self, Write};
/// use std::net::TcpStream;
/// use std::time::Duration;
/// use tailmerge::{Batch, Builder, PartialWrite, Writer, WriterContext};
///
/// // Its calls block the writer's thread, so that a stop with a deadline waits for the one under way: a client that has
/// // to end sooner sets timeouts, or uses asynchronous sockets.
/// struct Collector {
///     connection: Option<TcpStream>,
///     cx: WriterContext,
/// }
///
/// impl Collector {
///     async fn connection(&mut self) -> &mut TcpStream {
///         while self.connection.is_none() {
///             match TcpStream::connect("collector:5140") {
///                 Ok(connection) => self.connection = Some(connection),
///                 Err(error) => {
///                     self.cx.waiting(&error.to_string());
///                     self.cx.sleep(Duration::from_secs(1)).await;
///                 }
///             }
///         }
///         self.connection.as_mut().expect("it is connected")
///     }
/// }
///
/// impl Writer for Collector {
///     async fn write(&mut self, batch: &Batch) -> Result<(), PartialWrite> {
///         self.connection().await.write_all(batch.bytes()).map_err(|error| {
///             self.connection = None;
///             // What got through of these lines comes twice then.
///             PartialWrite::retry(0, error)
///         })
///     }
///
///     async fn flush(&mut self) -> io::Result<()> {
///         Ok(())
///     }
/// }
///
/// let builder = Builder::new().writer(|cx| async { Ok(Collector { connection: None, cx }) });
/// ```
pub struct WriterContext {
    pub(crate) executor: Rc<LocalExecutor<'static>>,
    pub(crate) sleep: Arc<Sleep>,
    pub(crate) stop: Arc<Stop>,
    pub(crate) ledger: Arc<Ledger>,
    /// Receives the files that the output is in.
    pub(crate) own_files: Arc<dyn OwnFiles>,
}

impl WriterContext {
    /// Runs a helper on the writer's thread, while the writer waits. It is dropped with the writer.
    ///
    /// A helper must not block for long: it holds up the writer.
    pub fn spawn(&self, helper: impl Future<Output = ()> + 'static) {
        self.executor.spawn(helper).detach();
    }

    /// Completes after `duration` at the earliest.
    pub fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + Send + 'static {
        (self.sleep)(duration)
    }

    /// Completes when the merge has to end at once. Cancel safe.
    pub fn aborted(&self) -> impl Future<Output = ()> + Send + 'static {
        let stop = self.stop.clone();
        async move { stop.reached(Stage::Aborted).await }
    }

    /// Emits [`Event::OutputWaiting`](crate::Event::OutputWaiting), once until the next write or flush that succeeds,
    /// which emits [`Event::OutputResumed`](crate::Event::OutputResumed).
    pub fn waiting(&self, reason: &str) {
        self.ledger.output_waits(reason);
    }
}

impl fmt::Debug for WriterContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WriterContext").finish_non_exhaustive()
    }
}
