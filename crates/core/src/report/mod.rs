//! Events of a merge while it runs, and the report at its end.

mod event;
mod gap;
mod ledger;
mod rows;
mod snapshot;
mod summary;

pub use event::{Event, Observer};
pub use gap::{Gap, GapReason};
pub(crate) use ledger::Ledger;
pub use snapshot::Snapshot;
pub use summary::{InputReport, Report};
