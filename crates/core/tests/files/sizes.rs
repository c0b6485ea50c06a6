//! Files that give less than they have, or have less than they say.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use rustix::io::Errno;
use tailmerge_core::{LongLines, Prefix};

use crate::kit::{Op, Scene, TestFs, block_on, lines, numbered, start, stop, until};

/// How many bytes a read gives at most: one, fewer than are checked before each offset, those and few more, and many.
const READS: [usize; 4] = [1, 100, 300, 1000];

/// A file system on which one read in so many is short.
fn short_reads(max: usize, one_in: usize) -> TestFs {
    let reads = AtomicUsize::new(0);
    TestFs::new().with_short_reads(move |_: &Path| match reads.fetch_add(1, Ordering::Relaxed) % one_in {
        0 => max,
        _ => usize::MAX,
    })
}

/// Reads that come back short are just short: each line comes once, and nothing is taken for a truncation.
#[test]
fn short_reads_lose_nothing() {
    for (max, one_in) in READS.into_iter().flat_map(|max| [(max, 1), (max, 3)]) {
        let scene = Scene::on(short_reads(max, one_in));
        let mut all = numbered("line", 0..1000);
        scene.write("a.log", &all);
        let merge = start(scene.builder().input(scene.pattern("a.log*")));
        scene.expect(&all);
        for piece in ["one\ntwo\nfrag", "ment\n", &format!("{}\n", "long".repeat(5000)), &numbered("more", 0..100)] {
            scene.append("a.log", piece);
            all += piece;
            scene.looked(&merge, "a.log");
        }
        scene.expect(&all);
        scene.rename("a.log", "a.log.1");
        for (name, text) in [("a.log.1", "late\n"), ("a.log", "new\n")] {
            scene.append(name, text);
            all += text;
            scene.expect(&all);
        }
        let report = stop(&merge);
        scene.assert_output(&all);
        assert_eq!(scene.events.count("truncated"), 0, "at most {max} bytes");
        assert!(report.gaps.is_empty() && report.failed_inputs.is_empty(), "{report:?}");
    }
}

/// So it is under `once`, for the last line, and for lines that are labelled or over the limit.
#[test]
fn short_reads_end() {
    for (max, one_in) in READS.into_iter().flat_map(|max| [(max, 1), (max, 3)]) {
        for (prefix, limit) in [(Prefix::None, 1 << 20), (Prefix::Name, 1 << 20), (Prefix::None, 300)] {
            let scene = Scene::on(short_reads(max, one_in));
            let long = "long".repeat(1000);
            scene.write("a.log", format!("{}{long}\nnext\nthe last one", numbered("line", 0..300)));
            let builder = scene.builder().once(true).path(scene.path("a.log")).prefix(prefix);
            let merge = start(builder.max_line_bytes(limit).long_lines(LongLines::Skip));
            block_on("the merge ends by itself", merge.finished());
            let report = stop(&merge);
            let cut = if limit < long.len() { String::new() } else { format!("{long}\n") };
            let lines = format!("{}{cut}next\nthe last one\n", numbered("line", 0..300));
            let label = if prefix == Prefix::None { "" } else { "a.log: " };
            let want: String = lines.split_inclusive('\n').map(|line| format!("{label}{line}")).collect();
            scene.assert_output(want);
            assert_eq!((report.unterminated_lines, report.failed_inputs.len()), (1, 0), "{report:?}");
            assert_eq!(report.gap_bytes, if cut.is_empty() { long.len() as u64 + 1 } else { 0 }, "{report:?}");
        }
    }
}

/// And so it is for the copy that has what was cut: it is known, though reads of it are short.
#[test]
fn short_reads_know_a_copy() {
    for (max, one_in) in READS.into_iter().flat_map(|max| [(max, 1), (max, 3)]) {
        let scene = Scene::on(short_reads(max, one_in));
        let mut all = numbered("line", 0..100);
        scene.write("a.log", &all);
        let merge = start(scene.builder().input(scene.pattern("a.log*")));
        scene.expect(&all);
        scene.copy("a.log", "a.log.1");
        scene.looked(&merge, "a.log.1");
        scene.truncate("a.log");
        scene.events.until("a.log: truncated");
        scene.append("a.log", "new\n");
        all += "new\n";
        scene.expect(&all);
        scene.looked(&merge, "a.log.1");
        let report = stop(&merge);
        scene.assert_output(&all);
        assert!(report.gaps.is_empty(), "{report:?}");
    }
}

/// A file system that says of some files that they are longer than they are.
fn sizes_ahead(ahead: u64) -> TestFs {
    TestFs::new().with_sizes(move |path, size| if path.ends_with("lies.log") { size + ahead } else { size })
}

/// A size that stays ahead of what can be read is told once, and harms no other file; what can be read comes out. At
/// the stop the rest counts as unread.
#[test]
fn a_size_ahead_of_the_data_harms_no_other() {
    for content in ["", "1\n", "1\nfrag"] {
        let scene = Scene::on(sizes_ahead(4096));
        scene.write("lies.log", content);
        scene.write("a.log", "");
        let merge = start(scene.builder().input(scene.pattern("*.log")));
        let mut want = content.lines().filter(|line| *line == "1").map(|_| "1\n").collect::<String>();
        scene.expect(&want);
        for round in 0..5 {
            scene.append("a.log", format!("a {round}\n"));
            want += &format!("a {round}\n");
            scene.expect(&want);
            scene.looked(&merge, "lies.log");
        }
        scene.append("lies.log", "ment\n2\n");
        want += if content.ends_with("frag") { "fragment\n2\n" } else { "ment\n2\n" };
        scene.expect(&want);
        scene.looked(&merge, "lies.log");
        let report = stop(&merge);
        scene.assert_output(&want);
        assert_eq!(scene.events.count("lies.log: cannot be read (it ends at byte"), 1, "told once");
        assert_eq!(scene.events.count("truncated"), 0);
        let [(path, reason)] = &report.failed_inputs[..] else { panic!("one input: {report:?}") };
        assert_eq!(path, &scene.path("lies.log"));
        assert!(reason.contains("cannot be read to its end"), "{reason}");
    }
}

/// Under `once` that is the end of it.
#[test]
fn a_size_ahead_of_the_data_ends() {
    let scene = Scene::on(sizes_ahead(1));
    scene.write("lies.log", "1\nfrag");
    scene.write("a.log", "a\n");
    let merge = start(scene.builder().once(true).input(scene.pattern("*.log")));
    block_on("the merge ends by itself", merge.finished());
    let report = stop(&merge);
    assert_eq!(lines(&scene.output()).len(), 3);
    assert_eq!((report.failed_inputs.len(), report.gaps.len()), (1, 0), "{report:?}");
}

/// A size that is ahead for a while costs nothing.
#[test]
fn a_size_that_is_ahead_for_a_while_is_read_on() {
    let ahead = Arc::new(AtomicU64::new(10));
    let fs = {
        let ahead = ahead.clone();
        TestFs::new().with_sizes(move |_, size| size + ahead.load(Ordering::SeqCst))
    };
    let scene = Scene::on(fs);
    let mut want = String::new();
    let merge = start(scene.builder().path(scene.path("a.log")));
    for round in 0..10 {
        ahead.store(10, Ordering::SeqCst);
        scene.append("a.log", format!("{round}\nfrag"));
        want += &format!("{round}\n");
        scene.expect(&want);
        scene.append("a.log", "ment\n");
        want += "fragment\n";
        scene.expect(&want);
        scene.looked(&merge, "a.log");
        ahead.store(0, Ordering::SeqCst);
        scene.looked(&merge, "a.log");
    }
    let report = stop(&merge);
    scene.assert_output(&want);
    assert!(report.failed_inputs.is_empty() && report.gaps.is_empty(), "{report:?}");
}

/// A size that is now too small and now right is no truncation, as long as the bytes are there; whichever of the times
/// that it is asked for it is too small.
#[test]
fn a_size_that_comes_and_goes_is_no_truncation() {
    for (every, first) in [(2, 0), (2, 1), (3, 0), (3, 1), (3, 2)] {
        let asked = AtomicUsize::new(first);
        let fs = TestFs::new().with_sizes(move |_, size| match asked.fetch_add(1, Ordering::Relaxed) % every {
            0 => size / 2,
            _ => size,
        });
        let scene = Scene::on(fs);
        let mut all = numbered("line", 0..1000);
        scene.write("a.log", &all);
        let merge = start(scene.builder().path(scene.path("a.log")));
        scene.expect(&all);
        for round in 0..10 {
            scene.append("a.log", format!("{round}\n"));
            all += &format!("{round}\n");
            scene.expect(&all);
            scene.looked(&merge, "a.log");
        }
        let report = stop(&merge);
        scene.assert_output(&all);
        assert_eq!(scene.events.count("truncated"), 0, "each {every}th time, from {first} on");
        assert!(report.gaps.is_empty() && report.failed_inputs.is_empty(), "{report:?}");
    }
}

/// A file system on which nothing but one thing is wrong with `bad.log`.
fn failing(op: Op) -> TestFs {
    TestFs::failing(move |asked, path: &Path| match asked == op && path.ends_with("bad.log") {
        true => Err(Errno::IO.into()),
        false => Ok(()),
    })
}

/// What comes to nothing each time is told once, and tried ever more seldom; other files do not wait for it.
#[test]
fn what_comes_to_nothing_is_tried_ever_more_seldom() {
    /// Looks at another file meanwhile.
    const LOOKS: u64 = 160;
    let ahead = || TestFs::new().with_sizes(|path, size| size + if path.ends_with("bad.log") { 10 } else { 0 });
    let sizeless = || TestFs::new().with_sizes(|path, size| if path.ends_with("bad.log") { 0 } else { size });
    let kinds = [
        (failing(Op::Stat), "cannot be opened"),
        (failing(Op::Open), "cannot be opened"),
        (failing(Op::Read), "cannot be opened"),
        (ahead(), "it ends at byte"),
        (sizeless(), "its size says nothing"),
    ];
    for (fs, told) in kinds {
        let scene = Scene::on(fs);
        scene.write("bad.log", "bad\n");
        scene.write("good.log", "");
        let merge = start(scene.polled().input(scene.pattern("*.log")));
        scene.events.until(told);
        let looks = |name: &str| scene.fs.looks(&scene.path(name));
        let (bad, good) = (looks("bad.log"), looks("good.log"));
        for round in 0..LOOKS / 10 {
            scene.append("good.log", format!("{round}\n"));
            until("the good one is looked at", || looks("good.log") >= good + 10 * round);
        }
        let tried = looks("bad.log") - bad;
        assert!(tried <= LOOKS / 8, "{told}: {tried} times");
        assert!(scene.events.count(told) <= 1, "{told}: told once");
        let report = stop(&merge);
        assert!(lines(&scene.output()).len() as u64 >= LOOKS / 10, "{report:?}");
    }
}

/// What has something to read although its size is 0 is read: once under `once`, its last line as well.
#[test]
fn a_size_of_nothing_is_not_believed() {
    let sizeless = || TestFs::new().with_sizes(|_, _| 0);
    let content = format!("{}the last one", numbered("line", 0..10_000));
    let scene = Scene::on(sizeless());
    scene.write("a.log", &content);
    let merge = start(scene.builder().once(true).path(scene.path("a.log")));
    block_on("the merge ends by itself", merge.finished());
    let report = stop(&merge);
    scene.assert_output(format!("{content}\n"));
    assert!(report.gaps.is_empty() && report.failed_inputs.is_empty(), "{report:?}");
    assert_eq!((report.unterminated_lines, scene.events.count("size")), (1, 0), "{report:?}");

    let scene = Scene::on(sizeless());
    scene.write("a.log", "1\n");
    let merge = start(scene.builder().path(scene.path("a.log")));
    scene.expect("1\n");
    scene.append("a.log", "2\n");
    scene.expect("1\n2\n");
    scene.write("a.log", "other\n");
    scene.expect("1\n2\nother\n");
    let report = stop(&merge);
    assert_eq!((scene.events.count("its size says nothing"), scene.events.count("truncated")), (1, 0));
    assert!(report.gaps.is_empty() && report.failed_inputs.is_empty(), "{report:?}");
}

/// A file without a size and without an end is read up to a bound.
#[test]
fn a_file_without_end_is_read_up_to_a_bound() {
    const MOST: usize = 16 << 20;
    let scene = Scene::on(TestFs::new().with_sizes(|_, _| 0));
    scene.write("a.log", numbered("a line of some length", 0..800_000));
    assert!(scene.read("a.log").len() > MOST + 1_000_000);
    let merge = start(scene.builder().once(true).path(scene.path("a.log")));
    block_on("the merge ends by itself", merge.finished());
    let report = stop(&merge);
    let [(_, reason)] = &report.failed_inputs[..] else { panic!("one input: {report:?}") };
    assert!(reason.contains("its first 16 MiB"), "{reason}");
    assert!((MOST - 100..=MOST + 1).contains(&scene.output().len()), "{} bytes", scene.output().len());
}
