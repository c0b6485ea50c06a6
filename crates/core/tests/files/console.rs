//! Standard input and output that a file system gives, in place of those of the process.

use std::io;
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use tailmerge_core::Builder;
use tailmerge_core::fs::{Entry, FileId, Fs, Kind, ReadFile, ReadStream, Stat, Stdout, WriteFile, WriteStream};

use crate::kit::{block_on, start, stop};

/// A system without files.
#[derive(Clone, Debug, Default)]
struct Console {
    written: Arc<Mutex<Vec<u8>>>,
}

/// Standard input, which has ended when all of this is read.
#[derive(Debug)]
struct Input(&'static [u8]);

/// Standard output, which takes a few bytes at a time.
#[derive(Debug)]
struct Output(Console);

fn stat(ino: u64) -> Stat {
    Stat::new(FileId::new(1, ino), Kind::Fifo, 0)
}

impl Fs for Console {
    fn stat(&self, _: &Path) -> io::Result<Stat> {
        Err(io::ErrorKind::NotFound.into())
    }

    fn open(&self, _: &Path) -> io::Result<Box<dyn ReadFile>> {
        Err(io::ErrorKind::NotFound.into())
    }

    fn list(&self, _: &Path, _: &mut dyn FnMut(Entry<'_>)) -> io::Result<()> {
        Err(io::ErrorKind::NotFound.into())
    }

    fn output(&self, _: &Path) -> io::Result<Box<dyn WriteFile>> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn stdin(&self) -> io::Result<Box<dyn ReadStream>> {
        Ok(Box::new(Input(b"one\ntwo\nthe last one")))
    }

    fn stdout(&self) -> io::Result<(Stat, Stdout)> {
        Ok((stat(2), Stdout::Stream(Box::new(Output(self.clone())))))
    }
}

impl ReadStream for Input {
    fn stat(&self) -> io::Result<Stat> {
        Ok(stat(1))
    }

    fn is_ready(&self) -> io::Result<bool> {
        Ok(true)
    }

    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let len = buf.len().min(self.0.len()).min(5);
        let (these, rest) = self.0.split_at(len);
        buf[..len].copy_from_slice(these);
        self.0 = rest;
        Ok(len)
    }

    fn available(&self) -> io::Result<u64> {
        Ok(self.0.len() as u64)
    }
}

impl WriteStream for Output {
    fn write(&mut self, bytes: &[u8], _: BorrowedFd<'_>) -> io::Result<usize> {
        let bytes = &bytes[..bytes.len().min(3)];
        self.0.written.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn is_closed(&self) -> bool {
        false
    }
}

/// All of standard input comes out on standard output, however little is read or written at a time.
#[test]
fn standard_input_and_output_are_those_of_the_file_system() {
    let console = Console::default();
    let builder = Builder::new().fs(Arc::new(console.clone())).stdin().stdout().once(true);
    let merge = start(builder);
    block_on("the merge ends by itself", merge.finished());
    let report = stop(&merge);
    assert_eq!(&*console.written.lock().unwrap_or_else(PoisonError::into_inner), b"one\ntwo\nthe last one\n");
    assert_eq!((report.lines, report.unterminated_lines), (3, 1), "{report:?}");
}
