//! Applies what the system reports of a file: its length and times, as far as they can be believed.

use std::io;

use crate::clock;
use crate::follow::context::ReadContext;
use crate::follow::file::Generation;
use crate::follow::file::bytes::read_all;
use crate::fs::{MODIFIED_GRAIN, Stat, Storage};
use crate::report::gap::GapReason;

impl Generation {
    /// Asks the system for the file's state. Returns true if it was cut below the offset, and the number of its names.
    pub(crate) fn stat_open(&mut self, cx: &ReadContext) -> io::Result<(bool, u64)> {
        let stat = match (&self.file, self.found_name()) {
            (Some((file, _)), _) => file.stat()?,
            (None, Some(path)) => cx.fs.stat(path).and_then(|stat| match stat.id == self.id {
                true => Ok(stat),
                false => Err(io::ErrorKind::NotFound.into()),
            })?,
            (None, None) => return Err(io::ErrorKind::NotFound.into()),
        };
        Ok((self.apply_stat(&stat), stat.links))
    }

    /// Returns the reason why it does not have the bytes that were read of it. If its state cannot be read, that is an
    /// error, and it is checked again at the next visit: with an old length, bytes that still come would count as lost.
    pub(crate) fn why_changed(&mut self, cx: &ReadContext) -> io::Result<GapReason> {
        let (cut, _) = self.stat_open(cx).inspect_err(|_| self.suspect())?;
        Ok(if cut || self.length.shrunk.is_some() { GapReason::Truncated } else { GapReason::Overwritten })
    }

    /// Applies the file's state. Returns true if it was cut below the offset, or before anything was read: its content
    /// is another one.
    pub(crate) fn apply_stat(&mut self, stat: &Stat) -> bool {
        if self.is_pseudo() {
            return false;
        }
        self.length.ahead = self.length.ahead.filter(|size| *size == stat.size);
        let size = if self.length.ahead.is_some() { self.length.size } else { stat.size };
        let before = self.content_size();
        let shrank = size < before;
        if size != self.length.size {
            self.length.moved = clock::now();
        }
        if size < self.searched.to {
            self.searched.to = self.at.offset;
        }
        if shrank {
            self.length.shrunk = self.length.shrunk.max(Some(before));
            self.suspect = true;
        }
        self.cut_nuls(size);
        self.length.size = size;
        // Nothing before the offset could tell later that it is another content: each cut counts by itself.
        if size < self.at.offset || shrank && self.at.offset == 0 {
            return !self.disproves(size);
        }
        self.suspect |= stat.modified != self.length.modified && self.looked_to() > 0;
        let age = stat.modified.and_then(clock::age);
        self.length.modified = stat.modified.filter(|_| age.is_none_or(|age| age >= MODIFIED_GRAIN));
        false
    }

    /// Returns true if it still has bytes beyond the size that it reports, which is then not believed: those before a
    /// known position, or else one where it ended before. On local file systems the size is always believed.
    pub(super) fn disproves(&mut self, size: u64) -> bool {
        if !self.is_open() || self.storage != Some(Storage::Other) {
            return false;
        }
        let (end, has) = match (self.known(), self.length.shrunk) {
            (Some(at), _) => {
                (at.offset, at.offset > size && self.has_before(at.offset, at.fingerprint).unwrap_or(false))
            }
            (None, Some(before)) => (before, self.has_byte(before.saturating_sub(1)).unwrap_or(false)),
            (None, None) => return false,
        };
        if has {
            (self.length.size, self.length.shrunk) = (end, None);
        }
        has
    }

    pub(super) fn has_byte(&self, at: u64) -> io::Result<bool> {
        let Some((file, _)) = &self.file else { return Ok(false) };
        Ok(read_all(&**file, &mut [0], at)? > 0)
    }
}
