//! Files that cannot be read for a while, or never again.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use rustix::io::Errno;
use tailmerge_core::StartAt;

use crate::kit::{Op, Scene, TestFs, numbered, start, stop, until};

/// A time in which nothing is quiet.
const LONG: Duration = Duration::from_secs(600);

/// How often something fails in these cases.
const FAILURES: usize = 5;

/// Fails what is asked of files of that name while it is switched on, and counts.
#[derive(Clone, Default)]
struct Fault {
    on: Arc<AtomicBool>,
    failed: Arc<AtomicUsize>,
}

impl Fault {
    fn at(&self, name: &'static str, ops: &'static [Op], errno: Errno) -> TestFs {
        let fault = self.clone();
        TestFs::failing(move |op, path: &Path| {
            if !fault.on.load(Ordering::SeqCst) || !ops.contains(&op) || !path.ends_with(name) {
                return Ok(());
            }
            fault.failed.fetch_add(1, Ordering::SeqCst);
            Err(errno.into())
        })
    }

    fn switch(&self, on: bool) {
        self.on.store(on, Ordering::SeqCst);
    }

    #[track_caller]
    fn until_failed(&self, times: usize) {
        until("it has failed", || self.failed.load(Ordering::SeqCst) >= times);
    }
}

/// An error that passes costs nothing: no line is lost, none comes twice, and it is told once.
#[test]
fn a_file_that_cannot_be_read_is_read_on_later() {
    for errno in [Errno::IO, Errno::STALE, Errno::AGAIN] {
        let fault = Fault::default();
        let scene = Scene::on(fault.at("a.log", &[Op::Read], errno));
        scene.write("a.log", "1\nfrag");
        let merge = start(scene.builder().path(scene.path("a.log")));
        scene.expect("1\n");
        fault.switch(true);
        scene.append("a.log", "ment\n2\n");
        fault.until_failed(FAILURES);
        fault.switch(false);
        scene.expect("1\nfragment\n2\n");
        let report = stop(&merge);
        scene.assert_output("1\nfragment\n2\n");
        assert_eq!(scene.events.count("cannot be read"), 1, "told once");
        assert!(report.gaps.is_empty() && report.failed_inputs.is_empty(), "{report:?}");
        assert_eq!(report.inputs[0].offset, 13);
    }
}

/// A descriptor that a file server has forgotten is of no use ever again: the file is opened anew by its name, and
/// read on from where it was left.
#[test]
fn a_file_whose_descriptor_is_stale_is_opened_again() {
    // Of no use is what was opened before the last time the server forgot.
    let stale = Arc::new(AtomicBool::new(false));
    let fs = {
        let stale = stale.clone();
        TestFs::failing(move |op, path: &Path| match op {
            Op::Open if path.ends_with("a.log") => {
                stale.store(false, Ordering::SeqCst);
                Ok(())
            }
            Op::Read if path.ends_with("a.log") && stale.load(Ordering::SeqCst) => Err(Errno::STALE.into()),
            _ => Ok(()),
        })
    };
    let scene = Scene::on(fs);
    scene.write("a.log", "0\n");
    let merge = start(scene.builder().path(scene.path("a.log")));
    let mut want = "0\n".to_owned();
    scene.expect(&want);
    for round in 1..10 {
        stale.store(true, Ordering::SeqCst);
        let lines = numbered(&format!("round {round}"), 0..100);
        scene.append("a.log", &lines);
        want += &lines;
        scene.expect(&want);
    }
    let report = stop(&merge);
    scene.assert_output(&want);
    assert!(report.gaps.is_empty(), "{report:?}");
    assert_eq!(scene.events.count("followed from byte"), 1, "it is the same file all the time");
}

/// So it is with one that has been renamed meanwhile: it is found by its identity.
#[test]
fn a_renamed_file_whose_descriptor_is_stale_is_found() {
    let stale = Fault::default();
    // Those that were opened under the old name: the new file is not opened before the old one is read.
    let scene = Scene::on(stale.at("a.log", &[Op::Read], Errno::STALE));
    scene.write("a.log", "1\n");
    let merge = start(scene.builder().path(scene.path("a.log")).rotated_grace(LONG));
    scene.expect("1\n");
    stale.switch(true);
    scene.append("a.log", "2\n");
    scene.rename("a.log", "a.log.1");
    scene.expect("1\n2\n");
    stale.switch(false);
    scene.write("a.log", "3\n");
    scene.expect("1\n2\n3\n");
    let report = stop(&merge);
    assert!(report.gaps.is_empty(), "{report:?}");
}

/// A file that is closed, for there are too many, is renamed to what cannot be looked at for a while: it is searched
/// for until it can.
#[test]
fn a_renamed_file_is_searched_for_until_it_can_be_found() {
    let fault = Fault::default();
    let fs = {
        let fault = fault.clone();
        TestFs::failing(move |op, path: &Path| match op {
            Op::Stat if path.ends_with("old") && fault.on.load(Ordering::SeqCst) => {
                fault.failed.fetch_add(1, Ordering::SeqCst);
                Err(Errno::IO.into())
            }
            _ => Ok(()),
        })
    };
    let scene = Scene::on(fs);
    scene.fs.allow_open(1);
    scene.write("a.log", "a 1\n");
    // Files whose names begin alike share what is open.
    scene.write("a.log.b", "");
    let merge = start(scene.builder().path(scene.path("a.log")).path(scene.path("a.log.b")));
    let mut all = "a 1\n".to_owned();
    scene.expect(&all);
    let mut count = 0;
    until("a.log is closed", || {
        count += 1;
        scene.append("a.log.b", format!("b {count}\n"));
        all += &format!("b {count}\n");
        scene.expect(&all);
        !scene.open_files().contains(&scene.path("a.log"))
    });
    scene.fs.allow_open(usize::MAX);
    fault.switch(true);
    scene.rename("a.log", "old");
    // Once is enough to give it up for good.
    fault.until_failed(1);
    scene.looked(&merge, "a.log");
    scene.append("old", "a 2\n");
    fault.switch(false);
    scene.expect(all + "a 2\n");
    let report = stop(&merge);
    assert!(report.gaps.is_empty(), "{report:?}");
}

/// A rotated file that can never be read holds up the one that came after it for a while only, and is reported.
#[test]
fn a_rotated_file_that_cannot_be_read_holds_up_no_other_for_long() {
    let fault = Fault::default();
    let scene = Scene::on(fault.at("1.log", &[Op::Read], Errno::IO));
    scene.write("1.log", "1\n");
    scene.symlink("1.log", "latest");
    let grace = Duration::from_millis(100);
    let merge = start(scene.builder().path(scene.path("latest")).rotated_grace(grace));
    scene.expect("1\n");
    fault.switch(true);
    scene.append("1.log", "2\n");
    scene.write("2.log", "3\n");
    scene.symlink("2.log", "latest");
    scene.expect("1\n3\n");
    scene.append("2.log", "4\n");
    scene.expect("1\n3\n4\n");
    assert_eq!(scene.events.count("cannot be read"), 1, "told once");
    let report = stop(&merge);
    scene.assert_output("1\n3\n4\n");
    assert_eq!(report.failed_inputs.len(), 1, "{report:?}");
}

/// Under `once` there is no later: what cannot be read to its end is named in the report, the others are merged.
#[test]
fn under_once_what_cannot_be_read_is_reported() {
    let fault = Fault::default();
    let scene = Scene::on(fault.at("a.log", &[Op::Read], Errno::IO));
    scene.write("a.log", "a\n");
    scene.write("b.log", "b\n");
    // From when it is open.
    let broken = {
        let (on, events) = (fault.on.clone(), scene.events.clone());
        move |event: &tailmerge_core::Event| {
            tailmerge_core::Observer::event(&events, event);
            if event.to_string().contains("a.log: followed") {
                on.store(true, Ordering::SeqCst);
            }
        }
    };
    let builder = scene.builder().once(true).input(scene.pattern("*.log")).observer(broken);
    let report = stop(&start(builder));
    scene.assert_output("b\n");
    let [(path, reason)] = &report.failed_inputs[..] else { panic!("one input: {report:?}") };
    assert_eq!(path, &scene.path("a.log"));
    assert!(reason.contains(&io::Error::from(Errno::IO).to_string()), "{reason}");
}

/// So it is at a stop.
#[test]
fn what_cannot_be_read_at_the_stop_is_reported() {
    let fault = Fault::default();
    let scene = Scene::on(fault.at("a.log", &[Op::Read], Errno::IO));
    scene.write("a.log", "1\n");
    let merge = start(scene.builder().path(scene.path("a.log")));
    scene.expect("1\n");
    fault.switch(true);
    scene.append("a.log", "2\n");
    let report = stop(&merge);
    scene.assert_output("1\n");
    assert_eq!(report.failed_inputs.len(), 1, "{report:?}");
    assert_eq!(report.inputs[0].offset, 2);
}

/// A file that may not be looked at for a while is gone on with where it was left.
#[test]
fn a_file_that_is_forbidden_for_a_while_is_read_on() {
    let fault = Fault::default();
    let scene = Scene::on(fault.at("a.log", &[Op::Stat, Op::Open, Op::Read], Errno::ACCESS));
    scene.write("a.log", "1\nfrag");
    let merge = start(scene.builder().input(scene.pattern("*.log")));
    scene.expect("1\n");
    for round in 2..5 {
        fault.switch(true);
        scene.append("a.log", format!("ment\n{round}\nfrag"));
        fault.until_failed(round * FAILURES);
        fault.switch(false);
        scene.expect_lines(2 * round - 1);
    }
    stop(&merge);
    scene.assert_output("1\nfragment\n2\nfragment\n3\nfragment\n4\n");
    assert_eq!(scene.events.count("followed from byte"), 1, "it is the same file all the time");
    assert!(scene.events.count("permission denied") <= 2, "told once of each look and each read");
}

/// What the system said is told, and not another cause.
#[test]
fn the_cause_is_told() {
    for (op, errno, cause) in [
        (Op::Open, Errno::IO, "cannot be opened: Input/output error"),
        (Op::Read, Errno::NOMEM, "cannot be read to its end: Cannot allocate memory"),
    ] {
        let fault = Fault::default();
        let scene = Scene::on(fault.at("a.log", if op == Op::Open { &[Op::Open] } else { &[Op::Read] }, errno));
        scene.write("a.log", "1\n");
        let merge = start(scene.builder().path(scene.path("a.log")));
        scene.expect("1\n");
        fault.switch(true);
        if op == Op::Open {
            scene.remove("a.log");
            scene.write("a.log", "2\n");
        } else {
            scene.append("a.log", "2\n");
        }
        fault.until_failed(1);
        let report = stop(&merge);
        let told = report.failed_inputs.iter().any(|(_, reason)| reason.contains(cause));
        assert!(told && scene.events.count("too many open files") == 0, "{report:?}");
    }
}

/// A directory that cannot be looked at is told; if that is so at the end, what is in it is not merged in silence.
#[test]
fn a_directory_that_cannot_be_looked_at_is_reported() {
    for once in [true, false] {
        let scene = Scene::on(TestFs::failing(|op, path: &Path| match (op, path.ends_with("sub")) {
            (Op::Stat, true) => Err(Errno::IO.into()),
            _ => Ok(()),
        }));
        scene.write("a.log", "1\n");
        scene.make_dir("sub");
        scene.write("sub/b.log", "2\n");
        let merge = start(scene.builder().input(scene.pattern("**/*.log")).once(once));
        scene.expect("1\n");
        let report = stop(&merge);
        let [(path, reason)] = &report.failed_inputs[..] else { panic!("{report:?}") };
        assert!(path.ends_with("sub") && reason.contains("Input/output error"), "{report:?}");
    }
}

/// A file that was found and is gone before it can be looked at: nobody knows what it held. A link that leads nowhere
/// never held anything.
#[test]
fn what_is_gone_at_the_first_look_may_be_a_loss() {
    let scene = Scene::on(TestFs::failing(|op, path: &Path| match (op, path.ends_with("gone.log")) {
        (Op::Stat, true) => Err(Errno::NOENT.into()),
        _ => Ok(()),
    }));
    scene.write("a.log", "1\n");
    scene.write("gone.log", "2\n");
    scene.symlink("nowhere", "link.log");
    let report = stop(&start(scene.builder().input(scene.pattern("*.log")).once(true)));
    scene.assert_output("1\n");
    assert_eq!((report.possible_losses, report.gap_count, report.failed_input_count), (1, 0, 0), "{report:?}");
}

/// So it is with a directory that was listed a moment ago: nobody knows what was in it.
#[test]
fn a_directory_that_is_gone_at_the_first_look_may_be_a_loss() {
    let scene = Scene::on(TestFs::failing(|op, path: &Path| match (op, path.ends_with("sub")) {
        (Op::Stat, true) => Err(Errno::NOENT.into()),
        _ => Ok(()),
    }));
    scene.write("a.log", "1\n");
    scene.write("sub/b.log", "2\n");
    let report = stop(&start(scene.builder().input(scene.pattern("**/*.log")).once(true)));
    scene.assert_output("1\n");
    assert_eq!((report.possible_losses, report.gap_count, report.failed_input_count), (1, 0, 0), "{report:?}");
}

/// Nor does one that is forbidden at the start come whole later, where only what is new is asked for.
#[test]
fn from_the_end_a_file_that_is_forbidden_gives_new_lines_only() {
    for ops in [&[Op::Open][..], &[Op::Stat, Op::Open], &[Op::Read]] {
        let fault = Fault::default();
        let scene = Scene::on(fault.at("a.log", ops, Errno::ACCESS));
        scene.write("a.log", "old\n");
        fault.switch(true);
        let merge = start(scene.builder().path(scene.path("a.log")).from(StartAt::End));
        fault.until_failed(1);
        scene.looked(&merge, "a.log");
        if ops[0] != Op::Stat {
            // It could be seen how long it was.
            scene.append("a.log", "meanwhile\n");
        }
        fault.switch(false);
        scene.events.until("a.log: followed");
        scene.append("a.log", "new\n");
        scene.expect(if ops[0] == Op::Stat { "new\n" } else { "meanwhile\nnew\n" });
        stop(&merge);
    }
}
