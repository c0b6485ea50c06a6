//! The buffers and the context that a file is read with.

use std::sync::Arc;
use std::time::Instant;

use crate::batch::Batch;
use crate::batch::source::Source;
use crate::clock;
use crate::follow::context::ReadContext;
use crate::record::format::Renderer;
use crate::record::to_batch::ToBatch;

/// The buffers of a shard for bytes that cannot be read straight into a batch.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    pub(super) bytes: Vec<u8>,
    pub(super) line: Vec<u8>,
    /// Until when it is time for what can wait; none: for as long as that takes.
    until: Option<Instant>,
    /// True if something was put off.
    put_off: bool,
}

impl Scratch {
    /// Bounds the time for what may take long and can wait: letting go of deleted files, which the system then frees,
    /// and searching large directories.
    pub(crate) fn ration(&mut self, until: Option<Instant>) {
        self.until = until;
    }

    /// Returns true if there is time for it, and takes note if there is none.
    pub(crate) fn has_time(&mut self) -> bool {
        let has = self.until.is_none_or(|until| clock::now() < until);
        self.put_off |= !has;
        has
    }

    /// Returns true if something was put off since it was last asked.
    pub(crate) fn was_put_off(&mut self) -> bool {
        std::mem::take(&mut self.put_off)
    }

    pub(crate) fn bytes(&mut self, len: usize) -> &mut [u8] {
        if self.bytes.len() < len {
            self.bytes.resize(len, 0);
        }
        &mut self.bytes[..len]
    }

    /// Returns the buffer by value, for use beside the other one. The caller gives it back.
    pub(crate) fn take(&mut self, len: usize) -> Vec<u8> {
        self.bytes(len);
        std::mem::take(&mut self.bytes)
    }

    pub(crate) fn give_back(&mut self, bytes: Vec<u8>) {
        self.bytes = bytes;
    }
}

/// The context in which a file is read when it is its turn.
#[derive(Debug)]
pub(crate) struct Turn<'a> {
    /// The source of the lines.
    pub(crate) source: &'a Arc<Source>,
    pub(crate) renderer: &'a Renderer,
    pub(crate) batch: &'a mut Batch,
    pub(crate) scratch: &'a mut Scratch,
    pub(crate) cx: &'a ReadContext,
}

impl Turn<'_> {
    /// Returns what renders records into the batch.
    pub(crate) fn sink(&mut self) -> ToBatch<'_> {
        let Self { source, renderer, batch, scratch, cx } = self;
        ToBatch::new(source, renderer, cx.settings.limit, &cx.ledger, batch, &mut scratch.line)
    }
}
