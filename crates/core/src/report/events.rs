//! Events as a stream.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use async_channel::{Receiver, Sender};
use futures_lite::Stream;

use crate::report::event::Event;

/// At most so many events wait in a stream.
const WAITING_MAX: usize = 1024;

/// The events of a merge as a stream; see [`Merge::events`](crate::Merge::events).
///
/// # Cancel safety
///
/// Waiting for the next event and giving up loses nothing.
#[must_use = "a stream does nothing unless it is polled"]
pub struct Events {
    receiver: Pin<Box<Receiver<Event>>>,
    missed: Arc<AtomicU64>,
}

impl Events {
    /// Returns how many events there was no room for so far: 1024 of them wait at most.
    pub fn missed(&self) -> u64 {
        self.missed.load(Ordering::Relaxed)
    }
}

impl Stream for Events {
    type Item = Event;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        self.get_mut().receiver.as_mut().poll_next(cx)
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events").field("missed", &self.missed()).finish_non_exhaustive()
    }
}

/// The other end of a stream of events.
#[derive(Clone, Debug)]
pub(crate) struct Subscriber {
    sender: Sender<Event>,
    missed: Arc<AtomicU64>,
}

impl Subscriber {
    pub(crate) fn new() -> (Self, Events) {
        let (sender, receiver) = async_channel::bounded(WAITING_MAX);
        let missed = Arc::<AtomicU64>::default();
        (Self { sender, missed: missed.clone() }, Events { receiver: Box::pin(receiver), missed })
    }

    /// Gives an event to the stream, if there is room.
    pub(crate) fn send(&self, event: &Event) {
        if self.sender.try_send(event.clone()).is_err() {
            self.missed.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Returns true if the stream was dropped.
    pub(crate) fn is_gone(&self) -> bool {
        self.sender.is_closed()
    }
}
