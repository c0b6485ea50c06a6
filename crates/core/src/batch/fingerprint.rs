//! The fingerprint of the bytes before an offset, by which a file's content is recognized.
//!
//! A file's name, inode and length may all stay while its content changes: it is truncated and grows again, or is
//! rewritten in place. The bytes just before the offset show that. Unlike a check of the file's head, they do so from
//! the first byte on, and tell files with the same banner apart. The blind spot is the very same bytes again.

use memchr::memrchr;

/// A fingerprint covers at most so many bytes.
pub(crate) const FINGERPRINT_MAX: usize = 256;

/// The length and check sum (CRC-32) of the bytes before an offset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fingerprint {
    len: u16,
    sum: u32,
}

impl Fingerprint {
    /// Returns the number of bytes that it covers.
    pub(crate) fn len(self) -> usize {
        self.len.into()
    }

    /// Returns the check sum.
    pub(crate) fn sum(self) -> u32 {
        self.sum
    }

    /// Returns the fingerprint of the bytes that it covers and those that follow.
    pub(crate) fn followed_by(self, bytes: &[u8]) -> Self {
        let mut hasher = crc32fast::Hasher::new_with_initial(self.sum);
        hasher.update(bytes);
        Self { len: self.len + bytes.len() as u16, sum: hasher.finalize() }
    }

    /// Returns the fingerprint of these parts, or none if there is no such length.
    pub(crate) fn from_parts(len: u16, sum: u32) -> Option<Self> {
        (usize::from(len) <= FINGERPRINT_MAX).then_some(Self { len, sum })
    }
}

/// The bytes before an offset that a fingerprint covers.
#[derive(Debug)]
pub(crate) struct FingerprintWindow {
    bytes: [u8; FINGERPRINT_MAX],
    len: usize,
}

impl FingerprintWindow {
    pub(crate) fn new(len: usize) -> Self {
        Self { bytes: [0; FINGERPRINT_MAX], len: len.min(FINGERPRINT_MAX) }
    }

    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[..self.len]
    }

    /// Moves past `bytes`, which follow those in the window. Returns the fingerprint at the new offset.
    pub(crate) fn slide(&mut self, bytes: &[u8]) -> Fingerprint {
        let new = &bytes[bytes.len().saturating_sub(FINGERPRINT_MAX)..];
        let kept = self.len.min(FINGERPRINT_MAX - new.len());
        self.bytes.copy_within(self.len - kept..self.len, 0);
        self.bytes[kept..kept + new.len()].copy_from_slice(new);
        self.len = kept + new.len();
        self.check()
    }

    pub(crate) fn check(&self) -> Fingerprint {
        self.check_to(self.len)
    }

    fn check_to(&self, len: usize) -> Fingerprint {
        Fingerprint { len: len as u16, sum: crc32fast::hash(&self.bytes[..len]) }
    }

    /// Returns the starts of the last lines that begin in the window, the last one first.
    pub(crate) fn line_starts(&self) -> [LineStart; 2] {
        let mut end = self.len;
        [(); 2].map(|()| {
            end = memrchr(b'\n', &self.bytes[..end.saturating_sub(1)]).map_or(0, |newline| newline + 1);
            if end < LINE_START_MIN {
                return LineStart::default();
            }
            LineStart { back: (self.len - end) as u16, fingerprint: self.check_to(end) }
        })
    }
}

/// The start of a line of which at least so many bytes before it are known is remembered.
const LINE_START_MIN: usize = 64;

/// The start of a line shortly before an offset.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct LineStart {
    /// The number of bytes from there to the offset; 0 if there is none.
    pub(crate) back: u16,
    pub(crate) fingerprint: Fingerprint,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_holds_the_last_bytes_however_they_came() {
        let bytes: Vec<u8> = (0..2000_u32).map(|n| (n * 7 % 251) as u8).collect();
        for step in [1, 3, 100, 255, 256, 257, 600] {
            let mut window = FingerprintWindow::new(0);
            for (at, piece) in bytes.chunks(step).enumerate() {
                window.slide(piece);
                let end = at * step + piece.len();
                let want = &bytes[end.saturating_sub(FINGERPRINT_MAX)..end];
                assert_eq!(window.bytes_mut(), want);
                let (head, tail) = want.split_at(want.len() / 3);
                assert_eq!(FingerprintWindow::new(0).slide(head).followed_by(tail), window.check());
            }
        }
    }
}
