//! The life of a file after it has lost the name by which it was followed.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::clock;
use crate::follow::context::ReadContext;
use crate::follow::file::{Generation, Unnamed};

impl Generation {
    /// Records that the file has lost its name, and the other name that it was found under, if it was searched for.
    pub(crate) fn retire(&mut self, found: Option<PathBuf>, cx: &ReadContext) {
        if let (None, Some((_, slot))) = (&found, &mut self.file) {
            *slot = cx.descriptors.nameless_slot();
        }
        // One that was found by its inode's number only may be another file altogether.
        let unsure = found.is_none() && self.has_news();
        let unnamed = self
            .unnamed
            .get_or_insert_with(|| Box::new(Unnamed { since: clock::now(), unsure, found: None, counted: None }));
        unnamed.found = found.map(PathBuf::into_boxed_path);
    }

    /// Records that the file has its name again.
    pub(crate) fn regain(&mut self, cx: &ReadContext) {
        if let Some((_, slot)) = &mut self.file {
            *slot = cx.descriptors.slot();
        }
        self.unnamed = None;
    }

    /// Returns true if it is open and could not be opened again.
    pub(crate) fn is_nameless(&self) -> bool {
        self.is_open() && self.unnamed.as_ref().is_some_and(|unnamed| unnamed.found.is_none())
    }

    /// Returns true if it is open and can be opened again once it is closed.
    pub(crate) fn is_closable(&self) -> bool {
        self.is_open() && !self.is_nameless()
    }

    /// Returns the time when it was seen to have lost its name, or else when its length was last seen to change.
    pub(crate) fn changed_at(&self) -> Instant {
        self.unnamed.as_ref().map_or(self.length.moved, |unnamed| unnamed.since)
    }

    /// Opens the file, if it is closed, by the name that it was found under: see [`ready`](Self::ready).
    pub(crate) fn ready_found(&mut self, cx: &ReadContext) -> io::Result<bool> {
        match self.found_name().map(Path::to_owned) {
            Some(path) => self.ready(&path, cx),
            None => Ok(self.is_open()),
        }
    }

    /// Returns the other name that it was found under.
    pub(super) fn found_name(&self) -> Option<&Path> {
        self.unnamed.as_ref()?.found.as_deref()
    }

    /// Closes the file if it can be opened again. Returns true if it was open.
    pub(crate) fn close_found(&mut self) -> bool {
        self.found_name().is_some() && self.file.take().is_some()
    }

    /// Stops counting its bytes among those of deleted files.
    pub(crate) fn stop_counting(&mut self) {
        if let Some(unnamed) = &mut self.unnamed {
            unnamed.counted = None;
        }
    }

    /// Returns true if a deleted file exceeds the limits of the user: its age, or the bytes of all deleted files.
    pub(crate) fn has_expired(&mut self, cx: &ReadContext) -> bool {
        let Some(unnamed) = &mut self.unnamed else { return false };
        if let Some(max) = cx.settings.deleted_max_bytes {
            unnamed.counted = None;
            unnamed.counted = Some(cx.registry.count_deleted(self.length.size - self.at.offset.min(self.length.size)));
            if cx.registry.deleted_bytes() > max {
                return true;
            }
        }
        cx.settings.deleted_max_age.is_some_and(|max| clock::since(unnamed.since) > max)
    }

    /// Returns true if its content may have been written while it had its name.
    pub(crate) fn is_unsure(&self) -> bool {
        self.unnamed.as_ref().is_some_and(|unnamed| unnamed.unsure)
    }
}
