//! The format of a journal.

use std::borrow::Cow;
use std::path::Path;

use crate::batch::RecordLen;
use crate::batch::fingerprint::Fingerprint;
use crate::batch::position::{LineState, Position};
use crate::fs::FileId;
use crate::output::journal::decode::{Decoded, End, Undecodable, decode};
use crate::output::journal::format::{
    Entry, HEADER_LEN, Header, INTENT, Intent, IntentExtent, SNAPSHOT, Snapshot, VERSION,
};
use crate::output::journal::wire::{put_number, put_record};

/// Numbers that look random, the same ones each time.
#[derive(Debug)]
pub(super) struct Rng(pub(super) u64);

impl Rng {
    pub(super) fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }

    /// Often a small one, sometimes the greatest.
    fn number(&mut self) -> u64 {
        match self.below(8) {
            0 => u64::MAX >> self.below(64),
            1 => 1 << self.below(64),
            _ => self.below(100_000),
        }
    }

    fn position(&mut self, offset: u64) -> Position {
        let len = self.below(257).min(offset) as u16;
        let line = match self.below(6) {
            0 => LineState::Long,
            1 => LineState::Dropped { from: offset - self.below(10).min(offset), whole: false },
            2 => LineState::Dropped { from: 0, whole: true },
            _ => LineState::Start,
        };
        Position { offset, fingerprint: Fingerprint::from_parts(len, self.number() as u32).unwrap(), line }
    }

    fn entry(&mut self) -> Entry {
        let name = "/var/log/\u{e4}/a very long name/".repeat(self.below(3) as usize);
        let born = (self.below(2) == 0).then(|| self.number());
        let file = (self.below(5) > 0).then(|| FileId { dev: self.number(), ino: self.number(), born });
        let offset = self.number();
        let generation = self.number() as u32;
        let is_gone = self.below(4) == 0;
        Entry { path: Path::new(&name).into(), file, generation, position: self.position(offset), is_gone }
    }

    fn extent(&mut self, entries: usize) -> IntentExtent<'static> {
        let (start, mut len_in, mut len_out) = (self.below(1 << 40), self.below(1 << 20), self.below(1 << 20));
        let mut records = Vec::new();
        if self.below(2) == 0 {
            let record = |rng: &mut Self| RecordLen { len_in: rng.number() as u32, len_out: rng.number() as u32 };
            records = (0..=self.below(20)).map(|_| record(self)).collect();
            len_in = records.iter().map(|record| u64::from(record.len_in)).sum();
            len_out = records.iter().map(|record| u64::from(record.len_out)).sum();
        }
        let (entry, sum) = (self.below(entries as u64) as usize, self.number() as u32);
        let (end, records) = (self.position(start + len_in), Cow::Owned(records));
        IntentExtent { entry, start, len_in, len_out, sum, end, records }
    }

    fn journal(&mut self, intents: u64) -> Decoded {
        let output =
            FileId { dev: self.number(), ino: self.number(), born: Some(self.number()).filter(|born| *born > 0) };
        let boot_id = Some(u128::from(self.number()) << 64).filter(|id| *id > 0);
        let header = Header { number: self.number(), boot_id, output, base: self.number() };
        let mut output_len = 256 + self.below(1 << 40);
        let tail = self.position(output_len).fingerprint;
        let entries: Vec<_> = (0..1 + self.below(4)).map(|_| self.entry()).collect();
        let mut known = entries.len();
        let snapshot = Snapshot { output_len, tail, entries };
        let mut all = Vec::new();
        for _ in 0..intents {
            let entries: Vec<_> = (0..self.below(3)).map(|_| self.entry()).collect();
            known += entries.len();
            let extents = (0..self.below(5)).map(|_| self.extent(known)).collect();
            let intent = Intent { output_len, entries: Cow::Owned(entries), extents };
            output_len += intent.len_out();
            all.push(intent);
        }
        Decoded { header, snapshot, intents: all, end: End::Clean }
    }
}

/// Returns the bytes of a journal, and where each of its records begins, and where the last one ends.
fn encode(journal: &Decoded) -> (Vec<u8>, Vec<usize>) {
    let mut bytes = journal.header.encode().to_vec();
    assert!(journal.header.put_snapshot(&mut bytes, &journal.snapshot));
    let mut places = vec![HEADER_LEN];
    for intent in &journal.intents {
        places.push(bytes.len());
        let place = bytes.len() as u64;
        assert!(journal.header.put_intent(&mut bytes, place, intent));
    }
    places.push(bytes.len());
    (bytes, places)
}

#[test]
fn what_is_encoded_is_decoded() {
    let mut rng = Rng(1);
    for intents in (0..500).map(|round| round % 7) {
        let journal = rng.journal(intents);
        assert_eq!(decode(&encode(&journal).0).as_ref(), Ok(&journal));
    }
}

/// Whatever part of it a crash leaves, and if it is filled up with zeros.
#[test]
fn each_beginning_of_a_journal_is_an_earlier_state() {
    let mut rng = Rng(2);
    for _ in 0..5 {
        let journal = rng.journal(5);
        let (bytes, places) = encode(&journal);
        for len in 0..=bytes.len() {
            let zeros = [&bytes[..len], &vec![0; bytes.len() - len + 9]].concat();
            for part in [&bytes[..len], &zeros] {
                // Zeros may be what the record has there anyway.
                let whole = places.iter().filter(|place| part.starts_with(&bytes[..**place])).count();
                let Ok(decoded) = decode(part) else {
                    assert!(whole < 2, "{len} bytes");
                    continue;
                };
                let end = if places.contains(&part.len()) { End::Clean } else { End::Torn };
                assert_eq!((decoded.end, &decoded.intents[..]), (end, &journal.intents[..whole - 2]), "{len} bytes");
                assert_eq!((decoded.header, &decoded.snapshot), (journal.header, &journal.snapshot));
            }
        }
    }
}

#[test]
fn each_flipped_bit_is_found() {
    let mut rng = Rng(3);
    for _ in 0..3 {
        let journal = rng.journal(4);
        let (bytes, places) = encode(&journal);
        for bit in 0..8 * bytes.len() {
            let mut bytes = bytes.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let record = places.iter().filter(|place| **place <= bit / 8).count();
            let decoded = decode(&bytes);
            if record < 2 {
                let error = decoded.unwrap_err();
                let at = if record == 0 { 0 } else { HEADER_LEN as u64 };
                let is_known = matches!(error, Undecodable::Foreign | Undecodable::Newer(_));
                assert!(error == Undecodable::Damaged { at } || record == 0 && is_known, "bit {bit}: {error:?}");
                continue;
            }
            // The last record may be one that was torn.
            let at = places[record - 1];
            let end = if record + 1 == places.len() { End::Torn } else { End::Damaged { at: at as u64 } };
            let decoded = decoded.unwrap();
            assert_eq!((decoded.end, &decoded.intents[..]), (end, &journal.intents[..record - 2]), "bit {bit}");
        }
    }
}

#[test]
fn no_bytes_make_it_panic_or_believe_what_was_not_written() {
    let mut rng = Rng(4);
    for _ in 0..10_000 {
        let intents = rng.below(6);
        let journal = rng.journal(intents);
        let (mut bytes, _) = encode(&journal);
        for _ in 0..=rng.below(4) {
            let (at, other) = (rng.below(bytes.len() as u64) as usize, rng.below(bytes.len() as u64) as usize);
            let (from, to) = (at.min(other), at.max(other));
            match rng.below(7) {
                0 => bytes[at] ^= 1 << rng.below(8),
                1 => bytes[at] = rng.below(256) as u8,
                2 => bytes[from..to].fill(0),
                3 => bytes.truncate(at + 1),
                4 => drop(bytes.drain(from..to.min(bytes.len() - 1))),
                5 => bytes.extend_from_within(from..to),
                _ => bytes[from..to].fill_with(|| rng.below(256) as u8),
            }
        }
        if let Ok(decoded) = decode(&bytes) {
            assert_eq!((decoded.header, &decoded.snapshot), (journal.header, &journal.snapshot));
            assert!(journal.intents.starts_with(&decoded.intents));
        }
    }
    for len in 0..2000 {
        let mut bytes = Rng(5).journal(0).header.encode().to_vec();
        bytes.extend((0..len).map(|_| rng.below(256) as u8));
        assert!(decode(&bytes).is_err() && decode(&bytes[HEADER_LEN..]).is_err());
    }
}

/// Check sums that are right do not make what is in a record right.
#[test]
fn a_record_that_says_more_than_it_holds_is_refused() {
    let header = Header { number: 1, boot_id: None, output: FileId::new(1, 2), base: 0 };
    for fields in [vec![u64::MAX], vec![1, u64::MAX], vec![1, 0], vec![0, 0]] {
        let body = |kind: u8| {
            let mut body = vec![kind, 0, 0];
            body.extend(if kind == SNAPSHOT { &[0; 4][..] } else { &[] });
            fields.iter().for_each(|field| put_number(&mut body, *field));
            body
        };
        let mut bytes = header.encode().to_vec();
        assert!(put_record(&mut bytes, 1, HEADER_LEN as u64, |out| out.extend(body(SNAPSHOT))));
        assert_eq!(decode(&bytes), Err(Undecodable::Damaged { at: HEADER_LEN as u64 }), "{fields:?}");

        bytes.truncate(HEADER_LEN);
        let snapshot = Snapshot { output_len: 0, tail: Fingerprint::default(), entries: Vec::new() };
        assert!(header.put_snapshot(&mut bytes, &snapshot));
        let place = bytes.len() as u64;
        assert!(put_record(&mut bytes, 1, place, |out| out.extend(body(INTENT))));
        let decoded = decode(&bytes).unwrap();
        assert_eq!((decoded.end, decoded.intents), (End::Damaged { at: place }, vec![]), "{fields:?}");
    }
}

/// An intent that does not begin where the one before ends was not written by this journal.
#[test]
fn intents_follow_upon_each_other() {
    let mut journal = Rng(6).journal(2);
    journal.intents[1].output_len += 1;
    let (bytes, places) = encode(&journal);
    let decoded = decode(&bytes).unwrap();
    assert_eq!((decoded.end, decoded.intents.len()), (End::Damaged { at: places[2] as u64 }, 1));
}

#[test]
fn what_is_no_state_file_of_this_version_is_told_apart() {
    let mut bytes = encode(&Rng(7).journal(1)).0;
    assert_eq!(decode(b""), Err(Undecodable::Empty));
    for foreign in [&b"a line of a log\n"[..], b"tail", &[0; 4096]] {
        assert_eq!(decode(foreign), Err(Undecodable::Foreign));
    }
    bytes[8] = VERSION as u8 + 1;
    assert_eq!(decode(&bytes), Err(Undecodable::Newer(VERSION + 1)));
    bytes[8] = 0;
    assert_eq!(decode(&bytes), Err(Undecodable::Damaged { at: 0 }));
}

fn fingerprint(bytes: &[u8]) -> Fingerprint {
    Fingerprint::from_parts(bytes.len() as u16, crc32fast::hash(bytes)).unwrap()
}

/// The journal of `docs/journal.md`.
fn example() -> Decoded {
    let boot_id = Some(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef);
    let header = Header { number: 1, boot_id, output: FileId::new(65026, 1187), base: 0 };
    let snapshot = Snapshot { output_len: 0, tail: Fingerprint::default(), entries: Vec::new() };
    let path = Path::new("/var/log/a.log").into();
    let entry =
        Entry { path, file: Some(FileId::new(65026, 1200)), generation: 0, position: Position::at(0), is_gone: false };
    let extent = IntentExtent {
        entry: 0,
        start: 0,
        len_in: 10,
        len_out: 24,
        sum: crc32fast::hash(b"a.log: hello\na.log: you\n"),
        end: Position { fingerprint: fingerprint(b"hello\nyou\n"), ..Position::at(10) },
        records: Cow::Owned(vec![RecordLen { len_in: 6, len_out: 13 }, RecordLen { len_in: 4, len_out: 11 }]),
    };
    let intent = Intent { output_len: 0, entries: Cow::Owned(vec![entry]), extents: vec![extent] };
    Decoded { header, snapshot, intents: vec![intent], end: End::Clean }
}

#[test]
fn the_documented_example_is_what_is_encoded() {
    let doc = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/journal.md");
    let doc = std::fs::read_to_string(doc).unwrap();
    let (_, example_text) = doc.split_once("```text\n").unwrap();
    let mut bytes = Vec::new();
    for line in example_text.lines().take_while(|line| *line != "```") {
        let (place, rest) = line.split_once("  ").unwrap();
        assert_eq!(usize::from_str_radix(place, 16), Ok(bytes.len()), "{line}");
        let hex = rest.split_once("  ").map_or(rest, |(hex, _)| hex);
        bytes.extend(hex.split(' ').map(|byte| u8::from_str_radix(byte, 16).unwrap()));
    }
    assert_eq!(bytes, encode(&example()).0);
    assert_eq!(decode(&bytes), Ok(example()));
}

/// The journal of the golden file: each field has each of its forms.
fn golden() -> Decoded {
    let output = FileId { dev: 2, ino: 300, born: Some(1_700_000_000_000_000_000) };
    let header = Header { number: 7, boot_id: None, output, base: 1000 };
    let position = |offset, line| Position { offset, fingerprint: fingerprint(b"a line\n"), line };
    let entry = |path: &str, file, generation, position| Entry {
        path: Path::new(path).into(),
        file,
        generation,
        position,
        is_gone: false,
    };
    let born = Some(FileId { dev: 2, ino: 301, born: Some(1) });
    let mut entries = vec![
        entry("-", None, 0, Position::at(500)),
        entry("/var/log/a.log", born, 3, position(1 << 40, LineState::Start)),
        entry(
            "/var/log/b.log",
            Some(FileId::new(2, 302)),
            0,
            position(400, LineState::Dropped { from: 300, whole: true }),
        ),
        entry("c.log", Some(FileId::new(2, 303)), 0, position(100, LineState::Long)),
    ];
    entries[3].is_gone = true;
    let snapshot = Snapshot { output_len: 5000, tail: fingerprint(b"the last line\n"), entries };
    let extent = |entry, (start, len_in, len_out), line, records: &[(u32, u32)]| {
        let records = records.iter().map(|&(len_in, len_out)| RecordLen { len_in, len_out });
        let (end, sum) = (position(start + len_in, line), 0x0102_0304);
        IntentExtent { entry, start, len_in, len_out, sum, end, records: records.collect() }
    };
    let cut = LineState::Dropped { from: 500, whole: false };
    let extents = vec![
        extent(1, (1 << 40, 70, 70), LineState::Start, &[]),
        extent(2, (400, 200, 0), cut, &[]),
        extent(4, (0, 10, 40), LineState::Long, &[(4, 20), (6, 20)]),
    ];
    let new = vec![entry("/var/log/a.log", Some(FileId::new(2, 304)), 4, Position::at(0))];
    let intents = vec![
        Intent { output_len: 5000, entries: Cow::Owned(new), extents },
        Intent {
            output_len: 5110,
            entries: Cow::Owned(vec![]),
            extents: vec![extent(0, (500, 3, 3), LineState::Start, &[])],
        },
        Intent { output_len: 5113, entries: Cow::Owned(vec![]), extents: vec![] },
    ];
    Decoded { header, snapshot, intents, end: End::Clean }
}

/// A file that the first version of the format has written. It is never made anew: later versions have to read it.
#[test]
fn the_golden_file_is_read_and_still_written() {
    let file: &[u8] = include_bytes!("golden/version-1");
    assert_eq!(decode(file), Ok(golden()));
    assert_eq!(encode(&golden()).0, file);
}
