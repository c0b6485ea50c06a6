//! Events of a merge while it runs, and the report at its end.

pub(crate) mod committed;
pub(crate) mod event;
pub(crate) mod events;
pub(crate) mod gap;
pub(crate) mod ledger;
pub(crate) mod rows;
pub(crate) mod snapshot;
pub(crate) mod summary;
