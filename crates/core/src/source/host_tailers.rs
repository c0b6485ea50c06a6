//! The host's own tailers, all in one job.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::batch::Batch;
use crate::batch::position::LineState;
use crate::batch::source::Source;
use crate::clock;
use crate::clock::after;
use crate::follow::context::ReadContext;
use crate::panic::caught;
use crate::record::escape::Name;
use crate::record::format::Renderer;
use crate::record::framer::Framer;
use crate::record::to_batch::ToBatch;
use crate::report::event::Event;
use crate::report::ledger::Ledger;
use crate::source::tailer::{Progress, TailError, Tailer};
use crate::sync::lock::lock;
use crate::sync::stop::Stage;
use crate::watch::mailbox::Mailbox;

/// A tailer that so often in a row says that there is more, and gives nothing, is made to pause.
const FRUITLESS_MAX: u32 = 1000;

/// Its first pause; each is twice as long as the one before, up to a poll interval.
const PAUSE_MIN: Duration = Duration::from_millis(1);

/// Without any tailer, the job comes again after this time, or when one joins.
const ALONE: Duration = Duration::from_secs(3600);

/// The tailers that failed, with their errors; the first one first.
pub(crate) type Failures = Mutex<Vec<(String, TailError)>>;

/// Records a failure, and emits it.
pub(crate) fn record_failure(failures: &Failures, name: &str, error: TailError, ledger: &Ledger) {
    let reason = error.to_string();
    lock(failures).push((name.to_owned(), error));
    ledger.emit(&Event::Failed { name: name.to_owned(), reason });
}

/// A tailer with its source.
pub(crate) type Named = (Arc<Source>, Box<dyn Tailer>);

/// Tailers that are about to join the others.
#[derive(Default)]
pub(crate) struct Joining {
    tailers: Mutex<Vec<Named>>,
    pub(crate) mailbox: Arc<Mailbox>,
}

impl Joining {
    pub(crate) fn add(&self, source: Arc<Source>, tailer: impl Tailer) {
        lock(&self.tailers).push((source, Box::new(tailer)));
        self.mailbox.hint_all();
    }
}

/// Tailers that take turns. One that fails, panics or ends leaves; the others stay.
pub(crate) struct HostTailers {
    tailers: Vec<Member>,
    /// The index of the next tailer.
    next: usize,
    /// Takes lines that are rendered or cut before they go into a batch. Made when it is first needed.
    raw: Option<Batch>,
    failures: Arc<Failures>,
    /// Tailers that are to join.
    joining: Arc<Joining>,
    cx: ReadContext,
}

struct Member {
    source: Arc<Source>,
    renderer: Renderer,
    tailer: Box<dyn Tailer>,
    /// The time when it is asked again, unless the host wakes it; none if it is asked at once.
    due: Option<Instant>,
    /// The number of times in a row that it said there was more and gave nothing.
    fruitless: u32,
}

impl HostTailers {
    pub(crate) fn new(tailers: Vec<Named>, failures: Arc<Failures>, joining: Arc<Joining>, cx: ReadContext) -> Self {
        let mut many = Self { tailers: Vec::new(), next: 0, raw: None, failures, joining, cx };
        many.join(tailers);
        many
    }

    fn join(&mut self, tailers: Vec<Named>) {
        let format = self.cx.settings.format;
        let member = |(source, tailer): Named| {
            let renderer = format.labelled(source.path());
            Member { source, renderer, tailer, due: None, fruitless: 0 }
        };
        self.tailers.extend(tailers.into_iter().map(member));
    }

    /// Lets one tailer fill the batch, which is empty, and sets when it is asked again.
    fn fill_one(&mut self, at: usize, batch: &mut Batch) -> Result<Progress, TailError> {
        let Self { tailers, raw, cx, .. } = self;
        let Member { source, renderer, tailer, due, fruitless } = &mut tailers[at];
        let verbatim = renderer.is_verbatim();
        let unrendered = || Batch::with_capacity(cx.settings.capacity);
        let target = if verbatim { &mut *batch } else { raw.get_or_insert_with(unrendered) };
        target.set_source(source, None, 0);
        let filled = caught(|| tailer.fill(target));
        let gave = !target.is_empty();
        if verbatim && cx.settings.limit.is_exceeded(batch.bytes()) {
            std::mem::swap(batch, raw.get_or_insert_with(unrendered));
        }
        if let Some(raw) = raw.as_mut().filter(|raw| !raw.is_empty()) {
            render(raw, renderer, batch, cx);
            raw.clear(cx.settings.capacity);
        }
        let mut progress = filled.unwrap_or_else(|panic| Err(TailError::panicked(&panic)))?;
        *fruitless = if progress == Progress::More && !gave { *fruitless + 1 } else { 0 };
        let mut rest = None;
        if let Some(pauses) = fruitless.checked_sub(FRUITLESS_MAX) {
            progress = Progress::Idle;
            rest = Some((PAUSE_MIN * 2_u32.pow(pauses.min(20))).min(cx.settings.poll_interval));
        } else if progress == Progress::Idle {
            rest = caught(|| tailer.idle_timeout()).map_err(|panic| TailError::panicked(&panic))?;
            rest = rest.or(Some(cx.settings.poll_interval));
        }
        *due = rest.map(|rest| after(clock::now(), rest));
        Ok(progress)
    }

    /// Removes a tailer that has ended or failed.
    fn remove(&mut self, at: usize, error: Option<TailError>) {
        let Member { source, tailer, .. } = self.tailers.remove(at);
        let dropped = caught(|| drop(tailer)).map_err(|panic| TailError::panicked(&panic));
        for error in error.into_iter().chain(dropped.err()) {
            record_failure(&self.failures, &Name::from(source.path()).to_string(), error, &self.cx.ledger);
        }
    }
}

/// Renders all lines of a batch into another one, which grows as need be, and applies the line limit.
fn render(from: &Batch, renderer: &Renderer, into: &mut Batch, cx: &ReadContext) {
    let (mut bytes, mut rendered) = (from.bytes(), Vec::new());
    for extent in from.extents() {
        let (lines, rest) = bytes.split_at(extent.len_out as usize);
        bytes = rest;
        let source = &extent.source;
        into.set_source(source, None, extent.generation);
        let mut sink = ToBatch::new(source, renderer, cx.settings.limit, &cx.ledger, into, &mut rendered).growing();
        if !extent.is_verbatim() {
            // The tailer has changed them.
            sink = sink.made_from(extent.start..extent.start + extent.len_in);
        }
        Framer::new(cx.settings.limit, LineState::Start).frame(lines, extent.start, &mut sink);
        sink.flush();
        into.reach(extent.start, extent.end);
    }
}

impl Tailer for HostTailers {
    fn fill(&mut self, batch: &mut Batch) -> Result<Progress, TailError> {
        let hinted = self.joining.mailbox.take(&mut Vec::new());
        if hinted {
            let joining = std::mem::take(&mut *lock(&self.joining.tailers));
            self.join(joining);
        }
        // At the stop each is asked for what it has by then.
        let all = hinted || self.cx.stop.stage() >= Stage::Draining;
        let now = clock::now();
        let mut progress = Progress::Idle;
        for _ in 0..self.tailers.len() {
            let at = self.next % self.tailers.len();
            if !all && self.tailers[at].due > Some(now) {
                self.next = at + 1;
                continue;
            }
            match self.fill_one(at, batch) {
                Ok(Progress::Idle) => self.next = at + 1,
                Ok(Progress::More) => (self.next, progress) = (at + 1, Progress::More),
                Ok(Progress::Ended) => self.remove(at, None),
                Err(error) => self.remove(at, Some(error)),
            }
            if !batch.is_empty() {
                // The next one gets a batch with all its room.
                progress = Progress::More;
                break;
            }
        }
        Ok(if self.tailers.is_empty() && self.cx.settings.once { Progress::Ended } else { progress })
    }

    fn look(&mut self) {
        for at in (0..self.tailers.len()).rev() {
            if let Err(panic) = caught(|| self.tailers[at].tailer.look()) {
                self.remove(at, Some(TailError::panicked(&panic)));
            }
        }
    }

    fn idle_timeout(&self) -> Option<Duration> {
        let Some(due) = self.tailers.iter().map(|tailer| tailer.due).min() else { return Some(ALONE) };
        Some(due.map_or(Duration::ZERO, clock::until))
    }
}

impl fmt::Debug for HostTailers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HostTailers").field("tailers", &self.tailers.len()).finish_non_exhaustive()
    }
}

impl Drop for HostTailers {
    fn drop(&mut self) {
        // One by one: two that panic at once would end the process.
        while let Some(last) = self.tailers.len().checked_sub(1) {
            self.remove(last, None);
        }
    }
}
