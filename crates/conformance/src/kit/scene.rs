//! The files of a case, in a directory that is gone with it, and the settings under which it is quick.

use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{CWD, FileType, Mode, mknodat};
use tailmerge_core::fs::{Fs, Stat};
use tailmerge_core::{Builder, Merge, WatchMode};
use tempfile::TempDir;

use super::disk::{Disk, Producer};
use super::wait::LOOK_EVERY;
use super::{DEADLINE, Events, TestFs, assert_same, block_on, lines, until};
use tailmerge_verify::Check;

/// How often a merge looks at its files.
const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// What happened to a file is seen by this many looks at it: one may be under way, one sees it and has it read,
/// and the next comes only after that.
const LOOKS: u64 = 3;

/// A case's files, and what its merge tells. The output is the file `all`.
#[derive(Debug)]
pub struct Scene {
    dir: TempDir,
    disk: Disk,
    pub fs: TestFs,
    pub events: Events,
}

impl Scene {
    pub fn new() -> Self {
        Self::on(TestFs::new())
    }

    /// On a file system that misbehaves.
    pub fn on(fs: TestFs) -> Self {
        let dir = TempDir::with_prefix("tailmerge-").expect("a directory for the case");
        let disk = Disk::from_env(dir.path());
        fs.over(disk.fs());
        Self { dir, disk, fs, events: Events::default() }
    }

    /// On the machine's files, even if others are in memory: for what only a system has, such as FIFOs and holes.
    pub fn of_machine() -> Self {
        let dir = TempDir::with_prefix("tailmerge-").expect("a directory for the case");
        Self { dir, disk: Disk::Machine, fs: TestFs::new(), events: Events::default() }
    }

    /// Returns true if a merge is not told of changes: files are in memory, or `TAILMERGE_WATCH=poll` is in the
    /// environment.
    pub fn is_polled(&self) -> bool {
        !self.fs.notifies() || std::env::var_os("TAILMERGE_WATCH").is_some_and(|mode| mode == "poll")
    }

    /// A merge of nothing yet into `all`.
    pub fn builder(&self) -> Builder {
        self.tail().output(self.path("all"))
    }

    /// A tail of nothing yet.
    pub fn tail(&self) -> Builder {
        Builder::new()
            .poll_interval(POLL_INTERVAL)
            .watch(if self.is_polled() { WatchMode::Poll } else { WatchMode::Auto })
            .observer(self.events.clone())
            .fs(Arc::new(self.fs.clone()))
    }

    /// The same, polled: for a case that waits for the next look at a file, whatever happens to it.
    pub fn polled(&self) -> Builder {
        self.builder().watch(WatchMode::Poll)
    }

    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A pattern for files of the case.
    pub fn pattern(&self, pattern: &str) -> PathBuf {
        self.path(pattern)
    }

    /// Writes a file anew, and the directories that lead there.
    #[track_caller]
    pub fn write(&self, name: impl AsRef<Path>, content: impl AsRef<[u8]>) {
        let path = self.path(name);
        self.disk.make_dir(path.parent().expect("a file is in a directory")).expect("a directory of the case");
        self.disk.write(&path, content.as_ref()).expect("a file of the case");
    }

    /// Appends by one call of the system.
    #[track_caller]
    pub fn append(&self, name: impl AsRef<Path>, content: impl AsRef<[u8]>) {
        self.producer(name).write_all(content.as_ref()).expect("a file of the case");
    }

    /// A file open for appending, whatever becomes of its name.
    #[track_caller]
    pub fn producer(&self, name: impl AsRef<Path>) -> Producer {
        self.disk.append(&self.path(name)).expect("a file of the case")
    }

    #[track_caller]
    pub fn truncate(&self, name: impl AsRef<Path>) {
        self.producer(name).set_len(0);
    }

    #[track_caller]
    pub fn rename(&self, from: impl AsRef<Path>, to: impl AsRef<Path>) {
        self.disk.rename(&self.path(from), &self.path(to)).expect("a file of the case");
    }

    #[track_caller]
    pub fn remove(&self, name: impl AsRef<Path>) {
        self.disk.remove(&self.path(name)).expect("a file of the case");
    }

    /// Removes a directory with all that is in it.
    #[track_caller]
    pub fn remove_dir(&self, name: impl AsRef<Path>) {
        self.disk.remove_dir(&self.path(name)).expect("a directory of the case");
    }

    #[track_caller]
    pub fn copy(&self, name: impl AsRef<Path>, copy: impl AsRef<Path>) {
        let content = self.disk.read(&self.path(name)).expect("a file of the case");
        self.write(copy, content);
    }

    #[track_caller]
    pub fn make_dir(&self, name: impl AsRef<Path>) {
        self.disk.make_dir(&self.path(name)).expect("a directory of the case");
    }

    /// Makes `link` a symbolic link to `name`, in place of what there was.
    #[track_caller]
    pub fn symlink(&self, name: impl AsRef<Path>, link: impl AsRef<Path>) {
        let new = self.path("new link");
        self.disk.symlink(&self.path(name), &new).expect("a link of the case");
        self.disk.rename(&new, &self.path(link)).expect("a link of the case");
    }

    #[track_caller]
    pub fn hard_link(&self, name: impl AsRef<Path>, link: impl AsRef<Path>) {
        self.disk.hard_link(&self.path(name), &self.path(link)).expect("a link of the case");
    }

    #[track_caller]
    pub fn fifo(&self, name: impl AsRef<Path>) -> PathBuf {
        let path = self.path(name);
        mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).expect("a FIFO of the case");
        path
    }

    /// Returns the content of a file; nothing if there is none.
    pub fn read(&self, name: impl AsRef<Path>) -> Vec<u8> {
        self.disk.read(&self.path(name)).unwrap_or_default()
    }

    /// The files of the case that are open.
    pub fn open_files(&self) -> Vec<PathBuf> {
        self.disk.open_files(self.dir.path())
    }

    /// The state of a file; none if there is nothing.
    pub fn stat(&self, name: impl AsRef<Path>) -> Option<Stat> {
        self.disk.fs().stat(&self.path(name)).ok()
    }

    /// What is in the output now.
    pub fn output(&self) -> Vec<u8> {
        self.read("all")
    }

    /// Fails unless this is the output now.
    #[track_caller]
    pub fn assert_output(&self, want: impl AsRef<[u8]>) {
        assert_same("the output", &self.output(), want.as_ref());
    }

    /// Waits until this is the output.
    #[track_caller]
    pub fn expect(&self, want: impl AsRef<[u8]>) {
        self.expect_in("all", want);
    }

    /// Waits until this is what a file holds, and fails at once where it can never be.
    #[track_caller]
    pub fn expect_in(&self, name: &str, want: impl AsRef<[u8]>) {
        let want = want.as_ref();
        let mut seen = Vec::new();
        let start = Instant::now();
        while start.elapsed() < DEADLINE {
            seen = self.read(name);
            if seen == want || !want.starts_with(&seen) {
                break;
            }
            thread::sleep(LOOK_EVERY);
        }
        assert_same(name, &seen, want);
    }

    /// Waits until the output has so many lines.
    #[track_caller]
    pub fn expect_lines(&self, count: usize) {
        until(&format!("the output has {count} lines"), || lines(&self.output()).len() >= count);
    }

    /// Waits until the merge has looked at a file, and has had what was new in it read, since the call.
    ///
    /// That nothing of it comes out is shown by this and a look at the output.
    #[track_caller]
    pub fn looked(&self, merge: &Merge, name: impl AsRef<Path>) {
        let path = self.path(name);
        let looks = self.fs.looks(&path);
        until(&format!("{} is looked at", path.display()), || {
            merge.wake();
            self.fs.looks(&path) >= looks + LOOKS
        });
        block_on("flush", merge.flush()).expect("the merge runs");
    }

    /// Checks the output against the inputs.
    #[track_caller]
    pub fn check<N: AsRef<OsStr>>(&self, names: impl IntoIterator<Item = N>) {
        self.check_as(names, |check| check);
    }

    /// The same with other settings of the check.
    #[track_caller]
    pub fn check_as<N: AsRef<OsStr>>(&self, names: impl IntoIterator<Item = N>, set: impl FnOnce(Check) -> Check) {
        let inputs: Vec<_> = names.into_iter().map(|name| self.path(Path::new(name.as_ref()))).collect();
        if let Disk::Memory(_) = self.disk {
            // It is the machine's files that are checked.
            for path in inputs.iter().chain([&self.path("all")]) {
                fs::create_dir_all(path.parent().expect("a file is in a directory")).expect("a directory of the case");
                fs::write(path, self.read(path)).expect("a file of the case");
            }
        }
        if let Err(error) = set(Check::new(self.path("all")).inputs(inputs)).run() {
            panic!("{error}");
        }
    }
}
