//! Lines: their limit, and their form in the output.

mod escape;
mod limit;
mod render;

pub(crate) use escape::{Escaping, Name};
pub use escape::{escaped, is_escaped};
pub use limit::LongLines;
pub(crate) use limit::{LineLimit, Piece};
pub use render::{Format, LineFormat, Prefix, Renderer};
