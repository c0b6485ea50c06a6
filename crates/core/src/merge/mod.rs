//! A merge as a whole: its settings, its start, its handle, and its end.

mod builder;
mod error;
mod handle;
mod launch;
mod readers;

pub use builder::{Builder, FoundInput};
pub use error::{Closed, FollowError, MergeError, StartError};
pub use handle::Merge;
pub(crate) use launch::{TailParts, tail_on};
pub(crate) use readers::Readers;
