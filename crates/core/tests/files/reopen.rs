//! An output file that somebody else moves, removes, cuts or writes to.

use std::fs::File;
use std::io::{self, Write};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tailmerge_core::{Batch, GapReason, PartialWrite, Report, Writer};

use crate::kit::{
    Op, Scene, TestFs, assert_same, block_on, failed, numbered, on_thread, poll_once, start, start_blocking, stop,
    until,
};

/// A deadline that is meant to pass.
const SOON: Duration = Duration::from_millis(20);

fn gap_bytes(report: &Report) -> u64 {
    assert!(report.gaps.iter().all(|gap| gap.reason == GapReason::OutputRemoved), "{report:?}");
    report.gap_bytes
}

/// Asked to, the writer opens an output anew that was moved: nothing is lost, and what follows is in the new one.
#[test]
fn a_moved_output_is_opened_anew() {
    let scene = Scene::new();
    let merge = start(scene.builder());
    let sender = merge.sender("host");
    let mut told = 0;
    for round in 0..20 {
        sender.send_blocking(format!("line {round}")).expect("the merge runs");
        if round % 5 == 0 {
            // Nothing is wrong with it.
            block_on("reopen", merge.reopen_output()).expect("the merge runs");
            assert_eq!(scene.events.count("moved by somebody else"), told);
        }
        block_on("flush", merge.flush()).expect("the merge runs");
        scene.rename("all", format!("all.{round:02}"));
        match round % 2 {
            0 => block_on("reopen", merge.reopen_output()).expect("the merge runs"),
            _ => merge.reopen_output_blocking().expect("the merge runs"),
        }
        told += 1;
        assert_eq!(scene.events.count("moved by somebody else"), told);
        assert_eq!(scene.output(), b"", "it is there at once, and empty");
    }
    sender.send_blocking("line 20").expect("the merge runs");
    let report = stop(&merge);
    let old: Vec<u8> = (0..20).flat_map(|round| scene.read(format!("all.{round:02}"))).collect();
    assert_same("the outputs", &[old, scene.output()].concat(), numbered("line", 0..21).as_bytes());
    assert_eq!((report.lines, gap_bytes(&report)), (21, 0));
    merge.reopen_output_blocking().expect_err("the merge has ended");
    block_on("reopen", merge.reopen_output()).expect_err("the merge has ended");
}

/// Asking does not wait for an output that stands still, and given up it is done all the same.
#[test]
fn a_request_to_reopen_that_is_given_up_is_served() {
    let scene = Scene::new();
    scene.fs.fill_disk_at(0);
    let merge = start(scene.builder());
    merge.sender("host").send_blocking("line").expect("the merge runs");
    scene.events.until("cannot be written");
    for _ in 0..1000 {
        assert!(poll_once(&mut pin!(merge.reopen_output())).is_pending());
        assert!(poll_once(&mut pin!(merge.flush())).is_pending());
    }
    scene.rename("all", "all.1");
    scene.fs.free_disk();
    until("it is opened anew", || scene.stat("all").is_some());
    block_on("flush", merge.flush()).expect("the merge runs");
    let report = stop(&merge);
    assert_same("the outputs", &[scene.read("all.1"), scene.output()].concat(), b"line\n");
    assert_eq!(gap_bytes(&report), 0);
}

/// Nobody has to ask: it is noticed while it is written. Whether it is while it idles, a test of `clock` shows.
#[test]
fn a_moved_output_is_noticed() {
    let scene = Scene::new();
    let merge = start(scene.builder());
    let done = Arc::new(AtomicBool::new(false));
    let writing = {
        let (sender, done) = (merge.sender("host"), done.clone());
        on_thread("the host", move || {
            (0..).take_while(|_| !done.load(Ordering::Relaxed)).fold(0, |sent, number| {
                sender.send_blocking(format!("line {number}")).expect("the merge runs");
                sent + 1
            })
        })
    };
    scene.rename("all", "all.1");
    until("it is opened anew", || scene.stat("all").is_some());
    done.store(true, Ordering::Relaxed);
    let sent = writing.wait();
    let report = stop(&merge);
    assert_eq!((report.lines, gap_bytes(&report)), (sent as u64, 0));
    let both = [scene.read("all.1"), scene.output()].concat();
    assert_same("the outputs", &both, numbered("line", 0..sent).as_bytes());
}

/// What was written to an output that was removed is a gap, wherever the removal is noticed: by asking, or at the end.
#[test]
fn what_went_to_a_removed_output_is_a_gap() {
    for asked in [true, false] {
        let scene = Scene::new();
        let merge = start(scene.builder());
        let sender = merge.sender("host");
        // It was seen in place after this.
        sender.send_blocking("before").expect("the merge runs");
        block_on("reopen", merge.reopen_output()).expect("the merge runs");
        scene.remove("all");
        sender.send_blocking("lost").expect("the merge runs");
        block_on("flush", merge.flush()).expect("the merge runs");
        if asked {
            block_on("reopen", merge.reopen_output()).expect("the merge runs");
            sender.send_blocking("after").expect("the merge runs");
        }
        let report = stop(&merge);
        // On a machine that is very busy it may have been noticed before the second line.
        let lost = if scene.output().starts_with(b"lost\n") { 0 } else { 5 };
        assert_eq!(gap_bytes(&report), lost, "{report:?}");
        assert_eq!(scene.events.count("removed by somebody else"), 1);
        if lost > 0 {
            let gap = &report.gaps[0];
            assert_eq!((gap.input.clone(), gap.start, gap.end), (scene.path("all"), 7, 12));
            assert_eq!(scene.stat("all").is_some(), asked);
            scene.assert_output(if asked { "after\n" } else { "" });
        }
    }
}

/// An output that was cut goes on at its end; where that is a fragment, on a line of its own.
#[test]
fn a_cut_output_goes_on_at_its_end() {
    for append in [false, true] {
        let scene = Scene::new();
        let merge = start_blocking(scene.builder().append(append));
        let sender = merge.sender("host");
        let send = |line: &str| {
            sender.send_blocking(line).expect("the merge runs");
            block_on("reopen", merge.reopen_output()).expect("the merge runs");
        };
        send("a line of some length");
        scene.truncate("all");
        send("first");
        // Written before the cut was noticed, and yet without a hole.
        scene.assert_output("first\n");
        scene.producer("all").set_len(3);
        block_on("reopen", merge.reopen_output()).expect("the merge runs");
        assert_eq!(scene.events.count("from 6 to 3 bytes"), 1);
        send("second");
        scene.assert_output("fir\nsecond\n");
        let report = stop(&merge);
        assert_eq!((report.lines, gap_bytes(&report)), (3, 0));
    }
}

/// A file that somebody puts at the output's path is no input, even before the writer looks; nor is the old output.
#[test]
fn what_is_put_in_the_outputs_place_is_no_input() {
    let scene = Scene::new();
    scene.write("logs/a.log", "1\n");
    scene.symlink("logs/all", "output");
    let builder = scene.builder().output(scene.path("output")).input(scene.pattern("logs/*"));
    let merge = start(builder);
    scene.expect_in("logs/all", "1\n");
    scene.rename("logs/all", "logs/all.1");
    scene.write("logs/all", "not ours\n");
    scene.append("logs/a.log", "2\n");
    scene.expect_in("logs/all.1", "1\n2\n");
    block_on("reopen", merge.reopen_output()).expect("the merge runs");
    scene.append("logs/a.log", "3\n");
    scene.expect_in("logs/all", "not ours\n3\n");
    let report = stop(&merge);
    assert_eq!((report.lines, report.inputs.len()), (3, 1), "{report:?}");
}

/// An output whose path leads to an input by now is not written until that is mended.
#[test]
fn an_input_in_the_outputs_place_is_not_written() {
    for named in [true, false] {
        let scene = Scene::new();
        scene.write("logs/a.log", "1\n");
        let input = if named { scene.path("logs/a.log") } else { scene.pattern("logs/*.log") };
        let merge = start(scene.builder().input(input));
        scene.expect("1\n");
        scene.rename("all", "all.1");
        scene.symlink("logs/a.log", "all");
        block_on("reopen", merge.reopen_output()).expect("the merge runs");
        scene.events.until(if named { "an input; choose another output" } else { "it is followed as an input" });
        scene.append("logs/a.log", "2\n");
        assert_same("the input", &scene.read("logs/a.log"), b"1\n2\n");
        scene.remove("all");
        scene.expect("2\n");
        scene.events.until("can be written again");
        stop(&merge);
    }
}

/// A disk that is full, whose output is removed to make room.
#[test]
fn a_full_output_that_is_removed_makes_room() {
    let scene = Scene::new();
    let text = numbered("line", 0..20_000);
    scene.write("a.log", &text);
    scene.fs.fill_disk_at(100_003);
    let merge = start(scene.builder().path(scene.path("a.log")));
    scene.events.until("cannot be written");
    let kept = scene.output();
    scene.remove("all");
    scene.fs.free_disk();
    let report = stop(&merge);
    let output = scene.output();
    // Either it was removed before the next try, or a little went to the old one.
    let gap = usize::try_from(gap_bytes(&report)).expect("a length");
    assert!(text.as_bytes().ends_with(&output) && output.len() + gap >= text.len() - kept.len(), "{report:?}");
    assert_eq!(report.bytes as usize, text.len());
    assert_eq!(scene.events.count("removed by somebody else"), 1);
}

/// A line that did not find room goes on where it stopped, if nobody wrote behind it; else it begins anew on a line of
/// its own, or in the new output.
#[test]
fn a_torn_line_is_whole_in_the_end() {
    for (other, moved) in [(false, false), (true, false), (true, true)] {
        let scene = Scene::new();
        let text = numbered("line", 0..10);
        scene.write("a.log", &text);
        scene.fs.fill_disk_at(10);
        // Another one that appends keeps it from being cut.
        let mut appends = scene.producer("all");
        if other {
            appends.lock_shared();
        }
        let merge = start(scene.builder().append(true).path(scene.path("a.log")));
        scene.events.until("cannot be written");
        scene.assert_output(if other { &b"line 0\nlin"[..] } else { b"line 0\n" });
        let want = match (other, moved) {
            (false, _) => text.clone(),
            (true, false) => {
                appends.write_all(b"e of another\n").expect("the output");
                "line 0\nline of another\n\n".to_owned() + &text[7..]
            }
            (true, true) => {
                scene.rename("all", "all.1");
                scene.events.until("moved by somebody else");
                text[7..].to_owned()
            }
        };
        scene.fs.free_disk();
        let report = stop(&merge);
        assert_eq!((report.lines, report.bytes), (10, text.len() as u64));
        scene.assert_output(want);
    }
}

/// What was torn by an error that is final is cut, and the report tells of what is there.
#[test]
fn a_final_error_leaves_whole_lines() {
    for append in [false, true] {
        let fail = Arc::new(AtomicUsize::new(0));
        let hook = fail.clone();
        let scene = Scene::on(TestFs::failing(move |op, _| {
            if op == Op::Write && hook.fetch_add(1, Ordering::SeqCst) > 0 {
                return Err(io::ErrorKind::FileTooLarge.into());
            }
            Ok(())
        }));
        scene.write("a.log", numbered("line", 0..1000));
        scene.fs.fill_disk_at(1003);
        let merge = start(scene.builder().append(append).path(scene.path("a.log")));
        block_on("the merge ends by itself", merge.finished());
        let error = failed(&merge);
        assert_eq!(error.output_error().map(io::Error::kind), Some(io::ErrorKind::FileTooLarge));
        let output = scene.output();
        assert!(output.ends_with(b"\n") && output.len() > 980, "{} bytes", output.len());
        assert_eq!(error.report().bytes as usize, output.len());
        assert_eq!(scene.events.count("the output cannot be written: file too large"), 1);
    }
}

/// While its directory is missing the output is waited for, however long; a stop keeps its deadline.
#[test]
fn a_missing_directory_of_the_output_is_waited_for() {
    let scene = Scene::new();
    scene.make_dir("d");
    let merge = start(scene.builder().output(scene.path("d/all")));
    let sender = merge.sender("host");
    scene.rename("d", "old");
    block_on("reopen", merge.reopen_output()).expect("the merge runs");
    assert_eq!(scene.events.count("does not exist; create it first"), 1);
    sender.send_blocking("line").expect("the merge runs");
    scene.make_dir("d");
    scene.expect_in("d/all", "line\n");
    scene.events.until("can be written again");
    scene.rename("d", "older");
    block_on("reopen", merge.reopen_output()).expect("the merge runs");
    sender.send_blocking("late").expect("the merge runs");
    let report = block_on("stop", merge.stop(SOON)).expect("it ends by its deadline");
    assert_eq!((report.drained, report.unwritten_bytes), (false, 5), "{report:?}");
    assert!(scene.stat("d").is_none());
}

/// The new output is locked as the old one was.
#[test]
fn an_output_opened_anew_is_locked() {
    let scene = Scene::of_machine();
    let merge = start(scene.builder());
    scene.rename("all", "all.1");
    block_on("reopen", merge.reopen_output()).expect("the merge runs");
    let is_free = |name: &str| {
        let file = File::open(scene.path(name)).expect("the output");
        file.try_lock().is_ok()
    };
    assert!(!is_free("all"));
    until("the old one is let go", || is_free("all.1"));
    stop(&merge);
    until("it is let go", || is_free("all"));
}

/// A writer of the host's own is asked, too.
#[test]
fn a_writer_of_the_hosts_is_asked_to_reopen() {
    struct Reopens(Arc<AtomicUsize>);

    impl Writer for Reopens {
        async fn write(&mut self, _: &Batch) -> Result<(), PartialWrite> {
            Ok(())
        }

        async fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }

        async fn reopen(&mut self) -> io::Result<()> {
            match self.0.fetch_add(1, Ordering::SeqCst) {
                0 => Ok(()),
                _ => Err(io::ErrorKind::ConnectionRefused.into()),
            }
        }
    }

    let scene = Scene::new();
    let asked = Arc::<AtomicUsize>::default();
    let writer = Reopens(asked.clone());
    let merge = start(scene.builder().writer(|_| std::future::ready(Ok(writer))));
    block_on("flush", merge.flush()).expect("the merge runs");
    assert_eq!(asked.load(Ordering::SeqCst), 0);
    block_on("reopen", merge.reopen_output()).expect("the merge runs");
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    block_on("reopen", merge.reopen_output()).expect_err("it fails, and that is final");
    assert_eq!(failed(&merge).output_error().map(io::Error::kind), Some(io::ErrorKind::ConnectionRefused));
    assert!(scene.stat("all").is_none());
}
