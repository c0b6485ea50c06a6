//! Bytes to records to bytes: splitting, the line limit, and the form of lines in the output.

mod escape;
mod framer;
mod limit;
mod render;
mod to_batch;

pub(crate) use escape::{Escaping, Name};
pub use escape::{escaped, is_escaped};
pub(crate) use framer::{Framer, LineState, RecordSink};
pub(crate) use limit::LineLimit;
pub use limit::LongLines;
pub use render::{Format, LineFormat, Prefix, Renderer};
pub(crate) use to_batch::ToBatch;
