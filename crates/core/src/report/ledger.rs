//! Where everything that a merge has to tell comes together.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use super::{Event, Gap, GapReason, InputReport, Observer, Report};
use crate::batch::Source;
use crate::lock::lock;

/// Counts, gaps and sources of one merge; shared by all its parts. No lock is held while the observer runs.
pub(crate) struct Ledger {
    observer: Box<dyn Observer>,
    gaps: Mutex<Gaps>,
    sources: Mutex<Vec<Arc<Source>>>,
    failed_inputs: Mutex<Vec<(PathBuf, String)>>,
    /// Lines longer than the limit.
    long_lines: AtomicU64,
    /// Bytes in holes that were skipped.
    hole_bytes: AtomicU64,
    /// Lines that got a newline added because their input was over.
    unterminated: AtomicU64,
    /// Whether the output has to be waited for.
    waiting: AtomicBool,
    /// Bytes handed to the writer.
    pub(crate) submitted: AtomicU64,
    /// Bytes written to the output.
    pub(crate) written: AtomicU64,
}

/// Most gaps that are remembered one by one; the rest are only counted.
const GAPS_MAX: usize = 10_000;

#[derive(Clone, Debug, Default)]
struct Gaps {
    list: Vec<Gap>,
    count: u64,
    bytes: u64,
}

impl Ledger {
    pub(crate) fn new(observer: Box<dyn Observer>) -> Arc<Self> {
        Arc::new(Self {
            observer,
            gaps: Mutex::default(),
            sources: Mutex::default(),
            failed_inputs: Mutex::default(),
            long_lines: AtomicU64::new(0),
            hole_bytes: AtomicU64::new(0),
            unterminated: AtomicU64::new(0),
            waiting: AtomicBool::new(false),
            submitted: AtomicU64::new(0),
            written: AtomicU64::new(0),
        })
    }

    pub(crate) fn tell(&self, event: &Event<'_>) {
        log::log!(target: "tailmerge", event.level(), "{event}");
        self.observer.event(event);
    }

    /// Counts bytes that will not be delivered; with the last gap if they follow upon it.
    pub(crate) fn gap(&self, input: &Path, start: u64, end: u64, reason: GapReason) {
        if start == end {
            return;
        }
        let gap = Gap { input: input.to_owned(), start, end, reason, time: SystemTime::now() };
        self.tell(&Event::Gap(&gap));
        let mut gaps = lock(&self.gaps);
        gaps.bytes += gap.bytes();
        gaps.count += 1;
        let room = gaps.list.len() < GAPS_MAX;
        match gaps.list.last_mut() {
            Some(last) if last.end == start && last.reason == reason && last.input == input => last.end = end,
            _ if room => gaps.list.push(gap),
            _ => {}
        }
    }

    /// Counts a hole, of which nothing is missing: its bytes were never written.
    pub(crate) fn hole(&self, input: &Path, start: u64, end: u64) {
        self.tell(&Event::Hole { input, start, end });
        self.hole_bytes.fetch_add(end - start, Ordering::Relaxed);
    }

    pub(crate) fn add_source(&self, source: &Arc<Source>) {
        lock(&self.sources).push(source.clone());
    }

    /// An input that was to be delivered by the end and could not be.
    pub(crate) fn input_failed(&self, input: &Path, reason: &dyn fmt::Display) {
        let reason = reason.to_string();
        self.tell(&Event::Refused { input, reason: &reason });
        lock(&self.failed_inputs).push((input.to_owned(), reason));
    }

    /// Counts a line over the limit; true for the first of its source.
    pub(crate) fn long_line(&self, source: &Source) -> bool {
        self.long_lines.fetch_add(1, Ordering::Relaxed);
        !source.long_line_told.swap(true, Ordering::Relaxed)
    }

    pub(crate) fn unterminated_line(&self) {
        self.unterminated.fetch_add(1, Ordering::Relaxed);
    }

    /// The output has to be waited for: told once, until [`Ledger::output_works`].
    pub(crate) fn output_waits(&self, reason: &str) {
        if !self.waiting.swap(true, Ordering::Relaxed) {
            self.tell(&Event::OutputWaiting { reason });
        }
    }

    /// The output takes what it is given.
    pub(crate) fn output_works(&self) {
        if self.waiting.load(Ordering::Relaxed) && self.waiting.swap(false, Ordering::Relaxed) {
            self.tell(&Event::OutputResumed);
        }
    }

    /// What can be said by now; the caller adds how the merge ended.
    pub(crate) fn report(&self) -> Report {
        let inputs: Vec<_> = lock(&self.sources)
            .iter()
            .map(|source| InputReport {
                name: source.path().to_owned(),
                bytes: source.written.bytes.load(Ordering::Relaxed),
                lines: source.written.lines.load(Ordering::Relaxed),
                offset: source.written.offset.load(Ordering::Relaxed),
            })
            .collect();
        let written = self.written.load(Ordering::Relaxed);
        let gaps = lock(&self.gaps).clone();
        Report {
            gaps: gaps.list,
            gap_count: gaps.count,
            gap_bytes: gaps.bytes,
            bytes: written,
            lines: inputs.iter().map(|input| input.lines).sum(),
            unwritten_bytes: self.submitted.load(Ordering::Relaxed).saturating_sub(written),
            drained: false,
            readers_lost: false,
            output_closed: false,
            long_lines: self.long_lines.load(Ordering::Relaxed),
            hole_bytes: self.hole_bytes.load(Ordering::Relaxed),
            unterminated_lines: self.unterminated.load(Ordering::Relaxed),
            failed_inputs: lock(&self.failed_inputs).clone(),
            inputs,
        }
    }
}

impl fmt::Debug for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ledger").finish_non_exhaustive()
    }
}
