//! Events of a running merge.

use std::fmt::{self, Write};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use log::Level;

use crate::record::escape::{Escaping, Name};
use crate::record::limit::LongLines;
use crate::report::gap::Gap;

/// Something that happened to a merge.
///
/// Its `Display` form is one line for people; the same line goes to [`log`] at [`Event::level`], with the
/// target `tailmerge`.
///
/// # Examples
///
/// ```
/// use tailmerge::Event;
///
/// fn note(event: &Event) {
///     match event {
///         Event::Gap(gap) => eprintln!("{} bytes of {} are lost", gap.bytes(), gap.input.display()),
///         Event::OutputWaiting { reason } => eprintln!("the output stalls: {reason}"),
///         // Each has a line for people, and a level.
///         event => eprintln!("[{}] {event}", event.level()),
///     }
/// }
/// # note(&Event::OutputResumed);
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// A file is followed from now on.
    Joined {
        /// The input.
        input: PathBuf,
        /// The offset in bytes where reading begins.
        offset: u64,
    },
    /// A named input is missing; it is waited for.
    Missing {
        /// The input.
        input: PathBuf,
        /// True if the file existed before.
        seen: bool,
    },
    /// No file matches a pattern; one is waited for.
    NoMatch {
        /// The pattern.
        input: PathBuf,
    },
    /// A path is another name of a file that is followed already.
    SameFile {
        /// The path.
        input: PathBuf,
    },
    /// A file has not changed for long; only what it gets from now on is read.
    SetAside {
        /// The input.
        input: PathBuf,
    },
    /// There are too many open files; fewer are kept open for now. Emitted once.
    TooManyOpen {
        /// The reader that noticed it keeps at most so many files open.
        kept: usize,
    },
    /// The input was rotated: another file has its name now, and the old one is read to its end.
    Rotated {
        /// The input.
        input: PathBuf,
    },
    /// The file was truncated; it is read from its start.
    Truncated {
        /// The input.
        input: PathBuf,
    },
    /// An input cannot be followed: not a regular file, not readable, or the output itself.
    Refused {
        /// The input or directory.
        input: PathBuf,
        /// The reason, and what is done about it.
        reason: String,
    },
    /// A file could not be read just now; it is tried again.
    ReadFailed {
        /// The input.
        input: PathBuf,
        /// The kind of the error.
        kind: io::ErrorKind,
        /// The error of the system, as text.
        reason: String,
    },
    /// An input has a line longer than the limit. Emitted for the first one.
    LongLine {
        /// The input.
        input: PathBuf,
        /// The offset of the line in bytes.
        offset: u64,
        /// The limit in bytes.
        limit: usize,
        /// What is done with it, and with those that follow.
        policy: LongLines,
    },
    /// The content of a file changed before the place that was read up to, but part of it is the same: reading goes on.
    Continued {
        /// The input.
        input: PathBuf,
        /// The offset where reading goes on, in bytes.
        offset: u64,
        /// What changed.
        how: Continuation,
    },
    /// A hole of a file was skipped: its writer went on at its old place after the file was truncated. Or a file that is
    /// over ends in NUL bytes: it was made longer than what was written to it.
    Hole {
        /// The input.
        input: PathBuf,
        /// The offset of the hole's start in bytes.
        start: u64,
        /// The offset of its end in bytes.
        end: u64,
    },
    /// The size of a file does not tell what can be read, as in `/proc`: it is read again, more and more seldom.
    SizeUnknown {
        /// The input.
        input: PathBuf,
    },
    /// The system does not notify changes here: files are polled. Emitted once.
    Polled {
        /// The first directory or file without notification; none if that is so everywhere.
        path: Option<PathBuf>,
        /// The reason.
        reason: String,
    },
    /// Bytes that will not be delivered.
    Gap(Gap),
    /// The output cannot be written to now. Nothing is lost: reading waits for it.
    OutputWaiting {
        /// The reason.
        reason: String,
    },
    /// The output can be written to again.
    OutputResumed,
    /// Another process moved or removed the output, which is reopened at its path. The bytes that went to a removed
    /// file since it was last seen are a [`Gap`].
    OutputMoved {
        /// The output.
        output: PathBuf,
        /// True if the file has no name any more.
        removed: bool,
    },
    /// Another process truncated the output. The next lines go to its end.
    OutputCut {
        /// The output.
        output: PathBuf,
        /// Its length in bytes before.
        from: u64,
        /// Its length after.
        to: u64,
    },
    /// At the start the output had bytes at its end of which the state file does not know. They were moved to another
    /// file.
    OutputSetAside {
        /// The output.
        output: PathBuf,
        /// The file that has the bytes now.
        to: PathBuf,
    },
    /// The reader of the output went away. The merge ends.
    OutputClosed,
    /// The output failed for good, or its writer panicked. The merge ends.
    OutputFailed {
        /// The cause.
        reason: String,
    },
    /// One poll of a task, or one write, took longer than the limit: see
    /// [`Builder::stall_limit`](crate::Builder::stall_limit).
    Stalled {
        /// The name of the task.
        name: String,
        /// The duration of the poll or write.
        took: Duration,
    },
    /// A tailer of the host's, or a part of the merge, failed or panicked. The others go on.
    Failed {
        /// Its name.
        name: String,
        /// The reason.
        reason: String,
    },
}

impl Event {
    /// Returns the level at which the event is logged.
    pub fn level(&self) -> Level {
        match self {
            Self::Joined { .. } | Self::Rotated { .. } | Self::SameFile { .. } | Self::OutputClosed => Level::Info,
            Self::Missing { seen: true, .. } | Self::SetAside { .. } | Self::Continued { .. } => Level::Info,
            Self::Failed { .. } | Self::OutputFailed { .. } => Level::Error,
            Self::Missing { seen: false, .. }
            | Self::NoMatch { .. }
            | Self::Truncated { .. }
            | Self::Refused { .. }
            | Self::ReadFailed { .. }
            | Self::LongLine { .. }
            | Self::Hole { .. }
            | Self::SizeUnknown { .. }
            | Self::TooManyOpen { .. }
            | Self::Polled { .. }
            | Self::Gap(_)
            | Self::OutputWaiting { .. }
            | Self::OutputResumed
            | Self::OutputMoved { .. }
            | Self::OutputCut { .. }
            | Self::OutputSetAside { .. }
            | Self::Stalled { .. } => Level::Warn,
        }
    }

    /// Returns the input that the event is about, if it is about one.
    pub fn input(&self) -> Option<&Path> {
        match self {
            Self::Joined { input, .. }
            | Self::Missing { input, .. }
            | Self::NoMatch { input }
            | Self::SameFile { input }
            | Self::SetAside { input }
            | Self::Rotated { input }
            | Self::Truncated { input }
            | Self::Continued { input, .. }
            | Self::Refused { input, .. }
            | Self::ReadFailed { input, .. }
            | Self::LongLine { input, .. }
            | Self::Hole { input, .. }
            | Self::SizeUnknown { input } => Some(input),
            Self::Polled { path, .. } => path.as_deref(),
            Self::Gap(gap) => Some(&gap.input),
            Self::TooManyOpen { .. }
            | Self::OutputWaiting { .. }
            | Self::OutputResumed
            | Self::OutputClosed
            | Self::OutputFailed { .. }
            | Self::OutputMoved { .. }
            | Self::OutputCut { .. }
            | Self::OutputSetAside { .. }
            | Self::Stalled { .. }
            | Self::Failed { .. } => None,
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Reasons may hold names.
        let f = &mut Escaping(f);
        match self {
            Self::Joined { input, offset } => write!(f, "{}: followed from byte {offset}", Name::from(&**input)),
            Self::Missing { input, .. } => write!(f, "{}: not there, waiting for it", Name::from(&**input)),
            Self::NoMatch { input } => write!(f, "{}: no file matches, waiting for one", Name::from(&**input)),
            Self::SameFile { input } => write!(f, "{}: another name of a file that is followed", Name::from(&**input)),
            Self::SetAside { input } => {
                write!(f, "{}: not changed for long, set aside until it grows", Name::from(&**input))
            }
            Self::TooManyOpen { kept } => {
                write!(f, "too many open files: at most {kept} are kept open for now; raise the limit ('ulimit -n')")
            }
            Self::Rotated { input } => write!(f, "{}: rotated, the old file is read to its end", Name::from(&**input)),
            Self::Truncated { input } => write!(f, "{}: truncated, read from its start", Name::from(&**input)),
            Self::Continued { input, offset, how } => {
                write!(f, "{}: {how}, read on from byte {offset}", Name::from(&**input))
            }
            Self::Refused { input, reason } => write!(f, "{}: {reason}", Name::from(&**input)),
            Self::ReadFailed { input, reason, .. } => {
                write!(f, "{}: cannot be read ({reason}), trying again", Name::from(&**input))
            }
            Self::LongLine { input, offset, limit, policy } => {
                let done = done(*policy);
                let input = Name::from(&**input);
                write!(f, "{input}: the line at byte {offset} is longer than {limit} bytes: such lines are {done}")
            }
            Self::Hole { input, start, end } => {
                let input = Name::from(&**input);
                write!(f, "{input}: skipped a hole from byte {start} to {end}: nothing was written there")
            }
            Self::SizeUnknown { input } => {
                write!(
                    f,
                    "{}: its size says nothing of what it holds, looked at ever more seldom",
                    Name::from(&**input)
                )
            }
            Self::Polled { path: Some(path), reason } => write!(f, "{}: polled, since {reason}", Name::from(&**path)),
            Self::Polled { path: None, reason } => write!(f, "files are polled, since {reason}"),
            Self::Gap(gap) => write!(f, "{gap}"),
            Self::OutputWaiting { reason } => write!(f, "the output cannot be written: {reason}; waiting"),
            Self::OutputResumed => f.write_str("the output can be written again"),
            Self::OutputMoved { output, removed } => {
                let how = if *removed { "removed" } else { "moved" };
                write!(f, "{}: {how} by somebody else; opened anew for what follows", Name::from(&**output))
            }
            Self::OutputCut { output, from, to } => {
                let output = Name::from(&**output);
                write!(f, "{output}: cut by somebody else from {from} to {to} bytes; what follows goes to its end")
            }
            Self::OutputSetAside { output, to } => {
                let (output, to) = (Name::from(&**output), Name::from(&**to));
                write!(f, "{output}: what it had behind the last line that is known is in {to} now")
            }
            Self::OutputClosed => f.write_str("the reader of the output went away"),
            Self::OutputFailed { reason } => f.write_str(reason),
            Self::Stalled { name, took } => write!(f, "{name}: one step took {} ms", took.as_millis()),
            Self::Failed { name, reason } => write!(f, "{name}: {reason}"),
        }
    }
}

/// Returns the word for what was done with a line over the limit.
fn done(policy: LongLines) -> &'static str {
    match policy {
        LongLines::Split => "split",
        LongLines::Truncate => "truncated",
        LongLines::Skip => "skipped",
    }
}

/// A change of a file after which reading goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Continuation {
    /// Another file was renamed onto its name, which begins with what was read: a copy of it, as `rsync` makes.
    Replaced,
    /// Its last lines were written anew.
    EndRewritten,
    /// The beginning was removed, or a hole was made of it.
    HeadRemoved,
}

impl fmt::Display for Continuation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Replaced => "replaced by a copy of it",
            Self::EndRewritten => "its last lines were written anew",
            Self::HeadRemoved => "its beginning was removed",
        })
    }
}

/// Receives each [`Event`] at once, on the thread where it happens.
///
/// That is a thread of the blocking pool, the writer's thread, or one of the host's executor. So an observer must not
/// block, nor wait for a lock whose holder waits for the merge. If it panics, that is logged once and changes nothing
/// else. Closures are observers.
///
/// # Examples
///
/// ```
/// use tailmerge::{Builder, Event};
///
/// let builder = Builder::new().observer(|event: &Event| {
///     if let Event::Gap(gap) = event {
///         eprintln!("lost: {gap}");
///     }
/// });
/// ```
pub trait Observer: Send + Sync + 'static {
    /// Handles an event.
    fn event(&self, event: &Event);
}

impl<F: Fn(&Event) + Send + Sync + 'static> Observer for F {
    fn event(&self, event: &Event) {
        self(event);
    }
}
