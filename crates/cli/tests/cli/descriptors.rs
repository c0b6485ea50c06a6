//! Few descriptors, and others who take them.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use rustix::fs::OFlags;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::tool::{Dir, Running, Tool, lines_of, numbered, wait_until};

/// The program under a limit of open files.
fn limited(dir: &Dir, limits: &str, args: &[&str]) -> Tool {
    let program = [env!("CARGO_BIN_EXE_tailmerge")];
    Tool::new(Path::new("sh"), &dir.path(""))
        .args(["-c", &format!("{limits} && exec \"$@\""), "sh"])
        .args(program)
        .args(args)
}

/// Lets this process have as many open files as it may.
fn raise_limit() {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).unwrap();
}

/// Files of these that the program has open.
fn open_in(tool: &mut Running, dir: &Path) -> usize {
    let descriptors = fs::read_dir(format!("/proc/{}/fd", tool.child().id())).unwrap();
    // One may be closed meanwhile.
    descriptors
        .filter_map(|descriptor| fs::read_link(descriptor.ok()?.path()).ok())
        .filter(|file| file.starts_with(dir))
        .count()
}

#[test]
fn more_files_than_may_be_open_are_all_merged() {
    let dir = Dir::new();
    for file in 0..300 {
        dir.write(format!("{file}.log"), format!("line {file}\n"));
    }
    let finished = limited(&dir, "ulimit -n 24", &["--once", "*.log"]).start().finish().expect(0);
    assert_eq!(String::from_utf8(finished.stdout).unwrap().lines().count(), 300);
}

#[test]
fn the_soft_limit_of_open_files_is_raised() {
    let dir = Dir::new();
    dir.write("a.log", "a\n");
    let mut tool = limited(&dir, "ulimit -Sn 40 && ulimit -Hn 300", &["-o", "all", "a.log"]).start();
    wait_until("it runs", || dir.text("all") == "a\n");
    let limits = fs::read_to_string(format!("/proc/{}/limits", tool.child().id())).unwrap();
    let limit = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    assert_eq!(limit.split_whitespace().nth(3), Some("300"), "{limit}");
    tool.stop().expect_quiet();
}

/// Files that are removed and still open somewhere are let go once they are read, when there are too many; a file beside
/// them is followed all the time.
#[test]
fn files_removed_by_the_hundred_do_not_take_all_descriptors() {
    raise_limit();
    let dir = Dir::new();
    dir.write("victim.log", "");
    let args = ["-o", "all", "--report", "report", "--rotated-grace", "1h", "*.log"];
    let mut tool = limited(&dir, "ulimit -n 64", &args).start();
    let mut held = Vec::new();
    for round in 0..120 {
        let name = format!("{round}.log");
        let mut file = File::create_new(dir.path(&name)).unwrap();
        writeln!(file, "line of {name}").unwrap();
        held.push(file);
        dir.append("victim.log", format!("victim {round}\n"));
        wait_until("both lines are out", || dir.text("all").lines().count() == 2 * (round + 1));
        fs::remove_file(dir.path(&name)).unwrap();
    }
    wait_until("they are let go", || open_in(&mut tool, &dir.path("")) < 56);
    tool.stop().expect(0);
    assert!(!dir.text("report").contains("\"possible_losses\": 0,\n  \"inputs\""), "{}", dir.text("report"));
}

/// Where that is not enough, because they cannot be read, those of the directory go that has most.
#[test]
fn of_removed_files_that_cannot_be_read_the_crowd_goes_first() {
    let dir = Dir::new();
    let output = dir.fifo("out");
    dir.write("victim/v.log", "victim 0\n");
    dir.write("crowd/0.log", "");
    let (victim, crowd) = (dir.path("victim"), dir.path("crowd"));
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    let reader = File::options().read(true).custom_flags(flags).open(&output).unwrap();
    let args = ["-o", "out", "--report", "report", "--memory", "4200000", "victim/*.log", "crowd/*.log"];
    let mut tool = limited(&dir, "ulimit -n 64", &args).start();
    wait_until("all files are open", || open_in(&mut tool, &crowd) + open_in(&mut tool, &victim) == 2);
    // Much more than the pipe and the program's memory hold.
    dir.append("crowd/0.log", numbered("crowd", 1_000_000));
    let io = format!("/proc/{}/io", tool.child().id());
    let read = || -> u64 { fs::read_to_string(&io).unwrap().split_whitespace().nth(1).unwrap().parse().unwrap() };
    wait_until("reading has come to a stop", || {
        let before = read();
        std::thread::sleep(Duration::from_millis(100));
        // What wakes its threads counts as read, too: some bytes each time.
        before > 300_000 && read() < before + 1000
    });
    dir.append("victim/v.log", numbered("victim", 100));
    fs::remove_dir_all(&victim).unwrap();
    let said = |tool: &Running| tool.stderr().contains("too many such files");
    for round in 0..5 {
        let names: Vec<_> = (0..14).map(|file| format!("crowd/{round}-{file}.log")).collect();
        names.iter().for_each(|name| dir.append(name, numbered("crowd", 100)));
        wait_until("they are open", || said(&tool) || open_in(&mut tool, &crowd) >= 14 * (round + 1));
        names.iter().for_each(|name| fs::remove_file(dir.path(name)).unwrap());
    }
    tool.until_said("too many such files");
    // It does not wait, since the program has the other end open.
    let from = File::open(&output).unwrap();
    let all = std::thread::spawn(move || io::read_to_string(from).unwrap());
    drop(reader);
    tool.stop().expect(3);
    let all = all.join().unwrap();
    assert_eq!(lines_of(&all, "victim").len(), 101);
    let report = dir.text("report");
    let gaps = &report[report.find("\"gaps\"").unwrap()..report.find("\"failed_inputs\"").unwrap()];
    assert!(gaps.contains("crowd/") && !gaps.contains("victim/"), "{gaps}");
}

#[test]
fn what_may_be_lost_is_in_the_report() {
    let dir = Dir::new();
    dir.write("a.log", "1\n");
    let tool = dir.tailmerge(["-o", "all", "--report", "report", "a.log"]).start();
    wait_until("the first line is out", || dir.text("all") == "1\n");
    File::options().write(true).open(dir.path("a.log")).unwrap().set_len(0).unwrap();
    tool.until_said("truncated");
    tool.stop().expect(0);
    assert_eq!(dir.text("report").matches("\"possible_losses\": 1").count(), 2, "{}", dir.text("report"));
}
