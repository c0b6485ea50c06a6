//! New files that may be copies of an input: they are held, not read, until that is known.
//!
//! A program that copies a log and then truncates it makes a new file with the log's content. If the log is truncated,
//! its input reads the copy on from where it had read the log. If not, the file is an input of its own.

use std::io;
use std::path::Path;
use std::sync::Arc;

use crate::batch::position::Position;
use crate::clock;
use crate::follow::context::ReadContext;
use crate::follow::file::Generation;
use crate::follow::file::bytes::read_all;
use crate::follow::heads::{HEAD, Held};
use crate::follow::input::replaced::is_one_line_repeated;
use crate::follow::input::{Input, PossibleCopy};
use crate::fs::{FileId, ReadFile, Stat};

/// So many bytes at the end of what two files may have in common are compared.
const COMPARED: u64 = 256;

impl Input {
    /// Returns true if the new file at the path is held, since it may be a copy of an input.
    pub(super) fn is_held_as_copy(&mut self, stat: &Stat, cx: &ReadContext) -> bool {
        let grace = cx.settings.copy_grace;
        let may_be = !self.present && !grace.is_zero() && !cx.is_ending && stat.size >= HEAD as u64;
        // What cannot be read just now is taken for what it seems to be: another file.
        let copied = if may_be { original_of(&self.path, stat, cx).unwrap_or(None) } else { None };
        let known = self.possible_copy.take().filter(|known| known.id == stat.id);
        let Some((original, size)) = copied else {
            known.iter().for_each(|known| cx.registry.heads.let_go(known.original, known.id));
            return false;
        };
        let mut copy = match known {
            Some(known) if known.original == original => known,
            known => {
                known.iter().for_each(|known| cx.registry.heads.let_go(known.original, known.id));
                cx.registry.heads.hold(original, Held { id: stat.id, path: self.path.clone() });
                let (complete, moved) = (size, clock::now());
                Box::new(PossibleCopy { id: stat.id, original, complete, size: stat.size, moved })
            }
        };
        if stat.size != copy.size {
            if copy.size < copy.complete {
                copy.moved = clock::now();
            }
            copy.size = stat.size;
        }
        if clock::since(copy.moved) >= grace {
            cx.registry.heads.let_go(original, copy.id);
            return false;
        }
        self.possible_copy = Some(copy);
        true
    }

    /// Returns where to read on in a new file that is a copy of one that was cut before this one was found.
    pub(super) fn place_in_copy(&self, stat: &Stat, cx: &ReadContext) -> Option<Position> {
        let (heads, grace) = (&cx.registry.heads, cx.settings.copy_grace);
        if self.present || stat.size < HEAD as u64 || !heads.has_cuts_within(grace) {
            return None;
        }
        let mut copy = Generation::new(0, stat.id, stat.size);
        let mut head = [0; HEAD];
        if !copy.open(&self.path, cx).ok()? || copy.with_file(|file| read_all(file, &mut head, 0)).ok()? != Some(HEAD) {
            return None;
        }
        let fits = |read_to: &Position| copy.holds(*read_to).unwrap_or(false);
        heads.cut_within(grace, &head).into_iter().find(fits)
    }

    /// Gives up the current file, of which nothing is read, if it turns out to be a possible copy: it was empty before.
    pub(super) fn turns_out_as_copy(&mut self, stat: &Stat, cx: &ReadContext) -> bool {
        let is_unread = self.current.as_ref().is_some_and(|current| current.offset() == 0);
        if !is_unread || !self.is_held_as_copy(stat, cx) {
            return false;
        }
        self.leave_names(cx);
        self.unopened = None;
        if let (Some(current), Some(source)) = (self.current.take(), &self.source) {
            current.give_up(false, source, cx);
            cx.registry.forget(current.id);
        }
        true
    }

    /// Asks what the current file is before any of it is read, where it may be read without another look at its path:
    /// together with older files.
    pub(super) fn check_for_copy(&mut self, cx: &ReadContext) {
        let unread = self.current.as_ref().filter(|current| current.offset() == 0);
        let stat = unread.and_then(|current| current.with_file(|file| file.stat()).ok().flatten());
        if stat.is_some_and(|stat| self.turns_out_as_copy(&stat, cx)) {
            self.unsettled = true;
        }
    }

    /// Makes the current file known by its head, so that copies of it are recognized.
    pub(super) fn note_head(&mut self, cx: &ReadContext) {
        if cx.settings.copy_grace.is_zero() || cx.settings.once {
            return;
        }
        let is_unknown = |current: &&mut Generation| current.head.is_none() && current.offset() > 0;
        let Some(current) = self.current.as_mut().filter(is_unknown) else { return };
        let mut head = [0; HEAD];
        let read = current.with_file(|file| read_all(file, &mut head, 0));
        if read.is_ok_and(|len| len == Some(HEAD)) {
            current.head = Some(cx.registry.heads.add(&head, &self.path));
        }
    }

    /// Forgets the head of the current file.
    pub(super) fn forget_head(&mut self, cx: &ReadContext) {
        if let Some(sum) = self.current.as_mut().and_then(|current| current.head.take()) {
            cx.registry.heads.remove(sum, &self.path);
        }
    }

    /// Holds nothing any more, unless the file is still at the path.
    pub(super) fn release_copy(&mut self, cx: &ReadContext) {
        if let Some(copy) = self.possible_copy.take_if(|_| !self.unsettled || self.current.is_some()) {
            cx.registry.heads.let_go(copy.original, copy.id);
        }
    }
}

/// Returns the file of an input that has the same content as the one at a path, as far as both go, and its length.
fn original_of(path: &Arc<Path>, stat: &Stat, cx: &ReadContext) -> io::Result<Option<(FileId, u64)>> {
    let file = cx.fs.open(path)?;
    let mut head = [0; HEAD];
    if file.stat()?.id != stat.id || read_all(&*file, &mut head, 0)? < HEAD {
        return Ok(None);
    }
    for other in cx.registry.heads.with(&head).iter().filter(|other| *other != path) {
        let Ok(original) = cx.fs.open(other) else { continue };
        let original_stat = original.stat()?;
        if original_stat.id == stat.id || !stat.is_as_trusted_as(&original_stat) {
            continue;
        }
        let end = stat.size.min(original_stat.size);
        let is_same = end >= HEAD as u64 && have_same_end(&*file, &*original, end)?;
        // One that was cut since it was read is still known by its old head: its reader will say so.
        let mut head_now = [0; HEAD];
        if is_same || read_all(&*original, &mut head_now, 0)? < HEAD || head_now != head || original.stat()?.size < end
        {
            return Ok(Some((original_stat.id, original_stat.size)));
        }
    }
    Ok(None)
}

/// Returns true if both files begin alike, and have the same bytes before an offset.
fn have_same_end(a: &dyn ReadFile, b: &dyn ReadFile, end: u64) -> io::Result<bool> {
    let len = end.min(COMPARED) as usize;
    let (mut ours, mut theirs) = ([0; COMPARED as usize], [0; COMPARED as usize]);
    for start in [0, end - len as u64] {
        let got = read_all(a, &mut ours[..len], start)?;
        let is_same = got == len && read_all(b, &mut theirs[..len], start)? == len && ours == theirs;
        // Any two files may hold the same line again and again.
        if !is_same || is_one_line_repeated(&ours[..len]) {
            return Ok(false);
        }
    }
    Ok(true)
}
