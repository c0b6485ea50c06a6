//! Counts what a merge does, and emits its events.

use std::collections::VecDeque;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use log::Level;

use crate::batch::Batch;
use crate::batch::position::FilePosition;
use crate::batch::source::Source;
use crate::clock;
use crate::fs::FileId;
use crate::own_thread::is_writer_thread;
use crate::panic::caught;
use crate::report::event::{Event, Observer};
use crate::report::events::{Events, Subscriber};
use crate::report::gap::{Gap, GapReason};
use crate::report::rows::Rows;
use crate::report::snapshot::Snapshot;
use crate::report::summary::{InputReport, Report};
use crate::sync::lock::lock;

/// Counts, gaps and sources of one merge; shared by all its parts. No lock is held while the observer runs.
pub(crate) struct Ledger {
    observer: Box<dyn Observer>,
    observer_panicked: AtomicBool,
    /// Streams of events; none any more once the merge has ended.
    subscribers: Mutex<Option<Vec<Subscriber>>>,
    logger_panicked: AtomicBool,
    unlogged: Mutex<Unlogged>,
    log_later: OnceLock<Box<dyn Fn() + Send + Sync>>,
    gaps: Mutex<Gaps>,
    rows: Mutex<Rows>,
    failed: Mutex<Failed>,
    /// The number of lines longer than the limit.
    long_lines: AtomicU64,
    /// The number of bytes in holes that were skipped.
    hole_bytes: AtomicU64,
    /// The number of possible losses: see [`Report::possible_losses`].
    possible_losses: AtomicU64,
    /// The number of lines that lossy senders had no room for.
    dropped_lines: AtomicU64,
    /// The number of last lines that got a newline added.
    unterminated: AtomicU64,
    /// True while the output has to be waited for.
    waiting: AtomicBool,
    /// The number of bytes handed to the writer.
    pub(crate) submitted: AtomicU64,
    /// The number of bytes written to the output.
    pub(crate) written: AtomicU64,
    /// The number of lines written to the output.
    lines: AtomicU64,
}

/// At most so many gaps are listed one by one; the others are only counted.
const GAPS_MAX: usize = 10_000;

/// At most so many failed inputs are listed; the others are only counted.
const FAILED_MAX: usize = 10_000;

/// At most so many log messages are kept for a logger that does not return.
const UNLOGGED_MAX: usize = 1000;

/// Log messages of the writer's thread, which another thread logs.
#[derive(Debug, Default)]
struct Unlogged {
    lines: VecDeque<(Level, String)>,
    /// True once another thread has been asked to log them.
    is_asked: bool,
}

#[derive(Clone, Debug, Default)]
struct Failed {
    list: Vec<(PathBuf, String)>,
    count: u64,
}

impl Failed {
    fn add(&mut self, input: &Path, reason: &str) {
        self.count += 1;
        if self.list.len() < FAILED_MAX {
            self.list.push((input.to_owned(), reason.to_owned()));
        }
    }
}

#[derive(Clone, Debug, Default)]
struct Gaps {
    list: Vec<Gap>,
    count: u64,
    bytes: u64,
    /// The last gap, which the next one may extend.
    last: Option<Gap>,
}

impl Gaps {
    fn add(&mut self, gap: &Gap) {
        self.bytes += gap.bytes();
        if let Some(last) = self.last.as_mut().filter(|last| last.is_followed_by(gap)) {
            last.end = gap.end;
            // The last one that is remembered is another one where there was no room for more.
            if self.count == self.list.len() as u64
                && let Some(remembered) = self.list.last_mut()
            {
                remembered.end = gap.end;
            }
            return;
        }
        self.count += 1;
        self.last = Some(gap.clone());
        if self.list.len() < GAPS_MAX {
            self.list.push(gap.clone());
        }
    }
}

impl Ledger {
    pub(crate) fn new(observer: Box<dyn Observer>) -> Arc<Self> {
        Arc::new(Self {
            observer,
            observer_panicked: AtomicBool::new(false),
            subscribers: Mutex::new(Some(Vec::new())),
            logger_panicked: AtomicBool::new(false),
            unlogged: Mutex::default(),
            log_later: OnceLock::new(),
            gaps: Mutex::default(),
            rows: Mutex::default(),
            failed: Mutex::default(),
            long_lines: AtomicU64::new(0),
            hole_bytes: AtomicU64::new(0),
            possible_losses: AtomicU64::new(0),
            dropped_lines: AtomicU64::new(0),
            unterminated: AtomicU64::new(0),
            waiting: AtomicBool::new(false),
            submitted: AtomicU64::new(0),
            written: AtomicU64::new(0),
            lines: AtomicU64::new(0),
        })
    }

    /// Logs an event and gives it to the observer. The caller records what it says first: the host's logger and
    /// observer may panic, and that must change nothing else.
    pub(crate) fn emit(&self, event: &Event) {
        // Without the lock: who waits for an event is woken here.
        let subscribers = lock(&self.subscribers).clone();
        subscribers.iter().flatten().for_each(|subscriber| subscriber.send(event));
        let logged = self.log(event.level(), event);
        let told = caught(|| self.observer.event(event));
        if let Err(message) = told
            && !self.observer_panicked.swap(true, Ordering::Relaxed)
        {
            // If the logger panics, too, nobody is left to hear of it.
            self.log(Level::Error, &format_args!("the observer panicked, told once: {message}")).ok();
        }
        if let Err(message) = logged
            && !self.logger_panicked.swap(true, Ordering::Relaxed)
        {
            let reason = format!("panicked, told once: {message}");
            // A panic of the observer was told above.
            caught(|| self.observer.event(&Event::Failed { name: "logger".to_owned(), reason })).ok();
        }
    }

    /// Returns a stream of the events from now on.
    pub(crate) fn subscribe(&self) -> Events {
        let (subscriber, events) = Subscriber::new();
        if let Some(subscribers) = &mut *lock(&self.subscribers) {
            subscribers.retain(|subscriber| !subscriber.is_gone());
            subscribers.push(subscriber);
        }
        events
    }

    /// Ends the streams of events.
    pub(crate) fn end_events(&self) {
        lock(&self.subscribers).take();
    }

    /// Logs a message. On the writer's thread it is left to another thread, since the host's logger may have a lock
    /// that is held by a thread which waits for the writer. Returns an error if the logger panicked.
    pub(crate) fn log(&self, level: Level, what: &dyn fmt::Display) -> Result<(), String> {
        if level > log::max_level() {
            return Ok(());
        }
        if !is_writer_thread() {
            self.log_rest();
            return caught(|| log::log!(target: "tailmerge", level, "{what}"));
        }
        let mut unlogged = lock(&self.unlogged);
        if unlogged.lines.len() < UNLOGGED_MAX {
            unlogged.lines.push_back((level, what.to_string()));
        }
        let is_asked = std::mem::replace(&mut unlogged.is_asked, true);
        drop(unlogged);
        match self.log_later.get() {
            // The backend is the host's.
            Some(log_later) if !is_asked => caught(log_later),
            _ => Ok(()),
        }
    }

    /// Logs the messages that the writer's thread has left.
    pub(crate) fn log_rest(&self) {
        loop {
            let mut unlogged = lock(&self.unlogged);
            let Some((level, line)) = unlogged.lines.pop_front() else {
                unlogged.is_asked = false;
                return;
            };
            drop(unlogged);
            // Told by the next event if the logger always panics.
            caught(|| log::log!(target: "tailmerge", level, "{line}")).ok();
        }
    }

    /// Sets what calls [`log_rest`](Self::log_rest) on a thread that may block.
    pub(crate) fn on_unlogged(&self, log_later: impl Fn() + Send + Sync + 'static) {
        self.log_later.set(Box::new(log_later)).ok(); // Set once, at the start.
    }

    /// Records a gap. It extends the last one if it continues it.
    pub(crate) fn gap(&self, input: &Path, start: u64, end: u64, reason: GapReason) {
        if start == end {
            return;
        }
        let gap = Gap { input: input.to_owned(), start, end, reason, time: clock::time_of_day() };
        lock(&self.gaps).add(&gap);
        self.emit(&Event::Gap(gap));
    }

    /// Records lines that a lossy sender had no room for, and returns the gap, which the caller emits later: a sender may
    /// be part of the host's logger or observer.
    pub(crate) fn drop_lines(&self, input: &Path, start: u64, end: u64, lines: u64) -> Gap {
        self.dropped_lines.fetch_add(lines, Ordering::Relaxed);
        let gap = Gap { input: input.to_owned(), start, end, reason: GapReason::NoRoom, time: clock::time_of_day() };
        lock(&self.gaps).add(&gap);
        gap
    }

    /// Counts a hole. Nothing is missing: its bytes were never written.
    pub(crate) fn hole(&self, input: &Path, start: u64, end: u64) {
        self.hole_bytes.fetch_add(end - start, Ordering::Relaxed);
        self.emit(&Event::Hole { input: input.to_owned(), start, end });
    }

    /// Adds an input, which gets a row in the report.
    pub(crate) fn add_source(&self, name: Arc<Path>) -> Arc<Source> {
        lock(&self.rows).add(name)
    }

    /// Records the position at which reading of an input's file begins.
    pub(crate) fn begins(&self, source: &Source, generation: u32, at: FilePosition) {
        lock(&self.rows).begin(source, generation, at);
    }

    /// Records that an input's file, of which everything up to an offset was read, is read no more, and whether another
    /// input is about to go on with it.
    pub(crate) fn gives_up(&self, source: &Source, generation: u32, read_to: u64, hand_over: bool) {
        lock(&self.rows).give_up(source, generation, read_to, hand_over);
    }

    /// Records that an input's file is cut, and its copy is read on from an offset.
    pub(crate) fn continues_in_copy(&self, source: &Source, generation: u32, copy: FileId, offset: u64) {
        lock(&self.rows).continue_in_copy(source, generation, copy, offset);
    }

    /// Returns the committed positions of files that are not given up, with the paths of their inputs: see
    /// [`one_of_each`](crate::report::committed::one_of_each).
    pub(crate) fn committed(&self) -> Vec<(PathBuf, FilePosition)> {
        lock(&self.rows).committed()
    }

    /// Records an input that was to be delivered by the end and could not be.
    pub(crate) fn input_failed(&self, input: &Path, reason: &dyn fmt::Display) {
        let reason = reason.to_string();
        lock(&self.failed).add(input, &reason);
        self.emit(&Event::Refused { input: input.to_owned(), reason });
    }

    /// Counts a line over the limit. Returns true for the first of its source.
    pub(crate) fn long_line(&self, source: &Source) -> bool {
        self.long_lines.fetch_add(1, Ordering::Relaxed);
        lock(&self.rows).long_line(source)
    }

    /// Counts a possible loss: a file or its content is gone, and nobody can tell what was written after it was last
    /// checked.
    pub(crate) fn possible_loss(&self, source: &Source) {
        self.possible_losses.fetch_add(1, Ordering::Relaxed);
        lock(&self.rows).possible_loss(source);
    }

    /// Counts a possible loss of a file that was gone before it was ever checked, or of a directory that could not be
    /// listed for a while.
    pub(crate) fn possible_loss_unseen(&self) {
        self.possible_losses.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn unterminated_line(&self) {
        self.unterminated.fetch_add(1, Ordering::Relaxed);
    }

    /// Emits once that the output has to be waited for, until [`Ledger::output_works`].
    pub(crate) fn output_waits(&self, reason: &str) {
        if !self.waiting.swap(true, Ordering::Relaxed) {
            self.emit(&Event::OutputWaiting { reason: reason.to_owned() });
        }
    }

    /// Emits that the output works again, if it had to be waited for.
    pub(crate) fn output_works(&self) {
        if self.waiting.load(Ordering::Relaxed) && self.waiting.swap(false, Ordering::Relaxed) {
            self.emit(&Event::OutputResumed);
        }
    }

    /// Records what of a batch is in the output.
    pub(crate) fn commit(&self, batch: &Batch) {
        let mut rows = lock(&self.rows);
        let lines = batch.written().map(|written| rows.commit(written)).sum();
        drop(rows);
        self.written.fetch_add((batch.len() - batch.bytes().len()) as u64, Ordering::Relaxed);
        self.lines.fetch_add(lines, Ordering::Relaxed);
    }

    /// Returns the report's row of each input so far.
    pub(crate) fn inputs(&self) -> Vec<InputReport> {
        lock(&self.rows).report()
    }

    /// Returns the counts of this moment; the caller adds those of the batches, and whether the merge has ended.
    pub(crate) fn snapshot(&self) -> Snapshot {
        let written = self.written.load(Ordering::Relaxed);
        let (gaps, gap_bytes) = {
            let gaps = lock(&self.gaps);
            (gaps.count, gaps.bytes)
        };
        Snapshot {
            bytes: written,
            lines: self.lines.load(Ordering::Relaxed),
            pending_bytes: self.submitted.load(Ordering::Relaxed).saturating_sub(written),
            batches_in_use: 0,
            batches: 0,
            output_waits: self.waiting.load(Ordering::Relaxed),
            gaps,
            gap_bytes,
            dropped_lines: self.dropped_lines.load(Ordering::Relaxed),
            possible_losses: self.possible_losses.load(Ordering::Relaxed),
            failed_inputs: lock(&self.failed).count,
            is_finished: false,
        }
    }

    /// Returns the report so far; the caller adds how the merge ended.
    pub(crate) fn report(&self) -> Report {
        let (inputs, folded_inputs) = {
            let rows = lock(&self.rows);
            (rows.report(), rows.folded())
        };
        let written = self.written.load(Ordering::Relaxed);
        let (gaps, failed) = (lock(&self.gaps).clone(), lock(&self.failed).clone());
        Report {
            gaps: gaps.list,
            gap_count: gaps.count,
            gap_bytes: gaps.bytes,
            dropped_lines: self.dropped_lines.load(Ordering::Relaxed),
            possible_losses: self.possible_losses.load(Ordering::Relaxed),
            bytes: written,
            lines: self.lines.load(Ordering::Relaxed),
            unwritten_bytes: self.submitted.load(Ordering::Relaxed).saturating_sub(written),
            drained: false,
            readers_lost: false,
            output_closed: false,
            long_lines: self.long_lines.load(Ordering::Relaxed),
            hole_bytes: self.hole_bytes.load(Ordering::Relaxed),
            unterminated_lines: self.unterminated.load(Ordering::Relaxed),
            failed_inputs: failed.list,
            failed_input_count: failed.count,
            folded_inputs,
            inputs,
        }
    }
}

impl fmt::Debug for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ledger").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_are_counted_beyond_those_that_are_listed() {
        let ledger = Ledger::new(Box::new(|_: &Event| {}));
        let gap = |start, end| ledger.gap(Path::new("a"), start, end, GapReason::Gone);
        (0..GAPS_MAX as u64 + 1).for_each(|number| gap(10 * number, 10 * number + 5));
        let last = 10 * GAPS_MAX as u64;
        gap(last + 5, last + 7);
        let report = ledger.report();
        assert_eq!((report.gaps.len(), report.gap_count), (GAPS_MAX, GAPS_MAX as u64 + 1));
        assert_eq!(report.gap_bytes, 5 * (GAPS_MAX as u64 + 1) + 2);
        assert_eq!(report.gaps.last().map(|gap| gap.end), Some(last - 5), "it goes on with one that is not listed");
    }
}
