//! Parts of a merge of the host's own, and parts of one alone.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_lite::{Stream, StreamExt};
use tailmerge_core::{Backend, Batch, Builder, PartialWrite, Prefix, StartAt, Writer, WriterContext, tail};

use crate::kit::{
    Feed, Host, Scene, Sink, Step, assert_same, block_on, lines, numbered, sorted, start, start_blocking, stop,
    stop_blocking, text, until,
};

cases! { own:
    tailer_and_writer_may_be_the_hosts
    tailers_are_labelled_and_take_turns
    a_tailer_without_end_starves_no_other
    a_writer_alone_will_do
    a_tail_alone_is_a_stream_of_lines
    a_tail_alone_is_a_stream_of_batches
    a_tail_tells_what_fails
    a_stopped_tail_drains
    a_tail_tells_that_its_executor_is_lost
    a_tail_has_no_output
    a_dropped_tail_ends
}

/// Longer than any case takes: nothing is looked at because it is time to.
const NEVER: Duration = Duration::from_secs(3600);

/// A tailer and a writer of the host's own, which sees of each byte where it came from.
fn tailer_and_writer_may_be_the_hosts<B: Backend>(backend: B) {
    type Seen = Arc<Mutex<Vec<(String, u64, u64, u64)>>>;

    struct Extents(Sink, Seen);

    impl Writer for Extents {
        async fn write(&mut self, batch: &Batch) -> Result<(), PartialWrite> {
            let mut seen = self.1.lock().unwrap_or_else(PoisonError::into_inner);
            for extent in batch.extents() {
                let name = extent.source.name().to_string_lossy().into_owned();
                seen.push((name, extent.start, extent.len_in, extent.lines));
            }
            self.0.push(batch.bytes());
            Ok(())
        }

        async fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    let scene = Scene::new();
    let (sink, seen) = (Sink::new(), Seen::default());
    let feed = Feed::new((0..100).map(|number| Step::Line(format!("own {number}"))));
    let own = Extents(sink.clone(), seen.clone());
    let merge = start(scene.builder().tailer("feed", feed.clone()).writer(|_| async { Ok(own) }), backend);
    sink.expect(numbered("own", 0..100));
    feed.then([Step::Line("own 100".into()), Step::End]);
    sink.expect(numbered("own", 0..101));
    feed.then([Step::Line("after the end".into())]);
    merge.wake();
    merge.sender("host").send_blocking("sent").expect("the merge runs");
    let report = stop(&merge);
    sink.assert(numbered("own", 0..101) + "sent\n");
    let mut offset = 0;
    for (name, start, len, lines) in seen.lock().unwrap_or_else(PoisonError::into_inner).iter() {
        if name == "feed" {
            assert_eq!(*start, offset, "extents are next to each other");
            assert!(*lines > 0);
            offset += len;
        }
    }
    assert_eq!(offset as usize, numbered("own", 0..101).len());
    let input = report.inputs.iter().find(|input| input.name.as_os_str() == "feed").expect("it is in the report");
    assert_eq!((input.lines, input.offset), (101, offset));
}

/// Tailers of the host's own get labels too, and go on by turns.
fn tailers_are_labelled_and_take_turns<B: Backend>(backend: B) {
    let scene = Scene::new();
    let feed = |name: &str| Feed::new((0..50).map(|number| Step::Line(format!("{name} {number}"))).chain([Step::End]));
    let builder = scene.builder().once(true).prefix(Prefix::Name);
    let builder = builder.tailer("first", feed("one")).tailer("second", feed("two")).tailer("third", feed("three"));
    let merge = start(builder, backend);
    block_on("the merge ends by itself", merge.finished());
    let report = stop(&merge);
    assert_eq!(report.lines, 150);
    let output = text(&scene.output());
    for (label, name) in [("first", "one"), ("second", "two"), ("third", "three")] {
        let own: String = output.split_inclusive('\n').filter(|line| line.starts_with(label)).collect();
        let want = numbered(name, 0..50).lines().fold(String::new(), |want, line| want + label + ": " + line + "\n");
        assert_same(label, own.as_bytes(), want.as_bytes());
    }
}

/// A tailer that always has lines leaves turns to the others.
fn a_tailer_without_end_starves_no_other<B: Backend>(backend: B) {
    let scene = Scene::new();
    let busy = Feed::new((0..1000).map(|number| Step::Line(format!("busy {number}"))));
    let builder = scene.builder().tailer("busy", busy).tailer("calm", Feed::new([Step::Line("calm".into())]));
    stop(&start(builder, backend));
    let output = scene.output();
    assert_eq!(lines(&output).len(), 1001);
    let place = lines(&output).iter().position(|line| *line == b"calm\n").expect("it is there");
    assert!(place < 100, "after {place} lines");
}

/// The writer alone: a merge without inputs, for the host's lines.
fn a_writer_alone_will_do<B: Backend>(backend: B) {
    let scene = Scene::new();
    let sink = Sink::new();
    let make = sink.make();
    let builder = Builder::new().writer(move |cx: WriterContext| async move {
        // It may use the executor of its thread, which is there for it alone, while it is made.
        let (done, ready) = async_channel::bounded(1);
        let sleep = cx.sleep(Duration::from_millis(1));
        cx.spawn(async move {
            sleep.await;
            done.send(()).await.expect("the writer waits");
        });
        ready.recv().await.expect("the helper is done");
        make(cx).await
    });
    let merge = start_blocking(builder, backend);
    let text = numbered("line", 0..10_000);
    let sender = merge.sender("host");
    text.lines().for_each(|line| sender.send_blocking(line).expect("the merge runs"));
    let report = stop_blocking(&merge);
    sink.assert(&text);
    assert_eq!(report.lines, 10_000);
    drop(scene);
}

/// A tail alone, as a stream of lines that know where they come from.
fn a_tail_alone_is_a_stream_of_lines<B: Backend>(backend: B) {
    let scene = Scene::new();
    scene.write("a.log", "\nold\nfrag");
    let mut lines = block_on("tail", tail(scene.path("a.log")).lines_on(backend.clone())).expect("the tail starts");
    let mut next = |name: &str| {
        let line = block_on("a line", lines.next()).expect("the tail goes on").expect("a line");
        assert_eq!((line.source.path(), line.generation), (&*scene.path(name), 0));
        (text(&line.bytes), line.offset)
    };
    assert_eq!([next("a.log"), next("a.log")], [(String::new(), Some(0)), ("old".into(), Some(1))]);
    scene.append("a.log", "ment\nnew\r\n");
    assert_eq!([next("a.log"), next("a.log")], [("fragment".into(), Some(5)), ("new\r".into(), Some(14))]);

    // Another file joins, and one leaves.
    scene.write("b.log", "b\n");
    block_on("follow", lines.follow(scene.path("b.log"))).expect("the tail goes on");
    block_on("unfollow", lines.unfollow(scene.path("a.log"))).expect("the tail goes on");
    let line = block_on("a line", lines.next()).expect("the tail goes on").expect("a line");
    assert_eq!((line.source.path(), line.offset), (&*scene.path("b.log"), Some(0)));

    // Many files, from the end.
    let many = Builder::new().from(StartAt::End).input(scene.pattern("*.log")).once(true);
    let mut lines = block_on("tail", many.lines_on(backend)).expect("the tail starts");
    assert!(block_on("the end", lines.next()).is_none());
}

/// A tail alone, as a stream of batches; under `once` it ends.
fn a_tail_alone_is_a_stream_of_batches<B: Backend>(backend: B) {
    let scene = Scene::new();
    let names = ["1.log", "2.log", "3.log"];
    for name in names {
        scene.write(name, numbered(name, 0..20_000));
    }
    scene.append("1.log", "unterminated");
    let builder = Builder::new().once(true).input(scene.pattern("*.log")).max_line_bytes(1024).memory(64 * 1024);
    let mut batches = block_on("tail", builder.batches_on(backend)).expect("the tail starts");
    let mut all = Vec::new();
    while let Some(batch) = block_on("a batch", batches.next()) {
        let batch = batch.expect("a batch");
        assert!(batch.bytes().ends_with(b"\n"), "whole lines");
        assert_eq!(batch.extents().iter().map(|extent| extent.len_out).sum::<u64>(), batch.len() as u64);
        all.extend_from_slice(batch.bytes());
    }
    let want = names.map(|name| numbered(name, 0..20_000)).concat() + "unterminated\n";
    assert_same("the lines", &sorted(&all), &sorted(want.as_bytes()));
}

/// A tailer that fails comes out of the stream as an error, after its lines.
fn a_tail_tells_what_fails<B: Backend>(backend: B) {
    let feed = Feed::new([Step::Line("first".into()), Step::PanicAfter("last".into())]);
    let tail = Builder::new().once(true).tailer("feed", feed);
    let mut lines = block_on("tail", tail.lines_on(backend)).expect("the tail starts");
    let mut next = || block_on("a line", lines.next());
    for want in ["first", "last"] {
        assert_eq!(next().expect("a line").expect("a line").bytes, want.as_bytes());
    }
    let error = next().expect("an error").expect_err("it panicked");
    assert!(error.is_panic() && error.to_string().contains("the case wants it so"), "{error}");
    assert!(next().is_none());
}

/// A stream that is stopped gives what is there, then ends.
fn a_stopped_tail_drains<B: Backend>(backend: B) {
    let scene = Scene::new();
    scene.write("a.log", "0\n");
    let tail = || scene.tail().poll_interval(NEVER).input(scene.pattern("*.log"));
    let mut lines = block_on("tail", tail().lines_on(backend.clone())).expect("the tail starts");
    let mut batches = block_on("tail", tail().batches_on(backend)).expect("the tail starts");
    block_on("a line", lines.next()).expect("the tail goes on").expect("a line");
    block_on("a batch", batches.next()).expect("the tail goes on").expect("a batch");
    scene.append("a.log", "1\n");
    scene.write("b.log", "2\n");
    lines.stop();
    batches.stop();
    let mut all = Vec::new();
    while let Some(line) = block_on("a line", lines.next()) {
        all.extend_from_slice(&line.expect("a line").bytes);
    }
    all.sort_unstable();
    assert_eq!(text(&all), "12");
    let mut all = Vec::new();
    while let Some(batch) = block_on("a batch", batches.next()) {
        all.extend_from_slice(batch.expect("a batch").bytes());
    }
    assert_same("the batches", &sorted(&all), b"1\n2\n");
}

/// A stream whose executor is lost ends in an error: it is not the end of the input.
fn a_tail_tells_that_its_executor_is_lost<B: Backend>(backend: B) {
    let scene = Scene::new();
    scene.write("a.log", "1\n");
    let host = Host::new(backend);
    let mut lines = block_on("tail", tail(scene.path("a.log")).lines_on(host.clone())).expect("the tail starts");
    block_on("a line", lines.next()).expect("the tail goes on").expect("a line");
    host.lose_executor();
    block_on("an end", lines.next()).expect("it is not the end").expect_err("the executor is lost");
    assert!(block_on("the end", lines.next()).is_none());
}

/// An output that is set is not passed over: a tail has none, and says so.
fn a_tail_has_no_output<B: Backend>(backend: B) {
    let scene = Scene::new();
    for builder in [scene.builder(), scene.tail().append(true), scene.tail().writer(Sink::new().make())] {
        let error = block_on("tail", builder.lines_on(backend.clone())).expect_err("an output is set");
        assert!(error.is_usage() && error.to_string().contains("a tail has none"), "{error}");
    }
    assert!(!scene.path("all").exists());
}

/// A stream that is dropped, be it while it is behind, ends its readers.
fn a_dropped_tail_ends<B: Backend>(backend: B) {
    #[track_caller]
    fn first<S: Stream + Unpin>(stream: &mut S) -> S::Item {
        block_on("the first", stream.next()).expect("the stream goes on")
    }

    let scene = Scene::new();
    scene.write("a.log", numbered("line", 0..100_000));
    let small = || Builder::new().path(scene.path("a.log")).max_line_bytes(1024).memory(64 * 1024);
    let host = Host::new(backend);
    let mut lines = block_on("tail", small().lines_on(host.clone())).expect("the tail starts");
    assert_eq!(first(&mut lines).expect("a line").bytes, b"line 0");
    assert!(host.tasks() > 0);
    drop(lines);
    until("all tasks have ended", || host.tasks() == 0);

    let mut batches = block_on("tail", small().batches_on(host.clone())).expect("the tail starts");
    let held = first(&mut batches).expect("a batch");
    drop(batches);
    until("all tasks have ended", || host.tasks() == 0);
    assert!(held.bytes().starts_with(b"line 0\nline 1\n"), "what is held stays");
}
