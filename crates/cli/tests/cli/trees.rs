//! Trees of directories that nobody made for logs.

use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, mkdirat, openat, renameat, unlinkat};
use rustix::process::Pid;

use crate::limits::cpu_time;
use crate::tool::{Dir, wait_until};

/// How deep the tree is: a path of so many names is longer than the system takes.
const DEPTH: usize = 1200;

/// What each directory of it is called.
const NAME: &str = "deep";

/// A tree that is removed one level at a time, since its paths are too long.
struct DeepTree(OwnedFd);

impl DeepTree {
    fn new(dir: &Dir) -> Self {
        let top = openat(CWD, dir.path("logs"), OFlags::PATH | OFlags::DIRECTORY, Mode::empty()).unwrap();
        let mut below = top.as_fd().try_clone_to_owned().unwrap();
        for _ in 0..DEPTH {
            mkdirat(&below, NAME, Mode::RWXU).unwrap();
            below = openat(&below, NAME, OFlags::PATH | OFlags::DIRECTORY, Mode::empty()).unwrap();
        }
        Self(top)
    }
}

impl Drop for DeepTree {
    fn drop(&mut self) {
        while renameat(&self.0, "deep/deep", &self.0, "next").is_ok() {
            unlinkat(&self.0, NAME, AtFlags::REMOVEDIR).unwrap();
            renameat(&self.0, "next", &self.0, NAME).unwrap();
        }
    }
}

#[test]
fn a_tree_deeper_than_a_path_can_be_long_costs_nothing_once_it_is_known() {
    let dir = Dir::new();
    dir.write("logs/a.log", "1\n");
    let _tree = DeepTree::new(&dir);
    let mut running = dir.tailmerge(["-o", "all", "logs/**/*.log"]).start();
    running.until_said("logs: there are paths in it of more than 4095 bytes");
    wait_until("the first line is merged", || dir.text("all") == "1\n");
    let pid = Pid::from_child(running.child());
    let share = || {
        let (began, before) = (Instant::now(), cpu_time(pid));
        wait_until("half a second is over", || began.elapsed() > Duration::from_millis(500));
        (cpu_time(pid) - before).as_secs_f64() / began.elapsed().as_secs_f64()
    };
    // Twice, since an interval may lie between two looks.
    wait_until("it takes no time", || share() < 0.05 && share() < 0.05);
    dir.append("logs/a.log", "2\n");
    dir.write("logs/x/b.log", "3\n");
    wait_until("new lines are merged", || dir.text("all").lines().count() == 3);
    let finished = running.stop().expect(0);
    assert_eq!(finished.stderr.matches("more than 4095 bytes").count(), 1, "{}", finished.stderr);
    // A merge that is to be complete is not.
    dir.run(["--once", "logs/**/*.log"]).expect(1).says("more than 4095 bytes or 128 nested directories");
}

#[test]
fn what_is_nested_deeper_than_so_many_directories_is_told_and_left_alone() {
    let dir = Dir::new();
    let nested = |levels: usize| format!("logs/{}", "d/".repeat(levels));
    dir.write(nested(128) + "a.log", "1\n");
    dir.write(nested(129) + "b.log", "too deep\n");
    let running = dir.tailmerge(["-o", "all", "logs/**/*.log"]).start();
    running.until_said(
        "logs: there are paths in it of more than 4095 bytes or 128 nested directories; they are left alone",
    );
    wait_until("the first line is merged", || dir.text("all") == "1\n");
    // Names that are told of are not taken on either.
    dir.write(nested(128) + "d/c.log", "too deep\n");
    dir.append(nested(128) + "a.log", "2\n");
    wait_until("the next line is merged", || dir.text("all") == "1\n2\n");
    running.stop().expect(0);
    assert_eq!(dir.text("all"), "1\n2\n");
}
