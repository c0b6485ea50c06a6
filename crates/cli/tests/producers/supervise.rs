//! Loggers of supervisors: `svlogd` and `multilog`, which rename `current` to a time stamp.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::kit::{Merged, Own, Written, line, program, report};
use crate::tool::Dir;

const SECONDS: u64 = 15;
/// At the speed of the producer about half a second.
const FILE_SIZE: u64 = 1_000_000;
const LINES_A_MILLI: u64 = 30;

/// Follows what a logger writes that gets its lines from a pipe.
fn follow(dir: &Dir, mut logger: Command) {
    let others = ["config", "lock", "state", "newstate"];
    let mut args = vec!["-o", "except", "--report", "except.json", "log/*"];
    args.extend(others.iter().flat_map(|name| ["--exclude", name]));
    let except = dir.tailmerge(args).start();
    let exact = dir.tailmerge(["-o", "exact", "--report", "exact.json", "log/current", "log/@*"]).start();
    let main = dir.tailmerge(["-o", "main", "--report", "main.json", "log/current"]).start();
    let mut logger = Own::start(logger.stdin(Stdio::piped()));
    let mut pipe = logger.0.stdin.take().unwrap();
    let (start, mut number) = (Instant::now(), 0);
    while start.elapsed() < Duration::from_secs(SECONDS) {
        let lines: String = (number..number + LINES_A_MILLI).map(|number| line("s", number)).collect();
        pipe.write_all(lines.as_bytes()).unwrap();
        number += LINES_A_MILLI;
        thread::sleep(Duration::from_millis(1));
    }
    drop(pipe);
    logger.finish();
    let rotated = fs::read_dir(dir.path("log")).unwrap().flatten();
    let rotated = rotated.filter(|entry| entry.file_name().as_encoded_bytes().starts_with(b"@")).count();
    assert!(rotated > 4, "only {rotated} rotated files");
    let written = Written::from([("s".to_owned(), number)]);
    for (name, running) in [("except", except), ("exact", exact), ("main", main)] {
        running.stop().expect(0);
        assert_eq!(report(dir, &format!("{name}.json"))["gaps"], serde_json::json!([]));
        Merged::read(&dir.path(name)).expect_all(&written);
    }
    println!("{number} lines in {SECONDS} seconds; {rotated} rotated files were left of them");
}

fn log_dir() -> Dir {
    let dir = Dir::new();
    fs::create_dir(dir.path("log")).unwrap();
    dir
}

fn command(name: &str, package: &str, dir: &Path) -> Command {
    let mut command = Command::new(program(name, package));
    command.current_dir(dir);
    command
}

#[test]
#[ignore = "needs svlogd of runit, and a quarter of a minute"]
fn files_that_svlogd_renames() {
    let dir = log_dir();
    dir.write("log/config", format!("s{FILE_SIZE}\nn8\n"));
    let mut logger = command("svlogd", "runit", &dir.path(""));
    logger.arg("log");
    follow(&dir, logger);
}

#[test]
#[ignore = "needs multilog of daemontools, and a quarter of a minute"]
fn files_that_multilog_renames() {
    let dir = log_dir();
    let mut logger = command("multilog", "daemontools", &dir.path(""));
    logger.args([&format!("s{FILE_SIZE}"), "n8", "./log"]);
    follow(&dir, logger);
}
