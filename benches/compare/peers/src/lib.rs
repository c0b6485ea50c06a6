//! What the programs share.

use std::env;
use std::error::Error;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

pub type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// The arguments: the output, created here, and the paths in a list.
pub fn arguments() -> Outcome<(File, Vec<PathBuf>)> {
    let [output, list] = env::args_os().skip(1).collect::<Vec<_>>().try_into().map_err(|_| "give OUTPUT and LIST")?;
    let paths = fs::read_to_string(list)?.lines().map(PathBuf::from).collect();
    // Not cut: it may be a FIFO.
    Ok((File::options().write(true).create(true).truncate(false).open(output)?, paths))
}

/// A file that is read from where the last whole line ended.
pub struct Growing {
    file: File,
    offset: u64,
}

impl Growing {
    pub fn open(path: &PathBuf) -> io::Result<Self> {
        Ok(Self { file: File::open(path)?, offset: 0 })
    }

    /// Reads once, and says how many bytes of whole lines came, and whether there may be more.
    pub fn read(&mut self, buffer: &mut [u8]) -> io::Result<(usize, bool)> {
        let got = self.file.read_at(buffer, self.offset)?;
        let whole = memchr::memrchr(b'\n', &buffer[..got]).map_or(0, |last| last + 1);
        self.offset += whole as u64;
        Ok((whole, whole > 0 && got == buffer.len()))
    }
}
