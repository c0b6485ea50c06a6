//! Holes: those that a truncation leaves, those that are filled, and heads that are punched out or taken away.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::time::Duration;

use rustix::fs::{FallocateFlags, fallocate};
use tailmerge_core::Report;

use crate::kit::{Scene, Sink, assert_same, block_on, lines, numbered, start, stop, until};

const MIB: u64 = 1 << 20;
const BLOCK: u64 = 4096;
/// A time in which nothing is quiet.
const LONG: Duration = Duration::from_secs(600);
/// A time after which a hole is not filled any more.
const SHORT: Duration = Duration::from_millis(30);
/// Bytes of a line in a file that is punched.
const LINE: usize = 100;

/// Punches out, or takes away, the first bytes of a file. Returns false, which is told, where the file system cannot.
fn behead(scene: &Scene, name: &str, how: FallocateFlags, len: u64) -> bool {
    let file = File::options().write(true).open(scene.path(name)).expect("a file of the case");
    let done = fallocate(&file, how, 0, len);
    if let Err(error) = done {
        println!("SKIPPED: {how:?} on this file system: {error}");
    }
    done.is_ok()
}

const PUNCH: FallocateFlags = FallocateFlags::PUNCH_HOLE.union(FallocateFlags::KEEP_SIZE);
const COLLAPSE: FallocateFlags = FallocateFlags::COLLAPSE_RANGE;

/// Lines, the last of which is as long as it must be for this many bytes.
fn filled(label: &str, len: u64) -> String {
    let mut text = numbered(label, 0..len as usize);
    text.truncate(len as usize - 20);
    text.truncate(text.rfind('\n').map_or(0, |at| at + 1));
    let rest = len as usize - text.len() - 1;
    text + &"x".repeat(rest) + "\n"
}

/// Lines of [`LINE`] bytes each.
fn even(count: usize) -> String {
    (0..count).map(|number| format!("{number:08} {}\n", "x".repeat(LINE - 10))).collect()
}

/// What is told of as lost: ranges, those joined that follow upon each other.
fn told(report: &Report) -> Vec<(u64, u64)> {
    let mut told: Vec<(u64, u64)> = Vec::new();
    for gap in &report.gaps {
        match told.last_mut() {
            Some(last) if last.1 == gap.start => last.1 = gap.end,
            _ => told.push((gap.start, gap.end)),
        }
    }
    told
}

/// An appending writer comes between a truncation and the old writer, which goes on at its old place: the hole begins
/// within a block, and is skipped all the same.
#[test]
fn a_hole_that_begins_within_a_block_is_skipped() {
    for (new, end) in [("new\n", 200 * MIB), ("new\n", 200 * MIB + 100), (&numbered("new", 0..1000), 3 * MIB)] {
        let scene = Scene::of_machine();
        // No NULs by the gigabyte where this fails.
        scene.fs.fill_disk_at(MIB);
        let old = File::create_new(scene.path("a.log")).expect("a file of the case");
        old.write_all_at(b"old\n", 0).expect("a file of the case");
        let merge = start(scene.builder().path(scene.path("a.log")));
        scene.expect("old\n");
        scene.truncate("a.log");
        scene.events.until("a.log: truncated");
        scene.append("a.log", new);
        scene.expect(["old\n", new].concat());
        old.write_all_at(b"late\n", end).expect("a file of the case");
        scene.expect(["old\n", new, "late\n"].concat());
        scene.append("a.log", "more\n");
        scene.expect(["old\n", new, "late\nmore\n"].concat());
        let report = stop(&merge);
        assert_eq!((report.hole_bytes, report.gaps.len()), (end - new.len() as u64, 0), "{report:?}");
        assert_eq!(scene.events.count("skipped a hole"), 1);
    }
}

/// So is one that a file has at its start when it is first seen.
#[test]
fn a_hole_at_the_start_is_skipped() {
    for end in [MIB, MIB + 100] {
        for once in [true, false] {
            let scene = Scene::of_machine();
            let file = File::create_new(scene.path("a.log")).expect("a file of the case");
            file.write_all_at(b"1\n2\n", end).expect("a file of the case");
            let merge = start(scene.builder().once(once).path(scene.path("a.log")));
            scene.expect("1\n2\n");
            let report = stop(&merge);
            scene.assert_output("1\n2\n");
            assert_eq!((report.hole_bytes, report.gaps.len()), (end, 0), "{report:?}");
        }
    }
}

/// Writers that do not wait for each other write a block before the one that precedes it: that is waited for.
#[test]
fn a_hole_that_is_filled_in_time_is_no_loss() {
    let scene = Scene::of_machine();
    let file = File::create_new(scene.path("a.log")).expect("a file of the case");
    file.write_all_at(b"1\n", 0).expect("a file of the case");
    let merge = start(scene.builder().path(scene.path("a.log")).rotated_grace(LONG));
    scene.expect("1\n");
    let mut all = "1\n".to_owned();
    for round in 1..4 {
        let end = round * 4 * BLOCK;
        file.write_all_at(b"behind\n", end).expect("a file of the case");
        scene.looked(&merge, "a.log");
        scene.assert_output(&all);
        let between = filled("between", end - all.len() as u64);
        file.write_all_at(between.as_bytes(), all.len() as u64).expect("a file of the case");
        all += &between;
        all += "behind\n";
        scene.expect(&all);
    }
    let report = stop(&merge);
    scene.assert_output(&all);
    assert_eq!((report.gaps.len(), report.hole_bytes), (0, 0), "{report:?}");
}

/// One that stays is lost content, to the byte; where data begin at a block's start, the first of them belong to a line
/// that began before. Under `once` nobody waits for it.
#[test]
fn a_hole_that_stays_is_a_gap() {
    for (end, is_torn) in [(2 * BLOCK + 100, false), (2 * BLOCK, true), (700 * BLOCK, true)] {
        for once in [true, false] {
            let scene = Scene::of_machine();
            let file = File::create_new(scene.path("a.log")).expect("a file of the case");
            file.write_all_at(b"1\n", 0).expect("a file of the case");
            file.write_all_at(b"3\n4\n", end).expect("a file of the case");
            let merge = start(scene.builder().once(once).path(scene.path("a.log")).rotated_grace(SHORT));
            let mut want = if is_torn { "1\n4\n" } else { "1\n3\n4\n" }.to_owned();
            scene.expect(&want);
            if !once {
                scene.append("a.log", "5\n");
                want += "5\n";
                scene.expect(&want);
            }
            let report = stop(&merge);
            scene.assert_output(&want);
            let lost = (2, if is_torn { end + 2 } else { end });
            assert_eq!((told(&report), report.hole_bytes), (vec![lost], 0), "once: {once}, {report:?}");
            assert_eq!(scene.events.count("left by a truncation"), 0);
        }
    }
}

/// A head that is punched out when it has been read is no loss, wherever the hole ends.
#[test]
fn a_head_that_is_punched_out_is_no_loss_once_it_is_read() {
    for behind in [0, 1, 100, 255, 256, 3000] {
        let scene = Scene::of_machine();
        let mut all = String::new();
        let merge = start(scene.builder().path(scene.path("a.log")).rotated_grace(SHORT));
        for round in 1..4 {
            let end = round * 4 * BLOCK;
            let text = filled(&format!("round {round}"), end + behind - all.len() as u64);
            scene.append("a.log", &text);
            all += &text;
            scene.expect(&all);
            if !behead(&scene, "a.log", PUNCH, end) {
                return;
            }
            scene.looked(&merge, "a.log");
            scene.append("a.log", "next\n");
            all += "next\n";
            scene.expect(&all);
        }
        let report = stop(&merge);
        scene.assert_output(&all);
        assert_eq!((report.gaps.len(), report.hole_bytes), (0, 0), "{behind}: {report:?}");
        assert_eq!(scene.events.count("truncated") + scene.events.count("hole"), 0, "{behind}");
        assert_eq!(report.inputs[0].offset, all.len() as u64);
    }
}

/// What was not read of it is a gap, to the byte, with the line that the hole's end tears.
#[test]
fn what_is_punched_out_unread_is_a_gap() {
    const PUNCHED: u64 = 4 * MIB;
    let scene = Scene::of_machine();
    let old = even(100_000);
    scene.write("a.log", &old);
    let sink = Sink::held();
    let builder = scene.builder().path(scene.path("a.log")).max_line_bytes(1024).memory(64 * 1024);
    let merge = start(builder.rotated_grace(SHORT).writer(sink.make()));
    sink.until_written_to();
    if !behead(&scene, "a.log", PUNCH, PUNCHED) {
        sink.release();
        return;
    }
    scene.append("a.log", "new\n");
    let looks = scene.fs.looks(&scene.path("a.log"));
    until("it is looked at", || {
        merge.wake();
        scene.fs.looks(&scene.path("a.log")) > looks + 1
    });
    sink.release();
    until("the last line comes", || sink.bytes().ends_with(b"new\n"));
    let report = stop(&merge);
    let told = told(&report);
    let [(from, to)] = told[..] else { panic!("one gap: {report:?}") };
    assert_eq!(to, PUNCHED.next_multiple_of(LINE as u64), "{report:?}");
    sink.assert([&old[..from as usize], &old[to as usize..], "new\n"].concat());
    assert_eq!((report.hole_bytes, scene.events.count("left by a truncation")), (0, 0), "{report:?}");
}

/// A head that is taken away when it has been read, so that the rest moves to the front, is no loss.
#[test]
fn a_head_that_is_collapsed_is_no_loss_once_it_is_read() {
    for behind in [1, 100, 3000] {
        let scene = Scene::of_machine();
        let (mut all, mut len) = (String::new(), 0);
        let merge = start(scene.builder().path(scene.path("a.log")));
        for round in 0..4 {
            let text = filled(&format!("round {round}"), 4 * BLOCK + behind - len);
            scene.append("a.log", &text);
            all += &text;
            scene.expect(&all);
            if !behead(&scene, "a.log", COLLAPSE, 3 * BLOCK) {
                return;
            }
            scene.looked(&merge, "a.log");
            scene.append("a.log", "next\n");
            all += "next\n";
            scene.expect(&all);
            len = BLOCK + behind + 5;
        }
        let report = stop(&merge);
        scene.assert_output(&all);
        assert!(report.gaps.is_empty(), "{behind}: {report:?}");
        assert_eq!(scene.events.count("truncated"), 0, "{behind}");
        assert_eq!(report.inputs[0].offset, len, "{behind}");
    }
}

/// Where the reader is behind, but not so far as what is taken away, nothing is lost either.
#[test]
fn a_head_that_is_collapsed_before_the_offset_is_no_loss() {
    let scene = Scene::of_machine();
    let old = even(100_000);
    let read = 20_000 * LINE;
    scene.write("a.log", &old[..read]);
    let merge = start(scene.builder().path(scene.path("a.log")).max_line_bytes(1024).memory(64 * 1024));
    scene.expect(&old[..read]);
    scene.fs.fill_disk_at(read as u64);
    scene.append("a.log", &old[read..]);
    scene.events.until("the output cannot be written");
    let looked = || {
        let looks = scene.fs.looks(&scene.path("a.log"));
        until("it is looked at", || {
            merge.wake();
            scene.fs.looks(&scene.path("a.log")) > looks + 1
        });
    };
    looked();
    if !behead(&scene, "a.log", COLLAPSE, MIB) {
        return;
    }
    looked();
    scene.fs.free_disk();
    scene.expect(&old);
    let report = stop(&merge);
    assert!(report.gaps.is_empty(), "{report:?}");
    scene.assert_output(&old);
}

/// What is taken away unread is told: each line comes once or is in a gap. How much it was, the file does not tell, and
/// the line that its end tears is no line.
#[test]
fn what_is_collapsed_unread_is_told() {
    let scene = Scene::of_machine();
    let old = even(100_000);
    scene.write("a.log", &old);
    let sink = Sink::held();
    let builder = scene.builder().path(scene.path("a.log")).max_line_bytes(1024).memory(64 * 1024);
    let merge = start(builder.writer(sink.make()));
    sink.until_written_to();
    if !behead(&scene, "a.log", COLLAPSE, 4 * MIB) {
        sink.release();
        return;
    }
    let looks = scene.fs.looks(&scene.path("a.log"));
    until("it is looked at", || {
        merge.wake();
        scene.fs.looks(&scene.path("a.log")) > looks + 1
    });
    scene.append("a.log", "new\n");
    sink.release();
    let report = stop(&merge);
    let (output, told) = (sink.bytes(), told(&report));
    let (whole, torn): (Vec<_>, Vec<_>) = lines(&output).into_iter().partition(|line| line.len() == LINE);
    let (kept, all) = (whole.concat(), lines(old.as_bytes()));
    let from = lines(&kept).iter().zip(&all).take_while(|(got, want)| got == want).count();
    let to = all.len() - (whole.len() - from);
    assert_same("what came of it", &kept, &[all[..from].concat(), all[to..].concat()].concat());
    let is_told = |at: usize| told.iter().any(|gap| gap.0 <= (at * LINE) as u64 && ((at + 1) * LINE) as u64 <= gap.1);
    assert!(from < to && (from..to).all(is_told), "lines {from} to {to} are lost, told: {told:?}");
    assert!(torn.last() == Some(&&b"new\n"[..]) && torn.len() <= 2, "{} lines are not whole", torn.len());
}

/// A file that is nothing but a hole has nothing.
#[test]
fn a_hole_alone_is_nothing() {
    let scene = Scene::of_machine();
    let file = File::create_new(scene.path("a.log")).expect("a file of the case");
    file.set_len(16 << 40).or_else(|_| file.set_len(1 << 40)).expect("a file of the case");
    scene.fs.fill_disk_at(MIB);
    let merge = start(scene.builder().once(true).path(scene.path("a.log")));
    block_on("the merge ends by itself", merge.finished());
    let report = stop(&merge);
    scene.assert_output("");
    assert!(report.gaps.is_empty() && report.failed_inputs.is_empty(), "{report:?}");
}
