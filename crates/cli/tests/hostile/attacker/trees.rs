//! Attacks by directories: deep ones, wide ones, and ones that move.

use std::fs;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use rustix::fs::{CWD, Mode, OFlags, mkdirat, openat};

use super::Bout;

const DIR: OFlags = OFlags::DIRECTORY.union(OFlags::CLOEXEC);
const OPEN: Mode = Mode::RWXU.union(Mode::RGRP).union(Mode::XGRP).union(Mode::ROTH).union(Mode::XOTH);

fn open(bout: &mut Bout<'_>) -> Option<OwnedFd> {
    let own = bout.own.clone();
    bout.act(openat(CWD, &own, DIR, Mode::empty()))
}

/// Makes a directory, and a file in it, and goes there.
fn down(bout: &mut Bout<'_>, here: &OwnedFd, name: &str) -> Option<OwnedFd> {
    bout.act(mkdirat(here, name, OPEN))?;
    let below = bout.act(openat(here, name, DIR, Mode::empty()))?;
    if bout.chance(100) {
        let file = openat(&below, "deep.log", OFlags::CREATE | OFlags::WRONLY | OFlags::CLOEXEC, OPEN);
        let file = bout.act(file)?;
        bout.act(rustix::io::write(&file, b"a line from far below\n"));
    }
    Some(below)
}

/// A tree deeper than a path can be long.
pub(crate) fn deep(bout: &mut Bout<'_>) {
    let Some(mut here) = open(bout) else { return };
    let name = "d".repeat(bout.pick(&[1, 20, 200]));
    let depth = bout.pick(&[500, 1000, 5000]);
    for _ in 0..depth {
        let Some(below) = down(bout, &here, &name) else { break };
        here = below;
        if bout.is_over() {
            break;
        }
    }
    // Its root gets another name now and then, so that all paths change.
    let mut names = [bout.own.join(&name), bout.own.join("e")];
    while !bout.is_over() {
        bout.act(fs::rename(&names[0], &names[1]));
        names.reverse();
        bout.rest(200);
    }
}

/// Thousands of directories, each with a file that grows now and then.
pub(crate) fn wide(bout: &mut Bout<'_>) {
    let mut dirs: Vec<PathBuf> = vec![bout.own.clone()];
    let count = bout.pick(&[300, 1000, 3000]);
    for number in 0..count {
        if bout.is_over() {
            break;
        }
        let dir = bout.pick(&dirs).join(format!("w{number}"));
        if bout.act(fs::create_dir(&dir)).is_some() {
            if bout.chance(5) {
                bout.create_line(&dir.join("wide.log"));
            }
            dirs.push(dir);
        }
        if number % 100 == 99 {
            bout.rest(1);
        }
    }
    while !bout.is_over() {
        let dir = bout.pick(&dirs);
        bout.append(&dir.join("wide.log"), b"a line from far away\n");
        bout.rest(2);
    }
}

/// Names as long as they can be, one in the other, until no path can be so long.
pub(crate) fn long_names(bout: &mut Bout<'_>) {
    for letter in "abcdefgh".chars() {
        let Some(mut here) = open(bout) else { return };
        let name: String = std::iter::repeat_n(letter, 250).collect();
        for _ in 0..20 {
            let Some(below) = down(bout, &here, &name) else { break };
            here = below;
        }
        for number in 0..100 {
            down(bout, &here, &format!("{number}{}", &name[..200]));
        }
        if bout.is_over() {
            return;
        }
    }
    bout.rest_all();
}

/// Trees that get other names, and are in each other, and change places.
pub(crate) fn moved(bout: &mut Bout<'_>) {
    let mut places: Vec<PathBuf> = (0..6).map(|at| bout.own.join(format!("m{at}"))).collect();
    places.extend((0..3).map(|at| bout.own.join(format!("m0/n{at}"))));
    for place in &places[..3] {
        bout.act(fs::create_dir_all(place.join("x/y.log/z")));
        for name in ["a.log", "x/b.log", "x/y.log/z/c.log"] {
            bout.create_line(&place.join(name));
        }
    }
    while !bout.is_over() {
        let (from, to) = (bout.pick(&places), bout.pick(&places));
        bout.act(fs::rename(&from, &to));
        bout.append(&to.join("x/b.log"), b"a line on the move\n");
        bout.rest(1);
    }
}
