//! Too few descriptors, and files that could not be opened in time.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use tailmerge_core::{Builder, GapReason, Report};

use crate::kit::{Op, Scene, TestFs, block_on, lines, sorted, start, stop, until};

/// A file system that counts how often it is asked to open an input.
fn counting() -> (TestFs, Arc<AtomicUsize>) {
    let opens = Arc::<AtomicUsize>::default();
    let count = opens.clone();
    let fs = TestFs::with_hook(move |op, path: &Path| {
        if op == Op::Open && path.extension().is_some_and(|extension| extension == "log") {
            count.fetch_add(1, Ordering::SeqCst);
        }
    });
    (fs, opens)
}

/// A file system where `a.log` cannot be opened while the switch is on.
fn forbidding() -> (TestFs, Arc<AtomicBool>) {
    let on = Arc::new(AtomicBool::new(true));
    let switch = on.clone();
    let fs = TestFs::failing(move |op, path: &Path| match op {
        Op::Open if path.ends_with("a.log") && switch.load(Ordering::SeqCst) => Err(Errno::ACCESS.into()),
        _ => Ok(()),
    });
    (fs, on)
}

fn write_all(scene: &Scene, files: usize) -> Vec<String> {
    let line = |file| format!("line of {file}\n");
    (0..files).for_each(|file| scene.write(format!("{file}.log"), line(file)));
    (0..files).map(line).collect()
}

#[track_caller]
fn run_to_its_end(builder: Builder) -> Report {
    let merge = start(builder);
    block_on("the end", merge.finished());
    stop(&merge)
}

#[track_caller]
fn assert_all_came(scene: &Scene, want: &[String]) {
    assert_eq!(sorted(&scene.output()), sorted(want.concat().as_bytes()));
}

/// However few they are, if only one for each reader, all is read.
#[test]
fn more_files_than_may_be_open_are_read_by_turns() {
    for descriptors in [20, 3] {
        let scene = Scene::new();
        let want = write_all(&scene, 60);
        scene.fs.allow_open(descriptors);
        let report = run_to_its_end(scene.builder().input(scene.pattern("*.log")).once(true));
        assert_all_came(&scene, &want);
        assert!(report.gaps.is_empty() && report.failed_inputs.is_empty(), "{report:?}");
        assert!(scene.events.count("too many open files") <= 1, "told once");
    }
}

/// At the end it is tried for a while; then each file that could not be opened is reported, and what is known to be
/// missing of it.
#[test]
fn without_any_descriptor_each_file_is_reported() {
    let (fs, opens) = counting();
    let scene = Scene::on(fs);
    let want = write_all(&scene, 10);
    scene.fs.allow_open(0);
    let mut builder = scene.builder().once(true);
    for file in 0..10 {
        builder = builder.path(scene.path(format!("{file}.log")));
    }
    let report = run_to_its_end(builder);
    scene.assert_output("");
    assert_eq!(report.failed_inputs.len(), 10, "{report:?}");
    assert!(report.failed_inputs.iter().all(|(_, reason)| reason.contains("cannot be opened")), "{report:?}");
    let missing: u64 = report.gaps.iter().map(|gap| gap.bytes()).sum();
    assert_eq!(missing, want.concat().len() as u64, "{report:?}");
    assert!(report.gaps.iter().all(|gap| gap.reason == GapReason::Unreadable), "{report:?}");
    let opens = opens.load(Ordering::SeqCst);
    assert!(opens < 1000, "tried {opens} times");
}

/// A directory that cannot be listed for want of one is listed as soon as there is one; at the end it is waited for.
#[test]
fn a_directory_is_listed_when_there_is_a_descriptor() {
    for once in [true, false] {
        let scene = Scene::new();
        let want = write_all(&scene, 5);
        scene.fs.allow_open(0);
        let merge = start(scene.builder().input(scene.pattern("*.log")).once(once));
        if !once {
            scene.events.until("cannot be listed");
        }
        scene.fs.allow_open(usize::MAX);
        if !once {
            scene.expect_lines(5);
        }
        block_on("the end", async {
            if once {
                merge.finished().await;
            }
        });
        let report = stop(&merge);
        assert_all_came(&scene, &want);
        assert!(report.gaps.is_empty() && report.failed_inputs.is_empty(), "{report:?}");
    }
}

/// If it cannot be listed when it is looked at for the last time, that is reported.
#[test]
fn a_directory_that_cannot_be_listed_at_the_stop_is_reported() {
    let scene = Scene::new();
    scene.write("a.log", "1\n");
    // Where the system tells of a name, that file is known all the same.
    let merge = start(scene.polled().input(scene.pattern("*.log")));
    scene.expect("1\n");
    scene.fs.allow_open(0);
    scene.write("b.log", "2\n");
    let report = stop(&merge);
    scene.assert_output("1\n");
    let failed: Vec<_> = report.failed_inputs.iter().map(|(path, _)| path.clone()).collect();
    assert_eq!(failed, [scene.path("")], "{report:?}");
}

/// While there is none, it is tried ever more seldom; once there are some, everything is there within seconds.
#[test]
fn when_descriptors_come_back_all_is_read() {
    let (fs, opens) = counting();
    let scene = Scene::on(fs);
    let want = write_all(&scene, 50);
    scene.fs.allow_open(20);
    let merge = start(scene.builder().input(scene.pattern("*.log")));
    scene.expect_lines(50);
    // The host needs all of them, also those that the merge has.
    scene.fs.allow_open(0);
    let before = opens.load(Ordering::SeqCst);
    let more: Vec<_> = (0..50).map(|file| format!("more of {file}\n")).collect();
    more.iter().enumerate().for_each(|(file, line)| scene.append(format!("{file}.log"), line));
    scene.write("new.log", "new\n");
    until("it is tried", || opens.load(Ordering::SeqCst) > before);
    let from = Instant::now();
    until("half a second is over", || from.elapsed() > Duration::from_millis(500));
    let tried = opens.load(Ordering::SeqCst) - before;
    assert!(tried < 200, "tried {tried} times in half a second");
    scene.fs.allow_open(usize::MAX);
    let back = Instant::now();
    scene.expect_lines(101);
    assert!(back.elapsed() < Duration::from_secs(8), "after {:?}", back.elapsed());
    let report = stop(&merge);
    assert_all_came(&scene, &[want, more, vec!["new\n".to_owned()]].concat());
    assert!(report.gaps.is_empty() && report.failed_inputs.is_empty(), "{report:?}");
}

/// Those are closed that have not changed for longest: what is written to the others is not lost, wherever they are
/// moved.
#[test]
fn files_that_change_are_kept_open() {
    const IDLE: usize = 60;
    const BUSY: usize = 4;
    let scene = Scene::new();
    let name = |file| format!("busy{file}.log");
    scene.make_dir("elsewhere");
    for file in 0..BUSY {
        scene.write(name(file), "0\n");
    }
    write_all(&scene, IDLE);
    scene.fs.allow_open(20);
    let merge = start(scene.builder().input(scene.pattern("*.log")));
    let mut count = IDLE + BUSY;
    scene.expect_lines(count);
    let mut producers: Vec<_> = (0..BUSY).map(|file| scene.producer(name(file))).collect();
    for round in 0..20 {
        producers.iter_mut().for_each(|producer| producer.write_all(b"again\n").expect("a file of the case"));
        // One of the others, for which a descriptor is needed.
        scene.append(format!("{round}.log"), "now and then\n");
        count += BUSY + 1;
        scene.expect_lines(count);
    }
    // More than there are places left: those go that changed before.
    for file in 20..28 {
        scene.append(format!("{file}.log"), "once\n");
        count += 1;
        scene.expect_lines(count);
    }
    for file in 0..BUSY {
        scene.rename(name(file), format!("elsewhere/{file}"));
    }
    producers.iter_mut().for_each(|producer| producer.write_all(b"late\n").expect("a file of the case"));
    count += BUSY;
    scene.expect_lines(count);
    let report = stop(&merge);
    assert_eq!(lines(&scene.output()).iter().filter(|line| line.starts_with(b"late")).count(), BUSY);
    assert!(report.gaps.is_empty(), "{report:?}");
}

/// The inode number of a closed file that is gone may be that of a link to itself by now: that ends the search.
#[test]
fn a_closed_file_is_not_searched_for_in_a_link() {
    let gone = Arc::<AtomicU64>::default();
    let number = gone.clone();
    let fs =
        TestFs::new().with_inodes(move |name, ino| if name == "link" { number.load(Ordering::SeqCst) } else { ino });
    let scene = Scene::on(fs);
    write_all(&scene, 60);
    scene.symlink("link", "link");
    gone.store(scene.stat("0.log").expect("a file of the case").id.ino, Ordering::SeqCst);
    scene.fs.allow_open(20);
    let merge = start(scene.builder().input(scene.pattern("*.log")));
    scene.expect_lines(60);
    // Many others change, so that it is closed.
    (20..60).for_each(|file| scene.append(format!("{file}.log"), "again\n"));
    scene.expect_lines(100);
    scene.remove("0.log");
    until("it is given up", || merge.snapshot().possible_losses == 1);
    let report = stop(&merge);
    assert!(report.gaps.is_empty() && report.failed_inputs.is_empty(), "{report:?}");
}

/// It was there, and what it held is known to be missing.
#[test]
fn what_could_never_be_opened_is_a_gap_when_it_goes() {
    let (fs, _on) = forbidding();
    let scene = Scene::on(fs);
    scene.write("a.log", "1\n2\n");
    scene.write("b.log", "b\n");
    let merge = start(scene.builder().input(scene.pattern("*.log")));
    scene.expect("b\n");
    scene.events.until("cannot be opened");
    scene.append("a.log", "3\n");
    scene.looked(&merge, "a.log");
    scene.remove("a.log");
    scene.events.until("bytes 0 to 6 are not in the output");
    let report = stop(&merge);
    assert_eq!(report.gaps.len(), 1, "{report:?}");
    assert_eq!(report.gaps[0].reason, GapReason::Gone);
    assert!(report.failed_inputs.is_empty(), "{report:?}");
}

/// So it is at the stop, and the input has failed, also one that is empty.
#[test]
fn what_could_never_be_opened_is_a_gap_at_the_stop() {
    for (content, gaps) in [("1\n2\n", 1), ("", 0)] {
        let (fs, _on) = forbidding();
        let scene = Scene::on(fs);
        scene.write("a.log", content);
        scene.write("b.log", "b\n");
        let merge = start(scene.builder().input(scene.pattern("*.log")));
        scene.expect("b\n");
        scene.events.until("cannot be opened");
        let report = stop(&merge);
        assert_eq!(report.gaps.len(), gaps, "{report:?}");
        assert!(report.gaps.iter().all(|gap| gap.start == 0 && gap.end == content.len() as u64), "{report:?}");
        let failed: Vec<_> = report.failed_inputs.iter().map(|(path, _)| path.clone()).collect();
        assert_eq!(failed, [scene.path("a.log")], "{report:?}");
    }
}

/// A file that is cut, or is gone while it was closed, may have held more than was seen of it. Of a gap more is known.
#[test]
fn what_may_be_lost_is_counted() {
    let scene = Scene::new();
    scene.write("a.log", "1\n");
    scene.write("b.log", "b\n");
    let merge = start(scene.builder().input(scene.pattern("*.log")).rotated_grace(Duration::ZERO));
    scene.expect_lines(2);
    for round in 1..=3 {
        scene.truncate("a.log");
        until("it is seen to be cut", || scene.events.count("truncated") == round);
        scene.append("a.log", "again\n");
        scene.expect_lines(2 + round);
    }
    // Open, it is read to its end.
    scene.remove("b.log");
    let report = stop(&merge);
    let losses = |name| {
        let input = report.inputs.iter().find(|input| input.name == scene.path(name)).expect("it was followed");
        input.possible_losses
    };
    assert_eq!((losses("a.log"), losses("b.log"), report.possible_losses), (3, 0, 3), "{report:?}");
    assert!(report.gaps.is_empty() && report.failed_inputs.is_empty(), "{report:?}");
}
