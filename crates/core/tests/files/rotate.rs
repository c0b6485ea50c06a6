//! Files that are renamed, truncated, deleted and made anew.

use std::io::Write;
use std::time::Duration;

use tailmerge_core::GapReason;

use crate::kit::{Brake, Op, Scene, Sink, lines, numbered, start, start_blocking, stop, stop_blocking, until};

/// A time in which nothing is quiet.
const LONG: Duration = Duration::from_secs(600);
/// A time after which a file is let go.
const SHORT: Duration = Duration::from_millis(30);

/// What was written before a rename comes out before what was written after it, also where none of it had been
/// read by then.
#[test]
fn a_renamed_file_is_read_to_its_end_first() {
    let (brake, fs) = Brake::on(Op::Stat, "a.log");
    let scene = Scene::on(fs);
    scene.write("a.log", "0\n");
    let merge = start(scene.polled().path(scene.path("a.log")).rotated_grace(LONG));
    scene.expect("0\n");
    let (before, after) = (numbered("before", 0..50_000), numbered("after", 0..50_000));
    brake.unseen(|| {
        scene.append("a.log", &before);
        scene.rename("a.log", "a.log.1");
        scene.append("a.log", &after);
    });
    scene.expect(["0\n", &before, &after].concat());
    scene.events.until("a.log: rotated");
    let report = stop(&merge);
    assert!(report.gaps.is_empty(), "{report:?}");
    assert_eq!(report.inputs.len(), 1, "{report:?}");
}

/// A producer that holds on to the renamed file is still heard.
#[test]
fn late_writes_to_the_renamed_file_come_out() {
    let scene = Scene::new();
    scene.write("a.log", "1\n");
    let merge = start_blocking(scene.builder().path(scene.path("a.log")).rotated_grace(LONG));
    scene.expect("1\n");
    let mut late = scene.producer("a.log");
    scene.rename("a.log", "a.log.1");
    scene.append("a.log", "2\n");
    scene.expect("1\n2\n");
    for number in 3..6 {
        late.write_all(format!("late {number}\n").as_bytes()).expect("a file of the case");
        scene.expect_lines(number);
    }
    late.write_all(b"at the stop\n").expect("a file of the case");
    let report = stop_blocking(&merge);
    scene.assert_output("1\n2\nlate 3\nlate 4\nlate 5\nat the stop\n");
    assert_eq!(report.inputs[0].offset, 2, "it is the new file's");
}

/// Again and again, with a pattern that the old files match too: none is read twice.
#[test]
fn files_that_match_under_their_new_name_are_not_read_twice() {
    let scene = Scene::new();
    scene.write("a.log", "");
    let merge = start(scene.builder().input(scene.pattern("a.log*")).rotated_grace(SHORT));
    let mut all = String::new();
    for round in 0..4 {
        let lines = numbered(&format!("round {round}"), 0..100);
        all.push_str(&lines);
        scene.append("a.log", lines);
        scene.expect(&all);
        for number in (1..=round).rev() {
            scene.rename(format!("a.log.{number}"), format!("a.log.{}", number + 1));
        }
        scene.rename("a.log", "a.log.1");
        scene.append("a.log", "");
    }
    // Whatever name is looked at now, what is in the file is known.
    for number in 1..=4 {
        scene.looked(&merge, format!("a.log.{number}"));
    }
    scene.append("a.log.1", "late\n");
    all.push_str("late\n");
    scene.expect(&all);
    stop(&merge);
    scene.assert_output(all);
}

/// The last line of a file that lost its name gets its newline once the file has been quiet for long enough.
#[test]
fn the_last_line_of_a_renamed_file_gets_its_newline() {
    let scene = Scene::new();
    scene.write("a.log", "whole\nfrag");
    let merge = start(scene.builder().path(scene.path("a.log")).rotated_grace(SHORT));
    scene.expect("whole\n");
    scene.rename("a.log", "a.log.1");
    scene.expect("whole\nfrag\n");
    scene.write("a.log", "new\n");
    scene.expect("whole\nfrag\nnew\n");
    assert_eq!(stop(&merge).unterminated_lines, 1);
}

/// So does that of a file whose names are all deleted, however many there were.
#[test]
fn the_last_line_of_a_deleted_file_gets_its_newline() {
    let scene = Scene::new();
    scene.write("a.log", "whole\nfrag");
    scene.hard_link("a.log", "b.log");
    let builder = scene.builder().input(scene.pattern("*.log")).rotated_grace(SHORT);
    let merge = start(builder);
    scene.expect("whole\n");
    scene.events.until("another name of a file that is followed");
    scene.remove("a.log");
    scene.remove("b.log");
    scene.expect("whole\nfrag\n");
    let report = stop(&merge);
    assert_eq!((report.unterminated_lines, report.gaps.len()), (1, 0), "{report:?}");
}

/// A name of a file goes, and a producer goes on under the other one.
#[test]
fn a_file_goes_on_under_its_other_name() {
    let scene = Scene::new();
    scene.write("a.log", "1\nfrag");
    scene.hard_link("a.log", "b.log");
    let builder = scene.builder().path(scene.path("a.log")).path(scene.path("b.log")).rotated_grace(SHORT);
    let merge = start(builder);
    scene.expect("1\n");
    scene.events.until("another name of a file that is followed");
    let gone = if scene.events.count("a.log: another name") > 0 { ["b.log", "a.log"] } else { ["a.log", "b.log"] };
    scene.remove(gone[0]);
    scene.events.until(&format!("{}: followed from byte 2", gone[1]));
    scene.append(gone[1], "ment\n2\n");
    scene.expect("1\nfragment\n2\n");
    stop(&merge);
    scene.assert_output("1\nfragment\n2\n");
}

/// After a truncation the file is read from its start.
#[test]
fn a_truncated_file_is_read_from_its_start() {
    let scene = Scene::new();
    scene.write("a.log", "1\n2\nfrag");
    let merge = start(scene.builder().path(scene.path("a.log")));
    scene.expect("1\n2\n");
    scene.truncate("a.log");
    scene.events.until("a.log: truncated");
    scene.append("a.log", "3\n");
    scene.expect("1\n2\n3\n");
    scene.truncate("a.log");
    until("the second truncation is told", || scene.events.count("truncated, read from its start") == 2);
    scene.append("a.log", "4\n");
    scene.expect("1\n2\n3\n4\n");
    let report = stop(&merge);
    assert_eq!(report.inputs[0].offset, 2, "{report:?}");
    // The fragment was never a line.
    let gaps: Vec<_> = report.gaps.iter().map(|gap| (gap.start, gap.end)).collect();
    assert_eq!(gaps, [(4, 8)]);
}

/// So it is where nobody saw that it had been short: it holds as many bytes again, or more, but others.
#[test]
fn a_file_written_over_is_read_from_its_start() {
    let (brake, fs) = Brake::on(Op::Stat, "a.log");
    let scene = Scene::on(fs);
    scene.write("a.log", "1\n2\n");
    let merge = start(scene.polled().path(scene.path("a.log")));
    scene.expect("1\n2\n");
    brake.unseen(|| scene.write("a.log", "3\n4\n"));
    scene.expect("1\n2\n3\n4\n");
    brake.unseen(|| scene.write("a.log", "5\n6\n7\n8\n"));
    scene.expect("1\n2\n3\n4\n5\n6\n7\n8\n");
    let report = stop(&merge);
    assert!(report.gaps.is_empty(), "{report:?}");
}

/// What had not been read before a truncation is a gap, to the byte.
#[test]
fn what_a_truncation_took_is_a_gap() {
    let scene = Scene::new();
    let old = numbered("old", 0..40_000);
    scene.write("a.log", &old);
    let sink = Sink::held();
    // Too little memory for all that there is to read.
    let builder = scene.builder().path(scene.path("a.log")).max_line_bytes(1024).memory(64 * 1024);
    let merge = start(builder.writer(sink.make()));
    sink.until_written_to();
    scene.truncate("a.log");
    scene.events.until("a.log: truncated");
    sink.release();
    scene.append("a.log", "new\n");
    let report = stop(&merge);

    let [gap] = &report.gaps[..] else { panic!("one gap: {:?}", report.gaps) };
    assert_eq!((gap.reason, &gap.input), (GapReason::Truncated, &scene.path("a.log")));
    assert_eq!(gap.end, old.len() as u64);
    assert!(gap.bytes() > 0, "{gap:?}");
    let start = usize::try_from(gap.start).expect("a small file");
    sink.assert([&old.as_bytes()[..start], b"new\n"].concat());
    assert_eq!(scene.events.count("are not in the output"), 1);
}

/// A file that is deleted and made anew is read from its start, however quickly that goes.
#[test]
fn a_file_made_anew_is_read_from_its_start() {
    let (brake, fs) = Brake::on(Op::Stat, "a.log");
    let scene = Scene::on(fs);
    scene.write("a.log", "1\n");
    let merge = start(scene.polled().path(scene.path("a.log")).rotated_grace(SHORT));
    scene.expect("1\n");
    scene.remove("a.log");
    scene.events.until("a.log: not there");
    scene.write("a.log", "2\n");
    scene.expect("1\n2\n");
    // This time nobody sees that it was gone; what was in it is still read.
    brake.unseen(|| {
        scene.append("a.log", "3\n");
        scene.remove("a.log");
        scene.write("a.log", "4\n");
    });
    scene.expect("1\n2\n3\n4\n");
    let report = stop(&merge);
    assert!(report.gaps.is_empty(), "{report:?}");
}

/// A symbolic link is followed to where it leads, and to where it leads next.
#[test]
fn a_link_that_is_switched_is_followed() {
    let scene = Scene::new();
    scene.write("1/x.log", "1\n");
    scene.write("2/x.log", "2\n");
    scene.symlink("1/x.log", "latest");
    let merge = start_blocking(scene.builder().path(scene.path("latest")));
    scene.expect("1\n");
    scene.symlink("2/x.log", "latest");
    scene.expect("1\n2\n");
    scene.append("1/x.log", "late\n");
    scene.expect("1\n2\nlate\n");
    stop_blocking(&merge);
}

/// A file that is rotated and deleted while the output is behind is held on to, and loses nothing.
#[test]
fn what_vanishes_while_the_output_is_behind_is_kept() {
    let scene = Scene::new();
    let old = numbered("old", 0..40_000);
    scene.write("a.log", &old);
    let sink = Sink::held();
    let builder = scene.builder().path(scene.path("a.log")).max_line_bytes(1024).memory(64 * 1024);
    let merge = start(builder.writer(sink.make()));
    sink.until_written_to();
    let joined = |times| until("the new file is seen", || scene.events.count("a.log: followed from byte 0") == times);
    joined(1);
    for (times, text) in [(2, "middle\n"), (3, "new\n")] {
        scene.rename("a.log", "gone");
        scene.write("a.log", text);
        joined(times);
        scene.remove("gone");
    }
    sink.release();
    let report = stop(&merge);
    assert!(report.gaps.is_empty(), "{report:?}");
    sink.assert([old.as_str(), "middle\nnew\n"].concat());
    assert_eq!(lines(&sink.bytes()).len(), 40_002);
}

/// Unless it takes more of the disk than is allowed: then what is left of it is a gap, to the byte.
#[test]
fn beyond_the_bytes_allowed_a_deleted_file_is_a_gap() {
    let scene = Scene::new();
    let old = numbered("old", 0..40_000);
    scene.write("a.log", &old);
    let sink = Sink::held();
    let builder = scene.builder().path(scene.path("a.log")).max_line_bytes(1024).memory(64 * 1024);
    let merge = start(builder.deleted_max_bytes(5000).writer(sink.make()));
    sink.until_written_to();
    // That much is allowed.
    scene.rename("a.log", "gone");
    scene.write("a.log", "kept\n");
    until("the new file is seen", || scene.events.count("a.log: followed from byte 0") == 2);
    scene.remove("a.log");
    scene.remove("gone");
    scene.events.until("are not in the output");
    sink.release();
    let report = stop(&merge);

    let [gap] = &report.gaps[..] else { panic!("one gap: {:?}", report.gaps) };
    assert_eq!((gap.reason, gap.end), (GapReason::Expired, old.len() as u64));
    assert!(gap.bytes() > 5000, "{gap:?}");
    let start = usize::try_from(gap.start).expect("a small file");
    sink.assert([&old.as_bytes()[..start], b"kept\n"].concat());
}
