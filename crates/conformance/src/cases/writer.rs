//! What a writer of the host's own says of itself, and what is told of it.

use std::future::{Future, pending, ready};
use std::io::{self, ErrorKind, Write};
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tailmerge_core::{Backend, Batch, PartialWrite, Writer, WriterContext};

use crate::kit::{
    Act, Scene, Sink, block_on, failed, numbered, on_thread, poll_once, start, start_blocking, stop, until,
};

cases! { writer:
    a_flush_that_is_cut_off_is_not_done
    a_flush_that_many_wait_for_is_done_for_each
    the_end_of_an_output_is_told
    a_writer_says_what_is_tried_again
    a_wait_is_told_once_and_so_is_its_end
}

/// A deadline that is meant to pass.
const SOON: Duration = Duration::from_millis(50);

/// Counts its flushes, which never complete.
struct NeverFlushed(Arc<Mutex<usize>>);

impl Writer for NeverFlushed {
    async fn write(&mut self, _: &Batch) -> Result<(), PartialWrite> {
        Ok(())
    }

    async fn flush(&mut self) -> io::Result<()> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        pending().await
    }
}

/// A flush that the end cuts off is not told as done, to nobody, and the report does not say drained.
fn a_flush_that_is_cut_off_is_not_done<B: Backend>(backend: B) {
    let scene = Scene::new();
    let flushes = Arc::<Mutex<usize>>::default();
    let writer = NeverFlushed(flushes.clone());
    let merge = Arc::new(start(scene.builder().writer(|_| ready(Ok(writer))), backend));
    let mut sender = merge.sender("host");
    sender.send_blocking("line").expect("the merge runs");
    let mut flushed = pin!(merge.flush());
    assert!(poll_once(&mut flushed).is_pending());
    let blocked = {
        let merge = merge.clone();
        on_thread("a flush", move || merge.flush_blocking())
    };
    let by_sender = on_thread("a sender's flush", move || sender.flush());
    until("it is flushed", || *flushes.lock().unwrap_or_else(PoisonError::into_inner) > 0);
    let report = block_on("stop", merge.stop(SOON)).expect("it ends by its deadline");
    assert!(!report.drained, "{report:?}");
    assert_eq!(report.bytes, 5);
    block_on("the flush", flushed).expect_err("it was cut off");
    blocked.wait().expect_err("it was cut off");
    by_sender.wait().expect_err("it was cut off");
}

/// A flush that all who asked for share is done for all of them.
fn a_flush_that_many_wait_for_is_done_for_each<B: Backend>(backend: B) {
    let scene = Scene::new();
    let sink = Sink::held();
    let merge = start(scene.builder().writer(sink.make()), backend);
    merge.sender("host").send_blocking("line").expect("the merge runs");
    sink.until_written_to();
    let mut flushes: Vec<_> = (0..20).map(|_| Box::pin(merge.flush())).collect();
    assert!(flushes.iter_mut().all(|flush| poll_once(&mut flush.as_mut()).is_pending()));
    drop(flushes.split_off(10));
    sink.release();
    for flush in flushes {
        block_on("a flush", flush).expect("the merge runs");
    }
    sink.assert("line\n");
    stop(&merge);
}

/// An output that fails for good is told before anybody finds the merge ended; so is one whose reader went away.
fn the_end_of_an_output_is_told<B: Backend>(backend: B) {
    let fail = |kind| Act::Fail { after: 0, kind };
    for (act, told) in [
        (fail(ErrorKind::PermissionDenied), "the output cannot be written: permission denied"),
        (Act::Panic, "the writer panicked: the case wants it so"),
        (fail(ErrorKind::BrokenPipe), "the reader of the output went away"),
    ] {
        let scene = Scene::new();
        let sink = Sink::new().acts([act]);
        let merge = start_blocking(scene.builder().writer(sink.make()), backend.clone());
        merge.sender("host").send_blocking("line").expect("the merge runs");
        block_on("the merge ends by itself", merge.finished());
        assert_eq!(scene.events.count(told), 1, "{told}");
        match block_on("stop", merge.stop(SOON)) {
            Ok(report) => assert!(report.output_closed, "{report:?}"),
            Err(error) => assert!(!told.contains("reader"), "{error}"),
        }
    }
    let scene = Scene::new();
    let sink = Sink::new().flush_fails(ErrorKind::BrokenPipe);
    let merge = start(scene.builder().writer(sink.make()), backend);
    merge.sender("host").send_blocking("line").expect("the merge runs");
    merge.finished_blocking();
    assert_eq!(scene.events.count("the reader of the output went away"), 1);
    assert!(block_on("stop", merge.stop(SOON)).expect("it is no failure").output_closed);
}

/// Fails as it is told to, then writes.
struct Says(Sink, Vec<PartialWrite>);

impl Writer for Says {
    fn write(&mut self, batch: &Batch) -> impl Future<Output = Result<(), PartialWrite>> {
        let bytes = batch.bytes();
        let failed = self.1.pop();
        self.0.push(&bytes[..failed.as_ref().map_or(bytes.len(), |failed| failed.written)]);
        ready(failed.map_or(Ok(()), Err))
    }

    async fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A writer says itself which errors are tried again, whatever their kind.
fn a_writer_says_what_is_tried_again<B: Backend>(backend: B) {
    let scene = Scene::new();
    let text = numbered("line", 0..1000);
    scene.write("a.log", &text);
    let sink = Sink::new();
    let says = Says(
        sink.clone(),
        vec![
            PartialWrite::retry(0, ErrorKind::ConnectionReset.into()),
            PartialWrite::retry(9, ErrorKind::BrokenPipe.into()),
            PartialWrite::none(ErrorKind::WouldBlock.into()),
        ],
    );
    let merge = start(scene.builder().path(scene.path("a.log")).writer(|_| ready(Ok(says))), backend.clone());
    sink.expect(&text);
    stop(&merge);
    assert_eq!(scene.events.count("can be written again"), scene.events.count("cannot be written"));

    for kind in [ErrorKind::StorageFull, ErrorKind::BrokenPipe] {
        let says = Says(Sink::new(), vec![PartialWrite::fatal(5, kind.into())]);
        let merge = start(scene.builder().path(scene.path("a.log")).writer(|_| ready(Ok(says))), backend.clone());
        block_on("the merge ends by itself", merge.finished());
        let error = failed(&merge);
        assert_eq!(error.output_error().map(io::Error::kind), Some(kind));
        assert_eq!(error.report().bytes, 5);
    }
}

/// What a writer waits for is told once, and so is that it waits no more.
fn a_wait_is_told_once_and_so_is_its_end<B: Backend>(backend: B) {
    struct Waits(WriterContext, usize);

    impl Writer for Waits {
        async fn write(&mut self, _: &Batch) -> Result<(), PartialWrite> {
            for attempt in 0..3 {
                self.0.waiting(&format!("no connection, attempt {attempt}"));
            }
            self.1 += 1;
            match self.1 {
                1 => Err(PartialWrite::none(ErrorKind::TimedOut.into())),
                _ => Ok(()),
            }
        }

        async fn flush(&mut self) -> io::Result<()> {
            self.0.waiting("nobody takes it");
            Ok(())
        }
    }

    let scene = Scene::new();
    let merge = start(scene.builder().writer(|cx| ready(Ok(Waits(cx, 0)))), backend);
    for round in 1..=2 {
        merge.sender("host").send_blocking("line").expect("the merge runs");
        block_on("flush", merge.flush()).expect("the merge runs");
        assert_eq!(scene.events.count("no connection, attempt 0; waiting"), round);
        assert_eq!(scene.events.count("no connection"), round);
    }
    stop(&merge);
    assert!(scene.events.count("nobody takes it; waiting") >= 2, "each flush waits");
    assert_eq!(scene.events.count("can be written again"), scene.events.count("cannot be written"));
}
