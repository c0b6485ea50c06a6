//! A FIFO at the path of an input. The input claims it, and the reader of streams reads it.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::follow::registry::FileRegistry;
use crate::fs::FileId;

/// A FIFO at a named path. It is claimed until the last reference is dropped.
#[derive(Debug)]
pub(crate) struct Fifo {
    pub(crate) id: FileId,
    registry: Arc<FileRegistry>,
    pub(crate) grace: Duration,
    /// True once it has lost its name: it is then read until nothing has come for the grace time.
    pub(crate) lost: AtomicBool,
    /// True once it is not followed any more.
    pub(crate) left: AtomicBool,
}

impl Drop for Fifo {
    fn drop(&mut self) {
        self.registry.forget(self.id);
    }
}

/// The FIFO of an input. Dropping it records that the FIFO has lost its name.
#[derive(Debug)]
pub(crate) struct FifoInput(Arc<Fifo>);

impl FifoInput {
    /// Hands a FIFO, which is claimed already, to the reader of streams.
    pub(crate) fn new(
        path: &Arc<Path>,
        id: FileId,
        registry: &Arc<FileRegistry>,
        grace: Duration,
        streams: &Streams,
    ) -> Self {
        let (lost, left) = (AtomicBool::new(false), AtomicBool::new(false));
        let fifo = Arc::new(Fifo { id, registry: registry.clone(), grace, lost, left });
        (streams.0)(path, fifo.clone());
        Self(fifo)
    }

    pub(crate) fn id(&self) -> FileId {
        self.0.id
    }

    /// Stops following it.
    pub(crate) fn leave(self) {
        self.0.left.store(true, Ordering::Relaxed);
    }
}

impl Drop for FifoInput {
    fn drop(&mut self) {
        self.0.lost.store(true, Ordering::Relaxed);
    }
}

/// Hands FIFOs to the reader of streams.
#[derive(Clone)]
pub(crate) struct Streams(pub(crate) Arc<Take>);

/// Reads a FIFO that was found at a path.
type Take = dyn Fn(&Arc<Path>, Arc<Fifo>) + Send + Sync;

impl fmt::Debug for Streams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Streams").finish_non_exhaustive()
    }
}
