//! Opens the files of an input, and says where reading begins in them.

use std::io;
use std::sync::Arc;

use crate::batch::position::{FilePosition, Position};
use crate::batch::source::Source;
use crate::follow::context::{ReadContext, StartAt};
use crate::follow::file::Generation;
use crate::follow::file::turn::Scratch;
use crate::follow::input::{Begin, Input};
use crate::follow::registry::Claimed;
use crate::follow::trouble::Trouble;
use crate::fs::Stat;
use crate::fs::is_shortage;
use crate::report::event::Event;

impl Input {
    /// Continues where an earlier merge has left the files that were at this path, the oldest first: as if they had just
    /// been there, so that one that was renamed since is searched for.
    pub(crate) fn take_up(&mut self, cx: &ReadContext) {
        for left in cx.registry.positions(&self.path) {
            let Claimed::Taken { resume } = cx.registry.claim(left.file, &self.path, None) else {
                // It is followed by the name that it has by now.
                self.trouble = Some(Trouble::SameFile);
                continue;
            };
            self.retire_current(cx);
            let position = resume.unwrap_or(left.position);
            let mut generation = Generation::new(self.next_number, left.file, position.offset);
            generation.expect(position);
            let source = self.make_source(cx);
            cx.ledger.begins(source, generation.number, FilePosition { file: left.file, position });
            cx.ledger.emit(&Event::Joined { input: source.path().to_owned(), offset: position.offset });
            self.current = Some(generation);
            // Where nothing was read of it, it is known no better than one that was never opened.
            self.unopened = (position.offset == 0).then(|| Box::new(Begin::Start));
            self.next_number += 1;
        }
        cx.registry.drop_positions(&self.path);
    }

    /// Returns the source of its lines, which is made when there is a first file.
    pub(super) fn make_source(&mut self, cx: &ReadContext) -> &Arc<Source> {
        self.source.get_or_insert_with(|| {
            self.renderer = cx.settings.format.labelled(&self.path);
            cx.ledger.add_source(self.path.clone())
        })
    }

    /// Opens a new file that this input has claimed.
    pub(super) fn open(
        &mut self,
        stat: Stat,
        resume: Option<Position>,
        start: StartAt,
        scratch: &mut Scratch,
        cx: &ReadContext,
    ) {
        let begin = match (resume, self.aside.take()) {
            (Some(at), _) => Begin::Resume(at),
            (None, Some(old)) if old.id == stat.id && old.size <= stat.size => Begin::At(old.size),
            (None, None) if start == StartAt::End => Begin::At(stat.size),
            _ => Begin::Start,
        };
        let mut generation = Generation::new(self.next_number, stat.id, stat.size);
        generation.apply_stat(&stat);
        match begin {
            Begin::Start => {}
            Begin::At(offset) => generation.expect(Position { offset, ..generation.position() }),
            Begin::Resume(at) => generation.expect(at),
        }
        let source = self.make_source(cx);
        match begin {
            // The start of the line is not known before it is opened.
            Begin::At(_) => {}
            Begin::Start | Begin::Resume(_) => generation.tell_begin(source, cx),
        }
        self.next_number += 1;
        (self.current, self.unopened) = (Some(generation), Some(Box::new(begin)));
        match self.begin(scratch, cx) {
            Ok(true) => {
                if let Some(current) = self.current.as_mut().filter(|_| cx.descriptors.is_full()) {
                    current.close();
                }
            }
            // Another file by now: the next look finds it.
            Ok(false) => self.unsettled = true,
            // It is opened in its turn.
            Err(error) if is_shortage(&error) => {}
            Err(error) => self.trouble(Trouble::unreadable(&error), cx),
        }
    }

    /// Opens the current file for the first time, and moves to where reading begins. Returns false if another file is
    /// there by now.
    pub(super) fn begin(&mut self, scratch: &mut Scratch, cx: &ReadContext) -> io::Result<bool> {
        let (Some(current), Some(source), Some(begin)) = (&mut self.current, &self.source, &self.unopened) else {
            return Ok(true);
        };
        let mut generation = Generation::new(current.number, current.id, current.size());
        if !generation.open(&self.path, cx)? {
            return Ok(false);
        }
        match **begin {
            Begin::At(offset) if offset <= generation.claimed_size() => generation.skip_to(offset, scratch)?,
            Begin::Resume(at) => drop(generation.resume(at)?),
            Begin::Start | Begin::At(_) => {}
        }
        generation.tell_begin(source, cx);
        cx.ledger.emit(&Event::Joined { input: source.path().to_owned(), offset: generation.offset() });
        if generation.is_pseudo() && !cx.settings.once {
            cx.ledger.emit(&Event::SizeUnknown { input: source.path().to_owned() });
        }
        *current = generation;
        (self.trouble, self.unopened) = (None, None);
        // A copy of it may come before more of it is read.
        self.note_head(cx);
        self.read_failed = self.read_failed.filter(|_| !self.older.is_empty());
        Ok(true)
    }
}
