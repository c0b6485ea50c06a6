//! What is special to smol: an executor of the host's own, with its own ways to go away.

use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

use smol::{Executor, Timer};
use tailmerge::{Builder, Smol};
use tempfile::TempDir;

/// Only a failing test waits so long.
const DEADLINE: Duration = Duration::from_secs(30);

fn builder(dir: &TempDir) -> Builder {
    fs::write(dir.path().join("a.log"), "1\n").expect("a file of the test");
    Builder::new().path(dir.path().join("a.log")).output(dir.path().join("all"))
}

/// The host runs its executor on the thread of `main` only, and drops it there while the merge lasts.
#[test]
fn an_executor_that_is_dropped_is_reported() {
    let dir = TempDir::new().expect("a directory for the test");
    let executor = Arc::new(Executor::new());
    let backend = Smol::with_executor(&executor);
    let merge = smol::block_on(executor.run(async {
        let merge = builder(&dir).start_on(backend).await.expect("the merge starts");
        let start = Instant::now();
        while fs::read(dir.path().join("all")).expect("the output") != b"1\n" {
            assert!(start.elapsed() < DEADLINE, "nothing comes out");
            Timer::after(Duration::from_millis(1)).await;
        }
        merge
    }));
    merge.sender("host").send_blocking("sent").expect("the merge runs");
    drop(executor);
    let start = Instant::now();
    let report = merge.stop_blocking(DEADLINE).expect("it is no failure of the merge");
    assert!(start.elapsed() < DEADLINE / 2, "it waited for its deadline");
    assert!(report.readers_lost && !report.drained, "{report:?}");
    assert_eq!(report.lines, 2);
    assert_eq!(fs::read(dir.path().join("all")).expect("the output"), b"1\nsent\n");
}

/// A merge that ended leaves no task behind in the host's executor.
#[test]
fn the_executor_is_empty_after_the_merge() {
    let dir = TempDir::new().expect("a directory for the test");
    let executor = Arc::new(Executor::new());
    let backend = Smol::with_executor(&executor);
    smol::block_on(executor.run(async {
        let merge = builder(&dir).start_on(backend).await.expect("the merge starts");
        assert!(merge.stop(DEADLINE).await.expect("the merge ends well").drained);
    }));
    let start = Instant::now();
    while !executor.is_empty() {
        assert!(start.elapsed() < DEADLINE, "a task is left");
        executor.try_tick();
    }
}

/// An executor that lives as long as the program runs the merge's tasks.
#[test]
fn a_static_executor_will_do() {
    static EXECUTOR: Executor<'static> = Executor::new();

    let dir = TempDir::new().expect("a directory for the test");
    smol::block_on(EXECUTOR.run(async {
        let backend = Smol::with_static_executor(&EXECUTOR);
        let merge = builder(&dir).start_on(backend).await.expect("the merge starts");
        assert!(!EXECUTOR.is_empty(), "its tasks are there");
        let report = merge.stop(DEADLINE).await.expect("the merge ends well");
        assert_eq!((report.lines, report.is_complete()), (1, true));
    }));
}
