//! Starts and stops the readers of a merge, or of a tail alone, and passes requests to them.

use std::ffi::OsStr;
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;
use std::time::Duration;

use futures_lite::FutureExt;

use crate::backend::Backend;
use crate::batch::pool::BatchPool;
use crate::batch::{Batch, Source};
use crate::discover::Discovery;
use crate::discover::command::Request;
use crate::discover::pattern::Excludes;
use crate::discover::remote::{REMOTE_READERS_MAX, RemoteReaders, RemoteStatus, Remotes};
use crate::discover::run::{Requests, SharedDiscovery, discover, requests};
use crate::discover::spec::Spec;
use crate::follow::context::{StartAt, TailContext};
use crate::follow::fifo::Streams;
use crate::follow::remote::RemoteReader;
use crate::follow::shard::{FileShard, Pace};
use crate::own_thread::{Marked, is_own_thread};
use crate::pipeline::error::FollowError;
use crate::record::limit::LineLimit;
use crate::report::event::Event;
use crate::report::ledger::Ledger;
use crate::source::host_tailers::{Failures, HostTailers, HostTailersContext, Joining, record_failure};
use crate::source::reader::{Feed, read};
use crate::source::stream::PipeTailer;
use crate::source::tailer::{TailError, Tailer};
use crate::stall::guard_with;
use crate::sync::lock::lock;
use crate::sync::stop::{Stage, Stop};
use crate::watch::names::Names;
use crate::watch::{ChangeWatch, Mailbox, Notifier, WatchSlot, Watcher, Watching};

/// At most so many tasks read files. With discovery and the host's tailers, at most four jobs run on the blocking pool.
const FILE_READERS_MAX: usize = 2;

/// Returns the number of tasks that read files. One processor is left to the writer, which is slower than a reader.
fn file_readers() -> usize {
    thread::available_parallelism().map_or(1, |count| (count.get() - 1).clamp(1, FILE_READERS_MAX))
}

/// Where changes are notified, each file is polled at most this often all the same.
const SWEEP_EVERY: Duration = Duration::from_secs(5);

/// The inputs, and the settings for reading them.
pub(crate) struct Inputs {
    pub(crate) specs: Vec<Spec>,
    pub(crate) excludes: Excludes,
    pub(crate) start: StartAt,
    pub(crate) tailers: Vec<(Arc<Source>, Box<dyn Tailer>)>,
    pub(crate) tail: TailContext,
    pub(crate) poll_interval: Duration,
    /// Notifies changes; none if files are polled.
    pub(crate) notifier: Option<Notifier>,
    pub(crate) stall_limit: Option<Duration>,
    /// The capacity of a batch in bytes.
    pub(crate) capacity: usize,
    pub(crate) stop: Arc<Stop>,
}

/// Called at the end with the failures, and true if readers were lost. It may be called more than once.
pub(crate) type AtEnd = Box<dyn Fn(&Failures, bool) + Send + Sync>;

/// Takes what the readers read.
pub(crate) struct Sink {
    pub(crate) pool: Arc<BatchPool>,
    pub(crate) submit: Arc<dyn Fn(Batch) + Send + Sync>,
    /// Keeps the thread that watches for changes.
    pub(crate) watch: WatchSlot,
    /// Called when no reader is left.
    pub(crate) end: AtEnd,
}

/// The handle of all readers.
pub(crate) struct Readers {
    state: Arc<State>,
    watch: WatchSlot,
    /// Starts the host's tailers, and files if there are any.
    begin: Mutex<Option<Begin>>,
    /// Starts discovery and the readers of files.
    start_files: Mutex<Option<StartFiles>>,
    files: OnceLock<Files>,
    /// Wakes the host's tailers, and streams.
    tailers: Arc<Mailbox>,
    remote: Arc<RemoteReaders>,
}

type Begin = Box<dyn FnOnce(&Readers) + Send>;
type StartFiles = Box<dyn FnOnce() -> Files + Send>;

/// Running readers of files.
struct Files {
    requests: Requests,
    discovery: Arc<SharedDiscovery>,
    /// Wakes discovery.
    names: Arc<Names>,
    mailboxes: Vec<Arc<Mailbox>>,
}

impl Files {
    /// Wakes the shards, which have messages from discovery, and discovery, whose patterns have changed.
    fn wake(&self) {
        self.names.wake.wake();
        self.mailboxes.iter().for_each(|mailbox| mailbox.wake.wake());
    }
}

impl Readers {
    /// Prepares the readers; [`Readers::begin`] starts them.
    pub(crate) fn new<B: Backend>(backend: B, inputs: Inputs, sink: Sink) -> Self {
        let Inputs { specs, excludes, start, tailers, tail, poll_interval, notifier, stall_limit, capacity, stop } =
            inputs;
        let Sink { pool, submit, watch, end } = sink;
        let state = Arc::new(State {
            live: AtomicUsize::new(0),
            lost: AtomicBool::new(false),
            left: AtomicBool::new(false),
            failures: Arc::default(),
            discovered: AtomicBool::new(false),
            once: tail.once,
            stop,
            end,
        });
        let joining = Arc::<Joining>::default();
        let starter = ReaderStarter {
            joining: joining.clone(),
            has_tailers: Arc::default(),
            limit: tail.limit,
            capacity,
            backend: Marked(backend),
            pool,
            submit,
            state: state.clone(),
            ledger: tail.ledger.clone(),
            stall_limit,
            poll_interval,
            watch: watch.clone(),
            remote: Arc::default(),
        };
        let remote = starter.remote.clone();
        let has_files = !specs.is_empty();
        let at_begin = starter.clone();
        Self {
            state,
            watch,
            begin: Mutex::new(Some(Box::new(move |readers: &Self| {
                if !tailers.is_empty() {
                    at_begin.start_tailers(tailers);
                }
                if has_files {
                    readers.start_files();
                }
            }))),
            start_files: Mutex::new(Some(Box::new(move || starter.follow(specs, excludes, start, tail, notifier)))),
            files: OnceLock::new(),
            tailers: joining.mailbox.clone(),
            remote,
        }
    }

    /// Starts the readers. Later calls do nothing.
    pub(crate) fn begin(&self) {
        // Counts as a reader meanwhile, so that one which ends at once is not the last.
        let mut starting = Reader::new(self.state.clone());
        let begin = lock(&self.begin).take();
        if let Some(begin) = begin {
            begin(self);
        }
        starting.ended = true;
    }

    fn start_files(&self) {
        let start = lock(&self.start_files).take();
        if let Some(start) = start {
            self.files.get_or_init(start);
        }
    }

    /// Follows an input.
    pub(crate) async fn follow(&self, input: &OsStr) -> Result<(), FollowError> {
        let request = |reply| Request::Follow { input: input.to_owned(), reply };
        Ok(self.files_to_follow()?.requests.ask(request).await.ok_or(FollowError::Closed)??)
    }

    /// Stops following an input.
    pub(crate) async fn unfollow(&self, input: &OsStr) -> Result<(), FollowError> {
        let request = |reply| Request::Unfollow { input: input.to_owned(), reply };
        Ok(self.files()?.requests.ask(request).await.ok_or(FollowError::Closed)??)
    }

    /// Follows an input, on this thread. On a thread of the library, which discovery may be waiting for, it only asks
    /// for it.
    pub(crate) fn follow_blocking(&self, input: &OsStr) -> Result<(), FollowError> {
        if is_own_thread() {
            let request = |reply| Request::Follow { input: input.to_owned(), reply };
            return self.files_to_follow()?.requests.ask_only(request).ok_or(FollowError::Closed);
        }
        let files = self.files_to_follow()?;
        let done = files.discovery.follow_blocking(input).ok_or(FollowError::Closed)?;
        files.wake();
        Ok(done?)
    }

    /// Stops following an input, as [`follow_blocking`](Self::follow_blocking) follows one.
    pub(crate) fn unfollow_blocking(&self, input: &OsStr) -> Result<(), FollowError> {
        if is_own_thread() {
            let request = |reply| Request::Unfollow { input: input.to_owned(), reply };
            return self.files()?.requests.ask_only(request).ok_or(FollowError::Closed);
        }
        let files = self.files()?;
        files.discovery.unfollow_blocking(input).ok_or(FollowError::Closed)?;
        files.wake();
        Ok(())
    }

    /// Returns the running readers of files.
    fn files(&self) -> Result<&Files, FollowError> {
        self.files.get().ok_or(FollowError::Closed)
    }

    /// Returns the readers of files, which are started if need be.
    fn files_to_follow(&self) -> Result<&Files, FollowError> {
        if self.state.stop.stage() > Stage::Running {
            return Err(FollowError::Closed);
        }
        self.start_files();
        self.files()
    }

    /// Wakes the readers to look for changes.
    pub(crate) fn wake(&self) {
        let files = self.files.get().map(|files| &files.mailboxes[..]).unwrap_or_default();
        files.iter().chain([&self.tailers]).for_each(|mailbox| mailbox.hint_all());
        self.remote.hint_all();
    }

    /// Asks the readers to read what is there now and then end.
    pub(crate) fn stop(&self) {
        self.state.stop.advance(Stage::Stopping);
        if self.files.get().is_none() || self.state.discovered.load(Ordering::SeqCst) {
            // No discovery to wait for.
            self.state.stop.advance(Stage::Draining);
        }
        self.end_if_none();
    }

    /// Asks the readers to end at once.
    pub(crate) fn leave(&self, stage: Stage) {
        if self.state.live.load(Ordering::SeqCst) > 0 {
            self.state.left.store(true, Ordering::SeqCst);
            self.remote.leave();
        }
        self.state.stop.advance(stage);
        self.state.end();
    }

    /// Ends the merge if no reader is left to do so.
    pub(crate) fn end_if_none(&self) {
        if self.state.live.load(Ordering::SeqCst) == 0 {
            self.state.end();
        }
    }

    /// Returns true if a reader was dropped before its end.
    pub(crate) fn were_lost(&self) -> bool {
        self.state.lost.load(Ordering::SeqCst)
    }

    /// Returns true if readers were stopped before they had read everything.
    pub(crate) fn had_to_leave(&self) -> bool {
        self.state.left.load(Ordering::SeqCst)
    }

    /// Returns the names and errors of the tailers that failed, the first one first.
    pub(crate) fn failures(&self) -> Vec<(String, Arc<TailError>)> {
        lock(&self.state.failures).clone()
    }
}

impl Drop for Readers {
    fn drop(&mut self) {
        self.watch.close();
    }
}

impl fmt::Debug for Readers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Readers").field("live", &self.state.live).finish_non_exhaustive()
    }
}

/// Starts readers, and holds what all of them share.
#[derive(Clone)]
struct ReaderStarter<B> {
    backend: B,
    pool: Arc<BatchPool>,
    submit: Arc<dyn Fn(Batch) + Send + Sync>,
    state: Arc<State>,
    ledger: Arc<Ledger>,
    stall_limit: Option<Duration>,
    poll_interval: Duration,
    watch: WatchSlot,
    joining: Arc<Joining>,
    /// True once the reader of streams and of the host's tailers has been started.
    has_tailers: Arc<AtomicBool>,
    limit: LineLimit,
    /// The capacity of a batch in bytes.
    capacity: usize,
    remote: Arc<RemoteReaders>,
}

impl<B: Backend> ReaderStarter<B> {
    /// Starts the reader of the host's tailers, and of streams; once.
    fn start_tailers(&self, tailers: Vec<(Arc<Source>, Box<dyn Tailer>)>) {
        if self.has_tailers.swap(true, Ordering::SeqCst) {
            return;
        }
        let cx = HostTailersContext {
            ledger: self.ledger.clone(),
            failures: self.state.failures.clone(),
            joining: self.joining.clone(),
            waits: !self.state.once,
            stop: self.state.stop.clone(),
            limit: self.limit,
            poll_interval: self.poll_interval,
            capacity: self.capacity,
        };
        self.spawn("tailmerge: tailers", HostTailers::new(tailers, cx), self.joining.mailbox.clone(), None, None);
    }

    /// Returns what hands FIFOs that shards find to the reader of streams and of the host's tailers.
    fn streams(&self, cx: &TailContext) -> Streams {
        let (starter, cx) = (self.clone(), cx.clone());
        Streams(Arc::new(move |path, fifo| {
            let source = Source::new(path.clone(), cx.format.labelled(path));
            cx.ledger.add_source(&source);
            let pipe = PipeTailer::fifo(fifo, source.clone(), &cx, starter.state.stop.clone());
            starter.joining.add(source, pipe);
            starter.start_tailers(Vec::new());
        }))
    }

    /// Starts a reader, woken by its mailbox.
    fn spawn(
        &self,
        name: &'static str,
        tailer: impl Tailer,
        mailbox: Arc<Mailbox>,
        watcher: Option<Arc<Watcher>>,
        remote: Option<Arc<RemoteStatus>>,
    ) {
        let feed = Feed {
            pool: self.pool.clone(),
            submit: self.submit.clone(),
            mailbox,
            watcher,
            remote,
            stop: self.state.stop.clone(),
            poll_interval: self.poll_interval,
        };
        self.run(name, read(self.backend.clone(), tailer, feed));
    }

    /// Starts readers of remote devices when discovery comes upon them. Each holds a batch while it hangs; one is left
    /// for the others.
    fn remotes(&self, excludes: &Excludes, tail: &TailContext, pace: Pace) -> Remotes {
        let most = REMOTE_READERS_MAX.min(self.pool.count() - 1).max(1);
        let (starter, excludes) = (self.clone(), excludes.clone());
        let tail = TailContext { watch: None, ..tail.clone() };
        let start = move |orders, status: Arc<RemoteStatus>| {
            let (commands, inbox) = async_channel::unbounded();
            let (cx, names) = (tail.clone(), Arc::default());
            let shard = FileShard::new(cx.clone(), inbox, status.mailbox.clone(), pace);
            let discovery = Discovery::new(cx, Vec::new(), excludes.clone(), StartAt::Start, vec![commands], names);
            let reader = RemoteReader::new(orders, discovery.of_remotes(), shard, starter.poll_interval);
            starter.spawn("tailmerge: remote reader", reader, status.mailbox.clone(), None, Some(status));
        };
        Remotes::new(most, self.ledger.clone(), self.remote.clone(), Box::new(start))
    }

    /// Starts the readers of files and their discovery.
    fn follow(
        &self,
        specs: Vec<Spec>,
        excludes: Excludes,
        start: StartAt,
        mut tail: TailContext,
        notifier: Option<Notifier>,
    ) -> Files {
        let (requests, asked) = requests();
        let names = Arc::<Names>::default();
        let mailboxes: Vec<Arc<Mailbox>> = (0..file_readers()).map(|_| Arc::default()).collect();
        let watching = notifier.and_then(|notifier| {
            let (fs, ledger) = (tail.fs.clone(), tail.ledger.clone());
            Watching::start(notifier, fs, ledger, mailboxes.clone(), names.clone())
        });
        let watcher = watching.as_ref().map(Watching::watcher);
        if !tail.once {
            tail.streams = Some(self.streams(&tail));
        }
        tail.watch = watcher.clone().map(|watcher| watcher as Arc<dyn ChangeWatch>);
        watching.into_iter().for_each(|watching| self.watch.put(watching));
        let pace = Pace { poll: self.poll_interval, sweep: SWEEP_EVERY.max(self.poll_interval) };
        let mut shards = Vec::new();
        for mailbox in &mailboxes {
            let (commands, inbox) = async_channel::unbounded();
            shards.push(commands);
            let shard = FileShard::new(tail.clone(), inbox, mailbox.clone(), pace);
            self.spawn("tailmerge: reader", shard, mailbox.clone(), watcher.clone(), None);
        }
        let remotes = self.remotes(&excludes, &tail, pace);
        let discovery = Discovery::new(tail, specs, excludes, start, shards, names.clone()).with_remotes(remotes);
        let discovery = SharedDiscovery::new(discovery);
        let shared = discovery.clone();
        let (backend, stop, every) = (self.backend.clone(), self.state.stop.clone(), self.poll_interval);
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
    fn run(&self, name: &'static str, task: impl Future<Output = Result<(), TailError>> + Send + 'static) {
        let mut reader = Reader::new(self.state.clone());
        let ledger = self.ledger.clone();
        let task = async move {
            // What the host gave is called on the pool, where panics are caught; what is left to panic is its
            // backend, and that leaves nothing of ours half done.
            let ended = AssertUnwindSafe(task).catch_unwind().await;
            let ended = ended.unwrap_or_else(|panic| Err(TailError::panicked(&*panic)));
            reader.end(name, ended, &ledger);
        };
        let ledger = self.ledger.clone();
        match self.stall_limit {
            Some(limit) => self.backend.spawn(guard_with(name, limit, task, move |name, took| {
                ledger.emit(&Event::Stalled { name, took });
            })),
            None => self.backend.spawn(task),
        }
    }
}

/// The state that all readers share.
struct State {
    live: AtomicUsize,
    /// True once a reader was dropped before its end.
    lost: AtomicBool,
    /// True once readers were stopped before they had read everything.
    left: AtomicBool,
    failures: Arc<Failures>,
    once: bool,
    stop: Arc<Stop>,
    /// True once discovery has given its last file to the shards.
    discovered: AtomicBool,
    end: AtEnd,
}

impl State {
    fn end(&self) {
        (self.end)(&self.failures, self.lost.load(Ordering::SeqCst));
    }
}

/// Counts a reader as running until it ends or is dropped.
struct Reader {
    state: Arc<State>,
    ended: bool,
}

impl Reader {
    fn new(state: Arc<State>) -> Self {
        state.live.fetch_add(1, Ordering::SeqCst);
        Self { state, ended: false }
    }

    fn end(&mut self, name: &str, ended: Result<(), TailError>, ledger: &Ledger) {
        self.ended = true;
        if let Err(error) = ended {
            record_failure(&self.state.failures, name, error, ledger);
        }
    }
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
