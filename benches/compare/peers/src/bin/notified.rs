//! Follows files on one thread: waits for inotify, reads, writes. It knows no rotation, no limit, no stop.

use std::collections::HashMap;
use std::io::Write;
use std::mem::MaybeUninit;

use compare_peers::{Growing, Outcome, arguments};
use rustix::fs::inotify::{CreateFlags, Reader, WatchFlags, add_watch, init};

const BUFFER: usize = 256 * 1024;

fn main() -> Outcome<()> {
    let (mut output, paths) = arguments()?;
    let notify = init(CreateFlags::CLOEXEC)?;
    let mut files = HashMap::new();
    for path in &paths {
        let watch = add_watch(&notify, path, WatchFlags::MODIFY)?;
        files.insert(watch, Growing::open(path)?);
    }
    let mut buffer = vec![0; BUFFER];
    let mut copy = |file: &mut Growing| -> Outcome<()> {
        loop {
            let (whole, more) = file.read(&mut buffer)?;
            output.write_all(&buffer[..whole])?;
            if !more {
                return Ok(());
            }
        }
    };
    for file in files.values_mut() {
        copy(file)?;
    }
    let mut room = [MaybeUninit::uninit(); 64 * 1024];
    let mut events = Reader::new(&notify, &mut room);
    loop {
        let watch = events.next()?.wd();
        if let Some(file) = files.get_mut(&watch) {
            copy(file)?;
        }
    }
}
