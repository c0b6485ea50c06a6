//! Logs that rsync mirrors, in each of its ways, and logs that are copied afresh each time.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::kit::{Merged, Stream, Written, program, report, run};
use crate::tool::{Dir, wait_until};

const ROUNDS: u64 = 20;

/// Follows two logs that `mirror` brings from `from` to `to` after each time that they have grown: each line comes once.
fn follow(name: &str, mirror: impl Fn(&Dir)) {
    let dir = Dir::new();
    ["from", "to", "tmp"].iter().for_each(|name| fs::create_dir(dir.path(name)).unwrap());
    let mut streams = ["a", "b"].map(|name| Stream::open(dir.path(format!("from/{name}.log")), name));
    streams.iter_mut().for_each(|stream| _ = stream.write_many(100));
    mirror(&dir);
    let running = dir.tailmerge(["-v", "-o", "all", "--report", "report", "to/*.log"]).start();
    for round in 0..ROUNDS {
        // Halfway the log that is mirrored is written to by itself, and in the end nobody waits.
        let lines: u64 = streams.iter().map(|stream| stream.next).sum();
        if round < ROUNDS - 5 {
            let merged = || dir.text("all").lines().count() as u64 >= lines;
            wait_until(&format!("{name}: {lines} lines are merged"), merged);
        }
        streams.iter_mut().for_each(|stream| _ = stream.write_many(round % 7));
        mirror(&dir);
    }
    let written: Written = streams.map(|stream| (stream.name, stream.next)).into();
    let lines: u64 = written.values().sum();
    wait_until(&format!("{name}: {lines} lines are merged"), || dir.text("all").lines().count() as u64 >= lines);
    running.stop().expect(0);
    println!("{name}: {} lines of {lines}", Merged::read(&dir.path("all")).lines());
    Merged::read(&dir.path("all")).expect_all(&written);
    assert_eq!(report(&dir, "report")["gaps"], serde_json::json!([]), "{name}");
}

fn rsync(options: &[&str]) {
    follow(&format!("rsync {options:?}"), |dir| {
        let mut command = Command::new(program("rsync", "rsync"));
        let options = options.iter().map(|option| option.replace("TMP", &dir.path("tmp").to_string_lossy()));
        run(command.current_dir(dir.path("")).arg("-a").args(options).args(["from/", "to/"]));
    });
}

#[test]
#[ignore = "needs rsync"]
fn logs_that_rsync_renames_into_place() {
    let ways: [&[&str]; 4] = [&[], &["--no-whole-file"], &["--delay-updates"], &["--temp-dir=TMP"]];
    ways.into_iter().for_each(rsync);
}

#[test]
#[ignore = "needs rsync"]
fn logs_that_rsync_renames_into_place_and_keeps() {
    rsync(&["--backup"]);
}

#[test]
#[ignore = "needs rsync"]
fn logs_that_rsync_writes_in_place() {
    let ways: [&[&str]; 4] = [&["--inplace"], &["--inplace", "--no-whole-file"], &["--append"], &["--append-verify"]];
    ways.into_iter().for_each(rsync);
}

#[test]
#[ignore = "needs nothing but cp and mv, and some seconds"]
fn logs_that_are_copied_afresh() {
    follow("cp and mv", |dir| {
        for name in ["a.log", "b.log"] {
            let (from, new, to) = (dir.path("from").join(name), dir.path("to/new"), dir.path("to").join(name));
            run(Command::new("cp").args([Path::new("-p"), &from, &new]));
            run(Command::new("mv").args([&new, &to]));
        }
    });
}
