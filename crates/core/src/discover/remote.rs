//! The readers of files on storage where a call may hang, that of a network or of a program, as discovery sees them.
//!
//! Discovery goes nowhere near such files: it has the reader of the device follow the same inputs, each of which is
//! everywhere else left alone there. Where there are more devices than readers, some share one.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::future::pending;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_channel::{Receiver, Sender};
use futures_lite::future::or;

use crate::backend::Backend;
use crate::clock;
use crate::discover::spec::Spec;
use crate::follow::context::StartAt;
use crate::report::event::Event;
use crate::report::ledger::Ledger;
use crate::sync::lock::lock;
use crate::watch::mailbox::Mailbox;

/// At most so many readers of remote devices are started.
pub(crate) const REMOTE_READERS_MAX: usize = 3;

/// A job that takes longer than this is told to the host.
const SLOW: Duration = Duration::from_secs(5);

/// A job that has taken this long when the merge ends at once counts as stuck.
const STUCK: Duration = Duration::from_millis(100);

/// The devices that a scan may reach.
#[derive(Clone, Debug)]
pub(crate) enum Reach {
    /// All devices, even if a call may hang.
    All,
    /// Local devices.
    Local,
    /// These remote devices, and the local directories on the way to them.
    Remote(Vec<u64>),
}

impl Reach {
    pub(crate) fn has(&self, device: Option<u64>) -> bool {
        match (self, device) {
            (Self::All, _) | (Self::Local, None) => true,
            (Self::Remote(devices), Some(device)) => devices.contains(&device),
            _ => false,
        }
    }

    /// Returns true if files of a device may be accessed.
    pub(crate) fn allows(&self, device: Option<u64>) -> bool {
        device.is_none() || self.has(device)
    }
}

/// A message to the reader of a remote device.
#[derive(Debug)]
pub(crate) enum Order {
    Follow {
        device: u64,
        spec: Spec,
        start: StartAt,
        /// True if the first scan is under way.
        present: bool,
    },
    Unfollow(OsString),
}

/// Starts a reader with its receiver of orders and its status.
type Start = Box<dyn Fn(Receiver<Order>, Arc<RemoteStatus>) + Send>;

/// The readers of remote devices, as discovery uses them. Dropping it makes them scan a last time.
pub(crate) struct Remotes {
    readers: Vec<(Sender<Order>, Arc<RemoteStatus>)>,
    by_device: HashMap<u64, usize>,
    most: usize,
    ledger: Arc<Ledger>,
    all: Arc<RemoteReaders>,
    start: Start,
}

impl Remotes {
    pub(crate) fn new(most: usize, ledger: Arc<Ledger>, all: Arc<RemoteReaders>, start: Start) -> Self {
        Self { readers: Vec::new(), by_device: HashMap::new(), most, ledger, all, start }
    }

    /// Makes the reader of a device follow an input, to which this path leads. `watched`: other inputs are not polled.
    pub(crate) fn follow(&mut self, path: &Path, watched: bool, order: Order) {
        let Order::Follow { device, .. } = order else { return };
        let next = match self.readers.len() {
            count if count < self.most => count,
            // Not one that is stuck.
            count => (0..count).min_by_key(|&at| self.readers[at].1.busy_for()).unwrap_or(0),
        };
        let at = *self.by_device.entry(device).or_insert(next);
        if at == self.readers.len() {
            let (orders, taken) = async_channel::unbounded();
            let status = self.all.add(path, &self.ledger);
            self.readers.push((orders, status.clone()));
            (self.start)(taken, status);
            if watched {
                let reason =
                    "its file system is of a network or a program, and does not tell of changes made elsewhere";
                self.ledger.emit(&Event::Polled { path: Some(path.to_owned()), reason: reason.to_owned() });
            }
        }
        self.ask(at, order);
    }

    pub(crate) fn unfollow(&self, input: &OsStr) {
        (0..self.readers.len()).for_each(|at| self.ask(at, Order::Unfollow(input.to_owned())));
    }

    fn ask(&self, at: usize, order: Order) {
        let (orders, status) = &self.readers[at];
        orders.try_send(order).ok(); // One that is gone needs to be told nothing.
        status.mailbox.wake.wake();
    }
}

impl Drop for Remotes {
    fn drop(&mut self) {
        for (orders, status) in &self.readers {
            orders.close();
            status.mailbox.wake.wake();
        }
    }
}

impl fmt::Debug for Remotes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remotes").field("by_device", &self.by_device).finish_non_exhaustive()
    }
}

/// The status of all readers of remote devices.
#[derive(Debug, Default)]
pub(crate) struct RemoteReaders(Mutex<Vec<Arc<RemoteStatus>>>);

impl RemoteReaders {
    fn add(&self, path: &Path, ledger: &Arc<Ledger>) -> Arc<RemoteStatus> {
        let status = Arc::new(RemoteStatus {
            path: path.to_owned(),
            mailbox: Arc::default(),
            ledger: ledger.clone(),
            since: Mutex::new(None),
            told: AtomicBool::new(false),
            left: AtomicBool::new(false),
        });
        lock(&self.0).push(status.clone());
        status
    }

    /// Makes all of them look at everything.
    pub(crate) fn hint_all(&self) {
        lock(&self.0).iter().for_each(|status| status.mailbox.hint_all());
    }

    /// Reports the inputs of stuck readers as failed, since the merge does not wait for them any more.
    pub(crate) fn leave(&self) {
        let all = lock(&self.0).clone();
        all.iter().for_each(|status| status.leave());
    }
}

/// The status of the reader of a remote device, visible while it is busy.
#[derive(Debug)]
pub(crate) struct RemoteStatus {
    /// The first path that led to the device.
    path: PathBuf,
    pub(crate) mailbox: Arc<Mailbox>,
    ledger: Arc<Ledger>,
    /// The time since which a job is under way, if one is.
    since: Mutex<Option<Instant>>,
    /// True once a slow job was told, until a quick one.
    told: AtomicBool,
    /// True once the merge does not wait for it any more.
    left: AtomicBool,
}

impl RemoteStatus {
    /// Waits for a job, and tells the host if it takes long.
    pub(crate) async fn watch<B: Backend, T>(&self, backend: &B, job: impl Future<Output = T>) -> T {
        *lock(&self.since) = Some(clock::now());
        let late = async {
            backend.sleep(SLOW).await;
            if !self.told.swap(true, Ordering::Relaxed) {
                let reason = "its file system does not answer, or is slow; others are read on meanwhile";
                self.ledger.emit(&Event::Refused { input: self.path.clone(), reason: reason.to_owned() });
            }
            pending().await
        };
        let done = or(job, late).await;
        let took = self.busy_for();
        *lock(&self.since) = None;
        if took < SLOW {
            self.told.store(false, Ordering::Relaxed);
        }
        done
    }

    /// Returns how long the job under way has taken so far.
    fn busy_for(&self) -> Duration {
        lock(&self.since).map_or(Duration::ZERO, clock::since)
    }

    fn leave(&self) {
        if self.busy_for() < STUCK || self.left.swap(true, Ordering::Relaxed) {
            return;
        }
        let inputs = self.mailbox.paths();
        let first = inputs.is_empty().then_some(&*self.path);
        for input in inputs.iter().map(|input| &**input).chain(first) {
            self.ledger.input_failed(input, &"its file system did not answer in time: perhaps not read to its end");
        }
    }
}
