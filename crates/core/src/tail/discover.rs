//! Finding the files: named paths, and patterns looked at again and again.
//!
//! A directory is listed anew only when it has changed, so that a hundred thousand names in one cost
//! nothing while they stay the same. What is found or gone is told to the shards.

mod scan;

use std::any::Any;
use std::collections::{HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_channel::{Receiver, Sender};
use futures_lite::future::or;

pub(super) use self::scan::find;
use self::scan::{ByName, Dir, Scan, watch_above};
use super::pattern::{Pattern, is_pattern};
use super::twins::Twins;
use super::{Command, Excludes, Kin, PatternError, StartAt, TailContext, TailError};
use crate::backend::Backend;
use crate::fs::{Fs, here, is_missing};
use crate::lock::lock;
use crate::own_thread::mark;
use crate::report::Event;
use crate::stop::{Stage, Stop};
use crate::wake::Wake;

/// Listing a directory that changes all the time takes at most one part in this many of the time.
const LISTING_SHARE: u32 = 10;

/// How long to rest at most, whatever the system hints at.
const REST_MAX: Duration = Duration::from_secs(5);

/// How long to rest at least, whatever it hints at.
const REST_MIN: Duration = Duration::from_millis(5);

/// How many paths that are gone are remembered, in case they come back.
const HOMES_MAX: usize = 16 * 1024;

/// What a user asks to follow.
#[derive(Debug)]
pub(crate) enum Spec {
    /// A path. Not `sure`: it may be meant as a pattern only, and nobody misses it as long as it has not been there.
    Path {
        path: Arc<Path>,
        sure: bool,
    },
    Pattern(Pattern),
}

impl Spec {
    /// What an input comes to: a path, or if it has wildcards a path, unless that is excluded, and a pattern.
    ///
    /// # Errors
    ///
    /// It can be no pattern, and there is nothing of just that name.
    pub(crate) fn of(input: &OsStr, excludes: &Excludes, fs: &dyn Fs) -> Result<Vec<Self>, PatternError> {
        let path = Path::new(input);
        if !is_pattern(input) {
            return Ok(vec![Self::named(path)]);
        }
        let sure = fs.stat(path).is_ok();
        match Pattern::new(input).map(Self::Pattern) {
            Ok(pattern) if excludes.excluding(path).is_some() => Ok(vec![pattern]),
            Ok(pattern) => Ok(vec![Self::Path { path: path.into(), sure }, pattern]),
            Err(_) if sure => Ok(vec![Self::named(path)]),
            Err(error) => Err(error),
        }
    }

    /// A path, whatever characters it has.
    pub(crate) fn named(path: &Path) -> Self {
        Self::Path { path: path.into(), sure: true }
    }

    /// The path, if it is one.
    pub(crate) fn path(&self) -> Option<&Arc<Path>> {
        match self {
            Self::Path { path, .. } => Some(path),
            Self::Pattern(_) => None,
        }
    }

    /// The pattern, if it is one.
    pub(super) fn pattern(&self) -> Option<&Pattern> {
        match self {
            Self::Path { .. } => None,
            Self::Pattern(pattern) => Some(pattern),
        }
    }

    /// As the user gave it.
    fn text(&self) -> &OsStr {
        match self {
            Self::Path { path, .. } => path.as_os_str(),
            Self::Pattern(pattern) => pattern.text().as_ref(),
        }
    }

    /// Whether both ask for the same.
    fn is(&self, other: &Self) -> bool {
        self.path().is_some() == other.path().is_some() && self.text() == other.text()
    }
}

/// Asked of discovery while it runs. It answers when the shards know.
#[derive(Debug)]
pub(crate) enum Request {
    Follow { input: OsString, reply: Sender<Result<(), PatternError>> },
    Unfollow { input: OsString, reply: Sender<Result<(), PatternError>> },
}

/// Finds files and hands them to shards.
#[derive(Debug)]
pub(crate) struct Discovery {
    cx: TailContext,
    excludes: Excludes,
    followed: Vec<Followed>,
    /// Each path that is found.
    found: HashMap<Arc<Path>, Found>,
    /// The directories of named paths.
    parents: HashSet<PathBuf>,
    /// Directories that are watched for what is missing below them.
    above: HashSet<PathBuf>,
    /// Which shard had a path that is gone: should it come back, its older files may still be read there, and
    /// they come first.
    homes: HashMap<Arc<Path>, usize>,
    twins: Twins,
    shards: Vec<Sender<Command>>,
    next_shard: usize,
    /// For files found by the first scan.
    start: StartAt,
    /// Whether that is over.
    scanned: bool,
    /// Whether the last scan left something to be looked at soon: a directory that is not watched, or one that
    /// changes faster than it can be listed.
    restless: bool,
    /// How long the last scan took.
    cost: Duration,
}

/// A path that is found.
#[derive(Debug)]
struct Found {
    /// By how many inputs.
    count: usize,
    /// Which shard has it.
    shard: usize,
}

/// What the user asks to follow, and what was found by it.
#[derive(Debug)]
struct Followed {
    spec: Spec,
    dirs: HashMap<PathBuf, Dir>,
    scanned: bool,
    /// Directories of which it was told that they cannot be listed.
    failed: HashSet<PathBuf>,
}

impl Discovery {
    pub(crate) fn new(
        cx: TailContext,
        specs: Vec<Spec>,
        excludes: Excludes,
        start: StartAt,
        shards: Vec<Sender<Command>>,
    ) -> Self {
        let followed = specs.into_iter().map(Followed::new).collect();
        let (found, homes) = (HashMap::new(), HashMap::new());
        let (parents, above) = (HashSet::new(), HashSet::new());
        let mut discovery = Self {
            cx,
            excludes,
            followed,
            found,
            parents,
            above,
            homes,
            twins: Twins::default(),
            shards,
            next_shard: 0,
            start,
            scanned: false,
            restless: false,
            cost: Duration::ZERO,
        };
        discovery.note_parents();
        discovery
    }

    fn note_parents(&mut self) {
        let paths = self.followed.iter().filter_map(|followed| followed.spec.path());
        self.parents = paths.filter_map(|path| path.parent()).map(Path::to_owned).collect();
    }

    /// How long to rest at least, and at most, if a poll interval is so long.
    fn rest(&self, every: Duration) -> (Duration, Duration) {
        let max = if self.restless || self.cx.watch.is_none() { every } else { every.max(REST_MAX) };
        ((self.cost * LISTING_SHARE).max(REST_MIN).min(max), max)
    }

    /// Looks at everything once and tells the shards; at the last look without sparing any directory. True
    /// if there was anything to tell.
    pub(crate) fn scan(&mut self, last: bool) -> bool {
        let (mut news, began) = (false, Instant::now());
        self.restless = false;
        let above = std::mem::take(&mut self.above);
        self.watch_parents();
        for at in 0..self.followed.len() {
            news |= self.scan_one(at, last, last);
        }
        if !above.is_subset(&self.above) {
            self.leave_dirs();
        }
        (self.start, self.scanned, self.cost) = (StartAt::Start, true, began.elapsed());
        news
    }

    /// Has it hinted at what comes and goes under the names that the user gave.
    fn watch_parents(&mut self) {
        let Some(watch) = &self.cx.watch else { return };
        for dir in &self.parents {
            match self.cx.fs.stat(here(dir)) {
                Ok(stat) => self.restless |= !watch.watch_dir(dir, stat.id),
                Err(error) if is_missing(&error) => {
                    let above = watch_above(dir, &*self.cx.fs, &**watch);
                    self.restless |= above.is_none();
                    self.above.extend(above);
                }
                Err(_) => {}
            }
        }
    }

    fn scan_one(&mut self, at: usize, thorough: bool, last: bool) -> bool {
        let followed = &mut self.followed[at];
        let first = !std::mem::replace(&mut followed.scanned, true);
        let (mut found, gone, named) = match &followed.spec {
            Spec::Path { path, sure } => (first.then(|| path.clone()).into_iter().collect(), Vec::new(), *sure),
            Spec::Pattern(pattern) => {
                let excluded = |path: &Path| self.excludes.excluding(path).is_some();
                let mut scan = Scan::new(pattern, &*self.cx.fs, &excluded, thorough);
                scan.last = last;
                scan.watch = self.cx.watch.as_deref();
                scan.dir(pattern.base(), pattern.start(), &mut followed.dirs);
                self.restless |= scan.restless;
                self.above.extend(scan.above.take());
                scan.tell(first, &mut followed.failed, &self.cx);
                (scan.found, scan.gone, false)
            }
        };
        let news = !found.is_empty() || !gone.is_empty();
        // Files that come together are often of one size and speed: deal them out evenly.
        found.sort_unstable();
        self.twins.refresh();
        for path in found {
            self.join(path, named);
        }
        self.lose(gone, |path| Command::Gone(path.clone()));
        news
    }

    /// One input more finds this; the first that does has a shard follow it.
    fn join(&mut self, path: Arc<Path>, named: bool) {
        let twin = self.twins.twin(&path, &*self.cx.fs);
        if let Some(found) = self.found.get_mut(&path) {
            found.count += 1;
            return;
        }
        let beside = beside(&path, &self.found);
        let twin = twin.and_then(|twin| self.found.get_key_value(&*twin));
        // Files that have to do with each other go to one shard.
        let kin = beside.or(twin).map(|(_, found)| found.shard);
        let shard = self.homes.remove(&path).or(kin).unwrap_or_else(|| {
            self.next_shard = (self.next_shard + 1) % self.shards.len();
            self.next_shard
        });
        let [beside, twin] = [beside, twin].map(|kin| kin.map(|(path, _)| path.clone()));
        self.found.insert(path.clone(), Found { count: 1, shard });
        let kin = (beside.is_some() || twin.is_some()).then(|| Box::new(Kin { beside, twin, left: None }));
        tell(&self.shards[shard], Command::Add { path, named, start: self.start, present: !self.scanned, kin });
    }

    /// One input less finds these.
    fn lose(&mut self, paths: Vec<Arc<Path>>, command: impl Fn(&Arc<Path>) -> Command) {
        for path in paths {
            let Some(found) = self.found.get_mut(&path) else { continue };
            found.count -= 1;
            if found.count == 0 {
                let shard = found.shard;
                self.found.remove(&path);
                tell(&self.shards[shard], command(&path));
                if self.homes.len() >= HOMES_MAX {
                    self.homes.clear();
                }
                self.homes.insert(path, shard);
            }
        }
    }

    /// Tells that it panicked, which only what the host gave does.
    fn failed(&self, panic: &(dyn Any + Send)) -> TailError {
        let error = TailError::panicked(panic);
        self.cx.ledger.tell(&Event::Failed { name: "tailmerge: discovery", reason: &error.to_string() });
        error
    }

    /// Does what the host asks.
    fn serve(&mut self, request: Request) {
        let (reply, done) = match request {
            Request::Follow { input, reply } => (reply, self.follow(&input)),
            Request::Unfollow { input, reply } => {
                self.unfollow(&input);
                (reply, Ok(()))
            }
        };
        // The host may have stopped waiting.
        drop(reply.try_send(done));
    }

    fn follow(&mut self, input: &OsStr) -> Result<(), PatternError> {
        for spec in Spec::of(input, &self.excludes, &*self.cx.fs)? {
            if !self.followed.iter().any(|followed| followed.spec.is(&spec)) {
                self.followed.push(Followed::new(spec));
                self.note_parents();
                self.scan_one(self.followed.len() - 1, true, false);
            }
        }
        Ok(())
    }

    fn unfollow(&mut self, input: &OsStr) {
        let (out, kept): (Vec<_>, _) = self.followed.drain(..).partition(|followed| followed.spec.text() == input);
        self.followed = kept;
        for followed in out {
            let files = followed.dirs.into_values().flat_map(|dir| dir.files).map(|ByName(path)| path);
            let path = followed.spec.path().cloned();
            self.lose(files.chain(path).collect(), |path| Command::Remove(path.clone()));
        }
        self.note_parents();
        self.leave_dirs();
    }

    /// Has nothing watched any more that it has no use for.
    fn leave_dirs(&self) {
        if let Some(watch) = &self.cx.watch {
            let listed = |path: &Path| self.followed.iter().any(|followed| followed.dirs.contains_key(path));
            let named = |path: &Path| self.parents.contains(path) || self.above.contains(path);
            watch.retain(&|path| listed(path) || named(path) || self.found.contains_key(path));
        }
    }
}

/// The found path that the name of `path` extends, as `app.log.1` and `app.log-20260101` extend `app.log`. Such
/// files have to do with each other, and go to one shard.
fn beside<'a>(path: &Path, found: &'a HashMap<Arc<Path>, Found>) -> Option<(&'a Arc<Path>, &'a Found)> {
    let bytes = path.as_os_str().as_bytes();
    let name = bytes.len() - path.file_name()?.len();
    let ends = (name + 1..bytes.len()).rev().filter(|&at| b".-_~".contains(&bytes[at]));
    ends.map(|end| Path::new(OsStr::from_bytes(&bytes[..end]))).find_map(|elder| found.get_key_value(elder))
}

/// A shard that is gone needs to be told nothing.
fn tell(shard: &Sender<Command>, command: Command) {
    drop(shard.try_send(command));
}

impl Followed {
    fn new(spec: Spec) -> Self {
        Self { spec, dirs: HashMap::new(), scanned: false, failed: HashSet::new() }
    }
}

/// Discovery, for its task and for a thread of the host's that waits for a request: that does the work itself, since it
/// may be the only one that the host's executor has.
#[derive(Debug)]
pub(crate) struct SharedDiscovery {
    discovery: Mutex<Option<Discovery>>,
    over: AtomicBool,
    /// Whether it looks once.
    once: bool,
}

impl SharedDiscovery {
    pub(crate) fn new(discovery: Discovery) -> Arc<Self> {
        let once = discovery.cx.once;
        Arc::new(Self { discovery: Mutex::new(Some(discovery)), over: AtomicBool::new(false), once })
    }

    /// Works with it, on this thread. None: it is over.
    fn with<T>(&self, work: impl FnOnce(&mut Discovery) -> T) -> Option<T> {
        let done = lock(&self.discovery).as_mut().map(work);
        if self.over.load(Ordering::SeqCst) {
            self.close();
        }
        done
    }

    /// Lets go of it, so that the shards hear of its end: now, or as soon as who works with it has done so.
    fn close(&self) {
        self.over.store(true, Ordering::SeqCst);
        if let Ok(mut discovery) = self.discovery.try_lock() {
            *discovery = None;
        }
    }

    /// Does what the host asks on this thread. None: it is too late.
    pub(crate) fn follow_blocking(&self, input: &OsStr) -> Option<Result<(), PatternError>> {
        mark(|| self.with(|discovery| discovery.follow(input)))
    }

    /// Does what the host asks on this thread. None: it is too late.
    pub(crate) fn unfollow_blocking(&self, input: &OsStr) -> Option<()> {
        mark(|| self.with(|discovery| discovery.unfollow(input)))
    }
}

/// The end of discovery. Requests that come too late are dropped, with their replies, so that whoever asked hears of it.
struct AtEnd {
    requests: Receiver<Request>,
    discovery: Arc<SharedDiscovery>,
}

impl Drop for AtEnd {
    fn drop(&mut self) {
        self.discovery.close();
        self.requests.close();
        while self.requests.try_recv().is_ok() {}
    }
}

/// Scans again and again on the blocking pool, until a stop is asked for; then a last time.
///
/// Scans sooner when `hinted` is woken. Under `once`, scans once. When it returns, or is dropped, no shard is told of
/// files any more.
///
/// # Errors
///
/// The first panic, at the end: files that are found are followed all the same.
pub(crate) async fn discover<B: Backend>(
    backend: B,
    discovery: Arc<SharedDiscovery>,
    requests: Receiver<Request>,
    hinted: Arc<Wake>,
    stop: Arc<Stop>,
    every: Duration,
    wake: impl Fn(),
) -> Result<(), TailError> {
    let at_end = AtEnd { requests, discovery };
    let (mut request, mut failed) = (None, None);
    loop {
        let last = request.is_none() && (at_end.discovery.once || stop.stage() > Stage::Running);
        let discovery = at_end.discovery.clone();
        let job = move || {
            discovery.with(|discovery| {
                let worked = catch_unwind(AssertUnwindSafe(|| match request {
                    Some(request) => {
                        discovery.serve(request);
                        true
                    }
                    None => discovery.scan(last),
                }));
                let news = worked.map_err(|panic| discovery.failed(&*panic));
                (news, discovery.rest(every))
            })
        };
        // Only this task ends it.
        let Some((news, (least, most))) = backend.unblock(job).await else { return Ok(()) };
        if news.as_ref().map_or(true, |news| *news) {
            wake();
        }
        if let Err(error) = news {
            failed.get_or_insert(error);
        }
        if last {
            return failed.map_or(Ok(()), Err);
        }
        let sleep = async {
            backend.sleep(least).await;
            or(hinted.woken(), backend.sleep(most - least)).await;
            None
        };
        let stopped = async {
            stop.reached(Stage::Stopping).await;
            None
        };
        let asked = async {
            match at_end.requests.recv().await {
                Ok(request) => Some(request),
                // Nobody can ask any more.
                Err(_) => std::future::pending().await,
            }
        };
        request = or(asked, or(stopped, sleep)).await;
    }
}
