//! A FIFO that an input finds at its path: it is claimed here, and read as a stream by others.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::follow::registry::FileRegistry;
use crate::fs::FileId;

/// A FIFO that is found under a named path: claimed as long as somebody has this.
#[derive(Debug)]
pub(crate) struct Fifo {
    pub(crate) id: FileId,
    registry: Arc<FileRegistry>,
    pub(crate) grace: Duration,
    /// Whether it has lost its name: it is read until nothing comes for the grace time.
    pub(crate) lost: AtomicBool,
    /// Whether it is followed no more.
    pub(crate) left: AtomicBool,
}

impl Drop for Fifo {
    fn drop(&mut self) {
        self.registry.forget(self.id);
    }
}

/// The FIFO that an input has read as a stream; dropped, it says that the FIFO has lost its name.
#[derive(Debug)]
pub(crate) struct FifoInput(Arc<Fifo>);

impl FifoInput {
    /// Has it read. It is claimed already.
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

    /// It is followed no more.
    pub(crate) fn leave(self) {
        self.0.left.store(true, Ordering::Relaxed);
    }
}

impl Drop for FifoInput {
    fn drop(&mut self) {
        self.0.lost.store(true, Ordering::Relaxed);
    }
}

/// Who reads the FIFOs that are found.
#[derive(Clone)]
pub(crate) struct Streams(pub(crate) Arc<Take>);

/// Has a FIFO read that was found under a path.
type Take = dyn Fn(&Arc<Path>, Arc<Fifo>) + Send + Sync;

impl fmt::Debug for Streams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Streams").finish_non_exhaustive()
    }
}
