//! The program with a state file, killed at any moment: each line is in the output once.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use rustix::process::Signal;

use crate::tool::{Dir, numbered, wait_until};

/// Numbers that look random, the same ones each time.
struct Rng(u64);

impl Rng {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}

/// Appends numbered lines to a log, some of them in two writes, and rotates it now and then.
fn produce(dir: &Dir, name: &str, stop: &AtomicBool) {
    let (mut rng, mut line, mut rotated) = (Rng(name.len() as u64), 0, 0);
    let path = dir.path(name);
    let mut file = File::options().append(true).create(true).open(&path).unwrap();
    while !stop.load(Ordering::Relaxed) {
        let mut lines = String::new();
        for _ in 0..1 + rng.below(40) {
            lines += &format!("{name} {line} {}\n", "x".repeat(rng.below(100) as usize));
            line += 1;
        }
        let (first, rest) = lines.split_at(rng.below(lines.len() as u64) as usize);
        file.write_all(first.as_bytes()).unwrap();
        // The pace of a program that logs.
        thread::sleep(Duration::from_millis(rng.below(4)));
        file.write_all(rest.as_bytes()).unwrap();
        if rng.below(100) == 0 {
            rotated += 1;
            fs::rename(&path, dir.path(format!("{name}.{rotated}"))).unwrap();
            file = File::options().append(true).create(true).open(&path).unwrap();
        }
    }
}

/// The names of files that begin so, those that were rotated first coming first.
fn names(dir: &Dir, begin: &str) -> Vec<String> {
    let names = fs::read_dir(dir.path("")).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.filter(|name| name.starts_with(begin)).collect();
    let number = |name: &String| name.rsplit('.').next().and_then(|number| number.parse().ok()).unwrap_or(u64::MAX);
    names.sort_by_key(number);
    names
}

/// Each line is in the output at most once, those of a file in its order; if `whole`, all of them are.
fn check(dir: &Dir, whole: bool, content: impl Fn(&str) -> String) {
    let mut places = HashMap::new();
    let outputs = names(dir, "all").iter().map(|name| dir.text(name)).collect::<String>();
    let mut count = 0;
    for line in outputs.lines().map(content) {
        assert_eq!(places.insert(line.clone(), count), None, "twice: {line}");
        count += 1;
    }
    let (mut found, mut missing) = (0, Vec::new());
    for input in names(dir, "a.log").into_iter().chain(names(dir, "bb.log")) {
        let mut last = None;
        for line in dir.text(&input).lines() {
            let place = places.get(line).copied();
            found += usize::from(place.is_some());
            match place {
                Some(place) => assert!(last.replace(place) < Some(place), "{input}: not in order: {line}"),
                None => missing.push(line.to_owned()),
            }
        }
    }
    assert!(!whole || missing.is_empty(), "{} lines are missing, the first is {}", missing.len(), missing[0]);
    assert!(!whole || found == count, "{} lines of nobody", count - found);
}

/// Kills the program again and again while the logs grow.
fn kills(count: usize, args: &[&str], rename_output: bool, content: impl Fn(&str) -> String) {
    let (dir, stop, mut rng) = (Dir::new(), AtomicBool::new(false), Rng(count as u64));
    let args = [&["--state", "state", "-o", "all", "--rotated-grace", "1s"], args, &["a.log*", "bb.log*"]].concat();
    thread::scope(|scope| {
        for name in ["a.log", "bb.log"] {
            let (dir, stop) = (&dir, &stop);
            scope.spawn(move || produce(dir, name, stop));
        }
        let mut all = 0;
        for kill in 0..count {
            let running = dir.tailmerge(&args).start();
            // Any moment will do.
            let most = if rng.below(5) < 2 { 50 } else { 400 };
            thread::sleep(Duration::from_micros(rng.below(most * 1000)));
            if rename_output && rng.below(3) == 0 && dir.path("all").exists() {
                all += 1;
                fs::rename(dir.path("all"), dir.path(format!("all.{all}"))).unwrap();
                running.signal(Signal::HUP);
                thread::sleep(Duration::from_micros(rng.below(20_000)));
            }
            running.signal(Signal::KILL);
            let finished = running.finish();
            if finished.status.is_some() {
                stop.store(true, Ordering::Relaxed);
                panic!("it ended by itself: {}", finished.stderr);
            }
            if kill % 50 == 49 {
                check(&dir, false, &content);
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
    dir.run([&args[..], &["--once"]].concat()).expect_quiet();
    check(&dir, true, &content);
    let state = fs::metadata(dir.path("state")).unwrap().len();
    assert!(state < 1024 * 1024, "{state} bytes");
}

fn plain(line: &str) -> String {
    line.to_owned()
}

#[test]
fn a_program_that_is_killed_goes_on_where_it_was() {
    kills(10, &[], false, plain);
    kills(5, &["--prefix", "path"], true, |line| line.split_once(": ").unwrap().1.to_owned());
}

#[test]
#[ignore = "takes minutes"]
fn hundreds_of_kills() {
    for backend in ["smol", "async-std"] {
        kills(500, &["--backend", backend], false, plain);
        kills(100, &["--backend", backend], true, plain);
        kills(100, &["--backend", backend, "--prefix", "path"], false, |line| {
            line.split_once(": ").unwrap().1.to_owned()
        });
        kills(100, &["--backend", backend, "--format", "json"], false, |line| {
            let (_, line) = line.split_once("\"line\":\"").unwrap_or_else(|| panic!("{line}"));
            line.trim_end_matches("\"}").to_owned()
        });
    }
}

/// A job of cron: what is there each time, and nothing twice.
#[test]
fn runs_to_the_end_go_on_where_the_last_one_ended() {
    let dir = Dir::new();
    let run = || dir.run(["--once", "--state", "state", "-o", "all", "*.log"]);
    dir.append("a.log", numbered("a", 1000));
    run().expect_quiet();
    dir.append("a.log", "more\nbegun");
    dir.append("b.log", "b\n");
    run().expect_quiet();
    run().expect_quiet();
    dir.append("a.log", " and ended\n");
    fs::rename(dir.path("b.log"), dir.path("c.log")).unwrap();
    dir.append("c.log", "c\n");
    run().expect_quiet();
    let all = dir.text("all");
    let mut lines: Vec<_> = all.strip_prefix(&numbered("a", 1000)).unwrap().lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["b", "begun and ended", "c", "more"]);
}

#[test]
fn a_second_program_with_a_state_file_is_refused_until_the_first_is_killed() {
    let dir = Dir::new();
    dir.write("a.log", "one\n");
    let args = ["--state", "state", "-o", "all", "a.log"];
    let first = dir.tailmerge(args).start();
    wait_until("it runs", || dir.text("all") == "one\n");
    dir.run(args).expect(1).says("another process uses this state file");
    first.signal(Signal::KILL);
    first.finish();
    dir.append("a.log", "two\n");
    dir.run([&args[..], &["--once"]].concat()).expect_quiet();
    assert_eq!(dir.text("all"), "one\ntwo\n");
}

#[test]
fn a_state_file_that_does_not_fit_is_refused_with_the_way_out() {
    let dir = Dir::new();
    dir.write("a.log", "one\n");
    dir.write("all", "of somebody\n");
    let run = || dir.run(["--once", "--state", "state", "-o", "all", "a.log"]);
    run().expect(1).says("append to it");
    assert!(!dir.path("state").exists());
    fs::remove_file(dir.path("all")).unwrap();
    dir.write("state", "of somebody\n");
    run().expect(1).says("is no state file");
    assert_eq!((dir.text("state"), dir.path("all").exists()), ("of somebody\n".to_owned(), false));
    fs::remove_file(dir.path("state")).unwrap();
    run().expect_quiet();
    dir.run(["--once", "--state", "state", "-o", "all", "--report", "state", "a.log"]).expect(2).says("the state file");
    dir.run(["--once", "--state", "no/state", "-o", "all", "a.log"]).expect(1).says("no/state.lock");
    run().expect_quiet();
    assert_eq!(dir.text("all"), "one\n");
}
