//! Writes the journal: an intent before each batch, and a new journal in place of one that has grown long.

use std::borrow::Cow;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::batch::{Batch, RecordLen};
use crate::fs::{FileId, Fs, WriteFile};
use crate::output::OwnFiles;
use crate::output::journal::format::{Entry, Header, Intent, IntentExtent, Snapshot};
use crate::output::journal::recovery::fingerprint;
use crate::output::journal::table::Table;
use crate::output::partial::PartialWrite;

/// A journal is replaced when its intents have so many bytes, and half of what the snapshot has.
const INTENTS_MAX: u64 = 512 * 1024;

/// A fingerprint of the output's end is of so many bytes.
const TAIL_MAX: u64 = 256;

/// The paths of a state file, and the file system that it is on.
#[derive(Clone)]
pub(crate) struct StateFile {
    pub(crate) fs: Arc<dyn Fs>,
    pub(crate) path: PathBuf,
    pub(crate) own_files: Arc<dyn OwnFiles>,
}

impl StateFile {
    /// The file that is locked as long as the state file is in use. It is never renamed or removed.
    pub(crate) fn lock_path(&self) -> PathBuf {
        self.beside(".lock")
    }

    /// Where the next journal is made.
    pub(crate) fn new_path(&self) -> PathBuf {
        self.beside(".new")
    }

    fn beside(&self, extension: &str) -> PathBuf {
        let mut path = self.path.clone().into_os_string();
        path.push(extension);
        path.into()
    }

    /// An error with the path of the state file.
    pub(crate) fn error(&self, error: io::Error) -> io::Error {
        io::Error::new(error.kind(), format!("{}: {error}", self.path.display()))
    }

    /// Makes a journal, complete and on the disk, before it takes the place of the one that was there. Without `old` there
    /// was none, or one of an earlier merge.
    fn replace(&self, header: &Header, snapshot: &Snapshot, old: Option<FileId>) -> Result<Made, PartialWrite> {
        let mut bytes = header.encode().to_vec();
        if !header.put_snapshot(&mut bytes, snapshot) {
            return Err(PartialWrite::fatal(0, self.error(io::ErrorKind::FileTooLarge.into())));
        }
        let new = self.new_path();
        let made = self.make(&new, &bytes);
        if made.is_err() {
            self.fs.remove(&new).ok(); // The error is the one above.
        }
        let (file, id) = made?;
        if let Err(error) = self.fs.rename(&new, &self.path) {
            self.fs.remove(&new).ok(); // The error is the one above.
            self.own_files.remove(id);
            return Err(PartialWrite::none(self.error(error)));
        }
        if let Some(old) = old {
            // The next input may get its inode number.
            self.own_files.remove(old);
        }
        let dir = self.path.parent().unwrap_or(Path::new(""));
        self.fs.sync_dir(dir).map_err(|error| PartialWrite::fatal(0, self.error(error)))?;
        Ok(Made { file, id, len: bytes.len() as u64 })
    }

    fn make(&self, new: &Path, bytes: &[u8]) -> Result<(Box<dyn WriteFile>, FileId), PartialWrite> {
        let failed = |error| PartialWrite::none(self.error(error));
        match self.fs.remove(new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
        let mut file = self.fs.create_new(new).map_err(failed)?;
        let id = file.stat().map_err(failed)?.id;
        if !self.own_files.add(id) {
            let error = io::Error::other("it is followed as an input; choose another path for the state");
            return Err(PartialWrite::fatal(0, self.error(error)));
        }
        let written = write_all(&mut *file, bytes).map_err(failed);
        let synced = written.and_then(|()| file.sync().map_err(|error| PartialWrite::fatal(0, self.error(error))));
        if let Err(error) = synced {
            self.own_files.remove(id);
            return Err(error);
        }
        Ok((file, id))
    }
}

/// A journal that was just made.
struct Made {
    file: Box<dyn WriteFile>,
    id: FileId,
    len: u64,
}

/// The journal of a running merge.
pub(crate) struct Journal {
    state: StateFile,
    header: Header,
    file: Box<dyn WriteFile>,
    id: FileId,
    /// The length up to the last whole record.
    len: u64,
    snapshot_len: u64,
    table: Table,
    /// The length of the output after the last intent.
    output_len: u64,
    /// An intent that is not written yet.
    pending: Vec<u8>,
    /// True if there may be a part of a record behind the last whole one.
    is_torn: bool,
    /// The journal is replaced when its intents have so many bytes.
    pub(super) intents_max: u64,
}

impl Journal {
    /// Begins a journal, for an output that is on the disk up to `output_len`.
    pub(crate) fn begin(
        state: StateFile,
        header: Header,
        output: &dyn WriteFile,
        output_len: u64,
        entries: Vec<Entry>,
    ) -> Result<Self, PartialWrite> {
        let mut table = Table::new(entries);
        let snapshot = snapshot(output, output_len, &mut table)?;
        let Made { file, id, len } = state.replace(&header, &snapshot, None)?;
        Ok(Self {
            state,
            header,
            file,
            id,
            len,
            snapshot_len: len,
            table,
            output_len,
            pending: Vec::new(),
            is_torn: false,
            intents_max: INTENTS_MAX + len / 2,
        })
    }

    /// Returns the length of the output after the last intent.
    #[cfg(test)]
    pub(crate) fn output_len(&self) -> u64 {
        self.output_len
    }

    /// Writes down what a batch holds, before any of it is written. After an error it is called again with the same
    /// batch, unless the error is final.
    ///
    /// A journal that has grown long is replaced first: all of the last batch is in the output then.
    pub(crate) fn intend(&mut self, batch: &Batch, output: &dyn WriteFile) -> Result<(), PartialWrite> {
        if self.pending.is_empty() {
            if self.len - self.snapshot_len > self.intents_max {
                self.compact(output)?;
            }
            self.encode(batch)?;
        }
        let failed = |error| PartialWrite::none(self.state.error(error));
        if self.is_torn {
            self.file.truncate(self.len).map_err(failed)?;
        }
        self.is_torn = true;
        write_all(&mut *self.file, &self.pending).map_err(failed)?;
        self.is_torn = false;
        self.len += self.pending.len() as u64;
        self.pending.clear();
        Ok(())
    }

    fn encode(&mut self, batch: &Batch) -> Result<(), PartialWrite> {
        let mut entries = Vec::new();
        self.table.begin();
        let extents = batch.whole_parts().map(|(extent, bytes, records)| {
            let entry = self.table.move_to(extent, &mut entries);
            let of_records = |len: fn(&_) -> u32| records.iter().map(|record| u64::from(len(record))).sum::<u64>();
            let are_all = of_records(|record: &RecordLen| record.len_out) == extent.len_out
                && of_records(|record| record.len_in) == extent.len_in;
            IntentExtent {
                entry,
                start: extent.start,
                len_in: extent.len_in,
                len_out: extent.len_out,
                sum: crc32fast::hash(bytes),
                end: extent.end,
                records: Cow::Borrowed(if are_all && !extent.is_verbatim() { records } else { &[] }),
            }
        });
        let extents = extents.collect();
        let intent = Intent { output_len: self.output_len, entries: Cow::Owned(entries), extents };
        if !self.header.put_intent(&mut self.pending, self.len, &intent) {
            return Err(PartialWrite::fatal(0, self.state.error(io::ErrorKind::FileTooLarge.into())));
        }
        self.output_len += batch.len() as u64;
        Ok(())
    }

    /// Replaces the journal by one that begins with all that is in the output.
    fn compact(&mut self, output: &dyn WriteFile) -> Result<(), PartialWrite> {
        // The output first: the intents, which could verify it, go.
        output.sync().map_err(|error| PartialWrite::fatal(0, error))?;
        let header = Header { number: self.header.number + 1, ..self.header };
        let snapshot = snapshot(output, self.output_len, &mut self.table)?;
        let Made { file, id, len } = self.state.replace(&header, &snapshot, Some(self.id))?;
        (self.header, self.file, self.id) = (header, file, id);
        (self.len, self.snapshot_len, self.is_torn) = (len, len, false);
        self.intents_max = INTENTS_MAX + len / 2;
        Ok(())
    }
}

/// Returns the state of an output that has this length.
fn snapshot(output: &dyn WriteFile, output_len: u64, table: &mut Table) -> Result<Snapshot, PartialWrite> {
    let tail = fingerprint(output, output_len, TAIL_MAX).map_err(PartialWrite::none)?;
    let tail = tail.ok_or_else(|| {
        let error = io::Error::other("another process has cut it; restore it, or begin anew with another state file");
        PartialWrite::fatal(0, error)
    })?;
    Ok(Snapshot { output_len, tail, entries: table.entries() })
}

/// Writes all bytes to the end of a file. After an error, some of them may be there.
pub(super) fn write_all(file: &mut dyn WriteFile, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match file.write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(len) => bytes = &bytes[len..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
