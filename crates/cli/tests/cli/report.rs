//! The report's file: what it may not be, what waits for it, and what ends the wait.

use std::fs::{self, File};
use std::io::Read;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use crate::tool::{Dir, Running, Tool, wait_until};

/// What does not wait is over by then: far from the timeouts that are not to be waited for.
const IN_TIME: Duration = Duration::from_secs(15);

fn value(json: &[u8]) -> Value {
    serde_json::from_slice(json).unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(json)))
}

#[test]
fn a_report_that_is_an_input_by_any_way_is_refused_and_kept() {
    for report in ["logs/b.log", "./logs/../logs/b.log", "link", "hard"] {
        for once in [&["--once"][..], &[]] {
            let dir = Dir::new();
            dir.write("logs/a.log", "a\n");
            dir.write("logs/b.log", "b\n");
            dir.write("all", "precious\n");
            std::os::unix::fs::symlink("logs/b.log", dir.path("link")).unwrap();
            fs::hard_link(dir.path("logs/b.log"), dir.path("hard")).unwrap();
            let args = [once, &["-o", "all", "--report", report, "logs/*.log"]].concat();
            dir.run(args).expect(2).says(&format!("{report}: the report cannot be a file that matches logs/*.log"));
            let args = [once, &["-o", "all", "--report", report, "logs/a.log", "logs/b.log"]].concat();
            dir.run(args).expect(2).says(&format!("{report}: the report cannot be an input"));
            assert_eq!(dir.text("logs/b.log"), "b\n");
            assert_eq!(dir.text("all"), "precious\n");
        }
    }
}

#[test]
fn a_report_that_is_standard_input_or_output_is_refused_and_kept() {
    let dir = Dir::new();
    dir.write("in", "a\n");
    let redirected = |redirection: &str, args: &[&str]| {
        let script = format!("exec \"$0\" \"$@\" {redirection}");
        let args = [&["-c", &script, env!("CARGO_BIN_EXE_tailmerge"), "--once", "--report", "in"], args].concat();
        Tool::new("/bin/sh".as_ref(), &dir.path("")).args(args).start().finish()
    };
    redirected("<in", &["-o", "all", "-"]).expect(2).says("in: the report cannot be an input");
    redirected("<in", &["-o", "all", "/dev/stdin"]).expect(2).says("in: the report cannot be an input");
    redirected(">>in", &["other"]).expect(2).says("in: the report cannot be the output");
    redirected("2>>in", &["-o", "all", "other"]).expect(2);
    assert_eq!(dir.text("in"), "a\ntailmerge: in: the report cannot be standard error: give another path\n");
    assert!(!dir.path("all").exists());
}

#[test]
fn a_report_in_the_place_of_a_missing_input_is_refused_and_not_left_there() {
    let dir = Dir::new();
    std::os::unix::fs::symlink("b.log", dir.path("link")).unwrap();
    for (report, output) in [("./b.log", "all"), ("link", "all"), ("./out", "out")] {
        dir.run(["--report", report, "-o", output, "b.log"]).expect(2).says("the report cannot be");
        for made in ["b.log", "all", "out"] {
            assert!(!dir.path(made).exists(), "{report} leaves {made}");
        }
    }
}

#[test]
fn an_older_report_that_a_pattern_finds_is_refused_unless_excluded() {
    let dir = Dir::new();
    dir.write("a.log", "a\n");
    let args = ["--once", "-o", "all", "--report", "r.log", "*.log"];
    dir.run(args).expect_quiet();
    let report = dir.text("r.log");
    assert_eq!(value(report.as_bytes())["lines"], 1);
    dir.run(args).expect(2).says("unless that is excluded");
    assert_eq!(dir.text("r.log"), report);
    dir.append("a.log", "a\n");
    dir.run([&args[..], &["--exclude", "r.log"]].concat()).expect_quiet();
    assert_eq!(value(&dir.read("r.log"))["lines"], 2);
    assert_eq!(dir.text("all"), "a\na\n");
}

#[test]
fn what_somebody_else_writes_to_the_report_is_kept() {
    let dir = Dir::new();
    dir.write("a.log", "a\n");
    let running = dir.tailmerge(["-o", "all", "--report", "r.log", "*.log"]).start();
    wait_until("the line is merged", || dir.text("all") == "a\n");
    dir.append("r.log", "a log after all\n");
    running.stop().expect(1).says("r.log: the report cannot be written: somebody else has written to the file");
    assert_eq!(dir.text("r.log"), "a log after all\n");
    assert_eq!(dir.text("all"), "a\n");
}

#[test]
fn a_report_that_was_removed_or_moved_is_made_anew() {
    let dir = Dir::new();
    dir.write("a.log", "a\n");
    let running = dir.tailmerge(["-o", "all", "--report", "r.json", "*.log"]).start();
    wait_until("the line is merged", || dir.text("all") == "a\n");
    fs::rename(dir.path("r.json"), dir.path("b.log")).unwrap();
    running.stop().expect_quiet();
    assert_eq!(value(&dir.read("r.json"))["lines"], 1);
    assert_eq!(dir.text("all"), "a\n");
}

#[test]
fn a_fifo_gets_the_report_when_it_is_read() {
    for before in [true, false] {
        let dir = Dir::new();
        // More than a pipe holds.
        (0..1000).for_each(|file| dir.write(format!("logs/{file}"), "a\n"));
        let fifo = dir.fifo("fifo");
        let running = dir.tailmerge(["--once", "-o", "all", "--report", "fifo", "logs/*"]).start();
        if !before {
            running.until_said("fifo: the report waits to be taken, for 30s at most");
        }
        let mut report = Vec::new();
        File::open(fifo).unwrap().read_to_end(&mut report).unwrap();
        running.finish().expect(0);
        assert_eq!(value(&report)["inputs"].as_array().unwrap().len(), 1000);
    }
}

#[test]
fn a_fifo_that_nobody_reads_holds_up_neither_start_nor_stop() {
    for full in [false, true] {
        let dir = Dir::new();
        (0..1000).for_each(|file| dir.write(format!("logs/{file}"), "a\n"));
        let fifo = dir.fifo("fifo");
        let _reader = full.then(|| File::options().read(true).write(true).open(fifo).unwrap());
        let args = ["--once", "-o", "all", "--stop-timeout", "100ms", "--report", "fifo", "logs/*"];
        dir.run(args).expect(1).says("fifo: the report is not taken within 1s: read it, or allow more time");
        assert_eq!(dir.text("all").lines().count(), 1000);
    }
}

#[test]
fn a_second_signal_ends_the_wait_for_the_report() {
    for (once, signals) in [(true, 2), (false, 1)] {
        let dir = Dir::new();
        dir.write("a.log", "a\n");
        dir.fifo("fifo");
        let mut args = vec!["-o", "all", "--stop-timeout", "50m", "--report", "fifo", "a.log"];
        args.extend(once.then_some("--once"));
        let mut running = dir.tailmerge(args).start();
        wait_until("the line is merged", || dir.text("all") == "a\n");
        if !once {
            running.signal(Signal::TERM);
        }
        running.until_said("fifo: the report waits to be taken, for 3000s at most; a second signal ends that");
        for left in (0..signals).rev() {
            running.signal(Signal::TERM);
            if left > 0 {
                // Two that wait at a time are one.
                wait_until("the signal is taken", || pending_signals(&mut running) == 0);
            }
        }
        let start = Instant::now();
        running.finish().expect(1).says("stopped before the report was written");
        assert!(start.elapsed() < IN_TIME, "it took {:?}", start.elapsed());
    }
}

/// Signals that wait for the process, as bits.
fn pending_signals(running: &mut Running) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", running.child().id())).unwrap();
    let pending = status.lines().find_map(|line| line.strip_prefix("ShdPnd:")).unwrap();
    u64::from_str_radix(pending.trim(), 16).unwrap()
}

#[test]
fn a_report_that_there_is_no_room_for_is_told() {
    let dir = Dir::new();
    dir.write("a.log", "a\n");
    dir.run(["--once", "-o", "all", "--report", "/dev/full", "a.log"])
        .expect(1)
        .says("/dev/full: the report cannot be written: No space left on device")
        .says("give it room, or another path");
    assert_eq!(dir.text("all"), "a\n");
    // No half of one is left.
    let script = "ulimit -f 1; exec \"$0\" \"$@\"";
    (0..20).for_each(|file| dir.write(format!("logs/{file}"), "a\n"));
    let args = ["-c", script, env!("CARGO_BIN_EXE_tailmerge"), "--once", "-o", "all", "--report", "r.json", "logs/*"];
    let finished = Tool::new("/bin/sh".as_ref(), &dir.path("")).args(args).start().finish();
    finished.expect(1).says("r.json: the report cannot be written: File too large");
    assert_eq!(dir.text("r.json"), "");
}
