//! Where a reader gets empty batches and leaves full ones.

use std::fmt;
use std::sync::Arc;

use crate::batch::Batch;
use crate::batch::pool::BatchPool;

/// Gives empty batches and takes those with lines. A clone is the same one.
#[derive(Clone)]
pub(crate) struct BatchSink {
    pub(crate) pool: Arc<BatchPool>,
    submit: Arc<dyn Fn(Batch) + Send + Sync>,
}

impl BatchSink {
    /// `submit` never waits.
    pub(crate) fn new(pool: Arc<BatchPool>, submit: impl Fn(Batch) + Send + Sync + 'static) -> Self {
        Self { pool, submit: Arc::new(submit) }
    }

    /// Takes a batch with lines in it. Never waits.
    pub(crate) fn submit(&self, batch: Batch) {
        (self.submit)(batch);
    }
}

impl fmt::Debug for BatchSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BatchSink").field("pool", &self.pool).finish_non_exhaustive()
    }
}
