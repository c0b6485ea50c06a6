//! The report of a merge at its end.

use std::path::PathBuf;

use crate::report::gap::Gap;

/// What a merge delivered, input by input, and what it did not.
///
/// # Examples
///
/// ```no_run
/// # fn example(report: tailmerge::Report) {
/// for input in &report.inputs {
///     println!("{}: {} lines, up to byte {}", input.name.display(), input.lines, input.offset);
/// }
/// for gap in &report.gaps {
///     println!("{gap}");
/// }
/// for (path, reason) in &report.failed_inputs {
///     println!("{}: {reason}", path.display());
/// }
/// # }
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Report {
    /// Each input that was ever followed, in the order of joining. Beyond 10,000, the oldest of those that are over are
    /// the first row, all together, whose name is empty; the sums stay exact.
    pub inputs: Vec<InputReport>,
    /// The number of inputs that the first row stands for; 0 if it stands for one, as the others do.
    pub folded_inputs: u64,
    /// The gaps: byte ranges that were not delivered and never will be. Adjacent ones are joined; the first 10,000 are
    /// listed.
    pub gaps: Vec<Gap>,
    /// The number of gaps; adjacent ones are joined.
    pub gap_count: u64,
    /// The number of bytes in all gaps.
    pub gap_bytes: u64,
    /// The number of lines that senders of the host's dropped, since there was no room for them: see
    /// [`LineSender::lossy`](crate::LineSender::lossy). They are gaps.
    pub dropped_lines: u64,
    /// The number of possible losses, where nobody can tell whether lines were lost: a file that was read to its last
    /// known end was truncated, or removed while it was not open; a file that a pattern found was gone before it could
    /// be opened; a directory could not be listed for a while. A possible loss is neither a failure nor a gap.
    pub possible_losses: u64,
    /// The number of bytes written to the output.
    pub bytes: u64,
    /// The number of lines written to the output.
    pub lines: u64,
    /// The number of bytes that were read, or sent by the host, and not written.
    pub unwritten_bytes: u64,
    /// True if everything that was there at the stop has been read and written.
    pub drained: bool,
    /// True if the host's executor dropped the readers before they were done.
    pub readers_lost: bool,
    /// True if the reader of the output went away.
    pub output_closed: bool,
    /// The number of lines longer than the limit.
    pub long_lines: u64,
    /// The number of bytes in holes that were skipped, and of NUL bytes at the end of files that are over: nothing was
    /// written there.
    pub hole_bytes: u64,
    /// The number of last lines without a newline that were delivered with one.
    pub unterminated_lines: u64,
    /// Inputs that could not be read to their end when they had to be, with the reason. Under `once` also named inputs
    /// that were missing or unreadable, and patterns without a match. The first 10,000 are listed.
    pub failed_inputs: Vec<(PathBuf, String)>,
    /// The number of failed inputs.
    pub failed_input_count: u64,
}

impl Report {
    /// Returns true if everything that was there at the end is in the output: all was read and written, there is no
    /// gap, and no input or reader failed.
    ///
    /// A merge that failed returns an error in place of a report. Its output is never complete, whatever the report
    /// within the error says.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(merge: tailmerge::Merge) -> Result<(), Box<dyn std::error::Error>> {
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

/// The account of one input.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct InputReport {
    /// Its path, or the name that the host gave.
    pub name: PathBuf,
    /// The number of bytes taken from it and written, without those that were dropped.
    pub bytes: u64,
    /// The number of lines written to the output.
    pub lines: u64,
    /// The number of possible losses of this input: see [`Report::possible_losses`].
    pub possible_losses: u64,
    /// The offset in bytes where the last written line ends, in the newest file of that name. Late lines of a file that
    /// was rotated away do not count.
    pub offset: u64,
}
