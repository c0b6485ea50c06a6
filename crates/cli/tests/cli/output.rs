//! Outputs that fail, fill up, stand still or go away.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::tool::{Dir, Tool, numbered, wait_until};

#[test]
fn a_missing_directory_of_the_output_is_told() {
    let dir = Dir::new();
    dir.write("a.log", "a\n");
    let finished = dir.run(["--once", "-o", "no/such/all.log", "a.log"]).expect(1).says("no/such/all.log");
    assert_eq!(finished.stderr.lines().count(), 1);
    assert!(!dir.path("no").exists());
}

#[test]
fn a_directory_as_output_is_told() {
    let dir = Dir::new();
    dir.write("a.log", "a\n");
    fs::create_dir(dir.path("out")).unwrap();
    dir.run(["--once", "-o", "out", "a.log"]).expect(1).says("out").says("directory");
}

#[test]
fn a_bad_path_of_the_report_is_told_before_the_output_is_touched() {
    let dir = Dir::new();
    dir.write("a.log", "a\n");
    dir.write("all", "precious\n");
    dir.run(["--once", "-o", "all", "--report", "no/r.json", "a.log"]).expect(1).says("no/r.json");
    assert_eq!(dir.text("all"), "precious\n");
}

#[test]
fn a_failure_is_in_the_report_too() {
    let dir = Dir::new();
    dir.write("a.log", "a\n");
    dir.run(["--once", "-o", "no/all.log", "--report", "r.json", "a.log"]).expect(1);
    let report: serde_json::Value = serde_json::from_slice(&dir.read("r.json")).unwrap();
    assert_eq!(report["status"], 1);
    assert!(report["error"].as_str().is_some_and(|error| error.contains("no/all.log")), "{report}");
}

#[test]
fn an_output_that_fails_for_good_ends_the_merge() {
    let dir = Dir::new();
    dir.write("a.log", numbered("a", 100_000));
    // No file may become larger than that; the signal that says so is not to end it.
    let script = "ulimit -f 100; exec \"$0\" \"$@\"";
    let program = env!("CARGO_BIN_EXE_tailmerge");
    let args = ["-c", script, program, "-o", "all", "--report", "r.json", "a.log"];
    let running = Tool::new("/bin/sh".as_ref(), &dir.path("")).args(args).start();
    let finished = running.finish().expect(1).says("all: the output cannot be written").says("too large");
    assert_eq!(finished.stderr.lines().count(), 1, "{}", finished.stderr);
    let output = dir.text("all");
    assert!(!output.is_empty() && output.ends_with('\n'));
    assert!(numbered("a", 100_000).starts_with(&output));
    let report: serde_json::Value = serde_json::from_slice(&dir.read("r.json")).unwrap();
    assert_eq!((&report["status"], &report["bytes"]), (&1.into(), &output.len().into()));
    assert!(report["error"].as_str().is_some_and(|error| error.contains("too large")), "{report}");
}

#[test]
fn two_outputs_to_one_file_are_refused() {
    let dir = Dir::new();
    dir.write("a.log", "a\n");
    dir.write("b.log", "b\n");
    let running = dir.tailmerge(["-o", "all", "a.log"]).start();
    wait_until("the first one writes", || dir.text("all") == "a\n");
    dir.run(["--once", "-o", "all", "b.log"]).expect(1).says("all");
    assert_eq!(dir.text("all"), "a\n");
    running.stop().expect_quiet();
}

#[test]
fn a_reader_that_has_read_enough_ends_it_quietly() {
    for args in [&["--once", "a.log"][..], &["a.log"]] {
        let dir = Dir::new();
        dir.write("a.log", numbered("a", 500_000));
        let mut running = dir.tailmerge(args).stdout(Stdio::piped()).start();
        let mut line = String::new();
        BufReader::new(running.child().stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "a 0\n");
        running.finish().expect_quiet();
    }
}

#[test]
fn a_reader_that_goes_away_is_noticed_while_nothing_is_written() {
    let dir = Dir::new();
    dir.write("a.log", "a\n");
    let mut running = dir.tailmerge(["a.log"]).stdout(Stdio::piped()).start();
    let mut line = String::new();
    BufReader::new(running.child().stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "a\n");
    running.finish().expect_quiet();
}

#[test]
fn help_and_explain_end_quietly_when_nobody_reads_them() {
    let dir = Dir::new();
    dir.write("a.log", "a\n");
    for args in [&["--help"][..], &["--explain", "a.log"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        dir.tailmerge(args).stdout(writer).start().finish().expect_quiet();
    }
}

#[test]
fn a_full_device_gets_no_room_and_ends_the_merge() {
    let dir = Dir::new();
    dir.write("a.log", "a\n");
    let full = File::options().write(true).open("/dev/full").unwrap();
    let finished = dir.tailmerge(["a.log"]).stdout(full).start().finish().expect(1);
    assert_eq!(
        finished.stderr,
        "tailmerge: standard output: the output cannot be written: No space left on device (os error 28)\n"
    );
    let finished = dir.run(["-o", "/dev/full", "--report", "r.json", "a.log"]).expect(1);
    assert_eq!(
        finished.stderr,
        "tailmerge: /dev/full: the output cannot be written: No space left on device (os error 28)\n"
    );
    let report: serde_json::Value = serde_json::from_slice(&dir.read("r.json")).unwrap();
    assert_eq!((&report["status"], &report["unwritten_bytes"]), (&1.into(), &2.into()), "{report}");
}

#[test]
fn an_output_that_is_waited_for_is_named() {
    let dir = Dir::new();
    dir.write("a.log", "a\n");
    dir.fifo("fifo");
    let running = dir.tailmerge(["-o", "fifo", "--stop-timeout", "100ms", "a.log"]).start();
    running.until_said("fifo: the output cannot be written: nobody has opened it for reading yet; waiting\n");
    running.stop().expect(1);
}

#[test]
fn a_fifo_that_is_read_at_last_is_told() {
    let dir = Dir::new();
    dir.write("a.log", "a\n");
    let fifo = dir.fifo("fifo");
    let running = dir.tailmerge(["--once", "-o", "fifo", "a.log"]).start();
    running.until_said("waiting");
    assert_eq!(fs::read(fifo).unwrap(), b"a\n");
    let finished = running.finish().expect(0).says("fifo: the output can be written again\n");
    assert_eq!(finished.stderr.lines().count(), 2, "{}", finished.stderr);
}

/// A small file system of its own, as long as it is wanted.
struct Tmpfs(PathBuf);

impl Tmpfs {
    fn mount(path: PathBuf) -> Option<Self> {
        fs::create_dir(&path).unwrap();
        let args = ["-t", "tmpfs", "-o", "size=1m", "tmpfs"];
        let mounted = Command::new("mount").args(args).arg(&path).stderr(Stdio::null()).status();
        mounted.is_ok_and(|status| status.success()).then(|| Self(path))
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("-l").arg(&self.0).status());
    }
}

#[test]
fn a_full_file_system_is_waited_for_and_nothing_is_lost() {
    const BALLAST: usize = 800 << 10;
    /// How long it must stay at its one message: several attempts to write.
    const PATIENCE: Duration = Duration::from_millis(1500);

    let dir = Dir::new();
    let Some(_mounted) = Tmpfs::mount(dir.path("full")) else {
        println!("skipped: mounting a file system is not permitted here");
        return;
    };
    dir.write("full/ballast", vec![0; BALLAST]);
    let content = numbered("a", 60_000);
    assert!(content.len() > (1 << 20) - BALLAST && content.len() < 1 << 20);
    dir.write("a.log", &content);
    let mut running = dir.tailmerge(["--once", "-o", "full/all.log", "a.log"]).start();
    running.until_said("waiting");
    let (since, before) = (Instant::now(), dir.text("full/all.log"));
    wait_until("it has had its time to complain", || {
        assert!(running.is_running(), "it gave up: {}", running.stderr());
        assert_eq!(running.stderr().lines().count(), 1, "{}", running.stderr());
        since.elapsed() > PATIENCE
    });
    assert!(before.len() < content.len());
    fs::remove_file(dir.path("full/ballast")).unwrap();
    running.finish().expect(0).says("full/all.log: the output can be written again\n");
    assert!(dir.text("full/all.log") == content, "lines are lost, doubled or torn");
}

#[test]
fn an_output_that_fills_its_file_system_may_be_removed_to_make_room() {
    let dir = Dir::new();
    let Some(_mounted) = Tmpfs::mount(dir.path("full")) else {
        println!("skipped: mounting a file system is not permitted here");
        return;
    };
    let content = numbered("a", 200_000);
    assert!(content.len() > 1 << 20 && content.len() < 2 << 20);
    dir.write("a.log", &content);
    let running = dir.tailmerge(["--once", "-o", "full/all", "a.log"]).start();
    running.until_said("waiting");
    let kept = dir.text("full/all");
    fs::remove_file(dir.path("full/all")).unwrap();
    let finished =
        running.finish().says("full/all: removed by somebody else").says("full/all: the output can be written");
    if finished.status == Some(3) {
        // It had not been seen at its path since it was written.
        finished.says("full/all: bytes 0 to 1048576 are not in the output: the output was removed");
    } else {
        finished.expect(0);
    }
    assert!(kept + &dir.text("full/all") == content, "lines are lost, doubled or torn");
}
