//! Questions about the inputs before a merge starts, so that no output is emptied by mistake.

use std::path::Path;
use std::sync::Arc;

use crate::discover::pattern::Excludes;
use crate::discover::remote::Reach;
use crate::discover::scan::find;
use crate::discover::spec::Spec;
use crate::follow::trouble::Trouble;
use crate::fs::{FileId, Fs, Kind, here, is_missing};

/// Returns the path under which a pattern finds the file at a path, and the pattern. It blocks, but looks only at what is
/// on the same device, if that or others may hang.
pub(crate) fn find_file<'a>(
    fs: &dyn Fs,
    specs: &'a [Spec],
    excludes: &Excludes,
    (path, id): (&Path, FileId),
) -> Option<(Arc<Path>, &'a str)> {
    let reach = fs.remote_device(path).map_or(Reach::Local, |device| Reach::Remote(vec![device]));
    specs.iter().filter_map(Spec::pattern).find_map(|pattern| {
        let is_it =
            |path: &Arc<Path>| excludes.excluding(path).is_none() && fs.stat(path).is_ok_and(|stat| stat.id == id);
        find(pattern, fs, reach.clone()).0.into_iter().find(is_it).map(|path| (path, pattern.text()))
    })
}

/// Returns why no input can be read, with one reason for each; none if one can be read. It blocks.
pub(crate) fn nothing_to_read(
    fs: &dyn Fs,
    specs: &[Spec],
    excludes: &Excludes,
    forbidden: &[FileId],
) -> Option<Vec<String>> {
    let mut reasons = Vec::new();
    for spec in specs {
        reasons.push(match spec {
            Spec::Path(path) => format!("{}: {}", path.display(), trouble(fs, path, true, forbidden)?),
            Spec::Pattern(pattern) => {
                let (found, dirs) = find(pattern, fs, Reach::All);
                let mut reason = format!("{}: no file matches", pattern.text());
                for (dir, error) in dirs {
                    if let Some(error) = error {
                        reason = format!("{}: the directory cannot be listed: {error}", here(&dir).display());
                    }
                }
                for path in found.iter().filter(|path| excludes.excluding(path).is_none()) {
                    reason = format!("{}: {}", path.display(), trouble(fs, path, false, forbidden)?);
                }
                reason
            }
        });
    }
    Some(reasons)
}

/// Returns why a path cannot be read now, if so. Only a named path may be a FIFO.
fn trouble(fs: &dyn Fs, path: &Path, named: bool, forbidden: &[FileId]) -> Option<Trouble> {
    match fs.stat(path) {
        Ok(stat) if forbidden.contains(&stat.id) => Some(Trouble::Output),
        Ok(stat) if named && stat.kind == Kind::Fifo => None,
        Ok(stat) => Trouble::of(stat.kind).or_else(|| fs.open(path).err().map(|error| Trouble::unreadable(&error))),
        Err(error) if is_missing(&error) => Some(Trouble::Missing),
        Err(error) => Some(Trouble::unreadable(&error)),
    }
}
