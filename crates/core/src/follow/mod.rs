//! Following files: many of them in one job of the blocking pool.

pub(crate) mod context;
pub(crate) mod copies;
pub(crate) mod descriptors;
pub(crate) mod fifo;
pub(crate) mod file;
pub(crate) mod heads;
pub(crate) mod input;
#[cfg(test)]
mod model;
pub(crate) mod pause;
pub(crate) mod registry;
pub(crate) mod remote;
pub(crate) mod shard;
pub(crate) mod sweep;
pub(crate) mod trouble;
