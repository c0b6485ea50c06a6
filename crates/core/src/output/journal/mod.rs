//! The journal: what a state file holds, so that each line is in the output file exactly once.
//!
//! Before a batch is written, the journal gets a record of where its lines come from and which bytes they are: an
//! *intent*. Then exactly these bytes are appended to the output, so that the output's length tells how much of it was
//! done. After a crash, at whatever moment, the intents are walked along the output: the last whole line there is the
//! last one that was delivered, and its input goes on behind it. `docs/journal.md` describes the file.

pub(crate) mod decode;
pub(crate) mod format;
pub(crate) mod recovery;
pub(crate) mod refusal;
pub(crate) mod start;
pub(crate) mod store;
pub(crate) mod table;
mod wire;

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;
