//! Requests to flush, or to reopen the output and flush.
//!
//! A request is shared with the last message of the queue if that is one of the same kind. So there are never more of
//! them than batches, even if many are abandoned while the output stalls.

use std::sync::Arc;

use crate::output::writer_loop::Message;
use crate::sync::inbox::Inbox;
use crate::sync::set_once::SetOnce;

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
