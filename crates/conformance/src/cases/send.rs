//! Lines of the host's own.

use std::io::{ErrorKind, Write};
use std::pin::pin;
use std::time::Duration;

use tailmerge_core::{Backend, GapReason, LineSender, SendError};

use crate::kit::{
    Act, DEADLINE, Scene, Sink, assert_same, block_on, numbered, on_thread, poll_once, sorted, start, start_blocking,
    stop, stop_blocking, text,
};

cases! { send:
    sent_lines_keep_their_order
    many_senders_keep_their_order
    a_dropped_sender_ends_its_line
    a_line_that_is_too_long_is_refused
    sending_waits_for_room
    a_lossy_sender_never_waits
    sending_after_the_stop_is_refused
    a_sender_that_waits_hears_of_the_end
    a_stop_ends_the_lines_that_were_begun
    lines_begun_at_a_failure_are_told
    senders_of_one_name_are_one_input
    lines_of_dropped_senders_take_a_bounded_room
    senders_at_an_output_that_stands_still_hear_of_the_end
}

/// Lines of one sender keep their order, whichever way they are sent.
fn sent_lines_keep_their_order<B: Backend>(backend: B) {
    let scene = Scene::new();
    let merge = start(scene.builder(), backend);
    let mut sender = merge.sender("host");
    let mut want = String::new();
    for round in 0..200 {
        want += &format!(
            "{round} async\n{round} blocking\n{round} try\n{round} several\n\nat once\n{round} written in pieces\n"
        );
        block_on("send", sender.send(format!("{round} async"))).expect("the merge runs");
        sender.send_blocking(format!("{round} blocking\n")).expect("the merge runs");
        sender.try_send(format!("{round} try")).expect("there is room");
        sender.send_blocking(format!("{round} several\n\nat once")).expect("the merge runs");
        write!(sender, "{round} written").expect("the merge runs");
        writeln!(sender, " in pieces").expect("the merge runs");
        sender.flush().expect("the merge runs");
        scene.assert_output(&want);
    }
    let report = stop(&merge);
    scene.assert_output(&want);
    assert_eq!((report.lines, report.bytes), (1400, want.len() as u64));
    assert_eq!(report.inputs[0].bytes, want.len() as u64);
}

/// Many senders on many threads beside a file: each keeps its order, and what was sent at once stays together.
fn many_senders_keep_their_order<B: Backend>(backend: B) {
    let scene = Scene::new();
    scene.write("a.log", numbered("file", 0..1000));
    // Little room, so that senders have to wait for it.
    let builder = scene.builder().path(scene.path("a.log")).max_line_bytes(1024).memory(64 * 1024);
    let merge = start(builder, backend.clone());
    let pair = |name: &str, number| format!("{name} {number}\n{name} {number} too\n");
    let names = ["task 1", "task 2", "thread 1", "thread 2"];
    let (done, all_done) = async_channel::bounded::<()>(1);
    let threads: Vec<_> = names
        .into_iter()
        .map(|name| {
            let sender = merge.sender(name);
            let done = done.clone();
            if name.starts_with("task") {
                backend.spawn(async move {
                    for number in 0..1000 {
                        sender.send(pair(name, number)).await.expect("the merge runs");
                    }
                    drop(done);
                });
                None
            } else {
                Some(on_thread(name, move || {
                    (0..1000).for_each(|number| sender.send_blocking(pair(name, number)).expect("the merge runs"));
                }))
            }
        })
        .collect();
    threads.into_iter().flatten().for_each(|thread| thread.wait());
    drop(done);
    // An error says that all tasks are done.
    block_on("the tasks send", all_done.recv()).expect_err("nothing is sent here");
    stop(&merge);

    let output = text(&scene.output());
    let mut file = scene.read("a.log");
    for name in names {
        let of_sender: String = output.split_inclusive('\n').filter(|line| line.starts_with(name)).collect();
        let want: String = (0..1000).map(|number| pair(name, number)).collect();
        assert_same(name, of_sender.as_bytes(), want.as_bytes());
        for number in [0, 500, 999] {
            assert!(output.contains(&pair(name, number)), "what was sent at once stays together");
        }
        file.extend_from_slice(want.as_bytes());
    }
    assert_eq!(sorted(&file), sorted(output.as_bytes()));
}

/// As a writer of bytes, a sender keeps a fragment back; dropped, it ends it. Clones have their own.
fn a_dropped_sender_ends_its_line<B: Backend>(backend: B) {
    let scene = Scene::new();
    let merge = start_blocking(scene.builder(), backend);
    let mut sender = merge.sender("host");
    sender.write_all(b"whole\nfrag").expect("the merge runs");
    let mut clone = sender.clone();
    clone.write_all(b"another").expect("the merge runs");
    sender.flush().expect("the merge runs");
    scene.assert_output("whole\n");
    sender.write_all(b"ment").expect("the merge runs");
    drop(sender);
    scene.expect("whole\nfragment\n");
    drop(clone);
    stop_blocking(&merge);
    scene.assert_output("whole\nfragment\nanother\n");
}

/// A line over the limit is refused and the next one is not, nor does it get any of the bytes.
fn a_line_that_is_too_long_is_refused<B: Backend>(backend: B) {
    let scene = Scene::new();
    let merge = start(scene.builder().max_line_bytes(8), backend);
    let mut sender = merge.sender("host");
    assert_eq!(block_on("send", sender.send("123456789")), Err(SendError::TooLong));
    assert_eq!(sender.send_blocking("123456789\n"), Err(SendError::TooLong));
    assert_eq!(sender.try_send("123456789"), Err(SendError::TooLong));
    assert_eq!(sender.try_send("12345678\n"), Ok(()));
    let error = sender.write_all(b"123456789\n").expect_err("too long");
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    sender.write_all(b"whole\n").expect("the merge runs");
    // Too long only together: no part of such a line comes out, whenever that is noticed.
    for pieces in [&["1234567", "89\n"][..], &["1234567", "89", "rest\n"], &["12345", "6789", "0", "123456789", "\n"]] {
        let refused = pieces.iter().filter(|piece| sender.write_all(piece.as_bytes()).is_err()).count();
        assert!(refused > 0, "too long: {pieces:?}");
        sender.write_all(b"next\n").expect("a line that is short enough");
    }
    drop(sender);
    stop(&merge);
    scene.assert_output("12345678\nwhole\nnext\nnext\nnext\n");
}

/// While the output is behind, sending waits, or says that there is no room; nothing is lost and nothing doubled.
fn sending_waits_for_room<B: Backend>(backend: B) {
    let scene = Scene::new();
    let sink = Sink::held();
    let builder = scene.builder().max_line_bytes(1024).memory(64 * 1024).writer(sink.make());
    let merge = start(builder, backend);
    let sender = merge.sender("host");
    let mut want = fill(&sender, &sink);
    let long = |name: &str| format!("{name:1000}");
    let mut task = pin!(sender.send(long("task")));
    assert!(poll_once(&mut task).is_pending());
    let thread = {
        let (sender, line) = (sender.clone(), long("thread"));
        on_thread("a sender", move || sender.send_blocking(line))
    };
    sink.release();
    block_on("send", task).expect("the merge runs");
    thread.wait().expect("the merge runs");
    stop(&merge);
    let output = sink.bytes();
    assert_same("what was sent first", &output[..want.len()], want.as_bytes());
    want += &(long("task") + "\n" + &long("thread") + "\n");
    assert_same("all that was sent", &sorted(&output), &sorted(want.as_bytes()));
}

/// Sends lines, of 1000 bytes, until there is no room for another; gives what was sent. The writer holds the first.
#[track_caller]
fn fill(sender: &LineSender, sink: &Sink) -> String {
    sender.send_blocking("first").expect("the merge runs");
    sink.until_written_to();
    let mut sent = "first\n".to_owned();
    loop {
        let line = format!("{:1000}", sent.len());
        match sender.try_send(&line) {
            Ok(()) => sent += &(line + "\n"),
            Err(error) => {
                assert_eq!(error, SendError::Full);
                return sent;
            }
        }
    }
}

/// A lossy sender never waits, whichever way it is given lines. What it drops is counted at once and told later.
fn a_lossy_sender_never_waits<B: Backend>(backend: B) {
    const ROUNDS: u64 = 300;

    let scene = Scene::new();
    let sink = Sink::held();
    let merge = start(scene.builder().max_line_bytes(1024).memory(64 * 1024).writer(sink.make()), backend);
    let sender = merge.sender("host").lossy();
    let line = |number: u64| format!("{number:1000}\n");
    let sending = {
        let mut sender = sender.clone();
        on_thread("a sender", move || {
            for round in 0..ROUNDS {
                sender.send_blocking(line(3 * round)).expect("it is dropped, if need be");
                block_on("send", sender.send(line(3 * round + 1))).expect("it is dropped, if need be");
                sender.write_all(line(3 * round + 2).as_bytes()).expect("it is dropped, if need be");
            }
            sender.flush().expect("it does nothing");
        })
    };
    sending.wait();
    let now = merge.snapshot();
    assert!(now.dropped_lines > ROUNDS && now.gap_bytes == 1001 * now.dropped_lines, "{now:?}");
    assert_eq!(sender.try_send(line(0)), Err(SendError::Full));
    assert_eq!(merge.snapshot().dropped_lines, now.dropped_lines, "what is refused is not dropped");

    sink.release();
    block_on("flush", merge.flush()).expect("the merge runs");
    scene.events.until("their sender does not wait");
    sender.send_blocking("room").expect("the merge runs");
    let report = stop(&merge);
    assert!(!report.is_complete() && report.gaps.iter().all(|gap| gap.reason == GapReason::NoRoom), "{report:?}");
    assert_eq!(report.dropped_lines, now.dropped_lines);
    assert_eq!(report.lines + report.dropped_lines, 3 * ROUNDS + 1);
    assert_eq!(report.inputs[0].bytes + report.gap_bytes, 3 * ROUNDS * 1001 + 5);
    let output = text(&sink.bytes());
    let numbers = output.strip_suffix("room\n").expect("there is room again").lines();
    assert!(numbers.map(|line| line.trim().parse::<u64>().expect("a whole line")).is_sorted(), "in order");
}

/// Once a stop is asked for, every way of sending says so.
fn sending_after_the_stop_is_refused<B: Backend>(backend: B) {
    let scene = Scene::new();
    let merge = start(scene.builder(), backend);
    let mut sender = merge.sender("host");
    sender.send_blocking("in time").expect("the merge runs");
    stop(&merge);
    assert_closed(&mut sender);
    assert_closed(&mut merge.sender("late"));
    drop(merge);
    assert_closed(&mut sender);
    scene.assert_output("in time\n");
}

#[track_caller]
fn assert_closed(sender: &mut LineSender) {
    assert_eq!(block_on("send", sender.send("late")), Err(SendError::Closed));
    assert_eq!(sender.send_blocking("late"), Err(SendError::Closed));
    assert_eq!(sender.try_send("late"), Err(SendError::Closed));
    assert_eq!(sender.write_all(b"late\n").expect_err("closed").kind(), ErrorKind::BrokenPipe);
    assert_eq!(sender.flush().expect_err("closed").kind(), ErrorKind::BrokenPipe);
}

/// Whoever waits for room hears of the end: of a stop, and of an output that fails, of which only it is the writer.
fn a_sender_that_waits_hears_of_the_end<B: Backend>(backend: B) {
    for fails in [false, true] {
        let scene = Scene::new();
        let act = if fails { Act::Fail { after: 0, kind: ErrorKind::PermissionDenied } } else { Act::Hang };
        let sink = Sink::held().acts([act]);
        let builder = scene.builder().max_line_bytes(1024).memory(64 * 1024).writer(sink.make());
        let merge = start(builder, backend.clone());
        let sender = merge.sender("host");
        fill(&sender, &sink);
        let late = "x".repeat(1000);
        let waits = {
            let (sender, late) = (sender.clone(), late.clone());
            on_thread("a sender", move || sender.send_blocking(late))
        };
        let mut task = pin!(sender.send(late));
        assert!(poll_once(&mut task).is_pending());
        if fails {
            sink.release();
        } else {
            let mut stop = pin!(merge.stop(Duration::from_millis(10)));
            assert!(poll_once(&mut stop).is_pending());
            block_on("stop", stop).expect("it ends by its deadline");
        }
        assert_eq!(block_on("send", task), Err(SendError::Closed));
        assert_eq!(waits.wait(), Err(SendError::Closed));
    }
}

/// A line that a sender has begun comes out at the stop, with a newline; after it nothing is taken.
fn a_stop_ends_the_lines_that_were_begun<B: Backend>(backend: B) {
    let scene = Scene::new();
    let merge = start_blocking(scene.builder(), backend);
    let mut sender = merge.sender("host");
    sender.write_all(b"whole\nbegun").expect("the merge runs");
    let mut clone = sender.clone();
    clone.write_all(b"begun too").expect("the merge runs");
    let report = stop_blocking(&merge);
    let want = "whole\nbegun\nbegun too\n";
    assert_same("the output", &sorted(&scene.output()), &sorted(want.as_bytes()));
    assert!(report.is_complete() && report.lines == 3, "{report:?}");
    let input = &report.inputs[0];
    assert_eq!((report.inputs.len(), input.bytes, input.offset), (1, want.len() as u64, want.len() as u64));
    for bytes in [&b"no newline"[..], b"newline\n", b"both\nof them"] {
        assert_eq!(sender.write(bytes).map_err(|error| error.kind()), Err(ErrorKind::BrokenPipe));
    }
    sender.flush().expect_err("the merge has ended");
    drop((sender, clone));
    assert_same("the output", &sorted(&scene.output()), &sorted(want.as_bytes()));
}

/// What was begun when the output has failed is counted as not written.
fn lines_begun_at_a_failure_are_told<B: Backend>(backend: B) {
    let scene = Scene::new();
    let sink = Sink::held().acts([Act::Fail { after: 0, kind: ErrorKind::PermissionDenied }]);
    let merge = start(scene.builder().writer(sink.make()), backend);
    let mut sender = merge.sender("host");
    sender.write_all(b"line\nbegun").expect("the merge runs");
    sink.release();
    block_on("the merge ends by itself", merge.finished());
    let error = block_on("stop", merge.stop(DEADLINE)).expect_err("the output failed");
    assert_eq!(error.report().unwritten_bytes, 11, "{error}");
    sender.write_all(b" no more").expect_err("the merge has ended");
}

/// A sender that is made anew for each line is one input of the report, and leaves nothing behind.
fn senders_of_one_name_are_one_input<B: Backend>(backend: B) {
    let scene = Scene::new();
    let merge = start_blocking(scene.builder(), backend);
    for number in 0..1000 {
        writeln!(merge.sender("app"), "line {number}").expect("the merge runs");
    }
    let held = merge.sender("other 0");
    (0..30_000).for_each(|number| drop(merge.sender(format!("other {number}"))));
    held.send_blocking("held").expect("the merge runs");
    merge.sender("other 0").send_blocking("asked for again").expect("the merge runs");
    let report = stop_blocking(&merge);
    let want = numbered("line", 0..1000);
    scene.assert_output(want.clone() + "held\nasked for again\n");
    let of = |name: &str| -> Vec<_> {
        let rows = report.inputs.iter().filter(|input| input.name.as_os_str() == name);
        rows.map(|input| (input.lines, input.bytes, input.offset)).collect()
    };
    let len = want.len() as u64;
    assert_eq!((of("app"), of("other 0")), (vec![(1000, len, len)], vec![(2, 21, 21)]));
}

/// Lines that dropped senders had begun while the output stands still take a bounded room; the rest of them are gaps.
fn lines_of_dropped_senders_take_a_bounded_room<B: Backend>(backend: B) {
    let scene = Scene::new();
    let sink = Sink::held();
    let builder = scene.builder().max_line_bytes(1024).memory(64 * 1024).writer(sink.make());
    let merge = start_blocking(builder, backend);
    let begun = [b'x'; 1000];
    for _ in 0..500 {
        merge.sender("host").write_all(&begun).expect("it is kept");
    }
    sink.release();
    let report = stop_blocking(&merge);
    assert!(sink.longest() <= 64 * 1024, "{} bytes in one batch", sink.longest());
    assert!(report.gap_count > 0 && !report.is_complete() && report.lines > 10, "{report:?}");
    let input = &report.inputs[0];
    assert_eq!(input.bytes + report.gap_bytes, 500 * 1001, "each is delivered or a gap");
    assert_eq!(sink.bytes().len() as u64, input.bytes);
    assert!(scene.events.count("its sender was dropped") > 0);
}

/// Eight threads that send while the output stands still all hear of the end, and of nothing else after it.
fn senders_at_an_output_that_stands_still_hear_of_the_end<B: Backend>(backend: B) {
    let scene = Scene::new();
    let sink = Sink::held();
    let merge = start(scene.builder().max_line_bytes(1024).memory(64 * 1024).writer(sink.make()), backend);
    let threads: Vec<_> = (0..8)
        .map(|number| {
            let mut sender = merge.sender(format!("thread {number}"));
            on_thread("a sender", move || {
                let mut sent = 0_u64;
                let text = "x".repeat(99) + "\n";
                while if number % 2 == 0 {
                    sender.send_blocking(&text).is_ok()
                } else {
                    write!(sender, "{text}").is_ok()
                } {
                    sent += 100;
                }
                for _ in 0..10 {
                    assert_eq!(sender.send_blocking(&text), Err(SendError::Closed));
                    sender.write_all(b"x").expect_err("the merge has ended");
                    sender.flush().expect_err("the merge has ended");
                }
                sent
            })
        })
        .collect();
    sink.until_written_to();
    let report = block_on("stop", merge.stop(Duration::from_millis(50))).expect("it is no failure");
    let sent: u64 = threads.into_iter().map(|thread| thread.wait()).sum();
    assert_eq!((report.unwritten_bytes, report.bytes), (sent, 0));
    assert!(!report.is_complete());
}
