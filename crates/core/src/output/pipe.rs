//! Writes to an output that can stall for ever: a pipe, FIFO, terminal or socket.
//!
//! It writes only after the output has polled as writable, and the wait for that ends when the merge has to end.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use rustix::io::Errno;

use crate::fs::FileId;
use crate::output::WriterContext;
use crate::output::partial::PartialWrite;

/// While there is nothing to write, the presence of a reader is checked this often.
const CHECK_EVERY: Duration = Duration::from_millis(250);

/// A FIFO without a reader is tried this often.
const OPEN_EVERY: Duration = Duration::from_millis(50);

/// The pause after a write that took nothing although the output polled as writable.
const AGAIN_AFTER: Duration = Duration::from_millis(1);

/// A pipe that polls as writable takes so many bytes without blocking (`PIPE_BUF` on Linux).
const ATOMIC: usize = 4096;

/// Writes to whatever can be polled.
#[derive(Debug)]
pub(crate) struct PipeWriter {
    /// The open output; none while it is a FIFO without a reader.
    fd: Option<OwnedFd>,
    path: PathBuf,
    id: FileId,
    /// True if a write of any length returns at once.
    nonblocking: bool,
    /// Becomes readable when the merge has to end.
    aborted: UnixStream,
    cx: Rc<WriterContext>,
}

impl PipeWriter {
    /// Opens a path that is no regular file. The reader of a FIFO may come later.
    pub(crate) fn open(path: &Path, id: FileId, cx: Rc<WriterContext>) -> io::Result<Self> {
        let mut this = Self::new(None, path.to_owned(), id, cx)?;
        if !this.try_open()? {
            this.cx.waiting("nobody has opened it for reading yet");
        }
        Ok(this)
    }

    /// Opens standard output. Its file description is shared with other processes, so it is not made nonblocking. Where
    /// the system allows it, it is opened again with a description of its own, which is.
    pub(crate) fn stdout(fd: OwnedFd, id: FileId, cx: Rc<WriterContext>) -> io::Result<Self> {
        let mut this = Self::new(Some(fd), PathBuf::from("/proc/self/fd/1"), id, cx)?;
        // Where there is none it is written to in small pieces.
        drop(this.try_open());
        Ok(this)
    }

    fn new(fd: Option<OwnedFd>, path: PathBuf, id: FileId, cx: Rc<WriterContext>) -> io::Result<Self> {
        let (aborted, mut abort) = UnixStream::pair()?;
        cx.stop.on_abort(move || {
            // The one byte finds room; if the other end is gone, nobody waits.
            drop(abort.write(&[0]));
        });
        Ok(Self { fd, path, id, nonblocking: false, aborted, cx })
    }

    /// Opens the path. Returns false if it is a FIFO without a reader.
    fn try_open(&mut self) -> io::Result<bool> {
        let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits();
        match OpenOptions::new().write(true).custom_flags(flags as i32).open(&self.path) {
            Ok(file) => {
                (self.fd, self.nonblocking) = (Some(file.into()), true);
                Ok(true)
            }
            Err(error) if error.raw_os_error() == Some(Errno::NXIO.raw_os_error()) => Ok(false),
            Err(error) => Err(error),
        }
    }

    pub(crate) fn id(&self) -> FileId {
        self.id
    }

    pub(crate) async fn write(&mut self, bytes: &[u8]) -> Result<(), PartialWrite> {
        while self.fd.is_none() {
            if !self.try_open().map_err(PartialWrite::none)? {
                self.cx.sleep(OPEN_EVERY).await;
            }
        }
        let Some(fd) = &self.fd else { return Ok(()) };
        let mut written = 0;
        while written < bytes.len() {
            let rest = &bytes[written..];
            let piece = if self.nonblocking { rest } else { &rest[..rest.len().min(ATOMIC)] };
            match wait(fd.as_fd(), self.aborted.as_fd()).and_then(|()| Ok(rustix::io::write(fd, piece)?)) {
                Ok(0) => return Err(PartialWrite::fatal(written, io::ErrorKind::WriteZero.into())),
                Ok(more) => written += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // Others that write there have taken the room.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.cx.sleep(AGAIN_AFTER).await,
                // A device does not get room.
                Err(error) if matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) => {
                    return Err(PartialWrite::fatal(written, error));
                }
                Err(error) => return Err(PartialWrite::new(written, error)),
            }
        }
        Ok(())
    }

    /// Completes when the reader is gone.
    pub(crate) async fn closed(&mut self) {
        loop {
            self.cx.sleep(CHECK_EVERY).await;
            if let Some(fd) = &self.fd {
                let mut fds = [PollFd::new(fd, PollFlags::empty())];
                let now = Timespec { tv_sec: 0, tv_nsec: 0 };
                if poll(&mut fds, Some(&now)).is_ok() && !fds[0].revents().is_empty() {
                    return;
                }
            }
        }
    }
}

/// Waits on this thread until the output is writable.
fn wait(output: BorrowedFd<'_>, aborted: BorrowedFd<'_>) -> io::Result<()> {
    let mut fds = [PollFd::from_borrowed_fd(output, PollFlags::OUT), PollFd::from_borrowed_fd(aborted, PollFlags::IN)];
    poll(&mut fds, None)?;
    if !fds[1].revents().is_empty() {
        return Err(io::Error::other("the merge has to end"));
    }
    if fds[0].revents().intersects(PollFlags::ERR | PollFlags::HUP | PollFlags::NVAL) {
        return Err(io::ErrorKind::BrokenPipe.into());
    }
    Ok(())
}
