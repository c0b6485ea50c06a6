//! The thread that waits for the system.

use std::fmt::Debug;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use crate::fs::Fs;
use crate::own_thread;
use crate::report::event::Event;
use crate::report::ledger::Ledger;
use crate::sync::lock::lock;
use crate::watch::mailbox::Mailbox;
use crate::watch::names::Names;
use crate::watch::watcher::Watcher;
use crate::watch::{Notifier, WakeSource};

/// Holds the watching of a merge, once there is one, until it is closed.
#[derive(Clone, Debug, Default)]
pub(crate) struct WatchSlot(Arc<Mutex<Slot>>);

impl WatchSlot {
    /// Holds it until the slot is closed, which may be the case already.
    pub(crate) fn put(&self, watching: Watching) {
        let mut slot = lock(&self.0);
        if !slot.closed {
            slot.watching = Some(watching);
        }
    }

    /// Ends the thread, if there is one, and joins it. That is quick: the thread blocks on nothing else.
    pub(crate) fn close(&self) {
        let mut slot = lock(&self.0);
        slot.closed = true;
        slot.watching = None;
    }
}

#[derive(Debug, Default)]
pub(crate) struct Slot {
    watching: Option<Watching>,
    closed: bool,
}

/// Keeps the thread `tailmerge-watch` running until it is dropped.
#[derive(Debug)]
pub(crate) struct Watching {
    watcher: Arc<Watcher>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.watcher.system.stop();
        if let Some(thread) = self.thread.take() {
            thread.join().ok(); // It has nothing that could panic; a panic was printed already.
        }
    }
}

impl Watching {
    /// Starts the thread. Returns none if it cannot be started: everything has to be polled.
    pub(crate) fn start(
        notifier: Notifier,
        fs: Arc<dyn Fs>,
        ledger: Arc<Ledger>,
        shards: Vec<Arc<Mailbox>>,
        names: Arc<Names>,
    ) -> Option<Self> {
        let (table, told, told_mounted) = (Mutex::default(), AtomicBool::new(false), AtomicBool::new(false));
        let watcher = Arc::new(Watcher { system: notifier.0, table, fs, ledger, shards, names, told, told_mounted });
        let its = watcher.clone();
        let run = move || its.system.run(&mut |key, name, change| its.changed(key, name, change));
        match own_thread::start("tailmerge-watch", run) {
            Ok(thread) => Some(Self { watcher, thread: Some(thread) }),
            Err(error) => {
                watcher.ledger.emit(&Event::Polled { path: None, reason: error.to_string() });
                None
            }
        }
    }

    pub(crate) fn watcher(&self) -> Arc<Watcher> {
        self.watcher.clone()
    }
}
