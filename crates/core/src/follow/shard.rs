//! Many files in one job: who is read next, and for how long.
//!
//! Files with unread bytes wait in a queue and are read by turns, a chunk each, so that a busy file cannot starve the
//! others. The others cost one `stat` a sweep: one sweep in each poll interval, or a slow one where changes are
//! notified. Files whose changes are not notified are polled in between.

use std::collections::{HashMap, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use async_channel::{Receiver, TryRecvError};

use crate::batch::Batch;
use crate::discover::command::Command;
use crate::follow::context::TailContext;
use crate::follow::file::ReadOutcome;
use crate::follow::file::turn::Scratch;
use crate::follow::input::{Input, Polling};
use crate::source::tailer::{Progress, TailError, Tailer};
use crate::watch::{Change, Mailbox};

/// So many files are polled between two batches. That takes about a microsecond each, so that a sweep over many files
/// delays those with unread bytes for a few milliseconds only.
const SWEEP_STEP: usize = 1024;

/// So many files are polled between two pauses of a slow sweep.
const SPREAD_STEP: usize = 256;

/// So many inputs are polled by themselves; more of them by the sweep, which is then as frequent.
const POLLED_MAX: usize = SWEEP_STEP;

/// So many inputs are polled at once of those that are polled by turns.
const TURNS: usize = 32;

/// For how long at most looks, and then files that join, keep lines that are read from being delivered. One look may
/// list a large directory, and an attacker can have thousands made.
const LOOKS_MAX: Duration = Duration::from_millis(5);

/// So many files are added between two batches while there is something to read. To open each costs some microseconds,
/// and the writer has something to do meanwhile.
const ADD_STEP: usize = 4;

/// At the end, files without a descriptor are waited for this long, in these steps.
const LAST_WAIT: Duration = Duration::from_secs(2);
const LAST_PAUSE: Duration = Duration::from_millis(50);

/// Files without a name are closed this often where there are too many, and unread ones after this time.
const SHED_EVERY: Duration = Duration::from_millis(10);
const SHED_AFTER: Duration = Duration::from_secs(1);

/// The state of the messages from discovery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    More,
    /// There is none now.
    Done,
    /// There will be none any more.
    Last,
}

/// A sweep because anything may have changed takes at most one part in so many of the time.
const HINTED_SHARE: u32 = 10;

/// The slow sweep takes at most one part in so many of the time.
const SWEEP_SHARE: u32 = 1000;

/// The intervals of polling.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// The interval of files whose changes are not notified.
    pub(crate) poll: Duration,
    /// The interval of the others, if that takes little time.
    pub(crate) sweep: Duration,
}

/// A tailer of many files.
#[derive(Debug)]
pub(crate) struct FileShard {
    cx: TailContext,
    inbox: Receiver<Command>,
    /// The hints, and the index of each path.
    mailbox: Arc<Mailbox>,
    /// Hints that were taken and are left to handle. Kept so that hints allocate nothing.
    hints: Vec<(usize, Change)>,
    inputs: Vec<Option<Input>>,
    vacant: Vec<usize>,
    /// Inputs with unread bytes, the next one first.
    hot: VecDeque<usize>,
    sweep: Sweep,
    pace: Pace,
    /// Inputs whose changes are not notified.
    needs_polling: Vec<usize>,
    /// Those that are polled by turns, the next one first.
    turns: VecDeque<usize>,
    poll_due: Instant,
    /// Inputs with unread bytes that wait for a descriptor.
    short: Vec<usize>,
    /// The time when files without a name are closed again, if there are too many, and the time since when there are.
    shed_due: Instant,
    shed_since: Option<Instant>,
    /// The number of finished inputs, once no input joins any more.
    finished: Option<usize>,
    /// The time since which descriptors are waited for at the end.
    short_since: Option<Instant>,
    scratch: Scratch,
}

/// A poll of all inputs, a step at a time.
#[derive(Debug)]
struct Sweep {
    /// The index of the next input; at the end if no sweep is under way.
    at: usize,
    /// The time of its next step, if it is a slow one, which is spread over the time until the next one.
    resume: Option<Instant>,
    /// True if the next one is a slow one.
    spread: bool,
    /// The time when the last one began.
    began: Instant,
    /// True if it was put off for files with unread bytes.
    waits: bool,
    /// True if anything may have changed, so that paused inputs are polled, too.
    hinted: bool,
    /// The time that it took so far, without the pauses.
    cost: Duration,
    /// The time when the next one is due.
    due: Instant,
}

impl Default for Sweep {
    fn default() -> Self {
        let now = Instant::now();
        let due = after(now, Duration::MAX);
        Self { at: 0, resume: None, spread: false, began: now, waits: false, hinted: false, cost: Duration::ZERO, due }
    }
}

impl Sweep {
    /// Returns true if one is under way or due.
    fn is_due(&self, inputs: usize) -> bool {
        self.at < inputs && self.resume.is_none() || Instant::now() >= self.next(inputs)
    }

    /// Returns the time of its next step, or of the next one.
    fn next(&self, inputs: usize) -> Instant {
        self.resume.filter(|_| self.at < inputs).map_or(self.due, |resume| resume.min(self.due))
    }

    /// Makes the next one due so soon after the last one, if it is not due before.
    fn within(&mut self, time: Duration) {
        let due = after(self.began, time);
        if due < self.due {
            (self.due, self.spread) = (due, false);
        }
    }
}

impl FileShard {
    pub(crate) fn new(mut cx: TailContext, inbox: Receiver<Command>, mailbox: Arc<Mailbox>, pace: Pace) -> Self {
        cx.descriptors = cx.descriptors.share(mailbox.clone());
        Self {
            cx,
            inbox,
            mailbox,
            hints: Vec::new(),
            inputs: Vec::new(),
            vacant: Vec::new(),
            hot: VecDeque::new(),
            sweep: Sweep::default(),
            pace,
            needs_polling: Vec::new(),
            turns: VecDeque::new(),
            poll_due: Instant::now(),
            short: Vec::new(),
            shed_due: Instant::now(),
            shed_since: None,
            finished: None,
            short_since: None,
            scratch: Scratch::default(),
        }
    }

    /// Handles messages from discovery, a number of them at a time.
    fn take_commands(&mut self, most: usize) -> Asked {
        for _ in 0..most {
            match self.inbox.try_recv() {
                Ok(Command::Add { path, named, start, present, related }) => match self.mailbox.place(&path) {
                    Some(at) => {
                        self.set_gone(at, false);
                        // Discovery may have had it watched no more.
                        self.inputs[at].iter_mut().for_each(Input::invalidate_watch);
                        self.apply_path_stat(at);
                    }
                    None => {
                        let at = self.vacant.pop().unwrap_or(self.inputs.len());
                        if at == self.inputs.len() {
                            self.inputs.push(None);
                        }
                        self.mailbox.follow(path.clone(), at);
                        self.inputs[at] = Some(Input::new(path, named, start, present, related));
                        self.apply_path_stat(at);
                    }
                },
                Ok(Command::Gone(path)) => {
                    if let Some(at) = self.mailbox.place(&path) {
                        self.set_gone(at, true);
                        self.apply_path_stat(at);
                    }
                }
                Ok(Command::Remove(path)) => {
                    if let Some(at) = self.mailbox.place(&path) {
                        self.remove(at);
                    }
                }
                Err(TryRecvError::Empty) => return Asked::Done,
                Err(TryRecvError::Closed) => return Asked::Last,
            }
        }
        Asked::More
    }

    fn set_gone(&mut self, at: usize, gone: bool) {
        if let Some(input) = &mut self.inputs[at] {
            input.gone = gone;
            self.mailbox.set_gone(&input.path, gone);
        }
    }

    fn apply_path_stat(&mut self, at: usize) {
        self.look_at_one(at);
        // Where two paths lead to one file, the first has it, and those that come after it.
        let alias_of = self.inputs[at].as_ref().and_then(Input::alias_of).filter(|(_, left)| *left);
        let alias_of = alias_of.and_then(|(path, _)| self.mailbox.place(path));
        if let Some(alias_of) = alias_of {
            self.look_at_one(alias_of);
            self.look_at_one(at);
        }
    }

    fn look_at_one(&mut self, at: usize) {
        // Out of its place meanwhile, so that the one it is beside can be had, too.
        let Some(mut input) = self.inputs[at].take() else { return };
        let base_input = input.base().and_then(|base_input| self.mailbox.place(base_input));
        let base_input = base_input.and_then(|base_input| self.inputs[base_input].as_mut());
        let news = input.stat_path(base_input, &mut self.scratch, &self.cx);
        let over = input.is_over();
        self.inputs[at] = Some(input);
        if over {
            self.remove(at);
        }
        self.note_news(at, news);
    }

    /// Queues an input that has unread bytes, and lists it for polling if need be.
    fn note_news(&mut self, at: usize, news: bool) {
        if let Some(input) = self.inputs[at].as_mut().filter(|input| news && !input.hot) {
            input.hot = true;
            self.hot.push_back(at);
        }
        self.note_restless(at);
    }

    /// Lists an input for polling if need be.
    fn note_restless(&mut self, at: usize) {
        let Some(input) = self.inputs[at].as_mut().filter(|_| self.cx.watch.is_some()) else { return };
        match input.polling() {
            Polling::Always if !input.polled => {
                input.polled = true;
                self.needs_polling.push(at);
                self.poll_due = self.poll_due.min(after(Instant::now(), self.pace.poll));
                if self.needs_polling.len() == POLLED_MAX + 1 {
                    self.sweep.within(self.pace.poll);
                }
            }
            Polling::ByTurns if !input.has_turn => {
                input.has_turn = true;
                self.turns.push_back(at);
                self.poll_due = self.poll_due.min(after(Instant::now(), self.pace.poll));
            }
            _ => {}
        }
    }

    /// Handles hints; `read_next` is true if files with unread bytes are read after that.
    fn take_hints(&mut self, read_next: bool, until: Option<Instant>) {
        let mut hints = std::mem::take(&mut self.hints);
        if self.mailbox.take(&mut hints) {
            (self.sweep.due, self.sweep.spread, self.sweep.hinted) = (Instant::now(), false, true);
        }
        if self.mailbox.take_all_in_turn() {
            self.sweep.within(self.sweep.cost * HINTED_SHARE);
        }
        // That only the content changed is the quickest to be dealt with: nobody's lines wait for what is done about names.
        hints.sort_by_key(|(_, change)| *change != Change::Content);
        let mut done = 0;
        for &(at, change) in &hints {
            if done > 0 && is_over(until) {
                break;
            }
            done += 1;
            let Some(input) = &mut self.inputs[at] else { continue };
            let news = match change {
                Change::Content => input.stat_content(read_next && self.hot.is_empty(), &self.cx),
                Change::File => None,
                Change::Went | Change::Came { .. } | Change::Gone => {
                    input.invalidate_watch();
                    None
                }
            };
            match news {
                Some(news) => self.note_news(at, news),
                None => self.apply_path_stat(at),
            }
        }
        hints.drain(..done);
        self.hints = hints;
    }

    /// Returns true if inputs are polled by themselves.
    fn polls(&self) -> bool {
        // With more than these the sweep is so frequent, and has the others in it.
        self.needs_polling.len() <= POLLED_MAX && !(self.needs_polling.is_empty() && self.turns.is_empty())
    }

    /// Polls the inputs that are listed for it, if that is due.
    fn poll(&mut self) {
        if !self.polls() || Instant::now() < self.poll_due {
            return;
        }
        let next = after(Instant::now(), self.pace.poll);
        let (mut rest, mut all_rest) = (None, true);
        for at in self.take_restless() {
            match self.inputs[at].as_ref().and_then(Input::rests_until) {
                Some(until) => {
                    rest = Some(rest.map_or(until, |rest: Instant| rest.min(until)));
                    self.note_restless(at);
                }
                None => {
                    all_rest = false;
                    self.apply_path_stat(at);
                }
            }
        }
        for &at in &self.turns {
            let until = self.inputs[at].as_ref().and_then(Input::rests_until);
            all_rest &= until.is_some();
            rest = until.map(|until| rest.map_or(until, |rest| rest.min(until)));
            if !all_rest {
                break;
            }
        }
        self.poll_due = rest.filter(|_| all_rest).map_or(next, |rest| rest.max(next));
        for _ in 0..self.turns.len().min(TURNS) {
            let Some(at) = self.turns.pop_front() else { return };
            match self.inputs[at].as_mut().filter(|input| input.rests_until().is_some()) {
                Some(_) => self.turns.push_back(at),
                None => {
                    self.inputs[at].iter_mut().for_each(|input| input.has_turn = false);
                    self.apply_path_stat(at);
                }
            }
        }
    }

    /// Takes the inputs that are polled. Those that still need it are listed again when they are polled.
    fn take_restless(&mut self) -> Vec<usize> {
        let needs_polling = std::mem::take(&mut self.needs_polling);
        for &at in &needs_polling {
            self.inputs[at].iter_mut().for_each(|input| input.polled = false);
        }
        needs_polling
    }

    fn remove(&mut self, at: usize) {
        if let Some(mut input) = self.inputs[at].take() {
            input.abandon(&self.cx);
            self.mailbox.leave(&input.path);
            self.hot.retain(|&hot| hot != at);
            self.short.retain(|&short| short != at);
            if input.polled {
                self.needs_polling.retain(|&needs_polling| needs_polling != at);
            }
            if input.has_turn {
                self.turns.retain(|&turn| turn != at);
            }
            self.vacant.push(at);
        }
    }

    /// Continues the sweep, but reads files with unread bytes first. Returns true if it is complete.
    fn sweep_in_turn(&mut self) -> bool {
        let due = self.sweep.is_due(self.inputs.len());
        self.sweep.waits = due && !self.sweep.waits && !self.hot.is_empty();
        !due || !self.sweep.waits && self.sweep()
    }

    /// Polls the next files of the sweep under way, or of a new one if that is due. Returns true if it is complete.
    fn sweep(&mut self) -> bool {
        if !self.sweep.is_due(self.inputs.len()) {
            return true;
        }
        let began = Instant::now();
        if self.sweep.at >= self.inputs.len() || self.sweep.resume.is_some() && began >= self.sweep.due {
            (self.sweep.at, self.sweep.began, self.sweep.cost) = (0, began, Duration::ZERO);
            self.sweep.resume = self.sweep.spread.then_some(began);
            // What is hinted at from here on makes the next one due.
            self.sweep.due = after(began, Duration::MAX);
            if !self.polls() {
                self.take_restless();
                self.poll_due = after(began, self.pace.poll);
            }
        }
        let step = if self.sweep.resume.is_some() { SPREAD_STEP } else { SWEEP_STEP };
        let end = self.inputs.len().min(self.sweep.at + step);
        for at in self.sweep.at..end {
            let rests = self.inputs[at].as_ref().is_some_and(|input| input.rests_until().is_some());
            if self.sweep.hinted || !rests {
                self.apply_path_stat(at);
            }
        }
        self.sweep.at = end;
        let took = began.elapsed();
        self.sweep.cost += took;
        if end < self.inputs.len() {
            let resume = self.sweep.resume.as_mut();
            return resume.map(|resume| *resume = Instant::now() + took * SWEEP_SHARE).is_some();
        }
        self.sweep.resume = None;
        let watched = self.cx.watch.is_some() && self.needs_polling.len() <= POLLED_MAX;
        let every = match watched {
            true => self.pace.sweep.max(self.sweep.cost * SWEEP_SHARE),
            false => self.pace.poll,
        };
        self.sweep.hinted &= self.sweep.is_due(self.inputs.len());
        let due = self.sweep.due;
        self.sweep.within(every);
        self.sweep.spread = watched && self.sweep.due < due;
        true
    }

    /// Reads queued files until the batch is full enough, or none of them adds to it.
    fn read(&mut self, batch: &mut Batch) {
        let mut fruitless = 0;
        while batch.len() < self.cx.chunk && fruitless <= self.hot.len() {
            let Some(at) = self.hot.pop_front() else { return };
            if self.inputs[at].as_ref().is_some_and(Input::is_closed) {
                self.make_room(at, self.cx.descriptors.excess());
            }
            let Some(input) = &mut self.inputs[at] else { continue };
            let len = batch.len();
            let visit = input.visit(batch, &mut self.scratch, &self.cx);
            if visit != ReadOutcome::Short {
                self.short_since = None;
            }
            match visit {
                // It is polled.
                ReadOutcome::Again if self.finished.is_none() && input.rests_until().is_some() => input.hot = false,
                ReadOutcome::More | ReadOutcome::Again if self.finished.is_none() || !input.is_at_end() => {
                    self.hot.push_back(at);
                    fruitless += usize::from(batch.len() == len);
                }
                ReadOutcome::More | ReadOutcome::Again | ReadOutcome::End | ReadOutcome::Changed => input.hot = false,
                ReadOutcome::Full => {
                    self.hot.push_front(at);
                    return;
                }
                ReadOutcome::Short if !self.wait_for_descriptor(at) => return,
                ReadOutcome::Short => {}
            }
            self.note_restless(at);
        }
    }

    /// Closes at least so many files of other inputs than `except`: those without unread bytes first, then those that
    /// have not changed for longest. Returns false if there is none.
    fn make_room(&mut self, except: usize, count: usize) -> bool {
        if count == 0 {
            return true;
        }
        let inputs = self.inputs.iter().enumerate().filter(|(at, _)| *at != except);
        let closable = inputs.filter_map(|(at, input)| Some((input.as_ref()?.closable()?, at)));
        let mut closable: Vec<_> = closable.collect();
        // Some more, so that this is not to be done for each file.
        let count = count.max(closable.len() / 8).min(closable.len());
        if count == 0 {
            return false;
        }
        closable.select_nth_unstable(count - 1);
        for (_, at) in closable.drain(..count) {
            self.inputs[at].iter_mut().for_each(Input::close);
        }
        true
    }

    /// Handles a lack of descriptors for an input: closes a file, or makes the input wait; at the end on this thread,
    /// for a while. Returns false if it waited, so that lines are delivered.
    fn wait_for_descriptor(&mut self, at: usize) -> bool {
        if self.cx.descriptors.may_open() {
            if self.make_room(at, self.cx.descriptors.excess().max(1)) {
                self.hot.push_front(at);
                return true;
            }
            self.cx.descriptors.pause();
        }
        if self.finished.is_none() {
            self.short.push(at);
            return true;
        }
        let waited = self.short_since.get_or_insert_with(Instant::now).elapsed();
        if let Some(due) = self.cx.descriptors.due().filter(|_| waited < LAST_WAIT) {
            thread::sleep(due.saturating_duration_since(Instant::now()).min(LAST_PAUSE));
            self.hot.push_back(at);
            return false;
        }
        if let Some(input) = &mut self.inputs[at] {
            input.hot = false;
            input.give_up(&self.cx.descriptors.refusal(), &self.cx);
        }
        true
    }

    /// Closes files where more are open than may be.
    fn give_back(&mut self) {
        self.make_room(usize::MAX, self.cx.descriptors.excess().saturating_sub(1));
        self.shed();
    }

    /// Queues the inputs again that wait for a descriptor, if that is due.
    fn take_short(&mut self) {
        if !self.short.is_empty() && self.cx.descriptors.may_open() {
            self.hot.extend(self.short.drain(..));
        }
    }

    /// Closes files without a name while there are too many: first those that are read to their end, and if that is not
    /// enough for a while, those in the directory that has most.
    fn shed(&mut self) {
        let now = Instant::now();
        if self.cx.descriptors.excess_nameless() == 0 {
            self.shed_since = None;
            return;
        }
        if now < self.shed_due {
            return;
        }
        self.shed_due = now + SHED_EVERY;
        let mut dirs: HashMap<PathBuf, (usize, Vec<usize>)> = HashMap::new();
        for at in 0..self.inputs.len() {
            let Some(input) = &mut self.inputs[at] else { continue };
            while self.cx.descriptors.excess_nameless() > 0
                && now.elapsed() < LOOKS_MAX
                && input.let_go_nameless(false, &self.cx)
            {}
            let nameless = input.nameless();
            if nameless > 0 {
                let dir = input.path.parent().unwrap_or(&input.path).to_owned();
                let (count, inputs) = dirs.entry(dir).or_default();
                *count += nameless;
                inputs.push(at);
                // Read to its end but for a last line without a newline, it is let go when it is read.
                self.note_news(at, true);
            }
        }
        let since = *self.shed_since.get_or_insert(now);
        while self.cx.descriptors.excess_nameless() > 0
            && now.duration_since(since) >= SHED_AFTER
            && let Some(dir) = dirs.iter().max_by_key(|(_, (count, _))| *count).map(|(dir, _)| dir.clone())
            && let Some((count, inputs)) = dirs.get_mut(&dir)
        {
            let gone = inputs.last().and_then(|&at| self.inputs[at].as_mut());
            match gone.is_some_and(|input| input.let_go_nameless(true, &self.cx)) {
                true => *count -= 1,
                false if inputs.pop().is_some() => {}
                false => drop(dirs.remove(&dir)),
            }
        }
    }

    /// Fixes how far each input is read, since none joins any more.
    fn begin_finish(&mut self) {
        self.scratch.ration(None);
        for at in 0..self.inputs.len() {
            self.apply_path_stat(at);
            if let Some(input) = &mut self.inputs[at] {
                input.set_end();
            }
        }
        self.finished = Some(0);
        self.hot.extend(self.short.drain(..));
    }

    /// Ends the inputs one by one. Returns true when all are ended.
    fn finish(&mut self, from: usize, batch: &mut Batch) -> bool {
        for at in from..self.inputs.len() {
            self.finished = Some(at);
            if let Some(input) = &mut self.inputs[at]
                && !input.finish(batch, &mut self.scratch, &self.cx)
            {
                return false;
            }
        }
        true
    }
}

/// Returns true if it is that late.
fn is_over(until: Option<Instant>) -> bool {
    until.is_some_and(|until| Instant::now() >= until)
}

/// That much later, or so late that it does not matter.
pub(crate) fn after(instant: Instant, wait: Duration) -> Instant {
    const LATE: Duration = Duration::from_secs(365 * 24 * 3600);
    instant + wait.min(LATE)
}

impl Tailer for FileShard {
    fn fill(&mut self, batch: &mut Batch) -> Result<Progress, TailError> {
        let mut asked = self.take_commands(ADD_STEP);
        if let Some(from) = self.finished {
            self.read(batch);
            let ended = self.hot.is_empty() && batch.len() < self.cx.chunk && self.finish(from, batch);
            return Ok(if ended { Progress::Ended } else { Progress::More });
        }
        if asked == Asked::Last {
            self.begin_finish();
            return Ok(Progress::More);
        }
        let until = Instant::now() + LOOKS_MAX;
        self.scratch.ration(Some(until));
        self.take_hints(true, Some(until));
        self.poll();
        let swept = self.sweep_in_turn();
        self.take_short();
        let until = Instant::now() + LOOKS_MAX;
        self.scratch.ration(Some(until));
        self.read(batch);
        while asked == Asked::More && batch.len() < self.cx.chunk && !is_over(Some(until)) {
            asked = self.take_commands(ADD_STEP);
            self.read(batch);
        }
        self.give_back();
        let idle = asked == Asked::Done && swept && self.hot.is_empty() && self.hints.is_empty();
        Ok(if idle { Progress::Idle } else { Progress::More })
    }

    fn look(&mut self) {
        if self.take_commands(usize::MAX) != Asked::Last {
            self.take_hints(false, None);
            self.poll();
            while !self.sweep() {}
        }
        self.give_back();
    }

    fn idle_timeout(&self) -> Option<Duration> {
        let mut due = self.sweep.next(self.inputs.len());
        if self.polls() {
            due = due.min(self.poll_due);
        }
        if !self.short.is_empty() {
            due = due.min(self.cx.descriptors.due().unwrap_or(due));
        }
        Some(due.saturating_duration_since(Instant::now()))
    }
}
