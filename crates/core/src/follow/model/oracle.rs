//! What the tailer was asked and what it gave, held against what was on the disk.
//!
//! Each extent is traced to the content it was read from, by the reads of the same call, and compared with
//! it byte by byte; within a content, extents only go forward. That rules out lines twice, fragments, glued
//! lines and foreign ones at the moment they come out. What is missing shows in [`Oracle::check`].

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::batch::Batch;
use crate::batch::extent::Extent;
use crate::batch::source::Source;
use crate::follow::model::disk::Disk;
use crate::follow::model::fs::Note;
use crate::follow::model::render;
use crate::follow::model::schedule::{Setup, UNCAPPED, is_followed};
use crate::follow::model::trace::ReadLog;
use crate::report::gap::GapReason;

/// What went wrong: a word for the kind of it, by which shrinking tells it from others, and the story.
#[derive(Clone, Debug)]
pub(crate) struct Violation {
    pub(crate) kind: &'static str,
    pub(crate) story: String,
}

pub(crate) type Checked = Result<(), Violation>;

pub(crate) fn violation(kind: &'static str, story: String) -> Checked {
    Err(Violation { kind, story })
}

/// What is known of the delivery of one content.
#[derive(Debug, Default)]
pub(crate) struct Track {
    /// Ranges that are delivered, in order.
    pub(crate) done: Vec<(u64, u64)>,
    /// Nothing before is delivered any more.
    pub(crate) frontier: u64,
    /// Where a fragment was ended because its file had gone: a line may begin there.
    pub(crate) cuts: Vec<u64>,
    /// Its length when last asked for by whoever reads it.
    pub(crate) seen: u64,
    /// The same when it was last read: by then it was known to be this content.
    pub(crate) sure: u64,
    /// Whether its reader knew from the first that it is not the content before.
    certain: bool,
    /// How often it was read by whoever follows it.
    pub(crate) reads: usize,
    /// How much of it must be accounted for, once it is known to be cut.
    pub(crate) lost: Option<u64>,
    /// Whether it was seen under the name by which the file is followed.
    pub(crate) named: bool,
    /// Where reading began, if not at the start.
    pub(crate) begin: u64,
    /// Whether it is over and was checked.
    pub(crate) settled: bool,
}

/// What is known of the reader of one file.
#[derive(Debug, Default)]
pub(crate) struct Follow {
    /// The paths under which it was ever followed, the last one last.
    pub(crate) paths: Vec<PathBuf>,
    /// The paths under which it was asked for, opened or not.
    asked: Vec<PathBuf>,
    /// The content that its reader knows of.
    known: Option<usize>,
    /// When it was first there under the path by which it is followed.
    since: u64,
    /// When it joined, counted in notes.
    joined: usize,
    /// When it was last seen under the path by which it is followed.
    there: usize,
}

impl Follow {
    pub(crate) fn owner(&self) -> Option<&Path> {
        self.paths.last().map(PathBuf::as_path)
    }

    /// Notes a path under which it is read without having joined.
    fn add(&mut self, path: &Path) {
        if !self.paths.iter().any(|known| known == path) {
            self.paths.insert(0, path.to_owned());
        }
    }
}

/// Bytes that were given up.
#[derive(Debug)]
pub(crate) struct Lost {
    pub(crate) path: PathBuf,
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) reason: GapReason,
}

/// All that is known.
#[derive(Debug)]
pub(crate) struct Oracle {
    pub(crate) setup: Setup,
    pub(crate) tracks: Vec<Track>,
    pub(crate) follows: Vec<Follow>,
    pub(crate) gaps: Vec<Lost>,
    /// Which content a generation of a source is. The sources are kept so that none takes another's place.
    pub(crate) generations: HashMap<(usize, u32), usize>,
    pub(crate) sources: Vec<Arc<Source>>,
    /// Counts notes.
    clock: usize,
    /// Counts lines that came out.
    pub(crate) lines: u64,
}

impl Oracle {
    pub(crate) fn new(setup: Setup) -> Self {
        Self {
            setup,
            tracks: Vec::new(),
            follows: Vec::new(),
            gaps: Vec::new(),
            generations: HashMap::new(),
            sources: Vec::new(),
            clock: 0,
            lines: 0,
        }
    }

    /// Keeps up with the disk.
    pub(crate) fn grow(&mut self, disk: &Disk) {
        self.tracks.resize_with(disk.epochs.len(), Track::default);
        self.follows.resize_with(disk.inodes.len(), Follow::default);
    }

    /// Takes what one call of the tailer asked and gave. True if anything came of it.
    pub(crate) fn take(&mut self, notes: &[Note], batch: Option<&Batch>, disk: &Disk) -> Result<bool, Violation> {
        self.grow(disk);
        if std::env::var("TAILMERGE_TRACE").is_ok() {
            for note in notes {
                println!("  {note:?}");
            }
            for extent in batch.map(Batch::extents).unwrap_or_default() {
                let (path, end) = (extent.source.path(), extent.start + extent.len_in);
                println!("  => {} {} {}..{end}", path.display(), extent.generation, extent.start);
            }
            println!("--");
        }
        let (reads, joined) = self.take_notes(notes, disk)?;
        let told = self.gaps.len();
        for note in notes {
            if let Note::Gap { path, start, end, reason } = note {
                self.gaps.push(Lost { path: path.clone(), start: *start, end: *end, reason: *reason });
            }
        }
        let mut news = joined || self.gaps.len() > told;
        if let Some(batch) = batch {
            let mut rest = batch.bytes();
            let cut = |extent| {
                let these;
                (these, rest) = rest.split_at((extent as &Extent).len_out.min(rest.len() as u64) as usize);
                (extent, these)
            };
            // What was left out is told as a gap or a hole.
            let extents: Vec<(&Extent, &[u8])> =
                batch.extents().iter().filter(|extent| !extent.is_left_out()).map(cut).collect();
            for ((extent, bytes), aligned) in extents.iter().zip(self.align(&extents, &reads, disk)) {
                self.deliver(extent, aligned, bytes, &reads, disk)?;
                news = true;
            }
        }
        self.gaps[told..].iter().try_for_each(|gap| self.check_gap(gap, disk))?;
        Ok(news)
    }

    /// Takes what was asked of files. Returns what was read of them, and true if one joined.
    fn take_notes(&mut self, notes: &[Note], disk: &Disk) -> Result<(ReadLog, bool), Violation> {
        let mut reads = ReadLog::new();
        let (mut opened, mut joined, mut listed) = (None, false, false);
        for (at, note) in notes.iter().enumerate() {
            self.clock += 1;
            if let (Note::StatOpen { inode, .. }, Some(last)) = (note, reads.last_mut()) {
                last.4 |= last.1 == disk.inodes[*inode].epoch;
            }
            if let Note::Stat { path, inode, .. } = note
                && !self.follows[*inode].asked.contains(path)
            {
                self.follows[*inode].asked.push(path.clone());
            }
            match note {
                Note::Open { path, inode, since } => {
                    // A file that was closed and renamed may be opened again by its new name. Where its number
                    // was given out again and there is no time of birth, that may be another one.
                    let known = self.follows[*inode].owner().is_some() || self.may_take_for_another();
                    if !known && !path.to_str().is_some_and(is_followed) {
                        violation("foreign", format!("{} was opened", path.display()))?;
                    }
                    opened = Some((*inode, *since));
                }
                Note::Joined { path, offset } => {
                    if let Some((inode, since)) = opened {
                        self.join(inode, since, path, *offset, disk);
                        joined = true;
                    }
                }
                // Perhaps asked by another, in search of a file that had this number, or was at this name, before.
                Note::Stat { .. } if listed || matches!(notes.get(at + 1), Some(Note::List)) => {}
                // Nobody reads a file that was let go and now cannot be opened again.
                Note::Stat { inode, .. } if !disk.inodes[*inode].readable && disk.inodes[*inode].readers == 0 => {}
                Note::Stat { path, inode, size } if self.follows[*inode].owner() == Some(path) => {
                    self.tracks[disk.inodes[*inode].epoch].named = true;
                    self.follows[*inode].there = self.clock;
                    self.observe(*inode, *size, disk);
                }
                Note::StatOpen { path, inode, size } if self.follows[*inode].owner() == Some(path) => {
                    self.observe(*inode, *size, disk);
                }
                Note::Read { path, inode, from, to } => {
                    reads.push((path.clone(), disk.inodes[*inode].epoch, *from, *to, false));
                    self.read(path, *inode, *to, disk);
                }
                Note::List => listed = true,
                Note::Stat { .. } | Note::StatOpen { .. } | Note::Gap { .. } => {}
            }
        }
        Ok((reads, joined))
    }

    /// A file was read up to an offset, by the path by which it is followed or another one.
    fn read(&mut self, path: &Path, inode: usize, to: u64, disk: &Disk) {
        self.meet(inode, u64::MAX, disk);
        self.follows[inode].add(path);
        // A read of nothing at the start tells nothing of the content.
        if self.follows[inode].owner().is_none_or(|owner| owner != path) || to == 0 {
            return;
        }
        let track = &mut self.tracks[disk.inodes[inode].epoch];
        // The first read may have been of the check bytes only, to find that they differ.
        if track.reads > 0 {
            track.sure = track.sure.max(track.seen);
        }
        track.reads += 1;
        if track.named {
            track.seen = track.seen.max(to);
        }
    }

    fn join(&mut self, inode: usize, since: u64, path: &Path, offset: u64, disk: &Disk) {
        let follow = &mut self.follows[inode];
        follow.paths.push(path.to_owned());
        (follow.since, follow.joined, follow.there) = (since, self.clock, self.clock);
        self.tracks[disk.inodes[inode].epoch].named = true;
        self.observe(inode, disk.size(inode) as u64, disk);
        let track = &mut self.tracks[disk.inodes[inode].epoch];
        track.certain = true;
        if self.setup.from_end && track.frontier == 0 {
            (track.begin, track.frontier) = (offset, offset);
        }
    }

    /// The reader of a file hears of its size.
    fn observe(&mut self, inode: usize, size: u64, disk: &Disk) {
        self.meet(inode, size, disk);
        let track = &mut self.tracks[disk.inodes[inode].epoch];
        // What is written anew to a file that lost its name is for whoever follows another name of it.
        if track.named {
            track.seen = track.seen.max(size);
        }
    }

    /// The reader of a file meets its content, which perhaps is another one than before. It can tell by the
    /// size, unless it read without asking for that.
    fn meet(&mut self, inode: usize, size: u64, disk: &Disk) {
        let epoch = disk.inodes[inode].epoch;
        let old = self.follows[inode].known.replace(epoch).filter(|old| *old != epoch);
        let Some(track) = old.map(|old| &mut self.tracks[old]) else { return };
        let frontier = track.frontier;
        let shows = size < track.seen.max(frontier);
        let known = if shows && (track.certain || track.reads > 1) { track.seen } else { track.sure };
        track.lost.get_or_insert(known);
        self.tracks[epoch].certain = shows && (frontier == 0 || size < frontier);
    }

    fn deliver(
        &mut self,
        extent: &Extent,
        aligned: Option<usize>,
        bytes: &[u8],
        reads: &ReadLog,
        disk: &Disk,
    ) -> Checked {
        let (start, end) = (extent.start, extent.start + extent.len_in);
        let tell = |what: &str| {
            let text = String::from_utf8_lossy(bytes);
            format!("{what}: bytes {start} to {end} of {}: {text:?}", extent.source.path().display())
        };
        let Some(epoch) = self.trace(extent, aligned, bytes, reads, disk) else {
            return violation("not read", tell("never read, or delivered before"));
        };
        let rendered = match render::expect(self, disk, epoch, extent) {
            Ok(rendered) => rendered,
            Err(reason) => return violation("not a line", tell(&reason)),
        };
        if rendered.bytes != bytes {
            let want = String::from_utf8_lossy(&rendered.bytes).into_owned();
            return violation("other bytes", tell(&format!("{want:?} was to come out")));
        }
        let frontier = self.tracks[epoch].frontier;
        if start < frontier {
            return violation("twice", tell(&format!("delivered up to {frontier} already")));
        }
        self.check_order(extent.source.path(), epoch, disk).map_err(|story| Violation {
            kind: "order",
            story: format!("{story}, which was written before: {}", tell("came out")),
        })?;
        let lines = bytes.iter().filter(|&&byte| byte == b'\n').count() as u64;
        if lines != extent.lines {
            return violation("count", tell(&format!("{} lines counted of {lines}", extent.lines)));
        }
        self.lines += lines;
        self.follows[disk.epochs[epoch].inode].add(extent.source.path());
        let track = &mut self.tracks[epoch];
        track.cuts.extend(rendered.cut);
        track.frontier = end;
        track.done.push((start, end));
        Ok(())
    }

    /// What stood in the earlier file of a name before this one came there is out by now.
    fn check_order(&self, path: &Path, epoch: usize, disk: &Disk) -> Result<(), String> {
        let this = disk.epochs[epoch].inode;
        if self.setup.open_files < UNCAPPED {
            return Ok(());
        }
        for (inode, follow) in self.follows.iter().enumerate() {
            // One that came back under its name follows upon what was there meanwhile.
            if inode == this || follow.owner() != Some(path) || follow.there > self.follows[this].joined {
                continue;
            }
            let epoch = disk.inodes[inode].epoch;
            let track = &self.tracks[epoch];
            let before = self.follows[this].since;
            let ends = disk.epochs[epoch].ends.iter();
            let due = ends.filter(|(end, at)| *at < before && *end <= track.seen).map(|(end, _)| *end).max();
            if let Some(due) = due.filter(|due| *due > track.frontier && *due > disk.epochs[epoch].copied as u64)
                && !self.is_given_up(inode, track.frontier, due - 1, |_| true)
            {
                return Err(format!("bytes {} to {due} of the file before are not out", track.frontier));
            }
        }
        Ok(())
    }

    /// Whether a closed file may be taken for another one, to which its number was given.
    pub(crate) fn may_take_for_another(&self) -> bool {
        self.setup.open_files < UNCAPPED && !self.setup.tells_births()
    }

    /// A gap names bytes that some content of the input had, and that are not delivered.
    fn check_gap(&self, gap: &Lost, disk: &Disk) -> Checked {
        // A closed file that went to another directory is given up, and then perhaps found there; so is one that was
        // never opened, under any other name, where there is no time of birth to know it by.
        let is_unknown = !self.setup.tells_births() && gap.start == 0;
        let may_turn_up = match gap.reason {
            GapReason::Gone => self.setup.open_files < UNCAPPED || is_unknown,
            // The file that got its number is shorter.
            GapReason::Truncated => is_unknown,
            _ => false,
        };
        let fits = self.tracks.iter().zip(&disk.epochs).any(|(track, epoch)| {
            let follow = &self.follows[epoch.inode];
            // What could never be opened is given up, too.
            (follow.paths.contains(&gap.path) || follow.asked.contains(&gap.path))
                && gap.end <= epoch.bytes.len() as u64
                && (may_turn_up || !track.done.iter().any(|done| done.0 < gap.end && gap.start < done.1))
        });
        if fits || self.may_take_for_another() {
            return Ok(());
        }
        violation("gap", format!("{gap:?}, but none such are missing"))
    }

    /// Whether gaps cover these bytes of a file.
    pub(crate) fn is_given_up(&self, inode: usize, start: u64, end: u64, counts: impl Fn(GapReason) -> bool) -> bool {
        let mut at = start;
        let paths = &self.follows[inode].paths;
        while at < end {
            let here = |gap: &&Lost| {
                let is_its = paths.contains(&gap.path) || self.may_take_for_another();
                is_its && gap.start <= at && at < gap.end && counts(gap.reason)
            };
            match self.gaps.iter().filter(here).map(|gap| gap.end).max() {
                Some(next) => at = next,
                None => return false,
            }
        }
        true
    }
}
