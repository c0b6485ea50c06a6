//! The rows of a report: one for each input, and one for many of those that are over.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::batch::Source;
use crate::report::summary::InputReport;

/// Beyond so many rows, the oldest of those inputs that are over are folded into one.
const ROWS_MAX: usize = 10_000;

/// The inputs, in the order of joining.
#[derive(Debug)]
pub(super) struct Rows {
    sources: Vec<Arc<Source>>,
    /// At so many rows, those of inputs that are over are folded.
    fold_at: usize,
    /// The number of folded inputs, and their sums.
    folded: u64,
    bytes: u64,
    lines: u64,
    possible_losses: u64,
}

impl Default for Rows {
    fn default() -> Self {
        Self { sources: Vec::new(), fold_at: ROWS_MAX, folded: 0, bytes: 0, lines: 0, possible_losses: 0 }
    }
}

impl Rows {
    pub(super) fn add(&mut self, source: Arc<Source>) {
        if self.sources.len() >= self.fold_at {
            self.fold();
            // So that where most are not over, it is not looked for that each time.
            self.fold_at = ROWS_MAX.max(2 * self.sources.len());
        }
        self.sources.push(source);
    }

    /// Folds half of them, if they are over: nobody else has them, so that nothing more of them will be written.
    fn fold(&mut self) {
        let mut surplus = self.sources.len() - ROWS_MAX / 2;
        self.sources.retain_mut(|source| {
            if surplus == 0 || Arc::get_mut(source).is_none() {
                return true;
            }
            surplus -= 1;
            self.folded += 1;
            self.bytes += source.written.bytes.load(Ordering::Relaxed);
            self.lines += source.written.lines.load(Ordering::Relaxed);
            self.possible_losses += source.possible_losses.load(Ordering::Relaxed);
            false
        });
    }

    /// Returns the number of inputs that were folded into the first row.
    pub(super) fn folded(&self) -> u64 {
        self.folded
    }

    pub(super) fn report(&self) -> Vec<InputReport> {
        let folded = InputReport {
            name: PathBuf::new(),
            bytes: self.bytes,
            lines: self.lines,
            possible_losses: self.possible_losses,
            offset: 0,
        };
        let row = |source: &Arc<Source>| InputReport {
            name: source.path().to_owned(),
            bytes: source.written.bytes.load(Ordering::Relaxed),
            lines: source.written.lines.load(Ordering::Relaxed),
            possible_losses: source.possible_losses.load(Ordering::Relaxed),
            offset: source.written.offset.load(Ordering::Relaxed),
        };
        (self.folded > 0).then_some(folded).into_iter().chain(self.sources.iter().map(row)).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::record::format::Renderer;

    #[test]
    fn inputs_that_are_over_are_folded_and_the_sums_stay() {
        let mut rows = Rows::default();
        let mut live = Vec::new();
        for number in 0..5 * ROWS_MAX {
            let source = Source::new(Path::new(&number.to_string()).into(), Renderer::default());
            source.written.bytes.store(10, Ordering::Relaxed);
            source.written.lines.store(1, Ordering::Relaxed);
            rows.add(source.clone());
            if number % 10 == 0 {
                live.push(source);
            }
        }
        let report = rows.report();
        assert!(report.len() <= ROWS_MAX + 1, "{} rows", report.len());
        assert_eq!(rows.folded() as usize + report.len() - 1, 5 * ROWS_MAX);
        assert_eq!(
            report.iter().map(|row| (row.bytes, row.lines)).fold((0, 0), |a, b| (a.0 + b.0, a.1 + b.1)),
            (50 * ROWS_MAX as u64, 5 * ROWS_MAX as u64)
        );
        assert_eq!(report[0].name, Path::new(""));
        assert!(live.iter().all(|source| report.iter().any(|row| row.name == source.path())), "the others have rows");
        assert_eq!(report.last().map(|row| row.name.clone()), Some((5 * ROWS_MAX - 1).to_string().into()));
    }

    #[test]
    fn inputs_that_go_on_are_never_folded() {
        let mut rows = Rows::default();
        let source = |number: usize| Source::new(Path::new(&number.to_string()).into(), Renderer::default());
        let live: Vec<_> = (0..3 * ROWS_MAX).map(source).collect();
        live.iter().for_each(|source| rows.add(source.clone()));
        assert_eq!((rows.folded(), rows.report().len()), (0, 3 * ROWS_MAX));
    }
}
