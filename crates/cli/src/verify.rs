//! `--verify`: checks that an output is the merge of its inputs.

use std::fs;
use std::path::{Path, PathBuf};

use tailmerge::Verdict;
use tailmerge::internal::LineFormat;
use tailmerge_verify::Check;

use crate::args::Args;
use crate::console::{Console, count};
use crate::merge::start_failure;
use crate::setup;
use crate::status::Failure;

/// Checks the output against the inputs that match now, with the settings that it was merged with.
pub(crate) fn verify(args: &Args, console: &Console) -> Result<(), Failure> {
    let Some(output) = args.output_file() else {
        return Err(Failure::usage("--verify needs --output FILE"));
    };
    if fs::metadata(output).is_ok_and(|metadata| !metadata.is_file()) {
        return Err(Failure::run_time(format!("{}: cannot be checked, it is no regular file", output.display())));
    }
    let inputs = inputs(args, console)?;
    let lines = LineFormat { prefix: args.prefix, format: args.format };
    let checked = Check::new(output)
        .inputs(inputs)
        .line_limit(args.max_line_bytes, args.long_lines)
        .render(move |path| {
            let renderer = lines.labelled(path);
            move |line: &[u8], out: &mut Vec<u8>| renderer.push(line, out)
        })
        .run()
        .map_err(|error| Failure::run_time(error.to_string()))?;
    let (lines, inputs) = (count(checked.lines, "line"), count(checked.inputs as u64, "input"));
    console.note(format_args!("{}: holds the {lines} of {inputs}, each once and in order", output.display()));
    Ok(())
}

/// Returns the files to check against. An input that cannot be checked is an error.
fn inputs(args: &Args, console: &Console) -> Result<Vec<PathBuf>, Failure> {
    let named = |path: &Path| args.inputs.iter().any(|input| Path::new(input) == path);
    let mut inputs = Vec::new();
    for explained in setup::builder(args, console).explain().map_err(|error| start_failure(&error))? {
        let path = explained.path;
        let reason = match &explained.verdict {
            Verdict::Follow { .. } => {
                inputs.push(path);
                continue;
            }
            Verdict::Missing if named(&path) => "no such file",
            Verdict::NoMatch => "no file matches",
            Verdict::Stream => "a named pipe",
            Verdict::Unreadable { reason } => reason,
            _ => continue,
        };
        return Err(Failure::run_time(format!("{}: {reason}, so it cannot be checked", path.display())));
    }
    Ok(inputs)
}
