//! What the end of a merge means: the exit status, and the line that says why it is not 0.

use std::fs;
use std::path::Path;

use tailmerge::{InputReport, Report};

use crate::status::{Failure, Status};
use crate::voice::count;

/// Judges a merge that ended in order.
pub(crate) fn of(report: &Report) -> Result<(), Failure> {
    // Who closes the output has what he wanted.
    if report.output_closed {
        return Ok(());
    }
    if report.readers_lost {
        return Err(Failure::run_time(
            "the readers ended before the inputs did: what they had read is written, what followed is not",
        ));
    }
    if !report.drained || report.unwritten_bytes > 0 {
        return Err(unwritten(report));
    }
    if let Some((path, reason)) = report.failed_inputs.first() {
        let failed = count(report.failed_input_count, "input");
        let path = path.display();
        let merged = |input: &InputReport| report.failed_inputs.iter().all(|(failed, _)| *failed != input.name);
        let others = if report.inputs.iter().any(merged) { "; the others are merged" } else { "" };
        return Err(Failure::run_time(format!("{failed} could not be read ({path}: {reason}){others}")));
    }
    if report.gap_count > 0 {
        return Err(gaps(report));
    }
    Ok(())
}

fn unwritten(report: &Report) -> Failure {
    let unread: u64 = report.inputs.iter().map(|input| rest(&input.name, input.offset)).sum();
    let bytes = unread.max(report.unwritten_bytes);
    if bytes == 0 {
        return Failure::run_time(
            "stopped before a last look at the inputs: nothing is known to be missing from the output; \
             allow more time with --stop-timeout",
        );
    }
    Failure::run_time(format!(
        "stopped before all was written: {bytes} bytes of the inputs are not in the output; \
         check that the output has room or is read, or allow more time with --stop-timeout"
    ))
}

/// Bytes of the file beyond the offset.
fn rest(path: &Path, offset: u64) -> u64 {
    fs::metadata(path).map_or(0, |metadata| metadata.len().saturating_sub(offset))
}

fn gaps(report: &Report) -> Failure {
    let (gaps, bytes) = (count(report.gap_count, "gap"), report.gap_bytes);
    let message = format!(
        "finished with {gaps}: at least {bytes} bytes of the inputs could not be delivered; --report tells which"
    );
    Failure { status: Status::Gaps, message }
}
