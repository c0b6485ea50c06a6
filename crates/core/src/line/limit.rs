//! The line limit: cutting a line that is longer than the user allows.

/// What to do with a line whose content is longer than the limit.
///
/// The next line is intact, whatever the choice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LongLines {
    /// Each piece of the length of the limit becomes a line, the rest the last one. No byte is lost.
    #[default]
    Split,
    /// The line is cut at the limit. The rest is a gap.
    Truncate,
    /// The line is left out. All of it is a gap.
    Skip,
}

/// The limit and what to do beyond it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LineLimit {
    /// Most bytes of content, the newline not counted.
    pub(crate) max: usize,
    pub(crate) policy: LongLines,
}

/// What becomes of the head of a line that is known to be over the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    /// The first `max` bytes are a line; the rest is looked at again as if a line began there.
    Line,
    /// The first `max` bytes are a line; what follows, up to the newline, is dropped.
    LastLine,
    /// All of it, the newline included, is dropped.
    Nothing,
}

impl LineLimit {
    pub(crate) fn over(self) -> Piece {
        match self.policy {
            LongLines::Split => Piece::Line,
            LongLines::Truncate => Piece::LastLine,
            LongLines::Skip => Piece::Nothing,
        }
    }
}
