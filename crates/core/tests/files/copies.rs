//! Copies of a log under any name, which hold the same content once; and logs that hold the same and are no copies.

use std::path::Path;
use std::time::Duration;

use tailmerge_core::{Builder, Prefix};

use crate::kit::{Brake, Op, Scene, Sink, TestFs, block_on, numbered, start, stop, until};

/// A time in which nothing is quiet.
const LONG: Duration = Duration::from_secs(600);
/// A time after which what is held is let go.
const SHORT: Duration = Duration::from_millis(30);

/// The names that a copy may get, and the patterns that find them.
const COPIES: [(&str, &str); 6] = [
    ("a.log.1", "a.log*"),
    ("a.1.log", "*.log"),
    ("a__1.log", "*.log"),
    ("other.log", "*.log"),
    ("old/a.log", "**/*.log"),
    ("old/2026/a-20260101.log", "**/*.log"),
];

/// A file is copied to any name that a pattern finds, and cut: what was read of it does not come again.
#[test]
fn a_copy_by_any_name_is_not_read_again() {
    for (copy, pattern) in COPIES {
        let scene = Scene::new();
        let mut all = numbered("old", 0..200);
        scene.write("a.log", &all);
        let merge = start(scene.builder().input(scene.pattern(pattern)).rotated_grace(LONG));
        scene.expect(&all);
        scene.copy("a.log", copy);
        scene.looked(&merge, copy);
        scene.assert_output(&all);
        scene.truncate("a.log");
        scene.events.until("a.log: truncated");
        scene.append("a.log", numbered("new", 0..50));
        all += &numbered("new", 0..50);
        scene.expect(&all);
        scene.looked(&merge, copy);
        // It is another file from then on, and known.
        scene.append(copy, "added\n");
        all += "added\n";
        scene.expect(&all);
        let report = stop(&merge);
        scene.assert_output(&all);
        assert!(report.gaps.is_empty(), "{copy}: {report:?}");
    }
}

/// What had not been read before the cut is read from the copy, in its place.
#[test]
fn a_copy_by_any_name_has_what_was_cut_unread() {
    for (copy, pattern) in COPIES {
        let scene = Scene::new();
        let old = numbered("a line of some length", 0..100_000);
        scene.write("a.log", &old);
        let sink = Sink::held();
        let builder = scene.builder().input(scene.pattern(pattern)).max_line_bytes(1024).memory(64 * 1024);
        let merge = start(builder.rotated_grace(LONG).writer(sink.make()));
        sink.until_written_to();
        scene.copy("a.log", copy);
        let path = scene.path(copy);
        let looks = scene.fs.looks(&path);
        until("the copy is looked at", || {
            merge.wake();
            scene.fs.looks(&path) > looks + 2
        });
        scene.truncate("a.log");
        scene.events.until("a.log: truncated");
        scene.append("a.log", "new\n");
        sink.release();
        sink.expect([&old, "new\n"].concat());
        let report = stop(&merge);
        assert!(report.gaps.is_empty(), "{copy}: {:?}", report.gaps);
        sink.assert([&old, "new\n"].concat());
    }
}

/// Copies are numbered before the ending, and get other names each time; what came between copy and cut, and was read,
/// is no reason to read a copy again.
#[test]
fn numbered_copies_are_not_read_again() {
    let scene = Scene::new();
    scene.write("a.log", "");
    let merge = start(scene.builder().input(scene.pattern("*.log")).rotated_grace(LONG));
    let mut all = String::new();
    for round in 0..5 {
        let lines = numbered(&format!("round {round}"), 0..100);
        scene.append("a.log", &lines);
        all += &lines;
        scene.expect(&all);
        for number in (1..=round).rev() {
            scene.rename(format!("a.{number}.log"), format!("a.{}.log", number + 1));
        }
        scene.copy("a.log", "a.1.log");
        scene.append("a.log", "between\n");
        all += "between\n";
        scene.expect(&all);
        scene.looked(&merge, "a.1.log");
        scene.truncate("a.log");
        until("the cut is seen", || scene.events.count("a.log: truncated") == round + 1);
    }
    for number in 1..=5 {
        scene.looked(&merge, format!("a.{number}.log"));
    }
    let report = stop(&merge);
    scene.assert_output(&all);
    assert!(report.gaps.is_empty(), "{report:?}");
}

/// So it is where copy and cut come so quickly that nobody has seen the copy before.
#[test]
fn a_copy_that_is_found_after_the_cut_is_not_read_again() {
    for (copy, pattern) in COPIES {
        let (brake, fs) = Brake::on(Op::Stat, "a.log");
        let scene = Scene::on(fs);
        let mut all = numbered("old", 0..200);
        scene.write("a.log", &all);
        let merge = start(scene.polled().input(scene.pattern(pattern)));
        scene.expect(&all);
        brake.unseen(|| {
            scene.copy("a.log", copy);
            scene.truncate("a.log");
        });
        scene.looked(&merge, "a.log");
        scene.append("a.log", numbered("new", 0..50));
        all += &numbered("new", 0..50);
        scene.expect(&all);
        scene.looked(&merge, copy);
        let report = stop(&merge);
        scene.assert_output(&all);
        assert!(report.gaps.is_empty(), "{copy}: {report:?}");
    }
}

/// A copy of a file that is not cut is an input of its own, after a while.
#[test]
fn a_copy_of_a_file_that_is_not_cut_is_an_input() {
    for (copy, pattern) in COPIES {
        let scene = Scene::new();
        let lines = numbered("line", 0..100);
        scene.write("a.log", &lines);
        let merge = start(scene.builder().input(scene.pattern(pattern)).rotated_grace(SHORT));
        scene.expect(&lines);
        scene.copy("a.log", copy);
        scene.expect(lines.repeat(2));
        scene.append("a.log", "next\n");
        scene.expect([&lines.repeat(2), "next\n"].concat());
        // That it is cut later changes nothing.
        scene.truncate("a.log");
        scene.events.until("a.log: truncated");
        scene.append("a.log", "after\n");
        scene.expect([&lines.repeat(2), "next\nafter\n"].concat());
        scene.append(copy, "added\n");
        scene.expect([&lines.repeat(2), "next\nafter\nadded\n"].concat());
        let report = stop(&merge);
        assert_eq!((report.inputs.len(), report.gaps.len()), (2, 0), "{copy}: {report:?}");
    }
}

/// A stop delivers what is held at that moment.
#[test]
fn a_stop_delivers_what_is_held() {
    for (copy, pattern) in COPIES {
        let scene = Scene::new();
        let lines = numbered("line", 0..100);
        scene.write("a.log", &lines);
        let merge = start(scene.builder().input(scene.pattern(pattern)).rotated_grace(LONG));
        scene.expect(&lines);
        scene.write(copy, [&lines, "its own\n"].concat());
        scene.looked(&merge, copy);
        scene.assert_output(&lines);
        let report = stop(&merge);
        scene.assert_output([&lines, &lines, "its own\n"].concat());
        assert_eq!(report.gaps.len(), 0, "{copy}: {report:?}");
    }
}

/// Labels lines by their files.
fn labelled(scene: &Scene) -> Builder {
    scene.builder().input(scene.pattern("*.log")).prefix(Prefix::Name).rotated_grace(Duration::from_millis(100))
}

/// The lines in the output that have this label.
fn lines_of(scene: &Scene, name: &str) -> String {
    let (output, label) = (String::from_utf8(scene.output()).expect("lines of the case"), format!("{name}: "));
    output.split_inclusive('\n').filter_map(|line| line.strip_prefix(&label)).collect()
}

/// Two logs that get the same lines are two, and the later one does not wait for ever for the first to be cut.
#[test]
fn two_logs_that_get_the_same_lines_are_two() {
    for late in [false, true] {
        let scene = Scene::new();
        let lines = numbered("line", 0..100);
        scene.write("a.log", &lines);
        if !late {
            scene.write("b.log", &lines);
        }
        let merge = start(labelled(&scene));
        scene.expect_lines(if late { 100 } else { 200 });
        if late {
            scene.write("b.log", &lines);
        }
        let mut number = 100;
        until("both come", || {
            for name in ["a.log", "b.log"] {
                scene.append(name, format!("line {number}\n"));
            }
            number += 1;
            number > 200 && scene.output().windows(14).any(|part| part == b"b.log: line 0\n")
        });
        scene.expect_lines(2 * number);
        // A cut of one is nothing to the other.
        scene.truncate("a.log");
        scene.events.until("a.log: truncated");
        for name in ["a.log", "b.log"] {
            scene.append(name, "last\n");
        }
        scene.expect_lines(2 * number + 2);
        let report = stop(&merge);
        assert!(report.gaps.is_empty(), "{report:?}");
        for name in ["a.log", "b.log"] {
            assert_eq!(lines_of(&scene, name), numbered("line", 0..number) + "last\n", "{name}");
        }
    }
}

/// A log that begins like another and goes on otherwise comes soon, although it grows without a pause and the other is
/// much longer.
#[test]
fn a_log_that_begins_like_another_is_not_held_up() {
    let scene = Scene::new();
    let banner = numbered("the same in both", 0..100);
    scene.write("a.log", [banner.as_str(), &numbered("a", 0..100_000)].concat());
    let merge = start(labelled(&scene));
    scene.expect_lines(100_100);
    scene.write("b.log", &banner);
    let mut number = 0;
    until("the later one comes", || {
        scene.append("b.log", format!("b {number}\n"));
        number += 1;
        scene.events.count("b.log: followed from byte 0") > 0
    });
    scene.expect_lines(100_200 + number);
    let report = stop(&merge);
    assert!(report.gaps.is_empty(), "{report:?}");
    assert_eq!(lines_of(&scene, "b.log"), banner + &numbered("b", 0..number));
}

/// Whoever can put a file where a pattern finds it cannot have its lines come as another's.
#[test]
fn a_copy_of_somebody_else_is_an_input_of_its_own() {
    const VICTIM: u32 = 4_000_000_001;
    const OTHER: u32 = 4_000_000_002;
    for (copy, pattern) in COPIES {
        let of = |path: &Path| if path.ends_with("a.log") && !path.ends_with("old/a.log") { VICTIM } else { OTHER };
        let scene = Scene::on(TestFs::new().with_owners(of));
        let lines = numbered("line", 0..100);
        scene.write("a.log", &lines);
        let builder = scene.builder().input(scene.pattern(pattern)).prefix(Prefix::Path);
        let merge = start(builder.rotated_grace(LONG));
        scene.expect_lines(100);
        scene.write(copy, [&lines, "forged\n"].concat());
        // It is not held either.
        scene.expect_lines(201);
        scene.truncate("a.log");
        scene.events.until("a.log: truncated");
        scene.append("a.log", "new\n");
        scene.expect_lines(202);
        stop(&merge);
        let label = |name: &str, text: &str| {
            text.lines().map(|line| format!("{}: {line}\n", scene.path(name).display())).collect::<String>()
        };
        scene.assert_output(
            label("a.log", &lines) + &label(copy, &(lines.clone() + "forged\n")) + &label("a.log", "new\n"),
        );
    }
}

/// A file that is not followed for a while, again and again, goes on where it was left.
#[test]
fn a_file_that_is_followed_again_goes_on() {
    let scene = Scene::new();
    let mut all = "1\n2\n3\n".to_owned();
    scene.write("a.log", &all);
    let path = scene.path("a.log");
    let merge = start(scene.builder().path(&path));
    scene.expect(&all);
    for round in 0..100 {
        block_on("unfollow", merge.unfollow(&path)).expect("the merge runs");
        let line = format!("while nobody followed {round}\n");
        scene.append("a.log", &line);
        all += &line;
        block_on("follow", merge.follow(&path)).expect("the merge runs");
        scene.expect(&all);
    }
    let report = stop(&merge);
    scene.assert_output(&all);
    assert!(report.gaps.is_empty(), "{report:?}");
}
