//! What is on the disk: names, inodes, and every content that a file ever had.
//!
//! An inode's number is given out again as soon as its last name and its last open handle are gone, to the
//! very next file. A content ([`Epoch`]) begins when a file is made or cut, only grows, and is kept for
//! ever, so that what was read can be compared with what stood there.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use crate::follow::model::mirror::Mirror;
use crate::follow::model::rng::Rng;
use crate::watch::mailbox::Change;

/// How often links are followed.
const LINKS_MAX: usize = 8;

/// What a name stands for.
#[derive(Clone, Debug)]
pub(crate) enum Entry {
    Dir { modified: u64 },
    File { inode: usize, since: u64 },
    Link { target: PathBuf, since: u64 },
}

/// A file.
#[derive(Debug)]
pub(crate) struct Inode {
    /// The number that programs see; not unique in time.
    pub(crate) number: u64,
    pub(crate) epoch: usize,
    pub(crate) modified: u64,
    pub(crate) links: u64,
    /// Open handles, of readers and writers.
    pub(crate) handles: usize,
    /// Those of the tailer.
    pub(crate) readers: usize,
    pub(crate) readable: bool,
}

/// A content of a file, from when it was made or cut until it was cut again.
#[derive(Debug)]
pub(crate) struct Epoch {
    pub(crate) inode: usize,
    pub(crate) bytes: Vec<u8>,
    /// So many bytes at the start were never written.
    pub(crate) hole: usize,
    /// So many bytes at the start were copied from another file, or from the content before.
    pub(crate) copied: usize,
    /// Where each line ends, and when it was ended.
    pub(crate) ends: Vec<(u64, u64)>,
}

/// A file that a path leads to, and since when.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found {
    pub(crate) inode: usize,
    pub(crate) since: u64,
}

/// All names and files.
#[derive(Debug)]
pub(crate) struct Disk {
    pub(crate) names: BTreeMap<PathBuf, Entry>,
    pub(crate) inodes: Vec<Inode>,
    pub(crate) epochs: Vec<Epoch>,
    free: Vec<u64>,
    last_number: u64,
    /// Counts what happens.
    pub(crate) now: u64,
    /// Whether files have a time of birth.
    pub(crate) births: bool,
    /// Holes end where such a block does.
    pub(crate) block: usize,
    /// One read in two gives at most so many bytes; 0: all reads are whole.
    pub(crate) short_reads: usize,
    /// Says which reads are short.
    luck: Rng,
    /// The same on a real file system, if one is asked.
    pub(crate) mirror: Option<Mirror>,
    /// What something happened to, as a system that hints at changes would say.
    pub(crate) touched: Vec<(PathBuf, Change)>,
}

impl Disk {
    pub(crate) fn new(births: bool, block: usize, short_reads: usize, mirror: Option<Mirror>) -> Self {
        Self {
            names: BTreeMap::new(),
            inodes: Vec::new(),
            epochs: Vec::new(),
            free: Vec::new(),
            last_number: 1,
            now: 0,
            births,
            block,
            short_reads,
            luck: Rng::new(1),
            mirror,
            touched: Vec::new(),
        }
    }

    /// How many bytes the next read gives at most; at least one.
    pub(crate) fn read_max(&mut self) -> usize {
        if self.short_reads > 0 && self.luck.one_in(2) { 1 + self.luck.below(self.short_reads) } else { usize::MAX }
    }

    fn mirror(&mut self, act: impl FnOnce(&mut Mirror) -> io::Result<()>) {
        if let Some(mirror) = &mut self.mirror {
            act(mirror).expect("a real file system does the same");
        }
    }

    fn tick(&mut self) -> u64 {
        self.now += 1;
        self.now
    }

    /// The file that a path leads to, links followed.
    pub(crate) fn find(&self, path: &Path) -> Option<Found> {
        let mut path = path;
        let mut latest = 0;
        for _ in 0..LINKS_MAX {
            match self.names.get(path)? {
                Entry::Dir { .. } => return None,
                Entry::File { inode, since } => return Some(Found { inode: *inode, since: latest.max(*since) }),
                Entry::Link { target, since } => (path, latest) = (target, latest.max(*since)),
            }
        }
        None
    }

    /// The content of a file now.
    pub(crate) fn content(&self, inode: usize) -> &Epoch {
        &self.epochs[self.inodes[inode].epoch]
    }

    pub(crate) fn size(&self, inode: usize) -> usize {
        self.content(inode).bytes.len()
    }

    pub(crate) fn is_dir(&self, path: &Path) -> bool {
        matches!(self.names.get(path), Some(Entry::Dir { .. }))
    }

    /// Whether a name can be made in the directory of `path`.
    pub(crate) fn has_parent(&self, path: &Path) -> bool {
        path.parent().is_some_and(|parent| parent.as_os_str().is_empty() || self.is_dir(parent))
    }

    /// A file changed: all names that lead there are touched.
    pub(crate) fn touch(&mut self, inode: usize, change: Change) {
        let paths = self.names.keys().filter(|path| self.find(path).is_some_and(|found| found.inode == inode));
        self.touched.extend(paths.map(|path| (path.clone(), change)).collect::<Vec<_>>());
    }

    /// So are those that a name led to which changes.
    fn touch_all(&mut self, path: &Path) {
        if let Some(found) = self.find(path) {
            self.touch(found.inode, Change::File);
        }
    }

    /// A name came or went.
    fn touch_parent(&mut self, path: &Path) {
        self.touched.push((path.to_owned(), Change::Went));
        let now = self.tick();
        if let Some(Entry::Dir { modified }) = path.parent().and_then(|parent| self.names.get_mut(parent)) {
            *modified = now;
        }
    }

    pub(crate) fn make_dir(&mut self, path: &Path) {
        if self.has_parent(path) && !self.names.contains_key(path) {
            let modified = self.tick();
            self.names.insert(path.to_owned(), Entry::Dir { modified });
            self.touch_parent(path);
            self.mirror(|mirror| mirror.make_dir(path));
        }
    }

    /// Opens a file for writing, made if it is not there.
    pub(crate) fn create(&mut self, path: &Path) -> Option<usize> {
        self.create_with(path, true)
    }

    /// The same, for a file that holds what another one held: without a time of birth and with the number of
    /// that one it could not be told from it.
    pub(crate) fn create_copy(&mut self, path: &Path) -> Option<usize> {
        self.create_with(path, self.births)
    }

    fn create_with(&mut self, path: &Path, reuse: bool) -> Option<usize> {
        if let Some(found) = self.find(path) {
            return Some(found.inode);
        }
        if !self.has_parent(path) || self.names.contains_key(path) {
            return None;
        }
        let number = self.free.pop_if(|_| reuse).unwrap_or_else(|| {
            self.last_number += 1;
            self.last_number
        });
        let (inode, modified) = (self.inodes.len(), self.tick());
        self.inodes.push(Inode { number, epoch: 0, modified, links: 1, handles: 0, readers: 0, readable: true });
        self.begin(inode);
        self.names.insert(path.to_owned(), Entry::File { inode, since: modified });
        self.touch_parent(path);
        self.mirror(|mirror| mirror.create(path, modified));
        Some(inode)
    }

    fn begin(&mut self, inode: usize) {
        self.inodes[inode].epoch = self.epochs.len();
        self.epochs.push(Epoch { inode, bytes: Vec::new(), hole: 0, copied: 0, ends: Vec::new() });
    }

    pub(crate) fn append(&mut self, inode: usize, bytes: &[u8]) {
        let now = self.tick();
        self.inodes[inode].modified = now;
        let size = self.size(inode);
        self.mirror(|mirror| mirror.write(inode, bytes, size, now));
        self.touch(inode, Change::Content);
        let epoch = &mut self.epochs[self.inodes[inode].epoch];
        for &byte in bytes {
            epoch.bytes.push(byte);
            if byte == b'\n' {
                epoch.ends.push((epoch.bytes.len() as u64, now));
            }
        }
    }

    /// Makes an empty file longer without writing.
    pub(crate) fn extend(&mut self, inode: usize, len: usize) {
        let now = self.tick();
        self.inodes[inode].modified = now;
        self.mirror(|mirror| mirror.set_len(inode, len, now));
        self.touch(inode, Change::Content);
        let epoch = &mut self.epochs[self.inodes[inode].epoch];
        assert!(epoch.bytes.is_empty(), "holes are at the start only");
        epoch.bytes.resize(len, 0);
        // Less than a block is not left out by a file system.
        epoch.hole = if len < self.block { 0 } else { len };
    }

    /// Cuts a file to nothing.
    pub(crate) fn truncate(&mut self, inode: usize) {
        if self.size(inode) > 0 {
            let now = self.tick();
            self.inodes[inode].modified = now;
            self.begin(inode);
            self.mirror(|mirror| mirror.set_len(inode, 0, now));
            self.touch(inode, Change::Content);
        }
    }

    /// Marks so many bytes at the start of a file as copied, from another one or from its last content.
    pub(crate) fn mark_copied(&mut self, inode: usize, len: usize) {
        self.epochs[self.inodes[inode].epoch].copied = len;
    }

    pub(crate) fn remove(&mut self, path: &Path) {
        self.touch_all(path);
        match self.names.get(path) {
            None | Some(Entry::Dir { .. }) => return,
            Some(&Entry::File { inode, .. }) => {
                self.inodes[inode].links -= 1;
                self.let_go(inode);
            }
            Some(Entry::Link { .. }) => {}
        }
        self.names.remove(path);
        self.touch_parent(path);
        self.mirror(|mirror| mirror.remove(path));
    }

    /// Gives the number of a file out again once nothing leads to it.
    fn let_go(&mut self, inode: usize) {
        let it = &self.inodes[inode];
        if it.links == 0 && it.handles == 0 {
            self.free.push(it.number);
        }
    }

    pub(crate) fn hold(&mut self, inode: usize) {
        self.inodes[inode].handles += 1;
    }

    pub(crate) fn release(&mut self, inode: usize) {
        self.inodes[inode].handles -= 1;
        self.let_go(inode);
    }

    /// Renames a file or a link over whatever file was there.
    pub(crate) fn rename(&mut self, from: &Path, to: &Path) {
        let same = |a: Option<&Entry>, b: Option<&Entry>| matches!((a, b), (Some(Entry::File { inode: a, .. }), Some(Entry::File { inode: b, .. })) if a == b);
        let (old, new) = (self.names.get(from), self.names.get(to));
        if from == to || !self.has_parent(to) || same(old, new) {
            return;
        }
        let moves = matches!(old, Some(Entry::File { .. } | Entry::Link { .. }));
        if !moves || matches!(new, Some(Entry::Dir { .. })) {
            return;
        }
        self.remove(to);
        self.touch_all(from);
        let now = self.tick();
        if let Some(mut entry) = self.names.remove(from) {
            if let Entry::File { since, .. } | Entry::Link { since, .. } = &mut entry {
                *since = now;
            }
            self.names.insert(to.to_owned(), entry);
        }
        self.touch_parent(from);
        self.touch_parent(to);
        self.mirror(|mirror| mirror.rename(from, to));
    }

    /// Gives a file another name, in place of whatever file was there.
    pub(crate) fn link(&mut self, from: &Path, to: &Path) {
        let Some(&Entry::File { inode, .. }) = self.names.get(from) else { return };
        if from == to || !self.has_parent(to) || self.is_dir(to) {
            return;
        }
        self.inodes[inode].links += 1;
        self.remove(to);
        let since = self.tick();
        self.names.insert(to.to_owned(), Entry::File { inode, since });
        self.touch_parent(to);
        self.mirror(|mirror| mirror.link(from, to));
    }

    /// Makes a symbolic link in place of whatever file was there.
    pub(crate) fn symlink(&mut self, target: &Path, path: &Path) {
        if target == path || !self.has_parent(path) || self.is_dir(path) {
            return;
        }
        self.remove(path);
        let since = self.tick();
        self.names.insert(path.to_owned(), Entry::Link { target: target.to_owned(), since });
        self.touch_parent(path);
        self.mirror(|mirror| mirror.symlink(target, path));
    }

    fn below(&self, dir: &Path) -> Vec<PathBuf> {
        self.names.keys().filter(|path| path.starts_with(dir)).cloned().collect()
    }

    /// Removes a directory with all that is in it.
    pub(crate) fn remove_dir(&mut self, dir: &Path) {
        if self.is_dir(dir) {
            let mut paths = self.below(dir);
            while let Some(path) = paths.pop() {
                if self.is_dir(&path) {
                    self.names.remove(&path);
                    self.mirror(|mirror| mirror.remove_dir(&path));
                } else {
                    self.remove(&path);
                }
            }
            self.touch_parent(dir);
        }
    }

    /// Renames a directory with all that is in it, if there is nothing of the new name.
    pub(crate) fn rename_dir(&mut self, from: &Path, to: &Path) {
        if !self.is_dir(from) || self.names.contains_key(to) || !self.has_parent(to) || to.starts_with(from) {
            return;
        }
        let now = self.tick();
        for path in self.below(from) {
            self.touch_all(&path);
            self.touched.push((path.clone(), Change::Went));
            let (Some(mut entry), Ok(rest)) = (self.names.remove(&path), path.strip_prefix(from)) else { continue };
            if let Entry::File { since, .. } | Entry::Link { since, .. } = &mut entry {
                *since = now;
            }
            let path = if rest.as_os_str().is_empty() { to.to_owned() } else { to.join(rest) };
            self.touched.push((path.clone(), Change::Went));
            self.names.insert(path, entry);
        }
        self.touch_parent(from);
        self.touch_parent(to);
        self.mirror(|mirror| mirror.rename(from, to));
    }
}
