//! What a merge told while it ran.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tailmerge_core::{Event, Observer};

use super::until;

/// Keeps what it is told.
#[derive(Clone, Debug, Default)]
pub struct Events(Arc<Mutex<Told>>);

#[derive(Debug, Default)]
struct Told {
    texts: Vec<String>,
    stalls: Vec<(String, Duration)>,
}

impl Events {
    /// How many of the events have `part` in their text.
    pub fn count(&self, part: &str) -> usize {
        self.lock().texts.iter().filter(|text| text.contains(part)).count()
    }

    /// Waits for an event that has `part` in its text.
    #[track_caller]
    pub fn until(&self, part: &str) {
        until(&format!("an event tells: {part}"), || self.count(part) > 0);
    }

    /// The stalls of what has `part` in its name.
    pub fn stalls(&self, part: &str) -> Vec<Duration> {
        self.lock().stalls.iter().filter(|(name, _)| name.contains(part)).map(|(_, took)| *took).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Told> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Observer for Events {
    fn event(&self, event: &Event) {
        let mut told = self.lock();
        told.texts.push(event.to_string());
        if let Event::Stalled { name, took } = event {
            told.stalls.push(((*name).to_owned(), *took));
        }
    }
}
