//! What can be asked of a merge while it runs.

use std::io::ErrorKind;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_lite::future::zip;
use tailmerge_core::{Backend, FollowError, Merge};

use crate::kit::{
    Act, Brake, DEADLINE, Feed, Host, Op, Scene, Sink, Step, assert_same, block_on, numbered, on_thread, poll_once,
    sorted, start, start_blocking, stop, stop_blocking, until,
};

cases! { control:
    inputs_come_and_go
    a_host_that_never_waits_sees_all
    patterns_come_and_go
    a_pattern_that_is_too_much_ends_nothing
    an_input_taken_on_is_read
    requests_that_meet_a_stop_are_answered
    a_request_during_the_last_look_is_answered
    a_flush_covers_what_was_sent
    a_flush_reaches_the_writer
    a_flush_that_waits_hears_of_the_end
    a_hint_wakes_readers
    no_task_outlives_the_merge
}

/// Longer than any case takes: nothing is looked at because it is time to.
const NEVER: Duration = Duration::from_secs(3600);

/// Inputs come and go while the merge runs; one that comes back goes on where it was left.
fn inputs_come_and_go<B: Backend>(backend: B) {
    let scene = Scene::new();
    scene.write("a.log", "a1\n");
    scene.write("b.log", "b1\n");
    let merge = start(scene.builder().path(scene.path("a.log")), backend);
    scene.expect("a1\n");
    block_on("follow", merge.follow(scene.path("b.log"))).expect("the merge runs");
    scene.expect("a1\nb1\n");
    block_on("unfollow", merge.unfollow(scene.path("b.log"))).expect("the merge runs");
    until("no file but a.log is looked at", || {
        let looks = scene.fs.looks(&scene.path("b.log"));
        scene.looked(&merge, "a.log");
        scene.fs.looks(&scene.path("b.log")) == looks
    });
    scene.append("b.log", "b2\nfrag");
    scene.append("a.log", "a2\n");
    scene.expect("a1\nb1\na2\n");
    scene.looked(&merge, "a.log");
    scene.assert_output("a1\nb1\na2\n");
    block_on("follow", merge.follow(scene.path("b.log"))).expect("the merge runs");
    scene.expect("a1\nb1\na2\nb2\n");
    scene.append("b.log", "ment\n");
    scene.expect("a1\nb1\na2\nb2\nfragment\n");
    stop(&merge);
    scene.assert_output("a1\nb1\na2\nb2\nfragment\n");
}

/// A host that must never wait sees how far the merge is, stops it, and sees its end.
fn a_host_that_never_waits_sees_all<B: Backend>(backend: B) {
    let scene = Scene::new();
    let sink = Sink::held();
    let text = numbered("a", 0..100);
    scene.write("a.log", &text);
    let merge = start(scene.builder().path(scene.path("a.log")).writer(sink.make()), backend);
    let len = text.len() as u64;
    until("the output is behind", || merge.snapshot().pending_bytes == len);
    let now = merge.snapshot();
    assert_eq!((now.bytes, now.lines, now.is_finished), (0, 0, false));
    assert!((1..=now.batches).contains(&now.batches_in_use), "{now:?}");
    merge.begin_stop();
    assert!(!merge.is_finished(), "the output takes nothing yet");
    sink.release();
    until("the merge ends", || merge.is_finished());
    let end = merge.snapshot();
    assert_eq!((end.bytes, end.lines, end.pending_bytes, end.is_finished), (len, 100, 0, true));
    let inputs = merge.inputs();
    assert_eq!((inputs.len(), inputs[0].offset), (1, len));
    let report = stop_blocking(&merge);
    assert!(report.is_complete(), "{report:?}");
    assert_eq!((report.bytes, report.lines), (end.bytes, end.lines));
}

/// The same by the calls that block, and with a pattern, on a merge that was started without inputs.
fn patterns_come_and_go<B: Backend>(backend: B) {
    let scene = Scene::new();
    scene.write("a.log", "a1\n");
    let merge = start_blocking(scene.builder(), backend);
    let pattern = scene.pattern("*.log");
    merge.follow_blocking(&pattern).expect("the merge runs");
    scene.expect("a1\n");
    scene.write("b.log", "b1\n");
    scene.expect("a1\nb1\n");
    merge.unfollow_blocking(&pattern).expect("the merge runs");
    scene.write("c.log", "c1\n");
    // A file that two inputs find is followed as long as one of them is there.
    merge.follow_blocking(&pattern).expect("the merge runs");
    merge.follow_blocking(scene.path("c.log")).expect("the merge runs");
    scene.expect("a1\nb1\nc1\n");
    merge.unfollow_blocking(&pattern).expect("the merge runs");
    scene.append("c.log", "c2\n");
    scene.expect("a1\nb1\nc1\nc2\n");
    let error = merge.follow_blocking(scene.pattern("[a")).expect_err("no pattern");
    assert!(matches!(error, FollowError::Pattern(_)), "{error}");
    stop_blocking(&merge);
    scene.assert_output("a1\nb1\nc1\nc2\n");
    assert!(matches!(merge.follow_blocking(&pattern), Err(FollowError::Closed)));
    assert!(matches!(block_on("unfollow", merge.unfollow(&pattern)), Err(FollowError::Closed)));
}

/// A pattern that no machine could compile is refused, and the merge goes on.
fn a_pattern_that_is_too_much_ends_nothing<B: Backend>(backend: B) {
    let scene = Scene::new();
    scene.write("a.log", "a1\n");
    let merge = start(scene.builder().path(scene.path("a.log")), backend);
    scene.expect("a1\n");
    for depth in [300, 30_000] {
        let pattern = format!("{}a{}", "{".repeat(depth), "}".repeat(depth));
        let error = merge.follow_blocking(scene.pattern(&pattern)).expect_err("it is refused");
        assert!(matches!(error, FollowError::Pattern(_)), "{error}");
    }
    scene.append("a.log", "a2\n");
    scene.expect("a1\na2\n");
    stop(&merge);
}

/// What is there when an input is taken on is read, though a stop is asked for at once.
fn an_input_taken_on_is_read<B: Backend>(backend: B) {
    let scene = Scene::new();
    let text = numbered("line", 0..10_000);
    scene.write("a.log", &text);
    let merge = start(scene.builder().poll_interval(NEVER), backend);
    block_on("follow", merge.follow(scene.path("a.log"))).expect("the merge runs");
    stop(&merge);
    scene.assert_output(text);
}

/// Requests that meet a stop are answered, and the stop finds what is there all the same.
fn requests_that_meet_a_stop_are_answered<B: Backend>(backend: B) {
    let (brake, fs) = Brake::on(Op::Listed, "logs");
    let scene = Scene::on(fs);
    scene.make_dir("logs");
    scene.write("b.log", "b\n");
    scene.write("c.log", "c\n");
    let held = brake.hold();
    let merge = start(scene.builder().input(scene.pattern("logs/*.log")), backend);
    held.until_stopped();
    // Too late for this listing.
    scene.write("logs/a.log", "a\n");
    let mut first = pin!(merge.follow(scene.path("b.log")));
    let mut second = pin!(merge.follow(scene.path("c.log")));
    let mut stop = pin!(merge.stop(DEADLINE));
    assert!(poll_once(&mut first).is_pending());
    assert!(poll_once(&mut second).is_pending());
    assert!(poll_once(&mut stop).is_pending());
    drop(held);
    let (report, asked) = block_on("a stop, and what was asked before it", zip(stop, zip(first, second)));
    assert!(report.expect("the merge ends well").drained);
    let mut want = vec!["logs/a.log"];
    for (name, asked) in [("b.log", asked.0), ("c.log", asked.1)] {
        match asked {
            Ok(()) => want.push(name),
            Err(error) => assert!(matches!(error, FollowError::Closed), "{error}"),
        }
    }
    scene.check(want);
}

/// So is one that comes while the stop looks at the inputs a last time.
fn a_request_during_the_last_look_is_answered<B: Backend>(backend: B) {
    let (brake, fs) = Brake::on(Op::Listed, "logs");
    let scene = Scene::on(fs);
    scene.write("logs/a.log", "a\n");
    let pattern = scene.pattern("logs/*.log");
    let merge = start(scene.builder().poll_interval(NEVER).input(&pattern), backend);
    scene.expect("a\n");
    let held = brake.hold();
    let mut stop = pin!(merge.stop(DEADLINE));
    assert!(poll_once(&mut stop).is_pending());
    held.until_stopped();
    let mut asked = pin!(merge.unfollow(&pattern));
    let answer = poll_once(&mut asked);
    drop(held);
    block_on("stop", stop).expect("the merge ends well");
    if answer.is_pending() {
        // Either answer will do.
        block_on("what was asked", asked).ok();
    }
}

/// When a flush is done, all that was sent before is in the output.
fn a_flush_covers_what_was_sent<B: Backend>(backend: B) {
    let scene = Scene::new();
    let merge = start(scene.builder(), backend);
    let sender = merge.sender("host");
    let mut want = String::new();
    for round in 0..100 {
        let lines = numbered("line", round * 100..(round + 1) * 100);
        want += &lines;
        sender.send_blocking(lines).expect("the merge runs");
        match round % 2 {
            0 => block_on("flush", merge.flush()).expect("the merge runs"),
            _ => merge.flush_blocking().expect("the merge runs"),
        }
        scene.assert_output(&want);
    }
    stop(&merge);
    block_on("flush", merge.flush()).expect_err("the merge has ended");
    merge.flush_blocking().expect_err("the merge has ended");
}

/// A flush calls the writer's own, also one that is given up.
fn a_flush_reaches_the_writer<B: Backend>(backend: B) {
    let scene = Scene::new();
    let sink = Sink::held();
    let merge = start(scene.builder().writer(sink.make()), backend);
    let sender = merge.sender("host");
    sender.send_blocking("line").expect("the merge runs");
    {
        let mut given_up = pin!(merge.flush());
        assert!(poll_once(&mut given_up).is_pending());
    }
    sink.release();
    until("it is flushed", || sink.flushes() > 0);
    block_on("flush", merge.flush()).expect("the merge runs");
    assert!(sink.flushes() >= 2, "{} flushes", sink.flushes());
    stop(&merge);
    sink.assert("line\n");
    assert!(sink.is_dropped(), "the writer goes with its thread");
}

/// A flush that waits hears of the end: an output that fails, a writer that panics, a stop that cannot wait.
fn a_flush_that_waits_hears_of_the_end<B: Backend>(backend: B) {
    let fails = Act::Fail { after: 0, kind: ErrorKind::PermissionDenied };
    for act in [fails, Act::Panic, Act::Hang] {
        let scene = Scene::new();
        let sink = Sink::held().acts([act]);
        let merge = Arc::new(start(scene.builder().writer(sink.make()), backend.clone()));
        merge.sender("host").send_blocking("line").expect("the merge runs");
        sink.until_written_to();
        let mut flush = pin!(merge.flush());
        assert!(poll_once(&mut flush).is_pending());
        let blocked = {
            let merge = merge.clone();
            on_thread("a flush", move || merge.flush_blocking())
        };
        sink.release();
        if let Act::Hang = act {
            block_on("stop", merge.stop(Duration::from_millis(10))).expect("it ends by its deadline");
        }
        block_on("a flush of what cannot be written", flush).expect_err("it was not written");
        blocked.wait().expect_err("it was not written");
    }
}

/// A hint has inputs looked at before it is time to.
fn a_hint_wakes_readers<B: Backend>(backend: B) {
    let scene = Scene::new();
    scene.write("a.log", "1\n");
    let feed = Feed::new([]);
    let builder = scene.builder().poll_interval(NEVER).path(scene.path("a.log")).tailer("feed", feed.clone());
    let merge = start(builder, backend);
    scene.expect("1\n");
    until("the tailer is idle", || feed.idle() > 0);
    let mut want = "1\n".to_owned();
    for line in ["2", "3"] {
        scene.append("a.log", format!("{line}\n"));
        feed.then([Step::Line(format!("own {line}"))]);
        want += &format!("{line}\nown {line}\n");
        merge.wake();
        scene.expect_lines(want.lines().count());
    }
    stop(&merge);
    assert_same("the output", &sorted(&scene.output()), &sorted(want.as_bytes()));
}

/// All tasks end with the merge, however it ends.
fn no_task_outlives_the_merge<B: Backend>(backend: B) {
    type End = fn(Merge);
    let ends: [End; 4] = [
        |merge| drop(stop(&merge)),
        |merge| drop(merge.stop_now_blocking()),
        drop,
        |merge| drop(block_on("stop", merge.stop(Duration::ZERO))),
    ];
    for end in ends {
        let scene = Scene::new();
        scene.write("a.log", numbered("line", 0..1000));
        let host = Host::new(backend.clone());
        let builder = scene.builder().poll_interval(NEVER).input(scene.pattern("*.log"));
        let merge = start(builder.tailer("feed", Feed::new([])), host.clone());
        scene.expect_lines(1);
        end(merge);
        until("all tasks have ended", || host.tasks() == 0);
    }
}
