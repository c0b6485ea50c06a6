//! Whole merges for which hours pass within milliseconds: the clock is put forward, and the sleeps of the backend follow
//! it.

use std::future::{Future, poll_fn};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::time::Duration;

use tailmerge_conformance::Threads;
use tailmerge_conformance::kit::{Scene, numbered, start, stop, until};
use tailmerge_core::{Backend, clock};

const HOUR: Duration = Duration::from_secs(3600);
const MINUTE: Duration = Duration::from_secs(60);

/// A backend whose sleeps end when the clock says so.
#[derive(Clone, Debug, Default)]
struct Hours {
    threads: Threads,
    sleeping: Arc<Mutex<Vec<Waker>>>,
}

impl Hours {
    /// Has time pass.
    fn pass(&self, time: Duration) {
        clock::put_forward(time);
        let sleeping = std::mem::take(&mut *self.sleeping.lock().unwrap_or_else(PoisonError::into_inner));
        sleeping.into_iter().for_each(Waker::wake);
    }

    /// Has time pass, a minute at a time, until something holds.
    fn pass_until(&self, what: &str, mut holds: impl FnMut() -> bool) {
        until(what, || {
            self.pass(MINUTE);
            holds()
        });
    }
}

/// The clock is that of the process: one test at a time.
fn clock() -> MutexGuard<'static, ()> {
    static CLOCK: Mutex<()> = Mutex::new(());
    CLOCK.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Backend for Hours {
    fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.threads.block_on(future)
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.threads.spawn(task);
    }

    fn unblock<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> impl Future<Output = T> + Send + 'static {
        self.threads.unblock(job)
    }

    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + Send + 'static {
        let (sleeping, until) = (self.sleeping.clone(), clock::now().checked_add(duration));
        poll_fn(move |cx| {
            // Under the lock: either the clock has been put forward before, or the waker is there when it is.
            let mut sleeping = sleeping.lock().unwrap_or_else(PoisonError::into_inner);
            if until.is_some_and(|until| clock::now() >= until) {
                return Poll::Ready(());
            }
            sleeping.push(cx.waker().clone());
            Poll::Pending
        })
    }
}

/// The last line of a file that was renamed gets its newline after the grace time of hours, and not before.
#[test]
fn a_renamed_file_ends_after_hours() {
    let (_clock, scene, hours) = (clock(), Scene::new(), Hours::default());
    scene.write("a.log", "whole\nfrag");
    let builder = scene.polled().path(scene.path("a.log")).poll_interval(HOUR).rotated_grace(12 * HOUR);
    let merge = start(builder, hours.clone());
    scene.expect("whole\n");
    scene.rename("a.log", "a.log.1");
    scene.looked(&merge, "a.log");
    scene.events.until("a.log: not there");
    hours.pass(11 * HOUR);
    scene.looked(&merge, "a.log");
    scene.assert_output("whole\n");
    hours.pass_until("the last line has its newline", || scene.output() != b"whole\n");
    scene.assert_output("whole\nfrag\n");
    let report = stop(&merge);
    assert_eq!((report.unterminated_lines, report.gaps.len()), (1, 0), "{report:?}");
}

/// Nobody has to ask, and nothing has to be written: an output that was moved is opened anew.
#[test]
fn a_moved_output_is_noticed_in_time() {
    let (_clock, scene, hours) = (clock(), Scene::new(), Hours::default());
    let merge = start(scene.builder(), hours.clone());
    scene.rename("all", "all.1");
    hours.pass_until("it is opened anew", || scene.stat("all").is_some());
    let report = stop(&merge);
    assert_eq!((report.lines, report.gaps.len()), (0, 0), "{report:?}");
}

/// Waits until a new file is found, whose paths are looked for once a minute.
fn until_found(scene: &Scene, hours: &Hours, name: &str) {
    hours.pass_until(&format!("{name} is found"), || scene.fs.looks(&scene.path(name)) > 0);
}

/// A copy that takes much longer than the grace time is held for as long as it grows, whatever its name: nothing of it
/// comes again once its file is cut.
#[test]
fn a_copy_that_takes_longer_than_the_grace_time_is_not_read_again() {
    for (copy, pattern) in [("a.log.1", "a.log*"), ("a__1.log", "*.log"), ("old/a.log", "**/*.log")] {
        let (_clock, scene, hours) = (clock(), Scene::new(), Hours::default());
        let mut all = numbered("line", 0..10_000);
        scene.write("a.log", &all);
        let builder = scene.polled().input(scene.pattern(pattern)).poll_interval(MINUTE).rotated_grace(10 * HOUR);
        let merge = start(builder, hours.clone());
        scene.expect(&all);
        scene.write(copy, "");
        for part in all.as_bytes().chunks(all.len() / 7) {
            scene.append(copy, part);
            until_found(&scene, &hours, copy);
            scene.looked(&merge, copy);
            scene.assert_output(&all);
            hours.pass(5 * HOUR);
            scene.looked(&merge, copy);
            scene.assert_output(&all);
        }
        scene.truncate("a.log");
        scene.looked(&merge, "a.log");
        scene.append("a.log", "new\n");
        all += "new\n";
        scene.looked(&merge, "a.log");
        hours.pass(30 * HOUR);
        scene.looked(&merge, copy);
        let report = stop(&merge);
        scene.assert_output(&all);
        assert!(report.gaps.is_empty(), "{copy}: {report:?}");
    }
}

/// A log that is no copy is not held for longer than the grace time after it is as long as the other was, although both
/// go on with the same lines; and not for long at all if it goes on with others.
#[test]
fn a_log_that_begins_like_another_is_not_held_for_ever() {
    for same in [true, false] {
        let (_clock, scene, hours) = (clock(), Scene::new(), Hours::default());
        let head = numbered("the same in both", 0..100);
        scene.write("a.log", &head);
        let builder = scene.polled().input(scene.pattern("*.log")).poll_interval(MINUTE).rotated_grace(10 * HOUR);
        let merge = start(builder, hours.clone());
        scene.expect_lines(100);
        scene.write("b.log", &head);
        until_found(&scene, &hours, "b.log");
        for number in 0..30 {
            scene.append("a.log", format!("line {number}\n"));
            scene.append("b.log", format!("{} {number}\n", if same { "line" } else { "other" }));
            scene.looked(&merge, "a.log");
            scene.looked(&merge, "b.log");
            hours.pass(HOUR);
        }
        // Before any stop.
        scene.expect_lines(2 * 130);
        let report = stop(&merge);
        assert!(report.gaps.is_empty(), "{report:?}");
    }
}
