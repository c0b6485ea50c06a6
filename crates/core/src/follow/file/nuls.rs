//! NUL bytes where content was looked for: at the end of a file they are no content yet, within it a hole or data.
//!
//! A program that preallocates or maps its log has NULs behind its last line. They are held like a fragment, and read
//! again from their start, since content may take their place in any order. In front of content they are data if they
//! were written, and a hole otherwise: one that a truncation has left under a program that does not append, which is
//! skipped, or one that is still to be filled. A hole that stays is lost content.

use std::io;
use std::ops::Range;

use memchr::memchr;

use crate::batch::position::{LineState, Position};
use crate::batch::source::Source;
use crate::clock;
use crate::follow::context::ReadContext;
use crate::follow::file::bytes::read_all;
use crate::follow::file::turn::Turn;
use crate::follow::file::{Generation, Nuls, ReadOutcome};
use crate::fs::ReadFile;
use crate::report::gap::GapReason;

/// The end of NULs is searched in so many steps a visit, each of which jumps over a hole or reads a piece.
const STEPS_MAX: usize = 8;

/// The size of such a piece in bytes.
pub(super) const PIECE: usize = 32 * 1024;

/// The sizes of blocks that file systems have. A hole that begins or ends within a block has NULs there as data.
const BLOCK_SIZES: [u64; 9] = [BLOCK_MIN, 512, 1024, 2048, 4096, 8192, 16_384, 32_768, 65_536];

/// No file system has smaller blocks. What begins at the boundary of a block may be the rest of a line, since holes are
/// punched by blocks.
pub(super) const BLOCK_MIN: u64 = if cfg!(test) { 8 } else { 512 };

/// Most file systems have blocks of this size, or of a multiple of it.
const BLOCK: u64 = if cfg!(test) { 8 } else { 4096 };

impl Nuls {
    /// Returns true if content was seen behind them, and they may be filled yet.
    pub(super) fn waits(&self) -> bool {
        self.behind.is_some()
    }
}

/// The result of a search for the end of NULs.
enum Found {
    /// They go on to the end of the file.
    Nothing,
    /// They go on at least to this offset.
    NulsTo(u64),
    /// There is content at this offset.
    Content(u64),
}

impl Generation {
    /// Splits bytes that were read at an offset: returns the length of the content, up to the NULs at their end or to the
    /// first hole, and the range of these NULs in the file, if there are any.
    pub(super) fn split_nuls(&self, bytes: &[u8], at: u64) -> (usize, Option<Range<u64>>) {
        // Files of the kernel are not preallocated.
        let content = if self.is_pseudo() { bytes.len() } else { self.content_len(bytes, at) };
        let nuls = count_nuls(&bytes[content..]);
        let start = at + content as u64;
        (content, (nuls > 0).then(|| start..start + nuls as u64))
    }

    /// Only one in so many bytes is looked at, unless the file is known to have NULs: a hole takes whole blocks, and NULs
    /// that were overwritten while the bytes were copied to us begin or end at the boundary of a page.
    fn content_len(&self, bytes: &[u8], at: u64) -> usize {
        let known = usize::try_from(self.solid.saturating_sub(at)).unwrap_or(usize::MAX).min(bytes.len());
        if let Some(first) = self.nuls.as_ref().and_then(|_| memchr(0, &bytes[known..])) {
            return known + first;
        }
        let first = usize::try_from((at + known as u64).next_multiple_of(BLOCK) - at).unwrap_or(usize::MAX);
        let blocks = (first..bytes.len()).step_by(BLOCK as usize);
        for block in [known].into_iter().chain(blocks) {
            if bytes.get(block) == Some(&0) || block > known && bytes[block - 1] == 0 {
                return len_without_nuls(&bytes[..block], known);
            }
        }
        len_without_nuls(bytes, known)
    }

    /// Returns the offset up to which the file was looked at: NULs at its end are no news.
    pub(super) fn looked_to(&self) -> u64 {
        self.nuls.as_ref().map_or(0, |nuls| nuls.to).max(self.searched.to)
    }

    /// Returns the length without NULs at the end, as far as they are known.
    pub(crate) fn content_size(&self) -> u64 {
        if self.looked_to() >= self.length.size { self.searched.to.min(self.length.size) } else { self.length.size }
    }

    /// Returns true if it ends in NULs, or has a hole that may be filled: then it changes although nothing tells of it.
    pub(crate) fn has_nuls(&self) -> bool {
        self.looked_to() > self.searched.to
    }

    /// Returns true if it has content behind a hole that may be filled yet.
    pub(crate) fn waits_for_hole(&self) -> bool {
        self.nuls.as_ref().is_some_and(|nuls| nuls.waits())
    }

    /// Handles NULs that were read behind the content, up to an offset: searches what is behind them.
    pub(super) fn meet_nuls(&mut self, nuls: Range<u64>, turn: &mut Turn<'_>) -> io::Result<ReadOutcome> {
        let Range { start: from, end: read_to } = nuls;
        self.searched.to = from;
        let nuls = self.nuls.get_or_insert_with(|| Box::new(Nuls { from, is_fresh: true, ..Nuls::default() }));
        if nuls.from != from {
            // Content has come in their place: what is behind them may have come meanwhile, too.
            **nuls = Nuls { from, to: nuls.to, is_fresh: nuls.to <= read_to, ..Nuls::default() };
        }
        let start = nuls.to.max(read_to);
        match self.search_content(start, turn)? {
            Found::Nothing => {
                self.nuls_to(self.length.size.max(start));
                Ok(ReadOutcome::End)
            }
            Found::NulsTo(to) => {
                self.nuls_to(to);
                Ok(ReadOutcome::More)
            }
            Found::Content(at) if !self.is_hole(at)? => {
                if let Some(nuls) = self.nuls.as_mut().filter(|nuls| !nuls.has_data_behind) {
                    (nuls.to, nuls.has_data_behind) = (at, true);
                    return Ok(ReadOutcome::More);
                }
                self.nuls = None;
                self.solid = at;
                self.searched.to = at;
                self.searched.fingerprint = self.fingerprint_at(at)?.unwrap_or_default();
                Ok(ReadOutcome::More)
            }
            Found::Content(at) => self.pass_hole(read_to, at, turn),
        }
    }

    /// Records that the file ends at an offset.
    pub(super) fn cut_nuls(&mut self, end: u64) {
        self.nuls.iter_mut().for_each(|nuls| nuls.to = nuls.to.min(end));
    }

    fn nuls_to(&mut self, to: u64) {
        self.nuls.iter_mut().for_each(|nuls| nuls.to = to);
    }

    /// Searches for content at or behind an offset up to which there are NULs.
    fn search_content(&self, start: u64, turn: &mut Turn<'_>) -> io::Result<Found> {
        let Some((file, _)) = &self.file else { return Ok(Found::Nothing) };
        let bytes = turn.scratch.bytes(PIECE);
        let mut at = start;
        for _ in 0..STEPS_MAX {
            match file.next_data(at)? {
                None => return Ok(Found::Nothing),
                Some(data) if data > at => at = data,
                Some(_) => {
                    let len = read_all(&**file, bytes, at)?;
                    let nuls = count_nuls(&bytes[..len]);
                    at += nuls as u64;
                    if nuls < len {
                        return Ok(Found::Content(at));
                    }
                    if len < bytes.len() {
                        return Ok(Found::Nothing);
                    }
                }
            }
        }
        Ok(Found::NulsTo(at))
    }

    /// Returns true if the NULs in front of the content at an offset were not written, as far as a file system tells: it
    /// does not of less than a block.
    fn is_hole(&self, content: u64) -> io::Result<bool> {
        let Some((file, _)) = &self.file else { return Ok(false) };
        let start = self.searched.to;
        if self.is_punched_at(start) || is_in_hole(&**file, start)? {
            return Ok(true);
        }
        for size in BLOCK_SIZES {
            let in_hole = |at: u64| Ok::<_, io::Error>(start <= at && at < content && is_in_hole(&**file, at)?);
            if in_hole(start.next_multiple_of(size))? || in_hole((content / size * size).saturating_sub(1))? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Returns true if a hole was made of what was before an offset: it may end in the midst of a block.
    fn is_punched_at(&self, at: u64) -> bool {
        self.punched.is_some_and(|(punched, _)| punched == at)
    }

    /// Handles a hole in front of content. One that a truncation has left, or with which the file begins, is skipped.
    /// Any other one may be filled for as long as a rotated file is waited for; then its content counts as lost.
    fn pass_hole(&mut self, read_to: u64, content: u64, turn: &mut Turn<'_>) -> io::Result<ReadOutcome> {
        let cx = turn.cx;
        let at_line_start = self.at.line == LineState::Start && self.at.offset == self.searched.to;
        let is_left = at_line_start && (self.was_cut || self.searched.to == 0);
        let is_punched = self.punched.is_some() || self.has_lost_hole;
        let Some(nuls) = &mut self.nuls else { return Ok(ReadOutcome::More) };
        let since = *nuls.behind.get_or_insert_with(clock::now);
        let is_over = is_left || is_punched || cx.settings.once || clock::since(since) >= cx.settings.grace;
        nuls.to = content;
        if !is_over {
            nuls.is_fresh = false;
            // Anybody can make files with many holes: they are looked at ever more seldom.
            return Ok(if cx.is_ending { ReadOutcome::End } else { ReadOutcome::Again });
        }
        if !nuls.is_fresh {
            // Some of it may have been filled behind the search.
            (nuls.to, nuls.is_fresh) = (read_to, true);
            return Ok(ReadOutcome::More);
        }
        // Nothing is known to have been where nothing was seen.
        let seen = self.punched.map_or(u64::MAX, |(_, seen)| seen.max(self.at.offset));
        let is_unseen = is_left || seen <= content;
        let end = if is_unseen { Some(content) } else { self.first_line_behind(content, turn)? };
        let Some(end) = end else { return Ok(ReadOutcome::End) };
        let lost_to = match (is_left, is_unseen) {
            (true, _) => self.at.offset,
            (false, true) => seen,
            (false, false) => end,
        };
        if lost_to > self.at.offset {
            self.finish_drop(turn.source, cx);
            cx.ledger.gap(turn.source.path(), self.at.offset, lost_to, GapReason::Hole);
            self.has_lost_hole = true;
        }
        if end > lost_to {
            cx.ledger.hole(turn.source.path(), lost_to, end);
        }
        let fingerprint = self.fingerprint_at(end)?.unwrap_or_default();
        self.nuls = None;
        self.expect(Position { offset: end, fingerprint, line: LineState::Start });
        Ok(ReadOutcome::More)
    }

    /// Returns where the first whole line begins at or behind the end of a hole; none while its end is not there.
    fn first_line_behind(&self, content: u64, turn: &mut Turn<'_>) -> io::Result<Option<u64>> {
        if !content.is_multiple_of(BLOCK_MIN) {
            return Ok(Some(content));
        }
        let Some((file, _)) = &self.file else { return Ok(None) };
        let bytes = turn.scratch.bytes(PIECE);
        let len = read_all(&**file, bytes, content)?;
        let newline = memchr(b'\n', &bytes[..len]).map(|at| at + 1);
        // A longer one is not worth more.
        let end = newline.or((len == PIECE || turn.cx.settings.once).then_some(len));
        Ok(end.map(|end| content + end as u64))
    }

    /// Counts NULs at the end of a file that is over.
    pub(super) fn count_nuls_at_end(&self, source: &Source, cx: &ReadContext) {
        if self.has_nuls() {
            cx.ledger.hole(source.path(), self.searched.to, self.looked_to());
        }
    }
}

/// Returns true if there is a hole at an offset.
fn is_in_hole(file: &dyn ReadFile, at: u64) -> io::Result<bool> {
    Ok(file.next_data(at)?.is_none_or(|data| data > at))
}

/// Returns true if there is a hole at an offset, or it may end in the block before that.
pub(super) fn begins_in_hole(file: &dyn ReadFile, at: u64) -> io::Result<bool> {
    let mut before = BLOCK_SIZES.iter().filter_map(|size| (at / size * size).checked_sub(1));
    Ok(is_in_hole(file, at)? || before.try_fold(false, |is, at| Ok::<_, io::Error>(is || is_in_hole(file, at)?))?)
}

/// Returns the length without NULs at the end, but at least `known`.
fn len_without_nuls(bytes: &[u8], known: usize) -> usize {
    let last = bytes.get(known..).and_then(|bytes| bytes.iter().rposition(|byte| *byte != 0));
    last.map_or(known.min(bytes.len()), |last| known + last + 1)
}

/// Counts the NUL bytes at the start.
pub(super) fn count_nuls(bytes: &[u8]) -> usize {
    const BLOCK: [u8; 4096] = [0; 4096];
    // Most often there are many, which are compared faster than they are counted.
    let blocks = bytes.chunks_exact(BLOCK.len()).take_while(|block| **block == BLOCK).count();
    let rest = &bytes[blocks * BLOCK.len()..];
    blocks * BLOCK.len() + rest.iter().take_while(|&&byte| byte == 0).count()
}
