//! Finds the files: named paths, and patterns that are scanned again and again.
//!
//! A directory is listed again only when it has changed, so that a hundred thousand names in one cost nothing while
//! they stay the same. The shards get a message for each path that is found or gone.

pub(crate) mod aliases;
pub(crate) mod before_start;
pub(crate) mod command;
pub(crate) mod cost;
pub(crate) mod explain;
pub(crate) mod pattern;
pub(crate) mod remote;
pub(crate) mod run;
pub(crate) mod scan;
pub(crate) mod spec;

use std::any::Any;
use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_channel::Sender;

use crate::clock;
use crate::discover::aliases::Aliases;
use crate::discover::command::{Command, Related, Request};
use crate::discover::cost::{Cost, share};
use crate::discover::pattern::PatternError;
use crate::discover::remote::{Order, Reach, Remotes};
use crate::discover::scan::dir::ByName;
use crate::discover::scan::{Dirs, Large, Next, Scan, watch_above};
use crate::discover::spec::Spec;
use crate::follow::context::{ReadContext, StartAt};
use crate::fs::{here, is_missing};
use crate::report::event::Event;
use crate::source::tailer::TailError;
use crate::watch::names::{NameChange, Names};

/// A step of a scan takes at most this long, except for listing one directory: as long as one that is not large.
const STEP_MAX: Duration = Duration::from_millis(5);

/// A scan that only makes sure, where everything is watched and nothing seems to have changed, takes so much less of
/// the time.
const CALM_FACTOR: u32 = 4;

/// Handling names that the system has notified takes at most one part in so many of the time.
const NAMES_SHARE: u32 = 10;

/// The longest rest between two scans that take little time.
const REST_MAX: Duration = Duration::from_secs(5);

/// The shortest rest between two scans.
const REST_MIN: Duration = Duration::from_millis(5);

/// So many bytes of paths that are gone are remembered, in case they come back.
const FORMER_BYTES_MAX: usize = 2 * 1024 * 1024;

/// Finds files and hands them to shards.
#[derive(Debug)]
pub(crate) struct Discovery {
    cx: ReadContext,
    followed: Vec<Followed>,
    /// All paths that are found.
    found: HashMap<Arc<Path>, Found>,
    /// The directories of named paths.
    parents: HashSet<PathBuf>,
    /// Directories that are watched for what is missing below them.
    above: HashSet<PathBuf>,
    /// The shard of each path that is gone. If the path comes back, its older files may still be read there, and come
    /// first.
    former_shards: HashMap<Arc<Path>, usize>,
    /// The number of bytes of these paths, without those that have come back.
    former_bytes: usize,
    aliases: Aliases,
    /// The devices that it scans.
    reach: Reach,
    /// The readers of the other devices, if there are any.
    remotes: Option<Remotes>,
    shards: Vec<Sender<Command>>,
    next_shard: usize,
    /// The place to begin in files that the first scan finds.
    start: StartAt,
    /// True once the first scan is over.
    scanned: bool,
    /// Names that the system has notified.
    names: Arc<Names>,
    /// True if anything may have changed since the last scan.
    changed: bool,
    /// True if something may be watched at a path that it has left.
    lost: bool,
    /// True if a directory is not watched.
    needs_polling: bool,
    /// The scan under way.
    walk: Option<Walk>,
    /// The durations of scans that are made at once.
    cost: Cost,
    /// The duration of the last scan, or the last step of one, and its end.
    took: Duration,
    over: Instant,
    /// The duration of handling names.
    names_cost: Cost,
    /// The time when the next large directory may be listed.
    large_due: Instant,
}

/// A scan, which is made in steps where there is much to look at.
#[derive(Debug, Default)]
struct Walk {
    /// The index of the current input.
    at: usize,
    steps: Steps,
    /// What is known by it so far, as discovery knows it from the last one.
    needs_polling: bool,
    above: HashSet<PathBuf>,
    /// Of the large directories that wait, the one that was listed first, and by which input.
    large: Option<(usize, Large)>,
    /// True after the first step.
    goes_on: bool,
    /// True if something had changed when it began.
    changed: bool,
}

/// The directories of a pattern that are left in a scan.
#[derive(Debug, Default)]
struct Steps {
    next: Vec<Next>,
    /// The time that listing took so far.
    listing: Duration,
}

/// A path that inputs find.
#[derive(Debug)]
struct Found {
    /// The number of inputs that find it.
    count: usize,
    /// The index of its shard.
    shard: usize,
}

/// An input, and the paths that it finds.
#[derive(Debug)]
struct Followed {
    spec: Spec,
    dirs: Dirs,
    scanned: bool,
    /// The time that listing all its directories takes.
    listing: Duration,
    /// True once it was told that a path is too long.
    told_too_long: bool,
    /// The remote devices whose readers follow it.
    elsewhere: HashSet<u64>,
}

impl Discovery {
    pub(crate) fn new(
        cx: ReadContext,
        specs: Vec<Spec>,
        start: StartAt,
        shards: Vec<Sender<Command>>,
        names: Arc<Names>,
    ) -> Self {
        let followed = specs.into_iter().map(Followed::new).collect();
        let (found, former_shards) = (HashMap::new(), HashMap::new());
        let (parents, above) = (HashSet::new(), HashSet::new());
        let mut discovery = Self {
            cx,
            followed,
            found,
            parents,
            above,
            former_shards,
            former_bytes: 0,
            aliases: Aliases::default(),
            reach: Reach::Local,
            remotes: None,
            shards,
            next_shard: 0,
            start,
            scanned: false,
            names,
            changed: false,
            lost: false,
            needs_polling: false,
            walk: None,
            cost: Cost::default(),
            took: Duration::ZERO,
            over: clock::now(),
            names_cost: Cost::default(),
            large_due: clock::now(),
        };
        discovery.note_parents();
        discovery
    }

    /// Leaves the files of remote devices to their readers.
    pub(crate) fn with_remotes(self, remotes: Remotes) -> Self {
        Self { remotes: Some(remotes), ..self }
    }

    /// Scans only the remote devices of its orders.
    pub(crate) fn of_remotes(self) -> Self {
        // The first scan is for who gives the orders.
        Self { reach: Reach::Remote(Vec::new()), start: StartAt::Start, scanned: true, ..self }
    }

    /// Obeys an order of the discovery of local files.
    pub(crate) fn obey(&mut self, order: Order) {
        match order {
            Order::Follow { device, spec, start, present } => {
                if let Reach::Remote(devices) = &mut self.reach {
                    devices.retain(|known| *known != device);
                    devices.push(device);
                }
                let (at, _) = self.add(spec);
                (self.start, self.scanned) = (start, !present);
                // Otherwise the last scan is the first.
                if !self.cx.settings.once {
                    self.scan_one(at, &mut Steps::default(), None, false);
                    (self.start, self.scanned) = (StartAt::Start, true);
                }
            }
            Order::Unfollow(input) => self.unfollow(&input),
        }
    }

    /// Makes the reader of a remote device, to which a path leads, follow an input there.
    fn leave_to(&mut self, at: usize, device: u64, path: &Path) {
        let (Some(remotes), followed) = (&mut self.remotes, &mut self.followed[at]) else { return };
        if followed.elsewhere.insert(device) {
            let (spec, start, present) = (followed.spec.clone(), self.start, !self.scanned);
            remotes.follow(path, self.cx.watch.is_some(), Order::Follow { device, spec, start, present });
        }
    }

    fn note_parents(&mut self) {
        let paths = self.followed.iter().filter_map(|followed| followed.spec.path());
        self.parents = paths.filter_map(Path::parent).map(Path::to_owned).collect();
    }

    /// Returns how long after a scan the next one is due, given the poll interval.
    fn scan_after(&self, every: Duration) -> Duration {
        let watched = self.cx.watch.is_some() && !self.needs_polling;
        let is_changed = self.changed || self.walk.as_ref().is_some_and(|walk| walk.changed);
        let factor = if watched && !is_changed { CALM_FACTOR } else { 1 };
        let least = (self.took * share(watched) * factor).max(REST_MIN);
        match self.changed || self.walk.is_some() {
            true => least,
            false => least.max(if watched { every.max(REST_MAX) } else { every }),
        }
    }

    /// Returns the shortest and the longest rest before the next call.
    pub(crate) fn rest(&self, every: Duration) -> (Duration, Duration) {
        let least = (self.names_cost.least() * NAMES_SHARE).max(REST_MIN);
        (least, self.scan_after(every).saturating_sub(clock::since(self.over)).max(least))
    }

    /// Returns true if it scans only once.
    pub(crate) fn is_once(&self) -> bool {
        self.cx.settings.once
    }

    /// Handles names that the system has notified, and scans if that is due, or `last`. Returns true if the shards have
    /// new messages.
    pub(crate) fn scan_if_due(&mut self, every: Duration, last: bool) -> bool {
        let (changes, others) = self.names.take();
        self.changed |= others;
        let news = self.take_on(&changes);
        if last || !self.scanned {
            return self.scan(last) || news;
        }
        clock::since(self.over) >= self.scan_after(every) && self.step(last, Some(clock::now() + STEP_MAX)) || news
    }

    /// Handles changes of names as a scan would.
    fn take_on(&mut self, changes: &[NameChange]) -> bool {
        let (mut news, began) = (false, clock::now());
        // What is waited for may be below it.
        self.changed |= changes.iter().any(|change| self.above.contains(&*change.dir));
        for at in 0..self.followed.len() {
            if !changes.is_empty() {
                news |=
                    self.search(at, false, |scan, dirs| changes.iter().for_each(|change| scan.name(change, dirs))).0;
            }
        }
        self.names_cost.note(clock::since(began));
        news
    }

    /// Scans everything; the last time, each directory is listed. Returns true if the shards have new messages.
    pub(crate) fn scan(&mut self, last: bool) -> bool {
        self.walk = None;
        self.step(last, None)
    }

    /// Continues or begins a scan, until a deadline. Returns true if the shards have new messages.
    fn step(&mut self, last: bool, until: Option<Instant>) -> bool {
        let (mut news, began) = (false, clock::now());
        if self.walk.is_none() {
            let changed = std::mem::take(&mut self.changed);
            self.walk = Some(Walk { changed, ..Walk::default() });
            self.watch_parents();
        }
        while let Some(walk) = self.walk.as_mut().filter(|walk| walk.at < self.followed.len()) {
            let (at, mut steps) = (walk.at, std::mem::take(&mut walk.steps));
            let (some, waits) = self.scan_one(at, &mut steps, until, last);
            news |= some;
            let Some(walk) = &mut self.walk else { break };
            let first = |waits: &Large| walk.large.as_ref().is_none_or(|(_, large)| waits.listed < large.listed);
            if let Some(waits) = waits.filter(first) {
                walk.large = Some((at, waits));
            }
            if !steps.next.is_empty() {
                (walk.steps, walk.goes_on) = (steps, true);
                (self.over, self.took) = (clock::now(), clock::since(began).min(STEP_MAX));
                return news;
            }
            walk.at += 1;
        }
        news | self.walked(began)
    }

    /// Ends a scan after its last step. Returns true if the shards have new messages.
    fn walked(&mut self, began: Instant) -> bool {
        let Some(walk) = self.walk.take() else { return false };
        self.needs_polling = walk.needs_polling;
        let above = std::mem::replace(&mut self.above, walk.above);
        if std::mem::take(&mut self.lost) || !above.is_subset(&self.above) {
            self.leave_dirs();
        }
        // The first one is never again.
        if self.scanned && !walk.goes_on {
            self.cost.note(clock::since(began));
        }
        self.took = if walk.goes_on { clock::since(began).min(STEP_MAX) } else { self.cost.least() };
        let mut news = false;
        if !self.scanned {
            news = self.join_left();
        }
        (self.start, self.scanned) = (StartAt::Start, true);
        if let Some((at, large)) = walk.large.filter(|_| clock::now() >= self.large_due) {
            let began = clock::now();
            news |= self.search(at, false, |scan, dirs| scan.large(large, dirs)).0;
            let watched = self.cx.watch.is_some() && !self.needs_polling;
            self.large_due = clock::now() + clock::since(began) * share(watched);
        }
        self.over = clock::now();
        news
    }

    /// Makes shards look for the files that an earlier merge has left at paths where there is none now. Returns true if
    /// there are any.
    fn join_left(&mut self) -> bool {
        let matches = |path: &Path| {
            let patterns = self.followed.iter().filter_map(|followed| followed.spec.pattern());
            patterns.into_iter().any(|pattern| pattern.matches(path)) && self.cx.excludes.excluding(path).is_none()
        };
        let is_missing = |path: &PathBuf| !self.found.contains_key(path.as_path()) && matches(path);
        let left: Vec<Arc<Path>> =
            self.cx.registry.kept_paths().into_iter().filter(is_missing).map(Into::into).collect();
        left.iter().for_each(|path| self.join(path.clone(), false));
        let any = !left.is_empty();
        self.lose(left, |path| Command::Gone(path.clone()));
        any
    }

    /// Records whether a directory is not watched.
    fn note_polling(&mut self, needs_polling: bool) {
        self.needs_polling |= needs_polling;
        self.walk.iter_mut().for_each(|walk| walk.needs_polling |= needs_polling);
    }

    /// Records a directory that is watched for one that is missing below it.
    fn note_above(&mut self, above: Option<PathBuf>) {
        self.walk.iter_mut().for_each(|walk| walk.above.extend(above.clone()));
        self.above.extend(above);
    }

    /// Watches the directories of named paths.
    fn watch_parents(&mut self) {
        let Some(watch) = self.cx.watch.clone() else { return };
        for dir in self.parents.clone() {
            let dir = &dir;
            if self.cx.fs.remote_device(here(dir)).is_some() {
                continue;
            }
            match self.cx.fs.stat(here(dir)) {
                Ok(stat) => self.note_polling(!watch.watch_dir(dir, stat.id)),
                Err(error) if is_missing(&error) => {
                    let above = watch_above(dir, &*self.cx.fs, &*watch);
                    self.note_polling(above.is_none());
                    self.note_above(above);
                }
                Err(_) => {}
            }
        }
    }

    /// Scans for one input. Returns true if the shards have new messages, and the large directory that waits.
    fn scan_one(&mut self, at: usize, steps: &mut Steps, until: Option<Instant>, last: bool) -> (bool, Option<Large>) {
        let followed = &mut self.followed[at];
        let first = !std::mem::replace(&mut followed.scanned, true);
        if let Spec::Path(path) = &followed.spec {
            let path = path.clone();
            let remote = self.remotes.as_ref().and_then(|_| self.cx.fs.remote_device(&path));
            match remote {
                Some(device) if first => self.leave_to(at, device, &path),
                None if first => {
                    self.aliases.refresh();
                    self.join(path, true);
                }
                _ => {}
            }
            return (first, None);
        }
        let (cx, until) = (first.then(|| self.cx.clone()), until.filter(|_| !first));
        let scanned = self.search(at, last, |scan, dirs| {
            scan.last = last;
            scan.some(&mut steps.next, until, dirs);
            cx.iter().for_each(|cx| scan.tell_no_match(cx));
            steps.listing += scan.listing;
        });
        if steps.next.is_empty() {
            self.followed[at].listing = std::mem::take(&mut steps.listing);
        }
        scanned
    }

    /// Scans directories of a pattern, and sends the results to the shards. Returns true if there were any, and the
    /// large directory that waits.
    fn search(
        &mut self,
        at: usize,
        thorough: bool,
        look: impl FnOnce(&mut Scan<'_>, &mut Dirs),
    ) -> (bool, Option<Large>) {
        let Followed { spec, dirs, listing, told_too_long, .. } = &mut self.followed[at];
        let Spec::Pattern(pattern) = spec else { return (false, None) };
        let excluded = |path: &Path| self.cx.excludes.excluding(path).is_some();
        let mut scan = Scan::new(pattern, &*self.cx.fs, &excluded, thorough);
        scan.watch = self.cx.watch.as_deref();
        scan.poll_interval = self.cx.settings.poll_interval;
        scan.reach = self.reach.clone();
        scan.relist = *listing * share(scan.watch.is_some());
        look(&mut scan, dirs);
        scan.tell(told_too_long, &self.cx);
        self.lost |= scan.lost;
        let (needs_polling, above) = (scan.needs_polling, scan.above.take());
        let (mut found, gone, large, elsewhere) = (scan.found, scan.gone, scan.large, scan.elsewhere);
        self.note_polling(needs_polling);
        self.note_above(above);
        for (device, path) in elsewhere {
            self.leave_to(at, device, &path);
        }
        let news = !found.is_empty() || !gone.is_empty();
        // Files that come together are often of one size and speed: deal them out evenly.
        found.sort_unstable();
        self.aliases.refresh();
        for path in found {
            self.join(path, false);
        }
        self.lose(gone, |path| Command::Gone(path.clone()));
        (news, large)
    }

    /// Records that one more input finds a path. The first one makes a shard follow it.
    fn join(&mut self, path: Arc<Path>, named: bool) {
        let alias_of = self.aliases.alias_of(&path, &*self.cx.fs);
        if let Some(found) = self.found.get_mut(&path) {
            found.count += 1;
            return;
        }
        let base = base(&path, &self.found);
        let alias_of = alias_of.and_then(|alias_of| self.found.get_key_value(&*alias_of));
        // Files that have to do with each other go to one shard.
        let related = base.or(alias_of).map(|(_, found)| found.shard);
        let shard = self.former_shards.remove(&path).or(related).unwrap_or_else(|| {
            self.next_shard = (self.next_shard + 1) % self.shards.len();
            self.next_shard
        });
        let [base, alias_of] = [base, alias_of].map(|related| related.map(|(path, _)| path.clone()));
        self.found.insert(path.clone(), Found { count: 1, shard });
        let related = (base.is_some() || alias_of.is_some()).then_some(Related { base, alias_of });
        tell(&self.shards[shard], Command::Add { path, named, start: self.start, present: !self.scanned, related });
    }

    /// Records that one input less finds these paths.
    fn lose(&mut self, paths: Vec<Arc<Path>>, command: impl Fn(&Arc<Path>) -> Command) {
        for path in paths {
            let Some(found) = self.found.get_mut(&path) else { continue };
            found.count -= 1;
            if found.count == 0 {
                let shard = found.shard;
                self.found.remove(&path);
                tell(&self.shards[shard], command(&path));
                self.former_bytes += path.as_os_str().len();
                if self.former_bytes > FORMER_BYTES_MAX {
                    self.former_shards.clear();
                    self.former_bytes = path.as_os_str().len();
                }
                self.former_shards.insert(path, shard);
            }
        }
    }

    /// Emits a panic, which only the host's code can cause.
    fn failed(&self, panic: &(dyn Any + Send)) -> TailError {
        let error = TailError::panicked(panic);
        self.cx.ledger.emit(&Event::Failed { name: "tailmerge: discovery".to_owned(), reason: error.to_string() });
        error
    }

    /// Serves a request.
    fn serve(&mut self, request: Request) {
        let (reply, done) = match request {
            Request::Follow { input, reply } => (reply, self.follow(&input)),
            Request::Unfollow { input, reply } => {
                self.unfollow(&input);
                (reply, Ok(()))
            }
        };
        reply.try_send(done).ok(); // The host may have stopped waiting.
    }

    fn follow(&mut self, input: &OsStr) -> Result<(), PatternError> {
        if let (at, true) = self.add(Spec::new(input, &*self.cx.fs)?) {
            self.scan_one(at, &mut Steps::default(), None, false);
        }
        Ok(())
    }

    /// Adds an input. Returns its index, and true if it is new.
    fn add(&mut self, spec: Spec) -> (usize, bool) {
        let same = |known: &Spec| known.text() == spec.text() && known.path().is_some() == spec.path().is_some();
        if let Some(at) = self.followed.iter().position(|followed| same(&followed.spec)) {
            return (at, false);
        }
        self.followed.push(Followed::new(spec));
        self.note_parents();
        (self.followed.len() - 1, true)
    }

    fn unfollow(&mut self, input: &OsStr) {
        let (out, kept): (Vec<_>, _) = self.followed.drain(..).partition(|followed| followed.spec.text() == input);
        self.followed = kept;
        // They have other places now.
        self.changed |= self.walk.take().is_some();
        self.remotes.iter().for_each(|remotes| remotes.unfollow(input));
        for followed in out {
            let files = followed.dirs.into_values().flat_map(|dir| dir.files).map(|ByName(path)| path);
            let path = match followed.spec {
                Spec::Path(path) => Some(path),
                Spec::Pattern(_) => None,
            };
            self.lose(files.chain(path).collect(), |path| Command::Remove(path.clone()));
        }
        self.note_parents();
        self.leave_dirs();
    }

    /// Stops watching what is not needed any more.
    fn leave_dirs(&self) {
        if let Some(watch) = &self.cx.watch {
            let listed = |path: &Path| self.followed.iter().any(|followed| followed.dirs.contains_key(path));
            let named = |path: &Path| self.parents.contains(path) || self.above.contains(path);
            watch.retain(&|path| listed(path) || named(path) || self.found.contains_key(path));
        }
    }
}

/// Returns the found path that the name of `path` extends, as `app.log.1` and `app.log-20260101` extend `app.log`. Such
/// files are related, and go to one shard.
fn base<'a>(path: &Path, found: &'a HashMap<Arc<Path>, Found>) -> Option<(&'a Arc<Path>, &'a Found)> {
    let bytes = path.as_os_str().as_bytes();
    let name = bytes.len() - path.file_name()?.len();
    let ends = (name + 1..bytes.len()).rev().filter(|&at| b".-_~".contains(&bytes[at]));
    ends.map(|end| Path::new(OsStr::from_bytes(&bytes[..end]))).find_map(|base_input| found.get_key_value(base_input))
}

/// Sends a message to a shard; one that is gone needs none.
fn tell(shard: &Sender<Command>, command: Command) {
    shard.try_send(command).ok(); // It may have ended.
}

impl Followed {
    fn new(spec: Spec) -> Self {
        let (dirs, elsewhere) = (Dirs::new(), HashSet::new());
        Self { spec, dirs, scanned: false, listing: Duration::ZERO, told_too_long: false, elsewhere }
    }
}

#[cfg(test)]
mod tests;
