//! Writes to an output that can stall for ever: a pipe, FIFO, terminal or socket.
//!
//! It writes only after the output has polled as writable, and the wait for that ends when the merge has to end.

use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use crate::fs::{FileId, Fs, WriteStream};
use crate::output::WriterContext;
use crate::output::partial::PartialWrite;

/// While there is nothing to write, the presence of a reader is checked this often.
const CHECK_EVERY: Duration = Duration::from_millis(250);

/// A FIFO without a reader is tried this often.
const OPEN_EVERY: Duration = Duration::from_millis(50);

/// The pause after a write that took nothing although the output polled as writable.
const AGAIN_AFTER: Duration = Duration::from_millis(1);

/// Writes to a stream.
#[derive(Debug)]
pub(crate) struct PipeWriter {
    /// The open output; none while it is a FIFO without a reader.
    stream: Option<Box<dyn WriteStream>>,
    fs: Arc<dyn Fs>,
    path: PathBuf,
    id: FileId,
    /// Becomes readable when the merge has to end.
    aborted: UnixStream,
    cx: Rc<WriterContext>,
}

impl PipeWriter {
    /// Writes to an open stream; or to none, where `path` is a FIFO whose reader may come later.
    pub(crate) fn new(
        stream: Option<Box<dyn WriteStream>>,
        fs: &Arc<dyn Fs>,
        (path, id): (&Path, FileId),
        cx: Rc<WriterContext>,
    ) -> io::Result<Self> {
        let (aborted, mut abort) = UnixStream::pair()?;
        cx.stop.on_abort(move || {
            abort.write_all(&[0]).ok(); // The one byte finds room; if the other end is gone, nobody waits.
        });
        if stream.is_none() {
            cx.waiting("nobody has opened it for reading yet");
        }
        Ok(Self { stream, fs: fs.clone(), path: path.to_owned(), id, aborted, cx })
    }

    pub(crate) fn id(&self) -> FileId {
        self.id
    }

    pub(crate) async fn write(&mut self, bytes: &[u8]) -> Result<(), PartialWrite> {
        let stream = loop {
            match &mut self.stream {
                Some(stream) => break stream,
                None => self.stream = self.fs.output_stream(&self.path).map_err(PartialWrite::none)?,
            }
            if self.stream.is_none() {
                self.cx.sleep(OPEN_EVERY).await;
            }
        };
        let mut written = 0;
        while written < bytes.len() {
            match stream.write(&bytes[written..], self.aborted.as_fd()) {
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
            if self.stream.as_ref().is_some_and(|stream| stream.is_closed()) {
                return;
            }
        }
    }
}
