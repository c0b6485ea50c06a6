//! Why there is nothing to read under a path.

use std::fmt;
use std::io;

use crate::fs::Kind;

/// Why there is nothing to read under a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    Missing,
    NotAFile(Kind),
    Output,
    SameFile,
    Old,
    Unreadable(io::ErrorKind),
}

impl Trouble {
    /// What is wrong with a file of this kind as an input.
    pub(super) fn of(kind: Kind) -> Option<Self> {
        (kind != Kind::File).then_some(Self::NotAFile(kind))
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("no such file"),
            Self::NotAFile(Kind::Dir) => f.write_str("a directory, not a file; give a pattern, such as DIR/*.log"),
            Self::NotAFile(Kind::Fifo) => f.write_str("a named pipe; it is read only when it is named as an input"),
            Self::NotAFile(Kind::Socket) => f.write_str("a socket; only regular files are followed"),
            Self::NotAFile(_) => f.write_str("a device; only regular files are followed"),
            Self::Output => f.write_str("written by this program itself, not an input"),
            Self::Old => f.write_str("not changed for long, set aside until it grows"),
            Self::SameFile => f.write_str("another name of a file that is followed"),
            Self::Unreadable(kind) => write!(f, "cannot be opened: {kind}"),
        }
    }
}
