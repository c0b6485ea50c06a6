//! The messages to discovery and from it to the shards.

use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;

use async_channel::Sender;

use crate::discover::pattern::PatternError;
use crate::follow::context::StartAt;

/// Followed paths of the same shard that a path is related to.
#[derive(Debug)]
pub(crate) struct Related {
    /// The input whose name this path's name extends: this one may be a copy of it.
    pub(crate) base: Option<Arc<Path>>,
    /// The path that leads to the same name in the same directory, and so to the same file. That one comes first.
    pub(crate) alias_of: Option<Arc<Path>>,
}

/// A message from discovery to a shard.
#[derive(Debug)]
pub(crate) enum Command {
    /// Follow this path.
    Add {
        path: Arc<Path>,
        /// True if the user named it; otherwise a pattern matched it.
        named: bool,
        start: StartAt,
        /// True if the first scan found it.
        present: bool,
        /// Followed paths that it is related to.
        related: Option<Related>,
    },
    /// No input finds this path any more: stop following it once it is read to its end.
    Gone(Arc<Path>),
    /// Stop following this path at once.
    Remove(Arc<Path>),
}

/// A request to discovery. It answers once the shards have the message.
#[derive(Debug)]
pub(crate) enum Request {
    Follow { input: OsString, reply: Sender<Result<(), PatternError>> },
    Unfollow { input: OsString, reply: Sender<Result<(), PatternError>> },
}
