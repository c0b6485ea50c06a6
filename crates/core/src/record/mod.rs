//! Bytes to records to bytes: splitting, the line limit, and the form of lines in the output. It reads
//! and writes no files.

pub(crate) mod escape;
pub(crate) mod format;
pub(crate) mod framer;
pub(crate) mod limit;
pub(crate) mod to_batch;
