//! Something to merge while it grows, for the demonstrations of the stages.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use async_channel::Receiver;
use tailmerge_verify::Check;

use super::Error;

const INPUTS: usize = 5;
const LINES: usize = 100;

/// Has five programs write logs for a second while `merge` merges them, and checks the output.
pub(crate) fn demonstrate(
    merge: impl FnOnce(&[PathBuf], &Path, Receiver<()>) -> Result<(), Error>,
) -> Result<(), Error> {
    let dir = tempfile::tempdir()?;
    let output = dir.path().join("all");
    let inputs: Vec<_> = (0..INPUTS).map(|number| dir.path().join(format!("{number}.log"))).collect();
    // A reader opens its file at once: let there be one.
    inputs.iter().try_for_each(|path| OpenOptions::new().create(true).append(true).open(path).map(drop))?;

    let (running, stop) = async_channel::bounded(1);
    thread::scope(|scope| {
        let producers: Vec<_> = inputs.iter().map(|path| scope.spawn(|| produce(path))).collect();
        // The stop is the end of this channel, once all of them are through.
        scope.spawn(move || {
            producers.into_iter().for_each(|producer| drop(producer.join()));
            drop(running);
        });
        merge(&inputs, &output, stop)
    })?;

    let checked = Check::new(&output).inputs(&inputs).run()?;
    println!("{} lines of {} inputs are all there, once each and in order", checked.lines, checked.inputs);
    Ok(())
}

/// A program that logs: a line every 10 ms, in two writes.
fn produce(path: &Path) -> io::Result<()> {
    let mut file = OpenOptions::new().append(true).open(path)?;
    for number in 0..LINES {
        write!(file, "{}: line ", path.display())?;
        thread::sleep(Duration::from_millis(10));
        writeln!(file, "{number}")?;
    }
    Ok(())
}
