//! Reading files as lines, in memory that is bounded by the line limit.

use std::fs::File;
use std::hash::Hasher;
use std::io::{self, Read, Seek, SeekFrom, Take};
use std::path::Path;

use tailmerge_core::LongLines;

use super::CheckError;

/// What is read of a file at a time, at least.
const READ_BYTES: usize = 256 * 1024;

/// A line is hashed in blocks of this size, so that a line of the output need not be in memory as a whole.
pub(super) const BLOCK_BYTES: usize = 64 * 1024;

/// How much of a line stands in an error.
pub(super) const EXCERPT_BYTES: usize = 80;

#[derive(Clone, Copy, Debug)]
pub(super) struct Limit {
    /// Most bytes of content.
    pub(super) max: usize,
    pub(super) policy: LongLines,
}

/// Calls `each` with the number and the content of each line, or piece of one, that `limit` leaves of the file.
///
/// Returns how many of these come of terminated lines. NULs at the end are left out, since a merge does so: the file was
/// made longer than what was written to it.
pub(super) fn each_line(path: &Path, limit: Limit, mut each: impl FnMut(u64, &[u8])) -> Result<usize, CheckError> {
    let mut parts = Parts::open(path)?.without_nuls()?;
    let (mut line, mut count, mut whole) = (1, 0, 0);
    let mut inside = false;
    while let Some((content, end)) = parts.next(limit.max)? {
        let is_wanted = match limit.policy {
            LongLines::Truncate => !inside,
            LongLines::Skip => !inside && end != End::Cut,
            // Split, which drops nothing.
            _ => true,
        };
        if is_wanted {
            each(line, content);
            count += 1;
        }
        inside = end == End::Cut;
        if end == End::Newline {
            line += 1;
            whole = count;
        }
    }
    Ok(whole)
}

/// Line number and excerpt of what [`each_line`] gives as number `index`, counted from 0.
pub(super) fn locate(path: &Path, limit: Limit, index: usize) -> Result<(u64, String), CheckError> {
    let mut place = (0, String::new());
    let mut count = 0;
    each_line(path, limit, |line, content| {
        if count == index {
            let more = if content.len() > EXCERPT_BYTES { "..." } else { "" };
            place = (line, format!("{}{more}", content[..content.len().min(EXCERPT_BYTES)].escape_ascii()));
        }
        count += 1;
    })?;
    Ok(place)
}

/// Writes in blocks, as a hash may depend on how its bytes are portioned.
pub(super) fn hash(hasher: &mut impl Hasher, content: &[u8]) {
    for block in content.chunks(BLOCK_BYTES) {
        hasher.write(block);
    }
}

/// A file's lines, in parts.
pub(super) struct Parts<'a> {
    path: &'a Path,
    file: Take<File>,
    buffer: Vec<u8>,
    /// What is in the buffer and not yet given out.
    start: usize,
    end: usize,
    is_at_end: bool,
}

/// What a part ends at.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Newline,
    /// It is as long as was allowed, and its line goes on.
    Cut,
    /// The end of the file, without a newline.
    OfFile,
}

impl<'a> Parts<'a> {
    pub(super) fn open(path: &'a Path) -> Result<Self, CheckError> {
        let file = File::open(path).map_err(|error| CheckError::Io { path: path.to_owned(), error })?;
        Ok(Self { path, file: file.take(u64::MAX), buffer: vec![0; READ_BYTES], start: 0, end: 0, is_at_end: false })
    }

    /// Ends before the NULs at the end of the file.
    fn without_nuls(mut self) -> Result<Self, CheckError> {
        let len = len_without_nuls(self.file.get_mut());
        self.file.set_limit(len.map_err(|error| CheckError::Io { path: self.path.to_owned(), error })?);
        Ok(self)
    }

    /// The next line, or as much of it as `max` allows; what is left of a line that was cut counts as one. A part is
    /// empty only if its line is.
    pub(super) fn next(&mut self, max: usize) -> Result<Option<(&[u8], End)>, CheckError> {
        let mut scanned = 0;
        let (len, end) = loop {
            let rest = &self.buffer[self.start..self.end];
            // One byte more tells whether a line of `max` bytes goes on.
            let rest = &rest[..rest.len().min(max.saturating_add(1))];
            if let Some(at) = memchr::memchr(b'\n', &rest[scanned..]) {
                break (scanned + at, End::Newline);
            }
            scanned = rest.len();
            if scanned > max {
                break (max, End::Cut);
            }
            if self.is_at_end {
                if scanned == 0 {
                    return Ok(None);
                }
                break (scanned, End::OfFile);
            }
            self.fill().map_err(|error| CheckError::Io { path: self.path.to_owned(), error })?;
        };
        let content = self.start..self.start + len;
        self.start = content.end + usize::from(end == End::Newline);
        Ok(Some((&self.buffer[content], end)))
    }

    fn fill(&mut self) -> io::Result<()> {
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        if self.end == self.buffer.len() {
            self.buffer.resize(2 * self.end, 0);
        }
        loop {
            match self.file.read(&mut self.buffer[self.end..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => {
                    let read = read?;
                    self.end += read;
                    self.is_at_end = read == 0;
                    return Ok(());
                }
            }
        }
    }
}

/// Returns the length of a file without the NULs at its end, and stays at its start. It has no bound where the size tells
/// nothing, as of a pipe.
fn len_without_nuls(file: &mut File) -> io::Result<u64> {
    let mut end = file.seek(SeekFrom::End(0)).unwrap_or(0);
    if end == 0 {
        return Ok(u64::MAX);
    }
    let mut block = vec![0; READ_BYTES];
    while end > 0 {
        let len = end.min(READ_BYTES as u64) as usize;
        file.seek(SeekFrom::Start(end - len as u64))?;
        file.read_exact(&mut block[..len])?;
        if let Some(last) = block[..len].iter().rposition(|byte| *byte != 0) {
            end = end - len as u64 + last as u64 + 1;
            break;
        }
        end -= len as u64;
    }
    file.rewind()?;
    Ok(end)
}
