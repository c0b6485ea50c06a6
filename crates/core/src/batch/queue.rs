//! The queue from the readers to the writer: batches, notices of the host's lines, and requests to flush.
//!
//! A request is shared with the last message of the queue if that is one of the same kind. So there are never more of
//! them than batches, even if many are abandoned while the output stalls.

use std::sync::Arc;

use crate::batch::Batch;
use crate::sync::inbox::Inbox;
use crate::sync::set_once::SetOnce;

/// The queue to the writer.
pub(crate) type WriterQueue = Inbox<Message>;

/// A message to the writer. The number of each kind is bounded, so sending never waits.
pub(crate) enum Message {
    /// Lines from the inputs.
    Batch(Batch),
    /// There are lines in the [`LineBuffer`].
    Lines,
    /// Flush everything before this message.
    Flush(FlushRequest),
}

/// A buffer of lines that the writer empties when it gets [`Message::Lines`].
pub(crate) trait LineBuffer: Send + Sync {
    /// Takes the lines out, and leaves an empty batch for more.
    fn take(&self, empty: Batch) -> Batch;

    /// Takes no more lines.
    fn close(&self);
}

/// A request in the queue. If it is dropped without being done, those who wait for it get an error.
#[derive(Debug, Default)]
pub(crate) struct FlushRequest {
    /// True if the output is to be reopened, if need be, before it is flushed.
    pub(crate) reopen: bool,
    /// Set to true once the request is done, or to false if it never will be.
    done: Arc<SetOnce<bool>>,
}

/// Waits for a request.
#[derive(Debug)]
pub(crate) struct Flushed(Arc<SetOnce<bool>>);

impl FlushRequest {
    /// Marks the request as done.
    pub(crate) fn done(self) {
        self.done.set(true);
    }
}

impl Drop for FlushRequest {
    fn drop(&mut self) {
        self.done.set(false);
    }
}

impl Flushed {
    /// Waits until the request is over; returns true if it is done. Cancel safe.
    pub(crate) async fn wait(self) -> bool {
        self.0.wait().await
    }

    /// Waits on this thread until the request is over; returns true if it is done.
    pub(crate) fn wait_blocking(self) -> bool {
        self.0.wait_blocking(None).unwrap_or(false)
    }
}

impl Inbox<Message> {
    /// Asks for a flush of what was submitted before. Returns none if the queue is closed.
    pub(crate) fn ask_flush(&self) -> Option<Flushed> {
        self.ask(false)
    }

    /// Asks to reopen the output, if need be, and to flush. Returns none if the queue is closed.
    pub(crate) fn ask_reopen(&self) -> Option<Flushed> {
        self.ask(true)
    }

    fn ask(&self, reopen: bool) -> Option<Flushed> {
        self.put_or_join(
            || Message::Flush(FlushRequest::default()),
            |message| match message {
                Message::Flush(request) => {
                    request.reopen |= reopen;
                    Some(Flushed(request.done.clone()))
                }
                _ => None,
            },
        )
    }
}
