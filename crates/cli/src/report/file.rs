//! The file that the report goes to.
//!
//! It is opened before the merge starts, so that a bad path is an error at once. It is overwritten only when the report
//! is ready, and only if no other program has written to it since. Nothing here blocks the caller's thread: a FIFO may
//! have no reader, and a disk may hang.

use std::fs::{self, File, Metadata, OpenOptions};
use std::future::pending;
use std::io::{self, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_lite::future;
use rustix::fs::OFlags;
use rustix::io::Errno;
use tailmerge::Backend;

use crate::console::Console;
use crate::run::TELL_AFTER;
use crate::status::Failure;

/// A FIFO that takes nothing is tried again after this time.
const AGAIN_AFTER: Duration = Duration::from_millis(20);

/// The file that the report goes to.
#[derive(Debug)]
pub(crate) struct ReportFile {
    path: PathBuf,
    /// The open file; none while it is a FIFO that no program has opened for reading.
    file: Option<File>,
    /// The state of the file when it was opened.
    before: Option<Seen>,
    /// The number of bytes of the report that are written.
    written: usize,
    begun: bool,
}

/// The state of a regular file, by which a write or a replacement by another program is noticed.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    id: (u64, u64),
    len: u64,
    modified: (i64, i64),
}

impl Seen {
    fn of(metadata: &Metadata) -> Self {
        Self {
            id: (metadata.dev(), metadata.ino()),
            len: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        }
    }
}

impl ReportFile {
    /// Opens the file, creates it if need be, and leaves what it holds.
    pub(crate) fn open(path: &Path) -> Result<Self, Failure> {
        let mut this = Self { path: path.to_owned(), file: None, before: None, written: 0, begun: false };
        match this.try_open(OpenOptions::new().create(true)) {
            Ok(_) => Ok(this),
            Err(error) => {
                let what_to_do = match error.kind() {
                    io::ErrorKind::NotFound => "create its directory first",
                    _ => "give another path with --report",
                };
                let path = path.display();
                Err(Failure::run_time(format!("{path}: the report cannot be opened: {error}; {what_to_do}")))
            }
        }
    }

    /// Opens the file. Returns false if it is a FIFO without a reader.
    fn try_open(&mut self, options: &mut OpenOptions) -> io::Result<bool> {
        let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits();
        let is_fifo = |path: &Path| fs::metadata(path).is_ok_and(|metadata| metadata.file_type().is_fifo());
        match options.write(true).custom_flags(flags as i32).open(&self.path) {
            Ok(file) => {
                let metadata = file.metadata()?;
                self.before = metadata.is_file().then(|| Seen::of(&metadata));
                self.file = Some(file);
                Ok(true)
            }
            Err(error) if error.raw_os_error() == Some(Errno::NXIO.raw_os_error()) && is_fifo(&self.path) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Replaces the file's content by the report, within the time given.
    pub(crate) async fn write<B: Backend>(
        mut self,
        text: Vec<u8>,
        backend: &B,
        within: Duration,
        console: &Console,
    ) -> Result<(), Failure> {
        let path = self.path.clone();
        let mut text = text;
        let writing = async {
            loop {
                let done;
                (self, text, done) = backend
                    .unblock(move || {
                        let done = self.write_some(&text);
                        (self, text, done)
                    })
                    .await;
                match done {
                    Ok(false) => backend.sleep(AGAIN_AFTER).await,
                    Ok(true) => return Ok(()),
                    Err(error) => {
                        return Err(format!("cannot be written: {error}; give it room, or another path"));
                    }
                }
            }
        };
        let tell = async {
            backend.sleep(TELL_AFTER).await;
            console.note(format_args!(
                "{}: the report waits to be taken, for {within:?} at most; a second signal ends that",
                path.display()
            ));
            pending().await
        };
        let late = async {
            backend.sleep(within).await;
            Err(format!("is not taken within {within:?}: read it, or allow more time with --stop-timeout"))
        };
        let written = future::or(writing, future::or(tell, late)).await;
        written.map_err(|why| Failure::run_time(format!("{}: the report {why}", path.display())))
    }

    /// Writes as much as is possible without waiting. Returns true once all is written.
    fn write_some(&mut self, text: &[u8]) -> io::Result<bool> {
        if !self.begun && !self.begin()? {
            return Ok(false);
        }
        let Some(file) = &mut self.file else { return Ok(false) };
        while self.written < text.len() {
            match file.write(&text[self.written..]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(more) => self.written += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => {
                    // No report rather than half of one. A file that cannot be cut is none that matters.
                    file.set_len(0).ok();
                    return Err(error);
                }
            }
        }
        Ok(true)
    }

    /// Prepares the file to be written to. Returns false while it is a FIFO without a reader.
    fn begin(&mut self) -> io::Result<bool> {
        if self.file.is_none() && !self.try_open(&mut OpenOptions::new())? {
            return Ok(false);
        }
        if let (Some(before), Some(file)) = (&self.before, &self.file) {
            match fs::metadata(&self.path) {
                Ok(now) if Seen::of(&now) == *before => file.set_len(0)?,
                Ok(_) => return Err(io::Error::other("somebody else has written to the file, and it is kept")),
                // Removed: made anew.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    self.try_open(OpenOptions::new().create_new(true))?;
                }
                Err(error) => return Err(error),
            }
        }
        self.begun = true;
        Ok(true)
    }
}
