//! Holding a merge at a step of its own, so that a case can act between that step and the next.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Op, TestFs, until};

/// Stops whoever asks something of the file system, while it is held.
#[derive(Debug)]
pub struct Brake {
    held: Arc<Mutex<()>>,
    waits: Arc<AtomicBool>,
}

/// The brake is on until this is dropped.
#[derive(Debug)]
pub struct Held<'a> {
    brake: &'a Brake,
    _held: MutexGuard<'a, ()>,
}

impl Brake {
    /// A brake for an operation on files and directories of that name, and the file system that has it.
    pub fn on(op: Op, name: &'static str) -> (Self, TestFs) {
        let brake = Self { held: Arc::default(), waits: Arc::default() };
        let (held, waits) = (brake.held.clone(), brake.waits.clone());
        let fs = TestFs::with_hook(move |asked: Op, path: &Path| {
            if asked == op && path.ends_with(name) {
                waits.store(true, Ordering::SeqCst);
                let _held = held.lock().unwrap_or_else(PoisonError::into_inner);
                // While it can still be seen: whoever holds the lock knows that somebody waits, or that nobody does.
                waits.store(false, Ordering::SeqCst);
            }
        });
        (brake, fs)
    }

    /// Puts the brake on.
    pub fn hold(&self) -> Held<'_> {
        Held { brake: self, _held: self.held.lock().unwrap_or_else(PoisonError::into_inner) }
    }

    /// Does something between two steps of the merge, which sees nothing before all of it is done.
    #[track_caller]
    pub fn unseen(&self, act: impl FnOnce()) {
        let held = self.hold();
        held.until_stopped();
        act();
    }
}

impl Held<'_> {
    /// Waits until somebody is stopped.
    #[track_caller]
    pub fn until_stopped(&self) {
        until("the merge is stopped by the brake", || self.brake.waits.load(Ordering::SeqCst));
    }
}
