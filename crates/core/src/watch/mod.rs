//! Notices changes: hints from the system, which shorten the wait for the next poll.
//!
//! A hint may come late, twice, for nothing or not at all: it only says where to look first. One watch for each
//! directory is enough; a file that is a symbolic link needs one of its own, since it changes elsewhere. Where the
//! system cannot watch, files are polled.
//!
//! The thread `tailmerge-watch` waits for the system, tells discovery of new names, and puts hints into the mailboxes
//! of the shards. While a reader's job waits for hints, the job does that itself, unless something holds it up for
//! long: see [`WakeSource::wait`]. The thread ends with the writer's thread, or with whoever reads a tail alone.
//!
//! `system` is `inotify.rs` or `other.rs`. Both have a `System`, which is a [`WakeSource`], the type `Key` (of a watch; a key
//! of a table), and the functions `is_unnotified`, `is_mounted` and `reason`.

pub(crate) mod mailbox;
pub(crate) mod names;
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) mod rounds;
#[cfg(any(target_os = "linux", target_os = "android"))]
#[path = "inotify.rs"]
pub(crate) mod system;
#[cfg(not(any(target_os = "linux", target_os = "android")))]
#[path = "other.rs"]
pub(crate) mod system;
pub(crate) mod table;
pub(crate) mod thread;
pub(crate) mod watcher;

use std::ffi::OsStr;
use std::fmt::Debug;
use std::io;
use std::path::Path;
use std::time::Instant;

use crate::fs::{FileId, Fs};
use crate::report::event::Event;
use crate::report::ledger::Ledger;
use crate::sync::wake::Wake;
use crate::watch::mailbox::Change;

/// The way in which changes are noticed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum WatchMode {
    /// By notification where the system can, else by polling, which is told once.
    #[default]
    Auto,
    /// The same, but not to have notification at all is an error.
    Notify,
    /// By polling only: each file is looked at once every poll interval.
    Poll,
}

/// Watches for changes, and knows what is watched.
pub(crate) trait ChangeWatch: Debug + Send + Sync + 'static {
    /// Watches a directory. Returns false if it has to be polled.
    fn watch_dir(&self, path: &Path, id: FileId) -> bool;

    /// Returns true if the system notifies changes of the file at a path.
    fn is_watched(&self, path: &Path) -> bool;

    /// Watches a file that has other names: its directory tells only of what is written by this one. False: it has to
    /// be polled.
    fn watch_file(&self, _: &Path) -> bool {
        false
    }

    /// Stops watching such a file.
    fn leave_file(&self, _: &Path) {}

    /// Stops watching all paths but those to keep.
    fn retain(&self, keep: &dyn Fn(&Path) -> bool);
}

/// Receives a change: of a name in what is watched, or of that itself.
type Tell<'a> = &'a mut dyn FnMut(Option<&system::Key>, Option<&OsStr>, Change);

/// A source of events of the system, which either a thread or a waiting job receives.
pub(crate) trait WakeSource: Debug + Sized + Send + Sync + 'static {
    fn new() -> io::Result<Self>;

    /// Watches a path: a directory with the files in it, or a file.
    fn add(&self, path: &Path) -> io::Result<system::Key>;

    fn remove(&self, key: &system::Key);

    /// Receives events on this thread until [`stop`](Self::stop), unless a job does. A change without a watch means that
    /// events were lost, or no more will come.
    fn run(&self, tell: Tell<'_>);

    /// Ends [`run`](Self::run).
    fn stop(&self);

    /// Waits in a job for a wake-up. Returns true if there is one; the job then handles it and waits again, or
    /// [leaves](Self::leave). Meanwhile the job may receive events in place of the thread, which saves a switch of threads.
    fn wait(&self, wake: &Wake, deadline: Instant, _: Tell<'_>) -> bool {
        wake.woken_by(deadline)
    }

    /// Leaves receiving events to the thread.
    fn leave(&self) {}
}

/// The system's notification of changes.
#[derive(Debug)]
pub(crate) struct Notifier(pub(crate) system::System);

impl Notifier {
    /// Makes the notification that the mode asks for; none if everything has to be polled.
    ///
    /// # Errors
    ///
    /// Under [`WatchMode::Notify`], if the system has no notification, or its limits are exhausted.
    pub(crate) fn new(mode: WatchMode, fs: &dyn Fs, ledger: &Ledger) -> io::Result<Option<Self>> {
        if mode == WatchMode::Poll || mode == WatchMode::Auto && !fs.notifies() {
            return Ok(None);
        }
        match system::System::new() {
            Ok(system) if fs.notifies() => Ok(Some(Self(system))),
            Ok(_) => Err(io::ErrorKind::Unsupported.into()),
            Err(error) if mode == WatchMode::Notify => Err(io::Error::other(system::reason(&error))),
            Err(error) => {
                ledger.emit(&Event::Polled { path: None, reason: system::reason(&error) });
                Ok(None)
            }
        }
    }
}

/// Returns true if notification is wanted and available.
pub(crate) fn can_notify(mode: WatchMode, fs: &dyn Fs) -> bool {
    mode != WatchMode::Poll && fs.notifies() && system::System::new().is_ok()
}

/// Returns true if a path is where the system does not notify all changes.
pub(crate) fn is_unnotified(path: &Path) -> bool {
    system::is_unnotified(path).is_some() || system::is_mounted(path)
}
