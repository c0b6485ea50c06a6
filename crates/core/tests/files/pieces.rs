//! Lines that are written in pieces, which end anywhere.

use std::io::Write;
use std::thread;
use std::time::Duration;

use crate::kit::{Scene, numbered, sorted, start, start_blocking, stop, stop_blocking};

/// A time after which a file is let go.
const SHORT: Duration = Duration::from_millis(30);

/// A line of that many bytes, that tells whose it is wherever it is looked at.
fn line(label: &str, number: usize, len: usize) -> String {
    let mut line = format!("{label} {number} ").repeat(len / 4 + 1);
    line.truncate(len - 1);
    line + "\n"
}

/// Sixteen producers, each with a file, write lines of 100 bytes to 64 KiB in two writes each, which meet at another
/// place in each line; one writes byte by byte. Each line comes out once and whole.
#[test]
fn a_write_may_end_anywhere() {
    const PRODUCERS: usize = 16;
    const SHORT_LINE: usize = 100;
    let scene = Scene::new();
    let names: Vec<String> = (0..PRODUCERS).map(|number| format!("{number}.log")).collect();
    let merge = start(scene.builder().input(scene.pattern("*.log")));
    thread::scope(|scope| {
        for (producer, name) in names.iter().enumerate() {
            let scene = &scene;
            scope.spawn(move || {
                let mut file = scene.producer(name);
                let mut write = |bytes: &str| file.write_all(bytes.as_bytes()).expect("a file of the case");
                if producer == 0 {
                    let text = line(name, 0, 1500) + &line(name, 1, 500);
                    return (0..text.len()).for_each(|at| write(&text[at..=at]));
                }
                // Every place in a short line, and then some in longer ones.
                for at in 0..=SHORT_LINE {
                    let line = line(name, at, SHORT_LINE);
                    write(&line[..at]);
                    write(&line[at..]);
                }
                for (number, len) in [1000, 4096, 4097, 16 * 1024, 20_000, 65_535, 65_536].into_iter().enumerate() {
                    let line = line(name, SHORT_LINE + 1 + number, len);
                    let at = (len - 1) * (producer - 1) / (PRODUCERS - 2);
                    write(&line[..at]);
                    thread::yield_now();
                    write(&line[at..]);
                }
            });
        }
    });
    let report = stop(&merge);
    assert_eq!(report.lines, 2 + (PRODUCERS as u64 - 1) * 108);
    assert_eq!((report.gaps.len(), report.unterminated_lines), (0, 0));
    scene.check(&names);
}

/// A producer pauses within a line of 64 KiB at each page, which is where the system may cut a write: nothing of the
/// line comes out before its end, and the lines of others do.
#[test]
fn a_pause_within_a_long_line_shows_nothing_of_it() {
    const PAGE: usize = 4096;
    let scene = Scene::new();
    scene.write("a.log", "begin\n");
    let builder = scene.builder().input(scene.pattern("*.log"));
    let merge = start_blocking(builder);
    let mut want = "begin\n".to_owned();
    scene.expect(&want);
    let long = line("long", 1, 16 * PAGE);
    for (number, page) in long.as_bytes().chunks(PAGE).enumerate() {
        scene.append("b.log", format!("other {number}\n"));
        want += &format!("other {number}\n");
        scene.expect(&want);
        scene.append("a.log", page);
        if number < 15 {
            scene.looked(&merge, "a.log");
            scene.assert_output(&want);
        }
    }
    scene.expect(want + &long);
    stop_blocking(&merge);
    scene.check(["a.log", "b.log"]);
}

/// The last line of one file is no part of the first line of the file that takes its name: they are two lines, and
/// the one that had no newline is counted.
#[test]
fn a_line_cut_by_a_rotation_is_two_lines() {
    let scene = Scene::new();
    scene.write("a.log", "whole\nfirst ha");
    let merge = start(scene.builder().path(scene.path("a.log")).rotated_grace(SHORT));
    scene.expect("whole\n");
    scene.rename("a.log", "a.log.1");
    scene.append("a.log", "lf\nnext\n");
    scene.expect_lines(4);
    let report = stop(&merge);
    assert_eq!(sorted(&scene.output()), sorted(b"whole\nfirst ha\nlf\nnext\n"));
    assert_eq!((report.unterminated_lines, report.gaps.len()), (1, 0), "{report:?}");
}

/// Lines written while the file is rotated again and again, in pieces, by a producer that ends its line in the old
/// file: none is cut.
#[test]
fn a_line_ended_in_the_old_file_is_whole() {
    let scene = Scene::new();
    let names: Vec<String> = (0..10).map(|number| format!("old.{number}")).collect();
    let merge = start(scene.builder().path(scene.path("a.log")));
    for (number, name) in names.iter().enumerate() {
        let lines = numbered(name, 0..100);
        let mut file = scene.producer("a.log");
        let (head, tail) = lines.split_at(lines.len() * number / 10);
        file.write_all(head.as_bytes()).expect("a file of the case");
        scene.looked(&merge, "a.log");
        scene.rename("a.log", name);
        file.write_all(tail.as_bytes()).expect("a file of the case");
    }
    scene.expect_lines(1000);
    stop(&merge);
    scene.check(&names);
}
