//! The account of a merge at its end.

use std::path::PathBuf;

use super::Gap;

/// What a merge did, input by input, and what it could not do.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Report {
    /// Each input that was ever followed, in the order of joining. Beyond 10,000, the oldest of those that are over are
    /// the first row, all together, whose name is empty; the sums stay exact.
    pub inputs: Vec<InputReport>,
    /// For how many inputs the first row stands; 0: for one, as the others.
    pub folded_inputs: u64,
    /// What was not delivered and never will be: the first 10,000 gaps, those that follow upon each other as one.
    pub gaps: Vec<Gap>,
    /// How many gaps there are, those that follow upon each other as one.
    pub gap_count: u64,
    /// Bytes in all gaps.
    pub gap_bytes: u64,
    /// How often something may have been lost that nobody can know of: a file was cut, or removed while it was not open,
    /// that had been read up to where it was last seen; a pattern found it, and it was gone before it could be looked at;
    /// or a directory could not be listed for a while. No failure, and no gap.
    pub possible_losses: u64,
    /// Bytes written to the output.
    pub bytes: u64,
    /// Whole lines written to the output.
    pub lines: u64,
    /// Bytes of lines that were read, or sent by the host, and not written.
    pub unwritten_bytes: u64,
    /// Whether all that was there when the stop was asked for has been read and written.
    pub drained: bool,
    /// Whether the host's executor dropped the readers before they were done.
    pub readers_lost: bool,
    /// Whether the reader of the output went away.
    pub output_closed: bool,
    /// Lines that were longer than the limit.
    pub long_lines: u64,
    /// Bytes in holes that were skipped: never written, left by a truncation.
    pub hole_bytes: u64,
    /// Last lines without a newline that were delivered with one.
    pub unterminated_lines: u64,
    /// Inputs that could not be read to their end when they were to be, and why. Under `once` also named inputs that
    /// were missing or unreadable, and patterns without a match. The first 10,000.
    pub failed_inputs: Vec<(PathBuf, String)>,
    /// How many there are.
    pub failed_input_count: u64,
}

impl Report {
    /// Whether all that was there at the end is in the output: everything was read and written, there is no gap, and no
    /// input or reader failed.
    ///
    /// A merge that failed has an error in place of this, which is not to be asked: it is never complete.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(merge: tailmerge_core::Merge) -> Result<(), Box<dyn std::error::Error>> {
    /// let report = merge.stop(std::time::Duration::from_secs(10)).await?;
    /// if !report.is_complete() {
    ///     return Err(format!("not all was merged: {report:?}").into());
    /// }
    /// # Ok(())
    /// # }
    /// ```
    #[must_use = "a report that is not complete tells of a loss"]
    pub fn is_complete(&self) -> bool {
        self.drained
            && self.gap_count == 0
            && self.failed_input_count == 0
            && self.unwritten_bytes == 0
            && !self.readers_lost
    }
}

/// What became of one input.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct InputReport {
    /// Its path, or the name that the host gave.
    pub name: PathBuf,
    /// Bytes taken from it and written, without what was dropped.
    pub bytes: u64,
    /// Lines of output made from it.
    pub lines: u64,
    /// How often something of it may have been lost that nobody can know of; see [`Report::possible_losses`].
    pub possible_losses: u64,
    /// Where the last written line ends, in bytes, in the newest file of that name of which there is one. Late lines of
    /// a file that was rotated away do not count here.
    pub offset: u64,
}
