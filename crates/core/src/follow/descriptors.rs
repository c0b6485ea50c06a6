//! Limits the number of open files, and handles a shortage of descriptors.
//!
//! Ordinary files can be opened again by their names: those are kept open that changed last, and the others are opened,
//! read and closed by turns. Files that lost their name cannot be opened again, and have a number of their own; more of
//! them are kept only as long as ordinary ones leave room. Each shard has its share of both.
//!
//! A process shares its descriptors with others: the host, directory listings, the output. The system gives out the
//! lowest free number, so the number of a new descriptor tells how full the process is, before the system refuses one.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::process::{Resource, getrlimit};

use crate::clock;
use crate::fs::{is_shortage, shortage};
use crate::report::event::Event;
use crate::report::ledger::Ledger;
use crate::sync::lock::lock;
use crate::watch::mailbox::Mailbox;

/// At most so many files are kept open, whatever the process may open; and as many without a name.
const OPEN_FILES_MAX: u64 = 4096;

/// So many files are kept open even if they are idle: an open file can be read on whatever happens to its name.
const IDLE_OPEN_MAX: usize = 32;

/// Nothing is opened for this long after the system refused it and no file could be closed. It doubles each time.
const PAUSE_MIN: Duration = Duration::from_millis(10);

const PAUSE_MAX: Duration = Duration::from_secs(1);

/// The limits of a merge's open files.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OpenLimits {
    /// Files that can be opened again by their names.
    pub(crate) ordinary: usize,
    /// Files without a name.
    pub(crate) nameless: usize,
    /// Descriptors that the process may have in all.
    pub(crate) process: u64,
}

impl OpenLimits {
    /// Returns half of what the process may have open, and a quarter for files without a name. The rest is for others.
    pub(crate) fn of_process() -> Self {
        let process = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        let part = |part: u64| (process / part).clamp(1, OPEN_FILES_MAX) as usize;
        Self { ordinary: part(2), nameless: part(4), process }
    }
}

/// One shard's share of the descriptors.
#[derive(Debug)]
pub(crate) struct Descriptors {
    common: Arc<Common>,
    /// The number of ordinary files that are open.
    ordinary: Arc<AtomicUsize>,
    /// The number of open files without a name.
    nameless: Arc<AtomicUsize>,
    /// The limit of ordinary files that a shortage has set.
    most: AtomicUsize,
    /// The number of shortages that this shard has made room for.
    heeded: AtomicU64,
    /// The time until which nothing is opened, and the length of that pause.
    pause: Mutex<Option<(Instant, Duration)>>,
}

/// The state that all shards of a merge share.
#[derive(Debug)]
struct Common {
    limits: OpenLimits,
    /// The number of shortages so far.
    shortages: AtomicU64,
    /// True once a shortage was told.
    told: AtomicBool,
    /// The error with which the system last refused one.
    refusal: AtomicI32,
    /// Woken to close files for each other.
    shards: Mutex<Vec<Arc<Mailbox>>>,
    shard_count: AtomicUsize,
}

impl Descriptors {
    /// Makes the limits, with nothing open yet.
    pub(crate) fn new(limits: OpenLimits) -> Arc<Self> {
        Self::of(Arc::new(Common {
            limits,
            shortages: AtomicU64::new(0),
            told: AtomicBool::new(false),
            refusal: AtomicI32::new(shortage().raw_os_error().unwrap_or_default()),
            shards: Mutex::default(),
            shard_count: AtomicUsize::new(0),
        }))
    }

    fn of(common: Arc<Common>) -> Arc<Self> {
        Arc::new(Self {
            common,
            ordinary: Arc::default(),
            nameless: Arc::default(),
            most: AtomicUsize::new(usize::MAX),
            heeded: AtomicU64::new(0),
            pause: Mutex::default(),
        })
    }

    /// Returns the share of one more shard, which is woken by `mailbox`.
    pub(crate) fn share(&self, mailbox: Arc<Mailbox>) -> Arc<Self> {
        lock(&self.common.shards).push(mailbox);
        self.common.shard_count.fetch_add(1, Ordering::Relaxed);
        Self::of(self.common.clone())
    }

    /// Returns this shard's part of a number of files.
    fn part(&self, files: usize) -> usize {
        (files / self.common.shard_count.load(Ordering::Relaxed).max(1)).max(1)
    }

    /// Counts an ordinary file as open for as long as the slot lives.
    pub(crate) fn slot(&self) -> Slot {
        Slot::new(&self.ordinary)
    }

    /// Counts a file without a name as open for as long as the slot lives.
    pub(crate) fn nameless_slot(&self) -> Slot {
        Slot::new(&self.nameless)
    }

    /// Returns true if a file may be opened now.
    pub(crate) fn may_open(&self) -> bool {
        lock(&self.pause).is_none_or(|(until, _)| clock::now() >= until)
    }

    /// Returns the time when a file may be opened again; none if it may be now.
    pub(crate) fn due(&self) -> Option<Instant> {
        lock(&self.pause).map(|(until, _)| until)
    }

    /// Records that a file was opened; `number` is that of its descriptor.
    pub(crate) fn opened(&self, number: Option<u64>, ledger: &Ledger) {
        *lock(&self.pause) = None;
        let limit = self.common.limits.process;
        match number {
            // What is left is for others.
            Some(number) if number >= limit - limit / 8 => self.is_short(ledger),
            Some(number) if number >= limit - limit / 4 => {}
            _ => {
                self.heed();
                let most = self.most.load(Ordering::Relaxed);
                let usual = self.part(self.common.limits.ordinary);
                self.most.store(most.saturating_add(1).min(usual), Ordering::Relaxed);
            }
        }
    }

    /// Returns the error with which the system last refused a descriptor.
    pub(crate) fn refusal(&self) -> io::Error {
        io::Error::from_raw_os_error(self.common.refusal.load(Ordering::Relaxed))
    }

    /// Records a shortage: every shard keeps fewer files open than now.
    fn is_short(&self, ledger: &Ledger) {
        self.common.shortages.fetch_add(1, Ordering::Relaxed);
        self.heed();
        if !self.common.told.swap(true, Ordering::Relaxed) {
            ledger.emit(&Event::TooManyOpen { kept: self.most() });
        }
    }

    /// Records that a file could not be opened, and a shortage if that is the cause.
    pub(crate) fn failed(&self, error: &io::Error, ledger: &Ledger) {
        if let Some(code) = error.raw_os_error().filter(|_| is_shortage(error)) {
            self.common.refusal.store(code, Ordering::Relaxed);
            self.is_short(ledger);
        }
    }

    /// Asks the other shards to close files, since nothing can be opened and this shard has nothing to close.
    pub(crate) fn pause(&self) {
        let mut pause = lock(&self.pause);
        let time = pause.map_or(PAUSE_MIN, |(_, last)| (last * 2).min(PAUSE_MAX));
        *pause = Some((clock::now() + time, time));
        drop(pause);
        let shards = lock(&self.common.shards).clone();
        shards.iter().for_each(|shard| shard.wake.wake());
    }

    /// Lowers this shard's limit if there was a shortage anywhere.
    fn heed(&self) {
        let shortages = self.common.shortages.load(Ordering::Relaxed);
        if self.heeded.swap(shortages, Ordering::Relaxed) != shortages {
            let kept = (self.ordinary.load(Ordering::Relaxed) * 3 / 4).max(1);
            self.most.fetch_min(kept, Ordering::Relaxed);
        }
    }

    /// Returns the limit of ordinary files, whatever other files are open.
    fn usual(&self) -> usize {
        self.heed();
        self.most.load(Ordering::Relaxed).min(self.part(self.common.limits.ordinary))
    }

    /// Returns the limit of ordinary files that the open files without a name leave.
    fn most(&self) -> usize {
        self.usual().saturating_sub(self.excess_nameless()).max(1)
    }

    /// Returns how many ordinary files must be closed before one more is opened.
    pub(crate) fn excess(&self) -> usize {
        (self.ordinary.load(Ordering::Relaxed) + 1).saturating_sub(self.most())
    }

    /// Returns true if no more ordinary files may be open.
    pub(crate) fn is_full(&self) -> bool {
        self.excess() > 0
    }

    /// Returns true if so many files are open that idle ones are closed.
    pub(crate) fn is_crowded(&self) -> bool {
        self.ordinary.load(Ordering::Relaxed) > self.part(IDLE_OPEN_MAX)
    }

    /// Returns how many files without a name must be closed: those over the limit that ordinary ones leave no room for.
    pub(crate) fn excess_nameless(&self) -> usize {
        let nameless = self.nameless.load(Ordering::Relaxed);
        let over = nameless.saturating_sub(self.part(self.common.limits.nameless));
        if over == 0 {
            return 0;
        }
        over.saturating_sub(self.usual().saturating_sub(self.ordinary.load(Ordering::Relaxed)))
    }
}

/// Counts one open file.
#[derive(Debug)]
pub(crate) struct Slot(Arc<AtomicUsize>);

impl Slot {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count.clone())
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
