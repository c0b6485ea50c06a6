//! Continuing where an earlier merge has left its files.

use std::collections::BTreeMap;
use std::future::{Ready, ready};
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_channel::{Receiver, Sender};
use tailmerge_core::{
    Batch, Builder, FilePosition, GapReason, LongLines, Merge, PartialWrite, Report, Writer, WriterContext,
};

use crate::kit::{Scene, Sink, assert_same, block_on, failed, numbered, sorted, start, stop, until};

/// A time in which nothing is quiet.
const LONG: Duration = Duration::from_secs(600);

/// An output that keeps its position in each file beside its lines, as a host would that continues by itself.
#[derive(Clone, Debug, Default)]
struct Store(Arc<Mutex<Stored>>);

#[derive(Debug, Default)]
struct Stored {
    bytes: Vec<u8>,
    /// By path and generation; in the text form.
    positions: BTreeMap<(PathBuf, u32), String>,
}

impl Writer for Store {
    async fn write(&mut self, batch: &Batch) -> Result<(), PartialWrite> {
        let stored = &mut *self.0.lock().expect("no panic");
        stored.bytes.extend(batch.bytes());
        for extent in batch.extents() {
            if let Some(position) = extent.position() {
                let key = (extent.source.path().to_owned(), extent.generation);
                stored.positions.insert(key, position.to_string());
            }
        }
        Ok(())
    }

    async fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Store {
    /// Runs a merge to the end of its files, from the positions of the last one. Returns its lines, sorted.
    fn run(&self, builder: Builder) -> (Vec<String>, Report) {
        let left = std::mem::take(&mut *self.0.lock().expect("no panic"));
        let store = self.clone();
        let mut builder = builder.once(true).writer(|_| async { Ok(store) });
        for ((path, _), position) in &left.positions {
            builder = builder.resume(path, position.parse().expect("a position"));
        }
        let merge = start(builder);
        block_on("the merge ends by itself", merge.finished());
        let report = stop(&merge);
        let stored = &mut *self.0.lock().expect("no panic");
        let has_news = |path: &PathBuf| stored.positions.keys().any(|(other, _)| other == path);
        let kept: Vec<_> = left.positions.into_iter().filter(|((path, _), _)| !has_news(path)).collect();
        stored.positions.extend(kept);
        let mut lines: Vec<_> = String::from_utf8_lossy(&stored.bytes).lines().map(str::to_owned).collect();
        lines.sort();
        stored.bytes.clear();
        (lines, report)
    }
}

/// Whatever becomes of the files between two merges, each line comes once.
#[test]
fn a_merge_continues_where_the_last_one_ended() {
    for pattern in ["*.log", "*.log*"] {
        let (scene, store) = (Scene::new(), Store::default());
        let run = || store.run(scene.builder().input(scene.pattern(pattern)));
        scene.write("a.log", numbered("a", 0..1000));
        scene.write("b.log", "b 0\n");
        assert_eq!(run().0.len(), 1001, "{pattern}");
        assert_eq!(run().0, [""; 0], "nothing is new");

        scene.append("a.log", "a new\n");
        scene.append("b.log", "b new\n");
        assert_eq!(run().0, ["a new", "b new"], "{pattern}");

        scene.append("a.log", "a late\n");
        scene.rename("a.log", "a.log.1");
        scene.append("a.log", "a of the next\n");
        assert_eq!(run().0, ["a late", "a of the next"], "{pattern}: it was rotated");

        scene.append("b.log", "b late\n");
        scene.rename("b.log", "b.log.1");
        assert_eq!(run().0, ["b late"], "{pattern}: it was renamed, and there is no other");
        let (lines, report) = run();
        assert_eq!((lines, report.possible_losses), (vec![], 0), "{pattern}");
    }
}

/// Other content is read from its start, and a file that is gone is not passed over in silence.
#[test]
fn what_is_another_file_by_now_is_read_from_its_start() {
    let (scene, store) = (Scene::new(), Store::default());
    let run = || store.run(scene.builder().input(scene.pattern("*.log")));
    scene.write("a.log", "the first line\n");
    scene.write("b.log", "b 0\n");
    run();
    scene.truncate("a.log");
    scene.append("a.log", "another first line\n");
    let (lines, report) = run();
    assert_eq!((lines, report.possible_losses), (vec!["another first line".to_owned()], 1), "{report:?}");

    scene.remove("b.log");
    let (lines, report) = run();
    assert_eq!((lines, report.possible_losses), (vec![], 1), "{report:?}");
}

/// What is left out on purpose is behind the position, too.
#[test]
fn what_was_left_out_is_not_left_out_again() {
    let (scene, store) = (Scene::new(), Store::default());
    let run = || {
        let builder = scene.builder().input(scene.pattern("*.log"));
        store.run(builder.max_line_bytes(10).long_lines(LongLines::Skip))
    };
    scene.write("a.log", "one\na line over the limit\n");
    let (lines, report) = run();
    assert_eq!((lines, report.gap_bytes), (vec!["one".to_owned()], 22), "{report:?}");
    assert!(report.gaps.iter().all(|gap| gap.reason == GapReason::LineLimit), "{report:?}");
    assert_eq!(report.inputs[0].offset, 26);
    scene.append("a.log", "two\n");
    let (lines, report) = run();
    assert_eq!((lines, report.gap_bytes), (vec!["two".to_owned()], 0), "{report:?}");
}

/// An output that takes a batch when it is told to, and at last fails in the middle of one.
#[derive(Clone, Debug)]
struct Stepped {
    sink: Sink,
    taken: Arc<AtomicUsize>,
    steps: (Sender<()>, Receiver<()>),
}

impl Stepped {
    fn new() -> Self {
        Self { sink: Sink::new(), taken: Arc::default(), steps: async_channel::unbounded() }
    }

    fn make(&self) -> impl FnOnce(WriterContext) -> Ready<io::Result<Self>> + use<> {
        let output = self.clone();
        |_| ready(Ok(output))
    }

    /// Lets so many batches be written, and waits until they are.
    #[track_caller]
    fn take(&self, batches: usize) {
        let want = self.taken.load(Ordering::SeqCst) + batches;
        (0..batches).for_each(|_| self.steps.0.try_send(()).expect("it is open"));
        until("the batches are written", || self.taken.load(Ordering::SeqCst) == want);
    }

    /// Makes the next write fail, and the merge with it.
    #[track_caller]
    fn fail(&self, merge: &Merge) {
        self.steps.0.close();
        block_on("the merge ends by itself", merge.finished());
        failed(merge);
    }

    fn bytes(&self) -> Vec<u8> {
        self.sink.bytes()
    }
}

impl Writer for Stepped {
    async fn write(&mut self, batch: &Batch) -> Result<(), PartialWrite> {
        let goes_on = self.steps.1.recv().await.is_ok();
        let bytes = batch.bytes();
        if goes_on {
            self.sink.push(bytes);
            self.taken.fetch_add(1, Ordering::SeqCst);
            return Ok(());
        }
        let whole_lines = bytes[..bytes.len() / 2].iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
        self.sink.push(&bytes[..whole_lines]);
        Err(PartialWrite::fatal(whole_lines, io::Error::other("it was to fail")))
    }

    async fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Batches for a thousand lines or so.
fn small(builder: Builder) -> Builder {
    builder.max_line_bytes(100).memory(64 * 1024)
}

/// Asserts that another merge, which continues at the positions of the one that failed, has the lines that are missing,
/// each once.
#[track_caller]
fn assert_continues(builder: Builder, (merge, output): (&Merge, &Stepped), want: &[&str]) {
    let committed = merge.committed();
    let told = format!("{committed:?}");
    let rest = Sink::new();
    let builder = builder.once(true).writer(rest.make());
    let merge = start(committed.into_iter().fold(builder, |builder, (path, at)| builder.resume(path, at)));
    block_on("the merge ends by itself", merge.finished());
    let report = stop(&merge);
    let all = [output.bytes(), rest.bytes()].concat();
    assert_same(&format!("both outputs, {told}"), &sorted(&all), &sorted(want.concat().as_bytes()));
    assert_eq!((report.possible_losses, report.gap_count), (0, 0), "{told}: {report:?}");
}

/// Wherever the output fails, a file that was rotated away is continued as well as the one that is at the path.
#[test]
fn rotated_files_are_continued_where_each_of_them_was() {
    let (old, new) = (numbered("old", 0..8000), numbered("new", 0..8000));
    // A file that is let go at once is read on by its new name, or not at all.
    for (pattern, grace) in [("a.log", LONG), ("a.log", Duration::ZERO), ("a.log*", LONG), ("a.log*", Duration::ZERO)] {
        let is_read_on = pattern == "a.log*" || grace == LONG;
        let late = if is_read_on { numbered("late", 0..3000) } else { String::new() };
        for batches in 0..6 {
            let (scene, output) = (Scene::new(), Stepped::new());
            let builder = || small(scene.tail().input(scene.pattern(pattern)).rotated_grace(grace));
            scene.write("a.log", &old);
            let merge = start(builder().writer(output.make()));
            output.take(1);
            scene.rename("a.log", "a.log.1");
            scene.append("a.log", &new);
            let told = match pattern {
                "a.log" => ["a.log: rotated", "a.log: not there"],
                _ => ["a.log.1: another name of a file"; 2],
            };
            until("the rotation is noticed", || told.iter().any(|told| scene.events.count(told) > 0));
            output.take(batches);
            scene.append("a.log.1", &late);
            output.fail(&merge);
            assert_continues(builder(), (&merge, &output), &[&old, &late, &new]);
        }
    }
}

/// The same, where a copy is made and the file is cut.
#[test]
fn a_copy_of_a_file_that_was_cut_is_continued() {
    let (old, new) = (numbered("old", 0..12_000), numbered("new", 0..3000));
    for batches in 0..6 {
        let (scene, output) = (Scene::new(), Stepped::new());
        let builder = || small(scene.tail().input(scene.pattern("a.log")).rotated_grace(LONG));
        scene.write("a.log", &old);
        let merge = start(builder().writer(output.make()));
        output.take(1);
        scene.copy("a.log", "a.log.1");
        scene.truncate("a.log");
        until("the copy is read on", || merge.committed().len() == 2);
        scene.append("a.log", &new);
        output.take(batches);
        output.fail(&merge);
        assert_continues(builder(), (&merge, &output), &[&old, &new]);
    }
}

/// Where nothing is new, the positions are those of the merge before.
#[test]
fn positions_stay_where_nothing_is_new() {
    let scene = Scene::new();
    let run = |committed: &[(PathBuf, FilePosition)]| {
        let builder = scene.tail().input(scene.pattern("*.log")).once(true).writer(Sink::new().make());
        let merge = start(committed.iter().fold(builder, |builder, (path, at)| builder.resume(path, *at)));
        block_on("the merge ends by itself", merge.finished());
        stop(&merge);
        merge.committed()
    };
    scene.write("a.log", "1\n2\n");
    scene.write("b.log", "");
    let first = run(&[]);
    let offsets = |committed: &[(PathBuf, FilePosition)]| -> Vec<_> {
        committed.iter().map(|(path, at)| (path.clone(), at.offset())).collect()
    };
    assert_eq!(offsets(&first), [(scene.path("a.log"), 4), (scene.path("b.log"), 0)]);
    scene.rename("a.log", "a.log.1");
    scene.append("a.log", "3\n");
    let second = run(&first);
    assert_eq!(offsets(&second), [(scene.path("a.log"), 4), (scene.path("a.log"), 2), (scene.path("b.log"), 0)]);
    assert_eq!(run(&second), second);

    // What this merge does not follow is kept for the next one.
    let elsewhere = start(
        second.iter().fold(scene.tail().input(scene.pattern("*.txt")), |builder, (path, at)| builder.resume(path, *at)),
    );
    assert_eq!(elsewhere.committed(), second);
}
