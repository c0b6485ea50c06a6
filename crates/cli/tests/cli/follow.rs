//! Following: files that grow, come and go while they are merged.

use std::fs::File;
use std::io::Write;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use crate::tool::{Dir, lines_of, numbered, wait_until};

/// Writers at a time, each with files of its own.
const WRITERS: usize = 8;
/// Files that each writer makes, one after another.
const FILES: usize = 6;
const LINES: usize = 200;

/// Lines in pieces that end anywhere, to a file that the program does not know yet.
fn write_file(dir: &Dir, writer: usize, number: usize) {
    let content = numbered(&format!("{writer}-{number}"), LINES);
    let mut file = File::create(dir.path(format!("logs/{writer}-{number}.log"))).unwrap();
    for piece in content.as_bytes().chunks(61) {
        file.write_all(piece).unwrap();
    }
}

#[test]
fn all_that_was_written_before_the_stop_is_delivered() {
    for (signal, backend) in [(Signal::TERM, "smol"), (Signal::INT, "async-std")] {
        let dir = Dir::new();
        dir.write("logs/first.log", "first\n");
        let args =
            ["-o", "all.log", "--poll-interval", "5ms", "--backend", backend, "--report", "r.json", "logs/*.log"];
        let running = dir.tailmerge(args).start();
        wait_until("the first line is merged", || dir.text("all.log") == "first\n");
        thread::scope(|scope| {
            for writer in 0..WRITERS {
                let dir = &dir;
                scope.spawn(move || (0..FILES).for_each(|number| write_file(dir, writer, number)));
            }
        });
        running.signal(signal);
        running.finish().expect_quiet();
        let lines = 1 + WRITERS * FILES * LINES;
        let files = 1 + WRITERS * FILES;
        let summary = format!("the {lines} lines of {files} inputs");
        dir.run(["--verify", "-o", "all.log", "logs/*.log"]).expect(0).says(&summary);
        let report: Value = serde_json::from_slice(&dir.read("r.json")).unwrap();
        assert_eq!((&report["status"], &report["lines"]), (&0.into(), &lines.into()));
    }
}

#[test]
fn the_number_of_threads_does_not_follow_the_number_of_files() {
    let dir = Dir::new();
    for file in 0..500 {
        dir.write(format!("logs/{file}.log"), numbered("x", 100));
    }
    let mut running = dir.tailmerge(["-o", "all", "--poll-interval", "1ms", "logs/*"]).start();
    let tasks = format!("/proc/{}/task", running.child().id());
    let mut most = 0;
    wait_until("all lines are merged", || {
        // A thread may end between being listed and being looked at.
        let tasks = std::fs::read_dir(&tasks).unwrap().flatten();
        let names = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("comm")).ok());
        most = most.max(names.filter(|name| name.starts_with("blocking-")).count());
        dir.text("all").lines().count() == 50_000
    });
    running.stop().expect_quiet();
    // All are started at once: four, and three for file systems that may hang.
    assert!((1..=7).contains(&most), "{most} threads of the blocking pool");
}

#[test]
fn a_line_written_byte_by_byte_comes_once_and_whole() {
    let dir = Dir::new();
    dir.write("a.log", "begin\n");
    let running = dir.tailmerge(["-o", "all", "--poll-interval", "1ms", "a.log"]).start();
    wait_until("the first line is merged", || dir.text("all") == "begin\n");
    for byte in b"slow but sure" {
        dir.append("a.log", [*byte]);
        assert_eq!(dir.text("all"), "begin\n");
    }
    dir.append("a.log", "\n");
    wait_until("the line is merged", || dir.text("all") == "begin\nslow but sure\n");
    running.stop().expect_quiet();
}

#[test]
fn a_fragment_is_left_out_at_a_stop() {
    let dir = Dir::new();
    dir.write("a.log", "whole\nfragm");
    let running = dir.tailmerge(["-o", "all", "a.log"]).start();
    wait_until("the line is merged", || dir.text("all") == "whole\n");
    running.stop().expect_quiet();
    assert_eq!(dir.text("all"), "whole\n");
}

#[test]
fn inputs_may_come_later_and_their_directory_too() {
    let dir = Dir::new();
    let running = dir.tailmerge(["-o", "all", "--poll-interval", "5ms", "later/a.log", "later/*.txt"]).start();
    running.until_said("later/a.log: not there, waiting for it\n");
    running.until_said("later/*.txt: no file matches, waiting for one\n");
    dir.write("later/a.log", "a\n");
    dir.write("later/b.txt", "b\n");
    wait_until("both are merged", || dir.text("all").len() == 4);
    running.stop().expect(0);
}

#[test]
fn a_file_that_was_there_is_waited_for_quietly() {
    for (verbose, told) in [(&[][..], 0), (&["-v"], 1)] {
        let dir = Dir::new();
        dir.write("a.log", "a\n");
        let args = ["-o", "all", "--poll-interval", "5ms", "--rotated-grace", "0", "a.log", "b.log"];
        let mut running = dir.tailmerge(args.iter().chain(verbose)).start();
        let open = format!("/proc/{}/fd", running.child().id());
        let is_open = |name: &str| {
            let mut links =
                std::fs::read_dir(&open).unwrap().flatten().flat_map(|open| std::fs::read_link(open.path()));
            links.any(|link| link.to_string_lossy().contains(name))
        };
        running.until_said("b.log: not there, waiting for it\n");
        wait_until("the first line is merged", || dir.text("all") == "a\n");
        std::fs::remove_file(dir.path("a.log")).unwrap();
        wait_until("it is let go", || !is_open("a.log"));
        dir.write("a.log", "b\n");
        wait_until("the second line is merged", || dir.text("all") == "a\nb\n");
        let said = running.stop().expect(0).stderr;
        assert_eq!(said.matches("a.log: not there, waiting for it\n").count(), told, "{said}");
    }
}

#[test]
fn from_end_gives_new_lines_and_new_files_only() {
    let dir = Dir::new();
    dir.write("a.log", "old\n");
    let args = ["-v", "--from", "end", "-o", "all", "--poll-interval", "5ms", "--report", "r.json", "*.log"];
    let running = dir.tailmerge(args).start();
    running.until_said("a.log: followed from byte 4");
    dir.append("a.log", "new\n");
    dir.write("b.log", "b\n");
    wait_until("the new lines are merged", || dir.text("all").len() == 6);
    running.stop().expect(0);
    let output = dir.text("all");
    assert!(["new\nb\n", "b\nnew\n"].contains(&&*output), "{output}");
}

#[test]
fn a_file_that_did_not_grow_ends_where_it_began() {
    let dir = Dir::new();
    dir.write("a.log", "old\n");
    let args = ["-v", "--from", "end", "-o", "all", "--report", "r.json", "a.log"];
    let running = dir.tailmerge(args).start();
    running.until_said("a.log: followed from byte 4");
    running.stop().expect(0);
    let report: Value = serde_json::from_slice(&dir.read("r.json")).unwrap();
    let want = serde_json::json!({"input": "a.log", "bytes": 0, "lines": 0, "offset": 4, "possible_losses": 0});
    assert_eq!(report["inputs"][0], want);
}

#[test]
fn a_rotated_file_is_read_to_its_end_before_the_new_one() {
    let dir = Dir::new();
    dir.write("a.log", "a 0\n");
    let args = ["-o", "all", "--poll-interval", "5ms", "--rotated-grace", "50ms", "a.log"];
    let running = dir.tailmerge(args).start();
    wait_until("the first line is merged", || dir.text("all") == "a 0\n");
    dir.append("a.log", "a 1\n");
    std::fs::rename(dir.path("a.log"), dir.path("a.log.1")).unwrap();
    dir.write("a.log", "a 2\n");
    wait_until("all lines are merged", || dir.text("all").lines().count() == 3);
    running.stop().expect(0);
    assert_eq!(lines_of(&dir.text("all"), "a"), ["a 0", "a 1", "a 2"]);
}

#[test]
fn the_order_holds_across_rotations_when_two_paths_lead_to_a_directory() {
    let dir = Dir::new();
    dir.write("a/x.log", "x 0\n");
    std::os::unix::fs::symlink("a", dir.path("b")).unwrap();
    let running = dir.tailmerge(["-o", "all", "--poll-interval", "5ms", "a/*.log", "b/*.log"]).start();
    let mut next = 1;
    for rotation in 0..10 {
        wait_until("all lines are merged", || dir.text("all").lines().count() == next);
        let line = |at| format!("x {}\n", next + at);
        std::fs::rename(dir.path("a/x.log"), dir.path(format!("a/x.{rotation}"))).unwrap();
        (0..1000).for_each(|at| dir.append(format!("a/x.{rotation}"), line(at)));
        (1000..2000).for_each(|at| dir.append("a/x.log", line(at)));
        next += 2000;
    }
    wait_until("all lines are merged", || dir.text("all").lines().count() == next);
    running.stop().expect(0);
    assert!(dir.text("all") == numbered("x", next), "not in order");
}

#[test]
fn the_last_line_of_a_rotated_file_is_over_after_the_grace_time() {
    /// Less than the default, so that it makes a difference.
    const SOON: Duration = Duration::from_secs(4);

    let dir = Dir::new();
    dir.write("a.log", "a 0\nunfinished");
    let args = ["-o", "all", "--poll-interval", "5ms", "--rotated-grace", "50ms", "a.log"];
    let running = dir.tailmerge(args).start();
    wait_until("the first line is merged", || dir.text("all") == "a 0\n");
    let start = Instant::now();
    std::fs::rename(dir.path("a.log"), dir.path("a.log.1")).unwrap();
    wait_until("the last line is merged", || dir.text("all") == "a 0\nunfinished\n");
    assert!(start.elapsed() < SOON, "after {:?}", start.elapsed());
    running.stop().expect(0);
}

#[test]
fn polled_files_are_looked_at_no_more_often_than_asked_but_for_the_stop() {
    /// Enough to be looked at several times, were it not for the interval.
    const WHILE: Duration = Duration::from_millis(700);

    let dir = Dir::new();
    dir.write("a.log", "one\n");
    let running = dir.tailmerge(["-o", "all", "--watch", "poll", "--poll-interval", "1h", "a.log"]).start();
    let mut all = "one\n".to_owned();
    wait_until("the first line is merged", || dir.text("all") == all);
    // A new file is looked at once more, which may come just after that.
    let seen = ["two\n", "three\n"].iter().take_while(|line| {
        dir.append("a.log", line);
        all += line;
        let start = Instant::now();
        wait_until("it is seen, or some time has passed", || dir.text("all") == all || start.elapsed() > WHILE);
        dir.text("all") == all
    });
    assert!(seen.count() < 2, "looked at again and again: {}", dir.text("all"));
    running.stop().expect_quiet();
    assert_eq!(dir.text("all"), all);
}

#[test]
fn what_was_cut_off_before_it_was_read_is_a_gap() {
    let dir = Dir::new();
    dir.write("a.log", "one\ntwo\nthree");
    let args = ["-o", "all", "--poll-interval", "5ms", "--report", "r.json", "a.log"];
    let running = dir.tailmerge(args).start();
    wait_until("the whole lines are merged", || dir.text("all") == "one\ntwo\n");
    // The fragment has been seen by then: it was there when the lines before it were read.
    dir.write("a.log", "new\n");
    wait_until("the new line is merged", || dir.text("all") == "one\ntwo\nnew\n");
    running.stop().expect(3).says("a.log: bytes 8 to 13").says("finished with 1 gap");
    let report: Value = serde_json::from_slice(&dir.read("r.json")).unwrap();
    let gap = &report["gaps"][0];
    assert_eq!((&gap["input"], &gap["start"], &gap["end"]), (&"a.log".into(), &8.into(), &13.into()));
}

#[test]
fn a_file_that_has_not_changed_for_long_gives_its_new_lines_only() {
    let dir = Dir::new();
    dir.write("old.log", "old\nhalf");
    dir.write("new.log", "new\n");
    let aged = std::time::SystemTime::now() - std::time::Duration::from_secs(3600);
    std::fs::File::options().append(true).open(dir.path("old.log")).unwrap().set_modified(aged).unwrap();
    let running = dir.tailmerge(["-v", "--ignore-older", "10m", "-o", "all", "*.log"]).start();
    running.until_said("old.log: not changed for long");
    wait_until("the young file", || dir.text("all") == "new\n");
    dir.append("old.log", " and half\nmore\n");
    wait_until("what is new in the old file", || dir.text("all") == "new\nhalf and half\nmore\n");
    running.stop().expect(0);
}

#[test]
fn more_files_than_may_be_open_lose_nothing() {
    let dir = Dir::new();
    let name = |file: usize| format!("logs/{file}.log");
    for file in 0..300 {
        dir.write(name(file), format!("{file} first\n"));
    }
    let mut tool = dir.tailmerge(["-v", "-o", "all", "logs/*.log", "--rotated-grace", "100ms"]);
    let program = tool.command().get_program().to_owned();
    let args: Vec<_> = tool.command().get_args().map(ToOwned::to_owned).collect();
    let tool = crate::tool::Tool::new(std::path::Path::new("sh"), &dir.path(""))
        .args(["-c", "ulimit -n 48; exec \"$@\"", "sh"])
        .args([program])
        .args(args);
    let running = tool.start();
    let lines = |dir: &Dir| dir.text("all").lines().count();
    wait_until("the first lines", || lines(&dir) == 300);
    for file in 0..300 {
        if file % 3 == 0 {
            // Late lines in the old file, then a new one of that name.
            std::fs::rename(dir.path(name(file)), dir.path(format!("logs/{file}.old"))).unwrap();
            dir.append(format!("logs/{file}.old"), format!("{file} late\n"));
        }
        dir.append(name(file), format!("{file} second\n"));
    }
    wait_until("the second lines", || lines(&dir) == 700);
    running.stop().expect(0).says_not("Too many open files");
    let text = dir.text("all");
    let mut seen: Vec<_> = text.lines().collect();
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), 700, "a line twice");
}

#[test]
fn warnings_of_one_kind_come_only_so_often() {
    let dir = Dir::new();
    dir.write("a.log", "0\n");
    dir.write("b.log", "");
    let running = dir.tailmerge(["--poll-interval", "5ms", "-o", "all", "a.log", "b.log"]).start();
    for round in 1..=30 {
        wait_until("the line is merged", || dir.text("all").lines().count() == round);
        dir.write("a.log", "");
        dir.append("a.log", format!("{round}\n"));
    }
    wait_until("the last line is merged", || dir.text("all").lines().count() == 31);
    dir.append("b.log", "b\n");
    wait_until("the other's line is merged", || dir.text("all").contains("b\n"));
    dir.write("b.log", "");
    running.until_said("b.log: truncated");
    let finished = running.stop().says("more like this one within a minute: a.log: ");
    let told = finished.stderr.lines().filter(|line| line.contains("a.log: truncated")).count();
    assert_eq!(told, 5 + 1, "{}", finished.stderr);
}
