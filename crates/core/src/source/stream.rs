//! Inputs that cannot be read again: standard input, and FIFOs.
//!
//! They are read as a stream, once. A fragment is kept here, at most a line, and gets a newline when the stream is over
//! or the merge stops. After a crash, bytes that were read and not written are lost.
//!
//! The tailer here splits and limits lines; [`HostTailers`](crate::source::host_tailers::HostTailers), which runs it among
//! the host's own, renders them.
//!
//! A named path is followed by a shard, which hands a FIFO there over to be read here; another FIFO later is another
//! stream. Under `once` a FIFO is read until its last writer closes it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use crate::batch::Batch;
use crate::batch::position::LineState;
use crate::batch::source::Source;
use crate::clock;
use crate::follow::context::ReadContext;
use crate::follow::fifo::Fifo;
use crate::fs::{ReadStream, is_missing};
use crate::record::format::Renderer;
use crate::record::framer::Framer;
use crate::record::to_batch::ToBatch;
use crate::report::event::Event;
use crate::source::tailer::{Progress, TailError, Tailer};
use crate::sync::stop::Stage;

/// The size of a read in bytes: as much as a pipe holds.
const READ: usize = 64 * 1024;

/// A stream of lines.
#[derive(Debug)]
pub(crate) struct PipeTailer {
    file: Option<Box<dyn ReadStream>>,
    source: Arc<Source>,
    /// The FIFO; none for standard input, and for a FIFO under `once`, which ends with its writers.
    fifo: Option<Arc<Fifo>>,
    /// Once it has to end: the number of bytes still to be read of those that were there then.
    left: Option<u64>,
    /// True once it was told that it cannot be opened.
    refused: bool,
    /// The time of the last bytes.
    heard: Instant,
    /// Bytes that were read and are not submitted; they begin with a line, or within one that is too long.
    held: Vec<u8>,
    /// The offset of the held bytes in the stream.
    offset: u64,
    framer: Framer,
    /// True once the last writer is gone.
    ended: bool,
    cx: ReadContext,
}

impl PipeTailer {
    /// Standard input, which ends when its writers close it.
    pub(crate) fn stdin(source: Arc<Source>, cx: &ReadContext) -> io::Result<Self> {
        let mut stdin = Self::new(None, source, cx);
        stdin.file = Some(cx.fs.stdin()?);
        Ok(stdin)
    }

    /// A FIFO, which ends when the last of its writers closes it.
    pub(crate) fn fifo_once(source: Arc<Source>, cx: &ReadContext) -> Self {
        Self::new(None, source, cx)
    }

    /// A FIFO that lasts until it loses its name, and nothing comes for the grace time.
    pub(crate) fn fifo(fifo: Arc<Fifo>, source: Arc<Source>, cx: &ReadContext) -> Self {
        Self::new(Some(fifo), source, cx)
    }

    fn new(fifo: Option<Arc<Fifo>>, source: Arc<Source>, cx: &ReadContext) -> Self {
        Self {
            file: None,
            source,
            fifo,
            left: None,
            refused: false,
            heard: clock::now(),
            held: Vec::new(),
            offset: 0,
            framer: Framer::new(cx.settings.limit, LineState::Start),
            ended: false,
            cx: cx.clone(),
        }
    }

    /// Opens the FIFO. Returns false if it is another one by now, or cannot be opened.
    fn open(&mut self) -> io::Result<bool> {
        // With a writer of our own the FIFO does not end between two others.
        let path = self.source.path();
        let both = self.fifo.as_ref().and_then(|_| self.cx.fs.open_stream(path, true).ok());
        let file = match both.map_or_else(|| self.cx.fs.open_stream(path, false), Ok) {
            Err(error) if self.fifo.is_some() => {
                if !is_missing(&error) && !std::mem::replace(&mut self.refused, true) {
                    let reason = format!("cannot be opened: {}; trying again", error.kind());
                    self.cx.ledger.emit(&Event::Refused { input: self.source.path().to_owned(), reason });
                }
                return Ok(false);
            }
            file => file?,
        };
        let is_other = |fifo: &Arc<Fifo>| file.stat().map(|stat| stat.id != fifo.id);
        if self.fifo.as_ref().map_or(Ok(false), is_other)? {
            return Ok(false);
        }
        (self.file, self.refused) = (Some(file), false);
        Ok(true)
    }

    /// Returns how much may be read at once. Once the stream has to end, a line that was begun is read to its end, byte
    /// by byte.
    fn most(&self) -> usize {
        match self.left {
            None => READ,
            Some(0) => usize::from(self.held.last().is_some_and(|&last| last != b'\n')),
            Some(left) => usize::try_from(left).unwrap_or(READ).min(READ),
        }
    }

    /// Reads what is there, without waiting. Returns false if there is nothing.
    fn read(&mut self) -> io::Result<bool> {
        if self.file.is_none() && !self.open()? {
            return Ok(false);
        }
        let (len, most) = (self.held.len(), self.most());
        let Some(file) = &mut self.file else { return Ok(false) };
        if !file.is_ready()? || most == 0 {
            return Ok(false);
        }
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
                self.heard = clock::now();
                self.left = self.left.map(|left| left.saturating_sub(got as u64));
                Ok(true)
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Returns true if the stream is over once there is nothing to read.
    fn is_over(&self) -> bool {
        let is_lost = |fifo: &Arc<Fifo>| fifo.lost.load(Ordering::Relaxed) && clock::since(self.heard) >= fifo.grace;
        self.fifo.as_ref().is_some_and(is_lost) || self.cx.stop.stage() >= Stage::Draining
    }

    /// Moves whole lines, or pieces of lines that are too long, to the batch. Returns false if it has no room.
    fn submit(&mut self, batch: &mut Batch) -> bool {
        let (renderer, mut rendered) = (Renderer::default(), Vec::new());
        if let Some(len) = self.framer.whole_lines(&self.held) {
            if !batch.push(self.offset, len as u64, &self.held[..len]) {
                return false;
            }
            self.taken(len);
        }
        let mut sink =
            ToBatch::new(&self.source, &renderer, self.cx.settings.limit, &self.cx.ledger, batch, &mut rendered);
        let framed = self.framer.frame(&self.held, self.offset, &mut sink);
        let (rest, end) = (&self.held[framed.taken..], self.offset + framed.taken as u64);
        let mut room = framed.room;
        let mut taken = framed.taken;
        if room && self.ended {
            room = self.framer.finish(rest, end, &mut sink);
            if room && !rest.is_empty() {
                self.cx.ledger.unterminated_line();
                taken = self.held.len();
            }
        }
        sink.flush();
        self.taken(taken);
        room
    }

    fn taken(&mut self, len: usize) {
        self.held.drain(..len);
        self.offset += len as u64;
    }
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
            let there = self.file.as_ref().map_or(Ok(u64::MAX), |file| file.available());
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
            self.cx.ledger.input_failed(self.source.path(), &"cannot be opened");
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
        self.cx.ledger.submitted.fetch_add(self.held.len() as u64, Ordering::Relaxed);
    }
}
