//! Lines and holes that are larger than memory. Each of these needs a process of its own.

use std::fs::{self, File};
use std::future::{Future, ready};
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tailmerge_core::{Backend, Batch, GapReason, LongLines, PartialWrite, Writer};

use super::process::memory_kib;
use crate::kit::{Scene, TestFs, start, stop};

cases! { large, each in its own process:
    a_line_longer_than_memory_is_dealt_with_exactly
    a_hole_of_a_gibibyte_costs_little
    a_hole_with_nuls_in_it_costs_little
}

/// What a merge of these may take, above what the process had before.
const MEMORY_MAX_KIB: u64 = 24 * 1024;

/// The limit of a line, in bytes: the default.
const LIMIT: u64 = 1024 * 1024;

/// Bytes of the longest line, unless the environment says otherwise: `TAILMERGE_LONG_LINE=5368709120`.
const LONGEST: u64 = 24 * LIMIT + 12_345;

/// What was written, without keeping it.
#[derive(Clone, Default)]
struct Counts(Arc<Mutex<Counted>>);

#[derive(Default)]
struct Counted {
    bytes: u64,
    lines: u64,
    /// The last bytes.
    tail: Vec<u8>,
}

impl Writer for Counts {
    fn write(&mut self, batch: &Batch) -> impl Future<Output = Result<(), PartialWrite>> {
        let bytes = batch.bytes();
        let mut counted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counted.bytes += bytes.len() as u64;
        counted.lines += memchr::memchr_iter(b'\n', bytes).count() as u64;
        counted.tail.extend_from_slice(&bytes[bytes.len().saturating_sub(8)..]);
        let kept = counted.tail.len().saturating_sub(8);
        counted.tail.drain(..kept);
        ready(Ok(()))
    }

    fn flush(&mut self) -> impl Future<Output = io::Result<()>> {
        ready(Ok(()))
    }
}

/// Lines at the limit, one byte beyond, and many times as long: memory stays small, each is dealt with as is asked for
/// and counted to the byte, and the next line is whole.
fn a_line_longer_than_memory_is_dealt_with_exactly<B: Backend>(backend: B) {
    let longest = std::env::var("TAILMERGE_LONG_LINE").ok().and_then(|bytes| bytes.parse().ok()).unwrap_or(LONGEST);
    let before = memory_kib("VmRSS:");
    for len in [LIMIT, LIMIT + 1, longest] {
        for policy in [LongLines::Split, LongLines::Truncate, LongLines::Skip] {
            // It takes no room on the disk.
            let scene = Scene::on(TestFs::new().without_holes());
            let file = File::create(scene.path("a.log")).expect("a file of the case");
            file.write_all_at(b"begin\nx", 0).expect("a file of the case");
            file.write_all_at(b"y\nnext\n", 6 + len - 1).expect("a file of the case");
            let counts = Counts::default();
            let writer = counts.clone();
            let builder = scene.builder().once(true).path(scene.path("a.log")).long_lines(policy);
            let merge = start(builder.writer(|_| ready(Ok(writer))), backend.clone());
            // However long it takes: as long as it goes on, that is no failure.
            let report = merge.stop_blocking(Duration::MAX).expect("the merge ends well");
            assert!(report.drained, "{report:?}");

            let over = len > LIMIT;
            let pieces = len.div_ceil(LIMIT);
            let (bytes, lines, gap) = match policy {
                _ if !over => (len + 1, 1, None),
                LongLines::Split => (len + pieces, pieces, None),
                LongLines::Truncate => (LIMIT + 1, 1, Some((6 + LIMIT, 6 + len))),
                _ => (0, 0, Some((6, 6 + len + 1))),
            };
            let counted = counts.0.lock().unwrap_or_else(PoisonError::into_inner);
            let what = format!("{policy:?}, {len} bytes");
            assert_eq!((counted.bytes, counted.lines), (6 + bytes + 5, lines + 2), "{what}");
            assert!(counted.tail.ends_with(b"\nnext\n"), "{what}: {:?}", counted.tail);
            assert_eq!((report.long_lines, report.hole_bytes), (u64::from(over), 0), "{what}");
            let gaps: Vec<_> = report.gaps.iter().map(|gap| (gap.start, gap.end)).collect();
            assert_eq!(gaps, Vec::from_iter(gap), "{what}");
            assert!(report.gaps.iter().all(|gap| gap.reason == GapReason::LineLimit), "{what}");
            let taken = memory_kib("VmHWM:").saturating_sub(before);
            assert!(taken <= MEMORY_MAX_KIB, "{what}: {taken} KiB");
        }
    }
}

/// A hole of a gibibyte, which a producer that does not append leaves when its file is cut, costs next to nothing.
fn a_hole_of_a_gibibyte_costs_little<B: Backend>(backend: B) {
    const HOLE: u64 = (1 << 30) + 100;
    const CPU_MAX: Duration = Duration::from_secs(1);
    let scene = Scene::new();
    let file = File::create(scene.path("a.log")).expect("a file of the case");
    file.write_all_at(b"old\n", 0).expect("a file of the case");
    let merge = start(scene.builder().path(scene.path("a.log")), backend);
    scene.expect("old\n");
    let (memory, cpu) = (memory_kib("VmRSS:"), cpu_time());
    scene.truncate("a.log");
    file.write_all_at(b"new\n", HOLE).expect("a file of the case");
    scene.expect("old\nnew\n");
    let report = stop(&merge);
    assert_eq!((report.hole_bytes, report.gaps.len()), (HOLE, 0), "{report:?}");
    let (taken, spent) = (memory_kib("VmHWM:").saturating_sub(memory), cpu_time() - cpu);
    assert!(taken <= MEMORY_MAX_KIB && spent < CPU_MAX, "{taken} KiB, {spent:?}");
}

/// So does a hole of a tebibyte with NUL bytes written here and there; it is one, and other files do not wait for it.
fn a_hole_with_nuls_in_it_costs_little<B: Backend>(backend: B) {
    const HOLE: u64 = (1 << 40) + 5000;
    // Looking at each block of it would take far longer; a build without optimization takes 2 s.
    const CPU_MAX: Duration = Duration::from_secs(10);
    let scene = Scene::new();
    let file = File::create(scene.path("sparse.log")).expect("a file of the case");
    let write = |bytes: &[u8], at: u64| file.write_all_at(bytes, at).expect("a file of the case");
    // Blocks within the hole, one after the other, and long runs.
    for at in 1..500 {
        write(&[0; 4096], at * 8192);
        write(&[0; 100], (at << 30) + at);
    }
    write(&vec![0; 3 << 20], (3 << 30) + 1);
    write(b"next\n", HOLE);
    scene.write("a.log", "");
    let cpu = cpu_time();
    let merge = start(scene.builder().input(scene.pattern("*.log")), backend);
    let mut want = "next\n".to_owned();
    scene.expect_lines(1);
    for round in 0..10 {
        scene.append("a.log", format!("a {round}\n"));
        want += &format!("a {round}\n");
        scene.expect(&want);
    }
    let report = stop(&merge);
    assert_eq!((report.hole_bytes, report.gaps.len()), (HOLE, 0), "{report:?}");
    assert_eq!(scene.events.count("skipped a hole from byte 0"), 1);
    let spent = cpu_time() - cpu;
    assert!(spent < CPU_MAX, "{spent:?}");
}

/// What this process has had of the processors; nothing where the system does not tell.
fn cpu_time() -> Duration {
    /// Clock ticks of Linux are hundredths of a second.
    const TICK: Duration = Duration::from_millis(10);
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The fields after the name, which may hold anything.
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
    let ticks: u32 = fields.split_whitespace().skip(11).take(2).filter_map(|ticks| ticks.parse::<u32>().ok()).sum();
    TICK * ticks
}
