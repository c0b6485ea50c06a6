//! Hundreds of rotations of every kind, each stream's producer writing on to the old files for a while.

use std::collections::HashSet;
use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::process::Signal;

use crate::kit::{Merged, Rng, Stream, Written, program, report, setting};
use crate::tool::{Dir, Running, wait_until};

const STREAMS: u64 = 20;
/// What has had a name for so long, while the program ran, has been seen by it.
const SEEN_AFTER: Duration = Duration::from_millis(500);
const STOPPED: Duration = Duration::from_secs(2);
const RUNNING: Duration = Duration::from_secs(2);
/// How long a producer may write on to a file that was rotated: less than the program keeps it open.
const LATE_MILLIS: u64 = 3000;

/// When the program runs, and when it is stopped.
#[derive(Debug)]
struct Clock(Mutex<Vec<(Instant, Option<Instant>)>>);

impl Clock {
    fn new() -> Self {
        Self(Mutex::new(vec![(Instant::now(), None)]))
    }

    fn runs(&self) -> MutexGuard<'_, Vec<(Instant, Option<Instant>)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stop(&self, running: &Running) {
        let mut runs = self.runs();
        runs.last_mut().unwrap().1 = Some(Instant::now());
        running.signal(Signal::STOP);
    }

    fn go_on(&self, running: &Running) {
        running.signal(Signal::CONT);
        self.runs().push((Instant::now(), None));
    }

    /// Whether what is there since then has been seen.
    fn has_seen(&self, since: Instant) -> bool {
        let now = Instant::now();
        let long = |(start, end): &(Instant, Option<Instant>)| {
            end.unwrap_or(now).saturating_duration_since(since.max(*start)) >= SEEN_AFTER
        };
        self.runs().iter().any(long)
    }
}

/// One file of a stream.
#[derive(Debug)]
struct Generation {
    stream: Stream,
    born: Instant,
    /// How long its producer writes on to it.
    until: Option<Instant>,
    /// How it lost its name; more than once, if it came back.
    lost: Vec<Kind>,
    /// Whether the program has seen it under the name that all files of the stream begin with.
    known: bool,
    /// How many lines it had when that name was given to the next one, which has which number.
    before: Option<(u64, usize)>,
}

/// How a file loses its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// To where no pattern looks.
    Out,
    /// To `.1`, and what is there one on; the last is deleted.
    Chain,
    /// To a name of its own.
    Date,
    /// It and `.1` change places, and the producer goes on in what was `.1`.
    Swap,
    /// It gets a second name that matches too, and the next file replaces it at once.
    Link,
    /// It keeps only a second name where no pattern looks.
    LinkOut,
    Delete,
    /// Its content becomes that of another file, which no pattern matches.
    Gzip,
}

const KINDS: [Kind; 8] =
    [Kind::Out, Kind::Chain, Kind::Date, Kind::Swap, Kind::Link, Kind::LinkOut, Kind::Delete, Kind::Gzip];

/// The files of one stream.
struct Producer<'a> {
    dir: &'a Dir,
    clock: &'a Clock,
    rng: Rng,
    at: u64,
    path: PathBuf,
    /// All files, by their number.
    all: Vec<Generation>,
    /// The one that has the name.
    current: usize,
    /// Those at `.1`, `.2` and `.3`.
    chain: Vec<usize>,
    /// Those that had the name twice.
    swapped: HashSet<usize>,
    gzips: Vec<JoinHandle<()>>,
}

impl<'a> Producer<'a> {
    fn new(dir: &'a Dir, clock: &'a Clock, rng: Rng, at: u64) -> Self {
        let path = dir.path(format!("in/{at}.log"));
        let (chain, swapped) = (Vec::new(), HashSet::new());
        let mut producer = Self { dir, clock, rng, at, path, all: vec![], current: 0, chain, swapped, gzips: vec![] };
        producer.create(producer.path.clone());
        producer
    }

    fn create(&mut self, path: PathBuf) {
        let stream = Stream::open(path, &format!("{}.{}", self.at, self.all.len()));
        self.current = self.all.len();
        self.all.push(Generation {
            stream,
            born: Instant::now(),
            until: None,
            lost: vec![],
            known: false,
            before: None,
        });
    }

    fn beside(&self, end: &str) -> PathBuf {
        self.dir.path(format!("in/{}.log{end}", self.at))
    }

    fn out(&self) -> PathBuf {
        self.dir.path(format!("out/{}.{}", self.at, self.all.len()))
    }

    /// Writes for a while, now and then in two parts, and to older files too.
    fn write(&mut self, length: Duration) {
        let start = Instant::now();
        while start.elapsed() < length {
            for _ in 0..20 {
                self.line(self.current);
            }
            let now = Instant::now();
            for at in 0..self.all.len() {
                let is_late = self.all[at].until.is_some_and(|until| now < until);
                if is_late && self.rng.below(3) == 0 {
                    self.line(at);
                }
            }
            thread::sleep(Duration::from_millis(4));
        }
    }

    fn line(&mut self, at: usize) {
        let stream = &mut self.all[at].stream;
        if self.rng.below(50) > 0 {
            stream.write();
            return;
        }
        let line = crate::kit::line(&stream.name, stream.next);
        let (head, rest) = line.split_at(self.rng.below(line.len() as u64) as usize);
        stream.file.write_all(head.as_bytes()).unwrap();
        thread::yield_now();
        stream.file.write_all(rest.as_bytes()).unwrap();
        stream.next += 1;
    }

    fn is_seen(&self, at: usize) -> bool {
        self.clock.has_seen(self.all[at].born)
    }

    /// The kind that was drawn, or one that keeps the file where it can still be found.
    fn possible(&self, kind: Kind) -> Kind {
        match kind {
            Kind::Out | Kind::LinkOut | Kind::Delete | Kind::Gzip if !self.is_seen(self.current) => Kind::Date,
            Kind::Chain if self.chain.len() == 3 && !self.is_seen(self.chain[2]) => Kind::Date,
            Kind::Swap if self.chain.is_empty() => Kind::Chain,
            kind => kind,
        }
    }

    fn rotate(&mut self) {
        let drawn = self.rng.below(KINDS.len() as u64);
        let kind = self.possible(KINDS[drawn as usize]);
        let old = self.current;
        let date = self.beside(&format!("-{:04}", self.all.len()));
        if !self.swapped.contains(&old) {
            self.all[old].known = self.is_seen(old);
        }
        self.all[old].lost.push(kind);
        match kind {
            Kind::Out => fs::rename(&self.path, self.out()).unwrap(),
            Kind::Chain => self.chain(),
            Kind::Date => fs::rename(&self.path, date).unwrap(),
            Kind::Swap => {
                renameat_with(CWD, &self.path, CWD, self.beside(".1"), RenameFlags::EXCHANGE).unwrap();
                self.current = std::mem::replace(&mut self.chain[0], old);
                self.late(old);
                self.all[self.current].until = None;
                self.swapped.insert(self.current);
                return;
            }
            Kind::Link => {
                fs::hard_link(&self.path, date).unwrap();
                let next = self.dir.path(format!("out/next.{}", self.at));
                self.create(next.clone());
                fs::rename(next, &self.path).unwrap();
                self.late(old);
                self.all[self.current].born = Instant::now();
                return;
            }
            Kind::LinkOut => {
                fs::hard_link(&self.path, self.out()).unwrap();
                fs::remove_file(&self.path).unwrap();
            }
            Kind::Delete => fs::remove_file(&self.path).unwrap(),
            Kind::Gzip => {
                fs::rename(&self.path, &date).unwrap();
                self.gzip(date);
            }
        }
        if !self.swapped.contains(&old) {
            self.all[old].before = Some((self.all[old].stream.next, self.all.len()));
        }
        self.late(old);
        self.create(self.path.clone());
    }

    fn chain(&mut self) {
        for at in (1..=self.chain.len()).rev() {
            let to = if at < 3 { self.beside(&format!(".{}", at + 1)) } else { self.out() };
            fs::rename(self.beside(&format!(".{at}")), &to).unwrap();
            if at == 3 {
                fs::remove_file(to).unwrap();
            }
        }
        self.chain.truncate(2);
        self.chain.insert(0, self.current);
        fs::rename(&self.path, self.beside(".1")).unwrap();
    }

    fn late(&mut self, old: usize) {
        let late = self.rng.millis(0, LATE_MILLIS);
        self.all[old].until = Some(Instant::now() + late);
    }

    fn gzip(&mut self, path: PathBuf) {
        let (wait, gzip) = (self.rng.millis(0, 50), program("gzip", "gzip"));
        self.gzips.push(thread::spawn(move || {
            thread::sleep(wait);
            let status = Command::new(gzip).arg(&path).stderr(Stdio::null()).status().unwrap();
            // It warns when the file grows meanwhile.
            assert!(matches!(status.code(), Some(0 | 2)) && !path.exists(), "{}: {status}", path.display());
        }));
    }

    fn run(mut self, rotations: u64) -> Vec<Generation> {
        for _ in 0..rotations {
            let length = self.rng.millis(550, 1100);
            self.write(length);
            self.rotate();
        }
        self.write(Duration::from_millis(LATE_MILLIS + 100));
        self.gzips.into_iter().for_each(|gzip| gzip.join().unwrap());
        if !self.swapped.contains(&self.current) {
            self.all[self.current].known = true;
        }
        self.all
    }
}

/// Stops the program and lets it go on, until the producers are done.
fn disturb(running: &Running, clock: &Clock, is_done: impl Fn() -> bool) -> u64 {
    let mut stops = 0;
    while !is_done() {
        thread::sleep(RUNNING);
        clock.stop(running);
        thread::sleep(STOPPED);
        clock.go_on(running);
        stops += 1;
    }
    stops
}

/// What was written before a file lost its name comes before what was written to the next one. That holds for files
/// that were seen under this name; one that had another name when it was first seen is an input of its own.
fn expect_order(merged: &Merged, streams: &[Vec<Generation>]) -> usize {
    let mut checked = 0;
    for (all, old) in streams.iter().flat_map(|all| all.iter().map(move |old| (all, old))) {
        let Some((before, next)) = old.before.filter(|(before, _)| old.known && *before > 0) else { continue };
        let Some(new) = all[next..].iter().find(|new| new.known) else { continue };
        let last = before - 1;
        let at = merged.streams[&old.stream.name][last as usize].1;
        let Some((_, first)) = merged.streams.get(&new.stream.name).and_then(|lines| lines.first()) else { continue };
        assert!(
            at < *first,
            "line {last} of {} ({:?}) is line {at} of the output; but {} ({:?}) begins at line {first}",
            old.stream.name,
            old.lost,
            new.stream.name,
            new.lost,
        );
        checked += 1;
    }
    checked
}

fn storm(disturbed: bool) {
    program("gzip", "gzip");
    let rotations = setting("TAILMERGE_TEST_ROTATIONS", 500).div_ceil(STREAMS);
    let rng = Rng::new();
    let dir = Dir::new();
    fs::create_dir(dir.path("in")).unwrap();
    fs::create_dir(dir.path("out")).unwrap();
    let args = ["-o", "all", "--report", "all.json", "--exclude", "*.gz", "in/*.log*"];
    let running = dir.tailmerge(args).start();
    wait_until("it runs", || dir.path("all").exists());
    // Who follows one name only has to see each file while it has it.
    let main = (!disturbed).then(|| dir.tailmerge(["-o", "main", "--report", "main.json", "in/*.log"]).start());
    wait_until("the other one runs, too", || disturbed || dir.path("main").exists());
    let clock = Clock::new();
    let (streams, stops) = thread::scope(|scope| {
        let start = |at| {
            let (dir, clock, rng) = (&dir, &clock, rng.split(at));
            scope.spawn(move || Producer::new(dir, clock, rng, at).run(rotations))
        };
        let producers: Vec<_> = (0..STREAMS).map(start).collect();
        let done = || producers.iter().all(|producer| producer.is_finished());
        let stops = if disturbed { disturb(&running, &clock, done) } else { 0 };
        let streams: Vec<_> = producers.into_iter().map(|producer| producer.join().unwrap()).collect();
        (streams, stops)
    });
    let files = streams.iter().flatten();
    let written: Written = files.map(|file| (file.stream.name.clone(), file.stream.next)).collect();
    for (running, name) in [(Some(running), "all"), (main, "main")] {
        let Some(running) = running else { continue };
        running.stop().expect(0);
        assert_eq!(report(&dir, &format!("{name}.json"))["gaps"], serde_json::json!([]));
        let merged = Merged::read(&dir.path(name));
        merged.expect_all(&written);
        let checked = expect_order(&merged, &streams);
        let (lines, rotations, files) = (merged.lines(), rotations * STREAMS, written.len());
        println!("{name}: {lines} lines, {rotations} rotations, {files} files, {stops} stops; order across {checked}");
    }
}

#[test]
#[ignore = "needs gzip, and half a minute"]
fn rotations_of_every_kind() {
    storm(false);
}

#[test]
#[ignore = "needs gzip, and half a minute"]
fn rotations_of_every_kind_while_the_program_is_stopped_now_and_then() {
    storm(true);
}
