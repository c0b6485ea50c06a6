//! Turns arguments into the merge's builder.

use std::path::Path;

use tailmerge::{Builder, Event, Links};

use crate::args::Args;
use crate::console::Console;

/// Returns the builder that the arguments describe.
pub(crate) fn builder(args: &Args, console: &Console) -> Builder {
    let (console, output) = (console.clone(), args.output_file().map(Path::to_owned));
    let mut builder = Builder::new()
        .from(args.from)
        .once(args.once)
        .poll_interval(args.poll_interval)
        .watch(args.watch)
        .links(args.links.unwrap_or_else(default_links))
        .rotated_grace(args.rotated_grace)
        .max_line_bytes(args.max_line_bytes)
        .long_lines(args.long_lines)
        .prefix(args.prefix)
        .format(args.format)
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
    if let Some(state) = &args.state {
        builder = builder.state(state);
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
fn default_links() -> Links {
    if rustix::process::geteuid().is_root() { Links::Owned } else { Links::Follow }
}
