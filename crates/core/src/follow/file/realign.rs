//! Finds the place in a file again whose content before the offset is another one, but not all of it.
//!
//! A program may take away the head of its log, or write its last lines anew: then the rest is the same, and reading it
//! again from its start would give every line twice.

use std::io;

use crate::batch::fingerprint::FingerprintWindow;
use crate::batch::position::{LineState, Position};
use crate::batch::source::Source;
use crate::follow::context::ReadContext;
use crate::follow::file::Generation;
use crate::follow::file::bytes::read_all;
use crate::follow::file::nuls::{BLOCK_MIN, begins_in_hole, count_nuls};
use crate::report::event::Continuation;
use crate::report::gap::GapReason;

impl Generation {
    /// Moves to where reading goes on, if only the head of the file was removed, or its last lines were written anew.
    /// Returns how it was found, or none if the content is another one.
    pub(crate) fn realign(&mut self, source: &Source, cx: &ReadContext) -> io::Result<Option<Continuation>> {
        if !self.is_open() || self.is_pseudo() || self.at.offset == 0 || self.at.line != LineState::Start {
            return Ok(None);
        }
        if self.follow_collapsed_head()? {
            return Ok(Some(Continuation::HeadRemoved));
        }
        if self.go_back_to_line(source, cx)? {
            return Ok(Some(Continuation::EndRewritten));
        }
        Ok(self.keep_tail_of_window()?.then_some(Continuation::HeadRemoved))
    }

    /// Moves with the content if so many bytes were removed before it as the file got shorter. Only whole blocks can be.
    fn follow_collapsed_head(&mut self) -> io::Result<bool> {
        let Some(shift) = self.length.shrunk.and_then(|before| before.checked_sub(self.length.size)) else {
            return Ok(false);
        };
        let offset = self.at.offset.saturating_sub(shift);
        let may_be = shift > 0 && shift.is_multiple_of(BLOCK_MIN) && offset >= self.at.fingerprint.len() as u64;
        let same = may_be && offset > 0 && self.holds(Position { offset, ..self.at })?;
        if same {
            self.continue_at(Position { offset, ..self.at });
        }
        Ok(same)
    }

    /// Goes back to the start of one of the last lines, if the content before that is the same.
    fn go_back_to_line(&mut self, source: &Source, cx: &ReadContext) -> io::Result<bool> {
        for start in self.line_starts {
            let Some(offset) = self.at.offset.checked_sub(start.back.into()).filter(|_| start.back > 0) else {
                continue;
            };
            let at = Position { offset, fingerprint: start.fingerprint, line: LineState::Start };
            if self.holds(at)? {
                let (seen, reason) = match self.length.shrunk {
                    Some(before) => (before, GapReason::Truncated),
                    None => (self.length.sure.min(self.content_size()), GapReason::Overwritten),
                };
                cx.ledger.gap(source.path(), self.at.offset.min(seen), seen, reason);
                self.continue_at(at);
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Goes on at the offset if only a hole was made of what is before it, up to less than the fingerprint's length.
    fn keep_tail_of_window(&mut self) -> io::Result<bool> {
        let len = self.at.fingerprint.len();
        let Some(window) = self.window_with_hole()? else { return Ok(false) };
        let nuls = count_nuls(&window[..len]);
        if nuls == len || !self.has_old_lines(&window[..len], nuls) {
            return Ok(false);
        }
        // The bytes of the hole are left out.
        let fingerprint = FingerprintWindow::new(0).slide(&window[nuls..len]);
        self.continue_at(Position { fingerprint, ..self.at });
        Ok(true)
    }

    /// Returns true if the last lines of the window are the old ones, as far as can be told: where no line begins behind
    /// the NULs, at least its end is the end of a line.
    fn has_old_lines(&self, window: &[u8], nuls: usize) -> bool {
        let mut starts = self.line_starts.iter().filter(|start| start.back > 0);
        let known = starts.rfind(|start| window.len() - usize::from(start.back) >= nuls);
        let Some(start) = known else { return window.ends_with(b"\n") };
        let lines = &window[window.len() - usize::from(start.back)..];
        start.fingerprint.followed_by(lines) == self.at.fingerprint
    }

    /// Goes on at the offset if a hole was made of all that is before it, and perhaps of bytes that follow and were seen.
    /// If more is a hole, the file was cut, and its program went on at its old place.
    pub(crate) fn pass_punched_head(&mut self) -> io::Result<bool> {
        let (len, seen) = (self.at.fingerprint.len(), self.length.sure);
        let window = self.window_with_hole()?;
        let mut next = [1];
        self.with_file(|file| read_all(file, &mut next, self.at.offset))?;
        let goes_on = seen > self.at.offset || next != [0];
        let is_hole = goes_on && window.is_some_and(|window| count_nuls(&window[..len]) == len);
        if is_hole {
            let fingerprint = self.fingerprint_at(self.at.offset)?.unwrap_or_default();
            self.continue_at(Position { fingerprint, ..self.at });
            self.punched = Some((self.at.offset, seen));
        }
        Ok(is_hole)
    }

    /// Returns the bytes before the offset, if they begin in a hole.
    fn window_with_hole(&self) -> io::Result<Option<[u8; 256]>> {
        let (Some((file, _)), len) = (&self.file, self.at.fingerprint.len()) else { return Ok(None) };
        let (from, mut window) = (self.at.offset - len as u64, [0; 256]);
        let got = begins_in_hole(&**file, from)? && read_all(&**file, &mut window[..len], from)? == len;
        Ok(got.then_some(window))
    }

    fn continue_at(&mut self, at: Position) {
        self.expect(at);
        (self.length.shrunk, self.length.sure, self.marks, self.nuls) = (None, self.length.size, None, None);
        self.solid = 0;
        self.suspect();
    }
}
