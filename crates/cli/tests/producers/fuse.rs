//! File systems of programs, by Python's fusepy: inode numbers that do not last, sizes ahead of the data, short reads.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::kit::{Own, Stream, program, report};
use crate::mounts::{Mounts, dirs, expect_all, pattern, wait_for_lines};
use crate::tool::{Dir, wait_until};

/// A Python that has the module.
///
/// # Panics
///
/// If there is none.
fn python() -> PathBuf {
    let has_module = |python: &PathBuf| {
        let import = "try: import fuse\nexcept ImportError: import fusepy\n";
        let tried = Command::new(python).args(["-c", import]).stderr(Stdio::null()).status();
        tried.is_ok_and(|status| status.success())
    };
    let found = [program("python3", "python3"), PathBuf::from("/usr/bin/python3")].into_iter().find(has_module);
    found.expect("fusepy is not installed; for example: apt-get install python3-fusepy")
}

/// Shows the files of `a` at `m`.
fn show(mounts: &Mounts, dir: &Dir, misdeeds: &str) -> Own {
    let mut command = Command::new(program("nsenter", "util-linux"));
    command.args(mounts.enter()).arg(python()).arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/producers/fuse.py"));
    let server = Own::start(command.args([dir.path("a"), dir.path("m")]).arg(misdeeds));
    let mounted = || {
        let mut command = Command::new(program("nsenter", "util-linux"));
        let tried = command.args(mounts.enter()).arg("test").arg("-e").arg(dir.path("m/x.log")).status();
        tried.unwrap().success()
    };
    wait_until("it is mounted", mounted);
    server
}

/// Each line comes once, whatever the file system says of the file.
fn follow(misdeeds: &str) {
    let mounts = Mounts::new();
    let dir = dirs(&["a", "m"]);
    let mut stream = Stream::open(dir.path("a/x.log"), "s");
    stream.write_many(20);
    let server = show(&mounts, &dir, misdeeds);
    let running = mounts.tailmerge(&dir, [pattern(&dir, "m")]);
    wait_for_lines(&dir, stream.next);
    for round in 0..24 {
        stream.write_many(1 + round % 5);
        wait_for_lines(&dir, stream.next);
    }
    // What nobody waits for in between.
    for _ in 0..100 {
        stream.burst(10);
    }
    wait_for_lines(&dir, stream.next);
    let modified = || fs::metadata(dir.path("a/x.log")).unwrap().modified().unwrap();
    wait_until("sizes are right again", || modified().elapsed().is_ok_and(|age| age > Duration::from_millis(300)));
    println!("{misdeeds}: {} lines", stream.next);
    expect_all(&dir, running, &stream);
    assert_eq!(report(&dir, "report")["gaps"], serde_json::json!([]));
    drop(server);
}

#[test]
#[ignore = "needs root, unshare, nsenter and fusepy"]
fn inode_numbers_that_do_not_last() {
    ["inodes", "inodes,direct"].into_iter().for_each(follow);
}

#[test]
#[ignore = "needs root, unshare, nsenter and fusepy"]
fn sizes_ahead_of_the_data() {
    ["ahead", "ahead,direct"].into_iter().for_each(follow);
}

#[test]
#[ignore = "needs root, unshare, nsenter and fusepy"]
fn reads_that_come_back_short() {
    ["short,direct", "short,direct,ahead", "short,direct,ahead,inodes"].into_iter().for_each(follow);
}
