//! Discovery as a task: scans on the blocking pool, again and again, and does what the host asks.

use std::ffi::OsStr;
use std::future::pending;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_channel::{Receiver, Sender};
use futures_lite::future::or;

use crate::backend::Backend;
use crate::discover::Discovery;
use crate::discover::command::Request;
use crate::discover::pattern::PatternError;
use crate::own_thread::mark;
use crate::source::tailer::TailError;
use crate::sync::lock::lock;
use crate::sync::stop::{Stage, Stop};
use crate::watch::names::Names;

/// At most so many requests wait for their answers.
const REQUESTS_MAX: usize = 64;

/// The sender of requests to discovery. A caller that waits for an answer also waits for room, so that abandoned
/// requests take bounded memory, however long discovery is busy.
#[derive(Debug)]
pub(crate) struct Requests {
    awaited: Sender<Request>,
    others: Sender<Request>,
}

/// The receiver of requests to discovery.
#[derive(Debug)]
pub(crate) struct Requested {
    awaited: Receiver<Request>,
    others: Receiver<Request>,
}

/// Makes a channel of requests to discovery.
pub(crate) fn requests() -> (Requests, Requested) {
    let (awaited, others) = (async_channel::bounded(REQUESTS_MAX), async_channel::unbounded());
    (Requests { awaited: awaited.0, others: others.0 }, Requested { awaited: awaited.1, others: others.1 })
}

impl Requests {
    /// Asks, and waits for the answer. Returns none if discovery is over.
    pub(crate) async fn ask(
        &self,
        request: impl FnOnce(Sender<Result<(), PatternError>>) -> Request,
    ) -> Option<Result<(), PatternError>> {
        let (reply, replied) = async_channel::bounded(1);
        self.awaited.send(request(reply)).await.ok()?;
        replied.recv().await.ok()
    }

    /// Asks, and never waits. Returns none if discovery is over.
    pub(crate) fn ask_only(&self, request: impl FnOnce(Sender<Result<(), PatternError>>) -> Request) -> Option<()> {
        self.others.try_send(request(async_channel::bounded(1).0)).ok()
    }
}

impl Requested {
    /// Waits for the next request; for ever once no sender is left.
    async fn next(&self) -> Request {
        let next = async |requests: &Receiver<Request>| match requests.recv().await {
            Ok(request) => request,
            Err(_) => pending().await,
        };
        or(next(&self.awaited), next(&self.others)).await
    }
}

/// Discovery, for its task and for a thread of the host's that waits for a request: that does the work itself, since it
/// may be the only one that the host's executor has.
#[derive(Debug)]
pub(crate) struct SharedDiscovery {
    discovery: Mutex<Option<Discovery>>,
    /// Names that the system has told of.
    names: Arc<Names>,
    over: AtomicBool,
    /// True if it scans once.
    once: bool,
}

impl SharedDiscovery {
    pub(crate) fn new(discovery: Discovery) -> Arc<Self> {
        let (names, once) = (discovery.names.clone(), discovery.cx.settings.once);
        Arc::new(Self { discovery: Mutex::new(Some(discovery)), names, over: AtomicBool::new(false), once })
    }

    /// Calls `work` with the discovery, on this thread. Returns none if it is over.
    fn with<T>(&self, work: impl FnOnce(&mut Discovery) -> T) -> Option<T> {
        let done = lock(&self.discovery).as_mut().map(work);
        if self.over.load(Ordering::SeqCst) {
            self.close();
        }
        done
    }

    /// Drops the discovery, which ends the shards' channels: now, or as soon as a call under way returns.
    fn close(&self) {
        self.over.store(true, Ordering::SeqCst);
        if let Ok(mut discovery) = self.discovery.try_lock() {
            *discovery = None;
        }
    }

    /// Serves a request on this thread. Returns none if discovery is over.
    pub(crate) fn follow_blocking(&self, input: &OsStr) -> Option<Result<(), PatternError>> {
        mark(|| self.with(|discovery| discovery.follow(input)))
    }

    /// Serves a request on this thread. Returns none if discovery is over.
    pub(crate) fn unfollow_blocking(&self, input: &OsStr) -> Option<()> {
        mark(|| self.with(|discovery| discovery.unfollow(input)))
    }
}

/// The end of discovery. Requests that come too late are dropped, with their replies, so that whoever asked hears of
/// it.
struct AtEnd {
    requests: Requested,
    discovery: Arc<SharedDiscovery>,
}

impl Drop for AtEnd {
    fn drop(&mut self) {
        self.discovery.close();
        for requests in [&self.requests.awaited, &self.requests.others] {
            requests.close();
            while requests.try_recv().is_ok() {}
        }
    }
}

/// Scans again and again on the blocking pool, until a stop is asked for; then a last time.
///
/// It scans sooner when the system has told of a name, and only once under `once`. When it returns or is dropped, the
/// shards get no more messages.
///
/// # Errors
///
/// The first panic, at the end: files that were found are followed all the same.
pub(crate) async fn discover<B: Backend>(
    backend: B,
    discovery: Arc<SharedDiscovery>,
    requests: Requested,
    stop: Arc<Stop>,
    every: Duration,
    wake: impl Fn(),
) -> Result<(), TailError> {
    let at_end = AtEnd { requests, discovery };
    let (mut request, mut failed) = (None, None);
    loop {
        let last = request.is_none() && (at_end.discovery.once || stop.stage() > Stage::Running);
        let discovery = at_end.discovery.clone();
        let job = move || {
            discovery.with(|discovery| {
                let worked = catch_unwind(AssertUnwindSafe(|| match request {
                    Some(request) => {
                        discovery.serve(request);
                        true
                    }
                    None => discovery.scan_if_due(every, last),
                }));
                let news = worked.map_err(|panic| discovery.failed(&*panic));
                (news, discovery.rest(every))
            })
        };
        // Only this task ends it.
        let Some((news, (least, most))) = backend.unblock(job).await else { return Ok(()) };
        if news.as_ref().map_or(true, |news| *news) {
            wake();
        }
        if let Err(error) = news {
            failed.get_or_insert(error);
        }
        if last {
            return failed.map_or(Ok(()), Err);
        }
        let sleep = async {
            backend.sleep(least).await;
            or(at_end.discovery.names.wake.woken(), backend.sleep(most - least)).await;
            None
        };
        let stopped = async {
            stop.reached(Stage::Stopping).await;
            None
        };
        let asked = async { Some(at_end.requests.next().await) };
        request = or(asked, or(stopped, sleep)).await;
    }
}
