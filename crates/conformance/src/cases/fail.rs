//! What fails: inputs, writers, disks. It comes back to the host, and takes nothing else with it.

use std::error::Error;
use std::io::{self, ErrorKind};
use std::panic::resume_unwind;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tailmerge_core::{Backend, Closed, FollowError, Merge, SendError, WriterContext};

use crate::kit::{
    Act, DEADLINE, Feed, Op, Scene, Sink, SinkWriter, Step, TestFs, assert_same, block_on, failed, lines, numbered,
    on_thread, sorted, start, start_blocking, stop, until,
};

cases! { fail:
    a_tailer_that_fails_takes_no_other_with_it
    a_search_for_files_that_panics_takes_no_file_with_it
    an_error_that_stays_poisons_the_merge
    a_flush_that_fails_poisons_the_merge
    a_writer_that_panics_is_an_error
    a_writer_that_cannot_be_made_is_an_error
    an_error_that_passes_loses_nothing
    a_full_disk_is_waited_for
    a_disk_that_stays_full_is_reported
}

/// A tailer that panics, or fails, is an error at the stop. The lines it had delivered are there, and so are those of
/// the others.
fn a_tailer_that_fails_takes_no_other_with_it<B: Backend>(backend: B) {
    for panics in [true, false] {
        let scene = Scene::new();
        scene.write("a.log", "a1\n");
        let last = "the last".to_owned();
        let bad = Feed::new([
            Step::Line("first".into()),
            if panics { Step::PanicAfter(last) } else { Step::FailAfter(last) },
        ]);
        let good = Feed::new([Step::Line("good 1".into())]);
        let builder = scene.builder().path(scene.path("a.log")).tailer("bad", bad.clone()).tailer("good", good.clone());
        let merge = start(builder, backend.clone());
        scene.expect_lines(4);
        good.then([Step::Line("good 2".into())]);
        scene.append("a.log", "a2\n");
        bad.then([Step::Line("never".into())]);
        // Another one fails after it.
        good.then([Step::FailAfter("good 3".into())]);
        scene.expect_lines(7);
        let error = failed(&merge);
        let failed_tailers: Vec<&str> = error.tailer_errors().map(|(name, _)| name).collect();
        assert_eq!(failed_tailers, ["bad", "good"]);
        let told = error.to_string();
        let all = ["the tailer bad failed: ", "; the tailer good failed: "];
        assert!(all.iter().all(|each| told.contains(each)), "{told}");
        assert_eq!(told.matches("the case wants it so").count(), 2, "{told}");
        assert_eq!((error.is_panic(), error.output_error().is_none()), (panics, true));
        assert!(error.source().is_some());
        let want = b"a1\na2\nfirst\ngood 1\ngood 2\ngood 3\nthe last\n";
        assert_same("the output", &sorted(&scene.output()), want);
        assert_eq!(error.report().lines, 7);
        assert_eq!(failed(&merge).to_string(), error.to_string());
    }
}

/// A file system that panics where files are searched for costs that search only: files that are known are followed
/// on, other files are found, and it comes back as an error.
fn a_search_for_files_that_panics_takes_no_file_with_it<B: Backend>(backend: B) {
    let panics = Arc::new(AtomicBool::new(true));
    let fs = {
        let panics = panics.clone();
        TestFs::with_hook(move |op, path: &Path| {
            if op == Op::Listed && path.ends_with("bad") && panics.swap(false, Ordering::SeqCst) {
                resume_unwind(Box::new("the case wants it so"));
            }
        })
    };
    let scene = Scene::on(fs);
    scene.write("a.log", "a1\n");
    scene.write("bad/b.log", "b1\n");
    let merge = start(scene.polled().path(scene.path("a.log")).input(scene.pattern("bad/*.log")), backend);
    scene.events.until("the case wants it so");
    scene.append("a.log", "a2\n");
    scene.expect_lines(3);
    let error = failed(&merge);
    assert!(error.is_panic() && error.to_string().contains("the case wants it so"), "{error}");
    assert_same("the output", &sorted(&scene.output()), b"a1\na2\nb1\n");
}

/// Every later call says that the merge has failed, and each stop says why.
#[track_caller]
fn assert_poisoned(merge: &Merge, input: &Path, cause: &str) {
    let mut errors = vec![failed(merge)];
    errors.push(merge.stop_blocking(DEADLINE).expect_err("it has failed"));
    errors.push(block_on("stop now", merge.stop_now()).expect_err("it has failed"));
    errors.push(merge.stop_now_blocking().expect_err("it has failed"));
    for error in errors {
        assert!(error.to_string().contains(cause), "{error}");
    }
    let sender = merge.sender("late");
    assert_eq!(block_on("send", sender.send("late")), Err(SendError::Closed));
    assert_eq!(sender.send_blocking("late"), Err(SendError::Closed));
    assert_eq!(sender.try_send("late"), Err(SendError::Closed));
    assert_eq!(block_on("flush", merge.flush()), Err(Closed));
    assert_eq!(merge.flush_blocking(), Err(Closed));
    assert!(matches!(block_on("follow", merge.follow(input)), Err(FollowError::Closed)));
    assert!(matches!(merge.follow_blocking(input), Err(FollowError::Closed)));
    block_on("finished", merge.finished());
    merge.finished_blocking();
}

/// An error that does not pass ends the merge by itself, and stays.
fn an_error_that_stays_poisons_the_merge<B: Backend>(backend: B) {
    let scene = Scene::new();
    let text = numbered("line", 0..1000);
    scene.write("a.log", &text);
    let sink = Sink::new().acts([Act::Fail { after: 12, kind: ErrorKind::PermissionDenied }]);
    let merge = start(scene.builder().path(scene.path("a.log")).writer(sink.make()), backend);
    block_on("the merge ends by itself", merge.finished());
    assert_poisoned(&merge, &scene.path("b.log"), "permission denied");
    let error = failed(&merge);
    assert_eq!(error.output_error().map(io::Error::kind), Some(ErrorKind::PermissionDenied));
    let report = error.report();
    // A line and a half are there; only the one is counted.
    assert_eq!((report.bytes, report.lines, report.inputs[0].offset), (12, 1, 7), "{report:?}");
    assert!(report.unwritten_bytes > 0 && !report.drained, "{report:?}");
}

/// So does a flush that fails.
fn a_flush_that_fails_poisons_the_merge<B: Backend>(backend: B) {
    let scene = Scene::new();
    let sink = Sink::new().flush_fails(ErrorKind::Other);
    let merge = start_blocking(scene.builder().writer(sink.make()), backend);
    merge.sender("host").send_blocking("line").expect("the merge runs");
    merge.finished_blocking();
    assert_poisoned(&merge, &scene.path("b.log"), "flushed");
    assert_eq!(failed(&merge).report().bytes, 5);
}

/// A writer that panics is an error, not a hang.
fn a_writer_that_panics_is_an_error<B: Backend>(backend: B) {
    let scene = Scene::new();
    scene.write("a.log", numbered("line", 0..100_000));
    let sink = Sink::new().acts([Act::Panic]);
    let merge = start(scene.builder().path(scene.path("a.log")).writer(sink.make()), backend);
    block_on("the merge ends by itself", merge.finished());
    assert_poisoned(&merge, &scene.path("b.log"), "the case wants it so");
    assert!(failed(&merge).is_panic());
    assert!(sink.is_dropped());
}

/// A writer that cannot be made: the merge does not start, and says why.
fn a_writer_that_cannot_be_made_is_an_error<B: Backend>(backend: B) {
    let scene = Scene::new();
    scene.write("a.log", "1\n");
    let builder = || scene.builder().path(scene.path("a.log"));
    let fails = builder().writer(|_| async { Err::<SinkWriter, _>(io::Error::other("the case wants it so")) });
    let error = block_on("start", fails.start_on(backend.clone())).expect_err("it cannot be made");
    assert!(error.to_string().contains("the case wants it so") && !error.is_usage(), "{error}");
    let error = block_on("start", builder().writer(panicking).start_on(backend)).expect_err("it cannot be made");
    assert!(error.to_string().contains("panicked"), "{error}");
}

async fn panicking(_: WriterContext) -> io::Result<SinkWriter> {
    resume_unwind(Box::new("the case wants it so"))
}

/// An error that passes is waited for; what was written half-way goes on where it stopped.
fn an_error_that_passes_loses_nothing<B: Backend>(backend: B) {
    let scene = Scene::new();
    let text = numbered("line", 0..20_000);
    scene.write("a.log", &text);
    let acts = [
        Act::Fail { after: 0, kind: ErrorKind::StorageFull },
        Act::Fail { after: 10, kind: ErrorKind::StorageFull },
        Act::Fail { after: 1, kind: ErrorKind::WouldBlock },
        Act::Fail { after: usize::MAX, kind: ErrorKind::Interrupted },
    ];
    let sink = Sink::new().acts(acts);
    let builder = scene.builder().path(scene.path("a.log")).max_line_bytes(1024).memory(64 * 1024);
    let merge = start(builder.writer(sink.make()), backend);
    sink.expect(&text);
    let report = stop(&merge);
    sink.assert(&text);
    assert_eq!((report.bytes, report.lines), (text.len() as u64, 20_000));
    assert!(scene.events.count("cannot be written") > 0 && scene.events.count("can be written again") > 0);
}

/// The disk is full: the file ends in a whole line meanwhile, it is said once, and nothing is lost once there is room.
fn a_full_disk_is_waited_for<B: Backend>(backend: B) {
    let scene = Scene::new();
    let text = numbered("line", 0..20_000);
    scene.write("a.log", &text);
    scene.fs.fill_disk_at(100_003);
    let merge = Arc::new(start(scene.builder().path(scene.path("a.log")), backend));
    scene.events.until("cannot be written");
    let output = scene.output();
    assert!(output.ends_with(b"\n") && text.as_bytes().starts_with(&output), "whole lines");
    assert!(output.len() > 99_000, "{} bytes", output.len());
    merge.sender("host").send_blocking("sent meanwhile").expect("the merge runs");
    scene.append("a.log", "appended meanwhile\n");
    let flushed = {
        let merge = merge.clone();
        on_thread("a flush", move || merge.flush_blocking())
    };
    assert_same("the output", &scene.output(), &output);
    scene.fs.free_disk();
    flushed.wait().expect("the merge runs");
    let report = stop(&merge);
    assert_eq!(report.lines, 20_002);
    let want = [text.as_bytes(), b"appended meanwhile\n", b"sent meanwhile\n"].concat();
    assert_same("the output", &sorted(&scene.output()), &sorted(&want));
    assert_eq!(scene.events.count("cannot be written"), 1, "said once");
    assert_eq!(scene.events.count("can be written again"), 1);
}

/// It is still full at the stop: the report says what was not written, and the file ends in a whole line.
fn a_disk_that_stays_full_is_reported<B: Backend>(backend: B) {
    let scene = Scene::new();
    scene.write("a.log", numbered("line", 0..20_000));
    scene.fs.fill_disk_at(1003);
    let merge = start(scene.builder().path(scene.path("a.log")), backend);
    scene.events.until("cannot be written");
    let report = block_on("stop", merge.stop(Duration::from_millis(20))).expect("it is no failure");
    let output = scene.output();
    assert!(output.ends_with(b"\n") && output.len() > 980, "{} bytes", output.len());
    assert_eq!((report.bytes, report.lines), (output.len() as u64, lines(&output).len() as u64));
    assert!(report.unwritten_bytes > 0 && !report.drained, "{report:?}");
    until("the output is let go", || {
        let file = std::fs::File::open(scene.path("all")).expect("the output");
        file.try_lock().is_ok()
    });
}
