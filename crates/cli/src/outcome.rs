//! Decides the exit status at the end of a merge, and the message that says why it is not 0.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_lite::future;
use tailmerge::fs::{Fs, OsFs};
use tailmerge::{Backend, InputReport, Report};

use crate::console::count;
use crate::status::{Failure, Status};

/// Asking the inputs how much was left unread takes at most this long, since their file system may hang.
const LOOK_WITHIN: Duration = Duration::from_secs(1);

/// Returns the exit status of a merge that ended without an error.
pub(crate) async fn judge<B: Backend>(report: &Report, backend: &B) -> Result<(), Failure> {
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
        let unread = unread(report, backend).await.max(report.unwritten_bytes);
        if unread > 0 || report.failed_inputs.is_empty() {
            return Err(unwritten(unread));
        }
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

/// Counts the bytes of the inputs that were not read, as far as that can be found out in time. Inputs of a network or
/// of a program are not asked.
async fn unread<B: Backend>(report: &Report, backend: &B) -> u64 {
    let ends: Vec<(PathBuf, u64)> = report.inputs.iter().map(|input| (input.name.clone(), input.offset)).collect();
    let look = backend.unblock(move || {
        let near = ends.iter().filter(|(path, _)| OsFs.remote_device(path).is_none());
        near.map(|(path, offset)| rest(path, *offset)).sum()
    });
    let late = async {
        backend.sleep(LOOK_WITHIN).await;
        0
    };
    future::or(look, late).await
}

fn unwritten(bytes: u64) -> Failure {
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

/// Counts the bytes of a file beyond an offset.
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
