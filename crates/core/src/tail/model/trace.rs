//! Which content an extent came from, by what was read in the same call.

use std::path::PathBuf;
use std::sync::Arc;

use super::disk::{Disk, Epoch};
use super::oracle::Oracle;
use super::render;
use crate::batch::Extent;

/// Bytes read in one call: path, content, from, to; and whether the file was asked for its size right after, as
/// is done when the bytes are not what was to be there.
pub(super) type ReadLog = Vec<(PathBuf, usize, u64, u64, bool)>;

impl Oracle {
    /// Traces an extent to the content it came from.
    pub(super) fn trace(&mut self, extent: &Extent, bytes: &[u8], reads: &ReadLog, disk: &Disk) -> Option<usize> {
        let (start, end) = (extent.start, extent.start + extent.len_in);
        let key = (Arc::as_ptr(&extent.source) as usize, extent.generation);
        let known = self.generations.get(&key).copied();
        if let Some(epoch) = known.filter(|epoch| self.fits(*epoch, extent, bytes, disk)) {
            return Some(epoch);
        }
        let mut found: Vec<usize> = Vec::new();
        // A file that was closed may have been found again by its inode's number, under another path.
        for (exact, sure) in [(true, true), (true, false), (false, false)] {
            for (path, epoch, _, _, doubted) in reads {
                if exact && path != extent.source.path() || sure && *doubted && self.setup.keeps {
                    continue;
                }
                let mut at = start;
                while let Some(read) = reads.iter().find(|read| read.1 == *epoch && read.2 <= at && at < read.3) {
                    at = read.3;
                }
                if at >= end && self.tracks[*epoch].frontier <= start {
                    found.push(*epoch);
                }
            }
        }
        // Copies have the same bytes: those that go on where they were left come first, then those read under the
        // path, and of those the one read first. Where the wrong one was taken before, the other is left for now.
        let fits = |epoch: &usize| self.fits(*epoch, extent, bytes, disk);
        let goes_on = |epoch: &usize| self.tracks[*epoch].frontier == start && fits(epoch);
        let twin = || (0..self.tracks.len()).find(|epoch| self.is_copy(*epoch, disk) && goes_on(epoch));
        let epoch = found.iter().copied().find(goes_on).or_else(|| found.iter().copied().find(fits)).or_else(twin);
        let epoch = epoch.or(known).or(found.first().copied())?;
        if self.generations.insert(key, epoch).is_none() {
            self.sources.push(extent.source.clone());
        }
        Some(epoch)
    }

    /// Whether an extent looks as if it came from this content, and was not delivered before.
    fn fits(&self, epoch: usize, extent: &Extent, bytes: &[u8], disk: &Disk) -> bool {
        self.tracks[epoch].frontier <= extent.start
            && render::expect(self, disk, epoch, extent).is_ok_and(|it| it.bytes == bytes)
    }

    /// Whether a content was copied, or is what was copied.
    fn is_copy(&self, epoch: usize, disk: &Disk) -> bool {
        let content = &disk.epochs[epoch];
        let begins = |copy: &&Epoch| copy.copied > 0 && content.bytes.starts_with(&copy.bytes[..copy.copied]);
        disk.epochs.iter().any(|copy| begins(&copy))
    }
}
