//! The settings and services that everything on the reading side shares.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::follow::descriptors::Descriptors;
use crate::follow::fifo::Streams;
use crate::follow::registry::FileRegistry;
use crate::fs::Fs;
use crate::record::format::LineFormat;
use crate::record::limit::LineLimit;
use crate::report::ledger::Ledger;
use crate::watch::ChangeWatch;

/// Where to begin in a file that is present at the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum StartAt {
    /// At its first byte.
    #[default]
    Start,
    /// At its end; at the start of its last line if that has no newline yet.
    End,
}

/// What everything on the reading side needs to know.
#[derive(Clone, Debug)]
pub(crate) struct TailContext {
    pub(crate) fs: Arc<dyn Fs>,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) registry: Arc<FileRegistry>,
    /// How many files may be open. Each shard has its share.
    pub(crate) descriptors: Arc<Descriptors>,
    pub(crate) limit: LineLimit,
    pub(crate) format: LineFormat,
    /// Stop at the end of what is there.
    pub(crate) once: bool,
    /// How long a rotated file must have been quiet to be let go.
    pub(crate) grace: Duration,
    /// How long a file that may be a copy of an input is held; zero: copies are not looked for.
    pub(crate) copy_grace: Duration,
    /// Bytes read at a time, and about as many go into a batch.
    pub(crate) chunk: usize,
    /// How often files are looked at of whose changes nobody hints.
    pub(crate) poll_interval: Duration,
    /// A file that has not changed for longer is not read until it does.
    pub(crate) ignore_older: Option<Duration>,
    /// How long a deleted file is kept that could not be read to its end.
    pub(crate) deleted_max_age: Option<Duration>,
    /// Most bytes of deleted files that are kept because they could not be read.
    pub(crate) deleted_max_bytes: Option<u64>,
    /// Who reads a FIFO that is found under a named path; none: it is refused.
    pub(crate) streams: Option<Streams>,
    /// Who hints at changes; none: everything is polled.
    pub(crate) watch: Option<Arc<dyn ChangeWatch>>,
}

impl TailContext {
    /// Whether changes of the file at a path will be hinted at.
    pub(crate) fn is_watched(&self, path: &Path) -> bool {
        self.watch.as_ref().is_some_and(|watch| watch.is_watched(path))
    }
}
