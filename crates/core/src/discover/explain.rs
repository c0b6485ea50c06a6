//! Saying which files match, which do not and why, and where each would start.

use std::collections::HashMap;
use std::fmt::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::clock;
use crate::discover::pattern::Excludes;
use crate::discover::remote::Reach;
use crate::discover::scan::find;
use crate::discover::spec::Spec;
use crate::follow::context::StartAt;
use crate::follow::trouble::Trouble;
use crate::fs::{Entry, FileId, Fs, Kind, RefusedLink, here, is_missing};
use crate::record::escape::{Escaping, Name};
use crate::watch::{WatchMode, can_notify, is_unnotified};

/// What would become of one path.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Explained {
    /// The path.
    pub path: PathBuf,
    /// Where it leads, if it is a symbolic link or leads through one.
    pub leads_to: Option<PathBuf>,
    /// The treatment that it would get.
    pub verdict: Verdict,
}

/// The treatment that a path would get, with the reason.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Verdict {
    /// It would be followed.
    Follow {
        /// The offset in bytes where reading would begin; under [`StartAt::End`] the start of the last line if that
        /// has no newline yet.
        offset: u64,
        /// The length in bytes.
        size: u64,
        /// The identity of the file.
        id: FileId,
        /// True if the system would notify changes; otherwise it would be polled.
        notified: bool,
    },
    /// It would be read as a stream: standard input, or a FIFO.
    Stream,
    /// It would be waited for.
    Missing,
    /// It would be left alone until it changes, and then give its new lines only.
    SetAside {
        /// It has not changed for longer than this.
        older: Duration,
    },
    /// A pattern that no file matches: one would be waited for.
    NoMatch,
    /// It is an input, but cannot be read now.
    Unreadable {
        /// The reason.
        reason: String,
    },
    /// It would not be followed.
    Not {
        /// The reason.
        reason: String,
    },
}

impl fmt::Display for Explained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Reasons may hold names.
        let f = &mut Escaping(f);
        write!(f, "{}", Name::from(&*self.path))?;
        if let Some(target) = &self.leads_to {
            write!(f, " -> {}", Name::from(&**target))?;
        }
        f.write_str(": ")?;
        match &self.verdict {
            Verdict::Follow { offset, size, id, notified } => {
                let how = if *notified { "notification" } else { "polling" };
                write!(f, "followed from byte {offset} of {size}, by {how} (device {}, inode {})", id.dev, id.ino)
            }
            Verdict::Stream => f.write_str("read as a stream, by polling"),
            Verdict::Missing => f.write_str("not there, waited for"),
            Verdict::SetAside { older } => {
                write!(f, "not changed for longer than {}: set aside until it does", told(*older))
            }
            Verdict::NoMatch => f.write_str("no file matches now, waited for"),
            Verdict::Unreadable { reason } => write!(f, "not followed now: {reason}"),
            Verdict::Not { reason } => write!(f, "not followed: {reason}"),
        }
    }
}

/// At most so many files of a directory that do not match are listed.
const NEAR_MISSES: usize = 100;

/// Explains the inputs as they are now. It blocks, and reads no file's content.
pub(crate) fn explain(
    fs: &dyn Fs,
    specs: &[Spec],
    excludes: &Excludes,
    start: StartAt,
    ignore_older: Option<Duration>,
    forbidden: &[FileId],
    mode: WatchMode,
) -> Vec<Explained> {
    let notifies = can_notify(mode, fs);
    let mut judge = Judge { fs, start, ignore_older, forbidden, seen: HashMap::new() };
    let mut explained = Vec::new();
    let mut add = |path: &Path, verdict| {
        explained.push(Explained { path: path.to_owned(), leads_to: fs.leads_to(path), verdict });
    };
    for spec in specs {
        let pattern = match spec {
            Spec::Path(path) => {
                add(path, judge.named(path));
                continue;
            }
            Spec::Pattern(pattern) => pattern,
        };
        let (found, dirs) = find(pattern, fs, Reach::All);
        for path in &found {
            match excludes.excluding(path) {
                Some(by) => add(path, Verdict::Not { reason: format!("excluded by {by}") }),
                None => add(path, judge.found(path)),
            }
        }
        if found.iter().all(|path| excludes.excluding(path).is_some()) {
            add(Path::new(pattern.text()), Verdict::NoMatch);
        }
        for (dir, error) in dirs {
            if let Some(error) = error {
                add(
                    here(&dir),
                    match RefusedLink::of(&error) {
                        Some(link) => Verdict::Not { reason: link.to_string() },
                        None => Verdict::Unreadable { reason: format!("the directory cannot be listed: {error}") },
                    },
                );
                continue;
            }
            let mut misses = Vec::new();
            // A directory that was listed a moment ago; should it be gone, there is nothing to add.
            drop(fs.list(here(&dir), &mut |Entry { name, kind, .. }| {
                let path: Arc<Path> = dir.join(name).into();
                if kind == Kind::File && misses.len() < NEAR_MISSES && found.binary_search(&path).is_err() {
                    misses.push(path);
                }
            }));
            misses.sort_unstable();
            for path in misses {
                add(&path, Verdict::Not { reason: format!("does not match {}", pattern.text()) });
            }
        }
    }
    for Explained { path, verdict, .. } in &mut explained {
        if let Verdict::Follow { notified, .. } = verdict {
            *notified = notifies && !is_unnotified(path);
        }
    }
    explained
}

/// Explains one path after the other.
struct Judge<'a> {
    fs: &'a dyn Fs,
    start: StartAt,
    ignore_older: Option<Duration>,
    forbidden: &'a [FileId],
    /// The first path by which each file was found.
    seen: HashMap<FileId, PathBuf>,
}

impl Judge<'_> {
    /// Explains a path that the user named. It may be a FIFO.
    fn named(&mut self, path: &Path) -> Verdict {
        let stat = self.fs.stat(path).ok().filter(|stat| !self.forbidden.contains(&stat.id));
        match stat.map(|stat| (stat.kind, Trouble::of(stat.kind))) {
            Some((Kind::Fifo, _)) => Verdict::Stream,
            Some((_, Some(trouble))) => Verdict::Unreadable { reason: trouble.to_string() },
            _ => self.found(path),
        }
    }

    /// Explains a path that a pattern finds.
    fn found(&mut self, path: &Path) -> Verdict {
        let not = |reason: String| Verdict::Not { reason };
        let stat = match self.fs.stat(path) {
            Ok(stat) => stat,
            Err(error) if is_missing(&error) => return Verdict::Missing,
            Err(error) if RefusedLink::of(&error).is_some() => return not(error.to_string()),
            Err(error) => return Verdict::Unreadable { reason: format!("cannot be looked at: {error}") },
        };
        if self.forbidden.contains(&stat.id) {
            return not("the output itself".into());
        }
        if let Some(first) = self.seen.get(&stat.id) {
            return not(format!("the same file as {}", first.display()));
        }
        if let Some(trouble) = Trouble::of(stat.kind) {
            return not(trouble.to_string());
        }
        let age = stat.modified.and_then(clock::age);
        if let Some(older) = self.ignore_older.filter(|older| age.is_some_and(|age| age > *older)) {
            return Verdict::SetAside { older };
        }
        if let Err(error) = self.fs.open(path) {
            return Verdict::Unreadable { reason: format!("cannot be opened: {error}") };
        }
        self.seen.insert(stat.id, path.to_owned());
        let offset = if self.start == StartAt::End { stat.size } else { 0 };
        Verdict::Follow { offset, size: stat.size, id: stat.id, notified: false }
    }
}

/// Formats a duration in the largest unit that fits.
fn told(duration: Duration) -> String {
    match (duration.as_secs(), duration.subsec_nanos()) {
        (seconds @ 1.., 0) if seconds % 3600 == 0 => format!("{}h", seconds / 3600),
        (seconds @ 1.., 0) if seconds % 60 == 0 => format!("{}m", seconds / 60),
        _ => format!("{duration:?}"),
    }
}
