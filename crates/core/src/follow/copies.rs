//! The copies that copytruncate makes: a new file beside an input, with the input's content.
//!
//! Such a copy is held, not read, for a while. If the input is truncated, its copy is searched for beside it, and
//! read on from where the input had been read: nothing comes out twice, and what the input still had is not
//! lost. If it is not truncated, the file is an input of its own.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use crate::clock;
use crate::follow::context::ReadContext;
use crate::follow::file::Generation;
use crate::follow::file::bytes::read_all;
use crate::follow::registry::Claimed;
use crate::fs::{FileId, Kind, Stat, here, is_missing, is_shortage};

/// So many bytes are compared while a copy is being made.
const COMPARED: u64 = 256;

/// A copy is searched for so often while names change.
const SEARCHES_MAX: usize = 8;

/// Files that may turn out to be copies of an input.
#[derive(Debug, Default)]
pub(crate) struct Copies(Vec<Copy>);

#[derive(Debug)]
struct Copy {
    id: FileId,
    since: Instant,
}

impl Copies {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns true if the file that appeared at `path` is held, since it may be a copy of `original`, which is at `base`.
    pub(crate) fn holds(
        &mut self,
        (original, base): (&Generation, &Path),
        path: &Path,
        stat: &Stat,
        cx: &ReadContext,
    ) -> bool {
        if cx.settings.copy_grace.is_zero() || cx.is_ending || !may_copy(stat, original, base, cx) {
            return false;
        }
        if stat.size == 0 && original.size() > 0 {
            // A copy in the making, or another file: there is nothing to read of it anyway.
            return true;
        }
        let known = self.0.iter().position(|copy| copy.id == stat.id);
        let held = if known.is_none_or(|at| clock::since(self.0[at].since) < cx.settings.copy_grace) {
            match is_copy(original, path, stat, cx) {
                Ok(Some(held)) => held,
                // The next look at the original finds that it was cut, and what this is then.
                Ok(None) => return true,
                // What cannot be read just now is taken for what it seems to be: another file. Without a descriptor
                // nobody could read it.
                Err(error) => is_shortage(&error),
            }
        } else {
            false
        };
        match known {
            Some(at) if !held => drop(self.0.swap_remove(at)),
            None if held => self.0.push(Copy { id: stat.id, since: clock::now() }),
            _ => {}
        }
        held
    }

    /// Searches for the copy of an original at `path` that was cut. Returns the copy, to be read on from where the
    /// original was read.
    pub(crate) fn adopt(
        &mut self,
        original: &Generation,
        path: &Path,
        number: u32,
        cx: &ReadContext,
    ) -> Option<Generation> {
        let mut held: Vec<_> = std::mem::take(&mut self.0).into_iter().map(|copy| (copy.id, None)).collect();
        held.extend(cx.registry.heads.take(original.id).into_iter().map(|held| (held.id, Some(held.path))));
        let wanted = original.known().is_some() || !held.is_empty();
        if !wanted || cx.settings.copy_grace.is_zero() {
            return None;
        }
        // The copies of earlier times get other names just then.
        for _ in 0..SEARCHES_MAX {
            if let Ok(found) = search(original, &held, path, number, cx) {
                return found;
            }
        }
        None
    }
}

/// The error that a file had another name by the time it was opened.
struct Moved;

/// Searches once for the copy of a file that was at `path`.
fn search(
    original: &Generation,
    held: &[(FileId, Option<Arc<Path>>)],
    path: &Path,
    number: u32,
    cx: &ReadContext,
) -> Result<Option<Generation>, Moved> {
    let Some(name) = path.file_name().map(OsStr::as_bytes) else { return Ok(None) };
    let dir = path.parent().unwrap_or(Path::new(""));
    let mut base = Vec::new();
    // A directory that cannot be listed has no copy to find.
    let listed = cx.fs.list(here(dir), &mut |entry| {
        let rest = entry.name.as_bytes().strip_prefix(name);
        if entry.kind != Kind::Dir && rest.is_some_and(|rest| !rest.is_empty()) {
            base.push((entry.ino, dir.join(entry.name)));
        }
    });
    if let Err(error) = listed {
        cx.descriptors.failed(&error, &cx.ledger);
    }
    base.extend(held.iter().filter_map(|(id, path)| Some((id.ino, path.as_ref()?.to_path_buf()))));
    let (mut adopted, mut moved) = (None, false);
    for (ino, copy_path) in base {
        let stat = match cx.fs.stat(&copy_path) {
            Ok(stat) => stat,
            Err(error) => {
                moved |= is_missing(&error);
                continue;
            }
        };
        // A link leads to another inode than its own.
        moved |= stat.id.ino != ino && !cx.fs.is_link(&copy_path);
        let is_other = stat.kind == Kind::File && stat.id != original.id;
        if !is_other || cx.excludes.excluding(&copy_path).is_some() || !may_copy(&stat, original, path, cx) {
            continue;
        }
        let (mut copy, fits) = match opened(original, &copy_path, number, &stat, cx) {
            Ok(Some(opened)) => opened,
            Ok(None) => {
                moved = true;
                continue;
            }
            // What cannot be read just now is taken for what it seems to be: another file.
            Err(_) => continue,
        };
        let is_held = held.iter().any(|(id, _)| *id == stat.id);
        // One may also have been compared with it before the cut.
        if adopted.is_none() && (fits || is_held && original.offset() == 0) {
            if cx.registry.claim(stat.id, &copy_path, Some(&*cx.fs)) == (Claimed::Taken { resume: None }) {
                copy.retire(None, cx);
                adopted = Some(copy);
            }
        } else if stat.size < original.offset() && cx.registry.is_new(stat.id) {
            // The original had grown, and was read on, between the copy and the cut.
            let known = is_held && copy.move_to(stat.size).is_ok();
            if known || copy.skip_short_copy(original).unwrap_or(false) {
                cx.registry.release(stat.id, copy.position());
            }
        }
    }
    if adopted.is_none() && moved { Err(Moved) } else { Ok(adopted) }
}

/// Returns true if a file may be taken for a copy of an input: it belongs to whom the input belongs to, or to root or our
/// own user. Otherwise whoever can write there could have any line come out as the input's.
fn may_copy(copy: &Stat, original: &Generation, base: &Path, cx: &ReadContext) -> bool {
    let open = original.with_file(|file| file.stat()).ok().flatten();
    let stat = open.or_else(|| cx.fs.stat(base).ok().filter(|stat| stat.id == original.id));
    stat.is_some_and(|stat| copy.is_as_trusted_as(&stat))
}

/// Opens the file at `path`. Returns it, and true if it has the original's content; it is then at the position where
/// the original was read up to.
fn opened(
    original: &Generation,
    path: &Path,
    number: u32,
    stat: &Stat,
    cx: &ReadContext,
) -> io::Result<Option<(Generation, bool)>> {
    let mut copy = Generation::new(number, stat.id, stat.size);
    copy.apply_stat(stat);
    if !copy.open(path, cx)? {
        return Ok(None);
    }
    let fits = match original.known() {
        Some(place) if original.offset() > 0 => copy.resume(place)?,
        Some(end) => copy.holds(end)?,
        None => false,
    };
    Ok(Some((copy, fits)))
}

/// Returns true if a file has the original's content, as far as it goes by now; none if the original was cut meanwhile.
fn is_copy(original: &Generation, path: &Path, stat: &Stat, cx: &ReadContext) -> io::Result<Option<bool>> {
    let place = original.position();
    if original.size() == 0 {
        return Ok(Some(false));
    }
    let file = cx.fs.open(path).inspect_err(|error| cx.descriptors.failed(error, &cx.ledger))?;
    if file.stat()?.id != stat.id {
        return Ok(Some(false));
    }
    let mut copy = Generation::new(0, stat.id, stat.size);
    if place.offset > 0 && stat.size >= place.offset {
        return Ok(Some(copy.open(path, cx)? && copy.resume(place)?));
    }
    if copy.open(path, cx)? && copy.skip_short_copy(original)? {
        return Ok(Some(true));
    }
    // It may be in the making, or nothing of the original was read yet.
    let from = if place.offset > 0 { stat.size.saturating_sub(COMPARED) } else { 0 };
    let (mut ours, mut theirs) = ([0; COMPARED as usize], [0; COMPARED as usize]);
    let len = (stat.size - from).min(COMPARED) as usize;
    let got = original.with_file(|original| read_all(original, &mut ours[..len], from))?;
    let cut = original.with_file(|original| Ok(original.stat()?.size < place.offset.max(len as u64)))?;
    if cut == Some(true) {
        return Ok(None);
    }
    Ok(Some(got == Some(len) && read_all(&*file, &mut theirs[..len], from)? == len && ours == theirs))
}
