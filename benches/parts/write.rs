//! What writing costs: by system calls alone, from memory by way of the writer's thread, and from files, all of it.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::time::Instant;

use tailmerge::Builder;

use crate::hand::{Repeat, repeat};
use crate::{Bench, CHUNK, Outcome, gb_per_second, text};

pub(crate) fn run(bench: &Bench) -> Outcome<()> {
    let text = text::lines(bench.bytes);
    let piece = text::pieces(&text, 2 * CHUNK)[0];
    let output = bench.path("merged");
    let times = bench.bytes / piece.len();
    bench.tell(&format!("write of {} KiB at a time to a new file", 2 * CHUNK / 1024), "GB/s", || {
        fresh(&output)?;
        let mut file = File::create_new(&output)?;
        let start = Instant::now();
        for _ in 0..times {
            file.write_all(piece)?;
        }
        Ok(gb_per_second(times * piece.len(), start.elapsed()))
    })?;
    bench.tell("batches from memory to a new file", "GB/s", || {
        fresh(&output)?;
        let tailer = Repeat { bytes: piece.to_vec(), left: times, offset: 0 };
        let took = repeat(Builder::new().once(true).tailer("lines", tailer).output(&output), times * piece.len())?;
        Ok(gb_per_second(times * piece.len(), took))
    })?;
    for number in [16, bench.many / 10] {
        let dir = bench.path(&format!("write{number}"));
        text::files(&dir, number, &text)?;
        bench.tell(&format!("all of it: {number} files to a new file"), "GB/s", || {
            fresh(&output)?;
            let took = repeat(Builder::new().once(true).input(dir.join("*.log")).output(&output), text.len())?;
            Ok(gb_per_second(text.len(), took))
        })?;
        fs::remove_dir_all(&dir)?;
    }
    fresh(&output)
}

/// Makes room for an output that is not there yet.
fn fresh(output: &Path) -> Outcome<()> {
    if output.exists() {
        fs::remove_file(output)?;
    }
    Ok(())
}
