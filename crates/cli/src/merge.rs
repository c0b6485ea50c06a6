//! The main job: a merge from its start to its exit status, and the report of it.

use std::error::Error;
use std::fs;
use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;
use std::time::Duration;

use futures_lite::future;
use rustix::fs::OFlags;
use tailmerge::fs::{Fs, OsFs};
use tailmerge::{Backend, Builder, FoundInput, MergeError, Report, StartError};

use crate::args::{Args, BackendName};
use crate::console::{Console, count};
use crate::preflight::Needs;
use crate::report::ReportFile;
use crate::run::{RunError, Stops};
use crate::status::Failure;
use crate::{outcome, preflight, report, run, setup};

/// Writing the report may take this long even when the time for the stop is used up.
const REPORT_WITHIN: Duration = Duration::from_secs(1);

/// Merges on the backend that was chosen.
pub(crate) fn merge(args: &Args, console: &Console) -> Result<(), Failure> {
    match args.backend {
        #[cfg(feature = "smol")]
        BackendName::Smol => merge_on(tailmerge::Smol::new(), args, console),
        #[cfg(feature = "async-std")]
        BackendName::AsyncStd => merge_on(tailmerge::AsyncStd::new(), args, console),
        #[cfg(not(all(feature = "smol", feature = "async-std")))]
        _ => Err(Failure::usage("this program was built without that backend: choose another one")),
    }
}

/// Merges, and writes the report if one was asked for. A merge that fails has a report, too.
fn merge_on<B: Backend>(backend: B, args: &Args, console: &Console) -> Result<(), Failure> {
    if args.output_file().is_none() && stdout_is_closed() {
        return Err(Failure::run_time(
            "standard output is closed, and merged lines would be lost: give --output ('-o /dev/null' to have none)",
        ));
    }
    let builder = setup::builder(args, console);
    let buffers = builder.buffer_bytes().map_err(|error| start_failure(&error))?;
    preflight::check(&backend, Needs { executor: args.backend.threads(), streams: streams(args), buffers })?;
    let report_file = args.report.as_deref().map(|path| open_report(args, &builder, path)).transpose()?;
    future::block_on(async {
        let mut stops =
            Stops::new(console).map_err(|error| Failure::run_time(format!("cannot receive signals: {error}")))?;
        let ended = run::run(builder, &backend, args.stop_timeout, &mut stops, console).await;
        let (report, done) = match &ended {
            Ok(report) => (Some(report), outcome::judge(report, &backend).await),
            Err(RunError::Merge(error)) => (Some(error.report()), Err(merge_failure(args, error))),
            Err(RunError::Start(error)) => (None, Err(start_failure(error))),
            Err(RunError::Other(failure)) => (None, Err(failure.clone())),
        };
        if let Some(report) = report {
            tell_figures(report, console);
        }
        let Some(file) = report_file else {
            return done;
        };
        let within = if stops.at_once() { REPORT_WITHIN } else { args.stop_timeout.max(REPORT_WITHIN) };
        let json = report::json(done.as_ref().err(), report);
        let written = stops.or_second(file.write(json, &backend, within, console)).await;
        let written = written.unwrap_or_else(|| Err(Failure::run_time("stopped before the report was written")));
        match (written, done) {
            (Err(also), Err(first)) => {
                let status = first.status.or(also.status);
                console.error(also.message);
                Err(Failure { status, ..first })
            }
            (written, done) => done.and(written),
        }
    })
}

/// Returns true if standard output was closed when the program started. The standard library then opens /dev/null in
/// its place for reading and writing, while a shell's `>/dev/null` opens it for writing only.
fn stdout_is_closed() -> bool {
    let stdout = rustix::stdio::stdout();
    let device = rustix::fs::fstat(stdout).map(|stat| stat.st_rdev);
    let is_null = fs::metadata("/dev/null").is_ok_and(|null| device == Ok(null.rdev()));
    is_null && rustix::fs::fcntl_getfl(stdout).is_ok_and(|flags| flags & OFlags::RWMODE == OFlags::RDWR)
}

/// Counts the inputs that stay open all the time: standard input and FIFOs.
fn streams(args: &Args) -> usize {
    let is_fifo = |input: &Path| {
        // To ask elsewhere may take for ever.
        OsFs.remote_device(input).is_none() && fs::metadata(input).is_ok_and(|metadata| metadata.file_type().is_fifo())
    };
    args.inputs.iter().filter(|input| *input == "-" || is_fifo(Path::new(input))).count()
}

/// Opens the report, unless that would overwrite what the merge reads or writes.
fn open_report(args: &Args, builder: &Builder, path: &Path) -> Result<ReportFile, Failure> {
    let was_there = fs::metadata(path).is_ok();
    let file = ReportFile::open(path)?;
    let Some(what) = what_else(args, builder, path)? else { return Ok(file) };
    if !was_there {
        // Made a moment ago, perhaps behind a link.
        fs::canonicalize(path).and_then(fs::remove_file).ok();
    }
    Err(Failure::usage(format!("{}: the report cannot be {what}: give another path", path.display())))
}

/// Returns which input or output the report's file is, if any. Compares device and inode, since a file may have several
/// names.
fn what_else(args: &Args, builder: &Builder, path: &Path) -> Result<Option<String>, Failure> {
    let Ok(report) = fs::metadata(path) else { return Ok(None) };
    let kind = report.file_type();
    if kind.is_char_device() {
        // A terminal, /dev/null: nothing there can be overwritten.
        return Ok(None);
    }
    let is = |other: io::Result<(u64, u64)>| other.is_ok_and(|id| id == (report.dev(), report.ino()));
    let stream = |fd: BorrowedFd<'_>| Ok(rustix::fs::fstat(fd).map(|stat| (stat.st_dev, stat.st_ino))?);
    let output = match args.output_file() {
        Some(output) => fs::metadata(output).map(|metadata| (metadata.dev(), metadata.ino())),
        None => stream(rustix::stdio::stdout()),
    };
    if is(output) {
        return Ok(Some("the output".to_owned()));
    }
    if args.state.as_ref().is_some_and(|state| is(fs::metadata(state).map(|state| (state.dev(), state.ino())))) {
        return Ok(Some("the state file".to_owned()));
    }
    if kind.is_file() && is(stream(rustix::stdio::stderr())) {
        return Ok(Some("standard error".to_owned()));
    }
    Ok(match builder.input_at(path).map_err(|error| start_failure(&error))? {
        Some(FoundInput { pattern: None, .. }) => Some("an input".to_owned()),
        // An empty one has nothing to lose; it is no input from now on.
        Some(FoundInput { pattern: Some(pattern), .. }) if report.len() > 0 => {
            Some(format!("a file that matches {pattern} and holds something, unless that is excluded"))
        }
        _ => None,
    })
}

fn tell_figures(report: &Report, console: &Console) {
    let [lines, bytes] = [(report.lines, "line"), (report.bytes, "byte")].map(|(number, noun)| count(number, noun));
    let inputs = report.inputs.len() as u64 + report.folded_inputs.saturating_sub(1);
    console.info(format_args!("{lines}, {bytes} written, of {}", count(inputs, "input")));
}

/// Returns the failure that a merge which did not start ends the program with.
pub(crate) fn start_failure(error: &StartError) -> Failure {
    // If the system is the cause, its own message is part of this one where that says more.
    if error.is_usage() { Failure::usage(with_causes(error)) } else { Failure::run_time(error.to_string()) }
}

fn merge_failure(args: &Args, error: &MergeError) -> Failure {
    let message = with_causes(error);
    if error.output_error().is_none() {
        return Failure::run_time(message);
    }
    let output = args.output_file().unwrap_or(Path::new("standard output"));
    Failure::run_time(format!("{}: {message}", output.display()))
}

/// Formats an error with its causes, leaving out a cause that the error's own text repeats.
fn with_causes(error: &dyn Error) -> String {
    let mut message = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if !message.contains(&text) {
            message = message + ": " + &text;
        }
        cause = error.source();
    }
    message
}
