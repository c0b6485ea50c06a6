//! Requests to flush, or to reopen the output and flush.
//!
//! A request is shared with the last message of the queue if that is one of the same kind. So there are never more of
//! them than batches, even if many are abandoned while the output stalls.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_channel::{Receiver, Sender};

use super::{Inbox, Message};

/// A request in the queue. If it is dropped without being done, those who wait for it get an error.
#[derive(Debug)]
pub(crate) struct FlushRequest {
    /// True if the output is to be reopened, if need be, before it is flushed.
    pub(super) reopen: bool,
    done: Arc<AtomicBool>,
    /// Carries no messages; it is closed once the request is over.
    over: Sender<Infallible>,
    wait: Receiver<Infallible>,
}

/// Waits for a request.
#[derive(Debug)]
pub(crate) struct Flushed {
    done: Arc<AtomicBool>,
    over: Receiver<Infallible>,
}

impl FlushRequest {
    fn new() -> Self {
        let (over, wait) = async_channel::bounded(1);
        Self { reopen: false, done: Arc::default(), over, wait }
    }

    fn join(&self) -> Flushed {
        Flushed { done: self.done.clone(), over: self.wait.clone() }
    }

    /// Marks the request as done.
    pub(super) fn done(self) {
        self.done.store(true, Ordering::SeqCst);
    }
}

impl Drop for FlushRequest {
    fn drop(&mut self) {
        self.over.close();
    }
}

impl Flushed {
    /// Waits until the request is over; returns true if it is done. Cancel safe.
    pub(crate) async fn wait(self) -> bool {
        self.over.recv().await.ok();
        self.done.load(Ordering::SeqCst)
    }

    /// Waits on this thread until the request is over; returns true if it is done.
    pub(crate) fn wait_blocking(self) -> bool {
        self.over.recv_blocking().ok();
        self.done.load(Ordering::SeqCst)
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
            || Message::Flush(FlushRequest::new()),
            |message| match message {
                Message::Flush(request) => {
                    request.reopen |= reopen;
                    Some(request.join())
                }
                _ => None,
            },
        )
    }
}
