//! A merge as a whole: its settings, its start, its handle, and its end. This alone knows both sides, reading and writing.

pub(crate) mod builder;
pub(crate) mod error;
pub(crate) mod merge;
pub(crate) mod readers;
pub(crate) mod start;
pub(crate) mod start_readers;
pub(crate) mod tail;
