//! The sender of the host's own lines.

use std::fmt;
use std::io;
use std::sync::Arc;

use event_listener::{Listener, listener};
use memchr::memchr;

use crate::batch::queue::Flushed;
use crate::own_thread::is_own_thread;
use crate::source::host_lines::{Fragment, HostLines, HostSource, SendError};
use crate::sync::lock::lock;

/// Writes whole lines of the host's own into the output of a merge.
///
/// Lines of one sender keep their order. Lines sent cannot be read again: if the process dies, those not yet written are
/// gone. A clone, and another sender of the same name, is the same source, with a fragment of its own.
///
/// # The buffer
///
/// All senders of a merge share one buffer. It holds 1 MiB, or one line of the greatest length if that is more; with a
/// [`memory`](crate::Builder::memory) of less than 4 MiB, a quarter of that. The writer's thread empties it in turn with
/// the batches of files. While it is full, [`send`](Self::send) and `write` wait, and [`try_send`](Self::try_send) is
/// refused.
///
/// # As a writer of bytes
///
/// As an [`io::Write`] it submits each line when its newline comes, and keeps the unfinished one back:
///
/// * `write` fails with [`BrokenPipe`](io::ErrorKind::BrokenPipe) once the merge is stopping or has ended, and with
///   [`InvalidInput`](io::ErrorKind::InvalidInput) where a line gets longer than the limit; the rest of that line is then
///   dropped, and the next one is taken. The cause is a [`SendError`].
/// * [`flush`](io::Write::flush) waits until all that was submitted is in the output; the unfinished line is not. It fails
///   with `BrokenPipe` if the merge ends before.
/// * A line that is unfinished when the sender is dropped, or when the merge stops, gets a newline and is submitted. At a
///   stop there is always room for it. A drop cannot wait: where the output is so far behind that twice the buffer is
///   full, the line is a gap, [`GapReason::SenderDropped`](crate::GapReason::SenderDropped).
/// * `write` and `flush` wait on the thread that calls them, for as long as the output is behind. On a thread of an
///   executor they hold up all its other tasks: use [`send`](Self::send) there, or
///   [`Merge::flush`](crate::Merge::flush). A [`lossy`](Self::lossy) sender never waits.
///
/// Where async code has to have an [`AsyncWrite`](futures_lite::AsyncWrite), `blocking::Unblock` makes one of a sender.
/// It puts a buffer of its own before the sender, of 8 MiB unless `with_capacity` says less. What is in there when it is
/// dropped, when the merge is stopped or when a line is refused is lost: flush it before. The flush also tells errors.
///
/// # In a logger, an observer, a tailer or a writer
///
/// When the merge calls the host (a logger, an observer, a tailer, a writer), a sender that waited for room would wait
/// for itself. So it never waits there: a line without room is refused as [`SendError::Full`], the whole line in the
/// case of an [`io::Write`] ([`WouldBlock`](io::ErrorKind::WouldBlock)), whose `flush` is refused likewise. A logger may
/// thus write to a sender. The writer's thread hands its own log messages to another thread, since the logger may hold a
/// lock while it waits for room. If something else logs on the writer's thread (a writer of the host's, or an executor
/// that traces), such a logger must not wait with its lock held, but use [`try_send`](Self::try_send) or a
/// [`lossy`](Self::lossy) sender.
///
/// # Examples
///
/// ```no_run
/// # async fn example(merge: tailmerge::Merge) -> Result<(), Box<dyn std::error::Error>> {
/// use std::io::Write;
///
/// let mut sender = merge.sender("app");
/// sender.send("one line").await?;
/// writeln!(sender, "and another, on a thread that may block")?;
/// # Ok(())
/// # }
/// ```
///
/// The messages of `tracing` in the same output. A closure that makes writers is a `MakeWriter` of `tracing-subscriber`;
/// with a clone for each message, those of several threads do not mix:
///
/// ```no_run
/// # fn example(merge: tailmerge::Merge) {
/// let sender = merge.sender("app");
/// let make_writer = move || sender.clone();
/// // tracing_subscriber::fmt().with_ansi(false).with_writer(make_writer).init();
/// # std::io::Write::write_all(&mut make_writer(), b"a message\n").unwrap();
/// # }
/// ```
///
/// As an `AsyncWrite`:
///
/// ```no_run
/// # async fn example(merge: tailmerge::Merge) -> Result<(), Box<dyn std::error::Error>> {
/// use blocking::Unblock;
/// use futures_lite::AsyncWriteExt;
///
/// let mut writer = Unblock::with_capacity(64 * 1024, merge.sender("app"));
/// writer.write_all(b"a line\nand anoth").await?;
/// writer.write_all(b"er\n").await?;
/// writer.flush().await?; // in the output now
/// # Ok(())
/// # }
/// ```
#[must_use = "a sender does nothing until it is given lines"]
pub struct LineSender {
    host: Arc<HostLines>,
    source: Arc<HostSource>,
    /// The unfinished line; none before the first write of one.
    fragment: Option<Arc<Fragment>>,
    /// True while the rest of a refused line is dropped.
    refusing: bool,
    /// True if lines without room are dropped.
    lossy: bool,
}

impl LineSender {
    pub(crate) fn new(host: Arc<HostLines>, source: Arc<HostSource>) -> Self {
        Self { host, source, fragment: None, refusing: false, lossy: false }
    }

    /// Makes the sender one that never waits: lines without room are dropped, for logs that must not hold up the program
    /// when the output is slow.
    ///
    /// [`send`](Self::send), [`send_blocking`](Self::send_blocking) and the calls of [`io::Write`] then succeed, and what
    /// they drop is a [`Gap`](crate::Gap): counted at once in [`Snapshot::dropped_lines`](crate::Snapshot::dropped_lines)
    /// and in the report, which is then not complete, and emitted when the output goes on. `flush` does nothing.
    /// [`try_send`](Self::try_send) still refuses a line without room, and counts nothing. Clones are lossy, too.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use std::io::Write;
    ///
    /// # fn example(merge: &tailmerge::Merge) -> std::io::Result<()> {
    /// let mut log = merge.sender("app").lossy();
    /// writeln!(log, "a line, if there is room for it")?;
    /// println!("{} lines were dropped", merge.snapshot().dropped_lines);
    /// # Ok(())
    /// # }
    /// ```
    pub fn lossy(mut self) -> Self {
        self.lossy = true;
        self
    }

    /// Submits a line, waiting for room. A newline is added if there is none; with newlines in it, it is
    /// several lines, which stay together and may not be longer, all in all, than the line limit.
    ///
    /// # Errors
    ///
    /// [`SendError::Closed`], [`SendError::TooLong`]; [`SendError::Full`] within the merge's calls of the host.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it completes, it has submitted nothing.
    pub async fn send(&self, line: impl AsRef<[u8]>) -> Result<(), SendError> {
        loop {
            listener!(self.host.room => room);
            match self.host.submit(&self.source, line.as_ref(), self.lossy) {
                Err(SendError::Full) if !is_own_thread() => room.await,
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
        self.wait_for_room(|| self.host.submit(&self.source, line.as_ref(), self.lossy))
    }

    /// Tries until there is room.
    fn wait_for_room(&self, submit: impl Fn() -> Result<(), SendError>) -> Result<(), SendError> {
        loop {
            listener!(self.host.room => room);
            match submit() {
                Err(SendError::Full) if !is_own_thread() => room.wait(),
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
        self.host.submit(&self.source, line.as_ref(), false)
    }

    /// Submits the unfinished line together with its end, waiting for room.
    fn end_line(&self, end: &[u8]) -> Result<(), SendError> {
        let Some(fragment) = &self.fragment else { return self.send_blocking(end) };
        let sent = self.wait_for_room(|| {
            // Not locked while it waits: a stop may end the line meanwhile.
            let mut bytes = lock(&fragment.bytes);
            let begun = bytes.len();
            bytes.extend_from_slice(end);
            let sent = self.host.submit(&self.source, &bytes, self.lossy);
            bytes.truncate(if sent.is_ok() { 0 } else { begun });
            sent
        });
        if let Err(SendError::TooLong | SendError::Full) = sent {
            // The whole line is refused: what was begun of it must not get into the next one.
            lock(&fragment.bytes).clear();
        }
        sent
    }

    /// Keeps the beginning of a line.
    fn begin_line(&mut self, bytes: &[u8]) -> Result<(), SendError> {
        let fragment = match &mut self.fragment {
            Some(fragment) => fragment,
            fragment => fragment.insert(self.host.fragment(&self.source)?),
        };
        let mut begun = lock(&fragment.bytes);
        if self.host.is_closed() {
            return Err(SendError::Closed);
        }
        if begun.len() + bytes.len() > self.host.line_max {
            begun.clear();
            self.refusing = true;
            return Err(SendError::TooLong);
        }
        begun.extend_from_slice(bytes);
        Ok(())
    }
}

impl io::Write for LineSender {
    fn write(&mut self, mut buf: &[u8]) -> io::Result<usize> {
        let len = buf.len();
        if self.host.is_closed() {
            return Err(SendError::Closed.into());
        }
        if self.refusing {
            // The line's beginning was refused with an error; its rest goes the same way.
            let Some(at) = memchr(b'\n', buf) else { return Ok(len) };
            self.refusing = false;
            return Ok(at + 1);
        }
        while !buf.is_empty() {
            let newline = memchr(b'\n', buf);
            let (part, rest) = buf.split_at(newline.map_or(buf.len(), |at| at + 1));
            match if newline.is_some() { self.end_line(part) } else { self.begin_line(part) } {
                Ok(()) => buf = rest,
                Err(error) if buf.len() == len => return Err(error.into()),
                // An error says that nothing was taken; the next call tells it.
                Err(_) => {
                    self.refusing = false;
                    break;
                }
            }
        }
        Ok(len - buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.lossy {
            return Ok(());
        }
        if is_own_thread() {
            return Err(SendError::Full.into());
        }
        match self.host.queue.ask_flush().is_some_and(Flushed::wait_blocking) {
            true => Ok(()),
            false => Err(SendError::Closed.into()),
        }
    }
}

impl Clone for LineSender {
    fn clone(&self) -> Self {
        let mut clone = Self::new(self.host.clone(), self.source.clone());
        clone.lossy = self.lossy;
        clone
    }
}

impl fmt::Debug for LineSender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LineSender").field("name", &self.source.source.name()).finish_non_exhaustive()
    }
}

impl Drop for LineSender {
    fn drop(&mut self) {
        if let Some(fragment) = &self.fragment {
            self.host.leave(fragment);
        }
    }
}
