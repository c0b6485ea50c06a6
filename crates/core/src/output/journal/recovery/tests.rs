//! Each row of what may be found at the start, over an output in memory.

use std::borrow::Cow;
use std::path::Path;

use super::*;
use crate::batch::RecordLen;
use crate::fs::{Kind, Stat};
use crate::output::journal::format::{Header, Snapshot};

const BOOT: Option<u128> = Some(1);
const REBOOTED: Option<u128> = Some(2);
const OUTPUT: FileId = FileId { dev: 1, ino: 10, born: None };

/// An output in memory.
#[derive(Clone, Debug)]
struct Output(FileId, Vec<u8>);

impl ReadFile for Output {
    fn stat(&self) -> io::Result<Stat> {
        Ok(Stat::new(self.0, Kind::File, self.1.len() as u64))
    }

    /// Gives half of what is asked for.
    fn read_at(&self, bufs: &mut [IoSliceMut<'_>], offset: u64) -> io::Result<usize> {
        let rest = &self.1[self.1.len().min(offset as usize)..];
        let len = rest.len().min(bufs[0].len().div_ceil(2));
        bufs[0][..len].copy_from_slice(&rest[..len]);
        Ok(len)
    }
}

/// A journal, and all that was written by it.
#[derive(Clone, Debug)]
struct Made {
    journal: Decoded,
    output: Vec<u8>,
    /// The bytes of each input.
    inputs: Vec<Vec<u8>>,
}

/// The lines of an input: as they are; with a label, whose record lengths are known; or left out.
#[derive(Clone, Copy, Debug)]
enum Form {
    Plain,
    Labelled,
    LeftOut,
}

impl Made {
    /// The journal of an output that held a line before.
    fn new() -> Self {
        let header = Header { number: 1, boot_id: BOOT, output: OUTPUT, base: 6 };
        let tail = fingerprint_of(b"first\n");
        let snapshot = Snapshot { output_len: 6, tail, entries: vec![entry(0), entry(1)] };
        let journal = Decoded { header, snapshot, intents: Vec::new(), end: End::Clean };
        Self { journal, output: b"first\n".to_vec(), inputs: vec![Vec::new(); 2] }
    }

    /// Adds a batch.
    fn batch(mut self, parts: &[(usize, Form, &str)]) -> Self {
        let (output_len, mut new, mut extents) = (self.output.len() as u64, Vec::new(), Vec::new());
        for &(input, form, text) in parts {
            if input == self.inputs.len() {
                new.push(entry(input));
                self.inputs.push(Vec::new());
            }
            let start = self.inputs[input].len() as u64;
            self.inputs[input].extend(text.bytes());
            let (mut out, mut records) = (String::new(), Vec::new());
            for line in text.split_inclusive('\n') {
                match form {
                    Form::Plain => out += line,
                    Form::LeftOut => {}
                    Form::Labelled => {
                        records.push(RecordLen { len_in: line.len() as u32, len_out: line.len() as u32 + 3 });
                        out += &format!("{input}: {line}");
                    }
                }
            }
            let (end, records) = (position(&self.inputs[input]), Cow::Owned(records));
            let (len_in, len_out, sum) = (text.len() as u64, out.len() as u64, crc32fast::hash(out.as_bytes()));
            extents.push(IntentExtent { entry: input, start, len_in, len_out, sum, end, records });
            self.output.extend(out.bytes());
        }
        self.journal.intents.push(Intent { output_len, entries: Cow::Owned(new), extents });
        self
    }

    fn with_end(mut self, end: End) -> Self {
        self.journal.end = end;
        self
    }

    /// Plans with so many bytes of the output.
    fn cut(&self, len: usize, boot_id: Option<u128>) -> Result<Plan, Refusal> {
        self.with_output(&self.output[..len], boot_id)
    }

    fn with_output(&self, output: &[u8], boot_id: Option<u128>) -> Result<Plan, Refusal> {
        let output = Output(OUTPUT, output.to_vec());
        let plan_if = |append| {
            let facts = Facts { at_path: Some(&output), renamed: None, boot_id, append };
            plan(Ok(&self.journal), &facts)
        };
        let plan = plan_if(false);
        assert_eq!(format!("{plan:?}"), format!("{:?}", plan_if(true)), "the journal tells what is kept");
        plan
    }

    /// Recovers with so many bytes of the output.
    fn recovered(&self, len: usize, boot_id: Option<u128>) -> (u64, Rest, Vec<u64>) {
        let output = &self.output[..len];
        let Plan::Continue(recovery) = self.with_output(output, boot_id).unwrap() else { panic!("it goes on") };
        self.check(&recovery);
        let mut offsets: Vec<_> =
            recovery.places.iter().map(|place| (&place.entry.path, place.entry.position)).collect();
        offsets.sort_by_key(|(path, _)| *path);
        (recovery.keep, recovery.rest, offsets.iter().map(|(_, position)| position.offset).collect())
    }

    /// What is kept ends in a whole line, and what is known of the inputs is true.
    fn check(&self, recovery: &Recovery) {
        let kept = &self.output[..recovery.keep as usize];
        assert_eq!(kept.last(), Some(&b'\n'));
        for Place { entry, sure } in &recovery.places {
            let input = &self.inputs[entry.path.to_str().unwrap().parse::<usize>().unwrap()];
            let offset = entry.position.offset as usize;
            let print = entry.position.fingerprint;
            assert_eq!(print, fingerprint_of(&input[offset - print.len()..offset]), "{recovery:?}");
            assert!(offset == 0 || input[offset - 1] == b'\n');
            assert!(sure.is_some() || print.len() == offset.min(FINGERPRINT_MAX), "{entry:?}");
            if let Some(sure) = sure {
                assert!(sure.offset < entry.position.offset);
                assert_eq!(*sure, position(&input[..sure.offset as usize]));
            }
        }
    }
}

fn fingerprint_of(bytes: &[u8]) -> Fingerprint {
    Fingerprint::from_parts(bytes.len() as u16, crc32fast::hash(bytes)).unwrap()
}

fn position(input: &[u8]) -> Position {
    let fingerprint = fingerprint_of(&input[input.len().saturating_sub(FINGERPRINT_MAX)..]);
    Position { fingerprint, ..Position::at(input.len() as u64) }
}

fn entry(number: usize) -> Entry {
    let file = Some(FileId::new(1, 100 + number as u64));
    Entry {
        path: Path::new(&number.to_string()).into(),
        file,
        generation: 0,
        position: Position::at(0),
        is_gone: false,
    }
}

fn state(journal: Result<&Decoded, Undecodable>, output: Option<&[u8]>, append: bool) -> Result<Plan, Refusal> {
    let output = output.map(|bytes| Output(OUTPUT, bytes.to_vec()));
    let at_path = output.as_ref().map(|output| output as &dyn ReadFile);
    plan(journal, &Facts { at_path, renamed: None, boot_id: BOOT, append })
}

fn two_batches() -> Made {
    let batch = [(0, Form::Plain, "one\ntwo\n"), (1, Form::LeftOut, "skip\n"), (1, Form::Labelled, "a\nbb\nccc\n")];
    Made::new().batch(&batch).batch(&[(2, Form::Plain, "x\nyy\n"), (0, Form::LeftOut, "left out\n")])
}

#[test]
fn no_state_and_no_output_is_a_fresh_start() {
    for (output, append) in [(None, false), (Some(&b""[..]), false), (None, true)] {
        let plan = state(Err(Undecodable::Empty), output, append);
        assert_eq!(plan.unwrap(), Plan::Begin { base: 0 });
    }
}

#[test]
fn no_state_and_an_output_that_holds_something_is_refused_unless_it_is_appended_to() {
    let refusal = state(Err(Undecodable::Empty), Some(b"a line\n"), false).unwrap_err();
    assert!(matches!(refusal, Refusal::NoState { len: 7 }));
    let plan = state(Err(Undecodable::Empty), Some(b"a line\n"), true);
    assert_eq!(plan.unwrap(), Plan::Begin { base: 7 });
}

#[test]
fn a_state_file_that_cannot_be_read_is_refused() {
    for append in [false, true] {
        let refusal = |error| state(Err(error), None, append).unwrap_err();
        assert!(matches!(refusal(Undecodable::Foreign), Refusal::Foreign));
        assert!(matches!(refusal(Undecodable::Newer(2)), Refusal::Newer { version: 2 }));
        assert!(matches!(refusal(Undecodable::Damaged { at: 9 }), Refusal::Damaged { at: 9 }));
    }
    let damaged = two_batches().with_end(End::Damaged { at: 99 });
    let refusal = damaged.cut(damaged.output.len(), BOOT).unwrap_err();
    assert!(matches!(refusal, Refusal::Damaged { at: 99 }), "{refusal:?}");
}

#[test]
fn all_that_is_there_is_kept() {
    let made = two_batches();
    assert_eq!(made.recovered(made.output.len(), BOOT), (made.output.len() as u64, Rest::Nothing, vec![17, 14, 5]));
}

/// The length of the output before the batch: the intent is there, and no byte of the output.
#[test]
fn an_intent_without_output_is_forgotten() {
    let made = two_batches();
    let len = made.journal.intents[1].output_len;
    assert_eq!(made.recovered(len as usize, BOOT), (len, Rest::Nothing, vec![8, 14, 0]));
    let made = Made::new().batch(&[(0, Form::Plain, "one\n")]);
    assert_eq!(made.recovered(6, BOOT), (6, Rest::Nothing, vec![0, 0]));
}

/// Wherever the output ends in the last batch: each input goes on behind its last whole line.
#[test]
fn an_output_that_ends_inside_a_batch_keeps_its_whole_lines() {
    let made = two_batches();
    let first =
        Made { journal: Decoded { intents: made.journal.intents[..1].to_vec(), ..made.journal.clone() }, ..made };
    let outputs = ["", "one\n", "two\n", "1: a\n", "1: bb\n", "1: ccc\n"];
    let offsets = [[0, 0], [4, 0], [8, 5], [8, 7], [8, 10], [8, 14]];
    let mut keep = 6;
    for (line, offsets) in outputs.iter().zip(offsets) {
        keep += line.len();
        let next = outputs[outputs.iter().position(|other| other == line).unwrap() + 1..].first();
        for more in 0..next.map_or(1, |next| next.len()) {
            let rest = if more > 0 { Rest::Torn } else { Rest::Nothing };
            assert_eq!(
                first.recovered(keep + more, BOOT),
                (keep as u64, rest, offsets.to_vec()),
                "{line:?} and {more}"
            );
        }
    }
}

/// Lines of which no lengths are known are all there, or none is.
#[test]
fn a_part_of_lines_of_unknown_length_is_cut() {
    let mut made = Made::new().batch(&[(0, Form::Plain, "x\n"), (1, Form::Labelled, "a\nbb\n")]);
    made.journal.intents[0].extents[1].records = Cow::Owned(Vec::new());
    let len = made.output.len();
    assert_eq!(made.recovered(len - 1, BOOT), (8, Rest::Torn, vec![2, 0]));
    assert_eq!(made.recovered(len, BOOT), (len as u64, Rest::Nothing, vec![2, 5]));
}

/// The fingerprint of a part is that of its end, and where it is short there is the one before.
#[test]
fn a_part_of_long_lines_is_known_by_its_end() {
    let long = format!("{}\n", "x".repeat(300));
    let made = Made::new().batch(&[(0, Form::Plain, "1\n")]).batch(&[(0, Form::Plain, &format!("2\n{long}{long}"))]);
    assert_eq!(made.recovered(6 + 2 + 2 + 10, BOOT), (10, Rest::Torn, vec![4, 0]));
    assert_eq!(made.recovered(made.output.len() - 1, BOOT), (6 + 2 + 2 + 301, Rest::Torn, vec![305, 0]));
}

/// Within what was read at a time no extent but the last has a fingerprint.
#[test]
fn an_input_whose_position_is_not_sure_has_the_last_one_that_is() {
    let mut made = Made::new().batch(&[(0, Form::Plain, "1\n"), (0, Form::LeftOut, "2\n"), (0, Form::Plain, "3\n")]);
    for extent in &mut made.journal.intents[0].extents[..2] {
        extent.end = Position::at(extent.end.offset);
    }
    let made = made.batch(&[(0, Form::Plain, "4\n")]);
    for (len, offset, sure) in [(8, 4, Some(0)), (10, 6, None), (12, 8, None)] {
        let made = Made {
            journal: Decoded { intents: made.journal.intents[..len / 6].to_vec(), ..made.journal.clone() },
            ..made.clone()
        };
        let Plan::Continue(recovery) = made.cut(len, BOOT).unwrap() else { panic!("it goes on") };
        made.check(&recovery);
        let place = recovery.places.last().unwrap();
        assert_eq!((place.entry.position.offset, place.sure.map(|sure| sure.offset)), (offset, sure), "{len}");
    }
}

#[test]
fn a_torn_record_is_ignored_and_at_most_one_batch_is_cut() {
    let made = two_batches().with_end(End::Torn);
    let len = made.output.len();
    assert_eq!(made.recovered(len, BOOT).1, Rest::Nothing);
    let mut longer = made.clone();
    longer.output.resize(len + BATCH_MAX as usize, b'x');
    let recovered = longer.recovered(len + BATCH_MAX as usize, BOOT);
    assert_eq!(recovered, (len as u64, Rest::Unknown, vec![17, 14, 5]));
    longer.output.push(b'x');
    let refusal = longer.cut(longer.output.len(), BOOT).unwrap_err();
    assert!(matches!(refusal, Refusal::Longer { .. }), "{refusal:?}");
}

#[test]
fn another_output_is_refused() {
    let (made, other) = (two_batches(), Output(FileId::new(1, 11), two_batches().output));
    let refusal = |at_path| {
        let facts = Facts { at_path, renamed: None, boot_id: BOOT, append: true };
        plan(Ok(&made.journal), &facts).unwrap_err()
    };
    assert!(matches!(refusal(Some(&other as &dyn ReadFile)), Refusal::OtherOutput));
    assert!(matches!(refusal(None), Refusal::OutputGone));
    let same = |dev, rebooted| is_same(OUTPUT, FileId { dev, born: Some(5), ..OUTPUT }, rebooted);
    assert!(same(1, false) && same(1, true) && same(2, true) && !same(2, false), "devices are numbered at the start");
}

#[test]
fn an_output_that_was_cut_is_refused() {
    let made = two_batches();
    for len in 0..6 {
        for boot_id in [BOOT, REBOOTED] {
            let refusal = made.cut(len, boot_id).unwrap_err();
            assert!(matches!(refusal, Refusal::Shorter { wrote: 6, .. }), "{len}: {refusal:?}");
        }
    }
    // A second batch was begun, so that all of the first one was there.
    let second = made.journal.intents[1].output_len;
    for len in 6..second {
        let refusal = made.cut(len as usize, BOOT).unwrap_err();
        assert!(matches!(refusal, Refusal::Shorter { wrote, .. } if wrote == second), "{len}: {refusal:?}");
    }
}

#[test]
fn an_output_that_was_changed_is_refused() {
    let made = two_batches();
    for at in 0..made.output.len() {
        let mut output = made.output.clone();
        output[at] ^= 1;
        let refusal = made.with_output(&output, BOOT).unwrap_err();
        assert!(matches!(refusal, Refusal::Edited { .. }), "byte {at}: {refusal:?}");
    }
}

#[test]
fn an_output_with_lines_of_others_is_refused() {
    let made = two_batches();
    let output = [&made.output[..], b"y\n"].concat();
    let refusal = made.with_output(&output, BOOT).unwrap_err();
    assert!(matches!(refusal, Refusal::Longer { surplus: 2, .. }), "{refusal:?}");
}

#[test]
fn an_output_that_was_renamed_is_finished_and_another_one_begun() {
    let made = two_batches();
    let len = made.output.len();
    let renamed = Output(OUTPUT, made.output[..len - 1].to_vec());
    let plan_with = |at_path: Option<&Output>, append| {
        let at_path = at_path.map(|output| output as &dyn ReadFile);
        plan(Ok(&made.journal), &Facts { at_path, renamed: Some(&renamed), boot_id: BOOT, append })
    };
    let new = |bytes: &[u8]| Output(FileId::new(1, 11), bytes.to_vec());
    for (at_path, append, base) in [(None, false, 0), (Some(new(b"")), false, 0), (Some(new(b"a\n")), true, 2)] {
        let Plan::Switch { renamed, base: begun } = plan_with(at_path.as_ref(), append).unwrap() else { panic!() };
        made.check(&renamed);
        assert_eq!((renamed.keep, renamed.rest, begun), (len as u64 - 3, Rest::Torn, base));
    }
    let refusal = plan_with(Some(&new(b"a\n")), false).unwrap_err();
    assert!(matches!(refusal, Refusal::NoState { len: 2 }), "{refusal:?}");
}

/// Whatever was not synced may be missing, or be zeros: what has the right check sums stays, all else is set aside.
#[test]
fn after_a_loss_of_power_what_is_verified_is_kept() {
    let made = two_batches();
    let whole = made.output.len();
    // Extents end there.
    let ends = [6, 14, 32, 37];
    let offsets = [[0, 0, 0], [8, 5, 0], [8, 14, 0], [17, 14, 5]];
    assert_eq!(whole, 37);
    for len in 6..=whole {
        let known = ends.iter().filter(|end| **end <= len).count() - 1;
        let rest = if ends[known] == len { Rest::Nothing } else { Rest::Unknown };
        // Inputs of intents that are not reached are not known.
        let offsets: Vec<_> = offsets[known][..if len >= 32 { 3 } else { 2 }].into();
        assert_eq!(made.recovered(len, REBOOTED), (ends[known] as u64, rest, offsets.clone()), "{len} bytes");

        let mut zeros = made.clone();
        zeros.output[len..].fill(0);
        let rest = if ends[known] == whole { Rest::Nothing } else { Rest::Unknown };
        assert_eq!(zeros.recovered(whole, REBOOTED), (ends[known] as u64, rest, offsets), "zeros from {len} on");
    }
    let damaged = two_batches().with_end(End::Damaged { at: 99 });
    assert_eq!(damaged.recovered(whole, REBOOTED).1, Rest::Nothing);
}

/// Of an output that grew by much, only the end is read again; all of it after a loss of power.
#[test]
fn only_the_end_of_a_long_output_is_verified() {
    let line = format!("{}\n", "x".repeat(600 * 1024));
    let mut made = Made::new();
    for _ in 0..4 {
        made = made.batch(&[(0, Form::Plain, &line)]);
    }
    let mut output = made.output.clone();
    output[100] = b'y';
    assert!(made.with_output(&output, BOOT).is_ok());
    let Plan::Continue(recovery) = made.with_output(&output, REBOOTED).unwrap() else { panic!("it goes on") };
    assert_eq!((recovery.keep, recovery.rest), (6, Rest::Unknown));
    let last = output.len() - 100;
    output[last] = b'y';
    assert!(matches!(made.with_output(&output, BOOT), Err(Refusal::Edited { .. })));
}

/// Those that were written to last come last: the first ones are forgotten first.
#[test]
fn inputs_are_in_the_order_in_which_they_were_written_to() {
    let made = Made::new().batch(&[(2, Form::Plain, "x\n")]).batch(&[(0, Form::Plain, "y\n")]);
    let Plan::Continue(recovery) = made.cut(made.output.len(), BOOT).unwrap() else { panic!("it goes on") };
    let names: Vec<_> = recovery.places.iter().map(|place| place.entry.path.to_str().unwrap()).collect();
    assert_eq!(names, ["1", "2", "0"]);
}

#[test]
fn each_refusal_names_the_files_and_the_way_out() {
    let all = [
        Refusal::NoState { len: 1 },
        Refusal::Foreign,
        Refusal::Newer { version: 2 },
        Refusal::Damaged { at: 3 },
        Refusal::OtherOutput,
        Refusal::OutputGone,
        Refusal::Shorter { len: 4, wrote: 5 },
        Refusal::Edited { from: 6, to: 7 },
        Refusal::Longer { keep: 8, surplus: 9 },
    ];
    for refusal in all {
        let message = refusal.message(Path::new("the-state"), Path::new("the-output"));
        assert!(message.contains("the-state"), "{message}");
        let ways = ["move", "choose", "append"];
        assert!(ways.iter().any(|way| message.contains(way)), "{message}");
    }
}
