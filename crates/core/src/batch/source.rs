//! The inputs of a merge, as its batches name them.

use std::ffi::OsStr;
use std::path::Path;
use std::sync::Arc;

/// One input of a merge: a path, a tailer of the host's, or a line sender.
#[derive(Debug)]
pub struct Source {
    /// Counts the inputs of a merge, in the order of joining.
    number: u64,
    name: Arc<Path>,
}

impl Source {
    pub(crate) fn new(number: u64, name: Arc<Path>) -> Arc<Self> {
        Arc::new(Self { number, name })
    }

    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// Returns the path, or the name that the host gave.
    pub fn name(&self) -> &OsStr {
        self.name.as_os_str()
    }

    /// Returns the name as a path.
    pub fn path(&self) -> &Path {
        &self.name
    }
}
