//! Continuing where an earlier merge has left its files.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use tailmerge_core::{Batch, Builder, GapReason, LongLines, PartialWrite, Report, Writer};

use crate::kit::{Scene, block_on, numbered, start, stop};

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

    async fn flush(&mut self) -> std::io::Result<()> {
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
