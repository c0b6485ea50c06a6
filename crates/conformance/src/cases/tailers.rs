//! Tailers of the host's own, however odd: none takes anything else with it.

use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tailmerge_core::{Backend, Batch, Builder, Format, LongLines, Prefix, Progress, Report, TailError, Tailer};

use crate::kit::{Feed, Scene, Sink, Step, assert_same, block_on, failed, numbered, sorted, start, stop, until};

cases! { tailers:
    the_line_limit_holds_for_tailers
    the_line_limit_holds_for_changed_lines
    a_tailer_that_gives_nothing_is_made_to_pause
    a_tailer_that_panics_anywhere_ends_alone
    a_tailer_is_left_alone_as_long_as_it_says
}

/// Longer than any case takes.
const NEVER: Duration = Duration::from_secs(3600);

/// Gives some text at once, and then ends.
struct Text(Vec<u8>);

impl Tailer for Text {
    fn fill(&mut self, batch: &mut Batch) -> Result<Progress, TailError> {
        batch.spare()[..self.0.len()].copy_from_slice(&self.0);
        batch.commit(0, self.0.len());
        Ok(Progress::Ended)
    }
}

/// The line limit holds for a tailer's lines as for a file's, whatever they are made into.
fn the_line_limit_holds_for_tailers<B: Backend>(backend: B) {
    let scene = Scene::new();
    let lengths = [0, 9, 10, 11, 20, 21, 35, 3, 10, 100, 1, 12];
    let text: Vec<u8> = lengths.into_iter().flat_map(|len| [vec![b'x'; len], b"\n".into()].concat()).collect();
    scene.write("same name", &text);
    for policy in [LongLines::Split, LongLines::Truncate, LongLines::Skip] {
        for (prefix, format) in [(Prefix::None, Format::Raw), (Prefix::Name, Format::Raw), (Prefix::None, Format::Json)]
        {
            let merged = |add: &dyn Fn(Builder) -> Builder| -> (Vec<u8>, Report) {
                let builder = scene.builder().once(true).max_line_bytes(10).long_lines(policy);
                let merge = start(add(builder.prefix(prefix).format(format)), backend.clone());
                block_on("the merge ends by itself", merge.finished());
                let report = stop(&merge);
                (scene.output(), report)
            };
            let (want, of_file) = merged(&|builder| builder.path(scene.path("same name")));
            let (got, of_tailer) = merged(&|builder| builder.tailer("same name", Text(text.clone())));
            assert_same(&format!("{policy:?} {prefix:?} {format:?}"), &got, &want);
            let figures = |report: &Report| {
                let gaps: Vec<_> = report.gaps.iter().map(|gap| (gap.start, gap.end, gap.reason)).collect();
                let input = &report.inputs[0];
                (gaps, report.gap_bytes, report.long_lines, report.lines, (input.bytes, input.lines, input.offset))
            };
            assert_eq!(figures(&of_tailer), figures(&of_file), "{policy:?}");
            assert!(of_tailer.long_lines > 0 && of_tailer.is_complete() == (policy == LongLines::Split));
        }
    }
    assert!(scene.events.count("longer than 10 bytes") > 0);
}

/// Lines that a tailer changed on their way are cut, too; where they came from is told as far as it is known.
fn the_line_limit_holds_for_changed_lines<B: Backend>(backend: B) {
    struct Changed;

    impl Tailer for Changed {
        fn fill(&mut self, batch: &mut Batch) -> Result<Progress, TailError> {
            let lines = b"short\nmuch too long\n";
            batch.spare()[..lines.len()].copy_from_slice(lines);
            batch.commit_changed(100, 7, lines.len());
            Ok(Progress::Ended)
        }
    }

    let scene = Scene::new();
    let builder = scene.builder().once(true).max_line_bytes(10).long_lines(LongLines::Truncate);
    let merge = start(builder.tailer("changed", Changed), backend);
    block_on("the merge ends by itself", merge.finished());
    let report = stop(&merge);
    scene.assert_output("short\nmuch too l\n");
    let gaps: Vec<_> = report.gaps.iter().map(|gap| (gap.start, gap.end)).collect();
    assert_eq!((gaps, report.long_lines, report.inputs[0].offset), (vec![(100, 107)], 1, 107));
}

/// A tailer that says for ever that there is more, and gives nothing, costs next to nothing and holds up nothing else,
/// not even the stop.
fn a_tailer_that_gives_nothing_is_made_to_pause<B: Backend>(backend: B) {
    struct Spin(Arc<AtomicUsize>);

    impl Tailer for Spin {
        fn fill(&mut self, _: &mut Batch) -> Result<Progress, TailError> {
            self.0.fetch_add(1, Ordering::Relaxed);
            Ok(Progress::More)
        }
    }

    const WHILE: Duration = Duration::from_millis(200);

    let scene = Scene::new();
    let (calls, good) = (Arc::new(AtomicUsize::new(0)), Feed::new([Step::Line("good 1".into())]));
    let builder = scene.builder().path(scene.path("a.log")).tailer("spin", Spin(calls.clone()));
    let merge = start(builder.tailer("good", good.clone()), backend);
    scene.expect("good 1\n");
    until("it is made to pause", || calls.load(Ordering::Relaxed) > 1000);
    let (before, start) = (calls.load(Ordering::Relaxed), Instant::now());
    good.then([Step::Line("good 2".into())]);
    scene.expect("good 1\ngood 2\n");
    scene.write("a.log", "a\n");
    scene.expect("good 1\ngood 2\na\n");
    until("some time passes", || start.elapsed() >= WHILE);
    let (calls, millis) = (calls.load(Ordering::Relaxed) - before, start.elapsed().as_millis() as usize);
    assert!(calls <= millis, "{calls} calls in {millis} ms");
    let start = Instant::now();
    stop(&merge);
    assert!(start.elapsed() < Duration::from_secs(10), "the stop took {:?}", start.elapsed());
}

/// Where a [`Bad`] tailer panics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    Fill,
    Look,
    Rest,
    Drop,
}

/// Gives a line, and panics somewhere: in a look also before that, since whether it had a batch by then is chance.
struct Bad {
    at: At,
    given: bool,
    panicked: Arc<AtomicUsize>,
}

impl Bad {
    fn reach(&self, at: At) {
        if self.at == at && (self.given || at == At::Look) {
            self.panicked.fetch_add(1, Ordering::Relaxed);
            // Without the message of a panic hook, which would look as if the case had failed.
            resume_unwind(Box::new("the case wants it so"));
        }
    }
}

impl Tailer for Bad {
    fn fill(&mut self, batch: &mut Batch) -> Result<Progress, TailError> {
        self.reach(At::Fill);
        if std::mem::replace(&mut self.given, true) {
            return Ok(Progress::Idle);
        }
        batch.spare()[..4].copy_from_slice(b"bad\n");
        batch.commit(0, 4);
        Ok(Progress::More)
    }

    fn look(&mut self) {
        self.reach(At::Look);
    }

    fn idle_timeout(&self) -> Option<Duration> {
        self.reach(At::Rest);
        None
    }
}

impl Drop for Bad {
    fn drop(&mut self) {
        self.reach(At::Drop);
    }
}

/// Wherever a tailer panics, it alone ends, is told at once, and is the error at the stop.
fn a_tailer_that_panics_anywhere_ends_alone<B: Backend>(backend: B) {
    for at in [At::Fill, At::Look, At::Rest, At::Drop] {
        let scene = Scene::new();
        scene.write("a.log", numbered("a", 0..1000));
        let panicked = Arc::new(AtomicUsize::new(0));
        let bad = || Bad { at, given: false, panicked: panicked.clone() };
        let good = Feed::new((0..1000).map(|number| Step::Line(format!("good {number}"))));
        let sink = Sink::held();
        let builder = scene.builder().path(scene.path("a.log")).tailer("bad 1", bad()).tailer("bad 2", bad());
        let builder = builder.tailer("good", good.clone()).max_line_bytes(100).memory(1024).writer(sink.make());
        let merge = start(builder, backend.clone());
        if at == At::Look {
            // While no batch is free.
            until("both panic", || panicked.load(Ordering::Relaxed) == 2);
        }
        sink.release();
        if at != At::Drop {
            scene.events.until("bad 1: panicked: the case wants it so");
            scene.events.until("bad 2: panicked: the case wants it so");
        }
        good.then([Step::Line("good at the end".into())]);
        let error = failed(&merge);
        assert!(error.is_panic() && error.to_string().contains("the tailer bad "), "{at:?}: {error}");
        assert_eq!(scene.events.count("panicked"), 2, "{at:?}: each is told once");
        let given = if at == At::Look { sink.bytes().iter().filter(|&&byte| byte == b'b').count() } else { 2 };
        let want = numbered("a", 0..1000) + &numbered("good", 0..1000) + "good at the end\n" + &"bad\n".repeat(given);
        assert_same(&format!("{at:?}: the output"), &sorted(&sink.bytes()), &sorted(want.as_bytes()));
        assert!(!error.report().readers_lost, "{at:?}");
    }
}

/// A tailer is left alone for as long as it says, whatever the others need, unless there is a hint or a stop.
fn a_tailer_is_left_alone_as_long_as_it_says<B: Backend>(backend: B) {
    struct Restful(Feed);

    impl Tailer for Restful {
        fn fill(&mut self, batch: &mut Batch) -> Result<Progress, TailError> {
            self.0.fill(batch)
        }

        fn idle_timeout(&self) -> Option<Duration> {
            Some(Duration::MAX)
        }
    }

    let scene = Scene::new();
    let (restful, other) = (Feed::new([Step::Line("1".into())]), Feed::new([]));
    let builder = scene.builder().tailer("restful", Restful(restful.clone())).tailer("other", other.clone());
    let merge = start(builder, backend.clone());
    scene.expect("1\n");
    until("it has nothing to do", || restful.idle() == 1);
    restful.then([Step::Line("2".into())]);
    let idle = other.idle();
    until("the other is asked", || other.idle() > idle + 10);
    assert_eq!(restful.idle(), 1);
    scene.assert_output("1\n");
    merge.wake();
    scene.expect("1\n2\n");
    until("it has nothing to do", || restful.idle() == 2);
    restful.then([Step::Line("3".into())]);
    stop(&merge);
    scene.assert_output("1\n2\n3\n");

    // Alone it is the same: nobody is asked before there is a hint.
    let restful = Feed::new([]);
    let builder = scene.builder().poll_interval(NEVER).tailer("restful", Restful(restful.clone()));
    let merge = start(builder, backend);
    until("it has nothing to do", || restful.idle() == 1);
    restful.then([Step::Line("4".into())]);
    merge.wake();
    scene.expect("4\n");
    stop(&merge);
}
