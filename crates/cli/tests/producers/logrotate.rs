//! logrotate: files moved away, files copied and cut, files compressed.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::io::Seek;
use std::process::Command;
use std::sync::RwLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::kit::{Merged, Rng, Stream, Written, line, program, report, run};
use crate::tool::{Dir, Running};

const STREAMS: u64 = 4;

/// A directory with logs and with logrotate's files.
pub(crate) struct Logs(pub(crate) Dir);

impl Logs {
    pub(crate) fn new(options: &str) -> Self {
        let dir = Dir::new();
        fs::create_dir(dir.path("logs")).unwrap();
        let logs = dir.path("logs/*.log");
        dir.write("conf", format!("{} {{\n{options}\n}}\n", logs.display()));
        Self(dir)
    }

    pub(crate) fn streams(&self) -> Vec<Stream> {
        let open = |at| Stream::open(self.0.path(format!("logs/{at}.log")), &format!("s{at}"));
        (0..STREAMS).map(open).collect()
    }

    pub(crate) fn follow<S: AsRef<OsStr>>(&self, output: &str, args: impl IntoIterator<Item = S>) -> Running {
        let report = format!("{output}.json");
        self.0.tailmerge(["-o", output, "--report", &report]).args(args).start()
    }

    /// Returns the command that rotates all of them.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(program("logrotate", "logrotate"));
        command.arg("-f").arg("-s").arg(self.0.path("state")).arg(self.0.path("conf"));
        command
    }

    fn rotate(&self) {
        run(&mut self.command());
    }

    /// Stops the program, which has nothing to complain of, and has merged everything.
    #[track_caller]
    pub(crate) fn expect_all(&self, running: Running, output: &str, written: &Written) {
        running.stop().expect(0);
        assert_eq!(report(&self.0, &format!("{output}.json"))["gaps"], serde_json::json!([]));
        Merged::read(&self.0.path(output)).expect_all(written);
        println!("{output}: {} lines, each once", written.values().sum::<u64>());
    }
}

/// Writes to streams that are rotated so often, each opened again up to three seconds after each rotation.
fn write_and_reopen(logs: &Logs, rotations: u64) -> Written {
    let rng = Rng::new();
    let (done, over) = (AtomicU64::new(0), AtomicBool::new(false));
    thread::scope(|scope| {
        let write = |(at, mut stream): (usize, Stream)| {
            let (mut rng, done, over) = (rng.split(at as u64), &done, &over);
            scope.spawn(move || {
                let (mut seen, mut reopen) = (0, None);
                while !over.load(Ordering::Relaxed) || reopen.is_some() {
                    stream.burst(8);
                    let now = done.load(Ordering::Relaxed);
                    if std::mem::replace(&mut seen, now) != now && reopen.is_none() {
                        reopen = Some(Instant::now() + rng.millis(0, 3000));
                    }
                    if reopen.is_some_and(|at| at <= Instant::now()) {
                        stream.reopen();
                        reopen = None;
                    }
                }
                stream.burst(8);
                (stream.name, stream.next)
            })
        };
        let writers: Vec<_> = logs.streams().into_iter().enumerate().map(write).collect();
        let mut rng = rng.split(STREAMS);
        for _ in 0..rotations {
            thread::sleep(rng.millis(600, 1400));
            logs.rotate();
            done.fetch_add(1, Ordering::Relaxed);
        }
        over.store(true, Ordering::Relaxed);
        writers.into_iter().map(|writer| writer.join().unwrap()).collect()
    })
}

/// Writes to streams that are rotated so often, each time after so many milliseconds, while none is written to.
pub(crate) fn write_and_rest(logs: &Logs, rotations: u64, every: (u64, u64)) -> Written {
    let (busy, over) = (RwLock::new(()), AtomicBool::new(false));
    thread::scope(|scope| {
        let write = |mut stream: Stream| {
            let (busy, over) = (&busy, &over);
            scope.spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    let writing = busy.read().unwrap();
                    stream.burst(8);
                    drop(writing);
                    // Whoever waits to rotate gets his turn.
                    thread::sleep(Duration::from_micros(200));
                }
                (stream.name, stream.next)
            })
        };
        let writers: Vec<_> = logs.streams().into_iter().map(write).collect();
        let mut rng = Rng::new();
        for _ in 0..rotations {
            thread::sleep(rng.millis(every.0, every.1));
            let rest = busy.write().unwrap();
            logs.rotate();
            drop(rest);
        }
        over.store(true, Ordering::Relaxed);
        writers.into_iter().map(|writer| writer.join().unwrap()).collect()
    })
}

#[test]
#[ignore = "needs logrotate, and half a minute"]
fn files_that_logrotate_moves_away() {
    let logs = Logs::new("rotate 4\ncreate");
    let streams = logs.streams();
    let named = logs.follow("named", streams.iter().map(|stream| &stream.path));
    let all = logs.follow("all", ["logs/*.log*"]);
    let main = logs.follow("main", ["logs/*.log"]);
    let written = write_and_reopen(&logs, 20);
    logs.expect_all(named, "named", &written);
    logs.expect_all(all, "all", &written);
    logs.expect_all(main, "main", &written);
}

#[test]
#[ignore = "needs logrotate, and half a minute"]
fn files_that_logrotate_compresses_later() {
    let logs = Logs::new("rotate 4\ncreate\ncompress\ndelaycompress");
    let two = logs.follow("two", ["logs/*.log", "logs/*.log.1"]);
    let except = logs.follow("except", ["--exclude", "*.gz", "logs/*"]);
    let written = write_and_reopen(&logs, 15);
    assert!(logs.0.path("logs/0.log.2.gz").exists(), "nothing was compressed");
    logs.expect_all(two, "two", &written);
    logs.expect_all(except, "except", &written);
}

#[test]
#[ignore = "needs logrotate, and half a minute"]
fn files_that_logrotate_copies_and_cuts_while_the_producer_rests() {
    let logs = Logs::new("rotate 3\ncopytruncate");
    let two = logs.follow("two", ["logs/*.log", "logs/*.log.1"]);
    let all = logs.follow("all", ["logs/*.log*"]);
    let main = logs.follow("main", ["logs/*.log"]);
    let written = write_and_rest(&logs, 20, (500, 1000));
    logs.expect_all(two, "two", &written);
    logs.expect_all(all, "all", &written);
    // What was written before the cut and not read by then is in the copy, which is found beside the file.
    logs.expect_all(main, "main", &written);
}

#[test]
#[ignore = "needs logrotate, and half a minute"]
fn files_that_are_copied_and_cut_while_the_program_is_stopped() {
    let logs = Logs::new("rotate 6\ncopytruncate");
    let running = logs.follow("all", ["logs/*.log*"]);
    let (busy, over) = (RwLock::new(0), AtomicBool::new(false));
    let written: Written = thread::scope(|scope| {
        let write = |mut stream: Stream| {
            let (busy, over, name) = (&busy, &over, stream.name.clone());
            scope.spawn(move || {
                let (mut counts, mut last) = (Vec::new(), 0);
                while !over.load(Ordering::Relaxed) {
                    let rotations = busy.read().unwrap();
                    if last != *rotations {
                        // In the output each has its own order: which of two that were not seen came first is not told.
                        last = *rotations;
                        counts.push((std::mem::replace(&mut stream.name, format!("{name}.{last}")), stream.next));
                        stream.next = 0;
                    }
                    stream.burst(8);
                    drop(rotations);
                    thread::sleep(Duration::from_micros(200));
                }
                counts.push((stream.name, stream.next));
                counts
            })
        };
        let writers: Vec<_> = logs.streams().into_iter().map(write).collect();
        let mut rng = Rng::new();
        for rotation in 0..20 {
            thread::sleep(rng.millis(500, 1000));
            // Stopped before three rotations, and going on before the fourth.
            match rotation % 4 {
                0 => running.signal(Signal::STOP),
                3 => running.signal(Signal::CONT),
                _ => {}
            }
            let mut rest = busy.write().unwrap();
            logs.rotate();
            *rest += 1;
        }
        over.store(true, Ordering::Relaxed);
        writers.into_iter().flat_map(|writer| writer.join().unwrap()).collect()
    });
    // Each copy is read, whether or not the program knows of what it is one: that is no gap.
    logs.expect_all(running, "all", &written);
}

/// Where a producer's lines went: for each truncation what was written before it, as the offset behind each line.
type Epochs = Vec<Vec<u64>>;

/// Writes without a rest. The position after each line tells when the file was cut before it.
fn write_through(mut stream: Stream, over: &AtomicBool) -> (String, Epochs) {
    let (mut epochs, mut end) = (vec![Vec::new()], 0);
    while !over.load(Ordering::Relaxed) {
        for _ in 0..20 {
            let len = stream.write();
            let position = stream.file.stream_position().unwrap();
            if position != end + len {
                assert_eq!(position, len, "neither behind the last line nor at the start");
                epochs.push(Vec::new());
            }
            end = position;
            epochs.last_mut().unwrap().push(end);
        }
        thread::sleep(Duration::from_millis(1));
    }
    (stream.name, epochs)
}

#[test]
#[ignore = "needs logrotate, and half a minute"]
fn files_that_logrotate_copies_and_cuts_under_load() {
    let logs = Logs::new("rotate 3\ncopytruncate");
    let running = logs.follow("out", ["logs/*.log", "logs/*.log.1"]);
    let over = AtomicBool::new(false);
    let mut copies: Vec<Vec<u64>> = Vec::new();
    let written: Vec<(String, Epochs)> = thread::scope(|scope| {
        let over = &over;
        let spawn = |stream| scope.spawn(move || write_through(stream, over));
        let writers: Vec<_> = logs.streams().into_iter().map(spawn).collect();
        let mut rng = Rng::new();
        for _ in 0..20 {
            thread::sleep(rng.millis(500, 1000));
            logs.rotate();
            let copied = |at| fs::metadata(logs.0.path(format!("logs/{at}.log.1"))).unwrap().len();
            copies.push((0..STREAMS).map(copied).collect());
        }
        thread::sleep(Duration::from_millis(200));
        over.store(true, Ordering::Relaxed);
        writers.into_iter().map(|writer| writer.join().unwrap()).collect()
    });
    let finished = running.stop();
    let report = report(&logs.0, "out.json");
    let all_gaps = report["gaps"].as_array().unwrap();
    finished.expect(if all_gaps.is_empty() { 0 } else { 3 });
    let merged = Merged::read(&logs.0.path("out"));
    // Where a copy ends inside a line, that is all that there is of it.
    assert_eq!(merged.torn.len() as u64, report["unterminated_lines"].as_u64().unwrap(), "{:?}", merged.torn);
    let (mut lines, mut lost, mut told) = (0, 0, 0);
    for (at, (name, epochs)) in written.iter().enumerate() {
        assert_eq!(epochs.len(), copies.len() + 1, "{name}: truncations");
        let input = format!("logs/{at}.log");
        let gaps = all_gaps.iter().filter(|gap| gap["input"] == *input);
        let mut gaps = gaps.map(|gap| (gap["start"].as_u64().unwrap(), gap["end"].as_u64().unwrap())).peekable();
        let mut came = merged.streams[name].iter().map(|(number, _)| *number).peekable();
        let mut number = 0;
        for (epoch, ends) in epochs.iter().enumerate() {
            let first = number;
            number += ends.len() as u64;
            let mut next = first;
            while let Some(this) = came.next_if(|came| *came < number) {
                assert_eq!(this, next, "{name}: twice, out of order, or missing far from a truncation");
                next += 1;
            }
            lines += ends.len();
            let missing = &ends[(next - first) as usize..];
            let Some(last) = missing.last() else { continue };
            let start = (next - first).checked_sub(1).map_or(0, |at| ends[at as usize]);
            // The last lines are not followed by a truncation.
            let copied = copies.get(epoch).unwrap_or_else(|| panic!("{name}: the last {} lines", missing.len()))[at];
            lost += missing.len();
            let gap = gaps.next_if(|gap| gap.0 >= start && gap.1 <= *last);
            told += gap.map_or(0, |gap| gap.1 - gap.0);
            assert!(
                missing[0] > copied,
                "{name}: the copy had {copied} bytes of {last}, but it was read to {start} only; gap: {gap:?}"
            );
        }
        assert_eq!(gaps.next(), None, "{name}: told as a gap, but it was delivered");
        assert_eq!(came.next(), None, "{name}");
    }
    println!("{lines} lines, of which {lost} were written between copy and truncation; gaps tell {told} bytes of them");
}

#[test]
#[ignore = "needs logrotate, and ten seconds"]
fn what_is_cut_while_nobody_reads_the_output_is_told_to_the_byte() {
    /// Far more than what the program reads ahead.
    const LINES: u64 = 200_000;

    let logs = Logs::new("rotate 0\ncopytruncate");
    let fifo = logs.0.fifo("fifo");
    let running = logs.0.tailmerge(["-o", "fifo", "--report", "report", "logs/*.log"]).start();
    let mut streams = logs.streams();
    for _ in 0..3 {
        streams.iter_mut().for_each(|stream| _ = stream.write_many(LINES));
        // Time to see how long they have become: what was never seen cannot be told.
        thread::sleep(Duration::from_secs(1));
        logs.rotate();
        thread::sleep(Duration::from_millis(500));
    }
    streams.iter_mut().for_each(|stream| _ = stream.write_many(10));
    let reader = thread::spawn(move || fs::read(fifo).unwrap());
    running.stop().expect(3);
    let merged = Merged::new(&reader.join().unwrap());
    assert_eq!(merged.torn, Vec::<Vec<u8>>::new());
    let report = report(&logs.0, "report");
    let (mut lost, mut told) = (0, 0);
    for (at, stream) in streams.iter().enumerate() {
        let mut missing = (0..stream.next).collect::<BTreeSet<_>>();
        let mut last = None;
        for (number, _) in &merged.streams[&stream.name] {
            assert!(missing.remove(number) && last < Some(*number), "{}: line {number} again", stream.name);
            last = Some(*number);
        }
        let bytes: u64 = missing.iter().map(|number| line(&stream.name, *number).len() as u64).sum();
        let input = format!("logs/{at}.log");
        let gaps = report["gaps"].as_array().unwrap().iter().filter(|gap| gap["input"] == *input);
        let gaps: u64 = gaps.map(|gap| gap["end"].as_u64().unwrap() - gap["start"].as_u64().unwrap()).sum();
        assert_eq!(gaps, bytes, "{}: told, and lost; {} lines", stream.name, missing.len());
        (lost, told) = (lost + missing.len(), told + gaps);
    }
    assert!(lost > 0, "nothing was lost, so nothing was tested");
    println!("{lost} lines were lost, {told} bytes, which is what the gaps tell");
}
