//! The line limit.

use memchr::memrchr;

/// The treatment of a line whose content is longer than the limit.
///
/// The next line is intact, whatever the choice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
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

impl LineLimit {
    /// Returns true if a line among `lines` is over the limit.
    pub(crate) fn is_exceeded(self, mut lines: &[u8]) -> bool {
        // What is left cannot be over the limit when it is no longer than that.
        while lines.len() > self.max + 1 {
            match memrchr(b'\n', &lines[..=self.max]) {
                Some(at) => lines = &lines[at + 1..],
                None => return true,
            }
        }
        false
    }
}
