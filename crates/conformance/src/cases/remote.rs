//! Files of networks and of programs, where any call may hang: others are read on meanwhile.
//!
//! Here, what is in a directory `remote1` is on device 1, and so on.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use tailmerge_core::{Backend, StartAt};

use crate::kit::{Host, Op, Scene, TestFs, block_on, lines, numbered, start, stop, until};

cases! { remote:
    a_device_that_hangs_holds_up_no_other
    a_device_that_hangs_at_the_start_holds_up_no_other
    a_device_that_is_slow_holds_up_no_other
    devices_that_hang_hold_a_bounded_number_of_jobs
    a_device_that_comes_late_does_not_wait_for_those_that_hang
    a_stop_does_not_wait_for_a_device_that_hangs
    files_of_a_device_are_followed_as_others_are
    under_once_files_of_a_device_are_read_to_their_end
}

/// Most jobs of a merge at a time, and most of those that read remote devices.
const JOBS_MAX: usize = 4;
const REMOTE_JOBS_MAX: usize = 3;

/// Returns the device of a path, links followed, if that is remote.
fn device(path: &Path) -> Option<u64> {
    let named = |path: &Path| path.iter().find_map(|name| name.to_str()?.strip_prefix("remote")?.parse().ok());
    named(path).or_else(|| named(&path.canonicalize().ok()?))
}

/// Holds up whoever asks something of a remote device, while it is closed.
#[derive(Default)]
struct Gate {
    /// The devices that hang.
    closed: Mutex<Vec<u64>>,
    opened: Condvar,
    /// The number of calls that wait.
    waiting: AtomicUsize,
}

impl Gate {
    fn new(ops: &'static [Op]) -> (Arc<Self>, TestFs) {
        let gate = Arc::new(Self::default());
        let its = gate.clone();
        let hook = move |op, path: &Path| {
            if let Some(device) = device(path).filter(|_| ops.contains(&op)) {
                its.waiting.fetch_add(1, Ordering::SeqCst);
                let closed = its.closed.lock().unwrap_or_else(PoisonError::into_inner);
                drop(its.opened.wait_while(closed, |closed| closed.contains(&device)));
                its.waiting.fetch_sub(1, Ordering::SeqCst);
            }
        };
        (gate, TestFs::with_hook(hook).with_remotes(device))
    }

    /// Has devices hang until this is dropped.
    fn close(self: &Arc<Self>, devices: &[u64]) -> Closed {
        self.closed.lock().unwrap_or_else(PoisonError::into_inner).extend(devices);
        Closed(self.clone())
    }
}

struct Closed(Arc<Gate>);

impl Closed {
    #[track_caller]
    fn until_waiting(&self, count: usize) {
        until(&format!("{count} wait for a device that hangs"), || self.0.waiting.load(Ordering::SeqCst) == count);
    }
}

impl Drop for Closed {
    fn drop(&mut self) {
        self.0.closed.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.0.opened.notify_all();
    }
}

/// Returns the lines of the output that begin with a prefix.
fn of(prefix: &str, scene: &Scene) -> Vec<String> {
    let output = scene.output();
    let all = lines(&output).into_iter().map(|line| String::from_utf8_lossy(line).trim_end().to_owned());
    all.filter(|line| line.starts_with(prefix)).collect()
}

#[track_caller]
fn expect_of(prefix: &str, scene: &Scene, end: usize) {
    let want: Vec<_> = (0..end).map(|number| format!("{prefix} {number}")).collect();
    until(&format!("{end} lines of {prefix} are in the output"), || of(prefix, scene).len() >= end);
    assert_eq!(of(prefix, scene), want);
}

/// Whatever hangs on a device (a look, an opening, a read, a listing): files of others come out meanwhile. Once it
/// answers again, its own come, each line once and in order.
fn a_device_that_hangs_holds_up_no_other<B: Backend>(backend: B) {
    for op in [&[Op::Stat], &[Op::Read], &[Op::Listed]] as [&[Op]; 3] {
        let (gate, fs) = Gate::new(op);
        let scene = Scene::on(fs);
        for name in ["local", "remote1", "remote2"] {
            scene.write(format!("{name}/a.log"), numbered(name, 0..10));
        }
        let builder = scene.builder().input(scene.pattern("*/*.log"));
        let merge = start(builder.path(scene.path("remote1/named")), backend.clone());
        scene.expect_lines(30);
        let hanging = gate.close(&[1]);
        scene.append("remote1/a.log", numbered("remote1", 10..20));
        scene.write("remote1/b.log", numbered("b", 0..10));
        hanging.until_waiting(1);
        for number in 10..20 {
            for name in ["local", "remote2"] {
                scene.append(format!("{name}/a.log"), numbered(name, number..number + 1));
                expect_of(name, &scene, number + 1);
            }
        }
        scene.write("local/new.log", numbered("new", 0..10));
        expect_of("new", &scene, 10);
        scene.append("remote1/a.log", numbered("remote1", 20..30));
        assert!(of("b ", &scene).is_empty(), "it hangs");
        drop(hanging);
        expect_of("remote1", &scene, 30);
        expect_of("b", &scene, 10);
        let report = stop(&merge);
        assert!(report.is_complete(), "{report:?}");
    }
}

/// So it is with one that hangs from the start, which is no reason not to start.
fn a_device_that_hangs_at_the_start_holds_up_no_other<B: Backend>(backend: B) {
    let (gate, fs) = Gate::new(&[Op::Stat, Op::Open, Op::Read, Op::Listed]);
    let scene = Scene::on(fs);
    scene.write("remote1/a.log", numbered("remote", 0..10));
    scene.write("remote1/c.log", numbered("linked", 0..10));
    scene.write("local/a.log", numbered("local", 0..10));
    scene.symlink("remote1/c.log", "local/link.log");
    // An output that holds something is compared with the inputs.
    scene.write("all", "before\n");
    let hanging = gate.close(&[1]);
    let inputs = ["remote1/a.log", "remote1/*.log", "local/*.log"];
    let builder = inputs.into_iter().fold(scene.builder(), |builder, input| builder.input(scene.pattern(input)));
    let merge = start(builder, backend);
    expect_of("local", &scene, 10);
    hanging.until_waiting(1);
    drop(hanging);
    expect_of("remote", &scene, 10);
    expect_of("linked", &scene, 10);
    let report = stop(&merge);
    assert!(report.is_complete(), "{report:?}");
}

/// One that answers late each time holds up nobody else, either.
fn a_device_that_is_slow_holds_up_no_other<B: Backend>(backend: B) {
    /// Each call is answered after this time.
    const LATE: Duration = Duration::from_millis(200);
    const LOCAL: usize = 4;
    const LINES: usize = 10;
    let answers = Arc::new(AtomicUsize::new(0));
    let fs = {
        let answers = answers.clone();
        TestFs::with_hook(move |_, path: &Path| {
            if device(path).is_some() {
                thread::sleep(LATE);
                answers.fetch_add(1, Ordering::SeqCst);
            }
        })
    };
    let scene = Scene::on(fs.with_remotes(device));
    scene.write("remote1/a.log", "");
    (0..LOCAL).for_each(|file| scene.write(format!("local/{file}.log"), ""));
    let inputs = ["remote1/*.log", "local/*.log"];
    let builder = inputs.into_iter().fold(scene.builder(), |builder, input| builder.input(scene.pattern(input)));
    let merge = start(builder, backend);
    scene.events.until("remote1/a.log: followed");
    let mut took = Vec::new();
    for number in 0..LINES {
        scene.append("remote1/a.log", numbered("remote", number..number + 1));
        let began = Instant::now();
        scene.append(format!("local/{}.log", number % LOCAL), numbered("local", number..number + 1));
        expect_of("local", &scene, number + 1);
        took.push(began.elapsed());
        // The other one is being read by then, or soon.
        thread::sleep(LATE / 10);
    }
    took.sort_unstable();
    assert!(took[LINES * 3 / 4] < LATE / 3, "lines take {took:?}");
    expect_of("remote", &scene, LINES);
    assert!(answers.load(Ordering::SeqCst) > 3, "it was asked");
    let report = stop(&merge);
    assert!(report.is_complete(), "{report:?}");
}

/// However many devices hang, they hold no more jobs than there may be of that sort, and leave a batch to others.
fn devices_that_hang_hold_a_bounded_number_of_jobs<B: Backend>(backend: B) {
    let (gate, fs) = Gate::new(&[Op::Stat]);
    let scene = Scene::on(fs);
    for device in 1..=9 {
        scene.write(format!("remote{device}/a.log"), numbered(&format!("remote{device}"), 0..10));
    }
    scene.write("local/a.log", numbered("local", 0..10));
    let host = Host::new(backend);
    let hanging = gate.close(&[1, 2, 3, 4, 5, 6, 7, 8, 9]);
    let merge = start(scene.builder().input(scene.pattern("*/*.log")), host.clone());
    hanging.until_waiting(REMOTE_JOBS_MAX);
    for number in 10..30 {
        scene.append("local/a.log", numbered("local", number..number + 1));
        expect_of("local", &scene, number + 1);
    }
    hanging.until_waiting(REMOTE_JOBS_MAX);
    drop(hanging);
    for device in 1..=9 {
        expect_of(&format!("remote{device}"), &scene, 10);
    }
    let report = stop(&merge);
    assert!(report.is_complete(), "{report:?}");
    assert!(host.jobs_at_a_time() <= JOBS_MAX + REMOTE_JOBS_MAX, "{} jobs at a time", host.jobs_at_a_time());
}

/// A device that comes late, when there is no reader left for it alone, shares that of one that answers.
fn a_device_that_comes_late_does_not_wait_for_those_that_hang<B: Backend>(backend: B) {
    let (gate, fs) = Gate::new(&[Op::Stat]);
    let scene = Scene::on(fs);
    for device in 1..=3 {
        scene.write(format!("remote{device}/a.log"), numbered(&format!("remote{device}"), 0..10));
    }
    let hanging = gate.close(&[1, 2]);
    let merge = start(scene.builder().input(scene.pattern("*/*.log")), backend);
    expect_of("remote3", &scene, 10);
    hanging.until_waiting(2);
    for device in 4..=9 {
        scene.write(format!("remote{device}/a.log"), numbered(&format!("remote{device}"), 0..10));
        expect_of(&format!("remote{device}"), &scene, 10);
    }
    drop(hanging);
    (1..=2).for_each(|device| expect_of(&format!("remote{device}"), &scene, 10));
    let report = stop(&merge);
    assert!(report.is_complete(), "{report:?}");
}

/// A stop keeps its deadline, delivers what others have, and reports what was not read.
fn a_stop_does_not_wait_for_a_device_that_hangs<B: Backend>(backend: B) {
    for (op, found) in [(&[Op::Read] as &[Op], "remote1/a.log"), (&[Op::Listed], "remote1")] {
        let (gate, fs) = Gate::new(op);
        let scene = Scene::on(fs);
        scene.write("remote1/a.log", numbered("remote", 0..10));
        scene.write("local/a.log", numbered("local", 0..10));
        let hanging = gate.close(&[1]);
        let merge = start(scene.builder().input(scene.pattern("*/*.log")), backend.clone());
        expect_of("local", &scene, 10);
        hanging.until_waiting(1);
        scene.append("local/a.log", numbered("local", 10..20));
        let (began, deadline) = (Instant::now(), Duration::from_millis(300));
        let report = block_on("stop", merge.stop(deadline)).expect("the merge ends well");
        let took = began.elapsed();
        assert!(took >= deadline && took < deadline + Duration::from_secs(1), "the stop took {took:?}");
        expect_of("local", &scene, 20);
        assert!(!report.drained && !report.is_complete(), "{report:?}");
        let [(path, reason)] = &report.failed_inputs[..] else { panic!("one input: {report:?}") };
        assert_eq!(path, &scene.path(found));
        assert!(reason.contains("did not answer"), "{reason}");
        drop(hanging);
    }
}

/// Files there are found, rotated, truncated, removed and let go of as others are.
fn files_of_a_device_are_followed_as_others_are<B: Backend>(backend: B) {
    let scene = Scene::on(TestFs::new().with_remotes(device));
    scene.write("remote1/a.log", "old\n");
    scene.write("local/a.log", "old\n");
    let builder = scene.builder().input(scene.pattern("*/*.log")).path(scene.path("remote1/named"));
    let merge = start(builder.from(StartAt::End), backend);
    scene.events.until("remote1/a.log: followed from byte 4");
    scene.append("remote1/a.log", "a 0\n");
    expect_of("a", &scene, 1);
    scene.rename("remote1/a.log", "remote1/a.log.1");
    scene.append("remote1/a.log.1", "a 1\n");
    scene.write("remote1/a.log", "a 2\n");
    expect_of("a", &scene, 3);
    scene.truncate("remote1/a.log");
    scene.events.until("remote1/a.log: truncated");
    scene.append("remote1/a.log", "a 3\n");
    expect_of("a", &scene, 4);
    scene.write("remote1/named", "named 0\n");
    expect_of("named", &scene, 1);
    scene.write("remote2/new.log", "new 0\n");
    expect_of("new", &scene, 1);
    block_on("follow", merge.follow(scene.pattern("remote2/*.txt"))).expect("the merge runs");
    scene.events.until("no file matches");
    scene.write("remote2/new.txt", "text 0\n");
    expect_of("text", &scene, 1);
    block_on("unfollow", merge.unfollow(scene.pattern("remote2/*.txt"))).expect("the merge runs");
    until("it is let go", || {
        scene.append("remote2/new.txt", "text\n");
        scene.append("remote2/new.log", "more\n");
        let seen = of("more", &scene).len();
        until("one more", || of("more", &scene).len() > seen);
        let before = of("text", &scene).len();
        scene.append("remote2/new.txt", "text\n");
        scene.append("remote2/new.log", "more\n");
        until("one more", || of("more", &scene).len() > seen + 1);
        of("text", &scene).len() == before
    });
    let report = stop(&merge);
    assert!(report.is_complete(), "{report:?}");
    assert_eq!(scene.events.count("no file matches"), 1, "*.txt alone: all others were found somewhere");
}

/// Under `once` they are read to their end, and what is missing there fails.
fn under_once_files_of_a_device_are_read_to_their_end<B: Backend>(backend: B) {
    let scene = Scene::on(TestFs::new().with_remotes(device));
    for name in ["local", "remote1", "remote2"] {
        scene.write(format!("{name}/a.log"), format!("{name} 0\n{name} 1"));
    }
    let inputs = ["*/*.log", "remote1/*.txt", "remote2/a.log", "remote2/missing"];
    let builder = inputs.into_iter().fold(scene.builder(), |builder, input| builder.input(scene.pattern(input)));
    let report = stop(&start(builder.once(true), backend));
    for name in ["local", "remote1", "remote2"] {
        expect_of(name, &scene, 2);
    }
    let mut failed: Vec<_> = report.failed_inputs.iter().map(|(path, _)| path.clone()).collect();
    failed.sort();
    assert_eq!(failed, [scene.pattern("remote1/*.txt"), scene.path("remote2/missing")], "{report:?}");
}
