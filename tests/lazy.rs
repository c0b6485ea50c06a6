//! A backend's jobs may begin when their futures are first polled: `Backend::unblock` says so.

use std::fs::{self, File};
use std::future::Future;
use std::io::Write;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use futures_lite::{StreamExt, future::block_on};
use tailmerge::{Backend, Builder};
use tailmerge_conformance::Threads;
use tempfile::TempDir;

/// Only a failing test waits so long.
const DEADLINE: Duration = Duration::from_secs(30);

/// Threads, with jobs that begin when they are first polled.
#[derive(Clone, Debug)]
struct Lazy;

impl Backend for Lazy {
    fn block_on<F: Future>(&self, future: F) -> F::Output {
        Threads.block_on(future)
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        Threads.spawn(task);
    }

    fn unblock<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> impl Future<Output = T> + Send + 'static {
        Box::pin(async { Threads.unblock(job).await })
    }

    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + Send + 'static {
        Threads.sleep(duration)
    }
}

/// Runs it on a thread of its own, since it hangs where it fails.
#[track_caller]
fn in_time<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> T {
    let (done, result) = channel();
    thread::spawn(move || done.send(block_on(work)));
    result.recv_timeout(DEADLINE).expect("it comes to its end")
}

#[test]
fn a_merge_needs_no_job_that_begins_by_itself() {
    let dir = TempDir::new().expect("a directory for the test");
    let [a, b, all] = ["a.log", "b.log", "all"].map(|name| dir.path().join(name));
    fs::write(&a, "1\n").expect("a file of the test");
    fs::write(&b, "2\n").expect("a file of the test");
    let report = in_time(async move {
        let merge = Builder::new().path(&a).output(&all).start_on(Lazy).await.expect("it starts");
        merge.follow(&b).await.expect("it is followed");
        merge.sender("host").send("3").await.expect("it is taken");
        let mut file = File::options().append(true).open(&a).expect("a file of the test");
        file.write_all(b"4\n").expect("a file of the test");
        while merge.snapshot().lines < 4 {
            Threads.sleep(Duration::from_millis(1)).await;
        }
        merge.unfollow(&b).await.expect("it is followed no more");
        merge.flush().await.expect("it is flushed");
        merge.stop(DEADLINE).await.expect("it ends")
    });
    assert!(report.is_complete() && report.lines == 4, "{report:?}");
}

#[test]
fn a_tail_needs_no_job_that_begins_by_itself() {
    let dir = TempDir::new().expect("a directory for the test");
    let path = dir.path().join("a.log");
    fs::write(&path, "1\n2\n").expect("a file of the test");
    let lines = in_time(async move {
        let lines = tailmerge::tail(&path).lines_on(Lazy).await.expect("it starts");
        lines.stop();
        lines.map(|line| line.expect("a line").bytes).collect::<Vec<_>>().await
    });
    assert_eq!(lines, [b"1", b"2"]);
}
