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
//! Everything else is documented with the items: [`Builder`] has the settings, [`Merge`] the handle with its
//! threads and its way to an end, [`Tailer`] and [`Writer`] are for inputs and outputs of the host's own,
//! [`tail`] is a tail alone.

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
#[cfg(any(feature = "smol", feature = "async-std"))]
pub fn start_blocking(builder: Builder) -> Result<Merge, StartError> {
    builder.start_on_blocking(backend())
}
