//! The judge: what the victim, the control and the system say, against what is promised.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::attacker::Did;
use crate::meter::Usage;
use crate::round::{DESCRIPTORS, STOP_TIMEOUT, Setup, Stop, is_root};
use crate::victim::{Key, Written};

/// How much later than the control has it a line may be in the output.
const LATER: Duration = Duration::from_millis(250);
/// Where others, who are not of this test, take more of the machine than this, the program's wait for a processor is no
/// fault of its own,
const OTHERS_SHARE: f64 = 0.1;
/// but for more than this it is no excuse.
const WAITED_MAX: Duration = Duration::from_secs(1);
const MEMORY_KIB: u64 = 64 * 1024;
/// Of one processor, once the attacker has gone. What is left for the files that he left: a look at names and sizes
/// every few seconds, reading on in those that end in NULs, and the search for new files, all bounded.
const CALM_SHARE: f64 = 0.01;
/// A stop reads what is there until its deadline, and then ends.
const STOP_MORE: Duration = Duration::from_secs(1);
const SAID_MAX: usize = 1024 * 1024;

/// By what lines of the victim are known.
#[derive(Debug)]
pub(crate) struct Looks {
    head: &'static [u8],
    tail: &'static [u8],
    key: Key,
    /// Whether to mind what a file that only the victim may read holds.
    secret: bool,
}

impl Looks {
    pub(crate) fn new(setup: &Setup, key: Key) -> Self {
        let (head, tail): (&[u8], &[u8]) = match &*setup.format {
            "name" => (b"victim.log: ", b""),
            "path" => (b"in/victim.log: ", b""),
            "json" => (b"{\"file\":\"victim.log\",\"line\":\"", b"\"}"),
            _ => (b"", b""),
        };
        Self { head, tail, key, secret: is_root() && setup.links.as_deref() != Some("follow") }
    }

    /// Whether a line says that it is the victim's.
    fn is_victims(&self, line: &[u8]) -> bool {
        line.starts_with(if self.head.is_empty() { b"victim " } else { self.head })
    }

    fn under_other_label(&self, line: &[u8]) -> Option<(u64, String)> {
        let body = line.strip_suffix(self.tail)?;
        // Before the seal.
        body.len().checked_sub(17).filter(|at| body[*at] == b' ')?;
        let at = body.windows(8).rposition(|part| part[1..] == *b"victim ")? + 1;
        Some((self.key.number(&body[at..])?, body[..at].escape_ascii().to_string()))
    }
}

/// What is in the output.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// The numbers of the victim's lines, as they come, and when each was there.
    pub(crate) victim: Vec<(u64, Instant)>,
    pub(crate) bytes: u64,
    pub(crate) lines: u64,
    /// Whether it ends in part of a line.
    pub(crate) torn: bool,
    /// Lines that say they are the victim's and are not.
    forged: Examples,
    /// Lines with what a terminal obeys, or which it shows in another order.
    controls: Examples,
    secrets: u64,
    /// Whose the victim's lines seem to be that came under another label, which a copy's may.
    elsewhere: BTreeMap<u64, String>,
    /// The last line of somebody else: many like it need no more looks.
    last: Vec<u8>,
}

impl Seen {
    /// Takes note of a line; `when`: since when it is in the output.
    pub(crate) fn line(&mut self, looks: &Looks, line: &[u8], when: impl FnOnce() -> Instant) {
        self.lines += 1;
        if looks.is_victims(line) {
            let body = &line[looks.head.len()..];
            match body.strip_suffix(looks.tail).and_then(|body| looks.key.number(body)) {
                Some(number) => self.victim.push((number, when())),
                None => self.forged.add(line),
            }
        } else if line.len() < 4096 && line != self.last {
            self.others(looks, line);
            self.last.clear();
            self.last.extend_from_slice(line);
        }
    }

    fn others(&mut self, looks: &Looks, line: &[u8]) {
        if !is_plain(line) {
            self.controls.add(line);
        }
        if looks.secret && line.ends_with(b"TOP SECRET") {
            self.secrets += 1;
        }
        if let Some((number, label)) = looks.under_other_label(line) {
            self.elsewhere.insert(number, label);
        }
    }
}

/// Whether text has nothing that a terminal obeys. The attacker's lines have none, so it can come from names only.
fn is_plain(line: &[u8]) -> bool {
    if line.is_ascii() {
        return !line.contains(&0x1b) && !line.contains(&0x7f);
    }
    let odd = |char: char| {
        (char.is_control() && char != '\0')
            || matches!(char, '\u{200e}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    !String::from_utf8_lossy(line).chars().any(odd)
}

/// How many, and what the first was.
#[derive(Debug, Default)]
struct Examples {
    count: u64,
    first: String,
}

impl Examples {
    fn add(&mut self, line: &[u8]) {
        self.count += 1;
        if self.first.is_empty() {
            self.first = line[..line.len().min(300)].escape_ascii().to_string();
        }
    }
}

/// All that is known of a round.
#[derive(Debug)]
pub(crate) struct Judge<'a> {
    pub(crate) setup: &'a Setup,
    pub(crate) written: Written,
    pub(crate) seen: Seen,
    /// When the control had copied each line.
    pub(crate) control: Vec<Instant>,
    pub(crate) usage: Usage,
    /// Which share of the machine others had.
    pub(crate) others: f64,
    /// The share of a processor once the attacker had gone.
    pub(crate) calm: f64,
    pub(crate) stop: Stop,
    pub(crate) said: Vec<u8>,
    pub(crate) report: Vec<u8>,
    pub(crate) did: Vec<Did>,
    /// Whether some attacks only were asked for.
    pub(crate) alone: bool,
}

impl Judge<'_> {
    /// Tells the figures.
    ///
    /// # Panics
    ///
    /// If a promise was broken.
    pub(crate) fn rule(self) {
        let mut broken = Vec::new();
        println!("{:?}, {:?}", self.setup, self.written);
        self.lines(&mut broken);
        self.delay(&mut broken);
        self.forgery(&mut broken);
        self.usage(&mut broken);
        self.end(&mut broken);
        self.words(&mut broken);
        self.attacker(&mut broken);
        for what in &broken {
            println!("  BROKEN: {what}");
        }
        assert!(broken.is_empty(), "{:?} broke: {broken:#?}", self.setup);
    }

    /// Each exactly once, in order.
    fn lines(&self, broken: &mut Vec<String>) {
        let mut times = vec![0_u64; self.written.lines as usize];
        for (number, _) in &self.seen.victim {
            times[*number as usize] += 1;
        }
        let missing: Vec<_> = (0..times.len()).filter(|at| times[*at] == 0).collect();
        if let [first, .., last] | [first @ last] = &*missing {
            let count = missing.len();
            let other = missing.iter().filter_map(|number| self.seen.elsewhere.get(&(*number as u64)));
            let other: Vec<_> = other.collect();
            let (all, found, whose) = (times.len(), other.len(), other.first());
            broken.push(format!(
                "{count} of {all} lines are missing, {first} to {last}; {found} of them came under other labels: {whose:?}"
            ));
        }
        let twice = times.iter().filter(|times| **times > 1).count();
        if twice > 0 {
            broken.push(format!("{twice} lines came more than once"));
        }
        if let Some(pair) = self.seen.victim.windows(2).find(|pair| pair[0].0 > pair[1].0) {
            broken.push(format!("line {} came before line {}", pair[0].0, pair[1].0));
        }
        if self.seen.torn {
            broken.push("the output ends in a part of a line".to_owned());
        }
        println!("  output: {} lines, {} MiB", self.seen.lines, self.seen.bytes >> 20);
    }

    /// How much later than in the control they are in the output.
    fn delay(&self, broken: &mut Vec<String>) {
        if (self.control.len() as u64) < self.written.lines {
            broken.push(format!("the control has only {} lines", self.control.len()));
        }
        let later = self.seen.victim.iter().filter_map(|(number, when)| {
            let control = *self.control.get(*number as usize)?;
            Some((when.saturating_duration_since(control), control, *when, *number))
        });
        let mut later: Vec<_> = later.collect();
        later.sort_unstable();
        let part = |share: f64| later.get((later.len() as f64 * share) as usize).map_or(Duration::ZERO, |late| late.0);
        let (p50, p99, p999) = (part(0.5), part(0.99), part(0.999));
        let most = later.last().map_or(Duration::ZERO, |late| late.0);
        println!("  later than the control: p50 {p50:.1?}, p99 {p99:.1?}, p99.9 {p999:.1?}, most {most:.1?}");
        println!("  others took {:.0} % of the machine", self.others * 100.0);
        let late = later.iter().filter(|late| late.0 > LATER).map(|&(later, from, to, number)| {
            let waited = self.usage.waited(from, to);
            let excused = if self.others > OTHERS_SHARE { waited.min(WAITED_MAX) } else { Duration::ZERO };
            (later.saturating_sub(excused), later, waited, self.usage.in_disk(from, to), number)
        });
        let late: Vec<_> = late.collect();
        if let Some((_, later, waited, in_disk, number)) = late.iter().max() {
            let count = late.len();
            let what = format!(
                "{count} lines came later than {LATER:?}; line {number} by {later:.1?}, for {waited:.1?} of it the \
                 program waited for a processor; these waited for the disk: {in_disk:?}"
            );
            if late.iter().any(|late| late.0 > LATER) {
                broken.push(what);
            } else {
                println!("  excused: {what}");
            }
        }
    }

    /// Nothing that looks like the victim's, or like more than a line, or that the attacker may not read.
    fn forgery(&self, broken: &mut Vec<String>) {
        let Seen { forged, controls, secrets, .. } = &self.seen;
        if forged.count > 0 {
            broken.push(format!("{} forged lines: {}", forged.count, forged.first));
        }
        if controls.count > 0 {
            broken.push(format!("{} lines with control characters: {}", controls.count, controls.first));
        }
        if *secrets > 0 {
            broken.push(format!("{secrets} lines of a file that the attacker may not read"));
        }
    }

    fn usage(&self, broken: &mut Vec<String>) {
        let Usage { memory_kib, descriptors, threads, .. } = self.usage;
        let calm = self.calm * 100.0;
        println!(
            "  {memory_kib} KiB, {descriptors} descriptors, {threads} threads; {calm:.2} % of a processor when calm"
        );
        if memory_kib > MEMORY_KIB {
            broken.push(format!("it took {memory_kib} KiB"));
        }
        if descriptors >= DESCRIPTORS {
            broken.push("it used all its descriptors".to_owned());
        }
        if self.calm > CALM_SHARE {
            broken.push(format!("it takes {calm:.1} % of a processor when the attacker has gone"));
        }
    }

    /// It stops in time, and says what fits.
    fn end(&self, broken: &mut Vec<String>) {
        let (took, status) = self.stop;
        let report: Value = serde_json::from_slice(&self.report).unwrap_or_default();
        let gaps = report["gaps"].as_array().map_or(0, Vec::len);
        let failed = report["failed_inputs"].as_array().map_or(0, Vec::len);
        println!(
            "  stop: {took:.1?}, status {status:?}, {gaps} gaps, {failed} failed inputs, report {} bytes",
            self.report.len()
        );
        if took > STOP_TIMEOUT + STOP_MORE {
            broken.push(format!("a stop took {took:.1?}"));
        }
        let fits = match status {
            Some(0) => gaps == 0 && failed == 0,
            Some(3) => gaps > 0,
            // It had not read all of the attacker's by the deadline, or could never read one of his files; it says so.
            Some(1) => report["drained"] == false || failed > 0,
            _ => false,
        };
        if !fits {
            broken.push(format!(
                "status {status:?} with {gaps} gaps, drained {}: {}",
                report["drained"],
                self.last_words()
            ));
        }
        let victims = |list: &str| {
            let rows = report[list].as_array().into_iter().flatten();
            rows.filter(|row| row["input"] == "in/victim.log").map(Value::to_string).collect::<Vec<_>>()
        };
        for row in victims("gaps").into_iter().chain(victims("failed_inputs")) {
            broken.push(format!("of the victim it says: {row}"));
        }
    }

    /// What it says is bounded, and safe to be shown.
    fn words(&self, broken: &mut Vec<String>) {
        let said = String::from_utf8_lossy(&self.said);
        println!("  said: {} bytes, {} lines", self.said.len(), said.lines().count());
        if self.said.len() > SAID_MAX {
            broken.push(format!("it said {} bytes; the end: {}", self.said.len(), self.last_words()));
        }
        let foreign = |line: &&str| !line.starts_with("tailmerge: ") || !is_plain(line.as_bytes());
        if let Some(line) = said.lines().find(foreign) {
            let line: String = line.chars().take(300).collect();
            broken.push(format!("it said: {}", line.escape_debug()));
        }
        let mut kinds = BTreeMap::<String, u64>::new();
        for line in said.lines() {
            // Without the name, which comes first.
            let kind = line.rsplit("log").next().unwrap_or_default().chars().filter(|char| !char.is_ascii_digit());
            *kinds.entry(kind.take(100).collect()).or_default() += 1;
        }
        let mut kinds: Vec<_> = kinds.into_iter().collect();
        kinds.sort_unstable_by_key(|(_, count)| std::cmp::Reverse(*count));
        for (kind, count) in kinds.iter().take(8) {
            println!("    {count} times: {}", kind.escape_debug());
        }
    }

    fn last_words(&self) -> String {
        let from = self.said.len().saturating_sub(300);
        self.said[from..].escape_ascii().to_string()
    }

    /// An attack that did nothing proves nothing.
    fn attacker(&self, broken: &mut Vec<String>) {
        for Did { attack, done, refused, bouts } in &self.did {
            println!("  {attack}: {bouts} times, {done} done, {refused} refused");
            if *done == 0 {
                broken.push(format!("the attack {attack} did nothing"));
            }
        }
        if self.did.is_empty() || !self.alone && self.did.len() < crate::attacker::ATTACKS.len() / 2 {
            broken.push(format!("only {} attacks were played", self.did.len()));
        }
    }
}
