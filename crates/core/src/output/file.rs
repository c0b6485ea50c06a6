//! Appends whole lines to a file that others may append to or cut.

use std::io::{self, IoSliceMut};

use memchr::memrchr;

use crate::fs::{Stat, WriteFile};
use crate::output::partial::PartialWrite;

/// Writes to a file that is open for appending.
#[derive(Debug)]
pub(crate) struct FileWriter {
    file: Box<dyn WriteFile>,
    sharing: Sharing,
    /// The known length of the file. If it is shorter, another process has cut it.
    len: u64,
    /// The bytes written since the file was last seen at its path.
    since: u64,
    /// True if the file ends in a fragment of others: a newline comes before the next line.
    fragment: bool,
    torn: Option<Torn>,
}

/// Which other processes may write to the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sharing {
    /// None: it is locked.
    Alone,
    /// Those that append, each with a shared lock.
    Shared,
    /// Any: the file was opened by another process.
    Foreign,
}

/// The beginning of a line that could not be written to its end.
#[derive(Debug)]
struct Torn {
    head: Vec<u8>,
    /// The length of the file after the write; none if that file is gone.
    len: Option<u64>,
}

impl FileWriter {
    pub(crate) fn new(file: Box<dyn WriteFile>, len: u64, sharing: Sharing) -> Self {
        Self { file, sharing, len, since: 0, fragment: false, torn: None }
    }

    /// Opens a file that lines are appended to. If it ends in a fragment, a newline comes first; a file that may not be
    /// read is taken to end in a whole line.
    pub(crate) fn end_fragment(&mut self) {
        let mut last = [b'\n'];
        let read = self.len > 0 && self.file.read_at(&mut [IoSliceMut::new(&mut last)], self.len - 1).is_ok();
        self.fragment |= read && last != *b"\n";
    }

    /// Turns the lock into a shared one, so that others may append.
    pub(crate) fn share(&self) {
        self.file.try_lock(true).ok(); // Refused only where there are no locks.
    }

    /// Returns an error if the file has not the length that it was given: another process has written to it, or cut it.
    pub(crate) fn check_alone(&self) -> io::Result<()> {
        let size = self.stat()?.size;
        if size == self.len {
            return Ok(());
        }
        let what = format!(
            "another process has changed it: it has {size} bytes in place of {}; a start with the same state file says \
             what to do",
            self.len
        );
        Err(io::Error::new(io::ErrorKind::InvalidData, what))
    }

    pub(crate) fn file(&self) -> &dyn WriteFile {
        &*self.file
    }

    pub(crate) fn stat(&self) -> io::Result<Stat> {
        self.file.stat()
    }

    /// Updates the length of the file. Returns the former length if another process has cut it.
    pub(crate) fn measured(&mut self, size: u64) -> Option<u64> {
        let before = std::mem::replace(&mut self.len, size);
        if size >= before {
            return None;
        }
        self.end_fragment();
        Some(before)
    }

    /// Returns the beginning of a line whose rest is still to be written.
    pub(crate) fn into_torn(self) -> Option<Vec<u8>> {
        self.torn.map(|torn| torn.head)
    }

    /// Continues a line whose beginning is in a file that is gone: writes it from its start.
    pub(crate) fn begin_with(&mut self, head: Vec<u8>) {
        self.torn = Some(Torn { head, len: None });
    }

    /// Notes that the file is at its path.
    pub(crate) fn seen_in_place(&mut self) {
        self.since = 0;
    }

    /// Returns the range of bytes that were written since the file was last seen at its path.
    pub(crate) fn unseen(&self) -> (u64, u64) {
        (self.len.saturating_sub(self.since), self.len)
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), PartialWrite> {
        self.go_on().map_err(PartialWrite::none)?;
        match self.put(bytes) {
            Ok(()) => {
                self.torn = None;
                self.count(bytes.len());
                Ok(())
            }
            Err((written, error)) => Err(self.failed(&bytes[..written], error)),
        }
    }

    /// Prepares the next write: it begins a line, or continues the torn one. If the file's end has changed since, the
    /// torn line is written from its start.
    pub(crate) fn go_on(&mut self) -> io::Result<()> {
        let head = match &self.torn {
            None if !self.fragment => return Ok(()),
            Some(torn) if !self.fragment && torn.len.is_some_and(|len| self.has(len)) => return Ok(()),
            None => b"",
            Some(torn) => &*torn.head,
        };
        let fragment = self.fragment || self.torn.as_ref().is_some_and(|torn| torn.len.is_some());
        let begin = [if fragment { &b"\n"[..] } else { b"" }, head].concat();
        self.put(&begin).map_err(|(_, error)| error)?;
        self.len = self.stat()?.size;
        self.fragment = false;
        if let Some(torn) = &mut self.torn {
            torn.len = Some(self.len);
        }
        Ok(())
    }

    /// Writes all bytes, or returns how many were written before the error.
    fn put(&mut self, bytes: &[u8]) -> Result<(), (usize, io::Error)> {
        let mut written = 0;
        while written < bytes.len() {
            match self.file.write(&bytes[written..]) {
                Ok(0) => return Err((written, io::ErrorKind::WriteZero.into())),
                Ok(more) => written += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err((written, error)),
            }
        }
        Ok(())
    }

    /// Returns true if the file has this length.
    fn has(&self, len: u64) -> bool {
        self.stat().is_ok_and(|stat| stat.size == len)
    }

    fn count(&mut self, written: usize) {
        self.len += written as u64;
        self.since += written as u64;
    }

    /// Removes the part of a line that was written, so that the file ends in a whole line. It stays where others may
    /// have written after it.
    fn failed(&mut self, written: &[u8], error: io::Error) -> PartialWrite {
        let whole = memrchr(b'\n', written).map_or(0, |last| last + 1);
        let torn = &written[whole..];
        if torn.is_empty() || self.cut_back(written.len(), whole) {
            self.count(whole);
            if whole > 0 {
                self.torn = None;
            }
            return PartialWrite::new(whole, error);
        }
        self.count(written.len());
        let mut head = self.torn.take().filter(|_| whole == 0).map_or_else(Vec::new, |torn| torn.head);
        head.extend_from_slice(torn);
        self.torn = Some(Torn { head, len: Some(self.len) });
        PartialWrite::new(written.len(), error)
    }

    /// Truncates the last write to its first `whole` bytes, unless others may have written after it.
    fn cut_back(&self, written: usize, whole: usize) -> bool {
        let alone = match self.sharing {
            Sharing::Alone => true,
            Sharing::Shared => self.file.try_lock(false).unwrap_or(false),
            Sharing::Foreign => false,
        };
        let cut = alone && self.has(self.len + written as u64) && self.file.truncate(self.len + whole as u64).is_ok();
        if self.sharing == Sharing::Shared {
            // Also where it was not free: a lock that could not be changed is lost.
            self.share();
        }
        cut
    }
}
