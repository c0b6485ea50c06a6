//! Starting and stopping, by the asynchronous calls and by those that block.

use tailmerge_core::{Backend, Builder, Merge, MergeError, Report};

use super::{DEADLINE, block_on, until};

#[track_caller]
pub fn start<B: Backend>(builder: Builder, backend: B) -> Merge {
    block_on("start", builder.start_on(backend)).expect("the merge starts")
}

/// Starts on an output that another merge had, as soon as it is free.
///
/// That is at once, but for a process which is being started from this one: it has all open files for a moment, and
/// their locks.
#[track_caller]
pub fn start_again<B: Backend>(builder: impl Fn() -> Builder, backend: &B) -> Merge {
    let mut started = None;
    until("the output is free", || match builder().start_on_blocking(backend.clone()) {
        Ok(merge) => {
            started = Some(merge);
            true
        }
        Err(error) => {
            assert!(error.to_string().contains("another process is writing to it"), "{error}");
            false
        }
    });
    started.expect("it is waited for")
}

#[track_caller]
pub fn start_blocking<B: Backend>(builder: Builder, backend: B) -> Merge {
    builder.start_on_blocking(backend).expect("the merge starts")
}

/// Drains.
#[track_caller]
pub fn stop(merge: &Merge) -> Report {
    drained(block_on("stop", merge.stop(DEADLINE)))
}

/// Drains.
#[track_caller]
pub fn stop_blocking(merge: &Merge) -> Report {
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
pub fn failed(merge: &Merge) -> MergeError {
    block_on("stop", merge.stop(DEADLINE)).expect_err("the merge has failed")
}
