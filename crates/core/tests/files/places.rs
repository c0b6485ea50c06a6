//! Names that lead elsewhere by and by: links, directories, and what is no file.

use std::os::unix::net::UnixListener;
use std::time::{Duration, Instant};

use tailmerge_core::{Merge, WatchMode};

use crate::kit::{Scene, numbered, start, start_blocking, stop, stop_blocking, until};

/// Waits for the output, and has the merge look at once.
#[track_caller]
fn expect_soon(scene: &Scene, merge: &Merge, want: &str) {
    until("the output has what is expected", || {
        merge.wake();
        scene.output().len() >= want.len()
    });
    scene.assert_output(want);
}

/// A link to a directory is switched a hundred times: each file behind it is read from its start, and once.
#[test]
fn a_link_that_is_switched_a_hundred_times_is_followed() {
    let scene = Scene::new();
    let mut all = "0 1\n".to_owned();
    scene.write("0/x.log", &all);
    scene.symlink("0", "latest");
    let grace = Duration::from_millis(30);
    let merge = start(scene.builder().path(scene.path("latest/x.log")).rotated_grace(grace));
    scene.expect(&all);
    for number in 1..=100 {
        let line = format!("{number} 1\n");
        // Twenty directories, which all come again, with what is new in them.
        let dir = number % 20;
        scene.make_dir(format!("{dir}"));
        scene.append(format!("{dir}/x.log"), &line);
        all += &line;
        scene.symlink(format!("{dir}"), "latest");
        expect_soon(&scene, &merge, &all);
    }
    let report = stop(&merge);
    scene.assert_output(&all);
    assert!(report.gaps.is_empty(), "{report:?}");
}

/// A link whose target goes away, and comes again, dangles meanwhile and does no harm.
#[test]
fn a_link_may_dangle_for_a_while() {
    let scene = Scene::new();
    scene.symlink("x.log", "latest");
    scene.write("other.log", "other\n");
    let builder = scene.builder().path(scene.path("latest")).path(scene.path("other.log"));
    let merge = start(builder.rotated_grace(Duration::from_millis(1)));
    let mut all = "other\n".to_owned();
    scene.expect(&all);
    scene.events.until("latest: not there");
    for round in 0..3 {
        scene.write("x.log", numbered(&format!("round {round}"), 0..10));
        all += &numbered(&format!("round {round}"), 0..10);
        scene.expect(&all);
        scene.remove("x.log");
        until("it is seen that it is gone", || scene.events.count("latest: not there") == round + 2);
        scene.append("other.log", "other\n");
        all += "other\n";
        scene.expect(&all);
    }
    let report = stop(&merge);
    assert!(report.gaps.is_empty(), "{report:?}");
}

/// A directory is removed with all that is in it and made anew, under a name and under a pattern.
#[test]
fn a_directory_made_anew_is_followed() {
    let scene = Scene::new();
    let builder = scene.builder().path(scene.path("d/e/named.log")).input(scene.pattern("d/*/*.txt"));
    let merge = start_blocking(builder.rotated_grace(Duration::from_millis(1)));
    let mut count = 0;
    for round in 0..5 {
        scene.write("d/e/named.log", format!("named {round}\n"));
        scene.write("d/e/matched.txt", format!("matched {round}\n"));
        scene.write(format!("d/{round}/new.txt"), format!("new {round}\n"));
        count += 3;
        scene.expect_lines(count);
        scene.remove_dir("d");
        if round % 2 == 0 {
            scene.looked(&merge, "d/e/named.log");
        }
    }
    let report = stop_blocking(&merge);
    assert!(report.gaps.is_empty(), "{report:?}");
    assert_eq!(report.lines, count as u64);
}

/// A name may stand for a directory, a FIFO or a socket for a while: that is told, and when it is a file again it is
/// followed again. What was in the file before is still read.
#[test]
fn what_is_no_file_for_a_while_is_waited_for() {
    let scene = Scene::of_machine();
    scene.write("a.log", "file 0\n");
    let builder = scene.builder().path(scene.path("a.log")).rotated_grace(Duration::from_millis(1));
    let merge = start(builder);
    let mut all = "file 0\n".to_owned();
    scene.expect(&all);
    type Make = fn(&Scene);
    let kinds: [(&str, Make, Make); 2] = [
        ("a directory", |scene| scene.make_dir("new"), |scene| scene.remove_dir("a.log")),
        (
            "a socket",
            |scene| drop(UnixListener::bind(scene.path("new")).expect("a socket of the case")),
            |scene| scene.remove("a.log"),
        ),
    ];
    for (number, (told, make, remove)) in kinds.into_iter().enumerate() {
        scene.append("a.log", format!("late {number}\n"));
        scene.rename("a.log", "old.log");
        make(&scene);
        scene.rename("new", "a.log");
        all += &format!("late {number}\n");
        scene.expect(&all);
        scene.events.until(&format!("a.log: {told}"));
        scene.looked(&merge, "a.log");
        remove(&scene);
        scene.write("a.log", format!("file {}\n", number + 1));
        all += &format!("file {}\n", number + 1);
        scene.expect(&all);
        assert_eq!(scene.events.count(&format!("a.log: {told}")), 1, "told once");
    }
    let report = stop(&merge);
    assert!(report.gaps.is_empty() && report.failed_inputs.is_empty(), "{report:?}");
}

/// Hundreds of names of one file, as anybody can make, are looked at by turns where the system hints at changes, and
/// each has its turn: lines that were written by a name elsewhere come out.
#[test]
fn many_names_of_a_file_are_looked_at_by_turns() {
    const NAMES: u64 = 400;
    const INTERVAL: Duration = Duration::from_millis(20);
    const INTERVALS: u32 = 25;

    let scene = Scene::of_machine();
    scene.write("elsewhere", "1\n");
    let names: Vec<_> = (0..NAMES).map(|name| scene.path(format!("{name}.log"))).collect();
    names.iter().for_each(|name| scene.hard_link("elsewhere", name));
    let builder = scene.builder().watch(WatchMode::Auto).poll_interval(INTERVAL);
    let merge = start(builder.input(scene.pattern("*.log")));
    scene.expect("1\n");
    until("each was looked at", || names.iter().all(|name| scene.fs.looks(name) > 1));
    let looks = || names.iter().map(|name| scene.fs.looks(name)).sum::<u64>();
    let (start, before) = (Instant::now(), looks());
    until("some time is over", || start.elapsed() >= INTERVAL * INTERVALS);
    let (intervals, looks) = (start.elapsed().div_duration_f64(INTERVAL), looks() - before);
    assert!(looks < NAMES * intervals as u64 / 2, "{looks} looks at {NAMES} names in {intervals} intervals");
    scene.append("elsewhere", "2\n");
    scene.expect("1\n2\n");
    stop(&merge);
}
