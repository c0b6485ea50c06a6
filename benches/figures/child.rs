//! What this program does as a child: one merge, so that memory, CPU time and threads are of it alone.
//!
//! A child that follows does so until its standard input ends. Figures go to standard output, a name and a number a
//! line.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tailmerge::{Builder, Smol};
use tailmerge_verify::Check;

use crate::{Outcome, beat, place};

/// The first argument of a child.
pub(crate) const MARK: &str = "--child-of-figures";

/// This program as a child in that role.
pub(crate) fn command(role: &str) -> Outcome<Command> {
    let mut command = Command::new(env::current_exe()?);
    command.arg(MARK).arg(role);
    Ok(command)
}

/// Does what the arguments after [`MARK`] say.
pub(crate) fn run(mut args: impl Iterator<Item = OsString>) -> Outcome<()> {
    let role = args.next().unwrap_or_default();
    let output = args.next().map(PathBuf::from);
    let inputs: Vec<_> = args.map(PathBuf::from).collect();
    match (role.to_str(), output) {
        (Some("once"), Some(output)) => once(&output, &inputs),
        (Some("follow"), Some(output)) => follow(&output, &inputs),
        (Some("check"), Some(output)) => check(&output, &inputs),
        (Some("beat"), output) => beat::run(output.map(|output| once_builder(&output, &inputs))),
        (Some("keep"), Some(dir)) => place::keep(&dir),
        _ => Err("not a child".into()),
    }
}

fn once_builder(output: &Path, inputs: &[PathBuf]) -> Builder {
    inputs.iter().fold(Builder::new().once(true).output(output), Builder::path)
}

/// Merges what is there.
fn once(output: &Path, inputs: &[PathBuf]) -> Outcome<()> {
    let merge = once_builder(output, inputs).start_on_blocking(Smol::new())?;
    merge.finished_blocking();
    let report = merge.stop_blocking(Duration::from_secs(10))?;
    if !report.is_complete() {
        return Err(format!("not all was merged: {report:?}").into());
    }
    println!("bytes {}", report.bytes);
    println!("peak {}", peak()?);
    Ok(())
}

/// Follows paths or patterns until its standard input ends.
fn follow(output: &Path, inputs: &[PathBuf]) -> Outcome<()> {
    let builder = inputs.iter().fold(Builder::new().output(output), Builder::input);
    let merge = builder.start_on_blocking(Smol::new())?;
    io::copy(&mut io::stdin(), &mut io::sink())?;
    merge.stop_blocking(Duration::from_secs(10))?;
    Ok(())
}

/// Checks a merged output line by line.
fn check(output: &Path, inputs: &[PathBuf]) -> Outcome<()> {
    let checked = Check::new(output).inputs(inputs).run()?;
    println!("lines {}", checked.lines);
    Ok(())
}

/// The most memory that this process has had, in KiB.
fn peak() -> Outcome<String> {
    let status = fs::read_to_string("/proc/self/status")?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    Ok(peak.and_then(|peak| peak.split_whitespace().next()).ok_or("/proc/self/status has no VmHWM")?.to_owned())
}
