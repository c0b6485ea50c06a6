//! What a journal holds, and its bytes.

use std::borrow::Cow;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

use crate::batch::RecordLen;
use crate::batch::fingerprint::Fingerprint;
use crate::batch::position::{LineState, Position};
use crate::fs::FileId;
use crate::output::journal::wire::{put_number, put_record};

/// The first bytes of a state file. The last two show that it was not copied as text.
pub(crate) const MAGIC: [u8; 8] = *b"tailmrg\n";
/// The version of the format.
pub(crate) const VERSION: u32 = 1;
/// The number of bytes of a [`Header`].
pub(crate) const HEADER_LEN: usize = 72;

/// The first byte of a record's body: what it is.
pub(super) const SNAPSHOT: u8 = 1;
pub(super) const INTENT: u8 = 2;

/// In the byte of flags: the two lowest bits are the line state; of an input, whether there is a file, when it was
/// born, and whether it is gone; of an extent, whether the lengths of its records follow.
pub(super) const LINE: u8 = 3;
pub(super) const FILE: u8 = 4;
pub(super) const BORN: u8 = 8;
pub(super) const GONE: u8 = 16;
pub(super) const RECORDS: u8 = 16;

/// What a journal belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// The number of the journal, one more with each that replaces it.
    pub(crate) number: u64,
    /// The start of the machine, since which the journal is written, if that is known.
    pub(crate) boot_id: Option<u128>,
    /// The output.
    pub(crate) output: FileId,
    /// The length that the output had before the first line of this state file.
    pub(crate) base: u64,
}

/// One file of an input, and up to where it is in the output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// The name of the input.
    pub(crate) path: Arc<Path>,
    /// The file; none for an input that cannot be read again.
    pub(crate) file: Option<FileId>,
    /// The number of the file among those of this name.
    pub(crate) generation: u32,
    pub(crate) position: Position,
    /// True if it was not in its directory when the journal was begun.
    pub(crate) is_gone: bool,
}

/// The state at the beginning of a journal: all before it is on the disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Snapshot {
    /// The length of the output.
    pub(crate) output_len: u64,
    /// The fingerprint of the output's last bytes.
    pub(crate) tail: Fingerprint,
    /// In the order in which they were written to, so that the first ones are forgotten first.
    pub(crate) entries: Vec<Entry>,
}

/// A batch that is about to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Intent<'a> {
    /// The length of the output before it.
    pub(crate) output_len: u64,
    /// Inputs that are in no record before. They are numbered on from those of the snapshot and of earlier intents.
    pub(crate) entries: Cow<'a, [Entry]>,
    pub(crate) extents: Vec<IntentExtent<'a>>,
}

/// An extent of the batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct IntentExtent<'a> {
    /// The number of the input.
    pub(crate) entry: usize,
    /// The offset of the first byte in the input.
    pub(crate) start: u64,
    /// The number of bytes of the input, and of the output.
    pub(crate) len_in: u64,
    pub(crate) len_out: u64,
    /// The check sum (CRC-32) of the bytes of the output.
    pub(crate) sum: u32,
    /// The position in the input at the end of the extent.
    pub(crate) end: Position,
    /// The lengths of its records, if they are known; of none that is in the output as it is in the input.
    pub(crate) records: Cow<'a, [RecordLen]>,
}

impl Intent<'_> {
    /// Returns the number of bytes of the batch.
    pub(crate) fn len_out(&self) -> u64 {
        self.extents.iter().map(|extent| extent.len_out).sum()
    }
}

impl Header {
    pub(crate) fn encode(&self) -> [u8; HEADER_LEN] {
        let mut bytes = [0; HEADER_LEN];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
        bytes[12..20].copy_from_slice(&self.number.to_le_bytes());
        bytes[20..36].copy_from_slice(&self.boot_id.unwrap_or(0).to_le_bytes());
        bytes[36..44].copy_from_slice(&self.output.dev.to_le_bytes());
        bytes[44..52].copy_from_slice(&self.output.ino.to_le_bytes());
        bytes[52..60].copy_from_slice(&self.output.born.unwrap_or(0).to_le_bytes());
        bytes[60..68].copy_from_slice(&self.base.to_le_bytes());
        let sum = crc32fast::hash(&bytes[..68]);
        bytes[68..].copy_from_slice(&sum.to_le_bytes());
        bytes
    }

    /// Appends the record of a snapshot, the first behind the header. Returns false if there is no room in a record.
    pub(crate) fn put_snapshot(&self, out: &mut Vec<u8>, snapshot: &Snapshot) -> bool {
        put_record(out, self.number, HEADER_LEN as u64, |out| {
            out.push(SNAPSHOT);
            put_number(out, snapshot.output_len);
            put_fingerprint(out, snapshot.tail);
            put_entries(out, &snapshot.entries);
        })
    }

    /// Appends the record of an intent, which stands at `place` in the journal. Returns false if there is no room in a
    /// record.
    pub(crate) fn put_intent(&self, out: &mut Vec<u8>, place: u64, intent: &Intent<'_>) -> bool {
        put_record(out, self.number, place, |out| {
            out.push(INTENT);
            put_number(out, intent.output_len);
            put_entries(out, &intent.entries);
            put_number(out, intent.extents.len() as u64);
            intent.extents.iter().for_each(|extent| put_extent(out, extent));
        })
    }
}

fn put_entries(out: &mut Vec<u8>, entries: &[Entry]) {
    put_number(out, entries.len() as u64);
    for entry in entries {
        let path = entry.path.as_os_str().as_bytes();
        put_number(out, path.len() as u64);
        out.extend_from_slice(path);
        let born = entry.file.and_then(|file| file.born);
        let file = if entry.file.is_some() { FILE } else { 0 };
        let (born_flag, gone) = (if born.is_some() { BORN } else { 0 }, if entry.is_gone { GONE } else { 0 });
        out.push(line_flags(entry.position.line) | file | born_flag | gone);
        if let Some(file) = entry.file {
            put_number(out, file.dev);
            put_number(out, file.ino);
            born.into_iter().for_each(|born| put_number(out, born));
        }
        put_number(out, entry.generation.into());
        put_number(out, entry.position.offset);
        put_end(out, entry.position);
    }
}

fn put_extent(out: &mut Vec<u8>, extent: &IntentExtent<'_>) {
    put_number(out, extent.entry as u64);
    out.push(line_flags(extent.end.line) | if extent.records.is_empty() { 0 } else { RECORDS });
    put_number(out, extent.start);
    put_number(out, extent.len_in);
    put_number(out, extent.len_out);
    out.extend_from_slice(&extent.sum.to_le_bytes());
    put_end(out, extent.end);
    if !extent.records.is_empty() {
        put_number(out, extent.records.len() as u64);
        for record in &*extent.records {
            put_number(out, record.len_in.into());
            put_number(out, record.len_out.into());
        }
    }
}

fn line_flags(line: LineState) -> u8 {
    match line {
        LineState::Start => 0,
        LineState::Long => 1,
        LineState::Dropped { whole: false, .. } => 2,
        LineState::Dropped { whole: true, .. } => 3,
    }
}

/// Appends what is known of a position besides its offset, and its line state's flags.
fn put_end(out: &mut Vec<u8>, position: Position) {
    put_fingerprint(out, position.fingerprint);
    if let LineState::Dropped { from, .. } = position.line {
        put_number(out, from);
    }
}

fn put_fingerprint(out: &mut Vec<u8>, fingerprint: Fingerprint) {
    put_number(out, fingerprint.len() as u64);
    out.extend_from_slice(&fingerprint.sum().to_le_bytes());
}
