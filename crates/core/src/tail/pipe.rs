//! Inputs that cannot be read again: standard input, and FIFOs.
//!
//! They are read as a stream, once. What has no newline yet is kept here, no more than a line, and gets one when the
//! stream is over or the merge stops; after a crash what was read and not written is gone.
//!
//! A named path is followed by a shard, which has the FIFO read here that it finds there, and another one as another
//! stream. Under `once` a FIFO is read until its last writer closes it.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use memchr::{memchr, memrchr};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;

use super::{Claims, Progress, TailContext, TailError, Tailer};
use crate::batch::{Batch, Source};
use crate::fs::{FileId, ReadFile, is_missing};
use crate::line::{LineLimit, LongLines};
use crate::report::{Event, GapReason, Ledger};
use crate::stop::{Stage, Stop};

/// Bytes read at a time: what a pipe holds.
const READ: usize = 64 * 1024;

/// A stream of lines.
#[derive(Debug)]
pub(crate) struct PipeTailer {
    file: Option<File>,
    source: Arc<Source>,
    limit: LineLimit,
    ledger: Arc<Ledger>,
    stop: Arc<Stop>,
    /// Which FIFO it is. None: standard input, or any that is there under `once`, which ends with its writers.
    fifo: Option<Arc<Fifo>>,
    /// Once it is to end: how many bytes of what was there then are still to be read.
    left: Option<u64>,
    /// Whether it was told that it cannot be opened.
    refused: bool,
    /// When it was last heard of.
    heard: Instant,
    /// What was read and is not yet submitted; begins with a line, or within one that is too long.
    held: Vec<u8>,
    /// Offset in the stream of what is held.
    offset: u64,
    within: Within,
    /// Whether the last writer has gone.
    ended: bool,
}

/// Where in a line the held bytes begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Within {
    Start,
    /// In a line over the limit, of which pieces are out.
    Long,
    /// In a line over the limit, which is dropped from here on.
    Dropped {
        from: u64,
    },
}

impl PipeTailer {
    /// Standard input, which ends when its writers close it.
    pub(crate) fn stdin(
        source: Arc<Source>,
        limit: LineLimit,
        ledger: Arc<Ledger>,
        stop: Arc<Stop>,
    ) -> io::Result<Self> {
        let file = File::from(rustix::io::dup(rustix::stdio::stdin())?);
        Ok(Self::new(Some(file), None, source, limit, ledger, stop))
    }

    /// A FIFO, which ends when the last of its writers closes it.
    pub(crate) fn fifo_once(source: Arc<Source>, limit: LineLimit, ledger: Arc<Ledger>, stop: Arc<Stop>) -> Self {
        Self::new(None, None, source, limit, ledger, stop)
    }

    /// A FIFO that lasts until it loses its name, and nothing comes for the grace time.
    pub(crate) fn fifo(fifo: Arc<Fifo>, source: Arc<Source>, cx: &TailContext, stop: Arc<Stop>) -> Self {
        Self::new(None, Some(fifo), source, cx.limit, cx.ledger.clone(), stop)
    }

    fn new(
        file: Option<File>,
        fifo: Option<Arc<Fifo>>,
        source: Arc<Source>,
        limit: LineLimit,
        ledger: Arc<Ledger>,
        stop: Arc<Stop>,
    ) -> Self {
        Self {
            file,
            source,
            limit,
            ledger,
            stop,
            fifo,
            left: None,
            refused: false,
            heard: Instant::now(),
            held: Vec::new(),
            offset: 0,
            within: Within::Start,
            ended: false,
        }
    }

    /// Opens the FIFO. False: it is another one by now, or cannot be opened just now.
    fn open(&mut self) -> io::Result<bool> {
        // With a writer of our own the FIFO does not end between two others.
        let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits();
        let mut options = OpenOptions::new();
        options.read(true).custom_flags(flags as i32);
        let path = self.source.path();
        let both = self.fifo.as_ref().and_then(|_| options.clone().write(true).open(path).ok());
        let file = match both.map_or_else(|| options.open(path), Ok) {
            Err(error) if self.fifo.is_some() => {
                if !is_missing(&error) && !std::mem::replace(&mut self.refused, true) {
                    let reason = format!("cannot be opened: {}; trying again", error.kind());
                    self.ledger.tell(&Event::Refused { input: self.source.path(), reason: &reason });
                }
                return Ok(false);
            }
            file => file?,
        };
        let is_other = |fifo: &Arc<Fifo>| ReadFile::stat(&file).map(|stat| stat.id != fifo.id);
        if self.fifo.as_ref().map_or(Ok(false), is_other)? {
            return Ok(false);
        }
        (self.file, self.refused) = (Some(file), false);
        Ok(true)
    }

    /// How much may be read at a time. Of what comes once it is to end, as much as ends a line that was begun.
    fn most(&self) -> usize {
        match self.left {
            None => READ,
            Some(0) => usize::from(self.held.last().is_some_and(|&last| last != b'\n')),
            Some(left) => usize::try_from(left).unwrap_or(READ).min(READ),
        }
    }

    /// Reads what is there, without waiting. False if there is nothing.
    fn read(&mut self) -> io::Result<bool> {
        if self.file.is_none() && !self.open()? {
            return Ok(false);
        }
        let Some(file) = &self.file else { return Ok(false) };
        let mut fds = [PollFd::from_borrowed_fd(file.as_fd(), PollFlags::IN)];
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        if poll(&mut fds, Some(&now))? == 0 {
            return Ok(false);
        }
        let (len, most) = (self.held.len(), self.most());
        if most == 0 {
            return Ok(false);
        }
        let Some(file) = &mut self.file else { return Ok(false) };
        self.held.resize(len + most, 0);
        let got = file.read(&mut self.held[len..]);
        self.held.truncate(len + got.as_ref().copied().unwrap_or(0));
        match got {
            Ok(0) if self.fifo.is_some() => {
                // Only a FIFO that may not be written to ends here: another writer may come.
                self.file = None;
                Ok(false)
            }
            Ok(0) => {
                self.ended = true;
                Ok(true)
            }
            Ok(got) => {
                self.heard = Instant::now();
                self.left = self.left.map(|left| left.saturating_sub(got as u64));
                Ok(true)
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Whether nothing more is to be waited for, now that there is nothing to read.
    fn is_over(&self) -> bool {
        let is_lost = |fifo: &Arc<Fifo>| fifo.lost.load(Ordering::Relaxed) && self.heard.elapsed() >= fifo.grace;
        self.fifo.as_ref().is_some_and(is_lost) || self.stop.stage() >= Stage::Draining
    }

    /// Moves whole lines, or pieces of lines that are too long, to the batch. False if it has no room.
    fn submit(&mut self, batch: &mut Batch) -> bool {
        let mut at = 0;
        let mut room = true;
        if self.within == Within::Start
            && self.held.len() <= self.limit.max
            && let Some(last) = memrchr(b'\n', &self.held)
        {
            // No line can be too long: all of them at once.
            room = batch.push(self.offset, last as u64 + 1, &self.held[..=last]);
            at = if room { last + 1 } else { 0 };
        }
        while room {
            let rest = &self.held[at..];
            let newline = memchr(b'\n', rest);
            let (len, start) = (newline.unwrap_or(rest.len()), self.offset + at as u64);
            let next = match self.within {
                Within::Dropped { from } => {
                    if newline.is_some() || self.ended {
                        let end =
                            start + len as u64 + u64::from(self.limit.policy == LongLines::Skip && newline.is_some());
                        self.ledger.gap(self.source.path(), from, end, GapReason::LineLimit);
                        self.within = Within::Start;
                    }
                    len + usize::from(newline.is_some())
                }
                within if len > self.limit.max => {
                    let max = self.limit.max;
                    if within == Within::Start && self.ledger.long_line(&self.source) {
                        let input = self.source.path();
                        self.ledger.tell(&Event::LongLine {
                            input,
                            offset: start,
                            limit: max,
                            policy: self.limit.policy,
                        });
                    }
                    if self.limit.policy == LongLines::Skip {
                        self.within = Within::Dropped { from: start };
                        continue;
                    }
                    room = push(batch, start, &rest[..max], max as u64);
                    if room {
                        self.within = match self.limit.policy {
                            LongLines::Split => Within::Long,
                            _ => Within::Dropped { from: start + max as u64 },
                        };
                    }
                    if room { max } else { 0 }
                }
                _ if newline.is_some() => {
                    room = push(batch, start, &rest[..len], len as u64 + 1);
                    if room {
                        self.within = Within::Start;
                    }
                    if room { len + 1 } else { 0 }
                }
                _ if self.ended && len > 0 => {
                    room = push(batch, start, rest, len as u64);
                    if room {
                        self.ledger.unterminated_line();
                    }
                    if room { len } else { 0 }
                }
                _ => 0,
            };
            at += next;
            if next == 0 {
                break;
            }
        }
        self.held.drain(..at);
        self.offset += at as u64;
        room
    }
}

/// Puts a line into the batch, with its newline.
fn push(batch: &mut Batch, start: u64, content: &[u8], len_in: u64) -> bool {
    let mut line = Vec::with_capacity(content.len() + 1);
    line.extend_from_slice(content);
    line.push(b'\n');
    batch.push(start, len_in, &line)
}

impl Tailer for PipeTailer {
    fn fill(&mut self, batch: &mut Batch) -> Result<Progress, TailError> {
        if !self.submit(batch) {
            return Ok(Progress::More);
        }
        if self.ended {
            return Ok(Progress::Ended);
        }
        if self.fifo.as_ref().is_some_and(|fifo| fifo.left.load(Ordering::Relaxed)) {
            self.ended = true;
            self.submit(batch);
            return Ok(Progress::More);
        }
        // Asked before reading: what is there when the stop comes is read, and no more, however fast others write.
        let over = self.is_over();
        if over && self.left.is_none() {
            let there = self.file.as_ref().map_or(Ok(u64::MAX), rustix::io::ioctl_fionread);
            self.left = Some(there.unwrap_or(u64::MAX));
        }
        let failed = |error| TailError::new(format!("cannot be read: {error}"));
        let mut read = self.read().map_err(failed)?;
        for _ in 0..READ {
            // The end of a line that was begun comes byte by byte, to take nothing of the next one.
            if !read || self.left != Some(0) {
                break;
            }
            read = self.read().map_err(failed)?;
        }
        // What it has begun cannot be read again.
        self.ended |= over && (!read || self.left == Some(0));
        if self.ended && self.refused {
            self.ledger.input_failed(self.source.path(), &"cannot be opened");
        }
        if read || self.ended {
            self.submit(batch);
        }
        Ok(if read || self.ended { Progress::More } else { Progress::Idle })
    }
}

impl Drop for PipeTailer {
    fn drop(&mut self) {
        // Read, and not written: the merge ended at once.
        self.ledger.submitted.fetch_add(self.held.len() as u64, Ordering::Relaxed);
    }
}

/// A FIFO that is found under a named path: claimed as long as somebody has this.
#[derive(Debug)]
pub(crate) struct Fifo {
    id: FileId,
    claims: Arc<Claims>,
    grace: Duration,
    /// Whether it has lost its name: it is read until nothing comes for the grace time.
    lost: AtomicBool,
    /// Whether it is followed no more.
    left: AtomicBool,
}

impl Drop for Fifo {
    fn drop(&mut self) {
        self.claims.forget(self.id);
    }
}

/// The FIFO that an input has read as a stream; dropped, it says that the FIFO has lost its name.
#[derive(Debug)]
pub(super) struct FifoInput(Arc<Fifo>);

impl FifoInput {
    /// Has it read. It is claimed already.
    pub(super) fn new(path: &Arc<Path>, id: FileId, cx: &TailContext, streams: &Streams) -> Self {
        let (lost, left) = (AtomicBool::new(false), AtomicBool::new(false));
        let fifo = Arc::new(Fifo { id, claims: cx.claims.clone(), grace: cx.grace, lost, left });
        (streams.0)(path, fifo.clone());
        Self(fifo)
    }

    pub(super) fn id(&self) -> FileId {
        self.0.id
    }

    /// It is followed no more.
    pub(super) fn leave(self) {
        self.0.left.store(true, Ordering::Relaxed);
    }
}

impl Drop for FifoInput {
    fn drop(&mut self) {
        self.0.lost.store(true, Ordering::Relaxed);
    }
}

/// Who reads the FIFOs that are found.
#[derive(Clone)]
pub(crate) struct Streams(pub(crate) Arc<Take>);

/// Has a FIFO read that was found under a path.
type Take = dyn Fn(&Arc<Path>, Arc<Fifo>) + Send + Sync;

impl fmt::Debug for Streams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Streams").finish_non_exhaustive()
    }
}
