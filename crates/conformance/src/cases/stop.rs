//! How a merge is stopped.

use std::fs::File;
use std::io::Read;
use std::pin::pin;
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use tailmerge_core::{Backend, Batch, MergeError, PartialWrite, Report, Writer};

use crate::kit::{
    DEADLINE, Op, Scene, Sink, TestFs, assert_same, block_on, lines, numbered, on_thread, poll_once, start,
    start_again, start_blocking, stop, stop_blocking, until,
};

cases! { stop:
    a_stop_reads_what_is_there
    a_stop_finds_what_came_just_before
    a_stop_finds_what_came_just_before_in_a_slow_directory
    a_stop_keeps_its_deadline
    a_stop_keeps_its_deadline_blocking
    a_stop_without_deadline_waits
    to_stop_now_is_to_read_no_more
    to_stop_now_is_not_to_wait
    stopped_again_it_answers_the_same
    a_stop_given_up_goes_on
    a_stop_at_any_moment_leaves_whole_lines
    a_writer_that_does_not_come_back_is_told
}

/// Longer than any case takes: nothing is looked at because it is time to.
const NEVER: Duration = Duration::from_secs(3600);
/// A deadline that is meant to pass.
const SOON: Duration = Duration::from_millis(50);

/// A stop reads what is there, however much that is.
fn a_stop_reads_what_is_there<B: Backend>(backend: B) {
    let scene = Scene::new();
    let names = ["1.log", "2.log", "3.log"];
    for name in names {
        scene.write(name, numbered(name, 0..100_000));
    }
    let merge = start(scene.builder().input(scene.pattern("*.log")), backend);
    let report = stop(&merge);
    scene.check(names);
    assert_eq!(report.lines, 300_000);
}

/// It finds files that came just before it, and lines too.
fn a_stop_finds_what_came_just_before<B: Backend>(backend: B) {
    let scene = Scene::new();
    scene.write("a.log", "a1\n");
    let builder = || scene.builder().poll_interval(NEVER).input(scene.pattern("**/*.log"));
    let merge = start(builder(), backend.clone());
    scene.expect("a1\n");
    scene.append("a.log", "a2\n");
    scene.write("b.log", "b\n");
    scene.write("d/c.log", "c\n");
    stop_blocking(&merge);
    scene.check(["a.log", "b.log", "d/c.log"]);
}

/// So it does where directories are slow to list.
fn a_stop_finds_what_came_just_before_in_a_slow_directory<B: Backend>(backend: B) {
    let (told, listed) = channel();
    let scene = Scene::on(TestFs::with_hook(move |op, _| {
        if op == Op::Listed {
            thread::sleep(SOON);
            // Nobody waits for the later ones.
            told.send(()).ok();
        }
    }));
    scene.write("logs/a.log", "a\n");
    let merge = start(scene.builder().input(scene.pattern("logs/*.log")), backend);
    listed.recv_timeout(DEADLINE).expect("the directory is listed");
    scene.write("logs/b.log", "b\n");
    stop(&merge);
    scene.check(["logs/a.log", "logs/b.log"]);
}

/// A FIFO that nobody opens, or opens and does not read, does not hold up a stop.
fn a_stop_keeps_its_deadline<B: Backend>(backend: B) {
    for open in [false, true] {
        let scene = Scene::new();
        let fifo = scene.fifo("fifo");
        let text = numbered("line", 0..100_000);
        scene.write("a.log", &text);
        let reader = open.then(|| {
            let fifo = fifo.clone();
            on_thread("the reader", move || File::open(fifo).expect("the FIFO"))
        });
        let merge = start(scene.builder().path(scene.path("a.log")).output(&fifo), backend.clone());
        let mut came = Vec::new();
        let mut reader = reader.map(|reader| reader.wait());
        match &mut reader {
            // One byte shows that it is being written to: with more than a FIFO takes.
            Some(reader) => drop(reader.take(1).read_to_end(&mut came).expect("the FIFO")),
            None => merge.sender("host").send_blocking("sent").expect("the merge runs"),
        }
        let start = Instant::now();
        let report = block_on("stop", merge.stop(SOON)).expect("it is no failure");
        assert!(start.elapsed() < DEADLINE / 2, "it took {:?}", start.elapsed());
        assert!(!report.drained && !report.output_closed && report.unwritten_bytes > 0, "{report:?}");
        assert!(report.inputs.iter().all(|input| input.bytes == input.offset), "{report:?}");
        drop(merge);
        // What came through is counted, and is a part of what was to come.
        if let Some(reader) = &mut reader {
            reader.read_to_end(&mut came).expect("the FIFO");
        }
        assert!(text.as_bytes().starts_with(&came));
        assert_eq!(report.bytes, came.len() as u64);
        assert_eq!(report.lines, came.iter().filter(|&&byte| byte == b'\n').count() as u64);
    }
}

/// The same by the call that blocks.
fn a_stop_keeps_its_deadline_blocking<B: Backend>(backend: B) {
    let scene = Scene::new();
    let fifo = scene.fifo("fifo");
    scene.write("a.log", "line\n");
    let merge = start_blocking(scene.builder().path(scene.path("a.log")).output(&fifo), backend);
    scene.events.until("nobody has opened");
    until("it is read", || scene.events.count("a.log: followed") == 1);
    let report = merge.stop_blocking(SOON).expect("it is no failure");
    assert!(!report.drained && report.bytes == 0, "{report:?}");
}

/// A stop without a deadline waits as long as it takes.
fn a_stop_without_deadline_waits<B: Backend>(backend: B) {
    let scene = Scene::new();
    let text = numbered("line", 0..50_000);
    scene.write("a.log", &text);
    let fifo = scene.fifo("fifo");
    let merge = start(scene.builder().path(scene.path("a.log")).output(&fifo), backend);
    let mut stop = pin!(merge.stop(Duration::MAX));
    assert!(poll_once(&mut stop).is_pending());
    let reader = on_thread("the reader", move || std::fs::read(fifo).expect("the FIFO"));
    let report = block_on("stop", stop).expect("it is no failure");
    assert!(report.drained);
    assert_same("what came through", &reader.wait(), text.as_bytes());
}

/// To end now is to write what was submitted, and to read no more.
fn to_stop_now_is_to_read_no_more<B: Backend>(backend: B) {
    let scene = Scene::new();
    let text = numbered("line", 0..50_000);
    scene.write("a.log", &text);
    let sink = Sink::held();
    let memory = 64 * 1024;
    let builder = scene.builder().path(scene.path("a.log")).max_line_bytes(1024).memory(memory).writer(sink.make());
    let merge = start(builder, backend);
    sink.until_written_to();
    let mut stop = pin!(merge.stop_now());
    assert!(poll_once(&mut stop).is_pending());
    sink.release();
    let report = block_on("stop now", stop).expect("it is no failure");
    let output = sink.bytes();
    assert!(text.as_bytes().starts_with(&output) && !output.is_empty() && output.len() <= memory, "{}", output.len());
    assert_eq!(report.bytes, output.len() as u64);
    assert!(!report.drained, "{report:?}");
}

/// It does not wait for an output that takes nothing, and says what was not written.
fn to_stop_now_is_not_to_wait<B: Backend>(backend: B) {
    let scene = Scene::new();
    scene.write("a.log", numbered("line", 0..10_000));
    let sink = Sink::held();
    let merge = start_blocking(scene.builder().path(scene.path("a.log")).writer(sink.make()), backend);
    sink.until_written_to();
    let start = Instant::now();
    let report = merge.stop_now_blocking().expect("it is no failure");
    assert!(start.elapsed() < DEADLINE / 2, "it took {:?}", start.elapsed());
    assert!(!report.drained && report.unwritten_bytes > 0 && report.bytes == 0, "{report:?}");
    assert!(sink.is_dropped(), "the writer goes with its thread");
}

/// Whoever asks again gets the same answer.
fn stopped_again_it_answers_the_same<B: Backend>(backend: B) {
    let scene = Scene::new();
    scene.write("a.log", "1\n");
    let merge = start(scene.builder().path(scene.path("a.log")), backend);
    let first = stop(&merge);
    scene.append("a.log", "2\n");
    let told = |report: &Report| format!("{report:?}");
    let ended = |again: Result<Report, MergeError>| told(&again.expect("the merge ended well"));
    assert_eq!(ended(merge.stop_blocking(Duration::ZERO)), told(&first));
    assert_eq!(ended(block_on("stop", merge.stop(DEADLINE))), told(&first));
    assert_eq!(ended(merge.stop_now_blocking()), told(&first));
    assert_eq!(ended(block_on("stop", merge.stop_now())), told(&first));
    scene.assert_output("1\n");
}

/// A stop that is given up goes on.
fn a_stop_given_up_goes_on<B: Backend>(backend: B) {
    let scene = Scene::new();
    let text = numbered("line", 0..50_000);
    scene.write("a.log", &text);
    let sink = Sink::held();
    let merge = start(scene.builder().path(scene.path("a.log")).writer(sink.make()), backend);
    {
        let mut given_up = pin!(merge.stop(DEADLINE));
        assert!(poll_once(&mut given_up).is_pending());
    }
    sink.release();
    block_on("the merge drains", merge.finished());
    sink.assert(&text);
    stop(&merge);
}

/// At whatever moment it is stopped, the output is whole lines, in order and from the start.
fn a_stop_at_any_moment_leaves_whole_lines<B: Backend>(backend: B) {
    let scene = Scene::new();
    let text = numbered("a line of some length, so that there are many batches", 0..20_000);
    scene.write("a.log", &text);
    for round in 0..15 {
        let builder = || scene.builder().path(scene.path("a.log")).max_line_bytes(1024).memory(64 * 1024);
        let merge = start_again(builder, &backend);
        // The moment is some number of lines.
        scene.expect_lines(round * 1000);
        let report = match round % 3 {
            0 => merge.stop_now_blocking(),
            1 => block_on("stop", merge.stop(Duration::ZERO)),
            _ => block_on("stop now", merge.stop_now()),
        };
        let report = report.expect("it is no failure");
        let output = scene.output();
        assert!(text.as_bytes().starts_with(&output) && output.len() == report.bytes as usize, "{report:?}");
        assert_eq!(lines(&output).len() as u64, report.lines);
        assert!(output.is_empty() || output.ends_with(b"\n"));
        assert_eq!(report.inputs.iter().map(|input| input.offset).sum::<u64>(), report.bytes);
    }
}

/// A writer that does not come back is told, and left behind.
fn a_writer_that_does_not_come_back_is_told<B: Backend>(backend: B) {
    struct Stuck(std::sync::mpsc::Receiver<()>);

    impl Writer for Stuck {
        async fn write(&mut self, _: &Batch) -> Result<(), PartialWrite> {
            self.0.recv_timeout(DEADLINE).expect("the case lets it go");
            Ok(())
        }

        async fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    let scene = Scene::new();
    let (go, stuck) = channel();
    let merge = start(scene.builder().writer(|_| std::future::ready(Ok(Stuck(stuck)))), backend);
    merge.sender("host").send_blocking("line").expect("the merge runs");
    let error = block_on("stop", merge.stop(SOON)).expect_err("the writer is stuck");
    assert!(error.to_string().contains("does not return"), "{error}");
    assert_eq!(error.report().unwritten_bytes, 5);
    assert!(!error.is_panic() && error.output_error().is_none());
    // It is not waited for again, neither by a stop nor when the handle is dropped.
    let again = Instant::now();
    block_on("stop", merge.stop(DEADLINE)).expect_err("the writer is stuck");
    merge.stop_blocking(DEADLINE).expect_err("the writer is stuck");
    block_on("stop now", merge.stop_now()).expect_err("the writer is stuck");
    merge.stop_now_blocking().expect_err("the writer is stuck");
    assert!(again.elapsed() < Duration::from_millis(500), "waited for again, for {:?}", again.elapsed());
    go.send(()).expect("the writer waits");
    block_on("the thread ends all the same", merge.finished());
}
