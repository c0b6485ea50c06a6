//! Removing what an attacker leaves: trees deeper than a path can be long, and than there are descriptors.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Dir, Mode, OFlags, chmodat, openat, unlinkat};

const DIR: OFlags = OFlags::DIRECTORY.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// A directory on the way down: its name, and the directories in it that are still to be removed.
struct Level(OsString, Vec<OsString>);

/// Removes a directory with all that is in it, as far as that can be done, one step at a time.
pub(crate) fn remove(path: &Path) {
    if let Err(error) = try_remove(path) {
        eprintln!("{}: {error}", path.display());
    }
}

fn try_remove(path: &Path) -> io::Result<()> {
    let mut here = openat(CWD, path, DIR, Mode::empty())?;
    let mut levels = vec![Level(OsString::new(), empty(&here)?)];
    loop {
        let Level(_, below) = levels.last_mut().expect("the loop ends with the first one");
        if let Some(name) = below.pop() {
            here = enter(&here, &name)?;
            let inside = empty(&here)?;
            levels.push(Level(name, inside));
            continue;
        }
        let Level(name, _) = levels.pop().expect("it is the one that was looked at");
        if levels.is_empty() {
            return Ok(unlinkat(CWD, path, AtFlags::REMOVEDIR)?);
        }
        here = openat(&here, "..", DIR, Mode::empty())?;
        unlinkat(&here, &*name, AtFlags::REMOVEDIR)?;
    }
}

fn enter(here: &OwnedFd, name: &OsStr) -> io::Result<OwnedFd> {
    chmodat(here, name, Mode::RWXU, AtFlags::empty())?;
    Ok(openat(here, name, DIR, Mode::empty())?)
}

/// Removes all that is no directory, or an empty one. Gives the others.
fn empty(here: &OwnedFd) -> io::Result<Vec<OsString>> {
    let mut below = Vec::new();
    for entry in Dir::read_from(here)? {
        let entry = entry?;
        let name = OsStr::from_bytes(entry.file_name().to_bytes());
        if name == "." || name == ".." || unlinkat(here, name, AtFlags::empty()).is_ok() {
            continue;
        }
        if unlinkat(here, name, AtFlags::REMOVEDIR).is_err() {
            below.push(name.to_owned());
        }
    }
    Ok(below)
}

#[test]
fn a_tree_deeper_than_a_path_can_be_long_is_removed() {
    let dir = crate::tool::Dir::new();
    let path = dir.path("tree");
    std::fs::create_dir(&path).unwrap();
    let mut here = openat(CWD, &path, DIR, Mode::empty()).unwrap();
    let name = "d".repeat(200);
    for _ in 0..50 {
        rustix::fs::mkdirat(&here, &*name, Mode::RWXU).unwrap();
        here = openat(&here, &*name, DIR, Mode::empty()).unwrap();
    }
    drop(here);
    remove(&path);
    assert!(!path.exists());
}
