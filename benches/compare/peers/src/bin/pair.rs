//! Copies files to their ends: one thread reads, one writes, with four buffers between them. Nothing is followed.

use std::io::Write;
use std::sync::mpsc::sync_channel;
use std::thread;

use compare_peers::{Growing, Outcome, arguments};

const BUFFER: usize = 256 * 1024;
const BUFFERS: usize = 4;

fn main() -> Outcome<()> {
    let (mut output, paths) = arguments()?;
    let (full, to_write) = sync_channel::<(Vec<u8>, usize)>(BUFFERS);
    let (free, to_fill) = sync_channel(BUFFERS);
    for _ in 0..BUFFERS {
        free.send(vec![0; BUFFER])?;
    }
    let reader = thread::spawn(move || -> Outcome<()> {
        for path in &paths {
            let mut file = Growing::open(path)?;
            loop {
                let mut buffer = to_fill.recv()?;
                let (whole, more) = file.read(&mut buffer)?;
                full.send((buffer, whole))?;
                if !more {
                    break;
                }
            }
        }
        Ok(())
    });
    for (buffer, whole) in to_write {
        output.write_all(&buffer[..whole])?;
        // The reader may be done, and want no more of them.
        drop(free.send(buffer));
    }
    reader.join().map_err(|_| "the reader panicked")?
}
