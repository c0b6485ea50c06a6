//! The command line: options, their values, and which do not go together.

use std::env;
use std::ffi::{OsStr, OsString};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::error::ErrorKind;
use clap::{Parser, ValueEnum};
use log::LevelFilter;
use tailmerge::{Format, Links, LongLines, Prefix, StartAt, WatchMode};

use crate::quantity;
use crate::status::Failure;

const AFTER_HELP: &str = "\
An INPUT is a path, or a pattern in quotes: * ? [..] {a,b} **; '-' is standard
input. Files that match later join in. After '--' everything is an INPUT.

Exit status: 0 all was delivered up to the stop; 1 a failure, told on standard
error; 2 wrong usage; 3 finished, but parts of the inputs could not be delivered
(gaps).

SIGINT and SIGTERM have it write what is there and end, a second one end at once.
SIGHUP has it open an output that was moved anew, which it else does within
seconds.

Examples:
  tailmerge -o all.log 'logs/*.log'            follow the logs until stopped
  tailmerge --once --prefix name a.log b.log   merge what is there and print it
  tailmerge --verify -o all.log 'logs/*.log'   check what was merged
  tailmerge --state s -o all.log 'logs/*.log'  go on where the last run ended
";

/// Follow many growing log files and merge their whole lines into one output.
#[derive(Debug, Parser)]
#[command(name = "tailmerge", version, after_help = AFTER_HELP, max_term_width = 100)]
pub(crate) struct Args {
    /// Files to merge: paths, or patterns in quotes
    #[arg(value_name = "INPUT", required = true)]
    pub(crate) inputs: Vec<OsString>,

    /// Where merged lines go; '-' is standard output
    #[arg(short, long, value_name = "PATH", default_value = "-")]
    pub(crate) output: PathBuf,

    /// Keep what the output holds, and add to it
    #[arg(long)]
    pub(crate) append: bool,

    /// Keep in this file up to where each input is in the output, and go on there: each line is in it once, even if the
    /// program is killed at any moment
    #[arg(long, value_name = "PATH", conflicts_with = "verify")]
    pub(crate) state: Option<PathBuf>,

    /// Stop when the end of every input is reached; without it, follow until stopped
    #[arg(long)]
    pub(crate) once: bool,

    /// Where to begin in files that are there at the start; later ones are read from their start
    #[arg(long, value_name = "start|end", default_value = "start", hide_possible_values = true)]
    #[arg(value_parser = word(&[("start", StartAt::Start), ("end", StartAt::End)]))]
    pub(crate) from: StartAt,

    /// Leave out files that match; may be given more than once
    #[arg(long, value_name = "GLOB")]
    pub(crate) exclude: Vec<String>,

    /// Set files aside that have not changed for longer; one that changes later gives its new lines only
    #[arg(long, value_name = "DURATION", value_parser = quantity::duration)]
    pub(crate) ignore_older: Option<Duration>,

    /// Which symbolic links to follow: owned are those of root, of your own user, and of whom the target belongs to; skip
    /// follows only those that are named [default: owned if run as root, else follow]
    #[arg(long, value_name = "follow|owned|skip", hide_possible_values = true)]
    #[arg(value_parser = word(&[("follow", Links::Follow), ("owned", Links::Owned), ("skip", Links::Skip)]))]
    pub(crate) links: Option<Links>,

    /// How to notice new lines: auto is by notification where the system can, else by polling
    #[arg(long, value_name = "auto|notify|poll", default_value = "auto", hide_possible_values = true)]
    #[arg(value_parser = word(&[("auto", WatchMode::Auto), ("notify", WatchMode::Notify), ("poll", WatchMode::Poll)]))]
    pub(crate) watch: WatchMode,

    /// How often to look for new lines when polling
    #[arg(long, value_name = "DURATION", default_value = "100ms", value_parser = quantity::interval)]
    pub(crate) poll_interval: Duration,

    /// How long a rotated or deleted file must have been quiet before it is let go
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = quantity::duration)]
    pub(crate) rotated_grace: Duration,

    /// How long to keep a deleted file that cannot be read to its end because the output is behind
    #[arg(long, value_name = "DURATION", value_parser = quantity::duration)]
    pub(crate) deleted_max_age: Option<Duration>,

    /// How many bytes of such files to keep, all together
    #[arg(long, value_name = "SIZE", value_parser = quantity::size)]
    pub(crate) deleted_max_bytes: Option<usize>,

    /// Longest line that is passed on whole
    #[arg(long, value_name = "SIZE", default_value = "1MiB", value_parser = quantity::line_limit)]
    pub(crate) max_line_bytes: usize,

    /// What to do with longer ones; what truncate and skip drop is a gap
    #[arg(long, value_name = "split|truncate|skip", default_value = "split", hide_possible_values = true)]
    #[arg(value_parser = word(&[("split", LongLines::Split), ("truncate", LongLines::Truncate), ("skip", LongLines::Skip)]))]
    pub(crate) long_lines: LongLines,

    /// What to put before each line
    #[arg(long, value_name = "none|name|path", default_value = "none", hide_possible_values = true)]
    #[arg(value_parser = word(&[("none", Prefix::None), ("name", Prefix::Name), ("path", Prefix::Path)]))]
    pub(crate) prefix: Prefix,

    /// Lines as they are, or as JSON objects
    #[arg(long, value_name = "raw|json", default_value = "raw", hide_possible_values = true)]
    #[arg(value_parser = word(&[("raw", Format::Raw), ("json", Format::Json)]))]
    pub(crate) format: Format,

    /// Executor to run on
    #[arg(long, value_enum, default_value_t = BackendName::DEFAULT, hide_possible_values = true, value_name = "smol|async-std")]
    pub(crate) backend: BackendName,

    /// Bound for the buffers between inputs and output
    #[arg(long, value_name = "SIZE", value_parser = quantity::size)]
    pub(crate) memory: Option<usize>,

    /// How long a stop may take to write what is there
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = quantity::duration)]
    pub(crate) stop_timeout: Duration,

    /// Write a report as JSON at the end: inputs, bytes, lines, gaps
    #[arg(long, value_name = "PATH")]
    pub(crate) report: Option<PathBuf>,

    /// Say which files match and which do not and why, then exit
    #[arg(long, conflicts_with = "verify")]
    pub(crate) explain: bool,

    /// Check that the output holds the inputs' lines, each once and in order, then exit
    #[arg(long, conflicts_with = "report")]
    pub(crate) verify: bool,

    /// Say errors only
    #[arg(short, long, conflicts_with = "verbose")]
    pub(crate) quiet: bool,

    /// Say more
    #[arg(short, long)]
    pub(crate) verbose: bool,
}

/// The executor to run on.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum BackendName {
    Smol,
    AsyncStd,
}

/// The reason why arguments do not lead to a run.
#[derive(Debug)]
pub(crate) enum NoRun {
    /// Help or version was asked for; the text goes to standard output.
    Print(String),
    /// The arguments are wrong.
    Refuse(Failure),
}

impl Args {
    /// Reads the program's arguments.
    pub(crate) fn read(args: impl IntoIterator<Item = OsString>) -> Result<Self, NoRun> {
        let args = Self::try_parse_from(args).map_err(|error| match error.kind() {
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => NoRun::Print(error.render().to_string()),
            _ => NoRun::Refuse(Failure::usage(in_one_line(&error.render().to_string()))),
        })?;
        match args.contradiction() {
            Some(message) => Err(NoRun::Refuse(Failure::usage(message))),
            None => Ok(args),
        }
    }

    /// Returns the output's path, unless it is standard output.
    pub(crate) fn output_file(&self) -> Option<&Path> {
        (self.output.as_os_str() != "-").then_some(&*self.output)
    }

    /// Returns which messages the user wants to see.
    pub(crate) fn level(&self) -> LevelFilter {
        match (self.quiet, self.verbose) {
            (true, _) => LevelFilter::Error,
            (_, true) => LevelFilter::Info,
            _ => LevelFilter::Warn,
        }
    }

    /// Returns the error of arguments that do not go together.
    fn contradiction(&self) -> Option<String> {
        let is = |name: &OsStr, value: &str| name == value;
        let message = if self.verify && self.inputs.iter().any(|input| is(input, "-")) {
            "--verify reads its inputs again, which standard input ('-') cannot be: give files"
        } else if self.inputs.iter().any(|input| is(input, "")) {
            "an INPUT is empty: give a path or a pattern"
        } else if self.report.as_ref().is_some_and(|path| is(path.as_os_str(), "-")) {
            "--report needs the path of a file: standard output carries merged lines only"
        } else if self.verify && self.output_file().is_none() {
            "--verify needs --output FILE: the file to check against the inputs"
        } else if self.verify && self.from == StartAt::End {
            "--verify checks whole inputs: it cannot tell what a merge with --from end began with"
        } else if self.verify && self.ignore_older.is_some() {
            "--verify checks whole inputs: it cannot tell which ones a merge with --ignore-older set aside"
        } else if self.verify && self.append {
            "--verify checks a whole output: it cannot tell what that held before a merge with --append"
        } else if self.append && self.output_file().is_none() {
            "--append needs --output FILE: standard output is never cut, '>>' in the shell appends"
        } else if self.state.is_some() && self.output_file().is_none() {
            "--state needs --output FILE: what is in standard output cannot be told later"
        } else if self.state.is_some() && self.from == StartAt::End {
            "--state reads a file that it does not know from its start: leave out --from end"
        } else {
            return None;
        };
        Some(message.to_owned())
    }
}

/// Parses one of these words, each of which stands for a value.
fn word<T: Clone + Send + Sync>(words: &'static [(&'static str, T)]) -> impl TypedValueParser<Value = T> {
    PossibleValuesParser::new(words.iter().map(|(word, _)| *word)).map(|given| {
        let chosen = words.iter().find(|(word, _)| *word == given);
        chosen.map(|(_, value)| value.clone()).expect("the parser takes no other word")
    })
}

/// Formats clap's error in one line, without the usage.
fn in_one_line(rendered: &str) -> String {
    let mut message = String::new();
    let said = rendered.lines().map(str::trim).take_while(|line| !line.starts_with("Usage:"));
    for line in said.filter(|line| !line.is_empty() && !line.starts_with("For more information")) {
        if message.ends_with(':') {
            message.push(' ');
        } else if !message.is_empty() {
            message.push_str("; ");
        }
        message.push_str(line.strip_prefix("error: ").unwrap_or(line));
    }
    message + "; try 'tailmerge --help'"
}

impl BackendName {
    /// The default: the first backend that the program was built with.
    const DEFAULT: Self =
        if cfg!(feature = "smol") || cfg!(not(feature = "async-std")) { Self::Smol } else { Self::AsyncStd };

    /// Returns the number of threads that the backend's executor starts.
    pub(crate) fn threads(self) -> usize {
        let set = |name| env::var(name).ok().and_then(|number| number.parse().ok());
        match self {
            Self::Smol => set("SMOL_THREADS").unwrap_or(1),
            Self::AsyncStd => set("ASYNC_STD_THREAD_COUNT")
                .map(|number: usize| number.max(1))
                .unwrap_or_else(|| thread::available_parallelism().map_or(1, NonZeroUsize::get)),
        }
    }
}
