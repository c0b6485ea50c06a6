//! The state of a running merge at one moment.

/// The state of a running merge at one moment; see [`Merge::snapshot`](crate::Merge::snapshot).
///
/// The numbers are read one after the other while the merge goes on, so they may be of slightly different moments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Snapshot {
    /// The number of bytes written to the output.
    pub bytes: u64,
    /// The number of lines written to the output.
    pub lines: u64,
    /// The number of bytes that were read, or sent by the host, and are not written yet.
    pub pending_bytes: u64,
    /// The number of batches that hold lines for the output or are being filled. Reading waits while all are in use: the
    /// output is then slower than the inputs.
    pub batches_in_use: usize,
    /// The number of all batches.
    pub batches: usize,
    /// True while the output cannot be written to: between [`Event::OutputWaiting`](crate::Event::OutputWaiting) and
    /// [`Event::OutputResumed`](crate::Event::OutputResumed).
    pub output_waits: bool,
    /// The number of gaps so far; adjacent ones are joined.
    pub gaps: u64,
    /// The number of bytes in all gaps.
    pub gap_bytes: u64,
    /// The number of lines dropped by lossy senders; see [`Report::dropped_lines`](crate::Report::dropped_lines).
    pub dropped_lines: u64,
    /// The number of possible losses; see [`Report::possible_losses`](crate::Report::possible_losses).
    pub possible_losses: u64,
    /// The number of inputs that could not be read to their end when they had to be.
    pub failed_inputs: u64,
    /// True once the merge has ended.
    pub is_finished: bool,
}
