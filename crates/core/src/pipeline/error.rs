//! The errors of a merge as a whole.

use std::error::Error;
use std::fmt::{self, Write};
use std::io;

use crate::discover::pattern::PatternError;
use crate::output::writer_loop::WriterError;
use crate::record::escape::Escaping;
use crate::report::summary::Report;
use crate::source::tailer::TailError;

/// The reason why a merge did not start. Nothing was read or written.
///
/// # Examples
///
/// ```no_run
/// # async fn example(backend: impl tailmerge::Backend) -> Result<(), Box<dyn std::error::Error>> {
/// use std::io::ErrorKind;
/// use tailmerge::Builder;
///
/// match Builder::new().input("logs/*.log").output("merged/all.log").start_on(backend).await {
///     Ok(merge) => println!("merging on {}", merge.backend()),
///     Err(error) if error.is_usage() => println!("a wrong setting: {error}"),
///     Err(error) if error.io_error().is_some_and(|error| error.kind() == ErrorKind::NotFound) => {
///         println!("there is no directory merged: {error}");
///     }
///     Err(error) => println!("not started: {error}"),
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct StartError {
    usage: bool,
    kind: StartErrorKind,
}

#[derive(Debug)]
enum StartErrorKind {
    Setting(String),
    Pattern(PatternError),
    World { message: String, error: Option<io::Error> },
    Output(io::Error),
    Thread(io::Error),
    Ended,
}

impl StartError {
    /// Returns true if the settings or inputs are wrong, false if the system did not provide what they need.
    pub fn is_usage(&self) -> bool {
        self.usage
    }

    /// Returns the error of the output, of the writer's thread, of standard input, or of the system's notification. Its
    /// kind tells what is wrong: [`NotFound`](io::ErrorKind::NotFound) if the output's directory is missing,
    /// [`ResourceBusy`](io::ErrorKind::ResourceBusy) if another process writes to the output.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::io;
    /// use tailmerge::StartError;
    ///
    /// fn directory_is_missing(error: &StartError) -> bool {
    ///     error.io_error().is_some_and(|error| error.kind() == io::ErrorKind::NotFound)
    /// }
    /// ```
    pub fn io_error(&self) -> Option<&io::Error> {
        match &self.kind {
            StartErrorKind::Output(error) | StartErrorKind::Thread(error) => Some(error),
            StartErrorKind::World { error, .. } => error.as_ref(),
            StartErrorKind::Setting(_) | StartErrorKind::Pattern(_) | StartErrorKind::Ended => None,
        }
    }

    pub(crate) fn setting(message: impl Into<String>) -> Self {
        Self { usage: true, kind: StartErrorKind::Setting(message.into()) }
    }

    /// The settings are right, but the system does not provide what they need.
    pub(crate) fn world(message: String) -> Self {
        Self { usage: false, kind: StartErrorKind::World { message, error: None } }
    }

    /// The system does not provide what the settings need, for this reason.
    pub(crate) fn system(what: &str, error: io::Error) -> Self {
        let (message, error) = (format!("{what}: {error}"), Some(error));
        Self { usage: false, kind: StartErrorKind::World { message, error } }
    }

    pub(crate) fn output(error: io::Error) -> Self {
        Self { usage: error.kind() == io::ErrorKind::InvalidInput, kind: StartErrorKind::Output(error) }
    }

    pub(crate) fn thread(error: io::Error) -> Self {
        Self { usage: false, kind: StartErrorKind::Thread(error) }
    }

    pub(crate) fn ended() -> Self {
        Self { usage: false, kind: StartErrorKind::Ended }
    }
}

impl From<PatternError> for StartError {
    fn from(error: PatternError) -> Self {
        Self { usage: true, kind: StartErrorKind::Pattern(error) }
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            StartErrorKind::Setting(message) | StartErrorKind::World { message, .. } => f.write_str(message),
            StartErrorKind::Pattern(error) => error.fmt(f),
            StartErrorKind::Output(error) => error.fmt(f),
            StartErrorKind::Thread(error) => write!(f, "the writer's thread cannot be started: {error}"),
            StartErrorKind::Ended => f.write_str("the writer panicked while it was being made"),
        }
    }
}

impl Error for StartError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.kind {
            StartErrorKind::Pattern(error) => error.source(),
            // Its text is that of this error; behind it is the system's.
            StartErrorKind::Output(error) => error.source(),
            StartErrorKind::Thread(error) => Some(error),
            StartErrorKind::World { error, .. } => error.as_ref().map(|error| error as _),
            StartErrorKind::Setting(_) | StartErrorKind::Ended => None,
        }
    }
}

/// A message names at most so many failures.
const FAILURES_NAMED: usize = 5;

/// The reason why the writer did not come to its end.
#[derive(Clone, Debug)]
pub(crate) enum Cause {
    Writer(WriterError),
    /// The writer's thread does not return from a call.
    WriterStuck,
    /// The question came from a thread of the merge, which cannot wait for the end.
    OwnThread,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Writer(error) => error.fmt(f),
            Self::OwnThread => {
                f.write_str("not over yet: this is one of the merge's own threads, which cannot wait for its end")
            }
            Self::WriterStuck => f.write_str("the writer does not return from a call; its thread is left behind"),
        }
    }
}

/// The failure of a merge that had started, with the report of what it delivered.
///
/// Once a merge has failed, every later call returns this error. Its message names what failed, first the output, then
/// the tailers; of more than five, the number of the others.
///
/// # Examples
///
/// ```no_run
/// # async fn example(merge: tailmerge::Merge) {
/// use std::time::Duration;
///
/// if let Err(error) = merge.stop(Duration::from_secs(10)).await {
///     if let Some(cause) = error.output_error() {
///         println!("the output failed: {cause}");
///     }
///     for (name, cause) in error.tailer_errors() {
///         println!("{name} failed: {cause}");
///     }
///     println!("{} lines were written all the same", error.report().lines);
/// }
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct MergeError {
    /// What the writer failed by; none if only tailers failed.
    pub(crate) cause: Option<Cause>,
    pub(crate) report: Box<Report>,
    /// The tailers that failed, the first one first.
    pub(crate) tailers: Vec<(String, TailError)>,
}

impl MergeError {
    /// Returns the report: what was delivered, and what was not.
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// Returns the output's error, if the output failed.
    pub fn output_error(&self) -> Option<&io::Error> {
        match &self.cause {
            Some(Cause::Writer(WriterError::Write(error) | WriterError::Flush(error))) => Some(error),
            _ => None,
        }
    }

    /// Returns the errors of all tailers that failed, with their names, in the order in which they failed. They are those
    /// of the host, and parts of the merge itself. The error of the output, if there is one, is
    /// [`output_error`](Self::output_error).
    pub fn tailer_errors(&self) -> impl Iterator<Item = (&str, &TailError)> {
        self.tailers.iter().map(|(name, error)| (&**name, error))
    }

    /// Returns true if the writer or a tailer panicked.
    pub fn is_panic(&self) -> bool {
        match &self.cause {
            Some(Cause::Writer(WriterError::Panicked(_))) => true,
            _ => self.tailer_errors().any(|(_, error)| error.is_panic()),
        }
    }
}

impl fmt::Display for MergeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let f = &mut Escaping(f);
        let tailers = self.tailers.iter().map(|(name, error)| format!("the tailer {name} failed: {error}"));
        let failures = self.cause.iter().map(Cause::to_string).chain(tailers);
        let named: Vec<String> = failures.take(FAILURES_NAMED).collect();
        f.write_str(&named.join("; "))?;
        match self.tailers.len() + usize::from(self.cause.is_some()) - named.len() {
            0 => Ok(()),
            others => write!(f, "; and {others} more"),
        }
    }
}

impl Error for MergeError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.cause {
            Some(Cause::Writer(WriterError::Write(error) | WriterError::Flush(error))) => Some(&**error),
            Some(Cause::Writer(WriterError::Panicked(_)) | Cause::WriterStuck | Cause::OwnThread) => None,
            None => self.tailer_errors().next().map(|(_, error)| error as _),
        }
    }
}

/// The merge has ended, or is about to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed;

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the merge has ended")
    }
}

impl Error for Closed {}

/// The reason why an input was not added.
#[derive(Debug)]
#[non_exhaustive]
pub enum FollowError {
    /// The merge has ended, or is about to; or it does not follow files at all.
    Closed,
    /// The pattern is malformed.
    Pattern(PatternError),
}

impl fmt::Display for FollowError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => Closed.fmt(f),
            Self::Pattern(error) => error.fmt(f),
        }
    }
}

impl Error for FollowError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Closed => None,
            Self::Pattern(error) => error.source(),
        }
    }
}

impl From<PatternError> for FollowError {
    fn from(error: PatternError) -> Self {
        Self::Pattern(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::event::Event;
    use crate::report::ledger::Ledger;

    #[test]
    fn a_message_names_five_failures_and_counts_the_others() {
        let report = Box::new(Ledger::new(Box::new(|_: &Event| {})).report());
        let tailers = (0..7).map(|number| (number.to_string(), TailError::new("broken"))).collect();
        let error = MergeError { cause: Some(Cause::WriterStuck), report, tailers };
        let told = error.to_string();
        assert!(told.starts_with("the writer does not return"), "{told}");
        assert!(told.ends_with("; the tailer 3 failed: broken; and 3 more"), "{told}");
        assert_eq!(error.tailer_errors().count(), 7);
    }
}
