//! Which bytes of which input a part of a batch was made from.

use std::sync::Arc;

use crate::batch::position::{FilePosition, Position};
use crate::batch::source::Source;
use crate::fs::FileId;

/// A run of whole lines of one source within a batch, or bytes of the input that were left out between them: holes, and
/// lines that were dropped by the line limit.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Extent {
    /// The input.
    pub source: Arc<Source>,
    /// The file, if the input is one that can be read again; not for a stream, a tailer of the host's or a line sender.
    pub file: Option<FileId>,
    /// The number of the file of that name: 0 for the first, one more after each rotation or truncation.
    pub generation: u32,
    /// The offset of the first byte in the input.
    pub start: u64,
    /// The number of bytes taken from the input.
    pub len_in: u64,
    /// The number of bytes in the batch. It differs from `len_in` where a label, JSON or a newline was added, and is 0
    /// for bytes that were left out.
    pub len_out: u64,
    /// The number of lines.
    pub lines: u64,
    /// The number of records whose lengths are known: those of lines that were rendered.
    pub(super) records: usize,
    /// Where the extent ends in the input: at `start + len_in`.
    pub(crate) end: Position,
}

impl Extent {
    /// Returns the position after the extent, from which a later merge can continue: see
    /// [`Builder::resume`](crate::Builder::resume). Returns none for an input that cannot be read again.
    #[must_use]
    pub fn position(&self) -> Option<FilePosition> {
        self.file.map(|file| FilePosition { file, position: self.end })
    }

    pub(super) fn is_of(&self, source: &Arc<Source>, generation: u32) -> bool {
        Arc::ptr_eq(&self.source, source) && self.generation == generation
    }

    /// Returns true if the input's bytes are in the batch as they are: whatever is made of a line makes it longer.
    pub(crate) fn is_verbatim(&self) -> bool {
        self.len_in == self.len_out
    }

    /// Returns true if the input's bytes are not in the output.
    pub(crate) fn is_left_out(&self) -> bool {
        self.len_out == 0
    }
}
