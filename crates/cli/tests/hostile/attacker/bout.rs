//! One attack, for a second or so: the names it uses, what it did, and how it is cleaned up.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use super::World;
use crate::kit::Rng;
use crate::sweep;

pub(crate) struct Bout<'a> {
    pub(crate) world: &'a World,
    pub(crate) rng: Rng,
    until: Instant,
    /// What its names begin with.
    pub(crate) tag: String,
    /// A directory of its own, below the victim's.
    pub(crate) own: PathBuf,
    /// What it made in the victim's directory.
    beside: Vec<PathBuf>,
    next: u64,
    pub(crate) done: u64,
    pub(crate) refused: u64,
}

impl<'a> Bout<'a> {
    pub(crate) fn new(world: &'a World, rng: Rng, until: Instant, tag: String) -> Self {
        let own = world.dir.join(&tag);
        drop(fs::DirBuilder::new().mode(0o755).create(&own));
        Self { world, rng, until, tag, own, beside: Vec::new(), next: 0, done: 0, refused: 0 }
    }

    pub(crate) fn is_over(&self) -> bool {
        Instant::now() >= self.until
    }

    /// Waits for a moment, or for the end.
    pub(crate) fn rest(&self, millis: u64) {
        thread::sleep(Duration::from_millis(millis).min(self.until.saturating_duration_since(Instant::now())));
    }

    /// Waits for the end.
    pub(crate) fn rest_all(&self) {
        thread::sleep(self.until.saturating_duration_since(Instant::now()));
    }

    /// Counts what was tried, and gives what came of it.
    pub(crate) fn act<T, E>(&mut self, tried: Result<T, E>) -> Option<T> {
        match tried {
            Ok(_) => self.done += 1,
            Err(_) => self.refused += 1,
        }
        tried.ok()
    }

    pub(crate) fn chance(&mut self, of: u64) -> bool {
        self.rng.below(of) == 0
    }

    pub(crate) fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.rng.below(from.len() as u64) as usize].clone()
    }

    /// A name in the victim's directory or below it.
    pub(crate) fn place(&mut self, name: impl AsRef<OsStr>) -> PathBuf {
        let name = Path::new(name.as_ref());
        if self.chance(2) {
            return self.own.join(name);
        }
        let path = self.world.dir.join(name);
        if self.beside.last() != Some(&path) {
            self.beside.push(path.clone());
        }
        path
    }

    /// A name that nothing has.
    pub(crate) fn fresh(&mut self) -> PathBuf {
        self.next += 1;
        let name = format!("{}-{}.log", self.tag, self.next);
        self.place(name)
    }

    /// So many of them.
    pub(crate) fn many(&mut self, count: u64) -> Vec<PathBuf> {
        (0..count).map(|_| self.fresh()).collect()
    }

    /// Makes a new file, for others to read.
    pub(crate) fn create(&mut self, path: &Path) -> Option<File> {
        let file = File::options().read(true).write(true).create_new(true).open(path);
        self.act(file)
    }

    /// Makes a new file that holds a line.
    pub(crate) fn create_line(&mut self, path: &Path) -> Option<File> {
        let mut file = self.create(path)?;
        let line = format!("a line of {}\n", self.tag);
        self.act(file.write_all(line.as_bytes()))?;
        Some(file)
    }

    /// Adds to a file, whatever it is by now: what could block is left alone.
    pub(crate) fn append(&mut self, path: &Path, bytes: &[u8]) {
        let append = || -> io::Result<()> {
            let flags = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
            let mut options = File::options();
            std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, flags);
            options.append(true).create(true).open(path)?.write_all(bytes)
        };
        self.act(append());
    }

    /// Removes all that it made.
    pub(crate) fn clean(self) {
        sweep::remove(&self.own);
        for path in self.beside {
            if fs::symlink_metadata(&path).is_ok_and(|it| it.is_dir()) {
                sweep::remove(&path);
            } else {
                drop(fs::remove_file(path));
            }
        }
    }
}
