//! Where the reading of a file stands, and by which bytes its content is known.

use std::error::Error;
use std::fmt;
use std::str::FromStr;

use crate::batch::fingerprint::Fingerprint;
use crate::fs::FileId;

/// The place within a line where the next bytes stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum LineState {
    /// At the start of a line.
    #[default]
    Start,
    /// Within a line over the limit, of which pieces are out.
    Long,
    /// Within a line over the limit that is dropped from `from` on; together with its newline, if `whole`.
    Dropped { from: u64, whole: bool },
}

/// A position in a file: an offset, with the fingerprint of the bytes before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) offset: u64,
    pub(crate) fingerprint: Fingerprint,
    pub(crate) line: LineState,
}

impl Position {
    /// Returns a position of which nothing but the offset is known.
    pub(crate) fn at(offset: u64) -> Self {
        Self { offset, fingerprint: Fingerprint::default(), line: LineState::Start }
    }

    /// Returns true if there is a fingerprint, or nothing before the offset.
    pub(crate) fn is_sure(&self) -> bool {
        self.offset == 0 || self.fingerprint.len() > 0
    }
}

/// A position in a followed file that a host can keep, and continue from in a later merge.
///
/// It names the file by its identity, so that a renamed file is found again, and has a check sum of the bytes before the
/// offset, so that other content is not taken for the same. Its text form, one word of ASCII characters, is made by
/// [`Display`](fmt::Display) and read by [`FromStr`]; later versions read what this one has written.
///
/// # Examples
///
/// ```
/// use tailmerge::{Batch, FilePosition};
///
/// /// Returns what to keep once the batch is stored: per input, the place where reading continues.
/// fn places(batch: &Batch) -> Vec<(String, String)> {
///     let place = |extent: &tailmerge::Extent| {
///         let position = extent.position()?;
///         Some((extent.source.path().display().to_string(), position.to_string()))
///     };
///     batch.extents().iter().filter_map(place).collect()
/// }
///
/// let kept: FilePosition = "1:65026:1187:-:4096:256:1a2b3c4d:0".parse()?;
/// assert_eq!(kept.offset(), 4096);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FilePosition {
    pub(crate) file: FileId,
    pub(crate) position: Position,
}

impl FilePosition {
    /// Returns the identity of the file.
    #[must_use]
    pub fn file(&self) -> FileId {
        self.file
    }

    /// Returns the number of bytes before the position.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.position.offset
    }
}

/// The version of the text form.
const VERSION: &str = "1";

impl fmt::Display for FilePosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let FileId { dev, ino, born } = self.file;
        write!(f, "{VERSION}:{dev}:{ino}:")?;
        match born {
            Some(born) => write!(f, "{born}")?,
            None => f.write_str("-")?,
        }
        let Position { offset, fingerprint, line } = self.position;
        write!(f, ":{offset}:{}:{:08x}:", fingerprint.len(), fingerprint.sum())?;
        match line {
            LineState::Start => f.write_str("0"),
            LineState::Long => f.write_str("long"),
            LineState::Dropped { from, whole: false } => write!(f, "cut{from}"),
            LineState::Dropped { from, whole: true } => write!(f, "skip{from}"),
        }
    }
}

/// The error of a text that is no [`FilePosition`], or one of a later version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParsePositionError;

impl fmt::Display for ParsePositionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a position in a file that this version can read")
    }
}

impl Error for ParsePositionError {}

impl FromStr for FilePosition {
    type Err = ParsePositionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse(text).ok_or(ParsePositionError)
    }
}

fn parse(text: &str) -> Option<FilePosition> {
    let mut parts = text.split(':');
    let mut next = || parts.next();
    if next()? != VERSION {
        return None;
    }
    let (dev, ino) = (next()?.parse().ok()?, next()?.parse().ok()?);
    let born = match next()? {
        "-" => None,
        born => Some(born.parse().ok()?),
    };
    let offset = next()?.parse().ok()?;
    let (len, sum) = (next()?.parse().ok()?, u32::from_str_radix(next()?, 16).ok()?);
    let fingerprint = Fingerprint::from_parts(len, sum).filter(|fingerprint| fingerprint.len() as u64 <= offset)?;
    let dropped = |from: &str, whole| {
        let from = from.parse().ok().filter(|from| *from <= offset)?;
        Some(LineState::Dropped { from, whole })
    };
    let line = match next()? {
        "0" => LineState::Start,
        "long" => LineState::Long,
        line => match (line.strip_prefix("cut"), line.strip_prefix("skip")) {
            (Some(from), _) => dropped(from, false)?,
            (None, Some(from)) => dropped(from, true)?,
            (None, None) => return None,
        },
    };
    let position = Position { offset, fingerprint, line };
    next().is_none().then_some(FilePosition { file: FileId { dev, ino, born }, position })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn position(born: Option<u64>, line: LineState) -> FilePosition {
        let fingerprint = Fingerprint::from_parts(256, 0x00ab_cdef).unwrap();
        FilePosition {
            file: FileId { dev: 7, ino: u64::MAX, born },
            position: Position { offset: 512, fingerprint, line },
        }
    }

    #[test]
    fn the_text_of_a_position_says_all_of_it() {
        let dropped = |whole| LineState::Dropped { from: 300, whole };
        for line in [LineState::Start, LineState::Long, dropped(true), dropped(false)] {
            for born in [None, Some(0), Some(u64::MAX)] {
                let position = position(born, line);
                assert_eq!(position.to_string().parse(), Ok(position), "{position}");
            }
        }
        assert_eq!(position(None, LineState::Start).to_string(), format!("1:7:{}:-:512:256:00abcdef:0", u64::MAX));
    }

    #[test]
    fn what_is_no_position_is_refused() {
        let good = "1:7:8:-:512:256:00abcdef:0";
        assert!(good.parse::<FilePosition>().is_ok());
        for end in 0..good.len() {
            assert!(good[..end].parse::<FilePosition>().is_err(), "{}", &good[..end]);
        }
        for bad in ["2:7:8:-:512:256:00abcdef:0", "1:7:8:-:512:256:00abcdef:0:0", "1:7:8:-:100:256:00abcdef:0"] {
            assert!(bad.parse::<FilePosition>().is_err(), "{bad}");
        }
        for bad in ["1:7:8:-:512:257:00abcdef:0", "1:7:8:-:512:256:00abcdef:cut513", "1:7:8:-:512:256:00abcdef:x"] {
            assert!(bad.parse::<FilePosition>().is_err(), "{bad}");
        }
    }
}
