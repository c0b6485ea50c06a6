//! Attacks by content that moves: ends and heads that come and go, and the same content in another file's place.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::FileExt;

use rustix::fs::{FallocateFlags, fallocate};

use super::Bout;
use super::content::victims_log;

const BLOCK: u64 = 4096;
/// So many bytes of the disk are taken at most by what nothing is written to.
const PROLONGED_MAX: u64 = 3 << 20;

/// Makes a file longer than what it holds.
fn prolong(bout: &mut Bout<'_>, file: &File, from: u64, to: u64) {
    match bout.rng.below(3) {
        0 => drop(bout.act(file.set_len(to))),
        // It takes the disk, which others need.
        1 => drop(bout.act(fallocate(file, FallocateFlags::empty(), 0, to.min(from + PROLONGED_MAX)))),
        _ => drop(bout.act(file.write_all_at(&vec![0; (to - from).min(PROLONGED_MAX) as usize], from))),
    }
}

/// Files that are made long first, written from their front, cut to what is written and made long again.
pub(crate) fn preallocated(bout: &mut Bout<'_>) {
    let paths = bout.many(50);
    let mut logs: Vec<_> = paths.iter().filter_map(|path| Some((bout.create(path)?, 0_u64))).collect();
    while !bout.is_over() && !logs.is_empty() {
        for _ in 0..20 {
            let at = bout.rng.below(logs.len() as u64) as usize;
            let ahead = bout.pick(&[BLOCK, 1 << 20, 3 << 20, 1 << 32]);
            let kind = bout.rng.below(4);
            let (file, mut end) = (logs[at].0.try_clone(), logs[at].1);
            let Some(file) = bout.act(file) else { return };
            match kind {
                0 => prolong(bout, &file, end, end + ahead),
                1 => drop(bout.act(file.set_len(end))),
                _ => {
                    let line = bout.pick(&["a line in front of NULs\n", "a part of a line", "\n"]);
                    bout.act(file.write_all_at(line.as_bytes(), end));
                    end += line.len() as u64;
                }
            }
            logs[at].1 = end;
        }
        bout.rest(5);
    }
}

/// Logs whose heads are punched out or taken away, read or not.
pub(crate) fn beheaded(bout: &mut Bout<'_>) {
    let text = "a line of a log that loses its head\n".repeat(2000);
    let paths = bout.many(20);
    while !bout.is_over() {
        let path = bout.pick(&paths);
        bout.append(&path, text.as_bytes());
        if bout.chance(2) {
            bout.rest(10);
        }
        let Some(file) = bout.act(File::options().write(true).open(&path)) else { return };
        let len = file.metadata().map_or(0, |it| it.len()) / BLOCK * BLOCK;
        let from = if bout.chance(3) { BLOCK } else { 0 };
        let to = BLOCK + bout.rng.below(len / BLOCK + 1) * BLOCK;
        let how = bout.pick(&[
            FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE,
            FallocateFlags::COLLAPSE_RANGE,
            FallocateFlags::ZERO_RANGE,
            FallocateFlags::INSERT_RANGE,
        ]);
        bout.act(fallocate(&file, how, from, to));
        if file.metadata().is_ok_and(|it| it.len() > 4 << 20) {
            bout.act(file.set_len(0));
        }
        bout.rest(5);
    }
}

/// Ends that are written over for each entry, with a cut and without, and by as much as to the start.
pub(crate) fn rewritten(bout: &mut Bout<'_>) {
    let paths = bout.many(30);
    for path in &paths {
        if let Some(mut file) = bout.create(path) {
            bout.act(file.write_all("a head of an array of entries\n".repeat(20).as_bytes()));
        }
    }
    while !bout.is_over() {
        let path = bout.pick(&paths);
        let Some(file) = bout.act(File::options().write(true).open(&path)) else { return };
        let len = file.metadata().map_or(0, |it| it.len());
        let back = bout.pick(&[1, 2, 3, 30, 200, 255, 256, 300, 1000]).min(len);
        if bout.chance(2) {
            bout.act(file.set_len(len - back));
        }
        let number = bout.rng.below(10);
        bout.act(file.write_all_at(format!(", an entry {number}\n]\n").as_bytes(), len - back));
        bout.rest(1);
    }
}

/// Copies of the victim's log, and of logs of his own, put in the place of these, or of each other, in one step.
pub(crate) fn replaced(bout: &mut Bout<'_>) {
    let paths = bout.many(10);
    let mut text = String::new();
    let new = bout.own.join("new");
    while !bout.is_over() {
        let path = bout.pick(&paths);
        if bout.chance(3) {
            text.clear();
        }
        text += &format!("a line {} of a copy\n", bout.rng.below(10)).repeat(10);
        let victims = if bout.chance(4) { victims_log(bout) } else { Vec::new() };
        let bytes = if victims.is_empty() { text.as_bytes() } else { &victims };
        bout.act(fs::write(&new, bytes));
        bout.act(fs::rename(&new, &path));
        if bout.chance(2) {
            bout.append(&path, b"a line behind a copy\n");
        }
        bout.rest(3);
    }
}

/// Copies of the victim's log by names that do not extend its name: whole or in the making, growing with it, cut, with
/// lines of his own.
pub(crate) fn aliases(bout: &mut Bout<'_>) {
    let paths = bout.many(10);
    while !bout.is_over() {
        let path = bout.pick(&paths);
        let bytes = victims_log(bout);
        let held = fs::metadata(&path).map_or(0, |it| it.len() as usize).min(bytes.len());
        match bout.rng.below(4) {
            0 => drop(bout.act(fs::remove_file(&path))),
            1 => {
                let half = held + (bytes.len() - held) / 2;
                bout.append(&path, &bytes[held..half]);
            }
            2 => bout.append(&path, &bytes[held..]),
            _ => {
                let own = if bout.world.labelled { "victim 1 1 forged in a copy\n" } else { "Victim\n" };
                bout.append(&path, own.as_bytes());
            }
        }
        bout.rest(10);
    }
}
