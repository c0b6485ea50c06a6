//! Writes whole lines to the end of a file, wherever that is by then.

use std::io::{self, IoSliceMut};

use memchr::memrchr;

use super::PartialWrite;
use crate::fs::{Stat, WriteFile};

/// Writes to a file that was opened to be appended to.
#[derive(Debug)]
pub(super) struct FileWriter {
    file: Box<dyn WriteFile>,
    sharing: Sharing,
    /// Bytes in the file, as far as known: less, and somebody else has cut it.
    len: u64,
    /// Bytes written since the file was last seen at its path.
    since: u64,
    /// Whether it ends in a fragment that is not ours: the next line begins after a newline.
    fragment: bool,
    torn: Option<Torn>,
}

/// Who else may write to the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sharing {
    /// Nobody: it is locked.
    Alone,
    /// Others that append, each with a shared lock.
    Shared,
    /// Anybody: the file is not ours.
    Foreign,
}

/// The beginning of a line that could not be written to its end.
#[derive(Debug)]
struct Torn {
    head: Vec<u8>,
    /// Bytes in the file if nobody has touched it since. None: it was in another file, that is gone.
    len: Option<u64>,
}

impl FileWriter {
    pub(super) fn new(file: Box<dyn WriteFile>, len: u64, sharing: Sharing) -> Self {
        Self { file, sharing, len, since: 0, fragment: false, torn: None }
    }

    /// Begins after a newline if the file ends in a fragment. One that may not be read is taken at its word.
    pub(super) fn end_fragment(&mut self) {
        let mut last = [b'\n'];
        let read = self.len > 0 && self.file.read_at(&mut [IoSliceMut::new(&mut last)], self.len - 1).is_ok();
        self.fragment |= read && last != *b"\n";
    }

    /// Lets others append, too.
    pub(super) fn share(&self) {
        // Refused only where there are no locks.
        drop(self.file.try_lock(true));
    }

    pub(super) fn stat(&self) -> io::Result<Stat> {
        self.file.stat()
    }

    /// Takes note of the file's size. If somebody else has cut it: how long it was.
    pub(super) fn measured(&mut self, size: u64) -> Option<u64> {
        let before = std::mem::replace(&mut self.len, size);
        if size >= before {
            return None;
        }
        self.end_fragment();
        Some(before)
    }

    /// The beginning of a line whose rest is still to be written.
    pub(super) fn into_torn(self) -> Option<Vec<u8>> {
        self.torn.map(|torn| torn.head)
    }

    /// Goes on with a line whose beginning is in a file that is gone: begins it anew.
    pub(super) fn begin_with(&mut self, head: Vec<u8>) {
        self.torn = Some(Torn { head, len: None });
    }

    /// The file is at its path.
    pub(super) fn seen_in_place(&mut self) {
        self.since = 0;
    }

    /// Where in the file it stands what was written since the file was last seen at its path.
    pub(super) fn unseen(&self) -> (u64, u64) {
        (self.len.saturating_sub(self.since), self.len)
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), PartialWrite> {
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

    /// Has the next bytes begin a line of their own, or go on with the one that was torn. If the end of the file is not
    /// what it was then, that one is begun anew.
    pub(super) fn go_on(&mut self) -> io::Result<()> {
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

    /// Writes all, or says how far it came.
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

    /// Whether it has so many bytes.
    fn has(&self, len: u64) -> bool {
        self.stat().is_ok_and(|stat| stat.size == len)
    }

    fn count(&mut self, written: usize) {
        self.len += written as u64;
        self.since += written as u64;
    }

    /// Takes back the part of a line that was written, so that the file ends in a whole line meanwhile. Where others may
    /// have written behind it, it stays.
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

    /// Cuts what was written just now back to its first `whole` bytes, if nobody else can have written behind it.
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
