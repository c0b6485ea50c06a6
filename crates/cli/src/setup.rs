//! Turns arguments into the merge's builder.

use std::path::Path;

use tailmerge::{Builder, Event, WatchMode};

use crate::args::{Args, Format, Links, LongLines, Prefix, StartAt, Watch};
use crate::console::Console;

/// Returns the builder that the arguments describe.
pub(crate) fn builder(args: &Args, console: &Console) -> Builder {
    let (console, output) = (console.clone(), args.output_file().map(Path::to_owned));
    let mut builder = Builder::new()
        .from(args.from.into())
        .once(args.once)
        .poll_interval(args.poll_interval)
        .watch(match args.watch {
            Watch::Auto => WatchMode::Auto,
            Watch::Notify => WatchMode::Notify,
            Watch::Poll => WatchMode::Poll,
        })
        .links(args.links.map_or_else(default_links, Into::into))
        .rotated_grace(args.rotated_grace)
        .max_line_bytes(args.max_line_bytes)
        .long_lines(args.long_lines.into())
        .prefix(args.prefix.into())
        .format(args.format.into())
        .append(args.append)
        .observer(move |event: &Event| console.event(event, output.as_deref()));
    for input in &args.inputs {
        builder = if input == "-" { builder.stdin() } else { builder.input(input) };
    }
    if args.inputs.iter().all(|input| input == "-") {
        // Nothing can come after its end.
        builder = builder.once(true);
    }
    if let Some(age) = args.ignore_older {
        builder = builder.ignore_older(age);
    }
    if let Some(age) = args.deleted_max_age {
        builder = builder.deleted_max_age(age);
    }
    if let Some(bytes) = args.deleted_max_bytes {
        builder = builder.deleted_max_bytes(bytes as u64);
    }
    for glob in &args.exclude {
        builder = builder.exclude(glob);
    }
    // Where messages go may be a file that a pattern finds.
    builder = builder.never("/dev/stderr");
    if let Some(report) = &args.report {
        builder = builder.never(report);
    }
    if let Some(bytes) = args.memory {
        builder = builder.memory(bytes);
    }
    match args.output_file() {
        Some(path) => builder.output(path),
        None => builder.stdout(),
    }
}

/// Root does not follow whatever link anybody makes.
fn default_links() -> tailmerge::Links {
    if rustix::process::geteuid().is_root() { tailmerge::Links::Owned } else { tailmerge::Links::Follow }
}

impl From<Links> for tailmerge::Links {
    fn from(links: Links) -> Self {
        match links {
            Links::Follow => Self::Follow,
            Links::Owned => Self::Owned,
            Links::Skip => Self::Skip,
        }
    }
}

impl From<StartAt> for tailmerge::StartAt {
    fn from(from: StartAt) -> Self {
        match from {
            StartAt::Start => Self::Start,
            StartAt::End => Self::End,
        }
    }
}

impl From<LongLines> for tailmerge::LongLines {
    fn from(policy: LongLines) -> Self {
        match policy {
            LongLines::Split => Self::Split,
            LongLines::Truncate => Self::Truncate,
            LongLines::Skip => Self::Skip,
        }
    }
}

impl From<Prefix> for tailmerge::Prefix {
    fn from(prefix: Prefix) -> Self {
        match prefix {
            Prefix::None => Self::None,
            Prefix::Name => Self::Name,
            Prefix::Path => Self::Path,
        }
    }
}

impl From<Format> for tailmerge::Format {
    fn from(format: Format) -> Self {
        match format {
            Format::Raw => Self::Raw,
            Format::Json => Self::Json,
        }
    }
}
