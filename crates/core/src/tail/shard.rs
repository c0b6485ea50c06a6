//! Many files in one job: who is read next, and for how long.
//!
//! Files with news wait in a queue and are read by turns, a chunk each, so that a hot file cannot starve
//! the others. The rest costs one `stat` a sweep: one in each poll interval, or a slow one where the system hints
//! at changes. What it cannot hint at is polled in between.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_channel::{Receiver, TryRecvError};

use super::file::{Scratch, Visit};
use super::input::Input;
use super::{Change, Command, Mailbox, Progress, TailContext, TailError, Tailer};
use crate::batch::Batch;

/// How many files are looked at between two batches. A look takes about a microsecond, so that a sweep
/// over many files holds up those with news for a few milliseconds only.
const SWEEP_STEP: usize = 1024;

/// So many inputs are polled by themselves; more of them by the sweep, which is then as frequent.
const POLLED_MAX: usize = SWEEP_STEP;

/// How many files are added between two batches while there is something to read: each costs some microseconds to be
/// opened, and the writer is to have something to do meanwhile.
const ADD_STEP: usize = 4;

/// Whether discovery asks for more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    More,
    /// Not now.
    Done,
    /// Never again.
    Last,
}

/// The slow sweep comes so seldom that it takes one part of this many of the time.
const SWEEP_SHARE: u32 = 1000;

/// How often files are looked at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// Those of whose changes nobody hints.
    pub(crate) poll: Duration,
    /// The others, if that takes next to no time.
    pub(crate) sweep: Duration,
}

/// A tailer of many files.
#[derive(Debug)]
pub(crate) struct FileShard {
    cx: TailContext,
    inbox: Receiver<Command>,
    /// What there may be news of, and at which place each path is.
    mailbox: Arc<Mailbox>,
    /// What was taken from there. Kept, to allocate nothing for each hint.
    hints: Vec<(usize, Change)>,
    inputs: Vec<Option<Input>>,
    vacant: Vec<usize>,
    /// Inputs with news, next first.
    hot: VecDeque<usize>,
    sweep: Sweep,
    pace: Pace,
    /// Inputs of whose changes nobody hints.
    restless: Vec<usize>,
    poll_due: Instant,
    /// Where to look next for a file to close.
    close_at: usize,
    /// Once no input joins any more: how many inputs are finished.
    finished: Option<usize>,
    scratch: Scratch,
}

/// A look at all inputs, a step at a time.
#[derive(Debug)]
struct Sweep {
    /// Where the one under way stands; at the end when there is none.
    at: usize,
    /// When the last one began.
    began: Instant,
    /// Whether it was put off for files with news.
    waits: bool,
    /// How long it took so far, the waits in between left out.
    cost: Duration,
    /// When the next one is due.
    due: Instant,
}

impl Default for Sweep {
    fn default() -> Self {
        let now = Instant::now();
        Self { at: 0, began: now, waits: false, cost: Duration::ZERO, due: after(now, Duration::MAX) }
    }
}

impl Sweep {
    /// Whether one is under way, or it is time for one.
    fn is_due(&self, inputs: usize) -> bool {
        self.at < inputs || Instant::now() >= self.due
    }

    /// Has the next one begin so soon after the last one, if it is not due before.
    fn within(&mut self, time: Duration) {
        self.due = self.due.min(after(self.began, time));
    }
}

impl FileShard {
    pub(crate) fn new(cx: TailContext, inbox: Receiver<Command>, mailbox: Arc<Mailbox>, pace: Pace) -> Self {
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
            restless: Vec::new(),
            poll_due: Instant::now(),
            close_at: 0,
            finished: None,
            scratch: Scratch::default(),
        }
    }

    /// Does what discovery asks, so much of it at a time.
    fn take_commands(&mut self, most: usize) -> Asked {
        for _ in 0..most {
            match self.inbox.try_recv() {
                Ok(Command::Add { path, named, start, present, kin }) => match self.mailbox.place(&path) {
                    Some(at) => self.set_gone(at, false),
                    None => {
                        let at = self.vacant.pop().unwrap_or(self.inputs.len());
                        if at == self.inputs.len() {
                            self.inputs.push(None);
                        }
                        self.mailbox.follow(path.clone(), at);
                        self.inputs[at] = Some(Input::new(path, named, start, present, kin));
                        self.look_at(at);
                    }
                },
                Ok(Command::Gone(path)) => {
                    if let Some(at) = self.mailbox.place(&path) {
                        self.set_gone(at, true);
                        self.look_at(at);
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

    fn look_at(&mut self, at: usize) {
        self.look_at_one(at);
        // Where two paths lead to one file, the first has it, and those that come after it.
        let twin = self.inputs[at].as_ref().and_then(Input::twin).filter(|(_, left)| *left);
        let twin = twin.and_then(|(path, _)| self.mailbox.place(path));
        if let Some(twin) = twin {
            self.look_at_one(twin);
            self.look_at_one(at);
        }
    }

    fn look_at_one(&mut self, at: usize) {
        // Out of its place meanwhile, so that the one it is beside can be had, too.
        let Some(mut input) = self.inputs[at].take() else { return };
        let elder = input.beside().and_then(|elder| self.mailbox.place(elder));
        let elder = elder.and_then(|elder| self.inputs[elder].as_mut());
        let news = input.look(elder, &mut self.scratch, &self.cx);
        let over = input.is_over();
        self.inputs[at] = Some(input);
        if over {
            self.remove(at);
        }
        self.note_news(at, news);
    }

    /// Has an input read that has news, and polled if need be.
    fn note_news(&mut self, at: usize, news: bool) {
        if let Some(input) = self.inputs[at].as_mut().filter(|input| news && !input.hot) {
            input.hot = true;
            self.hot.push_back(at);
        }
        self.note_restless(at);
    }

    /// Has an input polled if need be.
    fn note_restless(&mut self, at: usize) {
        if self.cx.watch.is_some()
            && let Some(input) = &mut self.inputs[at]
            && !input.polled
            && input.is_restless()
        {
            input.polled = true;
            self.restless.push(at);
            if self.restless.len() == POLLED_MAX + 1 {
                self.sweep.within(self.pace.poll);
            }
        }
    }

    /// Looks at what was hinted at; `read_next` says whether files with news are read then.
    fn take_hints(&mut self, read_next: bool) {
        let mut hints = std::mem::take(&mut self.hints);
        if self.mailbox.take(&mut hints) {
            self.sweep.due = Instant::now();
        }
        for &(at, change) in &hints {
            let Some(input) = &mut self.inputs[at] else { continue };
            let news = match change {
                Change::Content => input.look_at_content(read_next && self.hot.is_empty(), &self.cx),
                Change::File => None,
                Change::Name | Change::Gone => {
                    input.mistrust();
                    None
                }
            };
            match news {
                Some(news) => self.note_news(at, news),
                None => self.look_at(at),
            }
        }
        self.hints = hints;
    }

    /// Whether inputs are polled by themselves.
    fn polls(&self) -> bool {
        (1..=POLLED_MAX).contains(&self.restless.len())
    }

    /// Looks at the inputs that are polled, if it is time.
    fn poll(&mut self) {
        if !self.polls() || Instant::now() < self.poll_due {
            return;
        }
        self.poll_due = after(Instant::now(), self.pace.poll);
        for at in self.take_restless() {
            self.look_at(at);
        }
    }

    /// The inputs that are polled. Those that still need it are noted again when they are looked at.
    fn take_restless(&mut self) -> Vec<usize> {
        let restless = std::mem::take(&mut self.restless);
        for &at in &restless {
            self.inputs[at].iter_mut().for_each(|input| input.polled = false);
        }
        restless
    }

    fn remove(&mut self, at: usize) {
        if let Some(mut input) = self.inputs[at].take() {
            input.abandon(&self.cx);
            self.mailbox.leave(&input.path);
            self.hot.retain(|&hot| hot != at);
            if input.polled {
                self.restless.retain(|&restless| restless != at);
            }
            self.vacant.push(at);
        }
    }

    /// Goes on with the sweep, but reads files with news first. True if it is through.
    fn sweep_in_turn(&mut self) -> bool {
        let due = self.sweep.is_due(self.inputs.len());
        self.sweep.waits = due && !self.sweep.waits && !self.hot.is_empty();
        !due || !self.sweep.waits && self.sweep()
    }

    /// Looks at the next files of the sweep under way, or of a new one if it is time. True if it is through.
    fn sweep(&mut self) -> bool {
        if !self.sweep.is_due(self.inputs.len()) {
            return true;
        }
        let began = Instant::now();
        if self.sweep.at >= self.inputs.len() {
            (self.sweep.at, self.sweep.began, self.sweep.cost) = (0, began, Duration::ZERO);
            // What is hinted at from here on makes the next one due.
            self.sweep.due = after(began, Duration::MAX);
            if !self.polls() {
                self.take_restless();
                self.poll_due = after(began, self.pace.poll);
            }
        }
        let end = self.inputs.len().min(self.sweep.at + SWEEP_STEP);
        for at in self.sweep.at..end {
            self.look_at(at);
        }
        self.sweep.at = end;
        self.sweep.cost += began.elapsed();
        if end < self.inputs.len() {
            return false;
        }
        let every = match self.cx.watch {
            Some(_) if self.restless.len() <= POLLED_MAX => self.pace.sweep.max(self.sweep.cost * SWEEP_SHARE),
            _ => self.pace.poll,
        };
        self.sweep.within(every);
        true
    }

    /// Reads files with news until the batch is full enough, or none of them adds to it when it is its turn.
    fn read(&mut self, batch: &mut Batch) {
        let mut fruitless = 0;
        while batch.len() < self.cx.chunk && fruitless <= self.hot.len() {
            let Some(at) = self.hot.pop_front() else { return };
            if self.inputs[at].as_ref().is_some_and(Input::is_closed) && self.cx.claims.is_full() {
                self.close_one(at);
            }
            let Some(input) = &mut self.inputs[at] else { continue };
            let len = batch.len();
            match input.visit(batch, &mut self.scratch, &self.cx) {
                Visit::More | Visit::Again if self.finished.is_none() || !input.is_at_end() => {
                    self.hot.push_back(at);
                    fruitless += usize::from(batch.len() == len);
                }
                Visit::More | Visit::Again | Visit::End | Visit::Changed => input.hot = false,
                Visit::Full => {
                    self.hot.push_front(at);
                    return;
                }
            }
            self.note_restless(at);
        }
    }

    /// Closes a file other than `except`, rather one that has no news.
    fn close_one(&mut self, except: usize) {
        for any in [false, true] {
            for _ in 0..self.inputs.len() {
                self.close_at = (self.close_at + 1) % self.inputs.len();
                if let Some(input) = &mut self.inputs[self.close_at]
                    && self.close_at != except
                    && (any || !input.hot)
                    && input.close()
                {
                    return;
                }
            }
        }
    }

    /// No input joins any more: fixes how far each is read.
    fn begin_finish(&mut self) {
        for at in 0..self.inputs.len() {
            self.look_at(at);
            if let Some(input) = &mut self.inputs[at] {
                input.set_end();
            }
        }
        self.finished = Some(0);
    }

    /// Ends the inputs one by one. True when all are.
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

/// That much later, or so late that it does not matter.
pub(super) fn after(instant: Instant, wait: Duration) -> Instant {
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
        self.take_hints(true);
        self.poll();
        let swept = self.sweep_in_turn();
        self.read(batch);
        while asked == Asked::More && batch.len() < self.cx.chunk {
            asked = self.take_commands(ADD_STEP);
            self.read(batch);
        }
        let idle = asked == Asked::Done && swept && self.hot.is_empty();
        Ok(if idle { Progress::Idle } else { Progress::More })
    }

    fn look(&mut self) {
        if self.take_commands(usize::MAX) != Asked::Last {
            self.take_hints(false);
            self.poll();
            while !self.sweep() {}
        }
    }

    fn rest(&self) -> Option<Duration> {
        let due = if self.polls() { self.sweep.due.min(self.poll_due) } else { self.sweep.due };
        Some(due.saturating_duration_since(Instant::now()))
    }
}
