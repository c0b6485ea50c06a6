//! Stopping in time, whatever stands in the way.

use std::fs::{self, File};
use std::io::Read;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::tool::{Dir, Finished, Running, Tool, numbered, wait_until};

/// A stop that must not wait for its timeout, or has a short one, is over by then. Far from the timeouts
/// that are not to be waited for, and generous for a busy machine.
const IN_TIME: Duration = Duration::from_secs(15);

/// How many bytes are not in the output, according to the last message.
fn bytes_told(finished: &Finished) -> usize {
    let message = finished.stderr.lines().next_back().unwrap();
    let told =
        message.strip_prefix("tailmerge: stopped before all was written: ").unwrap_or_else(|| panic!("{message}"));
    told.split(' ').next().unwrap().parse().unwrap()
}

#[test]
fn an_output_that_nobody_reads_does_not_hold_up_a_stop() {
    for opened in [false, true] {
        let dir = Dir::new();
        let content = numbered("a", 200_000);
        dir.write("a.log", &content);
        let fifo = dir.fifo("fifo");
        // Somebody may have it open and not read from it.
        let _reader = opened.then(|| File::options().read(true).write(true).open(fifo).unwrap());
        let args = ["-v", "-o", "fifo", "--stop-timeout", "1s", "--report", "r.json", "a.log"];
        let running = dir.tailmerge(args).start();
        running.until_said("a.log: followed");
        let start = Instant::now();
        let finished = running.stop().expect(1);
        assert!(start.elapsed() < IN_TIME, "it took {:?}", start.elapsed());
        let report: serde_json::Value = serde_json::from_slice(&dir.read("r.json")).unwrap();
        assert_eq!(report["drained"], false);
        let written = usize::try_from(report["bytes"].as_u64().unwrap()).unwrap();
        assert_eq!(written > 0, opened, "{report}");
        let told = bytes_told(&finished);
        assert!((content.len() - written..=content.len()).contains(&told), "{told} of {}: {report}", content.len());
    }
}

#[test]
fn a_second_signal_stops_at_once() {
    for signal in [Signal::INT, Signal::TERM] {
        let dir = Dir::new();
        dir.write("a.log", numbered("a", 200_000));
        dir.fifo("fifo");
        let mut running = dir.tailmerge(["-o", "fifo", "--stop-timeout", "50m", "a.log"]).start();
        running.until_said("waiting");
        running.signal(signal);
        running.until_said("what is there is written first, for 3000s at most; a second signal stops at once");
        assert!(running.is_running());
        let start = Instant::now();
        running.signal(signal);
        running.finish().expect(1).says("stopped before");
        assert!(start.elapsed() < IN_TIME, "it took {:?}", start.elapsed());
    }
}

#[test]
fn a_stop_without_time_still_ends_in_order() {
    for _ in 0..10 {
        let dir = Dir::new();
        dir.write("a.log", "a\n");
        let running = dir.tailmerge(["-o", "all", "--stop-timeout", "0", "a.log"]).start();
        wait_until("the line is merged", || dir.text("all") == "a\n");
        let finished = running.stop();
        match finished.status {
            Some(0) => assert_eq!(finished.stderr, ""),
            _ => drop(finished.expect(1).says("before a last look at the inputs: nothing is known to be missing")),
        }
        assert_eq!(dir.text("all"), "a\n");
    }
}

#[test]
fn messages_that_nobody_reads_do_not_hold_up_a_stop() {
    let dir = Dir::new();
    dir.write("a.log", numbered("a", 200_000));
    let (reader, writer) = std::io::pipe().unwrap();
    let args = ["-v", "--stop-timeout", "500ms", "a.log", "missing.log"];
    let running = dir.tailmerge(args).stdout(writer.try_clone().unwrap()).stderr(writer).start();
    let mut last = (0, Instant::now());
    wait_until("the pipe is full", || {
        let held = rustix::io::ioctl_fionread(&reader).unwrap();
        if held != last.0 {
            last = (held, Instant::now());
        }
        held > 0 && last.1.elapsed() > Duration::from_millis(300)
    });
    let start = Instant::now();
    running.signal(Signal::TERM);
    let finished = running.finish().expect(1);
    assert!(start.elapsed() < IN_TIME, "it took {:?}", start.elapsed());
    assert_eq!(finished.stderr, "", "standard error was the pipe");
    let mut merged = Vec::new();
    (&reader).read_to_end(&mut merged).unwrap();
    assert!(merged.len() > 1000, "{} bytes", merged.len());
}

#[test]
fn a_hangup_that_is_ignored_stays_ignored() {
    let dir = Dir::new();
    dir.write("a.log", "a\n");
    let program = env!("CARGO_BIN_EXE_tailmerge");
    let script = "trap '' HUP; exec \"$0\" \"$@\"";
    let args = ["-c", script, program, "-o", "all", "--poll-interval", "5ms", "a.log"];
    let mut running = Tool::new("/bin/sh".as_ref(), &dir.path("")).args(args).start();
    wait_until("the line is merged", || dir.text("all") == "a\n");
    running.signal(Signal::HUP);
    dir.append("a.log", "b\n");
    wait_until("the next line is merged", || dir.text("all") == "a\nb\n");
    assert!(running.is_running());
    running.stop().expect_quiet();
}

/// Waits until its handlers are in place, which the kernel says; what else is done by then is open.
///
/// What comes while one is being put there can be lost, so it is the one behind those that stop: SIGXFSZ.
fn until_signals_are_caught(running: &mut Running) {
    let status = format!("/proc/{}/status", running.child().id());
    wait_until("the handlers are in place", || {
        let text = fs::read_to_string(&status).unwrap();
        let caught = text.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap_or("0");
        u64::from_str_radix(caught.trim(), 16).unwrap() & (1 << (25 - 1)) != 0
    });
}

#[test]
fn a_signal_right_after_the_start_is_not_lost() {
    for round in 0..20 {
        let dir = Dir::new();
        dir.write("a.log", numbered("a", 1000));
        let mut running = dir.tailmerge(["-o", "all", "a.log"]).start();
        until_signals_are_caught(&mut running);
        running.stop().expect_quiet();
        assert_eq!(dir.text("all"), numbered("a", 1000), "round {round}");
    }
}

/// A library that has the program hang at a path as long as there is the file `hangs`. None without a compiler.
fn hanging(dir: &Dir) -> Option<PathBuf> {
    let (source, library) = (concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cli/hang.c"), dir.path("hang.so"));
    let built = Command::new("gcc").args(["-shared", "-fPIC", "-o"]).arg(&library).args([source, "-ldl"]).status();
    if built.is_ok_and(|status| status.success()) {
        return Some(library);
    }
    eprintln!("skipped: needs gcc");
    None
}

#[test]
fn a_file_system_that_hangs_does_not_hold_up_a_stop() {
    for (at, signals) in [("a.log", 1), ("a.log", 2), ("r.json", 1), ("r.json", 2)] {
        let dir = Dir::new();
        let Some(library) = hanging(&dir) else { return };
        dir.write("a.log", "a\n");
        let timeout = if signals == 1 { "300ms" } else { "50m" };
        let args = ["--watch", "poll", "-o", "all", "--report", "r.json", "--stop-timeout", timeout, "a.log"];
        let mut tool = dir.tailmerge(args);
        tool.command().env("LD_PRELOAD", library).env("HANG_AT", at).env("HANG_WHILE", dir.path("hangs"));
        let running = tool.start();
        wait_until("the line is merged", || dir.text("all") == "a\n");
        dir.write("hangs", "");
        running.signal(Signal::TERM);
        if signals == 2 {
            running.until_said("a second signal");
            running.signal(Signal::TERM);
        }
        let start = Instant::now();
        let finished = running.finish().expect(1);
        assert!(start.elapsed() < IN_TIME, "it took {:?} at {at}", start.elapsed());
        match at {
            "a.log" => drop(finished.says("stopped before a last look at the inputs")),
            _ if signals == 1 => drop(finished.says("r.json: the report is not taken within 1s")),
            _ => drop(finished.says("stopped before the report was written")),
        }
        assert_eq!(dir.text("r.json").is_empty(), at == "r.json");
    }
}

#[test]
fn a_start_that_hangs_is_stopped() {
    for (signals, timeout) in [(1, "3s"), (2, "50m")] {
        let dir = Dir::new();
        let Some(library) = hanging(&dir) else { return };
        dir.write("a.log", "a\n");
        dir.write("hangs", "");
        let mut tool = dir.tailmerge(["-o", "all", "--stop-timeout", timeout, "a.log"]);
        tool.command().env("LD_PRELOAD", library).env("HANG_AT", "all").env("HANG_WHILE", dir.path("hangs"));
        let mut running = tool.start();
        until_signals_are_caught(&mut running);
        running.signal(Signal::TERM);
        running.until_said("stopping: its start is waited for");
        let start = Instant::now();
        if signals == 2 {
            running.signal(Signal::TERM);
        }
        running.finish().expect(1).says("stopped before the merge had started");
        assert!(start.elapsed() < IN_TIME, "it took {:?}", start.elapsed());
    }
}
