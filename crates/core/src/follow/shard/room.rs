//! Which files are open, where not all of them can be.

use std::collections::HashMap;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use crate::clock;
use crate::follow::input::Input;
use crate::follow::shard::{FileShard, LOOKS_MAX};

/// At the end, files without a descriptor are waited for this long, in these steps.
const LAST_WAIT: Duration = Duration::from_secs(2);
const LAST_PAUSE: Duration = Duration::from_millis(50);

/// Files without a name are closed this often where there are too many, and unread ones after this time.
const SHED_EVERY: Duration = Duration::from_millis(10);
const SHED_AFTER: Duration = Duration::from_secs(1);

impl FileShard {
    /// Closes at least so many files of other inputs than `except`: those without unread bytes first, then those that
    /// have not changed for longest. Returns false if there is none.
    pub(super) fn make_room(&mut self, except: usize, count: usize) -> bool {
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
    pub(super) fn wait_for_descriptor(&mut self, at: usize) -> bool {
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
        let waited = clock::since(*self.short_since.get_or_insert_with(clock::now));
        if let Some(due) = self.cx.descriptors.due().filter(|_| waited < LAST_WAIT) {
            thread::sleep(clock::until(due).min(LAST_PAUSE));
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
    pub(super) fn give_back(&mut self) {
        self.make_room(usize::MAX, self.cx.descriptors.excess().saturating_sub(1));
        self.shed();
    }

    /// Queues the inputs again that wait for a descriptor, if that is due.
    pub(super) fn take_short(&mut self) {
        if !self.short.is_empty() && self.cx.descriptors.may_open() {
            self.hot.extend(self.short.drain(..));
        }
    }

    /// Closes files without a name while there are too many: first those that are read to their end, and if that is not
    /// enough for a while, those in the directory that has most.
    pub(super) fn shed(&mut self) {
        let now = clock::now();
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
                && clock::since(now) < LOOKS_MAX
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
}
