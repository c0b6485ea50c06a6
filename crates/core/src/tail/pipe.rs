//! Inputs that cannot be read again: standard input, and FIFOs.
//!
//! They are read as a stream, once. What has no newline yet is kept here, no more than a line; after a crash
//! what was read and not written is gone.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use memchr::{memchr, memrchr};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;

use super::{Progress, TailError, Tailer};
use crate::batch::{Batch, Source};
use crate::line::{LineLimit, LongLines};
use crate::report::{Event, GapReason, Ledger};

/// Bytes read at a time: what a pipe holds.
const READ: usize = 64 * 1024;

/// A stream of lines.
#[derive(Debug)]
pub(crate) struct PipeTailer {
    file: Option<File>,
    path: PathBuf,
    source: Arc<Source>,
    limit: LineLimit,
    ledger: Arc<Ledger>,
    once: bool,
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
    pub(crate) fn stdin(source: Arc<Source>, limit: LineLimit, ledger: Arc<Ledger>) -> io::Result<Self> {
        let file = File::from(rustix::io::dup(rustix::stdio::stdin())?);
        let path = PathBuf::from("-");
        Ok(Self::new(Some(file), path, source, limit, ledger, true))
    }

    /// A FIFO. Under `once` it ends when the last of its writers closes it, else others are waited for.
    pub(crate) fn fifo(path: &Path, source: Arc<Source>, limit: LineLimit, ledger: Arc<Ledger>, once: bool) -> Self {
        Self::new(None, path.to_owned(), source, limit, ledger, once)
    }

    fn new(
        file: Option<File>,
        path: PathBuf,
        source: Arc<Source>,
        limit: LineLimit,
        ledger: Arc<Ledger>,
        once: bool,
    ) -> Self {
        let (held, within) = (Vec::new(), Within::Start);
        Self { file, path, source, limit, ledger, once, held, offset: 0, within, ended: false }
    }

    /// Reads what is there, without waiting. False if there is nothing.
    fn read(&mut self) -> io::Result<bool> {
        let file = match &mut self.file {
            Some(file) => file,
            None => {
                // With a writer of our own the FIFO does not end between two others.
                let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits();
                let mut options = OpenOptions::new();
                options.read(true).custom_flags(flags as i32);
                let both = if self.once { None } else { options.clone().write(true).open(&self.path).ok() };
                self.file.insert(both.map_or_else(|| options.open(&self.path), Ok)?)
            }
        };
        let mut fds = [PollFd::from_borrowed_fd(file.as_fd(), PollFlags::IN)];
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        if poll(&mut fds, Some(&now))? == 0 {
            return Ok(false);
        }
        let len = self.held.len();
        self.held.resize(len + READ, 0);
        let got = file.read(&mut self.held[len..]);
        self.held.truncate(len + got.as_ref().copied().unwrap_or(0));
        match got {
            Ok(0) if !self.once => {
                // Only a FIFO that may not be written to ends here: another writer may come.
                self.file = None;
                Ok(false)
            }
            Ok(0) => {
                self.ended = true;
                Ok(true)
            }
            Ok(_) => Ok(true),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => Ok(false),
            Err(error) => Err(error),
        }
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
        let more = self.read().map_err(|error| TailError::new(format!("cannot be read: {error}")))?;
        if more {
            self.submit(batch);
        }
        Ok(if more { Progress::More } else { Progress::Idle })
    }
}
