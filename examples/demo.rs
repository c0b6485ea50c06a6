//! The main job on real files, in a few seconds: eight programs write logs, one of them rotates its file, a ninth
//! starts late; their lines are merged meanwhile, and then every line is checked.
//!
//! `cargo run --release --example demo [DIRECTORY]`: with a directory, the files stay there to be looked at.

use std::error::Error;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use tailmerge::Builder;
use tailmerge_verify::Check;

const LINES: usize = 20_000;

fn main() -> Result<(), Box<dyn Error>> {
    let kept = std::env::args_os().nth(1).map(PathBuf::from);
    let temporary = if kept.is_none() { Some(tempfile::tempdir()?) } else { None };
    let dir = kept.as_deref().or(temporary.as_ref().map(tempfile::TempDir::path)).unwrap_or(Path::new("."));
    let logs = dir.join("logs");
    let output = dir.join("all.log");
    if logs.exists() {
        return Err(format!("{} is there already; name another directory", logs.display()).into());
    }
    fs::create_dir_all(&logs)?;

    println!("merging {} into {}", logs.join("*.log*").display(), output.display());
    let merge = tailmerge::start_blocking(Builder::new().input(logs.join("*.log*")).output(&output))?;
    thread::scope(|scope| {
        let writers: Vec<_> = (0..9)
            .map(|number| {
                scope.spawn({
                    let logs = &logs;
                    move || write(logs, number)
                })
            })
            .collect();
        writers.into_iter().try_for_each(|writer| writer.join().unwrap_or_else(|_| Err(io::Error::other("panicked"))))
    })?;
    let report = merge.stop_blocking(Duration::from_secs(30))?;

    println!("{} lines, {} bytes, on {}", report.lines, report.bytes, merge.backend());
    if !report.is_complete() {
        return Err(format!("not all is in the output: {report:?}").into());
    }
    let mut inputs = fs::read_dir(&logs)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
    inputs.sort();
    let checked = Check::new(&output).inputs(&inputs).run()?;
    println!("checked: the {} lines of {} files are all there, once each and in order", checked.lines, inputs.len());
    Ok(())
}

/// A program that logs: bursts of lines, now and then a line in two writes.
fn write(logs: &Path, number: usize) -> io::Result<()> {
    let path = logs.join(format!("app{number}.log"));
    let open = || OpenOptions::new().create(true).append(true).open(&path);
    if number == 8 {
        thread::sleep(Duration::from_secs(1));
    }
    let mut file: File = open()?;
    for line in 0..LINES {
        let text = format!("app{number} line {line:06} {}\n", "all work and no play ".repeat(line % 7));
        let (head, tail) = text.split_at(if line % 50 == 0 { text.len() / 2 } else { 0 });
        file.write_all(head.as_bytes())?;
        if line % 500 == 0 {
            thread::sleep(Duration::from_millis(50));
        }
        file.write_all(tail.as_bytes())?;
        if number == 3 && line == LINES / 2 {
            fs::rename(&path, path.with_extension("log.1"))?;
            file = open()?;
        }
    }
    Ok(())
}
