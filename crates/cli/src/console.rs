//! Writes messages to standard error, line by line.
//!
//! A thread of its own writes them, because standard error may be a pipe that no program reads, and a merge must be
//! able to stop in time all the same. Messages beyond the queue's bound are dropped and counted; errors of writing are
//! ignored. Warnings of one kind are limited in number, see [`RateLimit`].

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
use tailmerge::Event;
use tailmerge::internal::escaped;

use crate::rate_limit::RateLimit;

/// At most so many lines wait to be written.
const LINES_MAX: usize = 1000;

/// The end of the program waits at most this long for the last lines to be written.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Prints messages of the levels that the user asked for. Clones share one thread.
#[derive(Clone, Debug)]
pub(crate) struct Console {
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
    /// The number of lines that were dropped.
    lost: u64,
    rate_limit: RateLimit,
    /// True while a line that was taken out is being written.
    writing: bool,
}

impl Console {
    /// Starts the thread `tailmerge-console`, which runs as long as the program.
    pub(crate) fn new(level: LevelFilter) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let theirs = shared.clone();
        thread::Builder::new().name("tailmerge-console".into()).spawn(move || theirs.write_all())?;
        Ok(Self { level, shared })
    }

    /// Prints an error.
    pub(crate) fn error(&self, what: impl Display) {
        self.say(Level::Error, what);
    }

    /// Prints a warning or a notice, unless `--quiet` is given.
    pub(crate) fn note(&self, what: impl Display) {
        self.say(Level::Warn, what);
    }

    /// Prints details, if `--verbose` is given.
    pub(crate) fn info(&self, what: impl Display) {
        self.say(Level::Info, what);
    }

    /// Prints an event of a merge into `output`.
    pub(crate) fn event(&self, event: &Event, output: Option<&Path>) {
        let level = match event {
            // What the program ends with says so.
            Event::OutputFailed { .. } => return,
            // Matters to who shares an executor with the merge; here it has one of its own.
            Event::Stalled { .. } => Level::Info,
            _ => event.level(),
        };
        if level > self.level {
            return;
        }
        let text = || match (event, output) {
            (Event::OutputWaiting { .. } | Event::OutputResumed | Event::OutputClosed, Some(output)) => {
                format!("{}: {event}", output.display())
            }
            _ => event.to_string(),
        };
        // Who wants to hear more hears all of it.
        let limited = level <= Level::Warn;
        if !limited || self.shared.lock().rate_limit.admits(kind(event), event.input(), Instant::now(), text) {
            self.say(level, text());
        }
    }

    /// Prints how many messages were left out so far.
    pub(crate) fn left_out(&self) {
        let left_out = self.shared.lock().rate_limit.end();
        left_out.into_iter().for_each(|count| self.note(count));
    }

    /// Waits until all lines are written, for a second at most.
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

    /// Writes lines for ever; runs on the thread.
    fn write_all(&self) {
        loop {
            let line = self.next_line();
            write_line(&line);
            self.lock().writing = false;
            self.changed.notify_all();
        }
    }

    /// Waits for the next line to write.
    fn next_line(&self) -> String {
        let mut queue = self.lock();
        loop {
            let now = Instant::now();
            let left_out = queue.rate_limit.over(now);
            queue.lines.extend(left_out.iter().map(|count| escaped(count).to_string()));
            let lost = |lost: &mut u64| (*lost > 0).then(|| format!("{} messages are left out here", mem::take(lost)));
            if let Some(line) = queue.lines.pop_front().or_else(|| lost(&mut queue.lost)) {
                queue.writing = true;
                return line;
            }
            let due = queue.rate_limit.due().map_or(Duration::MAX, |due| due.saturating_duration_since(now));
            (queue, _) = self.changed.wait_timeout(queue, due).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// Returns a number for an event's kind, the same for all events of that kind.
fn kind(event: &Event) -> u64 {
    let mut hasher = DefaultHasher::new();
    mem::discriminant(event).hash(&mut hasher);
    hasher.finish()
}

/// Writes a line to standard error. A failure is ignored: there is nowhere else to report it.
pub(crate) fn write_line(line: &str) {
    // There is nowhere else to say it.
    io::stderr().write_all(format!("tailmerge: {line}\n").as_bytes()).ok();
}

/// Formats a number of things: `1 line`, `2 lines`.
pub(crate) fn count(number: u64, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}
