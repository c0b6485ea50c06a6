//! Inputs that cannot be read again: FIFOs.

use std::fs::{self, File};
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::kit::{DEADLINE, Scene, numbered, on_thread, sorted, start, start_blocking, stop, stop_blocking, text};

/// As short as can be.
const SHORT: Duration = Duration::from_millis(1);
/// Longer than any case takes.
const LONG: Duration = Duration::from_secs(3600);

/// A FIFO's writer, which does not wait for a reader.
fn writer(scene: &Scene, name: &str) -> File {
    File::options().read(true).write(true).open(scene.path(name)).expect("a FIFO of the case")
}

/// A FIFO that is removed and made anew is read anew, time after time; what the old one's last line has is kept apart.
#[test]
fn a_fifo_made_anew_is_read() {
    let scene = Scene::of_machine();
    scene.fifo("in");
    let merge = start(scene.builder().path(scene.path("in")).rotated_grace(SHORT));
    let mut want = String::new();
    for round in 0..5 {
        // Waits for the reader.
        let path = scene.path("in");
        let lines = numbered(&format!("round {round}"), 0..1000);
        want += &lines;
        let written = on_thread("a writer", move || fs::write(path, lines + "no newline"));
        written.wait().expect("a FIFO of the case");
        scene.expect(&want);
        scene.remove("in");
        want += "no newline\n";
        scene.expect(&want);
        scene.fifo("in");
    }
    let report = stop(&merge);
    scene.assert_output(&want);
    assert!(report.is_complete() && report.unterminated_lines == 5, "{report:?}");
}

/// A FIFO may come late, and be a file for a while; the old one is read on as long as something comes.
#[test]
fn a_fifo_may_come_and_go() {
    let scene = Scene::of_machine();
    let merge = start_blocking(scene.builder().path(scene.path("in")).rotated_grace(LONG));
    scene.events.until("in: not there");
    scene.fifo("in");
    let mut first = writer(&scene, "in");
    first.write_all(b"fifo 1\n").expect("a FIFO of the case");
    scene.expect("fifo 1\n");
    scene.remove("in");
    scene.write("in", "file\n");
    scene.expect("fifo 1\nfile\n");
    first.write_all(b"late\nbeg").expect("a FIFO of the case");
    scene.expect("fifo 1\nfile\nlate\n");
    scene.remove("in");
    scene.fifo("in");
    let mut second = writer(&scene, "in");
    second.write_all(b"fifo 2\n").expect("a FIFO of the case");
    scene.expect("fifo 1\nfile\nlate\nfifo 2\n");
    second.write_all(b"at the stop\n").expect("a FIFO of the case");
    let report = stop_blocking(&merge);
    // What was begun cannot be read again.
    let want = "fifo 1\nfile\nlate\nfifo 2\nbeg\nat the stop\n";
    assert_eq!(text(&sorted(&scene.output())), text(&sorted(want.as_bytes())));
    assert!(report.is_complete() && report.unterminated_lines == 1, "{report:?}");
}

/// Two names of one FIFO are one input: no line is torn between two readers.
#[test]
fn two_names_of_a_fifo_are_one_input() {
    let scene = Scene::of_machine();
    scene.fifo("in");
    scene.hard_link("in", "too");
    let merge = start(scene.builder().path(scene.path("in")).path(scene.path("too")));
    scene.events.until("another name of a file that is followed");
    let mut writer = writer(&scene, "in");
    let mut want = String::new();
    for number in 0..200 {
        let line = format!("line {number}\n");
        let (head, tail) = line.split_at(line.len() / 2);
        writer.write_all(head.as_bytes()).expect("a FIFO of the case");
        writer.write_all(tail.as_bytes()).expect("a FIFO of the case");
        want += &line;
    }
    scene.expect(&want);
    assert!(stop(&merge).is_complete());
    scene.assert_output(&want);
}

/// A FIFO that is followed no more is read no more.
#[test]
fn a_fifo_may_be_left() {
    let scene = Scene::of_machine();
    let merge = start_blocking(scene.builder().rotated_grace(LONG));
    scene.fifo("in");
    merge.follow_blocking(scene.path("in")).expect("the merge runs");
    let mut held = writer(&scene, "in");
    held.write_all(b"1\n").expect("a FIFO of the case");
    scene.expect("1\n");
    merge.unfollow_blocking(scene.path("in")).expect("the merge runs");
    // It is read again as soon as the first reader has left it, by that one only.
    merge.follow_blocking(scene.path("in")).expect("the merge runs");
    let mut want = "1\n".to_owned();
    for number in 0..200 {
        let line = format!("line {number}\n");
        let (head, tail) = line.split_at(line.len() / 2);
        held.write_all(head.as_bytes()).expect("a FIFO of the case");
        held.write_all(tail.as_bytes()).expect("a FIFO of the case");
        want += &line;
    }
    scene.expect_lines(201);
    assert!(stop_blocking(&merge).is_complete());
    // A line that was begun when it was left got its newline then.
    let joined = |text: &str| text.replace('\n', "");
    assert_eq!(joined(&text(&scene.output())), joined(&want));
}

/// A FIFO that is written to without end does not hold up the stop, and its last line is whole.
#[test]
fn a_stream_without_end_is_stopped() {
    let scene = Scene::of_machine();
    scene.fifo("in");
    let merge = start(scene.builder().path(scene.path("in")));
    let (over, mut writer) = (Arc::new(AtomicBool::new(false)), writer(&scene, "in"));
    let writing = {
        let over = over.clone();
        on_thread("a writer", move || {
            let mut written = String::new();
            for number in 0.. {
                let line = format!("line {number}\n");
                if over.load(Ordering::Relaxed) || writer.write_all(line.as_bytes()).is_err() {
                    break;
                }
                written += &line;
            }
            (written, writer)
        })
    };
    scene.expect_lines(1000);
    let start = Instant::now();
    let report = stop(&merge);
    let took = start.elapsed();
    over.store(true, Ordering::Relaxed);
    // A writer that waits for room is let go.
    let reader = File::options().read(true).open(scene.path("in")).expect("a FIFO of the case");
    let drain = on_thread("a reader", move || std::io::copy(&mut { reader }, &mut std::io::sink()));
    let (written, writer) = writing.wait();
    drop(writer);
    drain.wait().expect("a FIFO of the case");
    assert!(took < DEADLINE / 3, "it took {took:?}");
    assert!(report.is_complete(), "{report:?}");
    let output = text(&scene.output());
    assert!(written.starts_with(&output), "whole lines, in order");
}
