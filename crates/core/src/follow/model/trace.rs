//! Which content an extent came from, by what was read in the same call.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use crate::batch::extent::Extent;
use crate::follow::model::disk::{Disk, Epoch};
use crate::follow::model::oracle::Oracle;
use crate::follow::model::render;

/// Bytes read in one call: path, content, from, to; and whether the file was asked for its size right after, as
/// is done when the bytes are not what was to be there.
pub(crate) type ReadLog = Vec<(PathBuf, usize, u64, u64, bool)>;

/// What stands for one content.
fn key(extent: &Extent) -> (usize, u32) {
    (Arc::as_ptr(&extent.source) as usize, extent.generation)
}

impl Oracle {
    /// From which content each extent of a batch, with these bytes, seems to be, by the order of the reads. Other reads
    /// than those that made an extent come before them, such as of what a file ends with: so the last ones that fit
    /// are taken, from behind.
    pub(crate) fn align(&self, extents: &[(&Extent, &[u8])], reads: &ReadLog, disk: &Disk) -> Vec<Option<usize>> {
        let mut bound = reads.len();
        let mut taken: HashMap<usize, (usize, u32)> = HashMap::new();
        let mut aligned = vec![None; extents.len()];
        for ((extent, bytes), aligned) in extents.iter().zip(&mut aligned).rev() {
            let (mut at, mut next) = (extent.start + extent.len_in, bound);
            while at > extent.start {
                let made = reads[..next].iter().rposition(|(path, epoch, from, to, doubted)| {
                    // Each generation is a content of its own.
                    let free = taken.get(epoch).is_none_or(|of| *of == key(extent));
                    let same =
                        aligned.map_or_else(|| self.fits(*epoch, extent, bytes, disk), |aligned| aligned == *epoch);
                    path == extent.source.path() && !doubted && *from < at && at <= *to && free && same
                });
                let Some(made) = made else { break };
                (*aligned, at, next) = (Some(reads[made].1), reads[made].2, made);
            }
            *aligned = aligned.filter(|_| at <= extent.start);
            if let Some(epoch) = *aligned {
                taken.insert(epoch, key(extent));
                // One read may have made several.
                bound = (next + 1).min(bound);
            }
        }
        aligned
    }

    /// Traces an extent to the content it came from; `aligned` is the one that it seems to be from.
    pub(crate) fn trace(
        &mut self,
        extent: &Extent,
        aligned: Option<usize>,
        bytes: &[u8],
        reads: &ReadLog,
        disk: &Disk,
    ) -> Option<usize> {
        let (start, end) = (extent.start, extent.start + extent.len_in);
        let key = key(extent);
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
        let alias_of = || (0..self.tracks.len()).find(|epoch| self.is_copy(*epoch, disk) && goes_on(epoch));
        let found_first = |fits: &dyn Fn(&usize) -> bool| found.iter().copied().find(fits);
        let epoch =
            aligned.filter(fits).or_else(|| found_first(&goes_on)).or_else(|| found_first(&fits)).or_else(alias_of);
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
