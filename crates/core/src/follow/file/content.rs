//! Recognizes a file's content by positions and the fingerprints before them.

use std::io;

use memchr::memrchr;

use crate::batch::fingerprint::{Fingerprint, FingerprintWindow};
use crate::batch::position::{LineState, Position};
use crate::clock;
use crate::follow::file::bytes::read_all;
use crate::follow::file::turn::Scratch;
use crate::follow::file::{Generation, MARK_EVERY, PSEUDO_MAX};

impl Generation {
    /// Returns the position where reading continues.
    pub(crate) fn position(&self) -> Position {
        self.at
    }

    /// Takes the fingerprint at the end of a file of which nothing is read yet, so that it, and a copy made before it
    /// is cut, can be recognized.
    pub(crate) fn fingerprint_end(&mut self) -> io::Result<()> {
        if self.searched.to == 0
            && self.length.size > 0
            && self.marks.is_none()
            && let Some(mut window) = self.window_at(self.length.size)?
            // NULs at the end are no content yet.
            && window.bytes_mut().last() != Some(&0)
        {
            let fingerprint = window.check();
            let end = Position { offset: self.length.size, fingerprint, line: LineState::Start };
            self.marks = Some(Box::new([(clock::now(), end); 2]));
            self.length.sure = self.length.size;
        }
        Ok(())
    }

    /// Returns the position by which this content is recognized: where reading continues, or an earlier end of the
    /// file.
    pub(crate) fn known(&self) -> Option<Position> {
        match &self.marks {
            _ if self.at.offset > 0 => Some(self.position()),
            marks => marks.as_ref().map(|marks| marks[0].1),
        }
    }

    /// Returns true if the open file has, before a position, the bytes of its fingerprint.
    pub(crate) fn holds(&self, at: Position) -> io::Result<bool> {
        Ok(at.offset <= self.claimed_size() && self.has_before(at.offset, at.fingerprint)?)
    }

    /// Remembers the current position, if some time has passed since the last one.
    pub(super) fn mark(&mut self) {
        // What is read has come just now.
        let now = (self.length.moved, self.position());
        match &mut self.marks {
            _ if self.at.offset == 0 => {}
            None => self.marks = Some(Box::new([now; 2])),
            Some(marks) if marks[0].1.offset == self.at.offset => {}
            Some(marks) if self.length.moved.saturating_duration_since(marks[0].0) < MARK_EVERY => {}
            Some(marks) => **marks = [now, marks[0]],
        }
    }

    /// Returns true if this file is a copy of the beginning of what was read of `original`. All of it then counts as
    /// read.
    pub(crate) fn skip_short_copy(&mut self, original: &Self) -> io::Result<bool> {
        let short = self.length.size < original.at.offset;
        for (_, place) in original.marks.iter().flat_map(|marks| marks.iter()).filter(|_| short) {
            if self.resume(*place)? {
                self.move_to(self.length.size)?;
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Continues at a position if the bytes before it are the same. Returns false otherwise, and stays at the start.
    pub(crate) fn resume(&mut self, at: Position) -> io::Result<bool> {
        let same = self.holds(at)?;
        if same {
            self.expect(at);
            self.length.sure = self.length.size;
        }
        Ok(same)
    }

    /// Makes reading begin at a position once the file is opened.
    pub(crate) fn expect(&mut self, at: Position) {
        (self.at, self.searched.to, self.line_starts) = (at, at.offset, Default::default());
    }

    /// Moves to an offset, and takes the fingerprint before it.
    pub(crate) fn move_to(&mut self, end: u64) -> io::Result<()> {
        if self.is_open() {
            // Where the file ends sooner, there is nothing to tell by.
            self.at.fingerprint = self.fingerprint_at(end)?.unwrap_or_default();
            (self.at.offset, self.searched.to) = (end, end);
        }
        Ok(())
    }

    /// Returns the fingerprint before an offset; none if the file is closed, or ends sooner.
    pub(super) fn fingerprint_at(&self, end: u64) -> io::Result<Option<Fingerprint>> {
        Ok(self.window_at(end)?.map(|window| window.check()))
    }

    fn window_at(&self, end: u64) -> io::Result<Option<FingerprintWindow>> {
        let Some((file, _)) = &self.file else { return Ok(None) };
        let mut window = FingerprintWindow::new(usize::try_from(end).unwrap_or(usize::MAX));
        let len = window.bytes_mut().len();
        let got = read_all(&**file, window.bytes_mut(), end - len as u64)?;
        Ok((got == len).then_some(window))
    }

    /// Moves to an offset, or to the start of the line that it stands in.
    pub(crate) fn skip_to(&mut self, mut end: u64, scratch: &mut Scratch) -> io::Result<()> {
        let Some((file, _)) = &self.file else { return Ok(()) };
        if self.is_pseudo() {
            end = PSEUDO_MAX;
        }
        while end > 0 {
            let bytes = scratch.bytes(usize::try_from(end).unwrap_or(usize::MAX).min(64 * 1024));
            let from = end - bytes.len() as u64;
            let got = read_all(&**file, bytes, from)?;
            if let Some(at) = memrchr(b'\n', &bytes[..got]) {
                end = from + at as u64 + 1;
                break;
            }
            end = from;
        }
        self.move_to(end)
    }
}
