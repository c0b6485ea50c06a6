//! smol and async-std in one process at the same time: neither knows of the other.

use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use tailmerge::{AsyncStd, Builder, Merge, Smol};
use tailmerge_verify::Check;
use tempfile::TempDir;

/// Only a failing test waits so long.
const DEADLINE: Duration = Duration::from_secs(30);

/// Lines of each of the two inputs.
const LINES: usize = 20_000;

/// The same inputs into two outputs, one merge on each backend, while a thread for each input writes.
#[test]
fn two_backends_merge_at_the_same_time() {
    let dir = TempDir::new().expect("a directory for the test");
    let path = |name: &str| dir.path().join(name);
    let inputs = ["a.log", "b.log"].map(path);
    let builder = |output: &str| Builder::new().input(path("*.log")).output(path(output));
    let on_smol = smol::block_on(builder("smol").start_on(Smol::new())).expect("the merge starts");
    let on_async_std = builder("async-std").start_on_blocking(AsyncStd::new()).expect("the merge starts");
    thread::scope(|scope| {
        for input in &inputs {
            scope.spawn(|| write(input));
        }
    });
    let stopped = smol::block_on(futures_lite::future::zip(on_smol.stop(DEADLINE), on_async_std.stop(DEADLINE)));
    for (output, stopped) in [("smol", stopped.0), ("async-std", stopped.1)] {
        let report = stopped.expect("the merge ends well");
        assert!(report.drained, "{output}: {report:?}");
        assert_eq!(report.lines, 2 * LINES as u64, "{output}");
        let check = Check::new(path(output)).inputs(&inputs).run();
        check.unwrap_or_else(|error| panic!("{error}"));
    }
}

fn write(path: &PathBuf) {
    let mut file = File::create(path).expect("a file of the test");
    for number in 0..LINES {
        writeln!(file, "line {number} of {}", path.display()).expect("a file of the test");
    }
}

type Start = fn(Builder) -> Merge;

/// Each ends, by itself or dropped, while the other goes on.
#[test]
fn one_backend_ends_and_the_other_goes_on() {
    let dir = TempDir::new().expect("a directory for the test");
    let path = |name: &str| dir.path().join(name);
    fs::write(path("a.log"), "1\n").expect("a file of the test");
    let builder = |output: &str| Builder::new().path(path("a.log")).output(path(output));
    let starts: [(&str, Start); 2] = [
        ("Smol", |builder| builder.start_on_blocking(Smol::new()).expect("the merge starts")),
        ("AsyncStd", |builder| builder.start_on_blocking(AsyncStd::new()).expect("the merge starts")),
    ];
    for (ends, goes_on) in [(starts[0], starts[1]), (starts[1], starts[0])] {
        let merge = goes_on.1(builder("goes on"));
        assert_eq!(merge.backend(), goes_on.0);
        let once = ends.1(builder("ends").once(true));
        assert_eq!(once.backend(), ends.0);
        once.finished_blocking();
        drop(once);
        drop(ends.1(builder("ends")));
        let report = merge.stop_blocking(DEADLINE).expect("the merge ends well");
        assert_eq!((report.lines, report.drained), (1, true));
    }
}
