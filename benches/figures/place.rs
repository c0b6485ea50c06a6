//! The directory that all files are in, and its end.
//!
//! A child removes it when this process has ended, however that came: it is in a process group of its own, where
//! Ctrl-C does not reach it, and waits for the end of its standard input.

use std::fs;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use crate::{Outcome, child};

/// A directory below the target directory, for as long as this lives.
#[derive(Debug)]
pub(crate) struct Place {
    dir: PathBuf,
    keeper: Child,
}

impl Place {
    pub(crate) fn new() -> Outcome<Self> {
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("figures-{}", std::process::id()));
        fs::create_dir_all(&dir)?;
        let mut command = child::command("keep")?;
        command.arg(&dir).stdin(Stdio::piped()).process_group(0);
        Ok(Self { dir, keeper: command.spawn()? })
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }
}

/// Waits for the process that is the parent to end, and removes its directory.
pub(crate) fn keep(dir: &Path) -> Outcome<()> {
    io::copy(&mut io::stdin(), &mut io::sink())?;
    Ok(fs::remove_dir_all(dir)?)
}

impl Drop for Place {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        // It says itself what it could not remove.
        drop(self.keeper.wait());
    }
}
