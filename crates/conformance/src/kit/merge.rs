//! Starting and stopping, by the asynchronous calls and by those that block.

use tailmerge_core::{Backend, Builder, Merge, MergeError, Report};

use super::{DEADLINE, block_on};

#[track_caller]
pub(crate) fn start<B: Backend>(builder: Builder, backend: B) -> Merge {
    block_on("start", builder.start_on(backend)).expect("the merge starts")
}

#[track_caller]
pub(crate) fn start_blocking<B: Backend>(builder: Builder, backend: B) -> Merge {
    builder.start_on_blocking(backend).expect("the merge starts")
}

/// Drains.
#[track_caller]
pub(crate) fn stop(merge: &Merge) -> Report {
    drained(block_on("stop", merge.stop(DEADLINE)))
}

/// Drains.
#[track_caller]
pub(crate) fn stop_blocking(merge: &Merge) -> Report {
    drained(merge.stop_blocking(DEADLINE))
}

#[track_caller]
fn drained(ended: Result<Report, MergeError>) -> Report {
    let report = ended.expect("the merge ends well");
    assert!(report.drained, "not drained: {report:?}");
    assert_eq!(report.unwritten_bytes, 0, "drained, and yet not all was written: {report:?}");
    report
}

/// How a merge failed.
#[track_caller]
pub(crate) fn failed(merge: &Merge) -> MergeError {
    block_on("stop", merge.stop(DEADLINE)).expect_err("the merge has failed")
}
