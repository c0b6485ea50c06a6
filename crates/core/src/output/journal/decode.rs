//! Decodes a journal, whatever its bytes are.
//!
//! A crash may have torn the end of it. The end is torn where no valid record follows on a bad one: it is left out. A bad
//! record with valid ones behind it is damage.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::batch::RecordLen;
use crate::batch::fingerprint::Fingerprint;
use crate::batch::position::{LineState, Position};
use crate::fs::FileId;
use crate::output::journal::format::{
    BORN, Entry, FILE, GONE, HEADER_LEN, Header, INTENT, Intent, IntentExtent, LINE, MAGIC, RECORDS, SNAPSHOT,
    Snapshot, VERSION,
};
use crate::output::journal::wire::{Fields, has_record_behind, record_at};

/// The content of a journal, as far as it is valid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Decoded {
    pub(crate) header: Header,
    pub(crate) snapshot: Snapshot,
    /// Each begins at the length of the output at which the one before ends.
    pub(crate) intents: Vec<Intent<'static>>,
    pub(crate) end: End,
}

/// What comes behind the last valid record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// Nothing.
    Clean,
    /// A part of a record, or zeros.
    Torn,
    /// A bad record at this place, with valid ones behind it.
    Damaged { at: u64 },
}

/// The reason why nothing can be told of a state file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Undecodable {
    /// It is empty.
    Empty,
    /// It does not begin like a state file.
    Foreign,
    /// It is of this later version.
    Newer(u32),
    /// The header or the snapshot is bad; they were on the disk before the file had its name.
    Damaged { at: u64 },
}

/// Decodes the bytes of a state file.
pub(crate) fn decode(bytes: &[u8]) -> Result<Decoded, Undecodable> {
    let header = header(bytes)?;
    let snapshot = record_at(bytes, header.number, HEADER_LEN);
    let snapshot = snapshot.and_then(|(body, next)| Some((snapshot_of(Fields(body))?, next)));
    let (snapshot, mut place) = snapshot.ok_or(Undecodable::Damaged { at: HEADER_LEN as u64 })?;
    let (mut intents, mut entries, mut output_len) = (Vec::new(), snapshot.entries.len(), snapshot.output_len);
    let end = loop {
        if place == bytes.len() {
            break End::Clean;
        }
        let Some((body, next)) = record_at(bytes, header.number, place) else {
            let damaged = has_record_behind(bytes, header.number, place);
            break if damaged { End::Damaged { at: place as u64 } } else { End::Torn };
        };
        // A record that was written like this, but never by this version.
        let intent = intent_of(Fields(body), entries).filter(|intent| intent.output_len == output_len);
        let ends = intent.as_ref().and_then(|intent| end_of(intent, output_len));
        let (Some(intent), Some(end)) = (intent, ends) else { break End::Damaged { at: place as u64 } };
        entries += intent.entries.len();
        output_len = end;
        intents.push(intent);
        place = next;
    };
    Ok(Decoded { header, snapshot, intents, end })
}

fn header(bytes: &[u8]) -> Result<Header, Undecodable> {
    if bytes.is_empty() {
        return Err(Undecodable::Empty);
    }
    if !bytes.starts_with(&MAGIC) {
        return Err(Undecodable::Foreign);
    }
    let damaged = Undecodable::Damaged { at: 0 };
    let mut fields = Fields(&bytes[MAGIC.len()..]);
    let version = fields.sum().ok_or(damaged)?;
    if version > VERSION {
        return Err(Undecodable::Newer(version));
    }
    let header = bytes.first_chunk::<HEADER_LEN>().filter(|_| version == VERSION).ok_or(damaged)?;
    header_of(fields, crc32fast::hash(&header[..HEADER_LEN - 4])).ok_or(damaged)
}

fn header_of(mut fields: Fields<'_>, sum: u32) -> Option<Header> {
    let mut long = || fields.array().map(u64::from_le_bytes);
    let number = long()?;
    let (low, high) = (long()?, long()?);
    let boot_id = Some(u128::from(high) << 64 | u128::from(low)).filter(|id| *id != 0);
    let output = FileId { dev: long()?, ino: long()?, born: Some(long()?).filter(|born| *born != 0) };
    let base = long()?;
    (fields.sum()? == sum).then_some(Header { number, boot_id, output, base })
}

fn snapshot_of(mut fields: Fields<'_>) -> Option<Snapshot> {
    if fields.byte()? != SNAPSHOT {
        return None;
    }
    let output_len = fields.number()?;
    let tail = fingerprint(&mut fields).filter(|tail| tail.len() as u64 <= output_len)?;
    let entries = entries(&mut fields)?;
    fields.is_empty().then_some(Snapshot { output_len, tail, entries })
}

/// `entries`: so many inputs are known before it.
fn intent_of(mut fields: Fields<'_>, known: usize) -> Option<Intent<'static>> {
    if fields.byte()? != INTENT {
        return None;
    }
    let output_len = fields.number()?;
    let entries = entries(&mut fields)?;
    let known = known + entries.len();
    let mut extents = Vec::new();
    for _ in 0..fields.number()? {
        extents.push(extent(&mut fields).filter(|extent| extent.entry < known)?);
    }
    fields.is_empty().then_some(Intent { output_len, entries: Cow::Owned(entries), extents })
}

/// Returns the length of the output after an intent, if there can be such a length.
fn end_of(intent: &Intent<'_>, from: u64) -> Option<u64> {
    intent.extents.iter().try_fold(from, |end, extent| end.checked_add(extent.len_out))
}

fn entries(fields: &mut Fields<'_>) -> Option<Vec<Entry>> {
    // Not by the number of them, which may be wrong: as many as there are bytes for.
    let mut entries = Vec::new();
    for _ in 0..fields.number()? {
        entries.push(entry(fields)?);
    }
    Some(entries)
}

fn entry(fields: &mut Fields<'_>) -> Option<Entry> {
    let len = fields.small()?;
    let path = Path::new(OsStr::from_bytes(fields.take(len)?));
    let flags =
        fields.byte().filter(|flags| flags & !(LINE | FILE | BORN | GONE) == 0 && flags & (FILE | BORN) != BORN)?;
    let mut file = None;
    if flags & FILE != 0 {
        let (dev, ino) = (fields.number()?, fields.number()?);
        let born = if flags & BORN != 0 { Some(fields.number()?) } else { None };
        file = Some(FileId { dev, ino, born });
    }
    let generation = fields.small()?;
    let offset = fields.number()?;
    let position = position(fields, offset, flags & LINE)?;
    Some(Entry { path: path.into(), file, generation, position, is_gone: flags & GONE != 0 })
}

fn extent(fields: &mut Fields<'_>) -> Option<IntentExtent<'static>> {
    let entry = fields.small()?;
    let flags = fields.byte().filter(|flags| flags & !(LINE | RECORDS) == 0)?;
    let (start, len_in, len_out) = (fields.number()?, fields.number()?, fields.number()?);
    let sum = fields.sum()?;
    let end = position(fields, start.checked_add(len_in)?, flags & LINE)?;
    let mut records = Vec::new();
    if flags & RECORDS != 0 {
        for _ in 0..fields.number().filter(|count| *count > 0)? {
            records.push(RecordLen { len_in: fields.small()?, len_out: fields.small()? });
        }
        let total = |len: fn(&RecordLen) -> u32| records.iter().map(|record| u64::from(len(record))).sum::<u64>();
        if (total(|record| record.len_in), total(|record| record.len_out)) != (len_in, len_out) {
            return None;
        }
    }
    Some(IntentExtent { entry, start, len_in, len_out, sum, end, records: Cow::Owned(records) })
}

fn position(fields: &mut Fields<'_>, offset: u64, line: u8) -> Option<Position> {
    let fingerprint = fingerprint(fields).filter(|fingerprint| fingerprint.len() as u64 <= offset)?;
    let line = match line {
        0 => LineState::Start,
        1 => LineState::Long,
        line => {
            let from = fields.number().filter(|from| *from <= offset)?;
            LineState::Dropped { from, whole: line == 3 }
        }
    };
    Some(Position { offset, fingerprint, line })
}

fn fingerprint(fields: &mut Fields<'_>) -> Option<Fingerprint> {
    let len = fields.small()?;
    Fingerprint::from_parts(len, fields.sum()?)
}
