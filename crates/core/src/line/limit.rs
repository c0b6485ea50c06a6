//! The line limit: cutting a line that is longer than the user allows.

/// The treatment of a line whose content is longer than the limit.
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
    /// The limit in bytes, the newline not counted.
    pub(crate) max: usize,
    pub(crate) policy: LongLines,
}

/// The treatment of the first bytes of a line that is over the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    /// The first `max` bytes are a line; the rest is looked at again as if a line began there.
    Line,
    /// The first `max` bytes are a line; what follows, up to the newline, is dropped.
    LastLine,
    /// They are dropped, and so is the rest of the line with its newline.
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
