//! The host's own tailers, all in one job.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};

use super::{Progress, TailError, Tailer};
use crate::batch::{Batch, Source};
use crate::lock::lock;

/// Tailers that take turns. One that fails leaves; the others stay.
pub(crate) struct Many {
    tailers: Vec<(Arc<Source>, Box<dyn Tailer>)>,
    /// Whose turn it is.
    next: usize,
    /// Where lines go first that get a label or another format.
    raw: Batch,
    failures: Arc<Failures>,
}

/// What failed, first cause first.
pub(crate) type Failures = Mutex<Vec<(String, Arc<TailError>)>>;

impl Many {
    pub(crate) fn new(tailers: Vec<(Arc<Source>, Box<dyn Tailer>)>, capacity: usize, failures: Arc<Failures>) -> Self {
        let verbatim = tailers.iter().all(|(source, _)| source.renderer().is_verbatim());
        let raw = Batch::with_capacity(if verbatim { 0 } else { capacity });
        Self { tailers, next: 0, raw, failures }
    }

    /// Lets one tailer fill the batch.
    fn fill_one(&mut self, at: usize, batch: &mut Batch) -> Result<Progress, TailError> {
        let (source, tailer) = &mut self.tailers[at];
        let verbatim = source.renderer().is_verbatim();
        let target = if verbatim { &mut *batch } else { &mut self.raw };
        target.set_source(source, 0);
        let filled = catch_unwind(AssertUnwindSafe(|| tailer.fill(target)));
        if !verbatim {
            self.raw.render_into(batch);
        }
        filled.unwrap_or_else(|panic| Err(TailError::panicked(&*panic)))
    }
}

impl Tailer for Many {
    fn fill(&mut self, batch: &mut Batch) -> Result<Progress, TailError> {
        let mut progress = Progress::Idle;
        for _ in 0..self.tailers.len() {
            let at = self.next % self.tailers.len();
            match self.fill_one(at, batch) {
                Ok(Progress::Idle) => self.next = at + 1,
                Ok(Progress::More) => (self.next, progress) = (at + 1, Progress::More),
                Ok(Progress::Ended) => drop(self.tailers.remove(at)),
                Err(error) => {
                    let (source, _) = self.tailers.remove(at);
                    let name = source.path().display().to_string();
                    lock(&self.failures).push((name, Arc::new(error)));
                }
            }
            if !batch.is_empty() {
                // The next one gets a batch with all its room.
                progress = Progress::More;
                break;
            }
        }
        Ok(if self.tailers.is_empty() { Progress::Ended } else { progress })
    }

    fn look(&mut self) {
        for (_, tailer) in &mut self.tailers {
            tailer.look();
        }
    }
}
