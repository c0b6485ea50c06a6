//! The figures that a merge must reach: speed, memory, threads, and what it leaves of the host's executor.
//!
//! `cargo bench --bench figures [-- SECTION...] [--runs N] [--quick]`. Sections: `catchup`, `many`, `idle`, `threads`,
//! `heartbeat`; all of them unless some are named. Each prints medians (least–greatest) of N runs, 5 by default, beside
//! its targets. The exit status is 1 if one is missed, 2 if something cannot be measured. `--quick` does little and judges
//! nothing: it shows that all of it works. Linux only.
//!
//! What is measured runs in a process of its own, this program started again with a hidden first argument, so that
//! memory and CPU time are of the merge alone. Speed and heartbeat are given beside the same figure of a real `cat` that
//! copies the same bytes in turn with the merge; on a shared machine only what they are to each other means something.
//!
//! It wants 4 GiB of disk below the target directory, which is to be a real disk, and as much of page cache.

mod beat;
mod bench;
mod child;
mod data;
mod measure;
mod place;
mod sections;
mod table;

use std::env;
use std::error::Error;
use std::fs;
use std::process::ExitCode;

use bench::{Bench, Scale};
use sections::SECTIONS;

type Outcome<T> = Result<T, Box<dyn Error>>;

/// Runs of a section, unless given.
const RUNS: usize = 5;

const USAGE: &str = "usage: cargo bench --bench figures [-- SECTION...] [--runs N] [--quick]";

/// What the command line asks for.
struct Wanted {
    sections: Vec<&'static str>,
    runs: Option<usize>,
    quick: bool,
}

fn main() -> ExitCode {
    let mut args = env::args_os().skip(1).peekable();
    let done = match args.next_if(|first| first == child::MARK) {
        Some(_) => child::run(args).map(|()| true),
        None => wanted(env::args().skip(1)).and_then(|wanted| figures(&wanted)),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("figures: {error}");
            ExitCode::from(2)
        }
    }
}

fn wanted(mut args: impl Iterator<Item = String>) -> Outcome<Wanted> {
    // `cargo bench` gives `--bench`; `cargo test --benches` does not, and is not to take minutes.
    let mut wanted = Wanted { sections: Vec::new(), runs: None, quick: true };
    let mut quick = false;
    while let Some(arg) = args.next() {
        match &*arg {
            "--bench" => wanted.quick = false,
            "--quick" => quick = true,
            "--runs" => {
                let runs = args.next().and_then(|runs| runs.parse().ok()).filter(|&runs| runs > 0);
                wanted.runs = Some(runs.ok_or("--runs takes a number from 1")?);
            }
            name => match SECTIONS.iter().find(|(section, _)| *section == name) {
                Some((section, _)) => wanted.sections.push(section),
                None => {
                    let sections: Vec<_> = SECTIONS.iter().map(|(section, _)| *section).collect();
                    return Err(format!("there is no {name:?}\n{USAGE}\nsections: {}", sections.join(", ")).into());
                }
            },
        }
    }
    wanted.quick |= quick;
    Ok(wanted)
}

/// Measures. False: a target is missed.
fn figures(wanted: &Wanted) -> Outcome<bool> {
    let scale = if wanted.quick { Scale::quick() } else { Scale::full() };
    let runs = wanted.runs.unwrap_or(if wanted.quick { 1 } else { RUNS });
    let mut bench = Bench::new(scale, runs)?;
    let mut missed = 0;
    for (name, section) in SECTIONS {
        if wanted.sections.is_empty() || wanted.sections.contains(name) {
            let load = fs::read_to_string("/proc/loadavg")?;
            let load = load.split(' ').next().unwrap_or_default();
            println!("{name} (load average before: {load})");
            let table = section(&mut bench).map_err(|error| format!("{name}: {error}"))?;
            println!("{table}");
            missed += table.missed();
        }
    }
    if wanted.quick {
        println!("quick: too little is done for the figures to mean anything; nothing is judged");
        return Ok(true);
    }
    Ok(missed == 0)
}
