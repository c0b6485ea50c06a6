//! A request to flush, or to reopen the output and flush, and who waits for it.
//!
//! Whoever asks while a request is the last message in the queue shares it. So there are never more of them than
//! batches, however many are given up while the output stands still.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_channel::{Receiver, Sender};

use super::{Inbox, Message};

/// A request in the queue. Dropped without being done, it tells those who wait that it never will be.
#[derive(Debug)]
pub(crate) struct FlushRequest {
    /// Whether the output is to be opened anew, if need be, before it is flushed.
    pub(super) reopen: bool,
    done: Arc<AtomicBool>,
    /// Nothing is sent: it is closed once the request is over.
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

    /// Says that it is done.
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
    /// Completes when the request is done (true) or never will be. Cancel safe.
    pub(crate) async fn wait(self) -> bool {
        self.over.recv().await.ok();
        self.done.load(Ordering::SeqCst)
    }

    /// Waits on this thread.
    pub(crate) fn wait_blocking(self) -> bool {
        self.over.recv_blocking().ok();
        self.done.load(Ordering::SeqCst)
    }
}

impl Inbox<Message> {
    /// Asks for a flush of what was submitted before. None: the queue is closed.
    pub(crate) fn ask_flush(&self) -> Option<Flushed> {
        self.ask(false)
    }

    /// Asks to open the output anew, if need be, and for a flush.
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
