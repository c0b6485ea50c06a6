//! The reasons why a path cannot be read.

use std::fmt;
use std::io;

use crate::fs::{Kind, RefusedLink};

/// The reason why a path cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    Missing,
    NotAFile(Kind),
    Output,
    SameFile,
    Old,
    Link(RefusedLink),
    Unreadable(Said),
}

/// The error of the system. Unlike an `io::Error` it can be compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Said {
    kind: io::ErrorKind,
    code: Option<i32>,
}

impl From<&io::Error> for Said {
    fn from(error: &io::Error) -> Self {
        Self { kind: error.kind(), code: error.raw_os_error() }
    }
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.code {
            Some(code) => io::Error::from_raw_os_error(code).fmt(f),
            None => self.kind.fmt(f),
        }
    }
}

impl Trouble {
    /// Returns the reason why a file of this kind cannot be an input, if it cannot.
    pub(crate) fn of(kind: Kind) -> Option<Self> {
        (kind != Kind::File).then_some(Self::NotAFile(kind))
    }

    /// Makes the reason of a path that cannot be read or opened, or is behind a link that is not followed.
    pub(crate) fn unreadable(error: &io::Error) -> Self {
        RefusedLink::of(error).map_or_else(|| Self::Unreadable(error.into()), Self::Link)
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
            Self::Link(link) => link.fmt(f),
            Self::Unreadable(said) => write!(f, "cannot be opened: {said}"),
        }
    }
}
