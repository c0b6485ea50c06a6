//! The output: how it is opened, what is refused, and a reader of it that goes away.

use std::error::Error;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, ErrorKind};

use tailmerge_core::{Builder, StartError};

use crate::kit::{
    DEADLINE, Scene, Threads, assert_same, block_on, numbered, on_thread, start, start_again, start_blocking, stop,
    stop_blocking, until,
};

#[track_caller]
fn refused(builder: Builder) -> StartError {
    block_on("start", builder.start_on(Threads::new())).expect_err("the merge is refused")
}

/// What was in the output goes, but not where it is to be kept.
#[test]
fn the_output_is_begun_anew() {
    let scene = Scene::new();
    scene.write("all", "old and longer than what comes\n");
    scene.write("a.log", "new\n");
    let merge = start(scene.builder().path(scene.path("a.log")));
    scene.expect_lines(1);
    stop(&merge);
    scene.assert_output("new\n");
}

/// Appended to, the output keeps what it holds; a fragment at its end is ended first.
#[test]
fn appending_keeps_what_is_there() {
    for (old, kept) in [("old\n", "old\n"), ("old\nfrag", "old\nfrag\n"), ("", "")] {
        let scene = Scene::new();
        scene.write("all", old);
        scene.write("a.log", "new\n");
        let builder = scene.builder().append(true).once(true).path(scene.path("a.log"));
        let merge = start_blocking(builder);
        let report = stop_blocking(&merge);
        scene.assert_output([kept, "new\n"].concat());
        assert_eq!(report.bytes, 4);
    }
}

/// Two may append to one file: all lines are whole.
#[test]
fn two_may_append() {
    let scene = Scene::new();
    for name in ["a.log", "b.log"] {
        scene.write(name, numbered(name, 0..20_000));
    }
    let merges = ["a.log", "b.log"].map(|name| {
        let builder = scene.builder().append(true).path(scene.path(name));
        start(builder)
    });
    merges.iter().for_each(|merge| drop(stop(merge)));
    scene.check(["a.log", "b.log"]);
}

/// A second merge into one output is refused, and takes nothing away.
#[test]
fn a_second_merge_into_one_output_is_refused() {
    let scene = Scene::new();
    scene.write("a.log", "1\n");
    let builder = || scene.builder().path(scene.path("a.log"));
    let first = start(builder());
    scene.expect("1\n");
    for second in [builder(), builder().append(true)] {
        let error = refused(second);
        assert!(!error.is_usage());
        assert_eq!(error.io_error().map(io::Error::kind), Some(ErrorKind::ResourceBusy), "{error:?}");
        let told = error.to_string();
        assert!(told.contains("all") && told.contains("another process is writing to it"), "{told}");
        scene.assert_output("1\n");
    }
    scene.append("a.log", "2\n");
    scene.expect("1\n2\n");
    stop(&first);
    // It is free again.
    stop(&start_again(builder));
}

/// So is one into an output that another program has locked.
#[test]
fn a_locked_output_is_refused() {
    let scene = Scene::of_machine();
    scene.write("all", "old\n");
    let other = File::open(scene.path("all")).expect("the output");
    other.lock().expect("a lock on the output");
    let error = scene.builder().start_on_blocking(Threads::new()).expect_err("the merge is refused");
    assert!(error.to_string().contains("another process is writing to it"), "{error}");
    scene.assert_output("old\n");
    drop(other);
    stop(&start_again(|| scene.builder()));
    scene.assert_output("");
}

/// A named input that is the output is refused, whatever it is called, and keeps its content.
#[test]
fn an_input_that_is_the_output_is_refused() {
    let scene = Scene::of_machine();
    scene.write("all", "precious\n");
    scene.symlink("all", "soft");
    scene.hard_link("all", "hard");
    for name in ["all", "soft", "hard"] {
        let error = refused(scene.builder().path(scene.path(name)));
        assert!(error.is_usage(), "{error}");
        let told = error.to_string();
        assert!(told.contains(name) && told.contains("an input; choose another output"), "{told}");
        let error = refused(scene.builder().path(scene.path("all")).output(scene.path(name)));
        assert!(error.is_usage(), "{error}");
        scene.assert_output("precious\n");
    }
    let fifo = scene.fifo("fifo");
    let error = refused(scene.builder().path(&fifo).output(&fifo));
    assert!(error.is_usage(), "{error}");
}

/// An output that a pattern finds is refused where it holds something that would be lost.
#[test]
fn an_output_that_matches_is_refused() {
    let scene = Scene::new();
    scene.write("all", "precious\n");
    scene.write("a", "a\n");
    scene.symlink("all", "soft");
    let builder = || scene.builder().once(true).input(scene.pattern("*"));
    for builder in [builder(), builder().exclude("soft"), builder().exclude("all")] {
        let error = refused(builder);
        assert!(error.is_usage(), "{error}");
        let told = error.to_string();
        assert!(told.contains("is the output and matches") && !told.contains('\n'), "{told}");
        scene.assert_output("precious\n");
    }
    let blocking = builder().start_on_blocking(Threads::new());
    assert!(blocking.expect_err("the merge is refused").is_usage());
    scene.assert_output("precious\n");
    stop(&start(builder().append(true)));
    scene.assert_output("precious\na\n");
    stop(&start_again(|| builder().exclude("soft").exclude("all")));
    scene.assert_output("a\n");
}

/// An output that cannot be created: the error names it, says why and what to do.
#[test]
fn an_output_that_cannot_be_is_told() {
    let scene = Scene::new();
    scene.make_dir("dir");
    scene.write("file", "");
    let cases = [
        ("missing/all", "the directory {}/missing does not exist; create it first", ErrorKind::NotFound),
        ("dir", "it is a directory; give the name of a file", ErrorKind::IsADirectory),
        ("file/all", "ot a directory", ErrorKind::NotADirectory),
    ];
    for (output, reason, wanted) in cases {
        let error = refused(scene.builder().output(scene.path(output)));
        assert!(!error.is_usage(), "{error}");
        let system = error.source().and_then(|cause| cause.downcast_ref::<io::Error>());
        for cause in [error.io_error(), system] {
            assert_eq!(cause.map(io::Error::kind), Some(wanted), "{error:?}");
        }
        let told = error.to_string();
        let begin = format!("cannot write to {}: ", scene.path(output).display());
        let reason = reason.replace("{}", scene.path("").display().to_string().trim_end_matches('/'));
        assert!(told.starts_with(&begin) && told.contains(&reason) && !told.contains('\n'), "{told}");
        let blocking = scene.builder().output(scene.path(output)).start_on_blocking(Threads::new());
        assert_eq!(blocking.expect_err("the merge is refused").to_string(), told);
    }
    assert!(scene.stat("missing").is_none());
}

/// Settings that cannot be, and patterns that cannot be understood, are errors of usage and touch nothing.
#[test]
fn settings_that_cannot_be_are_refused() {
    let scene = Scene::new();
    scene.write("all", "old\n");
    let cases = [
        scene.builder().max_line_bytes(0),
        scene.builder().max_line_bytes(Builder::LINE_BYTES_MAX + 1),
        scene.builder().max_line_bytes(usize::MAX),
        scene.builder().memory(1024),
        scene.builder().input(scene.pattern("[a")),
        scene.builder().exclude("{a"),
    ];
    for builder in cases {
        let error = refused(builder);
        assert!(error.is_usage(), "{error}");
        assert!(!error.to_string().contains('\n') && error.source().is_none(), "{error:?}");
    }
    scene.assert_output("old\n");
}

/// An output that is a symbolic link is written to where that leads.
#[test]
fn a_link_as_the_output_is_followed() {
    let scene = Scene::of_machine();
    scene.make_dir("d");
    scene.symlink("d/real", "all");
    scene.write("a.log", "1\n");
    let merge = start(scene.builder().path(scene.path("a.log")));
    stop(&merge);
    assert!(fs::symlink_metadata(scene.path("all")).expect("the link").is_symlink());
    assert_eq!(scene.read("d/real"), b"1\n");
}

/// The reader of a FIFO goes away: the merge ends, quietly, whether it had something to write or not.
#[test]
fn a_reader_that_goes_away_ends_the_merge() {
    for busy in [true, false] {
        let scene = Scene::of_machine();
        let fifo = scene.fifo("fifo");
        scene.write("a.log", if busy { numbered("line", 0..100_000) } else { "line 0\n".into() });
        let reader = on_thread("the reader", move || {
            let mut lines = BufReader::new(File::open(fifo).expect("the FIFO"));
            let mut line = String::new();
            lines.read_line(&mut line).expect("a line");
            line
        });
        let builder = scene.builder().path(scene.path("a.log")).output(scene.path("fifo"));
        let merge = start(builder);
        assert_eq!(reader.wait(), "line 0\n");
        match busy {
            true => block_on("the merge ends by itself", merge.finished()),
            false => merge.finished_blocking(),
        }
        let report = block_on("stop", merge.stop(DEADLINE)).expect("it is no failure");
        assert!(report.output_closed && !report.drained, "{report:?}");
        let waited = scene.events.count("nobody has opened");
        assert_eq!(scene.events.count("cannot be written"), waited, "a reader that goes away is no error");
        until("its files are let go", || block_on("flush", merge.flush()).is_err());
    }
}

/// A FIFO gets every line, however slowly it is read.
#[test]
fn a_fifo_gets_every_line() {
    let scene = Scene::of_machine();
    let fifo = scene.fifo("fifo");
    let text = numbered("line", 0..50_000);
    scene.write("a.log", &text);
    let builder = scene.builder().path(scene.path("a.log")).output(&fifo);
    let merge = start(builder);
    let reader = on_thread("the reader", move || fs::read(fifo).expect("the FIFO"));
    let stopped = stop(&merge);
    assert_eq!(stopped.bytes, text.len() as u64);
    drop(merge);
    assert_same("what came through", &reader.wait(), text.as_bytes());
}
