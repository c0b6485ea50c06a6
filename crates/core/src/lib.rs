#![doc = include_str!("../README.md")]
//!
//! # The way of a line
//!
//! The nouns, in the order in which a line meets them:
//!
//! * A *pattern* or path is an input. Discovery finds its files and deals them out to a few *shards*.
//! * A shard is a [`Tailer`] of many files. It is synchronous: a job on the blocking pool, made by
//!   [`Backend::unblock`], has it fill a [`Batch`], and nothing but whole lines goes in there.
//! * A batch says of its bytes where they came from, in [`Extent`]s. It goes to the writer's queue, which always
//!   has room for it: only so many batches exist, and to read at all takes an empty one. So memory is bounded
//!   and a slow output slows reading.
//! * The [`Writer`] lives on a thread of its own, `tailmerge-writer`. It writes the batch, and gives it back.
//! * A [`Merge`] is the handle of it all, and its [`Report`] the account at the end, with each [`Gap`].
//!
//! # Threads
//!
//! A merge starts the thread `tailmerge-writer` and, while it follows files by notification, `tailmerge-watch`; both
//! are joined when it is stopped. Its few other tasks run on the executor of the [`Backend`] and block nothing there; at
//! most four jobs at a time run on the blocking pool, and three more where files are of a network or of a program. The
//! crate calls [`Backend::block_on`] on the writer's thread and nowhere else.

mod backend;
mod batch;
#[doc(hidden)]
pub mod clock;
mod discover;
mod follow;
pub mod fs;
mod output;
mod own_thread;
mod panic;
mod pipeline;
mod record;
mod report;
mod source;
pub mod stall;
mod sync;
mod watch;

pub use backend::Backend;
pub use batch::Batch;
pub use batch::extent::Extent;
pub use batch::position::{FilePosition, ParsePositionError};
pub use batch::source::Source;
pub use discover::explain::{Explained, Verdict};
pub use discover::pattern::PatternError;
pub use follow::context::StartAt;
pub use fs::{FileId, Links};
pub use output::partial::PartialWrite;
pub use output::{Writer, WriterContext};
pub use pipeline::builder::Builder;
pub use pipeline::builder::guard::FoundInput;
pub use pipeline::error::{Closed, FollowError, MergeError, StartError};
pub use pipeline::merge::Merge;
pub use pipeline::tail::{Batches, Line, Lines, ReadBatch, tail};
pub use record::format::{Format, Prefix};
pub use record::limit::LongLines;
pub use report::event::{Continuation, Event, Observer};
pub use report::events::Events;
pub use report::gap::{Gap, GapReason};
pub use report::snapshot::Snapshot;
pub use report::summary::{InputReport, Report};
pub use source::host_lines::SendError;
pub use source::sender::LineSender;
pub use source::tailer::{Progress, TailError, Tailer};
pub use watch::WatchMode;

/// What tailmerge's own crates use. It changes without notice.
#[doc(hidden)]
pub mod internal {
    pub use crate::record::escape::{escaped, is_escaped};
    pub use crate::record::format::{LineFormat, Renderer};
}
