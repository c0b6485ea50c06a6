//! Starts and stops the readers of a merge, or of a tail alone, and passes requests to them.

use std::ffi::OsStr;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use crate::backend::Backend;
use crate::batch::sink::BatchSink;
use crate::discover::command::Request;
use crate::discover::remote::RemoteReaders;
use crate::own_thread::{Marked, is_own_thread};
use crate::pipeline::error::FollowError;
use crate::pipeline::start_readers::{AtEnd, Files, Inputs, Reader, ReaderStarter, State};
use crate::source::host_tailers::Joining;
use crate::source::tailer::TailError;
use crate::sync::lock::lock;
use crate::sync::stop::Stage;
use crate::watch::mailbox::Mailbox;
use crate::watch::thread::WatchSlot;

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

impl Readers {
    /// Prepares the readers; [`Readers::begin`] starts them.
    pub(crate) fn new<B: Backend>(
        backend: B,
        inputs: Inputs,
        batches: BatchSink,
        watch: WatchSlot,
        end: AtEnd,
    ) -> Self {
        let Inputs { specs, start, tailers, cx, notifier } = inputs;
        let state = Arc::new(State {
            live: AtomicUsize::new(0),
            lost: AtomicBool::new(false),
            left: AtomicBool::new(false),
            failures: Arc::default(),
            discovered: AtomicBool::new(false),
            once: cx.settings.once,
            stop: cx.stop.clone(),
            end,
        });
        let joining = Arc::<Joining>::default();
        let starter = ReaderStarter {
            backend: Marked(backend),
            batches,
            cx,
            state: state.clone(),
            watch: watch.clone(),
            joining: joining.clone(),
            has_tailers: Arc::default(),
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
            start_files: Mutex::new(Some(Box::new(move || starter.follow(specs, start, notifier)))),
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
    pub(crate) fn failures(&self) -> Vec<(String, TailError)> {
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
