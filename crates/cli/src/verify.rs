//! `--verify`: whether an output is the merge of its inputs.

use std::fs;

use tailmerge::LineFormat;
use tailmerge_conformance::check::Check;

use crate::args::Args;
use crate::merge::start_failure;
use crate::setup;
use crate::status::Failure;
use crate::voice::{Voice, count};

/// Checks the output against the inputs as they match now, with the settings that it was merged with.
pub(crate) fn verify(args: &Args, voice: &Voice) -> Result<(), Failure> {
    let Some(output) = args.output_file() else {
        return Err(Failure::usage("--verify needs --output FILE"));
    };
    if fs::metadata(output).is_ok_and(|metadata| !metadata.is_file()) {
        return Err(Failure::run_time(format!("{}: cannot be checked, it is no regular file", output.display())));
    }
    let inputs = setup::builder(args, voice).inputs_now().map_err(|error| start_failure(&error))?;
    let lines = LineFormat { prefix: args.prefix.into(), format: args.format.into() };
    let checked = Check::new(output)
        .inputs(inputs)
        .line_limit(args.max_line_bytes, args.long_lines.into())
        .render(move |path| {
            let renderer = lines.labelled(path);
            move |line: &[u8], out: &mut Vec<u8>| renderer.push(line, out)
        })
        .run()
        .map_err(|error| Failure::run_time(error.to_string()))?;
    let (lines, inputs) = (count(checked.lines, "line"), count(checked.inputs as u64, "input"));
    voice.note(format_args!("{}: holds the {lines} of {inputs}, each once and in order", output.display()));
    Ok(())
}
