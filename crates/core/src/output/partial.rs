//! The error of a write.

use std::error::Error;
use std::fmt;
use std::io;

/// A write that failed, perhaps half-way.
///
/// A writer decides by [`PartialWrite::retry`] or [`PartialWrite::fatal`] whether the write is tried again. Otherwise
/// the error's kind decides: `Interrupted`, `OutOfMemory`, `QuotaExceeded`, `ResourceBusy`, `StorageFull`, `TimedOut`
/// and `WouldBlock` are tried again; `BrokenPipe` means that the output's reader is gone, which ends the merge without
/// an error; any other kind is final.
///
/// # Examples
///
/// The error of a connection that the next call of the writer makes anew:
///
/// ```
/// use std::io::{self, ErrorKind};
/// use tailmerge::PartialWrite;
///
/// /// `written` bytes got through before the error.
/// fn failed(written: usize, error: io::Error) -> PartialWrite {
///     match error.kind() {
///         ErrorKind::ConnectionReset => PartialWrite::retry(written, error),
///         _ => PartialWrite::new(written, error),
///     }
/// }
/// ```
#[derive(Debug)]
pub struct PartialWrite {
    /// The number of bytes of [`Batch::bytes`](crate::Batch::bytes) that are in the output all the same.
    pub written: usize,
    /// The cause.
    pub error: io::Error,
    /// Whether the write is tried again; none if the error's kind decides.
    again: Option<bool>,
}

/// The consequence of a failed write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// The write is tried again.
    Again,
    /// The output's reader is gone.
    Closed,
    /// The merge has failed.
    Final,
}

impl PartialWrite {
    /// Makes the error of a write that failed after `written` bytes. Its kind decides whether it is tried again.
    pub fn new(written: usize, error: io::Error) -> Self {
        Self { written, error, again: None }
    }

    /// Makes the error of a write that failed before its first byte. Its kind decides whether it is tried again.
    pub fn none(error: io::Error) -> Self {
        Self::new(0, error)
    }

    /// Makes the error of a write that is to be tried again, whatever its kind.
    pub fn retry(written: usize, error: io::Error) -> Self {
        Self { written, error, again: Some(true) }
    }

    /// Makes the error of a write that failed for good, whatever its kind.
    pub fn fatal(written: usize, error: io::Error) -> Self {
        Self { written, error, again: Some(false) }
    }

    pub(crate) fn fate(&self) -> Fate {
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

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;

    use super::*;

    /// As the docs of [`PartialWrite`] say.
    #[test]
    fn the_kind_of_an_error_decides_unless_the_writer_does() {
        let fate = |kind: ErrorKind| PartialWrite::none(kind.into()).fate();
        for kind in [
            ErrorKind::Interrupted,
            ErrorKind::OutOfMemory,
            ErrorKind::QuotaExceeded,
            ErrorKind::ResourceBusy,
            ErrorKind::StorageFull,
            ErrorKind::TimedOut,
            ErrorKind::WouldBlock,
        ] {
            assert_eq!(fate(kind), Fate::Again, "{kind}");
            assert_eq!(PartialWrite::fatal(0, kind.into()).fate(), Fate::Final, "{kind}");
        }
        for (kind, expected) in [
            (ErrorKind::BrokenPipe, Fate::Closed),
            (ErrorKind::ConnectionReset, Fate::Final),
            (ErrorKind::ConnectionAborted, Fate::Final),
            (ErrorKind::PermissionDenied, Fate::Final),
            (ErrorKind::Other, Fate::Final),
        ] {
            assert_eq!(fate(kind), expected, "{kind}");
            assert_eq!(PartialWrite::retry(0, kind.into()).fate(), Fate::Again, "{kind}");
        }
    }
}
