//! The writer's loop: receive, write, flush when there is nothing left, acknowledge, give the batch back.

use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_channel::Sender;
use futures_lite::future::or;

use super::inbox::{Inbox, Nothing};
use super::thread::{Cause, Outcome};
use super::{HostLines, PartialWrite, Sleep, Writer};
use crate::batch::Batch;
use crate::pool::BatchPool;
use crate::report::{Event, Ledger};
use crate::stall::timed;
use crate::stop::{Stage, Stop};

/// First pause, of a growing series, before an output that failed is tried again.
const PAUSE_MIN: Duration = Duration::from_millis(20);
/// Last pause.
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// What goes to the writer. There are only so many of each at a time, so sending never waits.
pub(crate) enum Message {
    /// Lines from the inputs.
    Batch(Batch),
    /// The host has sent lines; they wait in [`HostLines`].
    Host,
    /// Flush what came before, then drop this.
    Flush(Sender<()>),
}

/// Where messages come in, and what is needed to work them off.
pub(crate) struct Queue {
    pub(crate) messages: Inbox<Message>,
    pub(crate) pool: Arc<BatchPool>,
    pub(crate) host: Arc<HostLines>,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) stop: Arc<Stop>,
    pub(crate) sleep: Arc<Sleep>,
    pub(crate) stall_limit: Option<Duration>,
    /// Bytes in a batch.
    pub(crate) capacity: usize,
}

impl Queue {
    /// Writes until the queue is closed and empty, the output is closed, or something fails for good.
    pub(crate) async fn run<W: Writer>(&self, writer: &mut W) -> Result<Outcome, Cause> {
        let mut spare = Batch::with_capacity(self.capacity);
        let mut flushed = true;
        let mut done = Vec::new();
        // One for all rests: to begin to wait for it costs as much as all else that a rest takes.
        let mut aborted = pin!(self.stop.reached(Stage::Aborted));
        loop {
            let received = self.messages.next();
            // Several at a time: to wake a reader costs as much as writing tens of kilobytes.
            if received.is_err() || 2 * done.len() >= self.pool.count() {
                self.pool.give_back(done.drain(..));
            }
            let message = match received {
                Ok(message) => message,
                Err(Nothing::Yet) if flushed => match self.idle(writer, aborted.as_mut()).await {
                    Ok(message) => message,
                    Err(outcome) => return Ok(outcome),
                },
                Err(Nothing::More) if flushed => return Ok(Outcome::Drained),
                Err(_) => {
                    self.flush(writer).await?;
                    flushed = true;
                    continue;
                }
            };
            match message {
                Message::Batch(mut batch) => {
                    flushed = false;
                    if let Some(outcome) = self.write(writer, &mut batch).await? {
                        return Ok(outcome);
                    }
                    done.push(batch);
                }
                Message::Host => {
                    flushed = false;
                    spare = self.host.take(spare);
                    if let Some(outcome) = self.write(writer, &mut spare).await? {
                        return Ok(outcome);
                    }
                    spare.clear(self.capacity);
                }
                Message::Flush(reply) => {
                    self.flush(writer).await?;
                    flushed = true;
                    // The receiver may have stopped waiting.
                    reply.try_send(()).ok();
                }
            }
        }
    }

    /// Waits for a message, and notices meanwhile when the merge has to end.
    async fn idle<W: Writer>(&self, writer: &mut W, aborted: impl Future<Output = ()>) -> Result<Message, Outcome> {
        let message = async { self.messages.wait().await.ok_or(Outcome::Drained) };
        let closed = async {
            writer.closed().await;
            Err(Outcome::OutputClosed)
        };
        let aborted = async {
            aborted.await;
            Err(Outcome::Aborted)
        };
        or(message, or(closed, aborted)).await
    }

    /// Writes a batch, however long it takes. An outcome means that the merge ends.
    async fn write<W: Writer>(&self, writer: &mut W, batch: &mut Batch) -> Result<Option<Outcome>, Cause> {
        let mut pause = PAUSE_MIN;
        let ended = loop {
            let write = self.guard("tailmerge-writer: write", writer.write(batch));
            let Some(written) = self.unless_aborted(write).await else { break Some(Outcome::Aborted) };
            let Err(PartialWrite { written, error }) = written else {
                batch.advance(batch.bytes().len());
                break None;
            };
            batch.advance(written);
            if self.stop.stage() == Stage::Aborted {
                break Some(Outcome::Aborted);
            }
            if error.kind() == io::ErrorKind::BrokenPipe {
                break Some(Outcome::OutputClosed);
            }
            if !may_pass(error.kind()) {
                self.account(batch);
                return Err(Cause::Write(Arc::new(error)));
            }
            if pause == PAUSE_MIN {
                self.ledger.tell(&Event::OutputWaiting { reason: &error.to_string() });
            }
            if self.unless_aborted((self.sleep)(pause)).await.is_none() {
                break Some(Outcome::Aborted);
            }
            pause = (pause * 2).min(PAUSE_MAX);
        };
        if ended.is_none() && pause > PAUSE_MIN {
            self.ledger.tell(&Event::OutputResumed);
        }
        self.account(batch);
        Ok(ended)
    }

    fn account(&self, batch: &Batch) {
        batch.acknowledge();
        self.ledger.written.fetch_add((batch.len() - batch.bytes().len()) as u64, Ordering::Relaxed);
    }

    async fn flush<W: Writer>(&self, writer: &mut W) -> Result<(), Cause> {
        let flush = self.guard("tailmerge-writer: flush", writer.flush());
        // When it has to end at once, the loop learns that from what it does next.
        self.unless_aborted(flush).await.unwrap_or(Ok(())).map_err(|error| Cause::Flush(Arc::new(error)))
    }

    async fn unless_aborted<T>(&self, future: impl Future<Output = T>) -> Option<T> {
        let aborted = async {
            self.stop.reached(Stage::Aborted).await;
            None
        };
        or(async { Some(future.await) }, aborted).await
    }

    /// As [`guard_with`](crate::stall::guard_with), without allocating for each batch.
    async fn guard<F: Future>(&self, name: &str, future: F) -> F::Output {
        let Some(limit) = self.stall_limit else { return future.await };
        let mut future = pin!(future);
        poll_fn(|cx| {
            let (poll, took) = timed(|| future.as_mut().poll(cx));
            if took > limit {
                self.ledger.tell(&Event::Stalled { name, took });
            }
            poll
        })
        .await
    }
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue").field("messages", &self.messages).finish_non_exhaustive()
    }
}

/// Whether a failed write is worth another try.
fn may_pass(kind: io::ErrorKind) -> bool {
    use io::ErrorKind::{Interrupted, OutOfMemory, QuotaExceeded, ResourceBusy, StorageFull, TimedOut, WouldBlock};
    matches!(kind, Interrupted | OutOfMemory | QuotaExceeded | ResourceBusy | StorageFull | TimedOut | WouldBlock)
}
