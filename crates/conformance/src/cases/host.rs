//! What a merge does on the host's executor, and what becomes of it when that is slow, busy or gone.

use std::future::pending;
use std::io::Write;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_lite::StreamExt;
use tailmerge_core::{Backend, WriterContext};

use crate::kit::{
    DEADLINE, Feed, Host, OneThread, Op, Scene, Sink, SinkWriter, TestFs, as_task, assert_same, block_on, is_polling,
    lines, numbered, poll_once, sorted, start, stop, until,
};

cases! { host:
    a_task_may_own_the_merge
    dropped_on_the_only_thread_it_ends
    stopped_on_the_only_thread_it_drains
    requests_on_the_only_thread_are_done
    a_lost_executor_is_reported
    no_task_touches_a_file
    only_the_writers_thread_blocks_on
    a_start_given_up_leaves_nothing_behind
    a_pause_of_the_host_does_no_harm
    what_is_idle_costs_little
}

/// Longer than any case takes.
const NEVER: Duration = Duration::from_secs(3600);

/// The whole life of a merge in a task of the host's, which shows that all its futures are `Send`.
fn a_task_may_own_the_merge<B: Backend>(backend: B) {
    let scene = Scene::new();
    scene.write("a.log", "1\n");
    scene.write("b.log", "2\n");
    let builder = scene.builder().path(scene.path("a.log"));
    let (b, other, tailed, done) = (scene.path("b.log"), scene.path("other"), scene.path("a.log"), channel());
    let runner = backend.clone();
    backend.spawn(async move {
        let merge = builder.start_on(runner.clone()).await.expect("the merge starts");
        merge.follow(&b).await.expect("the merge runs");
        merge.sender("host").send("3").await.expect("the merge runs");
        merge.flush().await.expect("the merge runs");
        let mut lines = tailmerge_core::tail(tailed).lines_on(runner).await.expect("the tail starts");
        let line = lines.next().await.expect("a line").expect("a line");
        merge.follow(&other).await.expect("the merge runs");
        merge.unfollow(&other).await.expect("the merge runs");
        let report = merge.stop(DEADLINE).await.expect("the merge ends well");
        merge.finished().await;
        done.0.send((line.bytes, report.lines)).expect("the case waits");
    });
    let (line, lines) = done.1.recv_timeout(DEADLINE).expect("the task ends");
    assert_eq!((&line[..], lines), (&b"1"[..], 3));
    assert_same("the output", &sorted(&scene.output()), b"1\n2\n3\n");
}

/// Dropped on the only thread that the host's executor has, a merge ends: it needs that thread for nothing.
fn dropped_on_the_only_thread_it_ends<B: Backend>(backend: B) {
    let scene = Scene::new();
    let text = numbered("line", 0..20_000);
    scene.write("a.log", &text);
    let host = OneThread::new(backend);
    let builder = scene.builder().path(scene.path("a.log"));
    let ended = host.run(async {
        let merge = builder.start_on(host.clone()).await.expect("the merge starts");
        merge.sender("host").send("sent").await.expect("the merge runs");
        let start = Instant::now();
        drop(merge);
        start.elapsed()
    });
    let took = block_on("the host's one thread", ended);
    assert!(took < DEADLINE / 2, "it took {took:?}");
    let output = scene.output();
    assert!(output.ends_with(b"\n"), "what was submitted is written");
    let sent: Vec<&[u8]> = lines(&output).into_iter().filter(|line| *line == b"sent\n").collect();
    assert_eq!(sent.len(), 1);
}

/// Stopped there, it drains.
fn stopped_on_the_only_thread_it_drains<B: Backend>(backend: B) {
    let scene = Scene::new();
    scene.write("a.log", numbered("line", 0..20_000));
    let host = OneThread::new(backend);
    let builder = scene.builder().path(scene.path("a.log"));
    let drained = host.run(async {
        let merge = builder.start_on(host.clone()).await.expect("the merge starts");
        merge.stop(DEADLINE).await.expect("the merge ends well").drained
    });
    assert!(block_on("the host's one thread", drained));
    scene.check(["a.log"]);
}

/// Requests that wait on the host's only thread need no other one of its executor.
fn requests_on_the_only_thread_are_done<B: Backend>(backend: B) {
    let scene = Scene::new();
    scene.write("a.log", "a\n");
    scene.write("b.log", "b\n");
    let host = OneThread::new(backend);
    let builder = scene.builder().path(scene.path("a.log"));
    let report = host.run(async {
        let merge = builder.start_on(host.clone()).await.expect("the merge starts");
        merge.follow_blocking(scene.pattern("b.*")).expect("the merge runs");
        merge.follow_blocking(scene.path("c.log")).expect("the merge runs");
        merge.follow_blocking(scene.pattern("{a,")).expect_err("it is no pattern");
        merge.unfollow_blocking(scene.path("c.log")).expect("the merge runs");
        scene.write("c.log", "c\n");
        merge.sender("host").send_blocking("sent").expect("the merge runs");
        merge.flush_blocking().expect("the merge runs");
        merge.stop(DEADLINE).await.expect("the merge ends well")
    });
    let report = block_on("the host's one thread", report);
    assert!(report.is_complete(), "{report:?}");
    assert_same("the output", &sorted(&scene.output()), b"a\nb\nsent\n");
}

/// The host drops its executor: what was submitted is written, and the report says that readers were lost.
fn a_lost_executor_is_reported<B: Backend>(backend: B) {
    let scene = Scene::new();
    scene.write("a.log", "1\n");
    let host = Host::new(backend);
    let builder = scene.builder().poll_interval(NEVER).path(scene.path("a.log"));
    let merge = start(builder, host.clone());
    let sink = merge.sender("host");
    scene.expect("1\n");
    sink.send_blocking("sent").expect("the merge runs");
    host.lose_executor();
    until("all tasks are dropped", || host.tasks() == 0);
    scene.append("a.log", "2\n");
    // There is nobody to wait for.
    let start = Instant::now();
    let report = block_on("stop", merge.stop(DEADLINE)).expect("it is no failure of the merge");
    assert!(start.elapsed() < DEADLINE / 2, "it waited for its deadline");
    scene.assert_output("1\nsent\n");
    assert!(report.readers_lost && !report.drained, "{report:?}");
    assert_eq!(report.unwritten_bytes, 0, "{report:?}");
}

/// No file is touched while the executor polls a task, the host's start of the merge included.
fn no_task_touches_a_file<B: Backend>(backend: B) {
    let touched: Arc<Mutex<Vec<(Op, PathBuf)>>> = Arc::default();
    let told = touched.clone();
    let scene = Scene::on(TestFs::with_hook(move |op, path| {
        if is_polling() {
            told.lock().unwrap_or_else(PoisonError::into_inner).push((op, path.to_owned()));
        }
    }));
    scene.write("a.log", numbered("line", 0..1000));
    let host = Host::new(backend);
    let builder = scene.builder().input(scene.pattern("*.log")).path(scene.path("b.log"));
    let merge = block_on("start", as_task(builder.start_on(host.clone()))).expect("the merge starts");
    scene.expect_lines(1000);
    scene.write("b.log", "b\n");
    scene.expect_lines(1001);
    block_on("follow", as_task(merge.follow(scene.path("c")))).expect("the merge runs");
    block_on("unfollow", as_task(merge.unfollow(scene.path("c")))).expect("the merge runs");
    block_on("flush", as_task(merge.flush())).expect("the merge runs");
    scene.rename("a.log", "d.log");
    scene.append("a.log", "new\n");
    scene.expect_lines(1002);
    block_on("stop", as_task(merge.stop(DEADLINE))).expect("the merge ends well");
    let tail = tailmerge_core::Builder::new().once(true).fs(Arc::new(scene.fs.clone())).path(scene.path("d.log"));
    let mut lines = block_on("tail", as_task(tail.lines_on(host))).expect("the tail starts");
    let count = block_on(
        "lines",
        as_task(async {
            let mut count = 0;
            while lines.next().await.is_some() {
                count += 1;
            }
            count
        }),
    );
    assert_eq!(count, 1000);
    assert_eq!(*touched.lock().unwrap_or_else(PoisonError::into_inner), []);
}

/// `block_on` is called once, on the writer's thread.
fn only_the_writers_thread_blocks_on<B: Backend>(backend: B) {
    let scene = Scene::new();
    scene.write("a.log", "1\n");
    let host = Host::new(backend);
    let merge = start(scene.builder().path(scene.path("a.log")), host.clone());
    scene.expect("1\n");
    merge.follow_blocking(scene.path("b.log")).expect("the merge runs");
    merge.flush_blocking().expect("the merge runs");
    stop(&merge);
    assert_eq!(host.blocked(), ["tailmerge-writer"]);
}

/// A start that is given up leaves nothing behind.
fn a_start_given_up_leaves_nothing_behind<B: Backend>(backend: B) {
    let scene = Scene::new();
    let (sink, host) = (Sink::new(), Host::new(backend));
    let (making, made) = channel();
    let kept = sink.clone();
    let make = move |cx: WriterContext| async move {
        let writer = SinkWriter::new(kept);
        making.send(()).expect("the case waits");
        let helper = SinkWriter::new(Sink::new());
        cx.spawn(async move {
            let _helper = helper;
            pending::<()>().await;
        });
        pending::<()>().await;
        Ok(writer)
    };
    {
        let mut start = pin!(scene.builder().path(scene.path("a.log")).writer(make).start_on(host.clone()));
        until("the writer is being made", || {
            assert!(poll_once(&mut start).is_pending());
            made.try_recv().is_ok()
        });
    }
    until("the writer is dropped", || sink.is_dropped());
    until("all tasks have ended", || host.tasks() == 0);
}

/// What a merge does while its host does not run its executor for a while is none the worse for it.
fn a_pause_of_the_host_does_no_harm<B: Backend>(backend: B) {
    let scene = Scene::new();
    let mut producer = scene.producer("a.log");
    let host = OneThread::new(backend);
    let builder = scene.builder().path(scene.path("a.log"));
    let merge = block_on("start", host.run(builder.start_on(host.clone()))).expect("the merge starts");
    let mut want = String::new();
    for round in 0..20 {
        let lines = numbered("line", round * 100..(round + 1) * 100);
        producer.write_all(lines.as_bytes()).expect("a file of the case");
        want += &lines;
        // Some steps only.
        block_on("the host's one thread", host.run(host.sleep(Duration::from_millis(round as u64 % 4))));
    }
    let report = block_on("the host's one thread", host.run(merge.stop(DEADLINE))).expect("the merge ends well");
    assert!(report.drained, "{report:?}");
    scene.assert_output(&want);
}

/// A merge, or a tail alone, that has nothing to do gives the blocking pool a few jobs an interval and no more.
fn what_is_idle_costs_little<B: Backend>(backend: B) {
    const INTERVAL: Duration = Duration::from_millis(20);
    const INTERVALS: u32 = 10;
    const JOBS_AN_INTERVAL: usize = 4;

    let scene = Scene::new();
    scene.write("a.log", "1\n");
    let host = Host::new(backend);
    let builder = || scene.tail().poll_interval(INTERVAL).input(scene.pattern("*.log")).tailer("feed", Feed::new([]));
    let merge = start(builder().output(scene.path("all")), host.clone());
    scene.expect("1\n");
    let count = |what: &str| {
        let (start, before) = (Instant::now(), host.jobs());
        until(what, || start.elapsed() >= INTERVAL * INTERVALS);
        let intervals = (start.elapsed().as_millis() / INTERVAL.as_millis()) as usize + 1;
        let jobs = host.jobs() - before;
        assert!(jobs <= intervals * JOBS_AN_INTERVAL, "{what}: {jobs} jobs in {intervals} intervals");
    };
    count("an idle merge");
    stop(&merge);
    let mut lines = block_on("tail", builder().lines_on(host.clone())).expect("the tail starts");
    block_on("a line", lines.next()).expect("the tail goes on").expect("a line");
    count("an idle tail");
}
