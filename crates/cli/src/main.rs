//! `tailmerge`: follows many growing log files and merges their whole lines into one output.
//!
//! The main thread reads the arguments, starts the merge, and waits for its end or for a signal. Standard output
//! carries merged lines only; messages go to standard error through [`console::Console`].

#![cfg_attr(
    not(any(feature = "smol", feature = "async-std")),
    expect(dead_code, unused_imports, unused_variables, reason = "without a backend there is nothing to run")
)]

mod args;
mod console;
mod merge;
mod outcome;
mod preflight;
mod quantity;
mod rate_limit;
mod report;
mod run;
mod setup;
mod status;
mod verify;

use std::io::{self, Write};
use std::num::NonZeroUsize;
use std::process::ExitCode;

use args::{Args, NoRun};
use console::Console;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use status::{Failure, Status};
use tailmerge::internal::escaped;

/// The pool has one thread for each job that a merge has under way at once: four, and three more for file systems where
/// they may hang. It never ends a thread that it has started.
const POOL_THREADS: NonZeroUsize = NonZeroUsize::new(4 + 3).expect("some");

fn main() -> ExitCode {
    #[cfg(target_env = "gnu")]
    preflight::share_one_heap();
    preflight::tell_panics();
    raise_open_files();
    blocking::set_max_blocking_threads(POOL_THREADS);
    let args = match Args::read(std::env::args_os()) {
        Ok(args) => args,
        Err(NoRun::Print(text)) => return print(text.as_bytes()).map_or_else(end_early, |()| ExitCode::SUCCESS),
        Err(NoRun::Refuse(failure)) => return end_early(failure),
    };
    let console = match Console::new(args.level()) {
        Ok(console) => console,
        Err(error) => return end_early(preflight::no_threads(&error)),
    };
    let done = if args.explain {
        explain(&args, &console)
    } else if args.verify {
        verify::verify(&args, &console)
    } else {
        merge::merge(&args, &console)
    };
    console.left_out();
    let status = match done {
        Ok(()) => Status::Delivered,
        Err(failure) => {
            console.error(failure.message);
            failure.status
        }
    };
    console.finish();
    status.into()
}

/// Raises the soft limit of open files to the hard limit. If that fails, the limit stays as it was.
fn raise_open_files() {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).ok();
}

/// Prints an error and returns its exit status, before there is a [`console::Console`].
fn end_early(failure: Failure) -> ExitCode {
    console::write_line(&escaped(&failure.message).to_string());
    failure.status.into()
}

/// Runs `--explain`: prints one line for each file that could be an input.
fn explain(args: &Args, console: &Console) -> Result<(), Failure> {
    let explained = setup::builder(args, console).explain().map_err(|error| merge::start_failure(&error))?;
    let mut text = String::new();
    for line in explained {
        text += &format!("{line}\n");
    }
    print(text.as_bytes())
}

/// Writes help, versions and explanations to standard output. A reader that closes it early is no error.
fn print(text: &[u8]) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::run_time(format!("cannot write to standard output: {error}")))
        }
        _ => Ok(()),
    }
}
