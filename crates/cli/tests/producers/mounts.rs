//! Directories that are mounted twice, replaced by another file system, or layers of one, in a mount name space of their
//! own.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use crate::kit::{Merged, Own, Stream, Written, line, program, report, run};
use crate::tool::{Dir, Running, Tool, wait_until};

/// A mount name space that nobody else sees. It is gone with the process that holds it.
pub(crate) struct Mounts(Own);

impl Mounts {
    /// # Panics
    ///
    /// If this user may not make one.
    pub(crate) fn new() -> Self {
        let mut command = Command::new(program("unshare", "util-linux"));
        command.args(["--mount", "--propagation", "private", "sh", "-c", "echo ready; read end"]);
        let mut holder = Own::start(command.stdin(Stdio::piped()).stdout(Stdio::piped()));
        let mut said = [0; 6];
        let read = std::io::Read::read_exact(holder.0.stdout.as_mut().unwrap(), &mut said);
        assert!(read.is_ok(), "no mount name space can be made: run this test as root");
        Self(holder)
    }

    /// What starts a program there.
    pub(crate) fn enter(&self) -> [String; 2] {
        [format!("--mount=/proc/{}/ns/mnt", self.0.0.id()), "--".to_owned()]
    }

    fn run<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) {
        run(Command::new(program("nsenter", "util-linux")).args(self.enter()).args(args));
    }

    fn mount<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) {
        let mut command = Command::new(program("nsenter", "util-linux"));
        run(command.args(self.enter()).arg("mount").args(args));
    }

    /// Starts the program there. Paths have to be absolute.
    pub(crate) fn tailmerge<S: AsRef<OsStr>>(&self, dir: &Dir, args: impl IntoIterator<Item = S>) -> Running {
        let tool = Tool::new(&program("nsenter", "util-linux"), &dir.path("")).args(self.enter());
        let tool = tool.args([env!("CARGO_BIN_EXE_tailmerge")]);
        tool.args(["-v".as_ref(), "-o".as_ref(), dir.path("all").as_os_str()])
            .args(["--report".as_ref(), dir.path("report").as_os_str()])
            .args(args)
            .start()
    }
}

pub(crate) fn dirs(names: &[&str]) -> Dir {
    let dir = Dir::new();
    names.iter().for_each(|name| fs::create_dir(dir.path(name)).unwrap());
    dir
}

pub(crate) fn wait_for_lines(dir: &Dir, lines: u64) {
    wait_until(&format!("{lines} lines are merged"), || dir.text("all").lines().count() as u64 >= lines);
}

/// Ends the program: each line of the stream has come, once and in order.
pub(crate) fn expect_all(dir: &Dir, running: Running, stream: &Stream) {
    running.stop().expect(0);
    Merged::read(&dir.path("all")).expect_all(&Written::from([("s".to_owned(), stream.next)]));
}

pub(crate) fn pattern(dir: &Dir, name: &str) -> PathBuf {
    dir.path(name).join("*.log*")
}

#[test]
#[ignore = "needs root, unshare and nsenter"]
fn a_directory_that_is_mounted_twice_is_read_once() {
    let mounts = Mounts::new();
    let dir = dirs(&["a", "b", "c"]);
    for name in ["b", "c"] {
        mounts.mount([Path::new("--bind"), &dir.path("a"), &dir.path(name)]);
    }
    let mut stream = Stream::open(dir.path("a/x.log"), "s");
    stream.write_many(1000);
    let running = mounts.tailmerge(&dir, ["a", "b", "c"].map(|name| pattern(&dir, name)));
    wait_for_lines(&dir, stream.next);
    for rotation in 0..20 {
        fs::rename(dir.path("a/x.log"), dir.path(format!("a/x.log.{rotation}"))).unwrap();
        stream.write_many(1000);
        stream.reopen();
        stream.write_many(1000);
        wait_for_lines(&dir, stream.next);
    }
    expect_all(&dir, running, &stream);
}

#[test]
#[ignore = "needs root, unshare and nsenter"]
fn a_file_lives_on_when_one_of_its_two_mounts_goes_away() {
    let mounts = Mounts::new();
    let dir = dirs(&["a", "b"]);
    mounts.mount([Path::new("--bind"), &dir.path("a"), &dir.path("b")]);
    let mut stream = Stream::open(dir.path("a/x.log"), "s");
    stream.write_many(1000);
    // The one that is looked at first is the one that goes away.
    let running = mounts.tailmerge(&dir, ["b", "a"].map(|name| pattern(&dir, name)));
    wait_for_lines(&dir, stream.next);
    mounts.run([OsStr::new("umount"), OsStr::new("--lazy"), dir.path("b").as_os_str()]);
    for _ in 0..5 {
        stream.write_many(1000);
        wait_for_lines(&dir, stream.next);
    }
    expect_all(&dir, running, &stream);
}

#[test]
#[ignore = "needs root, unshare and nsenter"]
fn a_directory_that_another_file_system_replaces_loses_nothing() {
    for over in [true, false] {
        let mounts = Mounts::new();
        let dir = dirs(&["a", "m"]);
        mounts.mount([Path::new("--bind"), &dir.path("a"), &dir.path("m")]);
        let mut old = Stream::open(dir.path("a/x.log"), "s");
        old.write_many(1000);
        let running = mounts.tailmerge(&dir, [pattern(&dir, "m")]);
        wait_for_lines(&dir, old.next);
        let copied = fs::read(dir.path("a/x.log")).unwrap();
        if !over {
            mounts.run([OsStr::new("umount"), OsStr::new("--lazy"), dir.path("m").as_os_str()]);
        }
        mounts.mount([OsStr::new("-t"), OsStr::new("tmpfs"), OsStr::new("none"), dir.path("m").as_os_str()]);
        // The producer still writes to the file that it has open.
        old.write_many(1000);
        dir.write("copied", &copied);
        mounts.run([Path::new("cp"), &dir.path("copied"), &dir.path("m/x.log")]);
        let fresh: String = (0..1000).map(|number| crate::kit::line("t", number)).collect();
        dir.write("fresh", fresh);
        let add = "cat \"$0\" >>\"$1\"";
        let (from, to) = (dir.path("fresh"), dir.path("m/x.log"));
        mounts.run([Path::new("sh"), Path::new("-c"), Path::new(add), &from, &to]);
        wait_until("what was added is merged", || Merged::read(&dir.path("all")).streams.contains_key("t"));
        running.stop().expect(0);
        assert_eq!(report(&dir, "report")["gaps"], serde_json::json!([]));
        let mut merged = Merged::read(&dir.path("all"));
        // The copy is another file, so its lines are lines of their own: those of the old one come, and those.
        let lines = merged.streams.get_mut("s").unwrap();
        let mut numbers: Vec<_> = lines.iter().map(|(number, _)| *number).collect();
        numbers.sort_unstable();
        let twice = numbers.windows(2).filter(|pair| pair[0] == pair[1]).count();
        assert!(twice == 0 || twice == 1000, "{twice} lines of the copy came again, out of 1000");
        println!("{twice} of the 1000 lines of the copy came again");
        let mut seen = [false; 2000];
        lines.retain(|(number, _)| !std::mem::replace(&mut seen[*number as usize], true));
        merged.expect_all(&Written::from([("s".to_owned(), 2000), ("t".to_owned(), 1000)]));
    }
}

/// Adds lines to a file as programs do that see what is mounted.
fn append(mounts: &Mounts, dir: &Dir, name: &str, lines: &str) {
    dir.write("lines", lines);
    mounts.run([
        Path::new("sh"),
        Path::new("-c"),
        Path::new("cat \"$0\" >>\"$1\""),
        &dir.path("lines"),
        &dir.path(name),
    ]);
}

#[test]
#[ignore = "needs root, unshare, nsenter, and overlay mounts"]
fn files_of_a_lower_layer_are_read_once_when_they_are_copied_up() {
    /// More than are kept open when they are idle.
    const FILES: usize = 80;
    /// Longer ago than a file is idle.
    const AGO: Duration = Duration::from_secs(3600);
    let mounts = Mounts::new();
    let dir = dirs(&["lower", "upper", "work", "m"]);
    let mut written = Written::new();
    for at in 0..FILES {
        let mut stream = Stream::open(dir.path(format!("lower/{at}.log")), &format!("s{at}"));
        stream.write_many(100);
        stream.file.set_modified(SystemTime::now() - AGO).unwrap();
        written.insert(stream.name, stream.next);
    }
    let [lower, upper, work] = ["lower", "upper", "work"].map(|name| dir.path(name).display().to_string());
    let options = format!("lowerdir={lower},upperdir={upper},workdir={work}");
    mounts.mount(["-t", "overlay", "-o", &options, "overlay", dir.path("m").to_str().unwrap()]);
    let mut running = mounts.tailmerge(&dir, [pattern(&dir, "m")]);
    wait_for_lines(&dir, written.values().sum());
    let open = |running: &mut Running| {
        let files = fs::read_dir(format!("/proc/{}/fd", running.child().id())).unwrap().flatten();
        let logs = files.filter_map(|file| fs::read_link(file.path()).ok());
        logs.filter(|path| path.extension() == Some(OsStr::new("log"))).count()
    };
    wait_until("some are open, and some are not", || (1..FILES).contains(&open(&mut running)));
    for _ in 0..3 {
        for at in 0..FILES {
            let (name, next) = (format!("s{at}"), written.get_mut(&format!("s{at}")).unwrap());
            append(&mounts, &dir, &format!("m/{at}.log"), &line(&name, *next));
            *next += 1;
        }
        wait_for_lines(&dir, written.values().sum());
    }
    running.stop().expect(0);
    println!("{} lines of {}", Merged::read(&dir.path("all")).lines(), written.values().sum::<u64>());
    Merged::read(&dir.path("all")).expect_all(&written);
    assert_eq!(report(&dir, "report")["gaps"], serde_json::json!([]));
}
