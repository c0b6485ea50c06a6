//! Opens the output by its path, and reopens it when the path leads to another file.

use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::batch::Batch;
use crate::clock;
use crate::fs::{FileId, Fs, Kind, Stat, Stdout, is_missing};
use crate::output::access::{cannot_open, lock, refuse_input, refused};
use crate::output::file::{FileWriter, Sharing};
use crate::output::partial::PartialWrite;
use crate::output::pipe::PipeWriter;
use crate::output::state::{Opening, OutputState, WantedState};
use crate::output::{Writer, WriterContext};
use crate::report::event::Event;
use crate::report::gap::GapReason;
use log::Level;

/// A write checks the path of the output first if the last check is so long ago: a line does not go where nobody finds
/// it for longer.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Without writes, the path is checked this often. Each second costs 0.02 % of a processor where nothing comes, and amid
/// lines a timer makes the next ones more expensive (async-io waits for events on this thread).
const LOOK_BY_TIMER: Duration = Duration::from_secs(5);

/// Describes the output to open.
pub(crate) struct FileOutput {
    pub(crate) fs: Arc<dyn Fs>,
    /// The path; none for standard output.
    pub(crate) path: Option<PathBuf>,
    pub(crate) append: bool,
    /// Paths that the user named as inputs; the output must not be one of them.
    pub(crate) inputs: Vec<PathBuf>,
    /// The state file, if there is one.
    pub(crate) state: Option<WantedState>,
}

/// An output that is a file, or something that can stall for ever.
pub(crate) struct OutputWriter {
    output: FileOutput,
    cx: Rc<WriterContext>,
    /// The journal, if the output has one: it is a file then.
    state: Option<OutputState>,
    /// The open output; none while the new file at the path could not be opened.
    target: Option<Target>,
    /// A line whose beginning went to a removed file, and whose rest is still to be written.
    torn: Option<Vec<u8>>,
    looked: Instant,
    /// The timer of the next check. It is kept over writes, since starting one costs more than writing a line.
    next_look: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

enum Target {
    File { file: FileWriter, id: FileId },
    Pipe(PipeWriter),
}

impl FileOutput {
    /// Opens the output. It is truncated only once it is locked and known to be no input.
    pub(crate) async fn open(self, cx: WriterContext) -> io::Result<OutputWriter> {
        let (cx, mut state) = (Rc::new(cx), None);
        let target = match (&self.path, &self.state) {
            (Some(path), wanted) => {
                cx.own_files.add_path(path);
                if let Some(wanted) = wanted {
                    let opened = OutputState::lock(&self.opening(path), wanted, &cx).await?;
                    self.open_with_state(path, state.insert(opened), &cx).await?
                } else {
                    self.open_path(path, true, &cx).await?
                }
            }
            (None, _) => self.open_stdout(&cx)?,
        };
        let (target, looked) = (Some(target), clock::now());
        Ok(OutputWriter { output: self, cx, state, target, torn: None, looked, next_look: None })
    }

    async fn open_with_state(&self, path: &Path, state: &mut OutputState, cx: &WriterContext) -> io::Result<Target> {
        let (file, id) = state.open(&self.opening(path), cx).await?;
        Ok(Target::File { file, id })
    }

    fn opening<'a>(&'a self, path: &'a Path) -> Opening<'a> {
        Opening { fs: &self.fs, path, append: self.append, inputs: &self.inputs }
    }

    fn open_stdout(&self, cx: &Rc<WriterContext>) -> io::Result<Target> {
        let path = Path::new("standard output");
        let failed = |error| cannot_open(path, error);
        let (stat, stdout) = self.fs.stdout().map_err(failed)?;
        refuse_input(&*self.fs, &self.inputs, path, stat.id)?;
        match stdout {
            Stdout::Stream(stream) => {
                let pipe = PipeWriter::new(Some(stream), &self.fs, (path, stat.id), cx.clone());
                pipe.map(Target::Pipe).map_err(failed)
            }
            Stdout::File(file) => {
                // Somebody may cut it, and a place that is kept would then lie behind a hole. Who writes in the midst of
                // a file means to.
                if let Err(error) = file.append() {
                    // The logger's panic is its own.
                    let what = format_args!("standard output cannot be set to append: {error}");
                    cx.ledger.log(Level::Debug, &what).ok();
                }
                Ok(Target::File { file: FileWriter::new(file, stat.size, Sharing::Foreign), id: stat.id })
            }
        }
    }

    /// Opens what the path leads to; `first`: a file is emptied unless it is to be appended to.
    async fn open_path(&self, path: &Path, first: bool, cx: &Rc<WriterContext>) -> io::Result<Target> {
        let failed = |error| cannot_open(path, error);
        match self.fs.stat(path) {
            Ok(stat) if stat.kind != Kind::File && stat.kind != Kind::Dir => {
                refuse_input(&*self.fs, &self.inputs, path, stat.id)?;
                let stream = self.fs.output_stream(path).map_err(failed)?;
                let pipe = PipeWriter::new(stream, &self.fs, (path, stat.id), cx.clone());
                return pipe.map(Target::Pipe).map_err(failed);
            }
            _ => {}
        }
        let file = self.fs.output(path).map_err(failed)?;
        let id = file.stat().map_err(failed)?.id;
        refuse_input(&*self.fs, &self.inputs, path, id)?;
        if !cx.own_files.add(id) {
            return Err(refused(path, io::ErrorKind::InvalidInput, "it is followed as an input; move it away"));
        }
        let alone = match lock(&*file, self.append, cx).await {
            Ok(Some(sharing)) => sharing == Sharing::Alone,
            Ok(None) => {
                let reason = "another process is writing to it; stop that one or choose another output";
                return Err(refused(path, io::ErrorKind::ResourceBusy, reason));
            }
            Err(error) => {
                let what = format!("{}: a file system without locks: {error}", path.display());
                cx.ledger.log(Level::Debug, &what).ok(); // The logger's panic is its own.
                true
            }
        };
        let mut size = file.stat().map_err(failed)?.size;
        if first && !self.append && size > 0 {
            file.truncate(0).map_err(failed)?;
            size = 0;
            // ext4 writes a file that was truncated to the disk when it is next closed (`auto_da_alloc`), for
            // hundreds of ms a GiB. Closed while it is empty, it is not written later.
            self.fs.output(path).ok();
        }
        let sharing = if self.append { Sharing::Shared } else { Sharing::Alone };
        let mut writer = FileWriter::new(file, size, sharing);
        if alone {
            writer.end_fragment();
            writer.go_on().map_err(failed)?;
            if self.append {
                writer.share();
            }
        }
        Ok(Target::File { file: writer, id })
    }
}

impl OutputWriter {
    /// Checks the path before a write, if the last time is long ago.
    async fn look(&mut self) -> Result<(), PartialWrite> {
        let is_due = match &self.target {
            // What is written down of a batch is of the file that was open then.
            Some(Target::File { .. }) if self.state.as_ref().is_some_and(OutputState::is_amid_batch) => false,
            Some(Target::File { .. }) => clock::since(self.looked) >= LOOK_EVERY,
            Some(Target::Pipe(_)) => false,
            None => true,
        };
        if !is_due {
            return Ok(());
        }
        let looked = self.check_path().await;
        looked.map_err(|error| match &self.state {
            Some(_) => PartialWrite::none(error),
            None => PartialWrite::retry(0, error),
        })
    }

    /// Checks whether the path still leads to the output, and opens the file that it leads to now.
    ///
    /// Cancel safe: the next check tries again.
    async fn check_path(&mut self) -> io::Result<()> {
        self.looked = clock::now();
        if let (Some(_), Some(Target::File { file, .. })) = (&self.state, &self.target) {
            file.check_alone()?;
        }
        if self.is_in_place() {
            return Ok(());
        }
        // Gone before its successor is made: on a full disk it may have what room there is.
        if let Some(Target::File { file, .. }) = self.target.take() {
            self.torn = file.into_torn();
        }
        let Some(path) = &self.output.path else { return Ok(()) };
        let mut target = match &mut self.state {
            Some(state) => self.output.open_with_state(path, state, &self.cx).await?,
            None => self.output.open_path(path, false, &self.cx).await?,
        };
        if let Target::File { file, .. } = &mut target
            && let Some(torn) = self.torn.take()
        {
            file.begin_with(torn);
        }
        self.target = Some(target);
        self.cx.ledger.output_works();
        Ok(())
    }

    /// Emits events for what another process did to the output. Returns false if it has to be reopened.
    fn is_in_place(&mut self) -> bool {
        let path = self.output.path.as_deref();
        let (file, id) = match &mut self.target {
            None => return false,
            Some(Target::File { file, id }) => (file, *id),
            Some(Target::Pipe(pipe)) => {
                let leads = path.and_then(|path| self.output.fs.stat(path).ok());
                return leads.is_none_or(|leads| leads.id == pipe.id());
            }
        };
        let Ok(own) = file.stat() else { return true };
        let output = path.unwrap_or(Path::new("standard output"));
        let ledger = &self.cx.ledger;
        if let Some(before) = file.measured(own.size) {
            ledger.emit(&Event::OutputCut { output: output.to_owned(), from: before, to: own.size });
        }
        let in_place = path.is_none_or(|path| match self.output.fs.stat(path) {
            Ok(leads) => is_same(&own, &leads),
            // Where nothing can be told nothing is done.
            Err(error) => !is_missing(&error),
        });
        if in_place {
            file.seen_in_place();
            return true;
        }
        let removed = own.links == 0;
        ledger.emit(&Event::OutputMoved { output: output.to_owned(), removed });
        if removed {
            let (start, end) = file.unseen();
            ledger.gap(output, start, end, GapReason::OutputRemoved);
            // The next input may get its inode number.
            self.cx.own_files.remove(id);
        }
        false
    }
}

/// Returns true if an open file is the one at its path. Some file systems change the inode numbers of files; there they
/// are compared by content.
fn is_same(open: &Stat, leads: &Stat) -> bool {
    let [open_id, leads_id] = [open, leads].map(|stat| stat.id);
    let grown = |stat: &Stat| (stat.id.dev, stat.size, stat.modified, stat.links);
    open_id == leads_id || open.links > 0 && open.size > 0 && grown(open) == grown(leads)
}

impl Writer for OutputWriter {
    async fn write(&mut self, batch: &Batch) -> Result<(), PartialWrite> {
        self.look().await?;
        match &mut self.target {
            Some(Target::File { file, .. }) => match &mut self.state {
                Some(state) => state.write(file, batch),
                None => file.write(batch.bytes()),
            },
            Some(Target::Pipe(pipe)) => pipe.write(batch.bytes()).await,
            None => Err(PartialWrite::retry(0, io::ErrorKind::NotFound.into())),
        }
    }

    async fn left_out(&mut self, batch: &Batch) -> Result<(), PartialWrite> {
        if self.state.is_some() {
            self.look().await?;
        }
        match (&mut self.state, &self.target) {
            (Some(state), Some(Target::File { file, .. })) => state.left_out(file, batch),
            _ => Ok(()),
        }
    }

    async fn flush(&mut self) -> io::Result<()> {
        // Nothing is held back on this side of the kernel.
        Ok(())
    }

    async fn reopen(&mut self) -> io::Result<()> {
        if let Err(error) = self.check_path().await {
            // The next write tries again, and before it the next look.
            self.cx.waiting(&error.to_string());
        }
        Ok(())
    }

    async fn closed(&mut self) {
        loop {
            if let Some(Target::Pipe(pipe)) = &mut self.target {
                return pipe.closed().await;
            }
            let cx = &self.cx;
            let next_look = self.next_look.get_or_insert_with(|| (cx.sleep)(LOOK_BY_TIMER));
            next_look.await;
            self.next_look = None;
            if clock::since(self.looked) >= LOOK_EVERY
                && let Err(error) = self.check_path().await
            {
                self.cx.waiting(&error.to_string());
            }
        }
    }

    fn files(&self) -> Vec<FileId> {
        match &self.target {
            Some(Target::File { id, .. }) => vec![*id],
            Some(Target::Pipe(pipe)) => vec![pipe.id()],
            None => Vec::new(),
        }
    }
}

impl Drop for OutputWriter {
    fn drop(&mut self) {
        // What was lost since the last look belongs into the report.
        if self.target.is_some() {
            self.is_in_place();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_whose_inode_has_another_number_by_now_is_known_by_what_it_holds() {
        let stat = |ino, size| Stat {
            id: FileId { dev: 1, ino, born: None },
            kind: Kind::File,
            size,
            links: 1,
            modified: Some(std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(size)),
            owner: None,
        };
        assert!(is_same(&stat(1, 5), &stat(1, 6)));
        assert!(is_same(&stat(1, 5), &stat(2, 5)));
        assert!(!is_same(&stat(1, 5), &stat(2, 6)));
        assert!(!is_same(&stat(1, 0), &stat(2, 0)), "a new one");
        assert!(!is_same(&Stat { links: 0, ..stat(1, 5) }, &Stat { links: 0, ..stat(2, 5) }), "removed");
    }
}
