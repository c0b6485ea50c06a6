//! An input in memory that does what a case wants.

use std::collections::VecDeque;
use std::panic::resume_unwind;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use tailmerge_core::{Batch, Progress, TailError, Tailer};

/// What one call of `fill` does.
#[derive(Clone, Debug)]
pub enum Step {
    /// Delivers a line, to which its newline is added.
    Line(String),
    /// Delivers a line and panics all the same.
    PanicAfter(String),
    /// Delivers a line and fails all the same.
    FailAfter(String),
    /// Blocks the thread for a while.
    Block(Duration),
    /// Ends.
    End,
}

/// An input in memory: does one step after another, and is idle when there is none. A clone is the same one.
#[derive(Clone, Debug, Default)]
pub struct Feed(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    steps: VecDeque<Step>,
    offset: u64,
    idle: usize,
}

impl Feed {
    pub fn new(steps: impl IntoIterator<Item = Step>) -> Self {
        let feed = Self::default();
        feed.then(steps);
        feed
    }

    /// Adds steps.
    pub fn then(&self, steps: impl IntoIterator<Item = Step>) {
        self.lock().steps.extend(steps);
    }

    /// How often it had nothing to do.
    pub fn idle(&self) -> usize {
        self.lock().idle
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn deliver(&mut self, line: &str, batch: &mut Batch) {
        let line = format!("{line}\n");
        batch.spare()[..line.len()].copy_from_slice(line.as_bytes());
        batch.commit(self.offset, line.len());
        self.offset += line.len() as u64;
    }
}

impl Tailer for Feed {
    fn fill(&mut self, batch: &mut Batch) -> Result<Progress, TailError> {
        let mut state = self.lock();
        let Some(step) = state.steps.pop_front() else {
            state.idle += 1;
            return Ok(Progress::Idle);
        };
        match step {
            Step::Line(line) => state.deliver(&line, batch),
            Step::PanicAfter(line) => {
                state.deliver(&line, batch);
                drop(state);
                // Without the message of a panic hook, which would look as if the case had failed.
                resume_unwind(Box::new("the case wants it so"));
            }
            Step::FailAfter(line) => {
                state.deliver(&line, batch);
                return Err(TailError::new("the case wants it so"));
            }
            Step::Block(duration) => {
                drop(state);
                thread::sleep(duration);
            }
            Step::End => return Ok(Progress::Ended),
        }
        Ok(Progress::More)
    }
}
