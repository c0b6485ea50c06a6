//! A gap: bytes of an input that could not be delivered.

use std::fmt;
use std::path::PathBuf;
use std::time::SystemTime;

use crate::record::escape::Name;

/// A range of bytes of an input that is not in the output, and never will be.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Gap {
    /// The input.
    pub input: PathBuf,
    /// Offset of the first byte that is missing.
    pub start: u64,
    /// Offset after the last byte known to be missing. There may have been more that was never seen.
    pub end: u64,
    /// Why.
    pub reason: GapReason,
    /// The time when it was noticed.
    pub time: SystemTime,
}

impl Gap {
    /// Returns how many bytes are known to be missing.
    pub fn bytes(&self) -> u64 {
        self.end - self.start
    }

    /// Returns true if `next` begins where this gap ends, and has the same reason.
    pub(crate) fn is_followed_by(&self, next: &Self) -> bool {
        self.end == next.start && self.reason == next.reason && self.input == next.input
    }
}

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { input, start, end, reason, .. } = self;
        write!(f, "{}: bytes {start} to {end} are not in the output: {reason}", Name::from(&**input))
    }
}

/// Why bytes could not be delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum GapReason {
    /// The file was truncated before they were read.
    Truncated,
    /// The file was overwritten before they were read.
    Overwritten,
    /// The file was deleted, and kept for as long, or with as many bytes, as the user allows.
    Expired,
    /// The file went away before they were read.
    Gone,
    /// The file lost its name, and there were too many such files to keep it open.
    TooManyOpen,
    /// The file could not be opened or read before the end.
    Unreadable,
    /// The file has a hole there, in front of later content, that was not filled.
    Hole,
    /// They are beyond the limit that was set for a line.
    LineLimit,
    /// The output was removed while they were written to it; [`Gap::input`] is the output, and so are the offsets.
    OutputRemoved,
    /// A sender of the host's was dropped with a line that it had begun, while there was no room for it.
    SenderDropped,
    /// A lossy sender of the host's had no room for them: see [`LineSender::lossy`](crate::LineSender::lossy).
    NoRoom,
}

impl fmt::Display for GapReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Truncated => "the file was truncated before they were read",
            Self::Overwritten => "the file was overwritten before they were read",
            Self::Expired => "the file was deleted, and not kept for longer than was allowed",
            Self::Gone => "the file went away before they were read",
            Self::TooManyOpen => "the file lost its name, and there were too many such files to keep it open",
            Self::Unreadable => "the file could not be opened or read before the end",
            Self::Hole => "the file has a hole there that was not filled",
            Self::LineLimit => "the line is longer than the limit",
            Self::OutputRemoved => "the output was removed while they were written to it",
            Self::SenderDropped => "its sender was dropped while there was no room for it",
            Self::NoRoom => "the output is behind, and their sender does not wait",
        })
    }
}
