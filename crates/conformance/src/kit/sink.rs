//! An output in memory that does what a case wants.

use std::collections::VecDeque;
use std::future::{Future, Ready, pending, ready};
use std::io;
use std::panic::resume_unwind;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use async_channel::{Receiver, Sender};
use tailmerge_core::{Batch, PartialWrite, Writer, WriterContext};

use super::{assert_same, until};

/// What the next call of `write` does.
#[derive(Clone, Copy, Debug)]
pub enum Act {
    /// Writes so many bytes and fails.
    Fail { after: usize, kind: io::ErrorKind },
    /// Panics.
    Panic,
    /// Blocks the thread for a while, then writes.
    Block(Duration),
    /// Never completes.
    Hang,
}

/// An output in memory. A clone is the same one.
#[derive(Clone, Debug)]
pub struct Sink {
    state: Arc<Mutex<State>>,
    /// Open once it is closed: writes wait for that.
    gate: (Sender<()>, Receiver<()>),
}

#[derive(Debug, Default)]
struct State {
    bytes: Vec<u8>,
    acts: VecDeque<Act>,
    writes: usize,
    flushes: usize,
    flush_fails: Option<io::ErrorKind>,
    /// Bytes of the longest batch.
    longest: usize,
    dropped: bool,
}

impl Sink {
    /// An output that takes what it is given.
    pub fn new() -> Self {
        let sink = Self::held();
        sink.release();
        sink
    }

    /// An output whose writes wait to be [released](Self::release).
    pub fn held() -> Self {
        Self { state: Arc::default(), gate: async_channel::bounded(1) }
    }

    pub fn release(&self) {
        self.gate.0.close();
    }

    /// Has the next writes do these, one each.
    pub fn acts(self, acts: impl IntoIterator<Item = Act>) -> Self {
        self.lock().acts.extend(acts);
        self
    }

    /// Has every flush fail.
    pub fn flush_fails(self, kind: io::ErrorKind) -> Self {
        self.lock().flush_fails = Some(kind);
        self
    }

    /// Makes the writer, on the writer's thread.
    pub fn make(&self) -> impl FnOnce(WriterContext) -> Ready<io::Result<SinkWriter>> + use<> {
        let sink = self.clone();
        |_| ready(Ok(SinkWriter(sink)))
    }

    /// Adds bytes, as a writer around it does.
    pub fn push(&self, bytes: &[u8]) {
        self.lock().bytes.extend_from_slice(bytes);
    }

    pub fn bytes(&self) -> Vec<u8> {
        self.lock().bytes.clone()
    }

    /// How often it was written to; counted as a write begins.
    pub fn writes(&self) -> usize {
        self.lock().writes
    }

    pub fn flushes(&self) -> usize {
        self.lock().flushes
    }

    /// Bytes of the longest batch.
    pub fn longest(&self) -> usize {
        self.lock().longest
    }

    /// Whether the writer is gone.
    pub fn is_dropped(&self) -> bool {
        self.lock().dropped
    }

    /// Waits until it is being written to.
    #[track_caller]
    pub fn until_written_to(&self) {
        until("the output is written to", || self.writes() > 0);
    }

    /// Waits until it holds this.
    #[track_caller]
    pub fn expect(&self, want: impl AsRef<[u8]>) {
        let want = want.as_ref();
        until("the output has what is expected", || {
            let bytes = self.bytes();
            bytes == want || !want.starts_with(&bytes)
        });
        self.assert(want);
    }

    #[track_caller]
    pub fn assert(&self, want: impl AsRef<[u8]>) {
        assert_same("the output", &self.bytes(), want.as_ref());
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The writer of a [`Sink`].
#[derive(Debug)]
pub struct SinkWriter(Sink);

impl SinkWriter {
    pub fn new(sink: Sink) -> Self {
        Self(sink)
    }
}

impl Writer for SinkWriter {
    async fn write(&mut self, batch: &Batch) -> Result<(), PartialWrite> {
        let bytes = batch.bytes();
        {
            let mut state = self.0.lock();
            state.writes += 1;
            state.longest = state.longest.max(bytes.len());
        }
        // An error is what opens the gate.
        self.0.gate.1.recv().await.ok();
        let act = self.0.lock().acts.pop_front();
        match act {
            None => {}
            Some(Act::Block(duration)) => thread::sleep(duration),
            Some(Act::Hang) => pending().await,
            // Without the message of a panic hook, which would look as if the case had failed.
            Some(Act::Panic) => resume_unwind(Box::new("the case wants it so")),
            Some(Act::Fail { after, kind }) => {
                let written = after.min(bytes.len());
                self.0.push(&bytes[..written]);
                return Err(PartialWrite::new(written, kind.into()));
            }
        }
        self.0.push(bytes);
        Ok(())
    }

    fn flush(&mut self) -> impl Future<Output = io::Result<()>> {
        let mut state = self.0.lock();
        state.flushes += 1;
        ready(state.flush_fails.map_or(Ok(()), |kind| Err(kind.into())))
    }
}

impl Drop for SinkWriter {
    fn drop(&mut self) {
        self.0.lock().dropped = true;
    }
}
