//! The door to the disk, which writes down everything that goes through it.
//!
//! The log is how the oracle knows which content was read, and how much of it the tailer can have seen.

use std::io::{self, IoSliceMut};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime};

use crate::follow::model::disk;
use crate::follow::model::disk::Disk;
use crate::fs::{Entry, FileId, Fs, Kind, OsFs, ReadFile, Stat, Storage, WriteFile};
use crate::report::event::{Event, Observer};
use crate::report::gap::GapReason;
use crate::sync::lock::lock;

/// Something that the tailer asked or told.
#[derive(Clone, Debug)]
pub(crate) enum Note {
    /// A file was opened.
    Open { path: PathBuf, inode: usize, since: u64 },
    /// What is under a path was asked for.
    Stat { path: PathBuf, inode: usize, size: u64 },
    /// A directory was listed, to find a file by its number.
    List,
    /// An open file was asked for its size.
    StatOpen { path: PathBuf, inode: usize, size: u64 },
    /// An open file was read.
    Read { path: PathBuf, inode: usize, from: u64, to: u64 },
    /// Bytes were given up.
    Gap { path: PathBuf, start: u64, end: u64, reason: GapReason },
    /// A file is followed from here.
    Joined { path: PathBuf, offset: u64 },
}

/// The disk and what is asked of it, shared by the tailer, its observer and the test.
#[derive(Clone, Debug)]
pub(crate) struct Door {
    pub(crate) disk: Arc<Mutex<Disk>>,
    log: Arc<Mutex<Vec<Note>>>,
}

impl Door {
    pub(crate) fn new(disk: Disk) -> Self {
        Self { disk: Arc::new(Mutex::new(disk)), log: Arc::default() }
    }

    pub(crate) fn disk(&self) -> MutexGuard<'_, Disk> {
        lock(&self.disk)
    }

    /// All that was noted since the last time.
    pub(crate) fn notes(&self) -> Vec<Note> {
        std::mem::take(&mut *lock(&self.log))
    }

    fn note(&self, note: Note) {
        let mut log = lock(&self.log);
        // A read that goes on where the last one came back short counts as the same.
        if let (Note::Read { path, inode, from, to }, Some(Note::Read { path: of, inode: it, to: end, .. })) =
            (&note, log.last_mut())
            && (path, inode, from) == (&*of, &*it, &*end)
        {
            *end = *to;
        } else {
            log.push(note);
        }
    }
}

fn not_found() -> io::Error {
    io::ErrorKind::NotFound.into()
}

/// Times are long ago, so that each change shows.
pub(crate) fn time(tick: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_micros(tick)
}

fn stat(disk: &Disk, inode: usize) -> Stat {
    let it = &disk.inodes[inode];
    let born = (disk.births && disk.short_reads == 0).then_some(inode as u64 + 1);
    Stat {
        id: FileId { dev: 1, ino: it.number, born },
        kind: Kind::File,
        size: disk.size(inode) as u64,
        links: it.links,
        modified: Some(time(it.modified)),
        owner: None,
    }
}

/// What a real file system says, which is what the model says but for the numbers it gives.
fn same(real: Stat, model: Stat) -> Stat {
    let look = |stat: &Stat| (stat.kind, stat.size, stat.links, stat.modified);
    assert_eq!(look(&real), look(&model), "the model is not what a real file system does");
    real
}

impl Fs for Door {
    fn stat(&self, path: &Path) -> io::Result<Stat> {
        let disk = self.disk();
        if let Some(disk::Entry::Dir { modified }) = disk.names.get(path) {
            let id = FileId { dev: 1, ino: 1, born: None };
            return match &disk.mirror {
                Some(mirror) => OsFs.stat(&mirror.at(path)),
                None => {
                    Ok(Stat { id, kind: Kind::Dir, size: 0, links: 1, modified: Some(time(*modified)), owner: None })
                }
            };
        }
        let found = disk.find(path).ok_or_else(not_found)?;
        let mut stat = stat(&disk, found.inode);
        if let Some(mirror) = &disk.mirror {
            stat = same(OsFs.stat(&mirror.at(path))?, stat);
        }
        self.note(Note::Stat { path: path.to_owned(), inode: found.inode, size: stat.size });
        Ok(stat)
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn ReadFile>> {
        let mut disk = self.disk();
        let found = disk.find(path).ok_or_else(not_found)?;
        if !disk.inodes[found.inode].readable {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        let real = disk.mirror.as_ref().map(|mirror| OsFs.open(&mirror.at(path))).transpose()?;
        disk.hold(found.inode);
        disk.inodes[found.inode].readers += 1;
        self.note(Note::Open { path: path.to_owned(), inode: found.inode, since: found.since });
        Ok(Box::new(Handle { door: self.clone(), path: path.to_owned(), inode: found.inode, real }))
    }

    fn list(&self, dir: &Path, tell: &mut dyn FnMut(Entry<'_>)) -> io::Result<()> {
        let disk = self.disk();
        if !disk.is_dir(dir) {
            return Err(not_found());
        }
        if let Some(mirror) = &disk.mirror {
            self.note(Note::List);
            return OsFs.list(&mirror.at(dir), tell);
        }
        let entries: Vec<_> = disk
            .names
            .iter()
            .filter(|(path, _)| path.parent() == Some(dir))
            .filter_map(|(path, entry)| {
                let (kind, ino) = match entry {
                    disk::Entry::Dir { .. } => (Kind::Dir, 1),
                    disk::Entry::File { inode, .. } => (Kind::File, disk.inodes[*inode].number),
                    disk::Entry::Link { .. } => (Kind::Link, 1),
                };
                path.file_name().map(|name| (name.to_owned(), kind, ino))
            })
            .collect();
        drop(disk);
        self.note(Note::List);
        entries.iter().for_each(|(name, kind, ino)| tell(Entry { name, kind: *kind, ino: *ino }));
        Ok(())
    }

    fn output(&self, _: &Path) -> io::Result<Box<dyn WriteFile>> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// A file open for reading, whatever becomes of its name.
#[derive(Debug)]
struct Handle {
    door: Door,
    path: PathBuf,
    inode: usize,
    real: Option<Box<dyn ReadFile>>,
}

impl ReadFile for Handle {
    fn stat(&self) -> io::Result<Stat> {
        let mut stat = stat(&self.door.disk(), self.inode);
        if let Some(real) = &self.real {
            stat = same(real.stat()?, stat);
        }
        self.door.note(Note::StatOpen { path: self.path.clone(), inode: self.inode, size: stat.size });
        Ok(stat)
    }

    fn storage(&self) -> io::Result<Storage> {
        let disk = self.door.disk();
        Ok(if disk.births && disk.short_reads == 0 { Storage::Local } else { Storage::Other })
    }

    fn read_at(&self, bufs: &mut [IoSliceMut<'_>], offset: u64) -> io::Result<usize> {
        if let Some(real) = &self.real {
            let got = real.read_at(bufs, offset)?;
            let to = offset + got as u64;
            self.door.note(Note::Read { path: self.path.clone(), inode: self.inode, from: offset, to });
            return Ok(got);
        }
        let mut disk = self.door.disk();
        let most = disk.read_max();
        let bytes = &disk.content(self.inode).bytes;
        let start = (offset as usize).min(bytes.len());
        let end = bytes.len().min(start.saturating_add(most));
        let mut at = start;
        for buf in bufs {
            let len = buf.len().min(end - at);
            buf[..len].copy_from_slice(&bytes[at..at + len]);
            at += len;
        }
        self.door.note(Note::Read { path: self.path.clone(), inode: self.inode, from: offset, to: at as u64 });
        Ok(at - start)
    }

    fn next_data(&self, offset: u64) -> io::Result<Option<u64>> {
        if let Some(real) = &self.real {
            return real.next_data(offset);
        }
        let disk = self.door.disk();
        let (content, offset) = (disk.content(self.inode), offset as usize);
        if offset >= content.bytes.len() || content.hole == content.bytes.len() {
            return Ok(None);
        }
        // What was written in the block where the hole ends makes all of that block data.
        let data = content.hole / disk.block * disk.block;
        Ok(Some(data.max(offset) as u64))
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        let mut disk = self.door.disk();
        disk.inodes[self.inode].readers -= 1;
        disk.release(self.inode);
    }
}

impl Observer for Door {
    fn event(&self, event: &Event) {
        match event {
            Event::Gap(gap) => {
                let (path, reason) = (gap.input.clone(), gap.reason);
                self.note(Note::Gap { path, start: gap.start, end: gap.end, reason });
            }
            Event::Joined { input, offset } => {
                self.note(Note::Joined { path: (*input).to_owned(), offset: *offset });
            }
            _ => {}
        }
    }
}
