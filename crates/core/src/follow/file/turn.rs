//! The buffers and the context that a file is read with.

use std::sync::Arc;

use crate::batch::{Batch, Source};
use crate::follow::context::TailContext;
use crate::record::to_batch::ToBatch;

/// Buffers of a shard, for what cannot be read straight into a batch.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    pub(super) bytes: Vec<u8>,
    pub(super) line: Vec<u8>,
}

impl Scratch {
    pub(crate) fn bytes(&mut self, len: usize) -> &mut [u8] {
        if self.bytes.len() < len {
            self.bytes.resize(len, 0);
        }
        &mut self.bytes[..len]
    }

    /// The buffer by value, for use beside the other one; it is given back afterwards.
    pub(crate) fn take(&mut self, len: usize) -> Vec<u8> {
        self.bytes(len);
        std::mem::take(&mut self.bytes)
    }

    pub(crate) fn give_back(&mut self, bytes: Vec<u8>) {
        self.bytes = bytes;
    }
}

/// What a file is read with, when it is its turn.
#[derive(Debug)]
pub(crate) struct Turn<'a> {
    /// Whose lines they are.
    pub(crate) source: &'a Arc<Source>,
    pub(crate) batch: &'a mut Batch,
    pub(crate) scratch: &'a mut Scratch,
    pub(crate) cx: &'a TailContext,
}

impl Turn<'_> {
    /// Returns what renders records into the batch.
    pub(crate) fn sink(&mut self) -> ToBatch<'_> {
        let Self { source, batch, scratch, cx } = self;
        ToBatch::new(source, source.renderer(), cx.limit, &cx.ledger, batch, &mut scratch.line)
    }
}
