//! Files put in another's place: copies that go on, and other files that hold the same.

use std::time::Duration;

use crate::kit::{Brake, Op, Scene, numbered, start, stop};

/// A time after which what is held is let go.
const SHORT: Duration = Duration::from_millis(30);

/// Puts a file in the place of another, as rsync and editors do: it is written beside it, and renamed onto it.
fn put_in_place(scene: &Scene, name: &str, content: impl AsRef<[u8]>) {
    scene.write("new", content);
    scene.rename("new", name);
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
