//! An output that somebody else moves, removes, cuts or replaces while it is written.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::Path;

use rustix::process::Signal;
use serde_json::Value;

use crate::tool::{Dir, Finished, Running, Tool, numbered, wait_until};

/// Follows `a.log` into `all`, which holds its first lines by then.
fn follow(dir: &Dir, args: &[&str]) -> Running {
    dir.write("a.log", numbered("a", 3));
    // A hangup is served unless it is ignored from the start, as it is where these tests run under nohup.
    let program = ["--default-signal=HUP", env!("CARGO_BIN_EXE_tailmerge"), "-o", "all", "--report", "r.json", "a.log"];
    let running = Tool::new("env".as_ref(), &dir.path("")).args(program).args(args).start();
    wait_until("the first lines are merged", || dir.text("all").ends_with(&numbered("a", 3)));
    running
}

fn report(dir: &Dir) -> Value {
    serde_json::from_slice(&dir.read("r.json")).unwrap()
}

/// What it said, but that the stop took long, as it may on a busy machine.
fn said(finished: &Finished) -> String {
    finished.stderr.split_inclusive('\n').filter(|line| !line.contains("stopping: ")).collect()
}

#[track_caller]
fn expect(dir: &Dir, text: &str) {
    wait_until("the output has what is expected", || dir.text("all") == text);
}

#[test]
fn a_moved_output_is_made_anew_on_hangup() {
    let dir = Dir::new();
    let running = follow(&dir, &[]);
    for round in 1..=3 {
        fs::rename(dir.path("all"), dir.path(format!("all.{round}"))).unwrap();
        running.signal(Signal::HUP);
        running.signal(Signal::HUP);
        wait_until("it is made anew", || dir.path("all").exists());
        dir.append("a.log", format!("round {round}\n"));
        expect(&dir, &format!("round {round}\n"));
    }
    let finished = running.stop().expect(0);
    let told = "tailmerge: all: moved by somebody else; opened anew for what follows\n";
    assert_eq!(said(&finished), told.repeat(3));
    assert_eq!(dir.text("all.1") + &dir.text("all.2") + &dir.text("all.3"), numbered("a", 3) + "round 1\nround 2\n");
    assert_eq!(report(&dir)["gaps"], Value::Array(Vec::new()));
}

#[test]
fn a_moved_or_removed_output_is_noticed_without_a_signal() {
    let dir = Dir::new();
    let running = follow(&dir, &[]);
    fs::rename(dir.path("all"), dir.path("all.1")).unwrap();
    wait_until("it is made anew", || dir.path("all").exists());
    fs::remove_file(dir.path("all")).unwrap();
    wait_until("it is made anew", || dir.path("all").exists());
    dir.append("a.log", "last\n");
    expect(&dir, "last\n");
    let finished = running.stop().expect(0).says("all: moved by").says("all: removed by");
    assert_eq!(said(&finished).lines().count(), 2, "{}", finished.stderr);
}

#[test]
fn what_went_to_a_removed_output_is_a_gap() {
    let dir = Dir::new();
    let running = follow(&dir, &[]);
    let first = dir.text("all").len();
    fs::remove_file(dir.path("all")).unwrap();
    dir.append("a.log", "into nowhere\n");
    let finished = running.stop();
    // Unless it took so long that it was noticed before.
    let kept = dir.text("all").len();
    if kept > 0 {
        assert_eq!(dir.text("all"), "into nowhere\n");
        finished.expect(0);
        return;
    }
    finished.expect(3).says("all: removed by somebody else").says("finished with 1 gap");
    let report = report(&dir);
    let gap = &report["gaps"][0];
    assert_eq!((&report["status"], &gap["input"], &gap["end"]), (&3.into(), &"all".into(), &(first + 13).into()));
    assert_eq!(gap["reason"], "the output was removed while they were written to it");
    assert!(gap["start"].as_u64().unwrap() <= first as u64, "{report}");
}

#[test]
fn a_cut_output_goes_on_at_its_end() {
    let dir = Dir::new();
    let running = follow(&dir, &[]);
    let file = File::options().write(true).open(dir.path("all")).unwrap();
    file.set_len(0).unwrap();
    running.until_said("all: cut by somebody else from 12 to 0 bytes; what follows goes to its end\n");
    dir.append("a.log", "one\n");
    expect(&dir, "one\n");
    file.set_len(2).unwrap();
    running.until_said("all: cut by somebody else from 4 to 2 bytes");
    dir.append("a.log", "two\n");
    expect(&dir, "on\ntwo\n");
    running.stop().expect(0);
}

#[test]
fn standard_output_that_is_cut_has_no_hole() {
    let dir = Dir::new();
    dir.write("a.log", numbered("a", 1000));
    let program = env!("CARGO_BIN_EXE_tailmerge");
    let script = "\"$0\" a.log > all; echo done >> all";
    let mut running = Tool::new("/bin/sh".as_ref(), &dir.path("")).args(["-c", script, program]).start();
    expect(&dir, &numbered("a", 1000));
    File::options().write(true).open(dir.path("all")).unwrap().set_len(0).unwrap();
    dir.append("a.log", "one\n");
    expect(&dir, "one\n");
    running.until_said("standard output: cut by somebody else");
    let children = fs::read_to_string(format!("/proc/{0}/task/{0}/children", running.child().id())).unwrap();
    let child = rustix::process::Pid::from_raw(children.trim().parse().unwrap()).unwrap();
    rustix::process::kill_process(child, Signal::TERM).unwrap();
    running.finish().expect(0);
    assert_eq!(dir.text("all"), "one\ndone\n");
}

#[test]
fn a_hangup_ends_no_merge() {
    // During a stop that waits.
    let dir = Dir::new();
    dir.write("a.log", "a\n");
    let fifo = dir.fifo("fifo");
    let args = ["--default-signal=HUP", env!("CARGO_BIN_EXE_tailmerge"), "-o", "fifo", "a.log"];
    let mut running = Tool::new("env".as_ref(), &dir.path("")).args(args).start();
    running.until_said("waiting");
    running.signal(Signal::HUP);
    running.signal(Signal::TERM);
    running.until_said("a second signal stops at once");
    running.signal(Signal::HUP);
    running.signal(Signal::HUP);
    assert!(running.is_running());
    assert_eq!(fs::read(fifo).unwrap(), b"a\n");
    running.finish().expect(0);
}

#[test]
fn a_directory_that_is_missing_is_waited_for() {
    let dir = Dir::new();
    dir.write("a.log", "1\n");
    fs::create_dir(dir.path("d")).unwrap();
    let mut running = dir.tailmerge(["-o", "d/all", "a.log"]).start();
    wait_until("the line is merged", || dir.text("d/all") == "1\n");
    fs::rename(dir.path("d"), dir.path("old")).unwrap();
    running
        .until_said("the output cannot be written: cannot write to d/all: the directory d does not exist; create it");
    dir.append("a.log", "2\n");
    assert!(running.is_running());
    fs::create_dir(dir.path("d")).unwrap();
    wait_until("the line is merged", || dir.text("d/all") == "2\n");
    assert_eq!(dir.text("old/all"), "1\n");
    let finished = running.stop().expect(0).says("d/all: the output can be written again\n");
    assert_eq!(said(&finished).lines().count(), 3, "{}", finished.stderr);
}

/// Replaces the output, which cannot be written to then, until that is removed.
fn replaced(replace: impl FnOnce(&Path), told: &str, untouched: impl FnOnce(&Dir)) -> Finished {
    let dir = Dir::new();
    let running = follow(&dir, &[]);
    fs::rename(dir.path("all"), dir.path("old")).unwrap();
    replace(&dir.path("all"));
    running.until_said(told);
    dir.append("a.log", "next\n");
    untouched(&dir);
    let all = dir.path("all");
    fs::remove_file(&all).or_else(|_| fs::remove_dir(&all)).unwrap();
    expect(&dir, "next\n");
    assert_eq!(dir.text("old"), numbered("a", 3));
    running.stop().expect(0)
}

#[test]
fn an_output_replaced_by_a_directory_is_waited_for() {
    replaced(|all| fs::create_dir(all).unwrap(), "it is a directory; give the name of a file", |_| {});
}

#[test]
fn an_output_replaced_by_a_link_to_an_input_is_not_written() {
    let check = |dir: &Dir| assert_eq!(dir.text("a.log"), numbered("a", 3) + "next\n");
    replaced(
        |all| symlink("a.log", all).unwrap(),
        "a.log is the output (all) and an input; choose another output",
        check,
    );
}

#[test]
fn an_output_replaced_by_a_fifo_is_written_to() {
    let dir = Dir::new();
    let running = follow(&dir, &[]);
    fs::rename(dir.path("all"), dir.path("old")).unwrap();
    let fifo = dir.fifo("all");
    running.until_said("nobody has opened it for reading yet");
    dir.append("a.log", "next\n");
    let reader = std::thread::spawn(move || {
        let mut line = String::new();
        std::io::BufRead::read_line(&mut std::io::BufReader::new(File::open(fifo).unwrap()), &mut line).unwrap();
        line
    });
    assert_eq!(reader.join().unwrap(), "next\n");
    // Its reader is gone.
    running.finish().expect(0);
    assert_eq!(dir.text("old"), numbered("a", 3));
}

#[test]
fn what_somebody_puts_in_the_place_of_the_output_is_kept_and_no_input() {
    let dir = Dir::new();
    dir.write("logs/a.log", "1\n");
    let running = dir.tailmerge(["-v", "--append", "-o", "logs/all", "logs/*"]).start();
    wait_until("the line is merged", || dir.text("logs/all") == "1\n");
    fs::rename(dir.path("logs/all"), dir.path("logs/all.1")).unwrap();
    dir.write("logs/all", "kept\nfrag");
    running.until_said("logs/all: moved by somebody else");
    dir.append("logs/a.log", "2\n");
    wait_until("the line is merged", || dir.text("logs/all") == "kept\nfrag\n2\n");
    fs::rename(dir.path("logs/all"), dir.path("logs/all.2")).unwrap();
    wait_until("it is made anew", || dir.path("logs/all").exists());
    dir.append("logs/a.log", "3\n");
    wait_until("the line is merged", || dir.text("logs/all") == "3\n");
    let finished = running.stop().expect(0).says("logs/a.log: followed from byte 0");
    assert_eq!(finished.stderr.matches("followed").count(), 1, "{}", finished.stderr);
    assert_eq!(dir.text("logs/all"), "3\n");
}

#[test]
fn two_that_append_both_find_the_new_output() {
    let dir = Dir::new();
    dir.write("b.log", "b 1\n");
    let first = follow(&dir, &["--append"]);
    let second = dir.tailmerge(["--append", "-o", "all", "b.log"]).start();
    wait_until("both have begun", || dir.text("all").contains("b 1\n"));
    fs::rename(dir.path("all"), dir.path("all.1")).unwrap();
    for running in [&first, &second] {
        running.until_said("all: moved by somebody else");
    }
    dir.append("a.log", "a 3\n");
    dir.append("b.log", "b 2\n");
    wait_until("both go on", || ["a 3\nb 2\n", "b 2\na 3\n"].contains(&&*dir.text("all")));
    first.stop().expect(0);
    second.stop().expect(0);
}
