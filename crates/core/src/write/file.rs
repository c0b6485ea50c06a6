//! The output as a file, and how an output is opened.

use std::io::{self, IoSliceMut};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use memchr::memrchr;

use super::pipe::PipeWriter;
use super::{PartialWrite, Writer, WriterContext};
use crate::batch::Batch;
use crate::fs::{FileId, Fs, Kind, WriteFile};

/// Pauses between tries to lock an output that others append to.
const LOCK_PAUSES: [Duration; 5] = [Duration::from_millis(20); 5];

/// How the output is locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Locked {
    Alone,
    Shared,
}

/// What to open as the output.
#[derive(Debug)]
pub(crate) struct FileOutput {
    pub(crate) fs: Arc<dyn Fs>,
    /// None: standard output.
    pub(crate) path: Option<PathBuf>,
    pub(crate) append: bool,
    /// Paths that the user named as inputs; the output must not be one of them.
    pub(crate) inputs: Vec<PathBuf>,
}

/// An output that is a file, or something that can stall for ever.
#[derive(Debug)]
pub(crate) enum OutputWriter {
    File(FileWriter),
    Pipe(PipeWriter),
}

impl FileOutput {
    /// Opens the output. Nothing is truncated before it is certain that nobody else writes there, and that
    /// it is no input.
    pub(crate) async fn open(self, cx: WriterContext) -> io::Result<OutputWriter> {
        let Some(path) = &self.path else {
            let file = rustix::io::dup(rustix::stdio::stdout())?;
            let file = std::fs::File::from(file);
            let stat = crate::fs::ReadFile::stat(&file)?;
            self.refuse_input(Path::new("standard output"), stat.id)?;
            return Ok(match stat.kind {
                Kind::File => OutputWriter::File(FileWriter { file: Box::new(file), id: stat.id, len: None }),
                _ => OutputWriter::Pipe(PipeWriter::stdout(file.into(), stat.id, cx)?),
            });
        };
        let open = |error: io::Error| {
            let reason = match error.kind() {
                io::ErrorKind::NotFound => match path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
                    Some(parent) => format!("the directory {} does not exist; create it first", parent.display()),
                    None => error.to_string(),
                },
                io::ErrorKind::IsADirectory => "it is a directory; give the name of a file".to_owned(),
                _ => error.to_string(),
            };
            io::Error::new(error.kind(), format!("cannot write to {}: {reason}", path.display()))
        };
        match self.fs.stat(path) {
            Ok(stat) if stat.kind != Kind::File && stat.kind != Kind::Dir => {
                self.refuse_input(path, stat.id)?;
                return PipeWriter::open(path, stat.id, cx).map(OutputWriter::Pipe).map_err(open);
            }
            _ => {}
        }
        let file = self.fs.output(path, self.append).map_err(open)?;
        let stat = file.stat().map_err(open)?;
        self.refuse_input(path, stat.id)?;
        let locked = match self.lock(&*file, &cx).await {
            Ok(Some(locked)) => locked,
            Ok(None) => {
                let reason = "another process is writing to it; stop that one or choose another output";
                return Err(io::Error::new(
                    io::ErrorKind::ResourceBusy,
                    format!("cannot write to {}: {reason}", path.display()),
                ));
            }
            Err(error) => {
                log::debug!(target: "tailmerge", "{}: a file system without locks: {error}", path.display());
                Locked::Alone
            }
        };
        let mut writer = FileWriter { file, id: stat.id, len: (!self.append).then_some(0) };
        let size = writer.file.stat().map_err(open)?.size;
        if self.append {
            if locked == Locked::Alone {
                writer.end_fragment(size).map_err(open)?;
                // Refused only where there are no locks.
                drop(writer.file.try_lock(true));
            }
        } else if size > 0 {
            writer.file.truncate(0).map_err(open)?;
            // ext4 writes a file that was truncated to the disk when it is next closed (`auto_da_alloc`), for
            // hundreds of ms a GiB. Closed while it is empty, it is not written later.
            drop(self.fs.output(path, false));
        }
        Ok(OutputWriter::File(writer))
    }

    /// Locks the output; none if somebody else writes there. Those who append share it, but one who finds nobody
    /// else begins alone: what is a fragment then will never be a line.
    async fn lock(&self, file: &dyn WriteFile, cx: &WriterContext) -> io::Result<Option<Locked>> {
        for pause in LOCK_PAUSES {
            if file.try_lock(false)? {
                return Ok(Some(Locked::Alone));
            }
            if self.append && file.try_lock(true)? {
                return Ok(Some(Locked::Shared));
            }
            // Another one that appends may be beginning just now; or a child that the host is about to start still has
            // the descriptor of a merge that has ended.
            cx.sleep(pause).await;
        }
        Ok(None)
    }

    fn refuse_input(&self, output: &Path, id: FileId) -> io::Result<()> {
        let same = |input: &&PathBuf| self.fs.stat(input).is_ok_and(|stat| stat.id == id);
        match self.inputs.iter().find(same) {
            None => Ok(()),
            Some(input) => {
                let (input, output) = (input.display(), output.display());
                Err(io::Error::new(
                    io::ErrorKind::InvalidInput,
                    format!("{input} is the output ({output}) and an input; choose another output"),
                ))
            }
        }
    }
}

impl Writer for OutputWriter {
    async fn write(&mut self, batch: &Batch) -> Result<(), PartialWrite> {
        match self {
            Self::File(file) => file.write(batch.bytes()),
            Self::Pipe(pipe) => pipe.write(batch.bytes()).await,
        }
    }

    async fn flush(&mut self) -> io::Result<()> {
        // Nothing is held back on this side of the kernel.
        Ok(())
    }

    async fn closed(&mut self) {
        match self {
            Self::File(_) => std::future::pending().await,
            Self::Pipe(pipe) => pipe.closed().await,
        }
    }

    fn files(&self) -> Vec<FileId> {
        vec![match self {
            Self::File(file) => file.id,
            Self::Pipe(pipe) => pipe.id(),
        }]
    }
}

/// Writes to a file. It is alone in it unless it appends.
#[derive(Debug)]
pub(crate) struct FileWriter {
    file: Box<dyn WriteFile>,
    id: FileId,
    /// Bytes in the file, where nobody else writes to it.
    len: Option<u64>,
}

impl FileWriter {
    /// Ends the fragment that a file may end in.
    fn end_fragment(&mut self, size: u64) -> io::Result<()> {
        let mut last = [b'\n'];
        // A file that may be written but not read is taken at its word.
        if size > 0 && self.file.read_at(&mut [IoSliceMut::new(&mut last)], size - 1).is_ok() && last != *b"\n" {
            self.write(b"\n").map_err(|partial| partial.error)?;
        }
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), PartialWrite> {
        let mut written = 0;
        while written < bytes.len() {
            match self.file.write(&bytes[written..]) {
                Ok(0) => return Err(self.failed(&bytes[..written], io::ErrorKind::WriteZero.into())),
                Ok(more) => written += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.failed(&bytes[..written], error)),
            }
        }
        if let Some(len) = &mut self.len {
            *len += written as u64;
        }
        Ok(())
    }

    /// Takes back the part of a line that was written, so that the file ends in a whole line meanwhile.
    fn failed(&mut self, written: &[u8], error: io::Error) -> PartialWrite {
        let mut kept = written.len();
        if let Some(len) = &mut self.len {
            let whole = memrchr(b'\n', written).map_or(0, |last| last + 1);
            if whole < kept && self.file.truncate(*len + whole as u64).is_ok() {
                kept = whole;
            }
            *len += kept as u64;
        }
        PartialWrite::new(kept, error)
    }
}
