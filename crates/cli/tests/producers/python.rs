//! Python's `RotatingFileHandler`: a chain of names through which the files roll.

use std::fs;
use std::process::{Command, Stdio};

use crate::kit::{Merged, Own, Written, program, report};
use crate::tool::Dir;

const SECONDS: u64 = 15;
const STREAMS: u64 = 2;

/// Writes as fast as it can, and rolls over as soon as the size and the time since the last rollover allow.
const SCRIPT: &str = r#"
import logging, logging.handlers, sys, time

path, name, seconds, least = sys.argv[1], sys.argv[2], float(sys.argv[3]), float(sys.argv[4])

class Handler(logging.handlers.RotatingFileHandler):
    last = time.monotonic()
    rollovers = 0
    first = 0

    def shouldRollover(self, record):
        return time.monotonic() - self.last >= least and super().shouldRollover(record)

    def doRollover(self):
        super().doRollover()
        self.last = time.monotonic()
        print(f'{name}.{self.rollovers} {number - self.first}')
        self.rollovers += 1
        self.first = number

class Numbered(logging.Formatter):
    def format(self, record):
        at = number - handler.first
        return f"{name}.{handler.rollovers} {at} {'x' * (at * 37 % 101)}."

handler = Handler(path, maxBytes=10000, backupCount=5)
handler.setFormatter(Numbered())
log = logging.getLogger()
log.addHandler(handler)
log.setLevel(logging.INFO)
number, end = 0, time.monotonic() + seconds
while time.monotonic() < end:
    log.info('')
    number += 1
print(f'{name}.{handler.rollovers} {number - handler.first}')
"#;

/// How often a file began in the output before the one before it had ended.
fn steps_back(merged: &Merged, rollovers: &[usize]) -> usize {
    let steps = rollovers.iter().enumerate().flat_map(|(at, rolled)| {
        let place = move |file| merged.streams.get(&format!("s{at}.{file}"));
        (0..*rolled).filter_map(move |file| Some((place(file)?.last()?.1, place(file + 1)?.first()?.1)))
    });
    steps.filter(|(last, first)| last > first).count()
}

/// Follows what some such programs write, by each list of arguments; whether each file is `seen` under its first
/// name is a matter of the time between two rollovers.
fn follow(millis_between: u64, seen: bool, following: &[&[&str]]) {
    let python = program("python3", "python3");
    let dir = Dir::new();
    fs::create_dir(dir.path("logs")).unwrap();
    let start = |(at, args): (usize, &&[&str])| {
        let (output, report) = (format!("out{at}"), format!("report{at}"));
        let first = ["-o", &*output, "--report", &*report];
        (output.clone(), report.clone(), dir.tailmerge(first.into_iter().chain(args.iter().copied())).start())
    };
    let running: Vec<_> = following.iter().enumerate().map(start).collect();
    let least = millis_between as f64 / 1000.0;
    let producers: Vec<_> = (0..STREAMS)
        .map(|at| {
            let path = dir.path(format!("logs/{at}.log"));
            let mut command = Command::new(&python);
            command.arg("-c").arg(SCRIPT).arg(path).arg(format!("s{at}"));
            command.arg(SECONDS.to_string()).arg(least.to_string()).stdout(Stdio::piped());
            Own::start(&mut command)
        })
        .collect();
    let mut written = Written::new();
    let mut rollovers = Vec::new();
    for mut producer in producers {
        let said = std::io::read_to_string(producer.0.stdout.take().unwrap()).unwrap();
        producer.finish();
        let files = said.lines().map(|line| line.split_once(' ').unwrap());
        written.extend(files.map(|(name, lines)| (name.to_owned(), lines.parse().unwrap())));
        rollovers.push(said.lines().count() - 1);
    }
    let expected = (SECONDS * 1000 / millis_between / 2) as usize;
    assert!(rollovers.iter().all(|rolled| *rolled > expected), "only {rollovers:?} rollovers");
    for (output, name, running) in running {
        running.stop().expect(0);
        assert_eq!(report(&dir, &name)["gaps"], serde_json::json!([]));
        let merged = Merged::read(&dir.path(&output));
        merged.expect_all(&written);
        let back = steps_back(&merged, &rollovers);
        println!("{output}: {} lines, {rollovers:?} rollovers, {back} of them not in order", merged.lines());
        // A file that had another name when it was first seen is an input of its own.
        assert!(back == 0 || !seen, "{back} of {rollovers:?} rollovers not in order");
    }
}

#[test]
#[ignore = "needs python3, and a quarter of a minute"]
fn files_that_python_rolls_over() {
    follow(500, true, &[&["logs/0.log", "logs/1.log"], &["logs/*.log"], &["logs/*.log*"]]);
}

#[test]
#[ignore = "needs python3, and a quarter of a minute"]
fn files_that_roll_through_several_names_between_two_looks() {
    follow(60, false, &[&["logs/*.log*"]]);
}
