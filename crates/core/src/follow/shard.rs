//! Many files in one job: who is read next, and for how long.
//!
//! Files with unread bytes wait in a queue and are read by turns, a chunk each, so that a busy file cannot starve the
//! others. The others cost one `stat` a sweep: one sweep in each poll interval, or a slow one where changes are
//! notified. Files whose changes are not notified are polled in between.

pub(crate) mod poll;
pub(crate) mod room;
pub(crate) mod sweep;

use std::collections::VecDeque;
#[cfg(test)]
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_channel::{Receiver, TryRecvError};

use crate::batch::Batch;
#[cfg(test)]
use crate::batch::position::FilePosition;
use crate::clock;
use crate::clock::is_over;
use crate::discover::command::Command;
use crate::follow::context::ReadContext;
use crate::follow::file::ReadOutcome;
use crate::follow::file::turn::Scratch;
use crate::follow::input::Input;
use crate::follow::sweep::Sweep;
use crate::source::tailer::{Progress, TailError, Tailer};
use crate::watch::mailbox::{Change, Mailbox};

/// So many files are polled between two batches. That takes about a microsecond each, so that a sweep over many files
/// delays those with unread bytes for a few milliseconds only.
const SWEEP_STEP: usize = 1024;

/// So many inputs are polled by themselves; more of them by the sweep, which is then as frequent.
const POLLED_MAX: usize = SWEEP_STEP;

/// For how long at most looks, and then files that join, keep lines that are read from being delivered. One look may
/// list a large directory, and an attacker can have thousands made.
const LOOKS_MAX: Duration = Duration::from_millis(5);

/// So many files are added between two batches while there is something to read. To open each costs some microseconds,
/// and the writer has something to do meanwhile.
const ADD_STEP: usize = 4;

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
    cx: ReadContext,
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

impl FileShard {
    pub(crate) fn new(mut cx: ReadContext, inbox: Receiver<Command>, mailbox: Arc<Mailbox>, pace: Pace) -> Self {
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
            poll_due: clock::now(),
            short: Vec::new(),
            shed_due: clock::now(),
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
                        let input = self.inputs[at].insert(Input::new(path, named, start, present, related));
                        input.take_up(&self.cx);
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

    /// Returns the position of each file, with the path of its input.
    #[cfg(test)]
    pub(crate) fn positions(&self) -> impl Iterator<Item = (PathBuf, FilePosition)> {
        let inputs = self.inputs.iter().flatten();
        inputs.flat_map(|input| input.positions().map(|at| (input.path.to_path_buf(), at)))
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
        let base_at =
            self.inputs[at].as_ref().and_then(Input::base).and_then(|base_input| self.mailbox.place(base_input));
        let (input, base_input) = match base_at.filter(|base_at| *base_at != at) {
            None => (self.inputs[at].as_mut(), None),
            Some(base_at) => match self.inputs.get_disjoint_mut([at, base_at]) {
                Ok([input, base_input]) => (input.as_mut(), base_input.as_mut()),
                Err(_) => return,
            },
        };
        let Some(input) = input else { return };
        let news = input.stat_path(base_input, &mut self.scratch, &self.cx);
        if input.is_over() {
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

    /// Handles hints; `read_next` is true if files with unread bytes are read after that.
    fn take_hints(&mut self, read_next: bool, until: Option<Instant>) {
        let mut hints = std::mem::take(&mut self.hints);
        if self.mailbox.take(&mut hints) {
            (self.sweep.due, self.sweep.spread, self.sweep.hinted) = (clock::now(), false, true);
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
                    input.name_changed(change.is_move());
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

    /// Reads queued files until the batch is full enough, or none of them adds to it.
    fn read(&mut self, batch: &mut Batch) {
        let mut fruitless = 0;
        while batch.len() < self.cx.settings.chunk && fruitless <= self.hot.len() {
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

    /// Fixes how far each input is read, since none joins any more.
    fn begin_finish(&mut self) {
        self.scratch.ration(None);
        self.cx.is_ending = true;
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

impl Tailer for FileShard {
    fn fill(&mut self, batch: &mut Batch) -> Result<Progress, TailError> {
        let mut asked = self.take_commands(ADD_STEP);
        if let Some(from) = self.finished {
            self.read(batch);
            let ended = self.hot.is_empty() && batch.len() < self.cx.settings.chunk && self.finish(from, batch);
            return Ok(if ended { Progress::Ended } else { Progress::More });
        }
        if asked == Asked::Last {
            self.begin_finish();
            return Ok(Progress::More);
        }
        let until = clock::now() + LOOKS_MAX;
        self.scratch.ration(Some(until));
        self.take_hints(true, Some(until));
        self.poll();
        let swept = self.sweep_in_turn();
        self.take_short();
        let until = clock::now() + LOOKS_MAX;
        self.scratch.ration(Some(until));
        self.read(batch);
        while asked == Asked::More && batch.len() < self.cx.settings.chunk && !is_over(Some(until)) {
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
        Some(clock::until(due))
    }
}
