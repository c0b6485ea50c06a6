//! The sizes of a merge's buffers.

use crate::pipeline::error::StartError;

/// A read takes at most so many bytes; a batch holds up to twice as many.
const CHUNK: usize = 512 * 1024;
/// At most so many batches circulate: enough for each reader to fill one while another waits, and few enough to stay in
/// a processor's cache.
const BATCHES_MAX: usize = 4;
/// At least so many batches circulate: one being read, one being written, and those of the host's lines.
const BATCHES_MIN: usize = 2 + HOST_BATCHES;
/// The batches of the host's lines, which are not of the pool: one being filled, and one being written.
pub(crate) const HOST_BATCHES: usize = 2;
/// The default limit of all buffers, in bytes.
const MEMORY: usize = 8 * 1024 * 1024;

/// The number of batches and their sizes in bytes.
pub(crate) struct Buffers {
    /// The size of a read.
    pub(crate) chunk: usize,
    /// The capacity of a batch.
    pub(crate) capacity: usize,
    pub(crate) batches: usize,
}

/// The greatest line limit, 1 GiB: each buffer has room for a line.
pub(crate) const LINE_BYTES_MAX: usize = 1024 * 1024 * 1024;

impl Buffers {
    /// Divides `memory` bytes, or what is right for lines of up to `max` bytes.
    pub(crate) fn new(max: usize, memory: Option<usize>) -> Result<Self, StartError> {
        if max == 0 {
            return Err(StartError::setting("the line limit must be at least 1 byte"));
        }
        if max > LINE_BYTES_MAX {
            return Err(StartError::setting(format!("the line limit is {max} bytes: 1 GiB is the most")));
        }
        let line = max.saturating_add(1);
        let memory = memory.unwrap_or(MEMORY.max(line.saturating_mul(6)));
        let chunk = CHUNK.min(memory / BATCHES_MIN / 2).max(1);
        let capacity = line.max(2 * chunk);
        let batches = memory / capacity;
        if batches < BATCHES_MIN {
            return Err(StartError::setting(format!(
                "{memory} bytes of memory are too few for lines of up to {max} bytes: give at least {} or lower the line limit",
                line.saturating_mul(BATCHES_MIN),
            )));
        }
        Ok(Self { chunk, capacity, batches: (batches - HOST_BATCHES).min(BATCHES_MAX) })
    }
}
