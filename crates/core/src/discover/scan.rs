//! One scan of the directories of a pattern: which files match now, and which do not any more.

pub(crate) mod dir;

use std::collections::HashMap;
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crate::clock;
use crate::discover::cost::share;
use crate::discover::pattern::{Pattern, State};
use crate::discover::remote::Reach;
use crate::discover::scan::dir::{ByName, Dir, Failing};
use crate::follow::context::ReadContext;
use crate::fs::{Entry, Fs, Kind, MODIFIED_GRAIN, PATH_BYTES_MAX, RefusedLink, Stat, here, is_missing, is_shortage};
use crate::report::event::Event;
use crate::watch::ChangeWatch;
use crate::watch::names::{NameChange, NameNow};

/// A directory that takes longer to list is listed when it is its turn.
const LARGE: Duration = Duration::from_millis(10);

/// A directory that cannot be listed is tried again at the latest after this time; at first after a poll interval.
const TRY_AFTER_MAX: Duration = Duration::from_secs(60);

/// A directory that is tried again sooner than this is polled like one that is not watched.
const SOON: Duration = Duration::from_secs(1);

/// A directory without a descriptor for it is tried again after this time.
const SHORT_AFTER: Duration = Duration::from_millis(100);

/// At the end, a directory without a descriptor for it is tried again after this pause, which doubles each time.
const LAST_PAUSE_MIN: Duration = Duration::from_millis(10);
const LAST_PAUSE_MAX: Duration = Duration::from_millis(640);

/// How deep directories may be nested below where a pattern's wildcards begin. The system goes through all of a path
/// each time it is used, and each path is kept: the cost of nested directories grows with the square of their number.
const DEPTH_MAX: usize = 128;

/// The directories of a pattern, by their paths.
pub(crate) type Dirs = HashMap<PathBuf, Dir>;

/// A directory that is to be looked at.
pub(crate) type Next = (PathBuf, State);

impl Eq for ByName {}

/// The meaning of a directory's entry for a pattern.
enum Found {
    File,
    Dir(State),
}

/// A known directory that takes long to list and may have changed.
#[derive(Debug)]
pub(crate) struct Large {
    pub(crate) listed: Instant,
    pub(crate) path: PathBuf,
    state: State,
}

/// One scan of directories of a pattern.
pub(crate) struct Scan<'a> {
    pattern: &'a Pattern,
    fs: &'a dyn Fs,
    excluded: &'a dyn Fn(&Path) -> bool,
    /// True to list each directory, whether or not it seems to have changed.
    thorough: bool,
    /// True if no scan comes after this one.
    pub(crate) last: bool,
    /// Files that match and were not known.
    pub(crate) found: Vec<Arc<Path>>,
    /// Files that were known and are not there any more.
    pub(crate) gone: Vec<Arc<Path>>,
    /// Directories that could not be listed, of which that is to be told.
    pub(crate) failed: Vec<(PathBuf, io::Error)>,
    /// The number of times that files may have come and gone unseen.
    pub(crate) unseen: u32,
    /// True if there are paths that are too long for the system, or too deep.
    too_long: bool,
    /// The devices that it scans.
    pub(crate) reach: Reach,
    /// Other devices that it met, each with a path that leads there.
    pub(crate) elsewhere: HashMap<u64, PathBuf>,
    /// The poll interval of directories that are not watched.
    pub(crate) poll_interval: Duration,
    /// Watches directories, if the system notifies changes.
    pub(crate) watch: Option<&'a dyn ChangeWatch>,
    /// The directory that is watched in place of one that is missing.
    pub(crate) above: Option<PathBuf>,
    /// True if a directory is gone.
    pub(crate) lost: bool,
    /// True if a directory is not watched.
    pub(crate) needs_polling: bool,
    /// A directory that does not seem to have changed is listed after this time.
    pub(crate) relist: Duration,
    /// The duration of listing all scanned directories.
    pub(crate) listing: Duration,
    /// The large directory that waits, of which the last listing is the oldest.
    pub(crate) large: Option<Large>,
}

impl<'a> Scan<'a> {
    pub(crate) fn new(
        pattern: &'a Pattern,
        fs: &'a dyn Fs,
        excluded: &'a dyn Fn(&Path) -> bool,
        thorough: bool,
    ) -> Self {
        Self {
            pattern,
            fs,
            excluded,
            thorough,
            last: false,
            found: Vec::new(),
            gone: Vec::new(),
            failed: Vec::new(),
            unseen: 0,
            too_long: false,
            reach: Reach::All,
            elsewhere: HashMap::new(),
            poll_interval: SOON,
            watch: None,
            above: None,
            lost: false,
            needs_polling: false,
            relist: Duration::ZERO,
            listing: Duration::ZERO,
            large: None,
        }
    }

    /// Looks at all directories.
    pub(crate) fn all(&mut self, dirs: &mut Dirs) {
        self.some(&mut Vec::new(), None, dirs);
    }

    /// Looks at the next directories, at least at one, until then; at the first one if there are no next ones. Leaves
    /// those that are to come.
    pub(crate) fn some(&mut self, next: &mut Vec<Next>, until: Option<Instant>, dirs: &mut Dirs) {
        if next.is_empty() {
            next.push((self.pattern.base().to_owned(), self.pattern.start()));
        }
        while let Some((path, state)) = next.pop() {
            // Since it was noted it may have gone.
            if self.is_wanted(&path, state, dirs) {
                self.dir(path, state, dirs, next);
                if clock::is_over(until) {
                    return;
                }
            }
        }
    }

    /// Returns true if a path leads to a directory by what is known.
    fn is_wanted(&self, path: &Path, state: State, dirs: &Dirs) -> bool {
        let (parent, name) = (path.parent().and_then(|parent| dirs.get(parent)), path.file_name());
        path == self.pattern.base() || parent.zip(name).is_some_and(|(dir, name)| dir.dirs.get(name) == Some(&state))
    }

    /// Lists a large directory, whose turn it is.
    pub(crate) fn large(&mut self, large: Large, dirs: &mut Dirs) {
        self.thorough = true;
        let mut below = Vec::new();
        self.dir(large.path, large.state, dirs, &mut below);
        self.thorough = false;
        for (path, state) in below {
            self.below(&path, state, dirs);
        }
    }

    /// Returns the device that a path leads to, if that is remote, and notes it if it is another one's to look at.
    fn device(&mut self, path: &Path) -> Option<u64> {
        let device = self.fs.remote_device(here(path))?;
        if !self.reach.has(Some(device)) {
            self.elsewhere.entry(device).or_insert_with(|| path.to_owned());
        }
        Some(device)
    }

    /// Returns true if this scan, and not that of another device, decides about a path.
    fn is_ours(&mut self, path: &Path) -> bool {
        let device = self.device(path);
        self.reach.has(device)
    }

    /// Handles a change of a name as a listing of its directory would.
    pub(crate) fn name(&mut self, change: &NameChange, dirs: &mut Dirs) {
        let NameChange { dir: parent, name, what } = change;
        let Some(dir) = dirs.get(&**parent) else { return };
        let path = parent.join(name);
        let found = match what {
            NameNow::Nothing if !dir.files.contains(&**name) && !dir.dirs.contains_key(name) => return,
            // It has come back, which is told, too. A link that leads nowhere is a name as well.
            NameNow::Nothing if self.fs.remote_device(&path).is_some() => return,
            NameNow::Nothing if self.fs.is_link(&path) || self.fs.stat(&path).is_ok() => return,
            NameNow::Nothing => None,
            NameNow::Dir => self.entry(parent, dir.state, name, Kind::Dir),
            // Or a link to a directory, as far as the system tells.
            NameNow::File => self.entry(parent, dir.state, name, Kind::Link),
        };
        let Some(dir) = dirs.get_mut(&**parent) else { return };
        match found {
            Some(Found::File) if dir.files.contains(&**name) => {}
            Some(Found::File) => dir.files.extend(self.file(parent, name)),
            _ => self.gone.extend(dir.files.take(&**name).map(|ByName(path)| path)),
        }
        if let Some(Found::Dir(state)) = found {
            dir.dirs.insert(name.clone(), state);
            if let Some(dir) = dirs.get_mut(&path).filter(|dir| clock::since(dir.listed) >= dir.cost * share(true)) {
                // It may be allowed now.
                dir.failing.iter_mut().for_each(|failing| failing.again = clock::now());
            }
            self.below(&path, state, dirs);
        } else if dir.dirs.remove(name).is_some()
            && let Some((path, dir)) = dirs.remove_entry(&path)
        {
            self.forget(path, dir, dirs);
        }
    }

    /// Scans a directory and those below it. It does not recurse, since they may be nested deep.
    fn below(&mut self, path: &Path, state: State, dirs: &mut Dirs) {
        let mut next = vec![(path.to_owned(), state)];
        while let Some((path, state)) = next.pop() {
            self.dir(path, state, dirs, &mut next);
        }
    }

    /// Scans a directory, and adds those below it to `next`.
    fn dir(&mut self, path: PathBuf, state: State, dirs: &mut Dirs, next: &mut Vec<(PathBuf, State)>) {
        let known = dirs.remove(&path);
        let device = self.device(&path);
        if !self.reach.allows(device) {
            if let Some(dir) = known {
                self.forget(path, dir, dirs);
            }
            return;
        }
        let mut dir = match known {
            Some(dir) if dir.is_left_alone() && !self.thorough => {
                self.needs_polling |= dir.failing.is_some_and(|failing| failing.wait < SOON);
                dir
            }
            known => match self.fs.stat(here(&path)) {
                Ok(stat) if stat.kind == Kind::Dir => self.there(&path, state, &stat, known, dirs),
                Err(error) if !is_missing(&error) => {
                    // What was there before is taken to be there still.
                    let mut dir = known.unwrap_or_else(|| Dir::new(state));
                    self.fail(&path, &mut dir, error);
                    dir
                }
                _ => return self.missing(&path, known, dirs),
            },
        };
        dir.state = state;
        self.listing += dir.cost;
        next.extend(dir.dirs.iter().map(|(name, state)| (path.join(name), *state)));
        dirs.insert(path, dir);
    }

    /// Handles a directory that is there: lists it if need be.
    fn there(&mut self, path: &Path, state: State, stat: &Stat, known: Option<Dir>, dirs: &mut Dirs) -> Dir {
        // Watched before it is listed, so that nothing comes between.
        let watched = self.watch.is_some_and(|watch| watch.watch_dir(path, stat.id));
        let dir = match known {
            Some(dir) if dir.id == Some(stat.id) && dir.failing.is_none() && !self.thorough => {
                let stale = dir.is_stale(stat, watched, self.relist);
                if stale && dir.cost < LARGE {
                    self.list(path, state, stat, Some(dir), dirs)
                } else {
                    if stale && self.large.as_ref().is_none_or(|large| dir.listed < large.listed) {
                        self.large = Some(Large { listed: dir.listed, path: path.to_owned(), state });
                    }
                    dir
                }
            }
            known => self.list(path, state, stat, known, dirs),
        };
        // One that cannot be listed can seldom be watched.
        self.needs_polling |= !watched && dir.failing.is_none();
        dir
    }

    /// Handles a directory that is missing.
    fn missing(&mut self, path: &Path, known: Option<Dir>, dirs: &mut Dirs) {
        // Of those below it the directory that they are in tells.
        if let Some(watch) = self.watch.filter(|_| path == self.pattern.base()) {
            self.above = watch_above(path, self.fs, watch);
            self.needs_polling |= self.above.is_none();
        }
        // The directory that it is in told of it; that one is asked again, lest this one is not missing at all.
        if let (Some(parent), Some(name)) = (path.parent().and_then(|parent| dirs.get_mut(parent)), path.file_name())
            && parent.dirs.remove(name).is_some()
        {
            parent.unsure = true;
            self.unseen += u32::from(known.is_none() && self.is_ours(path));
        }
        if let Some(dir) = known {
            self.forget(path.to_owned(), dir, dirs);
        }
    }

    fn list(&mut self, path: &Path, state: State, stat: &Stat, old: Option<Dir>, known: &mut Dirs) -> Dir {
        let mut dir = Dir::new(state);
        let age = stat.modified.and_then(clock::age);
        dir.unsure = age.is_none_or(|age| age < MODIFIED_GRAIN);
        (dir.id, dir.modified) = (Some(stat.id), stat.modified);
        let mut old = old.unwrap_or_else(|| Dir::new(state));
        dir.told = old.told;
        let (fs, last) = (self.fs, self.last);
        let result = list_in_time(fs, here(path), last, &mut |Entry { name, kind, .. }| match self
            .entry(path, state, name, kind)
        {
            Some(Found::File) => {
                let file = old.files.take(name).or_else(|| self.file(path, name));
                dir.files.extend(file);
            }
            Some(Found::Dir(state)) => drop(dir.dirs.insert(name.to_owned(), state)),
            None => {}
        });
        let took = clock::since(dir.listed);
        // One listing may be held up by something else, such as a busy processor; two in a row seldom are.
        dir.cost = took.min(old.took.unwrap_or(LARGE / 2));
        dir.took = Some(took);
        match result {
            Ok(()) => {
                self.gone.extend(old.files.into_iter().map(|ByName(path)| path));
                for (name, _) in old.dirs.iter().filter(|(name, state)| dir.dirs.get(*name) != Some(*state)) {
                    if let Some((path, dir)) = known.remove_entry(&path.join(name)) {
                        self.forget(path, dir, known);
                    }
                }
            }
            Err(error) => {
                // What was there before is taken to be there still.
                dir.files.extend(old.files);
                dir.dirs = old.dirs;
                dir.failing = old.failing;
                self.fail(path, &mut dir, error);
            }
        }
        dir
    }

    /// Returns the meaning of an entry, or of what it leads to, for the pattern.
    fn entry(&mut self, dir: &Path, state: State, name: &OsStr, kind: Kind) -> Option<Found> {
        let direct = self.pattern.next(state, name, false);
        let (mut below, mut is_dir) = (direct, kind == Kind::Dir);
        if matches!(kind, Kind::Link | Kind::Unknown) && self.pattern.goes_on(direct) {
            let linked = self.pattern.next(state, name, true);
            if kind == Kind::Unknown || self.pattern.goes_on(linked) {
                let path = dir.join(name);
                let device = self.device(&path);
                if !self.reach.allows(device) {
                    return None;
                }
                is_dir = match self.fs.stat(&path) {
                    Ok(stat) => stat.kind == Kind::Dir,
                    // That is told when it is looked at.
                    Err(error) => RefusedLink::of(&error).is_some_and(|link| link.is_dir),
                };
                if kind == Kind::Link || self.fs.is_link(&path) {
                    below = linked;
                }
            }
        }
        let found = match is_dir {
            true => self.pattern.goes_on(below).then_some(Found::Dir(below)),
            false => self.pattern.is_match(direct).then_some(Found::File),
        }?;
        let too_deep = is_dir && depth(dir) >= depth(self.pattern.base()) + DEPTH_MAX;
        if too_deep || dir.as_os_str().len() + name.len() >= PATH_BYTES_MAX {
            self.too_long |= self.is_ours(dir);
            return None;
        }
        Some(found)
    }

    /// Adds a file that matches and was not known.
    fn file(&mut self, dir: &Path, name: &OsStr) -> Option<ByName> {
        let path: Arc<Path> = dir.join(name).into();
        if (self.excluded)(&path) || !self.is_ours(&path) {
            return None;
        }
        self.found.push(path.clone());
        Some(ByName(path))
    }

    /// Records that a directory could not be read or listed.
    fn fail(&mut self, path: &Path, dir: &mut Dir, error: io::Error) {
        let wait = match dir.failing {
            // That has nothing to do with this one, and passes.
            _ if is_shortage(&error) => SHORT_AFTER,
            Some(Failing { wait, .. }) => (wait * 2).min(TRY_AFTER_MAX),
            None => self.poll_interval,
        };
        self.needs_polling |= wait < SOON;
        let is_ours = self.is_ours(path);
        // What comes and goes in it meanwhile is not seen, unless it is not to be.
        let is_wanted = is_ours && RefusedLink::of(&error).is_none();
        self.unseen += u32::from(dir.failing.is_none() && !self.last && is_wanted);
        dir.failing = Some(Failing { again: clock::now() + wait, wait });
        dir.unsure = true;
        if (!std::mem::replace(&mut dir.told, true) || self.last) && is_ours {
            self.failed.push((path.to_owned(), error));
        }
    }

    /// Forgets a directory that is gone, with all below it.
    fn forget(&mut self, path: PathBuf, dir: Dir, dirs: &mut Dirs) {
        self.lost = true;
        let mut gone = vec![(path, dir)];
        while let Some((path, dir)) = gone.pop() {
            self.gone.extend(dir.files.into_iter().map(|ByName(path)| path));
            gone.extend(dir.dirs.into_keys().filter_map(|name| dirs.remove_entry(&path.join(name))));
        }
    }
}

impl Scan<'_> {
    /// Emits what could not be scanned.
    pub(crate) fn tell(&mut self, told_too_long: &mut bool, cx: &ReadContext) {
        let refuse = |input: &Path, reason: &str, done: &str, failed| match failed {
            true => cx.ledger.input_failed(input, &reason),
            false => cx.ledger.emit(&Event::Refused { input: input.to_owned(), reason: format!("{reason}; {done}") }),
        };
        for (dir, error) in &self.failed {
            if let Some(link) = RefusedLink::of(error) {
                cx.ledger.emit(&Event::Refused { input: here(dir).to_owned(), reason: link.to_string() });
                continue;
            }
            let last = cx.settings.once || self.last;
            refuse(here(dir), &format!("the directory cannot be listed: {error}"), "trying again", last);
        }
        (0..self.unseen).for_each(|_| cx.ledger.possible_loss_unseen());
        if self.too_long && !std::mem::replace(told_too_long, true) {
            let reason =
                format!("there are paths in it of more than {PATH_BYTES_MAX} bytes or {DEPTH_MAX} nested directories");
            refuse(here(self.pattern.base()), &reason, "they are left alone", cx.settings.once);
        }
    }

    /// Emits that nothing matches, unless the reason was emitted.
    pub(crate) fn tell_no_match(&self, cx: &ReadContext) {
        let input = Path::new(self.pattern.text());
        let is_ours = self.reach.has(self.fs.remote_device(here(self.pattern.base())));
        if self.found.is_empty() && self.failed.is_empty() && self.elsewhere.is_empty() && is_ours {
            match cx.settings.once {
                true => cx.ledger.input_failed(input, &"no file matches"),
                false => cx.ledger.emit(&Event::NoMatch { input: input.to_owned() }),
            }
        }
    }
}

/// Counts the directories that a path leads through.
fn depth(path: &Path) -> usize {
    path.as_os_str().as_bytes().iter().filter(|byte| **byte == b'/').count()
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

/// A scanned directory, and the error if it could not be listed.
pub(crate) type Listed = (PathBuf, Option<io::Error>);

/// Returns the files that match a pattern now on some devices, in order, and the directories that were listed.
pub(crate) fn find(pattern: &Pattern, fs: &dyn Fs, reach: Reach) -> (Vec<Arc<Path>>, Vec<Listed>) {
    let mut scan = Scan::new(pattern, fs, &|_| false, true);
    scan.reach = reach;
    let mut dirs = Dirs::new();
    scan.all(&mut dirs);
    scan.found.sort_unstable();
    let mut listed: Vec<_> = dirs.into_keys().map(|dir| (dir, None)).collect();
    for (path, error) in scan.failed {
        listed.retain(|(dir, _)| *dir != path);
        listed.push((path, Some(error)));
    }
    listed.sort_unstable_by(|a, b| a.0.cmp(&b.0));
    (scan.found, listed)
}

/// Watches the nearest directory above one that is missing. Returns it; none if the missing directory has to be polled.
pub(crate) fn watch_above(dir: &Path, fs: &dyn Fs, watch: &dyn ChangeWatch) -> Option<PathBuf> {
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

#[cfg(test)]
mod tests;
