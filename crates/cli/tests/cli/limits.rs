//! What the system does not give: descriptors, threads, memory. Either all works, or one line says what is missing and
//! nothing was touched.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use rustix::process::{Pid, Resource, Rlimit, getrlimit, getuid, prlimit};

use crate::tool::{Dir, Finished, Running, Tool, numbered, wait_until};

const PROGRAM: &str = env!("CARGO_BIN_EXE_tailmerge");

/// Most inputs of a run here; what is left to be opened when the program has what it needs is less.
const INPUTS: usize = 12;

/// Starts the program in each way there is, behind the command `wrapper`, and judges each run.
fn each_way(wrapper: &[&str], owner: Option<u32>, met: &mut Met) {
    for backend in ["smol", "async-std"] {
        for once in [true, false] {
            let dir = Dir::new();
            (0..INPUTS).for_each(|file| dir.write(format!("{file}.log"), numbered(&file.to_string(), 5)));
            dir.write("all", "precious\n");
            if let Some(owner) = owner {
                give(&dir.path(""), owner);
            }
            let mut args = vec!["--backend", backend, "--append", "-o", "all", "--report", "r.json", "*.log"];
            if once {
                args.push("--once");
            }
            let command = [&wrapper[1..], &[PROGRAM], &args].concat();
            let running = Tool::new(Path::new(wrapper[0]), &dir.path("")).args(command).start();
            let finished = if once { running.finish() } else { when_merged(running, &dir) };
            judge(&finished, &dir, met, &format!("{wrapper:?}, {args:?}"));
        }
    }
}

/// Gives a directory and what is in it to a user.
fn give(dir: &Path, owner: u32) {
    for path in fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).chain([dir.to_owned()]) {
        std::os::unix::fs::chown(path, Some(owner), None).unwrap();
    }
}

/// Stops it when all lines are out, if it gets that far.
fn when_merged(mut running: Running, dir: &Dir) -> Finished {
    wait_until("all is merged, or it has ended", || {
        !running.is_running() || dir.text("all").lines().count() > INPUTS * 5
    });
    if running.is_running() { running.stop() } else { running.finish() }
}

/// What was met in a number of runs.
#[derive(Debug, Default)]
struct Met {
    worked: bool,
    told: bool,
}

fn judge(finished: &Finished, dir: &Dir, met: &mut Met, run: &str) {
    let lines = dir.text("all").lines().count() - 1;
    match finished.status {
        Some(0) => {
            assert_eq!(lines, INPUTS * 5, "{run} ends with 0 and says {}", finished.stderr);
            met.worked = true;
        }
        Some(1) => {
            assert_eq!(finished.stderr.lines().count(), 1, "{run} says {}", finished.stderr);
            assert!(finished.stderr.contains("raise the limit"), "{run} says {}", finished.stderr);
            assert_eq!(lines, 0, "{run}");
            assert!(!dir.path("r.json").exists(), "{run} leaves a report");
            met.told = true;
        }
        other => panic!("{run} ends with {other:?} and says {}", finished.stderr),
    }
}

impl Met {
    #[track_caller]
    fn both(self) {
        assert!(self.worked && self.told, "{self:?}");
    }
}

#[test]
fn too_few_descriptors_are_told_before_anything_is_touched() {
    let mut met = Met::default();
    for files in (5..=41).step_by(4) {
        let script = format!("ulimit -n {files}; exec \"$0\" \"$@\"");
        each_way(&["/bin/sh", "-c", &script], None, &mut met);
    }
    met.both();
}

#[test]
fn too_few_threads_are_told_before_anything_is_touched() {
    let there = |program| Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success());
    if !getuid().is_root() || !there("setpriv") || !there("prlimit") {
        eprintln!("skipped: needs root, setpriv and prlimit, since the limit is one of a user's");
        return;
    }
    // A user that nobody else is.
    let owner = 1_000_000 + std::process::id();
    let mut met = Met::default();
    let user = format!("--reuid={owner}");
    let most = 14 + std::thread::available_parallelism().unwrap().get();
    for threads in (1..7).chain([most]) {
        let limit = format!("--nproc={threads}");
        each_way(&["setpriv", &user, "--clear-groups", "prlimit", &limit], Some(owner), &mut met);
    }
    met.both();
}

#[test]
fn too_little_memory_is_told_before_anything_is_touched() {
    let mut met = Met::default();
    // In KiB. Less than 16 MB and the system cannot even load the program.
    for memory in (20_000..=220_000).step_by(20_000) {
        let script = format!("ulimit -v {memory}; exec \"$0\" \"$@\"");
        each_way(&["/bin/sh", "-c", &script], None, &mut met);
    }
    met.both();
}

#[test]
fn buffers_that_no_memory_can_hold_are_told() {
    let dir = Dir::new();
    dir.write("a.log", "a\n");
    let script = "ulimit -v 3000000; exec \"$0\" \"$@\"";
    let args = ["-c", script, PROGRAM, "--once", "--max-line-bytes", "1GiB", "-o", "all", "a.log"];
    let finished = Tool::new("/bin/sh".as_ref(), &dir.path("")).args(args).start().finish();
    finished.expect(1).says("lower --memory or --max-line-bytes");
    assert!(!dir.path("all").exists());
}

#[test]
fn a_limit_of_descriptors_that_falls_while_it_runs_only_holds_up() {
    for backend in ["smol", "async-std"] {
        let dir = Dir::new();
        dir.write("0.log", "0 0\n");
        let args = ["--backend", backend, "--poll-interval", "10ms", "-o", "all", "*.log"];
        let mut running = dir.tailmerge(args).start();
        wait_until("the first line is merged", || dir.text("all") == "0 0\n");
        let pid = Pid::from_child(running.child());
        let maximum = getrlimit(Resource::Nofile).maximum;
        let set = |current| prlimit(Some(pid), Resource::Nofile, Rlimit { current: Some(current), maximum }).unwrap();
        set(3);
        (1..5).for_each(|file| dir.write(format!("{file}.log"), format!("{file} 0\n")));
        running.until_said("Too many open files");
        let before = cpu_time(pid);
        std::thread::sleep(Duration::from_millis(300));
        let spent = cpu_time(pid) - before;
        assert!(spent < Duration::from_millis(150), "{spent:?} in 300 ms");
        set(100);
        wait_until("all lines are merged", || dir.text("all").lines().count() == 5);
        running.stop().expect(0);
    }
}

/// Processor time that a process has taken.
pub(crate) fn cpu_time(pid: Pid) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split(' ').collect();
    let ticks: u64 = fields[12..14].iter().map(|ticks| ticks.parse::<u64>().unwrap()).sum();
    Duration::from_millis(ticks * 10)
}

#[test]
fn an_executor_without_threads_is_told() {
    let dir = Dir::new();
    dir.write("a.log", "a\n");
    let mut tool = dir.tailmerge(["--once", "--backend", "smol", "a.log"]);
    tool.command().env("SMOL_THREADS", "0");
    tool.start().finish().expect(2).says("unset SMOL_THREADS");
    let mut tool = dir.tailmerge(["--once", "--backend", "async-std", "a.log"]);
    tool.command().env("ASYNC_STD_THREAD_COUNT", "0");
    assert_eq!(tool.start().finish().expect_quiet().stdout, b"a\n");
}
