//! Decides at the start what becomes of the output, and where each input goes on. It changes nothing.
//!
//! The output's bytes are walked along the intents. As long as the machine has not been started anew, writes are there in
//! the order in which they were made: only the last intent can be there in part. After a loss of power, whatever was not
//! synced may be missing, and nothing is believed that has no check sum.

use std::io::{self, IoSliceMut};
use std::ops::Range;

use memchr::memrchr;

use crate::batch::fingerprint::{FINGERPRINT_MAX, Fingerprint, FingerprintWindow};
use crate::batch::position::{LineState, Position};
use crate::fs::{FileId, ReadFile};
use crate::output::journal::decode::{Decoded, End, Undecodable};
use crate::output::journal::format::{Entry, Intent, IntentExtent};
use crate::output::journal::refusal::Refusal;

/// A record of the journal that was torn stands for at most so many bytes of the output.
pub(crate) const BATCH_MAX: u64 = 1024 * 1024;

/// Where power was not lost, the last bytes of the output are compared with their check sums, so many and those of one
/// intent more. All others were there before them.
const VERIFY_MAX: u64 = 1024 * 1024;

const STEP: usize = 64 * 1024;

/// What is there at the start, besides the state file.
#[derive(Debug)]
pub(crate) struct Facts<'a> {
    /// The file at the path of the output, if there is one.
    pub(crate) at_path: Option<&'a dyn ReadFile>,
    /// The file that the state file belongs to, if it has another name in the same directory by now.
    pub(crate) renamed: Option<&'a dyn ReadFile>,
    /// The start of the machine, if it is known.
    pub(crate) boot_id: Option<u128>,
    /// True if what the output holds is to be kept.
    pub(crate) append: bool,
}

/// What to do at the start.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Plan {
    /// Begin a journal, behind so many bytes of the output.
    Begin { base: u64 },
    /// Go on in the output.
    Continue(Recovery),
    /// Finish the output that was renamed, and begin another one behind so many bytes of it.
    Switch { renamed: Recovery, base: u64 },
}

/// The state of the output and of the inputs, as far as the output's bytes confirm it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Recovery {
    /// The output is cut to this length.
    pub(crate) keep: u64,
    /// What is cut off.
    pub(crate) rest: Rest,
    /// The inputs, in the order in which they were written to.
    pub(crate) places: Vec<Place>,
}

/// What the output holds behind the last line that is known to be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rest {
    Nothing,
    /// The beginning of a line, which will be written again.
    Torn,
    /// Bytes of which nothing is known: they are set aside before they are cut off.
    Unknown,
}

/// Where an input goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) entry: Entry,
    /// The last position before the entry's that has a fingerprint, where the entry's own has none, or only one of a few
    /// bytes: it is in the midst of what was read at a time. Its line state is not known either then.
    pub(crate) sure: Option<Position>,
}

/// Decides what to do with a state file, if there is one, and the output.
pub(crate) fn plan(journal: Result<&Decoded, Undecodable>, facts: &Facts<'_>) -> Result<Plan, Refusal> {
    let at_path = facts.at_path.map(ReadFile::stat).transpose()?;
    let base = at_path.map_or(0, |stat| stat.size);
    let journal = match journal {
        Ok(journal) => journal,
        Err(Undecodable::Empty) if base == 0 || facts.append => return Ok(Plan::Begin { base }),
        Err(Undecodable::Empty) => return Err(Refusal::NoState { len: base }),
        Err(Undecodable::Foreign) => return Err(Refusal::Foreign),
        Err(Undecodable::Newer(version)) => return Err(Refusal::Newer { version }),
        Err(Undecodable::Damaged { at }) => return Err(Refusal::Damaged { at }),
    };
    let rebooted = journal.header.boot_id.zip(facts.boot_id).is_some_and(|(then, now)| then != now);
    let is_own = |id: FileId| is_same(journal.header.output, id, rebooted);
    match (facts.at_path, facts.renamed) {
        (Some(output), _) if at_path.is_some_and(|stat| is_own(stat.id)) => {
            recover(journal, output, base, rebooted).map(Plan::Continue)
        }
        (_, Some(_)) if base > 0 && !facts.append => Err(Refusal::NoState { len: base }),
        (_, Some(renamed)) => {
            let renamed = recover(journal, renamed, renamed.stat()?.size, rebooted)?;
            Ok(Plan::Switch { renamed, base })
        }
        (Some(_), None) => Err(Refusal::OtherOutput),
        (None, None) => Err(Refusal::OutputGone),
    }
}

/// Returns true if a file is the output of the journal. Devices may have other numbers after a start of the machine; what
/// the file holds is checked anyway. The time of birth tells nothing: some file systems move it.
pub(crate) fn is_same(journal: FileId, id: FileId, rebooted: bool) -> bool {
    journal.ino == id.ino && (journal.dev == id.dev || rebooted)
}

/// Walks the intents along the output, which has `len` bytes.
fn recover(journal: &Decoded, output: &dyn ReadFile, len: u64, rebooted: bool) -> Result<Recovery, Refusal> {
    if let End::Damaged { at } = journal.end
        && !rebooted
    {
        return Err(Refusal::Damaged { at });
    }
    let snapshot = &journal.snapshot;
    if len < snapshot.output_len {
        return Err(Refusal::Shorter { len, wrote: snapshot.output_len });
    }
    if !holds(output, snapshot.output_len, snapshot.tail)? {
        return Err(Refusal::Edited {
            from: snapshot.output_len - snapshot.tail.len() as u64,
            to: snapshot.output_len,
        });
    }
    let mut walk = Walk::new(journal, output, len, rebooted);
    let mut intents = journal.intents.iter();
    let whole = intents.all(|intent| walk.intent(intent));
    if let Some(failed) = walk.failed {
        return Err(failed);
    }
    if !whole && !rebooted && intents.len() > 0 {
        // The later ones were made when all of this one was there.
        return Err(Refusal::Shorter { len, wrote: journal.intents.last().map_or(len, |last| last.output_len) });
    }
    let surplus = len - walk.keep;
    let rest = match () {
        () if surplus == 0 => Rest::Nothing,
        () if rebooted => Rest::Unknown,
        () if !whole => Rest::Torn,
        () if journal.end == End::Torn && surplus <= BATCH_MAX => Rest::Unknown,
        () => return Err(Refusal::Longer { keep: walk.keep, surplus }),
    };
    Ok(Recovery { keep: walk.keep, rest, places: walk.places() })
}

/// The way along the output.
#[derive(Debug)]
struct Walk<'a> {
    output: &'a dyn ReadFile,
    len: u64,
    rebooted: bool,
    /// So much of the output is explained.
    keep: u64,
    places: Vec<Place>,
    /// The number of the record that wrote to each input last.
    order: Vec<usize>,
    record: usize,
    failed: Option<Refusal>,
}

impl<'a> Walk<'a> {
    fn new(journal: &Decoded, output: &'a dyn ReadFile, len: u64, rebooted: bool) -> Self {
        let places: Vec<_> = journal.snapshot.entries.iter().cloned().map(Place::at).collect();
        let (keep, order) = (journal.snapshot.output_len, vec![0; places.len()]);
        Self { output, len, rebooted, keep, places, order, record: 0, failed: None }
    }

    /// Walks along an intent. Returns true if all of it is there.
    fn intent(&mut self, intent: &Intent<'_>) -> bool {
        self.record += 1;
        self.places.extend(intent.entries.iter().cloned().map(Place::at));
        self.order.resize(self.places.len(), self.record);
        let end = self.keep + intent.len_out();
        let verify = self.rebooted || end.saturating_add(VERIFY_MAX) > self.len;
        intent.extents.iter().all(|extent| match self.extent(extent, verify) {
            Ok(whole) => whole,
            Err(failed) => {
                self.failed = Some(failed);
                false
            }
        })
    }

    /// Walks along an extent. Returns true if all of it is there.
    fn extent(&mut self, extent: &IntentExtent<'_>, verify: bool) -> Result<bool, Refusal> {
        let (from, to) = (self.keep, self.keep + extent.len_out);
        if to <= self.len {
            if verify && sum(self.output, from, to)? != extent.sum {
                return if self.rebooted { Ok(false) } else { Err(Refusal::Edited { from, to }) };
            }
            self.keep = to;
            self.move_to(extent, extent.end, extent.end.is_sure());
            return Ok(true);
        }
        if self.rebooted {
            // A part of it has no check sum.
            return Ok(false);
        }
        let part = Part::of(self.output, from..self.len, extent)?;
        if part.len_out > 0 {
            self.keep += part.len_out;
            self.move_to(
                extent,
                part.end,
                part.end.fingerprint.len() as u64 == part.end.offset.min(FINGERPRINT_MAX as u64),
            );
        }
        Ok(false)
    }

    fn move_to(&mut self, extent: &IntentExtent<'_>, position: Position, is_sure: bool) {
        let Place { entry, sure } = &mut self.places[extent.entry];
        let before = sure.take().unwrap_or(entry.position);
        (entry.position, *sure) = (position, (!is_sure).then_some(before));
        entry.is_gone = false;
        self.order[extent.entry] = self.record;
    }

    /// The inputs, those first that were not written to for longest.
    fn places(self) -> Vec<Place> {
        let mut places: Vec<_> = self.order.into_iter().zip(self.places).collect();
        places.sort_by_key(|(record, _)| *record);
        places.into_iter().map(|(_, place)| place).collect()
    }
}

impl Place {
    fn at(entry: Entry) -> Self {
        Self { entry, sure: None }
    }
}

/// The whole lines of an extent that is there in part.
#[derive(Debug)]
struct Part {
    len_out: u64,
    /// Where it ends in the input.
    end: Position,
}

impl Part {
    /// Finds them among those bytes of the output that are there.
    fn of(output: &dyn ReadFile, there: Range<u64>, extent: &IntentExtent<'_>) -> io::Result<Self> {
        if extent.len_in == extent.len_out {
            let end = last_line_end(output, there.clone())?;
            let len = end - there.start;
            // The same bytes precede the offset in the input.
            let fingerprint = fingerprint(output, end, len)?.unwrap_or_default();
            let end = Position { offset: extent.start + len, fingerprint, line: LineState::Start };
            return Ok(Self { len_out: len, end });
        }
        let (mut len_in, mut len_out) = (0, 0);
        for record in &*extent.records {
            if len_out + u64::from(record.len_out) > there.end - there.start {
                break;
            }
            len_in += u64::from(record.len_in);
            len_out += u64::from(record.len_out);
        }
        Ok(Self { len_out, end: Position::at(extent.start + len_in) })
    }
}

/// Returns where the last whole line of a range ends; its start if there is none.
fn last_line_end(output: &dyn ReadFile, range: Range<u64>) -> io::Result<u64> {
    let (mut end, mut buf) = (range.end, vec![0; STEP]);
    while end > range.start {
        let from = range.start.max(end.saturating_sub(STEP as u64));
        let bytes = &mut buf[..(end - from) as usize];
        read_exact(output, bytes, from)?;
        if let Some(at) = memrchr(b'\n', bytes) {
            return Ok(from + at as u64 + 1);
        }
        end = from;
    }
    Ok(range.start)
}

fn sum(output: &dyn ReadFile, from: u64, to: u64) -> io::Result<u32> {
    let (mut at, mut buf, mut sum) = (from, Vec::new(), crc32fast::Hasher::new());
    while at < to {
        buf.resize((to - at).min(STEP as u64) as usize, 0);
        read_exact(output, &mut buf, at)?;
        sum.update(&buf);
        at += buf.len() as u64;
    }
    Ok(sum.finalize())
}

/// Returns the fingerprint of the bytes before `end`, but of no more than `max`; none if the file ends sooner.
pub(crate) fn fingerprint(file: &dyn ReadFile, end: u64, max: u64) -> io::Result<Option<Fingerprint>> {
    let mut window = FingerprintWindow::new(usize::try_from(end.min(max)).unwrap_or(usize::MAX));
    let from = end - window.bytes_mut().len() as u64;
    match read_exact(file, window.bytes_mut(), from) {
        Ok(()) => Ok(Some(window.check())),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}

/// Returns true if a file has these bytes before an offset.
pub(crate) fn holds(file: &dyn ReadFile, offset: u64, bytes: Fingerprint) -> io::Result<bool> {
    Ok(fingerprint(file, offset, bytes.len() as u64)? == Some(bytes))
}

fn read_exact(file: &dyn ReadFile, mut buf: &mut [u8], mut offset: u64) -> io::Result<()> {
    while !buf.is_empty() {
        match file.read_at(&mut [IoSliceMut::new(buf)], offset) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(len) => (buf, offset) = (&mut buf[len..], offset + len as u64),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
