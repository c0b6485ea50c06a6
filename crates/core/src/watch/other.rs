//! Hints from the system by way of the crate `notify`, which has a thread of its own.

use std::ffi::OsStr;
use std::io;
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

use notify::event::{EventKind, ModifyKind};
use notify::{Error, ErrorKind, Event, RecommendedWatcher, RecursiveMode, Watcher};

use crate::sync::lock::lock;
use crate::watch::mailbox::Change;
use crate::watch::{Tell, WakeSource};

/// A watch goes by its path.
pub(crate) type Key = Arc<Path>;

/// A message to the thread.
enum News {
    Event(notify::Result<Event>),
    Stop,
}

/// A watcher, and its messages. Only the thread receives them.
#[derive(Debug)]
pub(crate) struct System {
    watcher: Mutex<RecommendedWatcher>,
    news: Sender<News>,
    told: Mutex<Receiver<News>>,
}

impl WakeSource for System {
    fn new() -> io::Result<Self> {
        let (news, told) = channel();
        let events = news.clone();
        // Nobody listens any more: it is about to be dropped.
        let tell = move |event| drop(events.send(News::Event(event)));
        let watcher = notify::recommended_watcher(tell).map_err(io_error)?;
        Ok(Self { watcher: Mutex::new(watcher), news, told: Mutex::new(told) })
    }

    fn add(&self, path: &Path) -> io::Result<Key> {
        // As the system names it in what it tells.
        let path = path.canonicalize()?;
        lock(&self.watcher).watch(&path, RecursiveMode::NonRecursive).map_err(io_error)?;
        Ok(path.into())
    }

    fn remove(&self, key: &Key) {
        // It may be over already.
        lock(&self.watcher).unwatch(key).ok();
    }

    fn stop(&self) {
        self.news.send(News::Stop).ok(); // Its thread may have ended.
    }

    fn run(&self, tell: Tell<'_>) {
        while let Ok(News::Event(event)) = lock(&self.told).recv() {
            match event {
                Ok(event) if !event.need_rescan() => {
                    let change = match event.kind {
                        EventKind::Modify(ModifyKind::Name(_)) => Change::Came { is_dir: false, moved: true },
                        EventKind::Create(_) => Change::Came { is_dir: false, moved: false },
                        EventKind::Remove(_) => Change::Went,
                        EventKind::Access(_) => continue,
                        EventKind::Modify(ModifyKind::Data(_)) => Change::Content,
                        _ => Change::File,
                    };
                    for path in &event.paths {
                        tell_of(path, change, tell);
                    }
                }
                _ => tell(None, None, Change::File),
            }
        }
    }
}

/// The path itself may be watched, or the directory that it is in.
fn tell_of(path: &Path, mut change: Change, tell: Tell<'_>) {
    if let Change::Came { is_dir, .. } = &mut change {
        // It may also have gone, by another name.
        match path.symlink_metadata() {
            Ok(metadata) => *is_dir = metadata.is_dir(),
            Err(_) => change = Change::Went,
        }
    }
    tell(Some(&path.into()), None, change);
    if let (Some(dir), Some(name)) = (path.parent(), path.file_name()) {
        tell(Some(&dir.into()), Some::<&OsStr>(name), change);
    }
}

fn io_error(error: Error) -> io::Error {
    match error.kind {
        ErrorKind::Io(error) => error,
        ErrorKind::PathNotFound => io::ErrorKind::NotFound.into(),
        _ => io::Error::other(error),
    }
}

/// Returns what the user can do about a watch that could not be made.
pub(crate) fn reason(error: &io::Error) -> String {
    error.to_string()
}

/// Always returns none or false: this is not known here.
pub(crate) fn is_unnotified(_: &Path) -> Option<&'static str> {
    None
}

/// Always returns none or false: this is not known here.
pub(crate) fn is_mounted(_: &Path) -> bool {
    false
}
