//! A file system in memory: another implementation of [`Fs`], which serves a whole merge.
//!
//! It has files with several names, directories, and symbolic links; no FIFOs, no holes, and no hints at changes. An
//! inode number is given out once.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::ffi::{OsStr, OsString};
use std::io::{self, IoSliceMut, Write};
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use tailmerge_core::fs::{Entry, FileId, Fs, Kind, ReadFile, Stat, Storage, WriteFile};

/// So many symbolic links are followed on the way to a file.
const LINKS_MAX: usize = 40;

/// A file system. A clone is the same one.
#[derive(Clone, Debug, Default)]
pub(super) struct MemoryFs(Arc<Mutex<Disk>>);

#[derive(Debug, Default)]
struct Disk {
    /// Every name but the root, by its path without links.
    names: BTreeMap<PathBuf, Node>,
    files: HashMap<u64, Content>,
    last_ino: u64,
    last_handle: u64,
}

#[derive(Debug)]
enum Node {
    Dir { ino: u64, modified: SystemTime },
    File(u64),
    Link { ino: u64, target: PathBuf },
}

/// A file, as long as it has a name or is open.
#[derive(Debug)]
struct Content {
    bytes: Vec<u8>,
    modified: SystemTime,
    links: u64,
    /// Open handles, and whether each has locked the file: shared or not.
    handles: HashMap<u64, Option<bool>>,
}

impl MemoryFs {
    /// A file system with one directory.
    pub(super) fn with_dir(dir: &Path) -> Self {
        let fs = Self::default();
        fs.make_dir(dir).expect("an empty file system");
        fs
    }

    fn disk(&self) -> MutexGuard<'_, Disk> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a directory, and those that lead there.
    pub(super) fn make_dir(&self, dir: &Path) -> io::Result<()> {
        let mut disk = self.disk();
        let mut dirs: Vec<_> = dir.ancestors().filter(|dir| dir.parent().is_some()).collect();
        while let Some(dir) = dirs.pop() {
            let path = disk.resolve(dir)?;
            if !disk.names.contains_key(&path) {
                let ino = disk.ino();
                disk.put(path, Node::Dir { ino, modified: SystemTime::now() })?;
            }
        }
        Ok(())
    }

    /// Opens a file for appending; made if it is not there.
    pub(super) fn append(&self, path: &Path) -> io::Result<MemoryFile> {
        let mut disk = self.disk();
        let path = disk.resolve(path)?;
        let ino = match disk.names.get(&path) {
            Some(Node::File(ino)) => *ino,
            Some(_) => return Err(io::ErrorKind::IsADirectory.into()),
            None => {
                let (ino, handles) = (disk.ino(), HashMap::new());
                let content = Content { bytes: Vec::new(), modified: SystemTime::now(), links: 1, handles };
                disk.files.insert(ino, content);
                disk.put(path, Node::File(ino))?;
                ino
            }
        };
        Ok(self.handle(&mut disk, ino))
    }

    pub(super) fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut disk = self.disk();
        let (from, to) = (disk.place(from)?, disk.place(to)?);
        let node = disk.take(&from)?;
        if disk.names.contains_key(&to) {
            disk.remove(&to)?;
        }
        disk.put(to.clone(), node)?;
        let moved = |path: &PathBuf| Some((path.clone(), to.join(path.strip_prefix(&from).ok()?)));
        let below: Vec<_> = disk.names.keys().filter_map(moved).collect();
        for (old, new) in below {
            if let Some(node) = disk.names.remove(&old) {
                disk.names.insert(new, node);
            }
        }
        Ok(())
    }

    /// Removes a directory with all that is in it.
    pub(super) fn remove_dir(&self, dir: &Path) -> io::Result<()> {
        let mut disk = self.disk();
        let dir = disk.place(dir)?;
        let below: Vec<_> = disk.names.keys().filter(|path| path.starts_with(&dir)).cloned().collect();
        below.iter().rev().try_for_each(|path| disk.remove(path))
    }

    /// Removes a file or a link.
    pub(super) fn remove(&self, path: &Path) -> io::Result<()> {
        let mut disk = self.disk();
        let path = disk.place(path)?;
        disk.remove(&path)
    }

    pub(super) fn symlink(&self, target: &Path, link: &Path) -> io::Result<()> {
        let mut disk = self.disk();
        let (link, ino) = (disk.place(link)?, disk.ino());
        disk.put(link, Node::Link { ino, target: target.to_owned() })
    }

    pub(super) fn hard_link(&self, path: &Path, link: &Path) -> io::Result<()> {
        let mut disk = self.disk();
        let link = disk.place(link)?;
        let ino = disk.file(path)?;
        disk.put(link, Node::File(ino))?;
        disk.content(ino).links += 1;
        Ok(())
    }

    /// Returns the content of a file.
    pub(super) fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let mut disk = self.disk();
        let ino = disk.file(path)?;
        Ok(disk.content(ino).bytes.clone())
    }

    /// The names of files that are open; of one that has none, nothing.
    pub(super) fn open_files(&self) -> Vec<PathBuf> {
        let disk = self.disk();
        let is_open = |ino| disk.files.get(ino).is_some_and(|content| !content.handles.is_empty());
        let names = disk.names.iter().filter(|(_, node)| matches!(node, Node::File(ino) if is_open(ino)));
        names.map(|(path, _)| path.clone()).collect()
    }

    fn handle(&self, disk: &mut Disk, ino: u64) -> MemoryFile {
        disk.last_handle += 1;
        let handle = disk.last_handle;
        disk.content(ino).handles.insert(handle, None);
        MemoryFile { fs: self.clone(), ino, handle }
    }
}

impl Disk {
    fn ino(&mut self) -> u64 {
        self.last_ino += 1;
        self.last_ino
    }

    fn content(&mut self, ino: u64) -> &mut Content {
        self.files.get_mut(&ino).expect("a file lasts as long as its names and handles")
    }

    /// The file at a path, links followed.
    fn file(&self, path: &Path) -> io::Result<u64> {
        match self.names.get(&self.resolve(path)?) {
            Some(Node::File(ino)) => Ok(*ino),
            Some(_) => Err(io::ErrorKind::IsADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// The path that a path leads to, all links followed. There need not be anything.
    fn resolve(&self, path: &Path) -> io::Result<PathBuf> {
        fn parts(path: &Path) -> impl DoubleEndedIterator<Item = OsString> {
            path.components().map(|part: Component<'_>| part.as_os_str().to_owned())
        }
        let (mut at, mut rest, mut links) = (PathBuf::from("/"), VecDeque::from_iter(parts(path)), 0);
        while let Some(part) = rest.pop_front() {
            if part == ".." {
                at.pop();
            } else if part != "." {
                // The root takes the place of what was before.
                at.push(part);
            }
            match self.names.get(&at) {
                Some(Node::Link { target, .. }) => {
                    links += 1;
                    if links > LINKS_MAX {
                        return Err(io::ErrorKind::InvalidInput.into());
                    }
                    parts(target).rev().for_each(|part| rest.push_front(part));
                    at.pop();
                }
                Some(Node::File(_)) if !rest.is_empty() => return Err(io::ErrorKind::NotADirectory.into()),
                None if !rest.is_empty() && at.parent().is_some() => return Err(io::ErrorKind::NotFound.into()),
                _ => {}
            }
        }
        Ok(at)
    }

    /// The path itself, links followed up to its directory.
    fn place(&self, path: &Path) -> io::Result<PathBuf> {
        let (dir, name) = (path.parent(), path.file_name());
        let (Some(dir), Some(name)) = (dir, name) else { return Err(io::ErrorKind::InvalidInput.into()) };
        Ok(self.resolve(dir)?.join(name))
    }

    fn put(&mut self, path: PathBuf, node: Node) -> io::Result<()> {
        if self.names.contains_key(&path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let dir = path.parent().filter(|dir| dir.parent().is_some());
        if dir.is_some_and(|dir| !matches!(self.names.get(dir), Some(Node::Dir { .. }))) {
            return Err(io::ErrorKind::NotFound.into());
        }
        self.touch_parent(&path);
        self.names.insert(path, node);
        Ok(())
    }

    fn take(&mut self, path: &Path) -> io::Result<Node> {
        self.touch_parent(path);
        self.names.remove(path).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn remove(&mut self, path: &Path) -> io::Result<()> {
        if let Node::File(ino) = self.take(path)? {
            self.content(ino).links -= 1;
            self.let_go(ino);
        }
        Ok(())
    }

    fn let_go(&mut self, ino: u64) {
        let content = self.content(ino);
        if content.links == 0 && content.handles.is_empty() {
            self.files.remove(&ino);
        }
    }

    fn touch_parent(&mut self, path: &Path) {
        if let Some(Node::Dir { modified, .. }) = path.parent().and_then(|parent| self.names.get_mut(parent)) {
            *modified = SystemTime::now();
        }
    }

    fn stat(&self, ino: u64) -> Stat {
        let content = &self.files[&ino];
        stat(ino, Kind::File, content.bytes.len() as u64, content.links, Some(content.modified))
    }
}

fn stat(ino: u64, kind: Kind, size: u64, links: u64, modified: Option<SystemTime>) -> Stat {
    let mut id = FileId::new(1, ino);
    id.born = Some(ino);
    let mut stat = Stat::new(id, kind, size);
    (stat.links, stat.modified) = (links, modified);
    stat
}

impl Fs for MemoryFs {
    fn stat(&self, path: &Path) -> io::Result<Stat> {
        let disk = self.disk();
        match disk.names.get(&disk.resolve(path)?) {
            Some(Node::File(ino)) => Ok(disk.stat(*ino)),
            Some(Node::Dir { ino, modified }) => Ok(stat(*ino, Kind::Dir, 0, 1, Some(*modified))),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn is_link(&self, path: &Path) -> bool {
        let disk = self.disk();
        disk.place(path).is_ok_and(|path| matches!(disk.names.get(&path), Some(Node::Link { .. })))
    }

    fn leads_to(&self, path: &Path) -> Option<PathBuf> {
        self.disk().resolve(path).ok().filter(|leads| leads != path)
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn ReadFile>> {
        let mut disk = self.disk();
        let ino = disk.file(path)?;
        Ok(Box::new(self.handle(&mut disk, ino)))
    }

    fn list(&self, dir: &Path, tell: &mut dyn FnMut(Entry<'_>)) -> io::Result<()> {
        let disk = self.disk();
        let dir = disk.resolve(dir)?;
        match disk.names.get(&dir) {
            Some(Node::Dir { .. }) => {}
            None if dir.parent().is_some() => return Err(io::ErrorKind::NotFound.into()),
            None => {}
            Some(_) => return Err(io::ErrorKind::NotADirectory.into()),
        }
        let entries = disk.names.iter().filter(|(path, _)| path.parent() == Some(&dir)).map(|(path, node)| {
            let (kind, ino) = match node {
                Node::Dir { ino, .. } => (Kind::Dir, *ino),
                Node::File(ino) => (Kind::File, *ino),
                Node::Link { ino, .. } => (Kind::Link, *ino),
            };
            (path.file_name().map(OsStr::to_owned).unwrap_or_default(), kind, ino)
        });
        let entries: Vec<_> = entries.collect();
        drop(disk);
        entries.iter().for_each(|(name, kind, ino)| tell(Entry::new(name, *kind, *ino)));
        Ok(())
    }

    fn output(&self, path: &Path) -> io::Result<Box<dyn WriteFile>> {
        Ok(Box::new(self.append(path)?))
    }

    fn create_new(&self, path: &Path) -> io::Result<Box<dyn WriteFile>> {
        let taken = self.is_link(path) || self.stat(path).is_ok();
        if taken { Err(io::ErrorKind::AlreadyExists.into()) } else { self.output(path) }
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.remove(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.stat(dir).map(drop)
    }

    fn boot_id(&self) -> Option<u128> {
        Some(1)
    }
}

/// An open file, whatever becomes of its name.
#[derive(Debug)]
pub struct MemoryFile {
    fs: MemoryFs,
    ino: u64,
    handle: u64,
}

impl MemoryFile {
    pub(super) fn set_len(&self, len: u64) {
        let (mut disk, len) = (self.fs.disk(), usize::try_from(len).expect("a small file"));
        let content = disk.content(self.ino);
        content.bytes.resize(len, 0);
        content.modified = SystemTime::now();
    }
}

impl Drop for MemoryFile {
    fn drop(&mut self) {
        let mut disk = self.fs.disk();
        disk.content(self.ino).handles.remove(&self.handle);
        disk.let_go(self.ino);
    }
}

impl Write for MemoryFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut disk = self.fs.disk();
        let content = disk.content(self.ino);
        content.bytes.extend_from_slice(bytes);
        content.modified = SystemTime::now();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl ReadFile for MemoryFile {
    fn stat(&self) -> io::Result<Stat> {
        Ok(self.fs.disk().stat(self.ino))
    }

    fn storage(&self) -> io::Result<Storage> {
        Ok(Storage::Local)
    }

    fn read_at(&self, bufs: &mut [IoSliceMut<'_>], offset: u64) -> io::Result<usize> {
        let mut disk = self.fs.disk();
        let bytes = &disk.content(self.ino).bytes;
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
        let mut rest = &bytes[start..];
        for buf in bufs {
            let (these, others) = rest.split_at(rest.len().min(buf.len()));
            buf[..these.len()].copy_from_slice(these);
            rest = others;
        }
        Ok(bytes.len() - start - rest.len())
    }
}

impl WriteFile for MemoryFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Write::write(self, bytes)
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        self.set_len(len);
        Ok(())
    }

    fn try_lock(&self, shared: bool) -> io::Result<bool> {
        let mut disk = self.fs.disk();
        let handles = &mut disk.content(self.ino).handles;
        let others = handles.iter().filter(|(handle, _)| **handle != self.handle).filter_map(|(_, lock)| *lock);
        let free = others.fold(true, |free, theirs| free && shared && theirs);
        if free {
            handles.insert(self.handle, Some(shared));
        }
        Ok(free)
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}
