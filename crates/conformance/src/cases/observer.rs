//! Observers of the host's, however odd: what they do changes nothing else.

use std::io::{self, ErrorKind, Write};
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures_lite::StreamExt;
use tailmerge_core::{
    Backend, Batch, Event, LineSender, Merge, Observer, PartialWrite, Progress, SendError, TailError, Tailer, Writer,
};

use crate::kit::{
    Act, DEADLINE, Feed, Scene, Sink, Step, assert_same, block_on, failed, numbered, sorted, start, stop, text, until,
};

cases! { observer:
    an_observer_that_panics_changes_nothing
    what_fails_is_an_error_whatever_the_observer_does
    an_observer_may_call_the_merge
    an_observer_may_stop_the_merge
    a_tailer_and_a_writer_may_send
    events_come_as_a_stream
}

/// An observer that panics, at every event or at one, is told of all the others, and nothing is lost.
fn an_observer_that_panics_changes_nothing<B: Backend>(backend: B) {
    for first_only in [false, true] {
        let scene = Scene::new();
        scene.write("logs/a.log", numbered("a", 0..1000));
        let told = Arc::new(AtomicUsize::new(0));
        let observer = {
            let told = told.clone();
            move |_: &Event| {
                if told.fetch_add(1, Ordering::Relaxed) == 0 || !first_only {
                    // Without the message of a panic hook, which would look as if the case had failed.
                    resume_unwind(Box::new("the case wants it so"));
                }
            }
        };
        let builder = scene.builder().input(scene.pattern("logs/*.log")).path(scene.path("b.log"));
        let merge = start(builder.observer(observer), backend.clone());
        scene.expect_lines(1000);
        scene.write("b.log", "b\n");
        scene.expect_lines(1001);
        scene.rename("logs/a.log", "logs/a.log.1");
        scene.write("logs/a.log", "new\n");
        scene.expect_lines(1002);
        let report = stop(&merge);
        assert!(report.is_complete(), "{report:?}");
        scene.assert_output(numbered("a", 0..1000) + "b\nnew\n");
        assert!(told.load(Ordering::Relaxed) > 3, "it is told all the same");
    }
}

/// What fails is recorded before it is told.
fn what_fails_is_an_error_whatever_the_observer_does<B: Backend>(backend: B) {
    let scene = Scene::new();
    let feed = Feed::new([Step::FailAfter("the last".into())]);
    let builder = scene.builder().tailer("feed", feed).observer(|_: &Event| resume_unwind(Box::new("no")));
    let merge = start(builder, backend.clone());
    let error = failed(&merge);
    assert!(error.to_string().contains("feed") && !error.is_panic(), "{error}");
    scene.assert_output("the last\n");

    let builder = scene.builder().once(true).path(scene.path("missing")).tailer("empty", Feed::new([Step::End]));
    let merge = start(builder.observer(|_: &Event| resume_unwind(Box::new("no"))), backend);
    let report = stop(&merge);
    assert_eq!(report.failed_inputs.len(), 1);
    assert!(!report.is_complete());
}

/// Sends what it is told, by every call that waits elsewhere. Nothing waits here, or it would wait for itself.
fn send_all(sender: &LineSender, line: &str) {
    let mut writer = sender.clone();
    for _ in 0..100 {
        let sent = sender.send_blocking(line);
        assert!(matches!(sent, Ok(()) | Err(SendError::Full | SendError::Closed)), "{sent:?}");
        // Whether there is room does not matter.
        drop((writeln!(writer, "{line}, in pieces"), sender.try_send(line), block_on("send", sender.send(line))));
        writer.flush().expect_err("it cannot wait for itself");
    }
}

/// An observer that sends lines while the output stands still, and asks for what it cannot wait for, holds up nothing.
fn an_observer_may_call_the_merge<B: Backend>(backend: B) {
    let scene = Scene::new();
    scene.write("a.log", numbered("a", 0..10_000));
    let acts = [Act::Fail { after: 10, kind: ErrorKind::StorageFull }, Act::Block(Duration::from_millis(5))];
    let sink = Sink::held().acts(acts);
    let merge: Arc<OnceLock<Merge>> = Arc::default();
    let told = Arc::new(AtomicUsize::new(0));
    let observer = {
        let (merge, told, events) = (merge.clone(), told.clone(), scene.events.clone());
        move |event: &Event| {
            events.event(event);
            let Some(merge) = merge.get() else { return };
            told.fetch_add(1, Ordering::Relaxed);
            merge.wake();
            send_all(&merge.sender("observer"), "an event");
            merge.flush_blocking().expect_err("it cannot wait for itself");
        }
    };
    let builder = scene.builder().input(scene.pattern("*.log")).observer(observer).stall_limit(Some(Duration::ZERO));
    let builder = builder.max_line_bytes(1024).memory(64 * 1024).writer(sink.make());
    merge.set(start(builder, backend)).expect("it is set once");
    let merge = merge.get().expect("it is set");
    scene.write("b.log", "b\n");
    sink.until_written_to();
    sink.release();
    scene.events.until("can be written again");
    let report = stop(merge);
    assert!(told.load(Ordering::Relaxed) > 0 && report.is_complete(), "{report:?}");
    let output = text(&sink.bytes());
    let lines: String = output.split_inclusive('\n').filter(|line| !line.starts_with("an event")).collect();
    assert_same("the files' lines", &sorted(lines.as_bytes()), &sorted((numbered("a", 0..10_000) + "b\n").as_bytes()));
    assert!(output.split_inclusive('\n').all(|line| line.len() < 30), "no two lines are glued together");
}

/// An observer may even stop the merge, and not wait for that.
fn an_observer_may_stop_the_merge<B: Backend>(backend: B) {
    let scene = Scene::new();
    let merge: Arc<OnceLock<Merge>> = Arc::default();
    let observer = {
        let merge = merge.clone();
        move |event: &Event| {
            if let (Event::Joined { .. }, Some(merge)) = (event, merge.get()) {
                let error = merge.stop_blocking(DEADLINE).expect_err("it cannot wait for itself");
                assert!(error.to_string().contains("cannot wait for its end"), "{error}");
                merge.finished_blocking();
            }
        }
    };
    let builder = scene.builder().input(scene.pattern("*.log")).observer(observer);
    merge.set(start(builder, backend)).expect("it is set once");
    scene.write("a.log", "a\n");
    let merge = merge.get().expect("it is set");
    block_on("the merge ends", merge.finished());
    assert!(stop(merge).is_complete());
    scene.assert_output("a\n");
}

/// A tailer and a writer that send lines into their own merge do not wait for themselves.
fn a_tailer_and_a_writer_may_send<B: Backend>(backend: B) {
    type Shared = Arc<OnceLock<LineSender>>;

    struct Sending(Shared);

    impl Tailer for Sending {
        fn fill(&mut self, batch: &mut Batch) -> Result<Progress, TailError> {
            let Some(sender) = self.0.get() else { return Ok(Progress::Idle) };
            send_all(sender, "from the tailer");
            batch.spare()[..4].copy_from_slice(b"own\n");
            batch.commit(0, 4);
            Ok(Progress::Ended)
        }
    }

    struct Talking(Sink, Shared);

    impl Writer for Talking {
        async fn write(&mut self, batch: &Batch) -> Result<(), PartialWrite> {
            if let Some(sender) = self.1.get().filter(|_| self.0.bytes().len() < 100_000) {
                send_all(sender, "from the writer");
                sender.send("from the writer").await.ok();
            }
            self.0.push(batch.bytes());
            Ok(())
        }

        async fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    let scene = Scene::new();
    let (sink, shared) = (Sink::new(), Shared::default());
    let writer = Talking(sink.clone(), shared.clone());
    let builder = scene.builder().max_line_bytes(1024).memory(64 * 1024).tailer("sending", Sending(shared.clone()));
    let merge = start(builder.writer(|_| async { Ok(writer) }), backend);
    shared.set(merge.sender("host")).expect("it is set once");
    until("the tailer's line is out", || sink.bytes().windows(4).any(|bytes| bytes == b"own\n"));
    let report = stop(&merge);
    assert!(report.is_complete(), "{report:?}");
}

/// A host that takes its time with events gets them as a stream, which ends with the merge.
fn events_come_as_a_stream<B: Backend>(backend: B) {
    let scene = Scene::new();
    scene.write("a.log", "a\n");
    let merge = start(scene.builder().path(scene.path("a.log")), backend);
    let (mut events, dropped) = (merge.events(), merge.events());
    drop(dropped);
    scene.expect("a\n");
    scene.write("b.log", "b\n");
    block_on("follow", merge.follow(scene.path("b.log"))).expect("the merge runs");
    let joined = |event: &Event| matches!(event, Event::Joined { input, .. } if *input == scene.path("b.log"));
    let event = block_on("the file joins", events.find(joined)).expect("the merge runs");
    // It can be kept.
    drop((event.clone(), event.to_string()));
    stop(&merge);
    block_on("the stream ends", events.for_each(drop));
    assert!(block_on("it is over", merge.events().next()).is_none());
}
