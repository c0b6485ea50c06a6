//! Other processes: run to their end, or looked at while they run.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::Outcome;
use crate::child;

/// Of the times in `/proc`, in seconds (`USER_HZ`).
const TICK: f64 = 0.01;

/// How long a merge may take to get to where it is waited for.
const PATIENCE: Duration = Duration::from_secs(120);

/// What a process that has ended took, and what it said.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) seconds: f64,
    pub(crate) cpu_seconds: f64,
    /// Each line is a name and a number.
    said: String,
}

impl Ran {
    /// A number that it said.
    pub(crate) fn figure(&self, name: &str) -> Outcome<f64> {
        figure(&self.said, name).ok_or_else(|| format!("the child did not say its {name}: {:?}", self.said).into())
    }
}

fn figure(text: &str, name: &str) -> Option<f64> {
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix([' ', ':']))?;
    value.split_whitespace().next()?.parse().ok()
}

/// Runs a command to its end. No other child may end meanwhile.
pub(crate) fn run(command: &mut Command) -> Outcome<Ran> {
    let cpu_before = children_cpu()?;
    let start = Instant::now();
    let output = command.stdin(Stdio::null()).spawn()?.wait_with_output()?;
    let seconds = start.elapsed().as_secs_f64();
    if !output.status.success() {
        return Err(format!("{}: {}", command.get_program().display(), output.status).into());
    }
    let said = String::from_utf8(output.stdout)?;
    Ok(Ran { seconds, cpu_seconds: children_cpu()? - cpu_before, said })
}

/// A real `cat` of files into a new one.
pub(crate) fn cat(inputs: &[PathBuf], output: &Path) -> Outcome<Command> {
    let mut command = Command::new("/bin/cat");
    command.arg("--").args(inputs).stdout(File::create_new(output)?);
    Ok(command)
}

/// This program as a child that merges once.
pub(crate) fn merge(inputs: &[PathBuf], output: &Path) -> Outcome<Command> {
    let mut command = child::command("once")?;
    command.arg(output).args(inputs).stdout(Stdio::piped());
    Ok(command)
}

/// CPU time of all children that have been waited for, in seconds.
fn children_cpu() -> Outcome<f64> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    // The name, second, is in parentheses and may hold anything; `cutime` and `cstime` are fields 16 and 17.
    let (_, fields) = stat.rsplit_once(") ").ok_or("/proc/self/stat is not understood")?;
    let ticks = fields.split(' ').skip(16 - 3).take(2).map(str::parse::<u64>).sum::<Result<u64, _>>()?;
    Ok(ticks as f64 * TICK)
}

/// A child that runs until it is told to end. Killed if it is dropped before.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
}

impl Running {
    pub(crate) fn start(command: &mut Command) -> Outcome<Self> {
        Ok(Self { child: command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()? })
    }

    /// Waits until its output is so long.
    pub(crate) fn wait_for(&mut self, output: &Path, bytes: u64, mut meanwhile: impl FnMut(&Self)) -> Outcome<()> {
        let deadline = Instant::now() + PATIENCE;
        while fs::metadata(output).map_or(0, |output| output.len()) < bytes {
            if self.child.try_wait()?.is_some() || Instant::now() > deadline {
                return Err("the merge did not write all that there is".into());
            }
            meanwhile(self);
            thread::sleep(Duration::from_millis(2));
        }
        Ok(())
    }

    /// Its resident memory, in bytes.
    pub(crate) fn resident(&self) -> Outcome<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        Ok(figure(&status, "VmRSS").ok_or("/proc/PID/status has no VmRSS")? * 1024.0)
    }

    /// How many of its threads have a name that begins so.
    pub(crate) fn threads(&self, prefix: &str) -> usize {
        let Ok(tasks) = fs::read_dir(format!("/proc/{}/task", self.child.id())) else { return 0 };
        // One that ends meanwhile does not count.
        let name = |task: fs::DirEntry| fs::read_to_string(task.path().join("comm")).ok();
        tasks.filter_map(|task| name(task.ok()?)).filter(|name| name.starts_with(prefix)).count()
    }

    /// Waits until it says a line.
    pub(crate) fn wait_for_line(&mut self) -> Outcome<()> {
        let stdout = self.child.stdout.as_mut().ok_or("the child has no output")?;
        let mut byte = [0];
        while byte != *b"\n" {
            stdout.read_exact(&mut byte)?;
        }
        Ok(())
    }

    /// Tells it to end, and waits until it has.
    pub(crate) fn end(mut self) -> Outcome<Ran> {
        drop(self.child.stdin.take());
        self.ended()
    }

    /// Waits until it has ended by itself.
    pub(crate) fn ended(&mut self) -> Outcome<Ran> {
        let mut said = String::new();
        if let Some(stdout) = &mut self.child.stdout {
            stdout.read_to_string(&mut said)?;
        }
        let status = self.child.wait()?;
        if !status.success() {
            return Err(format!("the child that is measured ended: {status}").into());
        }
        Ok(Ran { seconds: 0.0, cpu_seconds: 0.0, said })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Nothing is wrong if it has ended.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Says something to whoever looks at a long run.
pub(crate) fn progress(what: &str) {
    // A terminal that is gone is no reason to stop.
    drop(writeln!(std::io::stderr(), "  … {what}"));
}
