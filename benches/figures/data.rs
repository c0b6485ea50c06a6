//! The inputs: files of lines as logs have them, and pages warm enough to measure with.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::Outcome;

pub(crate) const MIB: usize = 1024 * 1024;

/// Shortest and longest line, in bytes with the newline.
const LINE_BYTES: (f64, f64) = (20.0, 2000.0);

/// Different ends of lines.
const ENDS: usize = 8192;

const WORDS: &str = "request response upstream client timeout connection accepted closed user session token cache hit \
    miss GET POST PUT /api/v1/items /api/v2/orders /healthz status=200 status=404 status=500 bytes=5123 dur=0.013s retry \
    attempt queue worker shard partition offset commit lag leader follower snapshot compaction postgres nginx kubelet \
    trace_id=4bf92f3577b34da6 span_id=00f067aa0ba902b7 error: warning: info: debug: tick";

/// A set of input files.
#[derive(Debug)]
pub(crate) struct Inputs {
    pub(crate) dir: PathBuf,
    pub(crate) paths: Vec<PathBuf>,
    /// In all.
    pub(crate) bytes: u64,
}

impl Inputs {
    /// Makes `count` files of `size` bytes or a line more, each line different from all others, and has them on the
    /// disk, so that they are not written while something is measured.
    pub(crate) fn make(dir: PathBuf, count: usize, size: usize) -> Outcome<Self> {
        fs::create_dir(&dir)?;
        let mut random = Random(0x5eed);
        let ends = line_ends(&mut random);
        let (mut paths, mut bytes) = (Vec::with_capacity(count), 0);
        let mut block = Vec::new();
        for number in 0..count {
            let path = dir.join(format!("f{number:05}.log"));
            let mut file = File::create_new(&path)?;
            let (mut written, mut line) = (0, 0);
            while written < size {
                block.clear();
                while block.len() < MIB && written + block.len() < size {
                    write!(block, "{number:05}-{line:08} ")?;
                    block.extend_from_slice(&ends[random.below(ENDS)]);
                    line += 1;
                }
                file.write_all(&block)?;
                written += block.len();
            }
            file.sync_data()?;
            bytes += written as u64;
            paths.push(path);
        }
        Ok(Self { dir, paths, bytes })
    }

    /// Makes `count` files of one short line.
    pub(crate) fn make_small(dir: PathBuf, count: usize) -> Outcome<Self> {
        fs::create_dir(&dir)?;
        let (mut paths, mut bytes) = (Vec::with_capacity(count), 0);
        for number in 0..count {
            let path = dir.join(format!("quiet{number:05}.log"));
            let line = format!("{number:05} the only line\n");
            fs::write(&path, &line)?;
            bytes += line.len() as u64;
            paths.push(path);
        }
        Ok(Self { dir, paths, bytes })
    }

    /// Brings the inputs into the page cache, and writes a file of their size at `scratch` and removes it.
    ///
    /// Where a hypervisor gives memory at its first touch, or takes it back when it was long free, the first writes
    /// are several times slower than the next.
    pub(crate) fn warm(&self, scratch: &Path) -> Outcome<()> {
        for path in &self.paths {
            let mut input = File::open(path)?;
            let mut block = [0; 64 * 1024];
            while io::Read::read(&mut input, &mut block)? > 0 {}
        }
        let mut file = File::create_new(scratch)?;
        let block = vec![b'w'; MIB];
        for _ in 0..self.bytes / MIB as u64 + 16 {
            file.write_all(&block)?;
        }
        Ok(fs::remove_file(scratch)?)
    }
}

/// What follows a line's number: some 100 bytes as a rule, seldom many.
fn line_ends(random: &mut Random) -> Vec<Vec<u8>> {
    let words: Vec<&str> = WORDS.split_whitespace().collect();
    let mut text = String::new();
    while text.len() < 64 * 1024 {
        text.push_str(words[random.below(words.len())]);
        text.push(' ');
    }
    let end = |_| {
        // Log-normal: its logarithm is a sum of equal chances, which is about normal.
        let normal = (0..12).map(|_| random.unit()).sum::<f64>() - 6.0;
        let size = (4.61 + 0.62 * normal).exp().clamp(LINE_BYTES.0, LINE_BYTES.1) as usize - "00000-00000000 \n".len();
        let at = random.below(text.len() - size);
        let mut end = text.as_bytes()[at..at + size].to_vec();
        end.push(b'\n');
        end
    };
    (0..ENDS).map(end).collect()
}

/// A small generator of numbers, the same ones each time (splitmix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }
}
