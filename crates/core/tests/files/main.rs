//! What becomes of files: whole merges on plain threads, whatever happens to their inputs and their output.
//!
//! With `TAILMERGE_FS=memory` in the environment the files are in memory, but for the cases that need what only a system
//! has. With `TAILMERGE_WATCH=poll` they are polled.

mod behind;
mod console;
mod content;
mod copies;
mod cut;
mod descriptors;
mod discover;
mod ends;
mod errors;
mod holes;
mod identity;
mod links;
mod output;
mod pieces;
mod places;
mod reopen;
mod replaced;
mod resume;
mod rotate;
mod sizes;
mod state;
mod stream;

/// What the cases are made with, started on plain threads.
mod kit {
    pub(crate) use tailmerge_conformance::Threads;
    pub(crate) use tailmerge_conformance::kit::*;
    use tailmerge_core::{Builder, Merge};

    #[track_caller]
    pub(crate) fn start(builder: Builder) -> Merge {
        tailmerge_conformance::kit::start(builder, Threads::new())
    }

    #[track_caller]
    pub(crate) fn start_blocking(builder: Builder) -> Merge {
        tailmerge_conformance::kit::start_blocking(builder, Threads::new())
    }

    #[track_caller]
    pub(crate) fn start_again(builder: impl Fn() -> Builder) -> Merge {
        tailmerge_conformance::kit::start_again(builder, &Threads::new())
    }
}
