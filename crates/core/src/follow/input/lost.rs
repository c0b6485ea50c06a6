//! Files that have left the path of their input.

use std::io;
use std::path::{Path, PathBuf};

use crate::batch::source::Source;
use crate::follow::context::ReadContext;
use crate::follow::file::Generation;
use crate::follow::input::{Begin, Input};
use crate::fs::{FileId, Kind, here, is_missing};
use crate::report::gap::GapReason;

/// Gives up a closed file that cannot be found. If it turns up under another followed name, reading continues at its
/// position: a gap too many is better than lines twice.
pub(crate) fn lose(mut file: Generation, source: &Source, cx: &ReadContext) {
    let place = file.position();
    file.give_up(place.is_sure(), source, cx);
    file.abandon(GapReason::Gone, source, cx);
    match place.is_sure() {
        true => cx.registry.release(file.id, place),
        false => cx.registry.forget(file.id),
    }
}

/// Returns the name that a file has now in its directory, after it lost the name `path`. After an error it may be there
/// all the same.
pub(crate) fn find(path: &Path, id: FileId, cx: &ReadContext) -> io::Result<Option<PathBuf>> {
    let dir = path.parent().unwrap_or(Path::new(""));
    let mut found = Vec::new();
    let listed = cx.fs.list(here(dir), &mut |entry| {
        // The number may be another's by now: a link with it leads to some other file, or nowhere.
        if entry.ino == id.ino && matches!(entry.kind, Kind::File | Kind::Unknown) {
            found.push(dir.join(entry.name));
        }
    });
    let mut failed = listed.err().filter(|error| !is_missing(error));
    if let Some(error) = &failed {
        cx.descriptors.failed(error, &cx.ledger);
    }
    for path in found {
        match cx.fs.stat(&path) {
            Ok(stat) if stat.id == id => return Ok(Some(path)),
            Err(error) if !is_missing(&error) && !cx.fs.is_link(&path) => failed = Some(error),
            _ => {}
        }
    }
    failed.map_or(Ok(None), Err)
}

impl Input {
    /// Handles a current file that has left the path: it is read to its end and then closed.
    pub(super) fn retire_current(&mut self, cx: &ReadContext) {
        self.leave_names(cx);
        self.forget_head(cx);
        let (Some(mut current), Some(source)) = (self.current.take(), &self.source) else { return };
        let found = match self.unopened.take().as_deref() {
            // Where reading begins in it is not known by now.
            Some(Begin::At(_) | Begin::Resume(_)) => Ok(None),
            // Nothing of its content is known, by which it could be told from the next one with its inode number.
            Some(Begin::Start) if current.id.born.is_none() => Ok(None),
            _ if current.is_open() => Ok(None),
            _ => find(&self.path, current.id, cx),
        };
        match found {
            Ok(None) if !current.is_open() => lose(current, source, cx),
            // What cannot be searched for just now is searched for again at the next look.
            found => {
                current.retire(found.unwrap_or_default(), cx);
                self.older.push(current);
            }
        }
    }
}
