//! The thread `tailmerge-writer`: makes the writer, runs its loop, and keeps the outcome.

use std::fmt;
use std::future::Future;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use async_channel::Sender;
use async_executor::LocalExecutor;
use futures_lite::future::or;

use crate::backend::Backend;
use crate::output::writer_loop::{Outcome, WriterError, WriterLoop};
use crate::output::{OwnFiles, Writer, WriterContext};
use crate::own_thread;
use crate::panic::panic_message;
use crate::report::event::Event as Told;
use crate::sync::lock::lock;
use crate::sync::set_once::SetOnce;
use crate::sync::stop::Stage;

/// The name of the writer's thread.
const NAME: &str = "tailmerge-writer";

/// The outcome of the writer, set when its thread is about to end.
pub(crate) type Ended = SetOnce<Result<Outcome, WriterError>>;

/// The running thread.
#[derive(Debug)]
pub(crate) struct WriterThread {
    handle: Mutex<Option<JoinHandle<()>>>,
    pub(crate) ended: Arc<Ended>,
}

impl WriterThread {
    /// Starts the thread. It calls `at_end` when it takes no more lines.
    pub(crate) fn start<B: Backend>(
        backend: B,
        serve: Serve,
        session: Session,
        at_end: impl FnOnce() + Send + 'static,
    ) -> io::Result<Self> {
        let ended = Arc::new(Ended::default());
        let set_ended = ended.clone();
        let run = move || {
            let (stop, lines) = (session.writer_loop.stop.clone(), session.writer_loop.lines.clone());
            let messages = session.writer_loop.messages.clone();
            let ledger = session.writer_loop.ledger.clone();
            let outcome = catch_unwind(AssertUnwindSafe(|| {
                let executor = Rc::new(LocalExecutor::new());
                let context = WriterContext {
                    executor: executor.clone(),
                    sleep: session.writer_loop.sleep.clone(),
                    stop: session.writer_loop.stop.clone(),
                    ledger: session.writer_loop.ledger.clone(),
                    own_files: session.own_files.clone(),
                };
                backend.block_on(executor.run(serve(context, session)))
            }));
            let outcome = outcome.unwrap_or_else(|panic| Err(WriterError::Panicked(panic_message(&*panic).to_owned())));
            match &outcome {
                Ok(Outcome::OutputClosed) => ledger.emit(&Told::OutputClosed),
                Ok(Outcome::Drained | Outcome::Aborted) => {}
                Err(cause) => ledger.emit(&Told::OutputFailed { reason: cause.to_string() }),
            }
            // Nobody takes lines any more: readers leave, senders hear of it, and so does who waits for a flush.
            stop.advance(Stage::Leaving);
            lines.close();
            at_end();
            messages.close();
            while messages.next().is_ok() {}
            set_ended.set(outcome);
            ledger.end_events();
        };
        let handle = own_thread::start(NAME, || own_thread::mark_writer(run))?;
        Ok(Self { handle: Mutex::new(Some(handle)), ended })
    }

    /// Joins the thread, which has ended or is about to.
    pub(crate) fn join(&self) {
        let handle = lock(&self.handle).take();
        if let Some(handle) = handle {
            handle.join().ok(); // It catches its panics itself.
        }
    }
}

/// The parts that the writer's thread works with.
pub(crate) struct Session {
    pub(crate) writer_loop: WriterLoop,
    /// Receives one message: whether the writer could be made.
    pub(crate) ready: Sender<io::Result<()>>,
    /// Receives the files that the writer writes, before it is reported to be ready.
    pub(crate) own_files: Arc<dyn OwnFiles>,
}

/// Makes a writer and runs its loop. It is boxed so that a builder does not depend on the writer's type.
pub(crate) type Serve =
    Box<dyn FnOnce(WriterContext, Session) -> Pin<Box<dyn Future<Output = Result<Outcome, WriterError>>>> + Send>;

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
                session.writer_loop.stop.reached(Stage::Aborted).await;
                Err(io::Error::new(io::ErrorKind::Interrupted, "stopped before it started"))
            };
            // If nobody listens any more, the start was given up, and the stop has been asked for.
            let mut writer = match or(make(context), aborted).await {
                Ok(writer) => writer,
                Err(error) => {
                    session.ready.try_send(Err(error)).ok(); // Whoever started may have given up.
                    return Ok(Outcome::Aborted);
                }
            };
            for id in writer.files() {
                session.own_files.add(id);
            }
            session.ready.try_send(Ok(())).ok(); // Whoever started may have given up.
            session.writer_loop.run(&mut writer).await
        })
    })
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").finish_non_exhaustive()
    }
}
