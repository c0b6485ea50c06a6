//! Guards the content of an output file against mistakes: it is not truncated if the file may be meant as an input, or
//! if no input can be read.

use std::path::{Path, PathBuf};

use crate::discover::before_start::{find_file, nothing_to_read};
use crate::discover::pattern::Excludes;
use crate::discover::spec::Spec;
use crate::follow::context::StartAt;
use crate::fs::Kind;
use crate::pipeline::builder::{Builder, Output};
use crate::pipeline::error::StartError;

/// The input that a file belongs to: see [`Builder::input_at`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FoundInput {
    /// The input; `-` for standard input.
    pub path: PathBuf,
    /// The pattern that matches it; none if it is named.
    pub pattern: Option<String>,
}

impl Builder {
    /// Refuses to truncate an output by mistake. It blocks: it reads the state of the output, and of the inputs if the
    /// output holds something.
    pub(crate) fn check_output(&self) -> Result<(), StartError> {
        if let Some(state) = &self.state {
            return self.check_state(state);
        }
        let Output::File(output) = &self.output else { return Ok(()) };
        let held = self.fs.stat(output).ok().filter(|stat| stat.kind == Kind::File && stat.size > 0);
        let Some(held) = held.filter(|_| !self.append) else { return Ok(()) };
        let fs = self.inputs_fs()?;
        let (specs, excludes) = (self.specs(&*fs)?, Excludes::new(self.excludes.clone())?);
        if let Some((path, pattern)) = find_file(&*fs, &specs, &excludes, (output, held.id)) {
            return Err(StartError::setting(format!(
                "{} is the output and matches {pattern}: what it holds would be lost; exclude it, choose another \
                 output, or append",
                path.display()
            )));
        }
        let files_only = !self.stdin && self.tailers.is_empty();
        if self.once
            && files_only
            && !specs.is_empty()
            && let Some(reasons) = nothing_to_read(&*fs, &specs, &excludes, &self.never_ids())
        {
            let (output, reasons) = (output.display(), reasons.join("; "));
            return Err(StartError::world(format!("{output} is left as it is, nothing can be read: {reasons}")));
        }
        Ok(())
    }

    /// Refuses settings that do not go with a state file, which never has an output truncated.
    fn check_state(&self, state: &Path) -> Result<(), StartError> {
        let Output::File(output) = &self.output else {
            return Err(StartError::setting("a state file needs an output file: set one, or leave the state file out"));
        };
        if self.start == StartAt::End {
            return Err(StartError::setting(
                "with a state file, reading begins at the start of a file that it does not know: leave out one of state \
                 file and start at the end",
            ));
        }
        let id = |path: &Path| self.fs.stat(path).ok().map(|stat| stat.id);
        if state == output || id(state).is_some_and(|state| id(output) == Some(state)) {
            return Err(StartError::setting(format!(
                "{} is both the output and the state file: choose another state file",
                state.display()
            )));
        }
        Ok(())
    }

    /// Refuses an output: a tail has none.
    pub(crate) fn check_no_output(&self) -> Result<(), StartError> {
        match &self.output {
            Output::Stdout if !self.append && self.state.is_none() => Ok(()),
            _ => Err(StartError::setting("an output is set, and a tail has none: start a merge, or leave it out")),
        }
    }

    /// Returns which input the file at a path is now, compared by device and inode: a named one, standard input, or one
    /// that a pattern finds. It is meant for a host that is about to overwrite that file.
    ///
    /// # Errors
    ///
    /// If a pattern is malformed.
    ///
    /// # Blocking
    ///
    /// Reads the file system on this thread.
    pub fn input_at(&self, path: impl AsRef<Path>) -> Result<Option<FoundInput>, StartError> {
        let fs = self.inputs_fs()?;
        let (specs, excludes) = (self.specs(&*fs)?, Excludes::new(self.excludes.clone())?);
        let Ok(stat) = self.fs.stat(path.as_ref()) else { return Ok(None) };
        let path = path.as_ref();
        let device = self.fs.remote_device(path);
        let is_it =
            |other: &&Path| fs.remote_device(other) == device && fs.stat(other).is_ok_and(|other| other.id == stat.id);
        if let Some(path) = specs.iter().filter_map(Spec::path).find(is_it) {
            return Ok(Some(FoundInput { path: path.to_owned(), pattern: None }));
        }
        let stdin = || self.fs.stdin().and_then(|stdin| stdin.stat()).ok();
        if self.stdin && stdin().is_some_and(|stdin| stdin.id == stat.id) {
            return Ok(Some(FoundInput { path: "-".into(), pattern: None }));
        }
        let found = find_file(&*fs, &specs, &excludes, (path, stat.id));
        Ok(found.map(|(path, pattern)| FoundInput { path: path.to_path_buf(), pattern: Some(pattern.to_owned()) }))
    }
}
