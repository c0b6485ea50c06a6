//! Finding files: soon, and at little cost, whatever happens in the directories that are searched.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use crate::kit::{Brake, Op, Scene, TestFs, start, stop, until};

/// A directory is looked at at the latest after so long.
const NEXT_LOOK: Duration = Duration::from_secs(5);

/// Where the system tells of a name, the directory is not listed to find it, which may take long.
#[test]
fn a_name_that_is_told_of_joins_without_a_listing() {
    let (brake, fs) = Brake::on(Op::Listed, "logs");
    let scene = Scene::on(fs);
    scene.write("logs/a.log", "a\n");
    scene.make_dir("other");
    scene.write("other/c.log", "c\n");
    let builder = scene.builder().input(scene.pattern("logs/**/*.log")).exclude("x.*");
    let merge = start(builder);
    let mut all = "a\n".to_owned();
    scene.expect(&all);
    let held = (!scene.is_polled()).then(|| brake.hold());
    for name in ["logs/x.log", "logs/.b.log", "logs/b.log"] {
        scene.write(name, format!("{name}\n"));
    }
    all += "logs/b.log\n";
    scene.expect(&all);
    // One that comes by another name, one with what it is in, and one that does not stay.
    scene.rename("other/c.log", "logs/c.log");
    all += "c\n";
    scene.expect(&all);
    scene.write("other/d.log", "d\n");
    scene.rename("other", "logs/d");
    all += "d\n";
    scene.expect(&all);
    for number in 0..10 {
        let line = format!("short-lived {number}\n");
        scene.write("logs/short.log", &line);
        all += &line;
        scene.expect(&all);
        scene.remove("logs/short.log");
    }
    drop(held);
    stop(&merge);
    scene.assert_output(all);
}

/// A directory whose time of change is put back, as programs do that copy it, has not hidden what is new in it.
#[test]
fn a_directory_whose_time_is_put_back_is_listed() {
    let scene = Scene::of_machine();
    scene.write("logs/a.log", "a\n");
    let logs = File::open(scene.path("logs")).expect("a directory of the case");
    let old = SystemTime::now() - Duration::from_secs(3600);
    logs.set_modified(old).expect("a directory of the case");
    let merge = start(scene.polled().input(scene.pattern("logs/*.log")));
    scene.expect("a\n");
    let looks = scene.fs.looks(&scene.path("logs"));
    until("the directory is not in doubt any more", || scene.fs.looks(&scene.path("logs")) > looks + 20);
    let began = Instant::now();
    scene.write("new", "b\n");
    scene.rename("new", "logs/b.log");
    logs.set_modified(old).expect("a directory of the case");
    scene.expect("a\nb\n");
    assert!(began.elapsed() < NEXT_LOOK, "seen after {:?} only", began.elapsed());
    stop(&merge);
}

/// A directory that cannot be listed once is listed again after a poll interval.
#[test]
fn a_listing_that_failed_once_is_soon_tried_again() {
    let tries = Arc::new(Mutex::new(Vec::new()));
    let fs = {
        let tries = tries.clone();
        TestFs::failing(move |op, path: &Path| {
            if op != Op::Listed || !path.ends_with("logs") {
                return Ok(());
            }
            let mut tries = tries.lock().unwrap_or_else(PoisonError::into_inner);
            tries.push(Instant::now());
            if tries.len() == 1 { Err(io::ErrorKind::OutOfMemory.into()) } else { Ok(()) }
        })
    };
    let scene = Scene::on(fs);
    scene.write("logs/a.log", "a\n");
    let merge = start(scene.builder().input(scene.pattern("logs/*.log")));
    scene.expect("a\n");
    until("it is tried again", || tries.lock().unwrap_or_else(PoisonError::into_inner).len() > 1);
    let tries = std::mem::take(&mut *tries.lock().unwrap_or_else(PoisonError::into_inner));
    assert!(tries[1] - tries[0] < Duration::from_millis(900), "tried again after {:?} only", tries[1] - tries[0]);
    stop(&merge);
}

/// What cannot be listed is told once, and tried again ever more seldom; what is in it joins when it can be.
#[test]
fn a_directory_that_cannot_be_listed_is_tried_again() {
    let (fails, tries) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicUsize::new(0)));
    let fs = {
        let (fails, tries) = (fails.clone(), tries.clone());
        TestFs::failing(move |op, path: &Path| {
            if op != Op::Listed || !path.ends_with("bad") || !fails.load(Ordering::SeqCst) {
                return Ok(());
            }
            tries.fetch_add(1, Ordering::SeqCst);
            Err(io::ErrorKind::PermissionDenied.into())
        })
    };
    let scene = Scene::on(fs);
    scene.make_dir("logs/bad");
    scene.write("logs/good/a.log", "a\n");
    let merge = start(scene.polled().input(scene.pattern("logs/*/*.log")));
    scene.expect("a\n");
    until("others are looked at again and again", || scene.fs.looks(&scene.path("logs/good")) > 200);
    let (looks, tries) = (scene.fs.looks(&scene.path("logs/good")), tries.load(Ordering::SeqCst));
    assert!(tries > 1 && looks > 10 * tries as u64, "{tries} tries, while others were looked at {looks} times");
    fails.store(false, Ordering::SeqCst);
    // What it holds by then is not listed as long as it is left alone.
    scene.write("logs/bad/b.log", "b\n");
    scene.expect("a\nb\n");
    let report = stop(&merge);
    assert_eq!(scene.events.count("logs/bad: the directory cannot be listed"), 1, "told once");
    assert!(report.failed_inputs.is_empty(), "{report:?}");
}

/// Directories that change all the time, and take long to list, are listed by turns, in a small part of the time; what
/// is new in others is found soon.
#[test]
fn directories_that_change_all_the_time_take_little_of_it() {
    /// How long it takes to list one.
    const LISTING: Duration = Duration::from_millis(15);
    const DIRS: usize = 10;
    let listed = Arc::new(AtomicUsize::new(0));
    let fs = {
        let listed = listed.clone();
        TestFs::with_hook(move |op, path: &Path| {
            if op == Op::Listed && path.parent().is_some_and(|parent| parent.ends_with("large")) {
                listed.fetch_add(1, Ordering::SeqCst);
                thread::sleep(LISTING);
            }
        })
    };
    let scene = Scene::on(fs);
    (0..DIRS).for_each(|dir| scene.make_dir(format!("large/{dir}")));
    scene.make_dir("small");
    let inputs = ["large/*/*.log", "small/*.log"].map(|input| scene.pattern(input));
    let builder = inputs.into_iter().fold(scene.polled(), |builder, input| builder.input(input));
    let merge = start(builder);
    // Twice, since one listing may be slow by chance.
    until("all are listed", || listed.load(Ordering::SeqCst) >= DIRS);
    (0..DIRS).for_each(|dir| scene.write(format!("large/{dir}/first.txt"), ""));
    until("all are listed again", || listed.load(Ordering::SeqCst) >= 2 * DIRS);
    let (began, before) = (Instant::now(), listed.load(Ordering::SeqCst));
    let (mut number, mut all, mut slowest) = (0, String::new(), Duration::ZERO);
    while began.elapsed() < Duration::from_millis(1500) {
        (0..DIRS).for_each(|dir| scene.write(format!("large/{dir}/{number}.txt"), ""));
        if number % 10 == 0 {
            let written = Instant::now();
            scene.write(format!("small/{number}.log"), format!("{number}\n"));
            all += &format!("{number}\n");
            scene.expect(&all);
            slowest = slowest.max(written.elapsed());
        }
        number += 1;
    }
    let spent = LISTING * (listed.load(Ordering::SeqCst) - before) as u32;
    assert!(spent < began.elapsed() / 5, "{spent:?} of {:?}", began.elapsed());
    assert!(slowest < Duration::from_secs(1), "seen after {slowest:?} only");
    stop(&merge);
}
