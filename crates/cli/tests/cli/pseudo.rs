//! Files whose size says nothing, as those of `/proc` and `/sys`, and files with holes in them.

use std::fs::{self, File};
use std::os::unix::fs::{FileExt, symlink};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::tool::{Dir, Running, numbered, wait_until};

/// 4096 bytes by its size; a few can be read.
const SYS: &str = "/sys/class/net/lo/mtu";

/// Nothing by its size; another line each time that it is read.
const PROC: &str = "/proc/uptime";

/// Whether the machine has such files.
fn is_there() -> bool {
    let there =
        [(SYS, 4096), (PROC, 0)].iter().all(|(path, size)| fs::metadata(path).is_ok_and(|it| it.len() == *size));
    if !there {
        eprintln!("SKIPPED: there is no {SYS} or {PROC} here, or they are not what they are elsewhere");
    }
    there
}

/// Hundredths of a second that a process has had of the processors.
fn busy(running: &mut Running) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{}/stat", running.child().id())).unwrap();
    let (_, fields) = stat.rsplit_once(')').unwrap();
    fields.split_whitespace().skip(11).take(2).map(|field| field.parse::<u64>().unwrap()).sum()
}

#[test]
fn files_of_the_kernel_are_read_to_their_end_once() {
    if !is_there() {
        return;
    }
    let dir = Dir::new();
    dir.write("a.log", numbered("a", 1000));
    let finished = dir.run(["--once", "a.log", SYS, PROC, "/proc/self/cmdline"]).expect_quiet();
    let output = String::from_utf8(finished.stdout).unwrap();
    assert_eq!(output.lines().filter(|line| line.starts_with("a ")).count(), 1000);
    let mtu = fs::read_to_string(SYS).unwrap();
    assert_eq!(output.lines().filter(|line| *line == mtu.trim_end()).count(), 1, "{mtu}");
    assert_eq!(output.lines().count(), 1003, "the last is a line without a newline");
}

#[test]
fn files_of_the_kernel_harm_no_other_and_cost_little() {
    if !is_there() {
        return;
    }
    let dir = Dir::new();
    dir.write("logs/a.log", "");
    symlink(SYS, dir.path("logs/mtu.log")).unwrap();
    symlink(PROC, dir.path("logs/uptime.log")).unwrap();
    let mut running = dir.tailmerge(["-o", "all", "logs/*.log"]).start();
    running.until_said("mtu.log: its size says nothing");
    running.until_said("uptime.log: its size says nothing");
    let (began, before) = (Instant::now(), busy(&mut running));
    for line in 0..10 {
        let appended = Instant::now();
        dir.append("logs/a.log", format!("line {line}\n"));
        wait_until("the line is out", || dir.text("all").contains(&format!("line {line}\n")));
        assert!(appended.elapsed() < Duration::from_secs(2), "after {:?}", appended.elapsed());
        wait_until("a while is over", || appended.elapsed() > Duration::from_millis(200));
    }
    let used = (busy(&mut running) - before) as f64 / began.elapsed().as_secs_f64();
    assert!(used < 20.0, "{used:.0} % of a processor");
    let finished = running.stop().expect(0).says_not("truncated").says_not("not in the output");
    assert_eq!(finished.stderr.matches("its size says nothing").count(), 2, "{}", finished.stderr);
    // It is another line each time.
    let uptimes = dir.text("all").lines().filter(|line| !line.starts_with("line") && line.contains(' ')).count();
    assert!((1..=10).contains(&uptimes), "{uptimes} lines of {PROC}");
}

#[test]
fn nuls_in_a_sparse_file_cost_no_other_its_time() {
    const END: u64 = 1 << 40;
    let dir = Dir::new();
    let sparse = File::create(dir.path("sparse.log")).unwrap();
    sparse.write_all_at(&[0; 4096], 4096).unwrap();
    sparse.set_len(END).unwrap();
    dir.write("a.log", numbered("a", 1000));
    let began = Instant::now();
    let finished = dir.run(["--once", "sparse.log", "a.log"]).expect(0);
    assert_eq!(finished.stdout.len(), Path::new(&dir.path("a.log")).metadata().unwrap().len() as usize);
    assert!(finished.stderr.contains(&format!("skipped a hole from byte 0 to {END}")), "{}", finished.stderr);
    assert!(began.elapsed() < Duration::from_secs(20), "it took {:?}", began.elapsed());
}
