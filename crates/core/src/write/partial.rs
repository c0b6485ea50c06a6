//! A write that failed, and what comes of it.

use std::error::Error;
use std::fmt;
use std::io;

/// A write that failed, perhaps half-way.
///
/// Whether it is tried again, the writer says by [`PartialWrite::retry`] or [`PartialWrite::fatal`]. Where it says
/// nothing, the error's kind does: `Interrupted`, `OutOfMemory`, `QuotaExceeded`, `ResourceBusy`, `StorageFull`,
/// `TimedOut` and `WouldBlock` are tried again, `BrokenPipe` means that nobody reads the output any more, which ends the
/// merge quietly, and any other kind is final.
#[derive(Debug)]
pub struct PartialWrite {
    /// Bytes of [`Batch::bytes`](crate::Batch::bytes) that are in the output all the same.
    pub written: usize,
    /// What went wrong.
    pub error: io::Error,
    /// Whether it is tried again; none: its kind says so.
    again: Option<bool>,
}

/// What comes of a write that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is tried again.
    Again,
    /// Nobody reads the output any more.
    Closed,
    /// The merge has failed.
    Final,
}

impl PartialWrite {
    /// A write that failed after so many bytes; the error's kind says whether it is tried again.
    pub fn new(written: usize, error: io::Error) -> Self {
        Self { written, error, again: None }
    }

    /// A write that failed before its first byte; the error's kind says whether it is tried again.
    pub fn none(error: io::Error) -> Self {
        Self::new(0, error)
    }

    /// A write that failed after so many bytes, and is to be tried again whatever the error's kind.
    pub fn retry(written: usize, error: io::Error) -> Self {
        Self { written, error, again: Some(true) }
    }

    /// A write that failed after so many bytes for good, whatever the error's kind.
    pub fn fatal(written: usize, error: io::Error) -> Self {
        Self { written, error, again: Some(false) }
    }

    pub(super) fn fate(&self) -> Fate {
        use io::ErrorKind::{
            BrokenPipe, Interrupted, OutOfMemory, QuotaExceeded, ResourceBusy, StorageFull, TimedOut, WouldBlock,
        };
        match (self.again, self.error.kind()) {
            (Some(true), _) => Fate::Again,
            (Some(false), _) => Fate::Final,
            (None, BrokenPipe) => Fate::Closed,
            (None, Interrupted | OutOfMemory | QuotaExceeded | ResourceBusy | StorageFull | TimedOut | WouldBlock) => {
                Fate::Again
            }
            _ => Fate::Final,
        }
    }
}

impl fmt::Display for PartialWrite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} after {} bytes", self.error, self.written)
    }
}

impl Error for PartialWrite {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.error)
    }
}
