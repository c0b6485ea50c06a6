//! Files that are cut: grown again past where they were read, copied first, with holes, by their last line.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Duration;

use tailmerge_core::GapReason;

use crate::kit::{Brake, Op, Scene, Sink, TestFs, numbered, start, stop, until};

/// Bytes that a merge is behind in these cases.
const BEHIND: usize = 10_000_000;

/// A file that was cut and has grown past where it had been read, all between two looks: its new lines come, all of
/// them, and none of the old ones again. Also where both contents begin alike, for longer than a block.
#[test]
fn what_grew_past_the_offset_is_another_content() {
    for alike in [0, 10, 500] {
        let (brake, fs) = Brake::on(Op::Stat, "a.log");
        let scene = Scene::on(fs);
        let head = numbered("alike", 0..alike);
        assert!(alike < 500 || head.len() > 4096);
        let content = |label: &str, lines| [head.as_str(), &numbered(label, 0..lines)].concat();
        let (old, new) = (content("old", 100), content("new", 1000));
        scene.write("a.log", &old);
        let merge = start(scene.polled().path(scene.path("a.log")));
        scene.expect(&old);
        brake.unseen(|| scene.write("a.log", &new));
        scene.expect([old.as_str(), &new].concat());
        let report = stop(&merge);
        assert_eq!(scene.events.count("truncated, read from its start"), 1, "it was cut once");
        assert!(report.gaps.is_empty(), "{report:?}");
        assert_eq!(report.inputs[0].offset, new.len() as u64);
    }
}

/// A file is cut while the merge is far behind. Where it was copied beside itself first, the copy has what is
/// missing, whether or not a pattern finds it; otherwise the gap is right to the byte.
#[test]
fn a_copy_has_what_was_cut_while_behind() {
    for (copy, pattern) in [(Some("a.log.1"), "a.log*"), (Some("a.log-20260101"), "a.log"), (None, "a.log*")] {
        let scene = Scene::new();
        let line = format!("{}\n", "a line of a hundred bytes".repeat(4));
        let old = line.repeat(BEHIND / line.len());
        scene.write("a.log", &old);
        let sink = Sink::held();
        let builder = scene.builder().input(scene.pattern(pattern)).max_line_bytes(1024).memory(64 * 1024);
        let merge = start(builder.writer(sink.make()));
        sink.until_written_to();
        if let Some(copy) = copy {
            scene.copy("a.log", copy);
        }
        scene.truncate("a.log");
        scene.events.until("a.log: truncated");
        scene.append("a.log", "new\n");
        sink.release();
        let report = stop(&merge);
        let read = match (&report.gaps[..], copy) {
            ([], Some(_)) => old.len(),
            ([gap], None) => {
                assert_eq!((gap.reason, &gap.input), (GapReason::Truncated, &scene.path("a.log")));
                assert_eq!((gap.end, report.gap_bytes), (old.len() as u64, gap.bytes()));
                assert!(gap.bytes() > BEHIND as u64 / 2, "far behind: {gap:?}");
                usize::try_from(gap.start).expect("a small file")
            }
            (gaps, copy) => panic!("copy {copy:?}: {gaps:?}"),
        };
        sink.assert([&old[..read], "new\n"].concat());
    }
}

/// A file is copied and cut again and again before anything of it can be read: the copies have it all, in order.
#[test]
fn copies_have_what_was_cut_unread() {
    const CUTS: usize = 3;
    for pattern in ["a.log", "a.log*"] {
        let scene = Scene::new();
        let text = |cut: usize| numbered(&format!("cut {cut}"), 0..10_000);
        scene.write("a.log", text(0));
        let sink = Sink::held();
        let builder = scene.builder().input(scene.pattern(pattern)).max_line_bytes(1024).memory(64 * 1024);
        let merge = start(builder.writer(sink.make()));
        sink.until_written_to();
        for cut in 1..=CUTS {
            for number in (1..cut).rev() {
                scene.rename(format!("a.log.{number}"), format!("a.log.{}", number + 1));
            }
            scene.copy("a.log", "a.log.1");
            scene.truncate("a.log");
            until("the cut is seen", || scene.events.count("a.log: truncated") == cut);
            scene.append("a.log", text(cut));
            // Where nobody hints, the second look may have begun before.
            let looks = scene.fs.looks(&scene.path("a.log"));
            until("it is looked at", || scene.fs.looks(&scene.path("a.log")) > looks + 1);
        }
        sink.release();
        let report = stop(&merge);
        assert!(report.gaps.is_empty(), "{pattern}: {:?}", report.gaps);
        sink.assert((0..=CUTS).map(text).collect::<String>());
    }
}

/// A file that is copied again and again before it is cut, with a pattern that finds the copies: each line comes
/// once, also those that come between the copy and the cut, if they have been read.
#[test]
fn copies_of_what_was_cut_are_not_read_again() {
    let scene = Scene::new();
    scene.write("a.log", "");
    let merge = start(scene.builder().input(scene.pattern("a.log*")));
    let mut all = String::new();
    for round in 0..5 {
        let lines = numbered(&format!("round {round}"), 0..100);
        scene.append("a.log", &lines);
        all += &lines;
        scene.expect(&all);
        for number in (1..=round).rev() {
            scene.rename(format!("a.log.{number}"), format!("a.log.{}", number + 1));
        }
        scene.copy("a.log", "a.log.1");
        scene.append("a.log", "between\n");
        all += "between\n";
        scene.expect(&all);
        scene.looked(&merge, "a.log.1");
        scene.truncate("a.log");
        until("the cut is seen", || scene.events.count("a.log: truncated") == round + 1);
    }
    for number in 1..=5 {
        scene.looked(&merge, format!("a.log.{number}"));
    }
    let report = stop(&merge);
    scene.assert_output(&all);
    assert!(report.gaps.is_empty(), "{report:?}");
}

/// Beside an input anybody may be allowed to put a file with the input's content and lines of his own. It is no copy then,
/// whether or not a pattern finds it, unless it belongs to the input's owner, to root or to the user of the merge.
#[test]
fn copies_of_others_are_not_believed() {
    const VICTIM: u32 = 4_000_000_001;
    const OTHER: u32 = 4_000_000_002;
    for (owner, excluded, found) in [
        (VICTIM, false, false),
        (VICTIM, false, true),
        (0, false, false),
        (OTHER, false, false),
        (OTHER, false, true),
        (VICTIM, true, false),
    ] {
        let is_copy = |path: &Path| path.to_string_lossy().ends_with(".copy");
        let scene = Scene::on(TestFs::new().with_owners(move |path| if is_copy(path) { owner } else { VICTIM }));
        scene.write("a.log", "1\n");
        let mut builder = scene.builder().input(scene.pattern(if found { "a.log*" } else { "a.log" }));
        if excluded {
            builder = builder.exclude("*.copy");
        }
        let merge = start(builder.rotated_grace(Duration::from_millis(30)));
        scene.expect("1\n");
        scene.write("new", "1\nof the copy\n");
        scene.rename("new", "a.log.copy");
        if found && owner == OTHER {
            // An input of its own.
            scene.expect("1\n1\nof the copy\n");
        }
        scene.truncate("a.log");
        scene.events.until("a.log: truncated");
        scene.append("a.log", "2\n");
        let want = match (owner, found) {
            (OTHER, true) => "1\n1\nof the copy\n2\n",
            _ if owner == OTHER || excluded => "1\n2\n",
            _ => "1\nof the copy\n2\n",
        };
        scene.expect(want);
        stop(&merge);
        scene.assert_output(want);
    }
}

/// A producer that does not append leaves a hole when its file is cut: it is skipped and counted, to the byte.
#[test]
fn a_hole_is_skipped_and_counted() {
    // At a block's start, within one, and within the first.
    for end in [1 << 20, (1 << 20) + 100] {
        let scene = Scene::of_machine();
        let producer = File::create(scene.path("a.log")).expect("a file of the case");
        let write = |text: &str, at| producer.write_all_at(text.as_bytes(), at).expect("a file of the case");
        write("old\n", 0);
        let merge = start(scene.builder().path(scene.path("a.log")));
        scene.expect("old\n");
        scene.truncate("a.log");
        scene.events.until("a.log: truncated");
        write("new\n", end);
        scene.expect("old\nnew\n");
        // NUL bytes that were written are data.
        write("\0\0nul\n", end + 4);
        scene.expect("old\nnew\n\0\0nul\n");
        let report = stop(&merge);
        assert_eq!((report.hole_bytes, report.gaps.len()), (end, 0), "{report:?}");
        assert_eq!(scene.events.count("skipped a hole"), 1);
        assert_eq!(report.inputs[0].offset, end + 10);
    }
}

/// What is cut of a line without its newline was no line; the lines before it do not come again.
#[test]
fn a_file_cut_within_its_last_line_is_not_read_again() {
    let scene = Scene::new();
    let lines = numbered("line", 0..100);
    scene.write("a.log", [&lines, "a fragment that is cut"].concat());
    let path = scene.path("a.log");
    let merge = start(scene.builder().path(&path));
    scene.expect(&lines);
    scene.looked(&merge, "a.log");
    let cut = |len: usize| scene.producer("a.log").set_len(len as u64);
    cut(lines.len() + 10);
    scene.looked(&merge, "a.log");
    cut(lines.len());
    scene.looked(&merge, "a.log");
    scene.append("a.log", "next\n");
    scene.expect([&lines, "next\n"].concat());
    let report = stop(&merge);
    let gaps: Vec<_> = report.gaps.iter().map(|gap| (gap.start, gap.end)).collect();
    let end = lines.len() as u64;
    assert_eq!(gaps, [(end + 10, end + 22), (end, end + 10)], "what was seen of it");
}
