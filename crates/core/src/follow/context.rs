//! The settings and services that everything on the reading side shares.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::discover::pattern::Excludes;
use crate::follow::descriptors::Descriptors;
use crate::follow::fifo::Streams;
use crate::follow::registry::FileRegistry;
use crate::fs::Fs;
use crate::record::format::LineFormat;
use crate::record::limit::LineLimit;
use crate::report::ledger::Ledger;
use crate::sync::stop::Stop;
use crate::watch::ChangeWatch;

/// The place where reading begins in a file that is present at the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum StartAt {
    /// At its first byte.
    #[default]
    Start,
    /// At its end; at the start of its last line if that has no newline yet.
    End,
}

/// What the user has set for reading.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    pub(crate) limit: LineLimit,
    pub(crate) format: LineFormat,
    /// True to stop at the end of what is there.
    pub(crate) once: bool,
    /// True if a later merge goes on where this one ends: a last line without a newline is left to it.
    pub(crate) goes_on: bool,
    /// A rotated file must have been quiet for this long to be closed.
    pub(crate) grace: Duration,
    /// A file that may be a copy of an input is held for this long; zero if copies are not searched for.
    pub(crate) copy_grace: Duration,
    /// The size of a read in bytes.
    pub(crate) chunk: usize,
    /// The capacity of a batch in bytes.
    pub(crate) capacity: usize,
    /// Files that are not watched are polled this often.
    pub(crate) poll_interval: Duration,
    /// A step of a task (a poll of its future) that takes longer is told of.
    pub(crate) stall_limit: Option<Duration>,
    /// A file that has not changed for longer is not read until it does.
    pub(crate) ignore_older: Option<Duration>,
    /// A deleted file that could not be read to its end is kept for this long.
    pub(crate) deleted_max_age: Option<Duration>,
    /// So many bytes of deleted files that could not be read are kept.
    pub(crate) deleted_max_bytes: Option<u64>,
}

/// What all of the reading side shares.
#[derive(Clone, Debug)]
pub(crate) struct ReadContext {
    pub(crate) settings: Settings,
    pub(crate) fs: Arc<dyn Fs>,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) registry: Arc<FileRegistry>,
    pub(crate) excludes: Arc<Excludes>,
    /// Limits the open files. Each shard has its share.
    pub(crate) descriptors: Arc<Descriptors>,
    pub(crate) stop: Arc<Stop>,
    /// Takes FIFOs at named paths; none if they are refused.
    pub(crate) streams: Option<Streams>,
    /// True once no input joins any more, and nothing is waited for.
    pub(crate) is_ending: bool,
    /// Watches for changes; none if everything is polled.
    pub(crate) watch: Option<Arc<dyn ChangeWatch>>,
}

impl ReadContext {
    /// Returns true if the system notifies changes of the file at a path.
    pub(crate) fn is_watched(&self, path: &Path) -> bool {
        self.watch.as_ref().is_some_and(|watch| watch.is_watched(path))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::follow::descriptors::OpenLimits;
    use crate::record::limit::LongLines;
    use crate::report::event::Observer;

    /// Returns a context in which nothing pauses, and nothing is watched or limited but the length of lines.
    pub(crate) fn context(fs: impl Fs, observer: impl Observer) -> ReadContext {
        let most = usize::MAX;
        ReadContext {
            is_ending: false,
            settings: Settings {
                limit: LineLimit { max: 1024, policy: LongLines::Split },
                format: LineFormat::default(),
                once: false,
                goes_on: false,
                grace: Duration::ZERO,
                copy_grace: Duration::ZERO,
                chunk: 1024,
                capacity: 1024,
                poll_interval: Duration::ZERO,
                stall_limit: None,
                ignore_older: None,
                deleted_max_age: None,
                deleted_max_bytes: None,
            },
            fs: Arc::new(fs),
            ledger: Ledger::new(Box::new(observer)),
            registry: Arc::default(),
            excludes: Arc::default(),
            descriptors: Descriptors::new(OpenLimits { ordinary: most, nameless: most, process: u64::MAX }),
            stop: Arc::new(Stop::new()),
            streams: None,
            watch: None,
        }
    }
}
