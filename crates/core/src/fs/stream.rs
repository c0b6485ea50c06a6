//! Streams: standard input and output, FIFOs, terminals and sockets. They have no end, or one that others set, and
//! cannot be read again.

use std::fmt::Debug;
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use rustix::io::Errno;

use super::{Kind, ReadFile, Stat, WriteFile};

/// A pipe that polls as writable takes so many bytes without blocking (`PIPE_BUF` on Linux).
const ATOMIC: usize = 4096;

/// A stream open for reading: standard input, or a FIFO.
pub trait ReadStream: Debug + Send + 'static {
    /// Returns the state of what is open, whatever its name is by now.
    ///
    /// # Errors
    ///
    /// As the system reports them.
    fn stat(&self) -> io::Result<Stat>;

    /// Returns true if a read would return at once: there are bytes, or the stream has ended.
    ///
    /// # Errors
    ///
    /// As the system reports them.
    fn is_ready(&self) -> io::Result<bool>;

    /// Reads what is there. Only called where it [is ready](ReadStream::is_ready). Returns 0 if the last writer has
    /// closed the stream.
    ///
    /// # Errors
    ///
    /// As the system reports them; after `WouldBlock` and `Interrupted` it is called again.
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize>;

    /// Returns the number of bytes that can be read now.
    ///
    /// # Errors
    ///
    /// As the system reports them.
    fn available(&self) -> io::Result<u64>;
}

/// A stream open for writing. It may take nothing for ever.
pub trait WriteStream: Debug + Send + 'static {
    /// Waits until the stream takes bytes, and writes as many as it takes. The wait fails as soon as `interrupt` is
    /// readable.
    ///
    /// # Errors
    ///
    /// `BrokenPipe` if the reader is gone; otherwise as the system reports them, `Interrupted` and `WouldBlock`
    /// included.
    fn write(&mut self, bytes: &[u8], interrupt: BorrowedFd<'_>) -> io::Result<usize>;

    /// Returns true if the reader is gone.
    fn is_closed(&self) -> bool;
}

/// Standard output, which may be either.
#[derive(Debug)]
#[non_exhaustive]
pub enum Stdout {
    /// A regular file.
    File(Box<dyn WriteFile>),
    /// A pipe, a terminal, a socket or a device.
    Stream(Box<dyn WriteStream>),
}

impl ReadStream for File {
    fn stat(&self) -> io::Result<Stat> {
        ReadFile::stat(self)
    }

    fn is_ready(&self) -> io::Result<bool> {
        let mut fds = [PollFd::from_borrowed_fd(self.as_fd(), PollFlags::IN)];
        Ok(poll(&mut fds, Some(&NOW))? > 0)
    }

    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        Read::read(self, buf)
    }

    fn available(&self) -> io::Result<u64> {
        Ok(rustix::io::ioctl_fionread(self)?)
    }
}

/// Returns without waiting.
const NOW: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };

/// A stream of the machine, open for writing.
#[derive(Debug)]
struct OsStream {
    fd: OwnedFd,
    /// True if a write of any length returns at once.
    nonblocking: bool,
}

impl WriteStream for OsStream {
    fn write(&mut self, bytes: &[u8], interrupt: BorrowedFd<'_>) -> io::Result<usize> {
        let mut fds = [PollFd::new(&self.fd, PollFlags::OUT), PollFd::from_borrowed_fd(interrupt, PollFlags::IN)];
        poll(&mut fds, None)?;
        if !fds[1].revents().is_empty() {
            return Err(io::Error::other("the merge has to end"));
        }
        if fds[0].revents().intersects(PollFlags::ERR | PollFlags::HUP | PollFlags::NVAL) {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let piece = if self.nonblocking { bytes } else { &bytes[..bytes.len().min(ATOMIC)] };
        Ok(rustix::io::write(&self.fd, piece)?)
    }

    fn is_closed(&self) -> bool {
        let mut fds = [PollFd::new(&self.fd, PollFlags::empty())];
        poll(&mut fds, Some(&NOW)).is_ok() && !fds[0].revents().is_empty()
    }
}

/// Opens what is no regular file for writing. Returns none for a FIFO without a reader.
pub(super) fn open_write(path: &Path) -> io::Result<Option<Box<dyn WriteStream>>> {
    let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits();
    match OpenOptions::new().write(true).custom_flags(flags as i32).open(path) {
        Ok(file) => Ok(Some(Box::new(OsStream { fd: file.into(), nonblocking: true }))),
        Err(error) if Errno::from_io_error(&error) == Some(Errno::NXIO) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Opens standard input of the process.
pub(super) fn stdin() -> io::Result<Box<dyn ReadStream>> {
    Ok(Box::new(File::from(rustix::io::dup(rustix::stdio::stdin())?)))
}

/// Opens standard output of the process.
pub(super) fn stdout() -> io::Result<(Stat, Stdout)> {
    let file = File::from(rustix::io::dup(rustix::stdio::stdout())?);
    let stat = ReadFile::stat(&file)?;
    if stat.kind == Kind::File {
        return Ok((stat, Stdout::File(Box::new(file))));
    }
    // Its file description is shared with other processes, so it is not made nonblocking. Where the system allows it, it
    // is opened again with a description of its own, which is; where not, it is written to in small pieces.
    let own = open_write(Path::new("/proc/self/fd/1")).ok().flatten();
    let stream = own.unwrap_or_else(|| Box::new(OsStream { fd: file.into(), nonblocking: false }));
    Ok((stat, Stdout::Stream(stream)))
}
