//! `--verify` finds what a merge could do wrong, and says where.

use std::fs;

use crate::tool::{Dir, numbered};

/// A merged output with its inputs: the lines of `a.log` stand at 1 to 100 or at 101 to 200.
fn merged() -> Dir {
    let dir = Dir::new();
    dir.write("logs/a.log", numbered("a", 100));
    dir.write("logs/b.log", numbered("b", 100));
    dir.run(["--once", "-o", "all.log", "logs/*.log"]).expect_quiet();
    dir
}

fn lines(dir: &Dir) -> Vec<String> {
    dir.text("all.log").split_inclusive('\n').map(str::to_owned).collect()
}

fn at(lines: &[String], line: &str) -> usize {
    lines.iter().position(|other| other == line).unwrap()
}

const VERIFY: [&str; 4] = ["--verify", "-o", "all.log", "logs/*.log"];

#[test]
fn a_right_output_is_confirmed_in_one_line() {
    let dir = merged();
    let finished = dir.run(VERIFY).expect(0).says("all.log: holds the 200 lines of 2 inputs");
    assert_eq!(finished.stderr.lines().count(), 1);
    assert_eq!(finished.stdout, b"");
    dir.run(["--verify", "-q", "-o", "all.log", "logs/*.log"]).expect_quiet();
}

#[test]
fn a_deleted_line_is_named() {
    let dir = merged();
    let mut lines = lines(&dir);
    lines.remove(at(&lines, "b 41\n"));
    dir.write("all.log", lines.concat());
    let finished = dir.run(VERIFY).expect(1).says("logs/b.log:42: missing").says("b 41");
    assert_eq!(finished.stderr.lines().count(), 1);
}

#[test]
fn a_doubled_line_is_named() {
    let dir = merged();
    let mut lines = lines(&dir);
    let at = at(&lines, "a 7\n");
    lines.insert(at, "a 7\n".to_owned());
    dir.write("all.log", lines.concat());
    let (first, second) = (format!("all.log:{}: surplus", at + 1), format!("all.log:{}: surplus", at + 2));
    let finished = dir.run(VERIFY).expect(1).says("a 7");
    assert!(finished.stderr.contains(&first) || finished.stderr.contains(&second), "{}", finished.stderr);
}

#[test]
fn swapped_lines_are_named() {
    let dir = merged();
    let mut lines = lines(&dir);
    let at = at(&lines, "a 50\n");
    lines.swap(at, at + 1);
    dir.write("all.log", lines.concat());
    let place = format!("all.log:{}: out of order", at + 1);
    dir.run(VERIFY).expect(1).says(&place).says("logs/a.log:52").says("logs/a.log:51");
}

#[test]
fn a_fragment_at_the_end_is_named() {
    let dir = merged();
    dir.append("all.log", "a 1");
    dir.run(VERIFY).expect(1).says("all.log:201");
}

#[test]
fn a_line_of_no_input_is_named() {
    let dir = merged();
    dir.append("all.log", "who am I\n");
    dir.run(VERIFY).expect(1).says("all.log:201: surplus").says("who am I");
}

#[test]
fn an_unread_input_is_named() {
    let dir = merged();
    dir.write("logs/c.log", "c 0\n");
    dir.run(VERIFY).expect(1).says("logs/c.log:1: missing");
    dir.run(["--verify", "--exclude", "c.log", "-o", "all.log", "logs/*.log"]).expect(0);
}

#[test]
fn labels_formats_and_limits_are_those_of_the_merge() {
    for settings in [
        &["--prefix", "path"][..],
        &["--prefix", "name", "--format", "json"],
        &["--format", "json", "--max-line-bytes", "3"],
        &["--max-line-bytes", "3", "--long-lines", "split"],
        &["--max-line-bytes", "4", "--long-lines", "truncate"],
        &["--max-line-bytes", "3", "--long-lines", "skip", "--prefix", "path"],
    ] {
        let dir = Dir::new();
        dir.write("logs/a.log", "1\n22\n333\n4444\n\n666666\n7777777");
        dir.write("logs/b.log", b"\xff\r\nlonger than the limit\n");
        let run = |mode: &[&str]| dir.run([mode, settings, &["-o", "all.log", "logs/*.log"]].concat());
        let merged = run(&["--once", "-q"]);
        assert!(matches!(merged.status, Some(0 | 3)), "{settings:?}: {}", merged.stderr);
        run(&["--verify"]).expect(0);
        dir.run(["--verify", "--prefix", "name", "--max-line-bytes", "5", "-o", "all.log", "logs/*.log"]).expect(1);
    }
}

#[test]
fn the_output_is_no_input_of_its_own() {
    let dir = Dir::new();
    dir.write("a.log", "a\n");
    dir.run(["--once", "-o", "all.log", "*.log"]).expect_quiet();
    dir.run(["--verify", "-o", "all.log", "*.log"]).expect(0).says("the 1 line of 1 input,");
}

#[test]
fn an_input_that_cannot_be_checked_is_named() {
    let dir = merged();
    dir.fifo("fifo");
    for (input, reason) in [
        ("missing.log", "missing.log: no such file, so it cannot be checked"),
        ("logs/*.nope", "logs/*.nope: no file matches, so it cannot be checked"),
        ("logs", "logs: a directory"),
        ("--exclude=*.log", "logs/*.log: no file matches"),
        ("fifo", "fifo: a named pipe, so it cannot be checked"),
    ] {
        let finished = dir.run([&VERIFY[..], &[input]].concat()).expect(1).says(reason);
        assert_eq!(finished.stderr.lines().count(), 1, "{}", finished.stderr);
        dir.write("empty", "");
        dir.run(["--verify", "-o", "empty", "logs/*.log", input]).expect(1).says(reason);
    }
    // What a pattern finds and a merge passes over is not missed.
    std::os::unix::fs::symlink("nowhere", dir.path("logs/link.log")).unwrap();
    dir.run(VERIFY).expect(0);
}

#[test]
fn what_cannot_be_read_is_named() {
    let dir = merged();
    fs::remove_file(dir.path("all.log")).unwrap();
    dir.run(VERIFY).expect(1).says("all.log");
    dir.fifo("fifo");
    dir.run(["--verify", "-o", "fifo", "logs/*.log"]).expect(1).says("fifo");
}
