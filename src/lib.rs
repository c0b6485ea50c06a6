//! Follow many growing log files and merge their whole lines into one output: each input's lines whole, in
//! order, none lost, none twice, while files grow, rotate and vanish. On any executor but tokio.
//!
//! ```no_run
//! # #[cfg(feature = "smol")]
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use std::time::Duration;
//! use tailmerge::{Builder, Smol};
//!
//! smol::block_on(async {
//!     let merge = Builder::new().input("logs/*.log").output("all.log").start_on(Smol::new()).await?;
//!     // … the program does what it does …
//!     let report = merge.stop(Duration::from_secs(10)).await?;
//!     assert!(report.is_complete(), "not all is in the output: {report:?}");
//!     Ok(())
//! })
//! # }
//! # #[cfg(not(feature = "smol"))]
//! # fn main() {}
//! ```
//!
//! # Choosing a backend
//!
//! | feature | adds | |
//! |---|---|---|
//! | `smol` (default) | `Smol` | smol's global executor, or one of the host's own |
//! | `async-std` | `AsyncStd` | async-std, which is no longer maintained |
//!
//! Features only add: with both, both can be used, even at the same time. With none, a program brings its own
//! executor by implementing [`Backend`], four methods. [`start`] uses whichever backend is on.
//!
//! # Where to read on
//!
//! | to | see |
//! |---|---|
//! | say what is merged, and how | [`Builder`] |
//! | look at a running merge, add to it, stop it | [`Merge`], [`Snapshot`] |
//! | write the program's own lines into the output | [`LineSender`] |
//! | know what was delivered, and what was lost | [`Report`], [`Gap`] |
//! | continue where an earlier merge ended | [`Merge::committed`], [`Builder::resume`], [`FilePosition`] |
//! | hear at once what happens | [`Event`], [`Observer`], [`Merge::events`] |
//! | have the lines in the program, without an output | [`Builder::lines_on`], [`Builder::batches_on`], [`tail`] |
//! | use another executor | [`Backend`], and the crate `tailmerge-conformance`, which tries it |
//! | merge what is no file, or write to something else | [`Tailer`], [`Writer`], [`Batch`] |
//! | have files elsewhere than on this machine | [`fs`] |
//! | find what blocks an executor | [`stall`] |
//!
//! The crate [`tailmerge_core`], whose items are all here as well, says how a line gets from a file into the output, and
//! which threads there are. A function that blocks its thread has a section *Blocking* in its docs. Besides these, two
//! things block: dropping a [`Merge`], and a [`LineSender`] as a [`Write`](std::io::Write).
//!
#![doc = include_str!("../docs/limits.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

pub use tailmerge_core::*;

#[cfg(feature = "async-std")]
pub use tailmerge_async_std::AsyncStd;
#[cfg(feature = "smol")]
pub use tailmerge_smol::Smol;

#[cfg(feature = "smol")]
fn backend() -> impl Backend {
    Smol::new()
}

#[cfg(all(feature = "async-std", not(feature = "smol")))]
fn backend() -> impl Backend {
    AsyncStd::new()
}

/// Starts a merge on a backend that is switched on by a cargo feature.
///
/// Where several are, no particular one is promised, since any crate of a program may switch one on;
/// [`Merge::backend`] tells which it is. [`Builder::start_on`] pins it.
///
/// # Errors
///
/// As [`Builder::start_on`].
///
/// # Cancel safety
///
/// As [`Builder::start_on`].
///
/// # Examples
///
/// ```no_run
/// # #[cfg(any(feature = "smol", feature = "async-std"))]
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use tailmerge::Builder;
///
/// let merge = tailmerge::start(Builder::new().input("logs/*.log").output("all.log")).await?;
/// println!("merging on {}", merge.backend());
/// # Ok(())
/// # }
/// ```
#[cfg(any(feature = "smol", feature = "async-std"))]
pub async fn start(builder: Builder) -> Result<Merge, StartError> {
    builder.start_on(backend()).await
}

/// Starts a merge on a backend that is switched on by a cargo feature; see [`start`].
///
/// # Errors
///
/// As [`Builder::start_on`].
///
/// # Blocking
///
/// Waits on this thread until the output is open.
///
/// # Examples
///
/// ```no_run
/// # #[cfg(any(feature = "smol", feature = "async-std"))]
/// # fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use std::time::Duration;
/// use tailmerge::Builder;
///
/// let merge = tailmerge::start_blocking(Builder::new().input("logs/*.log").output("all.log"))?;
/// // … the program does what it does …
/// let report = merge.stop_blocking(Duration::from_secs(10))?;
/// println!("{} lines", report.lines);
/// # Ok(())
/// # }
/// ```
#[cfg(any(feature = "smol", feature = "async-std"))]
pub fn start_blocking(builder: Builder) -> Result<Merge, StartError> {
    builder.start_on_blocking(backend())
}
