//! The thread `tailmerge-writer`: makes the writer, runs its loop, and keeps the outcome.

use std::fmt;
use std::future::Future;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use async_channel::Sender;
use async_executor::LocalExecutor;
use futures_lite::future::or;

use crate::backend::Backend;
use crate::follow::registry::Claims;
use crate::output::writer_loop::Queue;
use crate::output::{Writer, WriterContext};
use crate::own_thread;
use crate::panic::panic_message;
use crate::report::event::Event as Told;
use crate::source::tailer::TailError;
use crate::sync::lock::lock;
use crate::sync::set_once::SetOnce;
use crate::sync::stop::Stage;
use crate::watch::WatchSlot;

/// The name of the writer's thread.
const NAME: &str = "tailmerge-writer";

/// The outcome of a writer's loop that did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// All that was submitted is written and flushed.
    Drained,
    /// The reader of the output went away.
    OutputClosed,
    /// It was aborted.
    Aborted,
}

/// The failure that ended a merge.
#[derive(Clone, Debug)]
pub(crate) enum Cause {
    Write(Arc<io::Error>),
    Flush(Arc<io::Error>),
    WriterPanicked(String),
    Tailer(String, Arc<TailError>),
    /// The thread does not return from a call.
    WriterStuck,
    /// The question came from a thread of the merge, which cannot wait for the end.
    OwnThread,
}

/// The outcome of the writer, set when its thread is about to end.
pub(crate) type Ended = SetOnce<Result<Outcome, Cause>>;

/// The running thread.
#[derive(Debug)]
pub(crate) struct WriterThread {
    handle: Mutex<Option<JoinHandle<()>>>,
    pub(crate) ended: Arc<Ended>,
}

impl WriterThread {
    /// Starts the thread.
    pub(crate) fn start<B: Backend>(backend: B, serve: Serve, session: Session) -> io::Result<Self> {
        let ended = Arc::new(Ended::default());
        let at_end = ended.clone();
        let run = move || {
            let (stop, host) = (session.queue.stop.clone(), session.queue.host.clone());
            let (messages, watch) = (session.queue.messages.clone(), session.watch.clone());
            let ledger = session.queue.ledger.clone();
            let outcome = catch_unwind(AssertUnwindSafe(|| {
                let executor = Rc::new(LocalExecutor::new());
                let context = WriterContext {
                    executor: executor.clone(),
                    sleep: session.queue.sleep.clone(),
                    stop: session.queue.stop.clone(),
                    ledger: session.queue.ledger.clone(),
                    claims: session.claims.clone(),
                };
                backend.block_on(executor.run(serve(context, session)))
            }));
            let outcome = outcome.unwrap_or_else(|panic| Err(Cause::WriterPanicked(panic_message(&*panic).to_owned())));
            match &outcome {
                Ok(Outcome::OutputClosed) => ledger.tell(&Told::OutputClosed),
                Ok(Outcome::Drained | Outcome::Aborted) => {}
                Err(cause) => ledger.tell(&Told::OutputFailed { reason: &cause.to_string() }),
            }
            // Nobody takes lines any more: readers leave, senders hear of it, and so does who waits for a flush.
            stop.advance(Stage::Leaving);
            host.close();
            watch.close();
            messages.close();
            while messages.next().is_ok() {}
            at_end.set(outcome);
        };
        let handle = thread::Builder::new().name(NAME.into()).spawn(|| own_thread::mark_writer(run))?;
        Ok(Self { handle: Mutex::new(Some(handle)), ended })
    }

    /// Joins the thread, which has ended or is about to.
    pub(crate) fn join(&self) {
        let handle = lock(&self.handle).take();
        if let Some(handle) = handle {
            // It catches its panics itself.
            drop(handle.join());
        }
    }
}

/// The parts that the writer's thread works with.
pub(crate) struct Session {
    pub(crate) queue: Queue,
    /// Receives one message: whether the writer could be made.
    pub(crate) ready: Sender<io::Result<()>>,
    /// The thread that watches for changes; it is joined when this one ends.
    pub(crate) watch: WatchSlot,
    /// Receives the files that the writer writes, before it is reported to be ready.
    pub(crate) claims: Arc<Claims>,
}

/// Makes a writer and runs its loop. It is boxed so that a builder does not depend on the writer's type.
pub(crate) type Serve =
    Box<dyn FnOnce(WriterContext, Session) -> Pin<Box<dyn Future<Output = Result<Outcome, Cause>>>> + Send>;

/// Runs the writer that `make` makes to its end.
pub(crate) fn serve<M, F, W>(make: M) -> Serve
where
    M: FnOnce(WriterContext) -> F + Send + 'static,
    F: Future<Output = io::Result<W>>,
    W: Writer,
{
    Box::new(|context, session| {
        Box::pin(async move {
            let aborted = async {
                session.queue.stop.reached(Stage::Aborted).await;
                Err(io::Error::new(io::ErrorKind::Interrupted, "stopped before it started"))
            };
            // If nobody listens any more, the start was given up, and the stop has been asked for.
            let mut writer = match or(make(context), aborted).await {
                Ok(writer) => writer,
                Err(error) => {
                    drop(session.ready.try_send(Err(error)));
                    return Ok(Outcome::Aborted);
                }
            };
            for id in writer.files() {
                session.claims.forbid(id);
            }
            drop(session.ready.try_send(Ok(())));
            session.queue.run(&mut writer).await
        })
    })
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").finish_non_exhaustive()
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Write(error) => write!(f, "the output cannot be written: {error}"),
            Self::Flush(error) => write!(f, "the output cannot be flushed: {error}"),
            Self::WriterPanicked(message) => write!(f, "the writer panicked: {message}"),
            Self::Tailer(name, error) => write!(f, "the tailer {name} failed: {error}"),
            Self::OwnThread => {
                f.write_str("not over yet: this is one of the merge's own threads, which cannot wait for its end")
            }
            Self::WriterStuck => f.write_str("the writer does not return from a call; its thread is left behind"),
        }
    }
}
