//! Runs a schedule: does to the disk what its steps say, and gives the tailer its turns.

use std::ffi::OsStr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::batch::Batch;
use crate::batch::position::FilePosition;
use crate::discover::Discovery;
use crate::discover::spec::Spec;
use crate::follow::context::tests::context;
use crate::follow::context::{ReadContext, Settings, StartAt};
use crate::follow::descriptors::{Descriptors, OpenLimits};
use crate::follow::model::disk::{Disk, Entry};
use crate::follow::model::fs::Door;
use crate::follow::model::mirror::Mirror;
use crate::follow::model::oracle::{Checked, Oracle, Violation, violation};
use crate::follow::model::rng::Rng;
use crate::follow::model::schedule::{
    DIRS, FILES, Hints, NAMED, PATTERN, SHARDS, Schedule, Setup, Size, Step, Text, UNCAPPED, WRITERS, is_followed,
};
use crate::follow::shard::{FileShard, Pace};
use crate::fs::FileId;
use crate::record::format::{Format, LineFormat, Prefix};
use crate::record::limit::LineLimit;
use crate::report::committed::one_of_each;
use crate::source::tailer::{Progress, Tailer};
use crate::watch::ChangeWatch;
use crate::watch::mailbox::{Change, Mailbox};

/// Rounds without news after which nothing more is expected.
const QUIET_ROUNDS: usize = 4;
/// Rounds after which the tailer is taken to go on for ever.
const ROUNDS_MAX: usize = 300;
/// Calls of `fill` after which it is taken to do so.
const FILLS_MAX: usize = 3000;
/// Longer than any test.
const LONG: Duration = Duration::from_secs(3600);
/// Letters and digits of a line's number.
const NUMBER: usize = 3;

/// A program that keeps a file open.
#[derive(Clone, Copy, Debug)]
struct Writer {
    inode: usize,
    append: bool,
    at: usize,
}

/// A shard, and what it is given.
struct Reader {
    shard: FileShard,
    batch: Batch,
    mailbox: Arc<Mailbox>,
}

/// Says that changes will be hinted at, of most files that are there.
#[derive(Debug)]
struct Hinting(Door);

impl ChangeWatch for Hinting {
    fn watch_dir(&self, _: &Path, _: FileId) -> bool {
        true
    }

    fn is_watched(&self, path: &Path) -> bool {
        let disk = self.0.disk();
        let leads_nowhere = matches!(disk.names.get(path), Some(Entry::Link { .. })) && disk.find(path).is_none();
        !path.ends_with("b.log") && !leads_nowhere
    }

    fn retain(&self, _: &dyn Fn(&Path) -> bool) {}
}

/// A disk, a tailer, and what is expected of it.
struct World {
    setup: Setup,
    door: Door,
    cx: ReadContext,
    /// None once no file joins any more.
    discovery: Option<Discovery>,
    shards: Vec<Reader>,
    oracle: Oracle,
    writers: [Option<Writer>; WRITERS],
    /// Counts lines that were begun.
    begun: usize,
    /// Says what becomes of hints.
    luck: Rng,
}

/// Runs a schedule to its end. Tells how many lines came out.
pub(crate) fn run(schedule: &Schedule) -> Result<u64, Violation> {
    let mut world = World::new(schedule.setup);
    for step in &schedule.steps {
        world.step(*step)?;
    }
    world.settle()?;
    world.end()
}

impl World {
    fn new(setup: Setup) -> Self {
        let mirror = setup.real.then(|| Mirror::new().expect("a directory of its own"));
        let mut disk = Disk::new(setup.births, setup.block, setup.short_reads, mirror);
        for dir in ["logs", "logs/sub", "out"] {
            disk.make_dir(Path::new(dir));
        }
        let door = Door::new(disk);
        let prefix = if setup.labels { Prefix::Path } else { Prefix::None };
        let unlimited = context(door.clone(), door.clone());
        let cx = ReadContext {
            is_ending: false,
            settings: Settings {
                limit: LineLimit { max: setup.limit, policy: setup.policy },
                format: LineFormat { prefix, format: Format::Raw },
                grace: if setup.keeps { Duration::MAX } else { Duration::ZERO },
                // Lines of a copy that is held are the original's, which this model does not know.
                copy_grace: Duration::ZERO,
                chunk: setup.chunk,
                ..unlimited.settings
            },
            descriptors: Descriptors::new(OpenLimits {
                ordinary: setup.open_files,
                nameless: UNCAPPED,
                process: u64::MAX,
            }),
            watch: (setup.hints != Hints::None).then(|| Arc::new(Hinting(door.clone())) as Arc<dyn ChangeWatch>),
            ..unlimited
        };
        let pace = Pace { poll: Duration::ZERO, sweep: LONG };
        let room = (setup.limit + 1).max(2 * setup.chunk) + setup.room;
        let (mut shards, mut senders) = (Vec::new(), Vec::new());
        for _ in 0..SHARDS {
            let (commands, inbox) = async_channel::unbounded();
            senders.push(commands);
            let mailbox = Arc::<Mailbox>::default();
            let shard = FileShard::new(cx.clone(), inbox, mailbox.clone(), pace);
            shards.push(Reader { shard, batch: Batch::with_capacity(room), mailbox });
        }
        cx.registry.on_free({
            let mailboxes: Vec<_> = shards.iter().map(|reader: &Reader| reader.mailbox.clone()).collect();
            move |path| {
                mailboxes.iter().any(|mailbox| mailbox.hint(path, Change::File));
            }
        });
        let specs = [PATTERN, NAMED].map(|input| Spec::new(OsStr::new(input), &door).expect("a good pattern"));
        let start = if setup.from_end { StartAt::End } else { StartAt::Start };
        let discovery = Some(Discovery::new(cx.clone(), specs.into(), start, senders, Arc::default()));
        let oracle = Oracle::new(setup);
        Self { setup, door, cx, discovery, shards, oracle, writers: [None; WRITERS], begun: 0, luck: Rng::new(1) }
    }

    fn step(&mut self, step: Step) -> Checked {
        match step {
            Step::Scan => self.scan(),
            Step::Fill { shard, times } => {
                for _ in 0..times {
                    self.fill(shard)?;
                }
            }
            Step::Look { shard } => {
                self.hint();
                self.shards[shard].shard.look();
                self.take(None)?;
            }
            Step::Settle => self.settle()?,
            step => self.change(step),
        }
        Ok(())
    }

    /// Does what a program does to its files.
    fn change(&mut self, step: Step) {
        let file = |at: usize| Path::new(FILES[at]);
        let dir = |at: usize| Path::new(DIRS[at]);
        let door = self.door.clone();
        match step {
            Step::Write { file: at, text } => {
                let inode = door.disk().create(file(at));
                if let Some(inode) = inode {
                    self.write(inode, text);
                }
            }
            Step::Open { writer, file: at, append } => {
                self.close(writer);
                let mut disk = door.disk();
                if let Some(inode) = disk.create(file(at)) {
                    disk.hold(inode);
                    self.writers[writer] = Some(Writer { inode, append, at: disk.size(inode) });
                }
            }
            Step::WriteBy { writer, text } => self.write_by(writer, text),
            Step::Close { writer } => self.close(writer),
            Step::Rename { from, to } => door.disk().rename(file(from), file(to)),
            Step::Swap { a, b } => self.swap(file(a), file(b)),
            Step::Rotate { create } => {
                let mut disk = door.disk();
                disk.rename(file(1), file(2));
                disk.rename(file(0), file(1));
                if create {
                    disk.create(file(0));
                }
            }
            Step::Copy { from, to, truncate } => self.copy(from, to, truncate),
            Step::Truncate { file: at } => {
                let mut disk = door.disk();
                if let Some(found) = disk.find(file(at)) {
                    disk.truncate(found.inode);
                }
            }
            Step::Rewrite { file: at, size, same_head } => self.rewrite(at, size, same_head),
            Step::Delete { file: at } => door.disk().remove(file(at)),
            Step::Link { from, to } => door.disk().link(file(from), file(to)),
            Step::Symlink { target, file: at } => door.disk().symlink(file(target), file(at)),
            Step::Mode { file: at, readable } => {
                let mut disk = door.disk();
                if let Some(found) = disk.find(file(at)) {
                    disk.inodes[found.inode].readable = readable;
                    disk.touch(found.inode, Change::File);
                }
            }
            Step::RemoveDir { dir: at } => door.disk().remove_dir(dir(at)),
            Step::MakeDir { dir: at } => door.disk().make_dir(dir(at)),
            Step::RenameDir { from, to } => door.disk().rename_dir(dir(from), dir(to)),
            Step::Scan | Step::Fill { .. } | Step::Look { .. } | Step::Settle => unreachable!("the tailer does these"),
        }
    }

    fn swap(&self, a: &Path, b: &Path) {
        let mut disk = self.door.disk();
        let aside = Path::new("out/aside");
        disk.rename(a, aside);
        disk.rename(b, a);
        disk.rename(aside, b);
        disk.rename(aside, a);
        disk.remove(aside);
    }

    fn close(&mut self, writer: usize) {
        if let Some(old) = self.writers[writer].take() {
            self.door.disk().release(old.inode);
        }
    }

    fn write(&mut self, inode: usize, text: Text) {
        let door = self.door.clone();
        let mut disk = door.disk();
        let content = disk.content(inode);
        let starts = content.bytes.len() == content.hole || content.bytes.last() == Some(&b'\n');
        let first = content.bytes.len() == content.hole;
        let mut bytes = Vec::new();
        if first && matches!(text, Text::End | Text::Empty(_)) {
            // The same newlines again at the start could not be told from the old ones.
            self.begin_line(&mut bytes, 0);
        }
        match text {
            Text::Part(len) if starts => self.begin_line(&mut bytes, len),
            Text::Part(len) => self.filler(&mut bytes, len),
            Text::End => bytes.push(b'\n'),
            Text::Empty(count) => bytes.resize(bytes.len() + count, b'\n'),
            Text::Lines(count, len) => {
                if !starts {
                    bytes.push(b'\n');
                }
                for _ in 0..count {
                    self.begin_line(&mut bytes, len);
                    bytes.push(b'\n');
                }
            }
        }
        disk.append(inode, &bytes);
    }

    /// Begins a line with its number, which no other line has.
    fn begin_line(&mut self, bytes: &mut Vec<u8>, len: usize) {
        self.begun += 1;
        let mut number = self.begun;
        for _ in 0..NUMBER {
            bytes.push(b"0123456789abcdefghijklmnopqrstuvwxyz"[number % 36]);
            number /= 36;
        }
        self.filler(bytes, len.saturating_sub(NUMBER));
    }

    fn filler(&self, bytes: &mut Vec<u8>, len: usize) {
        bytes.extend((0..len).map(|at| b'A' + ((self.begun * 7 + at * at + at) % 26) as u8));
    }

    fn write_by(&mut self, writer: usize, text: Text) {
        let Some(Writer { inode, append, at }) = self.writers[writer] else { return };
        {
            let mut disk = self.door.disk();
            // With a small limit, pieces of the zeros could not be told from those of another hole; nor can the zeros
            // before an offset in a second hole.
            let has_none = !disk.epochs.iter().any(|epoch| epoch.inode == inode && epoch.bytes.first() == Some(&0));
            if !append && at > 0 && disk.size(inode) == 0 && has_none && self.setup.limit >= Setup::PLAIN.limit {
                disk.extend(inode, at);
            }
        }
        self.write(inode, text);
        let at = self.door.disk().size(inode);
        self.writers[writer] = Some(Writer { inode, append, at });
    }

    /// Copies a file to a new one. The copy is never written over a file, whose bytes might be the same already; and
    /// it is not followed where files are let go at once, since the oracle could not tell which of the two was read.
    fn copy(&mut self, from: usize, to: usize, truncate: bool) {
        let mut disk = self.door.disk();
        let Some(found) = disk.find(Path::new(FILES[from])) else { return };
        let to = Path::new(FILES[to]);
        let is_same = disk.find(to).is_some_and(|there| there.inode == found.inode);
        let is_told = self.setup.keeps || !FILES.iter().any(|file| Path::new(file) == to && is_followed(file));
        if is_same || !is_told || disk.content(found.inode).hole > 0 {
            return;
        }
        disk.remove(to);
        let bytes = disk.content(found.inode).bytes.clone();
        if let Some(copy) = disk.create_copy(to) {
            disk.append(copy, &bytes);
            disk.mark_copied(copy, bytes.len());
        }
        if truncate {
            disk.truncate(found.inode);
        }
    }

    /// Cuts a file and writes it anew. With the same head, the new content differs from the old within the
    /// bytes before the offset that are checked: from there on they could not be told apart.
    fn rewrite(&mut self, at: usize, size: Size, same_head: bool) {
        let door = self.door.clone();
        let mut disk = door.disk();
        let Some(found) = disk.find(Path::new(FILES[at])) else { return };
        self.oracle.grow(&disk);
        let old = disk.content(found.inode);
        let len = match size {
            Size::Shorter => old.bytes.len() * 2 / 3,
            Size::Same => old.bytes.len(),
            Size::Longer => old.bytes.len() + 1 + self.begun % 50,
        };
        let frontier = self.oracle.tracks[disk.inodes[found.inode].epoch].frontier as usize;
        let plain = self.setup.limit >= Setup::PLAIN.limit && old.hole == 0 && old.copied == 0;
        let (mut bytes, mut same) = (Vec::new(), 0);
        if same_head && frontier > 0 && plain {
            let head = frontier - 1 - self.begun % frontier.min(200);
            bytes.extend_from_slice(&old.bytes[..head]);
            same = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
            bytes.push(if old.bytes[head] == b'~' { b'!' } else { b'~' });
        }
        loop {
            let room = len.saturating_sub(bytes.len());
            self.begin_line(&mut bytes, room.min(3 + self.begun % 20));
            if bytes.len() >= len {
                break;
            }
            bytes.push(b'\n');
        }
        disk.truncate(found.inode);
        disk.append(found.inode, &bytes);
        // Where only the last lines are others, those before them need not come again.
        disk.mark_copied(found.inode, same);
    }

    fn scan(&mut self) {
        // Always a thorough look: whether another one lists a directory depends on the time.
        if let Some(discovery) = &mut self.discovery {
            discovery.scan(true);
        }
        self.door.notes();
    }

    fn fill(&mut self, shard: usize) -> Result<(Progress, bool), Violation> {
        self.hint();
        let reader = &mut self.shards[shard];
        let progress = reader.shard.fill(&mut reader.batch);
        let news = self.take(Some(shard))?;
        let batch = &mut self.shards[shard].batch;
        batch.advance(batch.len());
        self.cx.ledger.commit(batch);
        batch.clear((self.setup.limit + 1).max(2 * self.setup.chunk) + self.setup.room);
        if self.discovery.is_some() {
            self.check_committed()?;
        }
        match progress {
            Ok(progress) => Ok((progress, news)),
            Err(error) => violation("error", error.to_string()).map(|()| (Progress::Ended, false)),
        }
    }

    /// Checks that the committed position of each file is that of its reader, since all that was read is committed. Beside
    /// these there are only files that another input is about to go on with.
    fn check_committed(&self) -> Checked {
        let committed = one_of_each(self.cx.ledger.committed());
        let read: Vec<_> = self.shards.iter().flat_map(|reader| reader.shard.positions()).collect();
        let is_released = |file| !self.cx.registry.is_held(file) && !self.cx.registry.is_new(file);
        let is_right = |at: &(_, FilePosition)| read.contains(at) || is_released(at.1.file);
        match read.iter().all(|at| committed.contains(at)) && committed.iter().all(is_right) {
            true => Ok(()),
            false => violation("committed", format!("committed {committed:?}, read {read:?}")),
        }
    }

    /// Hints at what happened since the last time.
    fn hint(&mut self) {
        let mut touched = std::mem::take(&mut self.door.disk().touched);
        let unreliable = self.setup.hints == Hints::Unreliable;
        if unreliable && self.luck.one_in(8) {
            let change = self.luck.pick(&[Change::Content, Change::File, Change::Went]);
            touched.push((FILES[self.luck.below(FILES.len())].into(), change));
        }
        if unreliable && self.luck.one_in(50) {
            self.shards.iter().for_each(|reader| reader.mailbox.hint_all());
        }
        for (path, change) in touched {
            match self.luck.below(8) {
                0 if unreliable => {}
                1 | 2 if unreliable => self.door.disk().touched.push((path, change)),
                _ => drop(self.shards.iter().any(|reader| reader.mailbox.hint(&path, change))),
            }
        }
    }

    fn take(&mut self, shard: Option<usize>) -> Result<bool, Violation> {
        let notes = self.door.notes();
        let batch = shard.map(|shard| &self.shards[shard].batch);
        self.oracle.take(&notes, batch, &self.door.disk())
    }

    /// Gives turns until nothing comes any more, and checks that nothing is missing.
    fn settle(&mut self) -> Checked {
        let mut quiet = 0;
        for _ in 0..ROUNDS_MAX {
            self.scan();
            if self.setup.hints == Hints::Unreliable {
                // It is time for the slow sweep.
                self.shards.iter().for_each(|reader| reader.mailbox.hint_all());
            }
            let mut news = false;
            for shard in 0..SHARDS {
                news |= self.fill_until(shard, Progress::Idle)?;
            }
            quiet = if news { 0 } else { quiet + 1 };
            if quiet == QUIET_ROUNDS {
                return self.oracle.check(&self.door.disk());
            }
        }
        violation("endless", "there is news in every round".to_owned())
    }

    fn fill_until(&mut self, shard: usize, end: Progress) -> Result<bool, Violation> {
        let mut news = false;
        for _ in 0..FILLS_MAX {
            let (progress, new) = self.fill(shard)?;
            news |= new;
            if progress == end {
                return Ok(news);
            }
        }
        violation("endless", format!("shard {shard} never says {end:?}")).map(|()| false)
    }

    /// Stops the tailer: what was not due by now must not come out.
    fn end(mut self) -> Result<u64, Violation> {
        self.discovery = None;
        for shard in 0..SHARDS {
            self.fill_until(shard, Progress::Ended)?;
        }
        self.oracle.check(&self.door.disk())?;
        Ok(self.oracle.lines)
    }
}
