//! Where following begins, and merges that end by themselves.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tailmerge_core::{Backend, Builder, StartAt};

use crate::kit::{
    DEADLINE, Feed, Op, Scene, Step, TestFs, block_on, lines, numbered, on_thread, start, start_again, start_blocking,
    stop, stop_blocking, text,
};

cases! { once:
    from_the_end_only_new_lines_come
    from_the_end_later_files_come_whole
    once_ends_and_ends_the_last_line
    once_ends_blocking
    once_ends_beside_a_producer_that_does_not
    once_tells_what_is_missing
    once_keeps_the_output_where_nothing_can_be_read
    once_stops_a_tailer_without_end
}

/// From the end: what is there is left out, but for a last line that is still being written.
fn from_the_end_only_new_lines_come<B: Backend>(backend: B) {
    let scene = Scene::new();
    scene.write("a.log", "old\nolder\nfrag");
    scene.write("b.log", "old\n");
    scene.write("c.log", "");
    let builder = scene.builder().from(StartAt::End).input(scene.pattern("*.log"));
    let merge = start(builder, backend);
    for (name, offset) in [("a.log", 10), ("b.log", 4), ("c.log", 0)] {
        scene.events.until(&format!("{name}: followed from byte {offset}"));
    }
    scene.append("a.log", "ment\n");
    scene.expect("fragment\n");
    scene.append("b.log", "new\n");
    scene.expect("fragment\nnew\n");
    scene.append("c.log", "c\n");
    scene.expect("fragment\nnew\nc\n");
    stop(&merge);
    scene.assert_output("fragment\nnew\nc\n");
}

/// From the end: files that come later are read from their first byte, matched or named, and so is a file that takes
/// the place of one that was there.
fn from_the_end_later_files_come_whole<B: Backend>(backend: B) {
    let scene = Scene::new();
    scene.write("a.log", "old\n");
    let named = scene.path("named");
    let builder = scene.builder().from(StartAt::End).input(scene.pattern("*.log")).path(named);
    let merge = start(builder, backend);
    scene.events.until("a.log: followed from byte 4");
    scene.events.until("named: not there");
    let whole = |name: &str, text: &str| {
        scene.write("new", text);
        scene.rename("new", name);
    };
    whole("b.log", "matched 1\nmatched 2\n");
    scene.expect("matched 1\nmatched 2\n");
    whole("named", "named 1\nnamed 2\n");
    scene.expect("matched 1\nmatched 2\nnamed 1\nnamed 2\n");
    whole("a.log", "rotated 1\n");
    scene.expect("matched 1\nmatched 2\nnamed 1\nnamed 2\nrotated 1\n");
    stop(&merge);
}

/// Once: it ends by itself, a last line without a newline gets one.
fn once_ends_and_ends_the_last_line<B: Backend>(backend: B) {
    let scene = Scene::new();
    scene.write("a.log", "a\nfrag");
    scene.write("b.log", numbered("b", 0..10_000));
    scene.write("empty.log", "");
    let merge = start(scene.builder().once(true).input(scene.pattern("*.log")), backend);
    block_on("the merge ends by itself", merge.finished());
    let report = stop(&merge);
    assert_eq!((report.lines, report.unterminated_lines), (10_002, 1));
    assert!(report.gaps.is_empty() && report.failed_inputs.is_empty(), "{report:?}");
    scene.check(["a.log", "b.log", "empty.log"]);
    assert!(lines(&scene.output()).contains(&&b"frag\n"[..]));
}

/// The same by the calls that block; asked for at once, the end is the same.
fn once_ends_blocking<B: Backend>(backend: B) {
    let scene = Scene::new();
    scene.write("a.log", "a\nfrag");
    for output in ["waited for", "stopped"] {
        let builder = scene.builder().once(true).path(scene.path("a.log")).output(scene.path(output));
        let merge = start_blocking(builder, backend.clone());
        if output == "waited for" {
            merge.finished_blocking();
        }
        assert_eq!(stop_blocking(&merge).unterminated_lines, 1);
        assert_eq!(text(&scene.read(output)), "a\nfrag\n");
    }
}

/// Once: it ends though a producer never does.
fn once_ends_beside_a_producer_that_does_not<B: Backend>(backend: B) {
    let scene = Scene::new();
    scene.write("a.log", numbered("line", 0..1000));
    let enough = Arc::new(AtomicBool::new(false));
    let produced = {
        let (enough, mut file) = (enough.clone(), scene.producer("a.log"));
        on_thread("a producer", move || {
            let lines = numbered("line", 0..100);
            while !enough.load(Ordering::SeqCst) {
                file.write_all(lines.as_bytes()).expect("a file of the case");
            }
        })
    };
    let merge = start(scene.builder().once(true).path(scene.path("a.log")), backend);
    block_on("the merge ends by itself", merge.finished());
    enough.store(true, Ordering::SeqCst);
    produced.wait();
    let report = stop(&merge);
    assert!(report.lines >= 1000, "{report:?}");
    // What the system had not yet made visible of the last write may be missing.
    let (output, input) = (scene.output(), scene.read("a.log"));
    let kept = output.len() - report.unterminated_lines as usize;
    assert!(output.ends_with(b"\n") && input.starts_with(&output[..kept]), "the output is the input up to some line");
}

/// Once: what is missing is told in the report, and the rest is merged.
fn once_tells_what_is_missing<B: Backend>(backend: B) {
    let scene = Scene::new();
    scene.write("a.log", "a\n");
    scene.make_dir("dir");
    let (missing, dir, nothing) = (scene.path("missing"), scene.path("dir"), scene.pattern("no*thing"));
    let builder = scene.builder().once(true).path(&missing).path(scene.path("a.log")).path(&dir).input(&nothing);
    let merge = start(builder, backend);
    block_on("the merge ends by itself", merge.finished());
    let report = stop(&merge);
    scene.assert_output("a\n");
    let mut failed: Vec<_> = report.failed_inputs.iter().map(|(path, _)| path.clone()).collect();
    failed.sort();
    assert_eq!(failed, [dir, missing, nothing]);
}

/// Once: where nothing can be read, what the output holds is kept, and the start says why.
fn once_keeps_the_output_where_nothing_can_be_read<B: Backend>(backend: B) {
    let scene = Scene::on(TestFs::failing(|op, path| match op {
        Op::Open if path.ends_with("secret.log") => Err(io::ErrorKind::PermissionDenied.into()),
        _ => Ok(()),
    }));
    scene.write("all", "precious\n");
    scene.write("secret.log", "secret\n");
    scene.make_dir("dir");
    scene.fifo("matched");
    let paths = [scene.path("missing"), scene.path("dir"), scene.pattern("no*thing"), scene.pattern("*.log")];
    let builder = || paths.iter().fold(scene.builder().once(true), Builder::input).input(scene.pattern("match*"));
    let error = block_on("start", builder().start_on(backend.clone())).expect_err("there is nothing to read");
    assert!(!error.is_usage(), "{error}");
    let told = error.to_string();
    let reasons =
        ["missing: no such", "dir: a dir", "no*thing: no file", "secret.log: cannot be opened", "matched: a named"];
    for reason in reasons {
        assert!(told.contains(reason) && !told.contains('\n'), "{reason}: {told}");
    }
    scene.assert_output("precious\n");
    stop(&start(builder().append(true), backend.clone()));
    scene.assert_output("precious\n");
    let fed = || builder().tailer("feed", Feed::new([Step::Line("fed".into()), Step::End]));
    let merge = start_again(fed, &backend);
    block_on("the merge ends by itself", merge.finished());
    scene.assert_output("fed\n");
    drop(merge);
    scene.write("a.log", "");
    stop(&start_again(builder, &backend));
    scene.assert_output("");
}

/// Once: a tailer of the host's that has no end is asked to stop like any other.
fn once_stops_a_tailer_without_end<B: Backend>(backend: B) {
    let scene = Scene::new();
    scene.write("a.log", "a\n");
    let feed = Feed::new([Step::Line("b".into())]);
    let builder = scene.builder().once(true).path(scene.path("a.log")).tailer("feed", feed);
    let merge = start(builder, backend);
    scene.expect_lines(2);
    let start = std::time::Instant::now();
    stop(&merge);
    assert!(start.elapsed() < DEADLINE / 2, "it waited for its deadline: {:?}", start.elapsed());
}
