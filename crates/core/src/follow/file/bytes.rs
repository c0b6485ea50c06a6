//! Reads where a read may come back short.

use std::io::{self, IoSliceMut};

use crate::fs::{ReadFile, Storage};

/// A read that may be made of several.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Got {
    pub(crate) len: usize,
    /// Whether the file had no more.
    pub(crate) ended: bool,
    /// Whether it was more than one read, so that the bytes may not be of one moment.
    pub(crate) torn: bool,
}

/// Reads on where a read comes back short, until the buffers are full or the file has no more; but no further than
/// `known`, up to where there are bytes for certain, or for too long, once `need` bytes are there.
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

/// Reads all of the buffer, or up to the end of the file. Tells how much that is.
pub(crate) fn read_all(file: &dyn ReadFile, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
    let need = bytes.len();
    read_at(file, &mut [IoSliceMut::new(bytes)], offset, need, u64::MAX).map(|got| got.len)
}

/// So often at most a visit reads on, once it has news, where reads come back short: it is to be a matter of
/// milliseconds.
pub(crate) const READS_MAX: usize = 1024;

/// On what kind of storage a file is that says to be so long, if its device is of this kind. Where nothing is known of
/// that, a file that is empty by its size and yet has something to read is like those of the kernel.
pub(crate) fn storage(file: &dyn ReadFile, kind: Storage, size: u64) -> io::Result<Storage> {
    match kind {
        Storage::Other if size == 0 && read_all(file, &mut [0], 0)? > 0 && file.stat()?.size == 0 => {
            Ok(Storage::Pseudo)
        }
        storage => Ok(storage),
    }
}
