//! A file system, the machine's or one in memory, watched, and made to misbehave where a case wants it to.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fmt;
use std::io::{self, IoSliceMut};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use rustix::io::Errno;
use tailmerge_core::fs::{Entry, Fs, OsFs, ReadFile, ReadStream, Stat, Storage, WriteFile, WriteStream};

/// What is asked of the file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// Before a path is looked at.
    Stat,
    /// Before a file is opened for reading.
    Open,
    /// As an open file is read or looked at; its path is the one behind all links.
    Read,
    /// After a directory was listed.
    Listed,
    /// Before the output is opened.
    Output,
    /// Before the output is written.
    Write,
    /// Before a file gets another name, or loses its name; its path is the one that it has.
    Rename,
    /// Before a file or a directory is synced.
    Sync,
}

type Hook = dyn Fn(Op, &Path) -> io::Result<()> + Send + Sync;
type Sizes = dyn Fn(&Path, u64) -> u64 + Send + Sync;
/// Tells whom the file at a path belongs to.
type Owners = dyn Fn(&Path) -> u32 + Send + Sync;
type Inodes = dyn Fn(&OsStr, u64) -> u64 + Send + Sync;
type Remote = dyn Fn(&Path) -> Option<u64> + Send + Sync;
type ReadMax = dyn Fn(&Path) -> usize + Send + Sync;

/// The file system of a case. A clone is the same one.
#[derive(Clone)]
pub struct TestFs(Arc<Shared>);

struct Shared {
    /// The one below; the machine's if there is none.
    below: OnceLock<Arc<dyn Fs>>,
    hook: Box<Hook>,
    /// How often each path was looked at.
    looks: Mutex<HashMap<PathBuf, u64>>,
    disk: Mutex<Disk>,
    /// Whether files have no time of birth.
    birthless: AtomicBool,
    /// True if holes are not told from NULs that were written.
    holeless: AtomicBool,
    /// What is said of a file's size.
    sizes: OnceLock<Box<Sizes>>,
    owners: OnceLock<Box<Owners>>,
    /// How many bytes a read gives at most.
    read_max: OnceLock<Box<ReadMax>>,
    /// Replaces the inode number that a listing tells of a name.
    inodes: OnceLock<Box<Inodes>>,
    /// Which device a path leads to that may hang.
    remote: OnceLock<Box<Remote>>,
    /// How many files are open for reading, and how many may be.
    open: Arc<AtomicUsize>,
    open_max: AtomicUsize,
}

/// What is left of the output's disk.
struct Disk {
    /// It is full when the output is so long, in bytes.
    room: u64,
    /// It has been full. From then on it takes nothing, even where a part of a line was cut off again: so a case
    /// can look at the file in peace.
    full: bool,
}

impl TestFs {
    pub fn new() -> Self {
        Self::with_hook(|_, _| {})
    }

    /// Calls `hook` on the thread that asks, which waits for it.
    pub fn with_hook(hook: impl Fn(Op, &Path) + Send + Sync + 'static) -> Self {
        Self::failing(move |op, path| {
            hook(op, path);
            Ok(())
        })
    }

    /// Fails where `hook` does; it is called on the thread that asks.
    pub fn failing(hook: impl Fn(Op, &Path) -> io::Result<()> + Send + Sync + 'static) -> Self {
        let disk = Mutex::new(Disk { room: u64::MAX, full: false });
        let (birthless, holeless) = (AtomicBool::new(false), AtomicBool::new(false));
        let (sizes, read_max, inodes, remote) = (OnceLock::new(), OnceLock::new(), OnceLock::new(), OnceLock::new());
        let (open, open_max) = (Arc::default(), AtomicUsize::new(usize::MAX));
        let (hook, looks) = (Box::new(hook), Mutex::default());
        let (below, owners) = (OnceLock::new(), OnceLock::new());
        Self(Arc::new(Shared {
            below,
            hook,
            looks,
            disk,
            birthless,
            holeless,
            sizes,
            owners,
            read_max,
            inodes,
            remote,
            open,
            open_max,
        }))
    }

    /// Puts it over another file system than the machine's.
    pub(super) fn over(&self, below: Arc<dyn Fs>) {
        drop(self.0.below.set(below));
    }

    fn below(&self) -> &dyn Fs {
        self.0.below.get().map_or(&OsFs, |below| &**below)
    }

    /// Says of a file that is so long in truth, in bytes, that it is as long as `size` tells.
    pub fn with_sizes(self, size: impl Fn(&Path, u64) -> u64 + Send + Sync + 'static) -> Self {
        drop(self.0.sizes.set(Box::new(size)));
        self
    }

    /// A file belongs to the user that `owner` tells.
    pub fn with_owners(self, owner: impl Fn(&Path) -> u32 + Send + Sync + 'static) -> Self {
        drop(self.0.owners.set(Box::new(owner)));
        self
    }

    /// A read of a file gives as many bytes as `max` tells, at most.
    pub fn with_short_reads(self, max: impl Fn(&Path) -> usize + Send + Sync + 'static) -> Self {
        drop(self.0.read_max.set(Box::new(max)));
        self
    }

    /// Makes listings tell, in place of a name's inode number, the one that `ino` returns.
    pub fn with_inodes(self, ino: impl Fn(&OsStr, u64) -> u64 + Send + Sync + 'static) -> Self {
        drop(self.0.inodes.set(Box::new(ino)));
        self
    }

    /// A path is on the remote device that `device` tells, if it tells one.
    pub fn with_remotes(self, device: impl Fn(&Path) -> Option<u64> + Send + Sync + 'static) -> Self {
        drop(self.0.remote.set(Box::new(device)));
        self
    }

    /// How often the path was looked at.
    pub fn looks(&self, path: &Path) -> u64 {
        self.0.looks.lock().unwrap_or_else(PoisonError::into_inner).get(path).copied().unwrap_or(0)
    }

    /// Keeps no times of birth, as many file systems do not.
    pub fn without_births(self) -> Self {
        self.0.birthless.store(true, Ordering::Relaxed);
        self
    }

    /// Tells nothing of holes: they are NULs like others.
    pub fn without_holes(self) -> Self {
        self.0.holeless.store(true, Ordering::Relaxed);
        self
    }

    /// No more descriptors than so many, for files and listings together.
    pub fn allow_open(&self, files: usize) {
        self.0.open_max.store(files, Ordering::SeqCst);
    }

    fn take_descriptor(&self) -> io::Result<Descriptor> {
        let descriptor = Descriptor::new(&self.0.open);
        match self.0.open.load(Ordering::SeqCst) > self.0.open_max.load(Ordering::SeqCst) {
            true => Err(Errno::MFILE.into()),
            false => Ok(descriptor),
        }
    }

    fn tell(&self, path: &Path, mut stat: Stat) -> Stat {
        if let Some(size) = self.0.sizes.get() {
            stat.size = size(path, stat.size);
        }
        if let Some(owner) = self.0.owners.get() {
            stat.owner = Some(owner(path));
        }
        if self.0.birthless.load(Ordering::Relaxed) {
            stat.id.born = None;
        }
        stat
    }

    /// From `len` bytes on the disk of the output is full, and stays so.
    pub fn fill_disk_at(&self, len: u64) {
        self.disk().room = len;
    }

    /// There is room again.
    pub fn free_disk(&self) {
        *self.disk() = Disk { room: u64::MAX, full: false };
    }

    fn disk(&self) -> MutexGuard<'_, Disk> {
        self.0.disk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn file<F>(&self, path: &Path, inner: F) -> TestFile<F> {
        TestFile { fs: self.clone(), path: path.to_owned(), inner, _descriptor: None }
    }

    fn hook(&self, op: Op, path: &Path) -> io::Result<()> {
        (self.0.hook)(op, path)
    }
}

impl Fs for TestFs {
    fn stat(&self, path: &Path) -> io::Result<Stat> {
        let hooked = self.hook(Op::Stat, path);
        *self.0.looks.lock().unwrap_or_else(PoisonError::into_inner).entry(path.to_owned()).or_default() += 1;
        hooked?;
        self.below().stat(path).map(|stat| self.tell(path, stat))
    }

    fn is_link(&self, path: &Path) -> bool {
        self.below().is_link(path)
    }

    fn leads_to(&self, path: &Path) -> Option<PathBuf> {
        self.below().leads_to(path)
    }

    fn remote_device(&self, path: &Path) -> Option<u64> {
        self.0.remote.get().and_then(|remote| remote(path))
    }

    fn notifies(&self) -> bool {
        self.below().notifies()
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn ReadFile>> {
        self.hook(Op::Open, path)?;
        let descriptor = self.take_descriptor()?;
        // What it is, wherever links lead by and by.
        let path = self.leads_to(path).unwrap_or_else(|| path.to_owned());
        let file = self.file(&path, self.below().open(&path)?);
        Ok(Box::new(TestFile { _descriptor: Some(descriptor), ..file }))
    }

    fn open_stream(&self, path: &Path, write: bool) -> io::Result<Box<dyn ReadStream>> {
        self.below().open_stream(path, write)
    }

    fn list(&self, dir: &Path, entry: &mut dyn FnMut(Entry<'_>)) -> io::Result<()> {
        let _descriptor = self.take_descriptor()?;
        let inodes = self.0.inodes.get();
        self.below().list(dir, &mut |mut found| {
            found.ino = inodes.map_or(found.ino, |inodes| inodes(found.name, found.ino));
            entry(found);
        })?;
        self.hook(Op::Listed, dir)
    }

    fn output(&self, path: &Path) -> io::Result<Box<dyn WriteFile>> {
        self.hook(Op::Output, path)?;
        Ok(Box::new(self.file(path, self.below().output(path)?)))
    }

    fn output_stream(&self, path: &Path) -> io::Result<Option<Box<dyn WriteStream>>> {
        self.below().output_stream(path)
    }

    fn create_new(&self, path: &Path) -> io::Result<Box<dyn WriteFile>> {
        self.hook(Op::Output, path)?;
        Ok(Box::new(self.file(path, self.below().create_new(path)?)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.hook(Op::Rename, from)?;
        self.below().rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.hook(Op::Rename, path)?;
        self.below().remove(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.hook(Op::Sync, dir)?;
        self.below().sync_dir(dir)
    }

    fn boot_id(&self) -> Option<u128> {
        self.below().boot_id()
    }
}

impl fmt::Debug for TestFs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TestFs")
    }
}

#[derive(Debug)]
struct TestFile<F> {
    fs: TestFs,
    path: PathBuf,
    inner: F,
    _descriptor: Option<Descriptor>,
}

/// Counts as open until it is dropped.
#[derive(Debug)]
struct Descriptor(Arc<AtomicUsize>);

impl Descriptor {
    fn new(open: &Arc<AtomicUsize>) -> Self {
        open.fetch_add(1, Ordering::SeqCst);
        Self(open.clone())
    }
}

impl Drop for Descriptor {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl ReadFile for TestFile<Box<dyn ReadFile>> {
    fn stat(&self) -> io::Result<Stat> {
        self.fs.hook(Op::Read, &self.path)?;
        self.inner.stat().map(|stat| self.fs.tell(&self.path, stat))
    }

    fn storage(&self) -> io::Result<Storage> {
        let as_it_is = self.fs.0.sizes.get().is_none() && self.fs.0.read_max.get().is_none();
        if as_it_is { self.inner.storage() } else { Ok(Storage::Other) }
    }

    fn read_at(&self, bufs: &mut [IoSliceMut<'_>], offset: u64) -> io::Result<usize> {
        let max = self.fs.0.read_max.get().map_or(usize::MAX, |max| max(&self.path));
        let read = read_some(&*self.inner, bufs, offset, max);
        // After it, so that a fault hits all that is written once it is there.
        self.fs.hook(Op::Read, &self.path)?;
        read
    }

    fn next_data(&self, offset: u64) -> io::Result<Option<u64>> {
        self.fs.hook(Op::Read, &self.path)?;
        if self.fs.0.holeless.load(Ordering::Relaxed) {
            return Ok(Some(offset));
        }
        self.inner.next_data(offset)
    }
}

/// Reads so many bytes at most.
fn read_some(file: &dyn ReadFile, bufs: &mut [IoSliceMut<'_>], offset: u64, max: usize) -> io::Result<usize> {
    if bufs.iter().map(|buf| buf.len()).sum::<usize>() <= max {
        return file.read_at(bufs, offset);
    }
    let mut bytes = vec![0; max];
    let got = file.read_at(&mut [IoSliceMut::new(&mut bytes)], offset)?;
    let mut rest = &bytes[..got];
    for buf in bufs {
        let (these, others) = rest.split_at(rest.len().min(buf.len()));
        buf[..these.len()].copy_from_slice(these);
        rest = others;
    }
    Ok(got)
}

impl ReadFile for TestFile<Box<dyn WriteFile>> {
    fn stat(&self) -> io::Result<Stat> {
        self.inner.stat().map(|stat| self.fs.tell(&self.path, stat))
    }

    fn read_at(&self, bufs: &mut [IoSliceMut<'_>], offset: u64) -> io::Result<usize> {
        self.inner.read_at(bufs, offset)
    }
}

impl WriteFile for TestFile<Box<dyn WriteFile>> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.fs.hook(Op::Write, &self.path)?;
        let mut disk = self.fs.disk();
        let room = disk.room.saturating_sub(self.inner.stat()?.size);
        let len = bytes.len().min(usize::try_from(room).unwrap_or(usize::MAX));
        if disk.full || len == 0 {
            disk.full = true;
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.inner.write(&bytes[..len])
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        self.inner.truncate(len)
    }

    fn try_lock(&self, shared: bool) -> io::Result<bool> {
        self.inner.try_lock(shared)
    }

    fn sync(&self) -> io::Result<()> {
        self.fs.hook(Op::Sync, &self.path)?;
        self.inner.sync()
    }
}
