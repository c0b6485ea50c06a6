//! A merge of a few inputs into an output with a journal, and what must be true of them.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use crate::batch::Batch;
use crate::batch::fingerprint::{FINGERPRINT_MAX, Fingerprint};
use crate::batch::position::{LineState, Position};
use crate::batch::source::Source;
use crate::fs::{FileId, Fs};
use crate::output::OwnFiles;
use crate::output::file::{FileWriter, Sharing};
use crate::output::journal::format::Entry;
use crate::output::journal::model::disk::Disk;
use crate::output::journal::start::{Prepared, Started};
use crate::output::journal::store::{Journal, StateFile};
use crate::output::journal::tests::Rng;
use crate::output::partial::{Fate, PartialWrite};
use crate::sync::lock::lock;

const STATE: &str = "state";
const OUTPUT: &str = "output";

/// The content of the output before the first merge.
const BEFORE: &str = "before\n";

/// The inputs, the disk, and how far a merge has come.
pub(super) struct World {
    pub(super) disk: Disk,
    pub(super) rng: Rng,
    inputs: Vec<Input>,
    /// The output when the process was killed.
    killed_at: Option<Vec<u8>>,
    /// True if no merge has begun since power was lost.
    power_lost: bool,
}

struct Input {
    path: PathBuf,
    file: FileId,
    bytes: Vec<u8>,
    offset: usize,
    /// The lines get this.
    label: String,
}

/// No file is an input.
#[derive(Default)]
struct Own(Mutex<Vec<FileId>>);

impl OwnFiles for Own {
    fn add(&self, id: FileId) -> bool {
        lock(&self.0).push(id);
        true
    }

    fn remove(&self, id: FileId) {
        lock(&self.0).retain(|own| *own != id);
    }

    fn add_path(&self, _: &Path) {}
}

impl World {
    pub(super) fn new(seed: u64, trace: bool) -> Self {
        let (disk, mut rng) = (Disk::new(seed, trace), Rng(seed));
        if rng.below(2) == 0 {
            disk.put(Path::new(OUTPUT), BEFORE.as_bytes());
        }
        let inputs = (0..3).map(|number| {
            let mut bytes = Vec::new();
            for line in 0..10 + rng.below(40) {
                // Those that begin with this are left out.
                let comment = if rng.below(6) == 0 { "#" } else { "" };
                let text = "x".repeat(if rng.below(10) == 0 { rng.below(400) } else { rng.below(8) } as usize);
                bytes.extend(format!("{comment}{number} {line} {text}\n").into_bytes());
            }
            let path = PathBuf::from(format!("{number}.log"));
            let label = if number == 2 { "label: ".to_owned() } else { String::new() };
            Input { file: disk.put(&path, &bytes), path, bytes, offset: 0, label }
        });
        let inputs = inputs.collect();
        Self { disk, rng, inputs, killed_at: None, power_lost: false }
    }

    /// Starts the machine or the process again.
    pub(super) fn restart(&mut self, power_lost: bool) {
        self.disk.restart(power_lost);
        self.killed_at = self.disk.read(Path::new(OUTPUT));
        self.power_lost |= power_lost;
    }

    /// Runs a merge from start to end, or to a crash. Returns true if all of the inputs is in the output.
    pub(super) fn run(&mut self) -> io::Result<bool> {
        let (fs, output): (Arc<dyn Fs>, _) = (Arc::new(self.disk.clone()), Path::new(OUTPUT));
        let own_files = Arc::<Own>::default();
        let state = StateFile { fs: fs.clone(), path: STATE.into(), own_files: own_files.clone() };
        let at_path = fs.stat(output).is_ok().then(|| fs.output(output)).transpose()?;
        let prepared = Prepared::read(state, output, at_path.as_deref(), true)?;
        let mut file = at_path.map_or_else(|| fs.output(output), Ok)?;
        let Started { mut journal, left, set_aside } = prepared.apply(&mut *file)?;
        if let Some(before) = self.killed_at.take()
            && !std::mem::take(&mut self.power_lost)
        {
            // No whole line is ever taken back, and nothing is there that nobody knows.
            let whole = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
            assert_eq!((self.disk.read(output).as_deref(), &set_aside), (Some(&before[..whole]), &None));
        }
        journal.intents_max = 200 + self.rng.below(2000);
        self.take_up(&left.into_iter().map(|left| left.entry).collect::<Vec<_>>());
        let len = file.stat()?.size;
        let mut writer = FileWriter::new(file, len, Sharing::Alone);
        let sources: Vec<_> = (1..).zip(&self.inputs).map(|(n, input)| Source::new(n, (*input.path).into())).collect();
        while self.inputs.iter().any(|input| input.offset < input.bytes.len()) {
            let mut batch = Batch::with_capacity(4096);
            for _ in 0..=self.rng.below(3) {
                let number = self.rng.below(3) as usize;
                read(&mut self.inputs[number], &sources[number], &mut batch, &mut self.rng);
            }
            write(&mut journal, &mut writer, &mut batch)?;
            let own = 1 + usize::from(set_aside.is_some());
            assert_eq!(lock(&own_files.0).len(), own, "the journal, and none that was replaced");
        }
        Ok(true)
    }

    /// Goes on where the last merge has ended. All that is behind an input's position is in the output, and nothing else.
    fn take_up(&mut self, entries: &[Entry]) {
        let output = self.disk.read(Path::new(OUTPUT)).expect("it was just opened");
        for input in &mut self.inputs {
            let entry = entries.iter().find(|entry| *entry.path == *input.path);
            let position = entry.map_or(Position::at(0), |entry| entry.position);
            input.offset = position.offset as usize;
            assert_eq!(position, position_at(&input.bytes, input.offset), "of {:?}", input.path);
        }
        self.check(&output);
    }

    fn check(&self, output: &[u8]) {
        let output = String::from_utf8(output.to_vec()).expect("text");
        let mut lines: Vec<_> = output.strip_prefix(BEFORE).unwrap_or(&output).split_inclusive('\n').collect();
        for (number, input) in self.inputs.iter().enumerate() {
            let begin = format!("{}{number} ", input.label);
            let (own, others): (Vec<_>, _) = lines.into_iter().partition(|line| line.starts_with(&begin));
            lines = others;
            assert_eq!(own.concat(), rendered(&input.label, &input.bytes[..input.offset]), "the lines of {number}");
        }
        assert_eq!(lines, [""; 0], "lines of nobody");
    }

    /// Checks the output of a merge that has ended.
    pub(super) fn check_end(&self) {
        self.check(&self.disk.read(Path::new(OUTPUT)).expect("an output"));
        let state = self.disk.read(Path::new(STATE)).expect("a state file");
        assert!(state.len() < 8 * 1024, "{} bytes", state.len());
        assert!(!self.disk.names().iter().any(|name| name.as_os_str() == "state.new"), "{:?}", self.disk.names());
    }
}

fn rendered(label: &str, bytes: &[u8]) -> String {
    let text = String::from_utf8(bytes.to_vec()).expect("text");
    text.split_inclusive('\n').filter(|line| !line.starts_with('#')).map(|line| format!("{label}{line}")).collect()
}

fn position_at(bytes: &[u8], offset: usize) -> Position {
    let window = &bytes[offset.saturating_sub(FINGERPRINT_MAX)..offset];
    let fingerprint = Fingerprint::from_parts(window.len() as u16, crc32fast::hash(window)).expect("a short one");
    Position { offset: offset as u64, fingerprint, line: LineState::Start }
}

/// Reads some lines into a batch, as readers do: only the last of what is read at a time has a fingerprint.
fn read(input: &mut Input, source: &Arc<Source>, batch: &mut Batch, rng: &mut Rng) {
    let start = input.offset;
    batch.set_source(source, Some(input.file), 0);
    for _ in 0..=rng.below(6) {
        let rest = &input.bytes[input.offset..];
        let Some(end) = rest.iter().position(|byte| *byte == b'\n') else { break };
        let (at, line) = (input.offset as u64, &rest[..=end]);
        input.offset += line.len();
        if line.starts_with(b"#") {
            batch.reach(at, Position::at(input.offset as u64));
            continue;
        }
        let out = [input.label.as_bytes(), line].concat();
        if !input.label.is_empty() {
            batch.add_record(line.len() as u64, out.len());
        }
        assert!(batch.push(at, line.len() as u64, &out));
    }
    batch.reach(start as u64, position_at(&input.bytes, input.offset));
}

/// Writes a batch as the writer's loop does.
fn write(journal: &mut Journal, writer: &mut FileWriter, batch: &mut Batch) -> io::Result<()> {
    let again = |failed: &PartialWrite| failed.fate() == Fate::Again;
    while let Err(failed) = journal.intend(batch, writer.file()) {
        if !again(&failed) {
            return Err(failed.error);
        }
    }
    while let Err(failed) = writer.write(batch.bytes()) {
        batch.advance(failed.written);
        if !again(&failed) {
            return Err(failed.error);
        }
    }
    assert_eq!(writer.stat()?.size, journal.output_len());
    Ok(())
}
