//! What an error of the file system means.

use std::io;

use rustix::io::Errno;

/// Returns true if the error means that there is nothing at a path.
pub(crate) fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// Returns true if the error means that the file is gone, or that its server has forgotten it.
pub(crate) fn is_gone(error: &io::Error) -> bool {
    is_missing(error) || error.kind() == io::ErrorKind::StaleNetworkFileHandle
}

/// Returns true if the process or the system has no descriptors left, or no memory for one.
pub(crate) fn is_shortage(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::MFILE | Errno::NFILE | Errno::NOMEM))
}

/// The error of a process that has no descriptors left.
pub(crate) fn shortage() -> io::Error {
    Errno::MFILE.into()
}
