//! The disk once more, on a real file system: what the model does there is done here too, and the tailer reads here.
//!
//! Each file's time of change is set to the model's, since a real one may stand still between two steps. All files are
//! kept open, so that no inode's number is given out again: when that happens is for the model alone to say.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, symlink};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::follow::model::fs::time;

/// A directory of its own.
#[derive(Debug)]
pub(crate) struct Mirror {
    root: TempDir,
    /// By inode, as the model counts them.
    files: Vec<File>,
}

impl Mirror {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self { root: TempDir::new()?, files: Vec::new() })
    }

    /// Where a path of the model is.
    pub(crate) fn at(&self, path: &Path) -> PathBuf {
        self.root.path().join(path)
    }

    pub(crate) fn create(&mut self, path: &Path, now: u64) -> io::Result<()> {
        let file = OpenOptions::new().write(true).create_new(true).open(self.at(path))?;
        file.set_modified(time(now))?;
        self.files.push(file);
        Ok(())
    }

    pub(crate) fn write(&mut self, inode: usize, bytes: &[u8], at: usize, now: u64) -> io::Result<()> {
        self.files[inode].write_all_at(bytes, at as u64)?;
        self.files[inode].set_modified(time(now))
    }

    pub(crate) fn set_len(&mut self, inode: usize, len: usize, now: u64) -> io::Result<()> {
        self.files[inode].set_len(len as u64)?;
        self.files[inode].set_modified(time(now))
    }

    pub(crate) fn make_dir(&mut self, path: &Path) -> io::Result<()> {
        fs::create_dir(self.at(path))
    }

    pub(crate) fn remove(&mut self, path: &Path) -> io::Result<()> {
        fs::remove_file(self.at(path))
    }

    pub(crate) fn remove_dir(&mut self, path: &Path) -> io::Result<()> {
        fs::remove_dir(self.at(path))
    }

    pub(crate) fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(self.at(from), self.at(to))
    }

    pub(crate) fn link(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        fs::hard_link(self.at(from), self.at(to))
    }

    pub(crate) fn symlink(&mut self, target: &Path, path: &Path) -> io::Result<()> {
        symlink(self.at(target), self.at(path))
    }
}
