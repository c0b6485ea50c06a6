//! How much memory a merge takes for the lines on their way, and how it is divided.

use super::Builder;
use crate::merge::StartError;

/// Bytes read at a time; a batch takes up to twice as many.
const CHUNK: usize = 512 * 1024;
/// Most batches that circulate: enough for each reader to have one under way and one waiting, and few enough to stay
/// in a processor's cache.
const BATCHES_MAX: usize = 4;
/// Fewest: one being read, one being written, and those of the host's lines.
const BATCHES_MIN: usize = 2 + HOST_BATCHES;
/// One of the host's lines, and one to swap for it.
const HOST_BATCHES: usize = 2;
/// Bytes for the buffers, unless set otherwise.
const MEMORY: usize = 8 * 1024 * 1024;

/// How many batches circulate, and their sizes in bytes.
pub(super) struct Buffers {
    /// Read at a time.
    pub(super) chunk: usize,
    /// In a batch.
    pub(super) capacity: usize,
    pub(super) batches: usize,
}

impl Builder {
    /// Bytes of memory that the merge will take for its buffers.
    ///
    /// # Errors
    ///
    /// If the line limit cannot be, or does not go with the bound for the buffers.
    pub fn buffer_bytes(&self) -> Result<usize, StartError> {
        self.buffers().map(|buffers| (buffers.batches + HOST_BATCHES) * buffers.capacity)
    }

    pub(super) fn buffers(&self) -> Result<Buffers, StartError> {
        let max = self.limit.max;
        if max == 0 {
            return Err(StartError::setting("the line limit must be at least 1 byte"));
        }
        if max > Self::LINE_BYTES_MAX {
            return Err(StartError::setting(format!("the line limit is {max} bytes: 1 GiB is the most")));
        }
        let line = max.saturating_add(1);
        let memory = self.memory.unwrap_or(MEMORY.max(line.saturating_mul(6)));
        let chunk = CHUNK.min(memory / BATCHES_MIN / 2).max(1);
        let capacity = line.max(2 * chunk);
        let batches = memory / capacity;
        if batches < BATCHES_MIN {
            return Err(StartError::setting(format!(
                "{memory} bytes of memory are too few for lines of up to {max} bytes: give at least {} or lower the line limit",
                line.saturating_mul(BATCHES_MIN),
            )));
        }
        Ok(Buffers { chunk, capacity, batches: (batches - HOST_BATCHES).min(BATCHES_MAX) })
    }
}
