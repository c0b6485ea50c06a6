//! What the program says on standard error, line by line.
//!
//! A line is handed to a thread of its own that writes it, because standard error may be a pipe that
//! nobody reads: a merge must be able to stop in time all the same. What cannot be held is dropped and
//! counted, and what cannot be written is nobody's error. Warnings of one kind come only so often, see [`Flood`].

use std::collections::VecDeque;
use std::fmt::Display;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Write};
use std::mem;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use log::{Level, LevelFilter};
use tailmerge::{Event, escaped};

use crate::flood::Flood;

/// Most lines that wait to be written.
const LINES_MAX: usize = 1000;

/// How long the end of the program waits for the last lines to be written.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Says what happens, as far as the user wants to hear it. A clone speaks on the same thread.
#[derive(Clone, Debug)]
pub(crate) struct Voice {
    level: LevelFilter,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    queue: Mutex<Queue>,
    /// Signalled when a line comes in, and when all are written.
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Queue {
    lines: VecDeque<String>,
    /// Lines that there was no room for.
    lost: u64,
    flood: Flood,
    /// A line has been taken out and is not written yet.
    writing: bool,
}

impl Voice {
    /// Starts the thread `tailmerge-voice`, which lasts as long as the program.
    pub(crate) fn new(level: LevelFilter) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let theirs = shared.clone();
        thread::Builder::new().name("tailmerge-voice".into()).spawn(move || theirs.write_all())?;
        Ok(Self { level, shared })
    }

    /// Says something that went wrong.
    pub(crate) fn error(&self, what: impl Display) {
        self.say(Level::Error, what);
    }

    /// Says something that the user should know.
    pub(crate) fn note(&self, what: impl Display) {
        self.say(Level::Warn, what);
    }

    /// Says something for those who asked to hear more.
    pub(crate) fn info(&self, what: impl Display) {
        self.say(Level::Info, what);
    }

    /// Says what a merge into `output` tells its observer.
    pub(crate) fn event(&self, event: &Event<'_>, output: Option<&Path>) {
        let level = match event {
            // What the program ends with says so.
            Event::OutputFailed { .. } => return,
            // Matters to who shares an executor with the merge; here it has one of its own.
            Event::Stalled { .. } => Level::Info,
            _ => event.level(),
        };
        let text = || match (event, output) {
            (Event::OutputWaiting { .. } | Event::OutputResumed | Event::OutputClosed, Some(output)) => {
                format!("{}: {event}", output.display())
            }
            _ => event.to_string(),
        };
        // Who wants to hear more hears all of it.
        let limited = level <= Level::Warn && level <= self.level;
        if !limited || self.shared.lock().flood.admits(kind(event), event.input(), Instant::now(), text) {
            self.say(level, text());
        }
    }

    /// Says how many messages were left out so far.
    pub(crate) fn left_out(&self) {
        let left_out = self.shared.lock().flood.end();
        left_out.into_iter().for_each(|count| self.note(count));
    }

    /// Waits until all is written, for a second at most.
    pub(crate) fn finish(&self) {
        let silent = |queue: &mut Queue| queue.writing || !queue.lines.is_empty();
        let waited = self.shared.changed.wait_timeout_while(self.shared.lock(), LAST_WORDS, silent);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }

    fn say(&self, level: Level, what: impl Display) {
        if level > self.level {
            return;
        }
        let line = escaped(&what.to_string()).to_string();
        let mut queue = self.shared.lock();
        if queue.lines.len() < LINES_MAX {
            queue.lines.push_back(line);
        } else {
            queue.lost += 1;
        }
        drop(queue);
        self.shared.changed.notify_all();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The thread's work.
    fn write_all(&self) {
        loop {
            let line = self.next_line();
            write_line(&line);
            self.lock().writing = false;
            self.changed.notify_all();
        }
    }

    /// Waits for a line to write.
    fn next_line(&self) -> String {
        let mut queue = self.lock();
        loop {
            let now = Instant::now();
            let left_out = queue.flood.over(now);
            queue.lines.extend(left_out.iter().map(|count| escaped(count).to_string()));
            let lost = |lost: &mut u64| (*lost > 0).then(|| format!("{} messages are left out here", mem::take(lost)));
            if let Some(line) = queue.lines.pop_front().or_else(|| lost(&mut queue.lost)) {
                queue.writing = true;
                return line;
            }
            let due = queue.flood.due().map_or(Duration::MAX, |due| due.saturating_duration_since(now));
            (queue, _) = self.changed.wait_timeout(queue, due).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// Which event it is, whatever it tells.
fn kind(event: &Event<'_>) -> u64 {
    let mut hasher = DefaultHasher::new();
    mem::discriminant(event).hash(&mut hasher);
    hasher.finish()
}

/// Writes a line to standard error; nobody is left to hear it if that fails.
pub(crate) fn write_line(line: &str) {
    drop(io::stderr().write_all(format!("tailmerge: {line}\n").as_bytes()));
}

/// A number of things: `1 line`, `2 lines`.
pub(crate) fn count(number: u64, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}
