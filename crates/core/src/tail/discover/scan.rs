//! One look at the directories of a pattern: what matches in them now, and what does not any more.

use std::borrow::Borrow;
use std::collections::{HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::hash::{Hash, Hasher};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use super::LISTING_SHARE;
use crate::fs::{Entry, Fs, Kind, MODIFIED_GRAIN, here, is_missing};
use crate::report::Event;
use crate::tail::descriptors::is_shortage;
use crate::tail::pattern::{Pattern, State};
use crate::tail::{TailContext, Vouch};

/// A directory is listed anew at the latest after this time, whatever it says of its last change.
const RELIST_AFTER: Duration = Duration::from_secs(10);

/// How long to wait before a directory is tried again at the end for which there was no descriptor; doubles each time.
const LAST_PAUSE_MIN: Duration = Duration::from_millis(10);
const LAST_PAUSE_MAX: Duration = Duration::from_millis(640);

/// A directory as it was when last listed.
#[derive(Debug)]
pub(super) struct Dir {
    /// Its last change by then, as far as it tells.
    modified: Option<SystemTime>,
    /// When that was.
    listed: Instant,
    /// How long listing took.
    cost: Duration,
    /// Whether it may have changed since without showing it.
    unsure: bool,
    /// What matches in it.
    pub(super) files: HashSet<ByName>,
    /// What is to be looked at below it.
    dirs: Vec<(OsString, State)>,
}

/// A path that goes by its last component.
#[derive(Debug)]
pub(super) struct ByName(pub(super) Arc<Path>);

impl Borrow<OsStr> for ByName {
    fn borrow(&self) -> &OsStr {
        self.0.file_name().unwrap_or_default()
    }
}

impl Hash for ByName {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Borrow::<OsStr>::borrow(self).hash(state);
    }
}

impl PartialEq for ByName {
    fn eq(&self, other: &Self) -> bool {
        Borrow::<OsStr>::borrow(self) == Borrow::<OsStr>::borrow(other)
    }
}

impl Eq for ByName {}

impl Dir {
    fn is_stale(&self, modified: Option<SystemTime>) -> bool {
        let age = self.listed.elapsed();
        age >= RELIST_AFTER || (self.unsure || self.has_changed(modified)) && age >= self.cost * LISTING_SHARE
    }

    fn has_changed(&self, modified: Option<SystemTime>) -> bool {
        modified.is_none() || modified != self.modified
    }
}

/// One look at all directories of a pattern.
pub(super) struct Scan<'a> {
    pattern: &'a Pattern,
    fs: &'a dyn Fs,
    excluded: &'a dyn Fn(&Path) -> bool,
    /// List each directory, whether or not it seems to have changed.
    thorough: bool,
    /// No look comes after this one.
    pub(super) last: bool,
    /// Files that match and were not known.
    pub(super) found: Vec<Arc<Path>>,
    /// Files that were known and are not there any more.
    pub(super) gone: Vec<Arc<Path>>,
    /// Directories that could not be listed.
    pub(super) failed: Vec<(PathBuf, io::Error)>,
    /// Who hints at changes.
    pub(super) watch: Option<&'a dyn Vouch>,
    /// What is watched in place of a directory that is missing.
    pub(super) above: Option<PathBuf>,
    /// Whether a directory is not watched, or could not be listed yet.
    pub(super) restless: bool,
}

impl<'a> Scan<'a> {
    pub(super) fn new(
        pattern: &'a Pattern,
        fs: &'a dyn Fs,
        excluded: &'a dyn Fn(&Path) -> bool,
        thorough: bool,
    ) -> Self {
        let (found, gone, failed) = (Vec::new(), Vec::new(), Vec::new());
        let (last, watch, above, restless) = (false, None, None, false);
        Self { pattern, fs, excluded, thorough, last, found, gone, failed, watch, above, restless }
    }

    pub(super) fn dir(&mut self, path: &Path, state: State, dirs: &mut HashMap<PathBuf, Dir>) {
        let stat = match self.fs.stat(here(path)) {
            Ok(stat) if stat.kind == Kind::Dir => stat,
            Err(error) if !is_missing(&error) => {
                // What was there before is taken to be there still.
                self.restless = true;
                return;
            }
            _ => {
                // Of those below it the directory that they are in tells.
                if let Some(watch) = self.watch.filter(|_| path == self.pattern.base()) {
                    self.above = watch_above(path, self.fs, watch);
                    self.restless |= self.above.is_none();
                }
                return self.forget(path, dirs);
            }
        };
        // Watched before it is listed, so that nothing comes between.
        if let Some(watch) = self.watch {
            self.restless |= !watch.watch_dir(path, stat.id);
        }
        let mut dir = dirs.remove(path);
        if self.thorough || dir.as_ref().is_none_or(|dir| dir.is_stale(stat.modified)) {
            dir = Some(self.list(path, state, stat.modified, dir, dirs));
        }
        let Some(dir) = dir else { return };
        self.restless |= dir.has_changed(stat.modified);
        for (name, state) in &dir.dirs {
            self.dir(&path.join(name), *state, dirs);
        }
        dirs.insert(path.to_owned(), dir);
    }

    fn list(
        &mut self,
        path: &Path,
        state: State,
        modified: Option<SystemTime>,
        old: Option<Dir>,
        known: &mut HashMap<PathBuf, Dir>,
    ) -> Dir {
        let listed = Instant::now();
        let age = modified.and_then(|modified| SystemTime::now().duration_since(modified).ok());
        let (mut files, mut dirs) = (HashSet::new(), Vec::new());
        let (mut old_files, old_dirs) = old.map_or_else(Default::default, |dir| (dir.files, dir.dirs));
        let result = list_in_time(self.fs, here(path), self.last, &mut |Entry { name, kind, .. }| {
            let mut next = self.pattern.next(state, name, kind == Kind::Link);
            let mut kind = kind;
            if self.pattern.goes_on(next) && matches!(kind, Kind::Link | Kind::Unknown) {
                kind = self.fs.stat(&path.join(name)).map_or(kind, |stat| stat.kind);
            }
            if kind == Kind::Dir {
                if self.pattern.goes_on(next) {
                    dirs.push((name.to_owned(), next));
                }
                next = self.pattern.next(state, name, true);
            }
            if kind != Kind::Dir && self.pattern.is_match(next) {
                files.extend(old_files.take(name).or_else(|| {
                    let path: Arc<Path> = path.join(name).into();
                    (!(self.excluded)(&path)).then(|| {
                        self.found.push(path.clone());
                        ByName(path)
                    })
                }));
            }
        });
        let mut unsure = age.is_none_or(|age| age < MODIFIED_GRAIN);
        match result {
            Ok(()) => {
                self.gone.extend(old_files.into_iter().map(|ByName(path)| path));
                for (name, _) in old_dirs.iter().filter(|old| !dirs.contains(old)) {
                    self.forget(&path.join(name), known);
                }
            }
            Err(error) => {
                // What was there before is taken to be there still.
                unsure = true;
                self.restless |= is_shortage(&error);
                files.extend(old_files);
                dirs = old_dirs;
                self.failed.push((path.to_owned(), error));
            }
        }
        Dir { modified, listed, cost: listed.elapsed(), unsure, files, dirs }
    }

    /// Tells what could not be listed, and at the first look, that nothing matches. `failed`: of which directories that
    /// was told before.
    pub(super) fn tell(&self, first: bool, failed: &mut HashSet<PathBuf>, cx: &TailContext) {
        for (dir, error) in &self.failed {
            let reason = format!("the directory cannot be listed: {error}");
            if cx.once || self.last {
                cx.ledger.input_failed(here(dir), &reason);
            } else if failed.insert(dir.clone()) {
                cx.ledger.tell(&Event::Refused { input: here(dir), reason: &format!("{reason}; trying again") });
            }
        }
        let input = Path::new(self.pattern.text());
        // What is a path as well may be there as such.
        if first && self.found.is_empty() && self.failed.is_empty() && self.fs.stat(input).is_err() {
            match cx.once {
                true => cx.ledger.input_failed(input, &"no file matches"),
                false => cx.ledger.tell(&Event::NoMatch { input }),
            }
        }
    }

    /// A directory that is gone, with all below it.
    fn forget(&mut self, path: &Path, dirs: &mut HashMap<PathBuf, Dir>) {
        if let Some(dir) = dirs.remove(path) {
            self.gone.extend(dir.files.into_iter().map(|ByName(path)| path));
            for (name, _) in dir.dirs {
                self.forget(&path.join(name), dirs);
            }
        }
    }
}

/// Lists a directory. If there is no descriptor for that, and no later look, it is tried again for a while.
fn list_in_time(fs: &dyn Fs, dir: &Path, last: bool, tell: &mut dyn FnMut(Entry<'_>)) -> io::Result<()> {
    let mut pause = LAST_PAUSE_MIN;
    loop {
        let mut told = false;
        let listed = fs.list(dir, &mut |entry| {
            told = true;
            tell(entry);
        });
        match listed {
            Err(error) if last && !told && is_shortage(&error) && pause <= LAST_PAUSE_MAX => thread::sleep(pause),
            listed => return listed,
        }
        pause *= 2;
    }
}

/// A directory that was looked at, and why it could not be listed, if so.
pub(in crate::tail) type Listed = (PathBuf, Option<io::Error>);

/// What a pattern finds now, in order, and the directories that it had to list.
pub(in crate::tail) fn find(pattern: &Pattern, fs: &dyn Fs) -> (Vec<Arc<Path>>, Vec<Listed>) {
    let mut scan = Scan::new(pattern, fs, &|_| false, true);
    let mut dirs = HashMap::new();
    scan.dir(pattern.base(), pattern.start(), &mut dirs);
    scan.found.sort_unstable();
    let mut listed: Vec<_> = dirs.into_keys().map(|dir| (dir, None)).collect();
    for (path, error) in scan.failed {
        listed.retain(|(dir, _)| *dir != path);
        listed.push((path, Some(error)));
    }
    listed.sort_unstable_by(|a, b| a.0.cmp(&b.0));
    (scan.found, listed)
}

/// Has it hinted at when a directory that is missing may have come: when something does in the nearest one above it.
/// Gives that one; none: the directory has to be looked for.
pub(super) fn watch_above(dir: &Path, fs: &dyn Fs, watch: &dyn Vouch) -> Option<PathBuf> {
    let is_dir = |path: &&Path| fs.stat(here(path)).is_ok_and(|stat| stat.kind == Kind::Dir);
    let mut watched = None;
    loop {
        let nearest = dir.ancestors().find(is_dir).filter(|&nearest| nearest != dir)?;
        // A nearer one may have come before this one was watched.
        if watched.replace(nearest) == Some(nearest) {
            return Some(nearest.to_owned());
        }
        let id = fs.stat(here(nearest)).ok()?.id;
        watch.watch_dir(nearest, id).then_some(())?;
    }
}
