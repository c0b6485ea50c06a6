//! Files put in another's place: copies that go on, and other files that hold the same.

use std::time::Duration;

use crate::kit::{Brake, Op, Scene, Sink, numbered, start, stop, until};

/// A time in which nothing is quiet.
const LONG: Duration = Duration::from_secs(600);
/// A time after which what is held is let go.
const SHORT: Duration = Duration::from_millis(30);

/// Puts a file in the place of another, as rsync and editors do: it is written beside it, and renamed onto it.
fn put_in_place(scene: &Scene, name: &str, content: impl AsRef<[u8]>) {
    scene.write("new", content);
    scene.rename("new", name);
}

/// Returns true where no event tells that a file was renamed onto a name, and says so.
fn has_no_events(scene: &Scene) -> bool {
    let is_polled = scene.is_polled();
    if is_polled {
        println!("SKIPPED: files are polled here, and nobody tells of a name that is put onto another");
    }
    is_polled
}

/// A fresh copy is put in the file's place again and again, each with more lines: it is the same input that goes on.
#[test]
fn a_copy_put_in_the_place_of_a_file_goes_on() {
    for pattern in ["a.log", "*.log"] {
        let scene = Scene::new();
        if has_no_events(&scene) {
            return;
        }
        let mut all = numbered("line", 0..100);
        scene.write("a.log", &all);
        let merge = start(scene.builder().input(scene.pattern(pattern)).rotated_grace(SHORT));
        scene.expect(&all);
        for round in 0..5 {
            // At first there is nothing new.
            all += &numbered(&format!("round {round}"), 0..10 * round);
            put_in_place(&scene, "a.log", &all);
            scene.looked(&merge, "a.log");
            scene.expect(&all);
        }
        scene.append("a.log", "appended\n");
        all += "appended\n";
        scene.expect(&all);
        let report = stop(&merge);
        scene.assert_output(&all);
        assert!(report.gaps.is_empty(), "{report:?}");
        assert_eq!(report.inputs[0].offset, all.len() as u64, "{report:?}");
    }
}

/// Where the old file ends in a fragment, the line goes on in the copy, and comes whole.
#[test]
fn a_line_goes_on_in_the_copy_in_its_place() {
    let scene = Scene::new();
    if has_no_events(&scene) {
        return;
    }
    let mut all = numbered("line", 0..100);
    scene.write("a.log", [&all, "a fragm"].concat());
    let merge = start(scene.builder().path(scene.path("a.log")).rotated_grace(SHORT));
    scene.expect(&all);
    all += "a fragment\nnext\n";
    put_in_place(&scene, "a.log", &all);
    scene.expect(&all);
    until("the old one is closed", || {
        merge.wake();
        scene.open_files().iter().filter(|file| !file.ends_with("all")).count() <= 1
    });
    let report = stop(&merge);
    scene.assert_output(&all);
    assert_eq!((report.gaps.len(), report.unterminated_lines), (0, 0), "{report:?}");
}

/// What a producer still writes to the old file, which nobody copied, comes as well.
#[test]
fn late_writes_to_the_file_that_was_copied_come_out() {
    let scene = Scene::new();
    if has_no_events(&scene) {
        return;
    }
    let mut all = numbered("line", 0..100);
    scene.write("a.log", &all);
    let merge = start(scene.builder().path(scene.path("a.log")).rotated_grace(LONG));
    scene.expect(&all);
    let mut late = scene.producer("a.log");
    put_in_place(&scene, "a.log", [&all, "of the copy\n"].concat());
    all += "of the copy\n";
    scene.expect(&all);
    std::io::Write::write_all(&mut late, b"late\n").expect("a file of the case");
    all += "late\n";
    scene.expect(&all);
    stop(&merge);
    scene.assert_output(&all);
}

/// A reader that is far behind loses nothing by it, and reads nothing twice.
#[test]
fn a_copy_is_put_in_its_place_while_behind() {
    let scene = Scene::new();
    if has_no_events(&scene) {
        return;
    }
    let mut all = numbered("a line of some length", 0..100_000);
    scene.write("a.log", &all);
    let sink = Sink::held();
    let builder = scene.builder().path(scene.path("a.log")).max_line_bytes(1024).memory(64 * 1024);
    let merge = start(builder.writer(sink.make()));
    sink.until_written_to();
    for round in 0..3 {
        all += &format!("of round {round}\n");
        put_in_place(&scene, "a.log", &all);
        let looks = scene.fs.looks(&scene.path("a.log"));
        until("it is looked at", || {
            merge.wake();
            scene.fs.looks(&scene.path("a.log")) > looks + 1
        });
    }
    sink.release();
    let report = stop(&merge);
    assert!(report.gaps.is_empty(), "{report:?}");
    sink.assert(&all);
}

/// A file put in another's place is another one, and read from its start: where it was edited before the offset, where
/// it holds less than was read, where all of it is one line again and again, and wherever nobody tells that it was put
/// there.
#[test]
fn another_file_put_in_its_place_is_read_from_its_start() {
    let lines = numbered("line", 0..100);
    let edited = lines.replacen("line 50\n", "line fifty\n", 1);
    let begun = numbered("line", 0..40);
    let (ticks, more) = ("tick\n".repeat(100), "tick\n".repeat(150));
    let cases = [(&lines, &edited, false), (&lines, &begun, false), (&ticks, &more, false), (&ticks, &ticks, false)];
    for (old, new, polled) in cases.into_iter().chain([(&lines, &lines, true)]) {
        let scene = Scene::new();
        scene.write("a.log", old);
        let builder = if polled { scene.polled() } else { scene.builder() };
        let merge = start(builder.path(scene.path("a.log")).rotated_grace(SHORT));
        scene.expect(old);
        put_in_place(&scene, "a.log", new);
        scene.expect([old.as_str(), new].concat());
        scene.append("a.log", "appended\n");
        scene.expect([old, new, "appended\n"].concat());
        let report = stop(&merge);
        assert!(report.gaps.is_empty(), "{report:?}");
    }
}

/// A program makes its log anew, with the same lines, where a copy has just been put in its place: it is another file.
#[test]
fn a_file_made_where_a_copy_was_put_is_read_from_its_start() {
    let (brake, fs) = Brake::on(Op::Stat, "a.log");
    let scene = Scene::on(fs);
    let lines = numbered("line", 0..100);
    scene.write("a.log", &lines);
    let merge = start(scene.builder().path(scene.path("a.log")).rotated_grace(SHORT));
    scene.expect(&lines);
    let held = brake.hold();
    merge.wake();
    held.until_stopped();
    put_in_place(&scene, "a.log", &lines);
    scene.remove("a.log");
    scene.write("a.log", &lines);
    drop(held);
    scene.expect(lines.repeat(2));
    scene.append("a.log", "next\n");
    scene.expect([&lines.repeat(2), "next\n"].concat());
    stop(&merge);
}

/// A program that is started again may write the very same lines: they all come, whether its log was removed, cut or
/// moved away before, and whether or not anybody saw that.
#[test]
fn a_program_that_is_started_again_writes_the_same_lines() {
    let lines = numbered("line", 0..100);
    let twice = lines.repeat(2);
    for pattern in ["a.log", "a.log*"] {
        for way in ["removed", "cut", "moved"] {
            let scene = Scene::new();
            scene.write("a.log", &lines);
            let merge = start(scene.builder().input(scene.pattern(pattern)).rotated_grace(SHORT));
            scene.expect(&lines);
            match way {
                "removed" => {
                    scene.remove("a.log");
                    scene.looked(&merge, "a.log");
                }
                "cut" => {
                    scene.truncate("a.log");
                    scene.events.until("a.log: truncated");
                }
                _ => scene.rename("a.log", "a.log.1"),
            }
            for line in lines.split_inclusive('\n') {
                scene.append("a.log", line);
            }
            scene.expect(&twice);
            scene.append("a.log", "next\n");
            scene.expect([&twice, "next\n"].concat());
            let report = stop(&merge);
            assert!(report.gaps.is_empty(), "{way}: {report:?}");
        }
    }
    for (moved, pattern) in [(false, "a.log"), (true, "a.log"), (true, "a.log*")] {
        let (brake, fs) = Brake::on(Op::Stat, "a.log");
        let scene = Scene::on(fs);
        scene.write("a.log", &lines);
        let merge = start(scene.polled().input(scene.pattern(pattern)).rotated_grace(SHORT));
        scene.expect(&lines);
        brake.unseen(|| {
            if moved {
                scene.rename("a.log", "a.log.1");
            } else {
                scene.remove("a.log");
            }
            scene.write("a.log", &lines);
        });
        scene.expect(&twice);
        stop(&merge);
        scene.assert_output(&twice);
    }
}
