//! What each part of a merge costs by itself, measured through the public API.
//!
//! `cargo bench --bench parts [-- SECTION...] [--runs N] [--quick]`. Sections: `split`, `read`, `hand`, `write`; all of
//! them unless some are named. Each line is the median (least–greatest) of N runs, 5 by default, after one that is not
//! counted. What the plain system calls cost stands beside what the library makes of them. `--quick` does little: it
//! shows that all of it works.
//!
//! It wants 1 GiB of disk below the target directory, which is to be a real disk, and as much of page cache.

mod hand;
mod read;
mod split;
mod text;
mod write;

use std::env;
use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use tempfile::TempDir;

type Outcome<T> = Result<T, Box<dyn Error>>;

type Section = fn(&Bench) -> Outcome<()>;

const SECTIONS: &[(&str, Section)] =
    &[("split", split::run), ("read", read::run), ("hand", hand::run), ("write", write::run)];

/// Runs that count, unless given.
const RUNS: usize = 5;

/// Bytes read at a time by a merge.
const CHUNK: usize = 128 * 1024;

/// How much is done, and where.
#[derive(Debug)]
struct Bench {
    dir: TempDir,
    runs: usize,
    /// Bytes that are read or written.
    bytes: usize,
    /// Number of files where there are many.
    many: usize,
    /// How often something small is repeated.
    times: usize,
}

impl Bench {
    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Runs something and prints what it gives.
    fn tell(&self, what: &str, unit: &str, mut run: impl FnMut() -> Outcome<f64>) -> Outcome<()> {
        run()?;
        let mut values = (0..self.runs).map(|_| run()).collect::<Outcome<Vec<_>>>()?;
        values.sort_by(f64::total_cmp);
        let median = f64::midpoint(values[(values.len() - 1) / 2], values[values.len() / 2]);
        let range = format!("({:.2}–{:.2})", values[0], values[values.len() - 1]);
        println!("  {what:<58} {median:>9.2} {range:<19} {unit}");
        Ok(())
    }
}

fn gb_per_second(bytes: usize, took: Duration) -> f64 {
    bytes as f64 / 1e9 / took.as_secs_f64()
}

fn ns_each(count: usize, took: Duration) -> f64 {
    took.as_secs_f64() * 1e9 / count as f64
}

fn us_each(count: usize, took: Duration) -> f64 {
    ns_each(count, took) / 1000.0
}

fn main() -> ExitCode {
    match wanted(env::args().skip(1)).and_then(|(bench, sections)| parts(&bench, &sections)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("parts: {error}");
            ExitCode::from(2)
        }
    }
}

fn wanted(mut args: impl Iterator<Item = String>) -> Outcome<(Bench, Vec<String>)> {
    // `cargo bench` gives `--bench`; `cargo test --benches` does not, and is not to take minutes.
    let (mut quick, mut told, mut runs, mut sections) = (true, false, None, Vec::new());
    while let Some(arg) = args.next() {
        match &*arg {
            "--bench" => quick = false,
            "--quick" => told = true,
            "--runs" => {
                let number = args.next().and_then(|runs| runs.parse().ok()).filter(|&runs| runs > 0);
                runs = Some(number.ok_or("--runs takes a number from 1")?);
            }
            name if SECTIONS.iter().any(|(section, _)| *section == name) => sections.push(arg),
            _ => return Err(format!("there is no {arg:?}; sections: split, read, hand, write").into()),
        }
    }
    let quick = quick || told;
    let bench = Bench {
        dir: tempfile::Builder::new().prefix("parts-").tempdir_in(env!("CARGO_TARGET_TMPDIR"))?,
        runs: runs.unwrap_or(if quick { 1 } else { RUNS }),
        bytes: if quick { 4 } else { 256 } * 1024 * 1024,
        many: if quick { 200 } else { 10_000 },
        times: if quick { 200 } else { 20_000 },
    };
    Ok((bench, sections))
}

fn parts(bench: &Bench, sections: &[String]) -> Outcome<()> {
    for (name, section) in SECTIONS {
        if sections.is_empty() || sections.iter().any(|section| section == name) {
            println!("{name}");
            section(bench).map_err(|error| format!("{name}: {error}"))?;
        }
    }
    Ok(())
}
