//! Inputs that cannot be read again: standard input and FIFOs.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::process::Stdio;

use crate::tool::{Dir, Tool, numbered, wait_until};

#[test]
fn standard_input_is_merged_to_its_end() {
    let dir = Dir::new();
    dir.write("in", "one\ntwo\nno newline");
    let mut tool = dir.tailmerge(["-o", "all", "-"]);
    tool.command().stdin(File::open(dir.path("in")).unwrap());
    tool.start().finish().expect_quiet();
    assert_eq!(dir.text("all"), "one\ntwo\nno newline\n");
}

#[test]
fn a_pipe_is_read_as_it_comes_and_lines_stay_whole() {
    let dir = Dir::new();
    dir.write("a.log", "file\n");
    let mut tool = dir.tailmerge(["--prefix", "name", "-o", "all", "-", "a.log"]);
    tool.command().stdin(Stdio::piped());
    let mut running = tool.start();
    let mut pipe = running.child().stdin.take().unwrap();
    pipe.write_all(b"first\nsec").unwrap();
    wait_until("the first line", || dir.text("all").contains("-: first\n"));
    assert!(!dir.text("all").contains("sec"));
    pipe.write_all(b"ond\nlast").unwrap();
    wait_until("the second line", || dir.text("all").contains("-: second\n"));
    drop(pipe);
    wait_until("the last line", || dir.text("all").contains("-: last\n"));
    // The file is still followed.
    dir.append("a.log", "more\n");
    wait_until("the file's line", || dir.text("all").contains("a.log: more\n"));
    running.stop().expect(0);
}

#[test]
fn long_lines_of_a_stream_are_dealt_with_as_those_of_a_file() {
    let dir = Dir::new();
    dir.write("in", format!("{}\nshort\n{}\n{}", "x".repeat(25), "y".repeat(20), "z".repeat(300_000)));
    for (policy, done, want, status) in [
        ("split", "split", format!("{0}\n{0}\nxxxxx\nshort\n{1}\n{1}\n", "x".repeat(10), "y".repeat(10)), 0),
        ("truncate", "truncated", format!("{}\nshort\n{}\n{}\n", "x".repeat(10), "y".repeat(10), "z".repeat(10)), 3),
        ("skip", "skipped", "short\n".to_owned(), 3),
    ] {
        let mut tool = dir.tailmerge(["--max-line-bytes", "10", "--long-lines", policy, "-o", "all", "-"]);
        tool.command().stdin(File::open(dir.path("in")).unwrap());
        tool.start().finish().expect(status).says(&format!("longer than 10 bytes: such lines are {done}"));
        let rest = if policy == "split" { format!("{}\n", "z".repeat(10)).repeat(30_000) } else { String::new() };
        assert_eq!(dir.text("all"), want + &rest, "{policy}");
    }
}

#[test]
fn a_fifo_outlives_its_writers() {
    let dir = Dir::new();
    let fifo = dir.fifo("in");
    let running = dir.tailmerge(["-o", "all", "in"]).start();
    let mut want = String::new();
    for writer in 0..3 {
        let lines = numbered(&format!("writer {writer}"), 1000);
        OpenOptions::new().write(true).open(&fifo).unwrap().write_all(lines.as_bytes()).unwrap();
        want += &lines;
        wait_until("the writer's lines", || dir.text("all") == want);
    }
    running.stop().expect_quiet();
    assert_eq!(dir.text("all"), want);
}

#[test]
fn under_once_a_fifo_ends_with_its_last_writer() {
    let dir = Dir::new();
    let fifo = dir.fifo("in");
    let running = dir.tailmerge(["--once", "-o", "all", "in"]).start();
    let lines = numbered("line", 20_000);
    OpenOptions::new().write(true).open(&fifo).unwrap().write_all(lines.as_bytes()).unwrap();
    running.finish().expect_quiet();
    assert_eq!(dir.text("all"), lines);
}

#[test]
fn closed_standard_streams_lose_nothing() {
    let dir = Dir::new();
    dir.write("a.log", "a\n");
    dir.write("other", "");
    let redirected = |redirections: &str, args: &[&str]| {
        let script = format!("exec \"$0\" \"$@\" {redirections}");
        let args = [&["-c", &script, env!("CARGO_BIN_EXE_tailmerge"), "--once"], args].concat();
        Tool::new("/bin/sh".as_ref(), &dir.path("")).args(args).start().finish()
    };
    redirected(">&-", &["a.log"]).expect(1).says("standard output is closed, and merged lines would be lost");
    redirected("<&- >&- 2>&-", &["a.log"]).expect(1);
    redirected(">/dev/null", &["a.log"]).expect_quiet();
    redirected("1<other", &["a.log"]).expect(1).says("standard output: the output cannot be written: Bad file");
    for closed in ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"] {
        redirected(closed, &["-o", "all", "a.log"]).expect_quiet();
        assert_eq!(dir.text("all"), "a\n", "{closed}");
        std::fs::remove_file(dir.path("all")).unwrap();
    }
    assert_eq!(redirected("2>&-", &["a.log"]).expect_quiet().stdout, b"a\n");
}
