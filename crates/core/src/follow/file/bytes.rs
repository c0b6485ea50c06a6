//! Reads where a read may come back short.

use std::io::{self, IoSliceMut};

use crate::fs::{ReadFile, Storage};

/// The result of a read that may consist of several.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Got {
    pub(crate) len: usize,
    /// True if the file had no more bytes.
    pub(crate) ended: bool,
    /// True if it took more than one read, so that the bytes may not be of one moment.
    pub(crate) torn: bool,
}

/// Reads again after a short read, until the buffers are full or the file has no more. Once `need` bytes are there, it
/// stops at `known`, up to where there are bytes for certain, and after a bounded number of reads.
pub(crate) fn read_at(
    file: &dyn ReadFile,
    mut bufs: &mut [IoSliceMut<'_>],
    offset: u64,
    need: usize,
    known: u64,
) -> io::Result<Got> {
    let room = bufs.iter().map(|buf| buf.len()).sum();
    let (mut len, mut reads, mut more) = (0, 0, READS_MAX);
    while len < room {
        if len >= need && reads > 0 {
            if more == 0 || offset + len as u64 >= known {
                return Ok(Got { len, ended: false, torn: reads > 1 });
            }
            more -= 1;
        }
        match file.read_at(bufs, offset + len as u64) {
            Ok(0) => return Ok(Got { len, ended: true, torn: reads > 1 }),
            Ok(got) => {
                IoSliceMut::advance_slices(&mut bufs, got);
                (len, reads) = (len + got, reads + 1);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // What is there counts; what is wrong is found again by the next read.
            Err(_) if len >= need && reads > 0 => more = 0,
            Err(error) => return Err(error),
        }
    }
    Ok(Got { len, ended: false, torn: reads > 1 })
}

/// Fills the buffer, or reads to the end of the file. Returns the number of bytes read.
pub(crate) fn read_all(file: &dyn ReadFile, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
    let need = bytes.len();
    read_at(file, &mut [IoSliceMut::new(bytes)], offset, need, u64::MAX).map(|got| got.len)
}

/// After it has new bytes, a visit makes at most so many more short reads, so that it takes milliseconds.
pub(crate) const READS_MAX: usize = 1024;

/// Returns the kind of a file's storage, given that of its device and the file's size. On unknown storage, a file of
/// size 0 that has bytes to read is treated like those of the kernel.
pub(crate) fn storage(file: &dyn ReadFile, kind: Storage, size: u64) -> io::Result<Storage> {
    match kind {
        Storage::Other if size == 0 && read_all(file, &mut [0], 0)? > 0 && file.stat()?.size == 0 => {
            Ok(Storage::Pseudo)
        }
        storage => Ok(storage),
    }
}
