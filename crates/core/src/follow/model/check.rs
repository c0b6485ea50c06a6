//! What must have come out by the time that the tailer has nothing more to do.
//!
//! How many bytes of a content must be accounted for:
//!
//! * All, if it is there now under a name that is followed, and can be read. No gap excuses a missing line
//!   but that of the line limit.
//! * All, if its file lost its names after it was seen under one, while rotated files are kept and not
//!   closed. The same goes for gaps.
//! * What the reader has seen of it, if its file is gone otherwise. Gaps of all kinds count.
//! * What the reader has seen of it, if it was cut, and the reader could tell by the length. If the file had
//!   grown again beyond the offset: only what was seen before it was last read, for of what was seen later
//!   nobody knows whether it was the old content or the new.
//!
//!   The same if the file is gone and may have been closed, where there is no time of birth to tell it from the
//!   next one with its inode number.
//!
//! Whatever else was written may come out or not. Bytes that were copied from another file need not come out
//! a second time.

use std::collections::HashSet;
use std::path::Path;

use crate::follow::model::disk::{Disk, Entry};
use crate::follow::model::oracle::{Checked, Oracle, violation};
use crate::follow::model::schedule::{UNCAPPED, is_followed};
use crate::record::limit::LongLines;
use crate::report::gap::GapReason;

impl Oracle {
    /// Checks every content against what came out.
    pub(crate) fn check(&mut self, disk: &Disk) -> Checked {
        self.grow(disk);
        let live: HashSet<usize> = disk
            .names
            .iter()
            .filter(|(path, entry)| !matches!(entry, Entry::Dir { .. }) && path.to_str().is_some_and(is_followed))
            .filter_map(|(path, _)| disk.find(path).map(|found| found.inode))
            .collect();
        for epoch in 0..disk.epochs.len() {
            if self.tracks[epoch].settled {
                continue;
            }
            let inode = disk.epochs[epoch].inode;
            let (it, follow, track) = (&disk.inodes[inode], &self.follows[inode], &self.tracks[epoch]);
            if !it.readable && self.setup.open_files < UNCAPPED {
                // Closed, perhaps: what became of it is told once it can be opened again.
                continue;
            }
            let all = disk.epochs[epoch].bytes.len() as u64;
            let is_current = it.epoch == epoch;
            let (due, excused) = if is_current && live.contains(&inode) {
                (if it.readable { all } else { 0 }, false)
            } else if is_current && follow.owner().is_some() && track.named && self.keeps_open() {
                (all, false)
            } else if self.may_take_for_another() || self.may_be_old(epoch, disk) {
                (track.lost.unwrap_or(track.sure).min(track.sure), true)
            } else {
                (track.lost.unwrap_or(track.seen), true)
            };
            self.check_content(epoch, due, excused, disk)?;
            self.tracks[epoch].settled = !is_current;
        }
        Ok(())
    }

    /// Whether the reader of a file, closed when it vanished, may have taken this content for the one before.
    fn may_be_old(&self, epoch: usize, disk: &Disk) -> bool {
        let is_first = !disk.epochs[..epoch].iter().any(|old| old.inode == disk.epochs[epoch].inode);
        self.setup.open_files < UNCAPPED && !is_first && self.tracks[epoch].reads <= 1
    }

    fn keeps_open(&self) -> bool {
        self.setup.keeps && self.setup.open_files == UNCAPPED
    }

    /// Checks each line of a content up to `due`.
    fn check_content(&self, epoch: usize, due: u64, excused: bool, disk: &Disk) -> Checked {
        let (content, track) = (&disk.epochs[epoch], &self.tracks[epoch]);
        let first = track.begin.max(content.hole as u64).max(content.copied as u64);
        let drops = self.setup.policy != LongLines::Split;
        let counts = |reason| excused || drops && reason == GapReason::LineLimit;
        let mut start = 0;
        for &(end, _) in content.ends.iter().take_while(|(end, _)| *end <= due) {
            let begin = start.max(first);
            let mut at = begin;
            let ended_by_newline = start + 1 < end;
            start = end;
            for &(from, to) in track.done.iter().filter(|done| done.1 > begin && done.0 < end) {
                self.check_missing(epoch, at, from.min(end), counts, disk)?;
                at = to;
            }
            // The newline of a line that was cut is nobody's.
            let end = if ended_by_newline { end - 1 } else { end };
            self.check_missing(epoch, at, end, counts, disk)?;
        }
        Ok(())
    }

    fn check_missing(
        &self,
        epoch: usize,
        start: u64,
        end: u64,
        counts: impl Fn(GapReason) -> bool,
        disk: &Disk,
    ) -> Checked {
        let inode = disk.epochs[epoch].inode;
        if start >= end || self.is_given_up(inode, start, end, counts) {
            return Ok(());
        }
        let text = String::from_utf8_lossy(&disk.epochs[epoch].bytes[start as usize..end as usize]);
        let owner = self.follows[inode].owner().unwrap_or(Path::new("a file that was never followed"));
        let names: Vec<_> =
            disk.names.keys().filter(|path| disk.find(path).is_some_and(|it| it.inode == inode)).collect();
        violation(
            "lost",
            format!(
                "bytes {start} to {end} of {}, now {names:?}, did not come out: {text:?} (content {epoch}, {:?})",
                owner.display(),
                self.tracks[epoch],
            ),
        )
    }
}
