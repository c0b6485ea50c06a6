//! The main job: a merge from its start to its exit status, and the report of it.

use std::error::Error;
use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use tailmerge::{Backend, MergeError, Report, StartError};

use crate::args::{Args, BackendName};
use crate::report::ReportFile;
use crate::room::Needs;
use crate::run::RunError;
use crate::status::Failure;
use crate::voice::{Voice, count};
use crate::{room, run, setup, verdict};

/// Merges on the backend that was chosen.
pub(crate) fn merge(args: &Args, voice: &Voice) -> Result<(), Failure> {
    match args.backend {
        #[cfg(feature = "smol")]
        BackendName::Smol => merge_on(tailmerge::Smol::new(), args, voice),
        #[cfg(feature = "async-std")]
        BackendName::AsyncStd => merge_on(tailmerge::AsyncStd::new(), args, voice),
        #[cfg(not(all(feature = "smol", feature = "async-std")))]
        _ => Err(Failure::usage("this program was built without that backend: choose another one")),
    }
}

/// Merges, and writes the report that was asked for, also that of a merge that failed.
fn merge_on<B: Backend>(backend: B, args: &Args, voice: &Voice) -> Result<(), Failure> {
    let builder = setup::builder(args, voice);
    let buffers = builder.buffer_bytes().map_err(|error| start_failure(&error))?;
    room::make(&backend, Needs { executor: args.backend.threads(), streams: streams(args), buffers })?;
    let report_file = args.report.as_deref().map(|path| open_report(args, path)).transpose()?;
    let ended = run::run(builder, backend, args.stop_timeout, voice);
    let (report, done) = match &ended {
        Ok(report) => (Some(report), verdict::of(report)),
        Err(RunError::Merge(error)) => (Some(error.report()), Err(merge_failure(args, error))),
        Err(RunError::Start(error)) => (None, Err(start_failure(error))),
        Err(RunError::Other(failure)) => (None, Err(failure.clone())),
    };
    if let Some(report) = report {
        tell_figures(report, voice);
    }
    let Some(file) = report_file else {
        return done;
    };
    match (file.write(done.as_ref().err(), report), done) {
        (Err(also), Err(first)) => {
            voice.error(also.message);
            Err(first)
        }
        (written, done) => done.and(written),
    }
}

/// Inputs that stay open.
fn streams(args: &Args) -> usize {
    let is_fifo = |input: &Path| fs::metadata(input).is_ok_and(|metadata| metadata.file_type().is_fifo());
    args.inputs.iter().filter(|input| *input == "-" || is_fifo(Path::new(input))).count()
}

/// Opens the report, unless it is the output or a named input. A pattern does not find it.
fn open_report(args: &Args, path: &Path) -> Result<ReportFile, Failure> {
    let refuse = |what| {
        let path = path.display();
        Err(Failure::usage(format!("{path}: the report cannot be {what}: give another path")))
    };
    let same = |other: &Path| other == path || matches!((id(other), id(path)), (Ok(a), Ok(b)) if a == b);
    if args.output_file().is_some_and(same) {
        return refuse("the output");
    }
    if args.inputs.iter().any(|input| same(Path::new(input))) {
        return refuse("an input");
    }
    ReportFile::open(path)
}

/// Device and inode.
fn id(path: &Path) -> io::Result<(u64, u64)> {
    fs::metadata(path).map(|metadata| (metadata.dev(), metadata.ino()))
}

fn tell_figures(report: &Report, voice: &Voice) {
    let [lines, bytes] = [(report.lines, "line"), (report.bytes, "byte")].map(|(number, noun)| count(number, noun));
    let inputs = report.inputs.len() as u64 + report.folded_inputs.saturating_sub(1);
    voice.info(format_args!("{lines}, {bytes} written, of {}", count(inputs, "input")));
}

/// What to end with when a merge did not start.
pub(crate) fn start_failure(error: &StartError) -> Failure {
    let message = with_causes(error);
    if error.is_usage() { Failure::usage(message) } else { Failure::run_time(message) }
}

fn merge_failure(args: &Args, error: &MergeError) -> Failure {
    let message = with_causes(error);
    match args.output_file() {
        Some(path) if error.output_error().is_some() => Failure::run_time(format!("{}: {message}", path.display())),
        _ => Failure::run_time(message),
    }
}

/// The error and what caused it, as far as it does not say so itself.
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
