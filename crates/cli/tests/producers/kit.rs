//! Numbered lines, the streams that they are written as, and what became of them in the output.

use std::collections::BTreeMap;
use std::env;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::process::{Pid, Signal, kill_process};

use crate::tool::{DEADLINE, Dir, wait_until};

/// Where a program is.
///
/// # Panics
///
/// If it is not installed: a test that cannot run must not pass.
#[track_caller]
pub(crate) fn program(name: &str, package: &str) -> PathBuf {
    let path = env::var_os("PATH").unwrap_or_default();
    // Not in everybody's PATH, but there such programs are.
    let more = ["/usr/sbin", "/sbin"].map(PathBuf::from);
    let found = env::split_paths(&path).chain(more).map(|dir| dir.join(name)).find(|path| path.is_file());
    found.unwrap_or_else(|| panic!("{name} is not installed; for example: apt-get install {package}"))
}

/// A number that the environment may set.
pub(crate) fn setting(name: &str, default: u64) -> u64 {
    match env::var(name) {
        Ok(value) => value.parse().unwrap_or_else(|_| panic!("{name} is not a number: {value}")),
        Err(_) => default,
    }
}

/// A line that tells where it belongs, and shows when a part of it is missing.
pub(crate) fn line(stream: &str, number: u64) -> String {
    format!("{stream} {number} {}\n", padding(number))
}

pub(crate) fn padding(number: u64) -> String {
    format!("{}.", "x".repeat((number * 37 % 101) as usize))
}

/// How many lines each stream was given.
pub(crate) type Written = BTreeMap<String, u64>;

/// The output, by streams.
#[derive(Debug, Default)]
pub(crate) struct Merged {
    /// The numbers of a stream's lines in the order in which they came, and each line's place in the output.
    pub(crate) streams: BTreeMap<String, Vec<(u64, usize)>>,
    /// What is not a whole line.
    pub(crate) torn: Vec<Vec<u8>>,
}

impl Merged {
    pub(crate) fn read(path: &Path) -> Self {
        Self::new(&fs::read(path).unwrap())
    }

    pub(crate) fn new(output: &[u8]) -> Self {
        let mut merged = Self::default();
        for (at, bytes) in output.split_inclusive(|&byte| byte == b'\n').enumerate() {
            match parse(bytes) {
                Some((stream, number)) => match merged.streams.get_mut(stream) {
                    Some(numbers) => numbers.push((number, at)),
                    None => drop(merged.streams.insert(stream.to_owned(), vec![(number, at)])),
                },
                None => merged.torn.push(bytes.to_owned()),
            }
        }
        merged
    }

    /// Lines in all.
    pub(crate) fn lines(&self) -> usize {
        self.streams.values().map(Vec::len).sum()
    }

    /// Every line exactly once, each stream's in order.
    #[track_caller]
    pub(crate) fn expect_all(&self, written: &Written) {
        let mut complaints = String::new();
        for torn in &self.torn {
            writeln!(complaints, "not a whole line: {:?}", String::from_utf8_lossy(torn)).unwrap();
        }
        for (stream, numbers) in &self.streams {
            let count = written.get(stream).copied().unwrap_or(0);
            if numbers.iter().map(|(number, _)| *number).eq(0..count) {
                continue;
            }
            let mut seen = vec![0_usize; count as usize];
            let mut unknown = 0;
            for (number, _) in numbers {
                seen.get_mut(*number as usize).map_or_else(|| unknown += 1, |times| *times += 1);
            }
            let missing: Vec<_> = (0..count).filter(|number| seen[*number as usize] == 0).collect();
            let twice = seen.iter().filter(|times| **times > 1).count();
            let back = numbers.windows(2).find(|pair| pair[0].0 > pair[1].0);
            writeln!(
                complaints,
                "{stream}: of {count} lines {} are missing ({:?} to {:?}), {twice} came more than once, {unknown} were \
                 never written; first step back: {back:?}",
                missing.len(),
                missing.first(),
                missing.last(),
            )
            .unwrap();
        }
        for (stream, count) in
            written.iter().filter(|(stream, count)| **count > 0 && !self.streams.contains_key(*stream))
        {
            writeln!(complaints, "{stream}: all {count} lines are missing").unwrap();
        }
        assert!(complaints.is_empty(), "{complaints}");
    }
}

fn parse(bytes: &[u8]) -> Option<(&str, u64)> {
    let text = str::from_utf8(bytes).ok()?;
    let mut fields = text.split(' ');
    let (stream, number) = (fields.next()?, fields.next()?.parse().ok()?);
    (text == line(stream, number)).then_some((stream, number))
}

/// One producer's lines, to a file that it opens again when asked.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) name: String,
    pub(crate) next: u64,
    pub(crate) path: PathBuf,
    pub(crate) file: File,
}

impl Stream {
    pub(crate) fn open(path: PathBuf, name: &str) -> Self {
        let file = append(&path);
        Self { name: name.to_owned(), next: 0, path, file }
    }

    pub(crate) fn reopen(&mut self) {
        self.file = append(&self.path);
    }

    /// Writes the next line, and gives its length.
    pub(crate) fn write(&mut self) -> u64 {
        let line = line(&self.name, self.next);
        self.file.write_all(line.as_bytes()).unwrap();
        self.next += 1;
        line.len() as u64
    }

    /// Writes the next lines, and gives their length.
    pub(crate) fn write_many(&mut self, lines: u64) -> u64 {
        (0..lines).map(|_| self.write()).sum()
    }

    /// Writes a few lines, and rests for a moment.
    pub(crate) fn burst(&mut self, lines: u64) {
        self.write_many(lines);
        thread::sleep(Duration::from_millis(2));
    }
}

/// Opens a log file as producers do.
pub(crate) fn append(path: &Path) -> File {
    File::options().append(true).create(true).open(path).unwrap()
}

/// A program that a test started; it ends with the test.
#[derive(Debug)]
pub(crate) struct Own(pub(crate) Child);

impl Own {
    #[track_caller]
    pub(crate) fn start(command: &mut Command) -> Self {
        Self(command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}")))
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.0), signal).unwrap();
    }

    /// Waits for its end.
    #[track_caller]
    pub(crate) fn finish(mut self) {
        wait_until("the producer ends", || self.0.try_wait().unwrap().is_some());
        let status = self.0.wait().unwrap();
        assert!(status.success(), "the producer: {status}");
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        if !matches!(self.0.try_wait(), Ok(None)) {
            return;
        }
        // In order first, so that it ends its own children. It may be over by now.
        let _gone = kill_process(Pid::from_child(&self.0), Signal::TERM);
        let asked = Instant::now();
        while matches!(self.0.try_wait(), Ok(None)) && asked.elapsed() < Duration::from_secs(5) {
            thread::sleep(Duration::from_millis(10));
        }
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Runs a command to its end.
#[track_caller]
pub(crate) fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}, {}", output.status, String::from_utf8_lossy(&output.stderr));
}

/// The report that the program wrote.
pub(crate) fn report(dir: &Dir, name: &str) -> serde_json::Value {
    serde_json::from_slice(&dir.read(name)).unwrap()
}

/// Waits until all files of a directory together have so many bytes.
#[track_caller]
pub(crate) fn wait_for_bytes(dir: &Path, bytes: u64) {
    let held =
        || fs::read_dir(dir).unwrap().flatten().filter_map(|entry| entry.metadata().ok()).map(|it| it.len()).sum();
    let start = Instant::now();
    loop {
        let held: u64 = held();
        if held == bytes {
            return;
        }
        assert!(start.elapsed() < DEADLINE, "{} holds {held} bytes, not {bytes}", dir.display());
        thread::sleep(Duration::from_millis(10));
    }
}

/// Random enough: <https://prng.di.unimi.it/splitmix64.c>.
#[derive(Clone, Debug)]
pub(crate) struct Rng(u64);

impl Rng {
    /// Another one each time, unless the environment says which. It is told where a failed test tells it.
    pub(crate) fn new() -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64;
        let seed = setting("TAILMERGE_TEST_SEED", now);
        eprintln!("TAILMERGE_TEST_SEED={seed}");
        Self(seed)
    }

    /// One of its own for each of several threads.
    pub(crate) fn split(&self, which: u64) -> Self {
        let mut rng = Self(self.0 ^ which.wrapping_mul(0xd134_2543_de82_ef95));
        rng.below(1);
        rng
    }

    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % end
    }

    pub(crate) fn millis(&mut self, from: u64, to: u64) -> Duration {
        Duration::from_millis(from + self.below(to - from))
    }
}
