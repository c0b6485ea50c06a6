//! An output file that has a state file: each line is in it once, whatever crashes.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use log::Level;

use crate::batch::Batch;
use crate::batch::position::FilePosition;
use crate::fs::{FileId, Fs, Kind, WriteFile, is_missing};
use crate::output::WriterContext;
use crate::output::access::{cannot_open, lock, refuse_input, refused};
use crate::output::file::{FileWriter, Sharing};
use crate::output::journal::start::{Left, Prepared};
use crate::output::journal::store::{Journal, StateFile};
use crate::output::partial::PartialWrite;
use crate::report::event::Event;

/// A state file that is to be used.
pub(crate) struct WantedState {
    pub(crate) path: PathBuf,
    pub(crate) resume: Resume,
}

/// Receives where the inputs go on, before the first of them is read: their paths, and the positions of their files. There
/// is no path for a file that is gone from there; it may turn up elsewhere.
pub(crate) type Resume = Arc<dyn Fn(Option<&Path>, FilePosition) + Send + Sync>;

/// The output that is to be opened.
pub(crate) struct Opening<'a> {
    pub(crate) fs: &'a Arc<dyn Fs>,
    pub(crate) path: &'a Path,
    pub(crate) append: bool,
    /// Paths that the user named as inputs; neither the output nor the state file must be one of them.
    pub(crate) inputs: &'a [PathBuf],
}

impl Opening<'_> {
    fn refuse_input(&self, path: &Path, id: FileId) -> io::Result<()> {
        refuse_input(&**self.fs, self.inputs, path, id)
    }
}

/// The state file of an output.
pub(crate) struct OutputState {
    file: StateFile,
    /// Held until the merge ends.
    _lock: Box<dyn WriteFile>,
    resume: Resume,
    /// The journal; none before the output is open.
    journal: Option<Journal>,
    /// True if the batch in hand is in the journal.
    intended: bool,
}

impl OutputState {
    /// Locks the state file, before anything else is looked at.
    pub(crate) async fn lock(opening: &Opening<'_>, wanted: &WantedState, cx: &WriterContext) -> io::Result<Self> {
        let (fs, path) = (opening.fs.clone(), wanted.path.clone());
        let file = StateFile { fs, path, own_files: cx.own_files.clone() };
        let lock_path = file.lock_path();
        for own in [&file.path, &lock_path, &file.new_path()] {
            cx.own_files.add_path(own);
        }
        let failed = |error| cannot_open(&lock_path, error);
        let lock_file = opening.fs.output(&lock_path).map_err(failed)?;
        let id = lock_file.stat().map_err(failed)?.id;
        opening.refuse_input(&lock_path, id)?;
        if let Ok(stat) = opening.fs.stat(&file.path) {
            opening.refuse_input(&file.path, stat.id)?;
        }
        if !cx.own_files.add(id) {
            return Err(refused(&lock_path, io::ErrorKind::InvalidInput, "it is followed as an input"));
        }
        match lock(&*lock_file, false, cx).await {
            Ok(Some(_)) => {}
            Ok(None) => {
                let reason = "another process uses this state file; stop that one or choose another state file";
                return Err(refused(&file.path, io::ErrorKind::ResourceBusy, reason));
            }
            Err(error) => {
                let reason = format!("its file system has no locks ({error}); choose a state file elsewhere");
                return Err(refused(&file.path, error.kind(), &reason));
            }
        }
        Ok(Self { file, _lock: lock_file, resume: wanted.resume.clone(), journal: None, intended: false })
    }

    /// Opens the output where the last merge has left it, or the one that takes the place of one that was renamed.
    pub(crate) async fn open(&mut self, opening: &Opening<'_>, cx: &WriterContext) -> io::Result<(FileWriter, FileId)> {
        let path = opening.path;
        let there = match opening.fs.stat(path) {
            Ok(stat) if stat.kind != Kind::File => {
                let reason = "it is no regular file, which a state file needs";
                return Err(refused(path, io::ErrorKind::InvalidInput, reason));
            }
            Ok(_) => Some(open(opening, cx).await?),
            Err(error) if is_missing(&error) => None,
            Err(error) => return Err(cannot_open(path, error)),
        };
        let prepared = Prepared::read(self.file.clone(), path, there.as_deref(), opening.append)?;
        let mut file = match there {
            Some(file) => file,
            None => open(opening, cx).await?,
        };
        let started = prepared.apply(&mut *file)?;
        if let Some(to) = started.set_aside {
            cx.ledger.emit(&Event::OutputSetAside { output: path.to_owned(), to });
        }
        if self.journal.is_none() {
            let mut all = started.left;
            all.sort_by_key(|left| left.entry.generation);
            for Left { entry, is_told } in all {
                if let Some(file) = entry.file {
                    let path = (!is_told).then_some(&*entry.path);
                    (self.resume)(path, FilePosition { file, position: entry.position });
                }
            }
        }
        self.journal = Some(started.journal);
        let stat = file.stat()?;
        Ok((FileWriter::new(file, stat.size, Sharing::Alone), stat.id))
    }

    /// Returns true if a batch was written down, and is not wholly in the output yet.
    pub(crate) fn is_amid_batch(&self) -> bool {
        self.intended
    }

    /// Writes a batch down, and then to the output.
    pub(crate) fn write(&mut self, file: &mut FileWriter, batch: &Batch) -> Result<(), PartialWrite> {
        self.intend(file, batch)?;
        file.write(batch.bytes())?;
        self.intended = false;
        Ok(())
    }

    /// Writes down what is left out of the output.
    pub(crate) fn left_out(&mut self, file: &FileWriter, batch: &Batch) -> Result<(), PartialWrite> {
        self.intend(file, batch)?;
        self.intended = false;
        Ok(())
    }

    fn intend(&mut self, file: &FileWriter, batch: &Batch) -> Result<(), PartialWrite> {
        file.check_alone().map_err(PartialWrite::none)?;
        if let Some(journal) = self.journal.as_mut().filter(|_| !self.intended) {
            journal.intend(batch, file.file())?;
            self.intended = true;
        }
        Ok(())
    }
}

/// Opens the output, and locks it.
async fn open(opening: &Opening<'_>, cx: &WriterContext) -> io::Result<Box<dyn WriteFile>> {
    let path = opening.path;
    let failed = |error| cannot_open(path, error);
    let file = opening.fs.output(path).map_err(failed)?;
    let id = file.stat().map_err(failed)?.id;
    opening.refuse_input(path, id)?;
    if !cx.own_files.add(id) {
        return Err(refused(path, io::ErrorKind::InvalidInput, "it is followed as an input; move it away"));
    }
    match lock(&*file, false, cx).await {
        Ok(Some(_)) => {}
        Ok(None) => {
            let reason = "another process is writing to it; stop that one or choose another output";
            return Err(refused(path, io::ErrorKind::ResourceBusy, reason));
        }
        Err(error) => {
            let what = format!("{}: a file system without locks: {error}", path.display());
            cx.ledger.log(Level::Debug, &what).ok(); // The logger's panic is its own.
        }
    }
    Ok(file)
}
