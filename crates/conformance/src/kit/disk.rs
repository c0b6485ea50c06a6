//! Where the files of a case are: on the machine, or in memory.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tailmerge_core::fs::{Fs, OsFs, WriteFile};

use super::memory::{MemoryFile, MemoryFs};
use super::run::open_files;

/// A disk, as programs that write files use it.
#[derive(Clone, Debug)]
pub(super) enum Disk {
    Machine,
    Memory(MemoryFs),
}

impl Disk {
    /// In memory, if `TAILMERGE_FS=memory` in the environment says so.
    pub(super) fn from_env(dir: &Path) -> Self {
        match std::env::var_os("TAILMERGE_FS") {
            Some(fs) if fs == OsStr::new("memory") => Self::Memory(MemoryFs::with_dir(dir)),
            _ => Self::Machine,
        }
    }

    /// The file system of a merge on this disk.
    pub(super) fn fs(&self) -> Arc<dyn Fs> {
        match self {
            Self::Machine => Arc::new(OsFs),
            Self::Memory(fs) => Arc::new(fs.clone()),
        }
    }

    /// Opens a file for appending; made if it is not there.
    pub(super) fn append(&self, path: &Path) -> io::Result<Producer> {
        match self {
            Self::Machine => File::options().append(true).create(true).open(path).map(Producer::Machine),
            Self::Memory(fs) => fs.append(path).map(Producer::Memory),
        }
    }

    /// Writes a file anew.
    pub(super) fn write(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        match self {
            Self::Machine => fs::write(path, content),
            Self::Memory(fs) => {
                let mut file = fs.append(path)?;
                file.set_len(0);
                Write::write_all(&mut file, content)
            }
        }
    }

    pub(super) fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        match self {
            Self::Machine => fs::read(path),
            Self::Memory(fs) => fs.read(path),
        }
    }

    pub(super) fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        match self {
            Self::Machine => fs::rename(from, to),
            Self::Memory(fs) => fs.rename(from, to),
        }
    }

    pub(super) fn remove(&self, path: &Path) -> io::Result<()> {
        match self {
            Self::Machine => fs::remove_file(path),
            Self::Memory(fs) => fs.remove(path),
        }
    }

    /// Removes a directory with all that is in it.
    pub(super) fn remove_dir(&self, dir: &Path) -> io::Result<()> {
        match self {
            Self::Machine => fs::remove_dir_all(dir),
            Self::Memory(fs) => fs.remove_dir(dir),
        }
    }

    pub(super) fn make_dir(&self, path: &Path) -> io::Result<()> {
        match self {
            Self::Machine => fs::create_dir_all(path),
            Self::Memory(fs) => fs.make_dir(path),
        }
    }

    pub(super) fn symlink(&self, target: &Path, link: &Path) -> io::Result<()> {
        match self {
            Self::Machine => symlink(target, link),
            Self::Memory(fs) => fs.symlink(target, link),
        }
    }

    pub(super) fn hard_link(&self, path: &Path, link: &Path) -> io::Result<()> {
        match self {
            Self::Machine => fs::hard_link(path, link),
            Self::Memory(fs) => fs.hard_link(path, link),
        }
    }

    /// The files in `dir` that are open.
    pub(super) fn open_files(&self, dir: &Path) -> Vec<PathBuf> {
        match self {
            Self::Machine => open_files(dir),
            Self::Memory(fs) => fs.open_files(),
        }
    }
}

/// A file open for appending, whatever becomes of its name.
#[derive(Debug)]
pub enum Producer {
    Machine(File),
    Memory(MemoryFile),
}

impl Producer {
    /// Cuts the file, or makes it longer.
    #[track_caller]
    pub fn set_len(&self, len: u64) {
        match self {
            Self::Machine(file) => file.set_len(len).expect("a file of the case"),
            Self::Memory(file) => file.set_len(len),
        }
    }

    /// Locks the file, as one of those that append to it.
    #[track_caller]
    pub fn lock_shared(&self) {
        let locked = match self {
            Self::Machine(file) => WriteFile::try_lock(file, true),
            Self::Memory(file) => file.try_lock(true),
        };
        assert!(locked.expect("files here have locks"), "it is locked");
    }
}

impl Write for Producer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Machine(file) => Write::write(file, bytes),
            Self::Memory(file) => Write::write(file, bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
