//! Files that are rotated and deleted while nobody reads the output.

use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use crate::kit::{Merged, Rng, Stream, Written, report, setting};
use crate::tool::{DEADLINE, Dir};

const STREAMS: u64 = 4;
/// The most memory that the program may have used at any time, in KiB.
const MEMORY_MAX: u64 = 24 * 1024;

/// Writes, rotates and deletes for a while. Each file has its name for long enough to be seen.
fn produce(dir: &Dir, at: u64, mut rng: Rng, length: Duration) -> (String, u64, u64) {
    let path = dir.path(format!("in/{at}.log"));
    let mut stream = Stream::open(path.clone(), &format!("s{at}"));
    let (start, mut bytes, mut rotation) = (Instant::now(), 0, 0);
    while start.elapsed() < length {
        let (born, life) = (Instant::now(), rng.millis(600, 1400));
        while born.elapsed() < life {
            bytes += stream.write_many(4);
            thread::sleep(Duration::from_millis(4));
        }
        match rng.below(3) {
            0 => fs::remove_file(&path).unwrap(),
            1 => fs::rename(&path, dir.path(format!("out/{at}.{rotation}"))).unwrap(),
            _ => {
                // Renamed, and deleted only when the next one is: it is known by then.
                fs::rename(&path, dir.path(format!("in/{at}.log.1"))).unwrap();
            }
        }
        rotation += 1;
        // A few lines come late.
        bytes += stream.write_many(4);
        stream.reopen();
    }
    (stream.name, stream.next, bytes)
}

/// Reads what the program writes, until so much has come.
fn read(fifo: &Path, bytes: u64) -> (File, Vec<u8>) {
    let mut fifo = File::open(fifo).unwrap();
    rustix::io::ioctl_fionbio(&fifo, true).unwrap();
    let (mut output, mut room, mut last) = (Vec::new(), vec![0; 64 * 1024], Instant::now());
    while (output.len() as u64) < bytes {
        match fifo.read(&mut room) {
            Ok(0) => thread::sleep(Duration::from_millis(1)),
            Ok(len) => {
                output.extend_from_slice(&room[..len]);
                last = Instant::now();
                continue;
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => thread::sleep(Duration::from_millis(1)),
            Err(error) => panic!("the output: {error}"),
        }
        assert!(last.elapsed() < DEADLINE, "{} of {bytes} bytes came, and nothing more", output.len());
    }
    (fifo, output)
}

/// The most memory that a process has used, in KiB.
fn memory(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

fn follow(opened: bool) {
    let seconds = setting("TAILMERGE_TEST_BLOCKED_SECONDS", 2);
    let rng = Rng::new();
    let dir = Dir::new();
    fs::create_dir(dir.path("in")).unwrap();
    fs::create_dir(dir.path("out")).unwrap();
    let fifo = dir.fifo("fifo");
    // Somebody may have it open and not read from it.
    let holder = opened.then(|| File::options().read(true).write(true).open(&fifo).unwrap());
    let args = ["-o", "fifo", "--report", "report", "in/*.log"];
    let mut running = dir.tailmerge(args).start();
    let produced: Vec<_> = thread::scope(|scope| {
        let start = |at| {
            let (dir, rng) = (&dir, rng.split(at));
            scope.spawn(move || produce(dir, at, rng, Duration::from_secs(seconds)))
        };
        let producers: Vec<_> = (0..STREAMS).map(start).collect();
        producers.into_iter().map(|producer| producer.join().unwrap()).collect()
    });
    let bytes = produced.iter().map(|(.., bytes)| bytes).sum();
    let (mut reader, mut output) = read(&fifo, bytes);
    drop(holder);
    let memory = memory(running.child().id());
    running.stop().expect(0);
    reader.read_to_end(&mut output).unwrap();
    assert_eq!(report(&dir, "report")["gaps"], serde_json::json!([]));
    let written: Written = produced.into_iter().map(|(name, lines, _)| (name, lines)).collect();
    Merged::new(&output).expect_all(&written);
    println!("{} lines after {seconds} s, {memory} KiB", written.values().sum::<u64>());
    assert!(memory < MEMORY_MAX, "{memory} KiB");
}

#[test]
fn an_output_that_nobody_reads_for_long() {
    follow(true);
}

#[test]
fn an_output_that_nobody_opens_for_long() {
    follow(false);
}
