//! What a merge is to its process: threads and memory. Each of these needs a process of its own.

use std::fs;
use std::io::Write;
use std::pin::pin;
use std::thread;
use std::time::{Duration, Instant};

use tailmerge_core::{Backend, LongLines};

use crate::kit::{
    Brake, Host, Op, Scene, Sink, block_on, numbered, poll_once, start, start_blocking, stop, threads, until,
};
use tailmerge_verify::Check;

cases! { process, each in its own process:
    the_threads_of_a_merge_end_with_it
    many_files_take_few_threads
    a_line_of_40_megabytes_takes_little_memory
    flushes_given_up_take_no_memory
    requests_to_follow_that_are_given_up_take_no_memory
}

/// How many jobs a merge may have on the blocking pool at a time, however many files it follows.
const JOBS_MAX: usize = 4;

/// How many threads the pool may have for that. It starts one when it has a job and all threads are busy, or not yet
/// known to be idle.
const THREADS_MAX: usize = 2 * JOBS_MAX;

/// How long the system may take to forget a thread that was joined.
const UNNAMED_AFTER: Duration = Duration::from_millis(100);

/// Bytes of a line that is much longer than what memory may be taken.
const LINE_BYTES: usize = 40_000_000;

/// What a merge of this line may take, above what the process had before.
const MEMORY_MAX_KIB: u64 = 24 * 1024;

/// Each merge has two threads of its own, `tailmerge-writer` and `tailmerge-watch`, or the first only where files are
/// polled. They are gone when the merge is stopped or dropped.
fn the_threads_of_a_merge_end_with_it<B: Backend>(backend: B) {
    if threads("").is_empty() {
        // The system does not tell.
        return;
    }
    let scene = Scene::new();
    scene.write("a.log", numbered("line", 0..1000));
    let builder = || scene.builder().append(true).path(scene.path("a.log"));
    let ours = || threads("tailmerge-");
    // An executor may start threads of its own from ours, and a new thread has its parent's name for a moment.
    let polled = std::env::var_os("TAILMERGE_WATCH").is_some();
    let names: &[&str] = if polled { &["tailmerge-write"] } else { &["tailmerge-watch", "tailmerge-write"] };
    let more = |before: &[(u32, String)]| {
        let more = || -> Vec<_> { ours().into_iter().filter(|thread| !before.contains(thread)).collect() };
        until("there are more threads", || {
            let mut more: Vec<_> = more().into_iter().map(|thread| thread.1).collect();
            more.sort();
            more == names
        });
        more()
    };
    // The system may name a thread for a moment after it was joined.
    let is_gone = |ours: &[(u32, String)]| {
        let left = || threads("").iter().any(|(number, _)| ours.iter().any(|(other, _)| other == number));
        let deadline = Instant::now() + UNNAMED_AFTER;
        while left() && Instant::now() < deadline {
            thread::yield_now();
        }
        !left()
    };
    assert!(ours().is_empty());
    for stopped in [true, false] {
        let merge = start(builder(), backend.clone());
        let first = more(&[]);
        let other = start_blocking(builder(), backend.clone());
        let second = more(&first);
        if stopped {
            stop(&merge);
        } else {
            drop(merge);
        }
        assert!(is_gone(&first) && second.iter().all(|thread| threads("").contains(thread)));
        drop(other);
        assert!(is_gone(&second));
        until("nothing is left", || ours().is_empty());
    }
    // One that does not start leaves none.
    let error = scene.builder().output(scene.path("missing/all")).start_on_blocking(backend.clone());
    error.expect_err("no directory");
    until("its thread ends", || ours().is_empty());
    // Nor does one whose output takes nothing.
    let fifo = scene.fifo("fifo");
    let merge = start(scene.builder().path(scene.path("a.log")).output(fifo), backend);
    let writer = more(&[]);
    block_on("stop", merge.stop(Duration::from_millis(10))).expect("it is no failure");
    assert!(is_gone(&writer));
}

/// Five hundred files, which grow and come by pattern, take few threads of the blocking pool.
fn many_files_take_few_threads<B: Backend>(backend: B) {
    const FILES: usize = 500;
    let scene = Scene::new();
    let names: Vec<String> = (0..FILES).map(|number| format!("{number}.log")).collect();
    for name in &names {
        scene.write(name, format!("{name} 1\n"));
    }
    let host = Host::new(backend);
    let merge = start(scene.builder().input(scene.pattern("*.log")), host.clone());
    let mut most = 0;
    let mut count = || most = most.max(threads("blocking").len());
    scene.expect_lines(FILES);
    count();
    for round in 2..6 {
        for (number, name) in names.iter().enumerate() {
            scene.append(name, format!("{name} {round}\n"));
            if number % 50 == 0 {
                count();
            }
        }
        scene.expect_lines(round * FILES);
        count();
    }
    let report = stop(&merge);
    count();
    assert_eq!((report.lines, report.inputs.len()), (5 * FILES as u64, FILES));
    scene.check(&names);
    assert!(host.jobs_at_a_time() <= JOBS_MAX, "{} jobs at a time", host.jobs_at_a_time());
    assert!(most <= THREADS_MAX, "{most} threads");
}

/// A line of 40 million bytes is dealt with in bounded memory, and the next line is whole.
fn a_line_of_40_megabytes_takes_little_memory<B: Backend>(backend: B) {
    let scene = Scene::new();
    let mut file = scene.producer("a.log");
    let piece: Vec<u8> = (0..LINE_BYTES / 100).map(|at| b'a' + (at % 26) as u8).collect();
    for _ in 0..100 {
        file.write_all(&piece).expect("a file of the case");
    }
    file.write_all(b"\nnext\n").expect("a file of the case");
    drop(piece);
    for policy in [LongLines::Split, LongLines::Truncate, LongLines::Skip] {
        let before = memory_kib("VmRSS:");
        let builder = scene.builder().path(scene.path("a.log")).long_lines(policy);
        let merge = start(builder, backend.clone());
        // The line that is longest by far was read by then.
        until("it is read", || last_bytes(&scene, 6) == b"next\n" || last_bytes(&scene, 6) == b"\nnext\n");
        let report = stop(&merge);
        assert_eq!(report.long_lines, 1);
        let taken = memory_kib("VmHWM:").saturating_sub(before);
        assert!(taken <= MEMORY_MAX_KIB, "{policy:?}: {taken} KiB");
        let check = Check::new(scene.path("all")).input(scene.path("a.log")).line_limit(1024 * 1024, policy);
        check.run().unwrap_or_else(|error| panic!("{policy:?}: {error}"));
    }
}

/// Flushes that are asked for and given up while the output stands still take no memory.
fn flushes_given_up_take_no_memory<B: Backend>(backend: B) {
    const FLUSHES: usize = 100_000;
    let scene = Scene::new();
    let sink = Sink::held();
    let merge = start(scene.builder().writer(sink.make()), backend);
    merge.sender("host").send_blocking("line").expect("the merge runs");
    sink.until_written_to();
    let before = memory_kib("VmRSS:");
    for _ in 0..FLUSHES {
        assert!(poll_once(&mut pin!(merge.flush())).is_pending());
    }
    let taken = memory_kib("VmRSS:").saturating_sub(before);
    assert!(taken <= 4 * 1024, "{taken} KiB");
    sink.release();
    block_on("flush", merge.flush()).expect("the merge runs");
    stop(&merge);
}

/// Requests to follow an input that are given up while directories are looked at take no memory.
fn requests_to_follow_that_are_given_up_take_no_memory<B: Backend>(backend: B) {
    const REQUESTS: usize = 20_000;
    let (brake, fs) = Brake::on(Op::Listed, "logs");
    let scene = Scene::on(fs);
    scene.write("logs/a.log", "1\n");
    let held = brake.hold();
    let merge = start(scene.builder().input(scene.pattern("logs/*.log")), backend);
    held.until_stopped();
    let before = memory_kib("VmRSS:");
    for number in 0..REQUESTS {
        let path = scene.path(format!("{number}.log"));
        assert!(poll_once(&mut pin!(merge.follow(&path))).is_pending());
        assert!(poll_once(&mut pin!(merge.unfollow(&path))).is_pending());
    }
    let taken = memory_kib("VmRSS:").saturating_sub(before);
    assert!(taken <= 4 * 1024, "{taken} KiB");
    drop(held);
    scene.write("b.log", "2\n");
    block_on("follow", merge.follow(scene.path("b.log"))).expect("the merge runs");
    scene.expect_lines(2);
    stop(&merge);
}

/// The end of the output, without reading all of it.
fn last_bytes(scene: &Scene, len: u64) -> Vec<u8> {
    use std::io::{Read, Seek, SeekFrom};

    let mut last = Vec::new();
    let read = fs::File::open(scene.path("all")).and_then(|mut file| {
        let size = file.metadata()?.len();
        file.seek(SeekFrom::Start(size.saturating_sub(len)))?;
        // It may have grown by megabytes meanwhile.
        file.take(len).read_to_end(&mut last)
    });
    // There may be no output yet.
    read.map_or_else(|_| Vec::new(), |_| last)
}

/// A line of the process's status in KiB; 0 where the system does not tell.
pub(super) fn memory_kib(name: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}
