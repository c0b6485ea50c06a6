//! The trait of an input, and inputs that are no followed files: standard input and FIFOs, the host's tailers, the host's own
//! lines.

pub(crate) mod host_lines;
pub(crate) mod host_tailers;
pub(crate) mod reader;
pub(crate) mod sender;
pub(crate) mod stream;
pub(crate) mod tailer;
