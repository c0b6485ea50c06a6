//! Limits how often messages of one kind are printed. Without a limit, whoever can write to a followed log could fill
//! the disk with warnings, or bury a warning about another log.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The limits hold for this long. The messages beyond them are counted, and the count is printed at the end.
const PERIOD: Duration = Duration::from_secs(60);

/// At most so many messages of one kind are printed in a period.
const KIND_MAX: u32 = 20;

/// At most so many messages of one kind are printed about one input in a period.
const INPUT_MAX: u32 = 5;

/// Counts messages by their kind.
#[derive(Debug, Default)]
pub(crate) struct RateLimit {
    kinds: HashMap<u64, Kind>,
}

/// The messages of one kind in the current period.
#[derive(Debug)]
struct Kind {
    since: Instant,
    told: u32,
    /// Counts the printed messages by input.
    inputs: HashMap<PathBuf, u32>,
    left_out: u64,
    /// The text of the first message that was not printed.
    example: String,
}

impl RateLimit {
    /// Returns true if a message may be printed; otherwise it is counted as left out.
    pub(crate) fn admits(
        &mut self,
        kind: u64,
        input: Option<&Path>,
        now: Instant,
        text: impl FnOnce() -> String,
    ) -> bool {
        let new = || Kind { since: now, told: 0, inputs: HashMap::new(), left_out: 0, example: String::new() };
        let kind = self.kinds.entry(kind).or_insert_with(new);
        if kind.told < KIND_MAX {
            let of_input = input.map(|input| kind.inputs.entry(input.to_owned()).or_default());
            if of_input.as_ref().is_none_or(|told| **told < INPUT_MAX) {
                of_input.into_iter().for_each(|told| *told += 1);
                kind.told += 1;
                return true;
            }
        }
        if kind.left_out == 0 {
            kind.example = text();
        }
        kind.left_out += 1;
        false
    }

    /// Ends the periods that are over, and returns a message with the count of each.
    pub(crate) fn over(&mut self, now: Instant) -> Vec<String> {
        let over = |kind: &Kind| now.duration_since(kind.since) >= PERIOD;
        self.kinds.extract_if(|_, kind| over(kind)).filter_map(|(_, kind)| kind.rest()).collect()
    }

    /// Ends all periods, and returns a message with the count of each.
    pub(crate) fn end(&mut self) -> Vec<String> {
        self.kinds.drain().filter_map(|(_, kind)| kind.rest()).collect()
    }

    /// Returns the end of the period that ends first.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.kinds.values().map(|kind| kind.since + PERIOD).min()
    }
}

impl Kind {
    fn rest(self) -> Option<String> {
        let Self { left_out, example, .. } = self;
        (left_out > 0).then(|| format!("{left_out} more like this one within a minute: {example}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Offers `number` messages about an input, and returns how many may be printed.
    fn told(rate_limit: &mut RateLimit, kind: u64, input: &str, number: usize, now: Instant) -> usize {
        let text = || format!("{input}: {kind}");
        (0..number).filter(|_| rate_limit.admits(kind, Some(Path::new(input)), now, text)).count()
    }

    #[test]
    fn one_input_does_not_hide_what_is_told_of_another() {
        let (mut rate_limit, start) = (RateLimit::default(), Instant::now());
        assert_eq!(told(&mut rate_limit, 1, "a", 1000, start), 5);
        assert_eq!(told(&mut rate_limit, 1, "b", 2, start), 2);
        assert_eq!(told(&mut rate_limit, 2, "a", 3, start), 3);
        assert_eq!(rate_limit.due(), Some(start + PERIOD));
        assert!(rate_limit.over(start + PERIOD - SECOND).is_empty());
        assert_eq!(rate_limit.over(start + PERIOD), ["995 more like this one within a minute: a: 1"]);
        assert_eq!(rate_limit.due(), None);
        assert_eq!(told(&mut rate_limit, 1, "a", 1000, start + PERIOD), 5);
    }

    #[test]
    fn many_inputs_together_have_a_limit_and_take_no_memory() {
        let (mut rate_limit, start) = (RateLimit::default(), Instant::now());
        let told: usize = (0..1000).map(|input| told(&mut rate_limit, 1, &input.to_string(), 1, start)).sum();
        assert_eq!(told, 20);
        assert!(rate_limit.kinds[&1].inputs.len() <= 20);
        assert_eq!(rate_limit.end(), ["980 more like this one within a minute: 20: 1"]);
        assert!(rate_limit.end().is_empty());
    }

    #[test]
    fn what_has_no_input_is_limited_too() {
        let (mut rate_limit, start) = (RateLimit::default(), Instant::now());
        let admitted = (0..50).filter(|_| rate_limit.admits(1, None, start, || "waiting".into())).count();
        assert_eq!(admitted, 20);
        assert_eq!(rate_limit.end(), ["30 more like this one within a minute: waiting"]);
    }
}
