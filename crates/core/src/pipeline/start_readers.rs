//! Starts the readers of a merge, or of a tail alone: their tasks, their watch, and what they share.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use futures_lite::FutureExt;

use crate::backend::Backend;
use crate::batch::sink::BatchSink;
use crate::discover::Discovery;
use crate::discover::remote::{REMOTE_READERS_MAX, RemoteReaders, RemoteStatus, Remotes};
use crate::discover::run::{Requests, SharedDiscovery, discover, requests};
use crate::discover::spec::Spec;
use crate::follow::context::{ReadContext, StartAt};
use crate::follow::fifo::Streams;
use crate::follow::remote::RemoteReader;
use crate::follow::shard::{FileShard, Pace};
use crate::report::event::Event;
use crate::report::ledger::Ledger;
use crate::source::host_tailers::{Failures, HostTailers, Joining, Named, record_failure};
use crate::source::reader::{Feed, read};
use crate::source::stream::PipeTailer;
use crate::source::tailer::{TailError, Tailer};
use crate::stall::guard_with;
use crate::sync::stop::{Stage, Stop};
use crate::watch::mailbox::{Change, Mailbox};
use crate::watch::names::Names;
use crate::watch::thread::{WatchSlot, Watching};
use crate::watch::watcher::Watcher;
use crate::watch::{ChangeWatch, Notifier};

/// At most so many tasks read files. With discovery and the host's tailers, at most four jobs run on the blocking pool.
pub(crate) const FILE_READERS_MAX: usize = 2;

/// Returns the number of tasks that read files. One processor is left to the writer, which is slower than a reader.
pub(crate) fn file_readers() -> usize {
    thread::available_parallelism().map_or(1, |count| (count.get() - 1).clamp(1, FILE_READERS_MAX))
}

/// Where changes are notified, a sweep looks at each file at most this often all the same.
pub(crate) const SWEEP_EVERY: Duration = Duration::from_secs(5);

/// The inputs, and what is shared by their readers.
pub(crate) struct Inputs {
    pub(crate) specs: Vec<Spec>,
    pub(crate) start: StartAt,
    pub(crate) tailers: Vec<Named>,
    pub(crate) cx: ReadContext,
    /// Notifies changes; none if files are polled.
    pub(crate) notifier: Option<Notifier>,
}

/// Called at the end with the failures, and true if readers were lost. It may be called more than once.
pub(crate) type AtEnd = Box<dyn Fn(&Failures, bool) + Send + Sync>;

/// Running readers of files.
pub(crate) struct Files {
    pub(crate) requests: Requests,
    pub(crate) discovery: Arc<SharedDiscovery>,
    /// Wakes discovery.
    pub(crate) names: Arc<Names>,
    pub(crate) mailboxes: Vec<Arc<Mailbox>>,
}

impl Files {
    /// Wakes the shards, which have messages from discovery, and discovery, whose patterns have changed.
    pub(crate) fn wake(&self) {
        self.names.wake.wake();
        self.mailboxes.iter().for_each(|mailbox| mailbox.wake.wake());
    }
}

/// Starts readers, and holds what all of them share.
#[derive(Clone)]
pub(crate) struct ReaderStarter<B> {
    pub(crate) backend: B,
    pub(crate) batches: BatchSink,
    pub(crate) cx: ReadContext,
    pub(crate) state: Arc<State>,
    pub(crate) watch: WatchSlot,
    pub(crate) joining: Arc<Joining>,
    /// True once the reader of streams and of the host's tailers has been started.
    pub(crate) has_tailers: Arc<AtomicBool>,
    pub(crate) remote: Arc<RemoteReaders>,
}

impl<B: Backend> ReaderStarter<B> {
    /// Starts the reader of the host's tailers, and of streams; once.
    pub(crate) fn start_tailers(&self, tailers: Vec<Named>) {
        if self.has_tailers.swap(true, Ordering::SeqCst) {
            return;
        }
        let (failures, joining) = (self.state.failures.clone(), self.joining.clone());
        let tailers = HostTailers::new(tailers, failures, joining, self.cx.clone());
        self.spawn("tailmerge: tailers", tailers, self.joining.mailbox.clone(), None, None);
    }

    /// Returns what hands FIFOs that shards find to the reader of streams and of the host's tailers.
    pub(crate) fn streams(&self) -> Streams {
        let starter = self.clone();
        Streams(Arc::new(move |path, fifo| {
            let source = starter.cx.ledger.add_source(path.clone());
            let pipe = PipeTailer::fifo(fifo, source.clone(), &starter.cx);
            starter.joining.add(source, pipe);
            starter.start_tailers(Vec::new());
        }))
    }

    /// Starts a reader, woken by its mailbox.
    pub(crate) fn spawn(
        &self,
        name: &'static str,
        tailer: impl Tailer,
        mailbox: Arc<Mailbox>,
        watcher: Option<Arc<Watcher>>,
        remote: Option<Arc<RemoteStatus>>,
    ) {
        let feed = Feed {
            batches: self.batches.clone(),
            mailbox,
            watcher,
            remote,
            stop: self.state.stop.clone(),
            poll_interval: self.cx.settings.poll_interval,
        };
        self.run(name, read(self.backend.clone(), tailer, feed));
    }

    /// Starts readers of remote devices when discovery comes upon them. Each holds a batch while it hangs; one is left
    /// for the others.
    pub(crate) fn remotes(&self, cx: &ReadContext, pace: Pace) -> Remotes {
        let most = REMOTE_READERS_MAX.min(self.batches.pool.count() - 1).max(1);
        let starter = self.clone();
        let cx = ReadContext { watch: None, ..cx.clone() };
        let start = move |orders, status: Arc<RemoteStatus>| {
            let (commands, inbox) = async_channel::unbounded();
            let (cx, names) = (cx.clone(), Arc::default());
            let shard = FileShard::new(cx.clone(), inbox, status.mailbox.clone(), pace);
            let discovery = Discovery::new(cx, Vec::new(), StartAt::Start, vec![commands], names);
            let reader = RemoteReader::new(orders, discovery.of_remotes(), shard, starter.cx.settings.poll_interval);
            starter.spawn("tailmerge: remote reader", reader, status.mailbox.clone(), None, Some(status));
        };
        Remotes::new(most, self.cx.ledger.clone(), self.remote.clone(), Box::new(start))
    }

    /// Starts the readers of files and their discovery.
    pub(crate) fn follow(&self, specs: Vec<Spec>, start: StartAt, notifier: Option<Notifier>) -> Files {
        let mut cx = self.cx.clone();
        let (requests, asked) = requests();
        let names = Arc::<Names>::default();
        let mailboxes: Vec<Arc<Mailbox>> = (0..file_readers()).map(|_| Arc::default()).collect();
        let watching = notifier.and_then(|notifier| {
            let (fs, ledger) = (cx.fs.clone(), cx.ledger.clone());
            Watching::start(notifier, fs, ledger, mailboxes.clone(), names.clone())
        });
        let watcher = watching.as_ref().map(Watching::watcher);
        if !cx.settings.once {
            cx.streams = Some(self.streams());
        }
        cx.watch = watcher.clone().map(|watcher| watcher as Arc<dyn ChangeWatch>);
        watching.into_iter().for_each(|watching| self.watch.put(watching));
        cx.registry.on_free({
            let mailboxes = mailboxes.clone();
            move |path| {
                mailboxes.iter().any(|mailbox| mailbox.hint(path, Change::File));
            }
        });
        let every = cx.settings.poll_interval;
        let pace = Pace { poll: every, sweep: SWEEP_EVERY.max(every) };
        let mut shards = Vec::new();
        for mailbox in &mailboxes {
            let (commands, inbox) = async_channel::unbounded();
            shards.push(commands);
            let shard = FileShard::new(cx.clone(), inbox, mailbox.clone(), pace);
            self.spawn("tailmerge: reader", shard, mailbox.clone(), watcher.clone(), None);
        }
        let remotes = self.remotes(&cx, pace);
        let discovery = Discovery::new(cx, specs, start, shards, names.clone()).with_remotes(remotes);
        let discovery = SharedDiscovery::new(discovery);
        let shared = discovery.clone();
        let (backend, stop) = (self.backend.clone(), self.state.stop.clone());
        let (state, readers) = (self.state.clone(), mailboxes.clone());
        self.run("tailmerge: discovery", async move {
            let wake = || readers.iter().for_each(|mailbox| mailbox.wake.wake());
            let discovered = discover(backend, discovery, asked, stop.clone(), every, wake).await;
            state.discovered.store(true, Ordering::SeqCst);
            if stop.stage() > Stage::Running {
                stop.advance(Stage::Draining);
            }
            readers.iter().for_each(|mailbox| mailbox.wake.wake());
            discovered
        });
        Files { requests, discovery: shared, names, mailboxes }
    }

    /// Runs a task that counts as a reader.
    pub(crate) fn run(&self, name: &'static str, task: impl Future<Output = Result<(), TailError>> + Send + 'static) {
        let mut reader = Reader::new(self.state.clone());
        let ledger = self.cx.ledger.clone();
        let task = async move {
            // What the host gave is called on the pool, where panics are caught; what is left to panic is its
            // backend, and that leaves nothing of ours half done.
            let ended = AssertUnwindSafe(task).catch_unwind().await;
            let ended = ended.unwrap_or_else(|panic| Err(TailError::panicked(&*panic)));
            reader.end(name, ended, &ledger);
        };
        let ledger = self.cx.ledger.clone();
        match self.cx.settings.stall_limit {
            Some(limit) => self.backend.spawn(guard_with(name, limit, task, move |name, took| {
                ledger.emit(&Event::Stalled { name: name.to_owned(), took });
            })),
            None => self.backend.spawn(task),
        }
    }
}

/// The state that all readers share.
pub(crate) struct State {
    pub(crate) live: AtomicUsize,
    /// True once a reader was dropped before its end.
    pub(crate) lost: AtomicBool,
    /// True once readers were stopped before they had read everything.
    pub(crate) left: AtomicBool,
    pub(crate) failures: Arc<Failures>,
    pub(crate) once: bool,
    pub(crate) stop: Arc<Stop>,
    /// True once discovery has given its last file to the shards.
    pub(crate) discovered: AtomicBool,
    pub(crate) end: AtEnd,
}

impl State {
    pub(crate) fn end(&self) {
        (self.end)(&self.failures, self.lost.load(Ordering::SeqCst));
    }
}

/// Counts a reader as running until it ends or is dropped.
pub(crate) struct Reader {
    pub(crate) state: Arc<State>,
    pub(crate) ended: bool,
}

impl Drop for Reader {
    fn drop(&mut self) {
        let state = &self.state;
        if !self.ended {
            state.lost.store(true, Ordering::SeqCst);
        }
        let last = state.live.fetch_sub(1, Ordering::SeqCst) == 1;
        if last && (state.once || state.lost.load(Ordering::SeqCst) || state.stop.stage() > Stage::Running) {
            state.end();
        }
    }
}

impl Reader {
    pub(crate) fn new(state: Arc<State>) -> Self {
        state.live.fetch_add(1, Ordering::SeqCst);
        Self { state, ended: false }
    }

    pub(crate) fn end(&mut self, name: &str, ended: Result<(), TailError>, ledger: &Ledger) {
        self.ended = true;
        if let Err(error) = ended {
            record_failure(&self.state.failures, name, error, ledger);
        }
    }
}
