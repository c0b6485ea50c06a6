//! What reading files costs: by system calls alone, as batches, as lines; and what a file costs that has next to nothing.

use std::fs::File;
use std::hint::black_box;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use futures_lite::StreamExt;
use tailmerge::fs::{Fs, OsFs};
use tailmerge::{Builder, Smol};

use crate::{Bench, CHUNK, Outcome, gb_per_second, ns_each, text, us_each};

pub(crate) fn run(bench: &Bench) -> Outcome<()> {
    let text = text::lines(bench.bytes);
    let count = memchr::memchr_iter(b'\n', &text).count();
    for number in [16, bench.many / 10] {
        let dir = bench.path(&format!("read{number}"));
        let paths = text::files(&dir, number, &text)?;
        bench.tell(&format!("{number} files, pread of {} KiB at a time", CHUNK / 1024), "GB/s", || {
            Ok(gb_per_second(text.len(), pread(&paths)?))
        })?;
        bench.tell(&format!("{number} files, as batches that are dropped"), "GB/s", || {
            let (took, read) = batches(once(&dir))?;
            same(read, text.len())?;
            Ok(gb_per_second(text.len(), took))
        })?;
        bench.tell(&format!("{number} files, as a stream of lines"), "ns a line", || {
            let (took, lines) = lines(once(&dir))?;
            same(lines, count)?;
            Ok(ns_each(count, took))
        })?;
        std::fs::remove_dir_all(&dir)?;
    }

    let dir = bench.path("small");
    let paths = text::files(&dir, bench.many, &[])?;
    let small = format!("{} files of a line", bench.many);
    bench.tell(&format!("{small}: open, read, close"), "µs a file", || Ok(us_each(paths.len(), pread(&paths)?)))?;
    bench.tell(&format!("{small}: look at each (stat)"), "µs a file", || {
        let start = Instant::now();
        for path in &paths {
            black_box(OsFs.stat(path)?);
        }
        Ok(us_each(paths.len(), start.elapsed()))
    })?;
    bench.tell(&format!("{small}: find them by a pattern"), "µs a file", || {
        let start = Instant::now();
        same(Builder::new().input(dir.join("*.log")).inputs_now()?.len(), paths.len())?;
        Ok(us_each(paths.len(), start.elapsed()))
    })?;
    bench.tell(&format!("{small}: find, open, read, let go"), "µs a file", || {
        Ok(us_each(paths.len(), batches(once(&dir))?.0))
    })?;
    Ok(std::fs::remove_dir_all(&dir)?)
}

fn once(dir: &Path) -> Builder {
    Builder::new().input(dir.join("*.log")).once(true)
}

fn same(found: usize, expected: usize) -> Outcome<()> {
    if found == expected { Ok(()) } else { Err(format!("{found}, not {expected}").into()) }
}

fn pread(paths: &[PathBuf]) -> Outcome<Duration> {
    let mut buffer = vec![0; CHUNK];
    let start = Instant::now();
    for path in paths {
        let (file, mut offset) = (File::open(path)?, 0);
        loop {
            let got = file.read_at(&mut buffer, offset)?;
            offset += got as u64;
            if got < buffer.len() {
                break;
            }
        }
        black_box(&buffer);
    }
    Ok(start.elapsed())
}

/// How long it took, and how many bytes came.
fn batches(tail: Builder) -> Outcome<(Duration, usize)> {
    smol::block_on(async {
        let start = Instant::now();
        let mut batches = tail.batches_on(Smol::new()).await?;
        let mut read = 0;
        while let Some(batch) = batches.next().await.transpose()? {
            read += batch.len();
        }
        Ok((start.elapsed(), read))
    })
}

/// How long it took, and how many lines came.
fn lines(tail: Builder) -> Outcome<(Duration, usize)> {
    smol::block_on(async {
        let start = Instant::now();
        let mut lines = tail.lines_on(Smol::new()).await?;
        let mut count = 0;
        while let Some(line) = lines.next().await.transpose()? {
            black_box(line);
            count += 1;
        }
        Ok((start.elapsed(), count))
    })
}
