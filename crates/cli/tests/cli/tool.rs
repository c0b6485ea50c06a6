//! A directory for files, and the program started in it; both are gone when a test ends, however it ends.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// What is waited for must come before this. Only a failing test waits so long.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// Waits until the condition holds.
#[track_caller]
pub(crate) fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < DEADLINE, "still not so after {DEADLINE:?}: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// A directory of its own.
#[derive(Debug)]
pub(crate) struct Dir(TempDir);

impl Dir {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes a file anew, and the directories that lead there.
    pub(crate) fn write(&self, name: impl AsRef<Path>, content: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    pub(crate) fn append(&self, name: impl AsRef<Path>, content: impl AsRef<[u8]>) {
        let mut file = File::options().append(true).create(true).open(self.path(name)).unwrap();
        file.write_all(content.as_ref()).unwrap();
    }

    pub(crate) fn read(&self, name: impl AsRef<Path>) -> Vec<u8> {
        let path = self.path(name);
        fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// The file as text, or nothing as long as there is no such file.
    pub(crate) fn text(&self, name: impl AsRef<Path>) -> String {
        fs::read(self.path(name)).map(|bytes| String::from_utf8(bytes).unwrap()).unwrap_or_default()
    }

    /// The program, to be started in this directory.
    pub(crate) fn tailmerge<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Tool {
        Tool::new(Path::new(env!("CARGO_BIN_EXE_tailmerge")), self.0.path()).args(args)
    }

    /// Runs the program to its end.
    #[track_caller]
    pub(crate) fn run<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Finished {
        self.tailmerge(args).start().finish()
    }

    /// Makes a FIFO.
    pub(crate) fn fifo(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
        path
    }
}

/// The program before its start.
#[derive(Debug)]
pub(crate) struct Tool {
    command: Command,
    said: TempDir,
}

impl Tool {
    pub(crate) fn new(program: &Path, dir: &Path) -> Self {
        let said = tempfile::tempdir().unwrap();
        let mut command = Command::new(program);
        command
            .current_dir(dir)
            .stdin(Stdio::null())
            .stdout(File::create(said.path().join("stdout")).unwrap())
            .stderr(File::create(said.path().join("stderr")).unwrap());
        Self { command, said }
    }

    pub(crate) fn args<S: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.command.args(args);
        self
    }

    pub(crate) fn stdout(mut self, stdout: impl Into<Stdio>) -> Self {
        self.command.stdout(stdout);
        self
    }

    pub(crate) fn stderr(mut self, stderr: impl Into<Stdio>) -> Self {
        self.command.stderr(stderr);
        self
    }

    pub(crate) fn command(&mut self) -> &mut Command {
        &mut self.command
    }

    pub(crate) fn start(mut self) -> Running {
        let child = self.command.spawn().unwrap();
        Running { child, said: self.said }
    }
}

/// The program while it runs.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    said: TempDir,
}

impl Running {
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// What it has said so far.
    pub(crate) fn stderr(&self) -> String {
        fs::read_to_string(self.said.path().join("stderr")).unwrap()
    }

    pub(crate) fn stdout(&self) -> Vec<u8> {
        fs::read(self.said.path().join("stdout")).unwrap()
    }

    /// Waits until it has said something.
    #[track_caller]
    pub(crate) fn until_said(&self, text: &str) {
        wait_until(text, || self.stderr().contains(text));
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    pub(crate) fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Waits for the end.
    #[track_caller]
    pub(crate) fn finish(mut self) -> Finished {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                let finished = Finished { status: status.code(), stdout: self.stdout(), stderr: self.stderr() };
                let foreign = finished.stderr.lines().find(|line| !line.starts_with("tailmerge: "));
                assert_eq!(foreign, None, "a line on standard error that is not marked as ours");
                return finished;
            }
            if start.elapsed() > DEADLINE {
                let threads = self.threads();
                panic!("still running after {DEADLINE:?}; its threads: {threads}it said: {}", self.stderr());
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// What each thread of the program is waiting for, in the system.
    fn threads(&self) -> String {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.child.id())).into_iter().flatten().flatten();
        let of = |task: &fs::DirEntry, what| fs::read_to_string(task.path().join(what)).unwrap_or_default();
        let tell = |task| format!("{} {} {}", of(&task, "comm").trim(), of(&task, "wchan"), of(&task, "syscall"));
        tasks.map(tell).collect()
    }

    /// Asks it to stop, and waits for the end.
    #[track_caller]
    pub(crate) fn stop(self) -> Finished {
        self.signal(Signal::TERM);
        self.finish()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// What is left of it.
#[derive(Debug)]
pub(crate) struct Finished {
    /// Nothing if a signal killed it.
    pub(crate) status: Option<i32>,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

impl Finished {
    #[track_caller]
    pub(crate) fn expect(self, status: i32) -> Self {
        assert_eq!(self.status, Some(status), "it said: {}", self.stderr);
        self
    }

    /// It was right and had nothing to say.
    #[track_caller]
    pub(crate) fn expect_quiet(self) -> Self {
        let finished = self.expect(0);
        assert_eq!(finished.stderr, "");
        finished
    }

    #[track_caller]
    pub(crate) fn says(self, text: &str) -> Self {
        assert!(self.stderr.contains(text), "{text:?} is missing in: {}", self.stderr);
        self
    }

    #[track_caller]
    pub(crate) fn says_not(self, text: &str) -> Self {
        assert!(!self.stderr.contains(text), "{text:?} is in: {}", self.stderr);
        self
    }
}

/// So many lines, each different: `name 0`, `name 1` …
pub(crate) fn numbered(name: &str, lines: usize) -> String {
    (0..lines).map(|line| format!("{name} {line}\n")).collect()
}

/// The lines of one name, in the order they have in the output.
pub(crate) fn lines_of<'a>(output: &'a str, name: &str) -> Vec<&'a str> {
    output.lines().filter(|line| line.split(' ').next() == Some(name)).collect()
}

/// Arguments of different types in one list.
pub(crate) fn os<S: Into<OsString>>(arg: S) -> OsString {
    arg.into()
}
