//! Bytes to whole lines: what happens to a line that is too long, and how a line looks in the output.

mod limit;
mod render;

pub use limit::LongLines;
pub(crate) use limit::{LineLimit, Piece};
pub use render::{Format, LineFormat, Prefix, Renderer};
