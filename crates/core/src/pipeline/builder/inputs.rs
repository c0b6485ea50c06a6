//! What a merge reads: its inputs, which files they are now, and where reading begins in them.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::batch::position::FilePosition;
use crate::discover::explain::{Explained, Verdict, explain};
use crate::discover::pattern::Excludes;
use crate::discover::spec::Spec;
use crate::follow::context::StartAt;
use crate::fs::{FileId, Fs, Links};
use crate::pipeline::builder::{Builder, Output, Wanted};
use crate::pipeline::error::StartError;
use crate::source::tailer::Tailer;

impl Builder {
    /// Adds an input: a path, and if it has wildcards a pattern as well.
    ///
    /// A pattern has `*`, `?`, `[a-z]` and `{a,b}` within a name, and `**` for any number of directories; it has at
    /// most 4096 bytes, and braces are nested at most 10 deep. Files that match later join then, and so does one that
    /// has the wildcards in its name, as `app[1].log` has. A path need not be there yet, nor its directory.
    ///
    /// # Examples
    ///
    /// ```
    /// use tailmerge::Builder;
    ///
    /// let builder = Builder::new()
    ///     .input("/var/log/app.log") // a path
    ///     .input("/var/log/*/*.log") // in each directory of /var/log
    ///     .input("/srv/**/{error,access}.log"); // in /srv, and in each directory below it
    /// ```
    pub fn input(mut self, input: impl AsRef<OsStr>) -> Self {
        self.inputs.push(Wanted::Any(input.as_ref().to_owned()));
        self
    }

    /// Adds an input that is a path, whatever characters it has.
    pub fn path(mut self, path: impl Into<PathBuf>) -> Self {
        self.inputs.push(Wanted::Path(path.into()));
        self
    }

    /// Leaves out files that match: their name, or their whole path if the pattern has a `/`.
    ///
    /// It applies to files that an input with wildcards finds; a path that is named is not left out.
    ///
    /// # Examples
    ///
    /// ```
    /// use tailmerge::Builder;
    ///
    /// let builder = Builder::new()
    ///     .input("/var/log/**")
    ///     .exclude("*.gz") // a name, in any directory
    ///     .exclude("/var/log/journal/**"); // a path
    /// ```
    pub fn exclude(mut self, glob: impl Into<String>) -> Self {
        self.excludes.push(glob.into());
        self
    }

    /// Adds standard input, until its end. It cannot be read again: after a crash, what was read of it and not
    /// written is gone.
    pub fn stdin(mut self) -> Self {
        self.stdin = true;
        self
    }

    /// Says that a file is never an input, even when a pattern matches it: one that the host itself writes.
    ///
    /// It goes by which file that is when the merge starts, not by its name. The output needs no mention.
    pub fn never(mut self, path: impl Into<PathBuf>) -> Self {
        self.never.push(path.into());
        self
    }

    /// Adds a tailer of the host's own. All of them take turns in one job of the blocking pool.
    pub fn tailer(mut self, name: impl Into<OsString>, tailer: impl Tailer) -> Self {
        self.tailers.push((name.into(), Box::new(tailer)));
        self
    }

    /// Sets where reading begins in files that are present at the start. Files that come later are read from their
    /// first byte. Default: [`StartAt::Start`].
    pub fn from(mut self, start: StartAt) -> Self {
        self.start = start;
        self
    }

    /// Continues a file where an earlier merge has left it, in place of where reading would begin otherwise.
    ///
    /// [`Merge::committed`](crate::Merge::committed) returns both. Or `path` is the input's name then
    /// ([`Source::path`](crate::Source::path)), and `position` what [`Extent::position`](crate::Extent::position) said of
    /// the last lines that the host has stored. A file that was
    /// renamed in its directory since is found again, and read to its end before the one that is at the path now. Where
    /// the bytes before the position are others by now, the file was truncated or written anew: it is read from its
    /// start. A file that is gone counts as a possible loss. Several positions of one path are given in the order of
    /// their generations. A path that is no input of this merge is ignored.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(backend: impl tailmerge::Backend) -> Result<(), Box<dyn std::error::Error>> {
    /// use tailmerge::{Builder, FilePosition};
    ///
    /// let mut builder = Builder::new().input("logs/*.log");
    /// for line in std::fs::read_to_string("positions")?.lines() {
    ///     let (position, path) = line.split_once(' ').ok_or("a position, a space, and a path")?;
    ///     builder = builder.resume(path, position.parse::<FilePosition>()?);
    /// }
    /// let merge = builder.start_on(backend).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn resume(mut self, path: impl Into<PathBuf>, position: FilePosition) -> Self {
        self.positions.push((path.into(), position));
        self
    }

    /// Sets files aside that have not changed for longer than this when they are found. One that changes later
    /// gives its new lines only. Default: none are.
    pub fn ignore_older(mut self, age: Duration) -> Self {
        self.ignore_older = Some(age);
        self
    }

    /// Which symbolic links on the way to an input are followed. Default: [`Links::Follow`], which a program that runs
    /// as root should not leave so.
    ///
    /// A link that is not followed is told once, as [`Event::Refused`](crate::Event::Refused), and counts as a failure only
    /// where it is named and the merge is to end by itself. The output's own path is followed whatever links it has. A file
    /// system of the host's own that has no such policy ([`Fs::with_links`]) keeps the merge from starting.
    ///
    /// # Examples
    ///
    /// ```
    /// use tailmerge::{Builder, Links};
    ///
    /// let builder = Builder::new().input("/home/*/log/*.log").links(Links::Owned);
    /// ```
    pub fn links(mut self, links: Links) -> Self {
        self.links = links;
        self
    }

    /// Explains the inputs as they are now: which files match, which do not and why, where each would start. It changes
    /// nothing.
    ///
    /// # Errors
    ///
    /// If a pattern is malformed.
    ///
    /// # Blocking
    ///
    /// Reads the file system on this thread.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use tailmerge::Builder;
    ///
    /// for explained in Builder::new().input("logs/*.log").exclude("*.gz").explain()? {
    ///     println!("{explained}");
    /// }
    /// # Ok::<(), tailmerge::StartError>(())
    /// ```
    pub fn explain(&self) -> Result<Vec<Explained>, StartError> {
        let mut forbidden = self.never_ids();
        let output = if let Output::File(path) = &self.output { Some(path) } else { None };
        let own = output.into_iter().chain(&self.state);
        forbidden.extend(own.filter_map(|own| self.fs.stat(own).ok()).map(|stat| stat.id));
        let fs = self.inputs_fs()?;
        let (specs, excludes) = (self.specs(&*fs)?, Excludes::new(self.excludes.clone())?);
        let mut explained = explain(&*fs, &specs, &excludes, self.start, self.ignore_older, &forbidden, self.watch);
        if self.stdin {
            explained.push(Explained { path: "-".into(), leads_to: None, verdict: Verdict::Stream });
        }
        Ok(explained)
    }

    /// The files that would be followed now, each once, in the order of the inputs.
    ///
    /// # Errors
    ///
    /// As [`Builder::explain`].
    ///
    /// # Blocking
    ///
    /// As [`Builder::explain`].
    pub fn inputs_now(&self) -> Result<Vec<PathBuf>, StartError> {
        let followed = |explained: &Explained| matches!(explained.verdict, Verdict::Follow { .. });
        Ok(self.explain()?.into_iter().filter(followed).map(|explained| explained.path).collect())
    }

    /// Returns the files that are never inputs.
    pub(super) fn never_ids(&self) -> Vec<FileId> {
        self.never.iter().filter_map(|path| self.fs.stat(path).ok()).map(|stat| stat.id).collect()
    }

    /// The file system as the inputs are to see it.
    pub(super) fn inputs_fs(&self) -> Result<Arc<dyn Fs>, StartError> {
        match self.links {
            Links::Follow => Ok(self.fs.clone()),
            links => self.fs.with_links(links).map_err(|error| {
                StartError::setting(format!("links cannot be followed as asked on this file system: {error}"))
            }),
        }
    }

    pub(super) fn specs(&self, fs: &dyn Fs) -> Result<Vec<Spec>, StartError> {
        let specs = self.inputs.iter().map(|wanted| match wanted {
            Wanted::Any(input) => Spec::new(input, fs),
            Wanted::Path(path) => Ok(Spec::named(path, fs)),
        });
        Ok(specs.collect::<Result<_, _>>()?)
    }
}
