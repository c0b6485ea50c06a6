//! The life of a file after it has lost the name by which it was followed.

use std::io;
use std::path::PathBuf;
use std::time::Instant;

use crate::follow::context::TailContext;
use crate::follow::file::Generation;

impl Generation {
    /// Records that the file has lost its name, and the other name that it was found under, if it was searched for.
    pub(crate) fn retire(&mut self, found: Option<PathBuf>, cx: &TailContext) {
        if self.retired.is_none() {
            self.retired = Some(Instant::now());
            // One that was found by its inode's number only may be another file altogether.
            self.unsure = found.is_none() && self.has_news();
        }
        if let (None, Some((_, slot))) = (&found, &mut self.file) {
            *slot = cx.descriptors.nameless_slot();
        }
        self.found = found.map(PathBuf::into_boxed_path);
    }

    /// Records that the file has its name again.
    pub(crate) fn regain(&mut self, cx: &TailContext) {
        if let Some((_, slot)) = &mut self.file {
            *slot = cx.descriptors.slot();
        }
        (self.retired, self.found, self.kept) = (None, None, None);
    }

    /// Returns true if it is open and could not be opened again.
    pub(crate) fn is_nameless(&self) -> bool {
        self.is_open() && self.retired.is_some() && self.found.is_none()
    }

    /// Returns true if it is open and can be opened again once it is closed.
    pub(crate) fn is_closable(&self) -> bool {
        self.is_open() && !self.is_nameless()
    }

    /// Returns the time when it was seen to have lost its name, or else when its length was last seen to change.
    pub(crate) fn changed_at(&self) -> Instant {
        self.retired.unwrap_or(self.moved)
    }

    /// Opens the file, if it is closed, by the name that it was found under: see [`ready`](Self::ready).
    pub(crate) fn ready_found(&mut self, cx: &TailContext) -> io::Result<bool> {
        match self.found.clone() {
            Some(path) => self.ready(&path, cx),
            None => Ok(self.is_open()),
        }
    }

    /// Closes the file if it can be opened again. Returns true if it was open.
    pub(crate) fn close_found(&mut self) -> bool {
        self.found.is_some() && self.file.take().is_some()
    }

    /// Stops counting its bytes among those of deleted files.
    pub(crate) fn release_kept(&mut self) {
        self.kept = None;
    }

    /// Returns true if a deleted file exceeds the limits of the user: its age, or the bytes of all deleted files.
    pub(crate) fn has_expired(&mut self, cx: &TailContext) -> bool {
        if let Some(max) = cx.deleted_max_bytes {
            self.kept = None;
            self.kept = Some(Box::new(cx.registry.keep(self.size - self.offset.min(self.size))));
            if cx.registry.kept() > max {
                return true;
            }
        }
        self.retired.zip(cx.deleted_max_age).is_some_and(|(retired, max)| retired.elapsed() > max)
    }

    /// Returns true if its content may have been written while it had its name.
    pub(crate) fn is_unsure(&self) -> bool {
        self.unsure
    }
}
