//! Messages of discovery: what is asked of it, and what it tells the shards.

use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;

use async_channel::Sender;

use crate::discover::pattern::PatternError;
use crate::follow::context::StartAt;
use crate::fs::FileId;

/// Followed paths of the same shard that a path has to do with.
#[derive(Debug)]
pub(crate) struct Related {
    /// One that this one's name extends.
    pub(crate) base: Option<Arc<Path>>,
    /// One that leads to the same name in the same directory, and so to the same file: it comes first.
    pub(crate) alias_of: Option<Arc<Path>>,
    /// A file that was left to the alias, to see whether it takes it.
    pub(crate) left: Option<FileId>,
}

/// What discovery tells a shard.
#[derive(Debug)]
pub(crate) enum Command {
    /// Follow this path.
    Add {
        path: Arc<Path>,
        /// Whether the user named it; otherwise a pattern matched it.
        named: bool,
        start: StartAt,
        /// Whether the first scan found it.
        present: bool,
        /// Followed paths of the same shard that it has to do with. Boxed, since most have none.
        related: Option<Box<Related>>,
    },
    /// No pattern finds it any more: let go of it when it is read to its end.
    Gone(Arc<Path>),
    /// Stop following it, where it stands.
    Remove(Arc<Path>),
}

/// Asked of discovery while it runs. It answers when the shards know.
#[derive(Debug)]
pub(crate) enum Request {
    Follow { input: OsString, reply: Sender<Result<(), PatternError>> },
    Unfollow { input: OsString, reply: Sender<Result<(), PatternError>> },
}
