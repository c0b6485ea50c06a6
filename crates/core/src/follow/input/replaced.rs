//! A file that takes the place of the one that is read, and goes on where that one is read up to.

use std::io;
use std::path::Path;
use std::time::Duration;

use memchr::memchr;

use crate::clock;
use crate::follow::context::ReadContext;
use crate::follow::file::Generation;
use crate::follow::file::bytes::read_all;
use crate::follow::input::lost::find;
use crate::follow::input::{Arrival, Input};
use crate::follow::registry::Claimed;
use crate::fs::{Stat, Storage};
use crate::report::event::{Continuation, Event};

/// The event that tells how a file came to a path is waited for so long: most often it is there before the file is seen.
const ARRIVAL_MAX: Duration = Duration::from_millis(250);

/// At most as long as so many polls take.
const POLLS_MAX: u32 = 50;

/// So many bytes at each end are compared of a file and of what may be a copy of it.
const COMPARED: u64 = 1024 * 1024;

/// The states of an open file and of what is at its path are compared so often, since it may grow in between.
const RENUMBERED_TRIES: usize = 4;

/// Where an open file is not there to compare with, a fingerprint of fewer bytes does not tell enough.
const SURE: u64 = 256;

/// What the other file is that came to a path.
pub(super) enum Successor {
    /// It is known once it is told how it came there.
    Unknown,
    /// A copy, which is read on where the file before was read up to.
    Copy,
    Other,
}

impl Input {
    /// Returns what the other file is that is at the path now, and moves on to it if it is a copy of the one that is read.
    /// A copy must have been renamed to the path, since a program that is started again may write the same lines; or its
    /// number must be all that changed.
    pub(super) fn arrival_of(&mut self, stat: &Stat, cx: &ReadContext) -> Successor {
        let arrival = std::mem::replace(&mut self.arrival, Arrival::Untold);
        let current = self.current.as_ref().filter(|_| self.unopened.is_none() && arrival != Arrival::Made);
        let may_be = |current: &&Generation| is_long_enough(current, stat) && !cx.registry.is_held(stat.id);
        let Some(current) = current.filter(may_be) else { return Successor::Other };
        let renumbered = is_renumbered(current, &self.path, stat, cx);
        let mut next = Generation::new(self.next_number, stat.id, stat.size);
        let same = next.open(&self.path, cx).and_then(|opened| {
            Ok(opened && next.holds(current.position())? && (renumbered || is_copy(current, &next)?))
        });
        // What cannot be read just now is taken for what it seems to be: another file.
        if !same.unwrap_or(false) {
            return Successor::Other;
        }
        if !renumbered && arrival != Arrival::Moved {
            let since = if let Arrival::Awaited(since) = arrival { since } else { clock::now() };
            let wait = ARRIVAL_MAX.min(cx.settings.poll_interval * POLLS_MAX);
            if !self.is_watched || cx.is_ending || clock::since(since) >= wait {
                return Successor::Other;
            }
            (self.arrival, self.unsettled) = (Arrival::Awaited(since), true);
            return Successor::Unknown;
        }
        if !matches!(cx.registry.claim(stat.id, &self.path, Some(&*cx.fs)), Claimed::Taken { .. }) {
            return Successor::Other;
        }
        self.go_on_in(next, renumbered, cx);
        Successor::Copy
    }

    fn go_on_in(&mut self, mut next: Generation, renumbered: bool, cx: &ReadContext) {
        self.leave_names(cx);
        let Some(mut current) = self.current.take() else { return };
        next.expect(current.position());
        next.head = current.head.take();
        self.next_number += 1;
        if let Some(source) = &self.source {
            next.tell_begin(source, cx);
            if renumbered {
                current.give_up(false, source, cx);
            }
        }
        self.current = Some(next);
        if renumbered {
            return cx.registry.forget(current.id);
        }
        let (offset, how) = (current.offset(), Continuation::Replaced);
        cx.ledger.emit(&Event::Continued { input: self.path.to_path_buf(), offset, how });
        if current.is_open() && current.move_to(current.content_size()).is_ok() {
            // Somebody may still write to it.
            current.retire(None, cx);
            self.older.push(current);
        } else {
            if let Some(source) = &self.source {
                current.give_up(false, source, cx);
            }
            cx.registry.release(current.id, current.position());
        }
    }
}

fn is_long_enough(current: &Generation, stat: &Stat) -> bool {
    !current.is_pseudo() && current.offset() > 0 && stat.size >= current.content_size()
}

/// Returns true if a file has got another number, as on file systems of programs: then the open file and the one at the
/// path show the same growth. A closed one must be nowhere else.
fn is_renumbered(current: &Generation, path: &Path, stat: &Stat, cx: &ReadContext) -> bool {
    if current.storage() != Some(Storage::Other) {
        return false;
    }
    if !current.is_open() {
        return current.offset() >= SURE && matches!(find(path, current.id, cx), Ok(None));
    }
    let grown = |stat: &Stat| (stat.id.dev, stat.size, stat.modified, stat.links);
    let mut there = *stat;
    for _ in 0..RENUMBERED_TRIES {
        let Ok(Some(open)) = current.with_file(|file| file.stat()) else { return false };
        if open.links > 0 && grown(&open) == grown(&there) {
            return true;
        }
        // It may have grown in between.
        match cx.fs.stat(path) {
            Ok(stat) => there = stat,
            Err(_) => return false,
        }
    }
    false
}

/// Returns true if a file begins with all that is known of another one, and that is not one line repeated.
fn is_copy(current: &Generation, next: &Generation) -> io::Result<bool> {
    let len = if current.is_open() { current.content_size() } else { current.offset() };
    if !current.is_open() && len < SURE {
        return Ok(false);
    }
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for start in [0, len.saturating_sub(COMPARED)] {
        let part = len.min(COMPARED) as usize;
        theirs.resize(part, 0);
        let got = next.with_file(|file| read_all(file, &mut theirs, start))?;
        if got != Some(part) || is_one_line_repeated(&theirs) {
            return Ok(false);
        }
        ours.resize(part, 0);
        if let Some(got) = current.with_file(|file| read_all(file, &mut ours, start))?
            && (got < part || ours != theirs)
        {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Returns true if bytes tell nothing of a file: any two may hold the same line again and again.
pub(super) fn is_one_line_repeated(bytes: &[u8]) -> bool {
    let line = memchr(b'\n', bytes).map_or(bytes.len(), |newline| newline + 1);
    bytes[line..] == bytes[..bytes.len() - line]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_repeated_tells_nothing() {
        for (bytes, is_one) in [("a\na\na\n", true), ("a\n", true), ("a\nb\n", false), ("a\na\nb\n", false)] {
            assert_eq!(is_one_line_repeated(bytes.as_bytes()), is_one, "{bytes:?}");
        }
    }
}
