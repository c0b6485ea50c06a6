//! The buffer between the host's senders and the writer.
//!
//! Its two batches are not of the pool: while the output is slow files fill all of those, and a line of the host's must get
//! in all the same where its sender may not wait (on the library's own threads, in a drop, at the stop).

use std::collections::{BTreeMap, HashMap};
use std::error::Error;
use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use event_listener::Event;
use memchr::memchr_iter;

use crate::batch::Batch;
use crate::batch::queue::{LineBuffer, Message, WriterQueue};
use crate::batch::source::Source;
use crate::record::format::{LineFormat, Renderer};
use crate::report::event::Event as Told;
use crate::report::gap::{Gap, GapReason};
use crate::report::ledger::Ledger;
use crate::sync::lock::lock;

/// Between two visits of the writer, at most so many gaps of lossy senders are emitted one by one; the others are only
/// counted.
const UNTOLD_MAX: usize = 64;

/// Beyond so many names, those without a sender are forgotten.
const NAMES_MAX: usize = 10_000;

/// The reason why a line was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SendError {
    /// The merge is stopping or has ended.
    Closed,
    /// The text is longer than the line limit, all its lines together.
    TooLong,
    /// The buffer is full. Only [`LineSender::try_send`](crate::LineSender::try_send) returns this, and any call within
    /// the merge's calls of the host if the sender is not lossy: see [`LineSender`](crate::LineSender).
    Full,
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Closed => "the merge has ended",
            Self::TooLong => "the line is longer than the limit",
            Self::Full => "no room for the line just now",
        })
    }
}

impl Error for SendError {}

/// `Closed` becomes [`BrokenPipe`](io::ErrorKind::BrokenPipe), `TooLong` [`InvalidInput`](io::ErrorKind::InvalidInput), and
/// `Full` [`WouldBlock`](io::ErrorKind::WouldBlock).
impl From<SendError> for io::Error {
    fn from(error: SendError) -> Self {
        let kind = match error {
            SendError::Closed => io::ErrorKind::BrokenPipe,
            SendError::TooLong => io::ErrorKind::InvalidInput,
            SendError::Full => io::ErrorKind::WouldBlock,
        };
        Self::new(kind, error)
    }
}

/// The buffer between senders and the writer. All senders of a merge share it.
pub(crate) struct HostLines {
    state: Mutex<State>,
    /// Set under the lock of the state.
    closed: AtomicBool,
    /// Notified when there is room.
    pub(crate) room: Event,
    pub(crate) queue: WriterQueue,
    ledger: Arc<Ledger>,
    /// The limit of a line in bytes.
    pub(crate) line_max: usize,
    /// The size of the buffer in bytes.
    capacity: usize,
}

struct State {
    batch: Batch,
    /// True once the writer has been told that there are lines.
    queued: bool,
    sources: HashMap<Arc<Path>, Arc<HostSource>>,
    /// At so many names, those without a sender are looked for.
    names_max: usize,
    /// The lines that senders have begun, by their addresses.
    fragments: BTreeMap<usize, Arc<Fragment>>,
    /// Gaps of lossy senders that are recorded and not emitted yet.
    untold: Vec<Gap>,
}

/// The state that all senders of one name share.
#[derive(Debug)]
pub(crate) struct HostSource {
    pub(crate) source: Arc<Source>,
    renderer: Renderer,
    /// The bytes sent so far, which is the offset of the next line. Changed only under the lock of [`HostLines`].
    sent: AtomicU64,
}

/// A line that a sender has begun.
#[derive(Debug)]
pub(crate) struct Fragment {
    from: Arc<HostSource>,
    /// The text so far. It is locked before the state, never after.
    pub(crate) bytes: Mutex<Vec<u8>>,
}

/// Which part of the buffer a line may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Room {
    Free,
    /// The buffer and as much again.
    Twice,
    Any,
}

impl HostLines {
    pub(crate) fn new(capacity: usize, line_max: usize, queue: WriterQueue, ledger: Arc<Ledger>) -> Arc<Self> {
        let state = State {
            batch: Batch::with_capacity(capacity),
            queued: false,
            sources: HashMap::new(),
            names_max: NAMES_MAX,
            fragments: BTreeMap::new(),
            untold: Vec::new(),
        };
        let (state, closed, room) = (Mutex::new(state), AtomicBool::new(false), Event::new());
        Arc::new(Self { state, closed, room, queue, ledger, line_max, capacity })
    }

    /// Returns the state of the senders of a name. They are one row of the report, however many senders are made.
    pub(crate) fn source(&self, name: &OsStr, format: LineFormat) -> Arc<HostSource> {
        let State { sources, names_max, .. } = &mut *lock(&self.state);
        if let Some(source) = sources.get(Path::new(name)) {
            return source.clone();
        }
        if sources.len() >= *names_max {
            sources.retain(|_, source| Arc::strong_count(source) > 1);
            *names_max = NAMES_MAX.max(2 * sources.len());
        }
        let name: Arc<Path> = Path::new(name).into();
        let (source, renderer) = (self.ledger.add_source(name.clone()), format.labelled(&name));
        let source = Arc::new(HostSource { source, renderer, sent: AtomicU64::new(0) });
        sources.insert(name, source.clone());
        source
    }

    /// Submits lines if there is room. If there is none, a lossy sender's are dropped.
    pub(crate) fn submit(&self, from: &HostSource, lines: &[u8], lossy: bool) -> Result<(), SendError> {
        let content = lines.strip_suffix(b"\n").unwrap_or(lines);
        if content.len() > self.line_max {
            return Err(SendError::TooLong);
        }
        let rendered = from.render(content);
        let mut state = lock(&self.state);
        if self.is_closed() || self.queue.is_closed() {
            return Err(SendError::Closed);
        }
        let len_in = content.len() as u64 + 1;
        if self.push(&mut state, from, len_in, &rendered, Room::Free) {
            return Ok(());
        }
        if !lossy {
            return Err(SendError::Full);
        }
        let start = from.sent.fetch_add(len_in, Ordering::Relaxed);
        let lines = memchr_iter(b'\n', content).count() as u64 + 1;
        let gap = self.ledger.drop_lines(from.source.path(), start, start + len_in, lines);
        if let Some(untold) = state.untold.iter_mut().find(|untold| untold.is_followed_by(&gap)) {
            untold.end = gap.end;
        } else if state.untold.len() < UNTOLD_MAX {
            state.untold.push(gap);
        }
        Ok(())
    }

    /// Emits the gaps of lossy senders. The senders do not do it themselves: one may be what the host's logger or observer
    /// writes to, with a lock held.
    fn emit(&self, untold: Vec<Gap>) {
        untold.into_iter().for_each(|gap| self.ledger.emit(&Told::Gap(gap)));
    }

    /// Returns false if there is no room.
    fn push(&self, state: &mut State, from: &HostSource, len_in: u64, rendered: &[u8], room: Room) -> bool {
        let len = rendered.len();
        if room == Room::Any || room == Room::Twice && state.batch.len() + len <= 2 * self.capacity {
            state.batch.reserve(len);
        }
        state.batch.set_source(&from.source, None, 0);
        if !state.batch.push(from.sent.load(Ordering::Relaxed), len_in, rendered) {
            return false;
        }
        from.sent.fetch_add(len_in, Ordering::Relaxed);
        self.ledger.submitted.fetch_add(len as u64, Ordering::Relaxed);
        if !std::mem::replace(&mut state.queued, true) {
            // Closed only if the writer failed just now: then the merge says what was not written.
            self.queue.put(Message::Lines).ok();
        }
        true
    }

    /// Returns a new fragment for a sender. If the sender does not finish it, the stop does.
    pub(crate) fn fragment(&self, from: &Arc<HostSource>) -> Result<Arc<Fragment>, SendError> {
        let fragment = Arc::new(Fragment { from: from.clone(), bytes: Mutex::default() });
        let mut state = lock(&self.state);
        if self.is_closed() {
            return Err(SendError::Closed);
        }
        state.fragments.insert(fragment.address(), fragment.clone());
        Ok(fragment)
    }

    /// Ends the fragment of a sender that is dropped. A drop cannot wait: without room the line is a gap.
    pub(crate) fn leave(&self, fragment: &Arc<Fragment>) {
        lock(&self.state).fragments.remove(&fragment.address());
        self.end(fragment, Room::Twice);
    }

    /// Ends the line that a sender has begun, if any.
    fn end(&self, fragment: &Fragment, room: Room) {
        let content = std::mem::take(&mut *lock(&fragment.bytes));
        if content.is_empty() {
            return;
        }
        let (from, len_in) = (&*fragment.from, content.len() as u64 + 1);
        let mut state = lock(&self.state);
        if !self.push(&mut state, from, len_in, &from.render(&content), room) {
            let start = from.sent.fetch_add(len_in, Ordering::Relaxed);
            drop(state);
            self.ledger.gap(from.source.path(), start, start + len_in, GapReason::SenderDropped);
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }
}

impl LineBuffer for HostLines {
    fn take(&self, empty: Batch) -> Batch {
        let mut state = lock(&self.state);
        state.queued = false;
        let batch = std::mem::replace(&mut state.batch, empty);
        let untold = std::mem::take(&mut state.untold);
        drop(state);
        self.room.notify(usize::MAX);
        self.emit(untold);
        batch
    }

    /// Lines that were sent are still written, and so are lines that senders have begun.
    fn close(&self) {
        let mut state = lock(&self.state);
        self.closed.store(true, Ordering::SeqCst);
        let fragments = std::mem::take(&mut state.fragments);
        let untold = std::mem::take(&mut state.untold);
        drop(state);
        // Whoever adds to one after this finds it closed.
        fragments.values().for_each(|fragment| self.end(fragment, Room::Any));
        self.room.notify(usize::MAX);
        self.emit(untold);
    }
}

impl HostSource {
    fn render(&self, content: &[u8]) -> Vec<u8> {
        let mut rendered = Vec::with_capacity(content.len() + 1);
        for line in content.split(|&byte| byte == b'\n') {
            self.renderer.push(line, &mut rendered);
        }
        rendered
    }
}

impl Fragment {
    fn address(self: &Arc<Self>) -> usize {
        Arc::as_ptr(self).addr()
    }
}

impl fmt::Debug for HostLines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HostLines").finish_non_exhaustive()
    }
}
