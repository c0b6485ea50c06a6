//! Lines that the host writes itself, into the same output.

use std::error::Error;
use std::fmt;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use event_listener::{Event, Listener, listener};
use memchr::memchr;

use super::inbox::Inbox;
use super::{Flushed, Message};
use crate::batch::{Batch, Source};
use crate::lock::lock;
use crate::report::Ledger;

/// Writes whole lines of the host's own into the output of a merge.
///
/// Lines of one sender keep their order; all senders of a merge share one small buffer, and sending waits
/// while that is full. Lines sent cannot be read again: if the process dies, those not yet written are
/// gone. A clone is the same source, with a fragment of its own.
///
/// As an [`io::Write`] it takes bytes, keeps an unfinished line back until its newline comes, and submits
/// it with a newline when dropped; [`flush`](io::Write::flush) waits until what was submitted is in the output.
///
/// # Examples
///
/// ```no_run
/// # async fn example(merge: tailmerge_core::Merge) -> Result<(), Box<dyn std::error::Error>> {
/// use std::io::Write;
///
/// let mut sender = merge.sender("app");
/// sender.send("one line").await?;
/// writeln!(sender, "and another, on a thread that may block")?;
/// # Ok(())
/// # }
/// ```
pub struct LineSender {
    host: Arc<HostLines>,
    source: Arc<Source>,
    /// Bytes sent so far: the offset of the next line. Moves under the lock of [`HostLines`] only.
    sent: Arc<AtomicU64>,
    fragment: Vec<u8>,
    /// Whether a line was refused that has not ended yet.
    refusing: bool,
}

/// Why a line was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SendError {
    /// The merge is stopping or has ended.
    Closed,
    /// Longer than the line limit, all lines of it together.
    TooLong,
    /// There is no room just now; only [`LineSender::try_send`] says so.
    Full,
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Closed => "the merge has ended",
            Self::TooLong => "the line is longer than the limit",
            Self::Full => "no room for the line just now",
        })
    }
}

impl Error for SendError {}

impl From<SendError> for io::Error {
    fn from(error: SendError) -> Self {
        let kind = match error {
            SendError::Closed => io::ErrorKind::BrokenPipe,
            SendError::TooLong => io::ErrorKind::InvalidInput,
            SendError::Full => io::ErrorKind::WouldBlock,
        };
        Self::new(kind, error)
    }
}

impl LineSender {
    pub(crate) fn new(host: Arc<HostLines>, source: Arc<Source>) -> Self {
        Self { host, source, sent: Arc::default(), fragment: Vec::new(), refusing: false }
    }

    /// Submits a line, waiting for room. A newline is added if there is none; with newlines in it, it is
    /// several lines, which stay together and may not be longer, all in all, than the line limit.
    ///
    /// # Errors
    ///
    /// [`SendError::Closed`], [`SendError::TooLong`].
    ///
    /// # Cancel safety
    ///
    /// Dropped before it completes, it has submitted nothing.
    pub async fn send(&self, line: impl AsRef<[u8]>) -> Result<(), SendError> {
        loop {
            listener!(self.host.room => room);
            match self.try_send(line.as_ref()) {
                Err(SendError::Full) => room.await,
                sent => return sent,
            }
        }
    }

    /// Submits a line, waiting for room.
    ///
    /// # Errors
    ///
    /// As [`LineSender::send`].
    ///
    /// # Blocking
    ///
    /// Waits on this thread for as long as the output is behind.
    pub fn send_blocking(&self, line: impl AsRef<[u8]>) -> Result<(), SendError> {
        loop {
            listener!(self.host.room => room);
            match self.try_send(line.as_ref()) {
                Err(SendError::Full) => room.wait(),
                sent => return sent,
            }
        }
    }

    /// Submits a line if there is room right now.
    ///
    /// # Errors
    ///
    /// [`SendError::Full`], and those of [`LineSender::send`].
    pub fn try_send(&self, line: impl AsRef<[u8]>) -> Result<(), SendError> {
        self.submit(line.as_ref(), false)
    }

    fn submit(&self, line: &[u8], make_room: bool) -> Result<(), SendError> {
        let content = line.strip_suffix(b"\n").unwrap_or(line);
        if content.len() > self.host.line_max {
            return Err(SendError::TooLong);
        }
        let mut rendered = Vec::with_capacity(line.len() + 1);
        for content in content.split(|&byte| byte == b'\n') {
            self.source.renderer().push(content, &mut rendered);
        }
        let mut state = lock(&self.host.state);
        if state.closed || self.host.queue.is_closed() {
            return Err(SendError::Closed);
        }
        if make_room {
            state.batch.reserve(rendered.len());
        }
        state.batch.set_source(&self.source, 0);
        let len_in = content.len() as u64 + 1;
        if !state.batch.push(self.sent.load(Ordering::Relaxed), len_in, &rendered) {
            return Err(SendError::Full);
        }
        self.sent.fetch_add(len_in, Ordering::Relaxed);
        self.host.ledger.submitted.fetch_add(rendered.len() as u64, Ordering::Relaxed);
        if !std::mem::replace(&mut state.queued, true) {
            // Closed only if the writer failed just now: then the merge says what was not written.
            drop(self.host.queue.put(Message::Host));
        }
        Ok(())
    }
}

impl io::Write for LineSender {
    fn write(&mut self, mut buf: &[u8]) -> io::Result<usize> {
        let len = buf.len();
        if self.refusing {
            // The line's beginning was refused with an error; its rest goes the same way.
            let Some(at) = memchr(b'\n', buf) else { return Ok(len) };
            self.refusing = false;
            return Ok(at + 1);
        }
        while let Some(at) = memchr(b'\n', buf) {
            let (line, rest) = buf.split_at(at + 1);
            let sent = if self.fragment.is_empty() {
                self.send_blocking(line)
            } else {
                let mut whole = std::mem::take(&mut self.fragment);
                whole.extend_from_slice(line);
                self.send_blocking(whole)
            };
            match sent {
                Ok(()) => buf = rest,
                Err(error) if buf.len() == len => return Err(error.into()),
                // An error says that nothing was taken; the next call tells it.
                Err(_) => return Ok(len - buf.len()),
            }
        }
        if self.fragment.len() + buf.len() > self.host.line_max {
            if buf.len() < len {
                return Ok(len - buf.len());
            }
            self.fragment.clear();
            self.refusing = true;
            return Err(SendError::TooLong.into());
        }
        self.fragment.extend_from_slice(buf);
        Ok(len)
    }

    fn flush(&mut self) -> io::Result<()> {
        match self.host.queue.ask_flush().is_some_and(Flushed::wait_blocking) {
            true => Ok(()),
            false => Err(SendError::Closed.into()),
        }
    }
}

impl Clone for LineSender {
    fn clone(&self) -> Self {
        let Self { host, source, sent, .. } = self;
        Self { host: host.clone(), source: source.clone(), sent: sent.clone(), fragment: Vec::new(), refusing: false }
    }
}

impl fmt::Debug for LineSender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LineSender").field("name", &self.source.name()).finish_non_exhaustive()
    }
}

impl Drop for LineSender {
    fn drop(&mut self) {
        if !self.fragment.is_empty() {
            // A drop cannot wait, nor can it say that the merge has ended.
            self.submit(&self.fragment, true).ok();
        }
    }
}

/// The buffer between senders and the writer.
pub(crate) struct HostLines {
    state: Mutex<State>,
    /// Notified when there is room.
    room: Event,
    queue: Inbox<Message>,
    ledger: Arc<Ledger>,
    /// Most bytes of a line.
    line_max: usize,
}

struct State {
    batch: Batch,
    /// Whether the writer knows that there is something.
    queued: bool,
    closed: bool,
}

impl HostLines {
    pub(crate) fn new(capacity: usize, line_max: usize, queue: Inbox<Message>, ledger: Arc<Ledger>) -> Arc<Self> {
        let state = State { batch: Batch::with_capacity(capacity), queued: false, closed: false };
        Arc::new(Self { state: Mutex::new(state), room: Event::new(), queue, ledger, line_max })
    }

    /// Takes what was sent and leaves an empty batch for more.
    pub(super) fn take(&self, empty: Batch) -> Batch {
        let mut state = lock(&self.state);
        state.queued = false;
        let batch = std::mem::replace(&mut state.batch, empty);
        drop(state);
        self.room.notify(usize::MAX);
        batch
    }

    /// Takes no more lines. What was sent is still written.
    pub(crate) fn close(&self) {
        lock(&self.state).closed = true;
        self.room.notify(usize::MAX);
    }
}

impl fmt::Debug for HostLines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HostLines").finish_non_exhaustive()
    }
}
