//! What the program uses: memory, descriptors, processor time, as the system tells.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

const EVERY: Duration = Duration::from_millis(20);
/// What `/proc/PID/stat` counts in; the same on every system of today.
const TICKS_PER_SECOND: f64 = 100.0;

/// The most that was seen.
#[derive(Debug, Default)]
pub(crate) struct Usage {
    pub(crate) memory_kib: u64,
    pub(crate) descriptors: u64,
    pub(crate) threads: u64,
    /// How long its threads had waited for a processor by then, all together.
    waited: Vec<(Instant, Duration)>,
    /// The threads that a look found waiting for a disk, each with the number of its system call.
    in_disk: Vec<(Instant, String)>,
}

/// Looks at the program all the time, from a thread of its own.
#[derive(Debug)]
pub(crate) struct Meter {
    pid: u32,
    over: Arc<AtomicBool>,
    thread: JoinHandle<Usage>,
}

impl Meter {
    pub(crate) fn start(pid: u32) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let thread = thread::spawn({
            let over = over.clone();
            move || {
                let mut most = Usage::default();
                while !over.load(Ordering::SeqCst) {
                    most.look(pid);
                    thread::sleep(EVERY);
                }
                most
            }
        });
        Self { pid, over, thread }
    }

    /// Which part of one processor it takes over the time that follows.
    pub(crate) fn share_of_cpu(&self, time: Duration) -> f64 {
        let (start, before) = (Instant::now(), cpu_seconds(self.pid));
        thread::sleep(time);
        (cpu_seconds(self.pid) - before) / start.elapsed().as_secs_f64()
    }

    pub(crate) fn finish(self) -> Usage {
        self.over.store(true, Ordering::SeqCst);
        self.thread.join().unwrap()
    }
}

impl Usage {
    fn look(&mut self, pid: u32) {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let field = |name: &str| {
            let rest = status.lines().find_map(|line| line.strip_prefix(name))?;
            rest.split_whitespace().next()?.parse().ok()
        };
        self.memory_kib = self.memory_kib.max(field("VmHWM:").unwrap_or(0));
        self.threads = self.threads.max(field("Threads:").unwrap_or(0));
        let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, |dir| dir.count() as u64);
        self.descriptors = self.descriptors.max(descriptors);
        self.waited.push((Instant::now(), waited(pid)));
        let now = Instant::now();
        self.in_disk.extend(in_disk(pid).map(|thread| (now, thread)));
    }

    /// The threads that the looks between two moments found waiting for a disk, each with the number of its system call.
    pub(crate) fn in_disk(&self, from: Instant, to: Instant) -> Vec<&str> {
        let within = self.in_disk.iter().filter(|(at, _)| (from..=to).contains(at));
        within.map(|(_, thread)| &**thread).collect()
    }

    /// How long its threads waited for a processor between two moments, all together: the machine was busy.
    pub(crate) fn waited(&self, from: Instant, to: Instant) -> Duration {
        // What is not known to be outside counts as inside.
        let before = self.waited.partition_point(|(at, _)| *at <= from).saturating_sub(1);
        let after = self.waited.partition_point(|(at, _)| *at < to).min(self.waited.len().saturating_sub(1));
        let at = |index: usize| self.waited.get(index).map_or(Duration::ZERO, |(_, waited)| *waited);
        at(after).saturating_sub(at(before))
    }
}

fn waited(pid: u32) -> Duration {
    let stats = tasks(pid).filter_map(|task| fs::read_to_string(task.join("schedstat")).ok());
    let nanos = stats.filter_map(|stat| stat.split(' ').nth(1)?.parse::<u64>().ok());
    Duration::from_nanos(nanos.sum())
}

fn in_disk(pid: u32) -> impl Iterator<Item = String> {
    tasks(pid).filter_map(|task| {
        let stat = fs::read_to_string(task.join("stat")).ok()?;
        let (name, rest) = stat.rsplit_once(") ")?;
        let name = rest.starts_with('D').then(|| name.split_once('('))??.1;
        let call = fs::read_to_string(task.join("syscall")).unwrap_or_default();
        Some(format!("{name} {}", call.split(' ').next().unwrap_or_default()))
    })
}

/// Where the system tells of each thread.
fn tasks(pid: u32) -> impl Iterator<Item = PathBuf> {
    fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten().map(|task| task.path())
}

/// How much a process has had so far.
fn cpu_seconds(pid: u32) -> f64 {
    // User and system time.
    stat_seconds(&pid.to_string(), 2)
}

fn stat_seconds(pid: &str, fields: usize) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // Behind the name, which may hold anything; the times begin with field 14.
    seconds(stat.rsplit(") ").next().unwrap_or_default().split(' ').skip(11).take(fields))
}

fn seconds<'a>(ticks: impl Iterator<Item = &'a str>) -> f64 {
    ticks.filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / TICKS_PER_SECOND
}

/// How much of the machine goes to others than this test and what it has started and ended.
#[derive(Debug)]
pub(crate) struct Others {
    start: Instant,
    before: f64,
}

impl Others {
    pub(crate) fn start() -> Self {
        Self { start: Instant::now(), before: Self::seconds() }
    }

    /// Which part of all processors that was.
    pub(crate) fn share(&self) -> f64 {
        let processors = thread::available_parallelism().map_or(1, usize::from);
        (Self::seconds() - self.before) / (self.start.elapsed().as_secs_f64() * processors as f64)
    }

    fn seconds() -> f64 {
        let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
        let all = stat.lines().next().unwrap_or_default().split_whitespace().skip(1);
        // All but the two fields that say how long it was idle, and not the last two, which are in the others.
        let busy = seconds(all.enumerate().filter(|(at, _)| !matches!(at, 3 | 4 | 8..)).map(|(_, ticks)| ticks));
        // This process, and with two more fields those that it has waited for.
        busy - stat_seconds("self", 4)
    }
}
