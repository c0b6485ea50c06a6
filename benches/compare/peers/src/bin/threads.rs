//! Follows each file on a thread of its own, line by line, with a lock around the output.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use compare_peers::{Outcome, arguments};

/// How long a thread sleeps at the end of its file.
const REST: Duration = Duration::from_millis(10);

/// Of each thread; the default would be 2 MiB.
const STACK: usize = 64 * 1024;

fn main() -> Outcome<()> {
    let (output, paths) = arguments()?;
    let output = Arc::new(Mutex::new(output));
    let mut threads = Vec::new();
    for path in paths {
        let output = output.clone();
        threads.push(thread::Builder::new().stack_size(STACK).spawn(move || follow(path, &output))?);
    }
    for thread in threads {
        thread.join().map_err(|_| "a thread panicked")??;
    }
    Ok(())
}

fn follow(path: PathBuf, output: &Mutex<File>) -> Outcome<()> {
    let mut file = BufReader::new(File::open(path)?);
    let mut line = Vec::new();
    loop {
        file.read_until(b'\n', &mut line)?;
        if line.last() == Some(&b'\n') {
            output.lock().unwrap_or_else(PoisonError::into_inner).write_all(&line)?;
            line.clear();
        } else {
            thread::sleep(REST);
        }
    }
}
